// Package port is the edge of the gateway that faces the access switch ports:
// what the forwarding code asks of a port, whichever way the port is made.
package port

import (
	"vxgw/l2/frame"
)

// BatchSize is the number of frames a reader asks for at once. It bounds the
// memory of a worker and the time between two looks at the clock.
const BatchSize = 64

// Reader is one receive queue. ReadBatch is called by one goroutine.
type Reader interface {
	// ReadBatch blocks until at least one frame is there, then fills as many
	// of bufs as are ready and returns their number. The error wraps
	// os.ErrDeadlineExceeded after Wake, net.ErrClosed after Close, and
	// unix.ENETDOWN or unix.ENODEV when the device went down or away.
	ReadBatch(bufs []frame.Buffer) (int, error)

	// Wake makes a ReadBatch that waits return at once.
	Wake()
}

// Port is one access port. WriteBatch is called by any number of goroutines.
type Port interface {
	// The Port itself is its first receive queue.
	Reader

	// Queues returns all receive queues; frames of one flow come by the same.
	Queues() []Reader

	// WriteBatch sends the frames in order and writes each one's Status. The
	// error is the last one the kernel gave, nil when all were sent; it is
	// for the log, the statuses are for the counters.
	WriteBatch(out []frame.Out) error

	// Overflows returns how many frames the kernel had no room for since the
	// last call.
	Overflows() (uint64, error)

	// CarriesOffload reports whether WriteBatch takes frames whose Offload is
	// not None. A frame for another port must be cut and summed beforehand.
	CarriesOffload() bool

	// Lacks says what the port works without and what that costs; nil when it
	// has everything.
	Lacks() error

	Close() error
}
