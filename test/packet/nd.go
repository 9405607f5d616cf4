package packet

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// Types of ICMPv6 message in neighbour discovery, and of option (RFC 4861
// section 4).
const (
	Solicitation  = 135
	Advertisement = 136

	OptionSource = 1
	OptionTarget = 2
)

// Flags of an advertisement (RFC 4861 section 4.4).
const (
	FlagRouter    = 0x80
	FlagSolicited = 0x40
	FlagOverride  = 0x20
)

// ND is a neighbour solicitation or advertisement, for tests to bend.
type ND struct {
	DstMAC, SrcMAC frame.MAC
	Src, Dst       netip.Addr
	HopLimit       uint8
	Type, Code     uint8
	Flags          uint8 // the first byte behind the checksum
	Target         netip.Addr
	Options        []byte
	BadChecksum    bool
}

// Frame writes it down.
func (n ND) Frame() []byte {
	b := []byte{n.Type, n.Code, 0, 0, n.Flags, 0, 0, 0}
	b = append(append(b, n.Target.AsSlice()...), n.Options...)
	sum := ^ip.Sum(b, ip.PseudoIPv6(n.Src.As16(), n.Dst.As16(), protoICMPv6, len(b)))
	if n.BadChecksum {
		sum++
	}
	binary.BigEndian.PutUint16(b[2:], sum)
	return Ethernet(n.DstMAC, n.SrcMAC, frame.TypeIPv6, ipv6(n.Src, n.Dst, protoICMPv6, n.HopLimit, b))
}

// Solicit returns what a host at src that has from sends to find target.
func Solicit(src frame.MAC, from, target netip.Addr) ND {
	group := SolicitedNode(target)
	return ND{
		DstMAC: GroupMAC(group), SrcMAC: src, Src: from, Dst: group, HopLimit: 255,
		Type: Solicitation, Target: target, Options: LinkLayer(OptionSource, src),
	}
}

// Detect returns what a host at src sends to see whether an address is free
// (RFC 4862 section 5.4.2).
func Detect(src frame.MAC, target netip.Addr) ND {
	n := Solicit(src, netip.IPv6Unspecified(), target)
	n.Options = nil
	return n
}

// Advertise returns what the host at src that has addr answers to a solicitation
// of the host to at dst.
func Advertise(src frame.MAC, addr netip.Addr, dst frame.MAC, to netip.Addr) ND {
	return ND{
		DstMAC: dst, SrcMAC: src, Src: addr, Dst: to, HopLimit: 255,
		Type: Advertisement, Flags: FlagSolicited | FlagOverride, Target: addr, Options: LinkLayer(OptionTarget, src),
	}
}

// Announce returns what a host at src tells everybody of its address (RFC 4861
// section 7.2.6).
func Announce(src frame.MAC, addr netip.Addr) ND {
	all := netip.IPv6LinkLocalAllNodes()
	n := Advertise(src, addr, GroupMAC(all), all)
	n.Flags = FlagOverride
	return n
}

// LinkLayer returns a link-layer address option.
func LinkLayer(option uint8, m frame.MAC) []byte { return append([]byte{option, 1}, m[:]...) }

// SolicitedNode returns the group that whoever has an address listens to (RFC
// 4291 section 2.7.1).
func SolicitedNode(a netip.Addr) netip.Addr {
	g := netip.MustParseAddr("ff02::1:ff00:0").As16()
	b := a.As16()
	copy(g[13:], b[13:])
	return netip.AddrFrom16(g)
}

// GroupMAC returns the MAC of an IPv6 group (RFC 2464 section 7).
func GroupMAC(group netip.Addr) frame.MAC {
	b := group.As16()
	return frame.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}
