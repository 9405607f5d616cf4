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
type TCX struct{ filter, prog *ebpf.Program }

// LoadTCX loads the programs for a role, as they are for frames that fit a ring.
func LoadTCX(t testing.TB, p *xdp.Plane, r xdp.Role) *TCX {
	t.Helper()
	filter, prog, err := p.TapPrograms(r, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	return &TCX{filter, prog}
}

// Run is as XDP.Run.
func (x *TCX) Run(frame []byte, ifindex int) (Action, []byte, error) {
	// The kernel takes what it takes for the Ethernet header off before a socket filter
	// runs, and a filter of a packet socket has it: there is another in front.
	in := append(append(frame[:12:12], 0xff, 0xff), frame...)
	is := skbContext{Ifindex: uint32(ifindex)}
	taken, err := x.filter.Run(&ebpf.RunOptions{Data: in, Context: is})
	if err != nil {
		return Up, nil, fmt.Errorf("run a filter on %d bytes: %w", len(frame), err)
	}
	var after skbContext
	o := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+grows), Context: is, ContextOut: &after}
	result, err := x.prog.Run(&o)
	switch {
	case err != nil:
		return Up, nil, fmt.Errorf("run TCX on %d bytes: %w", len(frame), err)
	case taken != 0: // it is the socket's, and at TCX nobody's
		return Up, frame, nil
	}
	switch int32(result) {
	case tcxNext:
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
