package golden

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// The stations and the topology of the captures.
const (
	h1        = "02:00:00:00:01:01" // at acc1
	h3        = "02:00:00:00:01:03" // at acc3
	ra        = "02:00:00:00:02:0a" // behind VTEP A
	rb        = "02:00:00:00:03:0a" // behind VTEP B
	nobody    = "de:ad:be:ef:13:37"
	broadcast = "ff:ff:ff:ff:ff:ff"

	uplinkMAC  = "02:00:00:00:f0:01"
	nextHopMAC = "02:00:00:00:f0:02"

	own   = "192.0.2.17"
	vtepA = "192.0.2.34"
	vtepB = "192.0.2.50"
	rogue = "203.0.113.66"

	vxlanPort  = 4789
	sourcePort = 0xc0de // of every packet: the captures' gateway has a range of one
)

// golden1 is a whole packet, written down: an ICMP echo request from 10.1.1.20
// behind VTEP A to 10.1.1.10, in VNI 1000, without a UDP checksum.
const golden1 = `
02 00 00 00 f0 01 02 00 00 00 f0 02 08 00 45 00
00 86 00 00 40 00 40 11 b6 33 c0 00 02 22 c0 00
02 11 c0 de 12 b5 00 72 00 00 08 00 00 00 00 03
e8 00 02 00 00 00 01 01 02 00 00 00 02 0a 08 00
45 00 00 54 00 00 00 00 40 01 64 8a 0a 01 01 14
0a 01 01 0a 08 00 ee b7 12 34 00 01 00 01 02 03
04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13
14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 20 21 22 23
24 25 26 27 28 29 2a 2b 2c 2d 2e 2f 30 31 32 33
34 35 36 37`

// Where things are in a packet with IPv4 as its outer header.
const (
	outerLen    = 14 + 20 + 8 // Ethernet, IPv4, UDP
	portAt      = 14 + 20 + 2
	checksumAt  = 14 + 20 + 6
	vxlanHeader = 8
)

func g1() []byte {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "").Replace(golden1))
	check(err)
	return b
}

func g1Inner() []byte { return inner(g1()) }

// inner returns the frame in a packet.
func inner(packet []byte) []byte { return packet[outerLen+vxlanHeader:] }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func mac(s string) net.HardwareAddr {
	m, err := net.ParseMAC(s)
	check(err)
	return m
}

func pad(n int) []byte { return make([]byte, n) }

func serialize(parts ...gopacket.SerializableLayer) []byte {
	buf := gopacket.NewSerializeBuffer()
	check(gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...))
	return append([]byte(nil), buf.Bytes()...)
}

// ethernet returns a frame as long as its parts.
func ethernet(dst, src string, etherType uint16, payload []byte) []byte {
	b := append(append([]byte(nil), mac(dst)...), mac(src)...)
	return append(binary.BigEndian.AppendUint16(b, etherType), payload...)
}

func arp(src, from, to string) []byte {
	a, b := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	return serialize(
		&layers.Ethernet{DstMAC: mac(broadcast), SrcMAC: mac(src), EthernetType: layers.EthernetTypeARP},
		&layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
			SourceHwAddress: mac(src), SourceProtAddress: a[:], DstHwAddress: pad(6), DstProtAddress: b[:],
		},
	)
}

// icmpEcho returns an ICMP echo request or, with type 0, a reply.
func icmpEcho(dst, src, from, to string, typ uint8) []byte {
	return serialize(
		&layers.Ethernet{DstMAC: mac(dst), SrcMAC: mac(src), EthernetType: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: net.ParseIP(from).To4(), DstIP: net.ParseIP(to).To4()},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, 0), Id: 0x1234, Seq: 1},
		gopacket.Payload(pad(56)),
	)
}

func tagged(f []byte, tpid, tci uint16) []byte {
	b := append([]byte(nil), f[:12]...)
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, tpid), tci), f[12:]...)
}

// vxlan returns the header of RFC 7348 section 5.
func vxlan(vni uint32) []byte {
	return []byte{0x08, 0, 0, 0, byte(vni >> 16), byte(vni >> 8), byte(vni), 0}
}

func withFlags(flags byte) []byte { return append([]byte{flags}, vxlan(1000)[1:]...) }

// reservedBits returns the header with each reserved bit set alone: seven flags,
// 24 bits before the VNI, and eight behind it.
func reservedBits() (headers [][]byte) {
	for _, at := range []int{0, 1, 2, 3, 7} {
		for bit := range 8 {
			h := vxlan(1000)
			h[at] ^= 1 << bit
			if h[0]&0x08 != 0 { // not the I flag
				headers = append(headers, h)
			}
		}
	}
	return headers
}

// outer puts the outer headers around a UDP payload, without a UDP checksum.
func outer(dst, src, from, to string, payload []byte) []byte {
	b := serialize(
		&layers.Ethernet{DstMAC: mac(dst), SrcMAC: mac(src), EthernetType: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, TTL: 64, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolUDP, SrcIP: net.ParseIP(from).To4(), DstIP: net.ParseIP(to).To4()},
		gopacket.Payload(append(binary.BigEndian.AppendUint64(nil, uint64(sourcePort)<<48|vxlanPort<<32|uint64(8+len(payload))<<16), payload...)),
	)
	return b
}

func join(header, f []byte) []byte { return append(append([]byte(nil), header...), f...) }

func fromA(header, f []byte) []byte { return outer(uplinkMAC, nextHopMAC, vtepA, own, join(header, f)) }
func fromB(header, f []byte) []byte { return outer(uplinkMAC, nextHopMAC, vtepB, own, join(header, f)) }
func fromRogue(header, f []byte) []byte {
	return outer(uplinkMAC, nextHopMAC, rogue, own, join(header, f))
}
func toA(header, f []byte) []byte { return outer(nextHopMAC, uplinkMAC, own, vtepA, join(header, f)) }
func toB(header, f []byte) []byte { return outer(nextHopMAC, uplinkMAC, own, vtepB, join(header, f)) }

// toPort returns a packet for another UDP port.
func toPort(port uint16, packet []byte) []byte {
	b := append([]byte(nil), packet...)
	binary.BigEndian.PutUint16(b[portAt:], port)
	return b
}

// summed returns a packet with its UDP checksum filled in (RFC 768).
func summed(packet []byte) []byte {
	b := append([]byte(nil), packet...)
	words := append(append([]byte(nil), b[26:34]...), 0, 17, b[38], b[39]) // pseudo-header
	words = append(words, b[34:]...)
	if len(words)%2 != 0 {
		words = append(words, 0)
	}
	sum := uint32(0)
	for i := 0; i < len(words); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(words[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[checksumAt:], ^uint16(sum))
	return b
}
