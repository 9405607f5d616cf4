// Package mmsg is the kernel's way to take or send many messages by one system
// call, as the sockets on both sides of the gateway do.
package mmsg

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Msg is the kernel's struct mmsghdr (recvmmsg(2)).
type Msg struct {
	Hdr unix.Msghdr
	Len uint32 // bytes received or sent
}

// Lost is the Len of a message that was taken and not sent.
const Lost = ^uint32(0)

// Receive fills msgs, of which there must be one, with what is there and returns
// their number. It never waits: when nothing is there it returns EAGAIN.
func Receive(fd uintptr, msgs []Msg) (int, unix.Errno) {
	return call(unix.SYS_RECVMMSG, fd, msgs)
}

// Send sends msgs, of which there must be one, up to the first that fails and
// returns their number; the error is that of the first. It never waits.
func Send(fd uintptr, msgs []Msg) (int, unix.Errno) {
	return call(unix.SYS_SENDMMSG, fd, msgs)
}

// call makes the system call without telling the scheduler. It never waits, but
// a batch takes longer than the scheduler's patience with those that might: it
// would give the processor away, and a worker would queue for one after every
// batch.
func call(number, fd uintptr, msgs []Msg) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(number, fd, uintptr(unsafe.Pointer(&msgs[0])), uintptr(len(msgs)), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
