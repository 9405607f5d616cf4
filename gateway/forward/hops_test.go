package forward

import (
	"testing"

	"vxgw/l2/frame"
	"vxgw/l3/underlay"
)

func TestHopFor(t *testing.T) {
	one, two, three := &underlay.Hop{Interface: 1}, &underlay.Hop{Interface: 2}, &underlay.Hop{Interface: 2, To: frame.MAC{2}}
	for _, c := range []struct {
		name        string
		v           VTEP
		first, last int // source ports (RFC 7348 section 4.1)
		want        map[*underlay.Hop]float64
	}{
		{"the host's stack", VTEP{}, 0, 65535, map[*underlay.Hop]float64{nil: 1}},
		{"one", VTEP{Via: one}, 0, 65535, map[*underlay.Hop]float64{one: 1}},
		{"two", VTEP{Via: one, More: []*underlay.Hop{one, two}}, 49152, 65535, map[*underlay.Hop]float64{one: 1. / 2, two: 1. / 2}},
		{"of a narrow range", VTEP{Via: one, More: []*underlay.Hop{one, two}}, 50000, 50099, map[*underlay.Hop]float64{one: 1. / 2, two: 1. / 2}},
		{"three", VTEP{Via: one, More: []*underlay.Hop{one, two, three}}, 49152, 65535, map[*underlay.Hop]float64{one: 1. / 3, two: 1. / 3, three: 1. / 3}},
		{"one of more weight", VTEP{Via: one, More: []*underlay.Hop{one, two, two, two}}, 49152, 65535, map[*underlay.Hop]float64{one: 1. / 4, two: 3. / 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make(map[*underlay.Hop]float64)
			n := float64(c.last - c.first + 1)
			for sport := c.first; sport <= c.last; sport++ {
				got[c.v.HopFor(uint16(sport))] += 1 / n
			}
			for h, share := range c.want {
				if d := got[h] - share; d > 0.03 || d < -0.03 {
					t.Errorf("%+v has %.3f of the flows, want %.3f", h, got[h], share)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("%d hops, want %d", len(got), len(c.want))
			}
		})
	}
	v := VTEP{Via: one, More: []*underlay.Hop{one, two}}
	if n := testing.AllocsPerRun(100, func() { v.HopFor(50000) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
