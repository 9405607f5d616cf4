// Package fdb is the forwarding database of a bridge: which hop a station's
// MAC address was last seen behind, one bridge domain beside the other. It
// learns, looks up, ages and caps. It does not know what a hop is.
//
// Look-ups take no lock, allocate nothing and never wait for a writer. Nor does
// the refresh of a station that is where it was, but for one that falls into
// the fraction of a millisecond in which its shard is rebuilt. A station that
// is new or has moved locks its shard: at most a 64th of the table, and some
// 4096 entries where that is large. All methods may be called from any
// goroutine.
//
// A station that moves too often is in two places at once, and is held in one of
// them; see Moves.
//
// In a large table an entry is seldom in a cache. Who has many look-ups to do
// names them beforehand, see Table.Warm.
//
// The storage holds no pointers, so a garbage collection does not walk it. It
// costs about 1.5 MiB and, in a table that fills up, 21 to 57 bytes an entry. It
// is given back when entries go.
package fdb

import (
	"vxgw/l2/frame"
)

// Domain is the index of a bridge domain.
type Domain uint16

// Hop is a small dense number that stands for where a station is. It is below
// Config.Hops.
type Hop uint32

// MaxHops is the largest Config.Hops.
const MaxHops = 1 << hopBits

// Origin is who said where a station is. Every Origin but Learned pins the
// entry: it does not age and counts against no limit. Nor does it move, but for one
// that yields.
type Origin uint8

// The origins. The last three are controllers.
const (
	Learned Origin = iota
	Static
	Gateway
	EVPN
	OVSDB
	Controller // any other
	numOrigins
)

// Sticky is set beside a controller's origin: the entry does not yield (RFC 7432
// section 15.2).
const Sticky Origin = 8

// Name returns the origin without Sticky.
func (o Origin) Name() Origin { return o &^ Sticky }

// IsController reports whether a controller said it.
func (o Origin) IsController() bool { return o.Name() >= EVPN && o.Name() < numOrigins }

// Yields reports whether the entry moves when its station is heard behind a hop below
// Config.Near: who is here is known here first.
func (o Origin) Yields() bool { return o >= EVPN && o < numOrigins }

// valid reports whether there is such an origin.
func (o Origin) valid() bool { return o < numOrigins || o.IsController() && o&Sticky != 0 }

// String returns the origin's stable name.
func (o Origin) String() string {
	return [...]string{"learned", "static", "gateway", "evpn", "ovsdb", "controller", "invalid"}[min(o.Name(), numOrigins)]
}

// Entry is one row of the table.
type Entry struct {
	Domain Domain
	MAC    frame.MAC
	Hop    Hop
	Origin Origin
	Seen   uint32 // when a frame last came from it, in seconds on the caller's monotonic clock; as given to Set for a pinned entry
	Held   bool   // learned, and not to move for now: it moved too often, see Moves. Set does not heed it
}

// Config bounds a Table.
type Config struct {
	Limit int // learned entries in all; 0 or less: nothing is learned
	Hops  int // number of hop ids, at most MaxHops; more are cut off

	// Near is how many hops, from 0 on, are of this place: a station that is heard
	// there takes its entry from a controller, unless that is Sticky.
	Near int

	// Mirror is told of every change; nil: nobody is.
	Mirror Mirror
}

// Mirror keeps a copy of a table. What it is told of one station it is told in order,
// with a shard locked: it must not call the table.
type Mirror interface {
	// Put says where a station is now, and what that changed: it was Added, has Moved
	// from a hop, or is where it was, Known. An entry that had expired and was not
	// swept yet is Added again. was is where it was and who had said so, of no use but
	// for Moved.
	Put(e Entry, what Outcome, was Place)
	// Seen says that a station that is there was refreshed. No shard is locked.
	Seen(Domain, frame.MAC)
	// Drop says that a station is gone, and why.
	Drop(Domain, frame.MAC, Cause)
}

// Place is where a station is, and who says so.
type Place struct {
	Hop    Hop
	Origin Origin
}

// Cause is why a station went.
type Cause uint8

// The causes.
const (
	Aged    Cause = iota // it was silent for the domain's ageing time
	Flushed              // what it was behind is gone
	Removed              // somebody took it out
	Ousted               // it has moved to a hop that has no room for it
	numCauses
)

// String returns the cause's stable name.
func (c Cause) String() string {
	return [...]string{"aged", "flushed", "removed", "ousted", "invalid"}[min(c, numCauses)]
}

// noMirror is the Mirror of a table that has none.
type noMirror struct{}

func (noMirror) Put(Entry, Outcome, Place)     {}
func (noMirror) Seen(Domain, frame.MAC)        {}
func (noMirror) Drop(Domain, frame.MAC, Cause) {}

// Outcome is what Learn did.
type Outcome uint8

// The outcomes. Frames of a source whose outcome is TableFull, DomainFull or
// HopFull are forwarded all the same; frames to it are flooded.
const (
	Known      Outcome = iota // it was there already; a learned entry is refreshed
	Added                     // learned; it was not there
	Moved                     // behind another hop before, learned or yielding, and changed at once
	IsStatic                  // pinned behind another hop; not changed
	TableFull                 // refused: Config.Limit
	DomainFull                // refused: SetDomain's limit
	HopFull                   // refused: SetHop's limit; an entry behind another hop is removed
	NoStation                 // refused: a group address or zero is nobody's source address
	Duplicate                 // refused: it moves too often, and is held where it was before; see SetMoves
	numOutcomes
)

// String returns the outcome's name.
func (o Outcome) String() string {
	return [...]string{"known", "added", "moved", "is_static", "table_full", "domain_full", "hop_full", "no_station", "duplicate", "invalid"}[min(o, numOutcomes)]
}
