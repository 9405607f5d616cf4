package capture

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/vxlan"
)

// dissection is what a frame says of itself, as far as filters and summaries ask. What
// was cut off or makes no sense is left at zero.
type dissection struct {
	length int  // bytes of the whole frame
	whole  bool // there is an Ethernet header

	dst, src  frame.MAC
	tagged    bool
	vid       uint16
	etherType uint16

	isIP, isARP bool
	from, to    netip.Addr // of IP; of ARP the sender and who is asked for
	operation   uint16     // of ARP
	fragment    bool       // not the first: no ports
	proto       uint8      // of IP, behind extension headers
	hasProto    bool

	hasPorts     bool
	sport, dport uint16
	hasICMP      bool
	kind, code   uint8
	flags        ip.TCPFlags
	hasFlags     bool

	payload []byte // of UDP
}

// protoIGMP is IGMP's number (RFC 3376 section 4).
const protoIGMP = 2

// dissect reads a frame of which b is the beginning, and length the whole length. It
// looks behind one VLAN tag.
func dissect(b []byte, length int) (d dissection) {
	d.length = length
	if len(b) < frame.HeaderLen {
		return d
	}
	f := frame.Frame(b)
	d.whole, d.dst, d.src, d.etherType = true, f.Dst(), f.Src(), f.Type()
	rest := b[frame.HeaderLen:]
	if frame.IsTagType(d.etherType) && len(rest) >= frame.TagLen {
		d.tagged, d.vid = true, binary.BigEndian.Uint16(rest)&0xfff
		d.etherType, rest = binary.BigEndian.Uint16(rest[2:]), rest[frame.TagLen:]
	}
	switch d.etherType {
	case frame.TypeIPv4:
		d.ipv4(rest)
	case frame.TypeIPv6:
		d.ipv6(rest)
	case frame.TypeARP:
		d.arp(rest)
	}
	return d
}

func (d *dissection) arp(b []byte) {
	const operation, sender, target, end = 6, 14, 24, 28 // RFC 826, of IPv4 over Ethernet
	if len(b) < end || binary.BigEndian.Uint16(b[2:]) != frame.TypeIPv4 || b[4] != 6 || b[5] != 4 {
		return
	}
	d.isARP, d.operation = true, binary.BigEndian.Uint16(b[operation:])
	d.from, d.to = netip.AddrFrom4([4]byte(b[sender:])), netip.AddrFrom4([4]byte(b[target:]))
}

func (d *dissection) ipv4(b []byte) {
	if len(b) < ip.IPv4HeaderLen || b[0]>>4 != 4 {
		return
	}
	h := ip.IPv4(b)
	d.isIP, d.from, d.to, d.proto, d.hasProto = true, h.Src(), h.Dst(), h.Protocol(), true
	d.fragment = h.FragmentOffset() > 0
	if n := h.HeaderLen(); n >= ip.IPv4HeaderLen && n <= len(b) && !d.fragment {
		d.transport(b[n:])
	}
}

func (d *dissection) ipv6(b []byte) {
	if len(b) < ip.IPv6HeaderLen || b[0]>>4 != 6 {
		return
	}
	h := ip.IPv6(b)
	d.isIP, d.from, d.to = true, h.Src(), h.Dst()
	next, rest := h.NextHeader(), b[ip.IPv6HeaderLen:]
	for {
		size := 0
		switch next {
		case ip.ProtoHopByHop, ip.ProtoRouting, ip.ProtoDestination:
			if len(rest) >= 2 {
				size = 8 * (int(rest[1]) + 1) // RFC 8200 section 4.3
			}
		case ip.ProtoFragment:
			if size = 8; len(rest) >= size {
				d.fragment = binary.BigEndian.Uint16(rest[2:])&0xfff8 != 0
			}
		default:
			d.proto, d.hasProto = next, true
			if !d.fragment {
				d.transport(rest)
			}
			return
		}
		if size == 0 || size > len(rest) {
			return
		}
		next, rest = rest[0], rest[size:]
	}
}

func (d *dissection) transport(b []byte) {
	switch d.proto {
	case ip.ProtoTCP, ip.ProtoUDP, ip.ProtoSCTP:
		if len(b) < 4 {
			return
		}
		d.hasPorts, d.sport, d.dport = true, binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		if d.proto == ip.ProtoTCP && len(b) >= ip.TCPHeaderLen {
			d.flags, d.hasFlags = ip.TCP(b).Flags(), true
		}
		if d.proto == ip.ProtoUDP && len(b) >= ip.UDPHeaderLen {
			d.payload = b[ip.UDPHeaderLen:]
		}
	case ip.ProtoICMP, ip.ProtoICMPv6:
		if len(b) >= 2 {
			d.hasICMP, d.kind, d.code = true, b[0], b[1]
		}
	}
}

// inner returns the VNI of a VXLAN packet and the frame in it. port is the UDP port of
// VXLAN.
func (d *dissection) inner(port uint16) (vni uint32, f []byte, ok bool) {
	if d.dport != port || d.payload == nil {
		return 0, nil, false
	}
	vni, _, problem := vxlan.Parse(d.payload)
	if problem != vxlan.OK {
		return 0, nil, false
	}
	return vni, d.payload[vxlan.HeaderLen:], true
}
