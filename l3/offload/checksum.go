package offload

import (
	"encoding/binary"
	"hash/crc32"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// castagnoli is the polynomial of SCTP's checksum (RFC 9260 appendix A).
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FinishChecksum completes the L4 checksum of f in place where o says that it
// holds only the pseudo-header's sum. It reports false, and leaves f alone, when
// o points outside of the packet or f is a super-frame: its segments have a
// checksum each, which Segmenter.Cut computes.
func FinishChecksum(f []byte, o frame.Offload) bool {
	if o.GSO != frame.GSONone {
		return false
	}
	if !o.NeedsChecksum {
		return true
	}
	start, end := int(o.ChecksumStart), packetEnd(f)
	if start < frame.HeaderLen || start > end {
		return false
	}
	if o.ChecksumAt == ip.SCTPChecksumAt {
		return finishSCTP(f[start:end])
	}
	return finishInternet(f[start:end], int(o.ChecksumAt))
}

// packetEnd returns the end of a frame's IP packet, whatever it carries. What
// follows is padding, which the pseudo-header's length does not count.
func packetEnd(f []byte) int {
	if len(f) < l3 {
		return len(f)
	}
	switch frame.Frame(f).Type() {
	case frame.TypeIPv4:
		if h, ok := ip.ParseIPv4(f[l3:]); ok {
			return l3 + len(h)
		}
	case frame.TypeIPv6:
		if h, ok := ip.ParseIPv6(f[l3:]); ok {
			return l3 + len(h)
		}
	}
	return len(f)
}

// finishInternet completes the Internet checksum at byte at of b.
func finishInternet(b []byte, at int) bool {
	if at&1 != 0 || at+2 > len(b) {
		return false
	}
	c := ^ip.Sum(b, 0)
	if at == ip.UDPChecksumAt {
		c = ip.NonZero(c)
	}
	binary.BigEndian.PutUint16(b[at:], c)
	return true
}

// finishSCTP fills in the CRC32c of an SCTP packet. virtio-net has no word for
// "this checksum is a CRC"; but no other protocol has its checksum at byte 8.
func finishSCTP(b []byte) bool {
	if len(b) < ip.SCTPHeaderLen {
		return false
	}
	field := b[ip.SCTPChecksumAt:ip.SCTPHeaderLen]
	clear(field)
	binary.LittleEndian.PutUint32(field, crc32.Checksum(b, castagnoli))
	return true
}
