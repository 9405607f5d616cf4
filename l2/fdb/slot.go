package fdb

import (
	"sync/atomic"

	"vxgw/l2/frame"
)

// A key is domain and MAC in one word, so that one atomic load reads both.
// Zero, which is domain 0 and the zero MAC, marks a slot that was never used;
// it is no station's address, so no entry has it.
func key(d Domain, m frame.MAC) uint64 { return uint64(d)<<48 | m.Uint64() }

func keyDomain(k uint64) Domain { return Domain(k >> 48) }

// value is all else of an entry in one word, so that a reader never sees one
// field without the others and a compare-and-swap covers them all:
//
//	bit 63      frozen
//	bit 62      live
//	bit 61      held, of a learned one; sticky, of a controller's
//	bits 58-60  origin
//	bits 32-57  hop
//	bits 0-31   seen
//
// A value that is not live is zero.
type value uint64

const (
	hopBits     = 26
	hopShift    = 32
	originShift = hopShift + hopBits

	// held: it has moved too often, and stays where it is; see Moves. Only what is
	// learned is, and only what a controller says is Sticky, so the two share a bit.
	held   value = value(Sticky) << originShift
	named  value = 7 << originShift // the origin without Sticky
	live   value = 1 << 62
	frozen value = 1 << 63 // its shard was rebuilt: readable, and no longer the one to refresh
)

func makeValue(h Hop, o Origin, seen uint32) value {
	return live | value(o)<<originShift | value(h)<<hopShift | value(seen)
}

func (v value) live() bool    { return v&live != 0 }
func (v value) frozen() bool  { return v&frozen != 0 }
func (v value) seen() uint32  { return uint32(v) }
func (v value) hop() Hop      { return Hop(v >> hopShift & (MaxHops - 1)) }
func (v value) learned() bool { return v&(live|named) == live }
func (v value) pinned() bool  { return v.live() && v&named != 0 }
func (v value) held() bool    { return v&(held|named) == held }

func (v value) origin() Origin {
	if v&named == 0 {
		return Learned // held or not
	}
	return Origin(v >> originShift & 15)
}

func (v value) place() Place { return Place{v.hop(), v.origin()} }

func (v value) entry(k uint64) Entry {
	return Entry{keyDomain(k), frame.MACFromUint64(k), v.hop(), v.origin(), v.seen(), v.held()}
}

// idle returns the seconds since v was seen. Workers read the clock once a
// batch, so now may lie a little behind what another worker has written; that
// is an idle time of 0, not of a hundred years.
func (v value) idle(now uint32) uint32 { return uint32(max(int32(now-v.seen()), 0)) }

// slot is the place of one entry. Its key is written once and stays, even when
// the entry goes and value becomes zero. So whoever has found the key may load
// and compare-and-swap the value without asking whose it is by now.
type slot struct{ k, v atomic.Uint64 }

func (s *slot) value() value       { return value(s.v.Load()) }
func (s *slot) set(v value)        { s.v.Store(uint64(v)) }
func (s *slot) swap(v value) value { return value(s.v.Swap(uint64(v))) }
func (s *slot) freeze() value      { return value(s.v.Or(uint64(frozen))) }
func (s *slot) cas(old, new value) bool {
	return s.v.CompareAndSwap(uint64(old), uint64(new))
}

// touch refreshes s if it still holds v. A move or a removal in between makes
// it fail, so that a late touch does not bring an old hop back.
func (s *slot) touch(v value, now uint32) bool {
	return s.cas(v, v&^(1<<hopShift-1)|value(now))
}
