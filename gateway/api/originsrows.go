package api

import (
	"cmp"
	"slices"
	"time"

	"vxgw/gateway/control"
)

// OriginRow is one controller, as `vxgw show origins` has it. Left is how many seconds
// what it has said is kept unless it shows a sign of life, Swept how often that has ended.
type OriginRow struct {
	Origin     string     `json:"origin"`
	State      string     `json:"state" enum:"attached,leased,expired"`
	Generation uint64     `json:"generation"`
	Hold       uint32     `json:"hold"`
	Left       uint32     `json:"left"`
	VTEPs      int        `json:"vteps"`
	MACs       int        `json:"macs"`
	Neighbours int        `json:"neighbours"`
	Routes     int        `json:"routes"`
	Unused     int        `json:"unused"` // entries that are of no use at the moment
	LastHeard  *time.Time `json:"last_heard"`
	Swept      uint64     `json:"swept"`
}

// Sizes sets how much the origin has said.
func (r *OriginRow) Sizes(n control.Sizes) {
	r.VTEPs, r.MACs, r.Neighbours, r.Routes = n.VTEPs, n.MACs, n.Neighbours, n.Routes
}

// OriginWords is what an origin says, and, with PUT and GET, all that it has said.
type OriginWords struct {
	Hold       uint32            `json:"hold,omitempty"` // seconds
	VTEPs      []OriginVTEP      `json:"vteps,omitempty"`
	MACs       []OriginMAC       `json:"macs,omitempty"`
	Neighbours []OriginNeighbour `json:"neighbours,omitempty"`
	Routes     []OriginRoute     `json:"routes,omitempty"`
}

// OriginPatch is what an origin adds and takes back; what is taken back is named by VNI
// or VRF, and MAC, address or prefix alone. An empty one is a sign of life.
type OriginPatch struct {
	Hold   uint32       `json:"hold,omitempty"`
	Add    *OriginWords `json:"add,omitempty"`
	Remove *OriginWords `json:"remove,omitempty"`
}

// OriginVTEP is a remote VTEP that takes part in a VNI.
type OriginVTEP struct {
	VNI     uint32 `json:"vni"`
	Address string `json:"address"`
}

// OriginMAC is where a station is.
type OriginMAC struct {
	VNI      uint32 `json:"vni"`
	MAC      string `json:"mac"`
	VTEP     string `json:"vtep,omitempty"`
	Sticky   bool   `json:"sticky,omitempty"`   // RFC 7432 section 15.2
	Sequence uint32 `json:"sequence,omitempty"` // RFC 7432 section 7.7
}

// OriginNeighbour is who has an IP address.
type OriginNeighbour struct {
	VNI     uint32 `json:"vni"`
	Address string `json:"address"`
	MAC     string `json:"mac,omitempty"`
	Router  bool   `json:"router,omitempty"` // the R flag of RFC 9047 section 2
}

// OriginRoute is where packets for a prefix go.
type OriginRoute struct {
	VRF    string      `json:"vrf"`
	Prefix string      `json:"prefix"`
	Hops   []OriginHop `json:"hops,omitempty"`
}

// OriginHop is a neighbour, VNI and Via, or a router behind a VTEP, the other three.
type OriginHop struct {
	VNI       uint32 `json:"vni,omitempty"`
	Via       string `json:"via,omitempty"`
	VTEP      string `json:"vtep,omitempty"`
	L3VNI     uint32 `json:"l3vni,omitempty"`
	RouterMAC string `json:"router_mac,omitempty"`
}

// OriginAnswer is how an origin is after what it has said.
type OriginAnswer struct {
	Origin     string      `json:"origin"`
	State      string      `json:"state"`
	Generation uint64      `json:"generation"`
	Hold       uint32      `json:"hold"`
	VTEPs      int         `json:"vteps"`
	MACs       int         `json:"macs"`
	Neighbours int         `json:"neighbours"`
	Routes     int         `json:"routes"`
	Unused     []UnusedRow `json:"unused"` // of what the request said
}

// OriginEnded is the answer of DELETE: whom it was about.
type OriginEnded struct {
	Ended string `json:"ended"`
}

// UnusedRow is entries that are kept and of no use at the moment, all for one reason.
type UnusedRow struct {
	Section string `json:"section"` // "vteps", "macs", "neighbours" or "routes"
	Reason  string `json:"reason"`
	Count   int    `json:"count"`
	Example string `json:"example"`
}

func answerOf(a control.Answer) OriginAnswer {
	p := &a.Page
	is := OriginAnswer{
		Origin: string(p.Origin), State: string(p.State()), Generation: p.Generation, Hold: p.Hold,
		VTEPs: a.Sizes.VTEPs, MACs: a.Sizes.MACs, Neighbours: a.Sizes.Neighbours, Routes: a.Sizes.Routes,
		Unused: make([]UnusedRow, 0, len(a.Unused)),
	}
	for _, u := range a.Unused {
		is.Unused = append(is.Unused, UnusedRow(u))
	}
	return is
}

// wordsOf writes what an origin has said as PUT takes it, each section in order.
func wordsOf(hold uint32, w *control.Words) OriginWords {
	is := OriginWords{Hold: hold}
	for k := range w.VTEPs {
		is.VTEPs = append(is.VTEPs, OriginVTEP{k.VNI, k.Addr.String()})
	}
	slices.SortFunc(is.VTEPs, func(a, b OriginVTEP) int { return cmp.Or(cmp.Compare(a.VNI, b.VNI), cmp.Compare(a.Address, b.Address)) })
	for k, v := range w.MACs {
		is.MACs = append(is.MACs, OriginMAC{k.VNI, k.MAC.String(), v.VTEP.String(), v.Sticky, v.Sequence})
	}
	slices.SortFunc(is.MACs, func(a, b OriginMAC) int { return cmp.Or(cmp.Compare(a.VNI, b.VNI), cmp.Compare(a.MAC, b.MAC)) })
	for k, v := range w.Neighbours {
		is.Neighbours = append(is.Neighbours, OriginNeighbour{k.VNI, k.Addr.String(), v.MAC.String(), v.Router})
	}
	slices.SortFunc(is.Neighbours, func(a, b OriginNeighbour) int {
		return cmp.Or(cmp.Compare(a.VNI, b.VNI), cmp.Compare(a.Address, b.Address))
	})
	for k, v := range w.Routes {
		is.Routes = append(is.Routes, routeOf(k, v))
	}
	slices.SortFunc(is.Routes, func(a, b OriginRoute) int { return cmp.Or(cmp.Compare(a.VRF, b.VRF), cmp.Compare(a.Prefix, b.Prefix)) })
	return is
}

func routeOf(k control.RouteKey, v control.Route) OriginRoute {
	r := OriginRoute{VRF: k.VRF, Prefix: k.Prefix.String()}
	for _, h := range v.Hops {
		if h.VTEP.IsValid() {
			r.Hops = append(r.Hops, OriginHop{VTEP: h.VTEP.String(), L3VNI: h.VNI, RouterMAC: h.RouterMAC.String()})
		} else {
			r.Hops = append(r.Hops, OriginHop{VNI: h.VNI, Via: h.Via.String()})
		}
	}
	return r
}
