package path

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waiter waits for several sockets at once, so that Run alone takes in what they
// tell.
type waiter struct {
	file *os.File // an epoll instance, which can be waited for itself
	raw  syscall.RawConn
}

func newWaiter(sockets []*socket) (*waiter, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("wait for notifications: %w", err)
	}
	// Only of what does not block can a File wait until a deadline.
	err = unix.SetNonblock(fd, true)
	w := &waiter{file: os.NewFile(uintptr(fd), "epoll")}
	if err == nil {
		w.raw, err = w.file.SyscallConn()
	}
	for _, s := range sockets {
		if err == nil {
			err = s.waitedForBy(fd)
		}
	}
	if err != nil {
		w.file.Close()
		return nil, fmt.Errorf("wait for notifications: %w", err)
	}
	return w, nil
}

func (s *socket) waitedForBy(epoll int) (err error) {
	rawErr := s.raw.Control(func(fd uintptr) {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN})
	})
	if rawErr != nil {
		return rawErr
	}
	return err
}

// wait returns when a socket can be read or has lost something, or after the
// deadline an error that wraps os.ErrDeadlineExceeded.
func (w *waiter) wait(deadline time.Time) error {
	if err := w.file.SetReadDeadline(deadline); err != nil {
		return err
	}
	var events [1]unix.EpollEvent
	var err error
	rawErr := w.raw.Read(func(fd uintptr) bool {
		var n int
		n, err = unix.EpollWait(int(fd), events[:], 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
	if rawErr != nil {
		return rawErr
	}
	return err
}
