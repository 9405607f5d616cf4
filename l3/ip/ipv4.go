package ip

import (
	"encoding/binary"
	"net/netip"
)

const (
	// IPv4HeaderLen is the length of an IPv4 header without options, in bytes.
	IPv4HeaderLen = 20
	// IPv4MaxHeaderLen is the length of an IPv4 header full of options.
	IPv4MaxHeaderLen = 60
)

// The bits of the flags and fragment offset word (RFC 791 section 3.1).
const (
	flagDF     = 0x4000
	flagMF     = 0x2000
	offsetMask = 0x1fff
)

// IPv4 is a view over an IPv4 packet, header and payload.
type IPv4 []byte

// ParseIPv4 returns a view over the IPv4 packet that b starts with, cut at its
// total length: what follows in b is padding. It reports false when the
// version, the header length or the total length cannot be right; it does not
// look at the checksum.
func ParseIPv4(b []byte) (IPv4, bool) {
	if len(b) < IPv4HeaderLen || b[0]>>4 != 4 {
		return nil, false
	}
	h := IPv4(b)
	hl, n := h.HeaderLen(), h.TotalLen()
	if hl < IPv4HeaderLen || n < hl || n > len(b) {
		return nil, false
	}
	return h[:n], true
}

// HeaderLen returns the header's length in bytes, options included.
func (h IPv4) HeaderLen() int { return int(h[0]&0x0f) * 4 }

// TOS returns DSCP and ECN.
func (h IPv4) TOS() uint8 { return h[1] }

// TotalLen returns the packet's length in bytes, header included.
func (h IPv4) TotalLen() int { return int(binary.BigEndian.Uint16(h[2:4])) }

// ID returns the identification that the fragments of one packet share.
func (h IPv4) ID() uint16 { return binary.BigEndian.Uint16(h[4:6]) }

// DontFragment reports whether DF is set.
func (h IPv4) DontFragment() bool { return h.fragment()&flagDF != 0 }

// IsFragment reports whether the packet is a fragment, the first one included.
func (h IPv4) IsFragment() bool { return h.fragment()&(flagMF|offsetMask) != 0 }

// FragmentOffset returns the place of the payload in the whole, in bytes.
func (h IPv4) FragmentOffset() int { return int(h.fragment()&offsetMask) * 8 }

func (h IPv4) fragment() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// TTL returns the time to live.
func (h IPv4) TTL() uint8 { return h[8] }

// Protocol returns the number of the protocol in the payload.
func (h IPv4) Protocol() uint8 { return h[9] }

// Checksum returns the header checksum field.
func (h IPv4) Checksum() uint16 { return binary.BigEndian.Uint16(h[10:12]) }

// ChecksumOK reports whether the header checksum is right.
func (h IPv4) ChecksumOK() bool { return Sum(h[:h.HeaderLen()], 0) == 0xffff }

// Src returns the source address.
func (h IPv4) Src() netip.Addr { return netip.AddrFrom4([4]byte(h[12:16])) }

// Dst returns the destination address.
func (h IPv4) Dst() netip.Addr { return netip.AddrFrom4([4]byte(h[16:20])) }

// Payload returns what follows the header.
func (h IPv4) Payload() []byte { return h[h.HeaderLen():] }

// PseudoSum returns the sum of the pseudo-header for n bytes of protocol proto.
func (h IPv4) PseudoSum(proto uint8, n int) uint16 {
	return PseudoIPv4([4]byte(h[12:16]), [4]byte(h[16:20]), proto, n)
}

// SetTOS writes DSCP and ECN and keeps the header checksum as right, or as
// wrong, as it was.
func (h IPv4) SetTOS(tos uint8) {
	before := binary.BigEndian.Uint16(h[0:2])
	h[1] = tos
	h.SetChecksum(Update(h.Checksum(), before, binary.BigEndian.Uint16(h[0:2])))
}

// SetTotalLen writes the packet's length, 20 to 65535 bytes.
func (h IPv4) SetTotalLen(n int) { binary.BigEndian.PutUint16(h[2:4], uint16(n)) }

// SetID writes the identification.
func (h IPv4) SetID(id uint16) { binary.BigEndian.PutUint16(h[4:6], id) }

// SetChecksum writes the header checksum field.
func (h IPv4) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[10:12], c) }

// IPv4Fields is a header without options, as Encode writes it.
type IPv4Fields struct {
	TOS          uint8
	TotalLen     int // 20..65535 bytes
	ID           uint16
	DontFragment bool
	TTL          uint8
	Protocol     uint8
	Src, Dst     [4]byte
}

// Encode writes a header of IPv4HeaderLen bytes, checksum included.
func (h IPv4) Encode(f IPv4Fields) {
	h[0], h[1] = 4<<4|IPv4HeaderLen/4, f.TOS
	h.SetTotalLen(f.TotalLen)
	h.SetID(f.ID)
	h[6], h[7] = 0, 0
	if f.DontFragment {
		h[6] = flagDF >> 8
	}
	h[8], h[9] = f.TTL, f.Protocol
	h.SetChecksum(0)
	copy(h[12:16], f.Src[:])
	copy(h[16:20], f.Dst[:])
	h.SetChecksum(^Sum(h[:IPv4HeaderLen], 0))
}
