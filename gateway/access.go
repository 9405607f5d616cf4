package gateway

import (
	"errors"
	"net"
	"os"
	"sync/atomic"

	"vxgw/gateway/capture"
	"vxgw/gateway/counters"
	"vxgw/gateway/forward"
	"vxgw/gateway/tables"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l2/port"
)

// accessWorker carries the frames that come in by one queue of an access port. Everything
// it holds is its own.
type accessWorker struct {
	gw   *Gateway
	id   forward.PortID
	dev  port.Port
	rx   port.Reader // the queue of dev that it reads
	bufs []frame.Buffer

	// heard is set when spanning tree was heard on a port that is to be shut
	// down then. The supervisor reads it: a worker never waits for a lock that
	// is held by who waits for the worker.
	heard *atomic.Bool

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
}

func newAccessWorker(gw *Gateway, id forward.PortID, lane int, dev port.Port, rx port.Reader, heard *atomic.Bool) *accessWorker {
	w := &accessWorker{gw: gw, id: id, dev: dev, rx: rx, heard: heard, bufs: frame.NewBuffers(port.BatchSize, frame.MaxLen)}
	w.witness, w.reader = gw.captures.Witness(), gw.tables.NewReader()
	w.tally = batchTally{direction: forward.Access, witness: w.witness}
	w.tx = newTransmit(gw, lane, &w.tally)
	w.carrier = carrier{encapsulation: &gw.encapsulation, tally: &w.tally, tx: w.tx, police: police{clock: gw.nanos}}
	w.routing = newRouting(gw, &w.carrier)
	return w
}

// run reads until the device is closed or gone. An interface that goes down is
// only waited for: the same socket carries on when it is up again.
func (w *accessWorker) run() {
	defer w.gw.captures.Dismiss(w.witness)
	defer w.reader.Close()
	for {
		n, err := w.rx.ReadBatch(w.bufs)
		w.beat.tick()
		switch {
		case n > 0:
			w.batch(w.bufs[:n])
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, net.ErrClosed):
			return
		case isDown(err):
			w.gw.nudge()
		default:
			// The next tick opens the port again, and not sooner: the reason
			// may be there to stay.
			w.gw.trouble.port(w.gw.tables.Snapshot().Ports[w.id].Name, err)
			return
		}
	}
}

func (w *accessWorker) batch(bufs []frame.Buffer) {
	w.routing.gen = w.gw.fast.generation()
	w.snap, w.now = w.reader.Enter(), w.gw.edges.Clock()
	defer w.reader.Leave()
	w.tx.snap, w.routing.now = w.snap, w.now
	w.warmer.access(w.snap, w.id, bufs)
	w.witness.Begin(w.now)
	vni := w.snap.Domains[w.snap.Ports[w.id].Domain].VNI
	var rx counters.Tally
	for i := range bufs {
		rx.Add(received(&bufs[i]))
		w.witness.FromPort(w.id, vni, &bufs[i])
		w.frame(&bufs[i])
	}
	w.witness.End()
	rx.Rx(w.snap.Ports[w.id].Traffic, w.now) // before anybody can see what comes of it
	w.routing.settle()
	w.tx.flush()
	w.witness.End()
	w.gw.fast.read.Add(uint64(len(bufs)))
	if n := w.tally.verdicts[forward.Answer]; n > 0 {
		w.snap.Domains[w.snap.Ports[w.id].Domain].Traffic.Suppressed.Add(uint64(n))
	}
	w.police.settle()
	w.tally.settle(&w.gw.ledger)
}

// received returns how many bytes came in for a frame. A tag that the kernel took
// off was among them.
func received(b *frame.Buffer) int {
	if b.Tag.Present {
		return b.Len + frame.TagLen
	}
	return b.Len
}

func (w *accessWorker) frame(b *frame.Buffer) {
	if b.Truncated {
		w.tally.drop(forward.TooShort)
		return
	}
	forward.PopTag(b)
	in := forward.Input{Frame: b.Bytes(), Tag: b.Tag, Size: wireSize(b.Bytes(), b.Offload)}
	v := w.snap.FromAccess(w.id, in, w.now)
	if c := w.snap.Ports[w.id].Storm; c != nil && v.Kind == forward.Flood && !w.police.lets(c, in.Frame.Dst(), onWire(in.Frame, b.Offload), 1) {
		v = v.Stormed()
	}
	w.tally.verdict(v)
	if v.Learn {
		o := w.gw.tables.FDB().Learn(v.Domain, in.Frame.Src(), forward.PortHop(w.id), w.now)
		w.tally.learned(o, false)
	}
	if v.Heard != neigh.NoNews {
		w.gw.hear(v, in.Frame, forward.PortHop(w.id), w.now, &w.tally)
	}
	if v.Heed || v.Solicits {
		w.routing.heed(v, in.Frame)
	}
	if v.Ask {
		w.gw.tables.Neighbours().Asked(v.Domain, neigh.Read(in.Frame).Asks, w.now)
	}
	w.carryOut(v, b)
}

func (w *accessWorker) carryOut(v forward.Verdict, b *frame.Buffer) {
	switch v.Kind {
	case forward.ToPort:
		w.toPort(v.Port, b.Bytes(), b.Offload)
	case forward.ToVTEP:
		w.toVTEP(v.VTEP, b, v.Domain)
	case forward.Flood:
		w.flood(v, b)
	case forward.Answer:
		w.answerNeighbour(v, b.Bytes())
	case forward.ToRouter:
		w.routing.packet(b, v.Domain, forward.PortHop(w.id))
	case forward.Local:
		w.routing.local(v, b, forward.PortHop(w.id))
	case forward.Drop:
		w.alert(v, b.Bytes())
		if v.Shutdown && !w.heard.Swap(true) {
			w.gw.nudge()
		}
	}
	if v.MTU > 0 {
		w.answerTooBig(b, v.MTU)
	}
}

func (w *accessWorker) flood(v forward.Verdict, b *frame.Buffer) {
	d := &w.snap.Domains[v.Domain]
	// The overlay first: its copies finish a checksum in place, and the ports
	// then share the finished bytes.
	w.toOverlay(v, b)
	bpdu := frame.Frame(b.Bytes()).Dst().IsBPDU()
	for _, out := range d.Ports {
		if w.snap.Blocks(w.id, out, bpdu) == forward.None {
			w.toPort(out, b.Bytes(), b.Offload)
		}
	}
}

// answerTooBig tells the sender of a frame that was too big what fits.
func (w *accessWorker) answerTooBig(b *frame.Buffer, mtu int) {
	if !w.gw.answers.Allow(w.now) {
		return
	}
	if f := w.tooBig(b.Bytes(), mtu); len(f) > 0 {
		w.tally.answer()
		w.tx.port(w.id, f, frame.Offload{})
	}
}
