package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"vxgw/l3/underlay/path"
)

// vlanRetry is after how many seconds it is tried again to make a sub-interface
// that could not be made. Each time a kernel without 802.1Q runs modprobe.
const vlanRetry = 10

// vlanState is the sub-interface of [underlay] vlan. Guarded by Gateway.mu.
//
// What this gateway made carries its mark, so that nothing has to be remembered
// of it: after a crash it is this gateway's still, and one that the mark was
// taken from is not.
type vlanState struct {
	link path.Link // the one in use; the zero Link: none
	why  string    // why there is none
	ails string    // what is not as it should be of the one in use, and can be done without
	bare string    // why it was not given the VTEP address

	given int // index of the link that was given the VTEP address

	failed int    // index of the parent that one could not be made on
	retry  uint32 // the clock from which on it is tried again there
	cannot string // why it could not
}

// mark is the alias of what this gateway makes. Address and port are of no other
// VTEP on this machine: two gateways leave each other's alone.
func (g *Gateway) mark() string {
	u := &g.config().Underlay
	return "vxgw " + netip.AddrPortFrom(u.Address, u.Port).String()
}

// underlayLink returns the interface towards the other VTEPs: the configured
// one, or its sub-interface, or else the one that holds the VTEP address.
func (g *Gateway) underlayLink() (path.Link, bool) {
	u := &g.config().Underlay
	if u.Interface == "" {
		return g.edges.Host.Holder(u.Address)
	}
	link, ok := g.edges.Host.Link(u.Interface)
	if !ok || u.VLAN == 0 {
		return link, ok
	}
	return g.edges.Host.VLAN(path.VLAN{ID: u.VLAN, Parent: link.Index})
}

// reconcileVLAN sees to it that there is a sub-interface: one that is there, or
// one of the gateway's own making, which it keeps up and as wide as its parent.
// What it made for a parent or a VLAN that are no longer meant goes.
func (g *Gateway) reconcileVLAN() {
	u, s := &g.config().Underlay, &g.up.vlan
	if u.VLAN == 0 {
		return
	}
	sub, ok := g.underlayLink()
	g.removeStrays(sub.Index)
	why := ""
	switch {
	case ok && sub.Index != s.link.Index:
		g.log.Info("VLAN sub-interface is there", "interface", sub.Name, "parent", u.Interface, "vlan", u.VLAN, "removed_at_the_end", g.made(sub))
	case !ok:
		sub, why = g.makeVLAN()
	}
	s.link, s.why, s.bare = sub, why, ""
	ails := ""
	if why == "" {
		ails = g.keepVLAN()
		s.bare = g.assign()
	}
	if s.bare != "" && g.holdsVTEP(sub) {
		ails = cmp.Or(ails, s.bare)
	}
	if ails != "" && ails != s.ails {
		g.log.Warn("VLAN sub-interface is not as it should be", "interface", sub.Name, "reason", ails)
	}
	s.ails = ails
}

// made reports whether a sub-interface is of this gateway's making.
func (g *Gateway) made(sub path.Link) bool { return sub.Alias == g.mark() }

func (g *Gateway) removeStrays(keep int) {
	for _, l := range g.edges.Host.VLANs(g.mark()) {
		if l.Index != keep {
			g.removeVLANs(keep)
			return
		}
	}
}

func (g *Gateway) removeVLANs(keep int) {
	names, err := g.edges.Host.RemoveVLANs(g.mark(), keep)
	for _, name := range names {
		g.log.Info("VLAN sub-interface removed", "interface", name)
	}
	if err != nil {
		g.trouble.once("remove VLAN", "a VLAN sub-interface of this gateway's making cannot be removed", "err", err, "mend", "`ip -d link show type vlan` has it, by the alias "+g.mark()+"; ip link delete removes it")
	}
}

// makeVLAN makes the sub-interface and returns it, or why there is none.
func (g *Gateway) makeVLAN() (sub path.Link, why string) {
	u, s := &g.config().Underlay, &g.up.vlan
	parent, ok := g.edges.Host.Link(u.Interface)
	if !ok {
		return sub, fmt.Sprintf("there is no interface %s to carry VLAN %d: waiting for it", u.Interface, u.VLAN)
	}
	if other, taken := g.edges.Host.Link(u.Device()); taken {
		return sub, g.explainTaken(other, parent)
	}
	if s.failed == parent.Index && g.edges.Clock() < s.retry {
		return sub, s.cannot
	}
	err := g.edges.Host.AddVLAN(path.NewVLAN{VLAN: path.VLAN{ID: u.VLAN, Parent: parent.Index}, Name: u.Device(), Alias: g.mark()})
	if err != nil {
		s.failed, s.retry, s.cannot = parent.Index, g.edges.Clock()+vlanRetry, g.explainVLAN(err)
		return sub, s.cannot
	}
	g.log.Info("VLAN sub-interface made", "interface", u.Device(), "parent", u.Interface, "vlan", u.VLAN)
	if sub, ok = g.underlayLink(); !ok {
		return sub, fmt.Sprintf("waiting for %s, which was made", u.Device())
	}
	return sub, ""
}

// explainTaken says what stands in the place of the sub-interface.
func (g *Gateway) explainTaken(l, parent path.Link) string {
	u := &g.config().Underlay
	what := "a " + l.Kind + " device"
	switch {
	case l.VLAN.ID != 0 && l.VLAN.Parent == parent.Index:
		what = fmt.Sprintf("VLAN %d", l.VLAN.ID)
	case l.VLAN.ID != 0:
		what = fmt.Sprintf("VLAN %d of another interface", l.VLAN.ID)
	case l.Kind == "":
		what = "a device of its own"
	}
	return fmt.Sprintf("%s is there already and is not VLAN %d of %s but %s: ip link set %s name OTHER, or ip link delete %s; waiting for the name",
		l.Name, u.VLAN, u.Interface, what, l.Name, l.Name)
}

// explainVLAN turns an error of AddVLAN into what an operator can act on.
func (g *Gateway) explainVLAN(err error) string {
	u := &g.config().Underlay
	why := fmt.Sprintf("cannot make %s, VLAN %d of %s: ", u.Device(), u.VLAN, u.Interface)
	switch {
	case errors.Is(err, path.ErrNoVLANs):
		return why + "this kernel has no 802.1Q: modprobe 8021q, or run a kernel with CONFIG_VLAN_8021Q, or take vlan out of [underlay]; waiting for it"
	case errors.Is(err, unix.EPERM):
		return why + fmt.Sprintf("this process may not, it needs CAP_NET_ADMIN: %s; or make it yourself, ip link add link %s name %s type vlan id %d; waiting for it",
			grant, u.Interface, u.Device(), u.VLAN)
	case errors.Is(err, unix.EEXIST):
		return why + fmt.Sprintf("the kernel has it already, in another network namespace, or %s is another name of something (ip -d link show); waiting for it", u.Device())
	case errors.Is(err, unix.EOPNOTSUPP):
		return why + fmt.Sprintf("%s carries no VLANs: name an Ethernet interface as [underlay] interface", u.Interface)
	}
	return why + fmt.Sprintf("%v; trying again", err)
}

// keepVLAN keeps a sub-interface of the gateway's own making up, and its MTU that
// of its parent: the kernel makes it narrower along with its parent, but not
// wider again. It returns what is not as it should be. One that is somebody
// else's is left as it is.
func (g *Gateway) keepVLAN() string {
	u, sub := &g.config().Underlay, &g.up.vlan.link
	if !g.made(*sub) {
		if !sub.AdminUp {
			return fmt.Sprintf("%s is administratively down: ip link set %s up", sub.Name, sub.Name)
		}
		return ""
	}
	parent, ok := g.edges.Host.Link(u.Interface)
	if !ok {
		return "" // it has just gone: that is news to come
	}
	if mtu := vlanMTU(parent); sub.MTU != mtu {
		if err := g.edges.Host.SetMTU(sub.Index, mtu); err != nil {
			return fmt.Sprintf("%s has an MTU of %d and not of %d: %v", sub.Name, sub.MTU, mtu, err)
		}
	}
	switch {
	case sub.AdminUp:
	case !parent.AdminUp:
		return fmt.Sprintf("%s is administratively down, and so is %s: ip link set %s up", parent.Name, sub.Name, parent.Name)
	default:
		if err := g.edges.Host.BringUp(sub.Index); err != nil {
			return fmt.Sprintf("%s is down: %v", sub.Name, err)
		}
	}
	return ""
}

// vlanMTU returns the MTU of a sub-interface in bytes: its parent's. The tag does
// not count, Ethernet has room for it beyond the MTU; MACsec has not (the
// kernel's netif_reduces_vlan_mtu).
func vlanMTU(parent path.Link) int {
	const tag = 4
	if parent.Kind == "macsec" {
		return parent.MTU - tag
	}
	return parent.MTU
}

// closeVLAN removes what the gateway made and takes away what it gave.
func (g *Gateway) closeVLAN() {
	u, s := &g.config().Underlay, &g.up.vlan
	if u.VLAN == 0 {
		return
	}
	g.removeVLANs(0)
	if s.given != 0 {
		if err := g.edges.Host.Unassign(s.given, u.Assign); err != nil {
			g.log.Warn("the VTEP address stays where the gateway put it", "interface", s.link.Name, "address", u.Assign, "err", err, "mend", "ip address del "+u.Assign.String()+" dev "+s.link.Name)
		}
	}
}
