package gateway

import (
	"iter"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
)

// FindMACs yields the FDB entries that a query asks for. What does not match costs
// no memory: there may be a million of them.
func (g *Gateway) FindMACs(q api.MACQuery) iter.Seq[api.MACRow] {
	return func(yield func(api.MACRow) bool) {
		s, now := g.tables.Snapshot(), g.edges.Clock()
		wanted := newWanted(s, q)
		for d := range s.Domains {
			dom := &s.Domains[d]
			if dom.IRB == nil || !wanted.gateway(fdb.Domain(d)) || !q.HasMAC(dom.Gateway.Uint64()) {
				continue
			}
			if !yield(api.MACRow{VNI: dom.VNI, MAC: dom.Gateway.String(), Origin: api.OriginGateway}) {
				return
			}
		}
		for e := range g.tables.FDB().All() {
			if !wanted.entry(e) || !q.HasMAC(e.MAC.Uint64()) {
				continue
			}
			if _, live := g.tables.FDB().Lookup(e.Domain, e.MAC, now); !live {
				continue // expired, and not swept yet
			}
			row := g.macRow(s, e, now)
			if q.Origin != "" && row.Origin != q.Origin {
				continue // another controller of those that the FDB has one word for
			}
			if !yield(row) {
				return
			}
		}
	}
}

// wanted is a query in the numbers that the FDB has.
type wanted struct {
	domains, ports, vteps []bool // by number; beyond the end: no
	origin                string
	anywhere              bool // the query names neither port nor VTEP
}

func newWanted(s *forward.Snapshot, q api.MACQuery) *wanted {
	w := &wanted{
		domains: make([]bool, len(s.Domains)), ports: make([]bool, len(s.Ports)), vteps: make([]bool, len(s.VTEPs)),
		origin: q.Origin, anywhere: q.Anywhere(),
	}
	for i := range s.Domains {
		w.domains[i] = s.Domains[i].VNI != 0 && (q.VNI == 0 || q.VNI == s.Domains[i].VNI)
	}
	for i := range s.Ports {
		w.ports[i] = q.BehindPort(s.Ports[i].Name)
	}
	for i := range s.VTEPs {
		w.vteps[i] = q.BehindVTEP(s.VTEPs[i].Addr)
	}
	return w
}

// gateway reports whether a domain's own MAC may be among what is asked for.
func (w *wanted) gateway(d fdb.Domain) bool {
	return w.domains[d] && w.anywhere && (w.origin == "" || w.origin == api.OriginGateway)
}

func (w *wanted) entry(e fdb.Entry) bool {
	if int(e.Domain) >= len(w.domains) || !w.domains[e.Domain] {
		return false
	}
	if w.origin != "" && w.origin != e.Origin.String() && e.Origin.Name() != fdb.Controller {
		return false
	}
	if p, isPort := forward.HopPort(e.Hop); isPort {
		return int(p) < len(w.ports) && w.ports[p]
	}
	v := forward.HopVTEP(e.Hop)
	return int(v) < len(w.vteps) && w.vteps[v]
}
