// Package vrf is the routing tables of virtual routers: a longest-prefix match for
// IPv4 and IPv6 over routes that know where a packet goes next. A table never
// changes once it is made; another one takes its place.
package vrf

import (
	"net/netip"

	"vxgw/l2/fdb"
	"vxgw/l3/vxlan"
)

// Kind is what becomes of a packet that a route is found for.
type Kind uint8

// The kinds of route.
const (
	Connected   Kind = iota // its destination is a neighbour
	Via                     // it goes to another router
	Blackhole               // it is discarded
	Unreachable             // it is discarded, and its sender told
	Local                   // it is for the gateway itself
	numKinds
)

// String returns the kind's stable name.
func (k Kind) String() string {
	return [...]string{"connected", "via", "blackhole", "unreachable", "local", "invalid"}[min(k, numKinds)]
}

// Origin is who said that there is a route.
type Origin uint8

// The origins, the most believed first.
const (
	OriginLocal Origin = iota
	OriginConnected
	OriginStatic
	OriginController
	numOrigins
)

// String returns the origin's stable name.
func (o Origin) String() string {
	return [...]string{"local", "connected", "static", "controller", "invalid"}[min(o, numOrigins)]
}

// NextHop is where a packet goes next: to the neighbour Via in a domain, or, where
// Via is the zero Addr, to its destination there.
//
// A route between gateways by a VNI of the VRF's own (symmetric IRB, RFC 9135
// section 5.2) is another kind of next hop: the VTEP and its router's MAC in the
// place of a neighbour that has to be resolved.
type NextHop struct {
	Domain fdb.Domain
	Via    netip.Addr
}

// Route is one prefix and where packets for it go. It must not be changed once it is
// in a Table.
type Route struct {
	Prefix netip.Prefix
	Kind   Kind
	Origin Origin
	Hops   []NextHop // none of Blackhole and Unreachable
}

// Hop returns the next hop for the flow with a hash. Every flow keeps to one, and
// when one of them goes only its own flows move (rendezvous hashing).
func (r *Route) Hop(hash uint32) *NextHop {
	best, most := &r.Hops[0], uint64(0)
	for i := range r.Hops {
		if w := weigh(hash, &r.Hops[i]); w >= most {
			best, most = &r.Hops[i], w
		}
	}
	return best
}

// weigh says how much a flow is drawn to a next hop.
func weigh(hash uint32, h *NextHop) uint64 {
	b := h.Via.As16()
	x := uint64(hash)<<16 | uint64(h.Domain)
	for i := 8; i < 16; i++ {
		x = (x ^ uint64(b[i])) * 0x100000001b3
	}
	for i := range 8 {
		x = (x ^ uint64(b[i])) * 0x100000001b3
	}
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// flowSeed is another one than that of the outer source ports: routers that all
// hash alike would use one of their paths only.
const flowSeed = 0x9e3779b97f4a7c15

// FlowHash returns the hash of the flow that an IP packet belongs to, for Hop. All
// fragments of a packet have the same.
func FlowHash(packet []byte) uint32 { return vxlan.FlowHash(packet, flowSeed) }
