package udp

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l3/ip"
)

// flaw is why the kernel does not hand a packet to the VTEP's socket, or not in
// the piece that it came in.
type flaw uint8

const (
	fine      flaw = iota // or for somebody else
	fragment              // an IP fragment
	malformed             // an IP or UDP header that lies
)

// judge says what is wrong with packets for a VTEP before the kernel's stack
// refuses them without a word.
type judge struct {
	addr   netip.Addr
	port   uint16
	groups *groupSet // that the VTEP has joined
}

// ours reports whether packets to dst are for the VTEP.
func (j judge) ours(dst netip.Addr) bool {
	return dst == j.addr || dst.IsMulticast() && j.groups.has(dst)
}

// ipv4 judges an IPv4 packet that is full bytes long, of which b is the start or
// all.
func (j judge) ipv4(b []byte, full int) flaw {
	full = max(full, len(b))
	if len(b) < ip.IPv4HeaderLen {
		return fine // nobody can say whom it is for
	}
	h := ip.IPv4(b)
	if h.Protocol() != ip.ProtoUDP || !j.ours(h.Dst()) {
		return fine
	}
	hl, total := h.HeaderLen(), h.TotalLen()
	switch {
	case h[0]>>4 != 4 || hl < ip.IPv4HeaderLen || hl > full:
		return malformed // and no telling where its ports are
	case hl > len(b):
		return fine // cut off by the reader, which leaves more than any header
	case !h.ChecksumOK() && hl > ip.IPv4HeaderLen:
		return malformed // its options may be ports
	case !h.ChecksumOK() || total < hl || total > full:
		return j.ifOurs(b, hl, malformed)
	}
	if h.IsFragment() {
		if h.FragmentOffset() > 0 {
			return fragment // only the first one has ports
		}
		return j.ifOurs(b, hl, fragment)
	}
	return j.udp(b, hl, total-hl, false)
}

// ipv6 is ipv4 for IPv6.
func (j judge) ipv6(b []byte, full int) flaw {
	full = max(full, len(b))
	if len(b) < ip.IPv6HeaderLen {
		return fine
	}
	h := ip.IPv6(b)
	if !j.ours(h.Dst()) {
		return fine
	}
	end := ip.IPv6HeaderLen + h.PayloadLen()
	if h.PayloadLen() == 0 && h.NextHeader() == ip.ProtoHopByHop {
		end = full // a jumbogram (RFC 2675) has its length elsewhere
	}
	u, ok := h[:min(end, len(b))].Upper()
	wrong := h[0]>>4 != 6 || end > full
	switch {
	case !ok && (wrong || end <= len(b)):
		return malformed // its extension headers lead nowhere
	case !ok || !mayBeUDP(u):
		return fine
	case wrong:
		return j.ifOurs(b, u.Off, malformed)
	case u.Fragment && u.FragmentOffset > 0:
		return fragment
	case u.Fragment:
		return j.ifOurs(b, u.Off, fragment)
	}
	return j.udp(b, u.Off, end-u.Off, true)
}

// mayBeUDP reports whether UDP is what a packet carries, or may be what the
// first fragment of it said.
func mayBeUDP(u ip.Upper) bool {
	return u.Proto == ip.ProtoUDP || u.FragmentOffset > 0 && u.Proto == ip.ProtoDestination
}

// ifOurs returns f unless the UDP header at off says that the packet is for
// another port. What is too short to say so counts as ours; lengths are not
// asked, since they may be what is wrong.
func (j judge) ifOurs(b []byte, off int, f flaw) flaw {
	if off+4 <= len(b) && ip.UDP(b[off:]).DstPort() != j.port {
		return fine
	}
	return f
}

// udp judges a UDP header at off with n bytes from there to the end of the IP
// packet. A length of zero is one of a jumbogram on IPv6, where Linux takes all
// there is.
func (j judge) udp(b []byte, off, n int, zeroOK bool) flaw {
	if n < ip.UDPHeaderLen {
		return j.ifOurs(b, off, malformed)
	}
	if off+ip.UDPHeaderLen > len(b) {
		return fine // cut off by the reader
	}
	length := int(binary.BigEndian.Uint16(b[off+4:]))
	switch {
	case ip.UDP(b[off:]).DstPort() != j.port:
		return fine
	case length == 0 && zeroOK:
		return fine
	case length < ip.UDPHeaderLen || length > n:
		return malformed
	}
	return fine
}
