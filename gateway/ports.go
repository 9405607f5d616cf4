package gateway

import (
	"fmt"
	"sync"
	"sync/atomic"

	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/gateway/tables"
	"vxgw/l2/port"
	"vxgw/l3/underlay/path"
)

// State is what a port is at the moment.
type State string

// The states of a port, as `vxgw show ports` prints them.
const (
	Up      State = "up"
	Down    State = "down"    // the interface is there and carries nothing
	Absent  State = "absent"  // there is no such interface
	Refused State = "refused" // the interface cannot be an access port as it is
)

// portState is one configured port. Guarded by Gateway.mu.
type portState struct {
	id  forward.PortID
	cfg config.Port

	state  State
	reason string // why it is not up

	link    path.Link
	told    tables.PortState // what forwarding was told last
	dev     port.Port
	workers []*accessWorker // one for each of dev's queues
	done    chan struct{}   // closed when one of them has ended
	ended   sync.WaitGroup
	queues  int // that dev was asked for

	bpduSeen   atomic.Bool // shut down by spanning tree; a worker sets it
	unreadable uint64      // what was added to the ledger already, of dev
}

func (g *Gateway) newPort(c config.Port) *portState {
	id, _ := g.tables.Port(c.Interface)
	return &portState{id: id, cfg: c, state: Absent}
}

// reconcilePort opens, closes or follows one port.
func (g *Gateway) reconcilePort(p *portState) {
	link, ok := g.edges.Host.Link(p.cfg.Interface)
	if p.dev != nil && (!ok || link.Index != p.link.Index || link.Shaped != p.link.Shaped || p.hasEnded() || p.queues < g.queuesFor(link)) {
		g.closePort(p)
	}
	if !ok {
		g.setState(p, Absent, fmt.Sprintf("there is no interface %s: waiting for it", p.cfg.Interface))
		return
	}
	if why := g.unfit(link); why != "" {
		g.closePort(p)
		g.setState(p, Refused, why)
		return
	}
	if p.dev == nil && !g.openPort(p, link) {
		return
	}
	g.followLink(p, link)
}

// unfit says why an interface cannot be an access port as it is; "" when it can.
func (g *Gateway) unfit(l path.Link) string {
	switch {
	case l.Loopback:
		return fmt.Sprintf("%s is a loopback interface: name the interface that the switch port is plugged into", l.Name)
	case l.Master != "":
		return fmt.Sprintf("%s belongs to %s, which would take its frames: ip link set %s nomaster", l.Name, l.Master, l.Name)
	case g.isUnderlay(l):
		return fmt.Sprintf("%s is the underlay interface, it holds the VTEP address: an access port needs one of its own", l.Name)
	}
	return ""
}

func (g *Gateway) isUnderlay(l path.Link) bool {
	holder, held := g.edges.Host.Holder(g.config().Underlay.Address)
	return l.Name == g.config().Underlay.Interface || held && holder.Name == l.Name || l.Index == g.up.vlan.link.Index
}

func (p *portState) hasEnded() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (g *Gateway) openPort(p *portState, link path.Link) bool {
	p.queues = g.queuesFor(link)
	dev, err := g.edges.OpenPort(link, PortOptions{Queues: p.queues, RingBytes: g.ringBytes()})
	if err != nil {
		g.setState(p, Refused, fmt.Sprintf("cannot open %s: %v", link.Name, err))
		return false
	}
	p.link, p.dev, p.done, p.unreadable = link, dev, make(chan struct{}), 0
	done, once := p.done, new(sync.Once)
	for i, q := range dev.Queues() {
		w := newAccessWorker(g, p.id, int(p.id)+i, dev, q, &p.bpduSeen)
		p.workers = append(p.workers, w)
		p.ended.Go(func() {
			defer once.Do(func() { close(done) })
			w.run()
		})
	}
	return true
}

// queuesFor returns how many receive queues a port is to have: the workers are
// shared out among the ports. The kernel shares out the frames of an interface
// that is up only.
func (g *Gateway) queuesFor(l path.Link) int {
	if !l.AdminUp {
		return 1
	}
	ports := max(len(g.config().Ports), 1)
	return (g.workers() + ports - 1) / ports
}

// ringMemory is what the rings of all ports take together, in bytes.
const ringMemory = 64 << 20

// ringBytes returns how much of it a port gets.
func (g *Gateway) ringBytes() int {
	return min(max(ringMemory/max(len(g.config().Ports), 1), 256<<10), 4<<20)
}

// followLink tells forwarding whether the port carries frames, when that is
// news. A link that went down and up between two looks leaves one trace: what
// was behind the port may not be there any more.
func (g *Gateway) followLink(p *portState, link path.Link) {
	flapped := link.Downs != p.link.Downs
	if flapped {
		p.bpduSeen.Store(false)
	}
	p.link = link
	shut := p.bpduSeen.Load()
	up, state, why := linkState(link, shut)
	if is := (tables.PortState{Dev: p.dev, Up: up, Shut: shut, MTU: link.MTU, Index: link.Index}); is != p.told {
		p.told = is
		g.tables.SetPort(p.id, is)
		g.paths.ask(allPaths) // whether they carry what the port may send
	}
	if flapped {
		g.tables.FlushPort(p.id)
	}
	g.setState(p, state, why)
}

func linkState(l path.Link, bpduSeen bool) (up bool, s State, why string) {
	switch {
	case bpduSeen:
		return false, Down, fmt.Sprintf("shut down: spanning tree was heard on %s and bpdu is \"shutdown\"; take the link down and up to put it back", l.Name)
	case !l.AdminUp:
		return false, Down, fmt.Sprintf("%s is administratively down: ip link set %s up", l.Name, l.Name)
	case !l.Carrier:
		return false, Down, fmt.Sprintf("%s has no carrier: look at the cable and the switch port", l.Name)
	}
	return true, Up, ""
}

// closePort ends a port's worker and takes the device from forwarding.
func (g *Gateway) closePort(p *portState) {
	if p.dev == nil {
		return
	}
	g.tables.SetPort(p.id, tables.PortState{})
	g.pollPort(p)
	if err := p.dev.Close(); err != nil {
		g.log.Debug("closing a port", "port", p.cfg.Interface, "err", err)
	}
	p.ended.Wait()
	p.dev, p.workers, p.done, p.told = nil, nil, nil, tables.PortState{}
	p.bpduSeen.Store(false)
	p.state = "" // whatever comes next is news
}

// setState notes a port's state and says so once, when it changed.
func (g *Gateway) setState(p *portState, s State, why string) {
	if p.state == s && p.reason == why {
		return
	}
	p.state, p.reason = s, why
	if s == Up {
		g.log.Info("port up", "port", p.cfg.Interface, "vni", p.cfg.VNI)
		return
	}
	g.log.Warn("port "+string(s), "port", p.cfg.Interface, "reason", why)
}

// pollPort adds what the kernel could not hand over: for want of room, or
// because it has no words for it.
func (g *Gateway) pollPort(p *portState) {
	if p.dev == nil {
		return
	}
	lost := &g.ledger.lost[forward.Access]
	if n, err := p.dev.Overflows(); err == nil {
		lost[forward.RxOverflow].Add(n)
	}
	if d, ok := p.dev.(interface{ Unreadable() uint64 }); ok {
		n := d.Unreadable()
		lost[forward.RxUnreadable].Add(n - p.unreadable)
		p.unreadable = n
	}
}
