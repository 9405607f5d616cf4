package gateway

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/gateway/tables"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/packet"
)

// The topology of these tests is that of the tables in gateway/forward.
var (
	twinH1     = frame.MAC{2, 0, 0, 0, 1, 1}    // at acc1
	twinH2     = frame.MAC{2, 0, 0, 0, 1, 2}    // at acc2
	twinIso    = frame.MAC{2, 0, 0, 0, 1, 0xe}  // at iso2
	twinIso1   = frame.MAC{2, 0, 0, 0, 1, 0x1e} // at iso1
	twinDown   = frame.MAC{2, 0, 0, 0, 1, 0xd}  // at a port that is down
	twinTunnel = frame.MAC{2, 0, 0, 0, 4, 1}    // at tunnel
	twinGuard  = frame.MAC{2, 0, 0, 0, 4, 2}    // at guard
	twinH5     = frame.MAC{2, 0, 0, 0, 5, 1}    // at prio, in VNI 5000
	twinH7     = frame.MAC{2, 0, 0, 0, 7, 1}    // at irb, in VNI 7000
	twinSilent = frame.MAC{2, 0, 0, 0, 7, 9}    // static, in VNI 7000
	twinRA     = frame.MAC{2, 0, 0, 0, 2, 0xa}  // behind A
	twinRB     = frame.MAC{2, 0, 0, 0, 3, 0xa}  // behind B
	twinRAPin  = frame.MAC{2, 0, 0, 0, 2, 0xb}  // pinned behind A
	twinRogue  = frame.MAC{2, 0, 0, 0, 2, 0xc}  // pinned behind C, which may not send
	twinPin    = frame.MAC{2, 0, 0, 0, 1, 0xb}  // pinned behind acc1
	twinLoop   = frame.MAC{2, 0, 0, 0, 1, 0xf}  // held at acc1
	twinRLoop  = frame.MAC{2, 0, 0, 0, 2, 0xf}  // held behind A
	twinNobody = frame.MAC{0xde, 0xad, 0xbe, 0xef, 0x13, 0x37}
	twinGate   = frame.MAC{0, 0, 0x5e, 0, 1, 1}
)

// twinNet is the addresses of an underlay.
type twinNet struct {
	own, a, b, c, rogue string
}

var (
	twinNet4 = twinNet{"192.0.2.17", "192.0.2.34", "192.0.2.50", "192.0.2.66", "203.0.113.66"}
	twinNet6 = twinNet{"2001:db8:fedc:ba98::17", "2001:db8:fedc:ba98::34", "2001:db8:fedc:ba98::50", "2001:db8:fedc:ba98::66", "2001:db8:1::66"}
)

func (n twinNet) config(underlay string) string {
	return fmt.Sprintf(`
[underlay]
address = %q
%s
[[vni]]
id = 1000
vlan = 10
ageing = "0s"
flood = [%q, %q]
allowed_vteps = [%[3]q, %[4]q]
[[vni]]
id = 2000
vlan = 20
learning = false
[[vni]]
id = 3000
vlan = 30
flood = [%[3]q]
[[vni]]
id = 4000
vlan = 40
flood = [%[3]q]
[[vni]]
id = 5000
vlan = 50
flood = [%[5]q]
[[vni]]
id = 6000
vlan = 60
flood = [%[3]q, %[5]q]
suppress_arp = true
[[vni]]
id = 7000
vlan = 70
flood = [%[3]q]
vrf = "red"
gateway = ["10.7.0.1/24", "2001:db8:7::1/64"]
gateway_mac = "00:00:5e:00:01:01"
[[vni]]
id = 8000
vlan = 80
flood = [%[3]q]
vrf = "red"
gateway = ["10.8.0.1/24", "2001:db8:8::1/64"]
gateway_mac = "00:00:5e:00:01:01"
[[vrf]]
name = "red"
[[port]]
interface = "acc1"
vlan = 10
[[port]]
interface = "acc2"
vlan = 10
[[port]]
interface = "acc3"
vlan = 20
[[port]]
interface = "iso1"
vlan = 10
isolated = true
[[port]]
interface = "iso2"
vlan = 10
isolated = true
[[port]]
interface = "down"
vlan = 10
[[port]]
interface = "tunnel"
vlan = 40
bpdu = "tunnel"
[[port]]
interface = "tunnel2"
vlan = 40
bpdu = "tunnel"
[[port]]
interface = "guard"
vlan = 40
bpdu = "shutdown"
[[port]]
interface = "prio"
vlan = 50
priority_tagged = "drop"
[[port]]
interface = "shut"
vlan = 40
bpdu = "shutdown"
[[port]]
interface = "mixed"
vlan = 60
[[port]]
interface = "irb"
vlan = 70
[[port]]
interface = "irb2"
vlan = 80
[[mac]]
vni = 1000
address = %[6]q
vtep = %[3]q
[[mac]]
vni = 1000
address = %[7]q
vtep = %[5]q
[[mac]]
vni = 1000
address = %[8]q
port = "acc1"
`, n.own, underlay, n.a, n.b, n.c, twinRAPin, twinRogue, twinPin)
}

// newTwinTopology makes twins that know who is where.
func newTwinTopology(t testing.TB, by way, n twinNet, underlay string) *twins {
	t.Helper()
	return newTwinTopologyOf(t, by, n, n.config(underlay))
}

func newTwinTopologyOf(t testing.TB, by way, n twinNet, text string) *twins {
	t.Helper()
	w := newTwins(t, by, text, 9000)
	w.setPort(w.port("down"), tables.PortState{Dev: twinPort{w: w, id: w.port("down")}, MTU: 1500, Index: w.links[w.port("down")]})
	w.setPort(w.port("shut"), tables.PortState{Dev: twinPort{w: w, id: w.port("shut")}, Shut: true, MTU: 1500, Index: w.links[w.port("shut")]})
	narrow, _ := w.tables.VTEP(netip.MustParseAddr(n.c))
	w.setPath(narrow, 1464)
	a, _ := w.tables.VTEP(netip.MustParseAddr(n.a))
	b, _ := w.tables.VTEP(netip.MustParseAddr(n.b))
	for _, is := range []struct {
		vni uint32
		mac frame.MAC
		hop fdb.Hop
	}{
		{1000, twinH1, forward.PortHop(w.port("acc1"))}, {1000, twinH2, forward.PortHop(w.port("acc2"))},
		{1000, twinIso1, forward.PortHop(w.port("iso1"))}, {1000, twinIso, forward.PortHop(w.port("iso2"))},
		{1000, twinDown, forward.PortHop(w.port("down"))},
		{1000, twinRA, forward.VTEPHop(a)}, {1000, twinRB, forward.VTEPHop(b)},
		{4000, twinTunnel, forward.PortHop(w.port("tunnel"))}, {4000, twinGuard, forward.PortHop(w.port("guard"))},
		{4000, twinRA, forward.VTEPHop(a)}, {3000, twinRA, forward.VTEPHop(a)},
		{5000, twinH5, forward.PortHop(w.port("prio"))}, {5000, twinRA, forward.VTEPHop(narrow)},
		{6000, twinH1, forward.PortHop(w.port("mixed"))}, {6000, twinRA, forward.VTEPHop(a)},
		{7000, twinH7, forward.PortHop(w.port("irb"))}, {7000, twinRA, forward.VTEPHop(a)},
		{8000, twinH2, forward.PortHop(w.port("irb2"))}, {8000, twinRB, forward.VTEPHop(a)},
	} {
		w.tables.FDB().Learn(w.tables.Snapshot().VNIs[is.vni], is.mac, is.hop, clockStart)
	}
	w.hold(twinLoop, forward.PortHop(w.port("acc1")), forward.VTEPHop(b))
	w.hold(twinRLoop, forward.VTEPHop(a), forward.PortHop(w.port("acc2")))
	w.publish()
	return w
}

// hold has a MAC of VNI 1000 move until it is held at home.
func (w *twins) hold(m frame.MAC, home, also fdb.Hop) {
	w.tb.Helper()
	t, d := w.tables.FDB(), w.tables.Snapshot().VNIs[1000]
	for o := fdb.Known; o != fdb.Duplicate; {
		t.Learn(d, m, home, clockStart)
		o = t.Learn(d, m, also, clockStart)
	}
	if e, ok := t.Lookup(d, m, clockStart); !ok || !e.Held || e.Hop != home {
		w.tb.Fatalf("%+v is not held at %v", e, home)
	}
}

// A MAC is let go of, or forgotten: the programs go by that at once.
func TestTwinsHoldEnds(t *testing.T) {
	for name, end := range map[string]func(*twins){
		"its time is over": func(w *twins) { w.tables.FDB().EndHolds(clockStart+540, func(fdb.Domain, frame.MAC) {}) },
		"it is forgotten":  func(w *twins) { w.tables.FDB().Forget(w.tables.Snapshot().VNIs[1000], twinLoop) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newTwinTopology(t, byXDP, twinNet4, "")
			w.t = t
			elsewhere := twinCase{"", "acc2", data4(twinH1, twinLoop, 100), "drop duplicate_mac"}
			w.meets(elsewhere)
			end(w)
			elsewhere.want = "up"
			w.meets(elsewhere)
		})
	}
}

// eth is a frame: addresses, then anything in hexadecimal from the EtherType on, padded
// to 60 bytes.
func eth(dst, src frame.MAC, rest string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
	if err != nil {
		panic(err)
	}
	f := append(append(append([]byte{}, dst[:]...), src[:]...), b...)
	for len(f) < 60 {
		f = append(f, 0)
	}
	return f
}

const noIP = "88b5 00" // an EtherType for experiments

var (
	from4, to4 = netip.MustParseAddrPort("10.1.1.10:1000"), netip.MustParseAddrPort("10.1.1.20:9")
	from6, to6 = netip.MustParseAddrPort("[2001:db8:1::10]:1000"), netip.MustParseAddrPort("[2001:db8:1::20]:9")
)

func data4(dst, src frame.MAC, n int) []byte {
	return packet.UDP(dst, src, from4, to4, make([]byte, n))
}
func data6(dst, src frame.MAC, n int) []byte {
	return packet.UDP(dst, src, from6, to6, make([]byte, n))
}

// with returns f with bytes from at on replaced.
func with(f []byte, at int, b ...byte) []byte {
	f = append([]byte{}, f...)
	copy(f[at:], b)
	return f
}

// tos returns f, which holds IP, with a TOS byte or traffic class.
func tos(f []byte, b uint8) []byte {
	f = append([]byte{}, f...)
	if frame.Frame(f).Type() == frame.TypeIPv4 {
		ip.IPv4(f[14:]).SetTOS(b)
	} else {
		ip.IPv6(f[14:]).SetTrafficClass(b)
	}
	return f
}

// ipv4Proto returns an IPv4 packet of a protocol without ports.
func proto4(dst, src frame.MAC, proto uint8) []byte {
	f := data4(dst, src, 20)
	f[23] = proto
	h := ip.IPv4(f[14:34])
	h.SetChecksum(0)
	h.SetChecksum(^ip.Sum(h, 0))
	return f
}

// twinCase is a frame, and what the programs must do with it: "up" is what is left to
// the workers.
type twinCase struct {
	name string
	in   string // the port, or "" for a VTEP
	f    []byte
	want string
}

func twinAccessCases(n twinNet) []twinCase {
	group := frame.MAC{1, 0, 0x5e, 0, 0, 0xfb}
	lldp, bpdu := frame.MAC{1, 0x80, 0xc2, 0, 0, 0xe}, frame.MAC{1, 0x80, 0xc2, 0, 0, 0}
	return []twinCase{
		{"IPv4 to a VTEP", "acc1", data4(twinRA, twinH1, 100), "to " + n.a},
		{"IPv6 to a VTEP", "acc1", data6(twinRA, twinH1, 100), "to " + n.a},
		{"to another VTEP", "acc1", data4(twinRB, twinH1, 101), "to " + n.b},
		{"to a VTEP, no payload", "acc1", data4(twinRA, twinH1, 0), "to " + n.a},
		{"to a VTEP, odd length", "acc1", data4(twinRA, twinH1, 1), "to " + n.a},
		{"to a VTEP, 1514 bytes", "acc1", data4(twinRA, twinH1, 1472), "to " + n.a},
		{"to a VTEP, TCP", "acc1", proto4(twinRA, twinH1, 6), "to " + n.a},
		{"to a VTEP, ICMP", "acc1", proto4(twinRA, twinH1, 1), "to " + n.a},
		{"to a VTEP, GRE", "acc1", proto4(twinRA, twinH1, 47), "to " + n.a},
		{"to a VTEP, ICMPv6", "acc1", with(data6(twinRA, twinH1, 100), 20, 58), "to " + n.a},
		{"to a VTEP, ESP over IPv6", "acc1", with(data6(twinRA, twinH1, 100), 20, 50), "up"},
		{"to a VTEP, IPv4 options", "acc1", with(data4(twinRA, twinH1, 100), 14, 0x46), "up"},
		{"to a VTEP, a fragment", "acc1", with(data4(twinRA, twinH1, 100), 20, 0x20), "up"},
		{"to a VTEP, no IP", "acc1", eth(twinRA, twinH1, noIP), "up"},
		{"to a VTEP, DSCP EF", "acc1", tos(data4(twinRA, twinH1, 100), 0xb8), "to " + n.a},
		{"to a VTEP, ECT(0) and AF11", "acc1", tos(data4(twinRA, twinH1, 100), 0x2a), "to " + n.a},
		{"to a VTEP, CE over IPv6", "acc1", tos(data6(twinRA, twinH1, 100), 0xff), "to " + n.a},
		{"to a VTEP whose path is narrow: just fits", "prio", data4(twinRA, twinH5, 1464-42), "to " + n.c},
		{"to a VTEP whose path is narrow", "prio", data4(twinRA, twinH5, 1465-42), "up"},
		{"known behind another port", "acc1", data4(twinH2, twinH1, 100), "to acc2"},
		{"known behind another port, IPv6", "acc1", data6(twinH2, twinH1, 100), "to acc2"},
		{"known behind another port, no IP", "acc1", eth(twinH2, twinH1, noIP), "to acc2"},
		{"as long as the port takes", "acc1", data4(twinH2, twinH1, 1472), "to acc2"},
		{"longer than the port takes", "acc1", data4(twinH2, twinH1, 1473), "up"},
		{"14 bytes", "acc1", eth(twinH2, twinH1, noIP)[:14], "to acc2"},
		{"LLC", "acc1", eth(twinH2, twinH1, "05dc aaaa03"), "to acc2"},
		{"ARP by unicast where nobody listens", "acc1", eth(twinH2, twinH1, "0806 0001"), "to acc2"},
		{"ARP by unicast where it is listened to", "mixed", eth(twinRA, twinH1, "0806 0001"), "up"},
		{"ICMPv6 where it is listened to", "mixed", with(data6(twinRA, twinH1, 100), 20, 58), "up"},
		{"IPv6 where it is listened to", "mixed", data6(twinRA, twinH1, 100), "to " + n.a},
		{"in a VNI that is routed, to a host of it", "irb", data4(twinRA, twinH7, 100), "to " + n.a},
		{"from a static MAC at its port", "acc1", data4(twinH2, twinPin, 100), "to acc2"},
		{"to a static MAC", "acc1", data4(twinRAPin, twinH1, 100), "to " + n.a},
		{"isolated to an ordinary port", "iso1", data4(twinH1, twinIso1, 100), "to acc1"},
		{"ordinary to isolated", "acc1", data4(twinIso, twinH1, 100), "to iso2"},
		{"a VNI with ageing", "prio", data4(twinRA, twinH5, 100), "to " + n.c},
		{"spanning tree is tunnelled", "tunnel", data4(twinRA, twinTunnel, 100), "to " + n.a},

		{"unknown unicast", "acc1", data4(twinNobody, twinH1, 100), "up"},
		{"broadcast", "acc1", data4(frame.Broadcast, twinH1, 100), "up"},
		{"multicast", "acc1", data4(group, twinH1, 100), "up"},
		{"to nobody's MAC", "acc2", data4(frame.MAC{}, twinH2, 100), "up"},
		{"a new source", "acc1", data4(twinH2, twinNobody, 100), "up"},
		{"a source that moved", "acc2", data4(twinRA, twinH1, 100), "up"},
		{"a source from a VTEP", "acc1", data4(twinH2, twinRA, 100), "up"},
		{"our gateway's MAC as source", "acc1", data4(twinH2, twinGate, 100), "up"},
		{"a static MAC of a VTEP at a port", "acc1", data4(twinH2, twinRAPin, 100), "drop static_moved"},
		{"a static MAC at another port", "acc2", data4(twinH1, twinPin, 100), "drop static_moved"},
		{"a held MAC where it is held", "acc1", data4(twinH2, twinLoop, 100), "to acc2"},
		{"a held MAC at another port", "acc2", data4(twinH1, twinLoop, 100), "drop duplicate_mac"},
		{"a held MAC at another port, to itself", "acc2", data4(twinLoop, twinLoop, 100), "drop duplicate_mac"},
		{"a held MAC at another port, broadcast", "iso1", data4(frame.Broadcast, twinLoop, 100), "drop duplicate_mac"},
		{"a MAC that is held behind a VTEP at a port", "acc1", data4(twinH2, twinRLoop, 100), "drop duplicate_mac"},
		{"to a held MAC", "acc2", data4(twinLoop, twinH2, 100), "to acc1"},
		{"to a MAC that is held behind a VTEP", "acc1", data4(twinRLoop, twinH1, 100), "to " + n.a},
		{"for the gateway where nothing is routed", "acc1", data4(twinGate, twinH1, 100), "up"},
		{"BPDU", "acc1", eth(bpdu, twinH1, "0026 424203"), "up"},
		{"BPDU that is tunnelled", "tunnel", eth(bpdu, twinTunnel, "0026 424203"), "up"},
		{"BPDU that shuts the port down", "guard", eth(bpdu, twinGuard, "0026 424203"), "up"},
		{"PVST+", "acc1", eth(frame.MAC{1, 0, 0xc, 0xcc, 0xcc, 0xcd}, twinH1, "0026 aaaa03"), "up"},
		{"-10 is ordinary", "acc1", eth(frame.MAC{1, 0x80, 0xc2, 0, 0, 0x10}, twinH1, noIP), "up"},
		{"priority tag", "acc1", packet.Tagged(data4(twinH2, twinH1, 100), frame.TypeVLAN, 5<<13), "up"},
		{"802.1Q tag", "acc1", packet.Tagged(data4(twinH2, twinH1, 100), frame.TypeVLAN, 10), "up"},
		{"priority tag refused", "prio", packet.Tagged(data4(twinRA, twinH5, 100), frame.TypeVLAN, 0), "up"},

		{"802.1ad tag", "acc1", packet.Tagged(data4(twinH2, twinH1, 100), frame.TypeQinQ, 10), "drop tagged_frame"},
		{"802.1ad tag with VID 0", "acc1", packet.Tagged(data4(twinH2, twinH1, 100), frame.TypeQinQ, 0), "drop tagged_frame"},
		{"802.1ad tag and no more", "acc1", eth(twinH2, twinH1, "88a8 0064")[:16], "drop tagged_frame"},
		{"0x9100", "acc1", packet.Tagged(data4(twinH2, twinH1, 100), frame.TypeOldQinQ, 10), "drop tagged_frame"},
		{"multicast source", "acc1", data4(twinH2, group, 100), "drop source_multicast"},
		{"broadcast source", "acc1", data4(twinH2, frame.Broadcast, 100), "drop source_multicast"},
		{"zero source", "acc1", data4(twinH2, frame.MAC{}, 100), "drop source_zero"},
		{"a port that is shut down", "shut", data4(twinTunnel, twinH1, 100), "drop port_down"},
		{"LLDP", "acc1", eth(lldp, twinH1, "88cc"), "drop reserved_destination"},
		{"pause frame", "tunnel", eth(frame.MAC{1, 0x80, 0xc2, 0, 0, 1}, twinTunnel, "8808"), "drop reserved_destination"},
		{"-0F", "acc1", eth(frame.MAC{1, 0x80, 0xc2, 0, 0, 0xf}, twinH1, noIP), "drop reserved_destination"},
		{"CDP", "acc1", eth(frame.MAC{1, 0, 0xc, 0xcc, 0xcc, 0xcc}, twinH1, "0026 aaaa03"), "drop reserved_destination"},
		{"hairpin", "acc1", data4(twinPin, twinH1, 100), "drop same_port"},
		{"isolated to isolated", "iso1", data4(twinIso, twinIso1, 100), "drop isolated_port"},
		{"known behind a port that is down", "acc1", data4(twinDown, twinH1, 100), "drop port_down"},
	}
}

// outer is what VXLAN is in.
type outer struct {
	from  string
	tos   uint8
	port  uint16 // source port; 0: one of a VTEP's
	sum   bool   // there is a UDP checksum; where there must be one it need not be said
	zero  bool   // there is none all the same
	spoil func(p []byte)
}

// vxlanTo returns a packet with a VXLAN header of two words.
func (w *twins) vxlanTo(o outer, flags, vni uint32, inner []byte) []byte {
	u := &w.config().Underlay
	payload := binary.BigEndian.AppendUint32(nil, flags)
	payload = binary.BigEndian.AppendUint32(payload, vni)
	if o.port == 0 {
		o.port = 50000
	}
	from, to := netip.AddrPortFrom(netip.MustParseAddr(o.from), o.port), netip.AddrPortFrom(u.Address, u.Port)
	p := packet.UDP(w.underMAC, nextHop, from, to, append(payload, inner...))
	p = tos(p, o.tos)
	must := u.Address.Is6() && !u.ZeroChecksum6
	if o.zero || !o.sum && !must {
		at := 40
		if u.Address.Is6() {
			at = 60
		}
		p[at], p[at+1] = 0, 0
	}
	if u.VLAN != 0 {
		p = packet.Tagged(p, frame.TypeVLAN, u.VLAN)
	}
	if o.spoil != nil {
		o.spoil(p)
	}
	return p
}

func (w *twins) fromVTEP(o outer, vni uint32, inner []byte) []byte {
	return w.vxlanTo(o, 8<<24, vni<<8, inner)
}

func twinOverlayCases(w *twins, n twinNet) []twinCase {
	a := outer{from: n.a}
	marked := func(t uint8) outer { return outer{from: n.a, tos: t} }
	ecn := func(f []byte, t uint8) []byte { return tos(f, t) }
	lldp, bpdu := frame.MAC{1, 0x80, 0xc2, 0, 0, 0xe}, frame.MAC{1, 0x80, 0xc2, 0, 0, 0}
	known := data4(twinH1, twinRA, 100)
	u := &w.config().Underlay
	reserved, unsummed := "to acc1", "to acc1"
	if u.Strict {
		reserved = "drop vxlan_reserved"
	}
	if u.Address.Is6() && !u.ZeroChecksum6 {
		unsummed = "up"
	}
	is := []twinCase{
		{"known behind a port", "", w.fromVTEP(a, 1000, known), "to acc1"},
		{"IPv6", "", w.fromVTEP(a, 1000, data6(twinH1, twinRA, 100)), "to acc1"},
		{"no IP", "", w.fromVTEP(a, 1000, eth(twinH1, twinRA, noIP)), "to acc1"},
		{"14 bytes", "", w.fromVTEP(a, 1000, eth(twinH1, twinRA, noIP)[:14]), "to acc1"},
		{"odd length", "", w.fromVTEP(a, 1000, data4(twinH1, twinRA, 101)), "to acc1"},
		{"a frame of 1514 bytes", "", w.fromVTEP(a, 1000, data4(twinH1, twinRA, 1472)), "to acc1"},
		{"from another VTEP", "", w.fromVTEP(outer{from: n.b}, 1000, data4(twinH2, twinRB, 100)), "to acc2"},
		{"to an isolated port", "", w.fromVTEP(a, 1000, data4(twinIso, twinRA, 100)), "to iso2"},
		{"in another VNI", "", w.fromVTEP(a, 4000, data4(twinTunnel, twinRA, 100)), "to tunnel"},
		{"IPv6 where ICMPv6 is listened to", "", w.fromVTEP(a, 6000, data6(twinH1, twinRA, 100)), "to mixed"},
		{"in a VNI that is routed", "", w.fromVTEP(a, 7000, data4(twinH7, twinRA, 100)), "to irb"},
		{"a static MAC at its VTEP", "", w.fromVTEP(a, 1000, data4(twinH1, twinRAPin, 100)), "to acc1"},
		{"with a UDP checksum", "", w.fromVTEP(outer{from: n.a, sum: true}, 1000, known), "to acc1"},
		{"with a UDP checksum, odd length", "", w.fromVTEP(outer{from: n.a, sum: true}, 1000, data4(twinH1, twinRA, 97)), "to acc1"},
		{"with a UDP checksum, 1514 bytes", "", w.fromVTEP(outer{from: n.a, sum: true}, 1000, data4(twinH1, twinRA, 1472)), "to acc1"},
		{"any source port", "", w.fromVTEP(outer{from: n.a, port: 1}, 1000, known), "to acc1"},
		{"reserved flags", "", w.vxlanTo(a, 0xffffffff, 1000<<8, known), reserved},
		{"one reserved bit", "", w.vxlanTo(a, 8<<24|1, 1000<<8, known), reserved},
		{"no UDP checksum", "", w.fromVTEP(outer{from: n.a, zero: true}, 1000, known), unsummed},
		{"reserved byte", "", w.vxlanTo(a, 8<<24, 1000<<8|7, known), reserved},
		{"outer DSCP is not copied", "", w.fromVTEP(marked(0xb8), 1000, ecn(known, 2)), "to acc1"},

		{"unknown unicast", "", w.fromVTEP(a, 1000, data4(twinNobody, twinRA, 100)), "up"},
		{"broadcast", "", w.fromVTEP(a, 1000, data4(frame.Broadcast, twinRA, 100)), "up"},
		{"to nobody's MAC", "", w.fromVTEP(a, 1000, data4(frame.MAC{}, twinRA, 100)), "up"},
		{"from nobody's MAC", "", w.fromVTEP(a, 1000, data4(twinH1, frame.MAC{}, 100)), "up"},
		{"a group as source", "", w.fromVTEP(a, 1000, data4(twinH1, frame.Broadcast, 100)), "up"},
		{"a new source", "", w.fromVTEP(a, 1000, data4(twinH1, twinNobody, 100)), "up"},
		{"a MAC moves to another VTEP", "", w.fromVTEP(outer{from: n.b}, 1000, known), "up"},
		{"a MAC moves from a port", "", w.fromVTEP(a, 1000, data4(twinH1, twinH2, 100)), "up"},
		{"learning is off", "", w.fromVTEP(a, 2000, data4(twinH1, twinRA, 100)), "up"},
		{"a held MAC at its VTEP", "", w.fromVTEP(a, 1000, data4(twinH1, twinRLoop, 100)), "to acc1"},
		{"to a held MAC, from a VTEP", "", w.fromVTEP(a, 1000, data4(twinLoop, twinRA, 100)), "to acc1"},
		{"a held MAC at another VTEP", "", w.fromVTEP(outer{from: n.b}, 1000, data4(twinH1, twinRLoop, 100)), "up"},
		{"a MAC that is held at a port from a VTEP", "", w.fromVTEP(a, 1000, data4(twinH2, twinLoop, 100)), "up"},
		{"a static MAC at another VTEP", "", w.fromVTEP(outer{from: n.b}, 1000, data4(twinH1, twinRAPin, 100)), "up"},
		{"a port's static MAC from a VTEP", "", w.fromVTEP(a, 1000, data4(twinH2, twinPin, 100)), "up"},
		{"a static MAC behind a VTEP that is not allowed", "", w.fromVTEP(outer{from: n.c}, 1000, data4(twinH1, twinRogue, 100)), "up"},
		{"a VTEP that is not known", "", w.fromVTEP(outer{from: n.rogue}, 1000, known), "up"},
		{"our own address", "", w.fromVTEP(outer{from: n.own}, 1000, known), "up"},
		{"our own address, no I flag", "", w.vxlanTo(outer{from: n.own}, 0, 1000<<8, known), "up"},
		{"our own address, a VNI that is not there", "", w.fromVTEP(outer{from: n.own}, 999, known), "up"},
		{"our gateway's MAC from outside", "", w.fromVTEP(a, 1000, data4(twinH1, twinGate, 100)), "up"},
		{"for the gateway where nothing is routed", "", w.fromVTEP(a, 1000, data4(twinGate, twinRA, 100)), "up"},
		{"BPDU", "", w.fromVTEP(a, 1000, eth(bpdu, twinRA, "0026 424203")), "up"},
		{"BPDU that is tunnelled", "", w.fromVTEP(a, 4000, eth(bpdu, twinRA, "0026 424203")), "up"},
		{"ARP where it is listened to", "", w.fromVTEP(a, 6000, eth(twinH1, twinRA, "0806 0001")), "up"},
		{"longer than the port takes", "", w.fromVTEP(a, 1000, data4(twinH1, twinRA, 1473)), "up"},
		{"13 bytes", "", w.fromVTEP(a, 1000, eth(twinH1, twinRA, noIP)[:13]), "up"},
		{"nothing inside", "", w.fromVTEP(a, 1000, nil), "up"},
		{"a wrong UDP checksum", "", w.fromVTEP(outer{from: n.a, sum: true, spoil: func(p []byte) { p[len(p)-1] ^= 1 }}, 1000, known), "up"},
		{"another UDP port", "", w.fromVTEP(outer{from: n.a, spoil: func(p []byte) { p[len(p)-len(known)-13] ^= 1 }}, 1000, known), "up"},
		{"a longer UDP length", "", w.fromVTEP(outer{from: n.a, spoil: func(p []byte) { p[len(p)-len(known)-11]++ }}, 1000, known), "up"},
		{"bytes behind the packet", "", append(w.fromVTEP(a, 1000, known), 0, 0), "up"},
		{"cut short", "", w.fromVTEP(a, 1000, known)[:100], "up"},
		{"another station's MAC", "", w.fromVTEP(outer{from: n.a, spoil: func(p []byte) { p[5] ^= 1 }}, 1000, known), "up"},
		{"another address", "", w.fromVTEP(outer{from: n.a, spoil: func(p []byte) { p[len(p)-len(known)-17] ^= 1 }}, 1000, known), "up"},

		{"802.1Q inside", "", w.fromVTEP(a, 1000, packet.Tagged(known, frame.TypeVLAN, 100)), "drop inner_vlan"},
		{"VID 0 inside", "", w.fromVTEP(a, 1000, packet.Tagged(known, frame.TypeVLAN, 0)), "drop inner_vlan"},
		{"802.1ad inside", "", w.fromVTEP(a, 1000, packet.Tagged(known, frame.TypeQinQ, 100)), "drop inner_vlan"},
		{"0x9100 inside", "", w.fromVTEP(a, 1000, packet.Tagged(known, frame.TypeOldQinQ, 100)), "drop inner_vlan"},
		{"LLDP inside", "", w.fromVTEP(a, 1000, eth(lldp, twinRA, "88cc")), "drop reserved_destination"},
		{"split horizon: behind the same VTEP", "", w.fromVTEP(a, 1000, data4(twinRA, twinRAPin, 100)), "drop split_horizon"},
		{"split horizon: behind another VTEP", "", w.fromVTEP(a, 1000, data4(twinRB, twinRA, 100)), "drop split_horizon"},
		{"known behind a port that is down", "", w.fromVTEP(a, 1000, data4(twinDown, twinRA, 100)), "drop port_down"},
		{"no I flag", "", w.vxlanTo(a, 0, 1000<<8, known), "drop vxlan_flags"},
		{"all flags but I", "", w.vxlanTo(a, 0xf7<<24, 1000<<8, known), "drop vxlan_flags"},
		{"VNI 0", "", w.fromVTEP(a, 0, known), "drop unknown_vni"},
		{"VNI 999", "", w.fromVTEP(a, 999, known), "drop unknown_vni"},
		{"VNI 0xffffff", "", w.fromVTEP(a, 0xffffff, known), "drop unknown_vni"},
		{"VNI 999 from a VTEP that is not known", "", w.fromVTEP(outer{from: n.rogue}, 999, known), "drop unknown_vni"},
	}
	// RFC 6040 section 4.2, figure 4: what changes nothing inside is certain.
	for in := range uint8(4) {
		for out := range uint8(4) {
			e, marks := ip.DecapECN(in, out)
			want := "to acc1"
			if e != in || marks == ip.MarksDrop {
				want = "up"
			}
			for _, f := range [][]byte{known, data6(twinH1, twinRA, 100)} {
				is = append(is, twinCase{fmt.Sprintf("ECN %d in %d of %d bytes", in, out, len(f)), "", w.fromVTEP(marked(0x20|out), 1000, ecn(f, 0x48|in)), want})
			}
		}
	}
	is = append(is, twinCase{"CE around no IP", "", w.fromVTEP(marked(3), 1000, eth(twinH1, twinRA, noIP)), "to acc1"})
	if u.Address.Is4() {
		at := 14
		if u.VLAN != 0 {
			at = 18
		}
		spoiled := func(i int, b byte) []byte {
			return w.fromVTEP(outer{from: n.a, spoil: func(p []byte) {
				p[at+i] ^= b
				h := ip.IPv4(p[at : at+20])
				h.SetChecksum(0)
				h.SetChecksum(^ip.Sum(h, 0))
			}}, 1000, known)
		}
		is = append(is,
			twinCase{"DF clear", "", spoiled(6, 0x40), "to acc1"},
			twinCase{"the evil bit", "", spoiled(6, 0x80), "to acc1"}, // RFC 3514
			twinCase{"more fragments", "", spoiled(6, 0x20), "up"},
			twinCase{"a later fragment", "", spoiled(7, 1), "up"},
			twinCase{"TCP", "", spoiled(9, 17^6), "up"},
			twinCase{"IPv4 options", "", spoiled(0, 3), "up"},
			twinCase{"a wrong header checksum", "", w.fromVTEP(outer{from: n.a, spoil: func(p []byte) { p[at+10] ^= 1 }}, 1000, known), "up"},
		)
		for _, from := range []string{"0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255"} {
			is = append(is,
				twinCase{"from " + from, "", w.fromVTEP(outer{from: from}, 1000, known), "up"},
				twinCase{"no I flag from " + from, "", w.vxlanTo(outer{from: from}, 0, 1000<<8, known), "up"},
				twinCase{"VNI 999 from " + from, "", w.fromVTEP(outer{from: from}, 999, known), "up"},
			)
		}
	} else {
		for _, from := range []string{"::", "::1", "::ffff:192.0.2.1", "ff02::1"} {
			is = append(is,
				twinCase{"from " + from, "", w.fromVTEP(outer{from: from}, 1000, known), "up"},
				twinCase{"no I flag from " + from, "", w.vxlanTo(outer{from: from}, 0, 1000<<8, known), "up"},
			)
		}
	}
	return is
}

var allWays = []way{byXDP, byXDPPieces, byTCX, byTCXAlone}

// twinSettings are the ways that outer headers can be, of which each has programs of its
// own.
var twinSettings = []struct {
	name     string
	underlay string // of its table
	net      twinNet
	ways     []way
}{
	{"IPv4", "", twinNet4, allWays},
	{"IPv6", "", twinNet6, []way{byXDP}},
	{"IPv4 checksums", "udp_checksum = true", twinNet4, allWays},
	{"IPv6 zero checksums", "udp_checksum = false", twinNet6, []way{byXDP, byTCX}},
	{"fixed DSCP", "dscp = 46", twinNet4, []way{byXDP, byTCX}},
	{"fixed DSCP, IPv6", "dscp = 46", twinNet6, []way{byXDP}},
	{"no DF", "df = false", twinNet4, []way{byXDP, byTCX}},
	{"no DF, checksums", "df = false\nudp_checksum = true", twinNet4, []way{byXDP}},
	{"one source port", "source_ports = \"7-7\"", twinNet4, []way{byXDP}},
	{"all source ports", "source_ports = \"1-65535\"\nttl = 1", twinNet6, []way{byXDP}},
	{"another port", "port = 8472\nttl = 255", twinNet4, []way{byXDP}},
	{"VLAN", "interface = \"und0\"\nvlan = 77", twinNet4, []way{byXDP, byTCX}},
	{"VLAN, IPv6", "interface = \"und0\"\nvlan = 4094", twinNet6, []way{byXDP}},
	{"VLAN, checksums", "interface = \"und0\"\nvlan = 1\nudp_checksum = true", twinNet4, []way{byXDP}},
	{"strict", "reserved_bits = \"strict\"", twinNet4, []way{byXDP}},
}

// TestTwins: what the programs do with a frame is what the workers do, and they do it
// where they must.
func TestTwins(t *testing.T) {
	for _, s := range twinSettings {
		for _, by := range s.ways {
			t.Run(s.name+" by "+string(by), func(t *testing.T) {
				t.Parallel()
				w := newTwinTopology(t, by, s.net, s.underlay)
				for _, c := range slices.Concat(twinAccessCases(s.net), twinOverlayCases(w, s.net)) {
					t.Run(c.name, func(t *testing.T) {
						w.t = t
						if by.atTCX() {
							c.want = w.atTCX(c)
						}
						w.meets(c)
					})
				}
			})
		}
	}
}

func (w *twins) meets(c twinCase) {
	w.t.Helper()
	got := ""
	if c.in != "" {
		got = w.fromPort(w.port(c.in), c.f)
	} else {
		got = w.fromUnderlay(c.f)
	}
	if got != c.want {
		w.t.Errorf("%s, want %s", got, c.want)
	}
}

// atTCX is what the programs at TCX must do. They drop nothing, carry IP alone, and do not
// add up outer checksums, nor know tags.
func (w *twins) atTCX(c twinCase) string {
	u, f := &w.config().Underlay, c.f
	toVTEP := strings.HasPrefix(c.want, "to ") && strings.ContainsAny(c.want[3:], ".:")
	switch {
	case !strings.HasPrefix(c.want, "to "), u.VLAN != 0 && (c.in == "" || toVTEP), c.in != "" && u.Checksum:
		return "up"
	case c.in != "" && u.Address.Is6() && !u.ZeroChecksum6:
		return "up"
	case c.in == "":
		headers := 14 + 20 + 8
		if u.Address.Is6() {
			headers = 14 + 40 + 8
		}
		if f[headers-2] != 0 || f[headers-1] != 0 {
			return "up"
		}
		f = f[headers+vxlanHeader:]
	}
	const least = 14 + 20 + 8
	if t := frame.Frame(f).Type(); len(f) < least || t != frame.TypeIPv4 && t != frame.TypeIPv6 {
		return "up"
	}
	return c.want
}

// Frames that are in several pieces: a sum over the first of them is none over all.
func TestTwinsLongFrames(t *testing.T) {
	for underlay, want := range map[string]string{"": "to " + twinNet4.a, "udp_checksum = true": "up"} {
		w := newTwinTopology(t, byXDPPieces, twinNet4, underlay)
		w.t = t
		for _, name := range []string{"acc1", "acc2"} {
			id := w.port(name)
			w.setPort(id, tables.PortState{Dev: twinPort{w: w, id: id}, Up: true, MTU: 9000, Index: w.links[id]})
		}
		w.publish()
		for _, n := range []int{3000, 4000, 6000, 8900} {
			w.meets(twinCase{"to a VTEP", "acc1", data4(twinRA, twinH1, n), want})
			w.meets(twinCase{"to a port", "acc1", data4(twinH2, twinH1, n), "to acc2"})
			w.meets(twinCase{"from a VTEP", "", w.fromVTEP(outer{from: twinNet4.a}, 1000, data4(twinH1, twinRA, n)), "to acc1"})
			w.meets(twinCase{"from a VTEP that sums up", "", w.fromVTEP(outer{from: twinNet4.a, sum: true}, 1000, data4(twinH1, twinRA, n)), "up"})
		}
	}
}

// Flows to a VTEP behind two next hops go by the one that the workers would send them
// by, and some by either.
func TestTwinsSpreadFlows(t *testing.T) {
	for _, n := range []twinNet{twinNet4, twinNet6} {
		for _, by := range []way{byXDP, byTCX, byTCXAlone} {
			t.Run(n.a+" by "+string(by), func(t *testing.T) {
				underlay := ""
				if n == twinNet6 {
					underlay = "udp_checksum = false"
				}
				w := newTwinTopology(t, by, n, underlay)
				a, _ := w.tables.VTEP(netip.MustParseAddr(n.a))
				w.setHops(a, 9000)
				w.publish()
				const flows = 64
				sent := make(map[frame.MAC]int)
				for port := range flows {
					w.meets(twinCase{"", "acc1", with(data4(twinRA, twinH1, 100), 34, 0x40, byte(port)), "to " + n.a})
					sent[frame.Frame(w.left[0].bytes).Dst()]++
				}
				if len(sent) != 2 || sent[nextHop] < flows/8 || sent[otherHop] < flows/8 {
					t.Errorf("flows by next hop: %v", sent)
				}
			})
		}
	}
}

// What may open a TCP connection goes up where its MSS may have to be lowered, at either
// end of a routed way, and nothing else does.
func TestTwinsClampMSS(t *testing.T) {
	text := twinNet4.config("")
	for _, vni := range []string{"1000", "8000"} {
		text = strings.Replace(text, "id = "+vni+"\n", "id = "+vni+"\nclamp_mss = true\n", 1)
	}
	open := func(dst, src frame.MAC, from, to netip.AddrPort, flags ip.TCPFlags) []byte {
		return packet.Open(dst, src, from, to, flags, 1460)
	}
	for _, by := range allWays {
		w := newRoutedTwinsOf(t, by, twinNet4, text)
		a := outer{from: twinNet4.a}
		to := "to " + twinNet4.a
		addr := netip.MustParseAddrPort
		h7, h2, rb := addr("10.7.0.10:1000"), addr("10.8.0.10:2000"), addr("10.8.0.20:2000")
		for _, c := range []twinCase{
			{"SYN", "acc1", open(twinRA, twinH1, from4, to4, ip.SYN), "up"},
			{"SYN and ACK", "acc1", open(twinRA, twinH1, from4, to4, ip.SYN|ip.ACK), "up"},
			{"SYN over IPv6", "acc1", open(twinRA, twinH1, from6, to6, ip.SYN), "up"},
			{"SYN to another port", "acc1", open(twinH2, twinH1, from4, to4, ip.SYN), "up"},
			{"SYN from a VTEP", "", w.fromVTEP(a, 1000, open(twinH1, twinRA, to4, from4, ip.SYN|ip.ACK)), "up"},
			{"SYN over IPv6 from a VTEP", "", w.fromVTEP(a, 1000, open(twinH1, twinRA, to6, from6, ip.SYN)), "up"},
			{"no TCP header", "acc1", data4(twinRA, twinH1, 0)[:34+8], to},
			{"half a TCP header", "acc1", with(data4(twinRA, twinH1, 0), 23, ip.ProtoTCP), "up"},
			{"TCP with IPv4 options", "acc1", with(packet.Segment(twinRA, twinH1, from4, to4, 1, make([]byte, 100)), 14, 0x46), "up"},
			{"IPv6 extension headers", "acc1", with(data6(twinRA, twinH1, 100), 20, 0), "up"},

			{"ACK", "acc1", packet.Segment(twinRA, twinH1, from4, to4, 1, nil), to},
			{"data", "acc1", packet.Segment(twinRA, twinH1, from4, to4, 1, make([]byte, 1000)), to},
			{"data over IPv6", "acc1", packet.Segment(twinRA, twinH1, from6, to6, 1, make([]byte, 1000)), to},
			{"data from a VTEP", "", w.fromVTEP(a, 1000, packet.Segment(twinH1, twinRA, to4, from4, 1, make([]byte, 1000))), "to acc1"},
			{"UDP", "acc1", data4(twinRA, twinH1, 0), to},
			{"UDP over IPv6", "acc1", data6(twinRA, twinH1, 0), to},
			{"SYN into a VNI that clamps", "irb", open(twinGate, twinH7, h7, rb, ip.SYN), "up"},
			{"SYN out of a VNI that clamps", "irb2", open(twinGate, twinH2, h2, h7, ip.SYN), "up"},
			{"data into a VNI that clamps", "irb", packet.Segment(twinGate, twinH7, h7, rb, 1, make([]byte, 100)), "routed " + to},
			{"data out of a VNI that clamps", "irb2", packet.Segment(twinGate, twinH2, h2, h7, 1, make([]byte, 100)), "routed to irb"},
			{"SYN in another VNI", "tunnel", open(twinRA, twinTunnel, from4, to4, ip.SYN), to},
			{"SYN in another VNI from a VTEP", "", w.fromVTEP(a, 4000, open(twinTunnel, twinRA, to4, from4, ip.SYN)), "to tunnel"},
		} {
			t.Run(c.name+" by "+string(by), func(t *testing.T) {
				w.t = t
				switch {
				case by.atTCX() && strings.HasPrefix(c.want, "routed "):
					c.want = w.atTCXRouted(c)
				case by.atTCX():
					c.want = w.atTCX(c)
				}
				if strings.Contains(c.name, "a VNI that clamps") {
					w.teach(c)
				}
				w.meets(c)
			})
		}
	}
}

// A station may have become the gateway since it was learned.
func TestTwinsGatewayWasAStation(t *testing.T) {
	text := twinNet4.config("")
	w := newTwinTopology(t, byXDP, twinNet4, "")
	from := twinCase{"", "tunnel", data4(twinRA, twinTunnel, 100), "to " + twinNet4.a}
	w.meets(from)
	next, err := config.Parse("test.toml", []byte(strings.Replace(text, "id = 4000\n", "id = 4000\nvrf = \"red\"\ngateway = [\"10.4.0.1/24\"]\ngateway_mac = \""+twinTunnel.String()+"\"\n", 1)))
	must(t, err)
	_, err = w.Reload(next)
	must(t, err)
	w.publish()
	from.want = "up"
	w.meets(from)
	from.f = data4(twinTunnel, twinGuard, 100)
	from.in = "guard"
	w.meets(from)
}
