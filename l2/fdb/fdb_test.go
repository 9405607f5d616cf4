package fdb

import (
	"slices"
	"testing"

	"vxgw/l2/frame"
)

const red, blue = Domain(1), Domain(2)

// mac returns the n-th station of a test.
func mac(n int) frame.MAC { return frame.MACFromUint64(2<<40 | uint64(n)) }

func anything(Domain, Hop) bool { return true }

func wantAt(t *testing.T, f *Table, d Domain, m frame.MAC, now uint32, h Hop) {
	t.Helper()
	if e, ok := f.Lookup(d, m, now); !ok || e.Hop != h || e.Domain != d || e.MAC != m {
		t.Fatalf("lookup of %v in %d at %d = %+v, %v; want hop %d", m, d, now, e, ok, h)
	}
}

func wantAbsent(t *testing.T, f *Table, d Domain, m frame.MAC, now uint32) {
	t.Helper()
	if e, ok := f.Lookup(d, m, now); ok {
		t.Fatalf("lookup of %v in %d at %d = %+v; want none", m, d, now, e)
	}
}

func learn(t *testing.T, f *Table, d Domain, m frame.MAC, h Hop, now uint32, want Outcome) {
	t.Helper()
	if got := f.Learn(d, m, h, now); got != want {
		t.Fatalf("learning %v in %d behind %d at %d: %v, want %v", m, d, h, now, got, want)
	}
}

// TestLearning is section LRN of the case catalogue, as far as it is about the
// table.
func TestLearning(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *Table)
	}{
		{"LRN-1 learned on the first frame, in its domain only", func(t *testing.T, f *Table) {
			wantAbsent(t, f, red, mac(1), 0)
			learn(t, f, red, mac(1), 3, 0, Added)
			wantAt(t, f, red, mac(1), 0, 3)
			wantAbsent(t, f, blue, mac(1), 0)
			if !f.Remove(red, mac(1)) || f.Remove(red, mac(1)) {
				t.Fatal("Remove does not say what it did")
			}
			wantAbsent(t, f, red, mac(1), 0)
		}},
		{"LRN-2 idle for the ageing time", func(t *testing.T, f *Table) {
			f.SetDomain(red, 0, 30)
			learn(t, f, red, mac(1), 3, 100, Added)
			wantAt(t, f, red, mac(1), 129, 3)
			wantAbsent(t, f, red, mac(1), 130)
			wantAbsent(t, f, red, mac(1), 131)
			if f.Len() != 1 || f.Age(131) != 1 || f.Len() != 0 || f.Age(131) != 0 {
				t.Fatal("Age does not remove exactly what expired")
			}
		}},
		{"LRN-2 heard again after it expired and before a sweep", func(t *testing.T, f *Table) {
			f.SetDomain(red, 0, 30)
			learn(t, f, red, mac(1), 3, 100, Added)
			learn(t, f, red, mac(1), 3, 200, Added)
			wantAt(t, f, red, mac(1), 229, 3)
			learn(t, f, red, mac(1), 4, 300, Added)
			wantAt(t, f, red, mac(1), 329, 4)
			if f.Len() != 1 || f.HopLen(3) != 0 {
				t.Fatal("counted twice")
			}
		}},
		{"LRN-2 ageing 0 is never", func(t *testing.T, f *Table) {
			learn(t, f, red, mac(1), 3, 0, Added)
			wantAt(t, f, red, mac(1), 1<<31-1, 3)
			if f.Age(1<<31-1) != 0 {
				t.Fatal("aged out")
			}
		}},
		{"LRN-4 stays while it is heard", func(t *testing.T, f *Table) {
			f.SetDomain(red, 0, 30)
			learn(t, f, red, mac(1), 3, 0, Added)
			for now := uint32(1); now < 120; now += 13 {
				learn(t, f, red, mac(1), 3, now, Known)
				f.Age(now)
				wantAt(t, f, red, mac(1), now+29, 3)
			}
		}},
		{"LRN-7 moves at once and back", func(t *testing.T, f *Table) {
			learn(t, f, red, mac(1), 1, 0, Added)
			for _, h := range []Hop{2, 7, 1} {
				learn(t, f, red, mac(1), h, 0, Moved)
				wantAt(t, f, red, mac(1), 0, h)
				if f.HopLen(h) != 1 || f.Len() != 1 {
					t.Fatal("the old hop still counts it")
				}
			}
		}},
		{"LRN-8 a pinned entry is not moved, refreshed or aged", func(t *testing.T, f *Table) {
			f.SetDomain(red, 0, 30)
			pin := Entry{red, mac(1), 1, Static, 5, false}
			if !f.Set(pin) {
				t.Fatal("refused")
			}
			learn(t, f, red, mac(1), 2, 1000, IsStatic)
			learn(t, f, red, mac(1), 1, 1000, Known)
			if n := f.Age(1000) + f.Flush(anything); n != 0 {
				t.Fatalf("%d pinned entries went", n)
			}
			if e, ok := f.Lookup(red, mac(1), 1000); !ok || e != pin {
				t.Fatalf("became %+v, %v", e, ok)
			}
			if !f.Remove(red, mac(1)) || f.Len() != 0 {
				t.Fatal("cannot be removed")
			}
		}},
		{"LRN-10 a hop's limit, and pinned entries at the limit", func(t *testing.T, f *Table) {
			f.SetHop(3, 8)
			for i := range 16 {
				want := Added
				if i >= 8 {
					want = HopFull
				}
				learn(t, f, Domain(i%2), mac(i), 3, 0, want)
			}
			for i := range 16 { // over some that are learned and some that are not
				f.Set(Entry{Domain(i % 2), mac(i + 4), 3, []Origin{Static, EVPN, OVSDB, Gateway}[i%4], 0, false})
			}
			if l, n := f.HopLearned(3), f.HopLen(3); l != 4 || n != 20 {
				t.Fatalf("%d learned and %d in all, want 4 and 20", l, n)
			}
			learn(t, f, red, mac(99), 3, 0, Added)
		}},
		{"LRN-10 a domain's limit", func(t *testing.T, f *Table) {
			f.SetDomain(red, 1, 0)
			learn(t, f, red, mac(1), 1, 0, Added)
			learn(t, f, red, mac(2), 1, 0, DomainFull)
			learn(t, f, blue, mac(2), 1, 0, Added)
			learn(t, f, red, mac(1), 2, 0, Moved)
			f.SetDomain(red, -1, 0)
			wantAt(t, f, red, mac(1), 0, 2)
			f.Remove(red, mac(1))
			learn(t, f, red, mac(1), 1, 0, DomainFull)
		}},
		{"LRN-10 a move to a full hop removes the old entry", func(t *testing.T, f *Table) {
			f.SetHop(2, 1)
			learn(t, f, red, mac(2), 2, 0, Added)
			learn(t, f, red, mac(1), 1, 0, Added)
			learn(t, f, red, mac(1), 2, 0, HopFull)
			wantAbsent(t, f, red, mac(1), 0)
			wantAt(t, f, red, mac(2), 0, 2)
			if f.HopLen(1) != 0 || f.Len() != 1 {
				t.Fatal("still counted")
			}
		}},
		{"LRN-11 a full table refuses the newcomer and keeps the rest", func(t *testing.T, f *Table) {
			for i := range 100 {
				learn(t, f, red, mac(i), Hop(i%3), 0, Added)
			}
			for i := range 1600 {
				learn(t, f, blue, mac(1000+i), 7, 0, TableFull)
			}
			for i := range 100 {
				wantAt(t, f, red, mac(i), 0, Hop(i%3))
			}
			f.Remove(red, mac(0))
			learn(t, f, blue, mac(1000), 7, 0, Added)
			learn(t, f, blue, mac(1001), 7, 0, TableFull)
		}},
		{"LRN-14 a flush takes exactly the named set", func(t *testing.T, f *Table) {
			fill := func() {
				for i := range 48 {
					f.Learn(Domain(i%2), mac(i), Hop(i%3), 0)
				}
				f.Set(Entry{0, mac(100), 0, Static, 0, false})
			}
			left := func(n int, is func(Entry) bool) {
				t.Helper()
				all := slices.Collect(f.All())
				if len(all) != 49-n || slices.ContainsFunc(all, is) {
					t.Fatalf("%d entries left of 49, want %d and none of those flushed", len(all), 49-n)
				}
			}
			fill()
			left(f.Flush(func(_ Domain, h Hop) bool { return h == 0 }), func(e Entry) bool { return e.Hop == 0 && e.Origin == Learned })
			fill()
			left(f.Flush(func(d Domain, _ Hop) bool { return d == 0 }), func(e Entry) bool { return e.Domain == 0 && e.Origin == Learned })
			fill()
			left(f.Flush(func(d Domain, h Hop) bool { return d == 1 && h == 2 }), func(e Entry) bool { return e.Domain == 1 && e.Hop == 2 })
			fill()
			left(f.Flush(anything), isLearned)
			if n := f.Flush(anything); n != 0 {
				t.Fatalf("%d went that were not there", n)
			}
		}},
		{"LRN-17 a clock that steps back expires nothing", func(t *testing.T, f *Table) {
			f.SetDomain(red, 0, 30)
			learn(t, f, red, mac(1), 3, 90000, Added)
			wantAt(t, f, red, mac(1), 89999, 3)
			learn(t, f, red, mac(1), 3, 100, Known)
			if f.Age(100) != 0 {
				t.Fatal("aged out")
			}
			if e, _ := f.Lookup(red, mac(1), 100); e.Seen != 90000 {
				t.Fatalf("seen went back to %d", e.Seen)
			}
		}},
		{"LRN-17 a clock that wraps", func(t *testing.T, f *Table) {
			f.SetDomain(red, 0, 30)
			learn(t, f, red, mac(1), 3, 1<<32-10, Added)
			wantAt(t, f, red, mac(1), 19, 3)
			wantAbsent(t, f, red, mac(1), 20)
		}},
		{"no station has a group address or zero", func(t *testing.T, f *Table) {
			for _, m := range []frame.MAC{{}, frame.Broadcast, {1, 0, 0x5e, 0, 0, 1}} {
				learn(t, f, 0, m, 3, 0, NoStation)
				wantAbsent(t, f, 0, m, 0)
				if f.Set(Entry{0, m, 3, Static, 0, false}) || f.Remove(0, m) {
					t.Fatal("taken")
				}
			}
		}},
		{"what cannot be pinned", func(t *testing.T, f *Table) {
			for _, e := range []Entry{{red, mac(1), 3, Learned, 0, false}, {red, mac(1), 3, numOrigins, 0, false}, {red, mac(1), 16, Static, 0, false}} {
				if f.Set(e) {
					t.Fatalf("%+v was taken", e)
				}
			}
		}},
		{"a hop that does not exist has room for nobody", func(t *testing.T, f *Table) {
			f.SetHop(16, 5)
			learn(t, f, red, mac(1), 16, 0, HopFull)
			learn(t, f, red, mac(1), 15, 0, Added)
			learn(t, f, red, mac(1), 1<<32-1, 0, HopFull)
			if f.Len() != 0 || f.HopLen(16) != 0 || f.HopLearned(16) != 0 {
				t.Fatal("counted")
			}
		}},
		{"the parts of AgePart are the whole", func(t *testing.T, f *Table) {
			f.SetDomain(red, 0, 10)
			for i := range 100 {
				f.Learn(red, mac(i), 0, 0)
			}
			n := 0
			for part := range 7 {
				n += f.AgePart(10, part, 7)
			}
			if n != 100 || f.Len() != 0 {
				t.Fatalf("removed %d of 100, %d left", n, f.Len())
			}
		}},
		{"a controller's entry yields to who is near", func(t *testing.T, f *Table) {
			f.Set(Entry{red, mac(1), 9, EVPN, 0, false})
			learn(t, f, red, mac(1), 10, 1, IsStatic)
			learn(t, f, red, mac(1), 9, 1, Known)
			learn(t, f, red, mac(1), 3, 1, Moved)
			wantAt(t, f, red, mac(1), 1, 3)
			f.Set(Entry{red, mac(1), 9, EVPN, 2, false})
			wantAt(t, f, red, mac(1), 2, 9)
		}},
		{"a sticky one does not", func(t *testing.T, f *Table) {
			f.Set(Entry{red, mac(1), 9, EVPN | Sticky, 0, false})
			learn(t, f, red, mac(1), 3, 1, IsStatic)
			f.Set(Entry{red, mac(2), 9, Static, 0, false})
			learn(t, f, red, mac(2), 3, 1, IsStatic)
		}},
		{"it stays where there is no room for who is near", func(t *testing.T, f *Table) {
			f.SetHop(3, -1)
			f.Set(Entry{red, mac(1), 9, OVSDB, 0, false})
			learn(t, f, red, mac(1), 3, 1, HopFull)
			wantAt(t, f, red, mac(1), 1, 9)
		}},
		{"All may be left early", func(t *testing.T, f *Table) {
			for i := range 100 {
				f.Learn(red, mac(i), 0, 0)
			}
			for range f.All() {
				break
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := New(Config{Limit: 100, Hops: 16, Near: 8})
			c.run(t, f)
			counts(t, f, slices.Collect(f.All()))
		})
	}
}

func TestNothingIsLearnedWithoutALimit(t *testing.T) {
	for _, limit := range []int{0, -1} {
		f := New(Config{Limit: limit, Hops: 1})
		learn(t, f, red, mac(1), 0, 0, TableFull)
		if !f.Set(Entry{red, mac(1), 0, Static, 0, false}) {
			t.Fatal("a pinned entry was refused")
		}
	}
}

func TestExtremesOfEveryField(t *testing.T) {
	for _, e := range []Entry{
		{1<<16 - 1, frame.MAC{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff}, MaxHops - 1, OVSDB, 1<<32 - 1, false},
		{0, frame.MAC{0, 0, 0, 0, 0, 1}, 0, Learned, 0, false},
		{5, frame.MAC{2, 0, 0, 0, 0, 1}, MaxHops - 1, Controller | Sticky, 1<<32 - 1, false},
		{5, frame.MAC{2, 0, 0, 0, 0, 1}, MaxHops - 1, Learned, 1<<32 - 1, true},
	} {
		v := makeValue(e.Hop, e.Origin, e.Seen)
		if e.Held {
			v |= held
		}
		for _, v := range []value{v, v | frozen} {
			if got := v.entry(key(e.Domain, e.MAC)); got != e || !v.live() {
				t.Errorf("%+v became %+v", e, got)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for o, want := range []string{"learned", "static", "gateway", "evpn", "ovsdb", "controller", "invalid", "invalid"} {
		if got := Origin(o).String(); got != want {
			t.Errorf("origin %d is %q, want %q", o, got, want)
		}
	}
	for o, want := range []string{"known", "added", "moved", "is_static", "table_full", "domain_full", "hop_full", "no_station", "duplicate", "invalid"} {
		if got := Outcome(o).String(); got != want {
			t.Errorf("outcome %d is %q, want %q", o, got, want)
		}
	}
}
