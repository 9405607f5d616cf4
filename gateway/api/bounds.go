package api

import "time"

// bounds are what one client, and all together, may cost. A request is small and comes
// at once; an answer may be long, and is then given time as it moves.
type bounds struct {
	// At once. More than conns writers, or clients of the HTTP listener, wait in the
	// kernel's queue; who else finds no place is told so.
	conns   int // of those who may write; and of the HTTP listener
	readers int // of those who may only read
	lobby   int // of those who may nothing, and those beyond readers
	streams int // of events, on each listener

	header time.Duration // until a request's header is there
	read   time.Duration // ... and its body
	write  time.Duration // for an answer that is not long
	idle   time.Duration // between two requests
	stall  time.Duration // for one streamBuffer of a long answer

	// answer is how long a long answer may take in all. A million rows need seconds; a
	// client that drips may not hold a connection for ever.
	answer time.Duration

	beat time.Duration // between two signs of life of a silent stream
}

const (
	maxConns  = 64
	maxHeader = 16 << 10 // of a request, in bytes
)

var usualBounds = bounds{
	conns: maxConns, readers: 32, lobby: 8, streams: 32,
	header: 5 * time.Second, read: 10 * time.Second, write: 30 * time.Second, idle: time.Minute,
	stall: 30 * time.Second, answer: 10 * time.Minute, beat: 15 * time.Second,
}
