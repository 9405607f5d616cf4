package udp

import (
	"vxgw/l2/frame"
	"vxgw/l3/offload"
	"vxgw/l3/underlay"
	"vxgw/l3/vxlan"
)

// run is the datagrams of one message. With UDP_GRO the kernel puts together
// what follows each other in one flow, of one length but for the last, which may
// be shorter. What it tells beside the bytes is true of each.
type run struct {
	each underlay.Packet // but for the bytes
	rest []byte          // of those that were not taken yet
	size int             // bytes of each but the last
	left int             // datagrams in rest

	truncated bool // the last one is
}

// newRun reads what a message is. b is all of its bytes.
func newRun(b []byte, a ancillary, truncated bool) run {
	r := run{rest: b, size: len(b), left: 1, truncated: truncated}
	r.each.TOS, r.each.Fragmented, r.each.Interface, r.each.Group = a.tos, a.fragmented, a.ifindex, a.group
	switch {
	case a.segment <= 0 || a.segment >= len(b):
	case isSuperFrame(b, a.segment):
		r.each.Offload = frame.Offload{GSO: frame.GSOUDP, SegmentSize: uint16(a.segment)}
	default:
		r.size, r.left = a.segment, (len(b)+a.segment-1)/a.segment
	}
	return r
}

// isSuperFrame reports whether a message is one datagram after all. A kernel VTEP
// on this machine passes on a UDP super-frame of its hosts whole, and the kernel
// tells of the segments inside by the same word as of a run. Of a run the first
// inner packet ends before the message does.
func isSuperFrame(b []byte, segment int) bool {
	return len(b) > vxlan.HeaderLen && offload.IsUDP(b[vxlan.HeaderLen:], segment)
}

// take moves the next datagram into p.
func (r *run) take(p *underlay.Packet) {
	n := min(r.size, len(r.rest))
	*p = r.each
	p.Mem, p.Len, p.FullLen = r.rest[:n:n], n, n
	r.rest = r.rest[n:]
	if r.left--; r.left == 0 && r.truncated {
		p.Truncated, p.FullLen = true, 0
	}
}
