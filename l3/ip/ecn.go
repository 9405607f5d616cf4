package ip

import "vxgw/l2/frame"

// The ECN field: the two low bits of a TOS or traffic class byte (RFC 3168
// section 5).
const (
	NotECT uint8 = 0 // not ECN-capable
	ECT1   uint8 = 1
	ECT0   uint8 = 2
	CE     uint8 = 3 // congestion experienced

	ecnMask = 3
)

// Marks is what the marks of an inner and an outer header together say.
type Marks uint8

// What marks can say, after the remarks in figure 4 of RFC 6040.
const (
	MarksNormal    Marks = iota
	MarksUnused          // "(!)": nothing sends this today
	MarksDangerous       // "(!!!)": somebody on the path breaks congestion control
	MarksDrop            // "(!!!)" and the packet must be dropped
)

// EncapECN returns the ECN field of the outer header for an inner TOS or
// traffic class byte, in the normal mode of RFC 6040 section 4.1: all four
// values are copied, CE included.
func EncapECN(inner uint8) uint8 { return inner & ecnMask }

// decapECN is figure 4 of RFC 6040, [inner][outer].
var decapECN = [4][4]struct {
	ecn   uint8
	marks Marks
}{
	NotECT: {NotECT: {NotECT, MarksNormal}, ECT0: {NotECT, MarksDangerous}, ECT1: {NotECT, MarksDangerous}, CE: {NotECT, MarksDrop}},
	ECT0:   {NotECT: {ECT0, MarksNormal}, ECT0: {ECT0, MarksNormal}, ECT1: {ECT1, MarksNormal}, CE: {CE, MarksNormal}},
	ECT1:   {NotECT: {ECT1, MarksNormal}, ECT0: {ECT1, MarksUnused}, ECT1: {ECT1, MarksNormal}, CE: {CE, MarksNormal}},
	CE:     {NotECT: {CE, MarksNormal}, ECT0: {CE, MarksNormal}, ECT1: {CE, MarksDangerous}, CE: {CE, MarksNormal}},
}

// DecapECN returns the ECN field that the inner header leaves the tunnel with,
// for the inner and outer TOS or traffic class bytes (RFC 6040 section 4.2). An
// outer Not-ECT changes nothing, whatever the inner one is.
func DecapECN(inner, outer uint8) (ecn uint8, m Marks) {
	r := decapECN[inner&ecnMask][outer&ecnMask]
	return r.ecn, r.marks
}

// FrameECN returns the TOS or traffic class byte of the IP packet in an
// Ethernet frame. It reports false for a frame without one: it carries no ECN
// and there is nothing to do for it (RFC 6040 is about IP alone).
func FrameECN(f []byte) (tos uint8, isIP bool) {
	if h, ok := frameIPv4(f); ok {
		return h.TOS(), true
	}
	if h, ok := frameIPv6(f); ok {
		return h.TrafficClass(), true
	}
	return 0, false
}

// SetFrameECN writes the ECN field of the IP packet in an Ethernet frame, with
// the IPv4 header checksum brought along. Only the two low bits of ecn count. A
// frame without an IP packet is left as it is.
func SetFrameECN(f []byte, ecn uint8) {
	if h, ok := frameIPv4(f); ok {
		h.SetTOS(h.TOS()&^ecnMask | ecn&ecnMask)
	} else if h, ok := frameIPv6(f); ok {
		h.SetTrafficClass(h.TrafficClass()&^ecnMask | ecn&ecnMask)
	}
}

// frameIPv4 returns the IPv4 header of a frame as far as TOS and checksum need
// it. A total length that lies does not keep a congestion mark from its place:
// the receiver may be more lenient than ParseIPv4.
func frameIPv4(f []byte) (IPv4, bool) {
	const end = frame.HeaderLen + IPv4HeaderLen
	if len(f) < end || frame.Frame(f).Type() != frame.TypeIPv4 || f[frame.HeaderLen]>>4 != 4 {
		return nil, false
	}
	return IPv4(f[frame.HeaderLen:end]), true
}

// frameIPv6 is frameIPv4 for IPv6.
func frameIPv6(f []byte) (IPv6, bool) {
	const end = frame.HeaderLen + IPv6HeaderLen
	if len(f) < end || frame.Frame(f).Type() != frame.TypeIPv6 || f[frame.HeaderLen]>>4 != 6 {
		return nil, false
	}
	return IPv6(f[frame.HeaderLen:end]), true
}
