package udp

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
)

// Link is an interface that frames go out and come in by, past the host's IP
// stack. Its methods may be called by any number of goroutines.
type Link interface {
	// Queues returns the queues of VXLAN packets for this VTEP that come in by
	// the interface: unicast, whole, and without options. None where they
	// cannot be kept from the host's stack, which then delivers them.
	Queues() []FrameReader

	// Send sends each message as one frame, up to the first that fails, and
	// returns their number; the error is that of the first. Fewer than all
	// without an error are for the next call. A message whose Len is mmsg.Lost
	// is one of them, and was dropped by the device. It never waits.
	Send(msgs []mmsg.Msg) (int, unix.Errno)

	// CarriesOffload reports whether SendWhole sends super-frames.
	CarriesOffload() bool
	// SendWhole sends the TCP super-frame f, of which o is left to be done, with
	// the outer headers outer and vxlan in front: as one packet, for the kernel
	// or the device to cut. The headers' lengths are those of the whole. lane is
	// the number of the queue that it is sent by; those of one lane wait for one
	// another. It never waits for the device.
	SendWhole(lane int, outer, vxlan, f []byte, o frame.Offload) unix.Errno
	Close() error
}

// links are the interfaces that packets can be sent by directly.
type links struct {
	cfg     *Config
	set     atomic.Pointer[[]indexedLink] // replaced whole
	ids     atomic.Uint32                 // the last IPv4 ID that was used
	refused refusedByWire

	mu       sync.Mutex // guards what follows, and replacing set
	overflow uint64     // frames that there was no room for
}

type indexedLink struct {
	index int
	Link
}

// find returns the link of a hop, or nil.
func (l *links) find(h *underlay.Hop) Link {
	if h == nil {
		return nil
	}
	for _, o := range l.all() {
		if o.index == h.Interface {
			return o.Link
		}
	}
	return nil
}

// use makes these the interfaces that packets go by, and returns the queues of
// those that are new. The error is about those that it could not open.
func (l *links) use(indices []int) (fresh []underlay.Reader, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count()
	was := l.all()
	var is []indexedLink
	var errs []error
	for _, index := range indices {
		if i := slices.IndexFunc(was, func(o indexedLink) bool { return o.index == index }); i >= 0 {
			is = append(is, was[i])
			continue
		}
		link, err := l.cfg.OpenLink(index)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		is = append(is, indexedLink{index, link})
		for _, q := range link.Queues() {
			fresh = append(fresh, newWire(l.cfg, index, q, &l.refused))
		}
	}
	l.set.Store(&is)
	for _, o := range was {
		if !slices.Contains(is, o) {
			errs = append(errs, o.Close())
		}
	}
	return fresh, errors.Join(errs...)
}

func (l *links) all() []indexedLink {
	if p := l.set.Load(); p != nil {
		return *p
	}
	return nil
}

// count adds up what there was no room for. It needs mu.
func (l *links) count() {
	for _, o := range l.all() {
		for _, q := range o.Queues() {
			if n, err := q.Overflows(); err == nil {
				l.overflow += n
			}
		}
	}
}

// overflows returns how many frames there was no room for.
func (l *links) overflows() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count()
	return l.overflow
}

// linkHeaderLen is the room for an outer Ethernet, IP and UDP header.
const linkHeaderLen = frame.HeaderLen + headerLen

// framing is what it takes to send one batch by links. Callers take one each
// from a pool, as with sending.
type framing struct {
	msgs    [underlay.BatchSize]mmsg.Msg
	iovs    [underlay.BatchSize][3]unix.Iovec // header, Head, Body
	headers [underlay.BatchSize][linkHeaderLen]byte
	dgrams  [underlay.BatchSize]*underlay.Datagram // what each message is
	n       int                                    // messages
	link    Link                                   // that they go by
}

var framings = sync.Pool{New: func() any {
	f := &framing{}
	for i := range f.msgs {
		h := &f.msgs[i].Hdr
		h.Iov = &f.iovs[i][0]
		f.iovs[i][0].Base = &f.headers[i][0]
	}
	return f
}}

func (f *framing) release() {
	clear(f.dgrams[:f.n])
	f.n, f.link = 0, nil
	framings.Put(f)
}

func (s *sending) useFraming() *framing {
	if s.framing == nil {
		s.framing = framings.Get().(*framing)
	}
	return s.framing
}

// frame queues d, which has n bytes of payload, for a link. What is queued for
// another is sent first.
func (s *sending) frame(c *conn, d *underlay.Datagram, n int, link Link) {
	f := s.useFraming()
	if f.n == len(f.msgs) || f.n > 0 && f.link != link {
		s.sendFrames(c)
	}
	f.link = link
	var sum uint16
	if c.headers.checksum {
		sum = s.sum.of(d.Head, d.Body)
	}
	i := f.n
	c.headers.writeFrame(&f.headers[i], d, n, sum, c.links)
	f.iovs[i][0].SetLen(frame.HeaderLen + c.headers.length)
	point(&f.iovs[i][1], d.Head)
	iovs := 2
	if len(d.Body) > 0 {
		point(&f.iovs[i][2], d.Body)
		iovs = 3
	}
	f.msgs[i].Hdr.SetIovlen(iovs)
	f.dgrams[i] = d
	f.n++
}

// sendFrames sends what is queued. The kernel stops at the first that fails, and
// the others are sent all the same, unless the failure is theirs as well: of a link
// that is down, gone or given up they are left to the stack, which may know
// another way.
func (s *sending) sendFrames(c *conn) {
	f := s.framing
	for next := 0; next < f.n; {
		n, errno := f.link.Send(f.msgs[next:f.n])
		if errno == 0 {
			for i := next; i < next+n; i++ {
				f.dgrams[i].Status = frame.Sent
				if f.msgs[i].Len == mmsg.Lost {
					s.refused(f.dgrams[i], unix.ENOBUFS)
				}
			}
			next += n
			continue
		}
		if status(errno) == frame.Down {
			for _, d := range f.dgrams[next:f.n] {
				s.add(&c.headers, d, len(d.Head)+len(d.Body))
			}
			break
		}
		s.refused(f.dgrams[next], errno)
		next++
		if errno == unix.EAGAIN { // the send buffer is full, for the others too
			for ; next < f.n; next++ {
				s.refused(f.dgrams[next], errno)
			}
		}
	}
	clear(f.dgrams[:f.n])
	f.n = 0
}

// nextIDs returns the first of n IPv4 IDs that nobody else gets.
func (l *links) nextIDs(n int) uint16 { return uint16(l.ids.Add(uint32(n))) - uint16(n-1) }

// writeFrame writes Ethernet header and all of d, as write does the rest.
func (h *headers) writeFrame(b *[linkHeaderLen]byte, d *underlay.Datagram, n int, sum uint16, l *links) {
	copy(b[0:], d.Via.To[:])
	copy(b[6:], d.Via.From[:])
	etherType := frame.TypeIPv4
	if h.v6 {
		etherType = frame.TypeIPv6
	}
	b[12], b[13] = byte(etherType>>8), byte(etherType)
	h.write((*header)(unsafe.Pointer(&b[frame.HeaderLen])), d, n, sum)
	if h.v6 {
		return
	}
	v4 := ip.IPv4(b[frame.HeaderLen : frame.HeaderLen+ip.IPv4HeaderLen])
	if !v4.DontFragment() {
		v4.SetID(l.nextIDs(atMost(d)))
	}
	v4.SetChecksum(0)
	v4.SetChecksum(^ip.Sum(v4, 0))
}
