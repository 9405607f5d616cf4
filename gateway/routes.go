package gateway

import (
	"cmp"
	"iter"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l3/vrf"
)

// Routes yields the routes of every VRF, in the configuration's order, each by
// prefix.
func (g *Gateway) Routes() iter.Seq[api.RouteRow] {
	return func(yield func(api.RouteRow) bool) {
		s := g.tables.Snapshot()
		for i := range s.VRFs {
			if s.VRFs[i].Name == "" {
				continue
			}
			for r := range s.VRFs[i].Table.All() {
				who := r.Origin.String()
				if r.Origin == vrf.OriginController {
					who = cmp.Or(string(g.tables.OriginOfRoute(s.VRFs[i].Name, r.Prefix)), who)
				}
				if !yieldRoute(yield, s, s.VRFs[i].Name, r, who) {
					return
				}
			}
		}
	}
}

// yieldRoute yields a row for each next hop of a route.
func yieldRoute(yield func(api.RouteRow) bool, s *forward.Snapshot, name string, r *vrf.Route, who string) bool {
	row := api.RouteRow{VRF: name, Prefix: r.Prefix.String(), Kind: r.Kind.String(), Origin: who}
	if len(r.Hops) == 0 {
		return yield(row)
	}
	for _, h := range r.Hops {
		row.VNI, row.Via = s.Domains[h.Domain].VNI, ""
		if h.Via.IsValid() {
			row.Via = h.Via.String()
		}
		if !yield(row) {
			return false
		}
	}
	return true
}

// VRFs lists the VRFs and what they have.
func (g *Gateway) VRFs() []api.VRFRow {
	s := g.tables.Snapshot()
	neighbours := make(map[forward.VRFID]map[string]int)
	for e := range g.tables.Hosts().All() {
		if int(e.Domain) >= len(s.Domains) || s.Domains[e.Domain].IRB == nil {
			continue
		}
		id := s.Domains[e.Domain].IRB.VRF
		if neighbours[id] == nil {
			neighbours[id] = make(map[string]int)
		}
		neighbours[id][e.State.String()]++
	}
	var rows []api.VRFRow
	for i := range s.VRFs {
		v := &s.VRFs[i]
		if v.Name == "" {
			continue
		}
		rows = append(rows, api.VRFRow{
			Name: v.Name, Routes: v.Table.Len(), Neighbours: neighbours[forward.VRFID(i)],
			RxPackets: v.Traffic.RxPackets.Load(), RxBytes: v.Traffic.RxBytes.Load(),
			TxPackets: v.Traffic.TxPackets.Load(), TxBytes: v.Traffic.TxBytes.Load(),
		})
	}
	return rows
}
