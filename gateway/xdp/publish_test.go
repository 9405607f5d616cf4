package xdp

import (
	"math/rand/v2"
	"testing"
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
