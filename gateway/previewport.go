package gateway

import (
	"fmt"
	"net/netip"

	"vxgw/config"
	"vxgw/gateway/forward"
)

// ports adds the changes of access ports.
func (p *preview) ports(c *config.Changes) {
	for i := range c.Ports.Removed {
		q := &c.Ports.Removed[i]
		p.add(portItem(q), effect{"removed", p.flushedPort(q) + ", its frames are interrupted", true})
	}
	for i := range c.Ports.Added {
		p.add(portItem(&c.Ports.Added[i]), effect{change: "added"})
	}
	for _, q := range c.Ports.Changed {
		changed(p, portItem(&q.New), portFields, q)
	}
}

func portItem(p *config.Port) string { return "port " + p.Interface }

// flushedPort says how many MACs a port takes along.
func (p *preview) flushedPort(q *config.Port) string { return flushed("its ", p.macsOf(q)) }

func (p *preview) macsOf(q *config.Port) int {
	id, ok := p.g.tables.Port(q.Interface)
	if !ok {
		return 0
	}
	return p.g.tables.FDB().HopLearned(forward.PortHop(id))
}

// portFields is every field of a port but for its interface, which says which one it is.
var portFields = []field[config.Port]{
	{"VLAN", func(_ *preview, old, new *config.Port) effect {
		if old.VNI != new.VNI {
			return effect{} // told of below
		}
		return effect{change: "VLAN " + arrow(vlanOf(old.VLAN), vlanOf(new.VLAN)), then: fmt.Sprintf("it is VNI %d as before: %s", new.VNI, nothing)}
	}},
	{"VNI", func(p *preview, old, new *config.Port) effect {
		e := effect{"VNI " + arrow(old.VNI, new.VNI), p.flushedPort(new) + ", frames of it are interrupted", true}
		if old.VLAN != new.VLAN && old.VLAN != 0 && new.VLAN != 0 {
			e.change = fmt.Sprintf("VLAN %s (VNI %s)", arrow(old.VLAN, new.VLAN), arrow(old.VNI, new.VNI))
		}
		return e
	}},
	{"MACLimit", func(p *preview, old, new *config.Port) effect {
		return limit(old.MACLimit, new.MACLimit, p.macsOf(new))
	}},
	{"Isolated", func(_ *preview, old, new *config.Port) effect {
		e := effect{change: "isolated " + onOff(old.Isolated, new.Isolated)}
		if new.Isolated {
			e.then, e.interrupts = "frames between it and other isolated ports are dropped (isolated_port)", true
		}
		return e
	}},
	{"BPDU", func(_ *preview, old, new *config.Port) effect {
		return effect{change: "bpdu " + arrow(old.BPDU, new.BPDU), then: "spanning tree is treated so from now on: nothing else is interrupted"}
	}},
	{"DropPriority", func(_ *preview, old, new *config.Port) effect {
		if new.DropPriority {
			return effect{"priority_tagged accept -> drop", "frames tagged VID 0 are dropped (tagged_frame)", true}
		}
		return effect{change: "priority_tagged drop -> accept"}
	}},
}

// macs adds the changes of static MAC addresses.
func (p *preview) macs(c *config.Changes) {
	for i := range c.MACs.Removed {
		p.add(macItem(&c.MACs.Removed[i]), effect{change: "removed", then: "frames to it are flooded until it is heard: " + nothing})
	}
	for i := range c.MACs.Added {
		m := &c.MACs.Added[i]
		e := effect{change: "added, behind " + macPlace(m)}
		if at, known := p.placeOf(m); known && at != macPlace(m) {
			e.then, e.interrupts = "frames to it go there, and no more to "+at, true
		}
		p.add(macItem(m), e)
	}
	for _, m := range c.MACs.Changed {
		changed(p, macItem(&m.New), macFields, m)
	}
}

func macItem(m *config.StaticMAC) string { return fmt.Sprintf("mac %s in vni %d", m.MAC, m.VNI) }

func macPlace(m *config.StaticMAC) string {
	if m.VTEP.IsValid() {
		return "vtep " + m.VTEP.String()
	}
	return "port " + m.Port
}

// placeOf returns where the FDB has a MAC now.
func (p *preview) placeOf(m *config.StaticMAC) (at string, known bool) {
	d, ok := p.snap.VNIs[m.VNI]
	if !ok {
		return "", false
	}
	e, ok := p.g.tables.FDB().Lookup(d, m.MAC, p.g.edges.Clock())
	if !ok {
		return "", false
	}
	if port, isPort := forward.HopPort(e.Hop); isPort {
		return "port " + p.snap.Ports[port].Name, true
	}
	return "vtep " + p.snap.VTEPs[forward.HopVTEP(e.Hop)].Addr.String(), true
}

// macFields is every field of a static MAC but for VNI and MAC, which say which one it
// is. One of the two is set.
var macFields = []field[config.StaticMAC]{
	{"VTEP", macMoves},
	{"Port", func(p *preview, old, new *config.StaticMAC) effect {
		if old.VTEP != new.VTEP {
			return effect{} // told of already
		}
		return macMoves(p, old, new)
	}},
}

func macMoves(_ *preview, old, new *config.StaticMAC) effect {
	return effect{"behind " + arrow(macPlace(old), macPlace(new)), "frames to it go to the new place", true}
}

// vrfs adds the changes of routing tables.
func (p *preview) vrfs(c *config.Changes) {
	for i := range c.VRFs.Removed {
		// What it routed its VNIs tell of.
		p.add("vrf "+c.VRFs.Removed[i].Name, effect{change: "removed"})
	}
	for i := range c.VRFs.Added {
		p.add("vrf "+c.VRFs.Added[i].Name, effect{change: "added"})
	}
	for _, v := range c.VRFs.Changed {
		for _, f := range vrfFields {
			f.does(p, &v.Old, &v.New)
		}
	}
}

// vrfFields is every field of a VRF but for its name, which says which one it is.
var vrfFields = []field[config.VRF]{
	{"Routes", func(p *preview, old, new *config.VRF) effect {
		p.routes("vrf "+new.Name, old, new)
		return effect{}
	}},
}

// routes adds the changes of the static routes of a VRF, one for each prefix.
func (p *preview) routes(item string, old, new *config.VRF) {
	was := make(map[netip.Prefix]config.Route, len(old.Routes))
	for _, r := range old.Routes {
		was[r.Prefix] = r
	}
	for _, r := range new.Routes {
		before, there := was[r.Prefix]
		delete(was, r.Prefix)
		switch by := r.By(); {
		case !there:
			p.add(item, effect{fmt.Sprintf("route +%s %s", r.Prefix, by), "packets to there go by it", true})
		case before.By() != by:
			p.add(item, effect{fmt.Sprintf("route %s %s", r.Prefix, arrow(before.By(), by)), "packets to there go the new way", true})
		}
	}
	for _, r := range old.Routes {
		if _, gone := was[r.Prefix]; gone {
			p.add(item, effect{fmt.Sprintf("route -%s %s", r.Prefix, r.By()), "packets to there go by a shorter prefix, or are dropped (no_route)", true})
		}
	}
}
