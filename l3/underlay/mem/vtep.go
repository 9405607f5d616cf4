package mem

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/underlay"
)

// VTEP is one attachment to a Fabric.
type VTEP struct {
	// Set once.
	fabric *Fabric
	addr   netip.Addr
	queues []*queue
	conns  []underlay.Conn
	groups *queue // what comes to multicast groups

	// Guarded by fabric.mu.
	refused underlay.Refused
	sends   bool // to groups
	limit   int  // groups that may be joined, see LimitGroups; negative: any
}

var (
	_ underlay.Underlay = (*VTEP)(nil)
	_ underlay.Conn     = (*queue)(nil)
)

func newVTEP(f *Fabric, addr netip.Addr, o Options) *VTEP {
	if o.Depth <= 0 {
		o.Depth = DefaultDepth
	}
	v := &VTEP{fabric: f, addr: addr, limit: -1}
	v.groups = newQueue(v, o.Depth)
	for range max(o.Queues, 1) {
		q := newQueue(v, o.Depth)
		v.queues, v.conns = append(v.queues, q), append(v.conns, q)
	}
	return v
}

func newQueue(v *VTEP, depth int) *queue {
	q := &queue{vtep: v, depth: depth}
	q.ready.L = &v.fabric.mu
	return q
}

// GroupQueue returns the queue of what comes to the groups that were joined.
func (v *VTEP) GroupQueue() underlay.Reader { return v.groups }

// SetGroups is as underlay.Underlay has it. Every interface will do.
func (v *VTEP) SetGroups(m underlay.Membership) error {
	f := v.fabric
	f.mu.Lock()
	defer f.mu.Unlock()
	if v.groups.closed {
		return net.ErrClosed
	}
	for _, members := range f.members {
		delete(members, v)
	}
	v.sends = m.Interface != 0
	if !v.sends {
		return nil
	}
	for i, a := range m.Groups {
		if i == v.limit {
			return &underlay.GroupError{Group: a, Err: unix.ENOBUFS, Others: len(m.Groups) - i - 1}
		}
		if f.members[a] == nil {
			f.members[a] = make(map[*VTEP]struct{})
		}
		f.members[a][v] = struct{}{}
	}
	return nil
}

// LimitGroups has SetGroups fail beyond a number of groups; a negative one: never.
func (v *VTEP) LimitGroups(n int) {
	v.fabric.mu.Lock()
	defer v.fabric.mu.Unlock()
	v.limit = n
}

// UseLinks is as underlay.Underlay has it. Every packet takes the same way here.
func (v *VTEP) UseLinks([]int) ([]underlay.Reader, error) { return nil, nil }

// Queues returns the receive queues. A flow, which is one sender and one source
// port, stays on its queue.
func (v *VTEP) Queues() []underlay.Conn { return v.conns }

// Refused returns how many datagrams found no room, as Overflow, how many came
// in fragments, and what Refuse added.
func (v *VTEP) Refused() underlay.Refused {
	v.fabric.mu.Lock()
	defer v.fabric.mu.Unlock()
	return v.refused
}

// Refuse adds to what Refused returns, as if a kernel had refused that much.
func (v *VTEP) Refuse(r underlay.Refused) {
	v.fabric.mu.Lock()
	defer v.fabric.mu.Unlock()
	v.refused.Overflow += r.Overflow
	v.refused.Checksum += r.Checksum
	v.refused.Fragment += r.Fragment
	v.refused.Malformed += r.Malformed
}

// Close detaches the VTEP. Who waits in ReadBatch gets net.ErrClosed, what goes
// to its address is lost. A second Close does nothing.
func (v *VTEP) Close() error {
	v.fabric.mu.Lock()
	defer v.fabric.mu.Unlock()
	v.fabric.detach(v)
	for _, q := range v.queues {
		q.close()
	}
	v.groups.close()
	return nil
}

// take puts a datagram into its flow's queue. It needs the fabric's mu.
func (v *VTEP) take(w Wire) {
	q := v.groups
	if !w.To.IsMulticast() {
		q = v.queues[flow(w.From, w.FromPort)%uint32(len(v.queues))]
	}
	if q.closed || len(q.waiting) >= q.depth {
		v.refused.Overflow++
		return
	}
	if w.Fragmented {
		v.refused.Fragment++ // as underlay.Packet has it
	}
	w.Payload = append([]byte(nil), w.Payload...)
	q.waiting = append(q.waiting, w)
	q.ready.Signal()
}

// flow hashes what names a flow (FNV-1a).
func flow(from netip.Addr, port uint16) uint32 {
	h := uint32(2166136261)
	for _, b := range from.As16() {
		h = (h ^ uint32(b)) * 16777619
	}
	h = (h ^ uint32(port&0xff)) * 16777619
	return (h ^ uint32(port>>8)) * 16777619
}

// queue is one receive queue and the transmit side of a VTEP.
type queue struct {
	// Set once.
	vtep  *VTEP
	depth int
	ready sync.Cond // of the fabric's mu

	// Guarded by the fabric's mu.
	waiting []Wire
	woken   bool
	closed  bool
}

// errNoRoom is a mistake of the caller's.
var errNoRoom = fmt.Errorf("a packet must hold more than the %d bytes of headroom: make packets with underlay.NewPackets", frame.Headroom)

// ReadBatch is as underlay.Conn has it.
func (q *queue) ReadBatch(pkts []underlay.Packet) (int, error) {
	pkts = pkts[:min(len(pkts), underlay.BatchSize)]
	for i := range pkts {
		if len(pkts[i].Mem) <= frame.Headroom {
			return 0, errNoRoom
		}
	}
	if len(pkts) == 0 {
		return 0, nil
	}
	mu := &q.vtep.fabric.mu
	mu.Lock()
	defer mu.Unlock()
	for {
		switch {
		case q.closed:
			return 0, net.ErrClosed
		case q.woken:
			q.woken = false
			return 0, os.ErrDeadlineExceeded
		case len(q.waiting) > 0:
			return q.deliver(pkts), nil
		}
		q.ready.Wait()
	}
}

// deliver moves waiting datagrams into packets. It needs the fabric's mu.
func (q *queue) deliver(pkts []underlay.Packet) int {
	n := min(len(pkts), len(q.waiting))
	for i, w := range q.waiting[:n] {
		p := &pkts[i]
		p.Off = frame.Headroom
		p.Len = copy(p.Mem[p.Off:], w.Payload)
		p.FullLen = len(w.Payload)
		p.Truncated = p.Len < len(w.Payload)
		p.Offload = w.Offload
		p.From, p.FromPort, p.TOS, p.Fragmented = w.From, w.FromPort, w.TOS, w.Fragmented
		p.Group = netip.Addr{}
		if w.To.IsMulticast() {
			p.Group = w.To
		}
	}
	q.waiting = append(q.waiting[:0], q.waiting[n:]...)
	return n
}

// CarriesOffload is as underlay.Conn has it. There is no kernel here that could
// cut what is sent.
func (q *queue) CarriesOffload(*underlay.Hop, int) bool { return false }

// WriteBatch is as underlay.Conn has it. A datagram to an address that nobody is
// attached with is Sent all the same: a network does not tell.
func (q *queue) WriteBatch(dgrams []underlay.Datagram) (last error) {
	f := q.vtep.fabric
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range dgrams {
		if err := q.write(&dgrams[i]); err != nil {
			last = fmt.Errorf("send to VTEP %v: %w", dgrams[i].To, err)
		}
	}
	return last
}

var errTooLong = errors.New("longer than a UDP datagram")

// write sends one datagram. It needs the fabric's mu.
func (q *queue) write(d *underlay.Datagram) (err error) {
	if q.closed {
		d.Status = frame.Down
		return net.ErrClosed
	}
	if d.To.IsMulticast() && !q.vtep.sends {
		d.Status = frame.Down
		return unix.ENODEV
	}
	payload := append(append([]byte(nil), d.Head...), d.Body...)
	if len(payload) > underlay.MaxPayload {
		d.Status = frame.TooBig
		return errTooLong
	}
	d.Status, err = q.vtep.fabric.send(Wire{
		From: q.vtep.addr, FromPort: d.SourcePort, To: d.To, TOS: d.TOS, Payload: payload,
	})
	return err
}

// Wake makes the ReadBatch that waits, or else the next one, return at once.
func (q *queue) Wake() {
	q.vtep.fabric.mu.Lock()
	defer q.vtep.fabric.mu.Unlock()
	q.woken = true
	q.ready.Signal()
}

// Close ends this queue alone. A second Close does nothing.
func (q *queue) Close() error {
	q.vtep.fabric.mu.Lock()
	defer q.vtep.fabric.mu.Unlock()
	q.close()
	return nil
}

// close needs the fabric's mu.
func (q *queue) close() {
	q.closed = true
	q.waiting = nil
	q.ready.Broadcast()
}
