package gateway

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
)

// vnis adds the changes of bridge domains, and of the VTEPs that none names any more.
func (p *preview) vnis(c *config.Changes) {
	for i := range c.VNIs.Removed {
		v := &c.VNIs.Removed[i]
		n := p.g.tables.FDB().DomainLen(p.snap.VNIs[v.ID])
		p.add(vniItem(v), effect{"removed", flushed("its ", n) + ", its frames are dropped (unknown_vni)", true})
	}
	for i := range c.VNIs.Added {
		p.add(vniItem(&c.VNIs.Added[i]), effect{change: "added"})
	}
	for _, v := range c.VNIs.Changed {
		changed(p, vniItem(&v.New), vniFields, v)
	}
	p.nobodys()
}

func vniItem(v *config.VNI) string { return fmt.Sprintf("vni %d", v.ID) }

// vniFields is every field of a VNI but for its id, which says which one it is.
var vniFields = []field[config.VNI]{
	{"VLAN", func(_ *preview, old, new *config.VNI) effect {
		// What its ports do then is told of with them.
		return effect{change: "VLAN " + arrow(vlanOf(old.VLAN), vlanOf(new.VLAN))}
	}},
	{"Name", func(_ *preview, old, new *config.VNI) effect {
		return effect{change: "name " + quoted(old.Name, new.Name)}
	}},
	{"Flood", (*preview).flood},
	{"Group", func(_ *preview, old, new *config.VNI) effect {
		switch {
		case !old.Group.IsValid():
			return effect{change: fmt.Sprintf("group +%s", new.Group), then: "it is joined, and flooded frames go there too: " + nothing}
		case !new.Group.IsValid():
			return effect{fmt.Sprintf("group -%s", old.Group), "flooded frames go there no more, and what comes by it is heard only while another VNI has it", true}
		}
		return effect{"group " + arrow(old.Group, new.Group), "flooded frames go to the new one, and what comes by the old one is heard only while another VNI has it", true}
	}},
	{"Learning", func(p *preview, old, new *config.VNI) effect {
		e := effect{change: "learning " + onOff(old.Learning, new.Learning)}
		if !new.Learning {
			n := p.behindIn(new.ID, func(netip.Addr) bool { return true })
			e.then = fmt.Sprintf("no more MACs are learned behind VTEPs, and the %d known stay until they age: %s", n, nothing)
		}
		return e
	}},
	{"Ageing", func(_ *preview, old, new *config.VNI) effect {
		e := effect{change: "ageing " + arrow(old.Ageing, new.Ageing)}
		if new.Ageing != 0 && (old.Ageing == 0 || new.Ageing < old.Ageing) {
			e.then = fmt.Sprintf("MACs that were not heard for %s are forgotten, and flooded to until they are heard", seconds(new.Ageing))
		}
		return e
	}},
	{"MACLimit", func(p *preview, old, new *config.VNI) effect {
		return limit(old.MACLimit, new.MACLimit, p.g.tables.FDB().DomainLearned(p.snap.VNIs[new.ID]))
	}},
	{"AllowedVTEPs", (*preview).allowed},
	{"AllowedOnly", (*preview).allowedOnly},
	{"SuppressARP", func(p *preview, old, new *config.VNI) effect {
		e := effect{change: "suppress_arp " + onOff(old.SuppressARP, new.SuppressARP), then: "ARP and ND requests for neighbours that become known are answered: " + nothing}
		if !new.SuppressARP {
			n := p.g.tables.Neighbours().Len(p.snap.VNIs[new.ID])
			e.then = fmt.Sprintf("its %s are forgotten, and ARP and ND requests are flooded: %s", countOf(n, "neighbour"), nothing)
		}
		return e
	}},
	{"Moves", (*preview).moves},
	{"Storm", func(p *preview, old, new *config.VNI) effect { return p.storm(old.Storm, new.Storm) }},
	{"ClampMSS", func(_ *preview, old, new *config.VNI) effect {
		return effect{change: "clamp_mss " + onOff(old.ClampMSS, new.ClampMSS), then: "it holds for TCP connections that open from now on: " + nothing}
	}},
	{"VRF", func(_ *preview, old, new *config.VNI) effect {
		switch {
		case old.VRF == "":
			return effect{change: fmt.Sprintf("vrf +%q, gateway %s", new.VRF, list(new.Gateway)), then: "it is routed: " + nothing}
		case new.VRF == "":
			return effect{fmt.Sprintf("vrf -%q", old.VRF), "it is routed no more: what it routes is interrupted", true}
		}
		return effect{"vrf " + quoted(old.VRF, new.VRF), "what it routes goes by the routes of the other one", true}
	}},
	{"Gateway", func(_ *preview, old, new *config.VNI) effect {
		came, went := cameAndWent(old.Gateway, new.Gateway)
		switch {
		case old.VRF == "" || new.VRF == "":
			return effect{}
		case len(came)+len(went) == 0:
			return effect{change: "gateway " + arrow(list(old.Gateway), list(new.Gateway)), then: "the first of each family is the source of relayed DHCP: " + nothing}
		}
		e := effect{change: "gateway " + plusMinus(came, went, netip.Prefix.String)}
		if len(went) > 0 {
			e.then, e.interrupts = "who has a removed one as router, or is in a removed network, is interrupted", true
		}
		return e
	}},
	{"GatewayMAC", func(_ *preview, old, new *config.VNI) effect {
		if old.VRF == "" || new.VRF == "" {
			return effect{}
		}
		return effect{"gateway_mac " + arrow(old.GatewayMAC, new.GatewayMAC), "what its hosts route is interrupted until they have heard of the new one, which is announced", true}
	}},
	{"DHCPServers", func(_ *preview, old, new *config.VNI) effect {
		e := effect{change: "dhcp_servers " + plusMinusOrOrder(old.DHCPServers, new.DHCPServers), then: "DHCP is relayed to the servers of the new list: " + nothing}
		switch {
		case len(old.DHCPServers) == 0:
			e.then = "DHCP is relayed, and flooded no more"
		case len(new.DHCPServers) == 0:
			e.then = "DHCP is flooded, and relayed no more"
		}
		return e
	}},
	{"RA", func(_ *preview, old, new *config.VNI) effect {
		e := effect{change: "ra " + onOff(old.RA, new.RA), then: "the gateway is advertised to IPv6 hosts: " + nothing}
		switch {
		case old.VRF == "" || new.VRF == "":
			return effect{}
		case !new.RA:
			e.then, e.interrupts = "IPv6 hosts are told that the gateway is no router any more", true
		}
		return e
	}},
}

// flood tells of the head-end replication list.
func (p *preview) flood(old, new *config.VNI) effect {
	came, went := cameAndWent(old.Flood, new.Flood)
	e := effect{change: plusMinus(came, went, netip.Addr.String)}
	if e.change == "" {
		return effect{}
	}
	e.change = "flood list " + e.change
	if len(went) == 0 {
		return e
	}
	n := p.behindIn(new.ID, func(a netip.Addr) bool { return slices.Contains(went, a) })
	e.interrupts, e.then = true, flushed("the ", n)+" that "+list(went)+" had, and flooded frames go there no more"
	if followsFlood(old) && followsFlood(new) {
		e.then += ", nor are its frames heard (vtep_not_allowed)"
	}
	return e
}

// followsFlood reports whether those may send that are flooded to, and no others.
func followsFlood(v *config.VNI) bool {
	if len(v.AllowedVTEPs) != len(v.Flood) {
		return false
	}
	for _, q := range v.AllowedVTEPs {
		if !q.IsSingleIP() || !slices.Contains(v.Flood, q.Addr()) {
			return false
		}
	}
	return true
}

// allowed tells of who may send.
func (p *preview) allowed(old, new *config.VNI) effect {
	if followsFlood(old) && followsFlood(new) {
		return effect{} // told of with the flood list
	}
	came, went := cameAndWent(old.AllowedVTEPs, new.AllowedVTEPs)
	e := effect{change: plusMinus(came, went, host)}
	switch {
	case old.AllowedVTEPs == nil:
		e.change = "anyone -> " + hosts(new.AllowedVTEPs)
	case new.AllowedVTEPs == nil:
		return effect{change: "allowed_vteps " + hosts(old.AllowedVTEPs) + " -> anyone"}
	case e.change == "":
		return effect{}
	}
	e.change = "allowed_vteps " + e.change
	if old.AllowedVTEPs != nil && len(went) == 0 {
		return e
	}
	heard := forward.NewAddrSet(new.AllowedVTEPs)
	n := p.behindIn(new.ID, func(a netip.Addr) bool { return !heard.Contains(a) })
	e.interrupts, e.then = true, "frames of other VTEPs than these are dropped (vtep_not_allowed), "+flushed("and the ", n)+" that such have"
	return e
}

// allowedOnly tells of whether those may send, too, whom controllers name. Where the
// list itself changes, that has been told of.
func (p *preview) allowedOnly(old, new *config.VNI) effect {
	came, went := cameAndWent(old.AllowedVTEPs, new.AllowedVTEPs)
	switch {
	case old.AllowedVTEPs == nil || new.AllowedVTEPs == nil || len(came)+len(went) > 0:
		return effect{}
	case !new.AllowedOnly:
		return effect{change: "allowed_vteps written -> as flood", then: "VTEPs that controllers name may send, too: " + nothing}
	}
	e := effect{change: "allowed_vteps as flood -> written", then: "VTEPs that only controllers name may not send: " + nothing}
	listed := forward.NewAddrSet(new.AllowedVTEPs)
	if n := p.behindIn(new.ID, func(a netip.Addr) bool { return !listed.Contains(a) }); n > 0 {
		e.interrupts, e.then = true, "frames of VTEPs that only controllers name are dropped (vtep_not_allowed), "+flushed("and the ", n)+" that such have"
	}
	return e
}

// nobodys adds the VTEPs that no VNI names any more: they take along what was learned
// behind them, in VNIs too that did not name them.
func (p *preview) nobodys() {
	_, went := cameAndWent(addresses(p.was), addresses(p.next))
	floods := make(map[place]bool)
	for _, vni := range p.was.VNIs {
		for _, a := range vni.Flood {
			if v, ok := p.g.tables.VTEP(a); ok {
				floods[place{p.snap.VNIs[vni.ID], v}] = true
			}
		}
	}
	for _, a := range went {
		v, ok := p.g.tables.VTEP(a)
		if !ok {
			continue
		}
		n := p.behind(func(d fdb.Domain, of forward.VTEPID) bool { return of == v && !floods[place{d, v}] })
		if n > 0 {
			p.add("vtep "+a.String(), effect{"removed", flushed("the ", n) + " that VNIs have learned behind it without naming it", true})
		}
	}
}

// addresses returns the VTEPs that a configuration names, each once.
func addresses(c *config.Config) (all []netip.Addr) {
	for _, r := range c.Remotes() {
		all = append(all, r.VTEP)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// limit tells of a bound on MACs of which there are n.
func limit(old, new, n int) effect {
	e := effect{change: "mac_limit " + arrow(old, new)}
	if n >= new {
		e.then = fmt.Sprintf("the %s known stay, and no more are learned: %s", countOf(n, "MAC"), nothing)
	}
	return e
}

func vlanOf(v uint16) string {
	if v == 0 {
		return "none"
	}
	return fmt.Sprint(v)
}

func seconds(d time.Duration) string { return countOf(int(d/time.Second), "second") }

// host writes a prefix, and one of a single address as that.
func host(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func hosts(all []netip.Prefix) string {
	words := make([]string, len(all))
	for i, p := range all {
		words[i] = host(p)
	}
	return strings.Join(words, ", ")
}

// list writes addresses or prefixes.
func list[T fmt.Stringer](all []T) (s string) {
	for _, v := range all {
		s += ", " + v.String()
	}
	return cmp.Or(s, ", none")[2:]
}

// plusMinusOrOrder writes a change of a list in which the order matters.
func plusMinusOrOrder(old, new []netip.Addr) string {
	came, went := cameAndWent(old, new)
	return cmp.Or(plusMinus(came, went, netip.Addr.String), arrow(list(old), list(new)))
}
