package tables

import (
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Mirror keeps a copy of the FDB, to carry frames by. Its methods are called while a
// part of the FDB is locked.
type Mirror interface {
	// Learned says where a station is now. unsure says that whether a frame from
	// there is taken is still to be asked.
	Learned(e fdb.Entry, unsure bool)
	// Seen says that a station was heard.
	Seen(fdb.Domain, frame.MAC)
	// Forgotten says that a station is not known any more.
	Forgotten(fdb.Domain, frame.MAC)
}

// mirror tells a Mirror of the FDB's changes.
type mirror struct {
	of *Tables
	Mirror
}

// Put is as fdb.Mirror has it.
func (m *mirror) Put(e fdb.Entry) { m.Learned(e, m.unsure(e)) }

// Drop is as fdb.Mirror has it.
func (m *mirror) Drop(d fdb.Domain, a frame.MAC) { m.Forgotten(d, a) }

// unsure reports whether a station is pinned behind a VTEP that may not send to the
// domain. What is learned was taken, and goes when that changes.
func (m *mirror) unsure(e fdb.Entry) bool {
	if _, isPort := forward.HopPort(e.Hop); isPort || e.Origin == fdb.Learned {
		return false
	}
	s, v := m.of.Snapshot(), forward.HopVTEP(e.Hop)
	if int(e.Domain) >= len(s.Domains) || int(v) >= len(s.VTEPs) {
		return true
	}
	return !s.Domains[e.Domain].Allows(s.VTEPs[v].Addr)
}
