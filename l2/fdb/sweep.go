package fdb

import (
	"iter"

	"vxgw/l2/frame"
)

// Age removes the learned entries that have expired at now, in seconds on the
// caller's monotonic clock, and returns their number. It locks one shard at a
// time. Look-ups are right without it; it makes room and gives memory back.
func (t *Table) Age(now uint32) int { return t.AgePart(now, 0, 1) }

// AgePart is Age for one of parts equal parts of the table, the one with index
// part, for a caller that spreads the work over time.
func (t *Table) AgePart(now uint32, part, parts int) int {
	n := 0
	for i := max(part, 0); i < len(t.shards); i += max(parts, 1) {
		n += t.sweep(&t.shards[i], Aged, func(k uint64, v value) bool { return t.expired(keyDomain(k), v, now) })
	}
	return n
}

// Flush removes the learned entries that go and returns their number. Pinned ones
// stay. It walks the table once, however much there is to remove; goes is called
// with a lock held, and must not call the table.
func (t *Table) Flush(goes func(Domain, Hop) bool) int {
	t.ForgetMoves(goes)
	n := 0
	for i := range t.shards {
		n += t.sweep(&t.shards[i], Flushed, func(k uint64, v value) bool { return goes(keyDomain(k), v.hop()) })
	}
	return n
}

// sweep removes the learned entries of s that go. An entry that is refreshed
// between the question and the removal is asked about again. It tidies once, at
// the end: to do so moves the entries.
func (t *Table) sweep(s *shard, why Cause, goes func(uint64, value) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()

	n, all := 0, *s.slots.Load()
	for i := range all {
		sl := &all[i]
		k := sl.k.Load()
		for v := sl.value(); v.learned() && goes(k, v); v = sl.value() {
			if sl.cas(v, 0) {
				s.live--
				t.uncount(k, v)
				t.mirror.Drop(keyDomain(k), frame.MACFromUint64(k), why)
				n++
				break
			}
		}
	}
	s.tidy(t.hash)
	return n
}

// All yields the entries in no order, each at most once, expired ones that Age
// has not yet removed among them. It takes no lock, so the caller may take its
// time. What changes meanwhile may be yielded as it was or as it is.
func (t *Table) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range t.shards {
			all := *t.shards[i].slots.Load()
			for j := range all {
				k, v := all[j].k.Load(), all[j].value()
				if k != 0 && v.live() && !yield(v.entry(k)) {
					return
				}
			}
		}
	}
}
