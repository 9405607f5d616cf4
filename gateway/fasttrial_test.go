package gateway

import (
	"testing"
	"time"

	"vxgw/gateway/xdp"
)

// What came is told for fastEvery, however long ago the last look was.
func TestTrialCountsForALook(t *testing.T) {
	begin := time.Now()
	for _, tc := range []struct {
		name  string
		after time.Duration
		n     uint64
		want  uint64
	}{
		{"at the next look", fastEvery, 500, 500},
		{"a look that is early", fastEvery / 2, 500, 500},
		{"a look that is late", 4 * fastEvery, 2000, 500},
		{"a second later", time.Second, 1000, 100},
		{"nothing", time.Second, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var is trial
			if first := is.next(xdp.Load{XDP: 7e9, Buffers: 7e9}, begin); first != (xdp.Load{}) {
				t.Errorf("at first: %+v, want nothing", first)
			}
			n := tc.n
			got := is.next(xdp.Load{XDP: 7e9 + n, Local: n, Buffers: 7e9 + n, Undone: n}, begin.Add(tc.after))
			if want := (xdp.Load{XDP: tc.want, Local: tc.want, Buffers: tc.want, Undone: tc.want}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}
