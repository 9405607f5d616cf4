package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"vxgw/l3/underlay/path"
)

// holdsVTEP reports whether a link holds the VTEP address, of whatever length.
func (g *Gateway) holdsVTEP(l path.Link) bool {
	return slices.ContainsFunc(g.edges.Host.Addrs(l.Index), func(p netip.Prefix) bool { return p.Addr() == g.config().Underlay.Address })
}

// assign gives the sub-interface the VTEP address, where that is the gateway's to
// do, and returns why it could not.
func (g *Gateway) assign() string {
	u, s := &g.config().Underlay, &g.up.vlan
	held := g.edges.Host.Addrs(s.link.Index)
	if !u.Assign.IsValid() || slices.Contains(held, u.Assign) {
		return ""
	}
	if g.made(s.link) {
		g.unassign(held)
	}
	err := g.edges.Host.Assign(s.link.Index, u.Assign)
	if err == nil {
		s.given = s.link.Index
		return ""
	}
	return fmt.Sprintf("cannot give %s the address %v: %s; waiting for it", s.link.Name, u.Assign, explainAssign(err, u.Assign, s.link))
}

// unassign takes the VTEP address with other lengths from a sub-interface that
// an earlier run left, and that was configured in another way.
func (g *Gateway) unassign(held []netip.Prefix) {
	for _, p := range held {
		if p.Addr() != g.config().Underlay.Address {
			continue
		}
		if err := g.edges.Host.Unassign(g.up.vlan.link.Index, p); err != nil {
			g.trouble.once("unassign", "an address that is not configured any more cannot be taken away", "interface", g.up.vlan.link.Name, "address", p, "err", err, "mend", "ip address del "+p.String()+" dev "+g.up.vlan.link.Name)
		}
	}
}

// explainAssign turns an error of Assign into what an operator can act on.
func explainAssign(err error, p netip.Prefix, l path.Link) string {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Sprintf("this process may not, it needs CAP_NET_ADMIN: %s; or ip address add %v dev %s", grant, p, l.Name)
	case errors.Is(err, unix.EEXIST):
		return fmt.Sprintf("it is there with another prefix length, or is still or in vain checked for duplicates (ip address show dev %s)", l.Name)
	case p.Addr().Is6() && errors.Is(err, unix.EACCES):
		return fmt.Sprintf("IPv6 is off there: sysctl -w net/ipv6/conf/%s/disable_ipv6=0", l.Name)
	case p.Addr().Is6() && errors.Is(err, unix.EOPNOTSUPP):
		return "this kernel has no IPv6: modprobe ipv6, or boot without ipv6.disable=1"
	}
	return err.Error()
}

// vlanHolder returns the sub-interface if the VTEP can send from it, or else why
// it cannot. The address on another interface is not enough: what left there
// would be on another network.
func (g *Gateway) vlanHolder() (path.Link, string) {
	u, s := &g.config().Underlay, &g.up.vlan
	if s.why != "" {
		return path.Link{}, s.why
	}
	if g.holdsVTEP(s.link) {
		return s.link, ""
	}
	if s.bare != "" {
		return path.Link{}, s.bare
	}
	if u.Assign.IsValid() {
		return path.Link{}, fmt.Sprintf("waiting for the VTEP address %v on %s", u.Assign, s.link.Name)
	}
	mend := fmt.Sprintf("ip address add %v/LENGTH dev %s, or write it with its prefix length as [underlay] address; waiting for it", u.Address, s.link.Name)
	if other, elsewhere := g.edges.Host.Holder(u.Address); elsewhere {
		return path.Link{}, fmt.Sprintf("the VTEP address %v is on %s and not on %s, VLAN %d of %s: %s", u.Address, other.Name, s.link.Name, u.VLAN, u.Interface, mend)
	}
	return path.Link{}, fmt.Sprintf("%s does not hold the VTEP address %v: %s", s.link.Name, u.Address, mend)
}
