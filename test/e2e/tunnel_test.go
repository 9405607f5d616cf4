package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"vxgw/test/netns"
)

// Hosts that run a tunnel of their own send its TCP as super-frames too, by
// default offloads. They pass from port to port and into the overlay.
func TestHostsWithATunnelOfTheirOwn(t *testing.T) {
	for _, where := range []string{"port to port", "through the overlay"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			a, gw, b := newNS(t), newNS(t), newNS(t)
			wire(t, a, "eth0", gw, "acc1", netns.VethOptions{AMAC: h1MAC})
			config := "[underlay]\naddress = \"192.0.2.17\"\n[[vni]]\nid = 1000\nvlan = 10\nflood = [\"192.0.2.34\"]\n[[port]]\ninterface = \"acc1\"\nvlan = 10\n"
			peer := newNS(t)
			wire(t, gw, "und0", peer, "und0", netns.VethOptions{MTU: 1700})
			must(t, gw.AddAddr("und0", gwAddr.String()+"/24"))
			must(t, peer.AddAddr("und0", vtepA.String()+"/24"))
			if where == "port to port" {
				wire(t, b, "eth0", gw, "acc2", netns.VethOptions{AMAC: h2MAC})
				config += "[[port]]\ninterface = \"acc2\"\nvlan = 10\n"
				sink(t, peer)
			} else {
				wire(t, peer, "acc", b, "eth0", netns.VethOptions{BMAC: h2MAC})
				must(t, peer.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: vni, Local: vtepA, Remotes: []netip.Addr{gwAddr}}, "acc"))
			}
			g := start(t, gw, config).forwards()
			for i, ns := range []*netns.NS{a, b} {
				here, there := 10+i, 11-i
				must(t, ns.AddAddr("eth0", fmt.Sprintf("198.51.100.%d/24", here)))
				must(t, ns.VXLAN(netns.VXLANConfig{Name: "t0", VNI: 5, Port: 4790, MTU: 1450, Local: netip.AddrFrom4([4]byte{198, 51, 100, byte(here)}),
					Remotes: []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(there)})}}))
				must(t, ns.AddAddr("t0", fmt.Sprintf("203.0.113.%d/24", here)))
			}
			ha, hb := &host{NS: a}, &host{NS: b}
			transfer(t, ha, hb, netip.MustParseAddr("203.0.113.11"), 4<<20)
			transfer(t, hb, ha, netip.MustParseAddr("203.0.113.10"), 4<<20)
			g.wantDrops(drops{})
		})
	}
}
