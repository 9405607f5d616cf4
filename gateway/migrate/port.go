package migrate

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"vxgw/l3/underlay/path/kernel"
)

// port is one [[port]].
type port struct {
	*kernel.Link
	notes []note
	bpdu  string // "": the default
}

func (p *port) note(mend, format string, args ...any) {
	p.notes = append(p.notes, note{fmt.Sprintf(format, args...), mend})
}

// nameable reports whether a file can name a device: the kernel takes names that are
// no text.
func nameable(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == ':' || r == '/' })
}

// number gives VNIs their vlan: the VLAN of the bridge, or that of the sub-interfaces
// that are the ports of a bridge without VLANs. What is taken stays away.
func (c *converter) number() {
	taken := map[uint16]bool{}
	for _, v := range c.vnis {
		n := v.vlan
		if n == 0 {
			n = c.subInterfaces(v.bridge)
		}
		if n != 0 && !taken[n] {
			v.number, taken[n] = n, true
		}
	}
}

// subInterfaces returns the VLAN that all ports of a bridge are sub-interfaces of, 0
// where there is none.
func (c *converter) subInterfaces(bridge *kernel.Link) (id uint16) {
	for i := range c.Links {
		l := &c.Links[i]
		switch {
		case l.Master != bridge.Index || l.VXLAN != nil:
		case l.VLANID == 0, id != 0 && id != l.VLANID:
			return 0
		default:
			id = l.VLANID
		}
	}
	return id
}

// vniOf returns the VNI of a VLAN of a bridge, nil: none.
func (c *converter) vniOf(bridge *kernel.Link, vlan uint16) *vni {
	for _, v := range c.vnis {
		if v.bridge == bridge && v.vlan == vlan {
			return v
		}
	}
	return nil
}

// addPorts adds the ports of every bridge that has a VNI.
func (c *converter) addPorts() {
	for i := range c.Links {
		l := &c.Links[i]
		bridge := c.Link(l.Master)
		if l.VXLAN != nil || bridge == nil || !slices.ContainsFunc(c.vnis, func(v *vni) bool { return v.bridge == bridge }) {
			continue
		}
		if why, mend := c.unfitPort(l); why != "" {
			c.note(mend, "%s, a port of bridge %s, %s", l.Name, bridge.Name, why)
			continue
		}
		if !bridge.Bridge.Filtering {
			c.addPort(c.vniOf(bridge, 0), l)
			continue
		}
		c.addFiltered(bridge, l)
	}
	for _, v := range c.vnis {
		c.addLocals(v)
	}
}

// unfitPort says why a device cannot be an access port, and what to do.
func (c *converter) unfitPort(l *kernel.Link) (why, mend string) {
	switch {
	case l == c.u.holder || l.Name == c.u.device:
		return "is the underlay too", "give the underlay, or the hosts, an interface of their own"
	case !nameable(l.Name):
		return "has a name that cannot be written", "give it another: ip link set NAME name NEW"
	}
	return "", ""
}

// addFiltered adds a port of a VLAN-aware bridge.
func (c *converter) addFiltered(bridge, l *kernel.Link) {
	own, tagged, more := access(l.VLANs)
	v := c.vniOf(bridge, own)
	var p *port
	note := c.note
	switch {
	case own != 0 && v != nil:
		p = c.addPort(v, l)
		note = p.note
	case own != 0:
		c.note(fmt.Sprintf("give VLAN %d a [[vni]], or leave the port to the bridge", own), "%s is in VLAN %d of bridge %s, which no VNI stands for", l.Name, own, bridge.Name)
	}
	if len(more) > 0 {
		note("give these VLANs and VLAN "+fmt.Sprint(own)+" one VNI, where they are one network", "%s also sends what is in VLANs %s, untagged: an access port is in one VLAN", l.Name, ranges(more))
	}
	if len(tagged) > 0 {
		note("have the switch send each VLAN untagged to a port of its own, or make sub-interfaces and ports of these, as written behind # at their VNIs:\n"+subInterfaces(l.Name, tagged),
			"%s is a trunk: VLANs %s have a tag there, and an access port takes frames without one", l.Name, ranges(tagged))
		for _, t := range tagged {
			c.trunk(bridge, l, t)
		}
	}
	if own == 0 && len(tagged) == 0 {
		c.note("bridge vlan add dev "+l.Name+" vid VLAN pvid untagged, and import again", "%s is in no VLAN of bridge %s as its PVID, untagged", l.Name, bridge.Name)
	}
}

// trunk notes at VNIs who has them tagged.
func (c *converter) trunk(bridge, l *kernel.Link, t kernel.VLAN) {
	for _, v := range c.vnis {
		if name := fmt.Sprintf("%s.%d", l.Name, v.vlan); v.bridge == bridge && t.First <= v.vlan && v.vlan <= t.Last {
			v.trunks = append(v.trunks, name)
		}
	}
}

// subInterfaces writes the commands that make them.
func subInterfaces(name string, vlans []kernel.VLAN) string {
	if len(vlans) == 1 && vlans[0].First == vlans[0].Last {
		return fmt.Sprintf("ip link add link %s name %[1]s.%d type vlan id %[2]d", name, vlans[0].First)
	}
	var list []string
	for _, v := range vlans {
		list = append(list, choose(v.First == v.Last, fmt.Sprint(v.First), fmt.Sprintf("$(seq %d %d)", v.First, v.Last)))
	}
	return fmt.Sprintf("for v in %s; do ip link add link %s name %[2]s.$v type vlan id $v; ip link set %[2]s.$v up; done", strings.Join(list, " "), name)
}

// addPort makes a device an access port of a VNI. A bridge that speaks no spanning
// tree passes that of others, both ways (br_handle_frame).
func (c *converter) addPort(v *vni, l *kernel.Link) *port {
	p := &port{Link: l}
	v.ports = append(v.ports, p)
	s := l.Port
	if s == nil {
		s = &kernel.Port{Learning: true, Unicast: true, Multicast: true, Flooded: true}
	}
	switch {
	case s.Guard:
		p.bpdu = "shutdown"
	case !v.bridge.Bridge.STP:
		p.bpdu = "tunnel"
	}
	for _, n := range []struct {
		is         bool
		what, mend string
	}{
		{s.Locked, "is locked: only MAC addresses that were let in may send (802.1X, locked on)", "there is no such thing here, and everybody may send: leave the port to the bridge, or have the switch authenticate"},
		{!s.Learning, "learns no MAC addresses (learning off)", "here it does; [[mac]] entries hold what must not move"},
		{!s.Unicast || !s.Multicast || !s.Flooded, "is not flooded to" + floods(s) + ", and here everything is", "storm_control bounds what is flooded"},
		{s.Hairpin, "sends frames back where they came from (hairpin on)", "there is no such thing here: let what is behind the port bridge by itself"},
		{s.Suppress, "has neighbour suppression (neigh_suppress on)", "suppress_arp = true at the VNI answers for all its ports"},
		{s.ForwardMask != 0, fmt.Sprintf("passes reserved addresses on (group_fwd_mask %#x)", s.ForwardMask), "nothing passes these here but BPDUs: run LLDP, LACP and the like with the switch"},
	} {
		if n.is {
			p.note(n.mend, "%s %s", l.Name, n.what)
		}
	}
	c.addStatic(v, p)
	return p
}

// addStatic takes the static entries of the bridge that are behind a port.
func (c *converter) addStatic(v *vni, p *port) {
	for _, e := range p.FDB {
		taken := slices.ContainsFunc(v.macs, func(m mac) bool { return m.address == e.MAC })
		switch {
		case !e.Bridge || e.Local || e.VLAN != v.vlan || e.MAC.IsZero():
		case e.Daemon:
			p.note("have the daemon's entry made again, as a [[mac]], or let it be learned", "%s was found behind %s by a daemon", e.MAC, p.Name)
		case e.MAC.IsMulticast():
			p.note("nothing, if a copy for every port does no harm", "frames for the multicast address %s go to %s alone: here multicast is flooded", e.MAC, p.Name)
		case taken:
			p.note("write the place where it is", "%s is behind %s and elsewhere in VNI %d", e.MAC, p.Name, v.vni)
		case e.MAC == v.gatewayMAC:
			p.note("nothing", "%s is the gateway's own address", e.MAC)
		default:
			v.macs = append(v.macs, mac{address: e.MAC, port: p.Name})
		}
	}
}

// addLocals notes what the bridge takes in itself, and drops static MACs that the
// gateway has.
func (c *converter) addLocals(v *vni) {
	v.macs = slices.DeleteFunc(v.macs, func(m mac) bool { return m.address == v.gatewayMAC })
	for i := range c.Links {
		l := &c.Links[i]
		if l != v.bridge && l.Master != v.bridge.Index {
			continue
		}
		for _, e := range l.FDB {
			if e.Bridge && e.Local && e.VLAN == v.vlan {
				v.note("where a host behind the port is meant, which takes `static` instead of `permanent` in `bridge fdb add`, write a [[mac]]", "bridge %s takes frames for %s itself (bridge fdb: permanent, at %s)", v.bridge.Name, e.MAC, l.Name)
			}
		}
	}
}
