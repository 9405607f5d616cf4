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
	moves   map[Domain]Moves
	movers  map[place]*mover
	news    []Held
}

// mover is the moves of a station that count together, and where it last stayed before
// it began to move in haste.
type mover struct {
	made []made
	home Hop
	held bool
	end  uint32
	hold uint32
}

type made struct {
	at       uint32
	from, to Hop
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
	return &model{limit: c.Limit, hops: c.Hops, near: c.Near, entries: map[place]Entry{}, domain: map[Domain]bound{}, hop: map[Hop]int{}, moves: map[Domain]Moves{}, movers: map[place]*mover{}}
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
	fresh := Entry{p.d, p.m, h, Learned, now, false}
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
	case e.Hop != h && e.Held && !m.expired(e, now):
		return Duplicate
	case e.Hop != h && !m.expired(e, now) && m.tooMany(p, e.Hop, h, now):
		return m.hold(p, e.Hop, now)
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
		fresh.Held = e.Held
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
	e.Held = false
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

// ago is the seconds between two moments, none where the first seems to be ahead.
func ago(now, then uint32) uint32 { return uint32(max(int32(now-then), 0)) }

// tooMany notes a move and reports whether it is one too many.
func (m *model) tooMany(p place, from, to Hop, now uint32) bool {
	rule := m.moves[p.d]
	if rule.Limit <= 0 {
		return false
	}
	v := m.movers[p]
	if v == nil || v.held || ago(now, v.made[0].at) >= rule.Window {
		v = &mover{}
		m.movers[p] = v
	}
	if n := len(v.made); n == 0 || ago(now, v.made[n-1].at) >= max(rule.Window/uint32(rule.Limit), 1) {
		v.home = from
	}
	v.made = append(v.made, made{now, from, to})
	return len(v.made) >= rule.Limit
}

func (m *model) hold(p place, at Hop, now uint32) Outcome {
	rule, v := m.moves[p.d], m.movers[p]
	last := v.made[len(v.made)-1]
	if v.home != at && !m.hopFull(v.home) {
		at = v.home
	}
	v.held, v.end, v.hold = true, now+rule.Hold, rule.Hold
	m.entries[p] = Entry{p.d, p.m, at, Learned, now, true}
	also := last.to
	if also == at {
		also = last.from
	}
	m.news = append(m.news, Held{p.d, p.m, at, also, len(v.made)})
	return Duplicate
}

// endHolds lets go of those whose time is over.
func (m *model) endHolds(now uint32) map[place]bool {
	gone := map[place]bool{}
	for p, v := range m.movers {
		e := m.entries[p]
		over := v.hold != 0 && int32(now-v.end) >= 0
		if !v.held || !over && e.Held && m.moves[p.d].Limit > 0 {
			continue
		}
		delete(m.movers, p)
		if e.Held {
			e.Held = false
			m.entries[p] = e
			gone[p] = true
		}
	}
	return gone
}

func (m *model) forget(p place) bool {
	delete(m.movers, p)
	if e, ok := m.entries[p]; !ok || !isLearned(e) {
		return false
	}
	delete(m.entries, p)
	return true
}

// forgetMoves forgets who began to move from a place that goes.
func (m *model) forgetMoves(goes func(Domain, Hop) bool) {
	for p, v := range m.movers {
		if !v.held && goes(p.d, v.home) {
			delete(m.movers, p)
		}
	}
}
