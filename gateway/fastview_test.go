package gateway

import (
	"testing"

	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
	"vxgw/l3/underlay"
)

// The programs send nothing by an interface that is not up, nor to a VTEP that has such a
// hop among others: the kernel drops what is redirected there, and nobody counts it.
func TestFastHopsByWhatIsUp(t *testing.T) {
	up := func(index int) reach { return reach{index: index, up: index != 9, target: true} }
	hop := func(index int) *underlay.Hop { return &underlay.Hop{Interface: index} }
	for _, test := range []struct {
		name string
		vtep forward.VTEP
		want int // hops
	}{
		{"up", forward.VTEP{Via: hop(2)}, 1},
		{"gone", forward.VTEP{Via: hop(9)}, 0},
		{"several", forward.VTEP{Via: hop(2), More: []*underlay.Hop{hop(2), hop(3)}}, 2},
		{"one of several is gone", forward.VTEP{Via: hop(2), More: []*underlay.Hop{hop(2), hop(9)}}, 0},
	} {
		var is xdp.VTEP
		fastHops(&is, &test.vtep, up)
		got := len(is.More)
		if is.Via != nil {
			got = max(got, 1)
		}
		if got != test.want {
			t.Errorf("%s: %d hops, want %d", test.name, got, test.want)
		}
	}
}
