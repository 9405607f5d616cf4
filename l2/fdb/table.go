package fdb

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"

	"vxgw/l2/frame"
)

const (
	domains = 1 << 16

	// shardEntries is how many learned entries a shard holds in a full table.
	// To rebuild a shard of that size takes a fraction of a millisecond.
	shardEntries = 4096
	minShardBits = 6
	maxShardBits = 16
)

// Table is a forwarding database. Make one with New.
type Table struct {
	// set once
	seed   maphash.Seed // of its own, so that nobody can choose MACs that collide
	shift  uint         // hash >> shift is the shard
	shards []shard
	mirror Mirror
	guard  *guard
	near   Hop

	ageing  []atomic.Uint32 // by Domain, in seconds; read for every frame, so kept apart from what changes often
	total   quota
	domains []quota // by Domain
	hops    []quota // by Hop
}

// New returns an empty table. Domains and hops have no limits and entries do
// not age until SetDomain and SetHop say so.
func New(c Config) *Table {
	t := newTable(c, bits.Len(uint(max(c.Limit-1, 0)/shardEntries)))
	if c.Mirror != nil {
		t.mirror = c.Mirror
	}
	return t
}

func newTable(c Config, shardBits int) *Table {
	shardBits = max(minShardBits, min(shardBits, maxShardBits))
	t := &Table{
		seed:    maphash.MakeSeed(),
		shift:   uint(64 - shardBits),
		shards:  make([]shard, 1<<shardBits),
		mirror:  noMirror{},
		guard:   newGuard(),
		near:    Hop(max(0, min(c.Near, MaxHops))),
		ageing:  make([]atomic.Uint32, domains),
		domains: make([]quota, domains),
		hops:    make([]quota, max(0, min(c.Hops, MaxHops))),
	}
	t.total.setLimit(c.Limit)
	if c.Limit <= 0 {
		t.total.setLimit(-1)
	}
	for i := range t.shards {
		t.shards[i].init()
	}
	return t
}

func (t *Table) hash(k uint64) uint64 { return maphash.Comparable(t.seed, k) }

func (t *Table) shard(hash uint64) *shard { return &t.shards[hash>>t.shift] }

// expired reports whether v, a learned value of domain d, is past its time.
func (t *Table) expired(d Domain, v value, now uint32) bool {
	ageing := t.ageing[d].Load()
	return ageing != 0 && v.idle(now) >= ageing
}

// Lookup returns where m is. A learned entry that has not been seen for the
// domain's ageing time is absent, whether Age has been by or not. now is in
// seconds on the caller's monotonic clock.
func (t *Table) Lookup(d Domain, m frame.MAC, now uint32) (Entry, bool) {
	k := key(d, m)
	h := t.hash(k)
	sl := t.shard(h).find(k, h)
	if sl == nil {
		return Entry{}, false
	}
	v := sl.value()
	if !v.live() || v.learned() && t.expired(d, v, now) {
		return Entry{}, false
	}
	return Entry{d, m, v.hop(), v.origin(), v.seen(), v.held()}, true
}

// SetDomain bounds the learned entries of d: limit 0 is no limit, below 0
// nothing is learned. A limit below what is there already evicts nobody; it
// stops learning. ageing is in seconds, 0 is never. It counts whole seconds of
// the caller's clock, so an entry may go up to one second early.
func (t *Table) SetDomain(d Domain, limit int, ageing uint32) {
	t.domains[d].setLimit(limit)
	t.ageing[d].Store(ageing)
}

// SetHop bounds the learned entries of h over all domains, as SetDomain does
// those of a domain. A hop that is not below Config.Hops is ignored.
func (t *Table) SetHop(h Hop, limit int) {
	if t.isHop(h) {
		t.hops[h].setLimit(limit)
	}
}

// Ageing returns what SetDomain said of d: seconds, 0 for never.
func (t *Table) Ageing(d Domain) uint32 { return t.ageing[d].Load() }

func (t *Table) isHop(h Hop) bool { return uint64(h) < uint64(len(t.hops)) }

// Len returns the number of entries, pinned ones and expired ones that Age has
// not yet removed among them.
func (t *Table) Len() int { return t.total.len() }

// DomainLen is Len for the entries of d.
func (t *Table) DomainLen(d Domain) int { return t.domains[d].len() }

// HopLen is Len for the entries behind h.
func (t *Table) HopLen(h Hop) int {
	if !t.isHop(h) {
		return 0
	}
	return t.hops[h].len()
}

// Learned returns the number that Config.Limit bounds: learned entries,
// expired ones that Age has not yet removed among them.
func (t *Table) Learned() int { return int(t.total.learned.Load()) }

// DomainLearned is Learned for the entries of d.
func (t *Table) DomainLearned(d Domain) int { return int(t.domains[d].learned.Load()) }

// HopLearned is Learned for the entries behind h.
func (t *Table) HopLearned(h Hop) int {
	if !t.isHop(h) {
		return 0
	}
	return int(t.hops[h].learned.Load())
}
