package capture

import (
	"net/netip"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// Filter is a filter expression in the language of tcpdump (pcap-filter(7)), in as far
// as ParseFilter reads it.
type Filter struct {
	match test
	vxlan uint16 // UDP port
}

// test asks one thing of a frame.
type test func(*dissection) bool

// Match reports whether a frame, of which b is the beginning and length the whole
// length in bytes, is what the filter is for: itself, or the frame in it where it is a
// VXLAN packet. The nil Filter is for all.
func (f *Filter) Match(b []byte, length int) bool {
	if f == nil {
		return true
	}
	d := dissect(b, length)
	if f.match(&d) {
		return true
	}
	_, in, ok := d.inner(f.vxlan)
	if !ok {
		return false
	}
	d = dissect(in, length-(len(b)-len(in)))
	return f.match(&d)
}

func not(t test) test { return func(d *dissection) bool { return !t(d) } }

func both(a, b test) test { return func(d *dissection) bool { return a(d) && b(d) } }

func either(a, b test) test { return func(d *dissection) bool { return a(d) || b(d) } }

// direction is which of a frame's two ends is asked about.
type direction uint8

const (
	srcOrDst direction = iota
	srcOnly
	dstOnly
	srcAndDst
)

// ends asks the same of one end, or of both.
func (w direction) ends(src, dst test) test {
	switch w {
	case srcOnly:
		return src
	case dstOnly:
		return dst
	case srcAndDst:
		return both(src, dst)
	}
	return either(src, dst)
}

func inPrefix(w direction, p netip.Prefix) test {
	return w.ends(
		func(d *dissection) bool { return d.from.IsValid() && p.Contains(d.from) },
		func(d *dissection) bool { return d.to.IsValid() && p.Contains(d.to) },
	)
}

func isMAC(w direction, m frame.MAC) test {
	return w.ends(
		func(d *dissection) bool { return d.whole && d.src == m },
		func(d *dissection) bool { return d.whole && d.dst == m },
	)
}

func portBetween(w direction, first, last uint16) test {
	return w.ends(
		func(d *dissection) bool { return d.hasPorts && first <= d.sport && d.sport <= last },
		func(d *dissection) bool { return d.hasPorts && first <= d.dport && d.dport <= last },
	)
}

func hasType(t uint16) test {
	return func(d *dissection) bool { return d.whole && d.etherType == t }
}

func hasProto(p uint8) test {
	return func(d *dissection) bool { return d.isIP && d.hasProto && d.proto == p }
}

func hasVLAN(vid int) test {
	return func(d *dissection) bool { return d.tagged && (vid < 0 || int(d.vid) == vid) }
}

func isGroup(broadcast bool) test {
	return func(d *dissection) bool {
		return d.whole && d.dst.IsMulticast() && (!broadcast || d.dst == frame.Broadcast)
	}
}

// protocols are the words that ask for a protocol.
var protocols = map[string]test{
	"ip": hasType(frame.TypeIPv4), "ip6": hasType(frame.TypeIPv6), "arp": hasType(frame.TypeARP),
	"tcp": hasProto(ip.ProtoTCP), "udp": hasProto(ip.ProtoUDP), "sctp": hasProto(ip.ProtoSCTP), "igmp": both(hasType(frame.TypeIPv4), hasProto(protoIGMP)),
	"icmp": both(hasType(frame.TypeIPv4), hasProto(ip.ProtoICMP)), "icmp6": both(hasType(frame.TypeIPv6), hasProto(ip.ProtoICMPv6)),
}
