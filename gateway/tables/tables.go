// Package tables owns what forwarding reads. It is the only writer of the
// Snapshot: every change is made to a copy and published behind one atomic
// pointer, so that a worker sees all of a change or none of it.
package tables

import (
	"sync"
	"sync/atomic"

	"vxgw/config"
	"vxgw/gateway/counters"
	"vxgw/gateway/forward"
	"vxgw/gateway/journal"
	"vxgw/l2/fdb"
	"vxgw/l2/neigh"
	"vxgw/l2/port"
	"vxgw/l3/nud"
	"vxgw/l3/underlay"
)

// Tables publishes Snapshots. All methods may be called from any goroutine.
type Tables struct {
	// Set once.
	fdb        *fdb.Table
	neighbours *neigh.Table
	hosts      *nud.Table
	index      *vtepIndex
	changed    chan struct{} // see Changed
	journal    *journal.Queue
	readers    *readers

	snap    atomic.Pointer[forward.Snapshot]
	orphans atomic.Uint64 // see Orphans
	crowded atomic.Bool   // no number is left for another learned VTEP

	mu       sync.Mutex // guards everything below
	ports    slots[string]
	domains  slots[uint32]
	vteps    slots[addr]
	vrfs     slots[string]
	pinned   map[macKey]struct{}     // static FDB entries in force
	static   map[addr]struct{}       // VTEPs that the configuration names
	quiet    map[forward.VTEPID]idle // learned VTEPs on their way out
	numbered []forward.VTEPID        // new in the snapshot being made
	again    []*gone                 // to be forgotten once more, see forget
	part     int                     // of the FDB that was swept last
	said     said                    // by controllers
}

// journalSize is how many changes wait to be told of: a fiftieth of a second's worth of
// them at 800,000 a second.
const journalSize = 1 << 14

// New returns tables for a configuration, with every port absent. copy is told of
// every change of the FDB; nil: nobody is.
func New(cfg *config.Config, copy Mirror) (*Tables, error) {
	t := &Tables{
		index:   newVTEPIndex(),
		changed: make(chan struct{}, 1),
		journal: journal.NewQueue(journalSize),

		neighbours: neigh.New(),
		hosts:      nud.New(),

		ports:   newSlots[string](forward.MaxPorts),
		domains: newSlots[uint32](maxDomains),
		vteps:   newSlots[addr](forward.MaxVTEPs),
		vrfs:    newSlots[string](maxVRFs),
		pinned:  make(map[macKey]struct{}),
		static:  make(map[addr]struct{}),
		quiet:   make(map[forward.VTEPID]idle),
		said:    newSaid(),
	}
	t.readers = newReaders(&t.snap)
	t.fdb = fdb.New(fdb.Config{Limit: cfg.Datapath.MACLimit, Hops: forward.MaxHops, Near: forward.MaxPorts, Mirror: &mirror{t, copy}})
	t.neighbours.OnChange(t.neighbour(false))
	t.hosts.OnChange(t.neighbour(true))
	t.snap.Store(&forward.Snapshot{FDB: t.fdb, Neighbours: t.neighbours, Hosts: t.hosts, Local: cfg.Underlay.Address})
	return t, t.Apply(cfg)
}

// Snapshot returns the newest snapshot. A worker asks once a batch.
func (t *Tables) Snapshot() *forward.Snapshot { return t.snap.Load() }

// Changed is signalled when there is a newer snapshot than when it was last received
// from.
func (t *Tables) Changed() <-chan struct{} { return t.changed }

// Journal returns where all that changes in the tables is noted, in the order in which
// each thing changed. It is for one reader.
func (t *Tables) Journal() *journal.Queue { return t.journal }

// FDB returns the forwarding database.
func (t *Tables) FDB() *fdb.Table { return t.fdb }

// Neighbours returns who has which IP address, in the domains that suppress ARP
// and ND.
func (t *Tables) Neighbours() *neigh.Table { return t.neighbours }

// change publishes what edit makes of a copy of the newest snapshot. The
// slices are shared with the old one: edit replaces those that it changes.
func (t *Tables) change(edit func(*forward.Snapshot)) {
	s := *t.snap.Load()
	edit(&s)
	t.publish(&s)
}

// publish makes a snapshot the newest one, and then lets workers find the VTEPs
// that are new in it: whoever finds a number can load a snapshot that has it.
func (t *Tables) publish(s *forward.Snapshot) {
	t.snap.Store(s)
	for _, v := range t.numbered {
		is := &s.VTEPs[v]
		t.index.put(is.Addr, v)
		_, static := t.static[is.Addr]
		t.journal.Put(journal.Record{Kind: journal.VTEPThere, Addr: is.Addr, Static: static})
	}
	t.numbered = t.numbered[:0]
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// PortState is what the host says of a port.
type PortState struct {
	Dev   port.Port // nil: absent
	Up    bool      // it can carry frames
	Shut  bool      // it was taken out of service, and nothing may come in
	MTU   int       // longest IP packet, in bytes; 0: not known
	Index int       // of the interface; 0: absent
}

// PortChange is news of a port.
type PortChange struct {
	ID    forward.PortID
	State PortState

	// Flapped says that the port was down for a moment: the MACs learned on it
	// are forgotten though it is up.
	Flapped bool
}

// SetPorts tells forwarding of ports' devices, of all of them in one step. MACs
// learned on a port that is not up are forgotten. A port that has left the
// configuration stays shut.
func (t *Tables) SetPorts(changes []PortChange) {
	if len(changes) == 0 {
		return
	}
	defer t.forgetAgain()
	t.mu.Lock()
	defer t.mu.Unlock()
	var down gone
	t.change(func(s *forward.Snapshot) {
		s.Ports = clone(s.Ports)
		for _, c := range changes {
			p, is := &s.Ports[c.ID], &c.State
			if p.Name == "" {
				continue
			}
			p.Dev, p.Up, p.Shut, p.MTU, p.Index = is.Dev, is.Up && is.Dev != nil, is.Shut, is.MTU, is.Index
			if !p.Up || c.Flapped {
				down.port(c.ID)
			}
		}
		s.Access = accessLinks(s.Ports)
	})
	t.forget(&down)
}

// forget drops what was learned of what has gone, now and once more: a worker may be
// in the middle of a batch with an older snapshot, and learn again what was forgotten.
// The new snapshot is out already.
func (t *Tables) forget(g *gone) {
	g.macs(t.fdb)
	t.neighbours.Flush(g.mute)
	t.again = append(t.again, g)
}

// forgetAgain does so as soon as no worker is in an older snapshot: what is learned from
// then on is to stay. Where one takes too long, the next Sweep does it. The lock is not
// held meanwhile: the worker may want it.
func (t *Tables) forgetAgain() {
	t.readers.wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.readers.behind()) == 0 {
		t.forgetGone()
	}
}

func (t *Tables) forgetGone() {
	for _, g := range t.again {
		g.macs(t.fdb)
		t.neighbours.Flush(g.mute)
	}
	t.again = nil
}

// SetUplinks tells forwarding how to send to the underlay; none while the VTEP
// address is missing.
func (t *Tables) SetUplinks(conns []underlay.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change(func(s *forward.Snapshot) { s.Uplinks = conns })
}

// Port returns the number of a configured port.
func (t *Tables) Port(name string) (forward.PortID, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok := t.ports.find(name)
	return forward.PortID(id), ok
}

func accessLinks(ports []forward.Port) map[int]struct{} {
	m := make(map[int]struct{}, len(ports))
	for i := range ports {
		if n := ports[i].Index; n != 0 {
			m[n] = struct{}{}
		}
	}
	return m
}

func clone[T any](s []T) []T { return append([]T(nil), s...) }

func traffic(t *counters.Traffic) *counters.Traffic {
	if t == nil {
		return new(counters.Traffic)
	}
	return t
}
