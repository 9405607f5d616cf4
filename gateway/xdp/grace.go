package xdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// grace waits until no program runs any more that was running.
//
// Linux has an RCU grace period go by before it returns from the replacement of a map
// that is in a map, so that nobody uses the old one (maybe_wait_bpf_programs, since
// 4.20). There is no other way to ask for one.
type grace struct{ outer, inner *ebpf.Map }

func newGrace() (*grace, error) {
	one := ebpf.MapSpec{Name: "vxgw_none", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	inner, err := ebpf.NewMap(&one)
	if err != nil {
		return nil, fmt.Errorf("make map vxgw_none: %w", err)
	}
	outer, err := ebpf.NewMap(&ebpf.MapSpec{Name: "vxgw_grace", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: &one})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make map vxgw_grace: %w", err), inner.Close())
	}
	return &grace{outer, inner}, nil
}

func (g *grace) wait() error {
	if err := g.outer.Put(uint32(0), uint32(g.inner.FD())); err != nil {
		return fmt.Errorf("wait for programs: %w", err)
	}
	return nil
}

func (g *grace) close() error { return errors.Join(g.outer.Close(), g.inner.Close()) }
