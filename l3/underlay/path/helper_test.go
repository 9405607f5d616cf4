package path

import "github.com/vishvananda/netlink"

// addWithDAD gives dev an IPv6 address that is checked for duplicates.
func addWithDAD(dev, cidr string) error {
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, addr)
}
