package migrate

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"vxgw/l2/frame"
	"vxgw/l3/underlay/path/kernel"
)

// vni is one [[vni]] and all that belongs to it.
type vni struct {
	domain
	notes []note

	number   uint16 // its vlan; 0: ports name the VNI
	flood    []netip.Addr
	group    netip.Addr
	allowed  []netip.Addr // nil: not written
	learning bool
	ageing   time.Duration
	limit    uint32 // 0: the default
	suppress bool

	vrf        *vrf
	gateway    []netip.Prefix
	gatewayMAC frame.MAC

	ports  []*port
	trunks []string // ports that have it tagged
	macs   []mac
}

// mac is one [[mac]].
type mac struct {
	address frame.MAC
	vtep    netip.Addr // or
	port    string
}

func (v *vni) note(mend, format string, args ...any) {
	v.notes = append(v.notes, note{fmt.Sprintf(format, args...), mend})
}

// The ends of mac_limit and of an ageing time in the file.
const (
	maxMACs       = 1 << 24
	maxAgeing     = 1_000_000 * time.Second
	defaultAgeing = 300 * time.Second
)

func (c *converter) addVNI(d domain) {
	x, b := d.device.VXLAN, d.bridge.Bridge
	v := &vni{domain: d, learning: x.Learning, suppress: x.Proxy || d.device.Port != nil && d.device.Port.Suppress}
	c.vnis = append(c.vnis, v)
	v.setAgeing(b, x)
	for _, n := range []uint32{x.MaxLearned, b.MaxLearned} {
		if n != 0 && (v.limit == 0 || n < v.limit) {
			v.limit = min(n, maxMACs)
		}
	}
	daemon := c.readTable(v)
	v.allow()
	if daemon > 0 {
		v.note("a routing daemon (EVPN) keeps them: learning = true finds them by flooding, or have a controller of your own write them through the control API (PUT /v1/origins/evpn)",
			"%s by a routing daemon", count(daemon, "forwarding entry was written", "forwarding entries were written"))
	}
	v.aboutPort(d.device)
	c.addGateway(v)
}

func count(n int, one, more string) string {
	return fmt.Sprintf("%d %s", n, choose(n == 1, one, more))
}

// setAgeing: the kernel has a time for the bridge and one for the vxlan device.
func (v *vni) setAgeing(b *kernel.Bridge, x *kernel.VXLAN) {
	v.ageing = defaultAgeing
	if b.Ageing != 0 {
		v.ageing = min(max(b.Ageing.Round(time.Second), time.Second), maxAgeing)
	}
	if x.Learning && x.Ageing != b.Ageing && b.Ageing != 0 {
		v.note("change ageing where the other is meant", "MAC addresses age after %v at the bridge, and %s at the vxlan device: one time is for both", b.Ageing,
			choose(x.Ageing == 0, "never", "after "+x.Ageing.String()))
	}
}

// readTable reads the device's own forwarding table. It returns how many entries of a
// daemon are left out.
func (c *converter) readTable(v *vni) (daemon int) {
	seen := map[frame.MAC]bool{}
	for _, e := range v.device.FDB {
		switch {
		case e.Bridge, v.device.VXLAN.External && e.Source != v.vni:
		case e.MAC.IsZero():
			v.addRemote(e, c.u.address)
		case e.Daemon:
			daemon++
		case e.MAC.IsMulticast():
			v.note("nothing, if a copy for every VTEP does no harm", "frames for the multicast address %s go to %s alone: here multicast is flooded", e.MAC, e.Remote)
		case !v.reaches(e, c.u.address):
		case seen[e.MAC]:
			v.note("nothing can be sent to several VTEPs by one address: use a multicast address, or take it out", "%s is behind several VTEPs, %s too", e.MAC, e.Remote)
		default:
			seen[e.MAC] = true
			v.macs = append(v.macs, mac{address: e.MAC, vtep: e.Remote})
		}
	}
	return daemon
}

// reaches reports whether vxgw can send as an entry says; otherwise it is noted.
func (v *vni) reaches(e kernel.Entry, own netip.Addr) bool {
	what := "what is for " + e.MAC.String()
	if e.MAC.IsZero() {
		what = "what is flooded"
	}
	switch {
	case !e.Remote.IsValid():
		v.note("write the VTEP that is meant", "%s goes to no VTEP's address", what)
	case e.VNI != 0 && e.VNI != v.vni:
		v.note("use the same VNI at both ends", "%s goes to %s with VNI %d", what, e.Remote, e.VNI)
	case e.Port != 0 && e.Port != v.device.VXLAN.Port:
		v.note("use the same UDP port at all VTEPs", "%s goes to %s at UDP port %d", what, e.Remote, e.Port)
	case e.Remote == own:
		v.note("nothing", "%s goes to this VTEP's own address", what)
	case e.Remote.Is4() != own.Is4():
		v.note("use addresses of one family", "%s goes to %s, of another address family than this VTEP's", what, e.Remote)
	case !isHost(e.Remote) && !(e.MAC.IsZero() && e.Remote.IsMulticast()):
		v.note("write the VTEP that is meant", "%s goes to %s, which is no VTEP's address", what, e.Remote)
	default:
		return true
	}
	return false
}

// addRemote adds to where broadcast, unknown unicast and multicast go.
func (v *vni) addRemote(e kernel.Entry, own netip.Addr) {
	switch a := e.Remote; {
	case !v.reaches(e, own), a == v.group, slices.Contains(v.flood, a):
	case !a.IsMulticast():
		v.flood = append(v.flood, a)
	case v.group.IsValid():
		v.note("use one group", "what is flooded goes to a second group, %s", a)
	case !isGroup(a):
		v.note("use a group that routers forward, as 239.119.1.1", "what is flooded goes to the group %s, which is reserved", a)
	default:
		v.group = a
	}
}

// isGroup reports whether a multicast address can carry a VNI (RFC 5771 section 4).
func isGroup(a netip.Addr) bool {
	return a.IsMulticast() && !netip.MustParsePrefix("224.0.0.0/24").Contains(a) && !a.IsInterfaceLocalMulticast() && a.Zone() == ""
}

// allow lists who may send. The kernel takes frames from anybody; vxgw from those that
// it floods to, unless told otherwise. So whoever has sent is listed too.
func (v *vni) allow() {
	if v.group.IsValid() || len(v.flood) == 0 {
		return
	}
	all := slices.Clone(v.flood)
	add := func(a netip.Addr) {
		if isHost(a) && a.Is4() == all[0].Is4() && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	for _, m := range v.macs {
		add(m.vtep)
	}
	for _, h := range v.device.Heard {
		if !v.device.VXLAN.External || h.VNI == v.vni {
			add(h.VTEP)
		}
	}
	if len(all) > len(v.flood) {
		slices.SortFunc(all[len(v.flood):], netip.Addr.Compare) // the kernel's tables are hashed
		v.allowed = all
	}
}

// aboutPort notes how the vxlan device is set as a port of the bridge.
func (v *vni) aboutPort(l *kernel.Link) {
	p := l.Port
	if p == nil {
		return
	}
	for _, n := range []struct {
		is         bool
		what, mend string
	}{
		{p.Isolated, "is isolated: isolated ports do not reach the overlay", "here they do: keep them in a VNI of their own, or filter elsewhere"},
		{!p.Unicast || !p.Multicast || !p.Flooded, "is not flooded to" + floods(p) + ", and here everything is", "storm_control of the VNI bounds what is flooded"},
		{p.Locked, "is locked", "allowed_vteps and [[mac]] say who may send"},
	} {
		if n.is {
			v.note(n.mend, "vxlan device %s %s", l.Name, n.what)
		}
	}
}

// floods says what a port does not get.
func floods(p *kernel.Port) (what string) {
	if !p.Unicast {
		what += ", unknown unicast"
	}
	if !p.Multicast {
		what += ", multicast"
	}
	if !p.Flooded {
		what += ", broadcast"
	}
	return what
}
