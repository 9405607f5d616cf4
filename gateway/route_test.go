package gateway

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"weak"

	"vxgw/gateway/counters"
	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	"vxgw/l3/vrf"
	"vxgw/test/packet"
)

// A routing table that was replaced is let go of with the next packet, though a
// worker has looked up in it.
func TestOldRoutesAreLetGo(t *testing.T) {
	here, there := netip.MustParseAddrPort("10.1.1.10:1"), netip.MustParseAddrPort("172.16.0.1:9")
	snapshot := func() *forward.Snapshot {
		routes := []vrf.Route{{Prefix: netip.MustParsePrefix("172.16.0.0/12"), Kind: vrf.Blackhole}}
		return &forward.Snapshot{
			Domains: []forward.Domain{{IRB: &forward.IRB{From4: netip.MustParseAddr("10.1.1.1")}}},
			VRFs:    []forward.VRF{{Name: "red", Table: vrf.Build(slices.Values(routes)), Large: true, Traffic: new(counters.Traffic)}},
		}
	}
	r := routing{gw: new(Gateway), carrier: &carrier{tx: &transmit{}}}
	look := func(to netip.AddrPort) {
		b := newOwn(0)
		b.Mem = append(b.Mem, packet.UDP(frame.MAC{2, 1}, frame.MAC{2, 2}, here, to, make([]byte, 20))...)
		b.Len = len(b.Mem) - b.Off
		if is := r.route(&b, 0); is.Action != forward.RouteDrop || is.Reason != forward.Blackhole {
			t.Fatalf("routed as %+v", is)
		}
	}
	r.carrier.tx.snap = snapshot()
	look(there)
	old := weak.Make(r.snap().VRFs[0].Table)
	r.carrier.tx.snap = snapshot()
	look(netip.MustParseAddrPort("172.16.0.2:9")) // another destination than the one that is remembered
	runtime.GC()
	if old.Value() != nil {
		t.Error("the table that was replaced is still in memory")
	}
	runtime.KeepAlive(&r)
}
