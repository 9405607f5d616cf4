package fdb

import (
	"math"
	"slices"

	"vxgw/l2/frame"
)

// model is the table as one would write it on a slate: a map, and a count over
// all of it for every question.
type model struct {
	limit   int
	hops    int
	near    int
	entries map[place]Entry
	domain  map[Domain]bound
	hop     map[Hop]int
}

type place struct {
	d Domain
	m frame.MAC
}

type bound struct {
	limit  int
	ageing uint32
}

func newModel(c Config) *model {
	return &model{limit: c.Limit, hops: c.Hops, near: c.Near, entries: map[place]Entry{}, domain: map[Domain]bound{}, hop: map[Hop]int{}}
}

func (m *model) count(is func(Entry) bool) (n int) {
	for _, e := range m.entries {
		if is(e) {
			n++
		}
	}
	return n
}

func (m *model) removeIf(is func(Entry) bool) (n int) {
	for p, e := range m.entries {
		if is(e) {
			delete(m.entries, p)
			n++
		}
	}
	return n
}

func isLearned(e Entry) bool { return e.Origin == Learned }

// expired reckons in 64 bits: the clock of a test goes up and down by less
// than half its range.
func (m *model) expired(e Entry, now uint32) bool {
	idle := int64(now) - int64(e.Seen)
	switch {
	case idle > math.MaxInt32:
		idle -= 1 << 32
	case idle < math.MinInt32:
		idle += 1 << 32
	}
	ageing := m.domain[e.Domain].ageing
	return isLearned(e) && ageing > 0 && idle >= int64(ageing)
}

func (m *model) lookup(p place, now uint32) (Entry, bool) {
	e, ok := m.entries[p]
	if !ok || m.expired(e, now) {
		return Entry{}, false
	}
	return e, true
}

func reached(n, limit int) bool { return limit < 0 || limit > 0 && n >= limit }

func (m *model) hopFull(h Hop) bool {
	return int(h) >= m.hops || reached(m.count(func(e Entry) bool { return isLearned(e) && e.Hop == h }), m.hop[h])
}

func (m *model) domainFull(d Domain) bool {
	return reached(m.count(func(e Entry) bool { return isLearned(e) && e.Domain == d }), m.domain[d].limit)
}

func (m *model) learn(p place, h Hop, now uint32) Outcome {
	if p.m.IsMulticast() || p.m.IsZero() {
		return NoStation
	}
	e, ok := m.entries[p]
	fresh := Entry{p.d, p.m, h, Learned, now}
	switch {
	case ok && m.yields(e, h):
		enters := m.enter(p, h)
		if enters != Added {
			return enters
		}
		m.entries[p] = fresh
		return Moved
	case !ok:
		enters := m.enter(p, h)
		if enters == Added {
			m.entries[p] = fresh
		}
		return enters
	case e.Origin != Learned && e.Hop == h:
		return Known
	case e.Origin != Learned:
		return IsStatic
	case e.Hop != h && m.hopFull(h):
		delete(m.entries, p)
		return HopFull
	case m.expired(e, now):
		m.entries[p] = fresh
		return Added
	case e.Hop != h:
		m.entries[p] = fresh
		return Moved
	}
	if int32(now-e.Seen) > 0 {
		m.entries[p] = fresh
	}
	return Known
}

// yields: a controller's, not sticky, and heard at a near hop that is not its own.
func (m *model) yields(e Entry, h Hop) bool {
	return (e.Origin == EVPN || e.Origin == OVSDB || e.Origin == Controller) && e.Hop != h && int(h) < m.near
}

func (m *model) enter(p place, h Hop) Outcome {
	switch {
	case m.count(isLearned) >= m.limit:
		return TableFull
	case m.domainFull(p.d):
		return DomainFull
	case m.hopFull(h):
		return HopFull
	}
	return Added
}

// origins are all that an entry can be pinned by.
var origins = []Origin{Static, Gateway, EVPN, OVSDB, Controller, EVPN | Sticky, OVSDB | Sticky, Controller | Sticky}

func (m *model) set(e Entry) bool {
	if !slices.Contains(origins, e.Origin) || e.MAC.IsMulticast() || e.MAC.IsZero() || int(e.Hop) >= m.hops {
		return false
	}
	m.entries[place{e.Domain, e.MAC}] = e
	return true
}

func (m *model) remove(p place) bool {
	_, ok := m.entries[p]
	delete(m.entries, p)
	return ok
}

// refresh is Table.Refresh.
func (m *model) refresh(p place, h Hop, at uint32) {
	if e, ok := m.entries[p]; ok && isLearned(e) && e.Hop == h && int32(at-e.Seen) > 0 {
		e.Seen = at
		m.entries[p] = e
	}
}
