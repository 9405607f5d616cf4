package api

import (
	"sync"
	"time"
)

// once keeps a value for a while. Whoever comes while it is being made waits for it
// instead of making another.
type once[T any] struct {
	mu   sync.Mutex // guards everything below
	last T
	at   time.Time
}

// get returns the value, made anew when it is older than age.
func (o *once[T]) get(age time.Duration, fresh func() T) T {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at.IsZero() || time.Since(o.at) >= age {
		o.last = fresh()
		o.at = time.Now()
	}
	return o.last
}
