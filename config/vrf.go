package config

import (
	"fmt"
	"net/netip"
)

// domain is what is known of one VRF while the file is read.
type domain struct {
	index     int // in builder.vrfs
	members   int // VNIs
	connected map[netip.Prefix]connected
	order     []netip.Prefix // of connected, as the file has them
}

// connected is one gateway prefix.
type connected struct {
	vni  uint32
	addr netip.Addr // the gateway's
	at   int
}

func (b *builder) readVRFs(sections []section) {
	b.vrfByName = map[string]*domain{}
	b.vrfs = sections
	for i, s := range sections {
		b.noteInactive(s)
		v := VRF{Name: get[string](s, "name")}
		b.cfg.VRFs = append(b.cfg.VRFs, v)
		if v.Name == "" {
			b.badVRFs = true
		} else if first := b.vrfByName[v.Name]; first != nil {
			b.fail(s.at("name"), "name = %q is the VRF on line %d too: every [[vrf]] needs a name of its own",
				v.Name, b.line(b.vrfs[first.index].at("name")))
		} else {
			b.vrfByName[v.Name] = &domain{index: i, connected: map[netip.Prefix]connected{}}
		}
	}
}

// join puts a VNI into its VRF. A VRF must be declared: a misspelt name would
// otherwise be a routing table of its own, where the VNI is alone.
func (b *builder) join(s section, v *VNI) {
	d := b.vrfByName[v.VRF]
	if d == nil {
		b.lostGateways = true
		if !b.badVRFs {
			b.fail(s.at("vrf"), "vrf = %q is not declared: %s", v.VRF, b.declare(v.VRF))
		}
		return
	}
	d.members++
	for _, e := range s.vals["gateway"].elems {
		p := e.val.(netip.Prefix)
		net := p.Masked()
		if first, dup := d.connected[net]; dup {
			b.overlap(e.node.val, p, first)
			continue
		}
		d.connected[net] = connected{vni: v.ID, addr: p.Addr(), at: e.node.val}
		d.order = append(d.order, net)
	}
}

// maxNear is among how many VRFs a misspelt name is looked for.
const maxNear = 100

func (b *builder) declare(name string) string {
	var names []string
	for _, v := range b.cfg.VRFs[:min(len(b.cfg.VRFs), maxNear)] {
		names = append(names, v.Name)
	}
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return fmt.Sprintf("add a [[vrf]] with name = %q", name)
}

// checkOverlaps reports gateway prefixes of one VRF of which one holds the
// other; those that are equal were reported by join.
func (b *builder) checkOverlaps() {
	for i, v := range b.cfg.VRFs {
		d := b.vrfByName[v.Name]
		if d == nil || d.index != i {
			continue
		}
		for _, p := range d.order {
			if p.Bits() == 0 {
				continue
			}
			above, found := d.cover(p.Addr(), p.Bits()-1)
			if !found {
				continue
			}
			inner, outer := d.connected[p], d.connected[above]
			if inner.at > outer.at {
				b.overlap(inner.at, netip.PrefixFrom(inner.addr, p.Bits()), outer)
			} else {
				b.overlap(outer.at, netip.PrefixFrom(outer.addr, above.Bits()), inner)
			}
		}
	}
}

func (b *builder) overlap(at int, p netip.Prefix, with connected) {
	b.fail(at, "gateway: \"%s\" overlaps the gateway prefix on line %d: prefixes of one VRF must be apart", p, b.line(with.at))
}

// cover returns the longest connected prefix of at most bits bits that holds an
// address.
func (d *domain) cover(a netip.Addr, bits int) (netip.Prefix, bool) {
	for ; bits >= 0; bits-- {
		p, err := a.Prefix(bits)
		if _, found := d.connected[p]; found && err == nil {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// readRoutes reads the static routes, once the prefixes of all VNIs are known.
func (b *builder) readRoutes() {
	for i, s := range b.vrfs {
		v := &b.cfg.VRFs[i]
		seen := map[netip.Prefix]int{}
		for _, r := range s.kids[routeTable.name] {
			route := Route{Prefix: get[netip.Prefix](r, "prefix"), Via: get[netip.Addr](r, "via")}
			v.Routes = append(v.Routes, route)
			if !route.Prefix.IsValid() {
				continue
			}
			if first, dup := seen[route.Prefix]; dup {
				b.fail(r.at("prefix"), "prefix = \"%s\" has a route on line %d already: a prefix has one next hop", route.Prefix, b.line(first))
				continue
			}
			seen[route.Prefix] = r.at("prefix")
			if d := b.vrfByName[v.Name]; d != nil && route.Via.IsValid() {
				b.checkRoute(r, v.Name, d, route)
			}
		}
	}
}

func (b *builder) checkRoute(s section, vrf string, d *domain, r Route) {
	if r.Via.Is4() != r.Prefix.Addr().Is4() {
		b.fail(s.at("via"), "via = \"%s\" is %s and the prefix is not: write a next hop of the prefix's family", r.Via, family(r.Via))
		return
	}
	if c, found := d.connected[r.Prefix]; found {
		b.fail(s.at("prefix"), "prefix = \"%s\" is connected already, by the gateway on line %d: take the route out", r.Prefix, b.line(c.at))
		return
	}
	p, found := d.cover(r.Via, r.Via.BitLen())
	if !found {
		if !b.lostGateways {
			b.fail(s.at("via"), "via = \"%s\" is in no gateway prefix of VRF %q: write a next hop that one of its VNIs is connected to", r.Via, vrf)
		}
		return
	}
	wrong := notHostOf(netip.PrefixFrom(r.Via, p.Bits()))
	if d.connected[p].addr == r.Via {
		wrong = "is the gateway's own address"
	}
	if wrong != "" {
		b.fail(s.at("via"), "via = \"%s\" %s in %s: write the address of another router there", r.Via, wrong, p)
	}
}
