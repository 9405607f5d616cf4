package main

import (
	"context"
	"math"
	"slices"

	"vxgw/test/bench/load"
)

// redirect is two XDP programs that hand each frame on to the other wire and look
// at none: what is left of a device that costs nothing.
type redirect struct{}

func (redirect) Title() string { return "bare redirect" }

func (redirect) About() string {
	return "an XDP program on each wire that redirects every frame to the other one, as it came: the most that a program of XDP could do here, with no VXLAN at all"
}

func (redirect) Without(measurement string) string {
	if slices.Contains([]string{"small", "imix", "large", "at-once", "loss-free", "macs-1000", "macs-100000"}, measurement) {
		return ""
	}
	return "it looks nothing up, and forwards nothing that a host could answer"
}

func (redirect) Bare() bool { return true }

func (redirect) Missing() error { return nil }

func (redirect) Start(_ context.Context, s site) (running, error) {
	c, err := load.NewCrossing(s.ns, access(0), underlay)
	if err != nil {
		return nil, err
	}
	return crossing{c}, nil
}

type crossing struct{ *load.Crossing }

// MACs is as many as anybody could want: there is nothing to learn.
func (crossing) MACs(context.Context) (int, error) { return math.MaxInt, nil }
func (crossing) Processes() []int                  { return nil }
func (c crossing) Stop() error                     { return c.Close() }
