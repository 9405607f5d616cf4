package gateway

import (
	"errors"
	"net"
	"net/netip"
	"os"

	"vxgw/gateway/capture"
	"vxgw/gateway/counters"
	"vxgw/gateway/forward"
	"vxgw/gateway/tables"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/ip"
	"vxgw/l3/offload"
	"vxgw/l3/underlay"
	"vxgw/l3/vxlan"
)

// overlayWorker carries the VXLAN packets that come in on one receive queue.
// Everything it holds is its own.
type overlayWorker struct {
	gw   *Gateway
	conn underlay.Reader
	pkts []underlay.Packet

	carrier
	routing routing
	witness *capture.Witness
	tally   batchTally
	tx      *transmit
	warmer  warmer
	reader  *tables.Reader
	beat    heartbeat
	alerts  alerts

	// Of the batch at hand.
	snap *forward.Snapshot
	now  uint32
	rx   rxRun
	last sender
}

// sender is the VTEP that the last packet of a batch came from: most come in runs.
type sender struct {
	addr netip.Addr
	id   forward.VTEPID
}

// rxRun sums up packets in a row from one VTEP in one domain.
type rxRun struct {
	vtep   forward.VTEPID
	domain fdb.Domain
	sum    counters.Tally
}

func newOverlayWorker(gw *Gateway, lane int, conn underlay.Reader) *overlayWorker {
	w := &overlayWorker{gw: gw, conn: conn, pkts: underlay.NewPackets(underlay.BatchSize, underlay.MaxPayload)}
	w.witness, w.reader = gw.captures.Witness(), gw.tables.NewReader()
	w.tally = batchTally{direction: forward.Overlay, witness: w.witness}
	w.tx = newTransmit(gw, lane, &w.tally)
	w.tx.joiner = new(offload.Coalescer)
	w.carrier = carrier{encapsulation: &gw.encapsulation, tally: &w.tally, tx: w.tx, police: police{clock: gw.nanos}}
	w.routing = newRouting(gw, &w.carrier)
	return w
}

// run reads until the socket is closed.
func (w *overlayWorker) run() {
	defer w.gw.captures.Dismiss(w.witness)
	defer w.reader.Close()
	for {
		n, err := w.conn.ReadBatch(w.pkts)
		w.beat.tick()
		switch {
		case n > 0:
			w.batch(w.pkts[:n])
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, net.ErrClosed):
			return
		default:
			w.gw.trouble.underlay(err)
			w.gw.uplinkFailed()
			return
		}
	}
}

func (w *overlayWorker) batch(pkts []underlay.Packet) {
	w.routing.gen = w.gw.fast.generation()
	w.snap, w.now = w.reader.Enter(), w.gw.edges.Clock()
	defer w.reader.Leave()
	w.tx.snap, w.last, w.routing.now = w.snap, sender{}, w.now
	w.warmer.overlay(w.snap, pkts)
	w.witness.Begin(w.now)
	for i := range pkts {
		w.packet(&pkts[i])
	}
	w.gw.fast.read.Add(uint64(len(pkts)))
	w.endRun()
	w.witness.End()
	w.routing.settle()
	w.tx.flush()
	w.police.settle()
	w.witness.End()
	w.tally.settle(&w.gw.ledger)
}

func (w *overlayWorker) packet(p *underlay.Packet) {
	o := forward.Outer{From: p.From, Interface: p.Interface, TOS: p.TOS, Fragmented: p.Fragmented, Truncated: p.Truncated}
	d, r := w.snap.ClassifyOverlay(o, p.Bytes())
	if r != forward.None {
		w.witness.FromUnderlay(p, vniIn(p.Bytes()))
		w.refuse(r, d, p.From)
		return
	}
	w.witness.FromUnderlay(p, w.snap.Domains[d].VNI)
	from := w.vtep(p.From)
	f := frame.Frame(p.Bytes()[vxlanHeader:])
	w.received(from, d, p, f)
	v := w.snap.FromOverlay(d, from, p.TOS, f, w.now)
	if c := w.snap.Domains[d].StormIn; c != nil && v.Kind == forward.Flood && !w.police.lets(c, f.Dst(), w.frames(p, f), 1) {
		v = v.Stormed()
	}
	w.tally.verdict(v)
	if v.Learn {
		w.tally.learned(w.gw.tables.FDB().Learn(d, f.Src(), forward.VTEPHop(from), w.now), true)
	} else if from == forward.NoVTEPID && w.snap.Domains[d].Learning && v.Reason.AfterSource() {
		w.tally.refuse(vtepLimit)
	}
	if p.Group.IsValid() {
		w.alertGroup(v, p)
	}
	if v.Heard != neigh.NoNews {
		w.gw.hear(v, f, forward.VTEPHop(from), w.now, &w.tally)
	}
	if v.SetECN {
		ip.SetFrameECN(f, v.ECN)
	}
	if v.Heed || v.Solicits {
		w.routing.heed(v, f)
	}
	w.carryOut(v, p, f, from)
}

// vniIn returns the VNI that a packet names which is none of a VNI here; 0: it names none.
func vniIn(payload []byte) uint32 {
	vni, _, p := vxlan.Parse(payload)
	if p != vxlan.OK {
		return 0
	}
	return vni
}

// refuse counts a packet that was dropped before its inner frame was looked at.
// One that was put together from fragments is in underlay.Refused already, by
// fragments where the underlay sees them.
func (w *overlayWorker) refuse(r forward.Reason, d fdb.Domain, from netip.Addr) {
	switch {
	case r == forward.OuterFragment:
		w.witness.Dropped(forward.Overlay, r, false)
		return
	case r == forward.VTEPOnAccess && w.alerts.due(alertOnAccess, w.now):
		w.gw.log.Warn("VXLAN for this VTEP came in at an access port: dropped", "claims_to_be", from, "mend", r.Mend())
	case r == forward.VTEPNotAllowed && w.alerts.due(alertNotAllowed, w.now):
		w.gw.log.Warn("a VTEP that is not allowed sends to a VNI: dropped", "vtep", from, "vni", w.snap.Domains[d].VNI, "mend", r.Mend())
	}
	w.tally.drop(r)
}

// vtep returns the sender's number; a VTEP not heard of before is given one.
func (w *overlayWorker) vtep(a netip.Addr) forward.VTEPID {
	if a == w.last.addr {
		return w.last.id
	}
	id := w.findVTEP(a)
	w.last = sender{a, id}
	return id
}

func (w *overlayWorker) findVTEP(a netip.Addr) forward.VTEPID {
	id, ok := w.gw.tables.VTEP(a)
	if !ok {
		id = w.newVTEP(a)
	}
	if id != forward.NoVTEPID && int(id) >= len(w.snap.VTEPs) {
		w.tx.flush() // what is queued refers to the old snapshot
		w.snap = w.gw.tables.Snapshot()
		w.tx.snap = w.snap
	}
	return id
}

// newVTEP numbers a VTEP that an allowed packet came from.
func (w *overlayWorker) newVTEP(a netip.Addr) forward.VTEPID {
	id := w.gw.tables.Learn(a)
	if id == forward.NoVTEPID {
		if w.alerts.due(alertNoRoom, w.now) {
			w.gw.log.Warn("no room for another VTEP: what it sends is carried, and nothing is learned of it", "vtep", a, "mend", "set allowed_vteps")
		}
		return id
	}
	w.gw.log.Debug("new VTEP", "vtep", a)
	w.gw.paths.ask(freshPaths)
	return id
}

// received counts a packet from a VTEP. A super-frame of one on this machine counts
// as the segments that it stands for, as who sent it counted.
func (w *overlayWorker) received(from forward.VTEPID, d fdb.Domain, p *underlay.Packet, f frame.Frame) {
	if w.rx.vtep != from || w.rx.domain != d {
		w.endRun()
		w.rx.vtep, w.rx.domain = from, d
	}
	if p.Noted && p.Offload.GSO != frame.GSONone {
		if n, bytes, ok := offload.Measure(f, p.Offload); ok {
			w.rx.sum.AddAll(n, bytes)
			return
		}
	}
	w.rx.sum.Add(len(f))
}

// frames is how many frames the inner one is on a wire.
func (w *overlayWorker) frames(p *underlay.Packet, f frame.Frame) int {
	if !p.Noted {
		return 1
	}
	return onWire(f, p.Offload)
}

func (w *overlayWorker) endRun() {
	vni := w.rx.sum
	if vni.Packets == 0 {
		return
	}
	if w.rx.vtep != forward.NoVTEPID {
		w.rx.sum.Rx(w.snap.VTEPs[w.rx.vtep].Traffic, w.now)
	}
	vni.Rx(w.snap.Domains[w.rx.domain].Traffic, w.now)
	w.rx.sum = counters.Tally{}
}

func (w *overlayWorker) carryOut(v forward.Verdict, p *underlay.Packet, f frame.Frame, from forward.VTEPID) {
	switch v.Kind {
	case forward.ToPort:
		o := w.undone(p, f, w.snap.Ports[v.Port].MTU)
		w.clamp(v.Domain, f, o, from)
		w.toPort(v.Port, f, o)
	case forward.Flood:
		w.flood(v, p, f, from)
	case forward.ToRouter:
		b := w.inner(p, f)
		w.clamp(v.Domain, f, b.Offload, from)
		w.routing.packet(&b, v.Domain, forward.VTEPHop(from))
	case forward.Local:
		b := w.inner(p, f)
		w.routing.local(v, &b, forward.VTEPHop(from))
	case forward.Drop:
		w.alert(v, p.From, f)
	}
}

// inner returns the inner frame of a packet as a buffer of its own. The VXLAN
// header in front of it is the room for the next one. What a VTEP on this machine
// left undone may be carried on by a port or cut for another VTEP.
func (w *overlayWorker) inner(p *underlay.Packet, f frame.Frame) frame.Buffer {
	return frame.Buffer{
		Mem: p.Mem, Off: p.Off + vxlanHeader, Len: len(f),
		Offload: w.undone(p, f, 0),
	}
}

// clamp lowers the MSS that a host behind a VTEP announces: what is sent back to it
// goes by the path to that VTEP. A super-frame opens no connection.
func (w *overlayWorker) clamp(d fdb.Domain, f frame.Frame, o frame.Offload, from forward.VTEPID) {
	if w.snap.Domains[d].ClampMSS && from != forward.NoVTEPID && o.GSO == frame.GSONone {
		ip.ClampMSS(f, w.snap.VTEPs[from].MaxFrame)
	}
}

func (w *overlayWorker) flood(v forward.Verdict, p *underlay.Packet, f frame.Frame, from forward.VTEPID) {
	d := &w.snap.Domains[v.Domain]
	bpdu := f.Dst().IsBPDU()
	mtu := 0
	for _, out := range d.Ports {
		if m := w.snap.Ports[out].MTU; m > 0 && (mtu == 0 || m < mtu) {
			mtu = m
		}
	}
	o := w.undone(p, f, mtu)
	w.clamp(v.Domain, f, o, from)
	for _, out := range d.Ports {
		if w.snap.Blocks(forward.NoPortID, out, bpdu) == forward.None {
			w.toPort(out, f, o)
		}
	}
}

// undone finds what a VTEP on this machine left undone in an inner frame, where
// the underlay could not tell all of it (see offload.Infer), finishes a checksum at
// once, and returns the rest. mtu is what the port takes, 0 when that is not known.
func (w *overlayWorker) undone(p *underlay.Packet, f frame.Frame, mtu int) frame.Offload {
	o := p.Offload
	switch {
	case p.Noted:
	case o.GSO == frame.GSOUDP:
		o = offload.InferUDP(f, o.SegmentSize)
	default:
		o = offload.Infer(f, mtu)
	}
	if o.NeedsChecksum && o.GSO == frame.GSONone {
		offload.FinishChecksum(f, o)
		return frame.Offload{}
	}
	return o
}
