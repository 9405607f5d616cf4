// Package mem is an access port in memory, for tests of what stands on a port.
// NewPair gives the gateway's side, a port.Port, and the side of whoever is
// plugged into it, a Host that also has the link's health in hand.
package mem

import (
	"sync"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// Frame is one frame as the Host sees it.
type Frame struct {
	Bytes   []byte
	Tag     frame.Tag // beside the bytes, as the kernel delivers it
	Offload frame.Offload
}

// link is what a Port and its Host share.
type link struct {
	size int // frames that each direction holds; set once

	mu      sync.Mutex
	changed sync.Cond // of anything below

	toPort, toHost []Frame // owned: nobody else has the bytes
	overflows      uint64  // frames that toPort had no room for, not yet told

	woken  bool
	closed bool
	down   bool
	gone   bool
	news   error // what the next ReadBatch is to be told, once

	offload bool // WriteBatch takes frames that are not fit for a wire
	mtu     int  // bytes behind the Ethernet header; 0: no limit
	verdict func(frame.Out) frame.Status
}

// NewPair makes a port that holds up to size frames, at least one, in each
// direction. It is up, carries offloads and knows no MTU.
func NewPair(size int) (*Port, *Host) {
	l := &link{size: max(size, 1), offload: true}
	l.changed.L = &l.mu
	return &Port{l}, &Host{l}
}

// locked runs f, which may change anything, and tells whoever waits.
func (l *link) locked(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.changed.Broadcast()
}

// lost returns why nothing can be sent, 0 when it can.
func (l *link) lost() unix.Errno {
	switch {
	case l.gone:
		return unix.ENODEV
	case l.down:
		return unix.ENETDOWN
	}
	return 0
}
