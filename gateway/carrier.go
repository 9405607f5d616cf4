package gateway

import (
	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/offload"
	"vxgw/l3/vxlan"
)

const vxlanHeader = vxlan.HeaderLen

// encapsulation is how outer headers are made, as far as they depend on the
// inner frame.
type encapsulation struct {
	entropy vxlan.Entropy
	dscp    config.DSCP
}

func newEncapsulation(cfg *config.Config) encapsulation {
	u := &cfg.Underlay
	return encapsulation{
		entropy: vxlan.NewEntropy(u.SourcePorts.First, u.SourcePorts.Last, vxlan.DefaultSeed),
		dscp:    u.DSCP,
	}
}

// tos returns the outer TOS byte: DSCP as configured, ECN by the normal mode of
// RFC 6040 section 4.1. A frame that is not IP has neither to hand on.
func (e *encapsulation) tos(f []byte) uint8 {
	inner, isIP := ip.FrameECN(f)
	dscp := e.dscp.Value << 2
	if e.dscp.Inherit {
		dscp = inner &^ 3
	}
	if !isIP {
		return dscp
	}
	return dscp | ip.EncapECN(inner)
}

// carrier makes copies of one frame ready for where they go, and queues them.
// It finishes here what the place they go to cannot finish.
type carrier struct {
	encapsulation *encapsulation
	tally         *batchTally
	tx            *transmit
	segments      *offload.Segmenter // made when first needed: few ports see super-frames
	one           [1]forward.VTEPID
}

// toPort queues one copy for an access port: with what the kernel left undone
// where the port carries that, finished where not.
//
// The kernel compares no super-frame with the device's MTU, and no frame that goes
// past the device's queueing discipline: all are compared here.
func (c *carrier) toPort(to forward.PortID, f []byte, o frame.Offload) {
	p := &c.tx.snap.Ports[to]
	dev := p.Dev
	switch {
	case p.MTU > 0 && wireSize(f, o) > p.MTU+frame.HeaderLen:
		c.tally.lose(forward.TooBig)
	case o.None(), dev != nil && dev.CarriesOffload() && !o.Tunnelled:
		c.tx.port(to, f, o)
	case o.GSO == frame.GSONone:
		c.finishToPort(to, f, o)
	default:
		c.cutToPort(to, f, o)
	}
}

// finishToPort completes the checksum in a copy: another port may be sent the
// frame as it is.
func (c *carrier) finishToPort(to forward.PortID, f []byte, o frame.Offload) {
	b := c.tx.arena.take(len(f))
	copy(b, f)
	if !offload.FinishChecksum(b, o) {
		c.unfinished()
		return
	}
	c.tx.port(to, b, frame.Offload{})
}

func (c *carrier) cutToPort(to forward.PortID, f []byte, o frame.Offload) {
	segments, ok := c.cut(f, o)
	if !ok {
		c.unfinished()
		return
	}
	for _, s := range segments {
		head := s.Head[vxlanHeader:]
		b := c.tx.arena.take(len(head) + len(s.Body))
		copy(b[copy(b, head):], s.Body)
		c.tx.port(to, b, frame.Offload{})
	}
}

func (c *carrier) cut(f []byte, o frame.Offload) ([]offload.Segment, bool) {
	if c.segments == nil {
		c.segments = offload.NewSegmenter(vxlanHeader)
	}
	return c.segments.Cut(f, o)
}

// unfinished counts a copy whose checksum or segments could not be made: the
// kernel's notes do not describe the frame.
func (c *carrier) unfinished() {
	c.tx.gw.trouble.once("unfinished", "a frame came with offload notes that do not describe it: not sent", "mend", "turn the offload off where it comes from: ethtool -K INTERFACE tso off gso off tx off")
	c.tally.lose(forward.TxFailed)
}

// toVTEP queues one encapsulated copy.
func (c *carrier) toVTEP(to forward.VTEPID, b *frame.Buffer, d fdb.Domain) {
	c.one[0] = to
	c.toVTEPs(c.one[:], b, d)
}

// toVTEPs queues a copy for each VTEP: encapsulated once, addressed many times.
// The VXLAN header goes into the buffer in front of the frame.
func (c *carrier) toVTEPs(to []forward.VTEPID, b *frame.Buffer, d fdb.Domain) {
	if len(to) == 0 {
		return
	}
	if b.Offload.GSO != frame.GSONone {
		if len(to) > 1 || !c.wholeToVTEP(to[0], b, d) {
			c.cutToVTEPs(to, b, d)
		}
		return
	}
	if b.Offload.NeedsChecksum && !offload.FinishChecksum(b.Bytes(), b.Offload) {
		c.unfinished()
		return
	}
	b.Offload = frame.Offload{}
	f, vni := b.Bytes(), c.tx.snap.Domains[d].VNI
	if c.tx.snap.Domains[d].ClampMSS {
		ip.ClampMSS(f, c.tx.snap.Narrowest(to))
	}
	payload := b.Prepend(vxlanHeader)
	vxlan.Put(payload, vni)
	c.address(to, d, f, payload, nil)
}

// wholeToVTEP queues a super-frame as one packet for the kernel to cut, and
// reports false where it must be cut here. What is not as it should be, or leaves
// by a path that its segments do not fit, is left to be told of there.
func (c *carrier) wholeToVTEP(to forward.VTEPID, b *frame.Buffer, d fdb.Domain) bool {
	f, o := b.Bytes(), b.Offload
	if !goesWhole(f, o) || !c.tx.snap.Fits(to, wireSize(f, o)) {
		return false
	}
	sport := c.encapsulation.entropy.SourcePort(f)
	if !c.tx.carriesWhole(c.tx.snap.VTEPs[to].HopFor(sport), vxlanHeader+len(f)) {
		return false
	}
	n, size, ok := offload.Measure(f, o)
	if !ok || n < 2 {
		return false
	}
	head := b.Prepend(vxlanHeader)[:vxlanHeader]
	vxlan.Put(head, c.tx.snap.Domains[d].VNI)
	c.tx.whole(about{to, d, n, size}, sport, c.encapsulation.tos(f), head, f, o)
	return true
}

// goesWhole reports whether a super-frame is of a kind that every device, or the
// kernel for it, cuts inside a tunnel: plain TCP. IPv6 extension headers are more
// than some devices follow.
func goesWhole(f []byte, o frame.Offload) bool {
	switch {
	case o.Tunnelled, !o.NeedsChecksum:
		return false
	case o.GSO == frame.GSOTCPv6:
		return o.ChecksumStart == frame.HeaderLen+ip.IPv6HeaderLen
	}
	return o.GSO == frame.GSOTCPv4
}

// cutToVTEPs cuts a super-frame and encapsulates each segment: cut after
// encapsulation, only the first would carry a VXLAN header.
func (c *carrier) cutToVTEPs(to []forward.VTEPID, b *frame.Buffer, d fdb.Domain) {
	segments, ok := c.cut(b.Bytes(), b.Offload)
	if !ok {
		c.unfinished()
		return
	}
	vni := c.tx.snap.Domains[d].VNI
	for _, s := range segments {
		vxlan.Put(s.Head, vni)
		c.address(to, d, s.Head[vxlanHeader:], s.Head, s.Body)
	}
	c.tx.flush() // the segments' memory is used again by the next cut
}

// address queues one VXLAN payload for each VTEP whose path carries it. f is
// the inner frame's headers.
func (c *carrier) address(to []forward.VTEPID, d fdb.Domain, f, head, body []byte) {
	sport, tos := c.encapsulation.entropy.SourcePort(f), c.encapsulation.tos(f)
	size, tooBig := len(head)+len(body)-vxlanHeader, false
	for _, v := range to {
		if !c.tx.snap.Fits(v, size) {
			tooBig = true
			continue
		}
		c.tx.vtep(v, d, sport, tos, head, body)
	}
	if tooBig {
		c.tally.lose(forward.TooBig) // once a frame, however many paths are narrow
	}
}

// tooBig makes the frame that tells the sender of f that only mtu bytes of IP
// packet fit; nil when nothing may be said.
func (c *carrier) tooBig(f []byte, mtu int) []byte {
	b := c.tx.arena.take(ip.TooBigLen)
	return b[:ip.TooBig(b, f, mtu)]
}

// wireSize returns the longest frame that will stand on a wire for f, in bytes:
// for a super-frame the headers and one segment.
func wireSize(f []byte, o frame.Offload) int {
	if o.GSO == frame.GSONone {
		return len(f)
	}
	end := transportAt(f, o)
	switch {
	case o.GSO == frame.GSOUDP:
		end += ip.UDPHeaderLen
	case end+ip.TCPHeaderLen <= len(f):
		end += ip.TCP(f[end:]).HeaderLen()
	}
	return min(len(f), end+int(o.SegmentSize))
}

// transportAt returns where a super-frame's transport header starts.
func transportAt(f []byte, o frame.Offload) int {
	switch {
	case o.NeedsChecksum:
		return int(o.ChecksumStart)
	case frame.Frame(f).Type() == frame.TypeIPv4 && len(f) > frame.HeaderLen:
		return frame.HeaderLen + ip.IPv4(f[frame.HeaderLen:]).HeaderLen()
	}
	return frame.HeaderLen + ip.IPv6HeaderLen
}
