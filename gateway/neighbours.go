package gateway

import (
	"cmp"
	"net/netip"
	"slices"

	"vxgw/gateway/api"
	"vxgw/gateway/control"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/nud"
)

// hear notes what an ARP or ND frame from hop says of who has which address. A
// station that the FDB does not have there, for a limit or because MACs are not
// learned, is not believed: nothing would be sent to it.
func (g *Gateway) hear(v forward.Verdict, f frame.Frame, hop fdb.Hop, now uint32, tally *batchTally) {
	m := neigh.Read(f)
	if e, ok := g.tables.FDB().Lookup(v.Domain, f.Src(), now); !ok || e.Hop != hop {
		m.Says, m.MAC = neigh.Doubts, frame.MAC{}
	}
	if g.tables.Neighbours().Hear(v.Domain, m, now) == neigh.Refused {
		tally.refuse(neighbourLimit)
	}
}

// answerNeighbour answers an ARP or ND request in its target's place.
func (w *accessWorker) answerNeighbour(v forward.Verdict, f frame.Frame) {
	b := w.tx.arena.take(neigh.AnswerLen)
	n := neigh.PutAnswer(b, f, v.Neighbour, v.Router)
	w.tx.port(w.id, b[:n], frame.Offload{})
}

// Neighbours lists the IP neighbours that were learned, by VNI and address.
func (g *Gateway) Neighbours() []api.NeighbourRow {
	s, now := g.tables.Snapshot(), g.edges.Clock()
	var entries []neigh.Entry
	for e := range g.tables.Neighbours().All() {
		if int(e.Domain) < len(s.Domains) && s.Domains[e.Domain].Suppress && !e.Expired(now) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b neigh.Entry) int {
		return cmp.Or(cmp.Compare(s.Domains[a.Domain].VNI, s.Domains[b.Domain].VNI), a.Addr.Compare(b.Addr))
	})
	rows := make([]api.NeighbourRow, 0, len(entries))
	for _, e := range entries {
		row := api.NeighbourRow{
			VNI: s.Domains[e.Domain].VNI, Address: e.Addr.String(), MAC: e.MAC.String(),
			State: neighbourState(e, now), Origin: api.OriginLearned,
		}
		row.Port, row.VTEP = g.whereIs(s, e.Domain, e.MAC)
		if e.Bound {
			row.Origin = string(g.tables.OriginOfHost(control.NeighbourKey{VNI: row.VNI, Addr: e.Addr}))
		}
		rows = append(rows, row)
	}
	return append(rows, g.hosts(s)...)
}

// hosts lists the neighbours of the routed interfaces.
func (g *Gateway) hosts(s *forward.Snapshot) []api.NeighbourRow {
	var rows []api.NeighbourRow
	for e := range g.tables.Hosts().All() {
		if int(e.Domain) >= len(s.Domains) || s.Domains[e.Domain].IRB == nil {
			continue
		}
		row := api.NeighbourRow{
			VNI: s.Domains[e.Domain].VNI, VRF: s.VRFs[s.Domains[e.Domain].IRB.VRF].Name, Address: e.Addr.String(),
			State: e.State.String(), Origin: api.OriginLearned,
		}
		if !e.MAC.IsZero() {
			row.MAC = e.MAC.String()
			row.Port, row.VTEP = g.whereIs(s, e.Domain, e.MAC)
		}
		if e.State == nud.Permanent || e.State == nud.Bound {
			row.Origin = cmp.Or(string(g.tables.OriginOfHost(control.NeighbourKey{VNI: row.VNI, Addr: e.Addr})), api.OriginStatic)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b api.NeighbourRow) int {
		return cmp.Or(cmp.Compare(a.VNI, b.VNI), netip.MustParseAddr(a.Address).Compare(netip.MustParseAddr(b.Address)))
	})
	return rows
}

func neighbourState(e neigh.Entry, now uint32) string {
	if e.Bound {
		return api.NeighbourBound
	}
	if e.Fresh(now) {
		return api.NeighbourFresh
	}
	return api.NeighbourStale
}
