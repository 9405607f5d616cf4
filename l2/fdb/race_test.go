package fdb

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

const (
	raceStations = 3000
	raceHops     = 4
	racePinned   = 10 // each tenth station is pinned, and nothing else learns it
)

// raceEntryOK knows what an entry may look like: domain and hop follow from
// the MAC, but for one bit of the hop that a move turns over.
func raceEntryOK(e Entry) bool {
	id := int(e.MAC.Uint64() & (1<<32 - 1))
	return e.Domain == Domain(id%5) && e.Hop>>1 == Hop(id%raceHops) && (e.Origin == Static) == (id%racePinned == 0) && e.Seen >= 1000
}

// TestConcurrent lets readers, learners, movers, an ager, flushers and a
// writer of pinned entries at one table. No entry is ever torn, no limit is
// ever overshot, and the counts are right in the end.
func TestConcurrent(t *testing.T) {
	const limit, rounds = 2000, 20_000
	f := New(Config{Limit: limit, Hops: raceHops * 2})
	f.shards, f.shift = f.shards[:2], 63 // rebuilds meet readers oftener in few shards
	for d := range Domain(5) {
		f.SetDomain(d, 500, 50)
	}
	f.SetHop(3, 200)

	var clock atomic.Uint32
	clock.Store(1000)
	var learners, others sync.WaitGroup
	stop := make(chan struct{})
	worker := func(seed uint64, step func(id int, r *rand.Rand)) {
		learners.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			for range rounds {
				step(r.IntN(raceStations), r)
			}
		})
	}
	background := func(step func()) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					step()
				}
			}
		})
	}
	for i := range uint64(3) {
		worker(i, func(id int, r *rand.Rand) {
			if id%racePinned != 0 {
				f.Learn(Domain(id%5), mac(id), Hop(id%raceHops<<1|r.IntN(2)), clock.Load())
			}
			if e, ok := f.Lookup(Domain(id%5), mac(id), clock.Load()); ok && !raceEntryOK(e) {
				t.Errorf("torn: %+v", e)
			}
		})
	}
	worker(10, func(id int, r *rand.Rand) {
		id -= id % racePinned
		if r.IntN(2) == 0 {
			f.Set(Entry{Domain(id % 5), mac(id), Hop(id%raceHops<<1 | r.IntN(2)), Static, clock.Load(), false})
		} else {
			f.Remove(Domain(id%5), mac(id))
		}
	})
	worker(11, func(id int, r *rand.Rand) {
		switch r.IntN(200) {
		case 0:
			f.Flush(func(_ Domain, h Hop) bool { return h == Hop(id%(raceHops*2)) })
		case 1:
			f.Flush(func(d Domain, _ Hop) bool { return d == Domain(id%5) })
		case 2:
			f.Flush(func(d Domain, h Hop) bool { return d == Domain(id%5) && h == Hop(id%(raceHops*2)) })
		case 3:
			clock.Add(7)
		}
	})
	background(func() { f.Age(clock.Load()) })
	background(func() {
		for e := range f.All() {
			if !raceEntryOK(e) {
				t.Errorf("torn: %+v", e)
			}
		}
		if f.Learned() > limit || f.DomainLearned(2) > 500 || f.HopLearned(3) > 200 {
			t.Error("a limit is overshot")
		}
	})
	learners.Wait()
	close(stop)
	others.Wait()
	counts(t, f, slices.Collect(f.All()))
}

// TestRefreshSurvivesRebuild refreshes one station each second while others
// come and go and make its shard rebuild. It must never be seen to expire.
func TestRefreshSurvivesRebuild(t *testing.T) {
	f := New(Config{Limit: 1000, Hops: 2})
	f.shards, f.shift = f.shards[:1], 64
	f.SetDomain(red, 0, 2)
	learn(t, f, red, mac(1), 1, 0, Added)
	done := make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				f.Learn(blue, mac(1000+i), 0, 0)
				f.Remove(blue, mac(1000+i))
			}
		}
	})
	for now := range uint32(100_000) {
		if o := f.Learn(red, mac(1), 1, now); o != Known {
			t.Errorf("%v at %d", o, now)
			break
		}
		if e, ok := f.Lookup(red, mac(1), now); !ok || e.Seen != now {
			t.Errorf("seen %d, %v at %d", e.Seen, ok, now)
			break
		}
	}
	close(done)
	churn.Wait()
}

// TestOneOfManyIsAdded races learners of the same new stations: each station
// is added once, and the limit is met exactly.
func TestOneOfManyIsAdded(t *testing.T) {
	f := New(Config{Limit: 700, Hops: 8})
	var outcomes [numOutcomes]atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				outcomes[f.Learn(red, mac(i), 3, 0)].Add(1)
			}
		})
	}
	wg.Wait()
	if n := outcomes[Added].Load(); n != 700 || f.Len() != 700 {
		t.Errorf("added %d times, %d entries, want 700", n, f.Len())
	}
	counts(t, f, slices.Collect(f.All()))
}

func TestQuotaNeverOvershoots(t *testing.T) {
	var q quota
	q.setLimit(1)
	var holders atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100_000 {
				if !q.take() {
					continue
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold a quota of 1", n)
				}
				holders.Add(-1)
				q.release()
			}
		})
	}
	wg.Wait()
}
