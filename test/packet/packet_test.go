package packet

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
)

var (
	dst = frame.MAC{2, 0, 0, 0, 1, 2}
	src = frame.MAC{2, 0, 0, 0, 1, 1}
)

// Another implementation must read each frame to its end and agree with its
// checksums.
func TestFramesReadBack(t *testing.T) {
	a4, b4 := netip.MustParseAddrPort("192.0.2.1:5000"), netip.MustParseAddrPort("192.0.2.2:4789")
	a6, b6 := netip.MustParseAddrPort("[2001:db8::1]:5000"), netip.MustParseAddrPort("[2001:db8::2]:4789")
	inner := Numbered(dst, src, 7)
	for _, c := range []struct {
		name string
		got  []byte
		want []gopacket.LayerType
	}{
		{"UDP over IPv4", UDP(dst, src, a4, netip.MustParseAddrPort("192.0.2.2:9"), []byte("odd")),
			[]gopacket.LayerType{layers.LayerTypeEthernet, layers.LayerTypeIPv4, layers.LayerTypeUDP, gopacket.LayerTypePayload}},
		{"UDP over IPv6", UDP(dst, src, a6, netip.MustParseAddrPort("[2001:db8::2]:9"), []byte("even")),
			[]gopacket.LayerType{layers.LayerTypeEthernet, layers.LayerTypeIPv6, layers.LayerTypeUDP, gopacket.LayerTypePayload}},
		{"VXLAN over IPv4", UDP(dst, src, a4, b4, VXLAN(10010, inner)),
			[]gopacket.LayerType{layers.LayerTypeEthernet, layers.LayerTypeIPv4, layers.LayerTypeUDP, layers.LayerTypeVXLAN,
				layers.LayerTypeEthernet, layers.LayerTypeIPv4, layers.LayerTypeUDP, gopacket.LayerTypePayload}},
		{"VXLAN over IPv6", UDP(dst, src, a6, b6, VXLAN(1<<24-1, inner)),
			[]gopacket.LayerType{layers.LayerTypeEthernet, layers.LayerTypeIPv6, layers.LayerTypeUDP, layers.LayerTypeVXLAN,
				layers.LayerTypeEthernet, layers.LayerTypeIPv4, layers.LayerTypeUDP, gopacket.LayerTypePayload}},
		{"TCP over IPv4", Segment(dst, src, a4, netip.MustParseAddrPort("192.0.2.2:9"), 3, []byte("odd")),
			[]gopacket.LayerType{layers.LayerTypeEthernet, layers.LayerTypeIPv4, layers.LayerTypeTCP, gopacket.LayerTypePayload}},
		{"TCP over IPv6", Segment(dst, src, a6, netip.MustParseAddrPort("[2001:db8::2]:9"), 3, []byte("even")),
			[]gopacket.LayerType{layers.LayerTypeEthernet, layers.LayerTypeIPv6, layers.LayerTypeTCP, gopacket.LayerTypePayload}},
		{"ARP", ARP(frame.Broadcast, ARPRequest, src, a4.Addr(), frame.MAC{}, b4.Addr()),
			[]gopacket.LayerType{layers.LayerTypeEthernet, layers.LayerTypeARP}},
		{"tag", Tagged(inner, frame.TypeVLAN, 0xa00a),
			[]gopacket.LayerType{layers.LayerTypeEthernet, layers.LayerTypeDot1Q, layers.LayerTypeIPv4, layers.LayerTypeUDP, gopacket.LayerTypePayload}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := gopacket.NewPacket(c.got, layers.LayerTypeEthernet, gopacket.Default)
			if p.ErrorLayer() != nil || p.Metadata().Truncated {
				t.Fatalf("not readable: %v", p)
			}
			var got []gopacket.LayerType
			for _, l := range p.Layers() {
				got = append(got, l.LayerType())
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("layers %v, want %v", got, c.want)
			}
			sumOver(t, p)
			if err, mismatches := p.VerifyChecksums(); err != nil || len(mismatches) > 0 {
				t.Errorf("checksums: %v %v", err, mismatches)
			}
		})
	}
}

// sumOver tells each UDP layer which IP header is part of its checksum.
func sumOver(t *testing.T, p gopacket.Packet) {
	t.Helper()
	var network gopacket.NetworkLayer
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case gopacket.NetworkLayer:
			network = l
		case *layers.UDP:
			if err := l.SetNetworkLayerForChecksum(network); err != nil {
				t.Fatal(err)
			}
		case *layers.TCP:
			if err := l.SetNetworkLayerForChecksum(network); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestVXLANHeaderIsThatOfTheRFC(t *testing.T) {
	if got, want := VXLAN(1000, []byte{0xaa}), []byte{8, 0, 0, 0, 0, 3, 0xe8, 0, 0xaa}; !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestNothingIsPadded(t *testing.T) {
	if n := len(Ethernet(dst, src, 0x88b5, []byte{1})); n != frame.HeaderLen+1 {
		t.Errorf("%d bytes, want 15", n)
	}
}

func TestNumberIsReadBack(t *testing.T) {
	if n, ok := Number(Numbered(dst, src, 0xdeadbeef)); !ok || n != 0xdeadbeef {
		t.Errorf("read %x, %v", n, ok)
	}
	for _, f := range [][]byte{nil, make([]byte, 60), Tagged(Numbered(dst, src, 1), frame.TypeVLAN, 1)} {
		if _, ok := Number(f); ok {
			t.Errorf("% x has no number there", f)
		}
	}
}

func TestTaggedLeavesTheFrameAlone(t *testing.T) {
	f := Numbered(dst, src, 1)
	was := bytes.Clone(f)
	tagged := Tagged(f, frame.TypeQinQ, 0x0064)
	if !bytes.Equal(f, was) {
		t.Error("the untagged frame was written to")
	}
	if want := append(append(bytes.Clone(f[:12]), 0x88, 0xa8, 0, 0x64), f[12:]...); !bytes.Equal(tagged, want) {
		t.Errorf("% x, want % x", tagged, want)
	}
}
