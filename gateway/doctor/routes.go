package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"vxgw/l3/underlay/path"
)

var routesCheck = check{
	name:      "routes",
	reads:     "the kernel's route to each VTEP, from the VTEP address",
	means:     "There is no way to a VTEP, or it is to this machine itself: nothing is sent to it.",
	mend:      "`ip route add VTEP via ROUTER`",
	needsFile: true,
	run:       examineRoutes,
}

func examineRoutes(e *exam) {
	if _, ok := e.underlay(); !ok {
		return // without the address there is no route from it, and that was told of
	}
	all := e.vteps()
	type lost struct {
		addr netip.Addr
		why  error
	}
	var none []lost
	var here []netip.Addr
	for _, a := range all {
		p, err := e.path(a)
		if err != nil {
			none = append(none, lost{a, err})
		} else if l, ok := e.Machine.Network.Link(p.Link); ok && l.Loopback {
			here = append(here, a)
		}
	}
	switch {
	case len(all) == 0:
		e.ok("no VTEP is known yet")
	case len(none) > 0:
		e.fail(fmt.Sprintf("ip route add %v via ROUTER", netip.PrefixFrom(none[0].addr, none[0].addr.BitLen())),
			"no route to %d of %d VTEPs: %s", len(none), len(all), naming(none, func(l lost) string { return l.addr.String() }))
	case len(here) > 0:
		e.fail(fmt.Sprintf("ip route get %v", here[0]), "%s: an address of this machine itself", naming(here, netip.Addr.String))
	default:
		e.ok("there is one to each of %d VTEPs, by %s", len(all), naming(e.towards(), nameOf))
	}
}

var neighboursCheck = check{
	name:      "neighbours",
	reads:     "the neighbour table: the next hop towards each VTEP",
	means:     "The kernel asked for the MAC of a next hop and nobody answered (FAILED, or INCOMPLETE after probes were sent): all packets by it are lost.",
	mend:      "`ip neigh show to HOP`; the cable, the VLAN of the switch port, or the router itself",
	needsFile: true,
	run:       examineNeighbours,
}

// hop is who packets to VTEPs are handed to.
type hop struct {
	link string
	addr netip.Addr
}

func (h hop) String() string { return fmt.Sprintf("%v on %s", h.addr, h.link) }

// hops returns the next hops towards VTEPs, each once, and which VTEPs go by them.
func (e *exam) hops() (all []hop, vteps map[hop]int) {
	vteps = make(map[hop]int)
	add := func(a netip.Addr, h path.PathHop) {
		is := hop{h.Link, h.NextHop(a).Addr}
		if vteps[is]++; vteps[is] == 1 {
			all = append(all, is)
		}
	}
	for _, a := range e.vteps() {
		p, err := e.path(a)
		if err != nil {
			continue
		}
		if len(p.Hops) == 0 {
			add(a, p.PathHop())
			continue
		}
		// Of greater weight one is there more than once.
		for i, h := range p.Hops {
			if !slices.Contains(p.Hops[:i], h) {
				add(a, h)
			}
		}
	}
	return all, vteps
}

func examineNeighbours(e *exam) {
	all, vteps := e.hops()
	var dead []hop
	for _, h := range all {
		l, ok := e.Machine.Network.Link(h.link)
		if !ok || l.Loopback {
			continue
		}
		failed, asked, err := e.Machine.Network.Unanswered(l.Index)
		if err != nil {
			e.unseen("neighbours on "+h.link, err)
			return
		}
		// Who was asked for a second ago and has not answered is as good as dead; else the
		// kernel may have begun just now.
		if slices.Contains(failed, h.addr) || e.once.sent && slices.Contains(asked, h.addr) {
			dead = append(dead, h)
		}
	}
	if len(dead) > 0 {
		lost := 0
		for _, h := range dead {
			lost += vteps[h]
		}
		e.fail(fmt.Sprintf("ip neigh show to %v dev %s; cable, VLAN of the switch port, the router itself", dead[0].addr, dead[0].link),
			"nobody answers for %s: packets to %d of %d VTEPs are lost", naming(dead, hop.String), lost, len(e.vteps()))
		return
	}
	if len(all) > 0 {
		e.ok("none of %d next hops is known to be dead", len(all))
	}
}
