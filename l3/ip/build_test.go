package ip

import (
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// The frames of these tests are written and read by gopacket, so that the code
// under test is not its own witness.

var (
	macA = net.HardwareAddr{2, 0, 0, 0, 1, 1}
	macB = net.HardwareAddr{2, 0, 0, 0, 2, 0xa}
	v4A  = net.IP{10, 1, 1, 10}
	v4B  = net.IP{10, 1, 1, 20}
	v6A  = net.ParseIP("2001:db8:1::10")
	v6B  = net.ParseIP("2001:db8:1::20")
)

func ethernet(t layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: macA, DstMAC: macB, EthernetType: t}
}

func header4(p layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, IHL: 5, TTL: 61, Id: 0x1234, Flags: layers.IPv4DontFragment, Protocol: p, SrcIP: v4A, DstIP: v4B}
}

func header6(p layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 61, FlowLabel: 0xabcde, NextHeader: p, SrcIP: v6A, DstIP: v6B}
}

func build(t testing.TB, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, parts...); err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), buf.Bytes()...)
}

// checksumsRight makes gopacket read a frame and verify every checksum in it.
func checksumsRight(t testing.TB, f []byte) gopacket.Packet {
	t.Helper()
	p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatalf("gopacket cannot read the frame: %v\n% x", e.Error(), f)
	}
	for _, l := range p.Layers() {
		if c, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			if err := c.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
				t.Fatal(err)
			}
		}
	}
	err, bad := p.VerifyChecksums()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range bad {
		t.Fatalf("checksum of %v is %#04x, want %#04x", m.Layer.LayerType(), m.Actual, m.Correct)
	}
	return p
}

func datagram(t testing.TB, under gopacket.NetworkLayer) *layers.UDP {
	t.Helper()
	u := &layers.UDP{SrcPort: 1234, DstPort: 5678}
	if err := u.SetNetworkLayerForChecksum(under); err != nil {
		t.Fatal(err)
	}
	return u
}

func payload(n int) gopacket.Payload {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}
