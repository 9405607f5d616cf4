package ra

import "math/rand/v2"

// Times, in seconds (RFC 4861 sections 6.2.1 and 10).
const (
	maxInterval     = 600
	minInterval     = 200
	initialInterval = 16 // between the first ones
	initials        = 3  // how many those are
	minDelay        = 3  // between any two to all hosts
)

// Schedule says when a router advertises itself: soon after it has come up a few
// times, then at random intervals, and when a host asks. Make one with NewSchedule.
type Schedule struct {
	rng  *rand.Rand
	next uint32
	last uint32
	sent int
}

// NewSchedule returns the schedule of a router that has come up now, in seconds on
// the caller's clock. The seed makes its intervals differ from others'.
func NewSchedule(seed uint64, now uint32) Schedule {
	return Schedule{rng: rand.New(rand.NewPCG(seed, seed)), next: now}
}

// Due reports whether an advertisement is to be sent now. That it was is taken for
// granted.
func (s *Schedule) Due(now uint32) bool {
	if s.rng == nil || int32(now-s.next) < 0 {
		return false
	}
	s.send(now)
	return true
}

// Solicited notes that a host asks for routers, and reports whether it is answered
// at once, by an advertisement to all hosts. Otherwise one was sent a moment ago,
// and Due says when the next one may be (RFC 4861 section 6.2.6).
func (s *Schedule) Solicited(now uint32) bool {
	if s.rng == nil {
		return false
	}
	if s.sent > 0 && int32(now-s.last) < minDelay { // also where now lies a little behind
		s.next = s.last + minDelay // sooner than any interval
		return false
	}
	s.send(now)
	return true
}

func (s *Schedule) send(now uint32) {
	s.sent++
	s.last = now
	d := minInterval + s.rng.Uint32N(maxInterval-minInterval+1)
	if s.sent < initials {
		d = min(d, initialInterval)
	}
	s.next = now + d
}
