package gateway

import (
	"net/netip"

	"vxgw/gateway/capture"
	"vxgw/gateway/counters"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/nud"
	"vxgw/l3/offload"
	"vxgw/l3/vrf"
)

// routing is the L3 half of a worker: it carries out what Snapshot.Route decides.
type routing struct {
	gw      *Gateway
	carrier *carrier     // of the same worker
	tally   batchTally   // of direction Route
	cache   *vrf.Cache   // made when first needed: not every port has a router behind it
	tables  *forward.VRF // the first of those that cache is of

	now uint32         // of the batch at hand
	gen generation     // of the batch at hand
	to  forward.Routed // of the packet at hand
	run vrfRun
	any bool // something is in the tally
}

// vrfRun sums up packets in a row that are routed in one VRF.
type vrfRun struct {
	vrf forward.VRFID
	rx  counters.Tally // that came to be routed
	tx  counters.Tally // that were
}

func newRouting(gw *Gateway, c *carrier) routing {
	return routing{gw: gw, carrier: c, tally: batchTally{direction: forward.Route, witness: c.tally.witness}}
}

func (r *routing) snap() *forward.Snapshot { return r.carrier.tx.snap }

// settle adds a batch to the counters.
func (r *routing) settle() {
	if !r.any {
		return
	}
	r.endRun()
	r.tally.settle(&r.gw.ledger)
	r.any = false
}

// in says which VRF what is counted next belongs to.
func (r *routing) in(id forward.VRFID) {
	if r.run.vrf != id {
		r.endRun()
		r.run.vrf = id
	}
	r.any = true
}

func (r *routing) endRun() {
	if v := r.snap().VRFs; int(r.run.vrf) < len(v) {
		r.run.rx.Rx(v[r.run.vrf].Traffic, r.now)
		r.run.tx.Tx(v[r.run.vrf].Traffic)
	}
	r.run = vrfRun{}
}

// packet routes one frame that came in at a hop in a domain. It may be written to,
// and so may the VXLAN header's room in front of it.
func (r *routing) packet(b *frame.Buffer, d fdb.Domain, from fdb.Hop) {
	to := r.route(b, d)
	r.run.rx.Add(b.Len)
	r.carryOut(b, d, from, to)
}

func (r *routing) route(b *frame.Buffer, d fdb.Domain) *forward.Routed {
	// A cache that outlived a reload would keep every routing table in memory that it
	// still has an answer of.
	if v := r.snap().VRFs; len(v) > 0 && r.tables != &v[0] {
		r.cache, r.tables = new(vrf.Cache), &v[0]
	}
	r.snap().RouteTo(&r.to, d, b.Bytes(), r.cache, r.now)
	r.in(r.to.VRF)
	return &r.to
}

func (r *routing) carryOut(b *frame.Buffer, d fdb.Domain, from fdb.Hop, to *forward.Routed) {
	switch to.Action {
	case forward.RouteForward:
		r.forward(b, d, from, to)
	case forward.RouteResolve:
		r.resolve(b, d, from, to)
	case forward.RouteEcho:
		r.echo(b, d, to)
	case forward.RouteLocal:
		r.tally.verdict(forward.Verdict{Kind: forward.Local})
		r.delegate(jobReply, b, d, from)
	default:
		r.tally.drop(to.Reason)
		if to.Telling {
			r.tell(b.Bytes(), d, to.Tell, to.Pointer, to)
		}
	}
}

// forward sends a packet on in another domain, or in the same one. What is too
// long for the way is cut, or its sender told, before anything of it is changed.
func (r *routing) forward(b *frame.Buffer, d fdb.Domain, from fdb.Hop, to *forward.Routed) {
	f, s := b.Bytes(), r.snap()
	in := forward.NoPortID
	if p, isPort := forward.HopPort(from); isPort && d == to.Domain {
		in = p
	}
	v := s.FromGateway(to.Domain, in, to.MAC, forward.Input{Frame: f, Size: wireSize(f, b.Offload)}, r.now)
	if v.MTU > 0 && from != forward.OwnHop && r.tooBig(b, d, to, &v) {
		return
	}
	r.tally.verdict(v)
	if v.Kind == forward.Drop {
		return
	}
	if from != forward.OwnHop { // a VRF counts what came to it
		r.run.tx.Add(len(f))
		takeHop(f)
	}
	if r.gen.on && v.Kind != forward.Flood && from != forward.OwnHop {
		r.gw.fast.routed(f, to, r.gen)
	}
	readdress(f, to.MAC, s.Domains[to.Domain].Gateway)
	r.carrier.fromGateway(v, in, b, from != forward.OwnHop)
}

// rewrite makes a frame one of the gateway's, a hop further on.
func rewrite(f frame.Frame, to, from frame.MAC) {
	readdress(f, to, from)
	takeHop(f)
}

func readdress(f frame.Frame, to, from frame.MAC) {
	copy(f[0:6], to[:])
	copy(f[6:12], from[:])
}

// takeHop counts a hop. A packet of the gateway's own has not made one yet.
func takeHop(f frame.Frame) {
	if f.Type() == frame.TypeIPv4 {
		ip.IPv4(f.Payload()).DecrementTTL()
	} else {
		ip.IPv6(f.Payload()).DecrementHopLimit()
	}
}

// tooBig deals with a packet that is too long for the way it is to go, or one of
// them, and reports whether that is all: a flood goes where it fits, and its
// sender is told all the same.
func (r *routing) tooBig(b *frame.Buffer, d fdb.Domain, to *forward.Routed, v *forward.Verdict) bool {
	f := frame.Frame(b.Bytes())
	if f.Type() == frame.TypeIPv4 && !ip.IPv4(f.Payload()).DontFragment() {
		return v.Kind == forward.Drop && r.fragment(b, to, v)
	}
	r.tell(f, d, ip.FragmentationNeeded, v.MTU, to)
	if v.Kind != forward.Drop {
		return false
	}
	r.tally.drop(forward.TooBig)
	return true
}

// fragment cuts a packet that allows it into what fits (RFC 1812 section 5.2.6),
// and reports false where it cannot be cut. It counts as one packet.
func (r *routing) fragment(b *frame.Buffer, to *forward.Routed, v *forward.Verdict) bool {
	segments := [][]byte{b.Bytes()}
	switch {
	case b.Offload.GSO != frame.GSONone:
		cut, ok := r.carrier.cut(b.Bytes(), b.Offload)
		if !ok {
			return false
		}
		segments = segments[:0]
		for _, s := range cut {
			segments = append(segments, append(append([]byte(nil), s.Head[vxlanHeader:]...), s.Body...))
		}
	case b.Offload.NeedsChecksum && !offload.FinishChecksum(b.Bytes(), b.Offload):
		return false
	}
	for _, s := range segments {
		x, ok := ip.Fragments(s, v.MTU)
		if !ok {
			return false
		}
		for {
			part := newOwn(v.MTU + frame.HeaderLen)
			part.Len = x.Next(part.Bytes())
			if part.Len == 0 {
				break
			}
			rewrite(part.Bytes(), to.MAC, r.snap().Domains[to.Domain].Gateway)
			r.send(to.Domain, &part)
		}
	}
	r.run.tx.Add(b.Len)
	r.tally.verdict(forward.Verdict{Kind: forward.ToPort})
	return true
}

// resolve holds a packet until its neighbour's MAC is known.
func (r *routing) resolve(b *frame.Buffer, d fdb.Domain, from fdb.Hop, to *forward.Routed) {
	hosts := r.gw.tables.Hosts()
	is := hosts.Resolve(to.Domain, to.Neighbour, nud.Packet{Bytes: b.Bytes(), Offload: b.Offload, Domain: d, From: from}, r.now)
	switch {
	case is.OK:
		to.Action, to.MAC = forward.RouteForward, is.MAC
		r.forward(b, d, from, to)
		return
	case is.Held:
		r.tally.verdict(forward.Verdict{Kind: forward.Hold})
	default:
		r.tally.drop(forward.NeighbourUnresolved)
	}
	if is.Displaced {
		r.tally.loseAll(forward.NeighbourUnresolved, 1) // another packet than this
	}
	if is.Ask {
		r.ask(to.Domain, to.Neighbour, frame.MAC{})
	}
}

// release routes packets that waited for a neighbour. Their VRF counted them when
// they came.
func (r *routing) release(waiting []nud.Packet) {
	for i := range waiting {
		p := &waiting[i]
		b := newOwn(len(p.Bytes))
		copy(b.Bytes(), p.Bytes)
		b.Offload = p.Offload
		was := r.earlier(p)
		r.again(&b, p)
		r.tally.witness.Back(was)
	}
}

// again routes a packet that waited for a neighbour.
func (r *routing) again(b *frame.Buffer, p *nud.Packet) {
	if p.From == forward.OwnHop {
		r.own(b, p.Domain)
		return
	}
	r.gw.ledger.released.Add(1)
	if int(p.Domain) >= len(r.snap().Domains) {
		r.tally.drop(forward.NoGateway)
		return
	}
	to := r.route(b, p.Domain)
	r.carryOut(b, p.Domain, p.From, to)
}

// earlier has the witness know of a packet that waited.
func (r *routing) earlier(p *nud.Packet) capture.Subject {
	s, vni := r.snap(), uint32(0)
	if int(p.Domain) < len(s.Domains) {
		vni = s.Domains[p.Domain].VNI
	}
	at, from := capture.Underlay, netip.Addr{}
	if id, isPort := forward.HopPort(p.From); isPort {
		at = capture.AtPort(id)
	} else if v := forward.HopVTEP(p.From); p.From != forward.OwnHop && int(v) < len(s.VTEPs) {
		from = s.VTEPs[v].Addr
	}
	return r.tally.witness.Earlier(at, from, vni, p.Bytes)
}

// own routes a packet of the gateway's own, in the VRF of a domain of its, or to a
// link-local address in that domain.
func (r *routing) own(b *frame.Buffer, d fdb.Domain) {
	s := r.snap()
	r.any = true
	r.gw.ledger.own.Add(1)
	if int(d) >= len(s.Domains) || s.Domains[d].IRB == nil {
		r.tally.drop(forward.NoGateway)
		return
	}
	dst, packet := destination(b.Bytes())
	to := s.RouteOwn(d, packet, dst, r.now)
	r.carryOut(b, d, forward.OwnHop, &to)
}
