package control

import (
	"errors"
	"fmt"
	"testing"
)

func seconds(n uint32) *uint32 { return &n }

// states checks how an origin is.
func (b *Book) states(t *testing.T, o Origin, s State, now, left uint32) {
	t.Helper()
	p, ok := b.Page(o)
	if !ok || p.State() != s || p.Left(now) != left {
		t.Errorf("at %d: %s is %s with %d s left, want %s with %d", now, o, p.State(), p.Left(now), s, left)
	}
}

func TestHold(t *testing.T) {
	b := NewBook()
	b.Hear(EVPN, nil, true, 100)
	b.Hear("x", seconds(5), true, 100)
	b.states(t, EVPN, Leased, 110, DefaultHold-10)
	b.states(t, "x", Leased, 99, 5) // a clock that lies behind
	if over := b.Expire(104); len(over) != 0 {
		t.Fatalf("%v are over", over)
	}
	b.Hear("x", nil, false, 104) // a sign of life
	if over := b.Expire(108); len(over) != 0 {
		t.Fatalf("%v are over", over)
	}
	over := b.Expire(109)
	if len(over) != 1 || over[0].Origin != "x" || over[0].Swept != 1 {
		t.Fatalf("%+v are over", over)
	}
	if over := b.Expire(200); len(over) != 0 {
		t.Fatalf("%v are over twice", over)
	}
	b.states(t, "x", Expired, 200, 0)
	b.Hear("x", nil, false, 200)
	b.states(t, "x", Leased, 200, 5)
}

// An open stream keeps an origin; the hold time begins when the last one is closed.
func TestAttach(t *testing.T) {
	b := NewBook()
	b.Attach("x", true, 90) // before it says anything
	b.Hear("x", seconds(10), true, 100)
	b.Attach("x", true, 101)
	b.states(t, "x", Attached, 1000, 10)
	b.Attach("x", false, 1000)
	if over := b.Expire(2000); len(over) != 0 {
		t.Fatalf("%v are over with a stream open", over)
	}
	b.Attach("x", false, 2000)
	b.states(t, "x", Leased, 2004, 6)
	if over := b.Expire(2010); len(over) != 1 {
		t.Fatalf("%v are over", over)
	}
	b.Attach("x", false, 2000) // once too often
	b.Attach("x", true, 2011)
	b.Hear("x", nil, true, 2011)
	b.states(t, "x", Attached, 3000, 10)
}

func TestGeneration(t *testing.T) {
	b := NewBook()
	last := uint64(0)
	for i, step := range []struct {
		name  string
		hold  *uint32
		new   bool
		grows bool
	}{
		{"at first", nil, false, true},
		{"a sign of life", nil, false, false},
		{"the same hold", seconds(DefaultHold), false, false},
		{"another hold", seconds(60), false, true},
		{"something new", nil, true, true},
	} {
		p := b.Hear("x", step.hold, step.new, uint32(i))
		if (p.Generation > last) != step.grows {
			t.Errorf("%s: generation %d after %d", step.name, p.Generation, last)
		}
		last = p.Generation
	}
	b.End("x")
	if p := b.Hear("x", nil, true, 10); p.Generation <= last {
		t.Errorf("generation %d after the end, %d was before", p.Generation, last)
	}
}

// There is room for so many; those that have expired make room, the first one first.
func TestRoom(t *testing.T) {
	b := NewBook()
	for i := range MaxOrigins {
		o := Origin(fmt.Sprintf("o%d", i))
		if err := b.Room(o); err != nil {
			t.Fatal(err)
		}
		b.Hear(o, seconds(uint32(100+i)), true, 0)
	}
	if err := b.Room("one-more"); !errors.Is(err, ErrFull) {
		t.Fatalf("room for one more: %v", err)
	}
	if err := b.Room("o3"); err != nil {
		t.Fatalf("no room for who is there: %v", err)
	}
	b.Hear("o0", nil, false, 50)
	b.Expire(102) // o1 and o2
	if err := b.Room("one-more"); err != nil {
		t.Fatal(err)
	}
	b.Hear("one-more", nil, true, 102)
	if n := len(b.Pages()); n != MaxOrigins {
		t.Fatalf("%d origins", n)
	}
	if _, ok := b.Page("o5"); !ok {
		t.Error("one that lives made room")
	}
}
