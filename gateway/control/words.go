package control

import (
	"net/netip"
	"slices"

	"vxgw/l2/frame"
)

// VTEP is a remote VTEP that takes part in a VNI: it is flooded to (head-end replication,
// RFC 8365 section 5.1.3).
type VTEP struct {
	VNI  uint32
	Addr netip.Addr
}

// Member is all that is said of a VTEP beside that it is there.
type Member struct{}

// MACKey is a station.
type MACKey struct {
	VNI uint32
	MAC frame.MAC
}

// MAC is where a station is.
type MAC struct {
	VTEP netip.Addr

	// Sticky: it stays there, and is not let in from elsewhere (RFC 7432 section 15.2).
	Sticky bool

	// Sequence is the MAC mobility sequence number (RFC 7432 section 7.7). What it means
	// is the controller's to know: an entry with another one is a new word, which counts
	// before a station that was learned here since the last.
	Sequence uint32
}

// NeighbourKey is an IP address.
type NeighbourKey struct {
	VNI  uint32
	Addr netip.Addr
}

// Neighbour is who has an address.
type Neighbour struct {
	MAC    frame.MAC
	Router bool // it routes: the R flag of an advertisement (RFC 9047 section 2)
}

// RouteKey is a prefix of a VRF.
type RouteKey struct {
	VRF    string
	Prefix netip.Prefix
}

// Route is where packets for a prefix go: to one of the hops.
type Route struct{ Hops []Hop }

// Hop is a next hop: the neighbour Via in a VNI, or the router with RouterMAC behind
// VTEP in an L3VNI (RFC 9135 section 5.2).
type Hop struct {
	VNI       uint32
	Via       netip.Addr
	VTEP      netip.Addr
	RouterMAC frame.MAC
}

// Equal reports whether two routes have the same hops in the same order.
func (r Route) Equal(o Route) bool { return slices.Equal(r.Hops, o.Hops) }

// Words are entries of every kind: all that an origin has said, or what it adds.
type Words struct {
	VTEPs      map[VTEP]Member
	MACs       map[MACKey]MAC
	Neighbours map[NeighbourKey]Neighbour
	Routes     map[RouteKey]Route
}

// NewWords returns no words.
func NewWords() Words {
	return Words{
		VTEPs: make(map[VTEP]Member), MACs: make(map[MACKey]MAC),
		Neighbours: make(map[NeighbourKey]Neighbour), Routes: make(map[RouteKey]Route),
	}
}

// Sizes are numbers of entries of each kind.
type Sizes struct{ VTEPs, MACs, Neighbours, Routes int }

// All returns how many there are.
func (s Sizes) All() int { return s.VTEPs + s.MACs + s.Neighbours + s.Routes }

// Len returns the numbers of entries.
func (w *Words) Len() Sizes {
	return Sizes{len(w.VTEPs), len(w.MACs), len(w.Neighbours), len(w.Routes)}
}

// Edit is what a request changes of what its origin has said: what is removed goes
// before what is added comes.
type Edit struct {
	Removed, Added Words
}
