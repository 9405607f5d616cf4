package offload

import (
	"encoding/binary"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

const (
	// MaxSegments is the most segments that one frame is cut into: 64 KiB at
	// 36 bytes each, the smallest TCP payload that Linux agrees to
	// (TCP_MIN_SND_MSS less timestamps) and far more than any useful one.
	MaxSegments = 2048

	// roomPerSegment is what the arena holds for the headers of each of
	// MaxSegments segments: Ethernet, IPv6 or IPv4 with options, TCP with
	// options. With longer headers fewer segments fit.
	roomPerSegment = frame.HeaderLen + ip.IPv4MaxHeaderLen + ip.TCPMaxHeaderLen
)

// Segment is one frame cut from a super-frame, in two pieces.
type Segment struct {
	Head []byte // the headroom, for the caller to write, then the frame's headers
	Body []byte // the L4 payload, borrowed from the super-frame
}

// Segmenter cuts super-frames. It belongs to one goroutine.
type Segmenter struct {
	headroom int
	arena    []byte
	segments []Segment
}

// NewSegmenter returns a Segmenter that leaves headroom bytes free in front of
// every segment. Its memory, some 400 KB, is in use only as far as segments
// ever reached into it.
func NewSegmenter(headroom int) *Segmenter {
	return &Segmenter{
		headroom: headroom,
		arena:    make([]byte, MaxSegments*(headroom+roomPerSegment)),
		segments: make([]Segment, MaxSegments),
	}
}

// Cut cuts the super-frame f into the segments that the Linux kernel's software
// segmentation makes of it, each with its checksums complete. The payload is not
// copied. A super-frame no longer than one segment gives one.
//
// It reports false when o is no kind of segmentation that can be done here or
// does not describe f: lengths that do not agree, a segment size of zero, more
// than MaxSegments segments. The segments, and the Segmenter's memory that they
// lie in, are good until the next Cut, and only while f is left alone.
func (s *Segmenter) Cut(f []byte, o frame.Offload) ([]Segment, bool) {
	c, ok := newCut(f, o)
	if !ok {
		return nil, false
	}
	payload := f[c.body:c.p.end]
	size := int(o.SegmentSize)
	n := max(1, (len(payload)+size-1)/size)
	stride := s.headroom + c.body
	if n > MaxSegments || n*stride > len(s.arena) {
		return nil, false
	}
	for i := range n {
		head := s.arena[i*stride : (i+1)*stride : (i+1)*stride]
		body := payload[i*size : min((i+1)*size, len(payload))]
		copy(head[s.headroom:], f[:c.body])
		c.patch(head[s.headroom:], body, i, i == n-1)
		s.segments[i] = Segment{Head: head, Body: body}
	}
	return s.segments[:n], true
}

// cut is what all segments of one super-frame have in common.
type cut struct {
	p    packet
	udp  bool
	body int // where the payload starts
	size int // payload bytes of a segment, but the last

	ipSum uint16 // sum of the IPv4 header without total length, ID and checksum
	id    uint16 // ID of the first segment

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
	c = cut{p: p, size: int(o.SegmentSize)}
	if !c.transport(f, o.GSO) || !c.checksum(f, o) {
		return c, false
	}
	if p.kind == ipv4 {
		c.network(f)
	}
	return c, true
}

// transport reads the L4 header and finds the payload.
func (c *cut) transport(f []byte, gso frame.GSO) bool {
	l4 := f[c.p.l4:c.p.end]
	switch {
	case gso == frame.GSOTCPv4 && c.p.kind == ipv4, gso == frame.GSOTCPv6 && c.p.kind != ipv4:
		if c.p.proto != ip.ProtoTCP || len(l4) < ip.TCPHeaderLen {
			return false
		}
		h := ip.TCP(l4)
		c.seq, c.flags = h.Seq(), h.Flags()
		c.body = c.p.l4 + h.HeaderLen()
		return h.HeaderLen() >= ip.TCPHeaderLen && c.body <= c.p.end
	case gso == frame.GSOUDP:
		if c.p.proto != ip.ProtoUDP || len(l4) < ip.UDPHeaderLen || ip.UDP(l4).Length() != len(l4) {
			return false
		}
		c.udp = true
		c.body = c.p.l4 + ip.UDPHeaderLen
		return true
	}
	return false
}

// checksum finds the sum that the segments' checksums start from.
func (c *cut) checksum(f []byte, o frame.Offload) bool {
	at, n := ip.TCPChecksumAt, c.p.end-c.p.l4
	if c.udp {
		at = ip.UDPChecksumAt
	}
	field := binary.BigEndian.Uint16(f[c.p.l4+at:])
	if o.NeedsChecksum {
		// The sender's own partial sum, with its length taken out: it is right
		// also where the addresses in the pseudo-header are not those in the
		// IP header, as with an IPv6 Routing header.
		c.pseudo = ip.Add(field, ^uint16(n))
		return int(o.ChecksumStart) == c.p.l4 && int(o.ChecksumAt) == at
	}
	c.bare = c.udp && c.p.kind == ipv4 && field == 0
	c.pseudo = c.p.pseudoSum(f, 0)
	return c.p.kind != ipv6Routed
}

// network keeps what the segments' IPv4 headers are made from.
func (c *cut) network(f []byte) {
	h := ip.IPv4(f[l3:c.p.l4])
	c.id = h.ID()
	c.ipSum = ip.Sum(h, 0)
	for _, field := range [...]uint16{uint16(h.TotalLen()), h.ID(), h.Checksum()} {
		c.ipSum = ip.Add(c.ipSum, ^field)
	}
}

// patch makes the headers in h those of segment i with payload body.
func (c *cut) patch(h, body []byte, i int, last bool) {
	n := c.body - c.p.l4 + len(body) // L4 header and payload
	if c.p.kind == ipv4 {
		c.patchIPv4(ip.IPv4(h[l3:]), c.p.l4-l3+n, i)
	} else {
		ip.IPv6(h[l3:]).SetPayloadLen(c.p.l4 - l3 - ip.IPv6HeaderLen + n)
	}
	if c.udp {
		c.patchUDP(ip.UDP(h[c.p.l4:]), body, n)
	} else {
		c.patchTCP(ip.TCP(h[c.p.l4:]), body, n, i, last)
	}
}

// patchIPv4 counts the ID up from segment to segment, as the kernel does.
func (c *cut) patchIPv4(h ip.IPv4, total, i int) {
	id := c.id + uint16(i)
	h.SetTotalLen(total)
	h.SetID(id)
	h.SetChecksum(^ip.Add(ip.Add(c.ipSum, uint16(total)), id))
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
