package ip

import (
	"encoding/binary"
	"net/netip"
)

const (
	// IPv6HeaderLen is the length of the fixed IPv6 header in bytes.
	IPv6HeaderLen = 40
	// IPv6MinMTU is the smallest MTU of an IPv6 link (RFC 8200 section 5).
	IPv6MinMTU = 1280

	// maxExtensions bounds the walk along a packet's extension headers. RFC
	// 8200 section 4.1 makes a packet of four kinds plausible; one with more
	// than twice as many headers is not traffic that anyone needs.
	maxExtensions = 8
)

// IPv6 is a view over an IPv6 packet, header and payload.
type IPv6 []byte

// ParseIPv6 returns a view over the IPv6 packet that b starts with, cut at its
// payload length: what follows in b is padding. It reports false when the
// version or the payload length cannot be right. Jumbograms (RFC 2675) have a
// payload length of zero and come out empty.
func ParseIPv6(b []byte) (IPv6, bool) {
	if len(b) < IPv6HeaderLen || b[0]>>4 != 6 {
		return nil, false
	}
	h := IPv6(b)
	n := IPv6HeaderLen + h.PayloadLen()
	if n > len(b) {
		return nil, false
	}
	return h[:n], true
}

// TrafficClass returns DSCP and ECN.
func (h IPv6) TrafficClass() uint8 { return h[0]<<4 | h[1]>>4 }

// FlowLabel returns the 20-bit flow label.
func (h IPv6) FlowLabel() uint32 { return binary.BigEndian.Uint32(h[0:4]) & 0xfffff }

// PayloadLen returns the length of what follows the fixed header, in bytes.
func (h IPv6) PayloadLen() int { return int(binary.BigEndian.Uint16(h[4:6])) }

// NextHeader returns the number of the protocol or extension header that
// follows the fixed header.
func (h IPv6) NextHeader() uint8 { return h[6] }

// HopLimit returns the hop limit.
func (h IPv6) HopLimit() uint8 { return h[7] }

// Src returns the source address.
func (h IPv6) Src() netip.Addr { return netip.AddrFrom16([16]byte(h[8:24])) }

// Dst returns the destination address.
func (h IPv6) Dst() netip.Addr { return netip.AddrFrom16([16]byte(h[24:40])) }

// Payload returns what follows the fixed header.
func (h IPv6) Payload() []byte { return h[IPv6HeaderLen:] }

// PseudoSum returns the sum of the pseudo-header for n bytes of protocol proto.
func (h IPv6) PseudoSum(proto uint8, n int) uint16 {
	return PseudoIPv6([16]byte(h[8:24]), [16]byte(h[24:40]), proto, n)
}

// SetTrafficClass writes DSCP and ECN.
func (h IPv6) SetTrafficClass(tc uint8) {
	h[0] = h[0]&0xf0 | tc>>4
	h[1] = h[1]&0x0f | tc<<4
}

// SetPayloadLen writes the length of what follows the fixed header, 0 to 65535
// bytes.
func (h IPv6) SetPayloadLen(n int) { binary.BigEndian.PutUint16(h[4:6], uint16(n)) }

// Upper is what lies behind the extension headers of an IPv6 packet.
type Upper struct {
	Proto          uint8 // the protocol of the header at Off
	Off            int   // where that header starts, in bytes from the IPv6 header's start
	Fragment       bool  // a Fragment header was passed, an atomic one (RFC 6946) included
	FragmentOffset int   // in bytes; unless it is zero there is no header at Off
	Routed         bool  // a Routing header was passed, so Dst may not be the last destination
}

// Upper walks along the Hop-by-Hop, Routing, Destination Options and Fragment
// headers, eight at most, and stops behind the Fragment header of a fragment
// that is not the first. It reports false when the packet ends within them or
// has more. Off may be the packet's end.
func (h IPv6) Upper() (u Upper, ok bool) {
	u.Proto, u.Off = h.NextHeader(), IPv6HeaderLen
	for range maxExtensions {
		n := 0
		switch u.Proto {
		case ProtoHopByHop, ProtoRouting, ProtoDestination:
			if u.Off+8 > len(h) {
				return u, false
			}
			n = 8 + 8*int(h[u.Off+1])
			u.Routed = u.Routed || u.Proto == ProtoRouting
		case ProtoFragment:
			if u.Off+8 > len(h) {
				return u, false
			}
			n = 8
			u.Fragment = true
			u.FragmentOffset = int(binary.BigEndian.Uint16(h[u.Off+2:]) &^ 7)
		default:
			return u, true
		}
		if u.Off+n > len(h) {
			return u, false
		}
		u.Proto, u.Off = h[u.Off], u.Off+n
		if u.FragmentOffset != 0 {
			return u, true
		}
	}
	return u, !isExtension(u.Proto)
}

func isExtension(p uint8) bool {
	return p == ProtoHopByHop || p == ProtoRouting || p == ProtoDestination || p == ProtoFragment
}

// IPv6Fields is a fixed header as Encode writes it.
type IPv6Fields struct {
	TrafficClass uint8
	PayloadLen   int // 0..65535 bytes
	NextHeader   uint8
	HopLimit     uint8
	Src, Dst     [16]byte
}

// Encode writes a fixed header, with a flow label of zero.
func (h IPv6) Encode(f IPv6Fields) {
	h[0], h[1], h[2], h[3] = 6<<4|f.TrafficClass>>4, f.TrafficClass<<4, 0, 0
	h.SetPayloadLen(f.PayloadLen)
	h[6], h[7] = f.NextHeader, f.HopLimit
	copy(h[8:24], f.Src[:])
	copy(h[24:40], f.Dst[:])
}
