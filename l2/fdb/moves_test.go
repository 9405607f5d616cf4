package fdb

import (
	"slices"
	"sync"
	"testing"

	"vxgw/l2/frame"
)

// usual is five moves in three minutes.
var usual = Moves{Limit: 5, Window: 180, Hold: 540}

// wantHeld checks that a station is held at a hop.
func wantHeld(t *testing.T, f *Table, now uint32, at Hop) {
	t.Helper()
	wantAt(t, f, red, mac(1), now, at)
	if e, _ := f.Lookup(red, mac(1), now); !e.Held {
		t.Fatal("not held")
	}
}

func wantFree(t *testing.T, f *Table, now uint32, at Hop) {
	t.Helper()
	wantAt(t, f, red, mac(1), now, at)
	if e, _ := f.Lookup(red, mac(1), now); e.Held {
		t.Fatal("held")
	}
}

// newlyHeld returns what the table tells of.
func newlyHeld(t *testing.T, f *Table) (all []Held) {
	t.Helper()
	if more := f.NewlyHeld(func(h Held) { all = append(all, h) }); more != 0 {
		t.Fatalf("%d more", more)
	}
	return all
}

// flap has mac(1) be heard at hops one after the other at one moment.
func flap(t *testing.T, f *Table, now uint32, hops ...Hop) {
	t.Helper()
	for _, h := range hops {
		learn(t, f, red, mac(1), h, now, Moved)
	}
}

// hold has mac(1), which is at hop 1, be held there, heard at hop 2.
func hold(t *testing.T, f *Table, now uint32) {
	t.Helper()
	learn(t, f, red, mac(1), 1, now, Added)
	flap(t, f, now, 2, 1, 2, 1)
	learn(t, f, red, mac(1), 2, now, Duplicate)
	wantHeld(t, f, now, 1)
}

func TestMoves(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *Table)
	}{
		{"one move less than too many", func(t *testing.T, f *Table) {
			learn(t, f, red, mac(1), 1, 0, Added)
			flap(t, f, 0, 2, 3, 4, 5)
			wantFree(t, f, 0, 5)
			if n := newlyHeld(t, f); n != nil {
				t.Fatal(n)
			}
		}},
		{"the move that is too many takes it back", func(t *testing.T, f *Table) {
			learn(t, f, red, mac(1), 1, 0, Added)
			flap(t, f, 0, 2, 3, 2, 3)
			learn(t, f, red, mac(1), 2, 0, Duplicate)
			wantHeld(t, f, 0, 1)
			if n := newlyHeld(t, f); !slices.Equal(n, []Held{{red, mac(1), 1, 2, 5}}) {
				t.Fatal(n)
			}
			if n := newlyHeld(t, f); n != nil {
				t.Fatalf("told of twice: %v", n)
			}
		}},
		{"the refused move was home", func(t *testing.T, f *Table) {
			f.SetMoves(red, Moves{2, 180, 540})
			learn(t, f, red, mac(1), 1, 0, Added)
			flap(t, f, 0, 2)
			learn(t, f, red, mac(1), 1, 0, Duplicate)
			wantHeld(t, f, 0, 1)
			if n := newlyHeld(t, f); !slices.Equal(n, []Held{{red, mac(1), 1, 2, 2}}) {
				t.Fatal(n)
			}
		}},
		{"heard elsewhere it stays, heard at home it is refreshed", func(t *testing.T, f *Table) {
			hold(t, f, 0)
			for _, h := range []Hop{2, 3, 2} {
				learn(t, f, red, mac(1), h, 1, Duplicate)
			}
			learn(t, f, red, mac(1), 1, 100, Known)
			wantHeld(t, f, 100, 1)
			if e, _ := f.Lookup(red, mac(1), 100); e.Seen != 100 {
				t.Fatal("not refreshed")
			}
		}},
		{"slow moves are no haste", func(t *testing.T, f *Table) {
			learn(t, f, red, mac(1), 1, 0, Added)
			for i := range uint32(50) {
				flap(t, f, i*46, Hop(i%2+2))
			}
			if n := newlyHeld(t, f); n != nil {
				t.Fatal(n)
			}
		}},
		{"home is where it had come to rest", func(t *testing.T, f *Table) {
			learn(t, f, red, mac(1), 1, 0, Added)
			flap(t, f, 0, 2) // a machine that was moved
			flap(t, f, 100, 3, 4, 3)
			learn(t, f, red, mac(1), 4, 100, Duplicate)
			wantHeld(t, f, 100, 2)
		}},
		{"the window is over", func(t *testing.T, f *Table) {
			learn(t, f, red, mac(1), 1, 0, Added)
			flap(t, f, 0, 2, 1, 2, 1)
			flap(t, f, 180, 2, 1, 2, 1)
			learn(t, f, red, mac(1), 2, 180, Duplicate)
		}},
		{"the hold ends", func(t *testing.T, f *Table) {
			hold(t, f, 10)
			f.EndHolds(549, func(Domain, frame.MAC) { t.Fatal("too early") })
			wantHeld(t, f, 549, 1)
			n := 0
			f.EndHolds(550, func(d Domain, m frame.MAC) {
				if n++; d != red || m != mac(1) {
					t.Fatal(d, m)
				}
			})
			if n != 1 {
				t.Fatalf("let go %d times", n)
			}
			flap(t, f, 550, 2, 1, 2, 1)
			learn(t, f, red, mac(1), 2, 550, Duplicate)
		}},
		{"a hold without an end", func(t *testing.T, f *Table) {
			f.SetMoves(red, Moves{5, 180, 0})
			hold(t, f, 0)
			f.EndHolds(1<<31-1, func(Domain, frame.MAC) { t.Fatal("ended") })
			if !f.Forget(red, mac(1)) {
				t.Fatal("not forgotten")
			}
			learn(t, f, red, mac(1), 2, 0, Added)
			flap(t, f, 0, 1, 2, 1, 2)
		}},
		{"it falls silent, and is learned where it is", func(t *testing.T, f *Table) {
			f.SetDomain(red, 0, 300)
			hold(t, f, 0)
			learn(t, f, red, mac(1), 2, 300, Added)
			wantFree(t, f, 300, 2)
			f.EndHolds(301, func(Domain, frame.MAC) { t.Fatal("it is not the one that was held") })
			flap(t, f, 302, 1, 2)
		}},
		{"it falls silent, and is heard at home", func(t *testing.T, f *Table) {
			f.SetDomain(red, 0, 300)
			hold(t, f, 0)
			learn(t, f, red, mac(1), 1, 300, Added)
			wantFree(t, f, 300, 1)
			flap(t, f, 300, 2, 1, 2, 1)
		}},
		{"its place goes", func(t *testing.T, f *Table) {
			hold(t, f, 0)
			f.Flush(func(_ Domain, h Hop) bool { return h == 1 })
			learn(t, f, red, mac(1), 2, 0, Added)
			flap(t, f, 0, 3, 2, 3, 2)
		}},
		{"its home goes before it is held", func(t *testing.T, f *Table) {
			learn(t, f, red, mac(1), 1, 0, Added)
			flap(t, f, 0, 2, 3)
			f.Flush(func(_ Domain, h Hop) bool { return h == 1 })
			flap(t, f, 0, 2, 3, 2, 3)
			learn(t, f, red, mac(1), 2, 0, Duplicate)
			wantHeld(t, f, 0, 3)
		}},
		{"its home is full", func(t *testing.T, f *Table) {
			learn(t, f, red, mac(1), 1, 0, Added)
			flap(t, f, 0, 2, 3, 2, 3)
			f.SetHop(1, -1)
			learn(t, f, red, mac(1), 2, 0, Duplicate)
			wantHeld(t, f, 0, 3)
		}},
		{"moves to where there is no room count", func(t *testing.T, f *Table) {
			f.SetHop(2, -1)
			for range 4 {
				learn(t, f, red, mac(1), 1, 0, Added)
				learn(t, f, red, mac(1), 2, 0, HopFull)
			}
			learn(t, f, red, mac(1), 1, 0, Added)
			learn(t, f, red, mac(1), 2, 0, Duplicate)
			wantHeld(t, f, 0, 1)
		}},
		{"it is turned off", func(t *testing.T, f *Table) {
			hold(t, f, 0)
			f.SetMoves(red, Moves{})
			n := 0
			f.EndHolds(1, func(Domain, frame.MAC) { n++ })
			if n != 1 {
				t.Fatal("it is held for ever")
			}
			flap(t, f, 1, 2, 1, 2, 1, 2, 1, 2, 1)
		}},
		{"another domain has its own", func(t *testing.T, f *Table) {
			learn(t, f, blue, mac(1), 1, 0, Added)
			for i := range 20 {
				learn(t, f, blue, mac(1), Hop(i%2+2), 0, Moved)
			}
		}},
		{"it is pinned while it is held", func(t *testing.T, f *Table) {
			hold(t, f, 0)
			f.Set(Entry{red, mac(1), 3, Static, 0, true})
			wantFree(t, f, 0, 3)
			f.EndHolds(1000, func(Domain, frame.MAC) { t.Fatal("it is not held") })
			if f.Forget(red, mac(1)) {
				t.Fatal("a pinned one is forgotten")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(Config{Limit: 100, Hops: 16})
			f.SetMoves(red, usual)
			c.run(t, f)
			counts(t, f, slices.Collect(f.All()))
		})
	}
}

// TestMoversAreBounded has more stations move than there is room for: those that are
// held stay so, the rest moves as if nothing were counted.
func TestMoversAreBounded(t *testing.T) {
	const stations = 4 * guardSets * guardWays
	f := New(Config{Limit: stations + 1, Hops: 4})
	f.SetMoves(red, usual)
	hold(t, f, 0)
	for i := range stations {
		learn(t, f, red, mac(i+2), 1, 1, Added)
	}
	for round := range 12 {
		for i := range stations {
			f.Learn(red, mac(i+2), Hop(round%2+2), 1)
		}
	}
	wantHeld(t, f, 1, 1)
	if n := int(f.guard.tracks.Load()); n > guardSets*guardWays {
		t.Errorf("%d tracks", n)
	}
	n := 0
	more := f.NewlyHeld(func(Held) { n++ })
	if n != maxNews || n+more != int(f.guard.held.Load()) {
		t.Errorf("told of %d and %d more, of %d", n, more, f.guard.held.Load())
	}
	f.EndHolds(1000, func(Domain, frame.MAC) {})
	if n := f.guard.held.Load(); n != 0 {
		t.Errorf("%d are held for ever", n)
	}
	f.EachHeld(func(e Entry) { t.Errorf("%v is held for ever", e.MAC) })
}

// TestHeldByMany has goroutines move stations, end holds and forget at the same time.
// When all is done nobody is held without an end.
func TestHeldByMany(t *testing.T) {
	const stations, rounds = 64, 2000
	f := New(Config{Limit: 1000, Hops: 8})
	f.SetMoves(red, Moves{3, 1000, 5})
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range rounds {
				f.Learn(red, mac(i%stations), Hop((i+w)%8), uint32(i/100))
			}
		})
	}
	all.Go(func() {
		for i := range rounds / 10 {
			f.EndHolds(uint32(i/10), func(Domain, frame.MAC) {})
			f.NewlyHeld(func(Held) {})
		}
	})
	all.Go(func() {
		for i := range rounds {
			f.Forget(red, mac(i%stations))
			if i%50 == 0 {
				f.Flush(func(_ Domain, h Hop) bool { return h == Hop(i%8) })
			}
		}
	})
	all.Wait()
	f.EndHolds(1000, func(Domain, frame.MAC) {})
	for e := range f.All() {
		if e.Held {
			t.Errorf("%v is held for ever", e.MAC)
		}
	}
	if n := f.guard.held.Load(); n != 0 {
		t.Errorf("%d tracks of held stations", n)
	}
	counts(t, f, slices.Collect(f.All()))
}
