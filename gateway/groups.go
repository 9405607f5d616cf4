package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/path"
)

// groupState is the multicast groups of the uplink. Guarded by Gateway.mu.
type groupState struct {
	want   underlay.Membership
	link   path.Link
	failed bool
	reason string // how it is, in words
	read   bool   // a worker reads the queue of the groups
}

// reconcileGroups joins the groups of all VNIs, once each however many VNIs
// share one, and leaves those that no VNI has any more. The kernel speaks IGMP
// and MLD.
//
// A membership belongs to an interface as it was when it was joined: not to one
// of the same name that comes later, nor to where the VTEP address has moved.
// After a link was lost, too, the groups are joined anew: the switch at its
// other end may be another one, and the kernel does not tell it of its own
// accord when only the carrier was away.
func (g *Gateway) reconcileGroups() {
	s := &g.up.groups
	groups := groupsOf(g.tables.Snapshot())
	if g.up.dev == nil || len(groups) == 0 && len(s.want.Groups) == 0 {
		return
	}
	link, why := g.groupLink()
	want := underlay.Membership{Groups: groups, Interface: link.Index, Epoch: s.want.Epoch}
	if link.Index != s.link.Index || link.AdminUp && link.Carrier {
		want.Epoch = link.Downs
	}
	s.want, s.link = want, link
	if err := g.up.dev.SetGroups(want); err != nil && why == "" {
		why = explainGroups(err, link)
	}
	if !s.read && len(groups) > 0 {
		s.read = true
		g.startOverlay(len(g.up.workers), g.up.dev.GroupQueue())
	}
	g.setGroups(why)
}

// setGroups notes how the groups are, and says so when that is news.
func (g *Gateway) setGroups(why string) {
	s := &g.up.groups
	is := why
	if why == "" {
		is = fmt.Sprintf("multicast: %s joined", countGroups(len(s.want.Groups)))
	}
	if is == s.reason {
		return
	}
	s.failed, s.reason = why != "", is
	if s.failed {
		g.log.Warn("multicast groups are not joined", "reason", why)
		return
	}
	g.log.Info("multicast groups joined", "interface", s.link.Name, "groups", len(s.want.Groups))
}

func countGroups(n int) string {
	if n == 1 {
		return "1 group"
	}
	return fmt.Sprintf("%d groups", n)
}

// groupsOf returns the groups of all bridge domains, each once, in order.
func groupsOf(s *forward.Snapshot) (groups []netip.Addr) {
	for i := range s.Domains {
		if a := s.Domains[i].Group; a.IsValid() {
			groups = append(groups, a)
		}
	}
	slices.SortFunc(groups, netip.Addr.Compare)
	return slices.Compact(groups)
}

// groupLink returns the interface that groups are joined on and sent to by.
// Where there is none, why says so, and the link is the zero Link.
func (g *Gateway) groupLink() (link path.Link, why string) {
	link, ok := g.underlayLink()
	switch {
	case !ok:
		return path.Link{}, fmt.Sprintf("there is no interface %s to join multicast groups on: waiting for it", cmp.Or(g.config().Underlay.Device(), "with the VTEP address"))
	case link.Loopback:
		return path.Link{}, fmt.Sprintf("%s carries no multicast: name the interface towards the other VTEPs as [underlay] interface", link.Name)
	case !link.Multicast:
		return path.Link{}, fmt.Sprintf("multicast is turned off on %s: ip link set %s multicast on", link.Name, link.Name)
	}
	return link, ""
}

// groupFits returns the longest inner frame that goes to a group: a path has no
// MTU beyond the first link that anybody could ask for. 0: not known.
func (g *Gateway) groupFits(group netip.Addr) int {
	link, why := g.groupLink()
	if why != "" || link.MTU == 0 {
		return 0
	}
	return max(link.MTU-overhead(group), frame.HeaderLen)
}

// explainGroups turns an error of SetGroups into what an operator can act on.
func explainGroups(err error, link path.Link) string {
	mend := ""
	switch {
	case !link.AdminUp:
		mend = fmt.Sprintf("%s is down: ip link set %s up", link.Name, link.Name)
	case errors.Is(err, unix.ENOBUFS):
		mend = "the kernel allows no more memberships: sysctl net.ipv4.igmp_max_memberships=20"
	case errors.Is(err, unix.ENOMEM):
		mend = "the kernel allows a socket too little memory: raise net.core.optmem_max"
	case errors.Is(err, unix.ENODEV):
		mend = fmt.Sprintf("%s does not take part in this address family: ip address show %s", link.Name, link.Name)
	case errors.Is(err, unix.EADDRINUSE):
		mend = "another process has the UDP port and does not share it (ss -ulpn names it): stop it, or set [underlay] port"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		mend = "each group takes a file descriptor: raise the limit (ulimit -n, LimitNOFILE=)"
	default:
		mend = fmt.Sprintf("see ip maddress show %s", link.Name)
	}
	return fmt.Sprintf("cannot %v: %s; trying again", err, mend)
}

// groupRow says how the groups are; ok is false where there are none.
func (g *Gateway) groupRow() (row api.DatapathRow, ok bool) {
	s := &g.up.groups
	if len(s.want.Groups) == 0 {
		return row, false
	}
	return api.DatapathRow{Mode: "raw", Interface: cmp.Or(s.link.Name, g.config().Underlay.Device()), Attached: !s.failed, Reason: s.reason}, true
}
