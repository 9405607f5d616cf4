package e2e

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// way is how a gateway carries the frames whose way is certain, and how these are sent
// so that it does.
type way struct {
	name     string
	datapath string // of [datapath]
	mode     string // that `show datapath` has
	live     bool   // frames come in without a socket buffer, as from a wire
}

var (
	byTCX = way{"tcx", `mode = "auto"`, "tcx", false}
	byXDP = way{"xdp", `mode = "xdp"`, "xdp", true}

	fastWays = []way{byTCX, byXDP}
)

// The second VTEP of an IPv6 underlay.
var vtepSixB = netip.MustParseAddr("2001:db8::50")

// Where the hosts of a fastBed are routed to.
var (
	addrH1 = netip.MustParseAddr("10.1.1.10")
	addrRA = netip.MustParseAddr("10.1.1.20")
	addrH3 = netip.MustParseAddr("10.1.2.10")
	addrRB = netip.MustParseAddr("10.1.2.20")

	sixH1 = netip.MustParseAddr("2001:db8:11::10")
	sixRA = netip.MustParseAddr("2001:db8:11::20")
	sixH3 = netip.MustParseAddr("2001:db8:12::10")
	sixRB = netip.MustParseAddr("2001:db8:12::20")
)

// fastBed is a bed whose gateway routes between two VNIs, or does not: h1 and h2 are in
// VNI 1000, h3 in VNI 2000, and behind vtepA is ra1 in the one and rb1 in the other.
type fastBed struct {
	*bed
	way
	six      bool   // the underlay is IPv6
	underlay string // of [underlay]
	routed   bool
	vni      string // of each [[vni]]
	port     string // of each [[port]]
	more     string
}

// prepare lays the wires. The far ends take redirected frames.
func (b *fastBed) prepare(t testing.TB) *fastBed {
	t.Helper()
	b.bed = newBed(t, 3, 1700)
	must(t, b.bed.ns.AddAddr("und0", gwSix.String()+"/64"))
	for _, a := range []netip.Addr{vtepSix, vtepSixB} {
		must(t, b.peer.AddAddr("und0", a.String()+"/64"))
	}
	for _, dev := range []string{"h1", "h2", "h3"} {
		must(t, b.hosts.Offloads(dev, true, "gro"))
	}
	must(t, b.peer.Offloads("und0", true, "gro"))
	return b
}

// text is the gateway's configuration.
func (b *fastBed) text() string {
	own, flood := gwAddr, []any{vtepA, vtepB}
	if b.six {
		own, flood = gwSix, []any{vtepSix, vtepSixB}
	}
	var s strings.Builder
	fmt.Fprintf(&s, "[underlay]\naddress = %q\n%s\n[datapath]\n%s\n", own, b.underlay, b.datapath)
	for i, id := range []int{vni, otherVNI} {
		fmt.Fprintf(&s, "[[vni]]\nid = %d\nvlan = %d\nflood = [\"%v\", \"%v\"]\n%s\n", id, 10*(i+1), flood[0], flood[1], b.vni)
		if b.routed {
			fmt.Fprintf(&s, "vrf = \"red\"\nra = false\ngateway_mac = %q\ngateway = [\"10.1.%d.1/24\", \"2001:db8:1%d::1/64\"]\n", routerMAC, i+1, i+1)
		}
	}
	for i, vlan := range []int{10, 10, 20} {
		fmt.Fprintf(&s, "[[port]]\ninterface = \"acc%d\"\nvlan = %d\n%s\n", i+1, vlan, b.port)
	}
	if b.routed {
		s.WriteString("[[vrf]]\nname = \"red\"\n")
	}
	return s.String() + b.more
}

// begin runs the gateway, and waits until it carries frames in the way that is meant
// and knows all stations.
func (b *fastBed) begin() *fastBed {
	b.t.Helper()
	b.gateway = startWith(b.t, b.bed.ns, b.text(), withHTTP).forwards()
	b.inMode(b.way.mode)
	if b.routed {
		b.answer()
	}
	b.teach()
	return b
}

func newFastBed(t testing.TB, b fastBed) *fastBed {
	t.Helper()
	return b.prepare(t).begin()
}

// inMode waits until all interfaces are in a mode, and frames can be redirected there.
func (g *gateway) inMode(mode string) {
	g.t.Helper()
	var last []api.DatapathRow
	defer func() {
		if g.t.Failed() {
			g.t.Logf("the last of all interfaces: %+v", last)
		}
	}()
	eventually(g.t, "every interface is in mode "+mode, func() bool {
		last = rows[api.DatapathRow](g, "datapath")
		for _, d := range last {
			if d.Mode != mode || strings.Contains(d.Reason, "cannot be redirected") {
				return false
			}
		}
		return true
	})
}

// stations are who the gateway is to know of, by where they are.
func (b *fastBed) stations() []station {
	return []station{
		{"h1", h1MAC, vni, addrH1, sixH1}, {"h2", h2MAC, vni, netip.MustParseAddr("10.1.1.11"), netip.MustParseAddr("2001:db8:11::11")},
		{"h3", h3MAC, otherVNI, addrH3, sixH3},
		{"peer", ra1MAC, vni, addrRA, sixRA}, {"peer", rb1MAC, otherVNI, addrRB, sixRB},
	}
}

type station struct {
	at        string
	mac       frame.MAC
	vni       uint32
	four, six netip.Addr
}

// teach has every station heard, and where the gateway routes ask for it.
func (b *fastBed) teach() {
	b.t.Helper()
	gates := map[uint32][2]netip.Addr{vni: {gate1, gate1six}, otherVNI: {gate2, gate2six}}
	for _, s := range b.stations() {
		gate := gates[s.vni]
		for _, f := range [][]byte{
			packet.ARP(frame.Broadcast, packet.ARPRequest, s.mac, s.four, frame.MAC{}, gate[0]),
			packet.Solicit(s.mac, s.six, gate[1]).Frame(),
		} {
			if s.at == "peer" {
				b.fromPeer(b.wrap(s.vni, f))
			} else {
				b.fromHost(s.at, f)
			}
		}
	}
	eventually(b.t, "all stations are known", func() bool {
		known := 0
		for _, m := range rows[api.MACRow](b.gateway, "macs") {
			if m.Origin == api.OriginLearned {
				known++
			}
		}
		neighbours := rows[api.NeighbourRow](b.gateway, "neighbours")
		reachable := slices.DeleteFunc(neighbours, func(n api.NeighbourRow) bool { return n.Origin != api.OriginLearned })
		return known == len(b.stations()) && (!b.routed || len(reachable) >= 2*len(b.stations()))
	})
	if !b.routed {
		b.flooded(2)
	}
}

// flooded waits until it is counted that a number of frames of each station went
// everywhere: a station is known from its first one on.
func (b *fastBed) flooded(frames uint64) {
	b.t.Helper()
	vtep, ports := vtepA.String(), map[string]uint32{"acc1": vni, "acc2": vni, "acc3": otherVNI}
	if b.six {
		vtep = vtepSix.String()
	}
	want := make(map[string]uint64)
	for _, s := range b.stations() {
		own := "acc" + s.at[1:]
		for port, in := range ports {
			if in == s.vni && port != own {
				want[port] += frames
			}
		}
		if s.at != "peer" {
			want[vtep] += frames
		}
	}
	eventually(b.t, "all that was flooded is counted", func() bool {
		have := b.counted()
		for name, n := range want {
			if have.of(name).txPackets != n {
				return false
			}
		}
		return true
	})
}

// outerLen is what stands in front of an inner frame.
func (b *fastBed) outerLen() int {
	if b.six {
		return outerLenSix
	}
	return outerLen
}

// wrap returns what carries an inner frame from the first VTEP.
func (b *fastBed) wrap(vni uint32, inner []byte) []byte { return b.wrapFrom(false, vni, inner) }

// wrapFrom returns what carries an inner frame from the first or the second VTEP, as
// the gateway itself would send it but for the checksum of IPv6, which is there.
func (b *fastBed) wrapFrom(second bool, vni uint32, inner []byte) []byte {
	from, to := vtepA, gwAddr
	switch {
	case b.six && second:
		from, to = vtepSixB, gwSix
	case b.six:
		from, to = vtepSix, gwSix
	case second:
		from = vtepB
	}
	f := packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(from, 0xc0de), netip.AddrPortFrom(to, vxlanPort), packet.VXLAN(vni, inner))
	if !b.six {
		f[40], f[41] = 0, 0
	}
	return f
}

// at returns where a station's frames are sent and arrive.
func (b *fastBed) at(dev string) (*netns.NS, string) {
	if dev == "peer" {
		return b.peer, "und0"
	}
	return b.hosts, dev
}

// answer has the stations of a gateway that routes answer it, as hosts do: whom it asks
// in vain is nobody's neighbour any more.
func (b *fastBed) answer() {
	b.t.Helper()
	for _, dev := range []string{"h1", "h2", "h3", "peer"} {
		ns, name := b.at(dev)
		capture(b.t, ns, name, netns.Only(func(f []byte) bool {
			if reply := b.reply(dev, f); reply != nil {
				_ = ns.Send(name, reply) // what is lost is asked for again
			}
			return false
		}))
	}
}

// reply returns what is answered to a frame by whoever is at a device; nil: nothing.
func (b *fastBed) reply(dev string, f []byte) []byte {
	in := uint32(0)
	if dev == "peer" {
		if len(f) < b.outerLen()+frame.HeaderLen || !isUDP(f) && !isUDPSix(f) {
			return nil
		}
		in = binary.BigEndian.Uint32(f[b.outerLen()-4:]) >> 8
		f = f[b.outerLen():]
	}
	target, ok := asked(f)
	if !ok {
		return nil
	}
	for _, s := range b.stations() {
		if s.at != dev || target != s.four && target != s.six || dev == "peer" && s.vni != in {
			continue
		}
		reply := make([]byte, neigh.AnswerLen)
		reply = reply[:neigh.PutAnswer(reply, f, s.mac, false)]
		if dev == "peer" {
			return b.wrap(in, reply)
		}
		return reply
	}
	return nil
}

// asked returns the address that a frame asks for.
func asked(f frame.Frame) (target netip.Addr, ok bool) {
	if len(f) < frame.HeaderLen {
		return target, false
	}
	if a, ok := neigh.ParseARP(f.Payload()); ok && f.Type() == frame.TypeARP {
		return a.Target(), a.Op() == neigh.ARPRequest
	}
	if p, ok := neigh.ParseND(f.Payload()); ok && f.Type() == frame.TypeIPv6 {
		return p.Target(), p.IsSolicitation()
	}
	return target, false
}
