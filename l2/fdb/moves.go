package fdb

import (
	"vxgw/l2/frame"
)

// Moves says when the stations of a domain move too often. A station that does is in
// two places at once: there is a loop, or two hosts have its address (RFC 7432 section
// 15.1, which has five moves in 180 seconds). Its frames from one of the places are then
// as good as any, and to follow them all serves nobody.
type Moves struct {
	Limit  int    // moves that are too many; 0 or less: none are
	Window uint32 // seconds from the first of them in which they count
	Hold   uint32 // seconds that a station is held for; 0: until Forget, or until it goes
}

// settled is how long, in seconds, a station stays in a place that it belongs to. One
// that never moves sooner than this is not held.
func (m Moves) settled() uint32 { return max(m.Window/uint32(m.Limit), 1) }

// Held is a station that has begun to be held.
type Held struct {
	Domain Domain
	MAC    frame.MAC
	At     Hop // where it is held
	Also   Hop // where else it was heard last
	Moves  int // that it made, the refused one among them
}

// SetMoves says when stations of d have moved too often, and what then. What is held
// already is held as long as it was to be, or no longer where moves do not count any
// more.
func (t *Table) SetMoves(d Domain, m Moves) { t.guard.setRule(d, m) }

// NewlyHeld calls f with the stations that have begun to be held since it was last
// called, and returns how many more there were than it keeps in mind.
func (t *Table) NewlyHeld(f func(Held)) (more int) { return t.guard.drain(f) }

// EachHeld calls f with every station that is held.
func (t *Table) EachHeld(f func(Entry)) {
	for _, k := range t.guard.heldKeys(nil) {
		if e, ok := t.entryOf(k); ok && e.Held {
			f(e)
		}
	}
}

func (t *Table) entryOf(k uint64) (Entry, bool) {
	h := t.hash(k)
	sl := t.shard(h).find(k, h)
	if sl == nil || !sl.value().live() {
		return Entry{}, false
	}
	return sl.value().entry(k), true
}

// hold keeps a station where it was before it began to move. That place has room for
// it, or it stays where it is.
func (t *Table) hold(sl *slot, k uint64, v value, n news, now uint32) {
	at, what := v.hop(), Known
	if n.home != at && t.take(n.home) {
		t.hops[at].release()
		at, what = n.home, Moved
	}
	sl.set(makeValue(at, Learned, now) | held)
	t.mirror.Put(Entry{keyDomain(k), frame.MACFromUint64(k), at, Learned, now, true}, what, v.place())
	is := Held{Domain: keyDomain(k), MAC: frame.MACFromUint64(k), At: at, Also: n.to, Moves: n.moves}
	if is.Also == at {
		is.Also = n.from
	}
	t.guard.tell(is)
}

// EndHolds ends the holds that are over at now, in seconds on the caller's monotonic
// clock, and calls over with each. It is to be called about once a second.
func (t *Table) EndHolds(now uint32, over func(Domain, frame.MAC)) {
	for _, k := range t.guard.heldKeys(nil) {
		if t.endHold(k, now) {
			over(keyDomain(k), frame.MACFromUint64(k))
		}
	}
}

// endHold reports whether a station was held until now. One that has gone meanwhile,
// or is not the one that was held, is forgotten silently.
func (t *Table) endHold(k uint64, now uint32) bool {
	hash := t.hash(k)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.find(k, hash)
	is := sl != nil && sl.value().held()
	if !t.guard.ends(k, hash, is, now) {
		return false
	}
	return is && t.letGo(sl, k)
}

// letGo takes the mark off a station that is held, with its shard locked.
func (t *Table) letGo(sl *slot, k uint64) bool {
	for v := sl.value(); v.held(); v = sl.value() {
		if sl.cas(v, v&^held) { // else it was refreshed this moment
			t.mirror.Put((v &^ held).entry(k), Known, v.place())
			return true
		}
	}
	return false
}

// Forget removes the entry of m if it is a learned one, with what is known of its
// moves, and reports whether there was one.
func (t *Table) Forget(d Domain, m frame.MAC) bool {
	k := key(d, m)
	hash := t.hash(k)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.guard.forget(k, hash)
	sl := s.find(k, hash)
	if sl == nil || !sl.value().learned() {
		return false
	}
	t.remove(s, k, sl, Removed)
	return true
}

// ForgetMoves forgets the moves of stations that were, before they began to move, where
// goes says. Nobody is to be held in a place that has gone. What is held already is
// forgotten with its entry.
func (t *Table) ForgetMoves(goes func(Domain, Hop) bool) { t.guard.forgetIf(goes) }
