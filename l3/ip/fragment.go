package ip

import (
	"encoding/binary"

	"vxgw/l2/frame"
)

// maxTotalLen is the longest packet, in bytes. A fragment that reaches beyond it is
// no part of one, and offsets behind that spill into the flags.
const maxTotalLen = 0xffff

// Fragmenter cuts one IPv4 packet into fragments (RFC 791 section 3.2, RFC 1812
// section 5.2.6).
type Fragmenter struct {
	eth  []byte // Ethernet header
	h    IPv4
	mtu  int
	next int // payload bytes that are done
}

// Fragments returns the fragments of the IPv4 packet in the frame f, none longer
// than mtu bytes of packet. It reports false where the packet must not be cut, or
// cannot: DF, another protocol, a malformed header, a fragment of more than 65535
// bytes, or an mtu below 68. f is borrowed.
func Fragments(f []byte, mtu int) (Fragmenter, bool) {
	if len(f) < frame.HeaderLen || frame.Frame(f).Type() != frame.TypeIPv4 || mtu < minMTU {
		return Fragmenter{}, false
	}
	h, ok := ParseIPv4(f[frame.HeaderLen:])
	if !ok || h.DontFragment() || !h.OptionsOK() || h.FragmentOffset()+len(h) > maxTotalLen {
		return Fragmenter{}, false
	}
	return Fragmenter{eth: f[:frame.HeaderLen], h: h, mtu: mtu}, true
}

// Next writes the next fragment into dst as a whole Ethernet frame and returns its
// length; 0 when there is none left, or dst is shorter than frame.HeaderLen and the
// mtu together.
func (x *Fragmenter) Next(dst []byte) int {
	body := x.h.Payload()
	if x.next > len(body) || x.next == len(body) && x.next > 0 || len(dst) < frame.HeaderLen+x.mtu {
		return 0
	}
	copy(dst, x.eth)
	out := IPv4(dst[frame.HeaderLen:])
	hl := x.header(out)
	n := min(len(body)-x.next, x.mtu-hl)
	last := x.next+n == len(body)
	if !last {
		n &^= 7 // offsets count in units of eight bytes
	}
	copy(out[hl:], body[x.next:x.next+n])
	out.SetTotalLen(hl + n)
	field := uint16(x.h.FragmentOffset()+x.next)/8 | x.h.fragment()&flagMF
	if !last {
		field |= flagMF
	}
	binary.BigEndian.PutUint16(out[6:8], field)
	out.SetChecksum(0)
	out.SetChecksum(^Sum(out[:hl], 0))
	x.next += n
	if n == 0 {
		x.next = 1 // an empty packet has one fragment
	}
	return frame.HeaderLen + hl + n
}

// header writes the header of the next fragment without its lengths and returns how
// long it is. All but the first have only the options that are for all.
func (x *Fragmenter) header(out IPv4) int {
	if x.next == 0 {
		return copy(out, x.h[:x.h.HeaderLen()])
	}
	n := copy(out, x.h[:IPv4HeaderLen])
	for o := x.h.options(); ; {
		option, rest, ok := nextOption(o)
		if !ok {
			break
		}
		if option[0]&optionIsIn != 0 {
			n += copy(out[n:], option)
		}
		o = rest
	}
	for n%optionAlign != 0 {
		out[n] = optionEnd
		n++
	}
	out[0] = 4<<4 | uint8(n/4)
	return n
}
