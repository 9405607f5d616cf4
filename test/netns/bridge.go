package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// Bridge makes a bridge of its ports and sets it up. It speaks no spanning
// tree and floods multicast; its MACs age as the kernel's do, after 300 s.
func (n *NS) Bridge(name string, ports ...string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
	if err := n.request(func(h *netlink.Handle) error { return h.LinkAdd(bridge) }); err != nil {
		return fmt.Errorf("%v: bridge %s: %w", n, name, err)
	}
	for _, port := range ports {
		if err := n.Enslave(port, name); err != nil {
			return errors.Join(err, n.Delete(name))
		}
	}
	if err := n.SetUp(name); err != nil {
		return errors.Join(err, n.Delete(name))
	}
	return nil
}

// FDBEntry is a row of the forwarding table of a bridge port or of a VXLAN
// device.
type FDBEntry struct {
	MAC       frame.MAC
	Remote    netip.Addr // of a VXLAN device's own entry
	Permanent bool       // neither learned nor aged
	Bridge    bool       // an entry of the bridge that the device is a port of
}

// FDB returns the forwarding entries of a device, as `bridge fdb show dev`.
func (n *NS) FDB(dev string) ([]FDBEntry, error) {
	var rows []netlink.Neigh
	err := n.change(dev, "list FDB", func(h *netlink.Handle, l netlink.Link) (err error) {
		rows, err = h.NeighList(l.Attrs().Index, unix.AF_BRIDGE)
		return err
	})
	if err != nil {
		return nil, err
	}
	entries := make([]FDBEntry, 0, len(rows))
	for _, r := range rows {
		if len(r.HardwareAddr) != len(frame.MAC{}) {
			continue
		}
		remote, _ := netip.AddrFromSlice(r.IP)
		entries = append(entries, FDBEntry{
			MAC:       frame.MAC(r.HardwareAddr),
			Remote:    remote.Unmap(),
			Permanent: r.State&netlink.NUD_PERMANENT != 0,
			Bridge:    r.Flags&netlink.NTF_SELF == 0,
		})
	}
	return entries, nil
}

// AddFDB sends frames for mac that a VXLAN device has to a VTEP. The zero MAC
// stands for whatever has no entry: each VTEP added to it gets a copy.
func (n *NS) AddFDB(dev string, mac frame.MAC, remote netip.Addr) error {
	return n.fdb(dev, "add", mac, remote, (*netlink.Handle).NeighAppend)
}

// DelFDB takes back what AddFDB added.
func (n *NS) DelFDB(dev string, mac frame.MAC, remote netip.Addr) error {
	return n.fdb(dev, "delete", mac, remote, (*netlink.Handle).NeighDel)
}

func (n *NS) fdb(dev, what string, mac frame.MAC, remote netip.Addr, f func(*netlink.Handle, *netlink.Neigh) error) error {
	return n.change(dev, fmt.Sprintf("%s FDB entry %v dst %v", what, mac, remote), func(h *netlink.Handle, l netlink.Link) error {
		return f(h, &netlink.Neigh{
			LinkIndex:    l.Attrs().Index,
			Family:       unix.AF_BRIDGE,
			State:        netlink.NUD_PERMANENT | netlink.NUD_NOARP,
			Flags:        netlink.NTF_SELF,
			IP:           net.IP(remote.AsSlice()),
			HardwareAddr: mac[:],
		})
	})
}
