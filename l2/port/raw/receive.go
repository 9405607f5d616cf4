package raw

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
	"vxgw/l2/port"
)

// lookAgain is how long a reader whose device is down waits between two looks
// whether it is still there. The kernel says that a device went down, and says
// nothing when it is then taken away.
const lookAgain = 250 * time.Millisecond

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

var errNoRoom = fmt.Errorf("a buffer must hold more than the %d bytes of headroom: make buffers with frame.NewBuffers", frame.Headroom)

// receiver reads batches from a packet socket.
type receiver struct {
	// Set once.
	conn    *packet.Conn // nil where the runtime's poller does not know the socket
	raw     socket
	vnetLen int                   // bytes of virtio-net header in front of each frame: vnetLen or 0
	receive func(fd uintptr) bool // r.tryReceive, bound once: binding it allocates

	woken      atomic.Bool
	closed     atomic.Bool
	unreadable atomic.Uint64

	// The reader's own.
	msgs    [port.BatchSize]mmsg.Msg
	iovs    [port.BatchSize]unix.Iovec
	control [port.BatchSize][controlLen]byte
	stamps  [port.BatchSize]uint64 // when each frame came, see auxdata.stamp
	asked   int                    // messages that may be filled
	got     int                    // messages that were filled
	errno   unix.Errno             // why none was
	down    bool                   // the device was down when last heard of
}

func (r *receiver) init(conn *packet.Conn, raw syscall.RawConn) {
	r.conn, r.raw = conn, raw
	r.receive = r.tryReceive
	for i := range r.msgs {
		h := &r.msgs[i].Hdr
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
	}
}

// read waits for frames and returns how many of bufs it filled.
func (r *receiver) read(bufs []frame.Buffer) (int, error) {
	bufs = bufs[:min(len(bufs), port.BatchSize)]
	if len(bufs) == 0 {
		return 0, nil
	}
	for {
		if err := r.prepare(bufs); err != nil {
			return 0, err
		}
		if err := r.wait(); err != nil {
			return 0, err
		}
		if n := r.harvest(bufs[:r.got]); n > 0 {
			return n, nil
		}
	}
}

// prepare points the messages at the buffers. The virtio-net header goes to the
// end of the headroom, so that one piece of memory takes both.
func (r *receiver) prepare(bufs []frame.Buffer) error {
	at := frame.Headroom - r.vnetLen
	for i := range bufs {
		mem := bufs[i].Mem
		if len(mem) <= frame.Headroom {
			return errNoRoom
		}
		r.iovs[i].Base = &mem[at]
		r.iovs[i].SetLen(len(mem) - at)
		r.msgs[i].Hdr.SetControllen(controlLen)
		r.msgs[i].Hdr.Flags = 0
	}
	r.asked = len(bufs)
	return nil
}

// wait fills messages as soon as there is something to fill them with. With a
// nil error there may still be none.
func (r *receiver) wait() error {
	r.got, r.errno = 0, 0
	if r.down {
		if err := r.waitForDevice(); err != nil {
			return err
		}
	}
	switch err := r.raw.(syscall.RawConn).Read(r.receive); {
	case err == nil && r.errno == 0:
		r.down = false
		return nil
	case err == nil:
		return r.failed()
	case r.closed.Load():
		return net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return r.expired()
	default:
		return err
	}
}

func (r *receiver) tryReceive(fd uintptr) bool {
	n, errno := mmsg.Receive(fd, r.msgs[:r.asked])
	if errno == unix.EAGAIN {
		return false
	}
	r.got, r.errno = n, errno
	return true
}

// failed says what the kernel's error means to the reader.
func (r *receiver) failed() error {
	switch {
	case isAboutFrame(r.errno):
		r.unreadable.Add(1)
		return nil
	case r.errno == unix.ENETDOWN:
		r.down = true
		if !r.attached() {
			return unix.ENODEV
		}
	}
	return r.errno
}

// isAboutFrame reports whether an error is about one frame, which is gone from the
// queue.
func isAboutFrame(errno unix.Errno) bool {
	return errno == unix.EINVAL || errno == unix.ENOMEM || errno == unix.ENOBUFS
}

// attached reports whether the device is still there: a packet socket loses its
// interface index together with its interface.
func (r *receiver) attached() bool {
	sa, err := address(r.raw)
	return err != nil || sa.Ifindex >= 0
}

// waitForDevice limits the wait of a reader whose device is down.
func (r *receiver) waitForDevice() error {
	if r.closed.Load() {
		return net.ErrClosed
	}
	if !r.attached() {
		return unix.ENODEV
	}
	if err := r.conn.SetReadDeadline(time.Now().Add(lookAgain)); err != nil {
		return r.unlessClosed(err)
	}
	if r.woken.Load() {
		return r.expired() // the deadline of wake may be overwritten
	}
	return nil
}

// expired handles a deadline that passed: wake's, or our own. The deadline is
// lifted before the flag is taken; a wake in between only lets a later wait
// expire for nothing.
func (r *receiver) expired() error {
	if err := r.conn.SetReadDeadline(time.Time{}); err != nil {
		return r.unlessClosed(err)
	}
	if r.woken.Swap(false) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (r *receiver) unlessClosed(err error) error {
	if r.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// wake makes the current or else the next read return.
func (r *receiver) wake() {
	r.woken.Store(true)
	_ = r.conn.SetReadDeadline(longAgo) // fails when closed, which wakes too
}

func (r *receiver) close() error {
	r.closed.Store(true)
	return r.conn.Close()
}

// harvest makes frames of the filled messages, at the front of bufs.
func (r *receiver) harvest(bufs []frame.Buffer) (n int) {
	for i := range bufs {
		if !r.fill(&bufs[i], i, n) {
			r.unreadable.Add(1)
			continue
		}
		if n != i {
			bufs[n], bufs[i] = bufs[i], bufs[n]
		}
		n++
	}
	return n
}

// fill describes message i as frame n. It reports false when the kernel said too
// little for that: without auxdata a tagged frame looks untagged.
func (r *receiver) fill(b *frame.Buffer, i, n int) bool {
	m := &r.msgs[i]
	aux, ok := parseControl(r.control[i][:min(int(m.Hdr.Controllen), controlLen)])
	if !ok || int(m.Len) < r.vnetLen {
		return false
	}
	b.Off = frame.Headroom
	b.Len = int(m.Len) - r.vnetLen
	b.Truncated = m.Hdr.Flags&unix.MSG_TRUNC != 0
	describe(b, aux, r.vnetLen)
	r.stamps[n] = aux.stamp
	return true
}

// describe notes beside a frame what the kernel told of it. vnet is how many
// bytes of virtio-net header are in front of it. Truncated may be set already.
func describe(b *frame.Buffer, aux auxdata, vnet int) {
	b.Tag = aux.tag()
	b.FullLen = max(int(aux.length), b.Len)
	b.Truncated = b.Truncated || aux.length > aux.snapped
	b.Offload = frame.Offload{}
	if vnet > 0 {
		b.Offload = decodeOffload(b.Mem[b.Off-vnetLen:b.Off], b.Bytes())
	}
	switch {
	case b.Offload.None():
		if aux.unfinished() {
			b.Offload = cannot
		}
	case !b.Truncated:
		finishSCTP(&b.Offload, b.Bytes())
	}
}
