package offload

import (
	"encoding/binary"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// cut is what all segments of one super-frame have in common. Places are bytes
// from the frame's start.
type cut struct {
	tunnel  tunnel  // around network, if there is one
	network network // the IP header in front of the transport header
	l4      int     // transport header
	body    int     // payload
	end     int     // end of the payload
	size    int     // payload bytes of a segment, but the last

	udp    bool
	bare   bool   // UDP over IPv4 without a checksum stays so
	pseudo uint16 // sum of the pseudo-header without its length
	seq    uint32
	flags  ip.TCPFlags
}

// newCut checks that o describes f.
func newCut(f []byte, o frame.Offload) (c cut, ok bool) {
	p, ok := locate(f)
	if !ok || o.SegmentSize == 0 {
		return c, false
	}
	// Padding is for frames below the Ethernet minimum. Bytes behind the
	// packet of a longer one mean that a length lies.
	const minFrame = 60
	if p.end != len(f) && len(f) > minFrame {
		return c, false
	}
	c = cut{l4: p.l4, end: p.end, size: int(o.SegmentSize), udp: o.GSO == frame.GSOUDP}
	inner := l3
	if o.NeedsChecksum && int(o.ChecksumStart) > p.l4 && isTunnel(p.proto) {
		c.l4 = int(o.ChecksumStart)
		if c.tunnel, ok = newTunnel(f, p, c.l4); !ok {
			return c, false
		}
		if inner, p.kind, ok = findIP(f[:p.end], c.tunnel.from, c.l4, c.proto()); !ok {
			return c, false
		}
	} else if p.proto != c.proto() {
		return c, false
	}
	if !fits(o.GSO, p.kind) || !c.transport(f) || !c.checksum(f, o, p) {
		return c, false
	}
	c.network = newNetwork(f, inner, p.kind)
	return c, true
}

// fits reports whether segmentation gso is for IP packets of kind k.
func fits(gso frame.GSO, k kind) bool {
	switch gso {
	case frame.GSOTCPv4:
		return k == ipv4
	case frame.GSOTCPv6:
		return k != ipv4
	}
	return gso == frame.GSOUDP
}

func (c *cut) proto() uint8 {
	if c.udp {
		return ip.ProtoUDP
	}
	return ip.ProtoTCP
}

// transport reads the L4 header and finds the payload.
func (c *cut) transport(f []byte) bool {
	l4 := f[c.l4:c.end]
	if c.udp {
		c.body = c.l4 + ip.UDPHeaderLen
		return len(l4) >= ip.UDPHeaderLen && ip.UDP(l4).Length() == len(l4)
	}
	if len(l4) < ip.TCPHeaderLen {
		return false
	}
	h := ip.TCP(l4)
	c.seq, c.flags = h.Seq(), h.Flags()
	c.body = c.l4 + h.HeaderLen()
	return h.HeaderLen() >= ip.TCPHeaderLen && c.body <= c.end
}

// checksum finds the sum that the segments' checksums start from.
func (c *cut) checksum(f []byte, o frame.Offload, p packet) bool {
	at := ip.TCPChecksumAt
	if c.udp {
		at = ip.UDPChecksumAt
	}
	field := binary.BigEndian.Uint16(f[c.l4+at:])
	if o.NeedsChecksum {
		// The sender's own partial sum, with its length taken out: it is right
		// also where the addresses in the pseudo-header are not those in the
		// IP header, as with an IPv6 Routing header.
		c.pseudo = ip.Add(field, ^uint16(c.end-c.l4))
		return int(o.ChecksumStart) == c.l4 && int(o.ChecksumAt) == at
	}
	c.bare = c.udp && p.kind == ipv4 && field == 0
	c.pseudo = p.pseudoSum(f, 0)
	return p.kind != ipv6Routed
}

// patch makes the headers in h those of segment i with payload body.
func (c *cut) patch(h, body []byte, i int, last bool) {
	end := len(h) + len(body)
	c.network.patch(h, end, i)
	if c.udp {
		c.patchUDP(ip.UDP(h[c.l4:]), body, end-c.l4)
	} else {
		c.patchTCP(ip.TCP(h[c.l4:]), body, end-c.l4, i, last)
	}
	if c.tunnel.l4 != 0 {
		c.tunnel.patch(h, body, i) // last: its checksum covers all of the above
	}
}

func (c *cut) patchUDP(h ip.UDP, body []byte, n int) {
	h.SetLength(n)
	h.SetChecksum(0)
	if c.bare {
		return
	}
	h.SetChecksum(ip.NonZero(^c.l4Sum(h, body, n)))
}

// patchTCP gives the segment its place in the stream. What ends the stream or a
// push goes with the last segment; "I have reduced my window" is said once, with
// the first (RFC 3168 section 6.1.2).
func (c *cut) patchTCP(h ip.TCP, body []byte, n, i int, last bool) {
	flags := c.flags
	if i > 0 {
		flags &^= ip.CWR
	}
	if !last {
		flags &^= ip.FIN | ip.PSH
	}
	h.SetSeq(c.seq + uint32(i*c.size))
	h.SetFlags(flags)
	h.SetChecksum(0)
	h.SetChecksum(^c.l4Sum(h, body, n))
}

// l4Sum sums pseudo-header, L4 header and payload; n is the length of both.
func (c *cut) l4Sum(h, body []byte, n int) uint16 {
	return ip.Sum(body, ip.Sum(h, ip.Add(c.pseudo, uint16(n))))
}

// network is an IP header of the segments.
type network struct {
	at   int // in bytes from the frame's start
	kind kind
	sum  uint16 // IPv4: of the header without total length, ID and checksum
	id   uint16 // IPv4: of the first segment
}

// newNetwork reads the IP header at at, whose lengths have been checked.
func newNetwork(f []byte, at int, k kind) network {
	n := network{at: at, kind: k}
	if k != ipv4 {
		return n
	}
	h := ip.IPv4(f[at:])
	n.id = h.ID()
	n.sum = ip.Sum(h[:h.HeaderLen()], 0)
	for _, field := range [...]uint16{uint16(h.TotalLen()), h.ID(), h.Checksum()} {
		n.sum = ip.Add(n.sum, ^field)
	}
	return n
}

// patch makes the IP header in h that of segment i, which ends at end. The IPv4
// ID counts up from segment to segment, as the kernel has it.
func (n network) patch(h []byte, end, i int) {
	if n.kind != ipv4 {
		ip.IPv6(h[n.at:]).SetPayloadLen(end - n.at - ip.IPv6HeaderLen)
		return
	}
	v4, total, id := ip.IPv4(h[n.at:]), end-n.at, n.id+uint16(i)
	v4.SetTotalLen(total)
	v4.SetID(id)
	v4.SetChecksum(^ip.Add(ip.Add(n.sum, uint16(total)), id))
}
