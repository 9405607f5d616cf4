package vrf

import (
	"encoding/binary"
	"net/netip"
)

// cacheSize is how many destinations a Cache remembers, a power of two: what fits a
// core's second cache beside the rest.
const cacheSize = 4096

// Cache remembers the routes of destinations in use, so that what they cost does not
// depend on how many routes there are. It belongs to one worker. It needs no telling
// of changes: an answer is that of one Table, which never changes. But it keeps every
// Table in memory that it has an answer of, so take another one when they have been
// replaced. The zero Cache is ready.
type Cache struct {
	slots [cacheSize]cached
}

type cached struct {
	hi, lo uint64
	table  *Table
	route  *Route
}

// Lookup is t.Lookup(a).
func (c *Cache) Lookup(t *Table, a netip.Addr) *Route {
	b := a.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	s := &c.slots[(hi*0x9e3779b97f4a7c15^lo*0xd6e8feb86659fd93)>>52%cacheSize]
	if s.table != t || s.hi != hi || s.lo != lo {
		*s = cached{hi, lo, t, t.Lookup(a)}
	}
	return s.route
}
