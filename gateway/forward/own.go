package forward

import (
	"encoding/binary"
	"net/netip"
)

// OwnAddrs is the gateway's addresses in a VRF; nil is none. Every routed packet is asked whether
// it claims to be from one of them, and next to none is: a filter answers most.
type OwnAddrs struct {
	filter [64]uint64
	addrs  map[netip.Addr]struct{}
}

// NewOwnAddrs returns the set of some addresses.
func NewOwnAddrs(addrs []netip.Addr) *OwnAddrs {
	o := &OwnAddrs{addrs: make(map[netip.Addr]struct{}, len(addrs))}
	for _, a := range addrs {
		o.addrs[a] = struct{}{}
		b := a.As16()
		h := filterBit(b[12:])
		o.filter[h>>6] |= 1 << (h & 63)
	}
	return o
}

// Filter is what has says no by, at once: a bit for each value of filterBit.
func (o *OwnAddrs) Filter() *[64]uint64 {
	if o == nil {
		return new([64]uint64)
	}
	return &o.filter
}

// filterBit is which bit of the filter the last four bytes of an address stand for.
func filterBit(b []byte) uint32 { return binary.BigEndian.Uint32(b) * 0x9e3779b1 >> 20 }

// has4 reports whether the IPv4 address in b is among them.
func (o *OwnAddrs) has4(b []byte) bool {
	h := filterBit(b)
	if o == nil || o.filter[h>>6]&(1<<(h&63)) == 0 {
		return false
	}
	_, ok := o.addrs[netip.AddrFrom4([4]byte(b))]
	return ok
}

// has6 is has4 for IPv6.
func (o *OwnAddrs) has6(b []byte) bool {
	h := filterBit(b[12:])
	if o == nil || o.filter[h>>6]&(1<<(h&63)) == 0 {
		return false
	}
	_, ok := o.addrs[netip.AddrFrom16([16]byte(b))]
	return ok
}

// Has reports whether an address is among them.
func (o *OwnAddrs) Has(a netip.Addr) bool {
	if o == nil {
		return false
	}
	_, ok := o.addrs[a]
	return ok
}
