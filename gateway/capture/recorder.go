package capture

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"vxgw/gateway/forward"
)

// MaxRecords is how many dropped frames the flight recorder remembers.
const MaxRecords = 1000

// Record is a dropped frame as the flight recorder has it.
type Record struct {
	Note
	Where string // the port's name; "" where it was no port's
}

// cause is what records are kept apart by.
type cause struct {
	direction forward.Direction
	reason    forward.Reason
}

// Recorder is the flight recorder: the last frames that were dropped, MaxRecords of
// them. When it is full the cause that has the most gives up its oldest: whatever is
// rarer than its fair share stays.
type Recorder struct {
	mu   sync.Mutex // guards all; no worker takes it
	most int
	n    int
	kept map[cause][]Record // the oldest first
}

// NewRecorder returns an empty Recorder for so many frames.
func NewRecorder(most int) *Recorder { return &Recorder{most: most, kept: make(map[cause][]Record)} }

// Add remembers a frame. Its Data is copied.
func (r *Recorder) Add(n Note, where string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == r.most {
		r.forget()
	}
	n.Data = bytes.Clone(n.Data)
	c := cause{n.Direction, n.Reason}
	r.kept[c] = append(r.kept[c], Record{n, where})
	r.n++
}

// forget gives up the oldest record of the cause that has the most; of several that
// have, the oldest of all. It needs mu.
func (r *Recorder) forget() {
	var victim cause
	for c, of := range r.kept {
		was := r.kept[victim]
		if len(of) > len(was) || len(of) == len(was) && of[0].Time < was[0].Time {
			victim = c
		}
	}
	of := r.kept[victim]
	of[0] = Record{} // let go of its bytes
	if of = of[1:]; len(of) == 0 {
		delete(r.kept, victim)
	} else {
		r.kept[victim] = of
	}
	r.n--
}

// All returns the records of a reason, or of all for None, the oldest first.
func (r *Recorder) All(reason forward.Reason) []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Record, 0, r.n)
	for c, of := range r.kept {
		if reason == forward.None || c.reason == reason {
			all = append(all, of...)
		}
	}
	slices.SortStableFunc(all, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}
