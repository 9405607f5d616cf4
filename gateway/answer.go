package gateway

import (
	"net/netip"

	"vxgw/gateway/capture"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/ip"
	"vxgw/l3/nud"
	"vxgw/l3/offload"
)

// echo answers an echo request for an address of the gateway's.
func (r *routing) echo(b *frame.Buffer, d fdb.Domain, to *forward.Routed) {
	if !b.Offload.None() || !ip.TurnEcho(b.Bytes(), to.From) {
		r.tally.drop(forward.NotServed)
		return
	}
	r.tally.verdict(forward.Verdict{Kind: forward.Local})
	r.send(d, b)
}

// tell answers a packet with an ICMP error, the way that it came.
func (r *routing) tell(f []byte, d fdb.Domain, e ip.Error, arg int, to *forward.Routed) {
	irb := r.snap().Domains[d].IRB
	if irb == nil || !irb.Errors.Allow(r.now) {
		return
	}
	b := newOwn(ip.ErrorLen)
	if b.Len = ip.PutError(b.Bytes(), f, e, arg, to.From); b.Len > 0 {
		r.tally.answer()
		r.any = true
		r.send(d, &b)
	}
}

// local deals with a frame for the gateway itself that needs no routing.
func (r *routing) local(v forward.Verdict, b *frame.Buffer, from fdb.Hop) {
	if !v.Heed {
		r.delegate(jobRequest, b, v.Domain, from)
		return
	}
	if !v.Reply {
		return
	}
	d := &r.snap().Domains[v.Domain]
	if m := neigh.Read(b.Bytes()); m.Says == neigh.Doubts && d.IRB.Has(m.Subject) {
		r.gw.trouble.once("probe "+m.Subject.String(), "a host asks whether an address of the gateway's is free, and is told that it is not",
			"address", m.Subject, "mac", frame.Frame(b.Bytes()).Src(), "vni", d.VNI, "mend", "give the host another address")
	}
	out := newOwn(neigh.AnswerLen)
	if out.Len = neigh.PutGatewayAnswer(out.Bytes(), b.Bytes(), d.Gateway); out.Len > 0 {
		r.send(v.Domain, &out)
	}
}

// delegate leaves a frame to the router task, with its checksum finished.
func (r *routing) delegate(kind jobKind, b *frame.Buffer, d fdb.Domain, from fdb.Hop) {
	if b.Offload.NeedsChecksum && b.Offload.GSO == frame.GSONone {
		offload.FinishChecksum(b.Bytes(), b.Offload)
	}
	r.gw.router.do(job{kind: kind, domain: d, from: from, frame: b.Bytes()}, r.snap().Domains[d].IRB, r.now)
}

// heed learns from an ARP or ND frame who has which address, or leaves it to the
// router task that a host asks for routers.
func (r *routing) heed(v forward.Verdict, f frame.Frame) {
	if v.Solicits {
		r.gw.router.do(job{kind: jobSolicited, domain: v.Domain}, r.snap().Domains[v.Domain].IRB, r.now)
		return
	}
	m, ok := nud.Read(f)
	if !ok {
		return
	}
	m.ToUs = v.Kind == forward.Local
	h := r.gw.tables.Hosts().Hear(v.Domain, m, r.now)
	if h.Changed == nud.Moved {
		r.gw.log.Debug("a neighbour has moved to another MAC", "vni", r.snap().Domains[v.Domain].VNI, "address", m.Addr, "mac", h.MAC)
	}
	if len(h.Released) > 0 {
		r.any = true
		r.release(h.Released)
	}
}

// ask sends an ARP request or a neighbour solicitation: to everybody, or to one
// station that is asked whether it is still there.
func (r *routing) ask(d fdb.Domain, a netip.Addr, station frame.MAC) {
	dom := &r.snap().Domains[d]
	if dom.IRB == nil {
		return
	}
	if from := dom.IRB.From(a); from.IsValid() {
		r.askFrom(d, from, a, station)
	}
}

// askFrom is ask with an address that the gateway asks from.
func (r *routing) askFrom(d fdb.Domain, from, a netip.Addr, station frame.MAC) {
	mac := r.snap().Domains[d].Gateway
	b := newOwn(max(neigh.ARPRequestLen, neigh.SolicitationLen))
	switch {
	case !a.Is4():
		b.Len = neigh.PutSolicitation(b.Bytes(), mac, from, a, station)
	case station.IsZero():
		b.Len = neigh.PutARPRequest(b.Bytes(), mac, from, a, frame.Broadcast)
	default:
		b.Len = neigh.PutARPRequest(b.Bytes(), mac, from, a, station)
	}
	r.send(d, &b)
}

// send sends a frame of the gateway's own into a domain. One that has nowhere to go is
// lost: what it answers has met its own verdict.
func (r *routing) send(d fdb.Domain, b *frame.Buffer) {
	f := frame.Frame(b.Bytes())
	v := r.snap().FromGateway(d, forward.NoPortID, f.Dst(), forward.Input{Frame: f, Size: wireSize(f, b.Offload)}, r.now)
	if v.Kind == forward.Drop {
		was := r.tally.witness.Earlier(capture.Underlay, netip.Addr{}, r.snap().Domains[d].VNI, f)
		r.tally.lose(v.Reason)
		r.tally.witness.Back(was)
		r.any = true
		return
	}
	r.carrier.fromGateway(v, forward.NoPortID, b, false)
}

// fromGateway queues the copies of a frame that the gateway sends. in is as
// Snapshot.FromGateway has it. Storm control holds for what is routed: it has a host
// behind it. What the gateway says itself has its own bounds.
func (c *carrier) fromGateway(v forward.Verdict, in forward.PortID, b *frame.Buffer, routed bool) {
	switch v.Kind {
	case forward.ToPort:
		c.toPort(v.Port, b.Bytes(), b.Offload)
	case forward.ToVTEP:
		c.toVTEP(v.VTEP, b, v.Domain)
	case forward.Flood:
		d := &c.tx.snap.Domains[v.Domain]
		if routed {
			c.toOverlay(v, b)
		} else {
			c.toVTEPs(d.Flood, b, v.Domain)
		}
		for _, out := range d.Ports {
			if c.tx.snap.BlocksRouted(in, out) == forward.None {
				c.toPort(out, b.Bytes(), b.Offload)
			}
		}
	}
}

// newOwn returns a buffer for a frame of n bytes that the gateway makes itself. Such
// frames are few, so each has memory of its own: copies of it may still be queued
// when the next is made.
func newOwn(n int) frame.Buffer {
	return frame.Buffer{Mem: make([]byte, frame.Headroom+n), Off: frame.Headroom, Len: n}
}
