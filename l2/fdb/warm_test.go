package fdb

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"vxgw/l2/frame"
)

// TestWarmChangesNothing warms keys that are there and keys that are not, more
// than Warm takes, none, and the one that no station has.
func TestWarmChangesNothing(t *testing.T) {
	f := filled(t, stations(0, 1000))
	before := slices.SortedFunc(f.All(), byMAC)
	for _, n := range []int{0, 1, MaxWarm - 1, MaxWarm, MaxWarm + 1, 5 * MaxWarm} {
		f.Warm(keysOf(stations(900, n)))
	}
	f.Warm(make([]Key, 3))
	if after := slices.SortedFunc(f.All(), byMAC); !slices.Equal(before, after) {
		t.Error("Warm changed an entry")
	}
}

func byMAC(a, b Entry) int { return int(a.MAC.Uint64()) - int(b.MAC.Uint64()) }

func keysOf(all []at) []Key {
	keys := make([]Key, len(all))
	for i, s := range all {
		keys[i] = KeyOf(s.domain, s.mac)
	}
	return keys
}

// TestWarmReadsWhereEntriesAre holds that Warm reads the cache line in which a
// look-up then finds the entry. An entry whose bucket was full is in a later one.
func TestWarmReadsWhereEntriesAre(t *testing.T) {
	const n = 1000
	all := stations(0, n)
	f, near := filled(t, all), 0
	for _, k := range keysOf(all) {
		hash := f.hash(uint64(k))
		s := *f.shard(hash).slots.Load()
		if b := s.bucket(hash); f.first(uint64(k)) != &b[0] {
			t.Fatalf("%x: not the bucket in which a search begins", k)
		}
		found := s.find(uint64(k), hash)
		for i := range bucketSlots {
			if found == &s.bucket(hash)[i] {
				near++
			}
		}
	}
	if near < n*3/4 {
		t.Errorf("%d of %d entries are where Warm reads", near, n)
	}
}

func TestLarge(t *testing.T) {
	f := New(Config{Limit: largeFrom, Hops: 64})
	all := stations(0, largeFrom)
	for i, s := range all {
		if f.Large() {
			t.Fatalf("large with %d entries", i)
		}
		learn(t, f, s.domain, s.mac, s.hop, 0, Added)
	}
	if !f.Large() {
		t.Errorf("not large with %d entries", f.Len())
	}
	f.Remove(all[0].domain, all[0].mac)
	if f.Large() {
		t.Errorf("large with %d entries", f.Len())
	}
}

// TestWarmBesideChanges warms what others learn, move and remove meanwhile, with
// the rebuilds that this asks for.
func TestWarmBesideChanges(t *testing.T) {
	all := stations(0, 2000)
	f, keys := New(Config{Limit: len(all), Hops: 64}), keysOf(all)
	var changes sync.WaitGroup
	changes.Go(func() {
		for range 20 {
			for _, s := range all {
				f.Learn(s.domain, s.mac, s.hop, 1)
			}
			for _, s := range all {
				f.Remove(s.domain, s.mac)
			}
		}
	})
	for range 20 {
		for part := range slices.Chunk(keys, MaxWarm) {
			f.Warm(part)
		}
	}
	changes.Wait()
	if f.Len() != 0 {
		t.Errorf("%d entries are left", f.Len())
	}
}

// inOrder returns a million keys or so: n stations in random order, and again in
// another one, so that no processor learns it by heart.
func inOrder(n int) []Key {
	var order []Key
	r := rand.New(rand.NewPCG(1, 2))
	for len(order) < 1_000_000 {
		keys := keysOf(stations(0, n))
		r.Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		order = append(order, keys...)
	}
	return order
}

// BenchmarkBatch looks up what a worker does for a batch of 64 frames: a source
// and a destination each, at random among all stations. An operation is one of
// the look-ups. Warmed, it has its share of Warm; a worker warms where the table
// is Large.
func BenchmarkBatch(b *testing.B) {
	for _, n := range []int{1000, 10_000, 30_000, 100_000, 300_000, 1_000_000} {
		t, order := filled(b, stations(0, n)), inOrder(n)
		for _, warmed := range []bool{false, true} {
			b.Run(fmt.Sprintf("entries=%d/warmed=%v", n, warmed), func(b *testing.B) {
				b.ReportAllocs()
				for i, next := 0, 0; i < b.N; i, next = i+MaxWarm, next+MaxWarm {
					if next+MaxWarm > len(order) {
						next = 0
					}
					batch := order[next : next+MaxWarm]
					if warmed {
						t.Warm(batch)
					}
					for _, k := range batch {
						if _, ok := t.Lookup(keyDomain(uint64(k)), frame.MACFromUint64(uint64(k)), 2); !ok {
							panic("lost")
						}
					}
				}
			})
		}
	}
}
