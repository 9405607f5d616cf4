package forward

import (
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
)

// hear notes what an ARP or ND frame says of who has which address, in a domain
// that suppresses them, and returns the frame's meaning.
func (s *Snapshot) hear(v *Verdict, d *Domain, f frame.Frame, now uint32) neigh.Message {
	if !d.Suppress {
		return neigh.Message{}
	}
	m := neigh.Read(f)
	v.Heard = s.Neighbours.News(v.Domain, m, now)
	return m
}

// suppress decides whether a request is answered in its target's place. It asks
// for a neighbour that was heard of lately and that the one who asks reaches. A
// request that tells of a move goes through: everybody is to hear of it.
func (s *Snapshot) suppress(v *Verdict, in PortID, m neigh.Message, now uint32) bool {
	if !m.Asks.IsValid() || v.Heard == neigh.Moved || v.Heard == neigh.Dropped {
		return false
	}
	e, ok := s.Neighbours.Lookup(v.Domain, m.Asks, now)
	if !ok || !s.reaches(in, v.Domain, e.MAC, now) {
		return false
	}
	switch e.Use(now) {
	case neigh.Ask:
		v.Ask = true
	case neigh.Answer:
		v.Kind, v.Neighbour, v.Router = Answer, e.MAC, e.Router
		return true
	}
	return false
}

// reaches reports whether a frame from port in gets to a station: one that is
// known, not behind the same port, and by a way that is open.
func (s *Snapshot) reaches(in PortID, d fdb.Domain, m frame.MAC, now uint32) bool {
	hop, ok := s.hop(d, m, now)
	if !ok {
		return false
	}
	if out, isPort := HopPort(hop); isPort {
		return s.Blocks(in, out, false) == None
	}
	return len(s.Uplinks) > 0
}
