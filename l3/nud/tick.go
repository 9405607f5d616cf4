package nud

import (
	"net/netip"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Ask is a neighbour that is to be asked for.
type Ask struct {
	Domain fdb.Domain
	Addr   netip.Addr
	MAC    frame.MAC // whom to ask; zero: everybody
}

// Tick lets a second pass. ask is called for every neighbour that is to be asked for,
// giveUp for every one that did not answer, with the packets that waited. Both may
// call the table.
func (t *Table) Tick(now uint32, ask func(Ask), giveUp func(fdb.Domain, netip.Addr, []Packet)) {
	var gone []*neighbour
	for n := range t.entries {
		n.mu.Lock()
		var a step
		if !n.gone.Load() {
			a = t.pass(n, now)
		}
		n.mu.Unlock()
		if a.asks {
			ask(a.ask)
		}
		if a.gaveUp {
			giveUp(n.domain, n.addr, a.lost)
		}
		if a.gone {
			gone = append(gone, n)
		}
	}
	if len(gone) > 0 {
		t.remove(gone)
	}
}

// step is what one second does to a neighbour.
type step struct {
	asks   bool
	ask    Ask
	gaveUp bool
	lost   []Packet
	gone   bool
}

// pass needs n's mu.
func (t *Table) pass(n *neighbour, now uint32) step {
	m, s := unpack(n.where.Load())
	inState := now - n.since
	switch s {
	case Incomplete:
		return t.again(n, now)
	case Reachable:
		if now-n.confirm >= n.lifetime() {
			n.set(m, Stale, now)
			if now-n.used.Load() < reachableFor {
				n.set(m, Delay, now) // it is in use: no need to wait for the next packet
			}
		}
	case Stale:
		if now-n.used.Load() >= idleFor && inState >= idleFor {
			n.set(m, Probe, now)
			n.idle = true
			return n.probe(m, now)
		}
	case Delay:
		if inState >= delayFor {
			n.set(m, Probe, now)
			return n.probe(m, now)
		}
	case Probe:
		if now-n.confirm >= retransmit {
			return t.probeAgain(n, m, now)
		}
	case Failed:
		if inState >= failedFor {
			t.drop(n)
			return step{gone: true}
		}
	}
	return step{}
}

// again asks once more for a neighbour that has not answered, or gives up.
func (t *Table) again(n *neighbour, now uint32) step {
	switch {
	case now-n.confirm < retransmit:
		return step{}
	case n.tries < multicasts:
		n.tries++
		n.confirm = now
		return step{asks: true, ask: Ask{Domain: n.domain, Addr: n.addr}}
	}
	t.quotas[n.domain].Load().asked(n.by)
	n.set(frame.MAC{}, Failed, now)
	return step{gaveUp: true, lost: t.release(n)}
}

// probe asks a neighbour whether it is still there.
func (n *neighbour) probe(m frame.MAC, now uint32) step {
	n.tries++
	n.confirm = now
	return step{asks: true, ask: Ask{Domain: n.domain, Addr: n.addr, MAC: m}}
}

// probeAgain asks the neighbour itself, then everybody: the address may be at another
// MAC by now. One that was probed because it was not used is then forgotten.
func (t *Table) probeAgain(n *neighbour, m frame.MAC, now uint32) step {
	switch {
	case n.tries < unicasts:
		return n.probe(m, now)
	case n.tries < unicasts+multicasts:
		n.tries++
		n.confirm = now
		return step{asks: true, ask: Ask{Domain: n.domain, Addr: n.addr}}
	case n.idle:
		t.drop(n)
		return step{gone: true}
	}
	n.set(frame.MAC{}, Failed, now)
	return step{}
}
