package counters

import "sync/atomic"

// Limit bounds how often something is done a second. Its zero value allows
// nothing; set PerSecond before it is shared.
type Limit struct {
	PerSecond uint32

	second, used atomic.Uint32
	Refused      atomic.Uint64 // how often it said no
}

// NewLimit returns a Limit of n a second.
func NewLimit(n uint32) *Limit { return &Limit{PerSecond: n} }

// Allow reports whether it may be done once more in the second now.
func (l *Limit) Allow(now uint32) bool {
	if was := l.second.Load(); was != now && l.second.CompareAndSwap(was, now) {
		l.used.Store(0)
	}
	if l.used.Add(1) <= l.PerSecond {
		return true
	}
	l.Refused.Add(1)
	return false
}
