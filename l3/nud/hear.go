package nud

import (
	"net/netip"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
)

// Message is what an ARP or ND message says of who has which address.
type Message struct {
	Addr netip.Addr // who speaks, or is spoken of
	MAC  frame.MAC  // where he is; zero where the message does not say

	Target netip.Addr // whom it asks for

	// Request: it asks, and tells of its sender beside. Otherwise it tells, and
	// these are the flags of a neighbour advertisement (RFC 4861 section 4.4): an
	// ARP reply counts as solicited, when it is to us, and as overriding.
	Request             bool
	Solicited, Override bool

	// ToUs is the caller's to set: it was sent to the router itself, and not to
	// everybody or somebody else.
	ToUs bool
}

// Read returns what a frame of at least frame.HeaderLen bytes says, and false where
// that is nothing: it is neither ARP nor ND, is malformed, or names an address or a
// MAC that no station has.
func Read(f frame.Frame) (Message, bool) {
	var m Message
	switch f.Type() {
	case frame.TypeARP:
		a, ok := neigh.ParseARP(f.Payload())
		if !ok || a.Op() != neigh.ARPRequest && a.Op() != neigh.ARPReply {
			return m, false
		}
		m = Message{Addr: a.Sender(), MAC: a.SenderMAC(), Target: a.Target(), Request: a.Op() == neigh.ARPRequest}
		m.Solicited, m.Override = !m.Request, true
		if m.MAC.IsZero() {
			return m, false
		}
	case frame.TypeIPv6:
		p, ok := neigh.ParseND(f.Payload())
		if !ok {
			return m, false
		}
		m = readND(f, p)
	default:
		return m, false
	}
	return m, neigh.IsHost(m.Addr) && !m.MAC.IsMulticast()
}

func readND(f frame.Frame, p neigh.ND) Message {
	if p.IsSolicitation() {
		mac, _ := p.SourceMAC()
		return Message{Addr: p.Src(), MAC: mac, Target: p.Target(), Request: true}
	}
	mac, named := p.TargetMAC()
	if !named && !f.Dst().IsMulticast() {
		mac = f.Src() // as it is in answer to a unicast (RFC 4861 section 7.2.4)
	}
	return Message{Addr: p.Target(), MAC: mac, Target: p.Target(), Solicited: p.Solicited(), Override: p.Override()}
}

// Change is what a message did.
type Change uint8

// The changes.
const (
	Nothing   Change = iota
	Confirmed        // it is where it was
	Added            // it was not known
	Moved            // it is at another MAC
)

// Heard is what a message did: the packets that waited are to be sent now.
type Heard struct {
	Changed  Change
	MAC      frame.MAC
	Released []Packet
}

// Hear learns from a message (RFC 826 "Packet Reception", RFC 4861 sections 7.2.3 and
// 7.2.5). One that nobody asked for makes no entry: it only tells of those that are
// known, and of who asks us.
func (t *Table) Hear(d fdb.Domain, m Message, now uint32) Heard {
	q := t.quotas[d].Load()
	if q == nil {
		return Heard{}
	}
	k := key{d, m.Addr}
	n := t.find(k)
	if n == nil {
		if !m.Request || !m.ToUs || m.MAC.IsZero() {
			return Heard{}
		}
		return t.introduce(q, k, m, now)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	was, s := unpack(n.where.Load())
	switch {
	case n.gone.Load(), s == Permanent:
		return Heard{}
	case s == Bound:
		return q.claimed(n, m, was, now)
	case !s.open():
		return t.answered(q, n, m, s, now)
	}
	return n.told(m, was, s, now)
}

// introduce makes an entry of who asks for us: he is going to be sent to.
func (t *Table) introduce(q *quota, k key, m Message, now uint32) Heard {
	if q.full() {
		t.evict(q, k.domain, now)
	}
	if !q.enter() {
		return Heard{}
	}
	n := &neighbour{key: k, hooks: &t.hooks, since: now}
	n.used.Store(now)
	n.where.Store(pack(m.MAC, Stale))
	n.mu.Lock() // nobody tells of it before it is told of
	defer n.mu.Unlock()
	if t.add(n) != n {
		q.leave(Stale, 0)
		return Heard{}
	}
	t.hooks.told(k, frame.MAC{}, m.MAC)
	return Heard{Changed: Added, MAC: m.MAC}
}

// answered: what is said of a neighbour that is asked for. It needs n's mu.
func (t *Table) answered(q *quota, n *neighbour, m Message, s State, now uint32) Heard {
	if m.MAC.IsZero() {
		return Heard{}
	}
	if s == Incomplete {
		q.asked(n.by)
	}
	next := Stale
	if m.Solicited && m.ToUs {
		next = Reachable
	}
	n.set(m.MAC, next, now)
	n.confirm, n.idle = now, false
	n.used.Store(now)
	return Heard{Changed: Added, MAC: m.MAC, Released: t.release(n)}
}

// claimed: what is said of a neighbour that is bound. Who is here and claims the address
// has it, if there is room for one that is learned. It needs n's mu.
func (q *quota) claimed(n *neighbour, m Message, was frame.MAC, now uint32) Heard {
	if m.MAC.IsZero() || m.MAC == was || !m.Override && !m.Request || !q.enter() {
		return Heard{MAC: was}
	}
	n.set(m.MAC, Stale, now)
	n.used.Store(now)
	n.idle = false
	return Heard{Changed: Moved, MAC: m.MAC}
}

// told: what is said of a neighbour that is known (RFC 4861 section 7.2.5 and
// appendix C). It needs n's mu.
func (n *neighbour) told(m Message, was frame.MAC, s State, now uint32) Heard {
	confirms := m.Solicited && m.ToUs
	if m.MAC.IsZero() {
		m.MAC = was
	}
	if m.MAC == was {
		if confirms {
			n.confirm, n.idle = now, false
			n.set(was, Reachable, now)
			n.since = now
			return Heard{Changed: Confirmed, MAC: was}
		}
		return Heard{MAC: was}
	}
	if !m.Override && !m.Request {
		// Somebody says otherwise and does not insist: whoever is known is to be
		// asked when he is next used.
		if s == Reachable {
			n.set(was, Stale, now)
		}
		return Heard{MAC: was}
	}
	next := Stale
	if confirms {
		next, n.confirm = Reachable, now
	}
	n.set(m.MAC, next, now)
	n.since, n.tries, n.idle = now, 0, false
	return Heard{Changed: Moved, MAC: m.MAC}
}
