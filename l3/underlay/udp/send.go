package udp

import (
	"errors"
	"net"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
)

// sending is what it takes to send one batch. Callers take one each from a pool,
// so that they neither wait for one another nor allocate.
type sending struct {
	run func(fd uintptr) // s.send, bound once: binding it allocates

	msgs    [underlay.BatchSize]mmsg.Msg
	iovs    [underlay.BatchSize][3]unix.Iovec // header, Head, Body
	names   [underlay.BatchSize]sockaddr
	headers [underlay.BatchSize]header
	dgrams  [underlay.BatchSize]*underlay.Datagram // what each message is
	n       int                                    // messages

	last  unix.Errno         // the last error
	about *underlay.Datagram // what it was about

	sum     summed
	framing *framing // what goes by links; nil: nothing did yet
}

var sendings = sync.Pool{New: func() any {
	s := &sending{}
	s.run = s.send
	for i := range s.msgs {
		h := &s.msgs[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&s.names[i]))
		h.Iov = &s.iovs[i][0]
		h.SetIovlen(3)
		s.iovs[i][0].Base = &s.headers[i][0]
	}
	return s
}}

// WriteBatch is as underlay.Conn has it. A datagram that cannot be sent at once,
// for want of room, is Failed: nothing waits. The error is a *SendError.
func (c *conn) WriteBatch(dgrams []underlay.Datagram) error {
	s := sendings.Get().(*sending)
	defer s.release()
	for len(dgrams) > 0 {
		n := min(len(dgrams), underlay.BatchSize)
		s.load(c, dgrams[:n])
		if s.framing != nil && s.framing.n > 0 {
			s.sendFrames(c)
		}
		if s.n > 0 {
			// Control, unlike Write, lets any number in at a time.
			if err := c.txRaw.Control(s.run); err != nil {
				return abandon(dgrams, err)
			}
		}
		dgrams = dgrams[n:]
	}
	if s.about == nil {
		return nil
	}
	return &SendError{To: s.about.To, Err: s.last}
}

// abandon settles datagrams that have no socket any more.
func abandon(dgrams []underlay.Datagram, err error) error {
	for i := range dgrams {
		dgrams[i].Status = frame.Down
	}
	if errors.Is(err, net.ErrClosed) {
		err = net.ErrClosed
	}
	return &SendError{To: dgrams[0].To, Err: err}
}

// release forgets the datagrams and gives s back.
func (s *sending) release() {
	clear(s.dgrams[:])
	if s.framing != nil {
		s.framing.release()
		s.framing = nil
	}
	s.about, s.last, s.sum = nil, 0, summed{}
	sendings.Put(s)
}

// load makes messages of the datagrams that can be sent, and settles the others.
// Without an interface for groups the kernel would send those by one of its own
// choice.
func (s *sending) load(c *conn, dgrams []underlay.Datagram) {
	h, groups := &c.headers, c.groups.Load()
	s.n = 0
	for i := range dgrams {
		d := &dgrams[i]
		n := len(d.Head) + len(d.Body)
		switch {
		case n > h.maxPayload:
			s.refused(d, unix.EMSGSIZE)
		case !h.reaches(d):
			s.refused(d, unix.EAFNOSUPPORT)
		case !groups && d.To.IsMulticast():
			s.refused(d, unix.ENODEV)
		default:
			switch link := c.links.find(d.Via); {
			case !d.Offload.None():
				s.whole(c, d, n, link)
			case link != nil:
				s.frame(c, d, n, link)
			default:
				s.add(h, d, n)
			}
		}
	}
}

// reaches reports whether d goes to an address of the VTEP's family.
func (h *headers) reaches(d *underlay.Datagram) bool {
	if h.v6 {
		return d.To.Is6() && !d.To.Is4In6()
	}
	return d.To.Is4()
}

func (s *sending) add(h *headers, d *underlay.Datagram, n int) {
	i := s.n
	var sum uint16
	if h.checksum {
		sum = s.sum.of(d.Head, d.Body)
	}
	h.write(&s.headers[i], d, n, sum)
	s.iovs[i][0].SetLen(h.length)
	point(&s.iovs[i][1], d.Head)
	point(&s.iovs[i][2], d.Body)
	m := &s.msgs[i].Hdr
	m.Namelen = address(&s.names[i], d, h.v6)
	m.Control = unsafe.SliceData(h.pktinfo)
	m.SetControllen(len(h.pktinfo))
	s.dgrams[i] = d
	s.n++
}

func point(v *unix.Iovec, b []byte) {
	v.Base = unsafe.SliceData(b)
	v.SetLen(len(b))
}

// address writes where d goes, and returns the length of that.
func address(sa *sockaddr, d *underlay.Datagram, v6 bool) uint32 {
	if v6 {
		*sa = sockaddr{Family: unix.AF_INET6, Addr: d.To.As16()}
		return unix.SizeofSockaddrInet6
	}
	*(*unix.RawSockaddrInet4)(unsafe.Pointer(sa)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: d.To.As4()}
	return unix.SizeofSockaddrInet4
}

// send sends the messages. The kernel stops at the first that fails, and the
// others are sent all the same: they may take another route.
func (s *sending) send(fd uintptr) {
	for next := 0; next < s.n; {
		n, errno := mmsg.Send(fd, s.msgs[next:s.n])
		if errno != 0 {
			s.refused(s.dgrams[next], errno)
			next++
			continue
		}
		for _, d := range s.dgrams[next : next+n] {
			d.Status = frame.Sent
		}
		next += n
	}
}

func (s *sending) refused(d *underlay.Datagram, errno unix.Errno) {
	d.Status = status(errno)
	s.last, s.about = errno, d
}

// summed remembers the sum of the payload last added up: head-end replication
// sends the same one to many.
type summed struct {
	head, body   *byte
	nHead, nBody int
	sum          uint16
}

// of returns the one's complement sum of head and body in one piece.
func (m *summed) of(head, body []byte) uint16 {
	now := summed{unsafe.SliceData(head), unsafe.SliceData(body), len(head), len(body), m.sum}
	if now != *m {
		now.sum = ip.Concat(ip.Sum(head, 0), len(head), ip.Sum(body, 0))
		*m = now
	}
	return m.sum
}
