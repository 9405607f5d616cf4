// Package storm bounds how much is flooded. A loop, or a host that has gone mad, makes
// of broadcast, multicast and unknown unicast as much as the links carry, and each copy
// costs every host of a VNI. Nothing here takes a lock, reads a clock or allocates.
package storm

import (
	"sync/atomic"

	"vxgw/l2/frame"
)

// Kind is a kind of flooded frame. Each has a limit of its own.
type Kind uint8

// The kinds.
const (
	Broadcast      Kind = iota // to ff:ff:ff:ff:ff:ff: ARP requests are
	Multicast                  // to any other group: ND is
	UnknownUnicast             // to a station that the FDB does not know
	NumKinds
)

// String returns the kind's stable name.
func (k Kind) String() string {
	return [...]string{"broadcast", "multicast", "unknown_unicast", "invalid"}[min(k, NumKinds)]
}

// KindOf returns the kind of a flooded frame by its destination.
func KindOf(dst frame.MAC) Kind {
	switch {
	case dst == frame.Broadcast:
		return Broadcast
	case dst.IsMulticast():
		return Multicast
	}
	return UnknownUnicast
}

// Limits are frames a second, by Kind; 0: no limit.
type Limits [NumKinds]int

// Control is the storm control of one place that frames pass: what an access port
// takes in, or one direction of a VNI. Any goroutine may call its methods. A nil
// Control limits nothing.
type Control struct {
	rates   [NumKinds]rate
	dropped [NumKinds]atomic.Uint64
	active  [NumKinds]atomic.Bool
}

// Set puts limits in force. What of them is not new is not disturbed.
func (c *Control) Set(l Limits) {
	for k := range c.rates {
		c.rates[k].set(l[k])
	}
}

// Limit returns the limit of a kind in frames a second; 0: there is none.
func (c *Control) Limit(k Kind) int {
	if c == nil {
		return 0
	}
	return int(c.rates[k].perSecond.Load())
}

// Take reports whether n frames of a kind, or n copies of one, are within the limit at
// now, in nanoseconds on a clock that does not go back. They pass all or none of them:
// as long as anything is left of the limit they do, and what that is too much of is
// missing afterwards.
func (c *Control) Take(k Kind, n int, now int64) bool { return c.rates[k].take(n, now) }

// Spent reports whether a frame of a kind would not be within the limit at now.
func (c *Control) Spent(k Kind, now int64) bool { return c != nil && c.rates[k].spent(now) }

// Drop counts n frames that were not within the limit.
func (c *Control) Drop(k Kind, n int) { c.dropped[k].Add(uint64(n)) }

// Dropped returns how many frames were not within the limit.
func (c *Control) Dropped(k Kind) uint64 { return c.dropped[k].Load() }

// SetActive notes whether there is a storm, for who asks later.
func (c *Control) SetActive(k Kind, is bool) { c.active[k].Store(is) }

// Active reports what SetActive noted.
func (c *Control) Active(k Kind) bool { return c.active[k].Load() }
