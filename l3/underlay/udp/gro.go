package udp

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// udpGRO has the kernel put the datagrams of a flow together before a socket
// takes them (udp(7)). It does so with those that have a checksum, one that is
// right, and where the device they come in by has GRO on.
var udpGRO = option{"UDP_GRO", unix.SOL_UDP, unix.UDP_GRO, 1}

// errNoGRO is for a kernel before Linux 5.0.
var errNoGRO = errors.New("the kernel hands over the packets of a flow one by one, which costs more; from Linux 5.0 on it can do better")

// probeGRO has receiving sockets ask for gro if there is such an option.
func (cfg *Config) probeGRO(gro option) {
	cfg.gro = nil
	fd, err := unix.Socket(domain(cfg.Address), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return // the sockets that matter say so
	}
	defer unix.Close(fd)
	if err := gro.set(fd); err == nil {
		cfg.gro = []option{gro}
	} else if cfg.Lacks != nil {
		cfg.Lacks(fmt.Errorf("%w: %w", errNoGRO, err))
	}
}

// countIn returns where receivers count packets that came in fragments: n, or
// nil where the tap does it.
func (cfg *Config) countIn(n *atomic.Uint64) *atomic.Uint64 {
	if cfg.OpenTap != nil {
		return nil
	}
	return n
}
