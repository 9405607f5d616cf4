package capture

import (
	"errors"
	"fmt"
	"time"
)

const (
	// MaxCaptures is how many captures there may be at once: each is one more that
	// every frame is compared with.
	MaxCaptures = 8

	// MaxSnap is the most that is kept of a frame, in bytes: the longest super-frame
	// with its outer headers.
	MaxSnap = 65535 + 128

	// DefaultSnap is what is kept where nothing else is asked for.
	DefaultSnap = MaxSnap

	// bufferSize is how much of a capture waits for its reader, in bytes.
	bufferSize = 4 << 20
)

// ErrTooMany is why a capture is refused when there are MaxCaptures.
var ErrTooMany = errors.New("too many captures")

// errStopped is why none begins any more.
var errStopped = errors.New("the gateway is being stopped")

// Spec is what a capture is to take.
type Spec struct {
	Place    Place
	Anywhere bool   // at every place, whatever Place says
	VNI      uint32 // 0: of all
	Dropped  bool   // only what is dropped
	Filter   *Filter
	Count    uint64        // frames after which it ends; 0: it does not
	Duration time.Duration // after which it ends; 0: it does not
	Snap     int           // bytes of a frame that are kept, 1..MaxSnap
}

func (s *Spec) want() want {
	return want{place: s.Place, any: s.Anywhere, vni: s.VNI, dropped: s.Dropped}
}

// takes reports whether a note is what is asked for, before its bytes are looked at.
func (s *Spec) takes(n *Note) bool {
	w := s.want()
	return w.takes(n.Place, n.VNI) && (!s.Dropped || n.Reason != 0)
}

// Interface is a place as a capture names it.
type Interface struct {
	Place       Place
	Name        string
	Description string
}

// comments are what a capture says beside a frame.
func (n *Note) comments() (all []string) {
	switch {
	case n.Reason == 0:
	case n.Part:
		all = append(all, fmt.Sprintf("a copy was dropped: %v (%v)", n.Reason, n.Direction))
	default:
		all = append(all, fmt.Sprintf("dropped: %v (%v)", n.Reason, n.Direction))
	}
	if n.Bare && !n.Out {
		all = append(all, "the host's stack has taken the outer headers off: MACs, TTL and ID are not those that it came with")
	}
	return all
}
