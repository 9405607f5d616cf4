package path

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// maxHops bounds Path.Hops, and so how exactly weights are kept to.
const maxHops = 16

// PathHop is one of the next hops of a route that has several.
type PathHop struct {
	Via       netip.Addr // the zero Addr when the destination is on the link
	MAC       frame.MAC  // zero while the kernel has not resolved it
	Link      string
	LinkIndex int
}

// NextHop returns who a packet to dst is handed to first.
func (h PathHop) NextHop(dst netip.Addr) Neighbour {
	if h.Via.IsValid() {
		dst = h.Via
	}
	return Neighbour{h.LinkIndex, dst}
}

// unusable are the flags of a next hop that the kernel does not send to, or would
// in vain.
const unusable = unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN | unix.RTNH_F_UNRESOLVED

// spread adds what the route that p is of can choose from. The kernel has answered
// with one next hop; which ones there are only the route itself tells
// (RTM_F_FIB_MATCH). A route that changed in between is told of by a notification.
// It needs requests.
func (m *Monitor) spread(p *Path, dst netip.Addr, opts netlink.RouteGetOptions) {
	if !p.Plain {
		return
	}
	opts.FIBMatch = true
	routes, err := m.handle.RouteGetWithOptions(dst.AsSlice(), &opts)
	if err != nil || len(routes) == 0 || len(routes[0].MultiPath) < 2 {
		return
	}
	var hops []weightedHop
	for _, n := range routes[0].MultiPath {
		if n.Flags&unusable != 0 || n.Encap != nil || n.NewDst != nil {
			continue
		}
		link, err := m.linkByIndex(n.LinkIndex)
		if err != nil {
			continue // it is gone
		}
		p.MTU = min(p.MTU, link.MTU)
		hops = append(hops, weightedHop{m.resolve(dst, link, nextHop(n.Gw, n.Via)), n.Hops + 1})
	}
	// Of IPv6 the kernel begins with any of them, and flows are to stay where they are.
	slices.SortStableFunc(hops, func(a, b weightedHop) int {
		return cmp.Or(a.Via.Compare(b.Via), cmp.Compare(a.LinkIndex, b.LinkIndex))
	})
	p.choose(hops)
}

type weightedHop struct {
	PathHop
	weight int // of flows, relative to the others'
}

// choose has p go by these next hops, if there are any.
func (p *Path) choose(hops []weightedHop) {
	if len(hops) == 0 {
		return
	}
	is := false
	for _, h := range hops {
		is = is || h.Via == p.Via && h.LinkIndex == p.LinkIndex
	}
	if !is { // the kernel sends to a link without a carrier unless it is told not to
		h := hops[0]
		p.Via, p.MAC, p.Link, p.LinkIndex = h.Via, h.MAC, h.Link, h.LinkIndex
	}
	if len(hops) > 1 {
		p.Hops = repeat(hops)
	}
}

// resolve returns the hop via an address on a link, where dst is if there is none.
func (m *Monitor) resolve(dst netip.Addr, link Link, via netip.Addr) PathHop {
	h := PathHop{Via: via, Link: link.Name, LinkIndex: link.Index}
	n := h.NextHop(dst)
	m.mu.RLock()
	defer m.mu.RUnlock()
	h.MAC = m.state.neighbours[neighbour{n.Interface, n.Addr}].mac
	return h
}

// repeat returns each hop as often as its weight says, and at least once. Where that
// would be more than maxHops each gets the next place whose share is the furthest
// behind (D'Hondt). Of more hops than places the last are left out.
func repeat(hops []weightedHop) (all []PathHop) {
	hops = hops[:min(len(hops), maxHops)]
	total, unit := 0, 0
	for _, h := range hops {
		total += h.weight
		unit = gcd(unit, h.weight)
	}
	count := make([]int, len(hops))
	for i := range count {
		count[i] = 1
	}
	for n := len(hops); n < min(total/unit, maxHops); n++ {
		next := 0
		for i := range hops {
			if hops[i].weight*(count[next]+1) > hops[next].weight*(count[i]+1) {
				next = i
			}
		}
		count[next]++
	}
	for i, h := range hops {
		for range count[i] {
			all = append(all, h.PathHop)
		}
	}
	return all
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
