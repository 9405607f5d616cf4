package gateway

import (
	"testing"

	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
	"vxgw/test/bpf"
)

// A frame that a filter has seen is the filter's to decide about, and no other one is.
func TestTapGoesByItsNotes(t *testing.T) {
	w := newTwinTopology(t, byTCX, twinNet4, "")
	tap := w.programs[xdp.Access].(*bpf.TCX)
	acc1, acc2 := w.links[w.port("acc1")], w.links[w.port("acc2")]
	known, longer := data4(twinRA, twinH1, 100), data4(twinRA, twinH1, 101)
	unknown := data4(twinNobody, twinH1, 100)
	filter := func(f []byte, index int, want bool) {
		t.Helper()
		must(t, w.inside.do(func() error {
			if taken, err := tap.Filter(f, index); err != nil || taken != want {
				t.Errorf("the socket takes it: %t, %v", taken, err)
			}
			return nil
		}))
	}
	behind := func(f []byte, index int, want bpf.Action) {
		t.Helper()
		must(t, w.inside.do(func() error {
			if did, _, err := tap.Behind(f, index); err != nil || did != want {
				t.Errorf("at TCX %v, %v, want %v", did, err, want)
			}
			return nil
		}))
	}

	t.Log("what was noted is done once, and without a filter the same is decided")
	filter(known, acc1, false)
	behind(known, acc1, bpf.Sent)
	behind(known, acc1, bpf.Sent)
	filter(unknown, acc1, true)
	behind(unknown, acc1, bpf.Up)
	behind(unknown, acc1, bpf.Up)

	t.Log("what a socket has taken nobody else sends on, whatever was learned since")
	filter(unknown, acc1, true)
	d := w.tables.Snapshot().Ports[w.port("acc1")].Domain
	w.tables.FDB().Learn(d, twinNobody, forward.PortHop(w.port("acc2")), w.now)
	behind(unknown, acc1, bpf.Up)
	behind(unknown, acc1, bpf.Sent)

	t.Log("a note of a frame that never came this far is no other frame's")
	filter(known, acc1, false)
	behind(data4(twinRA, twinNobody, 100), acc2, bpf.Sent)
	behind(known, acc1, bpf.Sent)
	filter(known, acc1, false)
	behind(longer, acc1, bpf.Sent)
	filter(known, acc1, false)
	behind(data4(twinRA, twinTunnel, 101), acc1, bpf.Up)
}

// While a former gateway's programs are behind, the sockets take nothing, and what this
// one's do not know goes on to those; then the sockets take it, and it goes no further.
func TestTapTakesOver(t *testing.T) {
	w := newTwinTopology(t, byTCX, twinNet4, "")
	for role, c := range map[xdp.Role]struct {
		index          int
		known, unknown []byte
		taken          bpf.Action // what becomes at TCX of what a socket has
	}{
		xdp.Access: {w.links[w.port("acc1")], data4(twinRA, twinH1, 100), data4(twinNobody, twinH1, 100), bpf.Up},
		xdp.FacesUnderlay: {
			w.under, w.fromVTEP(outer{from: twinNet4.a}, 1000, data4(twinH1, twinRA, 100)), w.fromVTEP(outer{from: twinNet4.a}, 1000, data4(twinNobody, twinRA, 100)),
			bpf.Dropped, // by the host's stack
		},
	} {
		tap := w.programs[role].(*bpf.TCX)
		behind := func(is xdp.Behind) { must(t, w.inside.do(func() error { w.fast.plane.SetBehind(is); return nil })) }
		for _, is := range []struct {
			behind  xdp.Behind
			takes   bool
			further bool // to who is behind
			want    bpf.Action
		}{
			{xdp.CarriesOn, false, true, bpf.Up},
			{xdp.IsPast, true, false, c.taken},
			{xdp.IsNone, true, role == xdp.Access, c.taken},
		} {
			behind(is.behind)
			w.publish() // it stays as it is
			must(t, w.inside.do(func() error {
				for _, f := range [][]byte{c.known, c.unknown} {
					taken, err := tap.Filter(f, c.index)
					must(t, err)
					did, _, err := tap.Behind(f, c.index)
					must(t, err)
					takes, want, further := false, bpf.Sent, false
					if &f[0] == &c.unknown[0] {
						takes, want, further = is.takes, is.want, is.further
					}
					if taken != takes || did != want || tap.Further != further {
						t.Errorf("%v, %d behind: taken %t, at TCX %v, further %t", role, is.behind, taken, did, tap.Further)
					}
				}
				_, _, err := tap.Behind(c.unknown, c.index)
				must(t, err)
				if !tap.Further {
					t.Errorf("%v, %d behind: what no socket has goes no further", role, is.behind)
				}
				return nil
			}))
		}
	}
}
