package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"vxgw/test/netns"
	"vxgw/test/packet"
)

// Over IPv6 both sides must agree to do without UDP checksums (RFC 6935, RFC 6936): the
// kernel's vxlan and the gateway each take what they are told to take, and no more.
func TestLinuxOverIPv6(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		underlay string
		kernel   netns.VXLANConfig
		out, in  bool // whether frames get through from the gateway, and to it
	}{
		{"as it comes", "", netns.VXLANConfig{}, true, true},
		{"both without", "udp_checksum = false", netns.VXLANConfig{ZeroTX6: true, ZeroRX6: true}, true, true},
		{"the kernel without", "", netns.VXLANConfig{ZeroTX6: true}, true, false},
		{"the gateway without", "udp_checksum = false", netns.VXLANConfig{}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h1, h2, ns, vtep := newHost(t, 1), newHost(t, 2), newNS(t), newNS(t)
			wire(t, h1.NS, "eth0", ns, "acc1", netns.VethOptions{AMAC: h1MAC})
			wire(t, ns, "und0", vtep, "und0", netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: 1600})
			wire(t, vtep, "acc0", h2.NS, "eth0", netns.VethOptions{BMAC: h2MAC})
			must(t, ns.AddAddr("und0", gwSix.String()+"/64"))
			must(t, vtep.AddAddr("und0", vtepSix.String()+"/64"))
			tc.kernel.Name, tc.kernel.VNI, tc.kernel.Local, tc.kernel.Remotes = "vx0", vni, vtepSix, []netip.Addr{gwSix}
			must(t, vtep.VTEP("br0", tc.kernel, "acc0"))
			g := start(t, ns, fmt.Sprintf("[underlay]\naddress = %q\n%s\n[[vni]]\nid = %d\nvlan = 10\nflood = [%q]\n[[port]]\ninterface = \"acc1\"\nvlan = 10\n",
				gwSix, tc.underlay, vni, vtepSix)).forwards()

			const count = 20
			out, in := numbered(h2MAC, h1MAC, 0, count), numbered(h1MAC, h2MAC, count, count)
			at1, at2, arrived := capture(t, h1.NS, "eth0"), capture(t, h2.NS, "eth0"), capture(t, vtep, "und0", netns.Only(isUDPSix))
			must(t, h1.Send("eth0", out...))
			must(t, arrived.Wait(count, patience)) // at the kernel, whether it takes them or not
			must(t, h2.Send("eth0", in...))
			if tc.in {
				must(t, at1.Wait(count, patience))
				wantFrames(t, at1.Frames(), in)
				g.wantDrops(drops{})
			} else {
				g.wantDrops(drops{"outer_checksum overlay": count})
			}
			if tc.out {
				must(t, at2.Wait(count, patience))
				wantFrames(t, at2.Frames(), out)
			} else if n := at2.Count(func(f []byte) bool { _, ok := packet.Number(f); return ok }); n != 0 {
				t.Errorf("the kernel has taken %d packets without a checksum", n)
			}
			if tc.in && tc.out {
				h1.configure(t)
				h2.configure(t)
				everything(t, h1, h2, 1<<20)
				g.wantDrops(drops{})
			}
		})
	}
}
