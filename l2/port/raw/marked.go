package raw

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
)

// Marked sends super-frames by one interface, with a mark that a program there
// knows them by. One goroutine at a time may send; after Close it is told
// unix.ENETDOWN.
type Marked struct {
	bare

	// The sender's own.
	msg    [1]mmsg.Msg
	iovs   [2]unix.Iovec // virtio-net header, frame
	header [vnetLen]byte
}

// OpenMarked opens a Marked on the interface with the given index, in the calling
// thread's network namespace.
func OpenMarked(index int, mark uint32) (*Marked, error) {
	s, err := openSender(index)
	if err != nil {
		return nil, fmt.Errorf("send by interface %d: %w", index, err)
	}
	m := &Marked{bare: bare{fd: s.fd}}
	err = setVnetHeader(m)
	if err == nil {
		err = control(m, func(fd int) error {
			return os.NewSyscallError("set SO_MARK", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(int32(mark))))
		})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("send super-frames by interface %d: %w", index, err), m.Close())
	}
	setBuffer(m, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, DefaultBuffer)
	m.iovs[0].Base = &m.header[0]
	m.iovs[0].SetLen(vnetLen)
	m.msg[0].Hdr.Iov = &m.iovs[0]
	m.msg[0].Hdr.SetIovlen(2)
	return m, nil
}

// Send sends f, of which o is left to be done. It returns when the kernel has done
// with it all that comes before the queueing discipline. It never waits: without
// room the error is unix.EAGAIN. An o that there is no virtio-net header for is
// unix.EINVAL.
func (m *Marked) Send(f []byte, o frame.Offload) unix.Errno {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.fd < 0 {
		return unix.ENETDOWN
	}
	if len(f) < frame.HeaderLen || !encodeOffload(m.header[:], o, f) {
		return unix.EINVAL
	}
	m.iovs[1].Base = &f[0]
	m.iovs[1].SetLen(len(f))
	_, errno := mmsg.Send(uintptr(m.fd), m.msg[:])
	m.iovs[1].Base = nil
	return errno
}
