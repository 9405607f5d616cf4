package fdb

const (
	minSlots = 16

	// Linear probing stays short up to three quarters full. A rebuild leaves
	// three sixteenths of the slots before the next one, which bounds its
	// cost to a few copies for each insertion.
	maxUsedQuarters   = 3
	maxFillSixteenths = 9
)

// slots is a hash table of buckets, each of them one cache line. An entry is in
// the bucket that its hash names or, where that was full, in the next one that
// was not. A bucket fills from its first slot on, so one whose last slot was
// never used ends a search. The length is a power of two, and some slots are
// always unused.
type slots []slot

const bucketSlots = 4 // of 16 bytes

// slotsFor returns the number of slots for n entries after a rebuild.
func slotsFor(n int) int {
	size := minSlots
	for n*16 > size*maxFillSixteenths {
		size *= 2
	}
	return size
}

// bucket returns the bucket at i, which wraps around.
func (s slots) bucket(i uint64) *[bucketSlots]slot {
	i &= uint64(len(s) - bucketSlots)
	return (*[bucketSlots]slot)(s[i : i+bucketSlots])
}

// find returns the slot that has key k with hash h, live or not, or nil. It
// compares a whole bucket before it branches: where in a bucket an entry is
// cannot be predicted, and to wait for that costs more than to look on.
func (s slots) find(k, h uint64) *slot {
	if k == 0 {
		return nil // it would be found in every unused slot
	}
	for i := h; ; i += bucketSlots {
		b := s.bucket(i)
		at, last := bucketSlots, b[3].k.Load()
		if last == k {
			at = 3
		}
		if b[2].k.Load() == k {
			at = 2
		}
		if b[1].k.Load() == k {
			at = 1
		}
		if b[0].k.Load() == k {
			at = 0
		}
		if at < bucketSlots {
			return &b[at]
		}
		if last == 0 {
			return nil
		}
	}
}

// add gives a new key a slot. The value comes first, so that the entry appears
// whole.
func (s slots) add(k, h uint64, v value) {
	for i := h; ; i += bucketSlots {
		b := s.bucket(i)
		for j := range b {
			if b[j].k.Load() == 0 {
				b[j].set(v)
				b[j].k.Store(k)
				return
			}
		}
	}
}
