// Package udp attaches a VTEP to the underlay by sockets on its address, so
// that the host's routes, neighbours, source address and firewall hold for what
// the gateway sends and receives.
//
// Packets come in by UDP sockets. They go out by raw IP sockets with the
// headers written here: a UDP socket has one source port, and RFC 7348 section
// 5 wants one for each inner flow.
//
// The kernel chooses the route before it looks at the headers, so of several
// equal next hops of this host it takes the same one for all packets to a VTEP.
// Routers further on see the source ports, and on IPv6 the flow label.
//
// Multicast groups have a socket each, bound to the group and to one interface:
// it takes in that group's packets and no others, no matter what other processes
// have joined, and no limit on the memberships of one socket is met. The
// VTEP's own socket hears no group.
//
// It does not learn from routers that a packet was too long for their links
// either: an ICMP error quotes the packet's source port, and no socket has that
// port. Config.OnTooBig is told of them.
package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/net/bpf"

	"vxgw/l3/underlay"
)

// Defaults of a Config.
const (
	DefaultTTL = 64

	// DefaultBuffer is the size of a socket's receive and of its send buffer
	// in bytes: at 10 Gbit/s some three milliseconds.
	DefaultBuffer = 4 << 20
)

// Config says how a VTEP's sockets are made.
type Config struct {
	Address       netip.Addr // this VTEP; unicast, and not link-local
	Port          uint16     // UDP port, where packets come in and go to; not 0
	Queues        int        // receive queues; 0 is 1
	TTL           uint8      // TTL or hop limit; 0 is DefaultTTL
	DF            bool       // set DF on the IPv4 header
	Checksum      bool       // IPv4: fill in the UDP checksum
	ZeroChecksum6 bool       // IPv6: send and accept a zero UDP checksum (RFC 6935)

	// The sizes of each socket's buffers in bytes, 0 for DefaultBuffer. Without
	// CAP_NET_ADMIN net.core.rmem_max and wmem_max limit them.
	ReceiveBuffer, SendBuffer int

	// OpenTap opens a Tap on packets of one EtherType that the filter picks,
	// counted from their IP header on, on all interfaces. Without it
	// Refused.Malformed stays 0, and Refused.Fragment counts packets put
	// together from fragments and not the fragments.
	OpenTap func(etherType uint16, filter []bpf.RawInstruction) (Tap, error)

	// OpenLink opens an interface that packets are to go by past the host's IP
	// stack: see UseLinks. nil: all of them go by the stack.
	OpenLink func(index int) (Link, error)

	// OnTooBig is told that a router on the way to a VTEP dropped a packet of
	// ours, and how long an IP packet there may be: mtu in bytes, at least 576
	// for IPv4 and 1280 for IPv6, and less than what was sent (RFC 1191, RFC
	// 8201). Such messages can be forged by who knows both addresses and the
	// port. It is called by one goroutine, and not any more when Close has
	// returned; it must not call Close or Refused. nil: nobody listens.
	OnTooBig func(to netip.Addr, mtu int)

	// Lacks is told what the Underlay could not get and works without: the
	// socket for OnTooBig, UDP_GRO. nil: nobody is told.
	Lacks func(error)

	gro []option // of receiving sockets, where the kernel has it
}

// Underlay is a VTEP's attachment to the underlay by sockets. Its methods may
// be called by any number of goroutines.
type Underlay struct {
	// Set once.
	conns  []*conn
	queues []underlay.Conn
	groups *groupQueue
	links  links
	stats  *stack
	tap    *watch   // nil: no tap
	icmp   *tooBigs // nil: nobody listens to routers

	mu       sync.Mutex // guards what follows
	sendsBy  int        // index of the interface that packets to groups leave by
	overflow uint64     // packets that a socket had no room for
	refused  underlay.Refused
	closed   bool
}

var _ underlay.Underlay = (*Underlay)(nil)

// Open makes the sockets of a VTEP in the network namespace of the calling
// thread. Nobody else can then have the same address and port. The error wraps
// ErrNoAddress, ErrPortTaken or ErrNotPermitted where it is one of these.
func Open(cfg Config) (*Underlay, error) {
	if err := cfg.normalize(); err != nil {
		return nil, err
	}
	// The kernel's counters must be those of the namespace that the sockets
	// are made in.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	u := &Underlay{}
	u.links.cfg = &cfg
	if err := u.open(&cfg); err != nil {
		return nil, errors.Join(cfg.explain(err), u.Close())
	}
	return u, nil
}

func (u *Underlay) open(cfg *Config) (err error) {
	if u.stats, err = openStack(cfg.Address.Is6()); err != nil {
		return err
	}
	cfg.probeGRO(udpGRO)
	for i := range cfg.Queues {
		c, err := openConn(cfg, i, &u.links)
		if err != nil {
			return err
		}
		u.conns, u.queues = append(u.conns, c), append(u.queues, c)
	}
	if u.groups, err = openGroupQueue(cfg); err != nil {
		return err
	}
	if cfg.OpenTap != nil {
		if u.tap, err = openWatch(cfg, &u.groups.joined); err != nil {
			return err
		}
	}
	if cfg.OnTooBig != nil {
		u.icmp = openTooBigs(cfg)
	}
	return nil
}

// normalize fills in defaults and refuses what cannot work.
func (cfg *Config) normalize() error {
	a := cfg.Address.Unmap().WithZone("")
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast():
		return fmt.Errorf("underlay address %v: write one unicast address that this machine holds", cfg.Address)
	case a.Is6() && a.IsLinkLocalUnicast():
		return fmt.Errorf("underlay address %v is link-local, which other VTEPs cannot route to: write a global or unique local address", cfg.Address)
	case cfg.Port == 0:
		return errors.New("underlay port 0: write a UDP port from 1 to 65535; VXLAN's is 4789")
	}
	cfg.Address = a
	cfg.Queues = max(cfg.Queues, 1)
	if cfg.TTL == 0 {
		cfg.TTL = DefaultTTL
	}
	if cfg.ReceiveBuffer <= 0 {
		cfg.ReceiveBuffer = DefaultBuffer
	}
	if cfg.SendBuffer <= 0 {
		cfg.SendBuffer = DefaultBuffer
	}
	return nil
}

// Queues returns the receive queues. The kernel chooses one by a hash of
// addresses and ports, so that a flow stays on its queue.
func (u *Underlay) Queues() []underlay.Conn { return u.queues }

// GroupQueue returns the queue that packets to all groups come in by.
func (u *Underlay) GroupQueue() underlay.Reader { return u.groups }

// SetGroups is as underlay.Underlay has it. It makes sockets in the network
// namespace of the calling thread, which must be the one that Open was called
// in.
func (u *Underlay) SetGroups(m underlay.Membership) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return net.ErrClosed
	}
	if err := u.sendGroupsBy(m.Interface); err != nil {
		return fmt.Errorf("send to multicast groups by interface %d: %w", m.Interface, err)
	}
	return u.groups.set(m)
}

// sendGroupsBy says by which interface packets to groups leave. It needs mu.
func (u *Underlay) sendGroupsBy(index int) error {
	if index == u.sendsBy {
		return nil
	}
	for _, c := range u.conns {
		if err := c.sendGroupsBy(index); err != nil {
			u.sendsBy = 0
			return err
		}
	}
	u.sendsBy = index
	return nil
}

// UseLinks is as underlay.Underlay has it.
func (u *Underlay) UseLinks(interfaces []int) ([]underlay.Reader, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, net.ErrClosed
	}
	if u.links.cfg.OpenLink == nil {
		return nil, nil
	}
	return u.links.use(interfaces)
}

// Refused returns the totals of all queues.
//
// The kernel counts wrong checksums for a whole network namespace only, so
// Checksum counts those of other UDP sockets too. For Overflow it has one count
// for each socket, which takes in wrong checksums, and one of buffers that were
// full for the namespace: the smaller of both is the answer. A run of packets
// that the kernel had put together, 64 at most, is one to it.
func (u *Underlay) Refused() underlay.Refused {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		u.count()
	}
	return u.refused
}

// count brings the totals up to date. It needs mu.
func (u *Underlay) count() {
	var drops, fragments uint64
	for _, c := range u.conns {
		drops += c.dropped()
		fragments += c.fragments.Load()
	}
	drops += u.groups.dropped()
	fragments += u.groups.fragments.Load()
	if s, ok := u.stats.read(); ok {
		u.overflow = max(u.overflow, min(drops, s.overflow))
		u.refused.Checksum = max(u.refused.Checksum, s.checksum+u.links.refused.checksum.Load())
	}
	u.refused.Overflow = u.overflow + u.links.overflows()
	u.refused.Malformed = u.links.refused.malformed.Load()
	u.refused.Fragment = fragments
	if u.tap != nil {
		u.refused.Fragment = u.tap.fragments.Load()
		u.refused.Malformed += u.tap.malformed.Load()
	}
}

// Close ends all queues: whoever waits in ReadBatch gets net.ErrClosed. A second
// Close does nothing.
func (u *Underlay) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil
	}
	u.closed = true
	var errs []error
	if u.stats != nil && u.groups != nil {
		u.count()
	}
	if u.stats != nil {
		errs = append(errs, u.stats.close())
	}
	if u.groups != nil {
		errs = append(errs, u.groups.Close())
	}
	for _, c := range u.conns {
		errs = append(errs, c.Close())
	}
	_, err := u.links.use(nil)
	errs = append(errs, err)
	if u.tap != nil {
		errs = append(errs, u.tap.close())
	}
	if u.icmp != nil {
		errs = append(errs, u.icmp.close())
	}
	return errors.Join(errs...)
}
