package neigh

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l2/frame"
)

// ARPLen is the length of an ARP message for IPv4 over Ethernet, in bytes.
const ARPLen = 28

// ARPReplyLen is what PutARPReply writes, in bytes. What pads a frame to the
// least that a wire carries is the NIC.
const ARPReplyLen = frame.HeaderLen + ARPLen

// Operations (RFC 826 "Definitions").
const (
	ARPRequest = 1
	ARPReply   = 2
)

// arpHead is the fixed part of the only ARP there is here: hardware type 1
// (Ethernet), protocol type 0800, addresses of 6 and of 4 bytes.
const arpHead = uint64(1)<<32 | uint64(frame.TypeIPv4)<<16 | 6<<8 | 4

// ARP is a view over an ARP message for IPv4 over Ethernet, ARPLen bytes.
type ARP []byte

// ParseARP returns a view over the ARP message that b starts with; what follows
// in b is padding. It reports false for a message that is cut short, or is about
// other hardware or another protocol.
func ParseARP(b []byte) (ARP, bool) {
	if len(b) < ARPLen || binary.BigEndian.Uint64(b[:8])>>16 != arpHead {
		return nil, false
	}
	return ARP(b[:ARPLen]), true
}

// Op returns the operation.
func (a ARP) Op() uint16 { return binary.BigEndian.Uint16(a[6:8]) }

// SenderMAC returns the sender's hardware address.
func (a ARP) SenderMAC() frame.MAC { return frame.MAC(a[8:14]) }

// Sender returns the sender's protocol address; 0.0.0.0 in a probe (RFC 5227
// section 1.1).
func (a ARP) Sender() netip.Addr { return netip.AddrFrom4([4]byte(a[14:18])) }

// TargetMAC returns the target's hardware address, which means nothing in a
// request.
func (a ARP) TargetMAC() frame.MAC { return frame.MAC(a[18:24]) }

// Target returns the target's protocol address.
func (a ARP) Target() netip.Addr { return netip.AddrFrom4([4]byte(a[24:28])) }

// PutARPReply writes into dst the frame that answers the ARP request in the
// frame req: the address that is asked for is at mac. It returns ARPReplyLen, or
// 0 when dst is shorter or req is not a request. dst must not overlap req.
func PutARPReply(dst []byte, req frame.Frame, mac frame.MAC) int {
	if len(dst) < ARPReplyLen || len(req) < frame.HeaderLen || req.Type() != frame.TypeARP {
		return 0
	}
	q, ok := ParseARP(req.Payload())
	if !ok || q.Op() != ARPRequest {
		return 0
	}
	putEthernet(dst, q.SenderMAC(), mac, frame.TypeARP)
	a := dst[frame.HeaderLen:ARPReplyLen]
	copy(a[0:6], q[0:6])
	binary.BigEndian.PutUint16(a[6:8], ARPReply)
	copy(a[8:14], mac[:])
	copy(a[14:18], q[24:28])
	copy(a[18:28], q[8:18])
	return ARPReplyLen
}

func putEthernet(b []byte, dst, src frame.MAC, etherType uint16) {
	copy(b[0:6], dst[:])
	copy(b[6:12], src[:])
	binary.BigEndian.PutUint16(b[12:14], etherType)
}
