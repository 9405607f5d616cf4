package netns

import (
	"cmp"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// VethOptions says what a wire is like. The zero value is a wire with the
// kernel's addresses and MTU 1500, both ends up.
type VethOptions struct {
	AMAC, BMAC frame.MAC // zero: the kernel chooses
	MTU        int       // bytes, of both ends; 0: 1500
	Queues     int       // receive and transmit queues of each end; 0: one
	Down       bool      // leave both ends down
}

// Veth lays a wire from aName in a to bName in b, which may be the same
// namespace. It is there as a whole or, after an error, not at all.
func Veth(a *NS, aName string, b *NS, bName string, o VethOptions) error {
	fail := func(err error) error {
		return fmt.Errorf("wire %v/%s to %v/%s: %w", a, aName, b, bName, err)
	}
	peer, err := b.dup()
	if err != nil {
		return fail(err)
	}
	defer unix.Close(peer)
	err = a.request(func(h *netlink.Handle) error { return h.LinkAdd(veth(aName, bName, peer, o)) })
	if err != nil {
		return fail(err)
	}
	if o.Down {
		return nil
	}
	for _, end := range []struct {
		ns  *NS
		dev string
	}{{a, aName}, {b, bName}} {
		if err := end.ns.SetUp(end.dev); err != nil {
			_ = a.Delete(aName) // the far end goes with it
			return fail(err)
		}
	}
	return nil
}

func veth(aName, bName string, peerNS int, o VethOptions) *netlink.Veth {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = aName
	attrs.MTU = o.MTU
	attrs.HardwareAddr = hardwareAddr(o.AMAC)
	attrs.NumTxQueues, attrs.NumRxQueues = o.Queues, o.Queues
	v := netlink.NewVeth(attrs)
	v.PeerName = bName
	v.PeerHardwareAddr = hardwareAddr(o.BMAC)
	v.PeerNamespace = netlink.NsFd(peerNS)
	return v
}

func hardwareAddr(m frame.MAC) net.HardwareAddr {
	if m.IsZero() {
		return nil
	}
	return net.HardwareAddr(m[:])
}

// change applies f to a device and puts the namespace, the device and what was
// tried into the error.
func (n *NS) change(dev, what string, f func(*netlink.Handle, netlink.Link) error) error {
	link, err := n.link(dev)
	if err != nil {
		return err
	}
	if err := n.request(func(h *netlink.Handle) error { return f(h, link) }); err != nil {
		return fmt.Errorf("%v: %s: %s: %w", n, dev, what, err)
	}
	return nil
}

func (n *NS) link(dev string) (link netlink.Link, err error) {
	err = n.request(func(h *netlink.Handle) error {
		link, err = h.LinkByName(dev)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%v: device %s: %w", n, dev, err)
	}
	return link, nil
}

// VLAN makes an 802.1Q sub-interface of a device and sets it up. The error wraps
// unix.EOPNOTSUPP where the kernel has no 802.1Q; see HasVLANs.
func (n *NS) VLAN(parent, dev string, id int) error {
	p, err := n.link(parent)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = dev, p.Attrs().Index
	err = n.request(func(h *netlink.Handle) error {
		return h.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: id, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	})
	if err != nil {
		return fmt.Errorf("%v: %s as VLAN %d of %s: %w", n, dev, id, parent, err)
	}
	return n.SetUp(dev)
}

// HasVLANs reports whether the kernel can make 802.1Q sub-interfaces. It makes
// one of a device, and takes it away again.
func (n *NS) HasVLANs(parent string) (bool, error) {
	const dev = "vlan-probe"
	err := n.VLAN(parent, dev, 4094)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, n.Delete(dev)
}

// SetAlias gives a device a text for people to read.
func (n *NS) SetAlias(dev, alias string) error {
	return n.change(dev, "set alias", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetAlias(l, alias) })
}

// Alias returns that text.
func (n *NS) Alias(dev string) (string, error) {
	link, err := n.link(dev)
	if err != nil {
		return "", err
	}
	return link.Attrs().Alias, nil
}

// MTU returns the MTU of a device, in bytes.
func (n *NS) MTU(dev string) (int, error) {
	link, err := n.link(dev)
	if err != nil {
		return 0, err
	}
	return link.Attrs().MTU, nil
}

// Has reports whether there is a device of that name.
func (n *NS) Has(dev string) (bool, error) {
	_, err := n.link(dev)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return false, nil
	}
	return err == nil, err
}

// SetUp sets a device up.
func (n *NS) SetUp(dev string) error { return n.change(dev, "set up", (*netlink.Handle).LinkSetUp) }

// SetDown sets a device down.
func (n *NS) SetDown(dev string) error {
	return n.change(dev, "set down", (*netlink.Handle).LinkSetDown)
}

// SetMTU sets the MTU of a device, in bytes.
func (n *NS) SetMTU(dev string, mtu int) error {
	return n.change(dev, "set MTU", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetMTU(l, mtu) })
}

// SetMAC sets the address of a device.
func (n *NS) SetMAC(dev string, mac frame.MAC) error {
	return n.change(dev, "set address", func(h *netlink.Handle, l netlink.Link) error {
		return h.LinkSetHardwareAddr(l, hardwareAddr(mac))
	})
}

// Rename gives a device another name.
func (n *NS) Rename(dev, name string) error {
	return n.change(dev, "rename", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetName(l, name) })
}

// Enslave makes a device a port of a bridge.
func (n *NS) Enslave(dev, master string) error {
	m, err := n.link(master)
	if err != nil {
		return err
	}
	return n.change(dev, "enslave to "+master, func(h *netlink.Handle, l netlink.Link) error {
		return h.LinkSetMaster(l, m)
	})
}

// Release takes a device out of its bridge.
func (n *NS) Release(dev string) error {
	return n.change(dev, "release", (*netlink.Handle).LinkSetNoMaster)
}

// Move puts a device into another namespace, where it is down.
func (n *NS) Move(dev string, to *NS) error {
	fd, err := to.dup()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return n.change(dev, "move", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetNsFd(l, fd) })
}

// Delete deletes a device, and with a veth its other end.
func (n *NS) Delete(dev string) error { return n.change(dev, "delete", (*netlink.Handle).LinkDel) }

// MAC returns the address of a device.
func (n *NS) MAC(dev string) (frame.MAC, error) {
	link, err := n.link(dev)
	if err != nil {
		return frame.MAC{}, err
	}
	hw := link.Attrs().HardwareAddr
	if len(hw) != len(frame.MAC{}) {
		return frame.MAC{}, fmt.Errorf("%v: device %s has no MAC address", n, dev)
	}
	return frame.MAC(hw), nil
}

// AddAddr gives a device an address, as "192.0.2.1/24". An IPv6 address turns
// IPv6 on for the device, and is usable at once: there is no duplicate address
// detection.
func (n *NS) AddAddr(dev, cidr string) error {
	addr, err := n.address(dev, cidr)
	if err != nil {
		return err
	}
	return n.change(dev, "add address "+cidr, func(h *netlink.Handle, l netlink.Link) error {
		return h.AddrAdd(l, addr)
	})
}

// DelAddr takes an address from a device.
func (n *NS) DelAddr(dev, cidr string) error {
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return fmt.Errorf("%v: %s: address: %w", n, dev, err)
	}
	return n.change(dev, "delete address "+cidr, func(h *netlink.Handle, l netlink.Link) error {
		return h.AddrDel(l, addr)
	})
}

// address reads cidr and makes dev fit for it.
func (n *NS) address(dev, cidr string) (*netlink.Addr, error) {
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return nil, fmt.Errorf("%v: %s: address: %w", n, dev, err)
	}
	if addr.IP.To4() != nil {
		return addr, nil
	}
	addr.Flags = unix.IFA_F_NODAD
	return addr, n.Do(func() error {
		// What a host sends to its own address passes through lo.
		if err := enableIPv6("lo"); err != nil {
			return err
		}
		return enableIPv6(dev)
	})
}

// Stats are what a device has counted since it was made.
type Stats struct {
	RxPackets, RxBytes, RxDropped, RxErrors uint64
	TxPackets, TxBytes, TxDropped, TxErrors uint64
}

// Stats returns the counters of a device.
func (n *NS) Stats(dev string) (Stats, error) {
	link, err := n.link(dev)
	if err != nil {
		return Stats{}, err
	}
	return stats(link), nil
}

// AllStats returns the counters of every device, by name.
func (n *NS) AllStats() (map[string]Stats, error) {
	links, err := n.links()
	if err != nil {
		return nil, err
	}
	all := make(map[string]Stats, len(links))
	for _, l := range links {
		all[l.Attrs().Name] = stats(l)
	}
	return all, nil
}

// Indexes returns the interface indexes of devices, of which there may be
// thousands, in the same order.
func (n *NS) Indexes(devs ...string) ([]int, error) {
	links, err := n.links()
	if err != nil {
		return nil, err
	}
	byName := make(map[string]int, len(links))
	for _, l := range links {
		byName[l.Attrs().Name] = l.Attrs().Index
	}
	indexes := make([]int, len(devs))
	for i, dev := range devs {
		index, ok := byName[dev]
		if !ok {
			return nil, fmt.Errorf("%v: there is no device %s", n, dev)
		}
		indexes[i] = index
	}
	return indexes, nil
}

// links lists every device.
func (n *NS) links() (links []netlink.Link, err error) {
	err = n.request(func(h *netlink.Handle) error {
		links, err = h.LinkList()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%v: list links: %w", n, err)
	}
	return links, nil
}

func stats(l netlink.Link) Stats {
	s := cmp.Or(l.Attrs().Statistics, &netlink.LinkStatistics{})
	return Stats{
		RxPackets: s.RxPackets, RxBytes: s.RxBytes, RxDropped: s.RxDropped, RxErrors: s.RxErrors,
		TxPackets: s.TxPackets, TxBytes: s.TxBytes, TxDropped: s.TxDropped, TxErrors: s.TxErrors,
	}
}

// Promiscuity returns how often the devices of the namespace were asked to be
// promiscuous, less how often not any more.
func (n *NS) Promiscuity() (total int, err error) {
	err = n.request(func(h *netlink.Handle) error {
		links, err := h.LinkList()
		for _, l := range links {
			total += l.Attrs().Promisc
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%v: promiscuity: %w", n, err)
	}
	return total, nil
}
