package gateway

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/gateway/control"
	"vxgw/gateway/events"
	"vxgw/gateway/forward"
	"vxgw/gateway/journal"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/nud"
)

const (
	// keptEvents is how many events a listener may be behind, or away.
	keptEvents = 1 << 13

	// watchRest is how long changes gather before they are told of. A station that
	// moves to and fro meanwhile has moved once.
	watchRest = 20 * time.Millisecond

	// watchBatch is how many records are looked at together.
	watchBatch = 1 << 12

	// maxChangeLines is how many changes of a reload an event names.
	maxChangeLines = 100
)

// watch is the task that makes events of what is noted in the journal.
type watch struct {
	// set once
	gw      *Gateway
	journal *journal.Queue
	log     *events.Log

	// The task's own.
	batch []journal.Record
	out   []events.Event
	join  journal.Coalescer
	lost  uint64            // records, at the last look
	names *forward.Snapshot // whose domains are in vnis
	vnis  []uint32          // by domain: the last VNI that it had
}

func newWatch(g *Gateway) watch {
	// The time of day goes up from one start to the next, and by more than events do.
	return watch{gw: g, journal: g.tables.Journal(), log: events.NewLog(keptEvents, uint64(time.Now().UnixMicro()))}
}

// Events returns the log of what happens.
func (g *Gateway) Events() *events.Log { return g.watch.log }

// run tells of what changes until ctx ends.
func (w *watch) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.journal.Wake():
		}
		if !rest(ctx, watchRest) {
			return
		}
		w.journal.Rest()
		w.drain()
	}
}

// drain tells of all that is in the journal.
func (w *watch) drain() {
	for {
		w.batch = w.journal.Read(w.batch[:0], watchBatch)
		n := len(w.batch)
		w.tell(w.join.Coalesce(w.batch))
		if n < watchBatch {
			break
		}
	}
	if lost := w.journal.Lost(); lost != w.lost {
		w.log.Lose(lost - w.lost)
		w.log.Append(events.Event{
			Type: events.Resync, Time: eventTime(),
			Reason: fmt.Sprintf("%d changes came faster than they could be told of: read all again", lost-w.lost),
		})
		w.lost = lost
	}
}

func (w *watch) tell(batch []journal.Record) {
	if len(batch) == 0 {
		return
	}
	s := w.gw.tables.Snapshot()
	w.learnNames(s)
	w.out = w.out[:0]
	at := eventTime()
	for i := range batch {
		if e, ok := w.event(s, &batch[i]); ok {
			e.Time = at
			w.out = append(w.out, e)
		}
	}
	w.log.Append(w.out...)
	clear(w.out)
}

func eventTime() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// learnNames remembers which VNI each domain stands for: what is forgotten along with a
// VNI is told of when that is gone.
func (w *watch) learnNames(s *forward.Snapshot) {
	if s == w.names {
		return
	}
	w.names = s
	for len(w.vnis) < len(s.Domains) {
		w.vnis = append(w.vnis, 0)
	}
	for i := range s.Domains {
		if n := s.Domains[i].VNI; n != 0 {
			w.vnis[i] = n
		}
	}
}

// event makes an event of a record; false where there is nothing to tell.
func (w *watch) event(s *forward.Snapshot, r *journal.Record) (e events.Event, ok bool) {
	if r.Times > 1 {
		e.Times = r.Times
	}
	switch r.Kind {
	case journal.Note:
		return *r.Event, true
	case journal.VTEPThere, journal.VTEPGone:
		w.vtep(&e, r)
		return e, true
	}
	if int(r.Domain) >= len(w.vnis) || w.vnis[r.Domain] == 0 {
		return e, false // it came and went between two looks
	}
	e.VNI = w.vnis[r.Domain]
	if r.Kind == journal.Neighbour {
		return e, w.neighbour(s, &e, r)
	}
	w.mac(s, &e, r)
	return e, true
}

func (w *watch) vtep(e *events.Event, r *journal.Record) {
	e.Type, e.VTEP = events.VTEPAdded, r.Addr.String()
	switch {
	case r.Kind == journal.VTEPGone:
		e.Type = events.VTEPGone
	case r.Addr.IsMulticast():
		e.Origin = api.OriginGroup
	case r.Static:
		e.Origin = api.OriginStatic
	default:
		e.Origin = cmp.Or(string(w.gw.tables.OriginOfVTEP(r.Addr)), api.OriginLearned)
	}
}

func (w *watch) mac(s *forward.Snapshot, e *events.Event, r *journal.Record) {
	e.MAC = r.MAC.String()
	if r.Kind == journal.MACGone {
		e.Type, e.Cause = events.MACGone, r.Cause.String()
		return
	}
	e.Type, e.Origin = events.MACLearned, w.gw.originName(e.VNI, r.MAC, r.Origin)
	e.Port, e.VTEP = namesOf(s, r.Hop)
	if r.Moved {
		e.Type = events.MACMoved
		e.FromPort, e.FromVTEP = namesOf(s, r.From)
		switch {
		case !r.By.IsController():
		case r.By.Name() == fdb.Controller && r.Origin.Name() == fdb.Controller:
			e.FromOrigin = r.By.String() // perhaps another than now: its name is not known any more
		default:
			e.FromOrigin = w.gw.originName(e.VNI, r.MAC, r.By)
		}
	}
}

// neighbour says where the MAC of a neighbour is, too: whoever tells others of local
// hosts need not ask.
func (w *watch) neighbour(s *forward.Snapshot, e *events.Event, r *journal.Record) bool {
	e.Address, e.Table = r.Addr.String(), events.BySuppression
	if r.Routed {
		e.Table = events.ByRouting
	}
	switch {
	case r.MAC.IsZero():
		e.Type = events.NeighbourGone
		if !r.Was.IsZero() {
			e.MAC = r.Was.String()
		}
		return true
	case r.Was.IsZero():
		e.Type = events.NeighbourLearned
	default:
		e.Type, e.FromMAC = events.NeighbourMoved, r.Was.String()
	}
	e.MAC = r.MAC.String()
	e.Port, e.VTEP = w.gw.whereIs(s, r.Domain, r.MAC)
	e.Origin = w.gw.pinnedBy(e.VNI, r)
	return true
}

// pinnedBy is who says who has an address, where that is not learned.
func (g *Gateway) pinnedBy(vni uint32, r *journal.Record) string {
	if !r.Routed {
		if e, _ := g.tables.Neighbours().Lookup(r.Domain, r.Addr, g.edges.Clock()); !e.Bound {
			return ""
		}
		return string(g.tables.OriginOfHost(control.NeighbourKey{VNI: vni, Addr: r.Addr}))
	}
	if e, _ := g.tables.Hosts().Peek(r.Domain, r.Addr); e.State != nud.Permanent && e.State != nud.Bound {
		return ""
	}
	return cmp.Or(string(g.tables.OriginOfHost(control.NeighbourKey{VNI: vni, Addr: r.Addr})), api.OriginStatic)
}

// whereIs names the port or the VTEP that a station is behind; nothing where that is
// not known.
func (g *Gateway) whereIs(s *forward.Snapshot, d fdb.Domain, m frame.MAC) (port, vtep string) {
	at, ok := g.tables.FDB().Lookup(d, m, g.edges.Clock())
	if !ok {
		return "", ""
	}
	return namesOf(s, at.Hop)
}

// namesOf names what a hop is: a port or a VTEP; nothing where it is gone.
func namesOf(s *forward.Snapshot, h fdb.Hop) (port, vtep string) {
	if p, isPort := forward.HopPort(h); isPort {
		if int(p) < len(s.Ports) {
			port = s.Ports[p].Name
		}
	} else if v := forward.HopVTEP(h); int(v) < len(s.VTEPs) && s.VTEPs[v].Addr.IsValid() {
		vtep = s.VTEPs[v].Addr.String()
	}
	return port, vtep
}

// note tells of what is no change of the tables, in order with those that are.
func (w *watch) note(e events.Event) {
	w.journal.Put(journal.Record{Kind: journal.Note, Event: &e})
}

// port tells how a port is. It needs Gateway.mu.
func (w *watch) port(p *portState) {
	e := events.Event{Type: events.PortDown, Port: p.cfg.Interface, VNI: p.cfg.VNI, State: string(p.state), Reason: p.reason}
	if p.state == Up {
		e.Type = events.PortUp
	}
	w.note(e)
}

// Tell tells those who listen to events of something that the gateway does not see
// itself. It gives the event its time, and does not wait.
func (g *Gateway) Tell(e events.Event) { g.watch.note(e) }

// reloaded tells what a reload changed.
func (w *watch) reloaded(c config.Changes) {
	lines := c.Lines()
	if more := len(lines) - maxChangeLines; more > 0 {
		lines = append(lines[:maxChangeLines:maxChangeLines], fmt.Sprintf("and %d more", more))
	}
	w.note(events.Event{Type: events.Reload, Changes: lines, RestartNeeded: c.RestartNeeded})
}

// noticeDrops tells of reasons that frames are dropped for, of each once in alertEvery
// seconds while it goes on.
func (g *Gateway) noticeDrops() {
	now := g.edges.Clock()
	for d := range forward.NumDirections {
		for r := forward.None + 1; r < forward.NumReasons; r++ {
			total := g.ledger.total(d, r)
			if n, ok := g.notices.drops[d][r].due(total, now); ok {
				g.watch.note(events.Event{
					Type: events.Drops, Reason: r.String(), Direction: d.String(), Count: total, Frames: n, Mend: r.Mend(),
				})
			}
		}
	}
}
