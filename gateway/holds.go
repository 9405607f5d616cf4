package gateway

import (
	"fmt"

	"vxgw/gateway/api"
	"vxgw/gateway/events"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// holdLines is how many MACs that are held, or are not any more, are told of in one
// second. In a loop it is every MAC that sends.
const holdLines = 10

// tendHolds tells of MACs that have moved too often, and ends the holds that are over.
// It is called once a second.
func (g *Gateway) tendHolds() {
	t, s, now := g.tables.FDB(), g.tables.Snapshot(), g.edges.Clock()
	began, ended := 0, 0
	more := t.NewlyHeld(func(h fdb.Held) {
		g.watch.note(heldEvent(s, events.MACHeld, h.Domain, h.MAC, h.At, h.Also))
		if began++; began <= holdLines {
			g.log.Warn("a MAC moves too often: it is held where it was, and its frames from elsewhere are dropped",
				"mac", h.MAC, "vni", vniOf(s, h.Domain), "held_at", placeName(s, h.At), "also_at", placeName(s, h.Also), "moves", h.Moves,
				"mend", "there is a loop between the two, or two hosts have this MAC; `vxgw clear mac` lets it go")
		}
	})
	if more += max(began-holdLines, 0); more > 0 {
		g.log.Warn("more MACs move too often, and are held", "macs", more, "mend", "there is a loop: `vxgw show macs` has where they are held")
	}
	t.EndHolds(now, func(d fdb.Domain, m frame.MAC) {
		g.watch.note(events.Event{Type: events.MACReleased, VNI: vniOf(s, d), MAC: m.String()})
		if ended++; ended <= holdLines {
			g.log.Info("a MAC is not held any more", "mac", m, "vni", vniOf(s, d))
		}
	})
	if more := ended - holdLines; more > 0 {
		g.log.Info("more MACs are not held any more", "macs", more)
	}
}

// heldEvent tells of a station that is held at one place, and was heard at another.
func heldEvent(s *forward.Snapshot, t events.Type, d fdb.Domain, m frame.MAC, at, also fdb.Hop) events.Event {
	e := events.Event{Type: t, VNI: vniOf(s, d), MAC: m.String(), Mend: forward.DuplicateMAC.Mend()}
	e.Port, e.VTEP = namesOf(s, at)
	e.FromPort, e.FromVTEP = namesOf(s, also)
	return e
}

func vniOf(s *forward.Snapshot, d fdb.Domain) uint32 {
	if int(d) < len(s.Domains) {
		return s.Domains[d].VNI
	}
	return 0
}

// placeName says where a hop is.
func placeName(s *forward.Snapshot, h fdb.Hop) string {
	if p, isPort := forward.HopPort(h); isPort && int(p) < len(s.Ports) && s.Ports[p].Name != "" {
		return "port " + s.Ports[p].Name
	} else if v := forward.HopVTEP(h); !isPort && int(v) < len(s.VTEPs) && s.VTEPs[v].Addr.IsValid() {
		return "VTEP " + s.VTEPs[v].Addr.String()
	}
	return "a place that has gone"
}

// heldByDomain counts the MACs that are held.
func (g *Gateway) heldByDomain() map[fdb.Domain]int {
	n := make(map[fdb.Domain]int)
	g.tables.FDB().EachHeld(func(e fdb.Entry) { n[e.Domain]++ })
	return n
}

// ClearMACs forgets learned MACs, and lets go of those among them that are held.
func (g *Gateway) ClearMACs(r api.ClearRequest) (api.Cleared, error) {
	var done api.Cleared
	if err := r.Check(); err != nil {
		return done, err
	}
	s := g.tables.Snapshot()
	if _, ok := s.VNIs[r.VNI]; r.VNI != 0 && !ok {
		return done, fmt.Errorf("VNI %d is not configured: `vxgw show vnis` lists those that are", r.VNI)
	}
	if r.MAC != "" {
		return g.clearMAC(s, r)
	}
	hop, err := g.hopOf(s, r)
	if err != nil {
		return done, err
	}
	goes := func(d fdb.Domain, h fdb.Hop) bool {
		return (r.All || h == hop) && (r.VNI == 0 || vniOf(s, d) == r.VNI)
	}
	g.tables.FDB().EachHeld(func(e fdb.Entry) {
		if goes(e.Domain, e.Hop) {
			done.Held++
		}
	})
	done.MACs = g.tables.FDB().Flush(goes)
	g.logCleared(r, done)
	return done, nil
}

// clearMAC forgets one MAC, in one VNI or in all of them.
func (g *Gateway) clearMAC(s *forward.Snapshot, r api.ClearRequest) (done api.Cleared, err error) {
	m, err := frame.ParseMAC(r.MAC)
	if err != nil {
		return done, err
	}
	t, now := g.tables.FDB(), g.edges.Clock()
	for vni, d := range s.VNIs {
		if r.VNI != 0 && vni != r.VNI {
			continue
		}
		e, _ := t.Lookup(d, m, now)
		if t.Forget(d, m) {
			done.MACs++
			if e.Held {
				done.Held++
			}
		}
	}
	g.logCleared(r, done)
	return done, nil
}

// hopOf is the place that a request names; 0 where it names none.
func (g *Gateway) hopOf(s *forward.Snapshot, r api.ClearRequest) (fdb.Hop, error) {
	switch {
	case r.Port != "":
		id, ok := g.tables.Port(r.Port)
		if !ok {
			return 0, fmt.Errorf("%s is no access port of this gateway: `vxgw show ports` lists them", r.Port)
		}
		return forward.PortHop(id), nil
	case r.VTEP != "":
		for i := range s.VTEPs {
			if s.VTEPs[i].Addr.IsValid() && s.VTEPs[i].Addr.String() == r.VTEP {
				return forward.VTEPHop(forward.VTEPID(i)), nil
			}
		}
		return 0, fmt.Errorf("%s is no VTEP that this gateway knows: `vxgw show vteps` lists them", r.VTEP)
	}
	return 0, nil
}

func (g *Gateway) logCleared(r api.ClearRequest, done api.Cleared) {
	g.log.Info("MACs cleared", "what", r.String(), "macs", done.MACs, "held", done.Held)
}
