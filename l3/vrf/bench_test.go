package vrf

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
)

// internet yields n routes with prefixes as long as those of the Internet are, one
// in five IPv6.
func internet(n int) []Route {
	rng := rand.New(rand.NewPCG(1, 2))
	seen := make(map[netip.Prefix]bool, n)
	routes := make([]Route, 0, n)
	for len(routes) < n {
		var p netip.Prefix
		if rng.IntN(5) == 0 {
			b := [16]byte{0x20, byte(rng.IntN(8))}
			for i := 2; i < 8; i++ {
				b[i] = byte(rng.Uint32())
			}
			p = netip.PrefixFrom(netip.AddrFrom16(b), []int{32, 40, 44, 48, 48, 48, 64}[rng.IntN(7)]).Masked()
		} else {
			b := [4]byte{byte(1 + rng.IntN(222)), byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())}
			p = netip.PrefixFrom(netip.AddrFrom4(b), []int{16, 19, 20, 21, 22, 22, 23, 24, 24, 24, 24, 24}[rng.IntN(12)]).Masked()
		}
		if seen[p] {
			continue
		}
		seen[p] = true
		routes = append(routes, Route{Prefix: p, Kind: Via, Origin: OriginStatic, Hops: []NextHop{{Via: netip.MustParseAddr("10.0.0.1")}}})
	}
	return routes
}

// within returns an address of each of some prefixes.
func within(routes []Route, n int) []netip.Addr {
	rng := rand.New(rand.NewPCG(3, 4))
	all := make([]netip.Addr, n)
	for i := range all {
		all[i] = routes[rng.IntN(len(routes))].Prefix.Addr().Next()
	}
	return all
}

// How long a look-up takes, in tables of 1,000 and of 1,000,000 routes: of 1,024
// destinations that are in use, and of any.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		routes := internet(n)
		before := heap()
		t := Build(func(yield func(Route) bool) {
			for _, r := range routes {
				if !yield(r) {
					return
				}
			}
		})
		size := heap() - before
		for _, active := range []int{1024, 1 << 18} {
			dst := within(routes, active)
			b.Run(fmt.Sprintf("routes=%d/destinations=%d", n, active), func(b *testing.B) {
				defer b.ReportMetric(float64(size)/float64(n), "B/route")
				for i := 0; b.Loop(); i++ {
					if t.Lookup(dst[i&(active-1)]) == nil {
						b.Fatal("not found")
					}
				}
			})
		}
		dst, cache := within(routes, 1024), new(Cache)
		b.Run(fmt.Sprintf("routes=%d/destinations=1024/cached", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if cache.Lookup(t, dst[i&1023]) == nil {
					b.Fatal("not found")
				}
			}
		})
		runtime.KeepAlive(t)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
