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
	b := binary.BigEndian.AppendUint16(nil, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint32(b, uint32(n*len(payload)))
	b = append(b, 0, 0, 0, 1, 5<<4, uint8(ip.ACK), 0x02, 0, 0, 0, 0, 0)
	b = append(b, payload...)
	tcp := ip.TCP(b)
	if from.Addr().Is6() {
		tcp.SetChecksum(^ip.Sum(b, ip.PseudoIPv6(from.Addr().As16(), to.Addr().As16(), ip.ProtoTCP, len(b))))
		return Ethernet(dst, src, frame.TypeIPv6, ipv6(from.Addr(), to.Addr(), ip.ProtoTCP, 64, b))
	}
	tcp.SetChecksum(^ip.Sum(b, ip.PseudoIPv4(from.Addr().As4(), to.Addr().As4(), ip.ProtoTCP, len(b))))
	h := ip.IPv4(make([]byte, ip.IPv4HeaderLen))
	h.Encode(ip.IPv4Fields{
		TotalLen: len(h) + len(b), ID: uint16(n), DontFragment: true, TTL: 64, Protocol: ip.ProtoTCP,
		Src: from.Addr().As4(), Dst: to.Addr().As4(),
	})
	return Ethernet(dst, src, frame.TypeIPv4, append(h, b...))
}
