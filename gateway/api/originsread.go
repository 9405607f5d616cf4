package api

import (
	"io"
	"net/netip"
	"slices"
	"strings"

	"vxgw/gateway/control"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
)

// Names in what an origin says. What is removed is named by the first ones alone.
var (
	wordsNames     = []string{"vteps", "macs", "neighbours", "routes"}
	replaceNames   = append([]string{"hold"}, wordsNames...)
	patchNames     = []string{"hold", "add", "remove"}
	vtepNames      = []string{"vni", "address"}
	macNames       = []string{"vni", "mac", "vtep", "sticky", "sequence"}
	neighbourNames = []string{"vni", "address", "mac", "router"}
	routeNames     = []string{"vrf", "prefix", "hops"}
	hopNames       = []string{"vni", "via", "vtep", "l3vni", "router_mac"}
)

// maxHops is how many next hops a route has at most, as in the configuration.
const maxHops = 16

// wordsReader reads what an origin says.
type wordsReader struct {
	*scan
	rules control.Rules
}

// readReplace reads all that an origin has to say.
func readReplace(body io.Reader, rules control.Rules) (w control.Words, hold *uint32, err error) {
	r := wordsReader{newScan(body), rules}
	w = control.NewWords()
	err = r.whole(replaceNames, func(i int) error {
		if i == 0 {
			hold, err = r.hold()
			return err
		}
		return r.section(i-1, &w, false)
	})
	return w, hold, err
}

// readPatch reads what an origin adds and takes back.
func readPatch(body io.Reader, rules control.Rules) (e control.Edit, hold *uint32, err error) {
	r := wordsReader{newScan(body), rules}
	e = control.Edit{Removed: control.NewWords(), Added: control.NewWords()}
	err = r.whole(patchNames, func(i int) error {
		switch i {
		case 0:
			hold, err = r.hold()
			return err
		case 1:
			return r.object(wordsNames, func(i int) error { return r.section(i, &e.Added, false) })
		}
		return r.object(wordsNames, func(i int) error { return r.section(i, &e.Removed, true) })
	})
	return e, hold, err
}

func (r *wordsReader) hold() (*uint32, error) {
	n, err := r.number(1, control.MaxHold, "how many seconds what was said is kept")
	return &n, err
}

// section reads the i-th of wordsNames. gone says that what is named is removed.
func (r *wordsReader) section(i int, to *control.Words, gone bool) error {
	return r.array(func() error {
		switch i {
		case 0:
			return r.vtep(to)
		case 1:
			return r.mac(to, gone)
		case 2:
			return r.neighbour(to, gone)
		}
		return r.route(to, gone)
	})
}

// fields reads an object whose first need members have to be there. Where it is about
// what is removed, these are all there may be.
func (r *wordsReader) fields(names []string, key, need int, gone bool, member func(i int) error) error {
	if gone {
		names, need = names[:key], key
	}
	seen := uint64(0)
	err := r.object(names, func(i int) error {
		seen |= 1 << i
		return member(i)
	})
	if err != nil {
		return err
	}
	for i := range need {
		if seen&(1<<i) == 0 {
			return r.fail("%s is missing: write %s", names[i], strings.Join(names[:need], ", "))
		}
	}
	return nil
}

func (r *wordsReader) vtep(to *control.Words) error {
	var k control.VTEP
	err := r.fields(vtepNames, 2, 2, false, func(i int) (err error) {
		if i == 0 {
			k.VNI, err = r.vni()
			return err
		}
		k.Addr, err = r.remote()
		return err
	})
	return put(r, err, to.VTEPs, k, control.Member{})
}

func (r *wordsReader) mac(to *control.Words, gone bool) error {
	var k control.MACKey
	var v control.MAC
	err := r.fields(macNames, 2, 3, gone, func(i int) (err error) {
		switch i {
		case 0:
			k.VNI, err = r.vni()
		case 1:
			k.MAC, err = r.station()
		case 2:
			v.VTEP, err = r.remote()
		case 3:
			v.Sticky, err = r.truth()
		case 4:
			v.Sequence, err = r.number(0, 1<<32-1, "a mobility sequence number")
		}
		return err
	})
	return put(r, err, to.MACs, k, v)
}

func (r *wordsReader) neighbour(to *control.Words, gone bool) error {
	var k control.NeighbourKey
	var v control.Neighbour
	err := r.fields(neighbourNames, 2, 3, gone, func(i int) (err error) {
		switch i {
		case 0:
			k.VNI, err = r.vni()
		case 1:
			k.Addr, err = r.host()
		case 2:
			v.MAC, err = r.station()
		case 3:
			v.Router, err = r.truth()
		}
		return err
	})
	return put(r, err, to.Neighbours, k, v)
}

func (r *wordsReader) route(to *control.Words, gone bool) error {
	var k control.RouteKey
	var v control.Route
	err := r.fields(routeNames, 2, 3, gone, func(i int) (err error) {
		switch i {
		case 0:
			k.VRF, err = r.text("the name of a VRF")
		case 1:
			k.Prefix, err = r.prefix()
		case 2:
			v.Hops, err = r.hops()
		}
		return err
	})
	if err == nil && !gone {
		err = r.checkFamily(k.Prefix, v.Hops)
	}
	return put(r, err, to.Routes, k, v)
}

// checkFamily: a neighbour is of the family of what is sent to it.
func (r *wordsReader) checkFamily(p netip.Prefix, hops []control.Hop) error {
	for i, h := range hops {
		if h.Via.IsValid() && h.Via.Is4() != p.Addr().Is4() {
			r.path = append(r.path, step{"hops", -1}, step{index: i}, step{"via", -1})
			return r.fail("%s is there, and the prefix is %s: write a neighbour of that family", h.Via, p)
		}
	}
	return nil
}

func (r *wordsReader) hops() (all []control.Hop, err error) {
	err = r.array(func() error {
		if len(all) == maxHops {
			return r.fail("a route has %d hops at most", maxHops)
		}
		h, err := r.hop()
		if err == nil && slices.Contains(all, h) {
			return r.fail("this hop is there twice: write it once")
		}
		all = append(all, h)
		return err
	})
	if err == nil && len(all) == 0 {
		err = r.fail("there is no hop: write one to %d", maxHops)
	}
	return all, err
}

// hop reads a neighbour in a VNI, or a router behind a VTEP.
func (r *wordsReader) hop() (h control.Hop, err error) {
	seen := 0
	err = r.object(hopNames, func(i int) (err error) {
		seen |= 1 << i
		switch i {
		case 0, 3:
			h.VNI, err = r.vni()
		case 1:
			h.Via, err = r.host()
		case 2:
			h.VTEP, err = r.remote()
		case 4:
			h.RouterMAC, err = r.station()
		}
		return err
	})
	const neighbour, router = 1<<0 | 1<<1, 1<<2 | 1<<3 | 1<<4
	if err == nil && seen != neighbour && seen != router {
		err = r.fail("a hop is either vni and via, a neighbour in that VNI, or vtep, l3vni and router_mac, a router behind that VTEP")
	}
	return h, err
}

// put adds an entry that was read without an error, unless it is there.
func put[K comparable, V any](r *wordsReader, err error, to map[K]V, k K, v V) error {
	if err != nil {
		return err
	}
	if _, twice := to[k]; twice {
		return r.fail("an entry before is about the same: say it once")
	}
	to[k] = v
	return nil
}

func (r *wordsReader) vni() (uint32, error) { return r.number(1, maxVNI, "a VNI") }

// address reads an IP address without a zone.
func (r *wordsReader) address(want string) (netip.Addr, error) {
	text, err := r.text(want)
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return a, r.fail("%s is there: write %s", show(text), want)
	}
	return a.Unmap(), nil
}

// remote reads the address of a remote VTEP.
func (r *wordsReader) remote() (netip.Addr, error) {
	a, err := r.address("a VTEP's IP address, as 192.0.2.2 or 2001:db8::2")
	switch {
	case err != nil:
		return a, err
	case !neigh.IsHost(a):
		return a, r.fail("%s is there: no VTEP has that address, write a unicast one", a)
	case a == r.rules.Local:
		return a, r.fail("%s is this gateway's own VTEP address: name remote ones", a)
	case a.Is4() != r.rules.Local.Is4():
		return a, r.fail("%s is there, and the underlay's address is %s: write one of that family", a, r.rules.Local)
	}
	return a, nil
}

// host reads the address of a station.
func (r *wordsReader) host() (netip.Addr, error) {
	a, err := r.address("a station's IP address, as 10.1.1.2 or 2001:db8::2")
	if err == nil && !neigh.IsHost(a) {
		err = r.fail("%s is there: no station has that address, write a unicast one", a)
	}
	return a, err
}

func (r *wordsReader) station() (frame.MAC, error) {
	const want = "a station's MAC address, as 02:00:00:00:01:02"
	text, err := r.text(want)
	if err != nil {
		return frame.MAC{}, err
	}
	m, err := frame.ParseMAC(text)
	if err != nil || m.IsMulticast() || m.IsZero() {
		return m, r.fail("%s is there: write %s", show(text), want)
	}
	return m, nil
}

func (r *wordsReader) prefix() (netip.Prefix, error) {
	text, err := r.text("a prefix")
	if err != nil {
		return netip.Prefix{}, err
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, r.fail("%s is there: write a prefix, as 10.1.0.0/16 or 2001:db8::/48", show(text))
	case p != p.Masked():
		return p, r.fail("%s is there, with bits beyond its length: did you mean %q?", show(text), p.Masked())
	}
	return p, nil
}
