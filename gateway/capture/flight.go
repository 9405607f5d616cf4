package capture

import "vxgw/gateway/forward"

const (
	// FlightSnap is how many bytes of a dropped frame are kept: the headers of
	// everything that the gateway looks at, and the beginning of what is inside.
	FlightSnap = 192

	// flightNotes is how many dropped frames a worker has room for between two
	// looks, and perReason how many of them of one reason in a second: a flood of
	// one leaves room for the rare ones.
	flightNotes = 64
	perReason   = 8
)

// flight is one worker's part of the flight recorder.
type flight struct {
	ring   *Ring // made with the first drop: most workers never drop anything
	made   func(*Ring)
	second uint32
	used   [forward.NumReasons]uint8 // of perReason, in this second
	any    bool                      // something was put since the last publish
}

// begin starts a batch. now is in seconds.
func (f *flight) begin(now uint32) {
	if f.second != now {
		f.second = now
		if f.ring != nil {
			f.used = [forward.NumReasons]uint8{}
		}
	}
}

// takes reports whether one more frame of a reason is kept in this second.
func (f *flight) takes(r forward.Reason) bool { return r < forward.NumReasons && f.used[r] < perReason }

func (f *flight) put(n *Note, parts *[3][]byte) {
	if f.ring == nil {
		f.ring = NewRing(flightNotes, flightNotes*FlightSnap)
		f.made(f.ring)
	}
	f.used[n.Reason]++
	f.ring.put(n, FlightSnap, parts)
	f.any = true
}

func (f *flight) publish() {
	if f.any {
		f.any = false
		f.ring.publish()
	}
}
