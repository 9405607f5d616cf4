package tables

import (
	"fmt"
	"slices"
	"strings"

	"vxgw/gateway/control"
	"vxgw/gateway/forward"
	"vxgw/l3/vrf"
)

// Unused returns which of some words of an origin are of no use at the moment, and why:
// what they are about is not configured, or somebody's word counts before. They are kept
// all the same, and used as soon as that changes.
func (t *Tables) Unused(o control.Origin, w control.Words) []control.Unused {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unusedOf(o, &w).list()
}

// UnusedCount returns how many of all words of an origin are of no use at the moment.
func (t *Tables) UnusedCount(o control.Origin) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if is, ok := t.said.unused[o]; ok {
		return is
	}
	m, n := t.said.merge, 0
	w := control.Words{VTEPs: m.VTEPs.Of(o), MACs: m.MACs.Of(o), Neighbours: m.Neighbours.Of(o), Routes: m.Routes.Of(o)}
	for _, is := range t.unusedOf(o, &w) {
		n += is.Count
	}
	t.said.unused[o] = n
	return n
}

// unusedOf needs mu.
func (t *Tables) unusedOf(o control.Origin, w *control.Words) unused {
	u, s, m := make(unused), t.snap.Load(), t.said.merge
	for k := range w.VTEPs {
		u.note("vteps", t.unusedVTEP(s, k), func() string { return fmt.Sprintf("VNI %d, %s", k.VNI, k.Addr) })
	}
	for k := range w.MACs {
		why := outranked(o, m.MACs.Counts(k).Origin)
		if why == "" {
			_, why = t.wantMAC(s, k)
		}
		u.note("macs", why, func() string { return fmt.Sprintf("VNI %d, %s", k.VNI, k.MAC) })
	}
	for k := range w.Neighbours {
		why := outranked(o, m.Neighbours.Counts(k).Origin)
		if why == "" {
			_, why = t.wantHost(s, k)
		}
		u.note("neighbours", why, func() string { return fmt.Sprintf("VNI %d, %s", k.VNI, k.Addr) })
	}
	for k, r := range w.Routes {
		why := outranked(o, m.Routes.Counts(k).Origin)
		if why == "" {
			why = t.unusedRoute(s, k, r)
		}
		u.note("routes", why, func() string { return fmt.Sprintf("VRF %s, %s", k.VRF, k.Prefix) })
	}
	return u
}

func outranked(o, counts control.Origin) string {
	if counts == o || counts == "" {
		return ""
	}
	return fmt.Sprintf("origin %s says it too, and its word counts before", counts)
}

func (t *Tables) unusedVTEP(s *forward.Snapshot, k control.VTEP) string {
	if _, ok := s.VNIs[k.VNI]; !ok {
		return noVNI(k.VNI)
	}
	if _, ok := t.hopOf(k.Addr); !ok {
		return noNumber
	}
	return ""
}

func (t *Tables) unusedRoute(s *forward.Snapshot, k control.RouteKey, r control.Route) string {
	if _, why := t.wantRoute(s, k, r); why != "" {
		return why
	}
	id, _ := t.vrfs.find(k.VRF)
	if is := s.VRFs[id].Table.Exact(k.Prefix); is != nil && is.Origin != vrf.OriginController {
		return fmt.Sprintf("there is a %s route for it", is.Origin)
	}
	return ""
}

// unused collects by section and reason.
type unused map[[2]string]control.Unused

// note notes an entry, for a reason that is not "". The example is the least of them, so
// that the same question has the same answer.
func (u unused) note(section, why string, example func() string) {
	if why == "" {
		return
	}
	k, what := [2]string{section, why}, example()
	is, more := u[k]
	if !more || what < is.Example {
		is.Example = what
	}
	u[k] = control.Unused{Section: section, Reason: why, Count: is.Count + 1, Example: is.Example}
}

func (u unused) list() []control.Unused {
	all := make([]control.Unused, 0, len(u))
	for _, is := range u {
		all = append(all, is)
	}
	slices.SortFunc(all, func(a, b control.Unused) int {
		if c := strings.Compare(a.Section, b.Section); c != 0 {
			return c
		}
		return strings.Compare(a.Reason, b.Reason)
	})
	return all
}

// SaidMACCount is how many entries of the FDB are an origin's in a domain.
type SaidMACCount struct {
	VNI    uint32
	Origin control.Origin
	Count  int
}

// SaidMACs returns how many entries controllers have in the FDB, by VNI. What a station
// that is here has taken is among them.
func (t *Tables) SaidMACs() (all []SaidMACCount) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.snap.Load()
	for k, n := range t.said.inFDB {
		if n > 0 && int(k.domain) < len(s.Domains) {
			all = append(all, SaidMACCount{s.Domains[k.domain].VNI, k.origin, n})
		}
	}
	return all
}

// OriginOfVTEP returns the first of the controllers that name a VTEP; "" where none does.
func (t *Tables) OriginOfVTEP(a addr) control.Origin {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := control.Origin("")
	for o := range t.said.vteps[a] {
		if first == "" || o.Before(first) {
			first = o
		}
	}
	return first
}
