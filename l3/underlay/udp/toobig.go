package udp

import (
	"net/netip"

	"vxgw/l3/ip"
)

// leastMTU4 is the least that a router is believed to carry of IPv4, in bytes:
// as much as every host can take (RFC 791 section 3.2). Whoever forges messages
// gets no further.
const leastMTU4 = 576

// plateaus are the MTUs that links had when routers did not say theirs yet, in
// bytes (RFC 1191 section 7.1).
var plateaus = [...]int{32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68}

// parseTooBig reads an ICMP or ICMPv6 message, from its ICMP header on, that
// came to a VTEP, and returns the VTEP whose path carries too little and how
// much that is: IP packets of mtu bytes.
//
// It reports false unless the message says so of a packet that this VTEP may
// have sent: from its address, to its UDP port, not to be fragmented, and longer
// than mtu. Nothing else of a message can be verified: the quoted bytes that
// every router returns end with the UDP header.
func parseTooBig(msg []byte, vtep netip.Addr, port uint16) (to netip.Addr, mtu int, ok bool) {
	if len(msg) < ip.ICMPHeaderLen {
		return to, 0, false
	}
	if vtep.Is4() {
		return parseTooBig4(msg, vtep, port)
	}
	return parseTooBig6(msg, vtep, port)
}

// parseTooBig4 reads RFC 1191's message. The kernel hands a raw socket ICMP with
// a wrong checksum too.
func parseTooBig4(msg ip.ICMP, vtep netip.Addr, port uint16) (to netip.Addr, mtu int, ok bool) {
	if msg.Type() != ip.ICMPUnreachable || msg.Code() != ip.ICMPCodeFragmentation || ip.Sum(msg, 0) != 0xffff {
		return to, 0, false
	}
	q := ip.IPv4(msg.Body())
	if len(q) < ip.IPv4HeaderLen+ip.UDPHeaderLen || q[0] != 4<<4|ip.IPv4HeaderLen/4 {
		return to, 0, false // we send no options
	}
	ours := q.Src() == vtep && q.Protocol() == ip.ProtoUDP && q.DontFragment() && q.FragmentOffset() == 0
	if !ours || ip.UDP(q.Payload()).DstPort() != port {
		return to, 0, false
	}
	mtu = int(msg.Rest() & 0xffff)
	if mtu == 0 {
		mtu = plateauBelow(q.TotalLen())
	}
	mtu = max(mtu, leastMTU4)
	return q.Dst(), mtu, mtu < q.TotalLen()
}

// plateauBelow guesses what a router carries that had to drop a packet of n
// bytes and does not say (RFC 1191 section 5).
func plateauBelow(n int) int {
	for _, p := range plateaus {
		if p < n {
			return p
		}
	}
	return 0
}

// parseTooBig6 reads RFC 4443's message. The kernel has verified its checksum,
// and the code says nothing (section 3.2). An MTU below IPv6's least is no
// router's, and the message must be discarded (RFC 8201 section 4).
func parseTooBig6(msg ip.ICMP, vtep netip.Addr, port uint16) (to netip.Addr, mtu int, ok bool) {
	if msg.Type() != ip.ICMPv6PacketTooBig {
		return to, 0, false
	}
	q := ip.IPv6(msg.Body())
	if len(q) < ip.IPv6HeaderLen+ip.UDPHeaderLen || q[0]>>4 != 6 {
		return to, 0, false
	}
	// We send no extension headers, and so no fragments.
	ours := q.Src() == vtep && q.NextHeader() == ip.ProtoUDP
	if !ours || ip.UDP(q.Payload()).DstPort() != port {
		return to, 0, false
	}
	size := ip.IPv6HeaderLen + q.PayloadLen()
	if m := msg.Rest(); m < ip.IPv6MinMTU || m >= uint32(size) {
		return to, 0, false
	}
	return q.Dst(), int(msg.Rest()), true
}
