package neigh

import (
	"sync"
	"sync/atomic"

	"vxgw/l2/frame"
)

const (
	minSlots = 16

	// Linear probing stays short up to three quarters full. A rebuild leaves at
	// most nine sixteenths, so that the next one is some way off.
	maxUsedQuarters   = 3
	maxFillSixteenths = 9
)

// slots is a hash table with linear probing. Its length is a power of two, and
// some slots are always unused, so that every search ends.
type slots []slot

func slotsFor(n int) int {
	size := minSlots
	for n*16 > size*maxFillSixteenths {
		size *= 2
	}
	return size
}

// find returns the slot of k, live or not, or nil.
func (s slots) find(k key, hash uint64) *slot {
	for i := hash; ; i++ {
		sl := &s[i&uint64(len(s)-1)]
		switch {
		case sl.load()&used == 0:
			return nil
		case sl.has(k):
			return sl
		}
	}
}

func (s slots) add(k key, hash uint64, mac frame.MAC, st state) {
	for i := hash; ; i++ {
		if sl := &s[i&uint64(len(s)-1)]; sl.load()&used == 0 {
			sl.fill(k, mac, st)
			return
		}
	}
}

// shard is one part of the table. Only the holder of mu inserts, changes a MAC
// and removes; to note when an entry was heard, or asked, is a compare-and-swap
// without it.
type shard struct {
	slots atomic.Pointer[slots] // replaced whole, with mu held

	// guarded by mu
	mu   sync.Mutex
	used int // slots with a key
	live int // slots with an entry

	_ [32]byte // a cache line each
}

func (s *shard) find(k key, hash uint64) *slot { return (*s.slots.Load()).find(k, hash) }

func (s *shard) insert(t *Table, k key, mac frame.MAC, st state) {
	if size := len(*s.slots.Load()); (s.used+1)*4 > size*maxUsedQuarters {
		s.rebuild(t, slotsFor(s.live+1))
	}
	(*s.slots.Load()).add(k, t.hash(k), mac, st)
	s.used++
	s.live++
}

// tidy gives memory back and clears keys that have lost their entry, once there
// is enough of either to pay for the copy.
func (s *shard) tidy(t *Table) {
	size, fit := len(*s.slots.Load()), slotsFor(s.live)
	if fit <= size/4 || (s.used-s.live)*4 > size {
		s.rebuild(t, fit)
	}
}

// rebuild copies what is live to a new piece of memory of size slots. Readers go
// on in the old one. When an entry was heard or asked there meanwhile may be
// lost: then a request more is let through than need be.
func (s *shard) rebuild(t *Table, size int) {
	old, fresh := *s.slots.Load(), make(slots, size)
	for i := range old {
		if st := old[i].load(); st.live() {
			k := old[i].key()
			fresh.add(k, t.hash(k), old[i].mac(), st)
		}
	}
	s.slots.Store(&fresh)
	s.used = s.live
}
