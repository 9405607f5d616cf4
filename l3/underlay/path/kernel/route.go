package kernel

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readRoutes keeps what a person or a script wrote: a routing daemon's may be a
// million, and are its own to bring.
func (r *reader) readRoutes() error {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		// Without a table to filter by the library leaves out all but the main one.
		filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		err := netlink.RouteListFilteredIter(family, filter, netlink.RT_FILTER_TABLE, func(k netlink.Route) bool {
			if route, ok := routeOf(k, family); ok {
				r.setup.Routes = append(r.setup.Routes, route)
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// routeOf returns a route that may be carried over.
func routeOf(k netlink.Route, family int) (r Route, ok bool) {
	r = Route{
		Table: uint32(k.Table), Prefix: prefixOf(k.Dst, family),
		Blackhole: k.Type == unix.RTN_BLACKHOLE, Unreachable: k.Type == unix.RTN_UNREACHABLE,
	}
	switch {
	case k.Protocol != unix.RTPROT_STATIC && k.Protocol != unix.RTPROT_BOOT, !r.Prefix.IsValid():
		return r, false
	case r.Blackhole, r.Unreachable:
		return r, true
	case k.Type != unix.RTN_UNICAST && k.Type != unix.RTN_UNSPEC:
		return r, false
	case len(k.MultiPath) == 0:
		r.Hops = []Hop{{addrOf(k.Gw), k.LinkIndex}}
	}
	for _, hop := range k.MultiPath {
		r.Hops = append(r.Hops, Hop{addrOf(hop.Gw), hop.LinkIndex})
	}
	return r, true
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// prefixOf returns a destination; of none, everything.
func prefixOf(n *net.IPNet, family int) netip.Prefix {
	switch {
	case n != nil:
		bits, _ := n.Mask.Size()
		return netip.PrefixFrom(addrOf(n.IP), bits).Masked()
	case family == unix.AF_INET:
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}
