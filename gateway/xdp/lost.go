package xdp

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// CountLost has frames counted that were redirected and that the device did not take,
// until the Plane is closed. The error says why they are not: the kernel has no types
// of its own (BTF), or does not permit it.
func (p *Plane) CountLost() error {
	cookie, err := netnsCookie()
	if err != nil {
		return fmt.Errorf("tell this network namespace from others: %w", err)
	}
	return errors.Join(
		p.trace(fastProgRedirectRefused, "xdp_redirect_err", cookie),
		p.trace(fastProgRedirectLost, "xdp_devmap_xmit", cookie),
		p.trace(fastProgSkbLost, "kfree_skb", cookie),
	)
}

// trace has a program see what a tracepoint tells of.
func (p *Plane) trace(name, tracepoint string, cookie uint64) error {
	prog, err := p.load(name, map[string]any{fastVarNetnsCookie: cookie}, nil)
	if err != nil {
		return err
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: prog})
	if err = errors.Join(err, prog.Close()); err != nil {
		return fmt.Errorf("attach to tracepoint %s: %w", tracepoint, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing.add(l.Close)
	return nil
}

// Lost returns how many frames that came in by an interface were redirected and not
// taken.
func (p *Plane) Lost(index int) uint64 { return atomic.LoadUint64(&p.lost.at[index%maxLinks]) }

// netnsCookie returns a number that no other network namespace has (Linux 5.14).
func netnsCookie() (uint64, error) {
	const soNetnsCookie = 71
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, soNetnsCookie)
}
