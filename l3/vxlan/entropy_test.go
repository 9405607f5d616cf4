package vxlan

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"

	"vxgw/l3/ip"
)

const first, last = 49152, 65535

var (
	entropy = NewEntropy(first, last, DefaultSeed)
	macA    = net.HardwareAddr{2, 0, 0, 0, 1, 1}
	macB    = net.HardwareAddr{2, 0, 0, 0, 2, 0xa}
	v4A     = net.IP{10, 1, 1, 10}
	v4B     = net.IP{10, 1, 1, 20}
	v6A     = net.ParseIP("2001:db8:1::10")
	v6B     = net.ParseIP("2001:db8:1::20")
)

func build(t testing.TB, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), buf.Bytes()...)
}

func ethernet(t layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: macA, DstMAC: macB, EthernetType: t}
}

func header4(p layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: p, SrcIP: v4A, DstIP: v4B}
}

func header6(p layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: p, SrcIP: v6A, DstIP: v6B}
}

// l4 is the start of a transport header and some payload.
func l4(src, dst uint16) gopacket.Payload {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, src), dst)
	return append(b, make([]byte, 60)...)
}

func frame4(t testing.TB, p layers.IPProtocol, src, dst uint16) []byte {
	return build(t, ethernet(layers.EthernetTypeIPv4), header4(p), l4(src, dst))
}

func frame6(t testing.TB, p layers.IPProtocol, src, dst uint16) []byte {
	return build(t, ethernet(layers.EthernetTypeIPv6), header6(p), l4(src, dst))
}

func mpls(inner func(testing.TB, layers.IPProtocol, uint16, uint16) []byte, label uint32) func(testing.TB, layers.IPProtocol, uint16, uint16) []byte {
	return func(t testing.TB, p layers.IPProtocol, src, dst uint16) []byte {
		return build(t, ethernet(layers.EthernetTypeMPLSUnicast),
			&layers.MPLS{Label: 17, TTL: 64},
			&layers.MPLS{Label: label, TTL: 64, StackBottom: true},
			gopacket.Payload(inner(t, p, src, dst)[14:]))
	}
}

// Ten flows that differ in one port use several source ports, in every family
// and for every protocol with ports.
func TestFlowsAreToldApart(t *testing.T) {
	for name, make := range map[string]func(testing.TB, layers.IPProtocol, uint16, uint16) []byte{
		"IPv4": frame4, "IPv6": frame6, "MPLS over IPv4": mpls(frame4, 99), "MPLS over IPv6": mpls(frame6, 99),
	} {
		for _, proto := range []layers.IPProtocol{ip.ProtoTCP, ip.ProtoUDP, ip.ProtoSCTP, ip.ProtoDCCP, ip.ProtoUDPLite} {
			bySrc, byDst := map[uint16]bool{}, map[uint16]bool{}
			for i := range uint16(10) {
				bySrc[entropy.SourcePort(make(t, proto, 1000+i, 80))] = true
				byDst[entropy.SourcePort(make(t, proto, 1000, 80+i))] = true
			}
			if len(bySrc) < 8 || len(byDst) < 8 {
				t.Errorf("%s, protocol %d: 10 flows use %d and %d source ports", name, proto, len(bySrc), len(byDst))
			}
		}
	}
	a, b := mpls(frame4, 99)(t, ip.ProtoTCP, 1, 2), mpls(frame4, 100)(t, ip.ProtoTCP, 1, 2)
	if entropy.SourcePort(a) == entropy.SourcePort(b) {
		t.Error("two labels, one source port")
	}
}

// What may change from packet to packet of one flow changes nothing.
func TestOneFlowOnePort(t *testing.T) {
	tcp4 := func(mend func(*layers.IPv4, *layers.TCP)) []byte {
		h, tcp := header4(ip.ProtoTCP), &layers.TCP{SrcPort: 1000, DstPort: 80, Window: 1}
		mend(h, tcp)
		if err := tcp.SetNetworkLayerForChecksum(h); err != nil {
			t.Fatal(err)
		}
		return build(t, ethernet(layers.EthernetTypeIPv4), h, tcp, gopacket.Payload("payload"))
	}
	tcp6 := func(mend func(*layers.IPv6)) []byte {
		h := header6(ip.ProtoTCP)
		mend(h)
		return build(t, ethernet(layers.EthernetTypeIPv6), h, l4(1000, 80))
	}
	ext6 := func(next layers.IPProtocol, ext ...byte) []byte {
		return build(t, ethernet(layers.EthernetTypeIPv6), header6(next), gopacket.Payload(append(ext, l4(1000, 80)...)))
	}
	plain4, plain6 := tcp4(func(*layers.IPv4, *layers.TCP) {}), tcp6(func(*layers.IPv6) {})

	for _, tc := range []struct {
		name string
		a, b []byte
		same bool
	}{
		{"TTL", plain4, tcp4(func(h *layers.IPv4, _ *layers.TCP) { h.TTL = 3 }), true},
		{"ID", plain4, tcp4(func(h *layers.IPv4, _ *layers.TCP) { h.Id = 77 }), true},
		{"DSCP and ECN", plain4, tcp4(func(h *layers.IPv4, _ *layers.TCP) { h.TOS = 0xbb }), true},
		{"DF", plain4, tcp4(func(h *layers.IPv4, _ *layers.TCP) { h.Flags = layers.IPv4DontFragment }), true},
		{"IP options", plain4, tcp4(func(h *layers.IPv4, _ *layers.TCP) {
			h.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 1}}
		}), true},
		{"TCP flags, seq, ack, window", plain4, tcp4(func(_ *layers.IPv4, h *layers.TCP) { h.SYN, h.ACK, h.Seq, h.Ack, h.Window = true, true, 9, 8, 7 }), true},
		{"TCP options", plain4, tcp4(func(_ *layers.IPv4, h *layers.TCP) { h.Options = []layers.TCPOption{{OptionType: 1}} }), true},
		{"length", plain4, append(append([]byte(nil), plain4...), 1, 2, 3), true},
		{"protocol", frame4(t, ip.ProtoTCP, 1, 2), frame4(t, ip.ProtoUDP, 1, 2), false},
		{"address", plain4, tcp4(func(h *layers.IPv4, _ *layers.TCP) { h.DstIP = net.IP{10, 1, 1, 21} }), false},
		{"ICMP type, code, id", frame4(t, ip.ProtoICMP, 0x0800, 1), frame4(t, ip.ProtoICMP, 0, 2), true},
		{"hop limit", plain6, tcp6(func(h *layers.IPv6) { h.HopLimit = 3 }), true},
		{"traffic class", plain6, tcp6(func(h *layers.IPv6) { h.TrafficClass = 0xbb }), true},
		{"flow label", plain6, tcp6(func(h *layers.IPv6) { h.FlowLabel = 77 }), true},
		{"IPv6 address", plain6, tcp6(func(h *layers.IPv6) { h.SrcIP = net.ParseIP("2001:db8:1::11") }), false},
		{"an extension header", plain6, ext6(ip.ProtoHopByHop, ip.ProtoTCP, 0, 1, 4, 0, 0, 0, 0), true},
		{"ICMPv6 type and code", frame6(t, ip.ProtoICMPv6, 0x8000, 1), frame6(t, ip.ProtoICMPv6, 0x8100, 2), true},
		{"non-IP payload", build(t, ethernet(0x88b5), l4(1, 2)), build(t, ethernet(0x88b5), l4(3, 4)), true},
		{"non-IP EtherType", build(t, ethernet(0x88b5), l4(1, 2)), build(t, ethernet(0x88b6), l4(1, 2)), false},
		{"LLC length", build(t, ethernet(0x0040), l4(1, 2)), build(t, ethernet(0x05dc), l4(1, 2)), true},
		{"MPLS TTL and class", build(t, ethernet(0x8847), &layers.MPLS{Label: 5, StackBottom: true, TTL: 1}), build(t, ethernet(0x8847), &layers.MPLS{Label: 5, StackBottom: true, TTL: 9, TrafficClass: 3}), true},
	} {
		if a, b := entropy.SourcePort(tc.a), entropy.SourcePort(tc.b); (a == b) != tc.same {
			t.Errorf("%s: source ports %d and %d, want the same: %t", tc.name, a, b, tc.same)
		}
	}
}

// All fragments of a datagram take one path, though only the first has ports.
func TestFragmentsStayTogether(t *testing.T) {
	fragment4 := func(mf bool, offset uint16, data gopacket.Payload) []byte {
		h := header4(ip.ProtoUDP)
		h.FragOffset = offset
		if mf {
			h.Flags = layers.IPv4MoreFragments
		}
		return build(t, ethernet(layers.EthernetTypeIPv4), h, data)
	}
	fragment6 := func(next uint8, hi, lo byte, data gopacket.Payload) []byte {
		return build(t, ethernet(layers.EthernetTypeIPv6), header6(ip.ProtoFragment), gopacket.Payload(append([]byte{next, 0, hi, lo, 0, 0, 0, 1}, data...)))
	}
	for name, fs := range map[string][][]byte{
		"IPv4": {fragment4(true, 0, l4(1, 2)), fragment4(true, 185, l4(77, 88)), fragment4(false, 370, l4(99, 0))},
		"IPv6": {fragment6(17, 0, 1, l4(1, 2)), fragment6(17, 5, 0xa9, l4(77, 88)), fragment6(60, 0x0b, 0x50, l4(99, 0))},
	} {
		want := entropy.SourcePort(fs[0])
		for i, f := range fs {
			if got := entropy.SourcePort(f); got != want {
				t.Errorf("%s: fragment %d uses source port %d, the first one %d", name, i, got, want)
			}
		}
	}
}

// uneven is the chi-square statistic of counts that should all be alike, as
// standard deviations from its mean.
func uneven(counts []int, n int) float64 {
	want, chi := float64(n)/float64(len(counts)), 0.0
	for _, c := range counts {
		d := float64(c) - want
		chi += d * d / want
	}
	free := float64(len(counts) - 1)
	return (chi - free) / (math.Sqrt2 * math.Sqrt(free))
}

// Flows spread evenly over the whole range, whether they are random or as
// alike as those of a busy client are.
func TestSpread(t *testing.T) {
	const flows = 1 << 19
	rnd := rand.New(rand.NewPCG(1, 2))
	random4, random6, random := frame4(t, ip.ProtoTCP, 0, 0), frame6(t, ip.ProtoTCP, 0, 0), build(t, ethernet(0x88b5), l4(0, 0))
	sequential4, sequential6, hosts := frame4(t, ip.ProtoTCP, 0, 80), frame6(t, ip.ProtoTCP, 0, 80), frame4(t, ip.ProtoICMP, 0, 0)
	macs := build(t, ethernet(0x88b5), l4(0, 0))

	for _, tc := range []struct {
		name string
		next func(i int) []byte
	}{
		{"random IPv4 flows", func(int) []byte {
			binary.BigEndian.PutUint64(random4[14+12:], rnd.Uint64())
			binary.BigEndian.PutUint32(random4[14+20:], rnd.Uint32())
			return random4
		}},
		{"random IPv6 flows", func(int) []byte {
			for at := 8; at < 40; at += 8 {
				binary.BigEndian.PutUint64(random6[14+at:], rnd.Uint64())
			}
			binary.BigEndian.PutUint32(random6[14+40:], rnd.Uint32())
			return random6
		}},
		{"random MAC pairs", func(int) []byte {
			binary.BigEndian.PutUint64(random, rnd.Uint64())
			binary.BigEndian.PutUint32(random[8:], rnd.Uint32())
			return random
		}},
		{"IPv4 client ports in order", func(i int) []byte {
			binary.BigEndian.PutUint32(sequential4[14+20:], uint32(i))
			return sequential4
		}},
		{"IPv6 client ports in order", func(i int) []byte {
			binary.BigEndian.PutUint32(sequential6[14+40:], uint32(i))
			return sequential6
		}},
		{"IPv4 hosts in order", func(i int) []byte {
			binary.BigEndian.PutUint32(hosts[14+12:], 10<<24|uint32(i))
			return hosts
		}},
		{"MACs in order", func(i int) []byte {
			binary.BigEndian.PutUint32(macs[8:], uint32(i))
			return macs
		}},
	} {
		counts := make([]int, last-first+1)
		for i := range flows {
			p := entropy.SourcePort(tc.next(i))
			if p < first {
				t.Fatalf("%s: source port %d is outside of the range", tc.name, p)
			}
			counts[p-first]++
		}
		if u := uneven(counts, flows); u > 5 {
			t.Errorf("%s: %.1f standard deviations from an even spread", tc.name, u)
		}
		for i, c := range counts {
			if c == 0 {
				t.Errorf("%s: port %d is never used", tc.name, first+i)
				break
			}
		}
	}
}

func TestRanges(t *testing.T) {
	f := frame4(t, ip.ProtoTCP, 0, 80)
	for _, tc := range []struct{ first, last uint16 }{{1, 65535}, {0, 65535}, {50000, 50000}, {65535, 65535}, {49152, 49154}, {1000, 1999}} {
		e, n := NewEntropy(tc.first, tc.last, 5), 1<<19
		counts := make([]int, int(tc.last)-int(tc.first)+1)
		for i := range n {
			binary.BigEndian.PutUint32(f[14+20:], uint32(i))
			p := e.SourcePort(f)
			if p < tc.first || p > tc.last {
				t.Fatalf("%d-%d: source port %d", tc.first, tc.last, p)
			}
			counts[p-tc.first]++
		}
		if len(counts) > 1 && uneven(counts, n) > 5 {
			t.Errorf("%d-%d: %.1f standard deviations from an even spread", tc.first, tc.last, uneven(counts, n))
		}
	}
}

// The source ports are those of every build: a restart moves no flow.
func TestStableOverRestarts(t *testing.T) {
	for _, tc := range []struct {
		name string
		f    []byte
		want uint16
	}{
		{"IPv4", frame4(t, ip.ProtoTCP, 1000, 80), 64693},
		{"IPv6", frame6(t, ip.ProtoTCP, 1000, 80), 61376},
		{"non-IP", build(t, ethernet(0x88b5), l4(0, 0)), 63846},
	} {
		if got := entropy.SourcePort(tc.f); got != tc.want {
			t.Errorf("%s: source port %d, want %d", tc.name, got, tc.want)
		}
	}
	f := frame4(t, ip.ProtoTCP, 1000, 80)
	if entropy.SourcePort(f) == NewEntropy(first, last, 1).SourcePort(f) {
		t.Error("the seed changes nothing")
	}
}

func TestShortFrames(t *testing.T) {
	for name, f := range map[string][]byte{
		"IPv4": frame4(t, ip.ProtoTCP, 1, 2), "IPv6": frame6(t, ip.ProtoTCP, 1, 2), "MPLS": mpls(frame4, 9)(t, ip.ProtoTCP, 1, 2),
	} {
		for n := range f {
			if p := entropy.SourcePort(f[:n:n]); p < first {
				t.Errorf("%s cut to %d bytes: source port %d", name, n, p)
			}
		}
	}
}

// Bytes that no part of a flow's name lies in have no part in the port.
func TestOnlyTheFlowCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SliceOfN(rapid.Byte(), 64, 128).Draw(t, "frame")
		f[12], f[13], f[14], f[14+6], f[14+7], f[14+9] = 0x08, 0x00, 0x45, 0, 0, ip.ProtoTCP
		want := entropy.SourcePort(f)
		keep := append([]byte(nil), f[14+12:14+24]...)
		for i := range f {
			if i != 12 && i != 13 && i != 14 && i != 14+6 && i != 14+7 && i != 14+9 {
				f[i] ^= rapid.Byte().Draw(t, "noise")
			}
		}
		copy(f[14+12:], keep)
		if got := entropy.SourcePort(f); got != want {
			t.Fatalf("source port %d, want %d", got, want)
		}
	})
}

func FuzzSourcePort(f *testing.F) {
	f.Add(frame4(f, ip.ProtoTCP, 1, 2), uint16(1), uint16(65535))
	f.Add(frame6(f, ip.ProtoFragment, 1, 2), uint16(5), uint16(5))
	f.Add(mpls(frame4, 9)(f, ip.ProtoUDP, 1, 2), uint16(49152), uint16(65535))
	f.Fuzz(func(t *testing.T, b []byte, from, to uint16) {
		if from > to {
			from, to = to, from
		}
		e := NewEntropy(from, to, DefaultSeed)
		if p := e.SourcePort(b); p < from || p > to || p != e.SourcePort(b) {
			t.Fatalf("source port %d is outside of %d-%d or not stable", p, from, to)
		}
	})
}

func TestSourcePortAllocates(t *testing.T) {
	fs := [][]byte{frame4(t, ip.ProtoTCP, 1, 2), frame6(t, ip.ProtoTCP, 1, 2), mpls(frame6, 9)(t, ip.ProtoTCP, 1, 2), build(t, ethernet(0x88b5))}
	if n := testing.AllocsPerRun(100, func() {
		for _, f := range fs {
			entropy.SourcePort(f)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSourcePort(b *testing.B) {
	for name, f := range map[string][]byte{"IPv4": frame4(b, ip.ProtoTCP, 1, 2), "IPv6": frame6(b, ip.ProtoTCP, 1, 2), "MPLS": mpls(frame4, 9)(b, ip.ProtoTCP, 1, 2), "other": build(b, ethernet(0x88b5), l4(1, 2))} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				entropy.SourcePort(f)
			}
		})
	}
}
