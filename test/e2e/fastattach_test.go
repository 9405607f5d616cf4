package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"vxgw/test/netns"
)

// In mode auto a program comes to a veth when much comes in that needs no socket buffer,
// and goes when senders on this machine use it: neither costs a frame, and both are told
// of.
func TestFastComesAndGoes(t *testing.T) {
	t.Parallel()
	b := newFastBed(t, fastBed{way: byTCX})
	must(t, b.bed.ns.Offloads("acc1", true, "gro")) // it takes frames without a socket buffer
	b.says("acc1", "tcx", "no XDP: little comes in")
	wire := byTCX
	wire.live = true
	b.way = wire
	f := b.flow(t, journeys()[0], most)
	f.during(40_000, func() {
		b.says("acc1", "xdp", "XDP in the driver")
		time.Sleep(300 * time.Millisecond) // frames by the program
	})
	if !hasXDP(t, b.bed.ns, "acc1") || hasXDP(t, b.bed.ns, "acc2") || hasXDP(t, b.bed.ns, "und0") {
		t.Error("XDP is not at acc1 alone, where the load is")
	}
	b.pause(func() {
		f.send(100)
		eventually(t, "the program carries frames by itself", func() bool { return f.to.all() == f.sent })
	})
	local := &flow{t: t, from: f.from, frames: f.frames, field: f.field, to: f.to, sent: f.sent}
	before, err := b.hosts.Stats("h1")
	must(t, err)
	stop := local.begin(20_000)
	b.says("acc1", "tcx", "no XDP: senders on this machine use it")
	time.Sleep(100 * time.Millisecond)
	stop()
	if hasXDP(t, b.bed.ns, "acc1") {
		t.Error("XDP is at acc1 still")
	}
	after, err := b.hosts.Stats("h1")
	must(t, err)
	if n := after.TxDropped - before.TxDropped; n != 0 {
		t.Skipf("the wire itself had no room for %d frames", n)
	}
	local.wantAll()
	b.says("acc1", "tcx", "no XDP: senders on this machine use it")
}

// An XDP program that is at a port already stays there and keeps working, which is said
// once; the workers and TCX carry the port's frames. When it goes, the gateway's comes.
func TestFastBesideAnotherProgram(t *testing.T) {
	t.Parallel()
	b := (&fastBed{way: byXDP}).prepare(t)
	theirs := attachCounter(t, b.bed.ns, "acc1")
	b.gateway = startWith(t, b.bed.ns, b.text(), withHTTP).forwards()
	b.teach()
	b.says("acc1", "tcx", "another XDP program is there and stays: `ip link show acc1` names it")
	b.says("acc2", "xdp", "XDP in the driver")
	was := theirs.frames(t)
	f := b.flow(t, journeys()[0], most)
	f.send(1000)
	f.wantAll()
	if n := theirs.frames(t) - was; n != 1000 {
		t.Errorf("the other program has seen %d frames of 1000", n)
	}
	b.wantOneLine("no XDP at an interface", "interface=acc1", "another XDP program")
	must(t, theirs.link.Close())
	b.says("acc1", "xdp", "XDP in the driver")
	b.isFast(t, f)
	f.wantAll()
}

// theirs is an XDP program of somebody else's that counts and lets pass.
type theirs struct {
	link  link.Link
	count *ebpf.Map
}

func attachCounter(t testing.TB, ns *netns.NS, dev string) *theirs {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "theirs", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	must(t, err)
	t.Cleanup(func() { m.Close() })
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "theirs", Type: ebpf.XDP, License: "MIT", Instructions: asm.Instructions{
		asm.LoadMapValue(asm.R1, m.FD(), 0),
		asm.Mov.Imm(asm.R2, 1),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R0, 2), // XDP_PASS
		asm.Return(),
	}})
	must(t, err)
	t.Cleanup(func() { p.Close() })
	index, err := ns.Indexes(dev)
	must(t, err)
	is := &theirs{count: m}
	must(t, ns.Do(func() (err error) {
		is.link, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: index[0], Flags: link.XDPDriverMode})
		return err
	}))
	t.Cleanup(func() { _ = is.link.Close() })
	return is
}

func (c *theirs) frames(t testing.TB) (n uint64) {
	t.Helper()
	must(t, c.count.Lookup(uint32(0), &n))
	return n
}

// A veth whose peer cannot take redirected frames gets them from the workers, every one,
// and `show datapath` says what its peer lacks; when the peer can, the programs carry them.
func TestFastToAPeerThatTakesNone(t *testing.T) {
	t.Parallel()
	b := (&fastBed{way: byXDP}).prepare(t)
	must(t, b.hosts.Offloads("h2", false, "gro"))
	b.gateway = startWith(t, b.bed.ns, b.text(), withHTTP).forwards()
	b.teach()
	b.says("acc1", "xdp", "XDP in the driver")
	b.says("acc2", "xdp", "its peer needs GRO (ethtool -K PEER gro on)")
	if why := b.datapathOf("acc1").Reason; strings.Contains(why, "GRO") {
		t.Errorf("acc1, whose peer has GRO: %s", why)
	}
	at := capture(t, b.hosts, "h2", netns.Only(isTo(h2MAC)))
	f := newFlow(t, sender{b.hosts, "h1"}, true, 42, &tally{t: t, count: most}, unsummed(h2MAC, h1MAC, "203.0.113.1", "203.0.113.2"))
	f.send(500)
	must(t, at.Wait(500, patience))
	must(t, b.hosts.Offloads("h2", true, "gro"))
	b.inMode("xdp")
	n := 500
	b.pause(func() {
		for range 50 {
			f.send(1)
			n++
		}
		must(t, at.Wait(n, patience))
	})
	wantOnce(t, at, n)
	must(t, at.Close())
	b.wantDrops(drops{})
}

// wantOnce wants the first n frames of a flow to have been captured, each once.
func wantOnce(t *testing.T, at *netns.Capture, n int) {
	t.Helper()
	came := make(map[uint32]int)
	for _, f := range at.Frames() {
		came[flowNumber(f)]++
	}
	for i := range uint32(n) {
		if came[i] != 1 {
			t.Errorf("frame %d came %d times", i, came[i])
		}
	}
	if len(came) != n {
		t.Errorf("%d numbers came, want %d", len(came), n)
	}
}

// Whoever captures at a port sees what the fast path sends there and, in mode auto, what
// comes in: frames that XDP would take from him it leaves alone.
func TestFastIsCaptured(t *testing.T) {
	t.Parallel()
	b := newFastBed(t, fastBed{way: byTCX})
	must(t, b.bed.ns.Offloads("acc1", true, "gro"))
	back := b.flow(t, journeys()[1], most)
	b.way.live = true
	f := b.flow(t, journeys()[0], most)
	var heard *netns.Capture
	f.during(40_000, func() {
		b.says("acc1", "xdp", "XDP in the driver")
		heard = capture(t, b.bed.ns, "acc1", netns.Outgoing(), netns.Only(func(f []byte) bool { return len(f) == 342 }))
		b.says("acc1", "tcx", "somebody captures packets there")
	})
	first := uint32(f.sent)
	came := func(p []byte) bool { return isTo(ra1MAC)(p) && flowNumber(p) >= first }
	f.send(300)
	back.send(300)
	f.wantAll()
	back.wantAll()
	must(t, heard.WaitMatch(300, came, patience))
	must(t, heard.WaitMatch(300, isTo(h1MAC), patience))
	if n, m := heard.Count(came), heard.Count(isTo(h1MAC)); n != 300 || m != 300 {
		t.Errorf("%d frames that came in were captured of 300, and %d of 300 that left", n, m)
	}
	must(t, heard.Close())
	f.during(40_000, func() { b.says("acc1", "xdp", "XDP in the driver") })
}
