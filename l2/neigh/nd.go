package neigh

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l2/frame"
)

const (
	ipv6Len = 40
	icmpv6  = 58

	// ndLen is the length of a solicitation or an advertisement without its
	// options: ICMPv6 header, flags or nothing, target (RFC 4861 sections 4.3
	// and 4.4).
	ndLen = 24

	// linkLayerLen is the length of a link-layer address option on Ethernet
	// (RFC 2464 section 6).
	linkLayerLen = 8

	// ndMaxLen bounds what is read: no message that speaks of one neighbour is
	// longer, and to sum up a longer one would take its time.
	ndMaxLen = 1500

	// ndHopLimit: a packet with it has passed no router (RFC 4861 section 3.1).
	ndHopLimit = 255

	// ndTrafficClass is precedence 6, internetwork control.
	ndTrafficClass = 0xc0
)

// AdvertisementLen is what PutAdvertisement writes, in bytes.
const AdvertisementLen = frame.HeaderLen + ipv6Len + ndLen + linkLayerLen

// Types of ICMPv6 message, and of option (RFC 4861 sections 4.3, 4.4, 4.6).
const (
	solicitation  = 135
	advertisement = 136

	optionSource = 1
	optionTarget = 2
)

// Flags of an advertisement (RFC 4861 section 4.4).
const (
	flagRouter    = 1 << 31
	flagSolicited = 1 << 30
	flagOverride  = 1 << 29
)

// ND is a view over an IPv6 packet that holds a valid neighbour solicitation or
// advertisement, from the IPv6 header on.
type ND []byte

// ParseND returns a view over the IPv6 packet that b starts with, cut at its
// payload length. It reports false unless that is a neighbour solicitation or
// advertisement in which everything holds that a host asks of it before it
// believes it (RFC 4861 sections 7.1.1 and 7.1.2). One behind extension headers
// is not looked for: it is carried like any other packet.
func ParseND(b []byte) (ND, bool) {
	if len(b) < ipv6Len+ndLen || b[0]>>4 != 6 || b[6] != icmpv6 || b[7] != ndHopLimit {
		return nil, false
	}
	n := ipv6Len + int(binary.BigEndian.Uint16(b[4:6]))
	if n < ipv6Len+ndLen || n > min(len(b), ndMaxLen) {
		return nil, false
	}
	p := ND(b[:n])
	if typ := p[ipv6Len]; typ != solicitation && typ != advertisement || p[ipv6Len+1] != 0 {
		return nil, false
	}
	if !p.optionsOK() || p.Target().IsMulticast() || p.Src().IsMulticast() {
		return nil, false
	}
	if p.IsSolicitation() && !p.solicitationOK() || !p.IsSolicitation() && !p.advertisementOK() {
		return nil, false
	}
	return p, p.checksumOK()
}

// solicitationOK: one from nobody, as duplicate address detection sends it, is
// for the solicited-node address and names no source.
func (p ND) solicitationOK() bool {
	if !p.Src().IsUnspecified() {
		return true
	}
	return !hasOption(p[ipv6Len+ndLen:], optionSource) && p.toSolicitedNode()
}

// advertisementOK: one to a group answers nobody.
func (p ND) advertisementOK() bool { return !p.Dst().IsMulticast() || !p.has(flagSolicited) }

// optionsOK reports whether the options fill the packet, none of them empty.
func (p ND) optionsOK() bool { return optionsOK(p[ipv6Len+ndLen:]) }

func optionsOK(o []byte) bool {
	for len(o) > 0 {
		if len(o) < 2 || o[1] == 0 || int(o[1])*8 > len(o) {
			return false
		}
		o = o[int(o[1])*8:]
	}
	return true
}

func (p ND) checksumOK() bool { return p.sum() == 0xffff }

// sum is the one's complement sum of the pseudo-header and the message, its
// checksum included (RFC 4443 section 2.3).
func (p ND) sum() uint16 {
	msg := p[ipv6Len:]
	s := uint64(len(msg)) + icmpv6 + words(p[8:ipv6Len]) + words(msg)
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// words adds up 16-bit words; a last odd byte counts as if a zero followed it.
func words(b []byte) (s uint64) {
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		s += uint64(b[0]) << 8
	}
	return s
}

// Src returns the IPv6 source address; :: in duplicate address detection.
func (p ND) Src() netip.Addr { return netip.AddrFrom16([16]byte(p[8:24])) }

// Dst returns the IPv6 destination address.
func (p ND) Dst() netip.Addr { return netip.AddrFrom16([16]byte(p[24:40])) }

// IsSolicitation reports whether it is a solicitation, and so no advertisement.
func (p ND) IsSolicitation() bool { return p[ipv6Len] == solicitation }

// Target returns the address that is asked for, or told of.
func (p ND) Target() netip.Addr { return netip.AddrFrom16([16]byte(p[ipv6Len+8 : ipv6Len+24])) }

// Router reports whether an advertisement has the R flag: its sender routes.
func (p ND) Router() bool { return p.has(flagRouter) }

// Solicited reports whether an advertisement has the S flag: it is an answer.
func (p ND) Solicited() bool { return p.has(flagSolicited) }

// Override reports whether an advertisement has the O flag: it outdoes what was
// known. Those of proxies and for anycast addresses do not have it.
func (p ND) Override() bool { return p.has(flagOverride) }

func (p ND) has(flag uint32) bool { return binary.BigEndian.Uint32(p[ipv6Len+4:])&flag != 0 }

// SourceMAC returns the source link-layer address option, if there is one that
// is an Ethernet address.
func (p ND) SourceMAC() (frame.MAC, bool) { return p.linkLayer(optionSource) }

// TargetMAC is SourceMAC for the target link-layer address option.
func (p ND) TargetMAC() (frame.MAC, bool) { return p.linkLayer(optionTarget) }

// linkLayer returns the first option of a type.
func (p ND) linkLayer(option uint8) (frame.MAC, bool) {
	return linkLayer(p[ipv6Len+ndLen:], option)
}

func linkLayer(o []byte, option uint8) (frame.MAC, bool) {
	for ; len(o) > 0; o = o[int(o[1])*8:] {
		switch {
		case o[0] == option && o[1] == linkLayerLen/8:
			return frame.MAC(o[2:8]), true
		case o[0] == option:
			return frame.MAC{}, false
		}
	}
	return frame.MAC{}, false
}

// hasOption reports whether there is an option of a type, of whatever length.
func hasOption(o []byte, option uint8) bool {
	for ; len(o) > 0; o = o[int(o[1])*8:] {
		if o[0] == option {
			return true
		}
	}
	return false
}

// toSolicitedNode reports whether the packet is addressed to the group that
// whoever has the target address listens to: ff02::1:ff00:0/104 and the
// address's last 24 bits (RFC 4291 section 2.7.1).
func (p ND) toSolicitedNode() bool {
	t := p[ipv6Len+8 : ipv6Len+24]
	return [16]byte(p[24:40]) == [16]byte{0xff, 2, 11: 1, 12: 0xff, 13: t[13], 14: t[14], 15: t[15]}
}

// PutAdvertisement writes into dst the frame that answers the neighbour
// solicitation in the frame req: its target is at mac, and router says whether
// that routes. It returns AdvertisementLen, or 0 when dst is shorter, or req is
// not a valid solicitation or is one from nobody. dst must not overlap req.
func PutAdvertisement(dst []byte, req frame.Frame, mac frame.MAC, router bool) int {
	if len(dst) < AdvertisementLen || len(req) < frame.HeaderLen || req.Type() != frame.TypeIPv6 {
		return 0
	}
	q, ok := ParseND(req.Payload())
	if !ok || !q.IsSolicitation() || q.Src().IsUnspecified() {
		return 0
	}
	putEthernet(dst, req.Src(), mac, frame.TypeIPv6)
	p := ND(dst[frame.HeaderLen:AdvertisementLen])
	p.begin(q.Target(), q.Src())
	flags := uint32(flagSolicited | flagOverride)
	if router {
		flags |= flagRouter
	}
	p[ipv6Len] = advertisement
	binary.BigEndian.PutUint32(p[ipv6Len+4:], flags)
	p.finish(q.Target(), optionTarget, mac)
	return AdvertisementLen
}
