package ip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
)

var (
	router4 = netip.MustParseAddr("10.1.1.1")
	router6 = netip.MustParseAddr("2001:db8:1::1")
)

// errorKinds is what goes on the wire for each error, written out a second time.
var errorKinds = []struct {
	e           Error
	name        string
	typ4, code4 uint8
	typ6, code6 uint8
}{
	{TTLExceeded, "TTL exceeded", 11, 0, 3, 0},
	{NetUnreachable, "net unreachable", 3, 0, 1, 0},
	{HostUnreachable, "host unreachable", 3, 1, 1, 3},
	{PortUnreachable, "port unreachable", 3, 3, 1, 4},
	{ProtocolUnreachable, "protocol unreachable", 3, 2, 4, 1},
	{FragmentationNeeded, "fragmentation needed", 3, 4, 2, 0},
	{BeyondScope, "beyond scope", 3, 0, 1, 2},
	{AdminProhibited, "prohibited", 3, 13, 1, 1},
	{ParameterProblem, "parameter problem", 12, 0, 4, 0},
}

func TestErrorKindsAreAll(t *testing.T) {
	if len(errorKinds) != int(numErrors) {
		t.Errorf("%d kinds are tested, there are %d", len(errorKinds), numErrors)
	}
}

// The lengths of packets around those where the quote is cut.
var quoted = []int{0, 1, 8, 64, 527, 528, 529, 1191, 1192, 1193, 1460}

// Every error, byte for byte, against one that gopacket encodes.
func TestPutErrorIPv4(t *testing.T) {
	for _, k := range errorKinds {
		for _, n := range quoted {
			t.Run(fmt.Sprintf("%s, %d bytes", k.name, n), func(t *testing.T) {
				f := append(udp4(t, n, nil), 0xee, 0xee) // Ethernet padding is no part of the packet
				dst := bytes.Repeat([]byte{0xaa}, ErrorLen+1)
				got := dst[:PutError(dst, f, k.e, 1450, router4)]

				icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(k.typ4, k.code4)}
				switch k.e {
				case FragmentationNeeded:
					icmp.Seq = 1450
				case ParameterProblem:
					icmp.Id = 1450 & 0xff << 8
				}
				want := build(t,
					&layers.Ethernet{SrcMAC: macB, DstMAC: macA, EthernetType: layers.EthernetTypeIPv4},
					&layers.IPv4{Version: 4, IHL: 5, TOS: 0xc0, TTL: 255, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolICMPv4,
						SrcIP: router4.AsSlice(), DstIP: v4A},
					icmp, gopacket.Payload(f[14:14+min(20+n, 576-28)]))
				if !bytes.Equal(got, want) {
					t.Fatalf("got  % x\nwant % x", got, want)
				}
				if len(got) > 14+576 {
					t.Errorf("%d bytes", len(got))
				}
				checksumsRight(t, got)
			})
		}
	}
}

func TestPutErrorIPv6(t *testing.T) {
	for _, k := range errorKinds {
		for _, n := range quoted {
			t.Run(fmt.Sprintf("%s, %d bytes", k.name, n), func(t *testing.T) {
				f := append(udp6(t, n, nil), 0xee, 0xee)
				dst := bytes.Repeat([]byte{0xaa}, ErrorLen+1)
				got := dst[:PutError(dst, f, k.e, 1450, router6)]

				h := &layers.IPv6{Version: 6, TrafficClass: 0xc0, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: router6.AsSlice(), DstIP: v6A}
				icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(k.typ6, k.code6)}
				if err := icmp.SetNetworkLayerForChecksum(h); err != nil {
					t.Fatal(err)
				}
				field := map[Error]uint32{FragmentationNeeded: 1450, ParameterProblem: 1450, ProtocolUnreachable: 6}[k.e]
				body := append(binary.BigEndian.AppendUint32(nil, field), f[14:14+min(40+n, 1280-48)]...)
				want := build(t, &layers.Ethernet{SrcMAC: macB, DstMAC: macA, EthernetType: layers.EthernetTypeIPv6}, h, icmp, gopacket.Payload(body))
				if !bytes.Equal(got, want) {
					t.Fatalf("got  % x\nwant % x", got, want)
				}
				if len(got) > 14+1280 {
					t.Errorf("%d bytes", len(got))
				}
				checksumsRight(t, got)
			})
		}
	}
}

func TestPutErrorMTU(t *testing.T) {
	f4, f6 := udp4(t, 1480, nil), udp6(t, 1460, nil)
	for _, tc := range []struct {
		name string
		f    []byte
		from netip.Addr
		mtu  int
		want uint32
	}{
		{"IPv4", f4, router4, 1400, 1400},
		{"IPv4, more than the field holds", f4, router4, 70000, 65535},
		{"IPv6", f6, router6, 1400, 1400},
		{"IPv6, more than 16 bits", f6, router6, 70000, 70000},
		{"IPv6, less than any link carries", f6, router6, 1000, 1280},
	} {
		dst := make([]byte, ErrorLen)
		n := PutError(dst, tc.f, FragmentationNeeded, tc.mtu, tc.from)
		head := 14 + 20
		if tc.from.Is6() {
			head = 14 + 40
		}
		if n < head+8 || ICMP(dst[head:n]).Rest() != tc.want {
			t.Errorf("%s: %d bytes, want MTU %d: % x", tc.name, n, tc.want, dst[head:head+8])
		}
	}
}

// The pointer of a parameter problem is where the value is that is not known, and
// that is behind the last extension header (RFC 4443 section 3.4).
func TestProtocolUnreachablePointsAtTheProtocol(t *testing.T) {
	options := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	for _, tc := range []struct {
		name  string
		first layers.IPProtocol
		body  []byte
		want  uint32
	}{
		{"no extension header", 200, payload(8), 6},
		{"Hop-by-Hop", 0, append(options(200), payload(8)...), 40},
		{"Hop-by-Hop and Destination", 0, append(append(options(60), options(200)...), payload(8)...), 48},
		{"Fragment, the first", 44, append([]byte{200, 0, 0, 1, 0, 0, 0, 1}, payload(8)...), 40},
		{"a long Destination", 60, append(append([]byte{200, 1}, 1, 12), make([]byte, 12+8)...), 40},
	} {
		f := build(t, ethernet(layers.EthernetTypeIPv6), header6(tc.first), gopacket.Payload(tc.body))
		dst := make([]byte, ErrorLen)
		n := PutError(dst, f, ProtocolUnreachable, 0, router6)
		if n == 0 || ICMP(dst[54:n]).Rest() != tc.want {
			t.Errorf("%s: %d bytes, pointer %d, want %d", tc.name, n, ICMP(dst[54:]).Rest(), tc.want)
		}
	}
}

func icmp4(t testing.TB, body ...byte) []byte {
	return build(t, ethernet(layers.EthernetTypeIPv4), header4(layers.IPProtocolICMPv4), gopacket.Payload(body))
}

func icmp6(t testing.TB, body ...byte) []byte {
	return build(t, ethernet(layers.EthernetTypeIPv6), header6(layers.IPProtocolICMPv6), gopacket.Payload(body))
}

func mend4(t testing.TB, mend func(*layers.IPv4)) []byte {
	return udp4(t, 64, func(_ *layers.Ethernet, h *layers.IPv4) { mend(h) })
}

func mend6(t testing.TB, mend func(*layers.IPv6)) []byte {
	return udp6(t, 64, func(_ *layers.Ethernet, h *layers.IPv6) { mend(h) })
}

// errorCase is a frame, and whether its sender is told of an error.
type errorCase struct {
	name string
	f    []byte
	told bool
}

func checkErrorCases(t *testing.T, cases []errorCase, from netip.Addr) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			for _, k := range errorKinds {
				dst := bytes.Repeat([]byte{0xaa}, ErrorLen)
				n := PutError(dst, tc.f, k.e, 1400, from)
				if told := n > 0; told != tc.told {
					t.Fatalf("%s: %d bytes, want an answer: %t", k.name, n, tc.told)
				}
				if n == 0 && bytes.ContainsFunc(dst, func(r rune) bool { return r < 0x80 }) {
					t.Fatalf("%s: nothing to say, and yet % x", k.name, dst)
				}
			}
		})
	}
}

// RFC 1812 section 4.3.2.7, rule by rule, and beside each what is not meant.
func TestPutErrorRulesIPv4(t *testing.T) {
	src := func(a ...byte) []byte { return mend4(t, func(h *layers.IPv4) { h.SrcIP = a }) }
	dst := func(a ...byte) []byte { return mend4(t, func(h *layers.IPv4) { h.DstIP = a }) }
	station := func(to, from net.HardwareAddr) []byte {
		return udp4(t, 64, func(e *layers.Ethernet, _ *layers.IPv4) { e.DstMAC, e.SrcMAC = to, from })
	}
	fragment := func(offset uint16, flags layers.IPv4Flag) []byte {
		return mend4(t, func(h *layers.IPv4) { h.FragOffset, h.Flags = offset, flags })
	}
	bent := func(at int, v byte) []byte {
		f := udp4(t, 64, nil)
		f[at] = v
		return f
	}
	good := udp4(t, 64, nil)
	cases := []errorCase{
		{"a datagram", good, true},
		{"an ICMP message without a type", icmp4(t), false},
		{"to a group", dst(224, 0, 0, 5), false},
		{"to everybody", dst(255, 255, 255, 255), false},
		{"to loopback", dst(127, 0, 0, 1), false},
		{"to this network", dst(0, 0, 0, 0), false},
		{"to a broadcast MAC", station(net.HardwareAddr{255, 255, 255, 255, 255, 255}, macA), false},
		{"to a group's MAC", station(net.HardwareAddr{1, 0, 0x5e, 0, 0, 5}, macA), false},
		{"to a MAC of zero", station(make(net.HardwareAddr, 6), macA), false},
		{"from a group's MAC", station(macB, net.HardwareAddr{3, 0, 0, 0, 0, 1}), false},
		{"from a MAC of zero", station(macB, make(net.HardwareAddr, 6)), false},
		{"from 0.0.0.0", src(0, 0, 0, 0), false},
		{"from network 0", src(0, 1, 2, 3), false},
		{"from loopback", src(127, 0, 0, 1), false},
		{"from a group", src(239, 1, 1, 1), false},
		{"from class E", src(240, 0, 0, 1), false},
		{"from everybody", src(255, 255, 255, 255), false},
		{"from the last class C address", src(223, 255, 255, 254), true},
		{"a first fragment", fragment(0, layers.IPv4MoreFragments), true},
		{"a later fragment", fragment(1, layers.IPv4MoreFragments), false},
		{"the last fragment", fragment(8, 0), false},
		{"the fragment farthest off", fragment(0x1fff, 0), false},
		{"without DF", fragment(0, 0), true},
		{"wrong checksum", bent(14+10, 0xff), false},
		{"wrong version", bent(14, 0x65), false},
		{"header of 16 bytes", bent(14, 0x44), false},
		{"longer than the frame", bent(14+2, 1), false},
		{"cut within the header", good[:14+19], false},
		{"ARP", bent(13, 6), false},
		{"no packet", good[:14], false},
		{"no frame", good[:13], false},
	}
	for typ := range 256 {
		isError := typ == 3 || typ == 4 || typ == 5 || typ == 11 || typ == 12
		cases = append(cases, errorCase{fmt.Sprintf("ICMP type %d", typ), icmp4(t, append([]byte{byte(typ)}, payload(40)...)...), !isError})
	}
	checkErrorCases(t, cases, router4)
}

// RFC 4443 section 2.4(e), rule by rule.
func TestPutErrorRulesIPv6(t *testing.T) {
	src := func(a string) []byte { return mend6(t, func(h *layers.IPv6) { h.SrcIP = net.ParseIP(a) }) }
	dst := func(a string) []byte { return mend6(t, func(h *layers.IPv6) { h.DstIP = net.ParseIP(a) }) }
	station := func(to, from net.HardwareAddr) []byte {
		return udp6(t, 64, func(e *layers.Ethernet, _ *layers.IPv6) { e.DstMAC, e.SrcMAC = to, from })
	}
	behind := func(first layers.IPProtocol, b ...byte) []byte {
		return build(t, ethernet(layers.EthernetTypeIPv6), header6(first), gopacket.Payload(b))
	}
	bent := func(at int, v byte) []byte {
		f := udp6(t, 64, nil)
		f[at] = v
		return f
	}
	options := func(next byte, rest ...byte) []byte { return append([]byte{next, 0, 1, 4, 0, 0, 0, 0}, rest...) }
	many := bytes.Repeat(options(60), 9)
	good := udp6(t, 64, nil)
	cases := []errorCase{
		{"a datagram", good, true},
		{"an ICMPv6 message without a type", icmp6(t), false},
		{"(e.1) an error behind extension headers", behind(0, options(58, 1, 0, 0, 0, 0, 0, 0, 0)...), false},
		{"an echo behind extension headers", behind(0, options(58, 128, 0, 0, 0, 0, 0, 0, 0)...), true},
		{"(e.1) an error behind a Fragment header", behind(44, 58, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0), false},
		{"a chain that cannot be followed may hide one", behind(60, many...), false},
		{"a chain that is cut", behind(0, 58, 9, 0, 0, 0, 0, 0, 0), false},
		{"(e.3) to a group", dst("ff02::1"), false},
		{"to ::", dst("::"), false},
		{"to loopback", dst("::1"), false},
		{"(e.4) to a group's MAC", station(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, macA), false},
		{"(e.5) to a broadcast MAC", station(net.HardwareAddr{255, 255, 255, 255, 255, 255}, macA), false},
		{"to a MAC of zero", station(make(net.HardwareAddr, 6), macA), false},
		{"from a group's MAC", station(macB, net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}), false},
		{"(e.6) from ::", src("::"), false},
		{"(e.6) from a group", src("ff02::2"), false},
		{"from loopback", src("::1"), false},
		{"from a link-local address", src("fe80::1"), true},
		{"a first fragment", behind(44, 17, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8), true},
		{"a later fragment", behind(44, 17, 0, 0, 9, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8), false},
		{"the last fragment", behind(44, 17, 0, 0, 8, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8), false},
		{"no next header", behind(59), true},
		{"wrong version", bent(14, 0x40), false},
		{"longer than the frame", bent(14+4, 1), false},
		{"cut within the header", good[:14+39], false},
		{"no packet", good[:14], false},
	}
	for typ := range 256 {
		isError := typ < 128 || typ == 137 // (e.1), (e.2)
		cases = append(cases, errorCase{fmt.Sprintf("ICMPv6 type %d", typ), icmp6(t, append([]byte{byte(typ)}, payload(40)...)...), !isError})
	}
	checkErrorCases(t, cases, router6)
}

func TestPutErrorRefuses(t *testing.T) {
	f4, f6 := udp4(t, 64, nil), udp6(t, 64, nil)
	for _, tc := range []struct {
		name string
		dst  int
		f    []byte
		e    Error
		from netip.Addr
	}{
		{"an IPv6 address for an IPv4 packet", ErrorLen, f4, TTLExceeded, router6},
		{"an IPv4 address for an IPv6 packet", ErrorLen, f6, TTLExceeded, router4},
		{"no address", ErrorLen, f4, TTLExceeded, netip.Addr{}},
		{"no room", ErrorLen - 1, f4, TTLExceeded, router4},
		{"an error that there is not", ErrorLen, f4, numErrors, router4},
	} {
		if n := PutError(make([]byte, tc.dst), tc.f, tc.e, 1400, tc.from); n != 0 {
			t.Errorf("%s: %d bytes", tc.name, n)
		}
	}
}

func TestErrorsAllocateNothing(t *testing.T) {
	f4, f6, dst := udp4(t, 1400, nil), udp6(t, 1400, nil), make([]byte, ErrorLen)
	n := testing.AllocsPerRun(100, func() {
		if PutError(dst, f4, TTLExceeded, 0, router4) == 0 || PutError(dst, f6, ProtocolUnreachable, 0, router6) == 0 {
			t.Fatal("no error")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// right gives a frame's IP header and its ICMP message right checksums, so that
// fuzzing gets past them.
func right(f []byte) {
	if len(f) < frame.HeaderLen {
		return
	}
	if h, ok := ParseIPv4(f[14:]); ok {
		h.SetChecksum(0)
		h.SetChecksum(^slowSum(h[:h.HeaderLen()]))
		if m := h.Payload(); h.Protocol() == ProtoICMP && len(m) >= 4 {
			m[2], m[3] = 0, 0
			binary.BigEndian.PutUint16(m[2:], ^slowSum(m))
		}
	}
	if h, ok := ParseIPv6(f[14:]); ok {
		if u, ok := h.Upper(); ok && u.Proto == ProtoICMPv6 && u.Off+4 <= len(h) {
			m := h[u.Off:]
			m[2], m[3] = 0, 0
			binary.BigEndian.PutUint16(m[2:], ^slowSum(append(pseudo6(h, len(m)), m...)))
		}
	}
}

func pseudo6(h IPv6, n int) []byte {
	return append(binary.BigEndian.AppendUint32(bytes.Clone(h[8:40]), uint32(n)), 0, 0, 0, ProtoICMPv6)
}

// checkICMPSums verifies the checksums of a frame that carries ICMP or ICMPv6.
func checkICMPSums(t *testing.T, f []byte) {
	t.Helper()
	if h, ok := ParseIPv4(f[14:]); ok {
		if slowSum(h[:h.HeaderLen()]) != 0xffff || slowSum(h.Payload()) != 0xffff {
			t.Fatalf("wrong checksum: % x", f)
		}
		return
	}
	h, _ := ParseIPv6(f[14:])
	u, ok := h.Upper()
	if !ok || u.Proto != ProtoICMPv6 || slowSum(append(pseudo6(h, len(h)-u.Off), h[u.Off:]...)) != 0xffff {
		t.Fatalf("wrong checksum: % x", f)
	}
}

// An error has right checksums, quotes what it is about, goes back where that came
// from, is no longer than it may be, leaves everything behind it alone, and is itself
// answered by none.
func FuzzPutError(f *testing.F) {
	for _, b := range [][]byte{udp4(f, 600, nil), udp6(f, 1300, nil), icmp4(f, 8, 0, 0, 0, 0, 1, 0, 1), icmp6(f, 128, 0, 0, 0, 0, 1, 0, 1),
		icmp4(f, 3, 1, 0, 0, 0, 0, 0, 0), icmp6(f, 1, 3, 0, 0, 0, 0, 0, 0)} {
		f.Add(b, byte(0), 1400)
	}
	f.Fuzz(func(t *testing.T, in []byte, kind byte, mtu int) {
		right(in)
		before := bytes.Clone(in)
		for _, from := range []netip.Addr{router4, router6} {
			dst := bytes.Repeat([]byte{0xaa}, ErrorLen+16)
			n := PutError(dst, in, Error(kind%uint8(numErrors)), mtu, from)
			if !bytes.Equal(dst[n:], bytes.Repeat([]byte{0xaa}, len(dst)-n)) || !bytes.Equal(in, before) {
				t.Fatalf("%d bytes, and wrote elsewhere", n)
			}
			if n == 0 {
				continue
			}
			checkError(t, dst[:n], in, from)
			if n := PutError(make([]byte, ErrorLen), dst[:n], TTLExceeded, 0, from); n != 0 {
				t.Fatalf("an error was answered: % x", dst[:n])
			}
		}
	})
}

func checkError(t *testing.T, f, in []byte, from netip.Addr) {
	t.Helper()
	checkICMPSums(t, f)
	if frame.Frame(f).Dst() != frame.Frame(in).Src() || frame.Frame(f).Src() != frame.Frame(in).Dst() {
		t.Fatalf("from %v to %v", frame.Frame(f).Src(), frame.Frame(f).Dst())
	}
	var quote, whole []byte
	if h, ok := ParseIPv4(f[14:]); ok {
		about, _ := ParseIPv4(in[14:])
		if len(h) > 576 || len(h) != len(f)-14 || h.Src() != from || h.Dst() != about.Src() || about.FragmentOffset() != 0 {
			t.Fatalf("% x about % x", f, in)
		}
		quote, whole = h.Payload()[8:], about
	} else {
		h, _ := ParseIPv6(f[14:])
		about, _ := ParseIPv6(in[14:])
		if len(h) > 1280 || len(h) != len(f)-14 || h.Src() != from || h.Dst() != about.Src() || h.Payload()[0] >= 128 {
			t.Fatalf("% x about % x", f, in)
		}
		quote, whole = h.Payload()[8:], about
	}
	if !bytes.HasPrefix(whole, quote) || len(quote) < min(len(whole), 548) {
		t.Fatalf("quotes % x of % x", quote, whole)
	}
}
