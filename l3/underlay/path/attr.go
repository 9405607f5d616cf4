package path

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// attrTypeMask takes NLA_F_NESTED and NLA_F_NET_BYTEORDER off a type.
const attrTypeMask = 0x3fff

// attrs yields the type and value of each attribute in b, and stops at the
// first that lies about its length. The values are borrowed from b.
func attrs(b []byte) iter.Seq2[uint16, attr] {
	return func(yield func(uint16, attr) bool) {
		for len(b) >= unix.SizeofRtAttr {
			n := int(binary.NativeEndian.Uint16(b))
			if n < unix.SizeofRtAttr || n > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:])&attrTypeMask, b[unix.SizeofRtAttr:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

// attr is the value of a netlink attribute. A value that is too short reads
// as zero.
type attr []byte

func (a attr) uint8() uint8 {
	if len(a) < 1 {
		return 0
	}
	return a[0]
}

func (a attr) uint16() uint16 {
	if len(a) < 2 {
		return 0
	}
	return binary.NativeEndian.Uint16(a)
}

func (a attr) uint32() uint32 {
	if len(a) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(a)
}

func (a attr) uint64() uint64 {
	if len(a) < 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(a)
}

// port reads a UDP port or an EtherType, which are in network order.
func (a attr) port() uint16 {
	if len(a) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(a)
}

// text reads a string that may end in a zero byte.
func (a attr) text() string {
	s, _, _ := strings.Cut(string(a), "\x00")
	return s
}

func (a attr) mac() frame.MAC {
	if len(a) != len(frame.MAC{}) {
		return frame.MAC{}
	}
	return frame.MAC(a)
}

func (a attr) addr() netip.Addr {
	addr, _ := netip.AddrFromSlice(a)
	return addr
}
