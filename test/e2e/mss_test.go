package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/test/netns"
)

// announced returns what a frame that opens a TCP connection announces as its MSS; 0
// where it is none.
func announced(f []byte) (mss uint16) {
	p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.NoCopy)
	tcp, _ := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if tcp == nil || !tcp.SYN {
		return 0
	}
	for _, o := range tcp.Options {
		if o.OptionType == layers.TCPOptionKindMSS && len(o.OptionData) == 2 {
			mss = uint16(o.OptionData[0])<<8 | uint16(o.OptionData[1])
		}
	}
	return mss
}

// opens keeps frames that open a TCP connection.
func opens(f []byte) bool { return announced(f) != 0 }

// Over an underlay that has no room for the hosts' 1500 bytes TCP works at once where
// the MSS is clamped: nothing is ever too big. Both ends are told, the asked and the
// asking one. Where it is not, hosts send what has to be dropped.
func TestClampMSS(t *testing.T) {
	t.Parallel()
	for _, clamp := range []bool{true, false} {
		t.Run(fmt.Sprint(clamp), func(t *testing.T) {
			gw, peer := newNS(t), newNS(t)
			h1, h2 := newHost(t, 10), newHost(t, 11)
			wire(t, h1.NS, "eth0", gw, "acc1", netns.VethOptions{AMAC: h1MAC})
			wire(t, gw, "und0", peer, "und0", netns.VethOptions{MTU: 1500})
			wire(t, peer, "acc", h2.NS, "eth0", netns.VethOptions{BMAC: h2MAC})
			must(t, gw.AddAddr("und0", gwAddr.String()+"/24"))
			must(t, peer.AddAddr("und0", vtepA.String()+"/24"))
			must(t, peer.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: vni, Local: vtepA, Remotes: []netip.Addr{gwAddr}}, "acc"))
			h1.configure(t)
			h2.configure(t)
			g := start(t, gw, fmt.Sprintf("[underlay]\naddress = \"192.0.2.17\"\n[[vni]]\nid = 1000\nvlan = 10\nflood = [\"192.0.2.34\"]\nclamp_mss = %v\n[[port]]\ninterface = \"acc1\"\nvlan = 10\n", clamp)).forwards()
			for _, addr := range h2.addresses() {
				wantPing(t, h1, addr, 3, netns.PingOptions{})
			}
			if clamp {
				g.inMode("tcx") // the frames of the connections go by programs that know nothing of an MSS
			}
			at1, at2 := capture(t, h1.NS, "eth0", netns.Only(opens)), capture(t, h2.NS, "eth0", netns.Only(opens))
			for _, addr := range h2.addresses() {
				transfer(t, h1, h2, addr, 4<<20)
			}
			if !clamp {
				if n := g.dropped()["too_big access"]; n == 0 {
					t.Error("nothing was too big: this shows nothing")
				}
				return
			}
			for _, addr := range h1.addresses() {
				transfer(t, h2, h1, addr, 4<<20)
			}
			g.wantDrops(drops{})
			// Of four connections each host is told in two that it opens and in two
			// that it answers, one of each over IPv4.
			for _, at := range []*netns.Capture{at1, at2} {
				seen := make(map[uint16]int)
				for _, f := range at.Frames() {
					seen[announced(f)]++
				}
				want := map[uint16]int{1410: 2, 1390: 2}
				if fmt.Sprint(seen) != fmt.Sprint(want) {
					t.Errorf("MSS announced: %v, want %v", seen, want)
				}
			}
		})
	}
}
