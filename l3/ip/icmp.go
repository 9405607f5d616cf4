package ip

import "encoding/binary"

// ICMPHeaderLen is the length of an ICMP or ICMPv6 header with the 32 bits
// whose meaning depends on the type, in bytes.
const ICMPHeaderLen = 8

// Types and codes of ICMP (RFC 792, RFC 1191 section 4).
const (
	ICMPEchoReply         = 0
	ICMPUnreachable       = 3
	ICMPCodeFragmentation = 4 // fragmentation needed and DF set
	ICMPSourceQuench      = 4
	ICMPRedirect          = 5
	ICMPEcho              = 8
	ICMPTimeExceeded      = 11
	ICMPParameterProblem  = 12
)

// Types of ICMPv6 (RFC 4443 section 2.1, RFC 4861 section 4.5). Those below 128
// are errors.
const (
	ICMPv6Unreachable      = 1
	ICMPv6PacketTooBig     = 2
	ICMPv6TimeExceeded     = 3
	ICMPv6ParameterProblem = 4
	ICMPv6FirstInfo        = 128
	ICMPv6Echo             = 128
	ICMPv6EchoReply        = 129
	ICMPv6Redirect         = 137
)

// ICMP is a view over an ICMP or ICMPv6 message, ICMPHeaderLen bytes at least.
type ICMP []byte

// Type returns the message type.
func (h ICMP) Type() uint8 { return h[0] }

// Code returns the code within the type.
func (h ICMP) Code() uint8 { return h[1] }

// Checksum returns the checksum field.
func (h ICMP) Checksum() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Rest returns the 32 bits behind the checksum, whose meaning depends on the
// type. The next-hop MTU is their lower half in ICMP and all of them in ICMPv6.
func (h ICMP) Rest() uint32 { return binary.BigEndian.Uint32(h[4:8]) }

// Body returns what follows the header: in an error, the quoted packet.
func (h ICMP) Body() []byte { return h[ICMPHeaderLen:] }

// encode writes the header of the message whose body is in place, and a
// checksum over both that starts from pseudo: zero for ICMP, the pseudo-header's
// sum for ICMPv6 (RFC 4443 section 2.3).
func (h ICMP) encode(typ, code uint8, rest uint32, pseudo uint16) {
	h[0], h[1], h[2], h[3] = typ, code, 0, 0
	binary.BigEndian.PutUint32(h[4:8], rest)
	binary.BigEndian.PutUint16(h[2:4], ^Sum(h, pseudo))
}

// isICMPError reports whether an ICMP message is an error or a redirect, which
// no error may answer (RFC 1122 section 3.2.2).
func isICMPError(typ uint8) bool {
	switch typ {
	case ICMPUnreachable, ICMPSourceQuench, ICMPRedirect, ICMPTimeExceeded, ICMPParameterProblem:
		return true
	}
	return false
}

// isICMPv6Error is isICMPError for ICMPv6 (RFC 4443 section 2.4(e)).
func isICMPv6Error(typ uint8) bool {
	return typ < ICMPv6FirstInfo || typ == ICMPv6Redirect
}
