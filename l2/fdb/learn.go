package fdb

import (
	"vxgw/l2/frame"
)

// Learn notes that a frame from m came in from hop h. now is in seconds on the
// caller's monotonic clock.
//
// A station that is where it was is refreshed without a lock, at most once a
// second. A new one is refused, without a lock, when the table, its domain or
// its hop is full; nobody else's entry makes room for it. A station that has
// moved is moved at once.
//
// One that moves too often is held where it was before it began to, and its moves
// are refused: see SetMoves.
//
// When the new hop's limit refuses a move, the old entry is removed and the
// outcome is HopFull: the station is not behind its old hop any more, and a
// frame flooded as unknown reaches it where a frame sent to the old hop would
// be lost.
//
// An entry that yields, see Origin.Yields, is moved too, if there is room for a learned
// one; else it stays.
//
// An expired entry keeps its place in the limits until Age removes it or the
// station is heard again, which is then Added. A hop that is not below
// Config.Hops has room for nobody: HopFull.
func (t *Table) Learn(d Domain, m frame.MAC, h Hop, now uint32) Outcome {
	if m.IsMulticast() || m.IsZero() {
		return NoStation
	}
	k := key(d, m)
	hash := t.hash(k)
	sl := t.shard(hash).find(k, hash)
	if sl == nil || !sl.value().live() {
		if o := t.room(d, h); o != Added {
			return o
		}
		return t.learnLocked(k, hash, h, now)
	}
	for {
		v := sl.value()
		switch {
		case v.pinned() && !t.yields(v, h):
			return seenPinned(v, h)
		case v.held() && v.hop() != h && !t.expired(d, v, now):
			return Duplicate
		case v.pinned(), !v.live() || v.hop() != h || t.expired(d, v, now):
			return t.learnLocked(k, hash, h, now)
		case v.idle(now) == 0:
			return Known
		case v.frozen():
			return t.learnLocked(k, hash, h, now)
		case sl.touch(v, now):
			t.mirror.Seen(d, m)
			return Known
		}
	}
}

// Refresh notes that a frame from m came in from hop h at the second now, if that is
// where the table has it: somebody else has carried the frame, and tells of it late.
// A station that is not there, has moved or was seen since is left as it is.
func (t *Table) Refresh(d Domain, m frame.MAC, h Hop, now uint32) {
	k := key(d, m)
	hash := t.hash(k)
	s := t.shard(hash)
	sl := s.find(k, hash)
	if sl == nil {
		return
	}
	// One whose shard is being rebuilt is left too: it is told of again.
	for v := sl.value(); v.learned() && v.hop() == h && !v.frozen() && v.idle(now) > 0; v = sl.value() {
		if sl.touch(v, now) {
			return
		}
	}
}

// yields reports whether a pinned entry gives way to its station, heard behind h.
func (t *Table) yields(v value, h Hop) bool {
	return v.hop() != h && h < t.near && v.origin().Yields()
}

// yield learns a station in the place of its pinned entry at sl, with the shard locked.
func (t *Table) yield(sl *slot, k uint64, h Hop, now uint32) Outcome {
	if o := t.enter(keyDomain(k), h); o != Added {
		return o
	}
	was := sl.swap(makeValue(h, Learned, now))
	t.uncount(k, was)
	t.mirror.Put(Entry{keyDomain(k), frame.MACFromUint64(k), h, Learned, now, false}, Moved, was.place())
	return Moved
}

// seenPinned is the outcome for a pinned station that was heard behind h.
func seenPinned(v value, h Hop) Outcome {
	if v.hop() == h {
		return Known
	}
	return IsStatic
}

// room tells what would refuse a new station of d behind h, or Added.
func (t *Table) room(d Domain, h Hop) Outcome {
	switch {
	case t.total.full():
		return TableFull
	case t.domains[d].full():
		return DomainFull
	case !t.isHop(h) || t.hops[h].full():
		return HopFull
	}
	return Added
}

// learnLocked is Learn with the shard locked, and so without surprises but for
// a concurrent refresh.
func (t *Table) learnLocked(k, hash uint64, h Hop, now uint32) Outcome {
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()

	sl := s.find(k, hash)
	if sl == nil || !sl.value().live() {
		return t.learnNew(s, sl, k, h, now)
	}
	v := sl.value()
	switch {
	case v.pinned() && t.yields(v, h):
		return t.yield(sl, k, h, now)
	case v.pinned():
		return seenPinned(v, h)
	}
	expired := t.expired(keyDomain(k), v, now)
	switch {
	case v.hop() == h:
		return t.refreshLocked(sl, k, v, expired, now)
	case expired:
		return t.move(s, sl, k, v, h, now, Added)
	case v.held():
		return Duplicate
	}
	if n, hold := t.guard.moved(k, hash, v.hop(), h, now); hold {
		t.hold(sl, k, v, n, now)
		return Duplicate
	}
	return t.move(s, sl, k, v, h, now, Moved)
}

// refreshLocked refreshes a station that is where it was. One that had expired is a
// new one, and not held any more.
func (t *Table) refreshLocked(sl *slot, k uint64, v value, expired bool, now uint32) Outcome {
	o := Known
	if expired {
		o = Added
		if v.held() {
			v = makeValue(v.hop(), Learned, now)
			sl.set(v)
		}
	}
	sl.touch(v, now) // where it fails, another worker has refreshed the entry
	t.mirror.Put(Entry{keyDomain(k), frame.MACFromUint64(k), v.hop(), Learned, now, v.held()}, o, v.place())
	return o
}

// move puts a station behind h; o is the outcome when that has room.
func (t *Table) move(s *shard, sl *slot, k uint64, v value, h Hop, now uint32, o Outcome) Outcome {
	if !t.take(h) {
		t.remove(s, k, sl, Ousted)
		return HopFull
	}
	sl.set(makeValue(h, Learned, now))
	t.mirror.Put(Entry{keyDomain(k), frame.MACFromUint64(k), h, Learned, now, false}, o, v.place())
	t.hops[v.hop()].release()
	return o
}

func (t *Table) learnNew(s *shard, sl *slot, k uint64, h Hop, now uint32) Outcome {
	d := keyDomain(k)
	if o := t.enter(d, h); o != Added {
		return o
	}
	s.put(sl, k, makeValue(h, Learned, now), t.hash)
	t.mirror.Put(Entry{d, frame.MACFromUint64(k), h, Learned, now, false}, Added, Place{})
	return Added
}

// enter counts one more learned entry of d behind h, or tells what refuses it.
func (t *Table) enter(d Domain, h Hop) Outcome {
	if !t.total.take() {
		return TableFull
	}
	if !t.domains[d].take() {
		t.total.release()
		return DomainFull
	}
	if !t.take(h) {
		t.domains[d].release()
		t.total.release()
		return HopFull
	}
	return Added
}

func (t *Table) take(h Hop) bool { return t.isHop(h) && t.hops[h].take() }

// remove takes the entry at sl out of s and out of the counts.
func (t *Table) remove(s *shard, k uint64, sl *slot, why Cause) {
	t.uncount(k, s.drop(sl))
	t.mirror.Drop(keyDomain(k), frame.MACFromUint64(k), why)
	s.tidy(t.hash)
}

func (t *Table) uncount(k uint64, v value) {
	for _, q := range t.quotas(k, v) {
		if v.pinned() {
			q.pinned.Add(-1)
		} else {
			q.release()
		}
	}
}

func (t *Table) quotas(k uint64, v value) [3]*quota {
	return [...]*quota{&t.total, &t.domains[keyDomain(k)], &t.hops[v.hop()]}
}

// Set pins an entry, in the place of whatever the table had for its MAC. It
// has room whatever the limits say. Set reports false, and does nothing, for
// an entry that cannot be pinned: its Origin is Learned, its MAC is a group
// address or zero, or its Hop is not below Config.Hops.
func (t *Table) Set(e Entry) bool {
	if e.Origin == Learned || !e.Origin.valid() || e.MAC.IsMulticast() || e.MAC.IsZero() || !t.isHop(e.Hop) {
		return false
	}
	k, v := key(e.Domain, e.MAC), makeValue(e.Hop, e.Origin, e.Seen)
	hash := t.hash(k)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()

	old := s.put(s.find(k, hash), k, v, t.hash)
	if old.live() {
		t.uncount(k, old)
	}
	for _, q := range t.quotas(k, v) {
		q.pinned.Add(1)
	}
	e.Held = false
	t.mirror.Put(e, pinned(old, v), old.place())
	return true
}

// pinned is what it changes that v is pinned in the place of old.
func pinned(old, v value) Outcome {
	switch {
	case !old.live():
		return Added
	case old.hop() != v.hop():
		return Moved
	case old.origin() != v.origin():
		return Added
	}
	return Known
}

// Remove deletes the entry of m, learned or pinned, and reports whether there
// was one.
func (t *Table) Remove(d Domain, m frame.MAC) bool {
	k := key(d, m)
	hash := t.hash(k)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()

	sl := s.find(k, hash)
	if sl == nil || !sl.value().live() {
		return false
	}
	t.remove(s, k, sl, Removed)
	return true
}
