package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is the kernel's struct mmsghdr (recvmmsg(2)).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32 // bytes received or sent
}

// recvmmsg fills msgs with what is there and returns their number. It never
// waits.
func recvmmsg(fd uintptr, msgs []mmsghdr) (int, unix.Errno) {
	return mmsg(unix.SYS_RECVMMSG, fd, msgs)
}

// sendmmsg sends msgs up to the first that fails and returns their number; the
// error is that of the first. It never waits.
func sendmmsg(fd uintptr, msgs []mmsghdr) (int, unix.Errno) {
	return mmsg(unix.SYS_SENDMMSG, fd, msgs)
}

func mmsg(call, fd uintptr, msgs []mmsghdr) (int, unix.Errno) {
	for {
		n, _, errno := unix.Syscall6(call, fd, uintptr(unsafe.Pointer(&msgs[0])), uintptr(len(msgs)), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
