package load

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"vxgw/test/netns"
)

// Sink drops every frame that comes in on its devices, in the driver.
type Sink struct {
	program *ebpf.Program
	links   []link.Link
}

// NewSink has frames dropped from now on until Close.
func NewSink(ns *netns.NS, devices ...string) (*Sink, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "sink", Type: ebpf.XDP, Instructions: dropping})
	if err != nil {
		return nil, fmt.Errorf("%v: sink: %w", ns, err)
	}
	links, err := attach(ns, program, devices...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sink: %w", err), program.Close())
	}
	return &Sink{program, links}, nil
}

// attach attaches a program to every one of the devices, or to none.
func attach(ns *netns.NS, p *ebpf.Program, devices ...string) (links []link.Link, err error) {
	indexes, err := ns.Indexes(devices...)
	if err != nil {
		return nil, err
	}
	err = ns.Do(func() error {
		for i, index := range indexes {
			l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: index, Flags: link.XDPDriverMode})
			if err != nil {
				return fmt.Errorf("%v: %s: attach XDP program: %w", ns, devices[i], err)
			}
			links = append(links, l)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, detach(links))
	}
	return links, nil
}

func detach(links []link.Link) error {
	var errs []error
	for _, l := range links {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Close lets frames through again.
func (s *Sink) Close() error { return errors.Join(detach(s.links), s.program.Close()) }
