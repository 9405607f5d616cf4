package xdp

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// station is a slot of the FDB as the programs have it (struct station in
// bpf/layout.h): hop and flags are one word here, so that one store changes both.
type station struct {
	key  atomic.Uint64
	hop  atomic.Uint32 // and flags in the upper half
	seen atomic.Uint32
}

// Ways that a station can be in of a bucket, and buckets that it can be in.
const ways = 4

// Flags of a station.
const (
	stationPinned = 1 << 16
	stationUnsure = 2 << 16
	stationHeld   = 4 << 16
)

// stations is the FDB of the programs. Each station is in one of two buckets, so that
// one is found by a look or two, also while the table is nearly full.
//
// A station that leaves keeps its place empty for restFor seconds: a program that has
// just found the place by its key must not find another's hop there.
type stations struct {
	// set once
	slots []station
	bits  uint
	seed  [4]uint64

	mu       sync.Mutex // guards everything below
	live     int
	state    []uint8  // of each slot
	perPage  []uint16 // how many are live of each group of pageSlots
	resting  []rest
	unplaced int // stations that there was no place for, in all
}

// States of a slot.
const (
	slotFree uint8 = iota
	slotLive
	slotResting
)

// rest is a slot that is left empty for a while.
type rest struct {
	slot  uint32
	until uint32
}

// restFor is how long a place stays empty, in seconds.
const restFor = 2

const pageSlots = 256

// newStations makes an empty table of the memory of a map with 1<<bits buckets.
func newStations(buckets []fastFdbBucket, bits uint, seed [4]uint64) *stations {
	n := len(buckets) * ways
	return &stations{
		slots: unsafe.Slice((*station)(unsafe.Pointer(&buckets[0])), n), bits: bits, seed: seed,
		state: make([]uint8, n), perPage: make([]uint16, (n+pageSlots-1)/pageSlots),
	}
}

// newSeed returns multipliers that nobody can guess, so that nobody can choose MACs
// that collide.
func newSeed() (seed [4]uint64) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	for i := range seed {
		seed[i] = binary.NativeEndian.Uint64(b[8*i:]) | uint64(i&1)
	}
	return seed
}

func stationKey(d fdb.Domain, m frame.MAC) uint64 { return uint64(d)<<48 | m.Uint64() }

// buckets returns the first slot of either bucket of a key.
func (t *stations) buckets(key uint64) [2]uint32 {
	h := (key ^ t.seed[0]) * t.seed[1]
	h = (h ^ h>>32) * t.seed[3]
	return [2]uint32{
		uint32(h>>(64-t.bits)) * ways,
		uint32(h>>(64-2*t.bits)&(1<<t.bits-1)) * ways,
	}
}

// find returns the slot of a key.
func (t *stations) find(key uint64) (slot uint32, ok bool) {
	for _, b := range t.buckets(key) {
		for i := b; i < b+ways; i++ {
			if t.slots[i].key.Load() == key {
				return i, true
			}
		}
	}
	return 0, false
}

// place returns a free slot for a key.
func (t *stations) place(key uint64) (slot uint32, ok bool) {
	for _, b := range t.buckets(key) {
		for i := b; i < b+ways; i++ {
			if t.state[i] == slotFree {
				return i, true
			}
		}
	}
	return 0, false
}

// put makes hop, with flags, what the table has for a key, seen at a tick.
func (t *stations) put(key uint64, hop, seen uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, known := t.find(key)
	if !known {
		var ok bool
		if i, ok = t.place(key); !ok {
			t.unplaced++
			return
		}
	}
	s := &t.slots[i]
	s.seen.Store(seen)
	s.hop.Store(hop)
	if !known {
		t.state[i] = slotLive
		t.live++
		t.perPage[i/pageSlots]++
		s.key.Store(key)
	}
}

// touch notes that a station was seen at a tick.
func (t *stations) touch(key uint64, seen uint32) {
	if i, ok := t.find(key); ok {
		t.slots[i].seen.Store(seen)
	}
}

// drop takes a station out. now is in seconds.
func (t *stations) drop(key uint64, now uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, ok := t.find(key)
	if !ok {
		return
	}
	t.slots[i].key.Store(0)
	t.state[i] = slotResting
	t.live--
	t.perPage[i/pageSlots]--
	t.resting = append(t.resting, rest{i, now + restFor})
}

// wake frees the places that have rested. now is in seconds.
func (t *stations) wake(now uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(t.resting) && int32(now-t.resting[n].until) >= 0 {
		t.state[t.resting[n].slot] = slotFree
		n++
	}
	t.resting = t.resting[n:]
}

// each calls f with every learned station. What changes meanwhile may be given as it
// was or as it is.
func (t *stations) each(f func(key uint64, hop uint16, seen uint32)) {
	for page := range t.perPage {
		if t.pageIsEmpty(page) {
			continue
		}
		for i := page * pageSlots; i < min((page+1)*pageSlots, len(t.slots)); i++ {
			s := &t.slots[i]
			key, hop, seen := s.key.Load(), s.hop.Load(), s.seen.Load()
			if key != 0 && hop&stationPinned == 0 && s.key.Load() == key {
				f(key, uint16(hop), seen)
			}
		}
	}
}

func (t *stations) pageIsEmpty(page int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.perPage[page] == 0
}
