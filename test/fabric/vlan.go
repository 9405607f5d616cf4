package fabric

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"vxgw/gateway"
	"vxgw/l3/underlay/path"
)

var _ gateway.Host = (*Host)(nil)

// heldAddr is an address of a link.
type heldAddr struct {
	link   int // index
	prefix netip.Prefix
}

// RefuseVLANs has making a VLAN sub-interface end with err; nil: it works.
func (h *Host) RefuseVLANs(err error) { h.change(func() { h.noVLAN = err }) }

// RefuseAddrs has giving a link an address end with err; nil: it works.
func (h *Host) RefuseAddrs(err error) { h.change(func() { h.noAssign = err }) }

// VLANTries returns how often somebody tried to make a VLAN sub-interface.
func (h *Host) VLANTries() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.vlanTries
}

// MakeVLAN makes a sub-interface as somebody else does, up.
func (h *Host) MakeVLAN(parent, name string, id uint16, alias string) {
	h.change(func() {
		p := h.links[parent]
		h.addVLAN(p, path.NewVLAN{VLAN: path.VLAN{ID: id, Parent: p.Index}, Name: name, Alias: alias})
		h.edit(name, func(l *path.Link) { l.AdminUp = p.AdminUp })
	})
}

// Give gives a link an address with a prefix length.
func (h *Host) Give(cidr, link string) {
	h.change(func() { h.held = append(h.held, heldAddr{h.links[link].Index, netip.MustParsePrefix(cidr)}) })
}

// Rename gives a link another name. What is on it stays there.
func (h *Host) Rename(name, other string) {
	h.change(func() {
		l := h.links[name]
		delete(h.links, name)
		l.Name = other
		h.links[other] = l
	})
}

// Names lists the links that there are, in order.
func (h *Host) Names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for name := range h.links {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// vlansOn needs mu.
func (h *Host) vlansOn(parent path.Link) (list []path.Link) {
	for _, l := range h.links {
		if l.VLAN.ID != 0 && l.VLAN.Parent == parent.Index {
			list = append(list, l)
		}
	}
	return list
}

// followParent has the VLANs of a link do what the kernel has them do: down and
// up and carrier along with it, and narrower but not wider. IPv6 addresses do not
// outlive that a link is set down. It needs mu.
func (h *Host) followParent(was, is path.Link) {
	if was.AdminUp && !is.AdminUp {
		h.held = slices.DeleteFunc(h.held, func(a heldAddr) bool { return a.link == is.Index && a.prefix.Addr().Is6() })
	}
	for _, sub := range h.vlansOn(is) {
		h.edit(sub.Name, func(l *path.Link) {
			l.Carrier = is.AdminUp && is.Carrier
			l.MTU = min(l.MTU, vlanMTU(is))
			if is.AdminUp != was.AdminUp {
				l.AdminUp = is.AdminUp
			}
		})
	}
}

func vlanMTU(parent path.Link) int {
	if parent.Kind == "macsec" {
		return parent.MTU - 4
	}
	return parent.MTU
}

// addVLAN needs mu.
func (h *Host) addVLAN(parent path.Link, v path.NewVLAN) {
	h.lastIndex++
	h.links[v.Name] = path.Link{Name: v.Name, Index: h.lastIndex, MTU: vlanMTU(parent), Carrier: parent.AdminUp && parent.Carrier,
		Multicast: true, Kind: "vlan", VLAN: v.VLAN, Alias: v.Alias}
	h.follow(h.links[v.Name], true)
}

// VLAN is as gateway.Host has it, as everything below.
func (h *Host) VLAN(v path.VLAN) (path.Link, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.vlan(v)
}

// vlan needs mu.
func (h *Host) vlan(v path.VLAN) (path.Link, bool) {
	for _, l := range h.links {
		if l.VLAN == v && v.ID != 0 {
			return l, true
		}
	}
	return path.Link{}, false
}

// VLANs lists what has an alias.
func (h *Host) VLANs(alias string) (list []path.Link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.links {
		if l.Kind == "vlan" && l.Alias == alias {
			list = append(list, l)
		}
	}
	return list
}

// Addrs lists the addresses of a link.
func (h *Host) Addrs(link int) (list []netip.Prefix) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.held {
		if a.link == link {
			list = append(list, a.prefix)
		}
	}
	return list
}

// AddVLAN makes a sub-interface, down.
func (h *Host) AddVLAN(v path.NewVLAN) error {
	return h.try(func() error {
		h.vlanTries++
		parent, ok := h.byIndex(v.Parent)
		_, taken := h.links[v.Name]
		_, dup := h.vlan(v.VLAN)
		switch {
		case h.noVLAN != nil:
			return fmt.Errorf("make %s: %w", v.Name, h.noVLAN)
		case !ok:
			return unix.ENODEV
		case taken || dup:
			return unix.EEXIST
		}
		h.addVLAN(parent, v)
		return nil
	})
}

// RemoveVLANs removes what has an alias.
func (h *Host) RemoveVLANs(alias string, keep int) (names []string, err error) {
	for _, l := range h.VLANs(alias) {
		if l.Index != keep {
			h.RemoveLink(l.Name)
			names = append(names, l.Name)
		}
	}
	return names, nil
}

// BringUp sets a link up.
func (h *Host) BringUp(link int) error {
	return h.onLink(link, func(l path.Link) error {
		parent, stacked := h.byIndex(l.VLAN.Parent)
		if stacked && !parent.AdminUp {
			return unix.ENETDOWN
		}
		h.edit(l.Name, func(l *path.Link) { l.AdminUp = true })
		return nil
	})
}

// SetMTU sets a link's MTU.
func (h *Host) SetMTU(link, mtu int) error {
	return h.onLink(link, func(l path.Link) error {
		if parent, stacked := h.byIndex(l.VLAN.Parent); stacked && mtu > vlanMTU(parent) {
			return unix.ERANGE
		}
		h.edit(l.Name, func(l *path.Link) { l.MTU = mtu })
		return nil
	})
}

// Assign gives a link an address.
func (h *Host) Assign(link int, p netip.Prefix) error {
	return h.onLink(link, func(path.Link) error {
		switch {
		case h.noAssign != nil:
			return h.noAssign
		case slices.ContainsFunc(h.held, func(a heldAddr) bool {
			return a.link == link && (a.prefix == p || p.Addr().Is6() && a.prefix.Addr() == p.Addr())
		}):
			return unix.EEXIST
		}
		h.held = append(h.held, heldAddr{link, p})
		return nil
	})
}

// Unassign takes an address from a link.
func (h *Host) Unassign(link int, p netip.Prefix) error {
	h.change(func() { h.held = slices.DeleteFunc(h.held, func(a heldAddr) bool { return a == heldAddr{link, p} }) })
	return nil
}

// onLink changes a link that is there.
func (h *Host) onLink(index int, change func(path.Link) error) error {
	return h.try(func() error {
		l, ok := h.byIndex(index)
		if !ok {
			return unix.ENODEV
		}
		return change(l)
	})
}

// try makes a change, which is told of when it is one.
func (h *Host) try(change func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := change()
	if err == nil {
		h.signal()
	}
	return err
}
