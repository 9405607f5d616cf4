package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/mmsg"
	"vxgw/l3/underlay"
)

// groupSet is a set of groups that is replaced whole.
type groupSet struct {
	set atomic.Pointer[map[netip.Addr]struct{}]
}

func (g *groupSet) has(a netip.Addr) bool {
	m := g.set.Load()
	if m == nil {
		return false
	}
	_, ok := (*m)[a]
	return ok
}

// groupQueue receives what is sent to the VTEP's groups, from one socket for
// each. The sockets stand behind one epoll instance, so that one goroutine, with
// the memory of one batch, reads them all.
//
// Sharing a port by SO_REUSEPORT spreads unicast over sockets; of a packet to a
// group each of them would get a copy.
type groupQueue struct {
	// Set once.
	cfg  *Config
	poll *os.File // the epoll instance
	raw  syscall.RawConn

	in        receiver // the reader's own
	receive   func(fd uintptr) bool
	event     [1]unix.EpollEvent
	fragments atomic.Uint64
	closed    atomic.Bool
	joined    groupSet // what sockets has

	mu        sync.Mutex // guards what follows; the reader holds it while it reads, once a batch
	sockets   map[netip.Addr]*groupSocket
	at        int    // index of the interface that they are bound to
	epoch     uint64 // see underlay.Membership
	dropsGone uint64 // of sockets that were closed
}

// groupSocket is the membership in one group.
type groupSocket struct {
	fd    int
	drops dropCount
}

var _ underlay.Reader = (*groupQueue)(nil)

func openGroupQueue(cfg *Config) (*groupQueue, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true) // says to os.NewFile that it can be waited for
	}
	if err != nil {
		return nil, fmt.Errorf("epoll instance: %w", err)
	}
	q := &groupQueue{cfg: cfg, poll: os.NewFile(uintptr(fd), "groups"), sockets: make(map[netip.Addr]*groupSocket)}
	q.in.init(cfg.countIn(&q.fragments))
	q.receive = q.tryReceive
	if q.raw, err = q.poll.SyscallConn(); err != nil {
		return nil, errors.Join(err, q.poll.Close())
	}
	return q, nil
}

// ReadBatch is as underlay.Reader has it.
func (q *groupQueue) ReadBatch(pkts []underlay.Packet) (int, error) {
	pkts = pkts[:min(len(pkts), underlay.BatchSize)]
	for len(pkts) > 0 {
		n := q.in.hand(pkts)
		if n == 0 {
			if err := q.read(len(pkts)); err != nil {
				return 0, err
			}
			continue
		}
		if n = q.others(pkts[:n]); n > 0 {
			return n, nil
		}
	}
	return 0, nil
}

// read waits for messages.
func (q *groupQueue) read(packets int) error {
	q.in.prepare(packets)
	err := q.raw.Read(q.receive)
	switch {
	case q.closed.Load():
		return net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = q.poll.SetReadDeadline(time.Time{}) // fails when closed, and the next read says so
		return err
	case err != nil:
		return err
	case q.in.errno != 0:
		return fmt.Errorf("receive from a multicast group: %w", q.in.errno)
	}
	return nil
}

// tryReceive takes what is ready from one socket after the other, and reports
// false when nothing is. It asks for one socket at a time: the kernel then puts
// that one behind all others, so that none has to wait for a busy one.
func (q *groupQueue) tryReceive(poll uintptr) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := &q.in
	for r.got < r.asked {
		n, err := unix.EpollWait(int(poll), q.event[:], 0)
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			break
		}
		k, errno := mmsg.Receive(uintptr(q.event[0].Fd), r.msgs[r.got:r.asked])
		if errno != 0 && errno != unix.EAGAIN {
			r.errno = errno
			return true
		}
		r.got += k
	}
	return r.got > 0
}

// others moves the packets that others have sent to the front, and returns their
// number. The kernel hands this machine's members of a group what this machine
// sends there; our own copies are nothing that came in, and are not counted.
func (q *groupQueue) others(pkts []underlay.Packet) (n int) {
	for i := range pkts {
		if pkts[i].From != q.cfg.Address {
			pkts[n], pkts[i] = pkts[i], pkts[n]
			n++
		}
	}
	return n
}

// Wake makes the ReadBatch that waits, or else the next one, return at once.
func (q *groupQueue) Wake() { _ = q.poll.SetReadDeadline(longAgo) } // fails when closed, which wakes too

// Close leaves all groups. A second Close does nothing.
func (q *groupQueue) Close() error {
	if q.closed.Swap(true) {
		return nil
	}
	q.mu.Lock()
	q.leaveAll()
	q.publish()
	q.mu.Unlock()
	return q.poll.Close() // waits for the reader, who may want mu
}

// set brings the memberships into line with m.
func (q *groupQueue) set(m underlay.Membership) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m.Interface != q.at || m.Epoch != q.epoch {
		q.leaveAll()
		q.at, q.epoch = m.Interface, m.Epoch
	}
	changed := q.leaveOthers(m.Groups)
	failed := q.joinAll(m.Groups, &changed)
	if changed || len(q.sockets) == 0 {
		q.publish()
	}
	if failed == nil {
		return nil // and no interface around no pointer
	}
	return failed
}

// joinAll joins the groups that were not joined yet, if there is an interface
// for that. It needs mu.
func (q *groupQueue) joinAll(groups []netip.Addr, changed *bool) (failed *underlay.GroupError) {
	for _, a := range groups {
		if q.sockets[a] != nil || q.at == 0 {
			continue
		}
		s, err := q.join(a)
		switch {
		case err == nil:
			q.sockets[a], *changed = s, true
		case failed == nil:
			failed = &underlay.GroupError{Group: a, Err: err}
		default:
			failed.Others++
		}
	}
	return failed
}

// leaveOthers leaves every group but these. It needs mu.
func (q *groupQueue) leaveOthers(keep []netip.Addr) (left bool) {
	kept := 0
	for _, a := range keep {
		if q.sockets[a] != nil {
			kept++
		}
	}
	if kept == len(q.sockets) {
		return false
	}
	want := make(map[netip.Addr]bool, len(keep))
	for _, a := range keep {
		want[a] = true
	}
	for a := range q.sockets {
		if !want[a] {
			q.leave(a)
		}
	}
	return true
}

// leaveAll needs mu.
func (q *groupQueue) leaveAll() {
	for a := range q.sockets {
		q.leave(a)
	}
}

// leave ends a membership: the kernel does so when its socket is closed. It
// needs mu.
func (q *groupQueue) leave(a netip.Addr) {
	s := q.sockets[a]
	s.drops.read(uintptr(s.fd))
	q.dropsGone += s.drops.total
	unix.Close(s.fd) // an error is no reason to think that it is open
	delete(q.sockets, a)
}

// publish tells the tap what is joined. It needs mu.
func (q *groupQueue) publish() {
	m := make(map[netip.Addr]struct{}, len(q.sockets))
	for a := range q.sockets {
		m[a] = struct{}{}
	}
	q.joined.set.Store(&m)
}

// dropped returns how many packets the sockets had to drop.
func (q *groupQueue) dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.dropsGone
	for _, s := range q.sockets {
		s.drops.read(uintptr(s.fd))
		n += s.drops.total
	}
	return n
}

// join makes the socket of one group. It needs mu.
func (q *groupQueue) join(group netip.Addr) (*groupSocket, error) {
	fd, err := unix.Socket(domain(group), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := q.prepare(fd, group); err != nil {
		unix.Close(fd)
		return nil, err
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := q.watch(fd, &ev); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &groupSocket{fd: fd}, nil
}

func (q *groupQueue) watch(fd int, ev *unix.EpollEvent) error {
	return control(q.raw, func(poll int) error { return unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, ev) })
}

// prepare binds a socket to the group and the interface before it joins, so that
// nothing else ever comes in by it.
func (q *groupQueue) prepare(fd int, group netip.Addr) error {
	if err := setAll(fd, append(receiveOptions(q.cfg), groupOptions(group, q.at)...)); err != nil {
		return err
	}
	if err := setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, q.cfg.ReceiveBuffer); err != nil {
		return err
	}
	if err := unix.Bind(fd, groupAddress(group, q.cfg.Port, q.at)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if group.Is4() {
		return unix.SetsockoptIPMreqn(fd, unix.SOL_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(q.at)})
	}
	return unix.SetsockoptIPv6Mreq(fd, unix.SOL_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(q.at)})
}

// groupOptions let other gateways on this machine have the same group, each with
// copies of its own, and keep out what this socket has not asked for: without
// the last, any process's membership counts.
func groupOptions(group netip.Addr, index int) []option {
	opts := []option{
		{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{"SO_BINDTOIFINDEX", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index},
	}
	if group.Is4() {
		return append(opts, option{"IP_MULTICAST_ALL", unix.SOL_IP, unix.IP_MULTICAST_ALL, 0})
	}
	return append(opts,
		option{"IPV6_V6ONLY", unix.SOL_IPV6, unix.IPV6_V6ONLY, 1},
		option{"IPV6_MULTICAST_ALL", unix.SOL_IPV6, unix.IPV6_MULTICAST_ALL, 0})
}

func domain(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// groupAddress returns where the socket of a group is bound to. The zone is
// looked at for link-local groups only.
func groupAddress(group netip.Addr, port uint16, index int) unix.Sockaddr {
	if group.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: group.As4()}
	}
	return &unix.SockaddrInet6{Port: int(port), Addr: group.As16(), ZoneId: uint32(index)}
}
