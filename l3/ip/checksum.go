package ip

import (
	"encoding/binary"
	"math/bits"
)

// Sum returns the one's complement sum of b's 16-bit words and of initial, not
// inverted (RFC 1071). A last odd byte counts as if a zero byte followed it.
// The sum of anything that is not all zero is never zero.
//
// Sums of the pieces of a packet are joined with Add, as long as every piece
// but the last has an even length; Concat joins any two.
func Sum(b []byte, initial uint16) uint16 {
	// The sum does not depend on the byte order as long as the result is
	// stored in the order that the words were read in (RFC 1071 section 2(B)),
	// so eight bytes are read at a time, little endian.
	sum, carry := uint64(bits.ReverseBytes16(initial)), uint64(0)
	for len(b) >= 64 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[0:8]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[8:16]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[16:24]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[24:32]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[32:40]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[40:48]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[48:56]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[56:64]), carry)
		b = b[64:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b), carry)
		b = b[8:]
	}
	sum, carry = bits.Add64(sum, tail(b), carry)
	sum, carry = bits.Add64(sum, 0, carry)
	return bits.ReverseBytes16(fold(sum + carry))
}

// tail reads up to seven bytes, little endian, as if zeros followed them.
func tail(b []byte) (v uint64) {
	shift := 0
	if len(b) >= 4 {
		v, shift = uint64(binary.LittleEndian.Uint32(b)), 32
		b = b[4:]
	}
	if len(b) >= 2 {
		v |= uint64(binary.LittleEndian.Uint16(b)) << shift
		shift += 16
		b = b[2:]
	}
	if len(b) == 1 {
		v |= uint64(b[0]) << shift
	}
	return v
}

// fold adds the four 16-bit words of v with end-around carry.
func fold(v uint64) uint16 {
	v = v>>32 + v&0xffffffff
	v = v>>16 + v&0xffff // below 1<<18
	v = v>>16 + v&0xffff
	v = v>>16 + v&0xffff
	return uint16(v)
}

// Add joins two sums.
func Add(a, b uint16) uint16 {
	s, carry := bits.Add32(uint32(a)<<16, uint32(b)<<16, 0)
	return uint16(s>>16) + uint16(carry)
}

// Concat returns the sum of a piece of n bytes, whose sum is a, followed by a
// piece whose sum is b. After an odd n every byte of the second piece changes
// place within its word (RFC 1071 section 2(A)).
func Concat(a uint16, n int, b uint16) uint16 {
	if n&1 != 0 {
		b = bits.ReverseBytes16(b)
	}
	return Add(a, b)
}

// Update returns the checksum field of a header in which one 16-bit word that
// the checksum covers changes from before to after (RFC 1624 section 3,
// equation 3: unlike equation 4 it does not turn a checksum into a wrong zero).
func Update(field, before, after uint16) uint16 {
	return ^Add(Add(^field, ^before), after)
}

// PseudoIPv4 returns the sum of the pseudo-header of a datagram of protocol
// proto with n bytes of transport header and payload (RFC 9293 section 3.1,
// RFC 768).
func PseudoIPv4(src, dst [4]byte, proto uint8, n int) uint16 {
	return fold(uint64(binary.BigEndian.Uint32(src[:])) + uint64(binary.BigEndian.Uint32(dst[:])) +
		uint64(proto) + uint64(uint32(n)))
}

// PseudoIPv6 is PseudoIPv4 for IPv6 (RFC 8200 section 8.1). With a Routing
// header on the way dst is the last address of the route.
func PseudoIPv6(src, dst [16]byte, proto uint8, n int) uint16 {
	s, c := bits.Add64(binary.BigEndian.Uint64(src[:8]), binary.BigEndian.Uint64(src[8:]), 0)
	s, c = bits.Add64(s, binary.BigEndian.Uint64(dst[:8]), c)
	s, c = bits.Add64(s, binary.BigEndian.Uint64(dst[8:]), c)
	s, c = bits.Add64(s, uint64(proto)+uint64(uint32(n)), c)
	s, c = bits.Add64(s, 0, c)
	return fold(s + c)
}
