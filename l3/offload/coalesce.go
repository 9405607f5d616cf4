package offload

import "vxgw/l2/frame"

const (
	// maxJoined is the longest super-frame that is made, in bytes. Its IP
	// packet has a 16-bit length, and Linux cuts by itself what is as long as
	// a device's gso_max_size, 65536 with the Ethernet header.
	maxJoined = 65535

	// maxOpen is how many connections are followed at a time.
	maxOpen  = 1 << openBits
	openBits = 6
)

// Coalescer puts TCP segments together that follow each other in a connection:
// what Segmenter takes apart. To a packet socket a super-frame costs little more
// than a segment does. It belongs to one goroutine.
type Coalescer struct {
	trains []train
	joined int           // segments in trains, but the first of each
	open   [maxOpen]slot // by hash of the connection
	era    uint64

	links []link // by index of a frame

	out   []frame.Out
	first []int32 // by index in out: the frame that it is, or starts with
	arena []byte
}

// slot is where a train is that can go on, unless its era is over.
type slot struct {
	era   uint64
	train int32
}

// train is segments of one connection that follow each other.
type train struct {
	first, last int32 // frames
	count       int32
	l4, body    int    // where the first one's TCP header and payload start
	size        int    // payload of each, but the last
	len         int    // bytes of the super-frame
	seq         uint32 // of what comes next
	id          uint16 // IPv4: of what comes next
	sound       bool   // the first one's checksums are right
}

// link is where a frame belongs.
type link struct {
	next  int32 // the segment that follows in the same train, or none
	train int32 // that it starts, or none, or inside
}

const (
	none   = int32(-1)
	inside = int32(-2) // of a train that another frame starts
)

// Coalesce returns what to send in place of in: frames on their way to one port,
// in order. mtu is what the port takes, in bytes of IP packet, 0 when that is not
// known: a segment that is longer, or may be, is left as it is.
//
// A segment is joined to the one before it in its connection where cutting the
// super-frame, here or in the kernel, gives both back byte for byte: headers are
// alike but for what counts up, lengths too but for the last, and checksums
// right. Damage is never vouched for. The kernel's GRO goes by the same rules;
// flags that end something, or ask for attention, keep a segment by itself, and
// after PSH none follows.
//
// The frames of a connection stay in order. Those of others may be overtaken: a
// super-frame takes the place of its first segment.
//
// The result is borrowed until the next Coalesce, may be in itself, and refers to
// the bytes of in. When it has been sent Settle must be called.
func (c *Coalescer) Coalesce(in []frame.Out, mtu int) []frame.Out {
	c.trains, c.joined = c.trains[:0], 0
	if len(in) < 2 {
		return in
	}
	c.find(in, mtu+frame.HeaderLen)
	if c.joined == 0 {
		return in
	}
	return c.gather(in)
}

// Settle gives every frame that was handed to Coalesce the Status of what was
// sent in its place.
func (c *Coalescer) Settle(in []frame.Out) {
	if c.joined == 0 {
		return // they were sent themselves
	}
	for j := range c.out {
		for i := c.first[j]; i != none; i = c.links[i].next {
			in[i].Status = c.out[j].Status
		}
	}
	clear(c.out) // let go of the buffers
}

// find links the segments that belong together. A longer frame than longest
// belongs to none.
func (c *Coalescer) find(in []frame.Out, longest int) {
	c.era++
	c.links = c.links[:0]
	var s segment
	for i := range in {
		c.links = append(c.links, link{none, none})
		f := in[i].Bytes
		l4, ok := findTCP(f)
		switch {
		case !ok:
			c.era++ // whatever it belongs to does not go on
		case l4 > 0:
			s.read(f, l4)
			s.whole = s.whole && in[i].Offload.None() && len(f) <= longest
			if s.whole || len(c.trains) > 0 {
				c.place(in, int32(i), &s)
			}
		}
	}
}

// place joins segment i to the train that its connection has open, or starts
// another.
func (c *Coalescer) place(in []frame.Out, i int32, s *segment) {
	o := &c.open[s.hash()]
	if o.era == c.era {
		t := &c.trains[o.train]
		if head := in[t.first].Bytes; s.sameConnection(head, t.l4) {
			if t.takes(head, s) {
				c.join(o, i, s)
				return
			}
			o.era = 0
		}
	}
	if s.whole && !s.push {
		c.links[i].train = int32(len(c.trains))
		*o = slot{c.era, c.links[i].train}
		c.trains = append(c.trains, newTrain(i, s))
	}
}

func (c *Coalescer) join(o *slot, i int32, s *segment) {
	t := &c.trains[o.train]
	c.links[t.last].next, c.links[i].train = i, inside
	c.joined++
	if !t.add(i, s) {
		o.era = 0
	}
}
