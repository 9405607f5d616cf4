package gateway

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"vxgw/config"
	"vxgw/l3/plpmtu"
)

// probed is a gateway whose probes go over a network in memory.
type probed struct {
	*Gateway
	t       *testing.T
	log     bytes.Buffer
	now     uint32
	carries map[netip.Addr]int // absent: nobody answers
	sent    []netip.Addr       // of the last second
	answers map[netip.Addr]int // to it
	longest int                // of all that was sent
}

func newProbed(t *testing.T) *probed {
	t.Helper()
	p := &probed{t: t, now: 100, carries: make(map[netip.Addr]int), answers: make(map[netip.Addr]int)}
	cfg, err := config.Parse("f", []byte("[underlay]\naddress = \"192.0.2.17\"\n[[vni]]\nid = 1\n"))
	must(t, err)
	p.Gateway, err = New(cfg, Edges{Host: noHost{}, Clock: func() uint32 { return p.now }}, slog.New(slog.NewTextHandler(&p.log, nil)))
	must(t, err)
	p.probes.socket = p
	return p
}

func (p *probed) Send(to netip.Addr, size int) error {
	p.sent, p.longest = append(p.sent, to), max(p.longest, size)
	if size <= p.carries[to] {
		p.answers[to] = size
	}
	return nil
}

func (p *probed) Read() (netip.Addr, int, error) { panic("nobody reads") }
func (p *probed) Close() error                   { return nil }

// run lets seconds pass.
func (p *probed) run(seconds int) {
	for range seconds {
		p.sent = p.sent[:0]
		p.probeEach(p.now)
		if len(p.sent) > probesEach {
			p.t.Fatalf("%d probes in a second", len(p.sent))
		}
		for a, size := range p.answers {
			p.echoed(a, size, p.now)
		}
		clear(p.answers)
		p.now++
	}
}

// A path whose routers say nothing is gone by as probes find it, and it is said once.
func TestProbes(t *testing.T) {
	p := newProbed(t)
	narrow, wide, silent := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.4")
	p.carries[narrow], p.carries[wide] = 1400, 9000
	for _, a := range []netip.Addr{narrow, wide, silent} {
		if is := p.pathMTUs.follow(a, 1600); is != 1600 {
			t.Fatalf("%v carries %d at first", a, is)
		}
	}
	p.run(settle)
	if p.longest != 0 {
		t.Error("it is probed at once")
	}
	p.run(120)
	for a, want := range map[netip.Addr]struct {
		is     int
		by     string
		state  string
		shrunk uint64
	}{narrow: {1400, byProbe, "complete", 1}, wide: {1600, byRoute, "complete", 0}, silent: {1600, byRoute, "unknown", 0}} {
		is := p.pathMTUs.follow(a, 1600)
		k, by := p.pathMTUs.of(a)
		if is != want.is || by != want.by || k.state != want.state || k.shrunk != want.shrunk {
			t.Errorf("%v: %d by %s, %+v; want %+v", a, is, by, k, want)
		}
	}
	if p.longest != 1600 {
		t.Errorf("probes of %d bytes, want 1600", p.longest)
	}
	if n := strings.Count(p.log.String(), "carries less than its route says"); n != 1 {
		t.Errorf("the log says so %d times:\n%s", n, p.log.String())
	}
	p.carries[narrow] = 1600
	p.run(plpmtu.Raise + plpmtu.Confirm + 60)
	if is := p.pathMTUs.follow(narrow, 1600); is != 1600 || !strings.Contains(p.log.String(), "carries more again") {
		t.Errorf("it carries %d:\n%s", is, p.log.String())
	}
	// The VTEPs are gone, but for one.
	p.pathMTUs.keep(map[netip.Addr]bool{wide: true})
	p.run(1)
	if len(p.probes.searches) != 1 || len(p.pathMTUs.known) != 1 {
		t.Errorf("%d searches, %d paths", len(p.probes.searches), len(p.pathMTUs.known))
	}
	// What every path carries need not be found out.
	p.pathMTUs.follow(wide, plpmtu.Base-1)
	p.run(1)
	if len(p.probes.searches) != 0 {
		t.Errorf("%d searches", len(p.probes.searches))
	}
}

// With as many VTEPs as there may be, each is probed, and few at a time.
func TestProbesAreSpread(t *testing.T) {
	p := newProbed(t)
	a := netip.MustParseAddr("10.0.0.0")
	const vteps = 1024
	for range vteps {
		a = a.Next()
		p.carries[a] = 1600
		p.pathMTUs.follow(a, 1600)
	}
	p.run(settle + 4*vteps/probesEach)
	for a := range p.carries {
		if k, _ := p.pathMTUs.of(a); k.found != 1600 {
			t.Fatalf("%v: %+v", a, k)
		}
	}
}

// Routes, routers and probes: the least is gone by, and who says so is told.
func TestPathMTUsLeast(t *testing.T) {
	var p pathMTUs
	a := netip.MustParseAddr("192.0.2.2")
	want := func(what string, route, is int, by string) {
		t.Helper()
		got := p.follow(a, route)
		if _, from := p.of(a); got != is || from != by {
			t.Errorf("%s: %d by %s, want %d by %s", what, got, from, is, by)
		}
	}
	want("the route alone", 1600, 1600, byRoute)
	p.find(a, 1500)
	want("a probe", 1600, 1500, byProbe)
	p.lower(a, 1400, 10)
	want("a router", 1600, 1400, byRouter)
	want("a narrower route", 1300, 1300, byRoute)
	p.expire(10 + keepPathMTU)
	want("the router's word has expired", 1600, 1500, byProbe)
	want("the route is not known", 0, 0, byRoute)
	if k, _ := p.of(a); k.shrunk != 3 {
		t.Errorf("it shrank %d times, want 3", k.shrunk)
	}
	if b := p.bounds()[a]; b != 0 {
		t.Errorf("bound %d of an unknown route", b)
	}
}
