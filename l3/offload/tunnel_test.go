package offload

import (
	"encoding/binary"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
)

// wrapping is a host's own tunnel around its frames.
type wrapping struct {
	name  string
	v6    bool
	proto layers.IPProtocol
	head  []byte // between the outer IP header and what is inside, but UDP
	sum   bool   // UDP has a checksum
	frame bool   // an Ethernet frame is inside, else an IP packet
}

var wrappings = []wrapping{
	{name: "VXLAN", proto: 17, head: []byte{8, 0, 0, 0, 0, 0, 7, 0}, frame: true},
	{name: "VXLAN with checksum", proto: 17, head: []byte{8, 0, 0, 0, 0, 0, 7, 0}, frame: true, sum: true},
	{name: "VXLAN over IPv6", v6: true, proto: 17, head: []byte{8, 0, 0, 0, 0, 0, 7, 0}, frame: true, sum: true},
	{name: "Geneve with options", proto: 17, head: []byte{1, 0, 0x65, 0x58, 0, 0, 7, 0, 0, 1, 2, 0}, frame: true},
	{name: "GUE without a header", proto: 17, sum: true},
	{name: "GRE", proto: 47, head: []byte{0, 0, 8, 0}},
	{name: "GRE with key", proto: 47, head: []byte{0x20, 0, 0x65, 0x58, 1, 2, 3, 4}, frame: true},
	{name: "GRE with checksum and key", proto: 47, head: []byte{0xa0, 0, 8, 0, 0, 0, 0, 0, 1, 2, 3, 4}},
	{name: "IP in IPv4", proto: 4},
	{name: "IP in IPv6", v6: true, proto: 41},
}

// around puts the tunnel around f, as packet number i.
func (w wrapping) around(t failer, f []byte, i int) []byte {
	t.Helper()
	var inner []byte
	if inner = append(inner, w.head...); w.frame {
		inner = append(inner, f...)
	} else {
		inner = append(inner, f[14:]...)
	}
	if w.proto == 47 && w.head[0]&0x80 != 0 {
		binary.BigEndian.PutUint16(inner[4:], ^slowSum(inner))
	}
	parts := []gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: macA, DstMAC: macB, EthernetType: layers.EthernetTypeIPv4}}
	var network gopacket.NetworkLayer
	if w.v6 {
		parts[0].(*layers.Ethernet).EthernetType = layers.EthernetTypeIPv6
		h := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: w.proto, SrcIP: net.ParseIP("2001:db8:2::1"), DstIP: net.ParseIP("2001:db8:2::2")}
		network, parts = h, append(parts, h)
	} else {
		h := &layers.IPv4{Version: 4, Id: 0xffff + uint16(i), TTL: 64, Protocol: w.proto, SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{192, 0, 2, 2}}
		network, parts = h, append(parts, h)
	}
	if w.proto == 17 {
		h := &layers.UDP{SrcPort: 50000, DstPort: 4789}
		if err := h.SetNetworkLayerForChecksum(network); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, h)
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, append(parts, gopacket.Payload(inner))...); err != nil {
		t.Fatal(err)
	}
	out := append([]byte(nil), buf.Bytes()...)
	if at := w.l4(); w.proto == 17 && !w.sum {
		out[at+6], out[at+7] = 0, 0
	}
	return out
}

func (w wrapping) l4() int {
	if w.v6 {
		return 14 + 40
	}
	return 14 + 20
}

// super returns s as a super-frame in the tunnel.
func (w wrapping) super(t failer, s shape) ([]byte, frame.Offload) {
	f, o := s.super(t)
	out := w.around(t, f, 0)
	o.ChecksumStart += uint16(len(out) - len(f))
	return out, o
}

func TestCutInsideATunnel(t *testing.T) {
	s := NewSegmenter(headroom)
	for _, w := range wrappings {
		for name, in := range map[string]shape{"TCP over IPv4": tcp4(4001), "TCP over IPv6": tcp6(4000), "UDP over IPv4": udp4(5001), "UDP over IPv6": udp6(5000), "one segment": tcp4(50)} {
			f, o := w.super(t, in)
			got, ok := s.Cut(f, o)
			if !ok {
				t.Errorf("%s, %s: refused", w.name, name)
				continue
			}
			var want [][]byte
			for i, seg := range in.segments(t) {
				want = append(want, w.around(t, seg, i))
			}
			sameSegments(t, w.name+", "+name, got, want)
		}
	}
}

func TestCutInsideATunnelRefuses(t *testing.T) {
	vxlan, gre, ipip := wrappings[0], wrappings[5], wrappings[8]
	set16 := func(f []byte, at int, v uint16) { binary.BigEndian.PutUint16(f[at:], v) }
	for _, tc := range []struct {
		name string
		w    wrapping
		in   shape
		mend func(f []byte, o *frame.Offload)
	}{
		{"outer UDP length lies", vxlan, tcp4(4000), func(f []byte, o *frame.Offload) { f[39]++ }},
		{"inner total length lies", vxlan, tcp4(4000), func(f []byte, o *frame.Offload) { f[14+28+8+14+3]-- }},
		{"inner header checksum is wrong", vxlan, tcp4(4000), func(f []byte, o *frame.Offload) { f[14+28+8+14+8]-- }},
		{"inner protocol is another", vxlan, tcp4(4000), func(f []byte, o *frame.Offload) { o.GSO, o.ChecksumAt = frame.GSOUDP, 6 }},
		{"inner IPv4 named IPv6", vxlan, tcp4(4000), func(f []byte, o *frame.Offload) { o.GSO = frame.GSOTCPv6 }},
		{"inner IPv6 named IPv4", vxlan, tcp6(4000), func(f []byte, o *frame.Offload) { o.GSO = frame.GSOTCPv4 }},
		{"inner extension headers", vxlan, options6(tcp6(4000)), func(f []byte, o *frame.Offload) {}},
		{"inner header beyond the frame", vxlan, tcp4(0), func(f []byte, o *frame.Offload) { o.ChecksumStart = uint16(len(f)) - 10 }},
		{"far beyond the frame", vxlan, tcp4(0), func(f []byte, o *frame.Offload) { o.ChecksumStart = 65535 }},
		{"within the outer header", ipip, tcp4(4000), func(f []byte, o *frame.Offload) { o.ChecksumStart = 34 + 4 }},
		{"without a partial checksum", vxlan, tcp4(4000), func(f []byte, o *frame.Offload) { o.NeedsChecksum = false }},
		{"GRE with sequence numbers", gre, tcp4(4000), func(f []byte, o *frame.Offload) { set16(f, 34, 0x1000) }},
		{"GRE version 1", gre, tcp4(4000), func(f []byte, o *frame.Offload) { set16(f, 34, 0x0001) }},
		{"another protocol around", ipip, tcp4(4000), func(f []byte, o *frame.Offload) { f[14+9] = 51 }},
	} {
		f, o := tc.w.super(t, tc.in)
		tc.mend(f, &o)
		if segs, ok := NewSegmenter(headroom).Cut(f, o); ok {
			t.Errorf("%s: cut into %d segments", tc.name, len(segs))
		}
	}
}
