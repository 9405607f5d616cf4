package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// domain is what is known of one VRF while the file is read.
type domain struct {
	index     int // in builder.vrfs
	members   int // VNIs
	connected map[netip.Prefix]connected
	v6        map[uint32]bool // VNIs: whether they have an IPv6 gateway
	order     []netip.Prefix  // of connected, as the file has them
	refused   gateways
}

// gateways are those that connect nothing, because they were refused or their
// VNI was. A next hop that one of them may have been for is not reported.
type gateways struct {
	prefixes map[netip.Prefix]bool // masked
	unknown  bool                  // some cannot be read at all
}

// refuse adds what a file has in the place of a gateway.
func (g *gateways) refuse(raw any) {
	text, _ := raw.(string)
	p, ok := meantPrefix(strings.TrimSpace(text))
	if !ok {
		g.unknown = true
		return
	}
	g.add(p)
}

func (g *gateways) add(p netip.Prefix) {
	if g.prefixes == nil {
		g.prefixes = map[netip.Prefix]bool{}
	}
	g.prefixes[p.Masked()] = true
}

// mayHold reports whether a next hop is in one of the prefixes.
func (g *gateways) mayHold(a netip.Addr) bool {
	for bits := a.BitLen(); bits >= 0 && len(g.prefixes) > 0; bits-- {
		if p, err := a.Prefix(bits); err == nil && g.prefixes[p] {
			return true
		}
	}
	return false
}

// meantPrefix returns the prefix that a refused gateway was to connect. One
// without a good length is taken for a subnet as large as they get.
func meantPrefix(text string) (netip.Prefix, bool) {
	host, _, _ := strings.Cut(text, "/")
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}, false
	}
	mapped := a.Is4In6()
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 16
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		switch {
		case !mapped:
			bits = p.Bits()
		case p.Bits() >= 96:
			bits = p.Bits() - 96
		}
	}
	return netip.PrefixFrom(a, bits), true
}

// connected is one gateway prefix.
type connected struct {
	vni  uint32
	addr netip.Addr // the gateway's
	at   int
}

func (b *builder) readVRFs(sections []section) {
	b.vrfByName, b.badVRFs = map[string]*domain{}, map[string]bool{}
	b.vrfs = sections
	for i, s := range sections {
		v := VRF{Name: get[string](s, "name")}
		b.cfg.VRFs = append(b.cfg.VRFs, v)
		if v.Name == "" {
			b.badVRFs[s.written("name")] = true
		} else if first := b.vrfByName[v.Name]; first != nil {
			b.fail(s.at("name"), "name = %q is the VRF on line %d too: every [[vrf]] needs a name of its own",
				v.Name, b.line(b.vrfs[first.index].at("name")))
		} else {
			b.vrfByName[v.Name] = &domain{index: i, connected: map[netip.Prefix]connected{}, v6: map[uint32]bool{}}
		}
	}
}

// join puts a VNI into its VRF. A VRF must be declared: a misspelt name would
// otherwise be a routing table of its own, where the VNI is alone.
func (b *builder) join(s section, v *VNI) {
	d := b.vrfByName[v.VRF]
	if d == nil {
		b.lose(s)
		if !b.badVRFs[v.VRF] {
			b.fail(s.at("vrf"), "vrf = %q is not declared: %s", v.VRF, b.declare(v.VRF))
		}
		return
	}
	d.members++
	d.v6[v.ID] = has(v.Gateway, netip.Addr.Is6)
	for _, raw := range s.vals["gateway"].refused {
		d.refused.refuse(raw)
	}
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

// lose notes the gateways of a VNI whose VRF is not known: it may be any.
func (b *builder) lose(s section) {
	l := s.vals["gateway"]
	for _, e := range l.elems {
		b.stray.add(e.val.(netip.Prefix))
	}
	for _, raw := range l.refused {
		b.stray.refuse(raw)
	}
}

// lost reports whether a next hop outside of every connected prefix may be
// right but for a gateway that was reported: one that holds it, or one that
// cannot be read where the VRF has no other.
func (b *builder) lost(d *domain, via netip.Addr) bool {
	if d.refused.mayHold(via) || b.stray.mayHold(via) {
		return true
	}
	return (d.refused.unknown || b.stray.unknown) && len(d.connected) == 0 && len(d.refused.prefixes) == 0
}

// maxNear is among how many VRFs a misspelt name is looked for.
const maxNear = 100

func (b *builder) declare(name string) string {
	var names []string
	for _, v := range b.cfg.VRFs[:min(len(b.cfg.VRFs), maxNear)] {
		if v.Name != "" {
			names = append(names, v.Name)
		}
	}
	if near := Nearest(name, names); near != "" {
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
