package fabric

import (
	"net/netip"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// MAC reads a MAC address.
func MAC(s string) frame.MAC {
	m, err := frame.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

// The stations of the tests.
var (
	H1     = MAC("02:00:00:00:01:01")
	H2     = MAC("02:00:00:00:01:02")
	H3     = MAC("02:00:00:00:01:03")
	RA     = MAC("02:00:00:00:02:0a")
	RB     = MAC("02:00:00:00:03:0a")
	Nobody = MAC("de:ad:be:ef:13:37")
)

// Local returns a 60-byte frame of the first EtherType for experiments (IEEE
// 802 clause 9.2.4): no IP.
func Local(dst, src frame.MAC) []byte {
	return packet.Ethernet(dst, src, 0x88b5, make([]byte, 46))
}

// UDP returns a frame with an IPv4 UDP datagram of size payload bytes, DF set.
func UDP(dst, src frame.MAC, size int) []byte {
	return packet.UDP(dst, src, netip.MustParseAddrPort("10.1.1.10:10000"), netip.MustParseAddrPort("10.1.1.20:9"), make([]byte, size))
}

// UDP6 is UDP over IPv6.
func UDP6(dst, src frame.MAC, size int) []byte {
	return packet.UDP(dst, src, netip.MustParseAddrPort("[2001:db8:1::10]:10000"), netip.MustParseAddrPort("[2001:db8:1::20]:9"), make([]byte, size))
}

// ARP returns a request for an IPv4 address.
func ARP(src frame.MAC, from, to string) []byte {
	a, b := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	body := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, src[:]...)
	body = append(append(append(body, a[:]...), make([]byte, 6)...), b[:]...)
	return packet.Ethernet(frame.Broadcast, src, frame.TypeARP, append(body, make([]byte, 18)...))
}

// Typed returns a frame of any type with any payload.
func Typed(dst, src frame.MAC, etherType uint16, payload []byte) []byte {
	return packet.Ethernet(dst, src, etherType, payload)
}
