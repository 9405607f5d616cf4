package main

import (
	"net/netip"

	"vxgw/l2/frame"
	"vxgw/test/bench/load"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// What stands in front of an inner frame over IPv4, in bytes, and where.
const (
	outerLen  = 14 + 20 + 8 + 8
	vniOffset = 14 + 20 + 8 + 4

	udpPortOffset = 14 + 20     // of a frame's source port
	udpSumOffset  = 14 + 20 + 6 // of its checksum
)

// flows is how many UDP flows, by source port, a stream is made of.
const flows = 64

// train is how many frames in a row are of the same VNI. Where there are many
// VNIs each has a wire of its own, and one frame at a time would show what wires
// made of veth cost, not what a device does.
const train = 16

// A mix is the sizes of the frames of a stream, which take turns: bytes from the
// Ethernet header on, without the frame check sequence.
type mix []int

var (
	small = mix{60}
	large = mix{1514} // IP packets of 1500 bytes
	imix  = mix{60, 566, 60, 566, 60, 1514, 60, 566, 60, 566, 60, 60}
)

// A flow is a stream through a device, in one direction.
type flow struct {
	from    *netns.NS
	stream  load.Stream
	in, out []string // devices of gw that it passes
}

// encap is from h1 to the MACs behind the peer, in every VNI.
func (b *bed) encap(m mix) flow {
	s := load.Stream{Devices: each(b.vnis, hostDev), Train: train, Fields: []load.Field{
		sourcePort(0),
	}}
	if b.macs > 1 {
		s.Fields = append(s.Fields, load.Field{Offset: 2, Size: 4, Count: uint32(b.macs)}) // the destination's last bytes
	}
	for _, n := range m {
		s.Frames = append(s.Frames, inner(b.by(h2MAC), h1MAC, h1Addr, h2Addr, n))
	}
	return flow{b.h1, s, each(b.vnis, access), []string{underlay}}
}

// decap is from the MACs behind the peer to h1, in every VNI.
func (b *bed) decap(m mix) flow {
	s := load.Stream{Devices: []string{underlay}, Fields: []load.Field{
		sourcePort(0),
		sourcePort(outerLen),
		{Offset: vniOffset, Size: 4, Shift: 8, First: firstVNI, Count: uint32(b.vnis), Train: train},
	}}
	if b.macs > 1 {
		s.Fields = append(s.Fields, load.Field{Offset: outerLen + 8, Size: 4, Count: uint32(b.macs)}) // the source's last bytes
	}
	for _, n := range m {
		s.Frames = append(s.Frames, outer(inner(b.by(h1MAC), h2MAC, h2Addr, h1Addr, n)))
	}
	return flow{b.peer, s, []string{underlay}, each(b.vnis, access)}
}

// by is where a frame for a station is addressed to: the router where there is one.
func (b *bed) by(station frame.MAC) frame.MAC {
	if b.routed {
		return routerMAC
	}
	return station
}

// sourcePort tells flows apart, in the UDP header of the frame at an offset.
func sourcePort(at int) load.Field {
	return load.Field{Offset: at + udpPortOffset, Size: 2, First: 50000, Count: flows}
}

// inner returns a UDP frame of n bytes, without checksum: the source port is yet
// to be filled in.
func inner(dst, src frame.MAC, from, to netip.Addr, n int) []byte {
	const headers = 14 + 20 + 8
	f := packet.UDP(dst, src, netip.AddrPortFrom(from, 50000), netip.AddrPortFrom(to, 9), make([]byte, n-headers))
	f[udpSumOffset], f[udpSumOffset+1] = 0, 0
	return f
}

// outer returns the frame that carries an inner frame from the peer to the
// device, UDP checksum zero.
func outer(inner []byte) []byte {
	f := packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(peerVTEP, 50000), netip.AddrPortFrom(gwVTEP, vxlanPort), packet.VXLAN(firstVNI, inner))
	f[udpSumOffset], f[udpSumOffset+1] = 0, 0
	return f
}
