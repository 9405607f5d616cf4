package udp

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// controlLen is the room for control messages of one datagram, in bytes: more
// than three integers and a struct in6_pktinfo take.
const controlLen = 128

// wordLen is the alignment of control messages, the machine's word in bytes
// (cmsg(3)).
const wordLen = unix.SizeofCmsghdr - 8

// ancillary is what the kernel tells of a datagram beside its bytes.
type ancillary struct {
	tos        uint8
	fragmented bool
	ifindex    int        // of the interface it came in by
	group      netip.Addr // that it was sent to; the zero Addr where it was no group
	segment    int        // bytes of the datagrams that it is a run of; 0: it is one
}

// parseControl reads the control messages of one datagram. It stops at one that
// is malformed, which the kernel does not write.
func parseControl(b []byte) (a ancillary) {
	for len(b) >= unix.SizeofCmsghdr {
		n := cmsgLen(b)
		if n < unix.SizeofCmsghdr || n > uint64(len(b)) {
			return a
		}
		level := int32(binary.NativeEndian.Uint32(b[wordLen:]))
		typ := int32(binary.NativeEndian.Uint32(b[wordLen+4:]))
		a.add(level, typ, b[unix.SizeofCmsghdr:n])
		b = b[min((n+wordLen-1)&^(wordLen-1), uint64(len(b))):]
	}
	return a
}

// cmsgLen reads cmsg_len, a size_t.
func cmsgLen(b []byte) uint64 {
	if wordLen == 8 {
		return binary.NativeEndian.Uint64(b)
	}
	return uint64(binary.NativeEndian.Uint32(b))
}

func (a *ancillary) add(level, typ int32, data []byte) {
	switch {
	case level == unix.SOL_IP && typ == unix.IP_TOS && len(data) >= 1:
		a.tos = data[0]
	case level == unix.SOL_IPV6 && typ == unix.IPV6_TCLASS && len(data) >= 4:
		a.tos = uint8(binary.NativeEndian.Uint32(data))
	case level == unix.SOL_IP && typ == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		a.ifindex = int(int32(binary.NativeEndian.Uint32(data)))
		if data[8]>>4 == 0xe { // struct in_pktinfo: index, local address, destination
			a.group = netip.AddrFrom4([4]byte(data[8:12]))
		}
	case level == unix.SOL_IPV6 && typ == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		a.ifindex = int(binary.NativeEndian.Uint32(data[16:]))
		if data[0] == 0xff {
			a.group = netip.AddrFrom16([16]byte(data[:16]))
		}
	case level == unix.SOL_IP && typ == unix.IP_RECVFRAGSIZE,
		level == unix.SOL_IPV6 && typ == unix.IPV6_RECVFRAGSIZE:
		// The message is there for packets that came in fragments only.
		a.fragmented = true
	case level == unix.SOL_UDP && typ == unix.UDP_GRO && len(data) >= 4:
		a.segment = int(int32(binary.NativeEndian.Uint32(data)))
	}
}
