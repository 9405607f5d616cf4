package load

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"vxgw/test/netns"
)

// Crossing hands every frame that comes in on one of two devices on to the other,
// in the driver and as it came.
type Crossing struct {
	programs []*ebpf.Program
	links    []link.Link
}

// NewCrossing has frames handed on from now on until Close. The far ends of the
// devices take them as they do a Generator's.
func NewCrossing(ns *netns.NS, a, b string) (*Crossing, error) {
	c := new(Crossing)
	if err := errors.Join(c.add(ns, a, b), c.add(ns, b, a)); err != nil {
		return nil, errors.Join(fmt.Errorf("crossing: %w", err), c.Close())
	}
	return c, nil
}

func (c *Crossing) add(ns *netns.NS, from, to string) error {
	indexes, err := ns.Indexes(to)
	if err != nil {
		return err
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "crossing", Type: ebpf.XDP, Instructions: crossing(indexes[0])})
	if err != nil {
		return err
	}
	c.programs = append(c.programs, program)
	links, err := attach(ns, program, from)
	c.links = append(c.links, links...)
	return err
}

// crossing is a program that redirects to a device.
func crossing(index int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(index)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}
}

// Close ends it: frames go where they went before.
func (c *Crossing) Close() error {
	err := detach(c.links)
	for _, p := range c.programs {
		err = errors.Join(err, p.Close())
	}
	return err
}
