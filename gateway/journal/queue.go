package journal

import "sync/atomic"

// cell is the place of one record. seq says whose turn it is: equal to a position, that
// position may be written; one above it, it may be read.
type cell struct {
	seq atomic.Uint64
	rec Record
}

// Queue is a bounded queue from many writers to one reader: the array queue of Dmitry
// Vyukov. To write is one compare-and-swap where nobody else writes; no lock is taken,
// nothing is allocated, and no writer waits for another one or for the reader.
type Queue struct {
	// set once
	cells []cell
	wake  chan struct{}

	_     [64]byte // a cache line each: the reader does not slow the writers
	tail  atomic.Uint64
	_     [56]byte
	head  uint64 // the reader's own
	armed atomic.Bool
	lost  atomic.Uint64
}

// NewQueue returns an empty queue with room for size records, a power of two.
func NewQueue(size int) *Queue {
	q := &Queue{cells: make([]cell, size), wake: make(chan struct{}, 1)}
	for i := range q.cells {
		q.cells[i].seq.Store(uint64(i))
	}
	return q
}

// Put adds a record. Where there is no room it is lost, and counted. It may be called
// with anything locked, from any goroutine.
func (q *Queue) Put(r Record) {
	if !q.put(&r) {
		q.lost.Add(1)
	}
	// The first since the reader last looked wakes it; the others cost one load.
	if !q.armed.Load() && !q.armed.Swap(true) {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

func (q *Queue) put(r *Record) bool {
	mask := uint64(len(q.cells) - 1)
	for {
		at := q.tail.Load()
		c := &q.cells[at&mask]
		switch seq := c.seq.Load(); {
		case seq == at:
			if q.tail.CompareAndSwap(at, at+1) {
				c.rec = *r
				c.seq.Store(at + 1)
				return true
			}
		case seq < at: // the reader has not been here yet
			return false
		}
	}
}

// Wake is signalled when something was put since Rest was last called.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

// Rest says that the reader is going to read: whatever is put from now on wakes it.
func (q *Queue) Rest() { q.armed.Store(false) }

// Read appends to to what is in the queue, at most n records, and returns it. It is for
// one reader.
func (q *Queue) Read(to []Record, n int) []Record {
	mask := uint64(len(q.cells) - 1)
	for ; n > 0; n-- {
		c := &q.cells[q.head&mask]
		if c.seq.Load() != q.head+1 {
			break // empty, or a writer is in the middle of it, who wakes the reader after
		}
		to = append(to, c.rec)
		c.rec = Record{} // it may hold an event
		c.seq.Store(q.head + uint64(len(q.cells)))
		q.head++
	}
	return to
}

// Lost returns how many records there was no room for, in all.
func (q *Queue) Lost() uint64 { return q.lost.Load() }
