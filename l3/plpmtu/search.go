// Package plpmtu finds out how long a packet a path carries by sending probes and
// watching which are answered: Packetization Layer Path MTU Discovery, RFC 8899. It is
// for paths on which nobody says that a packet was too long, or on which what is said
// does not arrive. It sends nothing itself and knows no time but the one it is told, in
// seconds on a clock that never goes back.
package plpmtu

// The times and numbers of RFC 8899 section 5.1, in seconds.
const (
	// Tries is after how many probes without an answer a size is taken for lost
	// (MAX_PROBES).
	Tries = 3

	// Timeout is how long an answer is waited for (PROBE_TIMER). Who answers is the
	// other end's IP stack, at once.
	Timeout = 2

	// Confirm is after how long it is tried again whether what was found is still
	// carried (CONFIRMATION_TIMER), and whether somebody answers who did not.
	Confirm = 60

	// Raise is after how long it is tried whether the path carries more again
	// (PMTU_RAISE_TIMER).
	Raise = 600

	// Base is a size that every path should carry (BASE_PLPMTU): the least that IPv6
	// links do (RFC 8200 section 5).
	Base = 1280
)

// State is how far a search is.
type State uint8

// The states. The first two are RFC 8899's Base: whether the other end answers at all
// is found out with what there is the most to gain from.
const (
	Trying    State = iota // the longest packet is tried, or what was found before
	Asking                 // the longest was lost: whether a short one is answered
	Searching              // between one that was answered and one that was lost
	Complete               // it is known what the path carries
	Unknown                // nothing is answered: nothing is known of the path
)

func (s State) String() string {
	return [...]string{"trying", "asking", "searching", "complete", "unknown"}[s]
}

// Search is the search for one path. The zero Search is of no use: see New.
type Search struct {
	longest int // that is to be found: what the first link or a router says
	state   State
	found   int // by the last search that ended; 0: none did
	carried int // longest answered of the search at hand
	lost    int // shortest that was not

	probe int // size of the probe at hand
	tries int // of it
	at    uint32
	next  uint32 // when to look again
	raise uint32 // when to try the longest again
}

// New returns a search for a path that carries packets of up to longest bytes, Base at
// least, as far as is known. It begins at the second now.
func New(longest int, now uint32) *Search {
	s := &Search{}
	s.restart(longest, now)
	return s
}

func (s *Search) restart(longest int, now uint32) {
	*s = Search{longest: longest, next: now}
	s.begin(Trying, longest)
}

// begin makes a size the next to be probed.
func (s *Search) begin(state State, size int) { s.state, s.probe, s.tries = state, size, 0 }

// SetLongest tells of another bound: a path that is another, or that a router on the way
// spoke of. What was found is forgotten.
func (s *Search) SetLongest(longest int, now uint32) {
	if longest != s.longest {
		s.restart(longest, now)
	}
}

// State returns how far the search is.
func (s *Search) State() State { return s.state }

// Found returns how long a packet the path carries, in bytes: the length of the IP
// packet. 0: that is not known, or was not found out yet. While it is found out again,
// it is what was found last.
func (s *Search) Found() int { return s.found }

// Next returns the size of the probe, in bytes of IP packet, that is to be sent now. It
// is to be asked once a second, about; what was sent before and not answered by then
// may be lost.
func (s *Search) Next(now uint32) (size int, send bool) {
	if now < s.next {
		return 0, false
	}
	if s.tries > 0 && s.tries == Tries {
		s.wasLost(now)
		if now < s.next {
			return 0, false
		}
	}
	s.tries++
	s.at, s.next = now, now+Timeout
	return s.probe, true
}

// wasLost draws the conclusion from the last of several probes.
func (s *Search) wasLost(now uint32) {
	switch s.state {
	case Trying, Complete:
		s.lost = s.probe
		switch {
		case s.probe > s.found && s.found > 0: // it was tried whether the path carries more
			s.carried = s.found
			s.raise = now + Raise
			s.search(now)
		case s.probe <= Base:
			s.giveUp(now)
		default:
			s.begin(Asking, Base)
		}
	case Asking, Unknown:
		s.giveUp(now)
	case Searching:
		s.lost = s.probe
		s.search(now)
	}
}

// giveUp waits for somebody to answer. What was found stays: an end that is away says
// nothing about the path to it.
func (s *Search) giveUp(now uint32) {
	s.begin(Unknown, Base)
	s.next = now + Confirm
}

// Answered tells that a probe of this size was answered. Other sizes than that of the
// probe at hand are answers that come late; they are as good.
func (s *Search) Answered(size int, now uint32) {
	switch {
	case size > s.longest || s.tries == 0:
		return // it is none of ours
	case s.state == Searching && size > s.carried && size < s.lost:
		s.carried = size
		s.search(now)
	case s.state == Searching:
	case size == s.longest, s.state == Complete && size == s.found:
		s.complete(size, now)
	case s.state == Unknown && size >= s.probe:
		s.begin(Trying, s.longest)
		s.next = now
	case s.state == Trying && size == s.probe:
		s.complete(size, now)
	case s.state == Asking && size >= s.probe:
		s.carried = size
		s.search(now)
	}
}

// search goes on half way between what is known.
func (s *Search) search(now uint32) {
	if s.lost-s.carried <= 1 {
		s.complete(s.carried, now)
		return
	}
	s.begin(Searching, (s.carried+s.lost)/2)
	s.next = now
}

// complete ends a search, until it is time to confirm what it found.
func (s *Search) complete(size int, now uint32) {
	if size != s.found && size < s.longest {
		s.raise = now + Raise
	}
	s.found = size
	s.begin(Complete, size)
	s.next = now + Confirm
	if size < s.longest && now+Confirm >= s.raise {
		s.raise = now + Confirm + Raise
		s.probe = s.longest
	}
}
