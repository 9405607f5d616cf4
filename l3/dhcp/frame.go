package dhcp

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// Fields is a datagram as PutUDP writes it. Both addresses are of one family.
type Fields struct {
	From, To         frame.MAC
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	TTL              uint8 // or hop limit; 0: 64
	Payload          []byte
}

const defaultTTL = 64

// FrameLen is what PutUDP writes, in bytes.
func FrameLen(f Fields) int {
	n := frame.HeaderLen + ip.UDPHeaderLen + len(f.Payload)
	if f.Dst.Is4() {
		return n + ip.IPv4HeaderLen
	}
	return n + ip.IPv6HeaderLen
}

// PutUDP writes into dst the Ethernet frame that carries a datagram, checksums and
// all, and returns FrameLen; 0 when dst is shorter, an address is missing or of the
// other family, or the payload is longer than a datagram's may be.
func PutUDP(dst []byte, f Fields) int {
	n := FrameLen(f)
	length := ip.UDPHeaderLen + len(f.Payload)
	if len(dst) < n || f.Src.Is4() != f.Dst.Is4() || !f.Src.IsValid() || !f.Dst.IsValid() || length > 0xffff-ip.IPv4HeaderLen {
		return 0
	}
	if f.TTL == 0 {
		f.TTL = defaultTTL
	}
	copy(dst[0:6], f.To[:])
	copy(dst[6:12], f.From[:])
	packet := dst[frame.HeaderLen:n]
	var u ip.UDP
	var pseudo uint16
	if f.Dst.Is4() {
		binary.BigEndian.PutUint16(dst[12:14], frame.TypeIPv4)
		h := ip.IPv4(packet)
		h.Encode(ip.IPv4Fields{TotalLen: len(packet), TTL: f.TTL, Protocol: ip.ProtoUDP, Src: f.Src.As4(), Dst: f.Dst.As4()})
		u, pseudo = ip.UDP(h.Payload()), h.PseudoSum(ip.ProtoUDP, length)
	} else {
		binary.BigEndian.PutUint16(dst[12:14], frame.TypeIPv6)
		h := ip.IPv6(packet)
		h.Encode(ip.IPv6Fields{PayloadLen: length, NextHeader: ip.ProtoUDP, HopLimit: f.TTL, Src: f.Src.As16(), Dst: f.Dst.As16()})
		u, pseudo = ip.UDP(h.Payload()), h.PseudoSum(ip.ProtoUDP, length)
	}
	binary.BigEndian.PutUint16(u[0:2], f.SrcPort)
	binary.BigEndian.PutUint16(u[2:4], f.DstPort)
	u.SetLength(length)
	u.SetChecksum(0)
	copy(u[ip.UDPHeaderLen:], f.Payload)
	u.SetChecksum(ip.NonZero(^ip.Sum(u, pseudo)))
	return n
}
