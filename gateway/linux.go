package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/net/bpf"

	"vxgw/gateway/doctor"
	"vxgw/gateway/xdp"
	"vxgw/l2/port"
	"vxgw/l2/port/raw"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/echo"
	"vxgw/l3/underlay/path"
	"vxgw/l3/underlay/udp"
)

// Unload ends the fast path that a gateway has left which does not run any more, and
// returns the interfaces, by index, that it was at.
func Unload() ([]int, error) { return xdp.Unload() }

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
		OpenFast:     xdp.NewPlane,
		PinDir:       xdp.PinDir,
		OpenEcho:     openEcho,
		Machine:      doctor.Linux(host),
		PortTaken:    udp.IsPortTaken,
		LookAround:   raw.LookAround,
		IsHeard:      raw.IsHeard,
		// From 1, because 0 says "never".
		Clock: func() uint32 { return uint32(time.Since(start)/time.Second) + 1 },
		Nanos: func() int64 { return int64(time.Since(start)) + 1 },
	}, nil
}

func openEcho(own netip.Addr) (Echo, error) {
	s, err := echo.Open(own)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// tapped is a port with a Tap.
type tapped struct {
	*raw.Port
	tap *xdp.Tap
}

// Close is as port.Port has it. The sockets go first: see xdp.Tap.
func (p *tapped) Close() error { return errors.Join(p.Port.Close(), p.tap.Close()) }

func openPort(l path.Link, o PortOptions) (port.Port, error) {
	var split *xdp.Split
	var tap *xdp.Tap
	p, err := raw.Open(raw.Config{
		Interface: l.Name, Index: l.Index, Promiscuous: true, MTU: l.MTU, Queues: o.Queues, RingBytes: o.RingBytes, Express: !l.Shaped,
		Split: func(room int) (raw.Split, error) {
			if o.Tap != nil {
				if t, err := o.Tap(l.Index, room); err == nil {
					tap = t
					return raw.Split{Ring: t.Split.Ring.FD(), Rest: t.Split.Rest.FD()}, nil
				}
			}
			s, err := xdp.NewSplit(room)
			if err != nil {
				return raw.Split{}, err
			}
			split = s
			return raw.Split{Ring: s.Ring.FD(), Rest: s.Rest.FD()}, nil
		},
	})
	if split != nil {
		err = errors.Join(err, split.Close())
	}
	switch {
	case err != nil && tap != nil:
		return nil, errors.Join(err, tap.Close())
	case err != nil:
		return nil, err
	case tap != nil:
		return &tapped{p, tap}, nil
	}
	return p, nil
}

func openUnderlay(o UnderlayOptions) (underlay.Underlay, error) {
	return udp.Open(udp.Config{
		Address: o.Address, Port: o.Port, Queues: o.Queues, TTL: o.TTL,
		DF: o.DF, Checksum: o.Checksum, ZeroChecksum6: o.ZeroChecksum6,
		OpenTap: openTap, OnTooBig: o.OnTooBig, Lacks: o.Lacks,
		OpenLink: func(index int) (udp.Link, error) {
			return openLink(index, o)
		},
	})
}

// wireLink is an interface that VXLAN goes by past the host's IP stack.
type wireLink struct {
	*raw.Sender
	reader *raw.Reader                // nil: packets come in by the stack
	divert interface{ Close() error } // nil: the host's stack has all packets
	whole  *wholes                    // nil: super-frames are cut before they are sent
}

// openLink opens an interface for a VTEP. o.Lacks is told what is missing for
// receiving past the stack, and for sending super-frames whole.
func openLink(index int, o UnderlayOptions) (udp.Link, error) {
	l := &wireLink{}
	var err error
	if l.Sender, err = raw.OpenSender(index, true); err != nil {
		return nil, err
	}
	l.reader, err = raw.OpenReader(raw.Config{
		Index: index, Queues: o.Queues,
		Split: func(room int) (_ raw.Split, err error) {
			s, err := l.takeFromStack(index, room, o)
			if err != nil {
				return raw.Split{}, err
			}
			return raw.Split{Ring: s.Ring.FD(), Rest: s.Rest.FD()}, nil
		},
	})
	if err != nil {
		err = errors.Join(err, l.endDiversion())
		o.Lacks(fmt.Errorf("VXLAN is received by the host's IP stack, which is slower: %w", err))
	}
	if o.zeroChecksum() {
		if l.whole, err = openWholes(index, o); err != nil {
			o.Lacks(fmt.Errorf("%s: %w", cutHere, err))
		}
	}
	return l, nil
}

// takeFromStack has VXLAN for the VTEP taken by sockets with the filters that it returns.
func (l *wireLink) takeFromStack(index, room int, o UnderlayOptions) (*xdp.Split, error) {
	if o.Tap != nil {
		if t, err := o.Tap(index, room); err == nil {
			l.divert = t
			return t.Split, nil
		}
	}
	d, err := xdp.Divert(index, netip.AddrPortFrom(o.Address, o.Port), room)
	if err != nil {
		return nil, err
	}
	l.divert = d
	return d.Split, nil
}

// zeroChecksum reports whether packets go without an outer UDP checksum.
func (o *UnderlayOptions) zeroChecksum() bool {
	if o.Address.Is6() {
		return o.ZeroChecksum6
	}
	return !o.Checksum
}

func (l *wireLink) endDiversion() error {
	if l.divert == nil {
		return nil
	}
	d := l.divert
	l.divert = nil
	return d.Close()
}

// Queues is as udp.Link has it.
func (l *wireLink) Queues() []udp.FrameReader {
	if l.reader == nil {
		return nil
	}
	var all []udp.FrameReader
	for _, q := range l.reader.Queues() {
		all = append(all, q)
	}
	return all
}

// Close lets the host's stack have the packets again. Each is either the stack's or
// is still read.
func (l *wireLink) Close() error {
	var err error
	if l.reader != nil {
		err = l.reader.Close()
	}
	if l.whole != nil {
		err = errors.Join(err, l.whole.close())
	}
	return errors.Join(err, l.endDiversion(), l.Sender.Close())
}

func openTap(etherType uint16, filter []bpf.RawInstruction) (udp.Tap, error) {
	t, err := raw.OpenTap(etherType, filter)
	if err != nil {
		return nil, err
	}
	return t, nil
}
