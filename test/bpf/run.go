package bpf

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"

	"vxgw/gateway/xdp"
)

// Action is what a program of the fast path does with a frame.
type Action uint8

// The actions.
const (
	Up      Action = iota // others decide
	Dropped               // nothing comes of it
	Sent                  // it goes on by another interface
)

// String returns the action's name.
func (a Action) String() string { return [...]string{"up", "dropped", "sent"}[a] }

// Results of XDP programs (linux/bpf.h).
const (
	xdpDrop     = 1
	xdpPass     = 2
	xdpRedirect = 4
)

// xdpContext is struct xdp_md (linux/bpf.h).
type xdpContext struct {
	Data, DataEnd, DataMeta         uint32
	Ifindex, Queue, EgressInterface uint32
}

// XDP is a program that is run on frames that are on no wire.
type XDP struct{ prog *ebpf.Program }

// LoadXDP loads the program for a role, of the variant for which all there is to know
// is in a frame's bytes. It is forgotten when the test ends. frags: it takes frames in
// several pieces.
func LoadXDP(t testing.TB, p *xdp.Plane, r xdp.Role, frags bool) *XDP {
	t.Helper()
	prog, err := p.Program(r, xdp.Plain, 0, frags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := prog.Close(); err != nil {
			t.Error(err)
		}
	})
	return &XDP{prog}
}

// grows is how many bytes longer than it was a frame may be.
const grows = 128

// Run has the program see a frame that comes in by an interface of the thread's network
// namespace, and returns what it makes of it.
func (x *XDP) Run(frame []byte, ifindex int) (Action, []byte, error) {
	o := ebpf.RunOptions{
		Data: frame, DataOut: make([]byte, len(frame)+grows),
		Context: xdpContext{DataEnd: uint32(len(frame)), Ifindex: uint32(ifindex)},
	}
	result, err := x.prog.Run(&o)
	if err != nil {
		return Up, nil, fmt.Errorf("run XDP on %d bytes: %w", len(frame), err)
	}
	switch result {
	case xdpPass:
		return Up, o.DataOut, nil
	case xdpDrop:
		return Dropped, nil, nil
	case xdpRedirect:
		return Sent, o.DataOut, nil
	}
	return Up, nil, fmt.Errorf("XDP returns %d", result)
}

// Results of programs at TCX (linux/bpf.h).
const (
	tcxNext     = -1
	tcxPass     = 0
	tcxDrop     = 2
	tcxRedirect = 7
)

// skbContext is struct __sk_buff (linux/bpf.h) as far as a test may set it.
type skbContext struct {
	Len, PktType, Mark uint32
	_                  [7]uint32
	Ifindex            uint32
	_                  [148]byte
}

// TCX is the two programs of a Tap, run on frames that are on no wire. They must run on
// one CPU.
type TCX struct {
	filter *ebpf.Program // nil: no socket sees the frames
	prog   *ebpf.Program

	Further bool // the last frame goes on to who is behind
}

// LoadTCX loads the programs for a role, as they are for frames that fit a ring. alone:
// there is no socket, and so no filter.
func LoadTCX(t testing.TB, p *xdp.Plane, r xdp.Role, alone bool) *TCX {
	t.Helper()
	filter, prog, err := p.TapPrograms(r, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	if alone {
		filter = nil
	}
	return &TCX{filter: filter, prog: prog}
}

// Run is as XDP.Run.
func (x *TCX) Run(frame []byte, ifindex int) (Action, []byte, error) {
	taken, err := x.Filter(frame, ifindex)
	if err != nil {
		return Up, nil, err
	}
	did, out, err := x.Behind(frame, ifindex)
	if taken && err == nil { // it is the socket's, and at TCX nobody's
		return Up, frame, nil
	}
	return did, out, err
}

// Behind has the program at TCX see a frame.
func (x *TCX) Behind(frame []byte, ifindex int) (Action, []byte, error) {
	var after skbContext
	o := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+grows), Context: skbContext{Ifindex: uint32(ifindex)}, ContextOut: &after}
	result, err := x.prog.Run(&o)
	if err != nil {
		return Up, nil, fmt.Errorf("run TCX on %d bytes: %w", len(frame), err)
	}
	x.Further = int32(result) == tcxNext
	switch int32(result) {
	case tcxNext, tcxPass:
		return Up, o.DataOut, nil
	case tcxDrop:
		return Dropped, nil, nil
	case tcxRedirect:
		if after.Mark != 0 { // it comes in once more, for others to decide
			return Up, o.DataOut, nil
		}
		return Sent, o.DataOut, nil
	}
	return Up, nil, errors.New("TCX returns what it should not")
}

// Filter has the filter see a frame, and reports whether its socket takes it.
func (x *TCX) Filter(frame []byte, ifindex int) (taken bool, err error) {
	if x.filter == nil {
		return false, nil
	}
	// The kernel takes what it takes for the Ethernet header off before a socket filter
	// runs, and a filter of a packet socket has it: there is another in front.
	in := append(append(frame[:12:12], 0xff, 0xff), frame...)
	result, err := x.filter.Run(&ebpf.RunOptions{Data: in, Context: skbContext{Ifindex: uint32(ifindex)}})
	if err != nil {
		return false, fmt.Errorf("run a filter on %d bytes: %w", len(frame), err)
	}
	return result != 0, nil
}
