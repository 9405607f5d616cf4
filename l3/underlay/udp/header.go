package udp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/l3/ip"
	"vxgw/l3/underlay"
)

// headerLen is the room for outer IP and UDP header in bytes.
const headerLen = ip.IPv6HeaderLen + ip.UDPHeaderLen

// header is an outer IP and UDP header being written.
type header [headerLen]byte

// headers writes the headers of a VTEP's packets.
type headers struct {
	v6         bool
	length     int    // of IP and UDP header together
	template   header // what all packets share
	checksum   bool
	src4       [4]byte
	src6       [16]byte
	maxPayload int // of UDP, in bytes

	// pktinfo goes with each IPv6 packet, as a control message that names its
	// source: then the kernel refuses to send once the address is no longer
	// this machine's. For IPv4 it does so by itself, and pktinfo is nil.
	pktinfo []byte
}

// Where the fields are that the packets do not share, in bytes from the start
// (RFC 791 section 3.1, RFC 8200 section 3).
const (
	ipv4Length = 2
	ipv4Dst    = 16
	ipv6Length = 4
	ipv6Dst    = 24
)

func newHeaders(cfg *Config) headers {
	h := headers{v6: cfg.Address.Is6(), checksum: cfg.Checksum}
	if h.v6 {
		h.src6, h.checksum = cfg.Address.As16(), !cfg.ZeroChecksum6
		h.pktinfo = pktinfo6(h.src6)
		h.length, h.maxPayload = headerLen, underlay.MaxPayload
		ip.IPv6(h.template[:]).Encode(ip.IPv6Fields{NextHeader: ip.ProtoUDP, HopLimit: cfg.TTL, Src: h.src6})
	} else {
		h.src4 = cfg.Address.As4()
		h.length, h.maxPayload = ip.IPv4HeaderLen+ip.UDPHeaderLen, underlay.MaxPayload-ip.IPv4HeaderLen
		// The kernel fills in the header checksum, and an ID where DF is not
		// set: a fragment must tell which packet it belongs to (RFC 6864
		// section 4).
		ip.IPv4(h.template[:]).Encode(ip.IPv4Fields{DontFragment: cfg.DF, TTL: cfg.TTL, Protocol: ip.ProtoUDP, Src: h.src4})
	}
	binary.BigEndian.PutUint16(h.template[h.length-ip.UDPHeaderLen+2:], cfg.Port)
	return h
}

// pktinfo6 returns an IPV6_PKTINFO control message with a source address (RFC
// 3542 section 6.2).
func pktinfo6(src [16]byte) []byte {
	b := make([]byte, unix.CmsgSpace(unix.SizeofInet6Pktinfo))
	c := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	c.Level, c.Type = unix.SOL_IPV6, unix.IPV6_PKTINFO
	c.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	copy(b[unix.SizeofCmsghdr:], src[:])
	return b
}

// write writes the headers of d, which has n bytes of payload, and goes to an
// address of the VTEP's family. sum is the payload's, and only looked at when
// h.checksum is set.
func (h *headers) write(b *header, d *underlay.Datagram, n int, sum uint16) {
	*b = h.template
	u := ip.UDP(b[h.length-ip.UDPHeaderLen : h.length])
	n += ip.UDPHeaderLen
	binary.BigEndian.PutUint16(u, d.SourcePort)
	u.SetLength(n)
	var pseudo uint16
	if h.v6 {
		dst := d.To.As16()
		binary.BigEndian.PutUint32(b[0:], 6<<28|uint32(d.TOS)<<20|flowLabel(d.SourcePort))
		binary.BigEndian.PutUint16(b[ipv6Length:], uint16(n))
		copy(b[ipv6Dst:], dst[:])
		pseudo = ip.PseudoIPv6(h.src6, dst, ip.ProtoUDP, n)
	} else {
		dst := d.To.As4()
		b[1] = d.TOS
		binary.BigEndian.PutUint16(b[ipv4Length:], uint16(ip.IPv4HeaderLen+n))
		copy(b[ipv4Dst:], dst[:])
		pseudo = ip.PseudoIPv4(h.src4, dst, ip.ProtoUDP, n)
	}
	if h.checksum {
		u.SetChecksum(ip.NonZero(^ip.Add(ip.Sum(u, pseudo), sum)))
	}
}

// flowLabel spreads a source port over the 20 bits of a flow label, so that
// routers which look no further than the IPv6 header spread flows too. It is
// never zero, which would say that there is none (RFC 6437 section 2, RFC 6438
// section 3).
func flowLabel(port uint16) uint32 {
	const golden = 0x9e3779b1 // 2^32 divided by the golden ratio, made odd
	return max(uint32(port)*golden>>12, 1)
}
