package gateway

import (
	"errors"
	"net"

	"vxgw/gateway/counters"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/offload"
	"vxgw/l3/underlay"
)

// flushAt bounds what a batch collects before it is sent: a flood of broadcast
// to many places multiplies frames.
const flushAt = 1024

// transmit is the sending half of a worker: the copies of one batch, and what
// became of them.
type transmit struct {
	// Set once.
	gw    *Gateway
	lane  int // which of the underlay's sockets to send by
	tally *batchTally

	snap   *forward.Snapshot // of this batch
	out    outList
	dgrams []underlay.Datagram
	about  []about // what dgrams are, by the same index
	arena  arena
	joiner *offload.Coalescer // of frames for ports; nil: they go as they are

	sendPort func(forward.PortID, []frame.Out) // t.toDevice, bound once
}

// about is what is counted of a datagram when it has been sent.
type about struct {
	to     forward.VTEPID
	domain fdb.Domain
	frames int // inner frames: more than one of a super-frame that goes whole
	size   int // their bytes in all
}

func newTransmit(gw *Gateway, lane int, tally *batchTally) *transmit {
	t := &transmit{gw: gw, lane: lane, tally: tally}
	t.sendPort = t.toDevice
	return t
}

// port queues one copy for an access port.
func (t *transmit) port(to forward.PortID, b []byte, o frame.Offload) {
	t.out.add(to, b, o)
	if len(t.out.frames) >= flushAt {
		t.flush()
	}
}

// vtep queues one VXLAN packet whose payload is head and body.
func (t *transmit) vtep(to forward.VTEPID, d fdb.Domain, sport uint16, tos uint8, head, body []byte) {
	v := &t.snap.VTEPs[to]
	t.dgrams = append(t.dgrams, underlay.Datagram{
		To: v.Addr, Via: v.HopFor(sport), SourcePort: sport, TOS: tos, Head: head, Body: body,
	})
	t.queued(about{to, d, 1, len(head) + len(body) - vxlanHeader})
}

// whole queues a super-frame as one VXLAN packet: head is the VXLAN header, and f
// what counts as the given number of frames and bytes.
func (t *transmit) whole(is about, sport uint16, tos uint8, head, f []byte, o frame.Offload) {
	v := &t.snap.VTEPs[is.to]
	t.dgrams = append(t.dgrams, underlay.Datagram{
		To: v.Addr, Via: v.HopFor(sport), SourcePort: sport, TOS: tos, Head: head, Body: f, Offload: o,
	})
	t.queued(is)
}

// queued notes what the last datagram is.
func (t *transmit) queued(is about) {
	t.about = append(t.about, is)
	if len(t.dgrams) >= flushAt {
		t.flush()
	}
}

// carriesWhole reports whether a super-frame with n bytes of UDP payload can go
// whole by a hop.
func (t *transmit) carriesWhole(via *underlay.Hop, n int) bool {
	k := len(t.snap.Uplinks)
	return via != nil && k > 0 && t.snap.Uplinks[t.lane%k].CarriesOffload(via, n)
}

// flush sends all that is queued.
func (t *transmit) flush() {
	if len(t.out.touched) > 0 {
		t.out.flush(t.sendPort)
	}
	if len(t.dgrams) > 0 {
		t.toUnderlay()
	}
	t.arena.reset()
}

func (t *transmit) toDevice(to forward.PortID, frames []frame.Out) {
	p := &t.snap.Ports[to]
	if p.Dev == nil {
		for i := range frames {
			t.lostAtPort(to, frames[i].Bytes, forward.PortDown)
		}
		return
	}
	if err := t.write(p, frames); err != nil {
		t.gw.trouble.port(p.Name, err)
	}
	var sent counters.Tally
	for i := range frames {
		if s := frames[i].Status; s == frame.Sent {
			sent.Add(len(frames[i].Bytes))
			if t.tally.witness.Sending() {
				t.tally.witness.ToPort(to, t.vniOf(to), frames[i].Bytes, t.tally.direction, forward.None)
			}
		} else {
			t.lostAtPort(to, frames[i].Bytes, portReason(s))
		}
	}
	sent.Tx(p.Traffic)
}

// lostAtPort counts a copy that a port did not take.
func (t *transmit) lostAtPort(to forward.PortID, f []byte, r forward.Reason) {
	t.tally.loseAll(r, 1)
	t.tally.witness.ToPort(to, t.vniOf(to), f, t.tally.direction, r)
}

// vniOf returns the VNI of a port.
func (t *transmit) vniOf(id forward.PortID) uint32 {
	return t.snap.Domains[t.snap.Ports[id].Domain].VNI
}

// lostToVTEP counts the i-th packet, which was not sent.
func (t *transmit) lostToVTEP(i int, r forward.Reason) {
	t.tally.loseAll(r, t.about[i].frames)
	t.tally.witness.ToUnderlay(&t.dgrams[i], t.snap.Domains[t.about[i].domain].VNI, t.tally.direction, r)
}

func (t *transmit) toUnderlay() {
	if n := len(t.snap.Uplinks); n > 0 {
		// A socket that was closed is no news: the supervisor closed it.
		if err := t.snap.Uplinks[t.lane%n].WriteBatch(t.dgrams); err != nil && !errors.Is(err, net.ErrClosed) {
			t.gw.trouble.underlay(err)
		}
		t.countSent()
	} else {
		t.gw.trouble.once("no uplink", "packets for VTEPs are lost while the underlay is down", "mend", "`vxgw show datapath` says why it is down")
		for i := range t.about {
			t.lostToVTEP(i, forward.TxFailed)
		}
	}
	clear(t.dgrams) // let go of the buffers
	t.dgrams, t.about = t.dgrams[:0], t.about[:0]
}

// countSent adds what was sent to the VTEPs' and VNIs' counters, a run of
// datagrams to the same place at a time.
func (t *transmit) countSent() {
	var vtep, vni counters.Tally
	for i, a := range t.about {
		if s := t.dgrams[i].Status; s == frame.Sent {
			vtep.AddAll(a.frames, a.size)
			vni.AddAll(a.frames, a.size)
			if t.tally.witness.Sending() {
				t.tally.witness.ToUnderlay(&t.dgrams[i], t.snap.Domains[a.domain].VNI, t.tally.direction, forward.None)
			}
		} else {
			t.lostToVTEP(i, underlayReason(s))
		}
		last := i+1 == len(t.about)
		if last || t.about[i+1].to != a.to {
			vtep.Tx(t.snap.VTEPs[a.to].Traffic)
		}
		if last || t.about[i+1].domain != a.domain {
			vni.Tx(t.snap.Domains[a.domain].Traffic)
		}
	}
}

// underlayReason is how a packet that was not sent is counted. There is no port
// that could be down.
func underlayReason(s frame.Status) forward.Reason {
	if s == frame.TooBig {
		return forward.TooBig
	}
	return forward.TxFailed
}

// portReason is how a frame that was not sent is counted.
func portReason(s frame.Status) forward.Reason {
	switch s {
	case frame.TooBig:
		return forward.TooBig
	case frame.Down:
		return forward.PortDown
	}
	return forward.TxFailed
}

// arena is memory for headers that are written while a batch is collected and
// read when it is sent. It grows to what a batch needs, and then stays.
type arena struct {
	mem  []byte
	used int
}

// take returns n bytes that stay valid until reset. A block that is full is
// left to the slices into it, and a larger one begun.
func (a *arena) take(n int) []byte {
	if a.used+n > len(a.mem) {
		a.mem = make([]byte, max(2*len(a.mem), n, 4096))
		a.used = 0
	}
	b := a.mem[a.used : a.used+n : a.used+n]
	a.used += n
	return b
}

func (a *arena) reset() { a.used = 0 }
