package nftables

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"vxgw/l3/ip"
)

// Packet is a UDP packet that rules are asked about, the first of its flow.
type Packet struct {
	Src, Dst netip.Addr
	DstPort  uint16
	In, Out  Device // where it comes in, or leaves; the zero Device: it does not
}

// Device is a link.
type Device struct {
	Name  string
	Index int
}

// partial is bytes of which some are known.
type partial struct {
	b     []byte
	known []bool
}

func unknown(n int) partial { return partial{make([]byte, n), make([]bool, n)} }

func known(b []byte) partial {
	v := partial{b, make([]bool, len(b))}
	for i := range v.known {
		v.known[i] = true
	}
	return v
}

// set writes what is known at a place.
func (v partial) set(at int, b ...byte) {
	for i := range b {
		v.b[at+i], v.known[at+i] = b[i], true
	}
}

// slice returns n bytes from a place on; what is beyond the end is unknown.
func (v partial) slice(at, n int) partial {
	out := unknown(n)
	for i := range n {
		if at+i < len(v.b) {
			out.b[i], out.known[i] = v.b[at+i], v.known[at+i]
		}
	}
	return out
}

// isKnown reports whether all bytes are.
func (v partial) isKnown() bool {
	for _, k := range v.known {
		if !k {
			return false
		}
	}
	return true
}

// family is the packet's own, of nftables.
func (p *Packet) family() uint8 {
	if p.Dst.Is6() {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

// network is the packet's IP header: addresses and protocol are known, and that it is
// no fragment.
func (p *Packet) network() partial {
	src, dst := p.Src.AsSlice(), p.Dst.AsSlice()
	if p.Dst.Is6() {
		v := unknown(ip.IPv6HeaderLen)
		v.set(6, unix.IPPROTO_UDP)
		v.set(8, src...)
		v.set(24, dst...)
		return v
	}
	v := unknown(ip.IPv4HeaderLen)
	v.set(0, 0x45) // version 4, no options
	v.set(6, 0x40) // DF, as VXLAN is sent, and no offset
	v.set(7, 0)
	v.set(9, unix.IPPROTO_UDP)
	v.set(12, src...)
	v.set(16, dst...)
	return v
}

// transport is its UDP header: the source port is any.
func (p *Packet) transport() partial {
	const udpHeader = 8
	v := unknown(udpHeader)
	v.set(2, byte(p.DstPort>>8), byte(p.DstPort))
	return v
}

// meta answers for a key of the meta expression, in the form that registers have it.
func (p *Packet) meta(key uint32) partial {
	native := func(n uint32) partial { return known(binary.NativeEndian.AppendUint32(nil, n)) }
	name := func(d Device) partial {
		b := make([]byte, unix.IFNAMSIZ)
		copy(b, d.Name)
		return known(b)
	}
	switch key {
	case unix.NFT_META_IIF:
		return native(uint32(p.In.Index))
	case unix.NFT_META_OIF:
		return native(uint32(p.Out.Index))
	case unix.NFT_META_IIFNAME:
		return name(p.In)
	case unix.NFT_META_OIFNAME:
		return name(p.Out)
	case unix.NFT_META_NFPROTO:
		return known([]byte{p.family(), 0, 0, 0})
	case unix.NFT_META_L4PROTO:
		return known([]byte{unix.IPPROTO_UDP, 0, 0, 0})
	case unix.NFT_META_PROTOCOL:
		if p.Dst.Is6() {
			return known([]byte{0x86, 0xdd, 0, 0})
		}
		return known([]byte{8, 0, 0, 0})
	}
	return unknown(unix.IFNAMSIZ)
}
