package e2e

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// Flows to a VTEP behind two next hops are spread over both, in the kernel alone, each
// frame arrives once, and what is left is used when one's link goes down.
func TestTwoNextHops(t *testing.T) {
	t.Parallel()
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			h := newHops(t, w)
			both := func(n [2]int) bool { return n[0] >= hopFlows/8 && n[1] >= hopFlows/8 }
			eventually(t, "flows are spread over both", func() bool { return both(h.try()) })
			h.inMode(w.mode)
			if why := h.uplink().Reason; !strings.Contains(why, "und1") {
				t.Fatalf("und1 is not in use: %s", why)
			}
			h.pause(func() {
				if n := h.round(); !both(n) {
					t.Errorf("the kernel alone sent %v by each", n)
				}
			})
			must(t, h.peer.SetDown("und1"))
			eventually(t, "the gateway sees the link down", func() bool { return !strings.Contains(h.uplink().Reason, "und1") })
			eventually(t, "the programs know of it", func() bool { return h.try() == [2]int{hopFlows, 0} })
			h.pause(func() {
				if n := h.round(); n != [2]int{hopFlows, 0} {
					t.Errorf("with one link down %v went by each", n)
				}
			})
		})
	}
}

// hopFlows is how many flows a round is of.
const hopFlows = 64

// farVTEP is behind two next hops, one on each of the links und0 and und1.
var farVTEP = netip.MustParseAddr("203.0.113.7")

type hops struct {
	*bed
	at   [2]*netns.Capture // what comes by each of the hops
	next uint32            // number of the next frame
}

func newHops(t *testing.T, w way) *hops {
	b := newBed(t, 1, 1600)
	wire(t, b.ns, "und1", b.peer, "und1", netns.VethOptions{AMAC: frame.MAC{2, 0, 0, 0, 0xf1, 1}, BMAC: frame.MAC{2, 0, 0, 0, 0xf1, 2}, MTU: 1600})
	must(t, b.ns.AddAddr("und1", "198.51.100.1/24"))
	must(t, b.peer.AddAddr("und1", "198.51.100.2/24"))
	must(t, b.hosts.Offloads("h1", true, "gro"))
	for _, dev := range []string{"und0", "und1"} {
		must(t, b.peer.Offloads(dev, true, "gro"))
	}
	must(t, b.ns.AddRoute(netns.Route{To: "203.0.113.0/24", Hops: []netns.Hop{{Via: "192.0.2.34", Dev: "und0"}, {Via: "198.51.100.2", Dev: "und1"}}}))
	b.start(settings{
		flood: `"203.0.113.7"`,
		more:  "[[mac]]\nvni = 1000\naddress = \"02:00:00:00:02:0a\"\nvtep = \"203.0.113.7\"\n[datapath]\n" + w.datapath + "\n",
	})
	return &hops{bed: b, at: [2]*netns.Capture{captureOuter(t, b.peer, "und0"), captureOuter(t, b.peer, "und1")}}
}

// send sends a frame of each flow and returns the number of the first.
func (h *hops) send() (first uint32) {
	h.t.Helper()
	first = h.next
	h.next += hopFlows
	var sent [][]byte
	for i := range uint32(hopFlows) {
		payload := binary.BigEndian.AppendUint32(nil, first+i)
		sent = append(sent, packet.UDP(ra1MAC, h1MAC, netip.AddrPortFrom(farVTEP, 1000+uint16(i)), netip.MustParseAddrPort("10.0.0.2:9"), payload))
	}
	h.fromHost("h1", sent...)
	return first
}

// came returns how many frames of a round have come by each hop.
func (h *hops) came(first uint32) (n [2]int) {
	h.t.Helper()
	seen := make(map[uint32]bool)
	for i, c := range h.at {
		for _, f := range c.Frames() {
			if len(f) < outerLen+46 || vxlanPacket(f).dst() != farVTEP {
				continue
			}
			k := binary.BigEndian.Uint32(vxlanPacket(f).inner()[42:])
			if k < first || k >= first+hopFlows {
				continue
			}
			if seen[k] {
				h.t.Errorf("frame %d came twice", k)
			}
			seen[k] = true
			n[i]++
		}
	}
	return n
}

// round sends a frame of each flow, waits for all of them, and returns how many came
// by each hop.
func (h *hops) round() (n [2]int) {
	h.t.Helper()
	first := h.send()
	eventually(h.t, "every frame arrives", func() bool { n = h.came(first); return n[0]+n[1] == hopFlows })
	return n
}

// try is round without the certainty that all arrive.
func (h *hops) try() (n [2]int) {
	h.t.Helper()
	first := h.send()
	for deadline := time.Now().Add(200 * time.Millisecond); time.Now().Before(deadline) && n[0]+n[1] < hopFlows; time.Sleep(5 * time.Millisecond) {
		n = h.came(first)
	}
	return n
}
