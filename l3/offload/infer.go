package offload

import (
	"encoding/binary"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// minInferred is the smallest segment that Infer asks for, in bytes of payload:
// what Linux lets a peer's MSS come down to, less a full set of options
// (TCP_MIN_SND_MSS - MAX_TCP_OPTION_SPACE).
const minInferred = 8

// Infer tells what was left undone in a frame that came out of a tunnel through
// a UDP socket. A VTEP in the same machine, a container's or a virtual machine's
// on its hypervisor, passes the frame on in memory: the inner checksum may hold
// only the pseudo-header's sum, and the frame may be a TCP super-frame. The
// kernel knows and does not tell a socket. mtu is what the IP packet may measure
// at most where it goes next, in bytes; 0 says that there is no limit.
//
// An unfinished checksum gives itself away: the field holds the bare sum of the
// pseudo-header. A finished one has that value in one packet of 65536, so a
// match alone proves nothing and the whole is summed. If the checksum is
// right as it stands, it is left alone. If it is wrong, it was either
// unfinished or damaged into just this value, and the latter is as rare as
// damage that a receiver's own check lets pass.
//
// An unfinished TCP packet longer than mtu is a super-frame, and is cut; one
// whose checksum is finished is not, for only what is left to finish is left to
// cut, and nor is one whose IP header is damaged: the segments get checksums of
// their own, and damage must not be vouched for. An unfinished UDP datagram gets
// its checksum and no more: where UDP_SEGMENT meant to cut it is not in the
// packet, and a datagram cut elsewhere is another message. Fragments are never
// touched: the checksum is the whole datagram's.
func Infer(f []byte, mtu int) (o frame.Offload) {
	p, ok := locate(f)
	if !ok || p.kind == ipv6Routed {
		return o
	}
	at := checksumAt(p, f)
	if at == 0 {
		return o
	}
	n := p.end - p.l4
	field, pseudo := f[p.l4+at:][:2], p.pseudoSum(f, n)
	if binary.BigEndian.Uint16(field) != pseudo || ip.Sum(f[p.l4:p.end], pseudo) == 0xffff {
		return o // finished, right or wrong
	}
	o = frame.Offload{NeedsChecksum: true, ChecksumStart: uint16(p.l4), ChecksumAt: uint16(at)}
	if mtu == 0 || p.end-l3 <= mtu || p.kind == ipv4 && !ip.IPv4(f[l3:p.l4]).ChecksumOK() {
		return o
	}
	if size := segmentSize(p, f, mtu); size > 0 {
		o.GSO, o.SegmentSize = frame.GSOTCPv4, size
		if p.kind != ipv4 {
			o.GSO = frame.GSOTCPv6
		}
	}
	return o
}

// checksumAt returns where the transport header has its checksum, or 0 when
// there is none to look at.
func checksumAt(p packet, f []byte) int {
	n := p.end - p.l4
	switch {
	case p.proto == ip.ProtoTCP && n >= ip.TCPHeaderLen:
		return ip.TCPChecksumAt
	case p.proto == ip.ProtoUDP && n >= ip.UDPHeaderLen && ip.UDP(f[p.l4:]).Length() == n:
		return ip.UDPChecksumAt
	}
	return 0
}

// segmentSize returns the TCP payload bytes of segments whose IP packets measure
// at most mtu, or 0 when the packet must stay whole. SYN, RST and urgent data are
// in no super-frame and would change their meaning when repeated.
func segmentSize(p packet, f []byte, mtu int) uint16 {
	if p.proto != ip.ProtoTCP {
		return 0
	}
	h := ip.TCP(f[p.l4:p.end])
	size := mtu - (p.l4 - l3) - h.HeaderLen()
	if h.Flags()&(ip.SYN|ip.RST|ip.URG) != 0 || h.HeaderLen() < ip.TCPHeaderLen || size < minInferred {
		return 0
	}
	return uint16(size)
}

// IsUDP reports whether f is a UDP super-frame (UDP_SEGMENT) with segments of
// size bytes of payload: one whole IP packet that carries more than one.
func IsUDP(f []byte, size int) bool {
	p, ok := locate(f)
	return ok && p.proto == ip.ProtoUDP && p.end == len(f) && checksumAt(p, f) != 0 && p.end-p.l4-ip.UDPHeaderLen > size
}

// InferUDP is Infer for a UDP super-frame whose segments, of size bytes of
// payload, the kernel has told of. It is Tunnelled: not every kernel that tells
// takes such a super-frame back.
func InferUDP(f []byte, size uint16) frame.Offload {
	o := Infer(f, 0)
	if !o.NeedsChecksum || !IsUDP(f, int(size)) {
		return o
	}
	if frame.Frame(f).Type() == frame.TypeIPv4 && !ip.IPv4(f[l3:o.ChecksumStart]).ChecksumOK() {
		return o
	}
	o.GSO, o.SegmentSize, o.Tunnelled = frame.GSOUDP, size, true
	return o
}
