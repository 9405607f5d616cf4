package fdb

import (
	"runtime"

	"vxgw/l2/frame"
)

// MaxWarm is how many keys Warm takes at once: the source and the destination
// of each of 64 frames.
const MaxWarm = 128

// largeFrom is how many entries make a table Large. Their memory, some 2 MiB,
// does not stay in the caches that a core has to itself.
const largeFrom = 1 << 16

// Key is a station's address and its bridge domain in one word.
type Key uint64

// KeyOf returns the Key of m in d.
func KeyOf(d Domain, m frame.MAC) Key { return Key(key(d, m)) }

// Large reports whether the table has so many entries that Warm pays. Those of
// a smaller one are in a cache, and to ask for them twice only costs.
func (t *Table) Large() bool { return t.Len() >= largeFrom }

// Warm brings into the cache what the table has of keys that are looked up or
// learned next; those beyond MaxWarm are left out. It changes nothing.
//
// A look-up in a large table waits for memory, and what comes after it waits for
// the look-up. Here no read waits for another one, so the processor has many of
// them under way at a time.
func (t *Table) Warm(keys []Key) {
	var buckets [MaxWarm]*slot
	n := min(len(keys), MaxWarm)
	// In a loop of its own: between the reads there is then so little else that
	// the processor gets to the next ones while it waits.
	for i, k := range keys[:n] {
		buckets[i] = t.first(uint64(k))
	}
	var read uint64
	for _, b := range buckets[:n] {
		read |= b.k.Load()
	}
	runtime.KeepAlive(read) // or the compiler leaves out the reads
}

// first returns the first slot of the bucket in which a search for k begins.
func (t *Table) first(k uint64) *slot {
	h := t.hash(k)
	return &(*t.shard(h).slots.Load()).bucket(h)[0]
}
