package raw

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// bare is a socket that the runtime's poller does not know. The poller is woken
// for every frame that comes to a socket of its own, or has left by it, and a
// thread with it, whether anybody waits or not.
type bare struct {
	mu sync.RWMutex // held for reading while fd is in use
	fd int          // -1 once closed
}

// undress takes a socket from the poller. conn is closed, whatever comes out.
func undress(conn *packet.Conn, raw syscall.RawConn) (*bare, error) {
	b := &bare{fd: -1}
	err := control(raw, func(fd int) (err error) {
		b.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("dup", err)
	})
	err = errors.Join(err, conn.Close())
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Control runs f with the socket's descriptor.
func (b *bare) Control(f func(fd uintptr)) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.fd < 0 {
		return os.ErrClosed
	}
	f(uintptr(b.fd))
	return nil
}

// drops returns how many frames a socket had no room for since the last call.
func drops(s socket) (n uint64, err error) {
	err = control(s, func(fd int) error {
		s, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS) // resets them
		if err != nil {
			return os.NewSyscallError("get PACKET_STATISTICS", err)
		}
		n = uint64(s.Drops)
		return nil
	})
	return n, err
}

// Close ends the socket. A second Close does nothing.
func (b *bare) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fd < 0 {
		return nil
	}
	fd := b.fd
	b.fd = -1
	return unix.Close(fd)
}
