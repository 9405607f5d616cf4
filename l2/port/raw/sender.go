package raw

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"vxgw/l2/mmsg"
)

// Sender sends frames by one interface and receives none. Its methods may be
// called by any number of goroutines. After Close they fail with unix.ENETDOWN.
type Sender struct{ bare }

// OpenSender opens a Sender on the interface with the given index, in the calling
// thread's network namespace.
func OpenSender(index int) (*Sender, error) {
	s, err := openSender(index)
	if err == nil {
		err = mustBeEthernet(s)
	}
	if err != nil {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
		return nil, fmt.Errorf("send by interface %d: %w", index, err)
	}
	setBuffer(s, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, DefaultBuffer)
	return s, nil
}

func openSender(index int) (*Sender, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, explain(os.NewSyscallError("socket", err))
	}
	s := &Sender{bare{fd: fd}}
	if err := bind(s, 0, index); err != nil {
		return nil, explain(errors.Join(os.NewSyscallError("bind", err), s.Close()))
	}
	return s, nil
}

// Send sends each message as one frame, up to the first that fails, and returns
// their number; the error is that of the first, unix.ENETDOWN after Close. It
// never waits.
func (s *Sender) Send(msgs []mmsg.Msg) (int, unix.Errno) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.fd < 0 {
		return 0, unix.ENETDOWN
	}
	return mmsg.Send(uintptr(s.fd), msgs)
}
