package path

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Path asks the kernel how packets from src to dst leave the host. src may be
// the zero Addr: then the kernel chooses. Of a route with several next hops the
// answer has one, and those that can be used as Hops; to an address of the host
// itself it is the loopback device.
//
// The error says why there is no path, in words for an operator, and wraps
// unix.ENETUNREACH when there is no route.
func (m *Monitor) Path(dst, src netip.Addr) (Path, error) {
	dst, src = dst.Unmap().WithZone(""), src.Unmap().WithZone("")
	if !dst.IsValid() || src.IsValid() && src.Is4() != dst.Is4() {
		return Path{}, fmt.Errorf("path from %v to %v: both must be IPv4 or both IPv6 addresses", src, dst)
	}
	m.requests.RLock()
	defer m.requests.RUnlock()
	if m.handle == nil {
		return Path{}, fmt.Errorf("path to %v: %w", dst, os.ErrClosed)
	}
	var opts netlink.RouteGetOptions
	if src.IsValid() {
		opts.SrcAddr = src.AsSlice()
	}
	routes, err := m.handle.RouteGetWithOptions(dst.AsSlice(), &opts)
	if err != nil {
		return Path{}, m.explain(dst, src, err)
	}
	if len(routes) == 0 {
		return Path{}, m.explain(dst, src, unix.ENETUNREACH)
	}
	p, err := m.describe(dst, &routes[0])
	if err == nil {
		m.spread(&p, dst, opts)
	}
	return p, err
}

// explain puts what the kernel says of a route into words.
func (m *Monitor) explain(dst, src netip.Addr, err error) error {
	if _, held := m.Holder(src); src.IsValid() && !held && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENETUNREACH)) {
		// Which of the two it is depends on the kernel's age.
		return fmt.Errorf("no path from %v to %v: no interface holds %v (%w)", src, dst, src, err)
	}
	kind := ""
	switch {
	case errors.Is(err, unix.ENETUNREACH):
		return fmt.Errorf("no route to %v: add one, as in `ip route add %v via ROUTER` (%w)", dst, host(dst), err)
	case errors.Is(err, unix.EHOSTUNREACH):
		kind = "an unreachable"
	case errors.Is(err, unix.EACCES):
		kind = "a prohibit"
	case errors.Is(err, unix.EINVAL):
		kind = "a blackhole"
	default:
		return fmt.Errorf("path to %v: %w", dst, err)
	}
	return fmt.Errorf("the route to %v is %s route: `ip route show to match %v` has it (%w)", dst, kind, dst, err)
}

// host is a as a prefix of its own.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func (m *Monitor) describe(dst netip.Addr, r *netlink.Route) (Path, error) {
	link, err := m.linkByIndex(r.LinkIndex)
	if err != nil {
		return Path{}, fmt.Errorf("path to %v: %w", dst, err)
	}
	h := m.resolve(dst, link, nextHop(r.Gw, r.Via))
	p := Path{MTU: link.MTU, Via: h.Via, MAC: h.MAC, Link: h.Link, LinkIndex: h.LinkIndex}
	p.Plain = r.Type == unix.RTN_UNICAST && r.Encap == nil && r.NewDst == nil
	if r.MTU > 0 {
		p.MTU = min(p.MTU, r.MTU)
	}
	return p, nil
}

// nextHop reads RTA_GATEWAY or, for an IPv6 router of an IPv4 route (RFC 8950),
// RTA_VIA.
func nextHop(ip net.IP, other netlink.Destination) netip.Addr {
	if via, ok := other.(*netlink.Via); ok {
		ip = via.Addr
	}
	hop, _ := netip.AddrFromSlice(ip)
	return hop.Unmap()
}

// linkByIndex asks the kernel for a link so new that the news of it was not
// read yet. It needs requests.
func (m *Monitor) linkByIndex(index int) (Link, error) {
	m.mu.RLock()
	l, ok := m.state.link(index)
	m.mu.RUnlock()
	if ok {
		return l, nil
	}
	link, err := m.handle.LinkByIndex(index)
	if err != nil {
		return Link{}, fmt.Errorf("interface %d: %w", index, err)
	}
	a := link.Attrs()
	return Link{Name: a.Name, Index: a.Index, MTU: a.MTU}, nil
}

// Confirm tells the kernel that packets are sent to these neighbours by others
// than itself. It then asks those that it has not heard of for a while whether
// they are still there (Neighbour Unreachability Detection, RFC 4861 section 7.3,
// which Linux has for ARP too), and a neighbour that it does not know it looks
// for. Those that somebody else looks after are left alone: to use a neighbour that
// was entered for good makes the kernel forget it. The error wraps unix.EPERM
// without CAP_NET_ADMIN.
func (m *Monitor) Confirm(inUse []Neighbour) error {
	m.requests.RLock()
	defer m.requests.RUnlock()
	if m.handle == nil {
		return os.ErrClosed
	}
	var errs []error
	for _, n := range inUse {
		if m.isKept(n) {
			continue
		}
		err := m.handle.NeighSet(&netlink.Neigh{
			LinkIndex: n.Interface, Family: family(n.Addr), IP: n.Addr.AsSlice(), Flags: netlink.NTF_USE, State: unix.NUD_NONE,
		})
		if err != nil && !errors.Is(err, unix.ENODEV) { // the link is gone, and its paths soon are
			errs = append(errs, fmt.Errorf("neighbour %v: %w", n.Addr, err))
		}
	}
	return errors.Join(errs...)
}

func (m *Monitor) isKept(n Neighbour) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.neighbours[neighbour{n.Interface, n.Addr}].kept
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
