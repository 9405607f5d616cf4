package migrate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vxgw/l3/underlay/path/kernel"
)

// vrf is one [[vrf]].
type vrf struct {
	name      string
	table     uint32
	connected []connected
	routes    []route
	notes     []note
}

// connected is a prefix that a gateway is in.
type connected struct {
	netip.Prefix // the gateway's own address and length
	vni          *vni
}

type route struct {
	kernel.Route
	vias []netip.Addr
	vni  uint32 // of link-local next hops
}

func (v *vrf) note(mend, format string, args ...any) {
	v.notes = append(v.notes, note{fmt.Sprintf(format, args...), mend})
}

// routed returns the devices by which this machine is in a network itself.
func (c *converter) routed(d domain) (own []*kernel.Link) {
	for i := range c.Links {
		l := &c.Links[i]
		switch {
		case l == d.bridge && (d.vlan == 0 || slices.ContainsFunc(l.VLANs, func(v kernel.VLAN) bool { return v.PVID && v.Untagged && v.First == d.vlan })):
			own = append(own, l)
		case l.Parent == d.bridge.Index && d.vlan != 0 && l.VLANID == d.vlan:
			own = append(own, l)
		}
	}
	return own
}

// addGateway gives a VNI the addresses that this machine has in its network.
func (c *converter) addGateway(v *vni) {
	for _, l := range c.routed(v.domain) {
		c.aboutUpper(v, l)
		for _, p := range l.Addrs {
			c.addAddr(v, l, p)
		}
	}
	if v.vlan != 0 {
		return
	}
	for i := range c.Links {
		if l := &c.Links[i]; l.VLANID != 0 && l.Parent == v.bridge.Index {
			v.note("give that VLAN a bridge and a VNI of its own", "%s is VLAN %d inside of bridge %s: frames with a tag are dropped here", l.Name, l.VLANID, v.bridge.Name)
		}
	}
}

// aboutUpper notes devices on top of one that is in the network.
func (c *converter) aboutUpper(v *vni, under *kernel.Link) {
	for i := range c.Links {
		if l := &c.Links[i]; l.Parent == under.Index && strings.HasPrefix(l.Kind, "macvlan") {
			v.note("where these are an anycast gateway's, write them in the place of gateway and gateway_mac", "%s, on top of %s, has %s", l.Name, under.Name, orNone(words(l.Addrs)))
		}
	}
}

func words[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}

func (c *converter) addAddr(v *vni, l *kernel.Link, p netip.Prefix) {
	if forwards := choose(p.Addr().Is4(), l.Forwards.IPv4, l.Forwards.IPv6); !forwards {
		v.note("to keep it make a veth pair, with the address on one end and the other as a [[port]] here; a gateway that hosts route by is vrf and gateway",
			"%s has %s: this machine's own address in the network, for it does not forward. An access port gives the machine none", l.Name, p)
		return
	}
	if p.Addr() == c.u.address {
		v.note("give the underlay an interface of its own", "%s has %s, which is the VTEP's address: the underlay runs inside of the overlay", l.Name, p)
		return
	}
	r := c.vrfOf(l)
	if why := r.refuses(p); why != "" {
		v.note("write another, or leave it out", "%s has %s, which no gateway can have: %s", l.Name, p, why)
		return
	}
	if len(v.gateway) > 0 && v.vrf != r {
		v.note("have all in one VRF", "%s has %s in VRF %s, and the VNI is in %s", l.Name, p, r.name, v.vrf.name)
		return
	}
	if len(v.gateway) == 0 {
		v.note("have DHCP relayed by dhcp_servers, and other services of this machine reached by a veth pair, with one end as a [[port]] here. When you change over take the addresses away, because Linux answers ARP for those of a device that is down too:\nip address flush dev "+l.Name,
			"%s becomes a gateway of vxgw's: it answers ARP, ND and ping at these addresses and routes, and no service of this machine is reached at them", l.Name)
	}
	v.gateway, v.vrf = append(v.gateway, p), r
	if v.gatewayMAC.IsZero() && !l.MAC.IsMulticast() {
		v.gatewayMAC = l.MAC
	}
	r.connected = append(r.connected, connected{p, v})
}

// vrfOf returns the VRF that a device is in.
func (c *converter) vrfOf(l *kernel.Link) *vrf {
	is := vrf{name: "main", table: kernel.MainTable}
	if master := c.Link(l.Master); master != nil && master.Kind == "vrf" {
		is = vrf{name: master.Name, table: master.Table}
		if !nameable(is.name) {
			is.name = fmt.Sprintf("table %d", is.table)
		}
	}
	for _, r := range c.vrfs {
		if r.table == is.table {
			return r
		}
	}
	for slices.ContainsFunc(c.vrfs, func(r *vrf) bool { return r.name == is.name }) {
		is.name += "-"
	}
	c.vrfs = append(c.vrfs, &is)
	return &is
}

// refuses says why an address cannot be a gateway's in this VRF.
func (r *vrf) refuses(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case !isHost(a):
		return "it is no single host's"
	case p.Bits() == 0:
		return "it covers every address"
	case noHostOf(p):
		return "it is the network's own address or its broadcast address"
	}
	for _, o := range r.connected {
		if o.Overlaps(p) {
			return fmt.Sprintf("it overlaps %s, of VNI %d, in VRF %s", o.Prefix, o.vni.vni, r.name)
		}
	}
	return ""
}

// noHostOf reports whether an address is the first of its prefix or, in IPv4, the last,
// where that has both (RFC 3021, RFC 6164).
func noHostOf(p netip.Prefix) bool {
	a := p.Addr()
	if p.Bits() >= a.BitLen()-1 {
		return false
	}
	next := a.Next()
	return a == p.Masked().Addr() || a.Is4() && (!next.IsValid() || !p.Contains(next))
}

// addRoutes carries static routes of the VRFs over.
func (c *converter) addRoutes() {
	for _, r := range c.vrfs {
		for _, k := range c.Routes {
			if k.Table == r.table {
				c.addRoute(r, k)
			}
		}
	}
}

// maxHops bounds the next hops of one route in the file.
const maxHops = 16

func (c *converter) addRoute(r *vrf, k kernel.Route) {
	is := route{Route: k}
	why := ""
	switch discards := k.Blackhole || k.Unreachable; {
	case discards && r.table == kernel.MainTable, !discards && !c.touches(r, k): // this machine's own
		if k.Prefix.Bits() == 0 && !discards {
			r.note("put a router into one of the VNIs and write it as via, or leave the VNIs to this machine", "the default route of the main table leads out of the overlay: a VRF here reaches VNIs only")
		}
		return
	case k.Prefix.Addr().IsMulticast() || k.Prefix.Addr().IsLoopback():
		why = "that is not routed"
	case slices.ContainsFunc(r.connected, func(o connected) bool { return o.Masked() == k.Prefix }):
		return // the gateway connects it
	case slices.ContainsFunc(r.routes, func(o route) bool { return o.Prefix == k.Prefix }):
		why = "there is one already, which comes first"
	case len(k.Hops) > maxHops:
		why = "it has more than 16 next hops"
	case !discards:
		why = c.hops(r, &is)
	}
	if why != "" {
		r.note("write it by hand where it is needed", "the route to %s in VRF %s: %s", k.Prefix, r.name, why)
		return
	}
	r.routes = append(r.routes, is)
}

// touches reports whether a route leads into one of the networks of a VRF. In a VRF of
// its own all do, or should.
func (c *converter) touches(r *vrf, k kernel.Route) bool {
	return r.table != kernel.MainTable || slices.ContainsFunc(k.Hops, func(h kernel.Hop) bool { return c.behind(r, h) != nil })
}

// behind returns the VNI whose network a next hop is in by its device, nil: none.
func (c *converter) behind(r *vrf, h kernel.Hop) *vni {
	for _, o := range r.connected {
		if slices.ContainsFunc(c.routed(o.vni.domain), func(l *kernel.Link) bool { return l.Index == h.Link }) {
			return o.vni
		}
	}
	return nil
}

// hops fills in the next hops, or says why it cannot.
func (c *converter) hops(r *vrf, is *route) string {
	for _, h := range is.Hops {
		at := c.behind(r, h)
		switch {
		case at == nil:
			return "it leaves by a device that is in no VNI here"
		case !h.Via.IsValid():
			return "its next hop is not a router: " + choose(len(is.Hops) == 1, "add the network to gateway", "write a router")
		case h.Via.Is4() != is.Prefix.Addr().Is4():
			return "its next hop is of another address family"
		case slices.Contains(is.vias, h.Via): // of another weight
			continue
		case h.Via.Is6() && h.Via.IsLinkLocalUnicast():
			if len(is.vias) > 0 && is.vni != at.vni || !slices.ContainsFunc(at.gateway, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
				return "its link-local next hops are in more than one VNI, or in one without an IPv6 gateway"
			}
			is.vni = at.vni
		case is.vni != 0 || !r.connects(h.Via, at):
			return fmt.Sprintf("no gateway here is in the network of its next hop %s", h.Via)
		}
		is.vias = append(is.vias, h.Via)
	}
	return ""
}

// connects reports whether a next hop is another host in a gateway's network.
func (r *vrf) connects(via netip.Addr, at *vni) bool {
	return slices.ContainsFunc(r.connected, func(o connected) bool {
		return o.vni == at && o.Contains(via) && o.Addr() != via && isHost(via) && !noHostOf(netip.PrefixFrom(via, o.Bits()))
	})
}
