package nud

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// play lets seconds from..to pass and returns what is asked and given up, one line
// each.
func play(x *Table, from, to uint32, each func(now uint32)) (lines []string) {
	for now := from; now <= to; now++ {
		if each != nil {
			each(now)
		}
		x.Tick(now, func(a Ask) {
			whom := "all"
			if !a.MAC.IsZero() {
				whom = a.MAC.String()
			}
			lines = append(lines, fmt.Sprintf("%d ask %s for %s", now, whom, a.Addr))
		}, func(_ fdb.Domain, a netip.Addr, lost []Packet) {
			lines = append(lines, fmt.Sprintf("%d give up %s with %d", now, a, len(lost)))
		})
	}
	return lines
}

func checkLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Nobody answers: three requests a second apart, then the packets come back, and a
// moment later it is asked anew.
func TestNobodyAnswers(t *testing.T) {
	x := table()
	if r := x.Resolve(dom, addr, waits("1"), 100); !r.Held || !r.Ask {
		t.Fatalf("the first packet: %+v", r)
	}
	for i, want := range []bool{false, false, true} {
		if r := x.Resolve(dom, addr, waits("n"), 100); !r.Held || r.Ask || r.Displaced != want {
			t.Errorf("packet %d: %+v, want it held, displaced %v", i+2, r, want)
		}
	}
	checkLines(t, play(x, 100, 103, nil), "101 ask all for 10.1.1.10", "102 ask all for 10.1.1.10", "103 give up 10.1.1.10 with 3")
	if r := x.Resolve(dom, addr, waits("n"), 104); r.Held || r.Ask {
		t.Errorf("just failed: %+v, want the packet refused", r)
	}
	if r := x.Resolve(dom, addr, waits("n"), 105); !r.Held || !r.Ask {
		t.Errorf("two seconds later: %+v, want it asked for anew", r)
	}
	if _, ok := x.Lookup(dom, addr, 105); ok {
		t.Error("it is found")
	}
}

// An answer releases what waited, in order, as it came in.
func TestReleased(t *testing.T) {
	x := table()
	for _, b := range []string{"1", "2", "3", "4"} {
		x.Resolve(dom, addr, waits(b), 100)
	}
	h := x.Hear(dom, Message{Addr: addr, MAC: mac1, Solicited: true, Override: true, ToUs: true}, 101)
	var got string
	for _, p := range h.Released {
		got += string(p.Bytes)
		if p.Domain != 3 || p.From != 9 {
			t.Errorf("released %+v", p)
		}
	}
	if got != "234" {
		t.Errorf("released %q, want the latest three", got)
	}
	if m, ok := x.Lookup(dom, addr, 101); !ok || m != mac1 {
		t.Errorf("looked up %v %v", m, ok)
	}
	checkLines(t, play(x, 101, 110, nil))
}

// One that is in use is asked before what is known of it expires, and packets go to
// it all the while. When it does not answer everybody is asked: it may be elsewhere.
func TestRefreshed(t *testing.T) {
	x := in(t, Reachable)
	life := (&neighbour{key: key{dom, addr}}).lifetime()
	use := func(now uint32) {
		if _, ok := x.Lookup(dom, addr, now); ok != (now <= 100+life+delayFor+unicasts+multicasts) {
			t.Errorf("second %d: found %v", now, ok)
		}
	}
	lines := play(x, 101, 200, use)
	if life < 15 || life > 45 {
		t.Fatalf("lifetime %d s, want 15..45 (RFC 4861 section 6.3.2)", life)
	}
	begin := 100 + life + delayFor
	var want []string
	for i := range uint32(6) {
		whom := "02:00:00:00:00:01"
		if i >= unicasts {
			whom = "all"
		}
		want = append(want, fmt.Sprintf("%d ask %s for 10.1.1.10", begin+i, whom))
	}
	checkLines(t, lines, want...)
	for range x.All() {
		t.Error("it is still there")
	}
}

// An answer at any point ends the probing.
func TestProbeAnswered(t *testing.T) {
	for answerAt := range uint32(6) {
		x := in(t, Probe)
		play(x, 107, 106+answerAt, nil)
		x.Hear(dom, Message{Addr: addr, MAC: mac1, Solicited: true, Override: true, ToUs: true}, 106+answerAt)
		want(t, x, Reachable, mac1)
	}
}

// One that nobody uses is asked after ten minutes. It stays when it answers, and goes
// when it does not.
func TestUnused(t *testing.T) {
	x := in(t, Stale)
	checkLines(t, play(x, 100, 699, nil))
	checkLines(t, play(x, 700, 700, nil), "700 ask 02:00:00:00:00:01 for 10.1.1.10")
	x.Hear(dom, Message{Addr: addr, MAC: mac1, Solicited: true, Override: true, ToUs: true}, 700)
	want(t, x, Reachable, mac1)
	if n := len(play(x, 701, 2000, nil)); n != 6 {
		t.Errorf("asked %d times, want 6", n)
	}
	for e := range x.All() {
		t.Errorf("%v is still there", e)
	}
}

// A domain that is full makes room of those that were not used for longest, and never
// of those that are in use.
func TestFull(t *testing.T) {
	x := New()
	x.SetDomain(dom, 10)
	x.SetDomain(dom+1, 10)
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for i := range 10 {
		x.Hear(dom, Message{Addr: at(i), MAC: mac1, Request: true, ToUs: true}, 100)
	}
	for i := range 8 {
		x.Lookup(dom, at(i), 200) // which makes them delay
	}
	if h := x.Hear(dom, Message{Addr: at(50), MAC: mac1, Request: true, ToUs: true}, 201); h.Changed != Added {
		t.Error("there was no room made")
	}
	for i := range 8 {
		if _, ok := x.Lookup(dom, at(i), 201); !ok {
			t.Errorf("%v, which is in use, made room", at(i))
		}
	}
	if h := x.Hear(dom+1, Message{Addr: at(1), MAC: mac1, Request: true, ToUs: true}, 201); h.Changed != Added {
		t.Error("another domain has no room")
	}
}

// Whoever scans a network uses up his own share of what is asked for there: packets
// from other domains find their neighbours.
func TestScanFromOneDomain(t *testing.T) {
	x := New()
	x.SetDomain(dom, 10000)
	for i := range 10000 {
		x.Resolve(dom, netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}), Packet{Bytes: []byte("x"), Domain: 1}, uint32(100+i/1000))
	}
	for i := range 20 {
		if r := x.Resolve(dom, netip.AddrFrom4([4]byte{10, 3, 0, byte(i)}), Packet{Bytes: []byte("x"), Domain: 2}, 109); !r.Held || !r.Ask {
			t.Fatalf("address %d from another domain: %+v", i, r)
		}
	}
}

// A scan of a large subnet is bounded in what it asks and keeps, and leaves who is
// known alone.
func TestScan(t *testing.T) {
	x := New()
	x.SetDomain(dom, 2000)
	x.Hear(dom, Message{Addr: addr, MAC: mac1, Request: true, ToUs: true}, 100)
	asked := 0
	for i := range 1 << 16 {
		now := uint32(101 + i/10000)
		if r := x.Resolve(dom, netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}), waits("x"), now); r.Ask {
			asked++
		}
		if i%10000 == 0 {
			if _, ok := x.Lookup(dom, addr, now); !ok {
				t.Fatal("who was known is lost")
			}
			asked += len(play(x, now, now, nil))
		}
	}
	if asked > 7*(maxBegun+maxIncomplete) {
		t.Errorf("%d requests in 7 seconds", asked)
	}
	n := 0
	for range x.All() {
		n++
	}
	if n > maxIncomplete+maxBegun*7 {
		t.Errorf("%d entries", n)
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	x := in(t, Reachable)
	if n := testing.AllocsPerRun(100, func() { x.Lookup(dom, addr, 101) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		x := New()
		addrs := make([]netip.Addr, n)
		for i := range n {
			addrs[i] = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			x.SetStatic(dom, addrs[i], frame.MAC{2, 0, byte(i >> 16), byte(i >> 8), byte(i)}, 1)
		}
		b.Run(fmt.Sprintf("neighbours=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := x.Lookup(dom, addrs[i%n], 2); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}
