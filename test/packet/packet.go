// Package packet writes the frames that tests and the demo send, with every
// length and checksum filled in.
package packet

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ethernet"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// Ethernet returns an untagged frame. It is as long as its parts: nothing is
// padded to 60 bytes.
func Ethernet(dst, src frame.MAC, etherType uint16, payload []byte) []byte {
	f := ethernet.Frame{
		Destination: net.HardwareAddr(dst[:]),
		Source:      net.HardwareAddr(src[:]),
		EtherType:   ethernet.EtherType(etherType),
		Payload:     payload,
	}
	b, err := f.MarshalBinary()
	if err != nil {
		// It refuses VLAN identifiers only, and there are none.
		panic(err)
	}
	return b[:frame.HeaderLen+len(payload)] // it pads, as a NIC does
}

// Tagged returns a copy of a frame with a VLAN tag behind its addresses, in
// front of any that it has. tci is PCP (3 bits), DEI (1) and VID (12).
func Tagged(f []byte, tpid, tci uint16) []byte {
	b := append(make([]byte, 0, len(f)+frame.TagLen), f[:12]...)
	b = binary.BigEndian.AppendUint16(b, tpid)
	b = binary.BigEndian.AppendUint16(b, tci)
	return append(b, f[12:]...)
}

// UDP returns a frame with a UDP datagram, over IPv4 or IPv6 as the addresses
// are, DF set and 64 hops to go.
func UDP(dst, src frame.MAC, from, to netip.AddrPort, payload []byte) []byte {
	if from.Addr().Is4() {
		return Ethernet(dst, src, frame.TypeIPv4, ipv4(from.Addr(), to.Addr(), udp(from, to, payload)))
	}
	return Ethernet(dst, src, frame.TypeIPv6, ipv6(from.Addr(), to.Addr(), protoUDP, 64, udp(from, to, payload)))
}

// Numbered returns a UDP frame that carries number n, see Number. Its IP
// addresses, of 203.0.113.0/24, are meant to be nobody's: a host that takes the
// frame then sends nothing in return.
func Numbered(dst, src frame.MAC, n uint32) []byte {
	return UDP(dst, src, numberedFrom, numberedTo, binary.BigEndian.AppendUint32([]byte(magic), n))
}

var (
	numberedFrom = netip.MustParseAddrPort("203.0.113.1:9")
	numberedTo   = netip.MustParseAddrPort("203.0.113.2:9")
)

// magic marks a numbered frame.
const magic = "vxgw frame "

// Number returns the number that a frame of Numbered carries, and false for any
// other frame.
func Number(f []byte) (uint32, bool) {
	const at = frame.HeaderLen + 20 + 8
	if len(f) < at+len(magic)+4 || string(f[at:at+len(magic)]) != magic {
		return 0, false
	}
	return binary.BigEndian.Uint32(f[at+len(magic):]), true
}

// VXLAN returns the UDP payload that carries a frame in a VNI (RFC 7348
// section 5).
func VXLAN(vni uint32, inner []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0x08<<24)
	b = binary.BigEndian.AppendUint32(b, vni<<8)
	return append(b, inner...)
}

// Operations of an ARP packet (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

// ARP returns an ARP packet for IPv4 over Ethernet. A request for target has a
// zero targetMAC and goes to frame.Broadcast.
func ARP(dst frame.MAC, op uint16, senderMAC frame.MAC, sender netip.Addr, targetMAC frame.MAC, target netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, byte(op >> 8), byte(op)}
	b = append(b, senderMAC[:]...)
	b = append(b, sender.AsSlice()...)
	b = append(b, targetMAC[:]...)
	b = append(b, target.AsSlice()...)
	return Ethernet(dst, senderMAC, frame.TypeARP, b)
}

const (
	protoUDP    = 17
	protoICMPv6 = 58
)

// udp returns header and payload, the checksum filled in.
func udp(from, to netip.AddrPort, payload []byte) []byte {
	n := 8 + len(payload)
	if n > 0xffff {
		panic(fmt.Sprintf("packet: %d bytes do not fit a UDP datagram", len(payload)))
	}
	b := binary.BigEndian.AppendUint16(nil, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, 0, 0)
	b = append(b, payload...)
	var pseudo uint16
	if from.Addr().Is4() {
		pseudo = ip.PseudoIPv4(from.Addr().As4(), to.Addr().As4(), protoUDP, n)
	} else {
		pseudo = ip.PseudoIPv6(from.Addr().As16(), to.Addr().As16(), protoUDP, n)
	}
	sum := ^ip.Sum(b, pseudo)
	if sum == 0 {
		sum = 0xffff // zero means that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(b[6:], sum)
	return b
}

func ipv4(src, dst netip.Addr, payload []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protoUDP, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	binary.BigEndian.PutUint16(b[10:], ^ip.Sum(b, 0))
	return append(b, payload...)
}

func ipv6(src, dst netip.Addr, proto, hops uint8, payload []byte) []byte {
	b := []byte{0x60, 0, 0, 0, 0, 0, proto, hops}
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	b = append(b, src.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	return append(b, payload...)
}
