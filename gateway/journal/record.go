// Package journal carries what changes in the tables from the workers that find it out
// to the one task that tells of it. A worker never waits: the queue between the two has
// no lock and is bounded, and what does not fit is counted as lost.
package journal

import (
	"net/netip"

	"vxgw/gateway/events"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Kind is what a Record tells of.
type Kind uint8

// The kinds.
const (
	MACThere  Kind = iota // a station was learned, pinned, or has moved
	MACGone               // a station is not known any more
	VTEPThere             // a remote VTEP has a number now
	VTEPGone              // ... and has none any more
	Neighbour             // an IP address is at another MAC than before
	Note                  // an event that is ready to be told
)

// Record is one change, in the numbers that forwarding has for things. It holds what
// its Kind says, and nothing else.
type Record struct {
	Kind   Kind
	Moved  bool       // MACThere: it was behind From before; else it was not known
	Origin fdb.Origin // MACThere
	Cause  fdb.Cause  // MACGone
	Routed bool       // Neighbour: of a routed interface; else where ARP and ND are suppressed
	Static bool       // VTEPThere: the configuration names it

	Domain fdb.Domain // MACThere, MACGone, Neighbour
	MAC    frame.MAC  // the station; of a Neighbour where it is now, zero: nowhere
	Was    frame.MAC  // Neighbour: where it was, zero: nowhere
	Hop    fdb.Hop    // MACThere
	From   fdb.Hop    // MACThere, where Moved
	By     fdb.Origin // MACThere, where Moved: who had said that it was there
	Addr   netip.Addr // VTEPThere, VTEPGone, Neighbour

	Times int // how many changes this is: above 1 after Coalesce

	Event *events.Event // Note
}

// key is what a Record is about, where only the newest of several matters.
type key struct {
	about  uint8
	domain fdb.Domain
	mac    frame.MAC
	addr   netip.Addr
}

func (r *Record) key() (k key, ok bool) {
	switch r.Kind {
	case MACThere, MACGone:
		return key{about: 1, domain: r.Domain, mac: r.MAC}, true
	case Neighbour:
		about := uint8(2)
		if r.Routed {
			about = 3
		}
		return key{about: about, domain: r.Domain, addr: r.Addr}, true
	}
	return key{}, false
}

// follow makes r tell of itself and of what came after it, of the same key.
func (r *Record) follow(next *Record) {
	was := *r
	*r = *next
	r.Times = was.Times + 1
	switch {
	case r.Kind == Neighbour:
		r.Was = was.Was
	case was.Kind == MACGone, !was.Moved:
		r.Moved = false
	default:
		r.From, r.By = was.From, was.By
	}
}

// Coalescer makes of many changes of one thing a single one: a station that moves to and
// fro ten thousand times is told of as often as somebody looks.
type Coalescer struct{ at map[key]int }

// Coalesce joins, in place and in order, the records of a batch that are about the same
// station or neighbour, and returns what is left of it.
func (c *Coalescer) Coalesce(batch []Record) []Record {
	if c.at == nil {
		c.at = make(map[key]int)
	}
	clear(c.at)
	n := 0
	for i := range batch {
		r := batch[i]
		r.Times = max(r.Times, 1)
		k, joins := r.key()
		if at, seen := c.at[k]; joins && seen {
			batch[at].follow(&r)
			continue
		}
		if joins {
			c.at[k] = n
		}
		batch[n] = r
		n++
	}
	return batch[:n]
}
