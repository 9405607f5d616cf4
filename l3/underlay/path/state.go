package path

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// state is what is known of the host. It reads messages and asks nobody, so
// that it can be tested without a kernel.
type state struct {
	devices    map[int]device
	names      map[string]int
	held       map[address]struct{}
	neighbours map[neighbour]station // those that have a MAC

	// By index, what others than rtnetlink tell of a device, in an order of their
	// own: xdp has devices that are not there yet, or no more.
	xdp      map[int]XDP
	hardware map[int]hardware

	// downs is where Downs of a device that appears begins: above that of any
	// that has gone. One that comes back from another namespace keeps its
	// index, and this way its Downs has grown without a memory of every index
	// there ever was.
	downs uint64
}

func newState() *state {
	return &state{
		devices:    make(map[int]device),
		names:      make(map[string]int),
		held:       make(map[address]struct{}),
		neighbours: make(map[neighbour]station),
		xdp:        make(map[int]XDP),
		hardware:   make(map[int]hardware),
	}
}

// effect is what a message changed.
type effect uint8

const (
	facts   effect = 1 << iota // links, addresses or neighbours
	routing                    // where packets go; nothing of it is kept here
)

// apply takes one message into account.
func (s *state) apply(typ uint16, b []byte) effect {
	var changed bool
	switch typ {
	case unix.RTM_NEWLINK:
		if d, ok := parseLink(b); ok {
			changed = s.setDevice(d)
		}
	case unix.RTM_DELLINK:
		if d, ok := parseLink(b); ok {
			changed = s.dropDevice(d.Index)
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if a, usable, ok := parseAddress(b); ok {
			changed = s.setAddress(a, usable && typ == unix.RTM_NEWADDR)
		}
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if n, is, ok := parseNeighbour(b); ok {
			if typ == unix.RTM_DELNEIGH {
				is = station{}
			}
			changed = s.setNeighbour(n, is)
		}
	case unix.RTM_NEWQDISC, unix.RTM_DELQDISC:
		if index, kind, ok := parseRootQdisc(b); ok {
			changed = s.setShaped(index, typ == unix.RTM_NEWQDISC && shaped(kind))
		}
	case ofNetdev:
		if index, x, ok := parseXDP(b); ok {
			changed = s.setXDP(index, x)
		}
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE, unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		return routing
	}
	if changed {
		return facts
	}
	return 0
}

func (s *state) setDevice(d device) (changed bool) {
	old, known := s.devices[d.Index]
	d.Downs = s.downs
	if known {
		d.Downs = old.Downs + fallsBetween(&old, &d)
		s.dropName(&old)
	}
	s.names[d.Name] = d.Index
	s.devices[d.Index] = d
	return d != old
}

// setShaped notes whether somebody gave a device a queueing discipline. When that
// is taken away the kernel's own takes its place.
func (s *state) setShaped(index int, is bool) (changed bool) {
	d, known := s.devices[index]
	if !known || d.Shaped == is {
		return false
	}
	d.Shaped = is
	s.devices[index] = d
	return true
}

// fallsBetween counts how often a device went down between two messages of it.
func fallsBetween(old, is *device) uint64 {
	ups, downs := is.carrierUps-old.carrierUps, is.carrierDowns-old.carrierDowns // they wrap
	if !old.up() {
		// It has been counted as down; it must have come up to fall again.
		return uint64(min(ups, downs))
	}
	if !is.up() {
		// Set down by the operator it may have kept its carrier.
		return uint64(max(downs, 1))
	}
	return uint64(downs)
}

func (s *state) dropDevice(index int) (changed bool) {
	d, known := s.devices[index]
	if !known {
		return false
	}
	s.downs = max(s.downs, d.Downs+1)
	s.dropName(&d)
	delete(s.devices, index)
	delete(s.hardware, index)
	// The kernel says this too, but a message may be lost.
	for a := range s.held {
		if a.index == index {
			delete(s.held, a)
		}
	}
	for n := range s.neighbours {
		if n.index == index {
			delete(s.neighbours, n)
		}
	}
	return true
}

// dropName frees a device's name, unless another has taken it over.
func (s *state) dropName(d *device) {
	if s.names[d.Name] == d.Index {
		delete(s.names, d.Name)
	}
}

func (s *state) setAddress(a address, held bool) (changed bool) {
	_, was := s.held[a]
	if held {
		s.held[a] = struct{}{}
	} else {
		delete(s.held, a)
	}
	return held != was
}

func (s *state) setNeighbour(n neighbour, is station) (changed bool) {
	was := s.neighbours[n]
	if is.mac.IsZero() {
		delete(s.neighbours, n)
	} else {
		s.neighbours[n] = is
	}
	return is.mac != was.mac
}

// replace takes in a dump of everything: what is not in it is gone.
func (s *state) replace(dump []message) {
	there := newState()
	for _, m := range dump {
		there.apply(m.typ, m.body)
	}
	for index := range s.devices {
		if _, ok := there.devices[index]; !ok {
			s.dropDevice(index)
		}
	}
	for _, d := range there.devices {
		s.setDevice(d)
	}
	s.held, s.neighbours, s.xdp = there.held, there.neighbours, there.xdp
}

// link returns the device in the form that it is shown in.
func (s *state) link(index int) (Link, bool) {
	d, ok := s.devices[index]
	if !ok {
		return Link{}, false
	}
	l, h := d.Link, s.hardware[index]
	l.Driver, l.StripsVLAN, l.XDP = h.driver, h.stripsVLAN, s.xdp[index]
	if d.master != 0 {
		l.Master = s.nameOf(d.master)
	}
	return l, true
}

func (s *state) nameOf(index int) string {
	if d, ok := s.devices[index]; ok {
		return d.Name
	}
	return fmt.Sprintf("interface %d", index)
}

func (s *state) linkByName(name string) (Link, bool) {
	index, ok := s.names[name]
	if !ok {
		return Link{}, false
	}
	return s.link(index)
}

// holder finds the link that holds addr: one that is up before one that is
// down, and the oldest of several.
func (s *state) holder(addr netip.Addr) (best Link, found bool) {
	all := s.holders(addr)
	if len(all) == 0 {
		return Link{}, false
	}
	return all[0], true
}

// holders finds all of them, the one that holder finds first. A link that holds it
// with two prefix lengths is there once.
func (s *state) holders(addr netip.Addr) (all []Link) {
	for a := range s.held {
		if l, ok := s.link(a.index); ok && a.addr == addr {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b Link) int {
		switch {
		case a.Index == b.Index:
			return 0
		case better(a, b):
			return -1
		}
		return 1
	})
	return slices.CompactFunc(all, func(a, b Link) bool { return a.Index == b.Index })
}

// addrs lists what a link holds, in order.
func (s *state) addrs(index int) []netip.Prefix {
	var list []netip.Prefix
	for a := range s.held {
		if a.index == index {
			list = append(list, a.prefix())
		}
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return list
}

func (s *state) holds(index int, p netip.Prefix) bool {
	_, ok := s.held[address{index, p.Addr(), uint8(p.Bits())}]
	return ok
}

// vlan finds the sub-interface that carries a VLAN. The kernel lets there be one.
func (s *state) vlan(v VLAN) (Link, bool) {
	for index, d := range s.devices {
		if d.VLAN == v && v.ID != 0 {
			return s.link(index)
		}
	}
	return Link{}, false
}

// aliased lists the VLAN sub-interfaces of an alias.
func (s *state) aliased(alias string) []Link {
	var list []Link
	for index, d := range s.devices {
		if d.Kind == kindVLAN && d.Alias == alias {
			l, _ := s.link(index)
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b Link) int { return cmp.Compare(a.Index, b.Index) })
	return list
}

func better(a, b Link) bool {
	if up := a.AdminUp && a.Carrier; up != (b.AdminUp && b.Carrier) {
		return up
	}
	return a.Index < b.Index
}

// vxlanOn finds the device that holds the port for the family of addr.
func (s *state) vxlanOn(port uint16, addr netip.Addr) (string, bool) {
	for _, d := range s.devices {
		v := d.vxlan
		if !d.AdminUp || v.port != port { // a device that is down has no socket
			continue
		}
		if addr.Is4() && v.ipv4 || addr.Is6() && v.ipv6 {
			return d.Name, true
		}
	}
	return "", false
}
