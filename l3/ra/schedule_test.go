package ra

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// sentAlone runs a schedule that nobody asks anything, second by second, and returns
// when it sends, from the start.
func sentAlone(s *Schedule, start uint32, seconds int) (at []int) {
	for i := range seconds {
		if s.Due(start + uint32(i)) {
			at = append(at, i)
		}
	}
	return at
}

// RFC 4861 section 6.2.4: the first three no more than 16 seconds apart, then at
// random between the least and the longest interval.
func TestScheduleAlone(t *testing.T) {
	for _, start := range []uint32{0, 1, 1000, math.MaxUint32 - 20, math.MaxUint32 - 1000, 1 << 31} {
		for seed := range uint64(20) {
			s := NewSchedule(seed, start)
			at := sentAlone(&s, start, 20000)
			if len(at) < 20000/600 || at[0] != 0 {
				t.Fatalf("from %d: at %v", start, at)
			}
			for i := 1; i < len(at); i++ {
				d := at[i] - at[i-1]
				if i < 3 && (d < 3 || d > 16) || i >= 3 && (d < 200 || d > 600) {
					t.Fatalf("from %d: number %d comes after %d seconds: %v", start, i, d, at)
				}
			}
		}
	}
}

// The whole range of intervals comes up, and not in the same order for every seed.
func TestScheduleIsRandom(t *testing.T) {
	least, most, first := 600, 200, map[int]bool{}
	for seed := range uint64(200) {
		s := NewSchedule(seed, 0)
		at := sentAlone(&s, 0, 12000)
		for i := 4; i < len(at); i++ {
			least, most = min(least, at[i]-at[i-1]), max(most, at[i]-at[i-1])
		}
		first[at[3]-at[2]] = true
	}
	if least > 210 || most < 590 || len(first) < 50 {
		t.Errorf("between %d and %d seconds, %d different first ones of 200", least, most, len(first))
	}
}

func TestSolicited(t *testing.T) {
	settled := func() Schedule { // last sent at 0, and none due for 200 seconds
		s := NewSchedule(7, math.MaxUint32-31)
		for i := range 32 {
			s.Due(math.MaxUint32 - 31 + uint32(i))
		}
		s.send(0)
		return s
	}
	for _, tc := range []struct {
		name  string
		asked []uint32
		now   []uint32 // those of asked that are answered at once
		due   []uint32 // when else something is sent, up to 30
	}{
		{"when nothing was sent lately", []uint32{20}, []uint32{20}, nil},
		{"three seconds after one", []uint32{3}, []uint32{3}, nil},
		{"at once after one", []uint32{0}, nil, []uint32{3}},
		{"two seconds after one", []uint32{2}, nil, []uint32{3}},
		{"again and again: one answer is for all", []uint32{0, 1, 1, 2, 2}, nil, []uint32{3}},
		{"two in the same second", []uint32{20, 20}, []uint32{20}, []uint32{23}},
		{"a storm", []uint32{10, 11, 12, 13, 14, 15, 16}, []uint32{10}, []uint32{13, 16, 19}},
		{"one that is due is not put off by more", []uint32{10, 12, 20}, []uint32{10, 20}, []uint32{13}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := settled()
			var now, due []uint32
			for second := range uint32(31) {
				if s.Due(second) {
					due = append(due, second)
				}
				for _, a := range tc.asked {
					if a == second && s.Solicited(second) {
						now = append(now, second)
					}
				}
			}
			if !slices.Equal(now, tc.now) || !slices.Equal(due, tc.due) {
				t.Errorf("answered at once at %v, due at %v; want %v and %v", now, due, tc.now, tc.due)
			}
		})
	}
}

// The first that a host asks for is sent at once, whether one was due or not.
func TestSolicitedBeforeTheFirst(t *testing.T) {
	s := NewSchedule(1, 100)
	if !s.Solicited(100) || s.Due(100) {
		t.Error("not answered at once, or answered twice")
	}
}

// However hosts ask and however seldom the schedule is looked at: no two are less than
// three seconds apart, none that was asked for is lost, and there is never a silence
// of more than 600 seconds (RFC 4861 sections 6.2.4 and 6.2.6).
func TestScheduleAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.SampledFrom([]uint32{0, 5, 1 << 31, math.MaxUint32 - 100}).Draw(t, "start")
		s := NewSchedule(rapid.Uint64().Draw(t, "seed"), start)
		last, sent, asked := int64(-1), 0, int64(-1) // seconds from start
		send := func(now int64) {
			if sent > 0 && now-last < 3 {
				t.Fatalf("sent at %d and at %d", last, now)
			}
			last, sent, asked = now, sent+1, -1
		}
		now := int64(0)
		for range 300 {
			step := rapid.OneOf(rapid.Int64Range(0, 4), rapid.Int64Range(0, 700)).Draw(t, "step")
			ask := rapid.Bool().Draw(t, "ask")
			for range step { // the clock ticks every second
				now++
				if s.Due(start + uint32(now)) {
					send(now)
				}
				if sent == 0 || now-last > 600 {
					t.Fatalf("silent from %d to %d", last, now)
				}
				if asked >= 0 && now-asked > 3 {
					t.Fatalf("asked at %d, and no answer at %d", asked, now)
				}
			}
			if ask {
				if s.Solicited(start + uint32(now)) {
					send(now)
				} else if asked < 0 {
					asked = now
				}
			}
		}
	})
}

// Workers read the clock once a batch: a moment that lies behind what was sent is no
// reason to send again.
func TestSolicitedWithAnOlderClock(t *testing.T) {
	s := NewSchedule(1, 100)
	if !s.Due(101) {
		t.Fatal("not due")
	}
	if s.Solicited(100) {
		t.Error("sent twice within three seconds")
	}
	if s.Due(103) || !s.Due(104) {
		t.Error("the answer does not come at 104")
	}
}

func TestNoSchedule(t *testing.T) {
	var s Schedule
	if s.Due(1) || s.Solicited(1) {
		t.Error("one that was not made sends")
	}
}
