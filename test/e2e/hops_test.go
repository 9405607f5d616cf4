package e2e

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// Flows to a VTEP behind two next hops are spread over both, each frame arrives once,
// and what is left is used when one's link goes down.
func TestTwoNextHops(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600)
	wire(t, b.ns, "und1", b.peer, "und1", netns.VethOptions{AMAC: frame.MAC{2, 0, 0, 0, 0xf1, 1}, BMAC: frame.MAC{2, 0, 0, 0, 0xf1, 2}, MTU: 1600})
	must(t, b.ns.AddAddr("und1", "198.51.100.1/24"))
	must(t, b.peer.AddAddr("und1", "198.51.100.2/24"))
	far := netip.MustParseAddr("203.0.113.7")
	must(t, b.ns.AddRoute(netns.Route{To: "203.0.113.0/24", Hops: []netns.Hop{{Via: "192.0.2.34", Dev: "und0"}, {Via: "198.51.100.2", Dev: "und1"}}}))
	b.start(settings{flood: `"203.0.113.7"`, more: "[[mac]]\nvni = 1000\naddress = \"02:00:00:00:02:0a\"\nvtep = \"203.0.113.7\"\n"})
	at := []*netns.Capture{captureOuter(t, b.peer, "und0"), captureOuter(t, b.peer, "und1")}
	const flows = 64
	// round sends one frame of each flow, and returns how many came by each hop.
	round := func(first uint32) (n [2]int) {
		t.Helper()
		var sent [][]byte
		for i := range uint32(flows) {
			payload := binary.BigEndian.AppendUint32(nil, first+i)
			sent = append(sent, packet.UDP(ra1MAC, h1MAC, netip.AddrPortFrom(far, 1000+uint16(i)), netip.MustParseAddrPort("10.0.0.2:9"), payload))
		}
		b.fromHost("h1", sent...)
		came := func() (all int) {
			seen := make(map[uint32]bool)
			for i, c := range at {
				n[i] = 0
				for _, f := range c.Frames() {
					if len(f) < outerLen+46 || vxlanPacket(f).dst() != far {
						continue
					}
					k := binary.BigEndian.Uint32(vxlanPacket(f).inner()[42:])
					if k < first || k >= first+flows {
						continue
					}
					if seen[k] {
						t.Errorf("frame %d came twice", k)
					}
					seen[k] = true
					n[i]++
				}
			}
			return len(seen)
		}
		eventually(t, "every frame arrives", func() bool { return came() == flows })
		return n
	}
	next := uint32(0)
	again := func() [2]int { next += flows; return round(next) }
	eventually(t, "flows are spread over both", func() bool { n := again(); return n[0] >= flows/8 && n[1] >= flows/8 })
	if why := b.uplink().Reason; !strings.Contains(why, "und1") {
		t.Fatalf("und1 is not in use: %s", why)
	}
	must(t, b.peer.SetDown("und1"))
	eventually(t, "the gateway sees the link down", func() bool {
		// What is sent until then may be lost: only numbers that are not waited for.
		b.fromHost("h1", packet.UDP(ra1MAC, h1MAC, netip.AddrPortFrom(far, 1), netip.MustParseAddrPort("10.0.0.2:9"), nil))
		return !strings.Contains(b.uplink().Reason, "und1")
	})
	if n := again(); n != [2]int{flows, 0} {
		t.Errorf("with one link down %v went by each", n)
	}
}
