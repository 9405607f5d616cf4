package config

import (
	"net/netip"
)

// warnSurprises warns of what is legal and hardly meant.
func (b *builder) warnSurprises() {
	u := b.cfg.Underlay
	if r := u.SourcePorts; r.First == r.Last && r.First != 0 {
		b.warn(b.underlay.at("source_ports"), "source_ports = \"%d-%d\" is one port: the underlay cannot spread the flows over its paths", r.First, r.Last)
	}
	if len(b.cfg.VNIs) == 0 {
		b.warn(nowhere, "there is no [[vni]]: the gateway carries nothing")
	}
	ports := map[uint32]int{}
	for _, p := range b.cfg.Ports {
		ports[p.VNI]++
	}
	grouped := false
	for i, v := range b.cfg.VNIs {
		s := b.vnis[i]
		grouped = grouped || v.Group.IsValid()
		if ports[v.ID] == 0 {
			b.warn(s.at("id"), "VNI %d has no port: nothing here is connected to it", v.ID)
		}
		b.warnRemotes(s, v)
		if len(v.Gateway) == 0 && s.has("gateway_mac") {
			b.warn(s.at("gateway_mac"), "gateway_mac does nothing without gateway")
		}
	}
	if u.TTL == 1 && grouped {
		b.warn(b.underlay.at("ttl"), "ttl = 1 keeps multicast on this link: no VTEP behind a router hears the group")
	}
	b.warnMACs()
	for _, s := range b.vrfs {
		if d := b.vrfByName[get[string](s, "name")]; d != nil && d.members == 0 {
			b.warn(s.at("name"), "VRF %q has no VNI: no [[vni]] names it", get[string](s, "name"))
		}
	}
}

// warnRemotes warns of a VNI that reaches nobody, or is open to everybody, or
// sends to VTEPs that it does not listen to.
func (b *builder) warnRemotes(s section, v VNI) {
	if len(v.Flood) == 0 && !v.Group.IsValid() {
		b.warn(s.at("id"), "VNI %d has no flood and no group: unknown and broadcast frames stay on its ports", v.ID)
	}
	if v.AllowedVTEPs == nil {
		b.warn(s.at("id"), "anyone who reaches UDP port %d may send frames into VNI %d: list the VTEPs that may in allowed_vteps",
			b.cfg.Underlay.Port, v.ID)
		return
	}
	if !s.has("allowed_vteps") {
		return
	}
	heard := newPrefixSet(v.AllowedVTEPs)
	for _, e := range s.vals["flood"].elems {
		if a := e.val.(netip.Addr); !heard.holds(a) {
			b.warn(e.node.val, "flood: %s is not in allowed_vteps: VNI %d sends to it and drops what it answers", a, v.ID)
		}
	}
}

// warnMACs warns of static MAC addresses behind a VTEP that may not send.
func (b *builder) warnMACs() {
	sets := map[uint32]prefixSet{}
	for i, m := range b.cfg.MACs {
		at, found := b.vniByID[m.VNI]
		if !found || !m.VTEP.IsValid() || b.cfg.VNIs[at].AllowedVTEPs == nil {
			continue
		}
		if sets[m.VNI] == nil {
			sets[m.VNI] = newPrefixSet(b.cfg.VNIs[at].AllowedVTEPs)
		}
		if !sets[m.VNI].holds(m.VTEP) {
			b.warn(b.macs[i].at("vtep"), "vtep = \"%s\" may not send into VNI %d: its frames to this MAC address are dropped", m.VTEP, m.VNI)
		}
	}
}

// prefixSet answers which addresses a list of prefixes holds.
type prefixSet map[netip.Prefix]bool

func newPrefixSet(list []netip.Prefix) prefixSet {
	s := prefixSet{}
	for _, p := range list {
		s[p] = true
	}
	return s
}

func (s prefixSet) holds(a netip.Addr) bool {
	for bits := a.BitLen(); bits >= 0; bits-- {
		if p, err := a.Prefix(bits); err == nil && s[p] {
			return true
		}
	}
	return false
}
