package ip

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
)

var (
	echoed4 = netip.AddrFrom4([4]byte(v4B))
	echoed6 = netip.AddrFrom16([16]byte(v6B))
)

// echo4 is an echo message, which mend may bend before it is encoded.
func echo4(t testing.TB, typ uint8, body []byte, mend func(*layers.Ethernet, *layers.IPv4)) []byte {
	e, h := ethernet(layers.EthernetTypeIPv4), header4(layers.IPProtocolICMPv4)
	if mend != nil {
		mend(e, h)
	}
	return build(t, e, h, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, 0), Id: 0x4711, Seq: 3}, gopacket.Payload(body))
}

// echo6 is echo4 for IPv6, with the bytes of extension headers in front, of which
// the first has the number next.
func echo6(t testing.TB, typ, next uint8, extensions, body []byte, mend func(*layers.Ethernet, *layers.IPv6)) []byte {
	e, h := ethernet(layers.EthernetTypeIPv6), header6(layers.IPProtocolICMPv6)
	if mend != nil {
		mend(e, h)
	}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, 0)}
	if err := icmp.SetNetworkLayerForChecksum(h); err != nil {
		t.Fatal(err)
	}
	message := build(t, icmp, gopacket.Payload(append([]byte{0x47, 0x11, 0, 3}, body...)))
	if len(extensions) > 0 {
		h.NextHeader = layers.IPProtocol(next)
	}
	return build(t, e, h, gopacket.Payload(append(bytes.Clone(extensions), message...)))
}

func recordRoute(_ *layers.Ethernet, h *layers.IPv4) {
	h.Options = []layers.IPv4Option{{OptionType: 7, OptionLength: 7, OptionData: []byte{4, 0, 0, 0, 0}}, {OptionType: 1}}
}

func tos(_ *layers.Ethernet, h *layers.IPv4) { h.TOS, h.Flags = 0xb9, 0 }

// The reply, byte for byte, is what gopacket encodes.
func TestTurnEchoIPv4(t *testing.T) {
	back := func(mend func(*layers.Ethernet, *layers.IPv4)) func(*layers.Ethernet, *layers.IPv4) {
		return func(e *layers.Ethernet, h *layers.IPv4) {
			if mend != nil {
				mend(e, h)
			}
			e.DstMAC, e.SrcMAC = e.SrcMAC, e.DstMAC
			h.DstIP, h.SrcIP = h.SrcIP, h.DstIP
			h.TTL = 64
		}
	}
	for _, tc := range []struct {
		name string
		n    int
		mend func(*layers.Ethernet, *layers.IPv4)
		pad  []byte
	}{
		{"56 bytes, as ping sends them", 56, nil, nil},
		{"no data", 0, nil, nil},
		{"one byte", 1, nil, nil},
		{"an odd length", 57, nil, nil},
		{"1472 bytes", 1472, nil, nil},
		{"TOS, and DF not set", 56, tos, nil},
		{"options", 56, recordRoute, nil},
		{"Ethernet padding stays", 1, nil, bytes.Repeat([]byte{0xee}, 17)},
		{"TTL 1", 8, func(_ *layers.Ethernet, h *layers.IPv4) { h.TTL = 1 }, nil},
		{"TTL 255", 8, func(_ *layers.Ethernet, h *layers.IPv4) { h.TTL = 255 }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := append(echo4(t, 8, payload(tc.n), tc.mend), tc.pad...)
			want := append(echo4(t, 0, payload(tc.n), back(tc.mend)), tc.pad...)
			if !TurnEcho(f, echoed4) || !bytes.Equal(f, want) {
				t.Fatalf("got  % x\nwant % x", f, want)
			}
		})
	}
}

func TestTurnEchoIPv6(t *testing.T) {
	back := func(e *layers.Ethernet, h *layers.IPv6) {
		e.DstMAC, e.SrcMAC = e.SrcMAC, e.DstMAC
		h.DstIP, h.SrcIP = h.SrcIP, h.DstIP
		h.HopLimit = 64
	}
	hop, both := []byte{58, 0, 1, 4, 0, 0, 0, 0}, []byte{60, 0, 1, 4, 0, 0, 0, 0, 58, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, tc := range []struct {
		name       string
		n          int
		next       uint8
		extensions []byte
		pad        []byte
	}{
		{"56 bytes, as ping sends them", 56, 0, nil, nil},
		{"no data", 0, 0, nil, nil},
		{"an odd length", 57, 0, nil, nil},
		{"1452 bytes", 1452, 0, nil, nil},
		{"Hop-by-Hop", 9, 0, hop, nil},
		{"Hop-by-Hop and Destination", 9, 0, both, nil},
		{"padding stays", 0, 0, nil, []byte{0xee, 0xee, 0xee}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := append(echo6(t, 128, tc.next, tc.extensions, payload(tc.n), nil), tc.pad...)
			want := append(echo6(t, 129, tc.next, tc.extensions, payload(tc.n), back), tc.pad...)
			if !TurnEcho(f, echoed6) || !bytes.Equal(f, want) {
				t.Fatalf("got  % x\nwant % x", f, want)
			}
		})
	}
}

// Identifier and sequence zero and no data: the reply is all zero but for its
// checksum, which must not be brought along to a wrong zero (RFC 1624 section 4).
func TestTurnEchoOfZeros(t *testing.T) {
	for _, n := range []int{0, 1, 32} {
		f := build(t, ethernet(layers.EthernetTypeIPv4), header4(layers.IPProtocolICMPv4),
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0)}, gopacket.Payload(make([]byte, n)))
		if !TurnEcho(f, echoed4) {
			t.Fatalf("%d bytes: no reply", n)
		}
		checksumsRight(t, f)
		checkICMPSums(t, f)
	}
}

func TestTurnEchoRefuses(t *testing.T) {
	good4, good6 := echo4(t, 8, payload(56), nil), echo6(t, 128, 0, nil, payload(56), nil)
	bent := func(f []byte, at int, v byte) []byte {
		f = bytes.Clone(f)
		f[at] = v
		return f
	}
	from4 := func(a ...byte) []byte {
		return echo4(t, 8, payload(8), func(_ *layers.Ethernet, h *layers.IPv4) { h.SrcIP = a })
	}
	from6 := func(a netip.Addr) []byte {
		return echo6(t, 128, 0, nil, payload(8), func(_ *layers.Ethernet, h *layers.IPv6) { h.SrcIP = a.AsSlice() })
	}
	fragment4 := func(offset uint16, flags layers.IPv4Flag) []byte {
		return echo4(t, 8, payload(8), func(_ *layers.Ethernet, h *layers.IPv4) { h.FragOffset, h.Flags = offset, flags })
	}
	group := func(e *layers.Ethernet, _ *layers.IPv4) { e.DstMAC = net.HardwareAddr{1, 0, 0x5e, 0, 0, 1} }
	code := build(t, ethernet(layers.EthernetTypeIPv4), header4(layers.IPProtocolICMPv4), &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 1)})
	for _, tc := range []struct {
		name string
		f    []byte
		to   netip.Addr
	}{
		{"another's address", good4, router4},
		{"another's IPv6 address", good6, router6},
		{"the other family", good4, echoed6},
		{"the address mapped into IPv6", good4, netip.AddrFrom16(echoed4.As16())},
		{"no address", good4, netip.Addr{}},
		{"a reply", echo4(t, 0, payload(8), nil), echoed4},
		{"an IPv6 reply", echo6(t, 129, 0, nil, payload(8), nil), echoed6},
		{"a timestamp request", echo4(t, 13, payload(8), nil), echoed4},
		{"an error", echo4(t, 3, payload(8), nil), echoed4},
		{"code 1", code, echoed4},
		{"wrong ICMP checksum", bent(good4, len(good4)-1, good4[len(good4)-1]+1), echoed4},
		{"wrong header checksum", bent(good4, 14+10, good4[14+10]+1), echoed4},
		{"wrong ICMPv6 checksum", bent(good6, len(good6)-1, good6[len(good6)-1]+1), echoed6},
		{"first fragment", fragment4(0, layers.IPv4MoreFragments), echoed4},
		{"later fragment", fragment4(8, 0), echoed4},
		{"IPv6 fragment", echo6(t, 128, 44, []byte{58, 0, 0, 1, 0, 0, 0, 1}, payload(8), nil), echoed6},
		{"atomic IPv6 fragment", echo6(t, 128, 44, []byte{58, 0, 0, 0, 0, 0, 0, 1}, payload(8), nil), echoed6},
		{"Routing header", echo6(t, 128, 43, []byte{58, 0, 2, 0, 0, 0, 0, 0}, payload(8), nil), echoed6},
		{"from 0.0.0.0", from4(0, 0, 0, 0), echoed4},
		{"from loopback", from4(127, 0, 0, 1), echoed4},
		{"from a group", from4(224, 0, 0, 1), echoed4},
		{"from everybody", from4(255, 255, 255, 255), echoed4},
		{"from ::", from6(netip.IPv6Unspecified()), echoed6},
		{"from ::1", from6(netip.IPv6Loopback()), echoed6},
		{"from ff02::1", from6(netip.MustParseAddr("ff02::1")), echoed6},
		{"to a group's MAC", echo4(t, 8, payload(8), group), echoed4},
		{"message of 7 bytes", icmp4(t, 8, 0, 0xf7, 0xff, 0, 0, 0), echoed4},
		{"no message", icmp4(t), echoed4},
		{"no IPv6 message", icmp6(t), echoed6},
		{"UDP", udp4(t, 8, nil), echoed4},
		{"cut", good4[:len(good4)-1], echoed4},
		{"no frame", good4[:13], echoed4},
		{"nothing", nil, echoed4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := bytes.Clone(tc.f)
			if TurnEcho(f, tc.to) {
				t.Error("it was turned")
			}
			if !bytes.Equal(f, tc.f) {
				t.Errorf("not turned, but changed:\nwas % x\nis  % x", tc.f, f)
			}
		})
	}
}

func TestTurnEchoAllocatesNothing(t *testing.T) {
	f4, f6 := echo4(t, 8, payload(56), nil), echo6(t, 128, 0, nil, payload(56), nil)
	b4, b6 := bytes.Clone(f4), bytes.Clone(f6)
	n := testing.AllocsPerRun(100, func() {
		copy(b4, f4)
		copy(b6, f6)
		if !TurnEcho(b4, echoed4) || !TurnEcho(b6, echoed6) {
			t.Fatal("not turned")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Either nothing changes, or an echo request becomes a reply with right checksums,
// in which only what has to is another, and which is not turned again.
func FuzzTurnEcho(f *testing.F) {
	f.Add(echo4(f, 8, payload(9), nil))
	f.Add(echo4(f, 8, payload(9), recordRoute))
	f.Add(echo6(f, 128, 0, nil, payload(9), nil))
	f.Add(echo6(f, 128, 0, []byte{58, 0, 1, 4, 0, 0, 0, 0}, payload(9), nil))
	f.Add(icmp4(f, 3, 1, 0, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		right(in)
		got := bytes.Clone(in)
		var to netip.Addr
		if len(in) > 14 {
			if h, ok := ParseIPv4(in[14:]); ok {
				to = h.Dst()
			} else if h, ok := ParseIPv6(in[14:]); ok {
				to = h.Dst()
			}
		}
		if !TurnEcho(got, to) {
			if !bytes.Equal(got, in) {
				t.Fatalf("not turned, but changed: % x", got)
			}
			return
		}
		checkICMPSums(t, got)
		back := bytes.Clone(got)
		at := undo(back)
		if in[at] != 8 && in[at] != 128 || got[at] != 0 && got[at] != 129 {
			t.Fatalf("type %d became %d", in[at], got[at])
		}
		back[at] = in[at]
		copy(back[at+2:at+4], in[at+2:at+4])
		if frame.Frame(in).Type() == frame.TypeIPv4 {
			back[14+8] = in[14+8]
			copy(back[14+10:14+12], in[14+10:14+12])
		} else {
			back[14+7] = in[14+7]
		}
		if !bytes.Equal(back, in) {
			t.Fatalf("more changed than may:\nwas % x\nis  % x", in, got)
		}
		if TurnEcho(got, to) {
			t.Fatalf("a reply was turned: % x", got)
		}
	})
}

// undo exchanges the addresses of a frame again, and returns where its ICMP message
// is.
func undo(f []byte) int {
	swap(f[0:6], f[6:12])
	if h, ok := ParseIPv4(f[14:]); ok {
		swap(h[12:16], h[16:20])
		return 14 + h.HeaderLen()
	}
	h, _ := ParseIPv6(f[14:])
	u, _ := h.Upper()
	swap(h[8:24], h[24:40])
	return 14 + u.Off
}
