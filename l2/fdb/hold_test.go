package fdb

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"vxgw/l2/frame"
)

func TestFramePathAllocatesNothing(t *testing.T) {
	f := filled(t, stations(0, 1000))
	s, keys := stations(0, 1000)[7], keysOf(stations(0, MaxWarm))
	now := uint32(1)
	f.SetMoves(s.domain, Moves{Limit: 1 << 30, Window: 1 << 30})
	f.SetMoves(98, Moves{Limit: 2, Window: 180})
	for h := range Hop(3) {
		f.Learn(98, s.mac, h, 1)
	}
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"found", func() { f.Lookup(s.domain, s.mac, 1) }},
		{"absent", func() { f.Lookup(99, s.mac, 1) }},
		{"known", func() { f.Learn(s.domain, s.mac, s.hop, 1) }},
		{"refreshed", func() { now++; f.Learn(s.domain, s.mac, s.hop, now) }},
		{"moved", func() { now++; f.Learn(s.domain, s.mac, Hop(now%64), now) }},
		{"held", func() { f.Learn(98, s.mac, 3, 1) }},
		{"refused", func() { f.Learn(99, s.mac, s.hop, 1) }},
		{"warmed", func() { f.Warm(keys) }},
	} {
		if n := testing.AllocsPerRun(1000, c.run); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// TestFramePathTakesNoLock holds every lock of the table.
func TestFramePathTakesNoLock(t *testing.T) {
	f := New(Config{Limit: 3, Hops: 4})
	f.SetDomain(blue, 1, 0)
	learn(t, f, red, mac(1), 1, 0, Added)
	learn(t, f, blue, mac(2), 2, 0, Added)
	f.SetHop(2, 1)
	f.Set(Entry{red, mac(3), 1, Static, 0, false})
	for i := range f.shards {
		f.shards[i].mu.Lock()
		defer f.shards[i].mu.Unlock()
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		wantAt(t, f, red, mac(1), 0, 1)
		wantAbsent(t, f, red, mac(9), 0)
		learn(t, f, red, mac(1), 1, 5, Known)
		learn(t, f, red, mac(3), 2, 5, IsStatic)
		learn(t, f, blue, mac(9), 1, 0, DomainFull)
		learn(t, f, red, mac(9), 2, 0, HopFull)
		f.total.setLimit(2)
		learn(t, f, red, mac(9), 1, 0, TableFull)
		f.Warm([]Key{KeyOf(red, mac(1)), KeyOf(red, mac(9))})
		if n := len(slices.Collect(f.All())); n != 3 {
			t.Errorf("All yields %d of 3", n)
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("waits for a lock")
	}
}

// TestLateTouch is a worker that has looked at an entry, is held up, and
// refreshes it after a move, a removal or a rebuild.
func TestLateTouch(t *testing.T) {
	for _, c := range []struct {
		name      string
		meanwhile func(*Table, *shard)
		check     func(*testing.T, *Table)
	}{
		{"after a move", func(f *Table, _ *shard) { f.Learn(red, mac(1), 2, 5) },
			func(t *testing.T, f *Table) { wantAt(t, f, red, mac(1), 9, 2) }},
		{"after a removal", func(f *Table, _ *shard) { f.Remove(red, mac(1)) },
			func(t *testing.T, f *Table) { wantAbsent(t, f, red, mac(1), 9) }},
		{"after a flush", func(f *Table, _ *shard) { f.Flush(anything) },
			func(t *testing.T, f *Table) { wantAbsent(t, f, red, mac(1), 9) }},
		{"after it was pinned", func(f *Table, _ *shard) { f.Set(Entry{red, mac(1), 3, Static, 0, false}) },
			func(t *testing.T, f *Table) { wantAt(t, f, red, mac(1), 9, 3) }},
		{"after a rebuild", func(f *Table, s *shard) { s.rebuild(minSlots, f.hash) },
			func(t *testing.T, f *Table) { wantAt(t, f, red, mac(1), 9, 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(Config{Limit: 10, Hops: 4})
			learn(t, f, red, mac(1), 1, 5, Added)
			hash := f.hash(key(red, mac(1)))
			s := f.shard(hash)
			sl := s.find(key(red, mac(1)), hash)
			v := sl.value()
			c.meanwhile(f, s)
			if sl.touch(v, 9) {
				t.Fatal("the touch went through")
			}
			c.check(t, f)
			counts(t, f, slices.Collect(f.All()))
		})
	}
}

// TestRefusedUnderTheLock is a learner that saw room, and another one took it
// first.
func TestRefusedUnderTheLock(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(*Table)
		want Outcome
	}{
		{"table", func(f *Table) { f.total.setLimit(1) }, TableFull},
		{"domain", func(f *Table) { f.SetDomain(red, 1, 0) }, DomainFull},
		{"hop", func(f *Table) { f.SetHop(3, 1) }, HopFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(Config{Limit: 10, Hops: 4})
			learn(t, f, red, mac(1), 3, 0, Added)
			c.fill(f)
			k := key(red, mac(2))
			if got := f.learnLocked(k, f.hash(k), 3, 0); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
			counts(t, f, slices.Collect(f.All()))
		})
	}
}

// TestMemoryComesBackOneByOne takes entries out, too few to leave many dead
// slots and enough for a smaller piece of memory.
func TestMemoryComesBackOneByOne(t *testing.T) {
	for _, c := range []struct {
		name   string
		remove func(*Table, frame.MAC)
	}{
		{"removed", func(f *Table, m frame.MAC) { f.Remove(red, m) }},
		{"moved to a full hop", func(f *Table, m frame.MAC) { learn(t, f, red, m, 2, 0, HopFull) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(Config{Limit: 100, Hops: 4})
			f.shards, f.shift = f.shards[:1], 64
			f.SetHop(2, -1)
			for i := range 25 {
				learn(t, f, red, mac(i), 1, 0, Added)
			}
			for i := range 25 {
				c.remove(f, mac(i))
				shards(t, f)
			}
		})
	}
}

// TestHeardDuringSweep refreshes an entry when the sweep has just found it
// expired.
func TestHeardDuringSweep(t *testing.T) {
	f := New(Config{Limit: 10, Hops: 4})
	f.SetDomain(red, 0, 30)
	learn(t, f, red, mac(1), 1, 0, Added)
	k := key(red, mac(1))
	s := f.shard(f.hash(k))
	n := f.sweep(s, Aged, func(k uint64, v value) bool {
		gone := f.expired(red, v, 100)
		s.find(k, f.hash(k)).touch(v, 100)
		return gone
	})
	if n != 0 {
		t.Error("removed all the same")
	}
	wantAt(t, f, red, mac(1), 100, 1)
}

// TestZeroKey: in every unused slot stands what the key of domain 0 and the
// zero MAC would be.
func TestZeroKey(t *testing.T) {
	f := New(Config{Limit: 10, Hops: 4})
	if h := f.hash(0); f.shard(h).find(0, h) != nil {
		t.Error("found in an empty table")
	}
}

// TestFlood is a host that sends from random addresses.
func TestFlood(t *testing.T) {
	f := New(Config{Limit: 5000, Hops: 8})
	f.SetDomain(red, 4000, 300)
	f.SetHop(7, 1000)
	others := stations(0, 500)
	for i, s := range others {
		others[i].domain, others[i].hop = red, s.hop%7
		learn(t, f, red, s.mac, s.hop%7, 0, Added)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	flood := func(h Hop, n int) (outcomes [numOutcomes]int) {
		for range n {
			m := frame.MACFromUint64(rnd.Uint64())
			m[0] = m[0]&^3 | 4 // nobody else's
			outcomes[f.Learn(red, m, h, 1)]++
		}
		return outcomes
	}
	if got := flood(7, 200_000); got[Added] != 1000 || got[HopFull] != 199_000 {
		t.Errorf("through a hop of 1000: %v", got)
	}
	if got := flood(6, 200_000); got[Added] != 2500 || got[DomainFull] != 197_500 {
		t.Errorf("through a domain of 4000 with 1500 in it: %v", got)
	}
	for _, s := range others {
		wantAt(t, f, red, s.mac, 1, s.hop)
	}
	counts(t, f, slices.Collect(f.All()))

	// After the flood the table is as small as before.
	for _, s := range others {
		f.Learn(red, s.mac, s.hop, 200)
	}
	if n := f.Age(301); n != 3500 {
		t.Errorf("%d of the flood's 3500 entries aged out", n)
	}
	if n := slotCount(f); n > 2*minSlots<<minShardBits {
		t.Errorf("%d slots are left for 500 entries", n)
	}
}

func slotCount(f *Table) (n int) {
	for i := range f.shards {
		n += len(*f.shards[i].slots.Load())
	}
	return n
}

// TestProbesStayShort learns addresses as an attacker or a thrifty
// administrator would number them. The seed makes all of them look random.
func TestProbesStayShort(t *testing.T) {
	const n = 50_000
	for _, c := range []struct {
		name string
		mac  func(i int) uint64
	}{
		{"counted up", func(i int) uint64 { return uint64(i) }},
		{"counted up in the high bits", func(i int) uint64 { return uint64(i) << 22 }},
		{"multiples of a power of two", func(i int) uint64 { return uint64(i) << 12 }},
		{"multiples of the golden ratio's inverse", func(i int) uint64 { return uint64(i) * 0xf1de83e19937733d & (1<<40 - 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(Config{Limit: n, Hops: 1})
			for i := range n {
				learn(t, f, red, frame.MACFromUint64(2<<40|c.mac(i)), 0, 0, Added)
			}
			total, longest := 0, 0
			for i := range f.shards {
				s := *f.shards[i].slots.Load()
				for j := range s {
					if k := s[j].k.Load(); k != 0 {
						p := (j/bucketSlots-int(f.hash(k)%uint64(len(s)))/bucketSlots)&(len(s)/bucketSlots-1) + 1
						total, longest = total+p, max(longest, p)
					}
				}
			}
			// Random keys give a mean near 1.1 and a longest near 10.
			if total > n*3/2 || longest > 40 {
				t.Errorf("%d buckets for %d entries, %d for one of them", total, n, longest)
			}
		})
	}
}

// TestMemory counts all bytes of a table: with a million entries, and again
// when they are gone.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("learns a million entries")
	}
	const n = 1_000_000
	all := stations(0, n)
	before := heap()
	f := New(Config{Limit: n, Hops: 64})
	for d := range Domain(16) {
		f.SetDomain(d, 0, 300)
	}
	empty := heap() - before
	for _, s := range all {
		f.Learn(s.domain, s.mac, s.hop, 0)
	}
	if f.Len() != n {
		t.Fatalf("%d entries of %d", f.Len(), n)
	}
	full := heap() - before
	t.Logf("empty: %d KiB; full: %.1f bytes an entry", empty>>10, float64(full)/n)
	if full > 64*n {
		t.Errorf("%.1f bytes an entry, want at most 64", float64(full)/n)
	}
	if f.Age(300) != n {
		t.Fatal("not all aged out")
	}
	if after := heap() - before; after > empty+64<<10 {
		t.Errorf("%d KiB are left of an empty table's %d", after>>10, empty>>10)
	}
	runtime.KeepAlive(f)
	runtime.KeepAlive(all)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
