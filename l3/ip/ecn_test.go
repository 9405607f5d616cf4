package ip

import (
	"bytes"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
)

// The cells of figure 4 of RFC 6040, written out a second time in its order.
var figure4 = []struct {
	name         string
	inner, outer uint8
	ecn          uint8
	marks        Marks
}{
	{"Not-ECT in Not-ECT", 0b00, 0b00, 0b00, MarksNormal},
	{"Not-ECT in ECT(0)", 0b00, 0b10, 0b00, MarksDangerous},
	{"Not-ECT in ECT(1)", 0b00, 0b01, 0b00, MarksDangerous},
	{"Not-ECT in CE", 0b00, 0b11, 0b00, MarksDrop},
	{"ECT(0) in Not-ECT", 0b10, 0b00, 0b10, MarksNormal},
	{"ECT(0) in ECT(0)", 0b10, 0b10, 0b10, MarksNormal},
	{"ECT(0) in ECT(1)", 0b10, 0b01, 0b01, MarksNormal},
	{"ECT(0) in CE", 0b10, 0b11, 0b11, MarksNormal},
	{"ECT(1) in Not-ECT", 0b01, 0b00, 0b01, MarksNormal},
	{"ECT(1) in ECT(0)", 0b01, 0b10, 0b01, MarksUnused},
	{"ECT(1) in ECT(1)", 0b01, 0b01, 0b01, MarksNormal},
	{"ECT(1) in CE", 0b01, 0b11, 0b11, MarksNormal},
	{"CE in Not-ECT", 0b11, 0b00, 0b11, MarksNormal},
	{"CE in ECT(0)", 0b11, 0b10, 0b11, MarksNormal},
	{"CE in ECT(1)", 0b11, 0b01, 0b11, MarksDangerous},
	{"CE in CE", 0b11, 0b11, 0b11, MarksNormal},
}

func TestDecapECN(t *testing.T) {
	for _, tc := range figure4 {
		for _, dscp := range []uint8{0x00, 0xb8, 0xfc} { // DSCP has no part in it
			ecn, m := DecapECN(tc.inner|dscp, tc.outer|^dscp&0xfc)
			if ecn != tc.ecn || m != tc.marks {
				t.Errorf("%s, DSCP %#x: %02b %d, want %02b %d", tc.name, dscp, ecn, m, tc.ecn, tc.marks)
			}
		}
	}
}

func TestEncapECN(t *testing.T) {
	for tos := range 256 {
		if got := EncapECN(uint8(tos)); got != uint8(tos)&3 {
			t.Errorf("EncapECN(%#02x) = %02b", tos, got)
		}
	}
}

// Every cell on a real frame of either family: right mark, right header
// checksum, DSCP as it was, not another bit changed.
func TestSetFrameECN(t *testing.T) {
	for _, tc := range figure4 {
		if tc.marks == MarksDrop {
			continue
		}
		for name, f := range ipFrames(t, 0xb8|tc.inner) {
			want := ipFrames(t, 0xb8|tc.ecn)[name]
			tos, ok := FrameECN(f)
			if !ok || tos != 0xb8|tc.inner {
				t.Fatalf("%s, %s: FrameECN = %#02x, %t", tc.name, name, tos, ok)
			}
			ecn, _ := DecapECN(tos, tc.outer)
			SetFrameECN(f, ecn)
			if !bytes.Equal(f, want) {
				t.Errorf("%s, %s:\ngot  % x\nwant % x", tc.name, name, f, want)
			}
			checksumsRight(t, f)
		}
	}
}

func ipFrames(t testing.TB, tos uint8) map[string][]byte {
	h4, h6 := header4(layers.IPProtocolUDP), header6(layers.IPProtocolUDP)
	h4.TOS, h6.TrafficClass = tos, tos
	options := header4(layers.IPProtocolUDP)
	options.TOS = tos
	options.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 1}}
	return map[string][]byte{
		"IPv4":              build(t, ethernet(layers.EthernetTypeIPv4), h4, datagram(t, h4), payload(30)),
		"IPv4 with options": build(t, ethernet(layers.EthernetTypeIPv4), options, datagram(t, options), payload(30)),
		"IPv6":              build(t, ethernet(layers.EthernetTypeIPv6), h6, datagram(t, h6), payload(30)),
	}
}

func TestFrameWithoutECN(t *testing.T) {
	ip4 := ipFrames(t, 0)["IPv4"]
	for _, tc := range []struct {
		name string
		f    []byte
	}{
		{"empty", nil},
		{"MACs only", ip4[:13]},
		{"Ethernet header only", ip4[:14]},
		{"IPv4 header cut short", ip4[:33]},
		{"IPv6 header cut short", ipFrames(t, 0)["IPv6"][:53]},
		{"ARP", build(t, ethernet(layers.EthernetTypeARP), payload(28))},
		{"version 6 in an IPv4 frame", append(append([]byte(nil), ip4[:14]...), append([]byte{0x65}, ip4[15:]...)...)},
		{"802.3 length", build(t, ethernet(layers.EthernetTypeLLC), payload(40))},
	} {
		before := append([]byte(nil), tc.f...)
		if _, ok := FrameECN(tc.f); ok {
			t.Errorf("%s: FrameECN says that it is IP", tc.name)
		}
		SetFrameECN(tc.f, CE)
		if !bytes.Equal(before, tc.f) {
			t.Errorf("%s: changed", tc.name)
		}
	}
}

func FuzzFrameECN(f *testing.F) {
	for _, b := range ipFrames(f, 0x01) {
		f.Add(b, uint8(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, ecn uint8) {
		before := append([]byte(nil), b...)
		SetFrameECN(b, ecn)
		tos, ok := FrameECN(b)
		if !ok {
			if !bytes.Equal(b, before) {
				t.Fatal("a frame without ECN was changed")
			}
			return
		}
		if tos&3 != ecn&3 {
			t.Fatalf("ECN %02b, want %02b", tos&3, ecn&3)
		}
		if h, ok := ParseIPv4(before[frame.HeaderLen:]); ok && frame.Frame(b).Type() == frame.TypeIPv4 && h.ChecksumOK() {
			if !IPv4(b[frame.HeaderLen:]).ChecksumOK() {
				t.Fatal("header checksum wrong afterwards")
			}
		}
	})
}

func TestECNAllocates(t *testing.T) {
	f := ipFrames(t, 0x02)["IPv4"]
	if n := testing.AllocsPerRun(100, func() { SetFrameECN(f, CE); SetFrameECN(f, ECT0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
