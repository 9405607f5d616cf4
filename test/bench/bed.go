package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vxgw/test/bench/load"
	"vxgw/test/netns"
)

// spec is what a bed is like.
type spec struct {
	vnis int // each with an access port of its own
	macs int // addresses behind the remote VTEP, in each VNI; 1 where there are many VNIs

	// hosts is for traffic that hosts make. The wires are as the kernel makes
	// them, and h1 and h2 can talk. Otherwise the wires take a generator's
	// frames, and a device's that it redirects, and what reaches h1 and the peer is
	// dropped.
	hosts bool

	// routed has the hosts send to the device's own MAC, which routes from the VNI
	// back into it: the way is that of bridged frames, and only the work differs.
	routed bool
}

func (s spec) String() string {
	text := fmt.Sprintf("%d VNIs, %d MACs each", s.vnis, s.macs)
	if s.routed {
		text += ", routed"
	}
	return text
}

// bed is a device at work between two hosts:
//
//	h1 eth0.. --- acc0.. gw und0 === und0 peer acc0 --- eth0 h2
//
// Host h1 has a device for each VNI, and its IP address on the first. The peer
// is a kernel VTEP of the first VNI, and h2 the host behind it.
type bed struct {
	spec
	bare             bool // what passes the device leaves as it came
	h1, gw, peer, h2 *netns.NS
	under            running // the device under test
	far              running // the VTEP in peer
	sinks            []*load.Sink

	// took is the time from the device's start until it forwarded in every
	// VNI.
	took time.Duration
}

// newBed builds a bed, and returns when the device forwards and has learned
// every address.
func newBed(ctx context.Context, d device, s spec) (*bed, error) {
	b := &bed{spec: s, bare: d.Bare()}
	err := first(
		b.namespaces,
		func() error { return b.wires(ctx) },
		func() error { return b.addresses(ctx) },
		func() (err error) {
			b.far, err = kernel{}.Start(ctx, site{ns: b.peer, local: peerVTEP, remote: gwVTEP, vnis: 1, macs: 1})
			return err
		},
		func() error { return b.start(ctx, d) },
		func() error { return b.ready(ctx) },
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s, %v: %w", d.Title(), s, err), b.close())
	}
	return b, nil
}

// first runs the functions until one fails.
func first(fs ...func() error) error {
	for _, f := range fs {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bed) namespaces() error {
	for _, n := range []struct {
		ns   **netns.NS
		name string
	}{{&b.h1, "vxgw-bench-h1"}, {&b.gw, "vxgw-bench-gw"}, {&b.peer, "vxgw-bench-peer"}, {&b.h2, "vxgw-bench-h2"}} {
		ns, err := netns.New(n.name)
		if err != nil {
			return err
		}
		*n.ns = ns
	}
	return nil
}

// accessGroup marks the access ports, so that they can be deleted together.
const accessGroup = "7"

func (b *bed) wires(ctx context.Context) error {
	var near, far []string
	for i := range b.vnis {
		near = append(near,
			fmt.Sprintf("link add %s group %s type veth peer name %s netns %s", access(i), accessGroup, hostDev(i), b.h1.Name()),
			fmt.Sprintf("link set %s up", access(i)))
		far = append(far, fmt.Sprintf("link set %s up", hostDev(i)))
	}
	return first(
		func() error { return ip(ctx, b.gw, near) },
		func() error { return b.h1.SetMAC(hostDev(0), h1MAC) },
		func() error { return ip(ctx, b.h1, far) },
		func() error {
			return netns.Veth(b.gw, underlay, b.peer, underlay, netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: underlayMTU})
		},
		func() error {
			return netns.Veth(b.peer, access(0), b.h2, hostDev(0), netns.VethOptions{BMAC: h2MAC})
		},
		b.takeFrames,
	)
}

// takeFrames has both sides of the wires take frames that XDP programs redirect:
// a generator's, and a device's until the sinks are there.
func (b *bed) takeFrames() error {
	if b.hosts {
		return nil
	}
	if err := b.fit(); err != nil {
		return err
	}
	for _, side := range []struct {
		ns   *netns.NS
		devs []string
	}{{b.gw, append(each(b.vnis, access), underlay)}, {b.h1, each(b.vnis, hostDev)}, {b.peer, []string{underlay}}} {
		for _, dev := range side.devs {
			if err := side.ns.Offloads(dev, true, "gro"); err != nil {
				return err
			}
		}
	}
	return nil
}

// fit makes room on the access wire for what a bare device sends to h1, which is as
// long as on the underlay.
func (b *bed) fit() error {
	if !b.bare {
		return nil
	}
	return errors.Join(b.h1.SetMTU(hostDev(0), underlayMTU), b.gw.SetMTU(access(0), underlayMTU))
}

// addresses gives everybody an address, and says who has which: nobody asks
// for one later, and what is counted is only what is sent.
func (b *bed) addresses(ctx context.Context) error {
	host := func(addr, other, mac any) []string {
		return []string{
			fmt.Sprintf("addr add %v/24 dev %s", addr, hostDev(0)),
			fmt.Sprintf("neigh add %v lladdr %v dev %s nud permanent", other, mac, hostDev(0)),
		}
	}
	vtep := func(addr, other, mac any) []string {
		return []string{
			fmt.Sprintf("addr add %v/24 dev %s", addr, underlay),
			fmt.Sprintf("neigh add %v lladdr %v dev %s nud permanent", other, mac, underlay),
		}
	}
	return first(
		func() error { return ip(ctx, b.h1, host(h1Addr, h2Addr, h2MAC)) },
		func() error { return ip(ctx, b.h2, host(h2Addr, h1Addr, h1MAC)) },
		func() error { return ip(ctx, b.gw, vtep(gwVTEP, peerVTEP, peerMAC)) },
		func() error { return ip(ctx, b.peer, vtep(peerVTEP, gwVTEP, gwMAC)) },
	)
}

// start starts the device, and waits until it forwards in every VNI.
func (b *bed) start(ctx context.Context, d device) error {
	p, err := newProber(b)
	if err != nil {
		return err
	}
	began := time.Now()
	b.under, err = d.Start(ctx, site{ns: b.gw, local: gwVTEP, remote: peerVTEP, vnis: b.vnis, macs: b.macs, routed: b.routed})
	if err == nil {
		err = p.run(ctx)
	}
	b.took = time.Since(began)
	return errors.Join(err, p.close())
}

// ready has the device learn who is where, and drops what comes through it from
// now on unless it is for hosts.
func (b *bed) ready(ctx context.Context) error {
	if b.hosts {
		return b.greet(ctx)
	}
	if b.routed {
		if err := b.introduce(ctx); err != nil {
			return err
		}
	}
	if !b.bare {
		if err := b.teach(ctx); err != nil {
			return err
		}
	}
	for _, s := range []struct {
		ns   *netns.NS
		devs []string
	}{{b.h1, each(b.vnis, hostDev)}, {b.peer, []string{underlay}}} {
		sink, err := load.NewSink(s.ns, s.devs...)
		if err != nil {
			return err
		}
		b.sinks = append(b.sinks, sink)
	}
	return nil
}

// greet has the hosts ping each other.
func (b *bed) greet(ctx context.Context) error {
	const count = 3
	n, err := b.h1.Ping(ctx, h2Addr, count, netns.PingOptions{})
	if err == nil && n != count {
		err = fmt.Errorf("h1 pings h2: %d of %d answered", n, count)
	}
	return err
}

// introduce has the hosts ping the router, which so knows of them. What it knows
// lasts for some ten seconds without an answer: what is dropped behind it is its
// own questions too.
func (b *bed) introduce(ctx context.Context) error {
	for _, h := range []*netns.NS{b.h1, b.h2} {
		if n, err := h.Ping(ctx, routerAddr, 2, netns.PingOptions{}); err != nil || n == 0 {
			return errors.Join(fmt.Errorf("%v does not reach the router", h), err)
		}
	}
	return nil
}

// close takes everything away.
func (b *bed) close() error {
	var errs []error
	for _, s := range b.sinks {
		errs = append(errs, s.Close())
	}
	for _, r := range []running{b.under, b.far} {
		if r != nil {
			errs = append(errs, r.Stop())
		}
	}
	if b.gw != nil {
		errs = append(errs, deleteGroup(b.gw, accessGroup))
	}
	for _, n := range []*netns.NS{b.h1, b.h2, b.peer, b.gw} {
		if n != nil {
			errs = append(errs, n.Close())
		}
	}
	return errors.Join(errs...)
}
