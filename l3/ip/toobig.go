package ip

import (
	"encoding/binary"

	"vxgw/l2/frame"
)

const (
	// TooBigLen is the most that TooBig writes, in bytes.
	TooBigLen = frame.HeaderLen + IPv6MinMTU

	// icmpMaxLen bounds an ICMP error, IP header included: "as much of the
	// original datagram as possible without the length of the ICMP datagram
	// exceeding 576 bytes" (RFC 1812 section 4.3.2.3).
	icmpMaxLen = 576

	// icmpTOS is precedence 6, internetwork control (RFC 1812 section 4.3.2.5).
	icmpTOS = 0xc0

	// icmpTTL is the TTL or hop limit of an error: the sender may be any
	// number of hops behind the access port.
	icmpTTL = 255

	// minMTU is what every IPv4 link carries (RFC 791 section 3.2).
	minMTU = 68
)

// TooBig writes into dst the Ethernet frame that tells the sender of the frame
// f that only mtu bytes of IP packet fit, and returns its length: ICMP
// fragmentation needed with the next-hop MTU (RFC 1191), or ICMPv6 packet too
// big (RFC 4443 section 3.2).
//
// A bridge has no address of its own in the hosts' network. The answer comes
// from whom f was addressed to, MAC and IP, as the Linux kernel's bridged
// tunnels have it.
//
// It returns 0 when there is nothing to say or nothing may be said: the packet
// fits or is not IP; IPv4 without DF; a fragment other than the first; an ICMP
// error or redirect (RFC 1122 section 3.2.2, RFC 4443 section 2.4(e)); a
// malformed header; an address, MAC or IP, that is not one station's; an mtu
// that no host may be told (IPv4 below 68, IPv6 below 1280). RFC 4443 would
// have a multicast answered, which needs a source address of our own.
//
// dst must hold TooBigLen bytes, or the answer is 0, and must not overlap f.
func TooBig(dst, f []byte, mtu int) int {
	if len(dst) < TooBigLen || len(f) < frame.HeaderLen || !betweenStations(f) {
		return 0
	}
	switch in := frame.Frame(f); in.Type() {
	case frame.TypeIPv4:
		if h, ok := ParseIPv4(in.Payload()); ok && mayAnswerIPv4(h, mtu) {
			turnEthernet(dst, f)
			return frame.HeaderLen + putError4(dst[frame.HeaderLen:], h, messages4[FragmentationNeeded], errorField(FragmentationNeeded, mtu), [4]byte(h[16:20]))
		}
	case frame.TypeIPv6:
		if h, ok := ParseIPv6(in.Payload()); ok && mayAnswerIPv6(h, mtu) {
			turnEthernet(dst, f)
			return frame.HeaderLen + putError6(dst[frame.HeaderLen:], h, messages6[FragmentationNeeded], uint32(mtu), [16]byte(h[24:40]))
		}
	}
	return 0
}

// betweenStations reports whether both MACs are one station's.
func betweenStations(f []byte) bool {
	dst, src := frame.Frame(f).Dst(), frame.Frame(f).Src()
	return !dst.IsMulticast() && !dst.IsZero() && !src.IsMulticast() && !src.IsZero()
}

// turnEthernet writes f's Ethernet header with the addresses exchanged.
func turnEthernet(dst, f []byte) {
	copy(dst[0:6], f[6:12])
	copy(dst[6:12], f[0:6])
	copy(dst[12:14], f[12:14])
}

func mayAnswerIPv4(h IPv4, mtu int) bool {
	if mtu < minMTU || len(h) <= mtu || !h.ChecksumOK() {
		return false
	}
	return h.DontFragment() && mayTell4(h)
}

func mayAnswerIPv6(h IPv6, mtu int) bool {
	if mtu < IPv6MinMTU || len(h) <= mtu {
		return false
	}
	return mayTell6(h)
}

// isUnicast4 reports whether a host can have the address: none of 0/8, 127/8,
// 224/4 and the limited broadcast (RFC 1122 section 3.2.1.3).
func isUnicast4(a []byte) bool {
	return a[0] != 0 && a[0] != 127 && a[0]>>4 != 0xe && binary.BigEndian.Uint32(a) != 0xffffffff
}

// isUnicast6 reports whether a host can have the address: none of ::, ::1 and
// ff00::/8 (RFC 4291 section 2.4).
func isUnicast6(a []byte) bool {
	high, low := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:16])
	return a[0] != 0xff && (high != 0 || low > 1)
}
