package fabric

import (
	"bytes"
	"net/netip"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/packet"
)

// dhcpMessage is a DHCP message of or for the client H1: op 1 asks, 2 answers.
func dhcpMessage(op byte, giaddr netip.Addr) []byte {
	m := make([]byte, 240, 300)
	m[0], m[1], m[2] = op, 1, 6
	g := giaddr.As4()
	copy(m[24:28], g[:])
	copy(m[28:34], H1[:])
	copy(m[236:240], []byte{0x63, 0x82, 0x53, 0x63})
	m[10] = 0x80 // to be answered by broadcast
	m = append(m, 53, 1, op, 255)
	return append(m, make([]byte, 300-len(m))...)
}

func discoverFor(giaddr netip.Addr) []byte {
	return packet.UDP(frame.Broadcast, H1, netip.MustParseAddrPort("0.0.0.0:68"), netip.MustParseAddrPort("255.255.255.255:67"), dhcpMessage(1, giaddr))
}

func offer(src frame.MAC, from netip.Addr) []byte {
	return packet.UDP(GW, src, netip.AddrPortFrom(from, 67), netip.AddrPortFrom(gw1, 67), dhcpMessage(2, gw1))
}

const relayed = `dhcp_servers = ["10.1.2.10"]`

// What a client asks goes to the server of its VNI, and what that answers to it.
func TestDHCPIsRelayed(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n, relayed)
		got := frame.Frame(n.Send("a.e1", discoverFor(netip.IPv4Unspecified())).Is("a.e3~").Frame("a.e3"))
		h, ok := ip.ParseIPv4(got.Payload())
		if !ok || h.Src() != gw1 || h.Dst() != r3 || got.Dst() != H3 || h.TTL() != 64 {
			t.Fatalf("the server got % x", got)
		}
		m := h.Payload()[ip.UDPHeaderLen:]
		if a := gw1.As4(); m[3] != 1 || !bytes.Equal(m[24:28], a[:]) || !bytes.Contains(m[240:], []byte("1000:port e1")) {
			t.Errorf("the server is told % x", m)
		}
		got = n.Send("a.e3", offer(H3, r3)).Is("a.e1~ a.e2~ a>192.0.2.2~").Frame("a.e1")
		if h, ok = ip.ParseIPv4(got.Payload()); !ok || h.Src() != gw1 || got.Dst() != frame.Broadcast {
			t.Errorf("the client got % x", got)
		}
	})
}

// Whoever is no server of the client's VNI would configure its hosts in the gateway's
// name: he is not believed.
func TestDHCPOfNoServer(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n, relayed)
		n.Inject("192.0.2.2", "a", 2000, offer(RA, rA)).Is("a!route:not_served")
		n.Send("a.e1", offer(H1, r1)).Is("a!route:not_served")
	})
}

// A storm in one VNI takes nothing from another one.
func TestDHCPStorm(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n, relayed)
		var storm [][]byte
		for range 1000 {
			storm = append(storm, discoverFor(netip.IPv4Unspecified()))
		}
		n.Burst("a.e1", storm...).Is("a.e3~*256 a!route:rx_overflow*744")
		claim := packet.ARP(frame.Broadcast, packet.ARPRequest, H3, gw2, frame.MAC{}, gw2)
		n.Send("a.e3", claim).Is("a!access:gateway_claimed a.e3~ a>192.0.2.2~ a>192.0.2.3~") // which is defended
	})
}

// A client that puts an address of the gateway's into giaddr, of whatever network,
// would be answered there (RFC 3046 section 2.1.1).
func TestDHCPSpoofedRelay(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n, relayed)
		n.Send("a.e1", discoverFor(gw1)).Is("a!route:not_served")
		n.Send("a.e1", discoverFor(gw2)).Is("a!route:not_served")
		n.Send("a.e1", discoverFor(netip.MustParseAddr("10.1.1.200"))).Is("a.e3~") // another relay's
	})
}
