package neigh

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l2/frame"
)

// ARPRequestLen is what PutARPRequest writes, in bytes.
const ARPRequestLen = frame.HeaderLen + ARPLen

// SolicitationLen is the most that PutSolicitation writes, in bytes.
const SolicitationLen = frame.HeaderLen + ipv6Len + ndLen + linkLayerLen

// allNodes is the group of all hosts of a link (RFC 4291 section 2.7.1).
var allNodes = netip.AddrFrom16([16]byte{0xff, 2, 15: 1})

// PutARPRequest writes into dst the frame by which the station from, with the
// address sender, asks for the MAC of target, and returns ARPRequestLen; 0 when dst
// is shorter or an address is not IPv4. to is frame.Broadcast, or the station that
// is asked whether it is still there. A sender of 0.0.0.0 makes it a probe, one that
// is target an announcement (RFC 5227 sections 1.1 and 3).
func PutARPRequest(dst []byte, from frame.MAC, sender, target netip.Addr, to frame.MAC) int {
	if len(dst) < ARPRequestLen || !sender.Is4() || !target.Is4() {
		return 0
	}
	putEthernet(dst, to, from, frame.TypeARP)
	a := dst[frame.HeaderLen:ARPRequestLen]
	binary.BigEndian.PutUint64(a[:8], arpHead<<16|ARPRequest)
	copy(a[8:14], from[:])
	s, t := sender.As4(), target.As4()
	copy(a[14:18], s[:])
	clear(a[18:24])
	copy(a[24:28], t[:])
	return ARPRequestLen
}

// PutSolicitation writes into dst the frame by which the station from, with the
// address src, asks for the MAC of target, and returns its length; 0 when dst is
// shorter than SolicitationLen or an address is not IPv6. It goes to whoever listens
// for target where to is zero, and else to that station alone. A src of :: makes it
// duplicate address detection, which names no source (RFC 4861 section 4.3, RFC 4862
// section 5.4.2).
func PutSolicitation(dst []byte, from frame.MAC, src, target netip.Addr, to frame.MAC) int {
	if len(dst) < SolicitationLen || !src.Is6() || !target.Is6() {
		return 0
	}
	group := target
	if to.IsZero() {
		group = SolicitedNode(target)
		to = GroupMAC(group)
	}
	n := ndLen
	if !src.IsUnspecified() {
		n += linkLayerLen
	}
	putEthernet(dst, to, from, frame.TypeIPv6)
	p := ND(dst[frame.HeaderLen : frame.HeaderLen+ipv6Len+n])
	p.begin(src, group)
	p[ipv6Len] = solicitation
	p.finish(target, optionSource, from)
	return frame.HeaderLen + len(p)
}

// PutGatewayAnswer writes into dst, of AnswerLen bytes, the answer of a router at mac
// to the ARP request or the neighbour solicitation in the frame req, which asks for
// an address of its own, and returns its length; 0 where req asks nothing. A probe
// is answered too, and so is duplicate address detection: the address is taken (RFC
// 5227 section 2.5, RFC 4861 section 7.2.4).
func PutGatewayAnswer(dst []byte, req frame.Frame, mac frame.MAC) int {
	if len(dst) < AnswerLen || len(req) < frame.HeaderLen {
		return 0
	}
	if req.Type() == frame.TypeARP {
		return PutARPReply(dst, req, mac)
	}
	if req.Type() != frame.TypeIPv6 {
		return 0
	}
	if q, ok := ParseND(req.Payload()); ok && q.IsSolicitation() && q.Src().IsUnspecified() {
		return PutUnsolicited(dst, mac, q.Target())
	}
	return PutAdvertisement(dst, req, mac, true)
}

// PutUnsolicited writes into dst the frame by which a router at mac tells everybody
// that it has the address target, and returns AdvertisementLen; 0 when dst is shorter
// (RFC 4861 section 7.2.6).
func PutUnsolicited(dst []byte, mac frame.MAC, target netip.Addr) int {
	if len(dst) < AdvertisementLen || !target.Is6() {
		return 0
	}
	putEthernet(dst, GroupMAC(allNodes), mac, frame.TypeIPv6)
	p := ND(dst[frame.HeaderLen:AdvertisementLen])
	p.begin(target, allNodes)
	p[ipv6Len] = advertisement
	binary.BigEndian.PutUint32(p[ipv6Len+4:], flagRouter|flagOverride)
	p.finish(target, optionTarget, mac)
	return AdvertisementLen
}

// begin writes the IPv6 header of a message that fills p, and clears the rest.
func (p ND) begin(src, dst netip.Addr) {
	clear(p)
	p[0], p[1] = 6<<4|ndTrafficClass>>4, ndTrafficClass<<4&0xff
	binary.BigEndian.PutUint16(p[4:6], uint16(len(p)-ipv6Len))
	p[6], p[7] = icmpv6, ndHopLimit
	s, d := src.As16(), dst.As16()
	copy(p[8:24], s[:])
	copy(p[24:40], d[:])
}

// finish writes the target, the link-layer address option where there is room for
// it, and the checksum.
func (p ND) finish(target netip.Addr, option uint8, mac frame.MAC) {
	t := target.As16()
	copy(p[ipv6Len+8:], t[:])
	if o := p[ipv6Len+ndLen:]; len(o) == linkLayerLen {
		o[0], o[1] = option, 1
		copy(o[2:], mac[:])
	}
	binary.BigEndian.PutUint16(p[ipv6Len+2:], ^p.sum())
}

// SolicitedNode returns the group that whoever has the IPv6 address a listens to
// (RFC 4291 section 2.7.1).
func SolicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// GroupMAC returns the Ethernet address of an IPv6 group (RFC 2464 section 7).
func GroupMAC(a netip.Addr) frame.MAC {
	b := a.As16()
	return frame.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// LinkLocal returns the link-local address that goes with a MAC: fe80::/64 and its
// modified EUI-64 (RFC 4291 appendix A).
func LinkLocal(m frame.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// Router solicitations (RFC 4861 section 4.1).
const (
	routerSolicitation = 133
	rsLen              = 8
)

// IsRouterSolicitation reports whether an IPv6 packet is a router solicitation that
// is to be believed (RFC 4861 section 6.1.1), and returns who sent it, and his MAC
// where he named it.
func IsRouterSolicitation(b []byte) (src netip.Addr, mac frame.MAC, named, ok bool) {
	if len(b) < ipv6Len+rsLen || b[0]>>4 != 6 || b[6] != icmpv6 || b[7] != ndHopLimit || b[ipv6Len] != routerSolicitation || b[ipv6Len+1] != 0 {
		return src, mac, false, false
	}
	n := ipv6Len + int(binary.BigEndian.Uint16(b[4:6]))
	if n < ipv6Len+rsLen || n > min(len(b), ndMaxLen) {
		return src, mac, false, false
	}
	p := ND(b[:n])
	o := p[ipv6Len+rsLen:]
	if !optionsOK(o) || p.sum() != 0xffff || p.Src().IsMulticast() {
		return src, mac, false, false
	}
	if p.Src().IsUnspecified() && hasOption(o, optionSource) {
		return src, mac, false, false
	}
	mac, named = linkLayer(o, optionSource)
	return p.Src(), mac, named, true
}
