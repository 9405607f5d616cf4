package capture

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	"vxgw/l3/underlay"
)

// tap is where a worker's notes for captures go, and which they are.
type tap struct {
	ring  *Ring
	wants *wants
}

// Witness is what one worker tells of frames. Its methods are the worker's own. None of
// them waits, allocates or calls the kernel, but for the memory of its first drop. The
// nil Witness tells nobody.
type Witness struct {
	hub  *Hub
	live atomic.Pointer[tap] // nil: nobody captures

	flight flight

	// Of the batch at hand.
	tap  *tap
	time int64 // 0: nobody has asked yet

	// Of the frame at hand.
	at   subject
	note *Note // in tap.ring, while it may be changed

	lost lostRun

	tag [frame.TagLen]byte // of the frame at hand, as it was in front of its type
}

// subject is the frame that a worker is at.
type subject struct {
	place  Place
	vni    uint32
	data   []byte           // the frame, or the inner one
	tag    frame.Tag        // that was beside it
	packet *underlay.Packet // that it came in; nil: it came in at a port, or earlier
	vtep   netip.Addr       // that it came from, where that is not packet's
	known  bool             // there is a frame
}

// lostRun is notes in a row for one place that there was no room for.
type lostRun struct {
	slot int
	n    uint64
}

// Begin starts a batch. now is the gateway's clock in seconds.
func (w *Witness) Begin(now uint32) {
	w.tap, w.time = w.live.Load(), 0
	w.flight.begin(now)
}

// End ends it, or what was read of it: what is sent comes between two Ends.
func (w *Witness) End() {
	w.at = subject{}
	w.settle()
}

func (w *Witness) settle() {
	w.note = nil
	w.flight.publish()
	if w.tap != nil {
		w.tap.ring.publish()
		w.flushLost()
	}
}

// clock returns the time of day of the batch. It is one vDSO call for a batch that
// somebody captures or that something of was dropped.
func (w *Witness) clock() int64 {
	if w.time == 0 {
		w.time = time.Now().UnixNano()
	}
	return w.time
}

// FromPort says that a frame that came in at a port is at hand.
func (w *Witness) FromPort(id forward.PortID, vni uint32, b *frame.Buffer) {
	w.note = nil
	w.at = subject{place: AtPort(id), vni: vni, data: b.Bytes(), tag: b.Tag, known: true}
	if w.tap != nil && w.tap.wants.seen(w.at.place, vni) {
		w.seen()
	}
}

// FromUnderlay says that a packet of the underlay is at hand. vni is 0 where the
// packet is none of a VNI.
func (w *Witness) FromUnderlay(p *underlay.Packet, vni uint32) {
	w.note = nil
	w.at = subject{place: Place{forward.NoPortID, p.Interface}, vni: vni, data: p.Bytes(), packet: p, known: true}
	if w.tap != nil && w.tap.wants.seen(w.at.place, vni) {
		w.seen()
	}
}

// Subject is the frame that is at hand, for who puts another in its place for a while.
type Subject struct {
	at   subject
	note *Note
}

// Earlier says that a frame is at hand that came in earlier at a port, or from a VTEP,
// or that the gateway made itself: then from is not valid. It returns what was at hand
// before.
func (w *Witness) Earlier(at Place, from netip.Addr, vni uint32, f []byte) (was Subject) {
	if w == nil {
		return was
	}
	was = Subject{w.at, w.note}
	w.note = nil
	w.at = subject{place: at, vni: vni, data: f, vtep: from, known: true}
	return was
}

// Back puts at hand what was before.
func (w *Witness) Back(was Subject) {
	if w != nil {
		w.at, w.note = was.at, was.note
	}
}

// Dropped tells why the frame at hand, or a copy of it, was dropped.
func (w *Witness) Dropped(d forward.Direction, r forward.Reason, part bool) {
	if w == nil || !w.at.known {
		return
	}
	if w.flight.takes(r) {
		n := w.about()
		n.Reason, n.Direction, n.Part = r, d, part
		parts := w.parts(false)
		w.flight.put(&n, &parts)
	}
	switch {
	case w.tap == nil:
	case w.at.packet == nil && w.at.place.IsUnderlay(): // it is in no packet any more
	case w.note != nil:
		w.note.Reason, w.note.Direction, w.note.Part = r, d, part
	case w.tap.wants.lost(w.at.place, w.at.vni):
		w.seen()
		if w.note != nil {
			w.note.Reason, w.note.Direction, w.note.Part = r, d, part
		}
	}
}

// about is a note about the frame at hand, as it came in.
func (w *Witness) about() Note {
	n := Note{Time: w.clock(), Place: w.at.place, VNI: w.at.vni, Len: len(w.at.data), VTEP: w.at.vtep}
	if w.at.tag.Present {
		n.Len += frame.TagLen
	}
	if p := w.at.packet; p != nil {
		n.VTEP = p.From
		n.Bare, n.Outer = true, Outer{Group: p.Group, SourcePort: p.FromPort, TOS: p.TOS}
	}
	return n
}

// parts are the bytes of the frame at hand, with its tag. outer: with the outer
// headers, where they are there.
func (w *Witness) parts(outer bool) (parts [3][]byte) {
	s := &w.at
	switch p := s.packet; {
	case p != nil && outer && p.Outer > 0:
		parts[0], parts[1] = p.Mem[p.Off-p.Outer:p.Off], s.data
	case s.tag.Present && len(s.data) >= 2*len(frame.MAC{}):
		binary.BigEndian.PutUint16(w.tag[:], s.tag.TPID)
		binary.BigEndian.PutUint16(w.tag[2:], s.tag.TCI)
		parts[0], parts[1], parts[2] = s.data[:12], w.tag[:], s.data[12:]
	default:
		parts[0] = s.data
	}
	return parts
}

// seen notes the frame at hand for captures.
func (w *Witness) seen() {
	n := w.about()
	if p := w.at.packet; p != nil && p.Outer > 0 {
		n.Bare, n.Len = false, n.Len+p.Outer
	}
	parts := w.parts(true)
	w.note = w.put(&n, &parts)
}

func (w *Witness) put(n *Note, parts *[3][]byte) *Note {
	to := w.tap.ring.put(n, w.tap.wants.snap, parts)
	if to == nil {
		w.lose(n.Place)
	}
	return to
}

// lose counts a note that there was no room for.
func (w *Witness) lose(p Place) {
	if s := p.slot(); w.lost.slot != s {
		w.flushLost()
		w.lost.slot = s
	}
	w.lost.n++
}

func (w *Witness) flushLost() {
	if w.lost.n > 0 {
		w.hub.lost[w.lost.slot].Add(w.lost.n)
		w.lost.n = 0
	}
}

// ToPort tells of a copy that was sent to a port, or dropped there for a reason.
func (w *Witness) ToPort(id forward.PortID, vni uint32, f []byte, d forward.Direction, r forward.Reason) {
	n := Note{Place: AtPort(id), Out: true, VNI: vni, Len: len(f), Reason: r, Direction: d}
	w.sent(&n, &[3][]byte{f})
}

// ToUnderlay tells of a packet that was sent to a VTEP, or dropped for a reason.
func (w *Witness) ToUnderlay(p *underlay.Datagram, vni uint32, d forward.Direction, r forward.Reason) {
	n := Note{Place: Underlay, Out: true, VNI: vni, Len: len(p.Head) + len(p.Body), Reason: r, Direction: d, VTEP: p.To, Bare: true}
	n.Outer = Outer{Via: p.Via, SourcePort: p.SourcePort, TOS: p.TOS}
	if p.Via != nil {
		n.Place.Index = p.Via.Interface
	}
	w.sent(&n, &[3][]byte{p.Head, p.Body})
}

// Sending reports whether anybody is to be told of what is sent and not dropped.
func (w *Witness) Sending() bool { return w != nil && w.tap != nil }

func (w *Witness) sent(n *Note, parts *[3][]byte) {
	if w == nil {
		return
	}
	if n.Reason != forward.None && w.flight.takes(n.Reason) {
		n.Time = w.clock()
		w.flight.put(n, parts)
	}
	if w.tap == nil {
		return
	}
	if w.tap.wants.seen(n.Place, n.VNI) || n.Reason != forward.None && w.tap.wants.lost(n.Place, n.VNI) {
		n.Time = w.clock()
		w.put(n, parts)
	}
}
