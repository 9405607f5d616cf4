package ip

import (
	"bytes"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
)

func udp4(t testing.TB, n int, mend func(*layers.Ethernet, *layers.IPv4)) []byte {
	e, h := ethernet(layers.EthernetTypeIPv4), header4(layers.IPProtocolUDP)
	if mend != nil {
		mend(e, h)
	}
	return build(t, e, h, payload(n))
}

func udp6(t testing.TB, n int, mend func(*layers.Ethernet, *layers.IPv6)) []byte {
	e, h := ethernet(layers.EthernetTypeIPv6), header6(layers.IPProtocolUDP)
	if mend != nil {
		mend(e, h)
	}
	return build(t, e, h, payload(n))
}

// The answer, byte for byte, against one that gopacket encodes.
func TestTooBigIPv4(t *testing.T) {
	f := udp4(t, 1480, nil)
	dst := bytes.Repeat([]byte{0xaa}, TooBigLen)
	n := TooBig(dst, f, 1450)

	want := build(t,
		&layers.Ethernet{SrcMAC: macB, DstMAC: macA, EthernetType: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, IHL: 5, TOS: 0xc0, TTL: 255, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolICMPv4, SrcIP: v4B, DstIP: v4A},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 4), Seq: 1450},
		gopacket.Payload(f[14:14+576-28]))
	if !bytes.Equal(dst[:n], want) {
		t.Fatalf("got  % x\nwant % x", dst[:n], want)
	}
	if n != 14+576 {
		t.Errorf("length %d, want %d", n, 14+576)
	}
	checksumsRight(t, dst[:n])
}

func TestTooBigIPv6(t *testing.T) {
	f := udp6(t, 1460, nil)
	dst := bytes.Repeat([]byte{0xaa}, TooBigLen)
	n := TooBig(dst, f, 1430)

	h := &layers.IPv6{Version: 6, TrafficClass: 0xc0, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: v6B, DstIP: v6A}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(2, 0)}
	if err := icmp.SetNetworkLayerForChecksum(h); err != nil {
		t.Fatal(err)
	}
	want := build(t, &layers.Ethernet{SrcMAC: macB, DstMAC: macA, EthernetType: layers.EthernetTypeIPv6}, h, icmp,
		gopacket.Payload(append([]byte{0, 0, 1430 >> 8, 1430 & 0xff}, f[14:14+1280-48]...)))
	if !bytes.Equal(dst[:n], want) {
		t.Fatalf("got  % x\nwant % x", dst[:n], want)
	}
	if n != TooBigLen {
		t.Errorf("length %d, want %d", n, TooBigLen)
	}
	checksumsRight(t, dst[:n])
}

// A packet shorter than the quote is quoted whole, without the frame's padding.
func TestTooBigQuotesAllOfAShortPacket(t *testing.T) {
	dst := make([]byte, TooBigLen)
	f := append(udp4(t, 81, nil), 0xee, 0xee, 0xee)
	n := TooBig(dst, f, 100)
	if n != 14+28+101 || !bytes.Equal(dst[14+28:n], f[14:14+101]) {
		t.Errorf("IPv4: %d bytes", n)
	}
	checksumsRight(t, dst[:n])
}

func TestTooBigSilence(t *testing.T) {
	icmp4 := func(typ uint8) []byte {
		return build(t, ethernet(layers.EthernetTypeIPv4), header4(layers.IPProtocolICMPv4), gopacket.Payload(append([]byte{typ}, payload(1479)...)))
	}
	icmp6 := func(typ uint8) []byte {
		return build(t, ethernet(layers.EthernetTypeIPv6), header6(layers.IPProtocolICMPv6), gopacket.Payload(append([]byte{typ}, payload(1479)...)))
	}
	fragment6 := func(offset byte) []byte {
		return build(t, ethernet(layers.EthernetTypeIPv6), header6(44), gopacket.Payload(append([]byte{17, 0, offset, 1, 0, 0, 0, 1}, payload(1400)...)))
	}
	from4 := func(ip ...byte) []byte {
		return udp4(t, 1480, func(_ *layers.Ethernet, h *layers.IPv4) { h.SrcIP = ip })
	}
	to4 := func(ip ...byte) []byte {
		return udp4(t, 1480, func(_ *layers.Ethernet, h *layers.IPv4) { h.DstIP = ip })
	}
	from6 := func(ip string) []byte {
		return udp6(t, 1460, func(_ *layers.Ethernet, h *layers.IPv6) { h.SrcIP = net.ParseIP(ip) })
	}
	to6 := func(ip string) []byte {
		return udp6(t, 1460, func(_ *layers.Ethernet, h *layers.IPv6) { h.DstIP = net.ParseIP(ip) })
	}
	macs := func(src, dst string) []byte {
		return udp4(t, 1480, func(e *layers.Ethernet, _ *layers.IPv4) {
			e.SrcMAC, _ = net.ParseMAC(src)
			e.DstMAC, _ = net.ParseMAC(dst)
		})
	}
	flags4 := func(fl layers.IPv4Flag, offset uint16) []byte {
		return udp4(t, 1480, func(_ *layers.Ethernet, h *layers.IPv4) { h.Flags, h.FragOffset = fl, offset })
	}
	wrongSum := udp4(t, 1480, nil)
	wrongSum[14+8]--

	for _, tc := range []struct {
		name string
		f    []byte
		mtu  int
		says bool
	}{
		{"IPv4 with DF", udp4(t, 1480, nil), 1450, true},
		{"it fits exactly", udp4(t, 1480, nil), 1500, false},
		{"one byte too long", udp4(t, 1480, nil), 1499, true},
		{"IPv4 MTU 68", udp4(t, 1480, nil), 68, true},
		{"IPv4 MTU 67", udp4(t, 1480, nil), 67, false},
		{"negative MTU", udp4(t, 1480, nil), -1, false},
		{"without DF", flags4(0, 0), 1450, false},
		{"first fragment with DF", flags4(layers.IPv4DontFragment|layers.IPv4MoreFragments, 0), 1450, true},
		{"later fragment with DF", flags4(layers.IPv4DontFragment, 10), 1450, false},
		{"wrong header checksum", wrongSum, 1450, false},
		{"truncated", udp4(t, 1480, nil)[:1000], 900, false},
		{"header cut short", udp4(t, 1480, nil)[:20], 1, false},
		{"no frame", nil, 1450, false},
		{"ARP", build(t, ethernet(layers.EthernetTypeARP), payload(1500)), 1450, false},
		{"ICMP echo", icmp4(8), 1450, true},
		{"ICMP unreachable", icmp4(3), 1450, false},
		{"ICMP source quench", icmp4(4), 1450, false},
		{"ICMP redirect", icmp4(5), 1450, false},
		{"ICMP time exceeded", icmp4(11), 1450, false},
		{"ICMP parameter problem", icmp4(12), 1450, false},
		{"from 0.0.0.0", from4(0, 0, 0, 0), 1450, false},
		{"from loopback", from4(127, 0, 0, 1), 1450, false},
		{"from a group", from4(239, 1, 1, 1), 1450, false},
		{"from broadcast", from4(255, 255, 255, 255), 1450, false},
		{"to a group", to4(224, 0, 0, 5), 1450, false},
		{"to broadcast", to4(255, 255, 255, 255), 1450, false},
		{"to a directed broadcast, by its MAC", macs("02:00:00:00:01:01", "ff:ff:ff:ff:ff:ff"), 1450, false},
		{"to a group MAC", macs("02:00:00:00:01:01", "01:00:5e:00:00:05"), 1450, false},
		{"from a group MAC", macs("03:00:00:00:01:01", "02:00:00:00:02:0a"), 1450, false},
		{"from the zero MAC", macs("00:00:00:00:00:00", "02:00:00:00:02:0a"), 1450, false},

		{"IPv6", udp6(t, 1460, nil), 1450, true},
		{"IPv6 fits exactly", udp6(t, 1460, nil), 1500, false},
		{"IPv6 MTU 1280", udp6(t, 1460, nil), 1280, true},
		{"IPv6 MTU 1279", udp6(t, 1460, nil), 1279, false},
		{"IPv6 truncated", udp6(t, 1460, nil)[:1400], 1300, false},
		{"IPv6 from ::", from6("::"), 1450, false},
		{"IPv6 from ::1", from6("::1"), 1450, false},
		{"IPv6 from a group", from6("ff02::1"), 1450, false},
		{"IPv6 to a group", to6("ff02::1"), 1450, false},
		{"IPv6 from a link-local address", from6("fe80::1"), 1450, true},
		{"IPv6 first fragment", fragment6(0), 1300, true},
		{"IPv6 later fragment", fragment6(1), 1300, false},
		{"IPv6 with a chain that cannot be followed", build(t, ethernet(layers.EthernetTypeIPv6), header6(60), gopacket.Payload(append([]byte{60, 255}, payload(1400)...))), 1300, false},
		{"ICMPv6 echo", icmp6(128), 1450, true},
		{"ICMPv6 unreachable", icmp6(1), 1450, false},
		{"ICMPv6 packet too big", icmp6(2), 1450, false},
		{"ICMPv6 unknown error", icmp6(127), 1450, false},
		{"ICMPv6 redirect", icmp6(137), 1450, false},
	} {
		dst := make([]byte, TooBigLen)
		n := TooBig(dst, tc.f, tc.mtu)
		if (n > 0) != tc.says {
			t.Errorf("%s: %d bytes, want an answer: %t", tc.name, n, tc.says)
		}
		if n > 0 {
			checksumsRight(t, dst[:n])
		}
	}
	if n := TooBig(make([]byte, TooBigLen-1), udp4(t, 1480, nil), 1450); n != 0 {
		t.Errorf("a short dst: %d bytes", n)
	}
}

func TestTooBigAllocates(t *testing.T) {
	f4, f6, dst := udp4(t, 1480, nil), udp6(t, 1460, nil), make([]byte, TooBigLen)
	if n := testing.AllocsPerRun(100, func() { TooBig(dst, f4, 1450); TooBig(dst, f6, 1450) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever comes in: an answer goes back to who asked, is within its bound, has
// right checksums, quotes the packet, and is itself never answered.
func FuzzTooBig(f *testing.F) {
	f.Add(udp4(f, 1480, nil), 1450)
	f.Add(udp6(f, 1460, nil), 1300)
	f.Add(udp4(f, 100, nil), 80)
	f.Fuzz(func(t *testing.T, b []byte, mtu int) {
		before := append([]byte(nil), b...)
		dst := bytes.Repeat([]byte{0xaa}, TooBigLen+1)
		n := TooBig(dst[:TooBigLen], b, mtu)
		if !bytes.Equal(b, before) || dst[TooBigLen] != 0xaa {
			t.Fatal("wrote where it must not")
		}
		if n == 0 {
			return
		}
		out := dst[:n]
		if frame.Frame(out).Dst() != frame.Frame(b).Src() || frame.Frame(out).Src() != frame.Frame(b).Dst() {
			t.Fatal("addressed to someone else")
		}
		quoteAt, limit := 14+20+8, 14+icmpMaxLen
		if frame.Frame(out).Type() == frame.TypeIPv6 {
			quoteAt, limit = 14+40+8, TooBigLen
		}
		if n > limit || !bytes.HasPrefix(b[14:], out[quoteAt:]) {
			t.Fatalf("%d bytes, limit %d, or a wrong quote", n, limit)
		}
		if h, ok := ParseIPv4(out[14:]); ok && (!h.ChecksumOK() || Sum(h.Payload(), 0) != 0xffff) {
			t.Fatal("wrong IPv4 or ICMP checksum")
		}
		if h, ok := ParseIPv6(out[14:]); ok && Sum(h.Payload(), h.PseudoSum(ProtoICMPv6, h.PayloadLen())) != 0xffff {
			t.Fatal("wrong ICMPv6 checksum")
		}
		if TooBig(make([]byte, TooBigLen), out, 68) != 0 || TooBig(make([]byte, TooBigLen), out, 1280) != 0 {
			t.Fatal("an answer was answered")
		}
	})
}
