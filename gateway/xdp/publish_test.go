package xdp

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"vxgw/l2/frame"
)

// VNIs find places: as many as a gateway has, in a row or a row of hundreds, or any.
func TestVNIsFindPlaces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 64, 1000, 4094} {
		for name, vni := range map[string]func(i int) uint32{
			"in a row":         func(i int) uint32 { return 10000 + uint32(i) },
			"from one":         func(i int) uint32 { return 1 + uint32(i) },
			"hundreds":         func(i int) uint32 { return 100 * (1 + uint32(i)) },
			"powers of two":    func(i int) uint32 { return 1 + uint32(i)<<12&0xffffff + uint32(i)>>12 },
			"anything":         func(int) uint32 { return 1 + rnd.Uint32N(1<<24-1) },
			"the highest ones": func(i int) uint32 { return 1<<24 - 1 - uint32(i) },
		} {
			buckets, lost := make([]fastVniBucket, power(2*n/2+1)), 0
			for i := range n {
				if !putVNI(buckets, vniWord(vni(i)), uint32(i)) {
					lost++
				}
			}
			if lost > 0 {
				t.Errorf("%d VNIs, %s: there is no place for %d", n, name, lost)
			}
		}
	}
}

// Hops of VTEPs that have several are put one behind another, by number; a VTEP whose
// hops there is no room for is left to the workers, and the others are not.
func TestHopsFindPlaces(t *testing.T) {
	hop := func(n byte) Hop {
		return Hop{Interface: int(n), From: frame.MAC{2, 0, 0, 0, 1, n}, To: frame.MAC{2, 0, 0, 0, 2, n}}
	}
	vtep := func(n byte, more ...Hop) VTEP {
		via := hop(n)
		return VTEP{Addr: netip.AddrFrom4([4]byte{192, 0, 2, n}), MaxFrame: 1500, Via: &via, More: more, Target: true}
	}
	p := &Plane{sizes: Sizes{Ports: 8}, devs: map[uint32]int{8: 1, 9: 2, 10: 3}, underlay: Underlay{Address: netip.MustParseAddr("192.0.2.17"), Port: 4789}}
	v := &View{VTEPs: []VTEP{
		vtep(1), vtep(1, hop(1), hop(2)), {}, vtep(3, hop(1), hop(2), hop(3)), vtep(2, hop(2), hop(3)), vtep(1, hop(1), hop(9)),
	}}
	for _, tc := range []struct {
		name  string
		room  int
		first []uint32 // of each VTEP's hops; 0: it is left to the workers
	}{
		{"for all", 16, []uint32{100, 100, 0, 102, 105, 107}},
		{"for some", 6, []uint32{100, 100, 0, 102, 0, 0}},
		{"for two", 3, []uint32{100, 100, 0, 0, 0, 0}},
		{"for none", 0, []uint32{100, 0, 0, 0, 0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			to, hops := make([]fastVtep, len(v.VTEPs)), &hopTable{at: make([]fastHop, tc.room), first: 100}
			p.putVTEPs(v, to, hops)
			for i, is := range to {
				if (is.Flags&vtepHop != 0) != (tc.first[i] != 0) {
					t.Errorf("VTEP %d: flags %b, hop wanted: %v", i, is.Flags, tc.first[i] != 0)
				}
				if is.Flags&vtepHop == 0 {
					continue
				}
				more := v.VTEPs[i].More
				if is.FirstHop != tc.first[i] || int(is.Hops) != len(more) {
					t.Errorf("VTEP %d: %d hops from %d, want %d from %d", i, is.Hops, is.FirstHop, len(more), tc.first[i])
					continue
				}
				for k, want := range more {
					got := hops.at[int(is.FirstHop)-100+k]
					if int(got.Ifindex) != want.Interface || got.MacTo != want.To || got.MacFrom != want.From || p.devs[got.Dev] != want.Interface && want.Interface != 9 {
						t.Errorf("VTEP %d hop %d: %+v, want %+v", i, k, got, want)
					}
				}
				// Interface 9 is not one that can be redirected to.
				if ready := is.Flags&vtepReady != 0; ready != (i != 5) {
					t.Errorf("VTEP %d: ready %v", i, ready)
				}
			}
		})
	}
}
