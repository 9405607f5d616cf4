// Package load sends frames faster than a network stack could make them, and
// takes them off the wire as cheaply: it is the generator and the sink of a
// benchmark. Both are XDP programs.
//
// The generator is one of BPF's live frames: BPF_PROG_TEST_RUN has the kernel
// run a program on frames of its own, and carries out what the program says,
// which here is to redirect them to the wire. There is no sender's network stack
// in it, and no copy. The far end of a veth takes redirected frames only when it
// has GRO turned on or an XDP program attached.
//
// It needs CAP_SYS_ADMIN, which is to say root, and Linux 5.18.
package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"vxgw/test/netns"
)

// Generator sends the frames of a Stream. One method of it may run at a time.
type Generator struct {
	ns      *netns.NS
	frame   []byte // the longest
	sent    *ebpf.Map
	devices *ebpf.Map
	program *ebpf.Program
	hold    *hold
}

// NewGenerator makes a generator in a namespace that has the stream's devices.
func NewGenerator(ns *netns.NS, s Stream) (*Generator, error) {
	g := &Generator{ns: ns, frame: s.longest()}
	err := s.check()
	if err == nil {
		err = g.load(s)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%v: frame generator: %w", ns, err), g.Close())
	}
	return g, nil
}

func (g *Generator) load(s Stream) (err error) {
	if g.sent, err = array("sent", make([]byte, 8)); err != nil {
		return err
	}
	indexes, err := g.ns.Indexes(s.Devices...)
	if err != nil {
		return err
	}
	if g.devices, err = array("devices", words(indexes)); err != nil {
		return err
	}
	g.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "generate",
		Type:         ebpf.XDP,
		Instructions: program(s, g.sent, g.devices),
	})
	if err != nil {
		return err
	}
	g.hold, err = newHold(g.ns, g.program)
	return err
}

// array makes a map of one value.
func array(name string, value []byte) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(value)), MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	if err := m.Put(uint32(0), value); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// words returns numbers as a program finds them, 32 bits each.
func words(numbers []int) (b []byte) {
	for _, n := range numbers {
		b = binary.NativeEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// Close frees what the generator holds in the kernel.
func (g *Generator) Close() error {
	return errors.Join(g.hold.close(), g.program.Close(), g.sent.Close(), g.devices.Close())
}

// Sent returns how many frames the generator has sent so far. Frames that found
// no room in the device are among them.
func (g *Generator) Sent() (n uint64, err error) {
	err = g.sent.Lookup(uint32(0), &n)
	return n, err
}

// Send sends the next n frames of the stream at once.
func (g *Generator) Send(n int) error {
	return g.inside(func() error { return g.run(n) })
}

// floodLen is how many frames are asked of the kernel at a time: enough that the
// asking does not count, few enough that an end is not long in coming.
const floodLen = 1 << 14

// Flood sends as fast as one CPU can until ctx ends, which is no error.
func (g *Generator) Flood(ctx context.Context) error {
	return g.inside(func() error {
		for ctx.Err() == nil {
			if err := g.run(floodLen); err != nil {
				return err
			}
		}
		return nil
	})
}

// run has the kernel send n frames, in the calling thread's namespace.
func (g *Generator) run(n int) error {
	if n <= 0 {
		return nil
	}
	_, err := g.program.Run(&ebpf.RunOptions{
		Data:      g.frame,
		Repeat:    uint32(n),
		Flags:     unix.BPF_F_TEST_XDP_LIVE_FRAMES,
		BatchSize: uint32(min(n, batch)),
	})
	return err
}

// batch is how many frames the kernel holds ready for a run, and puts on the
// wire together: NAPI_POLL_WEIGHT, as many as a NIC's driver takes at a time.
const batch = 64

// inside runs f on a thread in the namespace that no signal is delivered to: one
// would break off a run, which would then begin anew.
func (g *Generator) inside(f func() error) error {
	err := g.ns.Do(func() error {
		var all, before unix.Sigset_t
		for i := range all.Val {
			all.Val[i] = ^all.Val[i]
		}
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &all, &before); err != nil {
			return err
		}
		return errors.Join(f(), unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil))
	})
	if err != nil {
		return fmt.Errorf("%v: frame generator: %w", g.ns, err)
	}
	return nil
}
