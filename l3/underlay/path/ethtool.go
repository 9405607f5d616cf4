package path

import (
	"encoding/binary"
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hardware is what a device's driver says of it when asked.
type hardware struct {
	driver     string
	stripsVLAN bool
}

// setHardware notes what a driver has said.
func (s *state) setHardware(index int, h hardware) (changed bool) {
	was := s.hardware[index]
	s.hardware[index] = h
	return h != was
}

// askDrivers asks the drivers of links that were told of: of one that is new, of
// one whose offloads changed, and of all of them in a dump. Their names are asked
// for once: some drivers ask the device for its firmware's version along with it.
//
// It is called without mu: the kernel answers when nobody changes a link, and that
// may take a while.
func (m *Monitor) askDrivers(msgs []message, all bool) map[int]hardware {
	var said map[int]hardware
	for _, msg := range msgs {
		if msg.typ != unix.RTM_NEWLINK {
			continue
		}
		index, changed, ok := featuresChanged(msg.body)
		if !ok {
			continue
		}
		m.mu.RLock()
		h, known := m.state.hardware[index]
		m.mu.RUnlock()
		if known && !changed && !all {
			continue
		}
		if !m.events.askDriver(index, &h) {
			continue
		}
		if said == nil {
			said = make(map[int]hardware)
		}
		said[index] = h
	}
	return said
}

// featuresChanged reports which link an RTM_NEWLINK is of, and whether it was sent
// because offloads were turned on or off (NETDEV_FEAT_CHANGE).
func featuresChanged(b []byte) (index int, changed, ok bool) {
	const features = 2 // IFLA_EVENT_FEATURES in include/uapi/linux/if_link.h
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return 0, false, false
	}
	for typ, v := range attrs(b[unix.SizeofIfInfomsg:]) {
		if typ == unix.IFLA_EVENT {
			changed = v.uint32() == features
		}
	}
	return int(int32(binary.NativeEndian.Uint32(b[4:]))), changed, true
}

// askDriver asks the driver of a link in the socket's namespace, for its name too
// unless h has it. It reports whether there was an answer.
//
// The kernel takes names here, and names can change hands: what was said under a
// name counts when it was the link's before and after.
func (s *socket) askDriver(index int, h *hardware) (ok bool) {
	for range dumpTries {
		again := false
		err := s.raw.Control(func(fd uintptr) {
			name := nameNow(int(fd), index)
			if name == "" {
				return
			}
			said := ask(int(fd), name, *h)
			if again = nameNow(int(fd), index) != name; !again {
				*h, ok = said, true
			}
		})
		if err != nil || !again {
			break
		}
	}
	return ok
}

// nameNow returns the name of a link, "" when there is none.
func nameNow(fd, index int) string {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return ""
	}
	ifr.SetUint32(uint32(index))
	if unix.IoctlIfreq(fd, unix.SIOCGIFNAME, ifr) != nil {
		return ""
	}
	return ifr.Name()
}

// ask asks what a driver says. A device without one, such as lo, has no name of it.
func ask(fd int, name string, h hardware) hardware {
	if h.driver == "" {
		if info, err := unix.IoctlGetEthtoolDrvinfo(fd, name); err == nil {
			h.driver = unix.ByteSliceToString(info.Driver[:])
		}
	}
	const stripsVLAN = 1 << 8 // ETH_FLAG_RXVLAN in include/uapi/linux/ethtool.h
	if flags, err := ethtoolFlags(fd, name); err == nil {
		h.stripsVLAN = flags&stripsVLAN != 0
	}
	return h
}

// ethtoolFlags asks for the offloads that have a flag of their own
// (ETHTOOL_GFLAGS).
func ethtoolFlags(fd int, name string) (uint32, error) {
	value := [2]uint32{unix.ETHTOOL_GFLAGS}
	err := ethtoolAsk(fd, name, unsafe.Pointer(&value))
	return value[1], err
}

// ethtoolAsk makes one request of a device's driver; data begins with its command.
func ethtoolAsk(fd int, name string, data unsafe.Pointer) error {
	ifr := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the rest of struct ifreq
	}{data: data}
	if copy(ifr.name[:], name) == unix.IFNAMSIZ {
		return errors.New("no room for the end of the name")
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(data)
	if errno != 0 {
		return errno
	}
	return nil
}
