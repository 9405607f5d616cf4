package capture

import (
	"fmt"
	"net/netip"
	"strings"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// Summary says in one line what is in a frame: MACs, tag, type, addresses and ports. b
// is its beginning, and length the whole length in bytes.
func Summary(b []byte, length int) string {
	d := dissect(b, length)
	if !d.whole {
		return fmt.Sprintf("%d bytes, which is no Ethernet header", length)
	}
	s := fmt.Sprintf("%v > %v", d.src, d.dst)
	if d.tagged {
		s += fmt.Sprintf(" VLAN %d", d.vid)
	}
	return s + " " + d.network()
}

func (d *dissection) network() string {
	switch {
	case d.isARP && d.operation == 1:
		return fmt.Sprintf("ARP who has %v, tell %v", d.to, d.from)
	case d.isARP:
		return fmt.Sprintf("ARP %v is at its sender, to %v", d.from, d.to)
	case d.isIP:
		return d.packet()
	}
	switch d.etherType {
	case frame.TypeIPv4:
		return "IPv4, malformed"
	case frame.TypeIPv6:
		return "IPv6, malformed"
	case frame.TypeARP:
		return "ARP, malformed"
	}
	if d.etherType < 0x600 { // IEEE 802.3 clause 3.2.6: a length
		return "802.3 LLC"
	}
	return fmt.Sprintf("EtherType 0x%04x", d.etherType)
}

func (d *dissection) packet() string {
	from, to := d.from.String(), d.to.String()
	if d.hasPorts {
		from, to = netip.AddrPortFrom(d.from, d.sport).String(), netip.AddrPortFrom(d.to, d.dport).String()
	}
	s := from + " > " + to
	switch {
	case !d.hasProto:
		return s + " IPv6, cut off in its extension headers"
	case d.proto == ip.ProtoTCP:
		s += " TCP"
		if d.hasFlags {
			s += " " + flagNames(d.flags)
		}
	case d.proto == ip.ProtoUDP:
		s += " UDP"
	case d.proto == ip.ProtoSCTP:
		s += " SCTP"
	case d.proto == ip.ProtoICMP:
		s += " ICMP" + d.icmp()
	case d.proto == ip.ProtoICMPv6:
		s += " ICMPv6" + d.icmp()
	case d.proto == protoIGMP:
		s += " IGMP"
	default:
		s += fmt.Sprintf(" protocol %d", d.proto)
	}
	if d.fragment {
		s += ", a later fragment"
	}
	return s
}

func (d *dissection) icmp() string {
	if !d.hasICMP {
		return ""
	}
	return fmt.Sprintf(" type %d code %d", d.kind, d.code)
}

// flagNames writes flags of TCP as [SA].
func flagNames(f ip.TCPFlags) string {
	const letters = "FSRPAUEC" // RFC 9293 section 3.1, from the lowest bit on
	var b strings.Builder
	b.WriteByte('[')
	for i := range len(letters) {
		if f&(1<<i) != 0 {
			b.WriteByte(letters[i])
		}
	}
	b.WriteByte(']')
	return b.String()
}
