package raw

import (
	"errors"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
	"vxgw/l2/port"
)

var (
	errRefused = errors.New("a frame needs an offload that the port does not carry: segment and sum it first")
	errRunt    = errors.New("a frame is shorter than an Ethernet header")
)

// sending is what it takes to send one batch. Workers take one each from a pool,
// so that they neither wait for one another nor allocate.
type sending struct {
	msgs    [port.BatchSize]mmsg.Msg
	iovs    [port.BatchSize][2]unix.Iovec // virtio-net header, frame
	headers [port.BatchSize][vnetLen]byte
	frames  [port.BatchSize]*frame.Out // what each message is
	n       int                        // messages
	errno   unix.Errno                 // the last that the kernel gave
}

var sendings = sync.Pool{New: func() any {
	s := &sending{}
	for i := range s.msgs {
		s.iovs[i][0].Base = &s.headers[i][0]
		s.iovs[i][0].SetLen(vnetLen)
	}
	return s
}}

// WriteBatch is as port.Port has it. A frame that cannot be sent at once, for
// want of room, is Failed: nothing waits. A frame is Refused when its Offload
// contradicts itself or its bytes, or is one that the kernel does not know.
func (p *Port) WriteBatch(out []frame.Out) error {
	s := sendings.Get().(*sending)
	defer sendings.Put(s)
	var last error
	for len(out) > 0 {
		n := min(len(out), port.BatchSize)
		if err := p.write(s, out[:n]); err != nil {
			last = err
		}
		out = out[n:]
	}
	return last
}

func (p *Port) write(s *sending, out []frame.Out) error {
	err := s.load(out, p.CarriesOffload())
	if s.n == 0 {
		return err
	}
	s.send(p.tx, p.CarriesOffload())
	if s.errno != 0 && p.closed.Load() {
		return net.ErrClosed
	}
	if s.errno != 0 {
		return s.errno
	}
	return err
}

// load makes messages of the frames that can be sent, and settles the others.
func (s *sending) load(out []frame.Out, vnet bool) (err error) {
	s.n, s.errno = 0, 0
	for i := range out {
		o := &out[i]
		switch {
		case len(o.Bytes) < frame.HeaderLen:
			o.Status, err = frame.Failed, errRunt
		case !encodeOffload(s.headers[s.n][:], o.Offload, o.Bytes), !vnet && !o.Offload.None():
			o.Status, err = frame.Refused, errRefused
		default:
			s.add(o, vnet)
		}
	}
	return err
}

func (s *sending) add(o *frame.Out, vnet bool) {
	data := &s.iovs[s.n][1]
	data.Base = &o.Bytes[0]
	data.SetLen(len(o.Bytes))
	s.frames[s.n] = o
	s.n++
	s.shape(s.n-1, s.n, vnet)
}

// shape makes the messages in a range ones with virtio-net headers, or without.
func (s *sending) shape(from, to int, vnet bool) {
	for i := from; i < to; i++ {
		h, iovs := &s.msgs[i].Hdr, s.iovs[i][1:]
		if vnet {
			iovs = s.iovs[i][:]
		}
		h.Iov = &iovs[0]
		h.SetIovlen(len(iovs))
	}
}

// send sends the messages. The kernel stops at the first that fails; the others
// are sent all the same, unless the failure is theirs as well.
func (s *sending) send(tx *Sender, vnet bool) {
	for next := 0; next < s.n; {
		n, errno := s.sendFrom(tx, next, vnet)
		if errno == 0 {
			for i := next; i < next+n; i++ {
				s.frames[i].Status = frame.Sent
				if s.msgs[i].Len == mmsg.Lost {
					s.frames[i].Status = frame.Failed
				}
			}
			next += n
			continue
		}
		s.errno = errno
		switch errno {
		case unix.ENETDOWN, unix.ENODEV, unix.ENXIO:
			s.settle(next, frame.Down)
			return
		case unix.EAGAIN: // the send buffer is full, for short frames too
			s.settle(next, frame.Failed)
			return
		}
		s.frames[next].Status = status(errno, s.frames[next].Offload)
		next++
	}
}

// sendFrom sends messages from the given one on, by the express up to the first
// that leaves something to be done, or else by the packet socket.
//
// The express takes no virtio-net headers, and the packet socket those that it was
// opened with: vnet.
func (s *sending) sendFrom(tx *Sender, next int, vnet bool) (int, unix.Errno) {
	end := next
	for end < s.n && s.frames[end].Offload.None() {
		end++
	}
	if end > next && tx.byExpress() {
		s.shape(next, end, false)
		n := tx.sendExpress(s.msgs[next:end])
		s.shape(next+n, end, vnet)
		if n > 0 {
			return n, 0
		}
	}
	return tx.sendRaw(s.msgs[next:s.n])
}

// settle gives the messages from the given one on the same status.
func (s *sending) settle(from int, st frame.Status) {
	for _, f := range s.frames[from:s.n] {
		f.Status = st
	}
}

// status is what an error about one frame means.
func status(errno unix.Errno, o frame.Offload) frame.Status {
	switch {
	case errno == unix.EMSGSIZE:
		return frame.TooBig
	case errno == unix.EINVAL && !o.None():
		return frame.Refused
	}
	return frame.Failed
}
