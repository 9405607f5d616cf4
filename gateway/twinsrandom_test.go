package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"pgregory.net/rapid"

	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// goldenConfig is the topology of the captures in test/golden.
const goldenConfig = `
[underlay]
address = "192.0.2.17"
source_ports = "49374-49374"
[[vni]]
id = 1000
vlan = 10
move_limit = 0
flood = ["192.0.2.34", "192.0.2.50"]
[[vni]]
id = 2000
vlan = 20
move_limit = 0
flood = ["192.0.2.34"]
[[port]]
interface = "acc1"
vlan = 10
[[port]]
interface = "acc2"
vlan = 10
[[port]]
interface = "acc3"
vlan = 20
`

// goldenStations are who is where in it, by VNI.
var goldenStations = []struct {
	vni       uint32
	mac       frame.MAC
	port, via string
}{
	{1000, frame.MAC{2, 0, 0, 0, 1, 1}, "acc1", ""}, {2000, frame.MAC{2, 0, 0, 0, 1, 3}, "acc3", ""},
	{1000, frame.MAC{2, 0, 0, 0, 2, 0xa}, "", "192.0.2.34"}, {2000, frame.MAC{2, 0, 0, 0, 2, 0xa}, "", "192.0.2.34"},
	{1000, frame.MAC{2, 0, 0, 0, 3, 0xa}, "", "192.0.2.50"},
}

// TestTwinsGolden has the packets of RFC 7348's captures come in by every port and by the
// underlay, each while its stations are where they belong.
func TestTwinsGolden(t *testing.T) {
	files, err := filepath.Glob("../test/golden/testdata/*.pcap")
	must(t, err)
	var frames [][]byte
	for _, file := range files {
		frames = append(frames, readCapture(t, file)...)
	}
	if len(frames) < 100 {
		t.Fatalf("only %d frames in %d captures", len(frames), len(files))
	}
	for _, by := range []way{byXDP, byTCX, byTCXAlone} {
		w := newTwins(t, by, goldenConfig, 1464)
		did := make(map[string]int)
		for _, f := range frames {
			if !w.runs(by, f) {
				continue
			}
			w.placeGolden()
			for id := range w.access {
				did[w.fromPort(forward.PortID(id), f)]++
			}
			p := slices.Clone(f)
			copy(p, w.underMAC[:])
			did[w.fromUnderlay(p)]++
		}
		for _, want := range []string{"to acc1", "to 192.0.2.34", "drop inner_vlan", "drop vxlan_flags", "drop unknown_vni", "drop split_horizon"} {
			if did[want] == 0 && (by == byXDP || want[:2] == "to") {
				t.Errorf("by %s none met %q: %v", by, want, did)
			}
		}
	}
}

func (w *twins) placeGolden() {
	for _, is := range goldenStations {
		hop := forward.PortHop(0)
		if is.port != "" {
			hop = forward.PortHop(w.port(is.port))
		} else if v, ok := w.tables.VTEP(netip.MustParseAddr(is.via)); ok {
			hop = forward.VTEPHop(v)
		}
		w.tables.FDB().Learn(w.tables.Snapshot().VNIs[is.vni], is.mac, hop, w.now)
	}
}

func readCapture(t *testing.T, file string) (packets [][]byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	r, err := pcapgo.NewReader(bytes.NewReader(b))
	must(t, err)
	for {
		p, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return packets
		}
		must(t, err)
		packets = append(packets, p)
	}
}

// runs reports whether the kernel runs a program on a frame for a test: it is long enough
// and not too long, and at TCX an IP header in it is whole.
func (w *twins) runs(by way, f []byte) bool {
	if len(f) < frame.HeaderLen || len(f) > 3000 {
		return false
	}
	if !by.atTCX() {
		return true
	}
	switch frame.Frame(f).Type() {
	case frame.TypeIPv4:
		return len(f) >= 14+20
	case frame.TypeIPv6:
		return len(f) >= 14+40
	}
	return len(f) > 14
}

// twinMACs are those that tests with random frames draw from.
var twinMACs = []frame.MAC{
	twinH1, twinH2, twinIso, twinIso1, twinDown, twinTunnel, twinGuard, twinH5, twinH7, twinRA, twinRB, twinRAPin, twinRogue, twinPin,
	twinGate, twinNobody, {}, frame.Broadcast, {1, 0x80, 0xc2, 0, 0, 0}, {1, 0x80, 0xc2, 0, 0, 0xe}, {1, 0, 0xc, 0xcc, 0xcc, 0xcc}, {1, 0, 0xc, 0xcc, 0xcc, 0xcd}, {1, 0, 0x5e, 1, 1, 1},
}

// drawFrame draws a frame that is valid, or nearly.
func drawFrame(t *rapid.T) []byte {
	dst, src := rapid.SampledFrom(twinMACs).Draw(t, "dst"), rapid.SampledFrom(twinMACs).Draw(t, "src")
	n := rapid.OneOf(rapid.IntRange(0, 60), rapid.IntRange(1390, 1480)).Draw(t, "payload")
	var f []byte
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		f = packet.Ethernet(dst, src, rapid.SampledFrom([]uint16{0x88b5, 0x05dc, frame.TypeARP, frame.TypeVLAN, frame.TypeQinQ, 0x9100, 0x8847}).Draw(t, "type"), make([]byte, n))
	case 1:
		f = proto4(dst, src, uint8(rapid.SampledFrom([]int{1, 2, 6, 17, 33, 47, 50, 58, 132, 136}).Draw(t, "proto")))
	case 2:
		f = with(data6(dst, src, n), 20, uint8(rapid.SampledFrom([]int{0, 6, 17, 33, 43, 44, 50, 58, 59, 60, 132, 136}).Draw(t, "next")))
	case 3:
		f = packet.Tagged(data4(dst, src, n), rapid.SampledFrom([]uint16{frame.TypeVLAN, frame.TypeQinQ, 0x9100}).Draw(t, "tpid"), rapid.SampledFrom([]uint16{0, 5 << 13, 10}).Draw(t, "tci"))
	case 4, 5, 6:
		f = tos(data6(dst, src, n), rapid.Uint8().Draw(t, "class"))
	default:
		f = tos(data4(dst, src, n), rapid.Uint8().Draw(t, "tos"))
	}
	return drawFlaws(t, f, 60)
}

// drawFlaws changes bits among the first bytes of a packet now and then, or its length.
func drawFlaws(t *rapid.T, f []byte, within int) []byte {
	for range max(0, rapid.IntRange(-3, 2).Draw(t, "flaws")) {
		i := rapid.IntRange(0, min(within, len(f))-1).Draw(t, "at")
		f[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	}
	switch rapid.IntRange(0, 15).Draw(t, "length") {
	case 0:
		return f[:rapid.IntRange(frame.HeaderLen, len(f)).Draw(t, "cut")]
	case 1:
		return append(f, 0, 0, 0)
	}
	return f
}

// drawPacket draws a VXLAN packet that is valid, or nearly, around a frame.
func (w *twins) drawPacket(t *rapid.T, n twinNet, inner []byte) []byte {
	o := outer{
		from: rapid.SampledFrom([]string{n.a, n.a, n.a, n.b, n.c, n.own, n.rogue}).Draw(t, "from"),
		tos:  rapid.SampledFrom([]uint8{0, 0, 0, 1, 2, 3, 0xb8}).Draw(t, "outer tos"),
		sum:  rapid.Bool().Draw(t, "sum"), zero: rapid.IntRange(0, 9).Draw(t, "zero") == 0,
	}
	flags := rapid.SampledFrom([]uint32{8 << 24, 8 << 24, 8 << 24, 0, 0xffffffff, 8<<24 | 1}).Draw(t, "flags")
	vni := rapid.SampledFrom([]uint32{1000 << 8, 1000 << 8, 1000 << 8, 1000<<8 | 1, 2000 << 8, 3000 << 8, 4000 << 8, 5000 << 8, 6000 << 8, 7000 << 8, 999 << 8, 0, 1}).Draw(t, "vni")
	return drawFlaws(t, w.vxlanTo(o, flags, vni, inner), 110)
}

// TestTwinsRandom: whatever comes in, in whatever order, and whatever is learned of it.
func TestTwinsRandom(t *testing.T) {
	for _, i := range []int{0, 1, 3} { // of twinSettings
		s := twinSettings[i]
		for _, by := range s.ways {
			t.Run(s.name+" by "+string(by), func(t *testing.T) {
				t.Parallel()
				w := newTwinTopology(t, by, s.net, s.underlay)
				w.learns = true
				did := make(map[string]int)
				rapid.Check(t, func(t *rapid.T) {
					w.t = t
					for range rapid.IntRange(1, 8).Draw(t, "frames") {
						f := drawFrame(t)
						if id := rapid.IntRange(-len(w.access), len(w.access)-1).Draw(t, "port"); id >= 0 {
							if w.runs(by, f) {
								did[verb(w.fromPort(forward.PortID(id), f))]++
							}
						} else if p := w.drawPacket(t, s.net, f); w.runs(by, p) {
							did[verb(w.fromUnderlay(p))]++
						}
					}
				})
				if did["up"] == 0 || did["to"] == 0 && !by.atTCX() || did["drop"] == 0 && !by.atTCX() {
					t.Errorf("only %v", did)
				}
			})
		}
	}
}

// verb is the first word of a deed.
func verb(deed string) string {
	v, _, _ := strings.Cut(deed, " ")
	return v
}

// fuzzTwins makes twins for some of twinSettings.
func fuzzTwins(f *testing.F) (all []*twins) {
	for _, i := range []int{0, 1, 2} {
		all = append(all, newTwinTopology(f, byXDP, twinSettings[i].net, twinSettings[i].underlay))
	}
	return append(all, newTwinTopology(f, byTCX, twinNet4, ""))
}

// wayOf is the way of fuzzTwins's i-th.
func wayOf(i int) way {
	if i == 3 {
		return byTCX
	}
	return byXDP
}

// FuzzTwinsAccess: the programs do with a frame from a port what the workers do, or hand it
// up as it is.
func FuzzTwinsAccess(f *testing.F) {
	all := fuzzTwins(f)
	for i, c := range twinAccessCases(twinNet4) {
		f.Add(uint8(i), uint8(all[0].port(c.in)), c.f)
	}
	f.Fuzz(func(t *testing.T, which, port uint8, b []byte) {
		i := int(which) % len(all)
		w := all[i]
		if w.t = t; w.runs(wayOf(i), b) {
			w.fromPort(forward.PortID(int(port)%len(w.access)), b)
		}
	})
}

// FuzzTwinsOverlay is FuzzTwinsAccess for what comes from a VTEP: any inner frame behind
// outer headers of which one bit may be wrong.
func FuzzTwinsOverlay(f *testing.F) {
	all := fuzzTwins(f)
	f.Add(uint8(0), uint8(0), uint32(8<<24), uint32(1000<<8), uint16(0xffff), data4(twinH1, twinRA, 20))
	f.Add(uint8(1), uint8(3), uint32(8<<24), uint32(1000<<8), uint16(0xffff), data6(twinH1, twinRA, 20))
	f.Add(uint8(3), uint8(2), uint32(8<<24), uint32(4000<<8), uint16(0xffff), data6(twinTunnel, twinRA, 20))
	for bit := range uint16(8 * 60) {
		f.Add(uint8(bit), uint8(0), uint32(8<<24), uint32(1000<<8), bit, data4(twinH1, twinRA, 20))
	}
	f.Fuzz(func(t *testing.T, which, tos uint8, flags, vni uint32, flaw uint16, inner []byte) {
		i := int(which) % len(all)
		w := all[i]
		n := twinNet4
		if w.config().Underlay.Address.Is6() {
			n = twinNet6
		}
		if len(inner) > 2000 {
			return
		}
		p := w.vxlanTo(outer{from: n.a, tos: tos, sum: vni&1 != 0}, flags, vni, inner)
		if at := int(flaw / 8); at < len(p) {
			p[at] ^= 1 << (flaw % 8)
		}
		if w.t = t; w.runs(wayOf(i), p) {
			w.fromUnderlay(p)
		}
	})
}

// TestTwinsHear: the programs keep those stations fresh that the workers do.
func TestTwinsHear(t *testing.T) {
	w := newTwinTopology(t, byXDP, twinNet4, "")
	stations := func(fresh bool) (keys []uint64) {
		w.fast.plane.EachSeen(w.now, func(d fdb.Domain, m frame.MAC, _ fdb.Hop, seen uint32) {
			if (w.now-seen < 2) == fresh {
				keys = append(keys, uint64(d)<<48|m.Uint64())
			}
		})
		slices.Sort(keys)
		return keys
	}
	eventually(t, "nobody was heard for a while", func() bool { return len(stations(true)) == 0 })
	lldp := frame.MAC{1, 0x80, 0xc2, 0, 0, 0xe}
	a, b := outer{from: twinNet4.a}, outer{from: twinNet4.b}
	cases := []twinCase{
		{"", "acc1", data4(twinRA, twinH1, 1), "to " + twinNet4.a},
		{"", "acc2", eth(lldp, twinH2, "88cc"), "drop reserved_destination"},
		{"", "iso1", data4(twinIso, twinIso1, 1), "drop isolated_port"},
		{"", "prio", packet.Tagged(data4(twinRA, twinH5, 1), frame.TypeQinQ, 1), "drop tagged_frame"},
		{"", "", w.fromVTEP(a, 1000, eth(lldp, twinRA, "88cc")), "drop reserved_destination"},
		{"", "", w.fromVTEP(b, 1000, packet.Tagged(data4(twinH1, twinRB, 1), frame.TypeVLAN, 1)), "drop inner_vlan"},
		{"", "", w.fromVTEP(a, 4000, data4(twinTunnel, twinRA, 1)), "to tunnel"},
		{"", "", w.fromVTEP(a, 6000, data4(twinRA, twinRA, 1)), "drop split_horizon"},
	}
	for _, c := range cases {
		before := w.count()
		if c.in != "" {
			w.decide(0, w.links[w.port(c.in)], c.f, before)
		} else {
			w.decide(1, w.under, c.f, before)
		}
		if got := w.deed(w.count().minus(before)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	fast := stations(true)
	w.now++
	for _, c := range cases {
		if c.in != "" {
			w.workPort(w.port(c.in), c.f)
		} else {
			w.workUnderlay(c.f)
		}
	}
	var slow []uint64
	for e := range w.tables.FDB().All() {
		if e.Origin == fdb.Learned && e.Seen == w.now {
			slow = append(slow, uint64(e.Domain)<<48|e.MAC.Uint64())
		}
	}
	slices.Sort(slow)
	if !slices.Equal(fast, slow) || len(fast) != 6 {
		t.Errorf("heard by the programs %x, and by the workers %x", fast, slow)
	}
}
