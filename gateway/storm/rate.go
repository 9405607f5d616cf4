package storm

import "sync/atomic"

const second = 1_000_000_000 // nanoseconds

// What may come at once, when nothing came before: what the limit allows in a tenth of
// a second, and no less than a few frames. A host that starts up sends some in a row.
const (
	burstTime  = second / 10
	burstLeast = 10 // frames
)

// rate is a limit in frames a second: the generic cell rate algorithm (ITU-T I.371
// annex A), which is a token bucket in one word. Several workers take from it, and what
// passes in any time is what the limit allows in it, and a burst, and the copies of one
// frame less one: none of them has a share of its own that others could not use.
type rate struct {
	perSecond atomic.Int64 // 0: no limit
	used      atomic.Int64 // the moment at which all that has passed will have been allowed, in nanoseconds
}

func (r *rate) set(perSecond int) {
	if r.perSecond.Swap(int64(perSecond)) != int64(perSecond) {
		r.used.Store(0) // by the limit before it may lie far ahead
	}
}

// take reports whether n frames pass at now. Where they do not, nothing is written:
// workers that only drop do not slow each other down.
func (r *rate) take(n int, now int64) bool {
	per := r.perSecond.Load()
	if per <= 0 {
		return true
	}
	for {
		was := r.used.Load()
		from := max(was, now)
		if from-now >= burst(per) {
			return false
		}
		if r.used.CompareAndSwap(was, from+int64(n)*second/per) {
			return true
		}
	}
}

func (r *rate) spent(now int64) bool {
	per := r.perSecond.Load()
	return per > 0 && r.used.Load()-now >= burst(per)
}

// burst returns what may come at once as the time, in nanoseconds, that the limit
// takes to allow it.
func burst(perSecond int64) int64 { return max(burstTime, burstLeast*(second/perSecond)) }
