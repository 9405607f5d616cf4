package fdb

import (
	"sync"
	"sync/atomic"
)

// shard is one part of the table. Only the holder of mu inserts, moves and
// removes; a refresh is a compare-and-swap without it.
type shard struct {
	slots atomic.Pointer[slots] // replaced whole, with mu held

	// guarded by mu
	mu   sync.Mutex
	used int // slots with a key
	live int // slots with an entry

	_ [32]byte // a cache line each: one shard's lock does not slow its neighbours' readers
}

func (s *shard) init() {
	fresh := make(slots, minSlots)
	s.slots.Store(&fresh)
}

// find returns the slot of k, live or not, or nil.
func (s *shard) find(k, h uint64) *slot { return (*s.slots.Load()).find(k, h) }

// put makes v the value of k, whose slot, if it has one, is sl, and returns
// what was there before.
func (s *shard) put(sl *slot, k uint64, v value, hash func(uint64) uint64) value {
	if sl == nil {
		s.insert(k, v, hash)
		return 0
	}
	old := sl.swap(v)
	if !old.live() {
		s.live++
	}
	return old
}

func (s *shard) insert(k uint64, v value, hash func(uint64) uint64) {
	if size := len(*s.slots.Load()); (s.used+1)*4 > size*maxUsedQuarters {
		s.rebuild(slotsFor(s.live+1), hash)
	}
	(*s.slots.Load()).add(k, hash(k), v)
	s.used++
	s.live++
}

// drop clears sl, which holds an entry, and returns what it held.
func (s *shard) drop(sl *slot) value {
	s.live--
	return sl.swap(0)
}

// tidy gives memory back and clears keys that have lost their entry, once
// there is enough of either to pay for the copy.
func (s *shard) tidy(hash func(uint64) uint64) {
	size, fit := len(*s.slots.Load()), slotsFor(s.live)
	if fit <= size/4 || (s.used-s.live)*4 > size {
		s.rebuild(fit, hash)
	}
}

// rebuild copies what is live to a new piece of memory of size slots. Readers
// go on in the old one. Freezing a value there before it is copied sends a
// concurrent refresh to the lock and so to the new one: none is lost.
func (s *shard) rebuild(size int, hash func(uint64) uint64) {
	old, fresh := *s.slots.Load(), make(slots, size)
	for i := range old {
		sl := &old[i]
		if !sl.value().live() {
			continue
		}
		k := sl.k.Load()
		fresh.add(k, hash(k), sl.freeze())
	}
	s.slots.Store(&fresh)
	s.used = s.live
}
