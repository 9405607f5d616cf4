package tables

import (
	"sync"
	"sync/atomic"
	"time"

	"vxgw/gateway/forward"
)

// Reader is a worker's view of the snapshots. While it is in one, what it learns may be
// of a port or a VTEP that has gone since.
type Reader struct {
	all *readers
	in  atomic.Pointer[forward.Snapshot] // nil: between two batches
}

// NewReader returns a Reader for one goroutine, to be closed with it.
func (t *Tables) NewReader() *Reader { return t.readers.add() }

// Enter returns the newest snapshot, which the reader is in until Leave. It asks once
// more after it has said so: who publishes another one either is asked for it or sees
// the reader in this one.
func (r *Reader) Enter() *forward.Snapshot {
	for {
		s := r.all.newest.Load()
		r.in.Store(s)
		if r.all.newest.Load() == s {
			return s
		}
	}
}

// Leave says that nothing will be learned by the snapshot any more.
func (r *Reader) Leave() { r.in.Store(nil) }

// Close takes the reader out.
func (r *Reader) Close() {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	delete(r.all.open, r)
}

type readers struct {
	newest *atomic.Pointer[forward.Snapshot]

	mu   sync.Mutex
	open map[*Reader]struct{}
}

func newReaders(newest *atomic.Pointer[forward.Snapshot]) *readers {
	return &readers{newest: newest, open: make(map[*Reader]struct{})}
}

func (a *readers) add() *Reader {
	r := &Reader{all: a}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[r] = struct{}{}
	return r
}

// behind returns the readers that are in an older snapshot than the newest, and which.
func (a *readers) behind() map[*Reader]*forward.Snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	is := a.newest.Load()
	var old map[*Reader]*forward.Snapshot
	for r := range a.open {
		if s := r.in.Load(); s != nil && s != is {
			if old == nil {
				old = make(map[*Reader]*forward.Snapshot)
			}
			old[r] = s
		}
	}
	return old
}

// wait waits until all readers have left the snapshots that are old now: for a few
// batches at most. A worker that takes longer has lost its processor.
func (a *readers) wait() {
	const step, most = 50 * time.Microsecond, 10 * time.Millisecond
	old := a.behind()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(step) {
		for r, s := range old {
			if r.in.Load() != s {
				delete(old, r)
			}
		}
		if len(old) == 0 {
			return
		}
	}
}
