package neigh

import (
	"net/netip"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// How long an entry is believed, in seconds. It is what hosts do with their own
// (RFC 4861 section 10, REACHABLE_TIME, and MAX_UNICAST_SOLICIT times
// RETRANS_TIMER).
const (
	// FreshFor is how long after its owner was last heard an address is
	// answered for without further ado.
	FreshFor = 30

	// AskFor is how long the owner has to confirm it after that, once it was
	// asked.
	AskFor = 3

	// KeepFor is when an entry goes.
	KeepFor = 120
)

// Entry is one neighbour.
type Entry struct {
	Domain fdb.Domain
	Addr   netip.Addr
	MAC    frame.MAC
	Bound  bool   // a controller says so, see Table.Bind
	Router bool   // it routes: the R flag of an advertisement
	Seen   uint32 // when its owner was last heard, in seconds on the caller's monotonic clock
	Asked  uint32 // when a request was first let through to it since; 0: none was
}

// Expired reports whether the owner was not heard of for KeepFor. A bound entry does
// not expire.
func (e Entry) Expired(now uint32) bool { return !e.Bound && since(e.Seen, now) >= KeepFor }

// Use is what an entry is good for when somebody asks for its address.
type Use uint8

// What to do with a request.
const (
	Pass   Use = iota // let it through: the owner does not confirm the entry
	Answer            // answer it
	Ask               // let it through, and note that: the owner is to confirm
)

// Fresh reports whether the owner was heard of lately, or is bound.
func (e Entry) Fresh(now uint32) bool { return e.Bound || since(e.Seen, now) < FreshFor }

// Use returns what is to be done with a request for the entry's address. Of an
// entry that is not fresh one request goes through to the owner, whose reply
// confirms it or corrects it. While that is under way the rest is answered; and
// if nothing comes, all go through.
func (e Entry) Use(now uint32) Use {
	switch {
	case e.Fresh(now):
		return Answer
	case e.Asked == 0:
		return Ask
	case since(e.Asked, now) < AskFor:
		return Answer
	}
	return Pass
}

// since returns the seconds between two moments of the clock. Workers read it
// once a batch, so now may lie a little behind what another one has written.
func since(then, now uint32) uint32 { return uint32(max(int32(now-then), 0)) }
