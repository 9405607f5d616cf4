package kernel

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// attrs yields the attributes of b, and stops at the first that lies about its length.
// The values are borrowed from b.
//
// It is not the library's ParseRouteAttr: that panics where the last one is not padded.
func attrs(b []byte) iter.Seq2[uint16, value] {
	return func(yield func(uint16, value) bool) {
		for len(b) >= unix.SizeofRtAttr {
			n := int(binary.NativeEndian.Uint16(b))
			if n < unix.SizeofRtAttr || n > len(b) || !yield(binary.NativeEndian.Uint16(b[2:])&nl.NLA_TYPE_MASK, b[unix.SizeofRtAttr:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

// value is the value of an attribute. One that is too short reads as zero.
type value []byte

// number reads a whole number of the host's byte order, of as many bytes as it has.
func (v value) number() uint64 {
	switch len(v) {
	case 1:
		return uint64(v[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(v))
	case 4:
		return uint64(binary.NativeEndian.Uint32(v))
	case 8:
		return binary.NativeEndian.Uint64(v)
	}
	return 0
}

func (v value) on() bool { return v.number() != 0 }

// port reads a UDP port or an EtherType, which are in network order.
func (v value) port() uint16 {
	if len(v) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(v)
}

// text reads a string that may end in a zero byte.
func (v value) text() string {
	s, _, _ := strings.Cut(string(v), "\x00")
	return s
}

func (v value) mac() frame.MAC {
	if len(v) != len(frame.MAC{}) {
		return frame.MAC{}
	}
	return frame.MAC(v)
}

// addr reads an address; the zero Addr for the unspecified one, which the kernel
// has for none.
func (v value) addr() netip.Addr {
	a, ok := netip.AddrFromSlice(v)
	if !ok || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a.Unmap()
}

// mostTime bounds what is read as a time, so that none overflows: 68 years of seconds.
const mostTime = 1 << 31

// ticks reads a time in units of USER_HZ, which is 100 a second everywhere.
func (v value) ticks() time.Duration {
	return time.Duration(min(v.number(), mostTime)) * (time.Second / 100)
}

func (v value) seconds() time.Duration { return time.Duration(min(v.number(), mostTime)) * time.Second }

// body returns what follows a message's header, nil where there is less.
func body(b []byte, header int) []byte {
	if len(b) < header {
		return nil
	}
	return b[header:]
}

// linkHeader is struct ifinfomsg: family, padding, type, index, flags, change.
type linkHeader []byte

func (h linkHeader) index() int { return int(int32(binary.NativeEndian.Uint32(h[4:]))) }
func (h linkHeader) up() bool   { return binary.NativeEndian.Uint32(h[8:])&unix.IFF_UP != 0 }
