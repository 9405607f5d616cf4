package vrf

import (
	"net/netip"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l3/ip"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestBuild(t *testing.T) {
	static := Route{Prefix: pfx("10.1.1.9/24"), Kind: Blackhole, Origin: OriginStatic}
	connected := Route{Prefix: pfx("10.1.1.0/24"), Kind: Connected, Origin: OriginConnected, Hops: []NextHop{{Domain: 3}}}
	for _, order := range [][]Route{{static, connected}, {connected, static}} {
		x := Build(slices.Values(order))
		if r := x.Lookup(netip.MustParseAddr("10.1.1.7")); x.Len() != 1 || r == nil || r.Kind != Connected {
			t.Errorf("%v: found %+v of %d routes, want the connected one", order, r, x.Len())
		}
	}
	later := static
	later.Kind = Unreachable
	if r := Build(slices.Values([]Route{static, later})).Lookup(netip.MustParseAddr("10.1.1.7")); r.Kind != Unreachable {
		t.Errorf("found %+v, want the last of two static ones", r)
	}
}

// No table has no routes, however little there is of it.
func TestEmpty(t *testing.T) {
	for _, x := range []*Table{nil, {}, Build(func(func(Route) bool) {}), Build(slices.Values([]Route{{Prefix: pfx("::/0")}})).Without(pfx("::/0"))} {
		if r := x.Lookup(netip.MustParseAddr("2001:db8::1")); r != nil || x.Len() != 0 {
			t.Errorf("found %+v of %d routes", r, x.Len())
		}
		for r := range x.All() {
			t.Errorf("has %+v", r)
		}
	}
}

// anyPrefix draws from so few addresses that prefixes nest and repeat.
func anyPrefix(t *rapid.T) netip.Prefix {
	b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 128, 255}), 4, 4).Draw(t, "bytes")
	if rapid.Bool().Draw(t, "v4") {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(b)), rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
	}
	a := [16]byte{0: 0x20, 1: b[0], 7: b[1], 8: b[2], 15: b[3]}
	return netip.PrefixFrom(netip.AddrFrom16(a), rapid.IntRange(0, 128).Draw(t, "bits")).Masked()
}

// slow is the obvious table.
type slow map[netip.Prefix]Kind

func (s slow) lookup(a netip.Addr) (best netip.Prefix, k Kind, ok bool) {
	for p, kind := range s {
		if p.Contains(a) && (!ok || p.Bits() > best.Bits()) {
			best, k, ok = p, kind, true
		}
	}
	return best, k, ok
}

// A table does what the obvious one does, one that was changed stays as it was for
// those who have it, and a cache in front of them all changes nothing.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, model := Build(func(func(Route) bool) {}), slow{}
		type version struct {
			table *Table
			model slow
		}
		var versions []version
		var cache Cache
		check := func(v version, a netip.Addr) {
			p, k, ok := v.model.lookup(a)
			for range 2 {
				r := cache.Lookup(v.table, a)
				if (r != nil) != ok || ok && (r.Prefix != p || r.Kind != k) {
					t.Fatalf("%v: found %+v, want %v %v %v", a, r, p, k, ok)
				}
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			p := anyPrefix(t)
			next := slow{}
			for q, k := range model {
				next[q] = k
			}
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				delete(next, p)
				x = x.Without(p)
			} else {
				next[p] = Kind(rapid.IntRange(0, int(numKinds)-1).Draw(t, "kind"))
				x = x.With(Route{Prefix: p, Kind: next[p], Origin: OriginStatic})
			}
			model = next
			versions = append(versions, version{x, model})
			if x.Len() != len(model) {
				t.Fatalf("%d routes, want %d", x.Len(), len(model))
			}
			for range 3 {
				check(versions[rapid.IntRange(0, len(versions)-1).Draw(t, "version")], anyPrefix(t).Addr())
			}
		}
		n, last := 0, netip.Prefix{}
		for r := range x.All() {
			if n > 0 && last.Compare(r.Prefix) >= 0 {
				t.Fatalf("%v comes behind %v", r.Prefix, last)
			}
			if n++; model[r.Prefix] != r.Kind {
				t.Fatalf("%v is %v, want %v", r.Prefix, r.Kind, model[r.Prefix])
			}
			last = r.Prefix
		}
		if n != len(model) {
			t.Fatalf("%d routes listed, want %d", n, len(model))
		}
	})
}

// A flow keeps to its next hop, all next hops are used, and when one goes only its
// own flows move.
func TestHop(t *testing.T) {
	for n := 2; n <= 16; n++ {
		r := &Route{}
		for i := range n {
			r.Hops = append(r.Hops, NextHop{Domain: 7, Via: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})})
		}
		less := &Route{Hops: r.Hops[1:]}
		count := map[netip.Addr]int{}
		const flows = 20000
		for h := range uint32(flows) {
			h *= 2654435761
			via := r.Hop(h).Via
			count[via]++
			if via != r.Hops[0].Via && less.Hop(h).Via != via {
				t.Fatalf("%d next hops: flow %d moves from %v, which is still there", n, h, via)
			}
		}
		for i := range r.Hops {
			if got := count[r.Hops[i].Via]; got < flows/n*8/10 || got > flows/n*12/10 {
				t.Errorf("%d next hops: %d of %d flows go by %v", n, got, flows, r.Hops[i].Via)
			}
		}
	}
}

// All fragments of a packet go one way, and so do all packets of a flow.
func TestFlowHash(t *testing.T) {
	packet := func(field uint16, ports byte) []byte {
		b := make([]byte, 40)
		h := ip.IPv4(b)
		h.Encode(ip.IPv4Fields{TotalLen: 40, TTL: 9, Protocol: ip.ProtoUDP, Src: [4]byte{10, 0, 0, 1}, Dst: [4]byte{10, 0, 0, 2}})
		b[6], b[7] = byte(field>>8), byte(field)
		b[20] = ports
		return b
	}
	if FlowHash(packet(0x2000, 1)) != FlowHash(packet(0x0005, 77)) {
		t.Error("two fragments of a packet have different hashes")
	}
	if FlowHash(packet(0, 1)) == FlowHash(packet(0, 2)) {
		t.Error("two flows between the same hosts have the same hash")
	}
	later := packet(0, 1)
	later[5], later[8] = 9, 8 // identification and TTL
	if FlowHash(packet(0, 1)) != FlowHash(later) {
		t.Error("two packets of a flow have different hashes")
	}
}

func TestNothingIsAllocated(t *testing.T) {
	x := Build(slices.Values(internet(1000)))
	a := netip.MustParseAddr("10.1.1.1")
	r := &Route{Hops: []NextHop{{Via: a}, {Via: a.Next()}}}
	packet := make([]byte, 40)
	ip.IPv4(packet).Encode(ip.IPv4Fields{TotalLen: 40, Protocol: ip.ProtoUDP})
	cache := new(Cache)
	if n := testing.AllocsPerRun(100, func() { x.Lookup(a); cache.Lookup(x, a); r.Hop(FlowHash(packet)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Who reads is not disturbed by who changes.
func TestReplaced(t *testing.T) {
	routes := internet(2000)
	x := Build(slices.Values(routes[:1000]))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range 20000 {
				r := &routes[i%1000]
				if got := x.Lookup(r.Prefix.Addr()); got == nil {
					t.Errorf("%v is not found", r.Prefix)
					return
				}
			}
		})
	}
	y := x
	for _, r := range routes[1000:] {
		y = y.With(r)
	}
	for _, r := range routes[:1000] {
		y = y.Without(r.Prefix)
	}
	wg.Wait()
	if x.Len() != 1000 || y.Len() != 1000 {
		t.Errorf("%d and %d routes, want 1000 each", x.Len(), y.Len())
	}
}
