package path

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// groups are the notifications that a Monitor listens to.
var groups = [...]uint{
	unix.RTNLGRP_LINK,
	unix.RTNLGRP_NEIGH,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
	unix.RTNLGRP_NEXTHOP,
	unix.RTNLGRP_TC, // queueing disciplines: a link does not tell of its own
}

// roomBytes is how much may wait to be read before the kernel drops
// notifications: the churn of a big routing table comes in bursts.
const roomBytes = 4 << 20

// errLost is that the kernel dropped notifications.
var errLost = errors.New("notifications were lost")

// message is one netlink message without its header.
type message struct {
	typ  uint16
	body []byte
}

// socket receives notifications of the namespace that it was made in. One
// socket for all groups keeps them in the order in which things happened.
//
// It is not the library's, which turns an overflow into text and ends, and
// cannot be read without waiting.
type socket struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte
}

func listen() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	s := &socket{file: os.NewFile(uintptr(fd), "netlink"), buf: make([]byte, 1<<16)}
	if err := s.subscribe(fd); err != nil {
		s.file.Close()
		return nil, fmt.Errorf("subscribe to netlink notifications: %w", err)
	}
	return s, nil
}

func (s *socket) subscribe(fd int) (err error) {
	setRoom(fd, roomBytes)
	var mask uint32
	for _, g := range groups {
		mask |= 1 << (g - 1)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: mask}); err != nil {
		return err
	}
	s.raw, err = s.file.SyscallConn()
	return err
}

// setRoom asks for room: as much as wanted with CAP_NET_ADMIN, else up to
// net.core.rmem_max. With less, more is lost and caught up with.
func setRoom(fd, bytes int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	}
}

// wait returns the next notifications, usually one, or after the deadline an
// error that wraps os.ErrDeadlineExceeded. They are borrowed until the next
// call.
func (s *socket) wait(deadline time.Time) ([]message, error) {
	if err := s.file.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	return s.read(func(err error) bool { return err != unix.EAGAIN })
}

// poll is wait without waiting: no messages and no error when none are there.
func (s *socket) poll() ([]message, error) {
	if err := s.file.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	msgs, err := s.read(func(error) bool { return true })
	if errors.Is(err, unix.EAGAIN) {
		return nil, nil
	}
	return msgs, err
}

func (s *socket) read(done func(error) bool) ([]message, error) {
	var n, flags int
	var from unix.Sockaddr
	var err error
	rawErr := s.raw.Read(func(fd uintptr) bool {
		n, _, flags, from, err = unix.Recvmsg(int(fd), s.buf, nil, 0)
		return done(err)
	})
	switch {
	case rawErr != nil:
		return nil, rawErr
	case err == unix.ENOBUFS || flags&unix.MSG_TRUNC != 0:
		return nil, errLost
	case err != nil:
		return nil, err
	}
	if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
		return nil, nil // not from the kernel
	}
	return split(s.buf[:n]), nil
}

// split takes a datagram apart. It stops at the first header that lies.
func split(b []byte) (msgs []message) {
	for len(b) >= unix.SizeofNlMsghdr {
		n := binary.NativeEndian.Uint32(b)
		if n < unix.SizeofNlMsghdr || uint64(n) > uint64(len(b)) {
			break
		}
		msgs = append(msgs, message{binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:n]})
		b = b[min((int(n)+3)&^3, len(b)):]
	}
	return msgs
}
