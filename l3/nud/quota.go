package nud

import (
	"net/netip"
	"sync"

	"vxgw/l2/fdb"
)

// quota bounds the neighbours of one domain. Each has its own, so that whoever makes
// up addresses in one takes nothing from another.
type quota struct {
	mu         sync.Mutex // guards everything below
	limit      int        // entries in all
	n          int
	incomplete int    // those that are asked for
	second     uint32 // the second that begun counts in
	begun      int    // new addresses that were asked for in it
	evicted    uint32 // the second in which room was last made
	held       int    // bytes of the packets that wait
}

const (
	maxIncomplete = 256     // addresses of a domain that are asked for at a time
	maxBegun      = 100     // a second
	maxHeld       = 1 << 20 // bytes that wait in a domain
	maxHeldAll    = 16 << 20
)

func (q *quota) incompletes() int { return min(q.limit/4+16, maxIncomplete) }

// SetDomain says how many neighbours a domain may have; 0: it is not routed, and has
// none. Entries beyond a lower limit stay until they go by themselves.
func (t *Table) SetDomain(d fdb.Domain, limit int) (lost []Packet) {
	if limit <= 0 {
		if t.quotas[d].Swap(nil) == nil {
			return nil // it never was, and there is no need to look for what it has
		}
		return t.Flush(func(of fdb.Domain, _ netip.Addr) bool { return of == d })
	}
	q := t.quotas[d].Load()
	if q == nil {
		q = new(quota)
		t.quotas[d].Store(q)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = limit
	return nil
}

// begin asks for room for an address that is to be asked for.
func (q *quota) begin(now uint32) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.open(now) {
		return false
	}
	if q.second != now {
		q.second, q.begun = now, 0
	}
	q.begun++
	q.n++
	q.incomplete++
	return true
}

// open needs mu.
func (q *quota) open(now uint32) bool {
	return q.n < q.limit && q.incomplete < q.incompletes() && (q.second != now || q.begun < maxBegun)
}

// room reports whether there is room for an address that is to be asked for.
func (q *quota) room(now uint32) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open(now)
}

// enter asks for room for a neighbour that made itself known.
func (q *quota) enter() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n >= q.limit {
		return false
	}
	q.n++
	return true
}

func (q *quota) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n >= q.limit
}

// mayEvict reports whether room may be made now: to look for who is to go takes a
// walk through the table.
func (q *quota) mayEvict(now uint32) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	ok := q.evicted != now
	q.evicted = now
	return ok
}

// leave gives room back.
func (q *quota) leave(incomplete bool) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.n--
	if incomplete {
		q.incomplete--
	}
}

// askAgain counts an entry as asked for, once more or no more.
func (q *quota) askAgain(by int) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.incomplete += by
}

// hold asks for room for n bytes that wait; a negative n gives it back.
func (t *Table) hold(q *quota, n int) bool {
	if q == nil { // the domain is routed no more
		t.held.Add(int64(n))
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if n > 0 && (q.held+n > maxHeld || t.held.Load()+int64(n) > maxHeldAll) {
		return false
	}
	q.held += n
	t.held.Add(int64(n))
	return true
}
