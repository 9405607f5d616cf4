package config

import (
	"net/netip"
)

// maxHops bounds the next hops of one route.
const maxHops = 16

// readRoutes reads the static routes, once the prefixes of all VNIs are known.
func (b *builder) readRoutes() {
	for i, s := range b.vrfs {
		v := &b.cfg.VRFs[i]
		seen := map[netip.Prefix]int{}
		for _, r := range s.kids[routeTable.name] {
			route := Route{Prefix: get[netip.Prefix](r, "prefix"), Blackhole: get[bool](r, "blackhole"), Unreachable: get[bool](r, "unreachable")}
			b.checkWay(r, route)
			if route.Prefix.IsValid() {
				if first, dup := seen[route.Prefix]; dup {
					b.fail(r.at("prefix"), "prefix = \"%s\" has a route on line %d already: write several next hops as via = [...]", route.Prefix, b.line(first))
				} else if d := b.vrfByName[v.Name]; d != nil {
					seen[route.Prefix] = r.at("prefix")
					b.readHops(r, v.Name, d, &route)
				}
			}
			v.Routes = append(v.Routes, route)
		}
	}
}

// checkWay: a route goes one way.
func (b *builder) checkWay(s section, r Route) {
	ways := 0
	for _, is := range []bool{s.has("via"), r.Blackhole, r.Unreachable} {
		if is {
			ways++
		}
	}
	switch {
	case ways == 0 && !s.bad("blackhole") && !s.bad("unreachable"):
		b.fail(s.place(), "[[vrf.route]] goes nowhere: write via, blackhole = true or unreachable = true")
	case ways > 1:
		b.fail(s.place(), "[[vrf.route]] goes more than one way: write one of via, blackhole = true and unreachable = true")
	case s.has("via") && len(s.vals["via"].elems) == 0 && !s.bad("via"):
		b.fail(s.at("via"), "via = [] names no next hop: write one, or blackhole = true")
	}
}

// readHops finds the VNIs of the next hops.
func (b *builder) readHops(s section, vrf string, d *domain, r *Route) {
	if c, found := d.connected[r.Prefix]; found {
		b.fail(s.at("prefix"), "prefix = \"%s\" is connected already, by the gateway on line %d: take the route out", r.Prefix, b.line(c.at))
		return
	}
	vni := uint32(get[int64](s, "vni"))
	if _, member := d.v6[vni]; vni != 0 && !member {
		b.fail(s.at("vni"), "vni = %d is not routed in VRF %q: write a VNI with vrf = %q and gateway", vni, vrf, vrf)
		return
	}
	for i, e := range s.vals["via"].elems {
		if i == maxHops {
			b.fail(e.node.val, "via: more than %d next hops: list fewer", maxHops)
			return
		}
		via := e.val.(netip.Addr)
		if at, ok := b.hop(s, e, vrf, d, r.Prefix, via, vni); ok {
			r.Hops = append(r.Hops, RouteHop{at, via})
		}
	}
}

// hop returns the VNI that a next hop is in.
func (b *builder) hop(s section, e elem, vrf string, d *domain, prefix netip.Prefix, via netip.Addr, vni uint32) (uint32, bool) {
	at := e.node.val
	if via.Is4() != prefix.Addr().Is4() {
		b.fail(at, "via = \"%s\" is %s and the prefix is not: write a next hop of the prefix's family", via, family(via))
		return 0, false
	}
	if via.Is6() && via.IsLinkLocalUnicast() {
		return b.linkLocalHop(s, at, vrf, d, via, vni)
	}
	p, found := d.cover(via, via.BitLen())
	if !found {
		if !b.lost(d, via) {
			b.fail(at, "via = \"%s\" is in no gateway prefix of VRF %q: write a next hop that one of its VNIs is connected to", via, vrf)
		}
		return 0, false
	}
	wrong := notHostOf(netip.PrefixFrom(via, p.Bits()))
	if d.connected[p].addr == via {
		wrong = "is the gateway's own address"
	}
	if wrong != "" {
		b.fail(at, "via = \"%s\" %s in %s: write the address of another router there", via, wrong, p)
		return 0, false
	}
	if is := d.connected[p].vni; vni != 0 && vni != is {
		b.fail(s.at("vni"), "vni = %d is not where via = \"%s\" is: that is in VNI %d", vni, via, is)
		return 0, false
	}
	return d.connected[p].vni, true
}

// linkLocalHop: every link has the same link-local prefix, so a next hop in it says
// nothing of where it is (RFC 4007 section 6).
func (b *builder) linkLocalHop(s section, at int, vrf string, d *domain, via netip.Addr, vni uint32) (uint32, bool) {
	switch {
	case s.bad("vni"):
		return 0, false
	case vni == 0:
		b.fail(at, "via = \"%s\" is a link-local address, which is in every VNI: name the one that is meant, as vni = 10010", via)
		return 0, false
	case !d.v6[vni]:
		b.fail(s.at("vni"), "vni = %d has no IPv6 gateway, and via = \"%s\" is a neighbour of one: write a VNI of VRF %q with an IPv6 gateway", vni, via, vrf)
		return 0, false
	}
	return vni, true
}
