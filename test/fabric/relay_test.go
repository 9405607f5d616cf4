package fabric

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/packet"
)

// The DHCP server of VNI 1000, behind VTEP b in VNI 2000, and the address that it
// lends.
var (
	server, serverSix = netip.MustParseAddr("10.1.2.21"), netip.MustParseAddr("2001:db8:2::21")
	serverMAC         = MAC("02:00:00:00:02:15")
	lent              = netip.MustParseAddr("10.1.1.50")
	allHosts          = netip.MustParseAddr("255.255.255.255")
	dhcpServers6      = netip.MustParseAddr("ff02::1:2")
)

// inOne is where a flood into VNI 1000 goes.
const inOne = "a.e1~ a.e2~ a>192.0.2.2~"

func relaying(n *Net) *Gateway {
	return routed(n, `dhcp_servers = ["10.1.2.21", "2001:db8:2::21"]`)
}

// bootp is a DHCP message (RFC 2131 section 2).
type bootp struct {
	op, hops       byte
	broadcast      bool
	ciaddr, yiaddr netip.Addr
	giaddr         netip.Addr
	mac            frame.MAC
	options        []byte // the end option is put behind them
}

func (m bootp) bytes() []byte {
	b := make([]byte, 240)
	b[0], b[1], b[2], b[3] = m.op, 1, 6, m.hops
	copy(b[4:], "\x12\x34\x56\x78\x00\x05") // transaction, seconds
	if m.broadcast {
		b[10] = 0x80
	}
	for at, a := range map[int]netip.Addr{12: m.ciaddr, 16: m.yiaddr, 24: m.giaddr} {
		copy(b[at:], a.AsSlice())
	}
	copy(b[28:], m.mac[:])
	copy(b[236:], "\x63\x82\x53\x63")
	b = append(append(b, m.options...), 255)
	return append(b, make([]byte, max(0, 300-len(b)))...)
}

// relayed is a message as the relay sends it on.
func (m bootp) relayed(circuit string) bootp {
	m.hops++
	m.giaddr = gw1
	m.options = append(bytes.Clone(m.options), relayOption(circuit)...)
	return m
}

// relayOption is option 82: where the client is, and at which gateway (RFC 3046).
func relayOption(circuit string) []byte {
	b := []byte{82, byte(2 + len(circuit) + 2 + 1), 1, byte(len(circuit))}
	return append(append(b, circuit...), 2, 1, 'a')
}

// answer is what the server says to a relayed message.
func (m bootp) answer(kind byte) bootp {
	m.op, m.yiaddr = 2, lent
	m.options = append([]byte{53, 1, kind, 54, 4, 10, 1, 2, 21}, m.options[bytes.LastIndexByte(m.options, 82):]...)
	return m
}

// discover is what a client asks first. Its options are some that nobody knows.
func discover(mac frame.MAC, broadcast bool) bootp {
	return bootp{op: 1, broadcast: broadcast, mac: mac, options: []byte{53, 1, 1, 0, 224, 3, 7, 7, 7, 55, 2, 1, 3}}
}

// dhcp4 is the frame that carries a message, as the gateway and clients write it: it
// may be cut.
func dhcp4(dst, src frame.MAC, from, to netip.AddrPort, m bootp) []byte {
	f := packet.UDP(dst, src, from, to, m.bytes())
	h := ip.IPv4(f[14:])
	h[6] = 0
	h.SetChecksum(0)
	h.SetChecksum(^ip.Sum(h[:20], 0))
	return f
}

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

func asks(m bootp) []byte {
	return dhcp4(frame.Broadcast, m.mac, at(netip.IPv4Unspecified(), 68), at(allHosts, 67), m)
}

func toServer(m bootp) []byte {
	return dhcp4(serverMAC, GW, at(gw1, 67), at(server, 67), m)
}

func fromServer(giaddr netip.Addr, m bootp) []byte {
	return dhcp4(GW, serverMAC, at(server, 67), at(giaddr, 67), m)
}

// There and back, the server unknown at first.
func TestRelay(t *testing.T) {
	Test(t, func(n *Net) {
		relaying(n)
		m := discover(H1, true)
		n.Send("a.e1", asks(m)).Is(inTwo).carries("a.e3", packet.ARP(frame.Broadcast, packet.ARPRequest, GW, gw2, frame.MAC{}, server))
		sent := m.relayed("1000:port e1")
		n.Inject("192.0.2.2", "a", 2000, packet.ARP(GW, packet.ARPReply, serverMAC, server, GW, gw2)).Is("a>192.0.2.2~").encapsulates(2000, toServer(sent))

		offer := sent.answer(2)
		r := n.Inject("192.0.2.2", "a", 2000, fromServer(gw1, offer)).Is(inOne)
		offer.options = offer.options[:9] // without the relay's
		want := dhcp4(frame.Broadcast, GW, at(gw1, 67), at(allHosts, 68), offer)
		r.carries("a.e1", want)
		r.encapsulates(1000, want)

		// A client that can take a unicast before it has its address gets one.
		m = discover(H1, false)
		sent = m.relayed("1000:port e1")
		n.Send("a.e1", asks(m)).Is("a>192.0.2.2~").encapsulates(2000, toServer(sent))
		ack := sent.answer(5)
		r = n.Inject("192.0.2.2", "a", 2000, fromServer(gw1, ack)).Is("a.e1~")
		ack.options = ack.options[:9]
		r.carries("a.e1", dhcp4(H1, GW, at(gw1, 67), at(lent, 68), ack))
	})
}

// A client behind a VTEP is served there, and the server told that he is.
func TestRelayFromAVTEP(t *testing.T) {
	Test(t, func(n *Net) {
		relaying(n)
		helloFrom(n, "b", 2000, serverMAC, server, gw2)
		m := discover(RB, false)
		sent := m.relayed("1000:vtep 192.0.2.2")
		n.Inject("192.0.2.2", "a", 1000, asks(m)).Is("a>192.0.2.2~").encapsulates(2000, toServer(sent))
		offer := sent.answer(2)
		r := n.Inject("192.0.2.2", "a", 2000, fromServer(gw1, offer)).Is("a>192.0.2.2~")
		offer.options = offer.options[:9]
		r.encapsulates(1000, dhcp4(RB, GW, at(gw1, 67), at(lent, 68), offer))
	})
}

// What another relay has put its address into goes on with that; what loops, lies or
// is no request goes nowhere (RFC 1542 section 4.1.1, RFC 3046 section 2.1).
func TestRelayRefuses(t *testing.T) {
	Test(t, func(n *Net) {
		g := relaying(n)
		helloFrom(n, "b", 2000, serverMAC, server, gw2)
		other := discover(H1, true)
		other.hops, other.giaddr = 3, netip.MustParseAddr("10.9.9.9")
		want := other
		want.hops++
		n.Send("a.e1", asks(other)).Is("a>192.0.2.2~").encapsulates(2000, toServer(want))

		for name, change := range map[string]func(*bootp){
			"16 hops":                  func(m *bootp) { m.hops = 16 },
			"the gateway's own giaddr": func(m *bootp) { m.giaddr = gw1 },
			"a client's option 82":     func(m *bootp) { m.options = append(m.options, relayOption("1000:port e2")...) },
			"a reply":                  func(m *bootp) { m.op = 2 },
		} {
			m := discover(H1, true)
			change(&m)
			if r := n.Send("a.e1", asks(m)); r.String() != "a!route:not_served" {
				t.Errorf("%s: %s", name, r)
			}
		}
		damaged := asks(discover(H1, true))
		damaged[len(damaged)-1] ^= 1
		n.Send("a.e1", damaged).Is("a!route:bad_ip_header")
		if !strings.Contains(g.Log(), "a DHCP message was not relayed") {
			t.Error("the log says nothing of it")
		}
	})
}

// A reply that says it is for another network than the one that it was sent to is
// nobody's.
func TestRelayedReplyIsSpoofed(t *testing.T) {
	Test(t, func(n *Net) {
		relaying(n)
		offer := discover(H1, true).relayed("1000:port e1").answer(2)
		for _, tt := range []struct{ to, giaddr netip.Addr }{{gw1, gw2}, {gw2, gw1}, {gw1, server}, {gw1, netip.IPv4Unspecified()}} {
			offer.giaddr = tt.giaddr
			n.Inject("192.0.2.2", "a", 2000, fromServer(tt.to, offer)).Is("a!route:not_served")
		}
		offer.giaddr = gw1
		f := fromServer(gw1, offer)
		f[len(f)-1] ^= 1
		n.Inject("192.0.2.2", "a", 2000, f).Is("a!route:bad_ip_header")
	})
}

// Where there are no servers nothing is relayed: DHCP is bridged like all else.
func TestNotRelayed(t *testing.T) {
	Test(t, func(n *Net) {
		relaying(n)
		n.Send("a.e3", asks(discover(H3, true))).Is("a>192.0.2.2 a>192.0.2.3")
		n.Send("a.e3", packet.UDP(packet.GroupMAC(dhcpServers6), H3, at(h1Link, 546), at(dhcpServers6, 547), solicit6)).Is("a>192.0.2.2 a>192.0.2.3")
	})
	Test(t, func(n *Net) {
		routed(n, `dhcp_servers = ["10.1.2.21"]`) // of the other family
		n.Send("a.e1", packet.UDP(packet.GroupMAC(dhcpServers6), H1, at(h1Link, 546), at(dhcpServers6, 547), solicit6)).Is("a.e2 a>192.0.2.2")
	})
}

// Messages of DHCPv6 (RFC 8415 sections 8 and 9): a client's, and a server's whose
// list of domains is compressed, which is not what a relay is to judge.
var (
	solicit6   = []byte{1, 0xaa, 0xbb, 0xcc, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 1, 1, 0, 8, 0, 2, 0, 0, 0xfe, 0x77, 0, 1, 9}
	advertise6 = []byte{2, 0xaa, 0xbb, 0xcc, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 1, 1, 0, 24, 0, 9, 1, 'a', 1, 'b', 0, 1, 'c', 0xc0, 2}
)

// relay6 is a message of a relay: forward (12) or reply (13).
func relay6(typ, hops byte, link, peer netip.Addr, options ...[]byte) []byte {
	b := append([]byte{typ, hops}, link.AsSlice()...)
	return append(append(b, peer.AsSlice()...), bytes.Join(options, nil)...)
}

func option6(code uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, code), uint16(len(data)))
	return append(b, data...)
}

// Interface id and relay message (RFC 8415 sections 21.18 and 21.10), and the client's
// MAC (RFC 6939 section 4).
const (
	interfaceID = 18
	relayedMsg  = 9
	clientMAC   = 79
)

// clientIs is the option with a MAC of Ethernet, hardware type 1.
func clientIs(m frame.MAC) []byte { return option6(clientMAC, append([]byte{0, 1}, m[:]...)) }

// There and back, server and client unknown at first.
func TestRelaySix(t *testing.T) {
	Test(t, func(n *Net) {
		relaying(n)
		ask := packet.UDP(packet.GroupMAC(dhcpServers6), H1, at(h1Link, 546), at(dhcpServers6, 547), solicit6)
		n.Send("a.e1", ask).Is(inTwo).carries("a.e3", control(packet.Solicit(GW, gw2six, serverSix)))
		circuit := option6(interfaceID, []byte("1000:port e1"))
		sent := packet.UDP(serverMAC, GW, at(gw1six, 547), at(serverSix, 547), relay6(12, 0, gw1six, h1Link, circuit, option6(relayedMsg, solicit6), clientIs(H1)))
		na := packet.Advertise(serverMAC, serverSix, GW, gw2six).Frame()
		n.Inject("192.0.2.2", "a", 2000, na).Is("a>192.0.2.2~").encapsulates(2000, sent)

		reply := packet.UDP(GW, serverMAC, at(serverSix, 547), at(gw1six, 547), relay6(13, 0, gw1six, h1Link, circuit, option6(relayedMsg, advertise6)))
		r := n.Inject("192.0.2.2", "a", 2000, reply).Is(inOne)
		r.carries("a.e1", control(packet.Solicit(GW, gwLink, h1Link)))
		want := packet.UDP(H1, GW, at(gwLink, 547), at(h1Link, 546), advertise6)
		n.Send("a.e1", packet.Advertise(H1, h1Link, GW, gwLink).Frame()).Is("a.e1~").carries("a.e1", want)
		n.Inject("192.0.2.2", "a", 2000, reply).Is("a.e1~").carries("a.e1", want) // he is known now
		n.Send("a.e1", ask).Is("a>192.0.2.2~").encapsulates(2000, sent)

		// Behind a VTEP.
		other := netip.MustParseAddr("fe80::20")
		n.Inject("192.0.2.2", "a", 1000, packet.Solicit(RB, other, gwLink).Frame()).Is("a>192.0.2.2~")
		ask = packet.UDP(packet.GroupMAC(dhcpServers6), RB, at(other, 546), at(dhcpServers6, 547), solicit6)
		circuit = option6(interfaceID, []byte("1000:vtep 192.0.2.2"))
		sent = packet.UDP(serverMAC, GW, at(gw1six, 547), at(serverSix, 547), relay6(12, 0, gw1six, other, circuit, option6(relayedMsg, solicit6), clientIs(RB)))
		n.Inject("192.0.2.2", "a", 1000, ask).Is("a>192.0.2.2~").encapsulates(2000, sent)
		reply = packet.UDP(GW, serverMAC, at(serverSix, 547), at(gw1six, 547), relay6(13, 0, gw1six, other, circuit, option6(relayedMsg, advertise6)))
		n.Inject("192.0.2.2", "a", 2000, reply).Is("a>192.0.2.2~").encapsulates(1000, packet.UDP(RB, GW, at(gwLink, 547), at(other, 546), advertise6))
	})
}

// Another relay in front of this one gets its own message back, at its port (RFC 8415
// sections 19.1.2 and 19.2).
func TestRelayOfARelaySix(t *testing.T) {
	Test(t, func(n *Net) {
		relaying(n)
		n.Inject("192.0.2.2", "a", 2000, packet.Solicit(serverMAC, serverSix, gw2six).Frame()).Is("a>192.0.2.2~")
		inner := relay6(12, 2, netip.MustParseAddr("2001:db8:77::1"), netip.MustParseAddr("fe80::77"), option6(relayedMsg, solicit6))
		circuit := option6(interfaceID, []byte("1000:port e1"))
		ask := packet.UDP(packet.GroupMAC(dhcpServers6), H1, at(r1six, 547), at(dhcpServers6, 547), inner)
		sent := packet.UDP(serverMAC, GW, at(gw1six, 547), at(serverSix, 547), relay6(12, 3, netip.IPv6Unspecified(), r1six, circuit, option6(relayedMsg, inner)))
		n.Send("a.e1", ask).Is("a>192.0.2.2~").encapsulates(2000, sent)

		inner[0] = 13
		reply := packet.UDP(GW, serverMAC, at(serverSix, 547), at(gw1six, 547), relay6(13, 3, netip.IPv6Unspecified(), r1six, circuit, option6(relayedMsg, inner)))
		r := n.Inject("192.0.2.2", "a", 2000, reply).Is("a.e1~")
		if got := r.Frame("a.e1"); !bytes.HasSuffix(got, inner) || binary.BigEndian.Uint16(got[14+40+2:]) != 547 {
			t.Errorf("the relay got\n%s", hex.Dump(got))
		}

		inner[0], inner[1] = 12, 8 // as many relays as there may be
		n.Send("a.e1", packet.UDP(packet.GroupMAC(dhcpServers6), H1, at(r1six, 547), at(dhcpServers6, 547), inner)).Is("a!route:not_served")
		n.Inject("192.0.2.2", "a", 2000, packet.UDP(GW, serverMAC, at(serverSix, 547), at(gw1six, 547), advertise6)).Is("a!route:not_served") // no relay's
	})
}
