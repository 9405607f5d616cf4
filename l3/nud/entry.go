// Package nud is neighbour unreachability detection: which IP address is at which
// MAC on the networks that a router is connected to, as ARP (RFC 826, RFC 5227) and
// neighbour discovery (RFC 4861 section 7) tell. It sends nothing and has no clock:
// whoever routes looks up in it, one task ticks it once a second and sends what it
// asks for.
package nud

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// State is what is known of a neighbour (RFC 4861 section 7.3.2).
type State uint8

// The states. Packets are sent to a neighbour in Reachable, Stale, Delay, Probe,
// Permanent and Bound.
const (
	Incomplete State = iota // asked for, and no answer yet
	Reachable               // it answered within some 30 seconds
	Stale                   // it is where it was, probably
	Delay                   // in use again: an answer may come by itself
	Probe                   // asked whether it is still there
	Failed                  // it did not answer; asked again after a moment
	Permanent               // set, and never asked
	Bound                   // set, and never asked; another may claim the address
	numStates
)

// String returns the state's stable name.
func (s State) String() string {
	return [...]string{"incomplete", "reachable", "stale", "delay", "probe", "failed", "permanent", "bound", "invalid"}[min(s, numStates)]
}

// open reports whether packets are sent to a neighbour in this state.
func (s State) open() bool { return s != Incomplete && s != Failed }

// pinned reports whether somebody said so: nobody is asked, and no room is taken.
func (s State) pinned() bool { return s == Permanent || s == Bound }

// Times, in seconds (RFC 4861 section 10, RFC 5227 section 1.1).
const (
	reachableFor = 30
	delayFor     = 5
	retransmit   = 1
	unicasts     = 3 // MAX_UNICAST_SOLICIT
	multicasts   = 3 // MAX_MULTICAST_SOLICIT

	// failedFor is how long nobody is asked for who did not answer: a flood for a
	// dead host has it asked for once a second, and no more.
	failedFor = 2

	// idleFor is how long a neighbour that nobody sends to is left alone. Then it
	// is probed: a host that is silent is not lost.
	idleFor = 600
)

// Packet is a frame that waits for a neighbour, as it came in: in a domain, from a
// hop.
type Packet struct {
	Bytes   []byte
	Offload frame.Offload
	Domain  fdb.Domain
	From    fdb.Hop
}

// maxWaiting is how many packets wait for one neighbour.
const maxWaiting = 3

// Entry is one row of the table.
type Entry struct {
	Domain fdb.Domain
	Addr   netip.Addr
	MAC    frame.MAC // zero where it is not known
	State  State
	Since  uint32 // when it came into the state, in seconds on the caller's clock
}

// key is where a neighbour is, and its address.
type key struct {
	domain fdb.Domain
	addr   netip.Addr
}

// neighbour is one entry.
type neighbour struct {
	// set once
	key
	hooks *hooks // of the table

	// where is the MAC and the state in one word, for who looks up: see pack.
	where atomic.Uint64
	used  atomic.Uint32 // when a packet was last sent to it
	gone  atomic.Bool   // it is on its way out of the table; set under mu

	mu      sync.Mutex // guards everything below
	since   uint32     // when it came into its state
	confirm uint32     // when it last answered, or was last asked in vain
	tries   int        // how often it was asked in this state
	idle    bool       // it is probed because nobody used it for long
	by      fdb.Domain // where the packet came from that it is asked for for
	waiting []Packet
}

// pack puts a MAC and a state into one word, so that both are read at once.
func pack(m frame.MAC, s State) uint64 {
	w := uint64(s) << 48
	for i, b := range m {
		w |= uint64(b) << (40 - 8*i)
	}
	return w
}

func unpack(w uint64) (m frame.MAC, s State) {
	for i := range m {
		m[i] = byte(w >> (40 - 8*i))
	}
	return m, State(w >> 48)
}

func (n *neighbour) state() State { _, s := unpack(n.where.Load()); return s }

// set needs mu.
func (n *neighbour) set(m frame.MAC, s State, now uint32) {
	if n.state() != s {
		n.since, n.tries = now, 0
	}
	n.put(m, s)
}

// put says where the neighbour is, and tells of it when whoever has looked it up is
// wrong now. It needs mu.
func (n *neighbour) put(m frame.MAC, s State) {
	was, open := unpack(n.where.Swap(pack(m, s)))
	if !open.open() {
		was = frame.MAC{}
	}
	if !s.open() {
		m = frame.MAC{}
	}
	n.hooks.told(n.key, was, m)
}

// hooks are who is told of what becomes of neighbours.
type hooks struct {
	// set once
	onMove   func()                                              // see Table.OnMove
	onChange func(d fdb.Domain, a netip.Addr, was, is frame.MAC) // see Table.OnChange
}

// told says that packets for a neighbour went to one MAC and go to another now; the
// zero MAC is nowhere.
func (h *hooks) told(k key, was, is frame.MAC) {
	if was == is {
		return
	}
	if h.onMove != nil && !was.IsZero() {
		h.onMove()
	}
	if h.onChange != nil {
		h.onChange(k.domain, k.addr, was, is)
	}
}

// lifetime is how long an answer holds: half of reachableFor to half more than it
// (RFC 4861 section 6.3.2), another for each neighbour, so that not all are asked
// at once.
func (n *neighbour) lifetime() uint32 {
	b := n.addr.As16()
	return reachableFor/2 + uint32(b[15]^b[14]^b[13])%(reachableFor+1)
}
