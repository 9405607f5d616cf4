package gateway

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"vxgw/gateway/forward"
	"vxgw/gateway/tables"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/packet"
)

// Who has which address in the VNIs that are routed.
var twinHosts = []struct {
	vni  uint32
	mac  frame.MAC
	addr string
}{
	{7000, twinH7, "10.7.0.10"}, {7000, twinH7, "2001:db8:7::10"}, // at irb
	{7000, twinRA, "10.7.0.20"}, {7000, twinRA, "2001:db8:7::20"}, // behind A
	{8000, twinH2, "10.8.0.10"}, {8000, twinH2, "2001:db8:8::10"}, // at irb2
	{8000, twinRB, "10.8.0.20"}, {8000, twinRB, "2001:db8:8::20"}, // behind A
	{8000, twinSilent, "10.8.0.30"}, // the FDB does not know where
}

// newRoutedTwins makes twins that know the hosts, and tell the programs what they route.
func newRoutedTwins(t testing.TB, by way, n twinNet, underlay string) *twins {
	t.Helper()
	return newRoutedTwinsOf(t, by, n, n.config(underlay))
}

func newRoutedTwinsOf(t testing.TB, by way, n twinNet, text string) *twins {
	t.Helper()
	w := newTwinTopologyOf(t, by, n, text)
	for _, h := range twinHosts {
		w.tables.Hosts().SetStatic(w.tables.Snapshot().VNIs[h.vni], netip.MustParseAddr(h.addr), h.mac, clockStart)
	}
	w.fast.active.Store(true)
	return w
}

// routedTo is a frame for the gateway's MAC; mend may change the packet, of which an IPv4
// header's checksum is then made right.
func routedTo(src frame.MAC, from, to string, n int, mend func(p []byte)) []byte {
	f := packet.UDP(twinGate, src, netip.AddrPortFrom(netip.MustParseAddr(from), 1000), netip.AddrPortFrom(netip.MustParseAddr(to), 2000), make([]byte, n))
	if mend != nil {
		mend(f[14:])
		if frame.Frame(f).Type() == frame.TypeIPv4 {
			h := ip.IPv4(f[14:34])
			h.SetChecksum(0)
			h.SetChecksum(^ip.Sum(h, 0))
		}
	}
	return f
}

func twinRoutedCases(w *twins, n twinNet) []twinCase {
	a := outer{from: n.a}
	mends := func(i int, b byte) func([]byte) { return func(p []byte) { p[i] = b } }
	wrong := routedTo(twinH7, "10.7.0.10", "10.8.0.10", 100, nil)
	wrong[24] ^= 1
	toVTEP := "routed to " + n.a
	if w.fastSums() {
		toVTEP = "up"
	}
	return []twinCase{
		{"port to port", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.10", 100, nil), "routed to irb2"},
		{"port to port, IPv6", "irb", routedTo(twinH7, "2001:db8:7::10", "2001:db8:8::10", 100, nil), "routed to irb2"},
		{"port to VTEP", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.20", 100, nil), toVTEP},
		{"port to VTEP, IPv6", "irb", routedTo(twinH7, "2001:db8:7::10", "2001:db8:8::20", 101, nil), toVTEP},
		{"port to VTEP in one VNI", "irb", routedTo(twinH7, "10.7.0.10", "10.7.0.20", 100, nil), toVTEP},
		{"VTEP to port", "", w.fromVTEP(a, 7000, routedTo(twinRA, "10.7.0.20", "10.8.0.10", 100, nil)), "routed to irb2"},
		{"VTEP to port, IPv6", "", w.fromVTEP(a, 7000, routedTo(twinRA, "2001:db8:7::20", "2001:db8:8::10", 100, nil)), "routed to irb2"},
		{"VTEP to port in one VNI", "", w.fromVTEP(a, 7000, routedTo(twinRA, "10.7.0.20", "10.7.0.10", 100, nil)), "routed to irb"},
		{"VTEP to VTEP", "", w.fromVTEP(a, 7000, routedTo(twinRA, "10.7.0.20", "10.8.0.20", 100, nil)), toVTEP},
		{"VTEP to VTEP, IPv6", "", w.fromVTEP(a, 7000, routedTo(twinRA, "2001:db8:7::20", "2001:db8:8::20", 100, nil)), toVTEP},
		{"back by the port that it came by", "irb", routedTo(twinH7, "10.7.0.99", "10.7.0.10", 100, nil), "routed to irb"},
		{"TTL 2", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.10", 100, mends(8, 2)), "routed to irb2"},
		{"TTL 255, IPv6", "irb", routedTo(twinH7, "2001:db8:7::10", "2001:db8:8::10", 100, mends(7, 255)), "routed to irb2"},
		{"any TOS", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.20", 100, mends(1, 0xbb)), toVTEP},
		{"from elsewhere", "irb", routedTo(twinH7, "203.0.113.9", "10.8.0.10", 100, nil), "routed to irb2"},
		{"as long as it may be", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.10", 1472, nil), "routed to irb2"},

		{"TTL 1", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.10", 100, mends(8, 1)), "up"},
		{"TTL 0, IPv6", "irb", routedTo(twinH7, "2001:db8:7::10", "2001:db8:8::10", 100, mends(7, 0)), "up"},
		{"a wrong header checksum", "irb", wrong, "up"},
		{"IPv4 options", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.10", 100, mends(0, 0x46)), "up"},
		{"a fragment", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.10", 100, mends(6, 0x20)), "up"},
		{"a length that lies", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.10", 100, mends(2, 0xff)), "up"},
		{"extension headers", "irb", routedTo(twinH7, "2001:db8:7::10", "2001:db8:8::10", 100, mends(6, 0)), "up"},
		{"ICMPv6", "irb", routedTo(twinH7, "2001:db8:7::10", "2001:db8:8::10", 100, mends(6, 58)), "up"},
		{"longer than the port takes", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.10", 1473, nil), "up"},
		{"from an address of the gateway's", "irb", routedTo(twinH7, "10.8.0.1", "10.8.0.10", 100, nil), "up"},
		{"from an address of the gateway's, IPv6", "irb", routedTo(twinH7, "2001:db8:7::1", "2001:db8:8::10", 100, nil), "up"},
		{"from 0.1.2.3", "irb", routedTo(twinH7, "0.1.2.3", "10.8.0.10", 100, nil), "up"},
		{"from 127.0.0.1", "irb", routedTo(twinH7, "127.0.0.1", "10.8.0.10", 100, nil), "up"},
		{"from a group", "irb", routedTo(twinH7, "224.0.0.1", "10.8.0.10", 100, nil), "up"},
		{"from a link-local address", "irb", routedTo(twinH7, "169.254.1.1", "10.8.0.10", 100, nil), "up"},
		{"from a link-local address, IPv6", "irb", routedTo(twinH7, "fe80::1", "2001:db8:8::10", 100, nil), "up"},
		{"from itself", "irb", routedTo(twinH7, "10.8.0.10", "10.8.0.10", 100, nil), "up"},
		{"to the gateway", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.1", 100, nil), "up"},
		{"no route", "irb", routedTo(twinH7, "10.7.0.10", "203.0.113.9", 100, nil), "up"},
		{"to a network's own address", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.255", 100, nil), "up"},
		{"a host that nobody knows", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.77", 100, nil), "up"},
		{"a host that is nowhere", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.30", 100, nil), "up"},
		{"no IP", "irb", eth(twinGate, twinH7, noIP), "up"},
		{"another VRF's host", "mixed", routedTo(twinH1, "10.7.0.10", "10.8.0.10", 100, nil), "up"},
	}
}

// fastSums reports whether outer checksums are filled in.
func (w *twins) fastSums() bool {
	u := &w.config().Underlay
	return u.Address.Is4() && u.Checksum || u.Address.Is6() && !u.ZeroChecksum6
}

// teach has the workers see a frame first: the programs route what was routed before.
func (w *twins) teach(c twinCase) {
	if c.in != "" {
		w.workPort(w.port(c.in), c.f)
	} else {
		w.workUnderlay(c.f)
	}
}

// TestTwinsRouted is TestTwins for packets to the gateway's MAC.
func TestTwinsRouted(t *testing.T) {
	for _, i := range []int{0, 1, 2, 11} { // of twinSettings
		s := twinSettings[i]
		for _, by := range s.ways {
			t.Run(s.name+" by "+string(by), func(t *testing.T) {
				t.Parallel()
				w := newRoutedTwins(t, by, s.net, s.underlay)
				for _, c := range twinRoutedCases(w, s.net) {
					t.Run(c.name, func(t *testing.T) {
						w.t = t
						if by.atTCX() {
							c.want = w.atTCXRouted(c)
						}
						w.teach(c)
						w.meets(c)
					})
				}
			})
		}
	}
}

// atTCXRouted is atTCX for a packet that is routed: from a VTEP it goes to ports alone.
func (w *twins) atTCXRouted(c twinCase) string {
	if len(c.want) < 7 || c.want[:7] != "routed " {
		return "up"
	}
	if c.in == "" && c.want != "routed to irb" && c.want != "routed to irb2" {
		return "up"
	}
	c.want = c.want[7:]
	if got := w.atTCX(c); got == "up" {
		return got
	}
	return "routed " + c.want
}

// TestTwinsReroute: what was routed is not when its neighbour has moved, its way is gone,
// or somebody says so.
func TestTwinsReroute(t *testing.T) {
	w := newRoutedTwins(t, byXDP, twinNet4, "")
	c := twinCase{"", "irb", routedTo(twinH7, "10.7.0.10", "10.8.0.10", 100, nil), "routed to irb2"}
	up := c
	up.want = "up"
	again := func(why string, change func()) {
		t.Helper()
		w.teach(c)
		w.meets(c)
		if change(); t.Failed() {
			t.Fatalf("before %s", why)
		}
		w.meets(up)
		if t.Failed() {
			t.Fatalf("after %s", why)
		}
	}
	d := w.tables.Snapshot().VNIs[8000]
	again("all is void", func() { w.fast.plane.Reroute() })
	again("a new view", w.publish)
	again("the neighbour has another MAC", func() {
		w.tables.Hosts().SetStatic(d, netip.MustParseAddr("10.8.0.10"), twinNobody, w.now)
	})
	w.tables.Hosts().SetStatic(d, netip.MustParseAddr("10.8.0.10"), twinH2, w.now)
	again("the station is gone", func() { w.tables.FDB().Remove(d, twinH2) })
	w.tables.FDB().Learn(d, twinH2, forward.PortHop(w.port("irb2")), w.now)
	again("the port is down", func() {
		id := w.port("irb2")
		w.setPort(id, tables.PortState{Dev: twinPort{w: w, id: id}, MTU: 1500, Index: w.links[id]})
		w.publish()
	})
}

// TestTwinsRoutedRandom: packets to the gateway's MAC that are valid, or nearly.
func TestTwinsRoutedRandom(t *testing.T) {
	for _, by := range allWays {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			w := newRoutedTwins(t, by, twinNet4, "")
			w.learns = true
			did := make(map[string]int)
			rapid.Check(t, func(t *rapid.T) {
				w.t = t
				for range rapid.IntRange(1, 8).Draw(t, "packets") {
					six := rapid.Bool().Draw(t, "six")
					pick := func(what string) string {
						i := rapid.IntRange(0, 3).Draw(t, what)
						v4 := []string{"10.7.0.10", "10.7.0.20", "10.8.0.10", "10.8.0.20"}
						v6 := []string{"2001:db8:7::10", "2001:db8:7::20", "2001:db8:8::10", "2001:db8:8::20"}
						if six {
							return v6[i]
						}
						return v4[i]
					}
					from, to := pick("from"), pick("to")
					n := rapid.IntRange(0, 1480).Draw(t, "payload")
					if rapid.Bool().Draw(t, "by port") {
						if f := drawFlaws(t, routedTo(twinH7, from, to, n, nil), 54); w.runs(by, f) {
							did[verb(w.fromPort(w.port("irb"), f))]++
						}
					} else {
						inner := drawFlaws(t, routedTo(twinRA, from, to, n, nil), 54)
						if p := w.fromVTEP(outer{from: twinNet4.a}, 7000, inner); w.runs(by, p) {
							did[verb(w.fromUnderlay(p))]++
						}
					}
				}
			})
			if did["routed"] == 0 || did["up"] == 0 {
				t.Errorf("only %v", did)
			}
		})
	}
}
