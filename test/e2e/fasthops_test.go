package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/test/netns"
)

// hopBed is a bed whose flow of h1 goes to a VTEP behind a router, whom there are two
// links to.
type hopBed struct {
	*fastBed
	f      *flow
	by     [2]*tally // und0 and und1
	router [2]netip.Addr
	mac    [2]frame.MAC
}

func newHopBed(t *testing.T, w way) *hopBed {
	h := &hopBed{
		fastBed: &fastBed{way: w},
		router:  [2]netip.Addr{vtepB, netip.MustParseAddr("198.51.100.2")},
		mac:     [2]frame.MAC{{2, 0, 0, 0, 0xf2, 1}, {2, 0, 0, 0, 0xf2, 2}},
	}
	h.more = fmt.Sprintf("[[mac]]\nvni = 1000\naddress = \"02:00:00:00:02:77\"\nvtep = %q\n", farVTEP)
	h.prepare(t)
	wire(t, h.bed.ns, "und1", h.peer, "und1", netns.VethOptions{AMAC: frame.MAC{2, 0, 0, 0, 0xf1, 1}, BMAC: frame.MAC{2, 0, 0, 0, 0xf1, 2}, MTU: 1700})
	must(t, h.bed.ns.AddAddr("und1", "198.51.100.1/24"))
	must(t, h.peer.Offloads("und1", true, "gro"))
	for i := range 2 {
		h.meets(i, h.mac[i])
	}
	h.goes(0, (*netns.NS).AddRoute)
	h.begin()
	to := frame.MAC{2, 0, 0, 0, 2, 0x77}
	for i := range h.by {
		h.by[i] = newTally(t, h.peer, fmt.Sprintf("und%d", i), numberRange{outerLen + 42, firstNumber, most})
	}
	h.f = newFlow(t, sender{h.hosts, "h1"}, w.live, 42, h.by[0], unsummed(to, h1MAC, "203.0.113.1", "203.0.113.2"))
	return h
}

// meets has a link's router have a MAC.
func (h *hopBed) meets(link int, m frame.MAC) {
	h.t.Helper()
	must(h.t, h.bed.ns.SetNeighbour(fmt.Sprintf("und%d", link), h.router[link], netns.Neighbour{MAC: m, State: unix.NUD_PERMANENT}))
}

// goes has the route to the VTEP lead by a link.
func (h *hopBed) goes(link int, how func(*netns.NS, netns.Route) error) {
	h.t.Helper()
	must(h.t, how(h.bed.ns, netns.Route{To: "203.0.113.7/32", Via: h.router[link].String()}))
}

// Packets follow their next hop when its MAC changes and when the route leads elsewhere,
// and come back with it; the programs alone send none to where it was.
func TestFastNextHopMoves(t *testing.T) {
	t.Parallel()
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			h := newHopBed(t, w)
			f := h.f
			h.isFast(t, f)
			for _, step := range []struct {
				name   string
				change func()
				by     int
			}{
				{"the route leads by the other link", func() { h.goes(1, (*netns.NS).ReplaceRoute) }, 1},
				{"and back", func() { h.goes(0, (*netns.NS).ReplaceRoute) }, 0},
				{"a link down, and the route with it", func() {
					must(t, h.bed.ns.AddRoute(netns.Route{To: "203.0.113.0/24", Via: h.router[1].String()}))
					must(t, h.bed.ns.SetDown("und0"))
				}, 1},
			} {
				now, was := h.by[step.by], h.by[1-step.by]
				before := now.all() + was.all()
				first := f.sent
				stop := f.begin(2000) // a veth has room for 256: a busy machine is to have time
				step.change()
				mark := now.all()
				eventually(t, step.name+": packets go there", func() bool { return now.all() > mark })
				time.Sleep(50 * time.Millisecond)
				stop()
				if step.name != "a link down, and the route with it" { // what is under way then is lost
					eventually(t, step.name+": all are there", func() bool { return now.all()+was.all() == before+f.sent-first })
				}
				h.aloneBy(t, step.name, now, was)
			}
		})
	}
}

// aloneBy wants what the programs send alone to come by one tally, and not by another.
func (h *hopBed) aloneBy(t *testing.T, name string, now, was *tally) {
	t.Helper()
	f := h.f
	eventually(t, name+": the programs know", func() bool { return h.tries(now) })
	h.pause(func() {
		old, have := was.all(), now.all()
		f.send(500)
		eventually(t, name+": the programs carry by themselves", func() bool { return now.all() == have+500 })
		if n := was.all() - old; n != 0 {
			t.Errorf("%s: %d packets went where the next hop was", name, n)
		}
	})
}

// tries reports whether a frame is carried to a tally while the gateway does not run.
func (h *hopBed) tries(to *tally) (carried bool) {
	h.t.Helper()
	before := to.all()
	h.pause(func() {
		h.f.send(1)
		for range 20 {
			if carried = to.all() > before; carried {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	if !carried {
		time.Sleep(20 * time.Millisecond) // it goes by the gateway, or is lost
	}
	return carried
}

// The MAC of a next hop changes: packets go to the new one, and from then on none to the
// old one.
func TestFastNextHopChangesItsMAC(t *testing.T) {
	t.Parallel()
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			b := newFastBed(t, fastBed{way: w})
			f := newFlow(t, sender{b.hosts, "h1"}, w.live, 42, &tally{t: t, count: most}, unsummed(ra1MAC, h1MAC, "203.0.113.1", "203.0.113.2"))
			at := captureOuter(t, b.peer, "und0")
			f.send(1)
			must(t, at.WaitMatch(1, isTo(ra1MAC), patience))
			other := frame.MAC{2, 0, 0, 0, 0xf2, 0x99}
			stop := f.begin(5000)
			must(t, b.bed.ns.SetNeighbour("und0", vtepA, netns.Neighbour{MAC: other, State: unix.NUD_PERMANENT}))
			isNew := func(f []byte) bool { return frame.Frame(f).Dst() == other }
			must(t, at.WaitMatch(1, isNew, patience))
			time.Sleep(50 * time.Millisecond)
			stop()
			must(t, at.WaitMatch(f.sent, isTo(ra1MAC), patience))
			eventually(t, "the programs know", func() bool {
				known := false
				b.pause(func() {
					f.send(1)
					known = at.WaitMatch(f.sent, isTo(ra1MAC), 100*time.Millisecond) == nil
				})
				must(t, at.WaitMatch(f.sent, isTo(ra1MAC), patience)) // by a worker
				all := at.Frames()
				return known && isNew(all[len(all)-1])
			})
			first := f.sent
			b.pause(func() {
				f.send(300)
				must(t, at.WaitMatch(f.sent, isTo(ra1MAC), patience))
			})
			came := make(map[uint32]int)
			for _, p := range at.Frames() {
				if !isTo(ra1MAC)(p) {
					continue
				}
				n := flowNumber(p)
				came[n]++
				if int(n) >= first && !isNew(p) {
					t.Errorf("packet %d went to %v after the change", n, frame.Frame(p).Dst())
				}
			}
			for n := range uint32(f.sent) {
				if came[n] != 1 {
					t.Errorf("packet %d came %d times", n, came[n])
				}
			}
		})
	}
}
