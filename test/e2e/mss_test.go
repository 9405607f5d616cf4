package e2e

import (
	"fmt"
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
			gw, h1, h2 := newOverKernel(t, 1500)
			g := start(t, gw, overKernel(fmt.Sprintf("clamp_mss = %v", clamp))).forwards()
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
