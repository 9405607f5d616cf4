package events

import (
	"sync"
	"sync/atomic"
)

// Log keeps the latest events in a ring. Whoever follows it remembers the last one that
// he has, so that a slow listener costs no memory and keeps nobody: what he missed is
// gone, and he is told so. All methods may be called from any goroutine.
type Log struct {
	size uint64 // set once: how many are kept

	lost atomic.Uint64

	mu      sync.Mutex    // guards everything below
	ring    []Event       // an event is at its ID modulo size; made with the first one
	first   uint64        // the ID of the oldest event that is kept
	last    uint64        // ... and of the newest; first-1: there is none
	changed chan struct{} // closed with the next event; nil: nobody waits
}

// NewLog returns a Log that keeps size events. Their IDs come after start: where that
// goes up from one start of the gateway to the next, a listener that comes back from
// another life is told from one that has missed nothing.
func NewLog(size int, start uint64) *Log {
	return &Log{size: uint64(size), first: start + 1, last: start}
}

// Append adds events in order and gives them their IDs.
func (l *Log) Append(all ...Event) {
	if len(all) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ring == nil {
		l.ring = make([]Event, l.size)
	}
	for i := range all {
		l.last++
		all[i].ID = l.last
		l.ring[l.last%l.size] = all[i]
	}
	if l.last-l.first >= l.size {
		l.first = l.last - l.size + 1
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Last returns the ID of the newest event, or the start where there is none.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Since copies to buf the events that came after the one with an ID, the oldest first,
// and returns how many. ok is false where some of them are not kept any more, or the ID
// is not one of this Log.
func (l *Log) Since(id uint64, buf []Event) (n int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id+1 < l.first || id > l.last {
		return 0, false
	}
	for n < len(buf) && id < l.last {
		id++
		buf[n] = l.ring[id%l.size]
		n++
	}
	return n, true
}

// Changed returns a channel that is closed when an event is added. Ask for it before
// Since, and nothing is missed.
func (l *Log) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Lose counts changes that could not be told of.
func (l *Log) Lose(n uint64) { l.lost.Add(n) }

// Lost returns how many changes could not be told of, in all.
func (l *Log) Lost() uint64 { return l.lost.Load() }
