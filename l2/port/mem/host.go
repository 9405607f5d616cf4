package mem

import (
	"bytes"
	"context"
	"net"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// Host is the far side of a pair. Its methods may be called from any goroutine.
type Host struct{ l *link }

// Send hands the port a copy of a frame. It reports false when the frame was
// lost: the port is closed, down or gone, or it has no room, which Overflows
// counts.
func (h *Host) Send(f Frame) (taken bool) {
	h.l.locked(func() {
		l := h.l
		switch {
		case l.closed || l.lost() != 0:
		case len(l.toPort) >= l.size:
			l.overflows++
		default:
			f.Bytes = bytes.Clone(f.Bytes)
			l.toPort = append(l.toPort, f)
			taken = true
		}
	})
	return taken
}

// SendBytes sends an untagged frame that is ready for the wire.
func (h *Host) SendBytes(b []byte) bool { return h.Send(Frame{Bytes: b}) }

// Recv waits for a frame that the port has sent. The error is ctx's, or
// net.ErrClosed when the port is closed and has nothing left.
func (h *Host) Recv(ctx context.Context) (Frame, error) {
	l := h.l
	stop := context.AfterFunc(ctx, func() { l.locked(func() {}) })
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if len(l.toHost) > 0 {
			f := l.toHost[0]
			l.toHost[0] = Frame{}
			l.toHost = l.toHost[1:]
			return f, nil
		}
		if l.closed {
			return Frame{}, net.ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return Frame{}, err
		}
		l.changed.Wait()
	}
}

// Drain returns what the port has sent and nobody has received, without waiting.
func (h *Host) Drain() (frames []Frame) {
	h.l.locked(func() { frames, h.l.toHost = h.l.toHost, nil })
	return frames
}

// SetDown takes the port's device down or up. Each time that it goes down
// ReadBatch returns unix.ENETDOWN once; what was queued stays.
func (h *Host) SetDown(down bool) {
	h.l.locked(func() {
		if down && !h.l.down {
			h.l.news = unix.ENETDOWN
		}
		h.l.down = down
	})
}

// Remove takes the port's device away for good: unix.ENODEV from here on.
func (h *Host) Remove() { h.l.locked(func() { h.l.gone = true }) }

// SetCarriesOffload sets what CarriesOffload reports and WriteBatch takes.
func (h *Host) SetCarriesOffload(yes bool) { h.l.locked(func() { h.l.offload = yes }) }

// SetMTU has longer frames come back as TooBig, unless they are super-frames.
// It counts the bytes behind the Ethernet header; 0 is no limit.
func (h *Host) SetMTU(mtu int) { h.l.locked(func() { h.l.mtu = mtu }) }

// SetVerdict has f decide what becomes of each frame that could be sent; nil:
// all are. The bytes of its argument are borrowed, and it must not call the
// pair.
func (h *Host) SetVerdict(f func(frame.Out) frame.Status) { h.l.locked(func() { h.l.verdict = f }) }
