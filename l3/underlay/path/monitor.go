package path

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// syncEvery is how often everything is read anew, just in case, and
	// because the kernel does not say when the path MTU it has learned
	// expires.
	syncEvery = 30 * time.Second

	// syncGap is the least time between two dumps, however much is lost.
	syncGap = time.Second

	// routingGap is the least time between two signals that only routes
	// changed, so that a router's churn does not keep the gateway busy.
	routingGap = 250 * time.Millisecond

	// maxFailures is after how many dumps that failed in a row Run gives up.
	maxFailures = 10

	// drainBatches bounds how much is read before a dump.
	drainBatches = 1 << 14
)

// Monitor knows the host's links, addresses and neighbours, and while Run runs
// it knows them as they are. Its methods may be called from any goroutine.
type Monitor struct {
	// Set once.
	events  *socket   // of rtnetlink
	sockets []*socket // what is read: events, after that of the netdev family, which tells of a new device first
	waiter  *waiter   // for all of them
	dumper  *dumper
	changed chan struct{}

	// requests is held for reading while handle is in use: a netlink.Handle
	// that was closed would speak to the namespace of whatever thread it is
	// called on.
	requests sync.RWMutex
	handle   *netlink.Handle // nil once closed

	closed atomic.Bool

	mu    sync.RWMutex // guards what follows
	state *state
	news  chan struct{} // closed when state changes next

	// Of Run alone.
	nextSync    time.Time
	lastSync    time.Time
	routesStale bool
	nextRouting time.Time // no signal for routes before
	syncs       int
	losses      int
	failures    int // of dumps, in a row
}

// Open begins to follow the network namespace of the calling thread and
// returns when everything is known. What happens from then on waits for Run.
// A Monitor that is not run must be closed.
func Open() (*Monitor, error) {
	// The sockets must all come from one namespace.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	m := &Monitor{changed: make(chan struct{}, 1), state: newState(), news: make(chan struct{})}
	if err := m.open(); err != nil {
		m.Close()
		return nil, fmt.Errorf("follow the host's links: %w", err)
	}
	return m, nil
}

func (m *Monitor) open() error {
	netdev, err := netdevFamily()
	if err != nil {
		return err
	}
	return m.openWith(netdev)
}

func (m *Monitor) openWith(netdev genericFamily) (err error) {
	// Subscribe before the first dump: what happens meanwhile is told twice
	// rather than never.
	if err := m.listen(netdev); err != nil {
		return err
	}
	if m.dumper, err = newDumper(netdev); err != nil {
		return err
	}
	if m.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	if err := m.handle.SetSocketTimeout(requestTimeout); err != nil {
		return err
	}
	return m.sync()
}

func (m *Monitor) listen(netdev genericFamily) error {
	if netdev.id != 0 {
		s, err := listenToNetdev(netdev)
		if err != nil {
			return err
		}
		m.sockets = append(m.sockets, s)
	}
	s, err := listen()
	if err != nil {
		return err
	}
	m.events, m.sockets = s, append(m.sockets, s)
	m.waiter, err = newWaiter(m.sockets)
	return err
}

// Close gives everything back and ends Run. What was known last can still be
// asked for, but for Path. A second Close does nothing. The error is always
// nil.
func (m *Monitor) Close() error {
	m.closed.Store(true)
	if m.waiter != nil {
		m.waiter.file.Close() // an error is that it was closed before
	}
	for _, s := range m.sockets {
		s.file.Close()
	}
	m.requests.Lock()
	defer m.requests.Unlock()
	if m.dumper != nil {
		m.dumper.close()
	}
	if m.handle != nil {
		m.handle.Close()
		m.handle = nil
	}
	return nil
}

// Changed is signalled when links, addresses or paths may have changed; it is
// worth looking again at whatever was asked for. Many changes become one
// signal. It is also signalled after each full reading of the host, at least
// every 30 s.
func (m *Monitor) Changed() <-chan struct{} { return m.changed }

// Run follows the host until ctx ends, and then closes the Monitor and returns
// nil. It is called once.
func (m *Monitor) Run(ctx context.Context) error {
	defer m.Close()
	stop := context.AfterFunc(ctx, func() { m.Close() })
	defer stop()
	for {
		if err := m.step(); err != nil {
			if m.closed.Load() {
				return nil
			}
			return fmt.Errorf("follow the host's links: %w", err)
		}
	}
}

// step waits for the next thing to do and does it.
func (m *Monitor) step() error {
	deadline := m.nextSync
	if m.routesStale && m.nextRouting.Before(deadline) {
		deadline = m.nextRouting
	}
	if err := m.waiter.wait(deadline); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	for _, s := range m.sockets {
		msgs, err := s.poll()
		switch {
		case errors.Is(err, errLost):
			m.lost()
		case err != nil:
			return err
		}
		m.take(msgs)
	}
	now := time.Now()
	if m.routesStale && !now.Before(m.nextRouting) {
		m.routesStale, m.nextRouting = false, now.Add(routingGap)
		m.signal()
	}
	if !now.Before(m.nextSync) {
		return m.sync()
	}
	return nil
}

// lost brings the next dump forward.
func (m *Monitor) lost() {
	m.losses++
	if soon := m.lastSync.Add(syncGap); soon.Before(m.nextSync) {
		m.nextSync = soon
	}
}

// take applies messages and signals what is worth a look at once.
func (m *Monitor) take(msgs []message) {
	if len(msgs) == 0 {
		return
	}
	said := m.askDrivers(msgs, false)
	var e effect
	m.mu.Lock()
	for index, h := range said {
		if m.state.setHardware(index, h) {
			e |= facts
		}
	}
	for _, msg := range msgs {
		e |= m.state.apply(msg.typ, msg.body)
	}
	if e&facts != 0 {
		m.tell()
	}
	m.mu.Unlock()
	if e&routing != 0 {
		m.routesStale = true
	}
	if e&facts != 0 {
		m.signal()
	}
}

// tell wakes who waits for state to change. It needs mu.
func (m *Monitor) tell() {
	close(m.news)
	m.news = make(chan struct{})
}

func (m *Monitor) signal() {
	select {
	case m.changed <- struct{}{}:
	default: // one is waiting; who takes it sees this change too
	}
}

// sync reads everything anew.
//
// What waits to be read is taken in first. It is older than the dump, and a
// socket that has overflowed hears nothing more until it was emptied, nor does
// it say so a second time: a dump before that would miss what follows it.
func (m *Monitor) sync() error {
	if err := m.drain(); err != nil {
		return err
	}
	dump, complete, err := m.dumper.dump()
	m.lastSync = time.Now()
	if err != nil {
		return m.again(err)
	}
	m.failures = 0
	said := m.askDrivers(dump, true)
	m.mu.Lock()
	for index, h := range said {
		m.state.setHardware(index, h)
	}
	if complete {
		m.state.replace(dump)
	} else {
		for _, msg := range dump {
			m.state.apply(msg.typ, msg.body)
		}
	}
	m.tell()
	m.mu.Unlock()
	m.syncs++
	m.nextSync = m.lastSync.Add(syncEvery)
	if !complete {
		m.nextSync = m.lastSync.Add(syncGap)
	}
	m.routesStale = false
	m.signal()
	return nil
}

// again has a dump that failed tried anew, a few times: the kernel may be short
// of memory. Until then notifications keep what is known up to date.
func (m *Monitor) again(err error) error {
	m.failures++
	if m.syncs == 0 || m.failures >= maxFailures {
		return err
	}
	m.nextSync = m.lastSync.Add(syncGap)
	return nil
}

func (m *Monitor) drain() error {
	for _, s := range m.sockets {
		if err := m.empty(s); err != nil {
			return err
		}
	}
	return nil
}

func (m *Monitor) empty(s *socket) error {
	for range drainBatches {
		msgs, err := s.poll()
		switch {
		case errors.Is(err, errLost):
			m.losses++ // the dump that follows makes up for it
		case err != nil:
			return err
		case len(msgs) == 0:
			return nil
		}
		m.take(msgs)
	}
	return nil
}

// Link returns the device of that name, as it was last heard of.
func (m *Monitor) Link(name string) (Link, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.linkByName(name)
}

// LinkAt returns the link with an index.
func (m *Monitor) LinkAt(index int) (Link, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.link(index)
}

// Holder returns the link that holds an address. An IPv6 address that is still
// checked for duplicates (tentative), or that failed the check, is not held:
// nothing can be bound to it. Of several links the first one that is up is it.
func (m *Monitor) Holder(addr netip.Addr) (Link, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.holder(addr.Unmap().WithZone(""))
}

// VXLANOn returns the name of a kernel VXLAN device that holds the UDP port on
// addr, so that nobody else can have it. The device's own address does not
// matter: it takes the port on every address of its family.
func (m *Monitor) VXLANOn(port uint16, addr netip.Addr) (string, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.vxlanOn(port, addr.Unmap())
}
