package tables

import (
	"net/netip"

	"vxgw/gateway/forward"
	"vxgw/gateway/journal"
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

// mirror tells the journal, and a Mirror if there is one, of the FDB's changes.
type mirror struct {
	of   *Tables
	copy Mirror // nil: none
}

// Put is as fdb.Mirror has it.
func (m *mirror) Put(e fdb.Entry, what fdb.Outcome, was fdb.Place) {
	if what != fdb.Known {
		m.of.journal.Put(journal.Record{
			Kind: journal.MACThere, Domain: e.Domain, MAC: e.MAC, Hop: e.Hop, Origin: e.Origin,
			Moved: what == fdb.Moved, From: was.Hop, By: was.Origin,
		})
	}
	if m.copy != nil {
		m.copy.Learned(e, m.unsure(e))
	}
}

// Seen is as fdb.Mirror has it.
func (m *mirror) Seen(d fdb.Domain, a frame.MAC) {
	if m.copy != nil {
		m.copy.Seen(d, a)
	}
}

// Drop is as fdb.Mirror has it.
func (m *mirror) Drop(d fdb.Domain, a frame.MAC, why fdb.Cause) {
	m.of.journal.Put(journal.Record{Kind: journal.MACGone, Domain: d, MAC: a, Cause: why})
	if m.copy != nil {
		m.copy.Forgotten(d, a)
	}
}

// neighbour tells the journal of an IP address that is at another MAC than before.
func (t *Tables) neighbour(routed bool) func(d fdb.Domain, a netip.Addr, was, is frame.MAC) {
	return func(d fdb.Domain, a netip.Addr, was, is frame.MAC) {
		t.journal.Put(journal.Record{Kind: journal.Neighbour, Routed: routed, Domain: d, Addr: a, Was: was, MAC: is})
	}
}

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
