package vxlan

import (
	"encoding/binary"
	"math/bits"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// DefaultSeed is the seed to use when nothing asks for another. It is fixed, so
// that a flow keeps its source port, and with it its path, over a restart.
const DefaultSeed = 0x9e3779b97f4a7c15

// Multipliers without structure: the fractional parts of the square roots of
// 2, 3, 5 and 7.
const (
	k0 = 0x6a09e667f3bcc909
	k1 = 0xbb67ae8584caa73b
	k2 = 0x3c6ef372fe94f82b
	k3 = 0xa54ff53a5f1d36f1
)

const (
	typeMPLS      = 0x8847 // RFC 5332: both types may carry either kind of label
	typeMPLSOther = 0x8848
	maxLabels     = 8
	bottomOfStack = 0x100 // in a label stack entry (RFC 3032 section 2.1)
	minEtherType  = 0x600 // below it is a length (IEEE 802.3 clause 3.2.6)
)

// Entropy chooses the outer UDP source port, by which routers between VTEPs
// spread flows over equal paths (RFC 7348 section 5).
//
// A flow is what must arrive in order. For an unfragmented IP packet it is the
// addresses, the protocol and, where the protocol has them, the ports. Every
// fragment, the first one too, goes by addresses and protocol alone: only so do
// all fragments of a datagram take one path. MPLS goes by its labels and the IP
// packet beneath them; all else by MAC addresses and EtherType. Nothing
// that changes from one packet of a flow to the next (TTL, ID, DSCP, ECN, flow
// label, TCP flags) has a part in it.
type Entropy struct {
	first uint16
	span  uint64 // ports in the range, 1..65536
	seed  uint64
}

// NewEntropy returns an Entropy that uses the ports first to last, both
// included, first <= last. The seed decides which flow gets which port.
func NewEntropy(first, last uint16, seed uint64) Entropy {
	return Entropy{first: first, span: uint64(last) - uint64(first) + 1, seed: seed}
}

// SourcePort returns the source port for an inner Ethernet frame. It takes
// bytes of any length and content.
func (e Entropy) SourcePort(f []byte) uint16 {
	// The upper half of the hash as a fraction of the range: even over any
	// number of ports, where a remainder would favour the lower ones.
	return e.first + uint16(e.hash(f)>>32*e.span>>32)
}

func (e Entropy) hash(f []byte) uint64 {
	if len(f) < frame.HeaderLen {
		return e.seed
	}
	t := frame.Frame(f).Type()
	switch t {
	case frame.TypeIPv4:
		if h, ok := hashIPv4(f[frame.HeaderLen:], e.seed); ok {
			return h
		}
	case frame.TypeIPv6:
		if h, ok := hashIPv6(f[frame.HeaderLen:], e.seed); ok {
			return h
		}
	case typeMPLS, typeMPLSOther:
		return hashMPLS(f, e.seed)
	}
	return hashMACs(f, t, e.seed)
}

// hashMACs tells non-IP flows apart. A length in the EtherType's place differs
// from frame to frame and is left out.
func hashMACs(f []byte, t uint16, seed uint64) uint64 {
	if t < minEtherType {
		t = 0
	}
	h := mix(binary.BigEndian.Uint64(f)^seed, uint64(binary.BigEndian.Uint32(f[8:]))<<16^uint64(t)^k0)
	return mix(h^k1, k2)
}

func hashIPv4(p []byte, seed uint64) (uint64, bool) {
	if len(p) < ip.IPv4HeaderLen || p[0]>>4 != 4 {
		return 0, false
	}
	h := ip.IPv4(p)
	l4 := uint64(h.Protocol())
	if ip.HasPorts(h.Protocol()) && !h.IsFragment() {
		l4 |= ports(p, h.HeaderLen())
	}
	return mix(mix(binary.BigEndian.Uint64(p[12:])^seed, l4^k0)^k1, k2), true
}

func hashIPv6(p []byte, seed uint64) (uint64, bool) {
	if len(p) < ip.IPv6HeaderLen || p[0]>>4 != 6 {
		return 0, false
	}
	l4 := upper(p)
	h := mix(binary.BigEndian.Uint64(p[8:])^seed, binary.BigEndian.Uint64(p[16:])^k0)
	h = mix(binary.BigEndian.Uint64(p[24:])^h, binary.BigEndian.Uint64(p[32:])^k1)
	return mix(h^k3, l4^k2), true
}

// upper returns protocol and ports of an IPv6 packet.
func upper(p []byte) uint64 {
	h := ip.IPv6(p)
	proto, off := h.NextHeader(), ip.IPv6HeaderLen
	if !ip.HasPorts(proto) {
		// In a fragment the protocol that a Fragment header names may differ
		// from fragment to fragment (RFC 8200 section 4.5), and a chain that
		// cannot be followed names none.
		u, ok := h.Upper()
		if !ok || u.Fragment {
			return ip.ProtoFragment
		}
		if proto, off = u.Proto, u.Off; !ip.HasPorts(proto) {
			return uint64(proto)
		}
	}
	return uint64(proto) | ports(p, off)
}

// ports returns the 32 bits at off, where source and destination port are,
// above the byte that holds the protocol; none when the packet is too short.
func ports(p []byte, off int) uint64 {
	if off+4 > len(p) {
		return 0
	}
	return uint64(binary.BigEndian.Uint32(p[off:])) << 8
}

// hashMPLS hashes the labels, without traffic class and TTL, and the IP packet
// beneath them. That it is one is a guess from its first bits (RFC 4928 section
// 2), so the whole header must agree: a pseudowire may carry anything there.
func hashMPLS(f []byte, seed uint64) uint64 {
	h, p := hashMACs(f, typeMPLS, seed), f[frame.HeaderLen:]
	for range maxLabels {
		if len(p) < 4 {
			return h
		}
		entry := binary.BigEndian.Uint32(p)
		h, p = mix(h^uint64(entry>>12), k3), p[4:]
		if entry&bottomOfStack != 0 {
			return hashBeneath(p, h)
		}
	}
	return h
}

// hashBeneath goes on with the IP packet in p, if one is there.
func hashBeneath(p []byte, seed uint64) uint64 {
	h, ok := uint64(0), false
	if v4, is := ip.ParseIPv4(p); is && v4.ChecksumOK() {
		h, ok = hashIPv4(v4, seed)
	} else if v6, is := ip.ParseIPv6(p); is {
		h, ok = hashIPv6(v6, seed)
	}
	if !ok {
		return seed
	}
	return h
}

// mix multiplies to 128 bits and folds: every bit of a and b reaches every bit
// of the result.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
