package tables

import (
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
)

// gone is what has left, or is not where it was any more: what was learned of it
// is forgotten, all of it in one walk through a table.
type gone struct {
	hops    map[fdb.Hop]bool    // ports and VTEPs
	domains map[fdb.Domain]bool // bridge domains
	floods  map[domainVTEP]bool // VTEPs that left the list of a domain
	mute    map[fdb.Domain]bool // domains that suppress nothing, or no longer

	// narrowed is domains that other VTEPs may send to than before: those that
	// no longer may are not in there.
	narrowed map[fdb.Domain]*narrowed
}

type domainVTEP struct {
	domain fdb.Domain
	vtep   forward.VTEPID
}

// narrowed is a domain, and the VTEPs by number.
type narrowed struct {
	allows forward.Domain
	vteps  []forward.VTEP
}

func set[K comparable](m *map[K]bool, k K) {
	if *m == nil {
		*m = make(map[K]bool)
	}
	(*m)[k] = true
}

func (g *gone) port(id forward.PortID) { set(&g.hops, forward.PortHop(id)) }
func (g *gone) vtep(id forward.VTEPID) { set(&g.hops, forward.VTEPHop(id)) }
func (g *gone) domain(d fdb.Domain)    { set(&g.domains, d) }
func (g *gone) flood(d fdb.Domain, v forward.VTEPID) {
	set(&g.floods, domainVTEP{d, v})
}

// macs forgets MACs.
func (g *gone) macs(t *fdb.Table) {
	if g.any(t) {
		t.Flush(g.has)
	} else {
		t.ForgetMoves(g.has)
	}
}

// any reports whether anything at all was learned of what has gone.
func (g *gone) any(t *fdb.Table) bool {
	for h := range g.hops {
		if t.HopLearned(h) > 0 {
			return true
		}
	}
	for d := range g.domains {
		if t.DomainLearned(d) > 0 {
			return true
		}
	}
	for f := range g.floods {
		if t.DomainLearned(f.domain) > 0 && t.HopLearned(forward.VTEPHop(f.vtep)) > 0 {
			return true
		}
	}
	for d := range g.narrowed {
		if t.DomainLearned(d) > 0 {
			return true
		}
	}
	return false
}

// has reports whether what was learned in a domain behind a hop is to go.
func (g *gone) has(d fdb.Domain, h fdb.Hop) bool {
	if g.hops[h] || g.domains[d] {
		return true
	}
	if _, isPort := forward.HopPort(h); isPort {
		return false
	}
	v := forward.HopVTEP(h)
	return g.floods[domainVTEP{d, v}] || g.narrowed[d].bars(v)
}

// bars reports whether a VTEP may not send. One that was numbered since may: it
// was asked about by what is in force now.
func (n *narrowed) bars(v forward.VTEPID) bool {
	return n != nil && int(v) < len(n.vteps) && !n.allows.Allows(n.vteps[v].Addr)
}
