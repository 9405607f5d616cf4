package path

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrNoVLANs is that the kernel has no 802.1Q sub-interfaces, nor a module for
// them that it could load by itself.
var ErrNoVLANs = errors.New("the kernel has no 802.1Q VLANs")

// NewVLAN is a sub-interface that is to be made.
type NewVLAN struct {
	VLAN
	Name  string
	Alias string // RemoveVLANs finds it by that
}

// AddVLAN makes an 802.1Q sub-interface. It is down, and its MTU is that of its
// parent: the tag's four bytes do not count (IEEE 802.3 clause 3.2.7 has longer
// frames for them), but on devices that the kernel knows to have no room for
// them.
//
// The error is ErrNoVLANs, or wraps unix.EOPNOTSUPP where the parent carries no
// VLANs, unix.EEXIST where the name is taken or the parent's VLAN is, perhaps by
// a sub-interface in another namespace, unix.ENODEV where there is no parent, or
// unix.EPERM without CAP_NET_ADMIN.
func (m *Monitor) AddVLAN(v NewVLAN) error {
	return m.change(func(h *netlink.Handle) error { return addVLAN(h, v) }, func(s *state) bool {
		_, ok := s.vlan(v.VLAN)
		return ok
	})
}

// addVLAN takes two steps: the kernel heeds no alias of what it makes. What dies
// in between leaves a sub-interface of nobody's, which is down and has no
// address.
func addVLAN(h *netlink.Handle, v NewVLAN) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = v.Name, v.Parent
	link := &netlink.Vlan{LinkAttrs: attrs, VlanId: int(v.ID), VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
	err := h.LinkAdd(link)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP) && !hasVLANs(h, v.Name):
		return ErrNoVLANs
	case err != nil:
		return fmt.Errorf("make %s: %w", v.Name, err)
	}
	if err := h.LinkSetAlias(link, v.Alias); err != nil {
		return errors.Join(fmt.Errorf("mark %s: %w", v.Name, err), h.LinkDel(link))
	}
	return nil
}

// hasVLANs asks for a VLAN without an id, which nobody makes: a kernel with
// 802.1Q says what is wrong with it (EINVAL), one without knows no such kind of
// device. Both refuse a parent that carries no VLANs by the same error.
func hasVLANs(h *netlink.Handle, name string) bool {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return !errors.Is(h.LinkAdd(&netlink.GenericLink{LinkAttrs: attrs, LinkType: kindVLAN}), unix.EOPNOTSUPP)
}

// RemoveVLANs deletes the VLAN sub-interfaces of an alias, but for the one with
// the index keep, and returns their names. It asks the kernel which there are:
// the newest may not have been told of yet, and what has another alias by now is
// somebody else's. One that goes meanwhile is no error.
func (m *Monitor) RemoveVLANs(alias string, keep int) (names []string, err error) {
	err = m.change(func(h *netlink.Handle) (err error) {
		names, err = removeVLANs(h, alias, keep)
		return err
	}, func(s *state) bool {
		return !slices.ContainsFunc(s.aliased(alias), func(l Link) bool { return l.Index != keep })
	})
	return names, err
}

func removeVLANs(h *netlink.Handle, alias string, keep int) (names []string, err error) {
	links, err := list(h)
	if err != nil {
		return nil, fmt.Errorf("list the VLAN sub-interfaces: %w", err)
	}
	for _, l := range links {
		a := l.Attrs()
		if l.Type() != kindVLAN || a.Alias != alias || a.Index == keep {
			continue
		}
		switch e := h.LinkDel(l); {
		case e == nil:
			names = append(names, a.Name)
		case !errors.Is(e, unix.ENODEV):
			err = errors.Join(err, fmt.Errorf("delete %s: %w", a.Name, e))
		}
	}
	return names, err
}

// list returns all links, or the most of them when they keep changing.
func list(h *netlink.Handle) (links []netlink.Link, err error) {
	for range dumpTries {
		links, err = h.LinkList()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return links, err
		}
	}
	return links, nil
}

// VLAN returns the sub-interface that carries a VLAN of a parent, whatever its
// name.
//
// The kernel is asked how it is: of a device that is down it does not tell that
// it was given an alias, and of none that its parent left the namespace.
func (m *Monitor) VLAN(v VLAN) (Link, bool) {
	m.mu.RLock()
	l, ok := m.state.vlan(v)
	m.mu.RUnlock()
	if !ok {
		return Link{}, false
	}
	is, err := m.read(l.Index)
	switch {
	case errors.Is(err, unix.ENODEV):
		return Link{}, false
	case err != nil:
		return l, true
	}
	is.Downs, is.Master = l.Downs, l.Master
	is.Driver, is.StripsVLAN, is.XDP = l.Driver, l.StripsVLAN, l.XDP
	return is.Link, is.VLAN == v
}

// read asks the kernel for a link.
func (m *Monitor) read(link int) (d device, err error) {
	m.requests.RLock()
	defer m.requests.RUnlock()
	if m.handle == nil {
		return device{}, os.ErrClosed
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	req.Sockets = m.dumper.sockets
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(link)
	req.AddData(info)
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(extFilterSkipStats)))
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return device{}, err
	}
	for _, b := range answers {
		if d, ok := parseLink(b); ok {
			return d, nil
		}
	}
	return device{}, unix.ENODEV
}

// VLANs lists the VLAN sub-interfaces that have an alias, as they were last
// heard of, in the order of their indexes.
func (m *Monitor) VLANs(alias string) []Link {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.aliased(alias)
}

// Addrs lists the addresses of a link that can be used, in order; see Holder.
func (m *Monitor) Addrs(link int) []netip.Prefix {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.addrs(link)
}
