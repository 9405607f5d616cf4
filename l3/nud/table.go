package nud

import (
	"encoding/binary"
	"iter"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

const shards = 64

// Table is the neighbours of many domains. Make one with New. All methods may be
// called from any goroutine; Lookup takes no lock and allocates nothing.
type Table struct {
	seed   [4]uint64 // of its own, so that nobody can choose addresses that collide
	shards [shards]shard
	quotas [1 << 16]atomic.Pointer[quota] // by domain; nil: it is not routed
	held   atomic.Int64                   // bytes of the packets that wait
	hooks  hooks
}

// shard is a part of the table: an open-addressed array of pointers, read without a
// lock and replaced when it is full or has lost entries.
type shard struct {
	slots atomic.Pointer[[]atomic.Pointer[neighbour]]

	mu sync.Mutex // held by who changes it
	n  int
}

// New returns an empty table.
func New() *Table {
	t := &Table{}
	for i := range t.seed {
		t.seed[i] = rand.Uint64() | 1
	}
	return t
}

// OnMove has f called whenever a neighbour that Lookup has answered for is at another
// MAC now, or not there any more: after that what Lookup said before is wrong. f must
// not call the table. Call OnMove before anything else.
func (t *Table) OnMove(f func()) { t.hooks.onMove = f }

// OnChange has f called for every neighbour whose MAC becomes known, is another one, or
// is not believed any more: packets for it went to one MAC and go to another, and the
// zero MAC is nowhere. f is told of one neighbour in order, and must not call the table.
// Call OnChange before anything else.
func (t *Table) OnChange(f func(d fdb.Domain, a netip.Addr, was, is frame.MAC)) { t.hooks.onChange = f }

// mix multiplies to 128 bits and folds.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (t *Table) hash(k key) uint64 {
	b := k.addr.As16()
	h := mix(binary.BigEndian.Uint64(b[:8])^t.seed[0], uint64(k.domain)^t.seed[1])
	return mix(binary.BigEndian.Uint64(b[8:])^t.seed[2], h^t.seed[3])
}

func (t *Table) shard(h uint64) *shard { return &t.shards[h>>58] }

// find returns an entry, nil where there is none.
func (t *Table) find(k key) *neighbour {
	h := t.hash(k)
	p := t.shard(h).slots.Load()
	if p == nil {
		return nil
	}
	slots := *p
	mask := uint64(len(slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		n := slots[i].Load()
		if n == nil || n.key == k {
			return n
		}
	}
}

// Lookup returns the MAC that packets for a neighbour go to, and false where that is
// not known. It notes that the neighbour is in use, at most once a second.
func (t *Table) Lookup(d fdb.Domain, a netip.Addr, now uint32) (frame.MAC, bool) {
	n := t.find(key{d, a})
	if n == nil {
		return frame.MAC{}, false
	}
	m, s := unpack(n.where.Load())
	if !s.open() {
		return frame.MAC{}, false
	}
	if n.used.Load() != now {
		n.used.Store(now)
		if s == Stale {
			n.revive(now)
		}
	}
	return m, true
}

// revive: a stale neighbour that is in use again is asked soon whether it is there
// (RFC 4861 section 7.3.3).
func (n *neighbour) revive(now uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m, s := unpack(n.where.Load()); s == Stale {
		n.set(m, Delay, now)
	}
}

// add puts a new entry into the table, and returns the one that is there with its
// key if there is one.
func (t *Table) add(n *neighbour) *neighbour {
	h := t.hash(n.key)
	s := t.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := t.find(n.key); was != nil {
		return was
	}
	if p := s.slots.Load(); p == nil || 2*(s.n+1) > len(*p) {
		s.rebuild(t, max(16, 4*(s.n+1)))
	}
	s.n++
	place(*s.slots.Load(), h, n)
	return n
}

// place needs the shard's mu.
func place(slots []atomic.Pointer[neighbour], h uint64, n *neighbour) {
	mask := uint64(len(slots) - 1)
	i := h & mask
	for slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	slots[i].Store(n)
}

// rebuild makes an array with room for size entries, without those that are gone.
// It needs mu.
func (s *shard) rebuild(t *Table, size int) {
	length := 16
	for length < size {
		length *= 2
	}
	next := make([]atomic.Pointer[neighbour], length)
	s.n = 0
	if p := s.slots.Load(); p != nil {
		for i := range *p {
			if n := (*p)[i].Load(); n != nil && !n.gone.Load() {
				place(next, t.hash(n.key), n)
				s.n++
			}
		}
	}
	s.slots.Store(&next)
}

// remove takes entries out that are marked as gone.
func (t *Table) remove(gone []*neighbour) {
	touched := make(map[*shard]bool)
	for _, n := range gone {
		touched[t.shard(t.hash(n.key))] = true
	}
	for s := range touched {
		s.mu.Lock()
		s.rebuild(t, 2*s.n)
		s.mu.Unlock()
	}
}

// entries yields all entries of the table as they are while it is walked.
func (t *Table) entries(yield func(*neighbour) bool) {
	for i := range t.shards {
		p := t.shards[i].slots.Load()
		if p == nil {
			continue
		}
		for k := range *p {
			if n := (*p)[k].Load(); n != nil && !yield(n) {
				return
			}
		}
	}
}

// All yields the entries, in no order.
func (t *Table) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for n := range t.entries {
			n.mu.Lock()
			m, s := unpack(n.where.Load())
			e, gone := Entry{Domain: n.domain, Addr: n.addr, MAC: m, State: s, Since: n.since}, n.gone.Load()
			n.mu.Unlock()
			if !gone && !yield(e) {
				return
			}
		}
	}
}
