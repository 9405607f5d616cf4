package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// A host behind an access port addresses the gateway's interface and plays a
// VTEP: the host's stack would hand its VXLAN packet to the gateway's socket.
func TestVXLANFromAHost(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{})
	acc1, err := b.ns.MAC("acc1")
	must(t, err)
	forged := packet.Ethernet(frame.Broadcast, ra1MAC, typeTest, []byte("a forged inner frame, longer than any padding is"))
	outer := packet.UDP(acc1, h1MAC, netip.AddrPortFrom(vtepA, 50000), netip.AddrPortFrom(gwAddr, vxlanPort), packet.VXLAN(vni, forged))
	out1 := capture(t, b.hosts, "h1")
	out2 := capture(t, b.hosts, "h2")
	must(t, b.hosts.Send("h1", outer))
	eventually(t, "the packet is dropped", func() bool { return b.dropped()["vtep_on_access overlay"] == 1 })
	// What the port may do is send a frame: it is bridged like any other.
	must(t, out2.Wait(1, 10*time.Second))
	if f := out2.Frames()[0]; string(f) != string(outer) {
		t.Errorf("h2 got %x, want the frame as h1 sent it", f)
	}
	for name, n := range map[string]int{"h1": len(out1.Frames()), "h2": len(out2.Frames()) - 1} {
		if n != 0 {
			t.Errorf("%d frames too many at %s", n, name)
		}
	}
	if at, learned := b.macs()[fmt.Sprintf("%d %s", vni, ra1MAC)]; learned {
		t.Errorf("the forged source is learned behind %s", at)
	}
	b.wantDrops(drops{"vtep_on_access overlay": 1})
}
