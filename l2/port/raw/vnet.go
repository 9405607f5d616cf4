package raw

import (
	"encoding/binary"
	"hash/crc32"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// vnetLen is the size of struct virtio_net_hdr (virtio 1.2, section 5.1.6, the
// legacy form without num_buffers). PACKET_VNET_HDR puts one in front of each
// frame, in the machine's byte order.
const vnetLen = 10

// Where the fields of the header are.
const (
	vnetFlags         = 0
	vnetGSOType       = 1
	vnetHeaderLen     = 2
	vnetSegmentSize   = 4
	vnetChecksumStart = 6
	vnetChecksumAt    = 8
)

const (
	protoTCP = 6
	protoUDP = 17

	// What else a host's own tunnels go by (RFC 2003, RFC 4213, RFC 2784).
	protoIPv4 = 4
	protoIPv6 = 41
	protoGRE  = 47

	// Of the protocols whose checksum is left to the device only SCTP's is at
	// this byte, and it is a CRC32c (RFC 9260 section 6.8). virtio-net has no
	// word for that: a device further on would write an Internet checksum.
	sctpChecksumAt = 8
)

// headerHint is how many bytes of a super-frame the kernel is to keep in one
// piece: Ethernet, IPv4 and TCP with all their options. The rest goes to pages,
// which are easier to come by than 64 KiB in a row.
const headerHint = frame.HeaderLen + 60 + 60

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// cannot marks a frame that is not fit for a wire, and that nobody can finish.
var cannot = frame.Offload{GSO: frame.GSOOther}

// decodeOffload reads the virtio-net header of frame f. What it returns agrees
// with f: see Port.ReadBatch.
func decodeOffload(header, f []byte) (o frame.Offload) {
	if header[vnetFlags]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 {
		o.NeedsChecksum = true
		o.ChecksumStart = binary.NativeEndian.Uint16(header[vnetChecksumStart:])
		o.ChecksumAt = binary.NativeEndian.Uint16(header[vnetChecksumAt:])
		if !checksumInside(o, len(f)) {
			return cannot
		}
	}
	switch header[vnetGSOType] &^ unix.VIRTIO_NET_HDR_GSO_ECN {
	case unix.VIRTIO_NET_HDR_GSO_NONE:
		return o
	case unix.VIRTIO_NET_HDR_GSO_TCPV4:
		o.GSO = frame.GSOTCPv4
	case unix.VIRTIO_NET_HDR_GSO_TCPV6:
		o.GSO = frame.GSOTCPv6
	case unix.VIRTIO_NET_HDR_GSO_UDP_L4:
		o.GSO = frame.GSOUDP
	default:
		return cannot
	}
	o.SegmentSize = binary.NativeEndian.Uint16(header[vnetSegmentSize:])
	switch {
	case o.SegmentSize == 0:
		return cannot
	case superframe(o, f):
		return o
	case inTunnel(o, f):
		o.Tunnelled = true
		return o
	}
	return cannot
}

// inTunnel reports whether f is the super-frame of a connection in a tunnel
// of the host that sent it. The kernel calls it by the connection, and says by
// the checksum's start where that is.
func inTunnel(o frame.Offload, f []byte) bool {
	switch proto, l4 := transport(f); proto {
	case protoUDP, protoGRE, protoIPv4, protoIPv6:
		return o.NeedsChecksum && int(o.ChecksumStart) > l4
	}
	return false
}

func checksumInside(o frame.Offload, n int) bool {
	start := int(o.ChecksumStart)
	return start >= frame.HeaderLen && start+int(o.ChecksumAt)+2 <= n
}

// superframe reports whether f is what o says it is. The kernel calls a tunnel's
// packet by the TCP connection inside of it; taken at its word, the outer
// packet's UDP header would be cut as if it were TCP.
func superframe(o frame.Offload, f []byte) bool {
	proto, l4 := transport(f)
	want := uint8(protoTCP)
	if o.GSO == frame.GSOUDP {
		want = protoUDP
	}
	switch {
	case proto != want,
		o.GSO == frame.GSOTCPv4 && frame.Frame(f).Type() != frame.TypeIPv4,
		o.GSO == frame.GSOTCPv6 && frame.Frame(f).Type() != frame.TypeIPv6,
		o.NeedsChecksum && int(o.ChecksumStart) != l4:
		return false
	}
	return true
}

// transport returns the protocol of a frame's IP packet and where its header
// starts, in bytes from the frame's start; 0, 0 when there is none.
func transport(f []byte) (proto uint8, at int) {
	const l3 = frame.HeaderLen
	if len(f) < l3+20 {
		return 0, 0
	}
	switch frame.Frame(f).Type() {
	case frame.TypeIPv4:
		proto, at = f[l3+9], l3+max(20, int(f[l3]&0xf)*4)
	case frame.TypeIPv6:
		proto, at = skipExtensions(f, f[l3+6], l3+40)
	}
	if at == 0 || at >= len(f) {
		return 0, 0
	}
	return proto, at
}

// skipExtensions follows the IPv6 extension headers that come before a transport
// header and are told in units of 8 bytes (RFC 8200 section 4): hop-by-hop
// options, routing, destination options.
func skipExtensions(f []byte, next uint8, at int) (proto uint8, end int) {
	const hopByHop, routing, destination = 0, 43, 60
	for (next == hopByHop || next == routing || next == destination) && at+2 <= len(f) {
		next, at = f[at], at+8+int(f[at+1])*8
	}
	return next, at
}

// finishSCTP computes the CRC of an SCTP packet where that was left to the
// device.
func finishSCTP(o *frame.Offload, f []byte) {
	if !o.NeedsChecksum || o.GSO != frame.GSONone || o.ChecksumAt != sctpChecksumAt {
		return
	}
	packet := f[o.ChecksumStart:]
	if len(packet) < sctpChecksumAt+4 {
		*o = cannot
		return
	}
	sum := packet[sctpChecksumAt : sctpChecksumAt+4]
	clear(sum)
	binary.LittleEndian.PutUint32(sum, crc32.Checksum(packet, castagnoli))
	*o = frame.Offload{}
}

// encodeOffload writes the virtio-net header for frame f. It reports false when
// there is none for o.
func encodeOffload(header []byte, o frame.Offload, f []byte) bool {
	clear(header)
	if o.None() {
		return true
	}
	if o.NeedsChecksum {
		if !checksumInside(o, len(f)) {
			return false
		}
		header[vnetFlags] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM
		binary.NativeEndian.PutUint16(header[vnetChecksumStart:], o.ChecksumStart)
		binary.NativeEndian.PutUint16(header[vnetChecksumAt:], o.ChecksumAt)
	}
	if o.GSO == frame.GSONone {
		return true
	}
	kind, ok := gsoType(o, f)
	if !ok || o.SegmentSize == 0 || o.Tunnelled {
		return false
	}
	header[vnetGSOType] = kind
	binary.NativeEndian.PutUint16(header[vnetSegmentSize:], o.SegmentSize)
	binary.NativeEndian.PutUint16(header[vnetHeaderLen:], uint16(min(headerHint, len(f))))
	return true
}

func gsoType(o frame.Offload, f []byte) (kind uint8, ok bool) {
	switch o.GSO {
	case frame.GSOTCPv4:
		return unix.VIRTIO_NET_HDR_GSO_TCPV4 | congestionReduced(o, f), true
	case frame.GSOTCPv6:
		return unix.VIRTIO_NET_HDR_GSO_TCPV6 | congestionReduced(o, f), true
	case frame.GSOUDP:
		return unix.VIRTIO_NET_HDR_GSO_UDP_L4, true
	}
	return 0, false
}

// congestionReduced returns the ECN bit of a gso_type when the super-frame's CWR
// flag is set, which belongs to the first segment only (RFC 3168 section 6.1.2).
func congestionReduced(o frame.Offload, f []byte) uint8 {
	const flags, cwr = 13, 0x80
	_, l4 := transport(f)
	if l4+flags < len(f) && l4 > 0 && f[l4+flags]&cwr != 0 {
		return unix.VIRTIO_NET_HDR_GSO_ECN
	}
	return 0
}
