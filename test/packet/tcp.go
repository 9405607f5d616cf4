package packet

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// Segment returns the frame with the n-th segment of a TCP connection that sends
// payloads of this length one after the other. Its IPv4 ID is n.
func Segment(dst, src frame.MAC, from, to netip.AddrPort, n int, payload []byte) []byte {
	return tcp(dst, src, from, to, n, uint32(n*len(payload)), ip.ACK, payload)
}

// Open returns the frame with a segment that opens a TCP connection, SYN and perhaps
// ACK, and announces mss.
func Open(dst, src frame.MAC, from, to netip.AddrPort, flags ip.TCPFlags, mss uint16) []byte {
	return tcp(dst, src, from, to, 1, 7, flags, []byte{2, 4, byte(mss >> 8), byte(mss)})
}

// tcp returns a frame with a TCP segment. What follows the header of one with SYN is its
// options, of whole words.
func tcp(dst, src frame.MAC, from, to netip.AddrPort, id int, seq uint32, flags ip.TCPFlags, rest []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	words := byte(ip.TCPHeaderLen / 4)
	if flags&ip.SYN != 0 {
		words += byte(len(rest) / 4)
	}
	b = append(b, 0, 0, 0, 1, words<<4, uint8(flags), 0x02, 0, 0, 0, 0, 0)
	b = append(b, rest...)
	tcp := ip.TCP(b)
	if from.Addr().Is6() {
		tcp.SetChecksum(^ip.Sum(b, ip.PseudoIPv6(from.Addr().As16(), to.Addr().As16(), ip.ProtoTCP, len(b))))
		return Ethernet(dst, src, frame.TypeIPv6, ipv6(from.Addr(), to.Addr(), ip.ProtoTCP, 64, b))
	}
	tcp.SetChecksum(^ip.Sum(b, ip.PseudoIPv4(from.Addr().As4(), to.Addr().As4(), ip.ProtoTCP, len(b))))
	h := ip.IPv4(make([]byte, ip.IPv4HeaderLen))
	h.Encode(ip.IPv4Fields{
		TotalLen: len(h) + len(b), ID: uint16(id), DontFragment: true, TTL: 64, Protocol: ip.ProtoTCP,
		Src: from.Addr().As4(), Dst: to.Addr().As4(),
	})
	return Ethernet(dst, src, frame.TypeIPv4, append(h, b...))
}
