package load

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"vxgw/test/netns"
)

// A hold keeps a program attached to a device that no frame passes. Without it
// the kernel patches its dispatcher of XDP programs (kernel/bpf/dispatcher.c)
// before and after each run, which stops every CPU and takes some milliseconds.
type hold struct {
	ns   *netns.NS
	dev  string
	link link.Link
}

// holds numbers the devices.
var holds atomic.Uint32

func newHold(ns *netns.NS, p *ebpf.Program) (*hold, error) {
	n := holds.Add(1)
	h := &hold{ns: ns, dev: fmt.Sprintf("hold%d", n)}
	if err := netns.Veth(ns, h.dev, ns, fmt.Sprintf("far%d", n), netns.VethOptions{Down: true}); err != nil {
		return nil, err
	}
	links, err := attach(ns, p, h.dev)
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	h.link = links[0]
	return h, nil
}

func (h *hold) close() error {
	if h == nil {
		return nil
	}
	var err error
	if h.link != nil {
		err = h.link.Close()
	}
	return errors.Join(err, h.ns.Delete(h.dev))
}
