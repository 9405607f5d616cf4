package neigh

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

var (
	here  = frame.MAC{2, 0, 0, 0, 1, 1}
	there = frame.MAC{2, 0, 0, 0, 2, 0xa}
	third = frame.MAC{2, 0, 0, 0, 3, 0xa}

	here4  = netip.MustParseAddr("10.1.1.10")
	there4 = netip.MustParseAddr("10.1.1.20")
	zero4  = netip.IPv4Unspecified()
	here6  = netip.MustParseAddr("2001:db8:1::10")
	there6 = netip.MustParseAddr("2001:db8:1::20")
)

func request(src frame.MAC, from, target netip.Addr) []byte {
	return packet.ARP(frame.Broadcast, packet.ARPRequest, src, from, frame.MAC{}, target)
}

func reply(src frame.MAC, addr netip.Addr) []byte {
	return packet.ARP(here, packet.ARPReply, src, addr, here, here4)
}

// with returns a copy of a frame with bytes changed from at on.
func with(f []byte, at int, b ...byte) []byte {
	f = bytes.Clone(f)
	copy(f[at:], b)
	return f
}

func TestReadARP(t *testing.T) {
	q := request(here, here4, there4)
	claims := Message{Says: Claims, Subject: here4, MAC: here}
	asks := claims
	asks.Asks = there4
	doubtful := Message{Says: Doubts, Subject: here4}
	tests := []struct {
		name string
		f    []byte
		want Message
	}{
		{"request", q, asks},
		{"request of 60 bytes", append(bytes.Clone(q), make([]byte, 18)...), asks},
		{"unicast request", with(q, 0, there[:]...), claims},
		{"request to a group", with(q, 0, 1, 0, 0x5e), claims},
		{"gratuitous request", request(here, here4, here4), claims},
		{"reply", packet.ARP(there, packet.ARPReply, here, here4, there, there4), claims},
		{"gratuitous reply", packet.ARP(frame.Broadcast, packet.ARPReply, here, here4, frame.Broadcast, here4), claims},
		{"probe", request(here, zero4, there4), Message{Says: Doubts, Subject: there4, MAC: here}},
		{"probe for nothing", request(here, zero4, zero4), Message{}},
		{"reply from nobody", packet.ARP(there, packet.ARPReply, here, zero4, there, there4), Message{}},
		{"another MAC inside", with(q, 22, third[:]...), doubtful},
		{"another MAC inside a reply", with(packet.ARP(there, packet.ARPReply, here, here4, there, there4), 22, third[:]...), doubtful},
		{"for a group", request(here, here4, netip.MustParseAddr("224.0.0.1")), claims},
		{"for 255.255.255.255", request(here, here4, netip.MustParseAddr("255.255.255.255")), claims},
		{"for 0.0.0.0", request(here, here4, zero4), claims},
		{"from loopback", request(here, netip.MustParseAddr("127.0.0.1"), there4), Message{}},
		{"from a group", request(here, netip.MustParseAddr("239.1.1.1"), there4), Message{}},
		{"hardware type 6", with(q, 14, 0, 6), Message{}},
		{"protocol type 86dd", with(q, 16, 0x86, 0xdd), Message{}},
		{"hardware addresses of 8 bytes", with(q, 18, 8), Message{}},
		{"protocol addresses of 16 bytes", with(q, 19, 16), Message{}},
		{"RARP's operation", with(q, 20, 0, 3), Message{}},
		{"operation 0", with(q, 20, 0, 0), Message{}},
		{"operation 257", with(q, 20, 1, 1), Message{}},
		{"27 bytes", q[:len(q)-1], Message{}},
		{"nothing", q[:14], Message{}},
		{"EtherType of RARP", with(q, 12, 0x80, 0x35), Message{}},
		{"IPv4", packet.Numbered(frame.Broadcast, here, 1), Message{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Read(tt.f); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestReadND(t *testing.T) {
	ns := func(change func(*packet.ND)) []byte {
		n := packet.Solicit(here, here6, there6)
		change(&n)
		return n.Frame()
	}
	na := func(change func(*packet.ND)) []byte {
		n := packet.Advertise(here, here6, there, there6)
		change(&n)
		return n.Frame()
	}
	dad := func(change func(*packet.ND)) []byte {
		n := packet.Detect(here, there6)
		change(&n)
		return n.Frame()
	}
	as := func(*packet.ND) {}
	confirms := Message{Says: Confirms, Subject: here6, MAC: here}
	asks := confirms
	asks.Asks = there6
	claims := Message{Says: Claims, Subject: here6, MAC: here, Advertised: true}
	confirmed := claims
	confirmed.Says = Confirms
	routes := claims
	routes.Router = true
	doubts := Message{Says: Doubts, Subject: here6}
	nonce := []byte{14, 1, 1, 2, 3, 4, 5, 6}
	tests := []struct {
		name string
		f    []byte
		want Message
	}{
		{"solicitation", ns(as), asks},
		{"with padding behind", append(ns(as), make([]byte, 9)...), asks},
		{"with another option in front", ns(func(n *packet.ND) { n.Options = append(nonce, n.Options...) }), asks},
		{"with another option behind", ns(func(n *packet.ND) { n.Options = append(n.Options, nonce...) }), asks},
		{"two source options: the first", ns(func(n *packet.ND) { n.Options = append(n.Options, packet.LinkLayer(1, third)...) }), asks},
		{"unicast solicitation", ns(func(n *packet.ND) { n.DstMAC, n.Dst = there, there6 }), confirms},
		{"to a station's MAC", ns(func(n *packet.ND) { n.DstMAC = there }), confirms},
		{"to all nodes", ns(func(n *packet.ND) { n.Dst = netip.IPv6LinkLocalAllNodes() }), confirms},
		{"for its own address", packet.Solicit(here, here6, here6).Frame(), confirms},
		{"without a source option", ns(func(n *packet.ND) { n.Options = nil }), Message{}},
		{"another MAC inside", ns(func(n *packet.ND) { n.Options = packet.LinkLayer(1, third) }), doubts},
		{"a source option of 16 bytes", ns(func(n *packet.ND) {
			n.Options = append([]byte{1, 2}, append(here[:], make([]byte, 8)...)...)
		}), Message{}},
		{"from loopback", ns(func(n *packet.ND) { n.Src = netip.IPv6Loopback() }), Message{}},
		{"for loopback", packet.Solicit(here, here6, netip.IPv6Loopback()).Frame(), confirms},
		{"for nobody", packet.Solicit(here, here6, netip.IPv6Unspecified()).Frame(), confirms},
		{"for IPv4 in IPv6", packet.Solicit(here, here6, netip.MustParseAddr("::ffff:10.1.1.20")).Frame(), confirms},

		{"duplicate address detection", dad(as), Message{Says: Doubts, Subject: there6, MAC: here}},
		{"with a nonce", dad(func(n *packet.ND) { n.Options = nonce }), Message{Says: Doubts, Subject: there6, MAC: here}},
		{"from nobody, with a source option", dad(func(n *packet.ND) { n.Options = packet.LinkLayer(1, here) }), Message{}},
		{"from nobody, with a source option of 16 bytes", dad(func(n *packet.ND) {
			n.Options = append([]byte{1, 2}, append(here[:], make([]byte, 8)...)...)
		}), Message{}},
		{"from nobody, to a station", dad(func(n *packet.ND) { n.Dst = there6 }), Message{}},
		{"from nobody, to another's group", dad(func(n *packet.ND) { n.Dst = packet.SolicitedNode(here6) }), Message{}},

		{"advertisement", na(as), claims},
		{"of a router", na(func(n *packet.ND) { n.Flags |= packet.FlagRouter }), routes},
		{"to all nodes", packet.Announce(here, here6).Frame(), claims},
		{"that does not override", na(func(n *packet.ND) { n.Flags = packet.FlagSolicited }), confirmed},
		{"without a target option", na(func(n *packet.ND) { n.Options = nil }), confirmed},
		{"another MAC inside", na(func(n *packet.ND) { n.Options = packet.LinkLayer(2, third) }), func() Message {
			m := doubts
			m.Advertised = true
			return m
		}()},
		{"on behalf of another address", na(func(n *packet.ND) { n.Src = there6 }), claims},
		{"solicited, to a group", na(func(n *packet.ND) { n.Dst = netip.IPv6LinkLocalAllNodes() }), Message{}},
		{"from a group", na(func(n *packet.ND) { n.Src = netip.IPv6LinkLocalAllNodes() }), Message{}},
		{"of nobody", na(func(n *packet.ND) { n.Target = netip.IPv6Unspecified() }), Message{}},

		{"hop limit 254", ns(func(n *packet.ND) { n.HopLimit = 254 }), Message{}},
		{"wrong checksum", ns(func(n *packet.ND) { n.BadChecksum = true }), Message{}},
		{"code 1", ns(func(n *packet.ND) { n.Code = 1 }), Message{}},
		{"target a group", ns(func(n *packet.ND) { n.Target = netip.MustParseAddr("ff02::1") }), Message{}},
		{"option of length 0", ns(func(n *packet.ND) { n.Options = make([]byte, 8) }), Message{}},
		{"option longer than the packet", ns(func(n *packet.ND) { n.Options = append([]byte{1, 2}, here[:]...) }), Message{}},
		{"option of one byte", ns(func(n *packet.ND) { n.Options = []byte{1} }), Message{}},
		{"23 bytes", func() []byte {
			f := ns(func(n *packet.ND) { n.Options = nil })
			binary.BigEndian.PutUint16(f[18:], 23)
			return f[:len(f)-1]
		}(), Message{}},
		{"longer than its frame", ns(as)[:85], Message{}},
		{"longer than anybody needs", ns(func(n *packet.ND) { n.Options = bytes.Repeat(nonce, 200) }), Message{}},
		{"router advertisement", ns(func(n *packet.ND) { n.Type = 134 }), Message{}},
		{"redirect", ns(func(n *packet.ND) { n.Type = 137 }), Message{}},
		{"UDP", packet.UDP(there, here, netip.AddrPortFrom(here6, 1), netip.AddrPortFrom(there6, 2), make([]byte, 40)), Message{}},
		{"IP version 4", with(ns(as), 14, 0x40), Message{}},
		{"no more than a header", ns(as)[:54], Message{}},
		{"nothing", ns(as)[:14], Message{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Read(tt.f); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// What is put on the wire is compared whole with what another library writes.
func TestAnswers(t *testing.T) {
	b := make([]byte, AnswerLen)
	for i := range b {
		b[i] = 0xa5
	}
	n := PutAnswer(b, append(request(here, here4, there4), make([]byte, 18)...), there, false)
	want := packet.ARP(here, packet.ARPReply, there, there4, here, here4)
	if !bytes.Equal(b[:n], want) {
		t.Errorf("ARP reply\n% x\nwant\n% x", b[:n], want)
	}
	for _, router := range []bool{false, true} {
		n := PutAnswer(b, packet.Solicit(here, here6, there6).Frame(), there, router)
		if want := advertisementOf(t, router); !bytes.Equal(b[:n], want) {
			t.Errorf("advertisement, router %t\n% x\nwant\n% x", router, b[:n], want)
		}
	}
}

// advertisementOf writes the answer with gopacket.
func advertisementOf(t *testing.T, router bool) []byte {
	t.Helper()
	ip := &layers.IPv6{
		Version: 6, TrafficClass: 0xc0, NextHeader: layers.IPProtocolICMPv6, HopLimit: 255,
		SrcIP: there6.AsSlice(), DstIP: here6.AsSlice(),
	}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(136, 0)}
	if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	flags := uint8(0x60)
	if router {
		flags |= 0x80
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{DstMAC: here[:], SrcMAC: there[:], EthernetType: layers.EthernetTypeIPv6}, ip, icmp,
		&layers.ICMPv6NeighborAdvertisement{
			Flags: flags, TargetAddress: there6.AsSlice(),
			Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: there[:]}},
		})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What asks nothing is answered with nothing.
func TestNoAnswer(t *testing.T) {
	b := make([]byte, AnswerLen)
	for name, f := range map[string][]byte{
		"ARP reply":                   reply(there, there4),
		"ARP cut short":               request(here, here4, there4)[:41],
		"advertisement":               packet.Announce(here, here6).Frame(),
		"duplicate address detection": packet.Detect(here, there6).Frame(),
		"IPv4":                        packet.Numbered(there, here, 1),
		"a header alone":              request(here, here4, there4)[:14],
	} {
		if n := PutAnswer(b, f, there, false); n != 0 {
			t.Errorf("%s is answered with % x", name, b[:n])
		}
	}
	if PutARPReply(b[:41], request(here, here4, there4), there) != 0 || PutAdvertisement(b[:85], packet.Solicit(here, here6, there6).Frame(), there, false) != 0 {
		t.Error("an answer in too little room")
	}
}

func TestReadAndAnswerAllocateNothing(t *testing.T) {
	b := make([]byte, AnswerLen)
	q4, q6 := request(here, here4, there4), packet.Solicit(here, here6, there6).Frame()
	if n := testing.AllocsPerRun(100, func() {
		Read(q4)
		Read(q6)
		PutAnswer(b, q4, there, false)
		PutAnswer(b, q6, there, false)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
