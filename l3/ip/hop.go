package ip

import "encoding/binary"

// DecrementTTL takes one hop off a packet's TTL, which is 1 at least, and keeps the
// header checksum as right, or as wrong, as it was (RFC 1624).
func (h IPv4) DecrementTTL() {
	before := binary.BigEndian.Uint16(h[8:10])
	h[8]--
	h.SetChecksum(Update(h.Checksum(), before, binary.BigEndian.Uint16(h[8:10])))
}

// DecrementHopLimit takes one hop off a packet's hop limit, which is 1 at least.
func (h IPv6) DecrementHopLimit() { h[7]-- }

// Options of IPv4 (RFC 791 section 3.1). The highest bit of a type says that every
// fragment has it.
const (
	optionEnd   = 0
	optionNOP   = 1
	optionLSRR  = 131
	optionSSRR  = 137
	optionIsIn  = 0x80 // every fragment
	optionAlign = 4
)

// options returns the option bytes of a header.
func (h IPv4) options() []byte { return h[IPv4HeaderLen:h.HeaderLen()] }

// nextOption returns the first option of o and what follows it. ok is false where
// there is none: at the end, or where a length lies.
func nextOption(o []byte) (option, rest []byte, ok bool) {
	switch {
	case len(o) == 0 || o[0] == optionEnd:
		return nil, nil, false
	case o[0] == optionNOP:
		return o[:1], o[1:], true
	case len(o) < 2 || o[1] < 2 || int(o[1]) > len(o):
		return nil, nil, false
	}
	return o[:o[1]], o[o[1]:], true
}

// OptionsOK reports whether the options can be walked to their end: every length
// stays within the header.
func (h IPv4) OptionsOK() bool { return h.BadOption() == 0 }

// BadOption returns where in the header the first option is whose length cannot be
// right, in bytes; 0 where all can.
func (h IPv4) BadOption() int {
	o := h.options()
	for {
		_, rest, ok := nextOption(o)
		switch {
		case ok:
			o = rest
		case len(o) == 0 || o[0] == optionEnd:
			return 0
		default:
			return h.HeaderLen() - len(o)
		}
	}
}

// SourceRouted reports whether the sender gives the route himself, loose or strict.
// Such packets are discarded (RFC 7126 sections 4.3 and 4.4).
func (h IPv4) SourceRouted() bool {
	o := h.options()
	for {
		option, rest, ok := nextOption(o)
		if !ok {
			return false
		}
		if option[0] == optionLSRR || option[0] == optionSSRR {
			return true
		}
		o = rest
	}
}

// RoutingHeader0 reports whether a packet has a Routing header of type 0, which is
// not followed (RFC 5095 section 3). As many headers are walked as Upper walks, and
// like there none in the data of a fragment that is not the first.
func (h IPv6) RoutingHeader0() bool {
	proto, off := h.NextHeader(), IPv6HeaderLen
	for range maxExtensions {
		if !isExtension(proto) || off+8 > len(h) {
			return false
		}
		n := 8
		switch {
		case proto == ProtoRouting && h[off+2] == 0:
			return true
		case proto == ProtoFragment && binary.BigEndian.Uint16(h[off+2:])&^7 != 0:
			return false
		case proto != ProtoFragment:
			n += 8 * int(h[off+1])
		}
		proto, off = h[off], off+n
	}
	return false
}
