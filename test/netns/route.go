package netns

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route is a route of the main table.
type Route struct {
	To   string // prefix, as "203.0.113.0/24"
	Via  string // next hop; "": none
	Dev  string // device; "": the one that leads to Via
	MTU  int    // bytes; 0: the device's
	Kind string // "" for unicast, "blackhole", "unreachable" or "prohibit"
	Hops []Hop  // several next hops; Via is none then
}

// Hop is one of the next hops of a route that has several.
type Hop struct {
	Via, Dev string
	Weight   int // 0: 1
}

var routeKinds = map[string]int{
	"":            unix.RTN_UNICAST,
	"blackhole":   unix.RTN_BLACKHOLE,
	"unreachable": unix.RTN_UNREACHABLE,
	"prohibit":    unix.RTN_PROHIBIT,
}

// AddRoute adds a route; one to the same prefix must not be there.
func (n *NS) AddRoute(r Route) error { return n.route(r, "add", (*netlink.Handle).RouteAdd) }

// ReplaceRoute adds a route in place of the one to the same prefix, if any.
func (n *NS) ReplaceRoute(r Route) error {
	return n.route(r, "replace", (*netlink.Handle).RouteReplace)
}

// DelRoute deletes a route.
func (n *NS) DelRoute(r Route) error { return n.route(r, "delete", (*netlink.Handle).RouteDel) }

func (n *NS) route(r Route, what string, f func(*netlink.Handle, *netlink.Route) error) error {
	nr, err := n.netlinkRoute(r)
	if err == nil {
		err = n.request(func(h *netlink.Handle) error { return f(h, nr) })
	}
	if err != nil {
		return fmt.Errorf("%v: %s route to %s: %w", n, what, r.To, err)
	}
	return nil
}

func (n *NS) netlinkRoute(r Route) (*netlink.Route, error) {
	to, err := netip.ParsePrefix(r.To)
	if err != nil {
		return nil, err
	}
	kind, ok := routeKinds[r.Kind]
	if !ok {
		return nil, fmt.Errorf("no such kind of route: %q", r.Kind)
	}
	nr := &netlink.Route{
		Dst:  &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), to.Addr().BitLen())},
		Type: kind,
		MTU:  r.MTU,
	}
	for _, h := range r.Hops {
		is, err := n.nexthop(h)
		if err != nil {
			return nil, err
		}
		nr.MultiPath = append(nr.MultiPath, is)
	}
	if r.Via != "" {
		via, err := netip.ParseAddr(r.Via)
		if err != nil {
			return nil, err
		}
		nr.Gw = via.AsSlice()
	}
	if r.Dev != "" {
		link, err := n.link(r.Dev)
		if err != nil {
			return nil, err
		}
		nr.LinkIndex = link.Attrs().Index
	}
	return nr, nil
}

func (n *NS) nexthop(h Hop) (*netlink.NexthopInfo, error) {
	via, err := netip.ParseAddr(h.Via)
	if err != nil {
		return nil, err
	}
	link, err := n.link(h.Dev)
	if err != nil {
		return nil, err
	}
	return &netlink.NexthopInfo{LinkIndex: link.Attrs().Index, Gw: via.AsSlice(), Hops: max(h.Weight, 1) - 1}, nil
}
