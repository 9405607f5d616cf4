package plpmtu

import (
	"testing"

	"pgregory.net/rapid"
)

// network is a path with somebody at its end.
type network struct {
	mtu    int
	silent bool // nobody answers
	loses  func() bool
	sent   int
}

// run has a search go on over a network for so many seconds.
func (n *network) run(s *Search, now *uint32, seconds int) {
	var answer int
	for range seconds {
		if answer > 0 {
			s.Answered(answer, *now)
			answer = 0
		}
		if size, send := s.Next(*now); send {
			n.sent++
			if size <= n.mtu && !n.silent && (n.loses == nil || !n.loses()) {
				answer = size
			}
		}
		*now++
	}
	if answer > 0 {
		s.Answered(answer, *now)
	}
}

// enough is how many seconds a search takes at most: three probes for the longest, and
// for each of the sizes up to 64 KiB that are halved in between.
const enough = 20 * Tries * (Timeout + 1)

func TestSearch(t *testing.T) {
	for _, tc := range []struct {
		name    string
		longest int
		mtu     int
		silent  bool
		state   State
		found   int
		most    int // probes
	}{
		{"the path carries what the link does", 1600, 1600, false, Complete, 1600, 4},
		{"and more", 1600, 9000, false, Complete, 1600, 4},
		{"one byte less", 1600, 1599, false, Complete, 1599, 40},
		{"an ordinary link on the way", 9000, 1500, false, Complete, 1500, 60},
		{"a tunnel on the way", 1600, 1476, false, Complete, 1476, 40},
		{"no more than the least", 1600, Base, false, Complete, Base, 40},
		{"less than the least", 1600, Base - 1, false, Unknown, 0, 15},
		{"the link carries the least", Base, Base, false, Complete, Base, 4},
		{"the link carries the least, and nothing arrives", Base, 1000, false, Unknown, 0, 10},
		{"nobody answers", 1600, 1600, true, Unknown, 0, 15},
		{"64 KiB", 65535, 65000, false, Complete, 65000, 60},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := uint32(1000)
			s, n := New(tc.longest, now), &network{mtu: tc.mtu, silent: tc.silent}
			n.run(s, &now, enough)
			if s.Found() != tc.found || s.State() != tc.state {
				t.Errorf("%v, found %d; want %v, %d", s.State(), s.Found(), tc.state, tc.found)
			}
			if n.sent > tc.most {
				t.Errorf("%d probes, want %d at most", n.sent, tc.most)
			}
		})
	}
}

// What changes on the way is found out, by when it is said to be.
func TestSearchFollows(t *testing.T) {
	now := uint32(1)
	s, n := New(1600, now), &network{mtu: 1600}
	step := func(what string, seconds int, state State, found int) {
		t.Helper()
		n.run(s, &now, seconds)
		if s.State() != state || s.Found() != found {
			t.Fatalf("%s: %v, found %d; want %v, %d", what, s.State(), s.Found(), state, found)
		}
	}
	step("at first", 10, Complete, 1600)
	n.mtu = 1450
	step("a link on the way is another", Confirm+enough, Complete, 1450)
	n.sent = 0
	step("nothing changes", Raise/2, Complete, 1450)
	if n.sent > Raise/2/Confirm+1 {
		t.Errorf("%d probes while nothing changes", n.sent)
	}
	n.silent = true
	step("the other end is away", Confirm+enough, Unknown, 1450)
	n.silent = false
	step("it is back", Confirm+enough, Complete, 1450)
	n.mtu = 1500
	step("the path carries a little more", Raise+Confirm+enough, Complete, 1500)
	n.mtu = 9000
	step("the path carries it all", Raise+Confirm+enough, Complete, 1600)
	s.SetLongest(1600, now)
	if s.State() != Complete {
		t.Error("the same bound begins a search")
	}
	s.SetLongest(1400, now)
	step("a router spoke", 10, Complete, 1400)
	s.SetLongest(9000, now)
	if s.Found() != 0 {
		t.Errorf("found %d on another path", s.Found())
	}
	step("another path", 10, Complete, 9000)
}

// Over any path that does not change what is found is what it carries, exactly, though a
// few probes and answers are lost; never is more found than it carries; and probes are
// few.
func TestSearchFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		longest := rapid.IntRange(Base, 65535).Draw(t, "longest")
		n := &network{mtu: rapid.IntRange(Base, 65535).Draw(t, "mtu")}
		in := rapid.IntRange(0, 12).Draw(t, "loses one in")
		if in > 1 {
			i, phase := 0, rapid.IntRange(0, in-1).Draw(t, "phase")
			n.loses = func() bool { i++; return i%max(in, Tries) == phase }
		}
		now := rapid.Uint32Range(0, 1<<30).Draw(t, "now")
		s := New(longest, now)
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			n.sent = 0
			n.run(s, &now, 2*enough)
			if s.Found() > n.mtu {
				t.Fatalf("found %d where %d is carried", s.Found(), n.mtu)
			}
			if n.sent > 2*enough/Timeout {
				t.Fatalf("%d probes in %d s", n.sent, 2*enough)
			}
		}
		if want := min(longest, n.mtu); s.Found() != want {
			t.Fatalf("%v, found %d, want %d", s.State(), s.Found(), want)
		}
	})
}

// Whatever is answered, in any order, or not: what is found is something that was
// answered, and no more than the bound.
func TestSearchBelievesAnswersOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, longest := uint32(5), rapid.IntRange(Base, 9000).Draw(t, "longest")
		s := New(longest, now)
		answered := make(map[int]bool)
		var sent []int
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				now += rapid.Uint32Range(0, 700).Draw(t, "seconds")
			case 1, 2:
				if size, send := s.Next(now); send {
					if size < Base || size > longest {
						t.Fatalf("a probe of %d bytes, of %d to %d", size, Base, longest)
					}
					sent = append(sent, size)
				}
			case 3:
				size := rapid.IntRange(0, 10000).Draw(t, "a stray size")
				if len(sent) > 0 && rapid.Bool().Draw(t, "ours") {
					size = rapid.SampledFrom(sent).Draw(t, "size")
				}
				answered[size] = true
				s.Answered(size, now)
			}
			if f := s.Found(); f != 0 && (!answered[f] || f > longest) {
				t.Fatalf("found %d, which was not answered", f)
			}
		}
	})
}
