package offload

import (
	"encoding/binary"

	"vxgw/l3/ip"
)

// Protocols that carry a host's own tunnels besides UDP.
const (
	protoIPv4 = 4  // RFC 2003
	protoIPv6 = 41 // RFC 4213
	protoGRE  = 47 // RFC 2784
)

func isTunnel(proto uint8) bool {
	return proto == ip.ProtoUDP || proto == protoGRE || proto == protoIPv4 || proto == protoIPv6
}

const (
	greHeaderLen  = 4
	greChecksumAt = 4
	greChecksum   = 0x8000 // C bit (RFC 2784 section 2.1)
	greKey        = 0x2000 // K bit (RFC 2890 section 2)
)

// tunnel is what a host put around the packet that is cut: an IP header, and
// UDP or GRE. What a tunnel over those adds (VXLAN, Geneve, Ethernet) has no
// length or checksum and is copied as it is.
type tunnel struct {
	network network
	l4      int    // UDP, GRE or the inner IP header; 0: no tunnel
	from    int    // where to look for the inner IP header
	udp     bool   // a UDP header is at l4
	sumAt   int    // its checksum, in bytes from l4; 0: none
	pseudo  uint16 // UDP: sum of the pseudo-header without its length
}

// newTunnel reads the outer headers of a packet whose inner transport header is
// at inner.
func newTunnel(f []byte, p packet, inner int) (t tunnel, ok bool) {
	if inner > p.end || p.kind == ipv6Routed {
		return t, false
	}
	t = tunnel{network: newNetwork(f, l3, p.kind), l4: p.l4, from: p.l4}
	switch l4 := f[p.l4:p.end]; p.proto {
	case ip.ProtoUDP:
		ok = len(l4) >= ip.UDPHeaderLen && t.readUDP(ip.UDP(l4))
		t.pseudo = p.pseudoSum(f, 0)
	case protoGRE:
		ok = len(l4) >= greHeaderLen+4 && t.readGRE(l4)
	default:
		ok = true
	}
	return t, ok && t.from < inner
}

func (t *tunnel) readUDP(h ip.UDP) bool {
	t.udp, t.from = true, t.from+ip.UDPHeaderLen
	if h.Checksum() != 0 {
		t.sumAt = ip.UDPChecksumAt
	}
	return h.Length() == len(h)
}

// readGRE takes version 0 with or without checksum and key, which is what the
// kernel puts together; a sequence number would have to count.
func (t *tunnel) readGRE(h []byte) bool {
	flags := binary.BigEndian.Uint16(h)
	t.from += greHeaderLen
	if flags&greChecksum != 0 {
		t.sumAt = greChecksumAt
		t.from += 4
	}
	if flags&greKey != 0 {
		t.from += 4
	}
	return flags&^(greChecksum|greKey) == 0
}

// patch makes the outer headers in h those of segment i with payload body. All
// that is inside has been patched.
func (t *tunnel) patch(h, body []byte, i int) {
	end := len(h) + len(body)
	t.network.patch(h, end, i)
	l4, initial := h[t.l4:], uint16(0)
	if t.udp {
		ip.UDP(l4).SetLength(end - t.l4)
		initial = ip.Add(t.pseudo, uint16(end-t.l4))
	}
	if t.sumAt == 0 {
		return
	}
	binary.BigEndian.PutUint16(l4[t.sumAt:], 0)
	sum := ^ip.Sum(body, ip.Sum(l4, initial))
	if t.udp {
		sum = ip.NonZero(sum)
	}
	binary.BigEndian.PutUint16(l4[t.sumAt:], sum)
}

// findIP finds the IP header that ends at l4, where a header of protocol proto
// starts, at from or behind it. A tunnel's own header may have any length, so it
// is looked for from its end: it must say so itself, and name the protocol and
// the end of f. IPv6 extension headers cannot be found this way.
func findIP(f []byte, from, l4 int, proto uint8) (at int, k kind, ok bool) {
	if at = l4 - ip.IPv6HeaderLen; at >= from {
		h, ok := ip.ParseIPv6(f[at:])
		if ok && len(h) == len(f)-at && h.NextHeader() == proto {
			return at, ipv6, true
		}
	}
	for at = l4 - ip.IPv4HeaderLen; at >= max(from, l4-ip.IPv4MaxHeaderLen); at -= 4 {
		h, ok := ip.ParseIPv4(f[at:])
		if ok && at+h.HeaderLen() == l4 && len(h) == len(f)-at && h.Protocol() == proto && !h.IsFragment() && h.ChecksumOK() {
			return at, ipv4, true
		}
	}
	return 0, 0, false
}
