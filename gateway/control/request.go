package control

import (
	"errors"
	"net/netip"
)

// Rules are what a gateway takes, whatever its configuration says of VNIs and VRFs.
type Rules struct {
	Local netip.Addr // the gateway's own VTEP address
}

// Request is what an origin says at once. All of it is done, or nothing.
type Request struct {
	Origin Origin
	Hold   *uint32 // seconds; nil: as before, DefaultHold at first

	// Replace is all that the origin has to say from now on; nil: Edit is what changes.
	Replace *Words
	Edit    Edit

	// May is asked whether the request may be done: tag is of what the origin has said,
	// there whether it has said anything. nil: it may.
	May func(tag string, there bool) bool
}

// Answer is how an origin is after a request.
type Answer struct {
	Page   Page
	Tag    string // of what it has said: another one after every change
	Sizes  Sizes
	Unused []Unused // of what the request said
}

// Errors of requests. Others are a *Fault.
var (
	// ErrChanged: Request.May said no.
	ErrChanged = errors.New("what the origin has said is not what the request was made for: read it again")
	// ErrUnknown: the origin has said nothing, or what it had said was swept.
	ErrUnknown = errors.New("the origin has said nothing yet, or its hold time has ended: PUT all that it has to say")
	// ErrFull: there is no room for another origin.
	ErrFull = errors.New("there is no room for another origin")
)
