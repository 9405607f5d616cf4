package doctor

import (
	"context"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/l3/underlay/path"
	"vxgw/l3/underlay/path/nftables"
	"vxgw/l3/underlay/probe"
)

// Network is what the kernel tells of links, addresses and paths. *path.Monitor is the
// real one.
type Network interface {
	Link(name string) (path.Link, bool)
	Holders(addr netip.Addr) []path.Link
	Path(dst, src netip.Addr) (path.Path, error)
	VXLANOn(port uint16, addr netip.Addr) (string, bool)
	IsDuplicate(addr netip.Addr) (link string, is bool, err error)
	Unanswered(link int) (failed, asked []netip.Addr, err error)
	Offloads(link string) (path.Offloads, error)
	HashesPorts(link string, six bool) (bool, error)
}

// Machine is what checks ask. Errors of what this process may not do wrap
// fs.ErrPermission or unix.EPERM.
type Machine struct {
	Files   fs.FS // the root directory
	CPUs    int
	Network Network

	// Buffers returns how many bytes a socket gets that asks for want, to receive and
	// to send.
	Buffers func(want int) (receive, send int, err error)
	// Synchronised reports whether something keeps the clock right.
	Synchronised func() (bool, error)
	// Rules reads the packet filter.
	Rules func() (*nftables.Ruleset, error)

	// These send packets.
	Probe  func(ctx context.Context, own netip.Addr, port uint16, to []probe.Target) ([]probe.Answer, error)
	WhoHas func(ctx context.Context, link int, own frame.MAC, addr netip.Addr) (frame.MAC, bool, error)
}

// text returns a file of one line.
func (m *Machine) text(name string) (string, error) {
	b, err := fs.ReadFile(m.Files, name)
	return strings.TrimSpace(string(b)), err
}

// number returns a file that is one number.
func (m *Machine) number(name string) (int, error) {
	s, err := m.text(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(s)
}

// sysctl returns net.ipv4.conf.all.rp_filter and the like. Names of links have dots in
// them, and so the parts are given one by one.
func (m *Machine) sysctl(parts ...string) (int, error) {
	return m.number("proc/sys/" + strings.Join(parts, "/"))
}

// exists reports whether there is a file.
func (m *Machine) exists(name string) bool {
	_, err := fs.Stat(m.Files, name)
	return err == nil
}

// vteps returns the VTEPs that are sent to, each once, in order: those that a running
// gateway knows, or those that the configuration names.
func (s *Subject) vteps() []netip.Addr {
	var all []netip.Addr
	if s.Live != nil {
		for _, v := range s.Live.VTEPs() {
			if a, err := netip.ParseAddr(v.Address); err == nil && v.Origin != api.OriginGroup {
				all = append(all, a)
			}
		}
	} else {
		for i := range s.Config.VNIs {
			all = append(all, s.Config.VNIs[i].Flood...)
		}
		for _, m := range s.Config.MACs {
			if m.VTEP.IsValid() {
				all = append(all, m.VTEP)
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

func (e *exam) vteps() []netip.Addr { return e.once.vteps() }

// path asks the kernel for the path to a VTEP, once a run: there may be a thousand of
// them, and most checks ask.
func (e *exam) path(to netip.Addr) (path.Path, error) {
	is, known := e.once.paths[to]
	if !known {
		is.Path, is.err = e.Machine.Network.Path(to, e.own())
		e.once.paths[to] = is
	}
	return is.Path, is.err
}

// own is the VTEP address.
func (e *exam) own() netip.Addr { return e.Config.Underlay.Address }

// underlay returns the link that holds the VTEP address.
func (e *exam) underlay() (path.Link, bool) {
	all := e.Machine.Network.Holders(e.own())
	if len(all) == 0 {
		return path.Link{}, false
	}
	return all[0], true
}

// towards returns the links that packets to VTEPs leave by, each once, and the underlay
// where no VTEP is known.
func (e *exam) towards() (links []path.Link) {
	add := func(name string) {
		if l, ok := e.Machine.Network.Link(name); ok && !l.Loopback && !slices.ContainsFunc(links, func(is path.Link) bool { return is.Index == l.Index }) {
			links = append(links, l)
		}
	}
	for _, a := range e.vteps() {
		p, err := e.path(a)
		if err != nil {
			continue
		}
		add(p.Link)
		for _, h := range p.Hops {
			add(h.Link)
		}
	}
	if l, ok := e.underlay(); ok && len(links) == 0 {
		add(l.Name)
	}
	return links
}

// ports returns the links that access ports are.
func (e *exam) ports() (links []path.Link) {
	for _, p := range e.Config.Ports {
		if l, ok := e.Machine.Network.Link(p.Interface); ok {
			links = append(links, l)
		}
	}
	return links
}

// maxNamed is how many of a kind a finding names; the rest it counts.
const maxNamed = 5

// naming lists the first few and counts the others.
func naming[T any](list []T, name func(T) string) string {
	var names []string
	for _, is := range list[:min(len(list), maxNamed)] {
		names = append(names, name(is))
	}
	text := strings.Join(names, ", ")
	if more := len(list) - maxNamed; more > 0 {
		text += " and " + strconv.Itoa(more) + " more"
	}
	return text
}

func nameOf(l path.Link) string { return l.Name }
