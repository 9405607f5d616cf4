// Package vxlan is what is true of VXLAN (RFC 7348): the header, and the outer
// source port that tells flows apart for the network between VTEPs.
package vxlan

import "encoding/binary"

const (
	// HeaderLen is the length of a VXLAN header in bytes (RFC 7348 section 5).
	HeaderLen = 8

	// Port is the UDP port IANA assigned (RFC 7348 section 8).
	Port = 4789

	// MaxVNI is the highest VNI there is, a 24-bit number.
	MaxVNI = 1<<24 - 1

	// flagVNI is the I flag: the VNI is valid.
	flagVNI = 0x08
)

// Problem says why a UDP payload is no VXLAN packet.
type Problem uint8

// The problems. OK is the zero value.
const (
	OK    Problem = iota
	Short         // fewer than HeaderLen bytes
	NoVNI         // the I flag is not set
)

// Parse reads the header that b starts with; the inner frame is b[HeaderLen:].
// It reports whether any bit is set that RFC 7348 section 5 reserves: the other
// seven flags, the 24 bits behind them, or the 8 bits behind the VNI. A
// receiver ignores them; to a strict one they are the G bit of the group policy
// extension or the P bit of VXLAN-GPE, whose payload may not be Ethernet.
//
// vni is 0 to MaxVNI; it and reserved mean nothing unless the Problem is OK.
func Parse(b []byte) (vni uint32, reserved bool, p Problem) {
	if len(b) < HeaderLen {
		return 0, false, Short
	}
	h := binary.BigEndian.Uint64(b)
	if h>>56&flagVNI == 0 {
		return 0, false, NoVNI
	}
	const mustBeZero = ^uint64(flagVNI<<56 | MaxVNI<<8)
	return uint32(h >> 8 & MaxVNI), h&mustBeZero != 0, OK
}

// Put writes a header into the first HeaderLen bytes of b: the I flag, the VNI,
// and zero in every reserved bit (RFC 7348 section 5). Bits of vni above the
// 24th are left out. It panics when b is shorter.
func Put(b []byte, vni uint32) {
	binary.BigEndian.PutUint64(b, flagVNI<<56|uint64(vni&MaxVNI)<<8)
}
