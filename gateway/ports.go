package gateway

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/gateway/tables"
	"vxgw/gateway/xdp"
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

// condition is a State and why a port is not up.
type condition struct {
	state  State
	reason string
}

// portState is one configured port. Guarded by Gateway.mu.
type portState struct {
	id  forward.PortID
	cfg config.Port

	condition
	telling
	link    path.Link
	told    tables.PortState // what forwarding was told last
	dev     port.Port
	lacks   error           // what dev works without
	workers []*accessWorker // one for each of dev's queues
	done    chan struct{}   // closed when one of them has ended
	ended   sync.WaitGroup

	openedUp bool // the interface was up when dev was opened

	// Of the look at hand.
	seen path.Link
	next condition

	bpduSeen   atomic.Bool // shut down by spanning tree; a worker sets it
	unreadable uint64      // what was added to the ledger already, of dev
}

func (g *Gateway) newPort(c config.Port) *portState {
	id, _ := g.tables.Port(c.Interface)
	return &portState{id: id, cfg: c, condition: condition{state: Absent}}
}

// reconcilePorts opens, closes or follows every port. Forwarding is told of all
// that have gone in one step, and of all that is news in another: a switch that
// restarts takes hundreds of links down together, and to tell of one is a new
// snapshot and may be a walk through the FDB.
func (g *Gateway) reconcilePorts() {
	var gone []*portState
	under := g.underlays()
	for _, p := range g.ports {
		if fit := g.look(p, under); p.dev != nil && (!fit || g.isAnother(p)) {
			gone = append(gone, p)
		}
	}
	g.closePorts(gone)
	var news []tables.PortChange
	for _, p := range g.ports {
		if p.next.state != Up || p.dev == nil && !g.openPort(p) {
			continue
		}
		if c, changed := p.follow(); changed {
			news = append(news, c)
		}
	}
	if len(news) > 0 {
		g.tables.SetPorts(news)
		g.paths.ask(allPaths) // whether they carry what the ports may send
	}
	for _, p := range g.ports {
		g.setCondition(p, p.next)
	}
}

// isAnother reports whether a port must be opened anew: it has another interface
// of the same name, nobody reads from it any more, or it was opened while it was
// down or shaped and could not be asked for what it can be now.
func (g *Gateway) isAnother(p *portState) bool {
	l := p.seen
	grown := l.AdminUp && !p.openedUp && g.queuesFor(l) > 1
	return l.Index != p.link.Index || p.hasEnded() || l.Shaped != p.link.Shaped || grown
}

// look notes a port's interface as it is, and reports whether it can be an
// access port; then next is Up until more is known.
func (g *Gateway) look(p *portState, under []string) bool {
	link, ok := g.edges.Host.Link(p.cfg.Interface)
	p.seen, p.next = link, condition{state: Up}
	if !ok {
		p.next = condition{Absent, fmt.Sprintf("there is no interface %s: waiting for it", p.cfg.Interface)}
	} else if why := unfit(link, under); why != "" {
		p.next = condition{Refused, why}
	}
	return p.next.state == Up
}

// unfit says why an interface cannot be an access port as it is; "" when it can.
func unfit(l path.Link, under []string) string {
	switch {
	case l.Loopback:
		return fmt.Sprintf("%s is a loopback interface: name the interface that the switch port is plugged into", l.Name)
	case l.Master != "":
		return fmt.Sprintf("%s belongs to %s, which would take its frames: ip link set %s nomaster", l.Name, l.Master, l.Name)
	case slices.Contains(under, l.Name):
		return fmt.Sprintf("%s is the underlay interface, it holds the VTEP address: an access port needs one of its own", l.Name)
	}
	return ""
}

// underlays returns the names of the interfaces that face the underlay: the
// configured one, its VLAN, and the one that holds the VTEP address.
func (g *Gateway) underlays() (names []string) {
	u := &g.config().Underlay
	if u.Interface != "" {
		names = append(names, u.Interface)
	}
	if holder, held := g.edges.Host.Holder(u.Address); held {
		names = append(names, holder.Name)
	}
	if vlan := g.up.vlan.link.Name; vlan != "" {
		names = append(names, vlan)
	}
	return names
}

func (p *portState) hasEnded() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (g *Gateway) openPort(p *portState) bool {
	p.openedUp = p.seen.AdminUp
	dev, err := g.edges.OpenPort(p.seen, PortOptions{Queues: g.queuesFor(p.seen), RingBytes: g.ringBytes(), Tap: g.fast.tap(xdp.Access)})
	if err != nil {
		p.next = condition{Refused, fmt.Sprintf("cannot open %s: %v", p.seen.Name, err)}
		return false
	}
	p.link, p.dev, p.done, p.unreadable = p.seen, dev, make(chan struct{}), 0
	if p.lacks = dev.Lacks(); p.lacks != nil {
		g.trouble.once("port lacks "+p.cfg.Interface, "a port works with less than it should", "port", p.cfg.Interface, "err", p.lacks, "mend", mendLacks)
	}
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

// ringBytes returns how much memory the rings of a port get, in bytes: enough for
// a burst of three thousand frames, or of five hundred where there are many ports.
func (g *Gateway) ringBytes() int {
	const all, most, least = 24 << 20, 6 << 20, 1 << 20
	return min(max(all/max(len(g.config().Ports), 1), least), most)
}

// follow returns what forwarding is to be told of a port that is open, when that
// is news. A link that went down and up between two looks leaves one trace: what
// was behind the port may not be there any more.
func (p *portState) follow() (c tables.PortChange, changed bool) {
	flapped := p.seen.Downs != p.link.Downs
	if flapped {
		p.bpduSeen.Store(false)
	}
	p.link = p.seen
	shut := p.bpduSeen.Load()
	up, next := linkState(p.link, shut)
	p.next = next
	is := tables.PortState{Dev: p.dev, Up: up, Shut: shut, MTU: p.link.MTU, Index: p.link.Index}
	changed = is != p.told || flapped
	p.told = is
	return tables.PortChange{ID: p.id, State: is, Flapped: flapped}, changed
}

func linkState(l path.Link, bpduSeen bool) (up bool, c condition) {
	switch {
	case bpduSeen:
		return false, condition{Down, fmt.Sprintf("shut down: spanning tree was heard on %s and bpdu is \"shutdown\"; take the link down and up to put it back", l.Name)}
	case !l.AdminUp:
		return false, condition{Down, fmt.Sprintf("%s is administratively down: ip link set %s up", l.Name, l.Name)}
	case !l.Carrier:
		return false, condition{Down, fmt.Sprintf("%s has no carrier: look at the cable and the switch port", l.Name)}
	}
	return true, condition{state: Up}
}

// closePorts takes devices from forwarding and ends the ports' workers.
func (g *Gateway) closePorts(ports []*portState) {
	var changes []tables.PortChange
	for _, p := range ports {
		if p.dev != nil {
			changes = append(changes, tables.PortChange{ID: p.id})
		}
	}
	g.tables.SetPorts(changes)
	for _, p := range ports {
		if p.dev == nil {
			continue
		}
		g.pollPort(p)
		if err := p.dev.Close(); err != nil {
			g.log.Debug("closing a port", "port", p.cfg.Interface, "err", err)
		}
	}
	for _, p := range ports {
		if p.dev == nil {
			continue
		}
		p.ended.Wait()
		p.dev, p.workers, p.done, p.told = nil, nil, nil, tables.PortState{}
		p.bpduSeen.Store(false)
		p.state = "" // whatever comes next is news
	}
}

// setCondition notes how a port is and says so, when that changed. It is called
// at least once a second.
func (g *Gateway) setCondition(p *portState, is condition) {
	if p.condition != is {
		p.condition = is
		p.changes++
		g.watch.port(p)
	}
	notShown, due := p.due(g.edges.Clock())
	if !due {
		return
	}
	args := []any{"port", p.cfg.Interface}
	if notShown > 0 {
		args = append(args, "not_shown", notShown)
	}
	if is.state == Up {
		g.log.Info("port up", append(args, "vni", p.cfg.VNI)...)
		return
	}
	g.log.Warn("port "+string(is.state), append(args, "reason", is.reason)...)
}

// maxTold is how many changes of a port are told of in alertEvery seconds. A link
// that flaps ten times a second would fill a disk. The last change is always told
// of, later if need be.
const maxTold = 10

// telling bounds what the log says of one port.
type telling struct {
	since   uint32 // the clock when counting lines began
	lines   int
	changes int // not told of
}

// due reports whether a change is to be told of now, and how many before it were
// not.
func (t *telling) due(now uint32) (notShown int, ok bool) {
	if now-t.since >= alertEvery {
		t.since, t.lines = now, 0
	}
	if t.changes == 0 || t.lines == maxTold {
		return 0, false
	}
	t.lines++
	notShown, t.changes = t.changes-1, 0
	return notShown, true
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
