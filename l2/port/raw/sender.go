package raw

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
)

// Sender sends frames by one interface and receives none. Its methods may be
// called by any number of goroutines. After Close they fail with unix.ENETDOWN.
type Sender struct {
	bare
	index   int
	express *express // nil: none is wanted, or to be had
}

// OpenSender opens a Sender on the interface with the given index, in the calling
// thread's network namespace. With express it sends by AF_XDP, past the
// interface's queueing discipline, where the kernel lets it.
func OpenSender(index int, express bool) (*Sender, error) {
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
	if express {
		if mtu, errno := mtuOf(s.fd, index); errno == 0 {
			s.express, _ = openExpress(index, mtu) // the socket will do
		}
	}
	return s, nil
}

// mtuOf asks for the MTU of the device with an index.
func mtuOf(fd, index int) (int, unix.Errno) {
	// struct ifreq: the name, and the index or the MTU behind it.
	var req [unix.IFNAMSIZ + 24]byte
	binary.NativeEndian.PutUint32(req[unix.IFNAMSIZ:], uint32(index))
	for _, call := range [...]uintptr{unix.SIOCGIFNAME, unix.SIOCGIFMTU} {
		if _, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), call, uintptr(unsafe.Pointer(&req[0]))); errno != 0 {
			return 0, errno
		}
	}
	return int(int32(binary.NativeEndian.Uint32(req[unix.IFNAMSIZ:]))), 0
}

func openSender(index int) (*Sender, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, explain(os.NewSyscallError("socket", err))
	}
	s := &Sender{bare: bare{fd: fd}, index: index}
	if err := bind(s, 0, index); err != nil {
		return nil, explain(errors.Join(os.NewSyscallError("bind", err), s.Close()))
	}
	return s, nil
}

// Send sends each message as one frame, up to the first that fails, and returns
// their number; the error is that of the first, unix.ENETDOWN after Close. Fewer
// than all without an error are for the next call. A message whose Len is
// mmsg.Lost is one of them, and was dropped by the device. It never waits.
func (s *Sender) Send(msgs []mmsg.Msg) (int, unix.Errno) {
	if s.byExpress() {
		if n := s.sendExpress(msgs); n > 0 {
			return n, 0
		}
	}
	return s.sendRaw(msgs)
}

// byExpress reports whether frames that leave nothing to be done go by the express.
func (s *Sender) byExpress() bool { return s.express != nil && !IsHeard(s.index) }

// sendExpress sends messages by the express, which there must be, from the first
// on, and returns how many it took.
func (s *Sender) sendExpress(msgs []mmsg.Msg) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.fd < 0 || !s.passes(msgs) {
		return 0
	}
	return s.express.send(msgs)
}

// sendRaw is Send by the packet socket alone.
func (s *Sender) sendRaw(msgs []mmsg.Msg) (int, unix.Errno) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.fd < 0 {
		return 0, unix.ENETDOWN
	}
	return mmsg.Send(uintptr(s.fd), msgs)
}

// alwaysPasses is the longest frame that the MTU is not asked for, in bytes: an
// underlay that takes less carries no traffic at all.
const alwaysPasses = 256

// passes reports whether the device's MTU is still what it was when the express was
// made, or no message is so long that it matters. Whoever follows the host's links
// hears of a lower one a moment later, and until then the device would drop frames
// without a word. It needs mu.
func (s *Sender) passes(msgs []mmsg.Msg) bool {
	for i := range msgs {
		n := 0
		for _, v := range unsafe.Slice(msgs[i].Hdr.Iov, msgs[i].Hdr.Iovlen) {
			n += int(v.Len)
		}
		if n > alwaysPasses {
			mtu, errno := mtuOf(s.fd, s.index)
			return errno == 0 && min(expressSlot, mtu+frame.HeaderLen) >= s.express.longest
		}
	}
	return true
}

// Close ends the Sender. A second Close does nothing.
func (s *Sender) Close() error {
	var err error
	if s.express != nil {
		err = s.express.close()
	}
	return errors.Join(err, s.bare.Close())
}
