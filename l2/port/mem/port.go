package mem

import (
	"bytes"
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/port"
)

var (
	errNoRoom  = errors.New("a buffer must hold more than the headroom: make buffers with frame.NewBuffers")
	errRefused = errors.New("a frame needs an offload that the port does not carry: segment and sum it first")
	errFailed  = errors.New("the host had it fail")
)

// Port is the gateway's side of a pair. It implements port.Port.
type Port struct{ l *link }

var _ port.Port = (*Port)(nil)

// ReadBatch is as port.Port has it.
func (p *Port) ReadBatch(bufs []frame.Buffer) (int, error) {
	for i := range bufs {
		if len(bufs[i].Mem) <= frame.Headroom {
			return 0, errNoRoom
		}
	}
	if len(bufs) == 0 {
		return 0, nil
	}
	l := p.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err := l.readError(); err != nil {
			return 0, err
		}
		if n := min(len(l.toPort), len(bufs)); n > 0 {
			for i, f := range l.toPort[:n] {
				fill(&bufs[i], f)
			}
			clear(l.toPort[:n])
			l.toPort = l.toPort[n:]
			return n, nil
		}
		l.changed.Wait()
	}
}

// Queues is as port.Port has it: there is one.
func (p *Port) Queues() []port.Reader { return []port.Reader{p} }

// Lacks is as port.Port has it.
func (p *Port) Lacks() error { return nil }

// readError returns, and takes away, what a reader must be told before it gets
// more frames.
func (l *link) readError() error {
	switch {
	case l.closed:
		return net.ErrClosed
	case l.woken:
		l.woken = false
		return os.ErrDeadlineExceeded
	case l.gone:
		return unix.ENODEV
	}
	err := l.news
	l.news = nil
	return err
}

func fill(b *frame.Buffer, f Frame) {
	b.Off = frame.Headroom
	b.Len = copy(b.Mem[b.Off:], f.Bytes)
	b.Tag, b.Offload = f.Tag, f.Offload
	b.FullLen = len(f.Bytes)
	b.Truncated = b.Len < b.FullLen
}

// WriteBatch is as port.Port has it. The host gets copies. A frame that it has
// no room for is Failed.
func (p *Port) WriteBatch(out []frame.Out) (last error) {
	p.l.locked(func() {
		for i := range out {
			var err error
			if out[i].Status, err = p.l.write(&out[i]); err != nil {
				last = err
			}
		}
	})
	return last
}

func (l *link) write(o *frame.Out) (frame.Status, error) {
	if l.closed {
		return frame.Down, net.ErrClosed
	}
	if errno := l.lost(); errno != 0 {
		return frame.Down, errno
	}
	switch {
	case !o.Offload.None() && (!l.offload || o.Offload.GSO == frame.GSOOther || o.Offload.Tunnelled):
		return frame.Refused, errRefused
	case len(o.Bytes) < frame.HeaderLen:
		return frame.Failed, unix.EINVAL
	case l.mtu > 0 && o.Offload.GSO == frame.GSONone && len(o.Bytes) > l.mtu+frame.HeaderLen:
		return frame.TooBig, unix.EMSGSIZE
	}
	if l.verdict != nil {
		if s := l.verdict(*o); s != frame.Sent {
			return s, errFailed
		}
	}
	if len(l.toHost) >= l.size {
		return frame.Failed, unix.ENOBUFS
	}
	l.toHost = append(l.toHost, Frame{Bytes: bytes.Clone(o.Bytes), Offload: o.Offload})
	return frame.Sent, nil
}

// Wake is as port.Port has it. When no ReadBatch waits the next one returns.
func (p *Port) Wake() { p.l.locked(func() { p.l.woken = true }) }

// Overflows is as port.Port has it.
func (p *Port) Overflows() (n uint64, err error) {
	p.l.locked(func() {
		if p.l.closed {
			err = net.ErrClosed
			return
		}
		n, p.l.overflows = p.l.overflows, 0
	})
	return n, err
}

// CarriesOffload is as port.Port has it.
func (p *Port) CarriesOffload() bool {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	return p.l.offload
}

// Close ends the port. Whoever waits in ReadBatch gets net.ErrClosed. A second
// Close does nothing.
func (p *Port) Close() error {
	p.l.locked(func() { p.l.closed = true })
	return nil
}
