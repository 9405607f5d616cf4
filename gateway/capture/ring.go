package capture

import "sync/atomic"

// Ring hands notes from one worker to one reader. Neither waits for the other: what
// there is no room for is refused.
type Ring struct {
	// Set once.
	notes []Note
	mem   []byte

	// Published by the worker.
	head atomic.Uint64 // notes

	// Published by the reader: what it has let go of.
	tail     atomic.Uint64 // notes
	tailUsed atomic.Uint64 // bytes

	// The worker's own.
	next      uint64 // notes that were written
	used      uint64 // bytes, with those left free at the end of mem
	wasTail   uint64 // tail and tailUsed when they were last looked at: to look
	wasTailAt uint64 // costs a cache line
}

// NewRing returns a Ring for n notes with size bytes of frames between them.
func NewRing(n, size int) *Ring { return &Ring{notes: make([]Note, n), mem: make([]byte, size)} }

// put writes a note about a frame whose bytes are the parts, one behind the other, of
// which at most snap are kept, and half a ring: so much there is room for wherever an
// empty ring begins. It returns where the note is until the next publish;
// nil: there is no room.
func (r *Ring) put(n *Note, snap int, parts *[3][]byte) *Note {
	size := min(len(parts[0])+len(parts[1])+len(parts[2]), snap, len(r.mem)/2)
	at, ok := r.room(size)
	if !ok {
		return nil
	}
	b := r.mem[at : at+size : at+size]
	k := 0
	for _, p := range parts {
		k += copy(b[k:], p)
	}
	to := &r.notes[r.next%uint64(len(r.notes))]
	*to = *n
	to.Data, to.end = b, r.used
	r.next++
	return to
}

// room takes size bytes that lie together.
func (r *Ring) room(size int) (at int, ok bool) {
	whole := uint64(len(r.mem))
	at, skip := int(r.used%whole), uint64(0)
	if at+size > len(r.mem) {
		skip, at = whole-uint64(at), 0
	}
	used := r.used + skip + uint64(size)
	if r.next-r.wasTail >= uint64(len(r.notes)) || used-r.wasTailAt > whole {
		r.wasTail, r.wasTailAt = r.tail.Load(), r.tailUsed.Load()
		if r.next-r.wasTail >= uint64(len(r.notes)) || used-r.wasTailAt > whole {
			return 0, false
		}
	}
	r.used = used
	return at, true
}

// publish shows the reader what was written.
func (r *Ring) publish() {
	if r.head.Load() != r.next {
		r.head.Store(r.next)
	}
}

// read appends the notes that were published. Their Data is good until release. It is
// the reader's, as is release.
func (r *Ring) read(to []Note) []Note {
	head, n := r.head.Load(), uint64(len(r.notes))
	for i := r.tail.Load(); i < head; i++ {
		to = append(to, r.notes[i%n])
	}
	return to
}

// release lets go of the first n notes that read has returned.
func (r *Ring) release(n int) {
	if n == 0 {
		return
	}
	tail := r.tail.Load() + uint64(n)
	r.tailUsed.Store(r.notes[(tail-1)%uint64(len(r.notes))].end)
	r.tail.Store(tail)
}
