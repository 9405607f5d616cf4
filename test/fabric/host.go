package fabric

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"

	"vxgw/l3/underlay/path"
)

// Host is a machine that exists only in what it says of itself. It implements
// gateway.Host. What its methods change a gateway has noticed when Net.Settle
// returns.
type Host struct {
	changed chan struct{}

	mu        sync.Mutex // guards everything below
	links     map[string]path.Link
	held      []heldAddr
	mtus      map[netip.Addr]int
	unreached map[netip.Addr]bool
	vxlans    map[netip.AddrPort]string
	lastIndex int

	// What making a VLAN sub-interface ends with, giving a link an address, and
	// how often the first was tried; see vlan.go.
	noVLAN, noAssign error
	vlanTries        int

	// follow is told of a link that is new or has changed.
	follow func(l path.Link, there bool)
}

// DefaultMTU is what a path carries unless SetPath says otherwise: more than
// any test frame needs.
const DefaultMTU = 9000

var errNoRoute = errors.New("no route to host")

func newHost() *Host {
	return &Host{
		changed:   make(chan struct{}, 1),
		links:     make(map[string]path.Link),
		mtus:      make(map[netip.Addr]int),
		unreached: make(map[netip.Addr]bool),
		vxlans:    make(map[netip.AddrPort]string),
		follow:    func(path.Link, bool) {},
	}
}

// Run waits for ctx to end.
func (h *Host) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Changed is as gateway.Host has it.
func (h *Host) Changed() <-chan struct{} { return h.changed }

// Link is as gateway.Host has it.
func (h *Host) Link(name string) (path.Link, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, ok := h.links[name]
	return l, ok
}

// LinkAt is as gateway.Host has it.
func (h *Host) LinkAt(index int) (path.Link, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.links {
		if l.Index == index {
			return l, true
		}
	}
	return path.Link{}, false
}

// Holder is as gateway.Host has it.
func (h *Host) Holder(a netip.Addr) (path.Link, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, is := range h.held {
		if is.prefix.Addr() == a {
			return h.byIndex(is.link)
		}
	}
	return path.Link{}, false
}

// byIndex needs mu.
func (h *Host) byIndex(index int) (path.Link, bool) {
	for _, l := range h.links {
		if l.Index == index {
			return l, true
		}
	}
	return path.Link{}, false
}

// Confirm is as gateway.Host has it. There is nobody to be told.
func (h *Host) Confirm([]path.Neighbour) error { return nil }

// IPsec is as gateway.Host has it. There are no policies.
func (h *Host) IPsec() (bool, error) { return false, nil }

// Path is as gateway.Host has it.
func (h *Host) Path(dst, _ netip.Addr) (path.Path, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unreached[dst] {
		return path.Path{}, errNoRoute
	}
	if mtu, ok := h.mtus[dst]; ok {
		return path.Path{MTU: mtu}, nil
	}
	return path.Path{MTU: DefaultMTU}, nil
}

// VXLANOn is as gateway.Host has it.
func (h *Host) VXLANOn(port uint16, a netip.Addr) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name, ok := h.vxlans[netip.AddrPortFrom(a, port)]
	return name, ok
}

// change runs f and says that something changed.
func (h *Host) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.signal()
}

func (h *Host) signal() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// AddLink has a link appear, up and with a carrier, with an MTU of 1500 bytes.
// One that was there before comes back as another: its index is new.
func (h *Host) AddLink(name string) {
	h.change(func() {
		h.lastIndex++
		h.links[name] = path.Link{Name: name, Index: h.lastIndex, MTU: 1500, AdminUp: true, Carrier: true, Multicast: true, Kind: "veth"}
		h.follow(h.links[name], true)
	})
}

// RemoveLink has a link disappear, with the addresses that it holds and the
// VLANs that are on it.
func (h *Host) RemoveLink(name string) {
	h.change(func() { h.remove(name) })
}

// remove needs mu.
func (h *Host) remove(name string) {
	l, ok := h.links[name]
	if !ok {
		return
	}
	for _, sub := range h.vlansOn(l) {
		h.remove(sub.Name)
	}
	delete(h.links, name)
	h.held = slices.DeleteFunc(h.held, func(a heldAddr) bool { return a.link == l.Index })
	h.follow(l, false)
}

// EditLink changes a link that is there, and what follows it: its VLANs.
func (h *Host) EditLink(name string, edit func(*path.Link)) {
	h.change(func() { h.edit(name, edit) })
}

// edit needs mu.
func (h *Host) edit(name string, edit func(*path.Link)) {
	l := h.links[name]
	was := l
	edit(&l)
	if was.AdminUp && was.Carrier && !(l.AdminUp && l.Carrier) {
		l.Downs++
	}
	h.links[name] = l
	h.follow(l, true)
	h.followParent(was, l)
}

// SetUp sets a link up or down.
func (h *Host) SetUp(name string, up bool) {
	h.EditLink(name, func(l *path.Link) { l.AdminUp = up })
}

// SetCarrier plugs a cable in or pulls it.
func (h *Host) SetCarrier(name string, plugged bool) {
	h.EditLink(name, func(l *path.Link) { l.Carrier = plugged })
}

// SetMaster makes a link a member of a bridge or bond; "" releases it.
func (h *Host) SetMaster(name, master string) {
	h.EditLink(name, func(l *path.Link) { l.Master = master })
}

// Flap takes a link down and up faster than anyone looks.
func (h *Host) Flap(name string) { h.EditLink(name, func(l *path.Link) { l.Downs++ }) }

// AddAddr gives an address to a link, and to no other.
func (h *Host) AddAddr(a netip.Addr, link string) {
	h.change(func() {
		h.takeAddr(a)
		h.held = append(h.held, heldAddr{h.links[link].Index, netip.PrefixFrom(a, a.BitLen())})
	})
}

// RemoveAddr takes an address away, wherever it is.
func (h *Host) RemoveAddr(a netip.Addr) { h.change(func() { h.takeAddr(a) }) }

// takeAddr needs mu.
func (h *Host) takeAddr(a netip.Addr) {
	h.held = slices.DeleteFunc(h.held, func(is heldAddr) bool { return is.prefix.Addr() == a })
}

// SetPath has the path to an address carry IP packets of up to mtu bytes.
func (h *Host) SetPath(dst netip.Addr, mtu int) { h.change(func() { h.mtus[dst] = mtu }) }

// SetUnreachable takes away the route to an address, or gives it back.
func (h *Host) SetUnreachable(dst netip.Addr, yes bool) { h.change(func() { h.unreached[dst] = yes }) }

// SetVXLAN says that a device of the kernel has the VXLAN port of an address.
func (h *Host) SetVXLAN(at netip.AddrPort, dev string) { h.change(func() { h.vxlans[at] = dev }) }
