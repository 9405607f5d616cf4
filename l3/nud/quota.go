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
	incomplete shares // those that are asked for
	second     uint32 // the second that begun counts in
	begun      shares // addresses that it was begun to ask for in it
	evicted    uint32 // the second in which room was last made
	held       int    // bytes of the packets that wait
}

// shares counts something in all, and by the domain that the packets came from which
// it is for.
type shares struct {
	all int
	by  map[fdb.Domain]int
}

// fair reports whether one more is fair, of most in all: no domain has more than is
// left for others. One alone gets half, two a third each, and there is always some for
// who comes next.
func (s *shares) fair(d fdb.Domain, most int) bool { return s.by[d] < most-s.all }

func (s *shares) add(d fdb.Domain, n int) {
	if s.by == nil {
		s.by = make(map[fdb.Domain]int)
	}
	s.all += n
	if s.by[d] += n; s.by[d] == 0 {
		delete(s.by, d)
	}
}

const (
	maxIncomplete = 512     // addresses of a domain that are asked for at a time
	maxBegun      = 200     // a second
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

// begin asks for room for an address that is to be asked for, because of a packet that
// came from a domain. there says that it has its entry already.
func (q *quota) begin(from fdb.Domain, now uint32, there bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.open(from, now, there) {
		return false
	}
	if q.second != now {
		q.second, q.begun = now, shares{}
	}
	q.begun.add(from, 1)
	q.incomplete.add(from, 1)
	if !there {
		q.n++
	}
	return true
}

// open needs mu.
func (q *quota) open(from fdb.Domain, now uint32, there bool) bool {
	return (there || q.n < q.limit) && q.incomplete.fair(from, q.incompletes()) && (q.second != now || q.begun.fair(from, maxBegun))
}

// room reports whether begin would find room.
func (q *quota) room(from fdb.Domain, now uint32, there bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open(from, now, there)
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

// leave gives the room of an entry back; by is where the packet came from that it was
// asked for for, if it still was.
func (q *quota) leave(s State, by fdb.Domain) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.n--
	if s == Incomplete {
		q.incomplete.add(by, -1)
	}
}

// asked says that an entry is asked for no more.
func (q *quota) asked(from fdb.Domain) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.incomplete.add(from, -1)
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
