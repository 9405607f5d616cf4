package offload

import (
	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// gather makes the list of what is to be sent. Payload is copied: to hand the
// kernel a list of pieces for each super-frame takes as long.
func (c *Coalescer) gather(in []frame.Out) []frame.Out {
	c.reserve()
	c.out, c.first = c.out[:0], c.first[:0]
	used := 0
	for i := range in {
		at := c.links[i].train
		if at == inside {
			continue
		}
		o := in[i]
		if at != none && c.trains[at].count > 1 {
			t := &c.trains[at]
			o.Bytes = c.arena[used : used+t.len : used+t.len]
			used += t.len
			o.Offload = c.fill(o.Bytes, in, t)
		}
		c.out, c.first = append(c.out, o), append(c.first, int32(i))
	}
	return c.out
}

// reserve makes room for all super-frames.
func (c *Coalescer) reserve() {
	need := 0
	for i := range c.trains {
		if t := &c.trains[i]; t.count > 1 {
			need += t.len
		}
	}
	if need > len(c.arena) {
		c.arena = make([]byte, max(need, 2*len(c.arena)))
	}
}

// fill writes the super-frame of a train into b, and returns what is left to do
// with it.
func (c *Coalescer) fill(b []byte, in []frame.Out, t *train) frame.Offload {
	n := copy(b, in[t.first].Bytes)
	for i := c.links[t.first].next; i != none; i = c.links[i].next {
		n += copy(b[n:], in[i].Bytes[t.body:])
	}
	last := ip.TCP(in[t.last].Bytes[t.l4:])
	h := ip.TCP(b[t.l4:])
	h.SetFlags(h.Flags() | last.Flags()&ip.PSH)
	o := frame.Offload{
		NeedsChecksum: true, ChecksumStart: uint16(t.l4), ChecksumAt: ip.TCPChecksumAt,
		GSO: frame.GSOTCPv4, SegmentSize: uint16(t.size),
	}
	if t.l4 == l4Over6 {
		o.GSO = frame.GSOTCPv6
		v6 := ip.IPv6(b[l3:])
		v6.SetPayloadLen(len(b) - t.l4)
		h.SetChecksum(v6.PseudoSum(ip.ProtoTCP, len(h)))
		return o
	}
	v4 := ip.IPv4(b[l3:])
	before := uint16(v4.TotalLen())
	v4.SetTotalLen(len(b) - l3)
	v4.SetChecksum(ip.Update(v4.Checksum(), before, uint16(v4.TotalLen())))
	h.SetChecksum(v4.PseudoSum(ip.ProtoTCP, len(h)))
	return o
}
