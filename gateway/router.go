package gateway

import (
	"bytes"
	"context"
	"net/netip"
	"time"

	"vxgw/gateway/capture"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/nud"
)

// router is the task that does for the routed interfaces what no frame starts, and
// what takes longer than a worker may: it probes neighbours, announces the
// gateway's addresses and advertises it to hosts, and relays DHCP. It sends like a
// worker, with memory of its own.
type router struct {
	gw   *Gateway
	work chan job

	// The task's own.
	witness *capture.Witness
	carrier carrier
	routing routing
	tally   batchTally
	tx      *transmit
	irbs    map[fdb.Domain]*irbState
}

// job is something that a worker has met and does not do itself.
type job struct {
	kind   jobKind
	domain fdb.Domain
	from   fdb.Hop
	frame  []byte // borrowed until do returns
	addr   netip.Addr
}

type jobKind uint8

const (
	jobRequest   jobKind = iota // DHCP of a client
	jobReply                    // DHCP of a server
	jobSolicited                // a host asks for routers
	jobClaimed                  // somebody else says that he has addr
)

// maxJobs is how many wait, of all domains: a storm costs no more memory than this.
const maxJobs = 512

func newRouter(g *Gateway) *router {
	r := &router{gw: g, work: make(chan job, maxJobs), irbs: make(map[fdb.Domain]*irbState)}
	r.witness = g.captures.Witness()
	r.tally = batchTally{direction: forward.Route, witness: r.witness}
	r.tx = newTransmit(g, 0, &r.tally)
	r.carrier = carrier{encapsulation: &g.encapsulation, tally: &r.tally, tx: r.tx, police: police{clock: g.nanos}}
	r.routing = newRouting(g, &r.carrier)
	return r
}

// do leaves a job for the task. It never waits: what there is no room for is
// counted, and forgotten. irb is the domain's, whose share of the task it takes.
func (r *router) do(j job, irb *forward.IRB, now uint32) {
	if irb.Jobs.Allow(now) {
		j.frame = bytes.Clone(j.frame)
		select {
		case r.work <- j:
			return
		default:
		}
	}
	r.gw.ledger.lost[forward.Route][forward.RxOverflow].Add(1)
}

// run is the task. It returns when ctx ends, after it has told hosts that the
// gateway is no router any more.
func (r *router) run(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	r.batch(r.everySecond)
	for {
		select {
		case <-ctx.Done():
			r.batch(r.cease)
			return
		case <-tick.C:
			r.batch(r.everySecond)
		case j := <-r.work:
			r.batch(func() { r.job(j) })
		}
	}
}

// batch does something with the newest snapshot, and sends what came of it.
func (r *router) batch(f func()) {
	r.tx.snap, r.routing.now = r.gw.tables.Snapshot(), r.gw.edges.Clock()
	r.witness.Begin(r.routing.now)
	f()
	r.witness.End()
	r.routing.any = true
	r.routing.settle()
	r.tx.flush()
	r.carrier.police.settle()
	r.witness.End()
	r.tally.settle(&r.gw.ledger)
}

func (r *router) job(j job) {
	if int(j.domain) >= len(r.tx.snap.Domains) || r.tx.snap.Domains[j.domain].IRB == nil {
		if j.frame != nil {
			r.routing.tally.lose(forward.NoGateway) // it has just gone
		}
		return
	}
	if j.frame != nil {
		r.routing.earlier(&nud.Packet{Bytes: j.frame, Domain: j.domain, From: j.from})
	}
	switch j.kind {
	case jobRequest:
		r.relayRequest(j)
	case jobReply:
		r.relayReply(j)
	case jobSolicited:
		r.solicited(j.domain)
	case jobClaimed:
		r.defend(j.domain, j.addr)
	}
}

func (r *router) everySecond() {
	if len(r.tx.snap.VRFs) == 0 && len(r.irbs) == 0 {
		return
	}
	if n := r.gw.tables.Orphans(); n > 0 {
		r.gw.ledger.lost[forward.Route][forward.NeighbourUnresolved].Add(n)
	}
	r.gw.tables.Hosts().Tick(r.routing.now, r.probe, r.giveUp)
	r.tendIRBs()
}

func (r *router) probe(a nud.Ask) {
	if int(a.Domain) < len(r.tx.snap.Domains) {
		r.routing.ask(a.Domain, a.Addr, a.MAC)
	}
}

// giveUp deals with the packets that waited for a neighbour who did not answer.
func (r *router) giveUp(_ fdb.Domain, _ netip.Addr, waiting []nud.Packet) {
	for i := range waiting {
		p := &waiting[i]
		r.routing.earlier(p)
		r.routing.tally.lose(forward.NeighbourUnresolved)
		if p.From == forward.OwnHop || int(p.Domain) >= len(r.tx.snap.Domains) {
			continue
		}
		if irb := r.tx.snap.Domains[p.Domain].IRB; irb != nil {
			from := irb.From4
			if frame.Frame(p.Bytes).Type() == frame.TypeIPv6 {
				from = irb.From6
			}
			r.routing.tell(p.Bytes, p.Domain, ip.HostUnreachable, 0, &forward.Routed{From: from})
		}
	}
}
