package path

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// groups are the notifications that a Monitor listens to.
var groups = [...]int{
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
// socket for all groups of a protocol keeps them in the order in which things
// happened.
//
// It is not the library's, which turns an overflow into text and ends, and
// cannot be read without waiting.
type socket struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte
	only uint16 // messages of this type are of the netdev family; 0: of rtnetlink
}

// listen subscribes to what rtnetlink tells.
func listen() (*socket, error) { return listenTo(unix.NETLINK_ROUTE, 0, groups[:]) }

// listenToNetdev subscribes to what the netdev family tells of devices.
func listenToNetdev(f genericFamily) (*socket, error) {
	return listenTo(unix.NETLINK_GENERIC, f.id, []int{f.group})
}

func listenTo(protocol int, only uint16, groups []int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	s := &socket{file: os.NewFile(uintptr(fd), "netlink"), buf: make([]byte, 1<<16), only: only}
	if err := s.subscribe(fd, groups); err != nil {
		s.file.Close()
		return nil, fmt.Errorf("subscribe to netlink notifications: %w", err)
	}
	return s, nil
}

func (s *socket) subscribe(fd int, groups []int) (err error) {
	setRoom(fd, roomBytes)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); err != nil {
			return err
		}
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

// poll returns the next notifications, usually one, and none when there are none
// to read. They are borrowed until the next call.
func (s *socket) poll() ([]message, error) {
	var n, flags int
	var from unix.Sockaddr
	var err error
	rawErr := s.raw.Read(func(fd uintptr) bool {
		n, _, flags, from, err = unix.Recvmsg(int(fd), s.buf, nil, 0)
		return true
	})
	switch {
	case rawErr != nil:
		return nil, rawErr
	case err == unix.ENOBUFS || flags&unix.MSG_TRUNC != 0:
		return nil, errLost
	case err == unix.EAGAIN:
		return nil, nil
	case err != nil:
		return nil, err
	}
	if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
		return nil, nil // not from the kernel
	}
	return s.split(s.buf[:n]), nil
}

// split takes a datagram apart, and leaves out what is of another family.
func (s *socket) split(b []byte) []message {
	msgs := split(b)
	if s.only == 0 {
		return msgs
	}
	netdev := msgs[:0]
	for _, msg := range msgs {
		if msg.typ == s.only {
			netdev = append(netdev, message{ofNetdev, msg.body})
		}
	}
	return netdev
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
