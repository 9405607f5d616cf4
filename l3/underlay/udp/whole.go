package udp

import (
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/underlay"
)

// CarriesOffload is as underlay.Conn has it. The segments' outer UDP checksums
// would each have to be made up for.
func (c *conn) CarriesOffload(via *underlay.Hop, n int) bool {
	if c.headers.checksum || n > c.headers.maxPayload {
		return false
	}
	link := c.links.find(via)
	return link != nil && link.CarriesOffload()
}

// whole sends the super-frame d, which has n bytes of payload, by a link. What is
// queued is sent first.
func (s *sending) whole(c *conn, d *underlay.Datagram, n int, link Link) {
	if link == nil || !link.CarriesOffload() {
		s.refused(d, unix.ENODEV) // the link has gone since it was asked
		return
	}
	f := s.useFraming()
	if f.n > 0 {
		s.sendFrames(c)
	}
	h := &f.headers[0]
	c.headers.writeFrame(h, d, n, 0, c.links)
	if errno := link.SendWhole(c.lane, h[:frame.HeaderLen+c.headers.length], d.Head, d.Body, d.Offload); errno != 0 {
		s.refused(d, errno)
		return
	}
	d.Status = frame.Sent
}

// atMost returns how many packets d becomes, or some more.
func atMost(d *underlay.Datagram) int {
	if d.Offload.SegmentSize == 0 {
		return 1
	}
	return len(d.Body)/int(d.Offload.SegmentSize) + 1
}
