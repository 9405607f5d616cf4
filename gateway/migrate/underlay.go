package migrate

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vxgw/l3/underlay/path/kernel"
)

// underlay is [underlay] as it is written.
type underlay struct {
	address  netip.Addr
	holder   *kernel.Link // nil: no device has the address
	device   string       // "": the holder
	port     uint16
	ttl      uint8 // 0: the default
	dscp     int   // -1: inherited
	df       bool
	checksum bool
	ports    [2]uint16 // the first and the last; 0: the default
}

// end is where a vxlan device speaks from.
type end struct {
	address netip.Addr
	port    uint16
}

// endOf returns it; the address is the zero Addr where nobody knows.
func endOf(l *kernel.Link) end {
	a := l.VXLAN.Local
	if !a.IsValid() {
		a = l.VXLAN.Chosen
	}
	return end{a, l.VXLAN.Port}
}

// underlay takes the address and port that most VNIs have, and returns these VNIs.
func (c *converter) underlay(all []domain) (kept []domain, err error) {
	var ends []end
	for _, d := range all {
		if e := endOf(d.device); isHost(e.address) {
			ends = append(ends, e)
		}
	}
	if len(ends) == 0 {
		return nil, errors.New("no vxlan device here has a local address that other VTEPs could reach, nor does a route say which it has: ip link set DEVICE type vxlan local ADDRESS, or write the file by hand, from `vxgw sample`")
	}
	is := most(ends)
	c.u.address, c.u.port = is.address, is.port
	c.u.holder = c.holder(is.address)
	var others []end
	left := map[end][]string{} // names of devices
	for _, d := range all {
		e := endOf(d.device)
		if e == is || !e.address.IsValid() && e.port == is.port {
			kept = append(kept, d)
			continue
		}
		if left[e] == nil {
			others = append(others, e)
		}
		if !slices.Contains(left[e], d.device.Name) {
			left[e] = append(left[e], d.device.Name)
		}
	}
	for _, e := range others {
		c.note("have all devices use one address and port, which the other VTEPs must learn of, or run a second gateway with a file of its own: vxgw import BRIDGE is for one bridge",
			"vxlan %s from %s, and most VNIs from %s: a gateway is one VTEP, and these VNIs are left out",
			choose(len(left[e]) == 1, "device "+left[e][0]+" speaks", "devices "+strings.Join(left[e], ", ")+" speak"), e, is)
	}
	c.settings(devices(kept))
	return kept, nil
}

func (e end) String() string {
	address := "no local address"
	if e.address.IsValid() {
		address = e.address.String()
	}
	return fmt.Sprintf("%s, UDP port %d", address, e.port)
}

// most returns what a list has most often; of several the first.
func most[T comparable](list []T) (is T) {
	n := map[T]int{}
	for _, v := range list {
		n[v]++
	}
	for _, v := range list {
		if n[v] > n[is] {
			is = v
		}
	}
	return is
}

// devices returns the vxlan devices of domains, each once.
func devices(all []domain) (out []*kernel.Link) {
	for _, d := range all {
		if !slices.Contains(out, d.device) {
			out = append(out, d.device)
		}
	}
	return out
}

// holder returns the device that has an address, nil: none.
func (c *converter) holder(a netip.Addr) *kernel.Link {
	for i := range c.Links {
		if slices.ContainsFunc(c.Links[i].Addrs, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return &c.Links[i]
		}
	}
	return nil
}

// one returns the value that most devices have, and notes those that have another.
func one[T comparable](c *converter, all []*kernel.Link, what string, get func(*kernel.VXLAN) T, show func(T) string) T {
	var values []T
	for _, l := range all {
		values = append(values, get(l.VXLAN))
	}
	is := most(values)
	for i, v := range values {
		if v != is {
			c.note("have it the same for all VNIs", "vxlan device %s has %s, most have %s: a gateway has one %s for all VNIs", all[i].Name, show(v), show(is), what)
		}
	}
	return is
}

// settings fills in the outer header's.
func (c *converter) settings(all []*kernel.Link) {
	u := &c.u
	u.ttl = one(c, all, "TTL", func(x *kernel.VXLAN) uint8 { return x.TTL }, func(n uint8) string {
		if n == 0 {
			return "ttl auto"
		}
		return fmt.Sprintf("ttl %d", n)
	})
	u.dscp = one(c, all, "DSCP", func(x *kernel.VXLAN) int {
		if x.TOS == 1 {
			return -1
		}
		return int(x.TOS >> 2)
	}, func(n int) string {
		if n < 0 {
			return "tos inherit"
		}
		return fmt.Sprintf("DSCP %d", n)
	})
	if u.address.Is4() {
		u.df = one(c, all, "setting of DF", func(x *kernel.VXLAN) bool { return x.DF == 1 }, func(on bool) string { return "df " + choose(on, "set", "unset") })
		u.checksum = one(c, all, "setting of the UDP checksum", func(x *kernel.VXLAN) bool { return x.Checksum }, func(on bool) string { return choose(on, "udpcsum", "noudpcsum") })
	} else {
		u.checksum = one(c, all, "setting of the UDP checksum", func(x *kernel.VXLAN) bool { return !x.ZeroTX6 }, func(on bool) string { return choose(on, "noudp6zerocsumtx", "udp6zerocsumtx") })
	}
	u.ports = one(c, all, "range of source ports", sourcePorts, func(r [2]uint16) string {
		if r[0] == 0 {
			return "srcport 0 0"
		}
		return fmt.Sprintf("srcport %d-%d", r[0], r[1])
	})
	u.device = c.through(all)
}

// sourcePorts returns the first and the last one. The kernel's range ends before its
// second number (udp_flow_src_port).
func sourcePorts(x *kernel.VXLAN) [2]uint16 {
	if x.FirstPort == 0 {
		return [2]uint16{}
	}
	return [2]uint16{x.FirstPort, max(x.FirstPort, x.LastPort-min(1, x.LastPort))}
}

// through returns the name of the underlay device, "" where that follows from the
// address.
func (c *converter) through(all []*kernel.Link) string {
	index := one(c, all, "underlay device", func(x *kernel.VXLAN) int { return x.Device }, func(i int) string {
		if l := c.Link(i); l != nil {
			return "dev " + l.Name
		}
		return "no dev"
	})
	l := c.Link(index)
	if l == nil || !nameable(l.Name) {
		return ""
	}
	if c.u.holder != nil && c.u.holder != l {
		c.note("let routes lead by "+l.Name+", or move the address there", "the vxlan devices send by %s, and %s is on %s: packets leave as the routes say", l.Name, c.u.address, c.u.holder.Name)
		return ""
	}
	return l.Name
}

// aboutDevices notes what the vxlan devices and bridges of the VNIs do beyond.
func (c *converter) aboutDevices(all []domain) {
	for _, l := range devices(all) {
		c.aboutVXLAN(l)
	}
	var told []*kernel.Link
	for _, d := range all {
		if !slices.Contains(told, d.bridge) {
			told = append(told, d.bridge)
			c.aboutBridge(d.bridge)
		}
	}
}

func (c *converter) aboutVXLAN(l *kernel.Link) {
	x, six := l.VXLAN, c.u.address.Is6()
	for _, n := range []struct {
		is         bool
		what, mend string
	}{
		{!l.Up, "is down, and carries nothing", "leave its VNIs out if nobody needs them"},
		{!endOf(l).address.IsValid(), "has no local address, and no route says which it takes: it is taken for the same as the others'", "look at what its VTEPs send to"},
		{!x.Local.IsValid() && x.Chosen.IsValid(), "has no local address: the one written is what the route says now", "look whether other VTEPs know it by that address"},
		{x.TTLInherit, "inherits the TTL of the inner packet (ttl inherit)", "a fixed ttl is used: nothing is to be done where VTEPs are fewer hops away"},
		{x.DF == 2 && !six, "inherits DF of the inner packet (df inherit)", "set df = true, and nothing is fragmented on its way"},
		{x.ZeroRX6 && !x.ZeroTX6 && six, "accepts IPv6 packets without UDP checksum (udp6zerocsumrx), and sends with one", "where a VTEP sends without, udp_checksum = false accepts them, and sends without too"},
		{x.Label != 0, "sets an IPv6 flow label (flowlabel)", "nothing: the source port tells flows apart"},
		{x.GBP, "carries group policy ids (gbp)", "filter by other means: vxgw ignores the ids that come, and sends none"},
		{x.RemoteChksum, "has checksums offloaded to the other end (remcsumtx, remcsumrx)", "turn it off at the other VTEPs: vxgw does not understand it"},
		{x.Proxy, "answers ARP and ND out of this machine's own neighbour table (proxy)", "suppress_arp = true is written: it answers out of what it hears"},
		{x.RSC, "routes by itself (rsc)", "give the VNIs vrf and gateway"},
	} {
		if n.is {
			c.note(n.mend, "vxlan device %s %s", l.Name, n.what)
		}
	}
}

func (c *converter) aboutBridge(l *kernel.Link) {
	b := l.Bridge
	for _, n := range []struct {
		is         bool
		what, mend string
	}{
		{b.STP, "speaks spanning tree, and vxgw does not: its ports drop BPDUs", `see that no loop goes through its ports; bpdu = "tunnel" passes the spanning tree of the switches through, "shutdown" takes a port down that hears one`},
		{b.ForwardMask != 0, fmt.Sprintf("passes reserved addresses on (group_fwd_mask %#x)", b.ForwardMask), "nothing passes these here but BPDUs: run LLDP, LACP and the like with the switch"},
		{b.Service, "filters by service tags (802.1ad), so that customers' tags pass", "there is no such thing here: frames with a tag are dropped"},
		{b.Ageing == 0, "keeps no MAC addresses (ageing_time 0), and floods everything", "nothing: MAC addresses are learned here, and kept for 300s"},
		{b.CallIPTables, "has bridged packets pass iptables, ip6tables or arptables (nf_call_iptables)", "filter elsewhere: what the gateway bridges no firewall of this machine sees"},
	} {
		if n.is {
			c.note(n.mend, "bridge %s %s", l.Name, n.what)
		}
	}
}

// aboutAlone notes VNIs that no port is in.
func (c *converter) aboutAlone() {
	for _, v := range c.vnis {
		switch {
		case len(v.ports) > 0:
		case slices.ContainsFunc(c.routed(v.domain), func(l *kernel.Link) bool { return len(l.Addrs) == 0 && l.Master != 0 }):
			v.note("take it out, and give the VRF's VNIs vrf and gateway at every VTEP instead", "it looks like the layer-3 VNI of a VRF (symmetric IRB), and there is no such thing here")
		default:
			v.note("take it out, or give it one", "no access port of this machine is in it")
		}
	}
}

func choose[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}
