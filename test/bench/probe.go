package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// A prober finds out when a device forwards: it sends a broadcast from h1 into
// each VNI, again and again, until one of each has come to the peer.
type prober struct {
	capture *netns.Capture
	fd      int

	bare  bool           // probes come as they were sent
	ports map[uint32]int // interface index, by VNI

	mu      sync.Mutex
	missing map[uint32]bool // VNIs that no probe has come from
}

// typeProbe is the EtherType of probes, for local experiments (IEEE 802).
const typeProbe = 0x88b5

// probeEvery is the time between two probes of a VNI, and how exactly a start is
// measured.
const probeEvery = time.Millisecond

func newProber(b *bed) (*prober, error) {
	p := &prober{fd: -1, bare: b.bare, ports: make(map[uint32]int), missing: make(map[uint32]bool)}
	indexes, err := b.h1.Indexes(each(b.vnis, hostDev)...)
	if err != nil {
		return nil, err
	}
	for i, index := range indexes {
		vni := uint32(firstVNI + i)
		p.ports[vni], p.missing[vni] = index, true
	}
	err = b.h1.Do(func() (err error) {
		p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err == nil {
		p.capture, err = b.peer.Capture(underlay, netns.Only(p.saw))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("probe: %w", err), p.close())
	}
	return p, nil
}

// saw notes a probe that came to the peer. The capture keeps no frame.
func (p *prober) saw(f []byte) bool {
	vni, ok := probed(f)
	if p.bare {
		vni, ok = firstVNI, isProbe(f)
	}
	if ok {
		p.mu.Lock()
		delete(p.missing, vni)
		p.mu.Unlock()
	}
	return false
}

// probed returns the VNI that a frame carries a probe in.
func probed(f []byte) (vni uint32, ok bool) {
	if len(f) < outerLen || !isProbe(f[outerLen:]) {
		return 0, false
	}
	return binary.BigEndian.Uint32(f[vniOffset:]) >> 8, true
}

func isProbe(f []byte) bool {
	return len(f) >= frame.HeaderLen && frame.Frame(f).Type() == typeProbe
}

// run returns when the device forwards in every VNI.
func (p *prober) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		missing := p.unseen()
		if len(missing) == 0 {
			return nil
		}
		if err := p.send(missing); err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not forward in %d VNIs: %w", len(missing), context.Cause(ctx))
		case <-time.After(probeEvery):
		}
	}
}

func (p *prober) unseen() []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []uint32
	for vni := range p.missing {
		all = append(all, vni)
	}
	return all
}

func (p *prober) send(vnis []uint32) error {
	probe := packet.Ethernet(frame.Broadcast, h1MAC, typeProbe, make([]byte, 46))
	for _, vni := range vnis {
		if err := unix.Sendto(p.fd, probe, 0, &unix.SockaddrLinklayer{Ifindex: p.ports[vni]}); err != nil {
			return err
		}
	}
	return nil
}

func (p *prober) close() error {
	var errs []error
	if p.capture != nil {
		errs = append(errs, p.capture.Close())
	}
	if p.fd >= 0 {
		errs = append(errs, unix.Close(p.fd))
	}
	return errors.Join(errs...)
}
