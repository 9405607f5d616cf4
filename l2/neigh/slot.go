package neigh

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// key is a domain and an address. An IPv4 address is written as IPv6 has it,
// ::ffff:a.b.c.d, which is no address of its own (see IsHost).
type key struct {
	hi, lo uint64
	domain fdb.Domain
}

func makeKey(d fdb.Domain, a netip.Addr) key {
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), d}
}

func (k key) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	return netip.AddrFrom16(b).Unmap()
}

// state is all of an entry but its key and its MAC, in one word:
//
//	bit 63      used: the slot has a key, for good
//	bit 62      live: the slot has an entry
//	bit 49      bound: see Table.Bind
//	bit 48      router
//	bits 32-47  asked: seconds from seen to when the owner was asked, plus one
//	bits 0-31   seen
type state uint64

const (
	used   state = 1 << 63
	live   state = 1 << 62
	bound  state = 1 << 49
	router state = 1 << 48

	askedShift = 32
	askedMask  = 0xffff
)

func makeState(seen uint32, isRouter bool) state {
	s := used | live | state(seen)
	if isRouter {
		s |= router
	}
	return s
}

func (s state) live() bool   { return s&live != 0 }
func (s state) bound() bool  { return s&bound != 0 }
func (s state) router() bool { return s&router != 0 }
func (s state) seen() uint32 { return uint32(s) }

// asked returns when the owner was asked, 0 where it was not.
func (s state) asked() uint32 {
	if n := uint32(s >> askedShift & askedMask); n != 0 {
		return s.seen() + n - 1
	}
	return 0
}

// ask returns the state with the owner asked at now.
func (s state) ask(now uint32) state {
	return s | state(min(since(s.seen(), now)+1, askedMask))<<askedShift
}

func (s state) expired(now uint32) bool { return !s.bound() && since(s.seen(), now) >= KeepFor }

// slot is the place of one entry. Its key is written once, before its state, and
// stays when the entry goes. The MAC changes only while the state is not live.
type slot struct {
	hi, lo atomic.Uint64
	who    atomic.Uint64 // domain, 16 bits, and MAC, 48
	state  atomic.Uint64
}

func (s *slot) load() state { return state(s.state.Load()) }

func (s *slot) has(k key) bool {
	return s.lo.Load() == k.lo && s.hi.Load() == k.hi && fdb.Domain(s.who.Load()>>48) == k.domain
}

func (s *slot) key() key {
	return key{s.hi.Load(), s.lo.Load(), fdb.Domain(s.who.Load() >> 48)}
}

func (s *slot) mac() frame.MAC { return frame.MACFromUint64(s.who.Load()) }

// entry returns what the slot holds. It looks until it has seen a state that did
// not change while the MAC was read.
func (s *slot) entry() (Entry, bool) {
	for {
		st := s.load()
		if !st.live() {
			return Entry{}, false
		}
		k, mac := s.key(), s.mac()
		if s.load() == st {
			return Entry{Domain: k.domain, Addr: k.addr(), MAC: mac, Router: st.router(), Bound: st.bound(), Seen: st.seen(), Asked: st.asked()}, true
		}
	}
}

// set makes the slot's entry say something else, for the holder of the shard's
// lock. Readers see the old one, none for a moment, or the new one.
func (s *slot) set(k key, mac frame.MAC, st state) {
	s.state.Store(uint64(used))
	s.who.Store(uint64(k.domain)<<48 | mac.Uint64())
	s.state.Store(uint64(st))
}

// fill gives an unused slot its key and its entry.
func (s *slot) fill(k key, mac frame.MAC, st state) {
	s.hi.Store(k.hi)
	s.lo.Store(k.lo)
	s.who.Store(uint64(k.domain)<<48 | mac.Uint64())
	s.state.Store(uint64(st))
}

func (s *slot) cas(old, new state) bool {
	return s.state.CompareAndSwap(uint64(old), uint64(new))
}
