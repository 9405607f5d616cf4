package netns

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// Neighbour is what the namespace knows of a host on a link.
type Neighbour struct {
	MAC   frame.MAC // zero: none is known
	State int       // NUD_*, as in linux/neighbour.h
}

// SetNeighbour enters a host, in place of what was known of it.
func (n *NS) SetNeighbour(dev string, addr netip.Addr, is Neighbour) error {
	return n.change(dev, fmt.Sprintf("set neighbour %v", addr), func(h *netlink.Handle, l netlink.Link) error {
		return h.NeighSet(&netlink.Neigh{
			LinkIndex: l.Attrs().Index, Family: neighbourFamily(addr), IP: addr.AsSlice(), HardwareAddr: hardwareAddr(is.MAC), State: is.State,
		})
	})
}

// Neighbour returns what is known of a host; the zero Neighbour when nothing is.
func (n *NS) Neighbour(dev string, addr netip.Addr) (is Neighbour, err error) {
	err = n.change(dev, fmt.Sprintf("look for neighbour %v", addr), func(h *netlink.Handle, l netlink.Link) error {
		all, err := h.NeighList(l.Attrs().Index, neighbourFamily(addr))
		for _, e := range all {
			if a, _ := netip.AddrFromSlice(e.IP); a.Unmap() == addr {
				is.State = e.State
				if len(e.HardwareAddr) == len(is.MAC) {
					is.MAC = frame.MAC(e.HardwareAddr)
				}
			}
		}
		return err
	})
	return is, err
}

func neighbourFamily(addr netip.Addr) int {
	if addr.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
