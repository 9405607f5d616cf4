package ip

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l2/frame"
)

// Error is what a router tells the sender of a packet that went no further.
type Error uint8

// The errors.
const (
	TTLExceeded         Error = iota // RFC 1812 section 5.3.1, RFC 4443 section 3.3
	NetUnreachable                   // there is no route
	HostUnreachable                  // the neighbour does not answer
	PortUnreachable                  // nobody listens there
	ProtocolUnreachable              // nor to the protocol
	FragmentationNeeded              // RFC 1191; packet too big in IPv6
	BeyondScope                      // RFC 4443 section 3.1, code 2; IPv4 has no scopes, and hears NetUnreachable
	AdminProhibited                  // RFC 1812 section 5.2.7.1, code 13
	ParameterProblem                 // RFC 1812 section 4.3.3.5; IPv6 has none such here
	numErrors
)

// message is an Error as ICMP has it: type and code.
type message struct{ typ, code uint8 }

var messages4 = [numErrors]message{
	TTLExceeded:         {ICMPTimeExceeded, 0},
	NetUnreachable:      {ICMPUnreachable, 0},
	HostUnreachable:     {ICMPUnreachable, 1},
	ProtocolUnreachable: {ICMPUnreachable, 2},
	PortUnreachable:     {ICMPUnreachable, 3},
	FragmentationNeeded: {ICMPUnreachable, ICMPCodeFragmentation},
	BeyondScope:         {ICMPUnreachable, 0},
	AdminProhibited:     {ICMPUnreachable, 13},
	ParameterProblem:    {ICMPParameterProblem, 0},
}

var messages6 = [numErrors]message{
	TTLExceeded:         {ICMPv6TimeExceeded, 0},
	NetUnreachable:      {ICMPv6Unreachable, 0},
	HostUnreachable:     {ICMPv6Unreachable, 3},
	PortUnreachable:     {ICMPv6Unreachable, 4},
	ProtocolUnreachable: {ICMPv6ParameterProblem, 1},
	FragmentationNeeded: {ICMPv6PacketTooBig, 0},
	BeyondScope:         {ICMPv6Unreachable, 2},
	AdminProhibited:     {ICMPv6Unreachable, 1},
	ParameterProblem:    {ICMPv6ParameterProblem, 0},
}

// ErrorLen is the most that PutError writes, in bytes.
const ErrorLen = TooBigLen

// PutError writes into dst the Ethernet frame with which a router that has the
// address from tells the sender of the frame f what became of his packet, and
// returns its length. f was addressed to the router's MAC, and that is who answers.
// arg is of FragmentationNeeded how many bytes of IP packet fit, and of
// ParameterProblem where in the packet the problem is.
//
// It returns 0 when nothing may be said (RFC 1812 section 4.3.2.7, RFC 4443 section
// 2.4(e)): an ICMP error or redirect; a frame or packet to a group or to everybody;
// a fragment other than the first; a source that is no single host's; a malformed
// header; a from of the other family. dst holds ErrorLen bytes and does not overlap
// f.
func PutError(dst, f []byte, e Error, arg int, from netip.Addr) int {
	if len(dst) < ErrorLen || len(f) < frame.HeaderLen || e >= numErrors || !betweenStations(f) {
		return 0
	}
	n := 0
	switch in := frame.Frame(f); in.Type() {
	case frame.TypeIPv4:
		if h, ok := ParseIPv4(in.Payload()); ok && from.Is4() && h.ChecksumOK() && mayTell4(h) {
			n = putError4(dst[frame.HeaderLen:], h, messages4[e], errorField(e, arg), from.As4())
		}
	case frame.TypeIPv6:
		if h, ok := ParseIPv6(in.Payload()); ok && from.Is6() && mayTell6(h) {
			n = putError6(dst[frame.HeaderLen:], h, messages6[e], errorField6(h, e, arg), from.As16())
		}
	}
	if n == 0 {
		return 0
	}
	turnEthernet(dst, f)
	return frame.HeaderLen + n
}

// errorField is the 32 bits behind the checksum. The next-hop MTU of RFC 1191 has
// 16 of them.
func errorField(e Error, arg int) uint32 {
	switch e {
	case FragmentationNeeded:
		return uint32(min(arg, 0xffff))
	case ParameterProblem:
		return uint32(arg) << 24
	}
	return 0
}

// errorField6 is errorField for ICMPv6, where a parameter problem points to what is
// wrong: the next-header field that names the protocol.
func errorField6(h IPv6, e Error, arg int) uint32 {
	switch e {
	case FragmentationNeeded:
		return uint32(max(arg, IPv6MinMTU))
	case ParameterProblem:
		return uint32(arg)
	case ProtocolUnreachable:
		return uint32(h.protocolAt())
	}
	return 0
}

// nextHeaderAt is where the next-header field is in a fixed IPv6 header.
const nextHeaderAt = 6

// protocolAt returns where the next-header field is that names the protocol behind
// the extension headers, in bytes, of a packet that Upper can follow.
func (h IPv6) protocolAt() int {
	u, _ := h.Upper()
	at, proto, off := nextHeaderAt, h.NextHeader(), IPv6HeaderLen
	for off < u.Off {
		n := 8
		if proto != ProtoFragment {
			n += 8 * int(h[off+1])
		}
		at, proto, off = off, h[off], off+n
	}
	return at
}

// mayTell4 reports whether the sender of a packet may be told of an error.
func mayTell4(h IPv4) bool {
	if h.FragmentOffset() != 0 || !isUnicast4(h[12:16]) || h[12] >= 240 || !isUnicast4(h[16:20]) {
		return false
	}
	return h.Protocol() != ProtoICMP || len(h.Payload()) > 0 && !isICMPError(h.Payload()[0])
}

// mayTell6 is mayTell4 for IPv6. A chain of headers that cannot be followed may
// hide an ICMPv6 error.
func mayTell6(h IPv6) bool {
	if !isUnicast6(h[8:24]) || !isUnicast6(h[24:40]) {
		return false
	}
	u, ok := h.Upper()
	if !ok || u.FragmentOffset != 0 {
		return false
	}
	return u.Proto != ProtoICMPv6 || u.Off < len(h) && !isICMPv6Error(h[u.Off])
}

// putError4 writes the whole IPv4 packet and returns its length.
func putError4(dst []byte, h IPv4, m message, field uint32, from [4]byte) int {
	const head = IPv4HeaderLen + ICMPHeaderLen
	n := head + copy(dst[head:icmpMaxLen], h)
	ICMP(dst[IPv4HeaderLen:n]).encode(m.typ, m.code, field, 0)
	IPv4(dst).Encode(IPv4Fields{
		TOS: icmpTOS, TotalLen: n, DontFragment: true, TTL: icmpTTL, Protocol: ProtoICMP,
		Src: from, Dst: [4]byte(h[12:16]),
	})
	return n
}

// putError6 writes the whole IPv6 packet and returns its length.
func putError6(dst []byte, h IPv6, m message, field uint32, from [16]byte) int {
	const head = IPv6HeaderLen + ICMPHeaderLen
	n := head + copy(dst[head:IPv6MinMTU], h)
	out := IPv6(dst[:n])
	out.Encode(IPv6Fields{
		TrafficClass: icmpTOS, PayloadLen: n - IPv6HeaderLen, NextHeader: ProtoICMPv6, HopLimit: icmpTTL,
		Src: from, Dst: [16]byte(h[8:24]),
	})
	msg := ICMP(out.Payload())
	msg.encode(m.typ, m.code, field, out.PseudoSum(ProtoICMPv6, len(msg)))
	return n
}

// TurnEcho turns the echo request in the frame f, if it is a good one for the
// address to, into its reply, in place, and reports whether it did. TOS and DF stay,
// TTL or hop limit becomes 64 (RFC 1812 section 4.3.3.6, RFC 4443 section 4.2). The
// checksum of the message is computed anew: to bring it along goes wrong where the
// reply is all zero, since RFC 1624 counts on that some bit is set.
func TurnEcho(f []byte, to netip.Addr) bool {
	if len(f) < frame.HeaderLen || !betweenStations(f) {
		return false
	}
	ok := false
	switch in := frame.Frame(f); in.Type() {
	case frame.TypeIPv4:
		ok = turnEcho4(in.Payload(), to)
	case frame.TypeIPv6:
		ok = turnEcho6(in.Payload(), to)
	}
	if ok {
		swap(f[0:6], f[6:12])
	}
	return ok
}

// echoTTL is what a reply starts with (RFC 1700 "IP TIME TO LIVE PARAMETER").
const echoTTL = 64

func turnEcho4(b []byte, to netip.Addr) bool {
	h, ok := ParseIPv4(b)
	if !ok || !h.ChecksumOK() || h.IsFragment() || h.Dst() != to || h.Protocol() != ProtoICMP || !isUnicast4(h[12:16]) {
		return false
	}
	m := ICMP(h.Payload())
	if len(m) < ICMPHeaderLen || m.Type() != ICMPEcho || m.Code() != 0 || Sum(m, 0) != 0xffff {
		return false
	}
	m.encode(ICMPEchoReply, 0, m.Rest(), 0)
	swap(h[12:16], h[16:20]) // which leaves the sum as it is
	before := binary.BigEndian.Uint16(h[8:10])
	h[8] = echoTTL
	h.SetChecksum(Update(h.Checksum(), before, binary.BigEndian.Uint16(h[8:10])))
	return true
}

func turnEcho6(b []byte, to netip.Addr) bool {
	h, ok := ParseIPv6(b)
	if !ok || h.Dst() != to || !isUnicast6(h[8:24]) {
		return false
	}
	u, ok := h.Upper()
	if !ok || u.Proto != ProtoICMPv6 || u.Fragment || u.Routed {
		return false
	}
	m := ICMP(h[u.Off:])
	if len(m) < ICMPHeaderLen || m.Type() != ICMPv6Echo || m.Code() != 0 || Sum(m, h.PseudoSum(ProtoICMPv6, len(m))) != 0xffff {
		return false
	}
	m.encode(ICMPv6EchoReply, 0, m.Rest(), h.PseudoSum(ProtoICMPv6, len(m)))
	swap(h[8:24], h[24:40]) // which leaves the sum as it is
	h[7] = echoTTL
	return true
}

func swap(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}
