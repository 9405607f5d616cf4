// Package offload does in software what a kernel left undone in a frame: L4
// checksums that hold only the pseudo-header's sum, and super-frames that stand
// for many segments. Both are fine within one machine. On a wire, or in a
// tunnel, they are silent loss.
//
// Infer looks at the outermost IP packet of a frame alone. When it is a tunnel's,
// what it carries belongs to whoever ends that tunnel. FinishChecksum and Cut
// reach into a tunnel where the kernel's note says so.
package offload

import (
	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// packet is where the parts of an unfragmented IP packet lie, in bytes from the
// frame's start. It has four fields: what has more travels through memory, which
// costs Infer half its time.
type packet struct {
	kind  kind
	proto uint8
	l4    int // transport header
	end   int // end of the packet; padding follows
}

// kind is what the network header is.
type kind uint8

const (
	ipv4 kind = iota
	ipv6
	ipv6Routed // with a Routing header: the pseudo-header's destination is not in the fixed header
)

const l3 = frame.HeaderLen

// locate finds the IP packet in a frame. It reports false for anything that is
// not a whole IP packet: another EtherType, lengths that do not agree, a
// fragment, extension headers that cannot be followed.
func locate(f []byte) (p packet, ok bool) {
	if len(f) < l3 {
		return p, false
	}
	switch frame.Frame(f).Type() {
	case frame.TypeIPv4:
		return locate4(f[l3:])
	case frame.TypeIPv6:
		return locate6(f[l3:])
	}
	return p, false
}

func locate4(b []byte) (p packet, ok bool) {
	h, ok := ip.ParseIPv4(b)
	if !ok || h.IsFragment() {
		return p, false
	}
	return packet{ipv4, h.Protocol(), l3 + h.HeaderLen(), l3 + len(h)}, true
}

func locate6(b []byte) (p packet, ok bool) {
	h, ok := ip.ParseIPv6(b)
	if !ok {
		return p, false
	}
	p = packet{ipv6, h.NextHeader(), l3 + ip.IPv6HeaderLen, l3 + len(h)}
	if p.proto == ip.ProtoTCP || p.proto == ip.ProtoUDP {
		return p, true // by far most packets
	}
	u, ok := h.Upper()
	if !ok || u.Fragment {
		return p, false
	}
	if u.Routed {
		p.kind = ipv6Routed
	}
	p.proto, p.l4 = u.Proto, l3+u.Off
	return p, true
}

// pseudoSum returns the pseudo-header's sum for n bytes of transport header and
// payload.
func (p packet) pseudoSum(f []byte, n int) uint16 {
	if p.kind == ipv4 {
		return ip.IPv4(f[l3:]).PseudoSum(p.proto, n)
	}
	return ip.IPv6(f[l3:]).PseudoSum(p.proto, n)
}
