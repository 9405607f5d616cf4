package fdb

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	guardSets = 1024 // a power of two
	guardWays = 8

	// maxNews is how many stations that begin to be held are kept in mind until
	// somebody asks.
	maxNews = 256
)

// guard counts the moves of those stations that move. It has a fixed size, and room for
// 8192 of them: where more do, those that have not moved for longest are forgotten, and
// those that are held are not. A station that finds no place among these is not counted.
//
// It is asked with a shard locked, and takes one of its own locks then; never the other
// way round.
type guard struct {
	// set once
	sets []guardSet
	news chan Held

	rules   atomic.Pointer[[]Moves] // by Domain; replaced whole
	tracks  atomic.Int32            // how many there are; 0: nothing to look for
	held    atomic.Int32            // how many of them are held
	dropped atomic.Int64            // news that there was no room for

	mu sync.Mutex // for who replaces rules
}

// guardSet is the tracks of the stations whose hash leads to it.
type guardSet struct {
	mu   sync.Mutex // guards everything below
	ways [guardWays]track
}

// track is what is known of one station's moves. Its times are in seconds on the
// caller's clock.
type track struct {
	key   uint64 // 0: none
	since uint32 // of the first move that counts
	last  uint32 // of the last one
	until uint32 // it is held until then; with forever, it has no end
	home  Hop    // where it was before the first of these moves
	moves int32

	held, forever bool
}

// news is what a move that was too many leads to.
type news struct {
	home     Hop // where the station belongs
	from, to Hop // the refused move
	moves    int
}

func newGuard() *guard {
	g := &guard{sets: make([]guardSet, guardSets), news: make(chan Held, maxNews)}
	g.rules.Store(new([]Moves))
	return g
}

func (g *guard) set(hash uint64) *guardSet { return &g.sets[hash%guardSets] }

func (g *guard) rule(d Domain) Moves {
	if r := *g.rules.Load(); int(d) < len(r) {
		return r[d]
	}
	return Moves{}
}

func (g *guard) setRule(d Domain, m Moves) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rule(d) == m {
		return
	}
	rules := slices.Clone(*g.rules.Load())
	for int(d) >= len(rules) {
		rules = append(rules, Moves{})
	}
	rules[d] = m
	g.rules.Store(&rules)
}

// elapsed is the seconds from then to now. Workers' clocks differ a little, so it may
// seem to lie ahead.
func elapsed(now, then uint32) uint32 { return uint32(max(int32(now-then), 0)) }

// moved counts a move of a station, whose shard is locked, and reports whether it is
// one too many.
func (g *guard) moved(k, hash uint64, from, to Hop, now uint32) (news, bool) {
	r := g.rule(keyDomain(k))
	if r.Limit <= 0 {
		return news{}, false
	}
	s := g.set(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := g.track(s, k)
	switch {
	case t == nil:
		return news{}, false
	case t.moves == 0, t.held, elapsed(now, t.since) >= r.Window:
		// Held, and yet it moves: that was another entry, which has gone.
		g.release(t)
		*t = track{key: k, since: now, home: from}
	case elapsed(now, t.last) >= r.settled():
		t.home = from // it had come to rest there
	}
	t.last = now
	if t.moves++; int(t.moves) < r.Limit {
		return news{}, false
	}
	t.held, t.until, t.forever = true, now+r.Hold, r.Hold == 0
	g.held.Add(1)
	return news{t.home, from, to, int(t.moves)}, true
}

// track finds the track of a station, or makes room for one; nil where all in s are of
// stations that are held.
func (g *guard) track(s *guardSet, k uint64) *track {
	var oldest *track
	for i := range s.ways {
		t := &s.ways[i]
		switch {
		case t.key == k:
			return t
		case t.held:
		case oldest == nil, oldest.key != 0 && (t.key == 0 || int32(t.last-oldest.last) < 0):
			oldest = t
		}
	}
	if oldest != nil {
		if oldest.key == 0 {
			g.tracks.Add(1)
		}
		*oldest = track{key: k}
	}
	return oldest
}

// release notes that a track is not of a held station any more.
func (g *guard) release(t *track) {
	if t.held {
		t.held = false
		g.held.Add(-1)
	}
}

// drop forgets a track.
func (g *guard) drop(t *track) {
	g.release(t)
	*t = track{}
	g.tracks.Add(-1)
}

// ends reports whether the hold of a station is over, and forgets its moves then. is
// says whether the station is held in fact.
func (g *guard) ends(k, hash uint64, is bool, now uint32) bool {
	s := g.set(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ways {
		t := &s.ways[i]
		if t.key != k || !t.held {
			continue
		}
		over := !t.forever && int32(now-t.until) >= 0
		if over || !is || g.rule(keyDomain(k)).Limit <= 0 {
			g.drop(t)
			return true
		}
		return false
	}
	return false
}

func (g *guard) forget(k, hash uint64) {
	s := g.set(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ways {
		if s.ways[i].key == k {
			g.drop(&s.ways[i])
		}
	}
}

// forgetIf forgets the tracks of stations whose home goes, but for those of stations
// that are held: they tell when that ends.
func (g *guard) forgetIf(goes func(Domain, Hop) bool) {
	if g.tracks.Load() == 0 {
		return
	}
	g.each(func(t *track) {
		if !t.held && goes(keyDomain(t.key), t.home) {
			g.drop(t)
		}
	})
}

// heldKeys appends the keys of the stations that are held.
func (g *guard) heldKeys(keys []uint64) []uint64 {
	if g.held.Load() == 0 {
		return keys
	}
	g.each(func(t *track) {
		if t.held {
			keys = append(keys, t.key)
		}
	})
	return keys
}

// each calls f with every track, with its set locked.
func (g *guard) each(f func(*track)) {
	for i := range g.sets {
		s := &g.sets[i]
		s.mu.Lock()
		for j := range s.ways {
			if s.ways[j].key != 0 {
				f(&s.ways[j])
			}
		}
		s.mu.Unlock()
	}
}

// tell keeps in mind that a station is held from now on, if there is room.
func (g *guard) tell(h Held) {
	select {
	case g.news <- h:
	default:
		g.dropped.Add(1)
	}
}

func (g *guard) drain(f func(Held)) (more int) {
	for {
		select {
		case h := <-g.news:
			f(h)
		default:
			return int(g.dropped.Swap(0))
		}
	}
}
