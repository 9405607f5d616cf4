package neigh

import (
	"hash/maphash"
	"iter"
	"net/netip"
	"sync/atomic"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

const (
	domains   = 1 << 16
	shardBits = 6
)

// Table is who has which address, in many domains. Make one with New.
type Table struct {
	// set once
	seed   maphash.Seed // of its own, so that nobody can choose addresses that collide
	shards [1 << shardBits]shard

	domains []quota // by Domain

	onChange func(d fdb.Domain, a netip.Addr, was, is frame.MAC)
}

// quota counts the entries of a domain and bounds them. Every domain has a share
// of its own, so none can take another's.
type quota struct{ limit, n, bound atomic.Int32 }

// New returns an empty table. Nothing is learned in a domain before SetDomain
// gives it room.
func New() *Table {
	t := &Table{seed: maphash.MakeSeed(), domains: make([]quota, domains)}
	for i := range t.shards {
		fresh := make(slots, minSlots)
		t.shards[i].slots.Store(&fresh)
	}
	return t
}

// OnChange has f called for every address that becomes known, moves to another MAC, or
// is not believed any more: it was at one MAC and is at another, and the zero MAC is
// nowhere. f is told of one address in order, with a part of the table locked: it must
// not call the table. Call OnChange before anything else.
func (t *Table) OnChange(f func(d fdb.Domain, a netip.Addr, was, is frame.MAC)) { t.onChange = f }

func (t *Table) changed(k key, was, is frame.MAC) {
	if t.onChange != nil && was != is {
		t.onChange(k.domain, k.addr(), was, is)
	}
}

// SetDomain bounds the entries of d. With a limit of 0 or less nothing is
// learned. A limit below what is there already evicts nobody.
func (t *Table) SetDomain(d fdb.Domain, limit int) {
	t.domains[d].limit.Store(int32(max(0, min(limit, 1<<30))))
}

// Len returns the number of entries of d, expired ones that Age has not yet
// removed among them.
func (t *Table) Len(d fdb.Domain) int { return int(t.domains[d].n.Load()) }

func (t *Table) hash(k key) uint64 { return maphash.Comparable(t.seed, k) }

// shard: the low bits of a hash choose the slot.
func (t *Table) shard(hash uint64) *shard { return &t.shards[hash>>(64-shardBits)] }

// Lookup returns who has an address. An entry whose owner was not heard of for
// KeepFor is absent, whether Age has been by or not. now is in seconds on the
// caller's monotonic clock.
func (t *Table) Lookup(d fdb.Domain, a netip.Addr, now uint32) (Entry, bool) {
	k := makeKey(d, a)
	hash := t.hash(k)
	sl := t.shard(hash).find(k, hash)
	if sl == nil {
		return Entry{}, false
	}
	e, ok := sl.entry()
	return e, ok && !e.Expired(now)
}

// News is what a message would change.
type News uint8

// The news, from none to the worst.
const (
	NoNews  News = iota
	Heard        // the owner was heard again, for the first time in this second
	Added        // an address that was not known
	Moved        // a known address at another MAC
	Dropped      // a known address that is no longer believed
	Refused      // what Hear alone returns: there is no room for it in the domain
)

// News returns what Hear would do with a message, and does nothing.
func (t *Table) News(d fdb.Domain, m Message, now uint32) News {
	if m.Says == Nothing {
		return NoNews
	}
	e, known := t.Lookup(d, m.Subject, now)
	return news(e, known, m, now)
}

func news(e Entry, known bool, m Message, now uint32) News {
	same := known && e.MAC == m.MAC
	switch {
	case known && e.Bound:
		if m.Says == Claims && !same {
			return Moved
		}
		return NoNews
	case m.Says == Claims && !known:
		return Added
	case m.Says == Claims && !same:
		return Moved
	case known && !same:
		return Dropped
	case !known, m.Says == Doubts:
		return NoNews
	case since(e.Seen, now) > 0, m.Advertised && m.Router != e.Router:
		return Heard
	}
	return NoNews
}

// Hear notes what a message says, and returns what that was. now is in seconds
// on the caller's monotonic clock. The caller has seen to it that the message's
// MAC is where the message came from.
//
// An address that is not known is refused, without a lock, when its domain is
// full; nobody else's entry makes room for it.
func (t *Table) Hear(d fdb.Domain, m Message, now uint32) News {
	n := t.News(d, m, now)
	if n == NoNews {
		return n
	}
	k := makeKey(d, m.Subject)
	hash := t.hash(k)
	s := t.shard(hash)
	sl := s.find(k, hash)
	switch {
	case n == Heard && t.refresh(sl, m, now):
		return n
	case n == Added && t.domains[d].full() && (sl == nil || !sl.load().live()):
		return Refused
	}
	return t.hearLocked(s, k, hash, m, now)
}

// refresh notes that an entry was heard, where nobody changes it meanwhile.
func (t *Table) refresh(sl *slot, m Message, now uint32) bool {
	if sl == nil {
		return false
	}
	st := sl.load()
	return st.live() && !st.bound() && sl.mac() == m.MAC && sl.cas(st, heard(st, m, now))
}

// heard is the state of an entry whose owner was heard at now. A clock that lies
// behind does not make it older.
func heard(st state, m Message, now uint32) state {
	isRouter := st.router()
	if m.Advertised {
		isRouter = m.Router
	}
	return makeState(st.seen()+since(st.seen(), now), isRouter)
}

// hearLocked is Hear with the shard locked, and so without surprises but for a
// concurrent refresh.
func (t *Table) hearLocked(s *shard, k key, hash uint64, m Message, now uint32) News {
	s.mu.Lock()
	defer s.mu.Unlock()

	sl := s.find(k, hash)
	var st state
	if sl != nil {
		st = sl.load()
	}
	var e Entry
	known := st.live() && !st.expired(now)
	if known {
		e, _ = sl.entry()
	}
	n := news(e, known, m, now)
	switch n {
	case Added:
		return t.add(s, sl, k, m, now)
	case Moved:
		t.unbind(k, st)
		sl.set(k, m.MAC, makeState(now, m.Router))
		t.changed(k, e.MAC, m.MAC)
	case Dropped:
		t.remove(s, sl)
		s.tidy(t)
	case Heard:
		sl.set(k, m.MAC, heard(sl.load(), m, now))
	}
	return n
}

// add makes an entry, in the place of one that has expired where there is one.
func (t *Table) add(s *shard, sl *slot, k key, m Message, now uint32) News {
	st := makeState(now, m.Router)
	switch {
	case sl != nil && sl.load().live():
		was := sl.mac()
		sl.set(k, m.MAC, st)
		t.changed(k, was, m.MAC)
		return Added
	case !t.domains[k.domain].take():
		return Refused
	case sl != nil:
		sl.set(k, m.MAC, st)
		s.live++
	default:
		s.insert(t, k, m.MAC, st)
	}
	t.changed(k, frame.MAC{}, m.MAC)
	return Added
}

// full: bound entries take no place from those that are learned.
func (q *quota) full() bool { return q.n.Load()-q.bound.Load() >= q.limit.Load() }

func (q *quota) take() bool {
	for {
		n := q.n.Load()
		if n-q.bound.Load() >= q.limit.Load() {
			return false
		}
		if q.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// remove takes the entry at sl out. Its key stays until the shard is tidied.
func (t *Table) remove(s *shard, sl *slot) {
	k := sl.key()
	t.domains[k.domain].n.Add(-1)
	t.unbind(k, sl.load())
	sl.state.Store(uint64(used))
	s.live--
	t.changed(k, sl.mac(), frame.MAC{})
}

// Asked notes that a request was let through to an entry's owner. It takes no
// lock.
func (t *Table) Asked(d fdb.Domain, a netip.Addr, now uint32) {
	k := makeKey(d, a)
	hash := t.hash(k)
	sl := t.shard(hash).find(k, hash)
	if sl == nil {
		return
	}
	if st := sl.load(); st.live() && !st.bound() && st.asked() == 0 {
		sl.cas(st, st.ask(now)) // where it fails, the owner was heard or asked meanwhile
	}
}

// Age removes, of one of parts equal parts of the table, the entries whose owner
// was not heard of for KeepFor, and those whose MAC is not known any more. It
// locks one shard at a time. Bound entries stay. now is in seconds on the caller's
// monotonic clock.
func (t *Table) Age(now uint32, part, parts int, known func(fdb.Domain, frame.MAC) bool) {
	for i := part; i < len(t.shards); i += parts {
		t.sweep(&t.shards[i], func(sl *slot, st state) bool {
			return !st.bound() && (st.expired(now) || !known(sl.key().domain, sl.mac()))
		})
	}
}

// Flush removes the entries of some domains. It walks the table once, however
// many they are, and not at all where they have none.
func (t *Table) Flush(of map[fdb.Domain]bool) {
	any := false
	for d := range of {
		any = any || t.Len(d) > 0
	}
	if !any {
		return
	}
	for i := range t.shards {
		t.sweep(&t.shards[i], func(sl *slot, _ state) bool { return of[sl.key().domain] })
	}
}

func (t *Table) sweep(s *shard, goes func(*slot, state) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	all := *s.slots.Load()
	for i := range all {
		if st := all[i].load(); st.live() && goes(&all[i], st) {
			t.remove(s, &all[i])
		}
	}
	s.tidy(t)
}

// All yields the entries in no order, each at most once, expired ones that Age
// has not yet removed among them. It takes no lock, so the caller may take its
// time. What changes meanwhile may be yielded as it was or as it is.
func (t *Table) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range t.shards {
			all := *t.shards[i].slots.Load()
			for j := range all {
				if e, ok := all[j].entry(); ok && !yield(e) {
					return
				}
			}
		}
	}
}
