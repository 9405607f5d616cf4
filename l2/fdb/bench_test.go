package fdb

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"vxgw/l2/frame"
)

// at is where a station is.
type at struct {
	mac    frame.MAC
	domain Domain
	hop    Hop
}

// stations returns the n stations from number first on, over 16 domains and 64
// hops. No two have the same MAC.
func stations(first, n int) []at {
	all := make([]at, n)
	for i := range all {
		id := uint64(first + i)
		all[i] = at{frame.MACFromUint64(2<<40 | id*0x9e3779b1&(1<<40-1)), Domain(id % 16), Hop(id % 64)}
	}
	return all
}

func filled(tb testing.TB, all []at) *Table {
	tb.Helper()
	t := New(Config{Limit: len(all), Hops: 64})
	for _, s := range all {
		if o := t.Learn(s.domain, s.mac, s.hop, 1); o != Added {
			tb.Fatalf("%v: %v", s, o)
		}
	}
	return t
}

// inEachSize runs f with a full table and stations in random order: all those
// in it, or as many as a cache holds, which is what traffic looks like.
func inEachSize(b *testing.B, f func(t *Table, s at, i int)) {
	for _, size := range []struct{ entries, active int }{{1000, 1000}, {1_000_000, 1000}, {1_000_000, 1_000_000}} {
		b.Run(fmt.Sprintf("entries=%d/active=%d", size.entries, size.active), func(b *testing.B) {
			all := stations(0, size.entries)
			t := filled(b, all)
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			all = all[:size.active]
			b.ReportAllocs()
			b.ResetTimer()
			for i, next := 0, 0; i < b.N; i, next = i+1, next+1 {
				if next == len(all) {
					next = 0
				}
				f(t, all[next], i)
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	inEachSize(b, func(t *Table, s at, _ int) {
		if _, ok := t.Lookup(s.domain, s.mac, 2); !ok {
			panic("lost")
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	inEachSize(b, func(t *Table, s at, _ int) {
		if _, ok := t.Lookup(s.domain+100, s.mac, 2); ok {
			panic("found")
		}
	})
}

func BenchmarkLearnKnown(b *testing.B) {
	inEachSize(b, func(t *Table, s at, _ int) {
		if o := t.Learn(s.domain, s.mac, s.hop, 1); o != Known {
			panic(o)
		}
	})
}

// BenchmarkLearnRefresh is LearnKnown with a second between two frames of a
// station.
func BenchmarkLearnRefresh(b *testing.B) {
	inEachSize(b, func(t *Table, s at, i int) {
		if o := t.Learn(s.domain, s.mac, s.hop, uint32(i+2)); o != Known {
			panic(o)
		}
	})
}

func BenchmarkLearnRefused(b *testing.B) {
	inEachSize(b, func(t *Table, s at, _ int) {
		if o := t.Learn(s.domain+100, s.mac, s.hop, 2); o != TableFull {
			panic(o)
		}
	})
}

// BenchmarkChurn learns stations that were never there in a full table, each
// in the place of the one before, with the rebuilds that this asks for.
func BenchmarkChurn(b *testing.B) {
	all := stations(0, 1_000_000)
	t := filled(b, all)
	t.Remove(all[0].domain, all[0].mac)
	fresh := func(i int) frame.MAC { return frame.MACFromUint64(4<<40 | uint64(i)) }
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if o := t.Learn(0, fresh(i), 0, 1); o != Added {
			b.Fatal(o)
		}
		t.Remove(0, fresh(i))
	}
}

// BenchmarkAge sweeps a million entries, none of which has expired.
func BenchmarkAge(b *testing.B) {
	t := filled(b, stations(0, 1_000_000))
	for d := range Domain(16) {
		t.SetDomain(d, 0, 300)
	}
	for b.Loop() {
		if n := t.Age(2); n != 0 {
			b.Fatal(n)
		}
	}
}

// BenchmarkRebuild copies the shard of a full table, for which a learner of
// that shard may have to wait.
func BenchmarkRebuild(b *testing.B) {
	t := filled(b, stations(0, 1_000_000))
	s := &t.shards[0]
	b.ReportAllocs()
	for b.Loop() {
		s.rebuild(slotsFor(s.live), t.hash)
	}
}
