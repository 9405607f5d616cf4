package neigh

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// encode writes a frame with gopacket.
func encode(t testing.TB, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

// encodeND writes an ND message with gopacket.
func encodeND(t testing.TB, dst, src frame.MAC, from, to netip.Addr, typ uint8, message gopacket.SerializableLayer) []byte {
	t.Helper()
	h := &layers.IPv6{Version: 6, TrafficClass: 0xc0, NextHeader: layers.IPProtocolICMPv6, HopLimit: 255, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, 0)}
	if err := icmp.SetNetworkLayerForChecksum(h); err != nil {
		t.Fatal(err)
	}
	return encode(t, &layers.Ethernet{DstMAC: dst[:], SrcMAC: src[:], EthernetType: layers.EthernetTypeIPv6}, h, icmp, message)
}

// wrote checks that a writer filled n bytes of dst and no more, and returns them.
func wrote(t *testing.T, dst []byte, n int) []byte {
	t.Helper()
	if !bytes.Equal(dst[n:], bytes.Repeat([]byte{0xaa}, len(dst)-n)) {
		t.Fatalf("wrote past %d bytes: % x", n, dst)
	}
	return dst[:n]
}

func room(n int) []byte { return bytes.Repeat([]byte{0xaa}, n+8) }

func TestPutARPRequest(t *testing.T) {
	for _, tc := range []struct {
		name           string
		sender, target netip.Addr
		to             frame.MAC
		want           Message
	}{
		{"a request", here4, there4, frame.Broadcast, Message{Says: Claims, Subject: here4, MAC: here, Asks: there4}},
		{"to one station, as RFC 1122 section 2.3.2.1 asks whether it is there", here4, there4, there, Message{Says: Claims, Subject: here4, MAC: here}},
		{"a probe (RFC 5227 section 1.1)", zero4, there4, frame.Broadcast, Message{Says: Doubts, Subject: there4, MAC: here}},
		{"an announcement (RFC 5227 section 3)", here4, here4, frame.Broadcast, Message{Says: Claims, Subject: here4, MAC: here}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dst := room(ARPRequestLen)
			got := wrote(t, dst, PutARPRequest(dst, here, tc.sender, tc.target, tc.to))
			want := encode(t, &layers.Ethernet{DstMAC: tc.to[:], SrcMAC: here[:], EthernetType: layers.EthernetTypeARP},
				&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
					SourceHwAddress: here[:], SourceProtAddress: tc.sender.AsSlice(),
					// RFC 5227 section 2.1.1: the target hardware address "SHOULD be set to all zeroes".
					DstHwAddress: make([]byte, 6), DstProtAddress: tc.target.AsSlice()})
			// gopacket pads to the 60 bytes of a wire.
			if !bytes.Equal(got, want[:ARPRequestLen]) || len(got) != 42 {
				t.Fatalf("got  % x\nwant % x", got, want)
			}
			if m := Read(got); m != tc.want {
				t.Errorf("says %+v, want %+v", m, tc.want)
			}
		})
	}
}

func TestPutARPRequestRefuses(t *testing.T) {
	for _, tc := range []struct {
		name           string
		n              int
		sender, target netip.Addr
	}{
		{"no room", ARPRequestLen - 1, here4, there4},
		{"an IPv6 sender", ARPRequestLen, here6, there4},
		{"an IPv6 target", ARPRequestLen, here4, there6},
		{"no sender", ARPRequestLen, netip.Addr{}, there4},
		{"an IPv4 address mapped into IPv6", ARPRequestLen, here4, netip.AddrFrom16(there4.As16())},
	} {
		if n := PutARPRequest(make([]byte, tc.n), here, tc.sender, tc.target, frame.Broadcast); n != 0 {
			t.Errorf("%s: %d bytes", tc.name, n)
		}
	}
}

func TestPutSolicitation(t *testing.T) {
	group := netip.MustParseAddr("ff02::1:ff00:20")
	groupMAC := frame.MAC{0x33, 0x33, 0xff, 0, 0, 0x20}
	source := layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: here[:]}}
	for _, tc := range []struct {
		name    string
		src     netip.Addr
		to      frame.MAC
		dst     netip.Addr
		dstMAC  frame.MAC
		options layers.ICMPv6Options
		want    Message
	}{
		{"to whoever listens", here6, frame.MAC{}, group, groupMAC, source, Message{Says: Confirms, Subject: here6, MAC: here, Asks: there6}},
		{"to one station (RFC 4861 section 7.3.3)", here6, there, there6, there, source, Message{Says: Confirms, Subject: here6, MAC: here}},
		{"duplicate address detection names no source (RFC 4862 section 5.4.2)", netip.IPv6Unspecified(), frame.MAC{}, group, groupMAC, nil,
			Message{Says: Doubts, Subject: there6, MAC: here}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dst := room(SolicitationLen)
			got := wrote(t, dst, PutSolicitation(dst, here, tc.src, there6, tc.to))
			want := encodeND(t, tc.dstMAC, here, tc.src, tc.dst, 135,
				&layers.ICMPv6NeighborSolicitation{TargetAddress: there6.AsSlice(), Options: tc.options})
			if !bytes.Equal(got, want) {
				t.Fatalf("got  % x\nwant % x", got, want)
			}
			p, ok := ParseND(frame.Frame(got).Payload())
			mac, named := p.SourceMAC()
			if !ok || !p.IsSolicitation() || p.Target() != there6 || p.Dst() != tc.dst || named != (tc.options != nil) || named && mac != here {
				t.Errorf("read back: %t, % x", ok, p)
			}
			if m := Read(got); m != tc.want {
				t.Errorf("says %+v, want %+v", m, tc.want)
			}
		})
	}
}

func TestPutSolicitationRefuses(t *testing.T) {
	for _, tc := range []struct {
		name        string
		n           int
		src, target netip.Addr
	}{
		{"no room", SolicitationLen - 1, here6, there6},
		{"an IPv4 source", SolicitationLen, here4, there6},
		{"an IPv4 target", SolicitationLen, here6, there4},
		{"no target", SolicitationLen, here6, netip.Addr{}},
	} {
		if n := PutSolicitation(make([]byte, tc.n), here, tc.src, tc.target, frame.MAC{}); n != 0 {
			t.Errorf("%s: %d bytes", tc.name, n)
		}
	}
}

// advertisement written by gopacket, of there6 at third.
func gatewayAdvertisement(t *testing.T, dst frame.MAC, to netip.Addr, flags uint8) []byte {
	return encodeND(t, dst, third, there6, to, 136, &layers.ICMPv6NeighborAdvertisement{
		Flags: flags, TargetAddress: there6.AsSlice(), Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: third[:]}}})
}

func TestPutGatewayAnswer(t *testing.T) {
	all, allMAC := netip.MustParseAddr("ff02::1"), frame.MAC{0x33, 0x33, 0, 0, 0, 1}
	unicast := packet.Solicit(here, here6, there6)
	unicast.DstMAC, unicast.Dst = third, there6
	arp := func(dst netip.Addr) []byte { return packet.ARP(here, packet.ARPReply, third, there4, here, dst) }
	for _, tc := range []struct {
		name string
		req  []byte
		want []byte
	}{
		{"an ARP request", request(here, here4, there4), arp(here4)},
		{"an ARP request to the gateway alone", with(request(here, here4, there4), 0, third[:]...), arp(here4)},
		{"an ARP probe (RFC 5227 section 2.1.1)", request(here, zero4, there4), arp(zero4)},
		{"a solicitation", packet.Solicit(here, here6, there6).Frame(), gatewayAdvertisement(t, here, here6, 0xe0)},
		{"a unicast solicitation", unicast.Frame(), gatewayAdvertisement(t, here, here6, 0xe0)},
		{"duplicate address detection is answered to everybody, not as solicited (RFC 4861 section 7.2.4)", packet.Detect(here, there6).Frame(),
			gatewayAdvertisement(t, allMAC, all, 0xa0)},
		{"an ARP reply", reply(here, there4), nil},
		{"an advertisement", packet.Announce(here, there6).Frame(), nil},
		{"IPv4", packet.Numbered(third, here, 1), nil},
		{"a cut ARP request", request(here, here4, there4)[:41], nil},
		{"no frame", make([]byte, 13), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dst := room(AnswerLen)
			got := wrote(t, dst, PutGatewayAnswer(dst, tc.req, third))
			if !bytes.Equal(got, tc.want) {
				t.Fatalf("got  % x\nwant % x", got, tc.want)
			}
			if n := PutGatewayAnswer(make([]byte, AnswerLen-1), tc.req, third); n != 0 {
				t.Errorf("%d bytes without room", n)
			}
		})
	}
}

func TestPutUnsolicited(t *testing.T) {
	dst := room(AdvertisementLen)
	got := wrote(t, dst, PutUnsolicited(dst, third, there6))
	want := gatewayAdvertisement(t, frame.MAC{0x33, 0x33, 0, 0, 0, 1}, netip.MustParseAddr("ff02::1"), 0xa0)
	if !bytes.Equal(got, want) {
		t.Fatalf("got  % x\nwant % x", got, want)
	}
	if m, want := Read(got), (Message{Says: Claims, Subject: there6, MAC: third, Advertised: true, Router: true}); m != want {
		t.Errorf("says %+v, want %+v", m, want)
	}
	if PutUnsolicited(make([]byte, AdvertisementLen-1), third, there6) != 0 || PutUnsolicited(dst, third, there4) != 0 {
		t.Error("written without room, or for IPv4")
	}
}

// The examples of the RFCs, and the corners of what is copied.
func TestAddresses(t *testing.T) {
	for _, tc := range []struct {
		name string
		got  any
		want any
	}{
		{"solicited node, RFC 4291 section 2.7.1", SolicitedNode(netip.MustParseAddr("4037::01:800:200e:8c6c")), netip.MustParseAddr("ff02::1:ff0e:8c6c")},
		{"solicited node of zeros", SolicitedNode(netip.MustParseAddr("2001:db8::")), netip.MustParseAddr("ff02::1:ff00:0")},
		{"solicited node of ones", SolicitedNode(netip.MustParseAddr("2001:db8::ffff:ffff")), netip.MustParseAddr("ff02::1:ffff:ffff")},
		{"MAC of a group, RFC 2464 section 7", GroupMAC(netip.MustParseAddr("ff02::1:ff0e:8c6c")), frame.MAC{0x33, 0x33, 0xff, 0x0e, 0x8c, 0x6c}},
		{"MAC of all nodes", GroupMAC(netip.MustParseAddr("ff02::1")), frame.MAC{0x33, 0x33, 0, 0, 0, 1}},
		{"link-local, RFC 2464 sections 4 and 5", LinkLocal(frame.MAC{0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde}), netip.MustParseAddr("fe80::3656:78ff:fe9a:bcde")},
		{"link-local of a local MAC", LinkLocal(frame.MAC{2, 0, 0, 0, 1, 1}), netip.MustParseAddr("fe80::ff:fe00:101")},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}

func TestAskAllocatesNothing(t *testing.T) {
	dst, dad, rs := make([]byte, SolicitationLen), packet.Detect(here, there6).Frame(), solicit(t, rs{})
	n := testing.AllocsPerRun(100, func() {
		PutARPRequest(dst, here, here4, there4, frame.Broadcast)
		PutSolicitation(dst, here, here6, there6, frame.MAC{})
		PutGatewayAnswer(dst, dad, third)
		IsRouterSolicitation(rs)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever is asked, an answer is a claim that the gateway has what was asked for,
// and nothing is written behind it.
func FuzzPutGatewayAnswer(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, req []byte) {
		dst := room(AnswerLen)
		got := frame.Frame(wrote(t, dst, PutGatewayAnswer(dst, req, third)))
		if len(got) == 0 {
			return
		}
		target := netip.Addr{}
		if a, ok := ParseARP(frame.Frame(req).Payload()); ok && frame.Frame(req).Type() == frame.TypeARP {
			target = a.Target()
			if r, ok := ParseARP(got.Payload()); !ok || r.Op() != ARPReply || r.Sender() != target || r.SenderMAC() != third {
				t.Fatalf("% x", got)
			}
		} else if p, ok := ParseND(frame.Frame(req).Payload()); ok {
			target = p.Target()
			r, ok := ParseND(got.Payload())
			mac, named := r.TargetMAC()
			if !ok || r.IsSolicitation() || r.Target() != target || mac != third || !named || !r.Router() || r.Solicited() == p.Src().IsUnspecified() {
				t.Fatalf("% x", got)
			}
		}
		if !target.IsValid() || got.Src() != third {
			t.Fatalf("answered what asks nothing: % x", got)
		}
	})
}
