package nud

import (
	"cmp"
	"net/netip"
	"slices"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Resolution is what became of a packet for a neighbour whose MAC is not known.
type Resolution struct {
	OK  bool // it is known after all: MAC
	MAC frame.MAC

	Held      bool // a copy waits; else the packet is lost
	Displaced bool // an older one that waited is lost for it
	Ask       bool // the caller is to ask for the neighbour now
}

// Resolve holds a copy of a packet until the neighbour's MAC is known: three at most
// for each, the latest. It is called when Lookup said no.
func (t *Table) Resolve(d fdb.Domain, a netip.Addr, p Packet, now uint32) Resolution {
	q := t.quotas[d].Load()
	if q == nil {
		return Resolution{}
	}
	n, fresh := t.wanted(q, key{d, a}, p.Domain, now)
	if n == nil {
		return Resolution{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	m, s := unpack(n.where.Load())
	switch {
	case n.gone.Load():
		return Resolution{}
	case s.open():
		return Resolution{OK: true, MAC: m}
	case s == Failed && (now-n.since < failedFor || !q.begin(p.Domain, now, true)):
		return Resolution{}
	case s == Failed:
		n.set(frame.MAC{}, Incomplete, now)
		n.by, fresh = p.Domain, true
	}
	r := t.keep(q, n, p)
	if fresh {
		r.Ask, n.tries, n.confirm = true, 1, now
	}
	return r
}

// Holds reports whether Resolve would hold a packet from a domain for a neighbour.
// Nothing is done.
func (t *Table) Holds(d fdb.Domain, a netip.Addr, from fdb.Domain, now uint32) bool {
	q := t.quotas[d].Load()
	if q == nil {
		return false
	}
	n := t.find(key{d, a})
	if n == nil {
		return q.room(from, now, false)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.gone.Load() && (n.state() != Failed || now-n.since >= failedFor && q.room(from, now, true))
}

// wanted returns the entry of a neighbour that is to be asked for, and whether it is
// new; nil where there is no room.
func (t *Table) wanted(q *quota, k key, from fdb.Domain, now uint32) (n *neighbour, fresh bool) {
	if n := t.find(k); n != nil {
		return n, false
	}
	if q.full() {
		t.evict(q, k.domain, now)
	}
	if !q.begin(from, now, false) {
		return nil, false
	}
	n = &neighbour{key: k, hooks: &t.hooks, since: now, by: from}
	n.where.Store(pack(frame.MAC{}, Incomplete))
	if was := t.add(n); was != n {
		q.leave(Incomplete, from)
		return was, false
	}
	return n, true
}

// keep needs n's mu.
func (t *Table) keep(q *quota, n *neighbour, p Packet) (r Resolution) {
	if len(n.waiting) == maxWaiting {
		t.hold(q, -len(n.waiting[0].Bytes))
		n.waiting = slices.Delete(n.waiting, 0, 1)
		r.Displaced = true
	}
	if !t.hold(q, len(p.Bytes)) {
		return r
	}
	p.Bytes = slices.Clone(p.Bytes)
	n.waiting = append(n.waiting, p)
	r.Held = true
	return r
}

// release takes the packets that wait for a neighbour. It needs n's mu.
func (t *Table) release(n *neighbour) []Packet {
	waiting := n.waiting
	n.waiting = nil
	for i := range waiting {
		t.hold(t.quotas[n.domain].Load(), -len(waiting[i].Bytes))
	}
	return waiting
}

// evict makes room in a domain that is full, once a second: those neighbours go that
// were not used for longest, of those that nobody has confirmed lately.
func (t *Table) evict(q *quota, d fdb.Domain, now uint32) {
	if !q.mayEvict(now) {
		return
	}
	var idle []*neighbour
	for n := range t.entries {
		if n.domain == d && evictable(n.state()) {
			idle = append(idle, n)
		}
	}
	slices.SortFunc(idle, func(a, b *neighbour) int { return cmp.Compare(now-b.used.Load(), now-a.used.Load()) })
	idle = idle[:min(len(idle), maxBegun)]
	var gone []*neighbour
	for _, n := range idle {
		n.mu.Lock()
		if !n.gone.Load() && evictable(n.state()) {
			t.drop(n)
			gone = append(gone, n)
		}
		n.mu.Unlock()
	}
	t.remove(gone)
}

func evictable(s State) bool { return s == Stale || s == Failed }

// drop marks an entry as gone and gives its room back. It needs n's mu; the caller
// takes it out of the table, and has dealt with what waits.
func (t *Table) drop(n *neighbour) {
	n.gone.Store(true)
	s := n.state()
	n.put(frame.MAC{}, Failed) // for who still finds it
	if !s.pinned() {
		t.quotas[n.domain].Load().leave(s, n.by)
	}
}

// Flush forgets the neighbours that gone says, and returns the packets that waited
// for them.
func (t *Table) Flush(gone func(fdb.Domain, netip.Addr) bool) (lost []Packet) {
	var out []*neighbour
	for n := range t.entries {
		if !gone(n.domain, n.addr) {
			continue
		}
		n.mu.Lock()
		if !n.gone.Load() {
			lost = append(lost, t.release(n)...)
			t.drop(n)
			out = append(out, n)
		}
		n.mu.Unlock()
	}
	t.remove(out)
	return lost
}

// SetStatic says where a neighbour is: it is never asked, and does not move. The
// packets that waited for it are returned.
func (t *Table) SetStatic(d fdb.Domain, a netip.Addr, m frame.MAC, now uint32) []Packet {
	return t.put(d, a, m, Permanent, now)
}

// Bind is SetStatic for a neighbour that a controller tells of: a station that claims
// the address from another MAC takes it, and is one that was learned then.
func (t *Table) Bind(d fdb.Domain, a netip.Addr, m frame.MAC, now uint32) []Packet {
	return t.put(d, a, m, Bound, now)
}

func (t *Table) put(d fdb.Domain, a netip.Addr, m frame.MAC, s State, now uint32) []Packet {
	for {
		n := &neighbour{key: key{d, a}, hooks: &t.hooks, since: now}
		n.where.Store(pack(frame.MAC{}, Incomplete))
		n.mu.Lock() // nobody sees it before it is what it is to be
		was := t.add(n)
		if was == n {
			n.set(m, s, now)
		}
		n.mu.Unlock()
		if was == n {
			return nil
		}
		if waited, ok := t.pin(was, m, s, now); ok {
			return waited
		}
		t.remove([]*neighbour{was}) // it was on its way out
	}
}

// pin makes an entry one that is set; ok is false where it is gone.
func (t *Table) pin(n *neighbour, m frame.MAC, s State, now uint32) (waited []Packet, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone.Load() {
		return nil, false
	}
	if !n.state().pinned() {
		t.quotas[n.domain].Load().leave(n.state(), n.by)
	}
	n.set(m, s, now)
	return t.release(n), true
}

// RemoveStatic takes back what SetStatic or Bind said. What was learned since stays.
func (t *Table) RemoveStatic(d fdb.Domain, a netip.Addr) {
	if n := t.find(key{d, a}); n != nil && n.unset() {
		t.remove([]*neighbour{n})
	}
}

// RemoveStatics is RemoveStatic for all that gone says, in one walk.
func (t *Table) RemoveStatics(gone func(fdb.Domain, netip.Addr) bool) {
	var out []*neighbour
	for n := range t.entries {
		if gone(n.domain, n.addr) && n.unset() {
			out = append(out, n)
		}
	}
	t.remove(out)
}

// unset marks an entry that was set as gone, and reports whether it was one.
func (n *neighbour) unset() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone.Load() || !n.state().pinned() {
		return false
	}
	n.gone.Store(true)
	n.put(frame.MAC{}, Failed)
	return true
}

// Peek returns what is known of a neighbour. It is not in use for that.
func (t *Table) Peek(d fdb.Domain, a netip.Addr) (Entry, bool) {
	n := t.find(key{d, a})
	if n == nil {
		return Entry{}, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	m, s := unpack(n.where.Load())
	return Entry{Domain: d, Addr: a, MAC: m, State: s, Since: n.since}, !n.gone.Load()
}
