package offload

import (
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
// A host's own tunnel may be around what is to be cut (VXLAN, Geneve or another
// in UDP, GRE, IP in IP): ChecksumStart is then behind the tunnel's headers, and
// each segment gets its own copy of them. One tunnel is what the kernel puts
// together; there may be no more.
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
	payload := f[c.body:c.end]
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
