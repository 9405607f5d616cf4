package gateway

import (
	"fmt"
	"time"

	"golang.org/x/net/bpf"

	"vxgw/l2/port"
	"vxgw/l2/port/raw"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/path"
	"vxgw/l3/underlay/udp"
)

// Linux returns the edges of this machine, in the network namespace of the
// calling thread: packet sockets, UDP and raw IP sockets, netlink.
func Linux() (Edges, error) {
	host, err := path.Open()
	if err != nil {
		return Edges{}, fmt.Errorf("cannot follow this machine's interfaces: %w", err)
	}
	start := time.Now()
	return Edges{
		Host:         host,
		OpenPort:     openPort,
		OpenUnderlay: openUnderlay,
		PortTaken:    udp.IsPortTaken,
		// From 1, because 0 says "never".
		Clock: func() uint32 { return uint32(time.Since(start)/time.Second) + 1 },
	}, nil
}

func openPort(l path.Link) (port.Port, error) {
	p, err := raw.Open(raw.Config{Interface: l.Name, Index: l.Index, Promiscuous: true})
	if err != nil {
		return nil, err
	}
	return rawPort{p}, nil
}

// rawPort says what the kernel did not grant.
type rawPort struct{ *raw.Port }

func (p rawPort) Lacks() error { return p.Features().Offload }

func openUnderlay(o UnderlayOptions) (underlay.Underlay, error) {
	return udp.Open(udp.Config{
		Address: o.Address, Port: o.Port, Queues: o.Queues, TTL: o.TTL,
		DF: o.DF, Checksum: o.Checksum, ZeroChecksum6: o.ZeroChecksum6,
		OpenTap: openTap, OnTooBig: o.OnTooBig, Lacks: o.Lacks,
	})
}

func openTap(etherType uint16, filter []bpf.RawInstruction) (udp.Tap, error) {
	t, err := raw.OpenTap(etherType, filter)
	if err != nil {
		return nil, err
	}
	return t, nil
}
