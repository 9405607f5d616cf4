package fdb

import (
	"math"
	"sync/atomic"
)

// quota counts entries and bounds the learned ones.
type quota struct {
	limit   atomic.Int32 // of learned; 0: none, below 0: nothing
	learned atomic.Int32
	pinned  atomic.Int32
}

func (q *quota) setLimit(n int) { q.limit.Store(int32(max(-1, min(n, math.MaxInt32)))) }

func (q *quota) full() bool {
	limit := q.limit.Load()
	return limit != 0 && q.learned.Load() >= limit
}

// take counts one more learned entry, unless the quota is full. It never
// overshoots, not even for a moment.
func (q *quota) take() bool {
	for {
		n, limit := q.learned.Load(), q.limit.Load()
		if limit != 0 && n >= limit {
			return false
		}
		if q.learned.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (q *quota) release() { q.learned.Add(-1) }

func (q *quota) len() int { return int(q.learned.Load()) + int(q.pinned.Load()) }
