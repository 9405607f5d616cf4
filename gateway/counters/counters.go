// Package counters holds what the gateway counts. Workers add once a batch;
// readers may look at any time. Nothing here takes a lock.
package counters

import "sync/atomic"

// Traffic counts the frames and bytes of one port, VNI or VTEP. Bytes are those
// of the Ethernet frame without FCS; for a VTEP and a VNI those of the inner
// frame.
type Traffic struct {
	RxPackets, RxBytes atomic.Uint64
	TxPackets, TxBytes atomic.Uint64

	// Suppressed counts the ARP and ND requests of a VNI that were answered for
	// a neighbour and went nowhere.
	Suppressed atomic.Uint64

	// LastSeen is the gateway's clock, in seconds, when a frame last came in
	// from here; 0: never.
	LastSeen atomic.Uint32
}

// Tally sums up one side of a Traffic in the memory of one worker, so that
// the shared words are touched once a batch.
type Tally struct{ Packets, Bytes uint64 }

// Add counts one frame of n bytes.
func (t *Tally) Add(n int) {
	t.Packets++
	t.Bytes += uint64(n)
}

// AddAll counts n frames of bytes in all.
func (t *Tally) AddAll(n, bytes int) {
	t.Packets += uint64(n)
	t.Bytes += uint64(bytes)
}

// Rx moves the tally into c's receive side, seen at the clock now, and starts
// the tally again at zero.
func (t *Tally) Rx(c *Traffic, now uint32) {
	if t.Packets == 0 {
		return
	}
	c.RxPackets.Add(t.Packets)
	c.RxBytes.Add(t.Bytes)
	if c.LastSeen.Load() != now {
		c.LastSeen.Store(now)
	}
	*t = Tally{}
}

// Tx moves the tally into c's transmit side and starts it again at zero.
func (t *Tally) Tx(c *Traffic) {
	if t.Packets == 0 {
		return
	}
	c.TxPackets.Add(t.Packets)
	c.TxBytes.Add(t.Bytes)
	*t = Tally{}
}
