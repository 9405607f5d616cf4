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
// one is found by a look or two, also while the table is nearly full. One that finds both
// full waits for another to be moved to the other bucket that it may be in; meanwhile the
// programs do not know it.
//
// A station that leaves keeps its place empty for restFor seconds: a program that has
// just found the place by its key must not find another's hop there.
type stations struct {
	// set once
	slots []station
	seed  [4]uint64

	mu       sync.Mutex // guards everything below
	live     int
	state    []uint8  // of each slot
	perPage  []uint16 // how many are live of each group of pageSlots
	resting  []rest
	waiting  map[uint64]waiting // by key: that have no place yet
	unplaced int                // stations that there was no place for, in all
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

// waiting is a station that waits for a place.
type waiting struct {
	hop, seen uint32
	wakes     int // so many times in vain
}

// Stations that wait, for how many wakes each, and how many are looked after in one: who
// learns waits that long.
const (
	mostWaiting  = 1 << 14
	mostWakes    = 30
	waitersAWake = 1024
)

// moveDepth is how many stations move, one after the other, for one to have a place.
const moveDepth = 2

// restFor is how long a place stays empty, in seconds.
const restFor = 2

const pageSlots = 256

// newStations makes an empty table of the memory of a map.
func newStations(buckets []fastFdbBucket, seed [4]uint64) *stations {
	n := len(buckets) * ways
	return &stations{
		slots: unsafe.Slice((*station)(unsafe.Pointer(&buckets[0])), n), seed: seed,
		state: make([]uint8, n), perPage: make([]uint16, (n+pageSlots-1)/pageSlots), waiting: make(map[uint64]waiting),
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
	n := uint64(len(t.slots) / ways)
	return [2]uint32{uint32(h>>32*n>>32) * ways, uint32(h>>16&0xffffffff*n>>32) * ways}
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
			t.wait(key, waiting{hop: hop, seen: seen})
			return
		}
		delete(t.waiting, key)
	}
	t.set(i, key, hop, seen)
}

// set makes a free slot a station's, or another hop that of the station that has it.
func (t *stations) set(i uint32, key uint64, hop, seen uint32) {
	s := &t.slots[i]
	s.seen.Store(seen)
	s.hop.Store(hop)
	if t.state[i] == slotFree {
		t.state[i] = slotLive
		t.live++
		t.perPage[i/pageSlots]++
		s.key.Store(key)
	}
}

// wait has a station wait for a place.
func (t *stations) wait(key uint64, w waiting) {
	if _, waits := t.waiting[key]; !waits && len(t.waiting) >= mostWaiting {
		t.unplaced++
		return
	}
	t.waiting[key] = w
}

// makeRoom moves a station out of one of the two buckets of a key, or one that is in its
// way, and so on, and reports whether it did. The place that is left rests.
func (t *stations) makeRoom(key uint64, depth int, now uint32) bool {
	for _, b := range t.buckets(key) {
		for i := b; i < b+ways; i++ {
			if t.state[i] != slotLive {
				continue
			}
			other := t.slots[i].key.Load()
			if to, ok := t.place(other); ok {
				t.move(i, to, now)
				return true
			}
		}
	}
	if depth <= 1 {
		return false
	}
	for _, b := range t.buckets(key) {
		for i := b; i < b+ways; i++ {
			if t.state[i] == slotLive && t.makeRoom(t.slots[i].key.Load(), depth-1, now) {
				return true
			}
		}
	}
	return false
}

// move moves a station to a free slot. It is in both for a moment; whoever finds it in
// neither hands the frame up.
func (t *stations) move(from, to, now uint32) {
	s := &t.slots[from]
	t.set(to, s.key.Load(), s.hop.Load(), s.seen.Load())
	t.clear(from, now)
}

// clear empties a slot, which rests then.
func (t *stations) clear(i, now uint32) {
	t.slots[i].key.Store(0)
	t.state[i] = slotResting
	t.live--
	t.perPage[i/pageSlots]--
	t.resting = append(t.resting, rest{i, now + restFor})
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
	delete(t.waiting, key)
	if i, ok := t.find(key); ok {
		t.clear(i, now)
	}
}

// wake frees the places that have rested, and gives them to those who wait. now is in
// seconds.
func (t *stations) wake(now uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(t.resting) && int32(now-t.resting[n].until) >= 0 {
		t.state[t.resting[n].slot] = slotFree
		n++
	}
	t.resting = t.resting[n:]
	t.placeWaiting(now)
}

// placeWaiting looks after stations that wait, in no order.
func (t *stations) placeWaiting(now uint32) {
	n := 0
	for key, w := range t.waiting {
		if n++; n > waitersAWake {
			return
		}
		if i, ok := t.place(key); ok {
			t.set(i, key, w.hop, w.seen)
			delete(t.waiting, key)
			continue
		}
		t.makeRoom(key, moveDepth, now)
		if w.wakes++; w.wakes > mostWakes {
			delete(t.waiting, key)
			t.unplaced++
			continue
		}
		t.waiting[key] = w
	}
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
