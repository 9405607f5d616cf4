package tables

import (
	"maps"
	"net/netip"
	"slices"

	"vxgw/gateway/control"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/nud"
)

func hostPart(k control.NeighbourKey) int {
	b := k.Addr.As16()
	return int(b[15]) % saidParts
}

// wantHost returns what the neighbours are to have for an address by the words of
// controllers; why, for people, where that is nothing.
func (t *Tables) wantHost(s *forward.Snapshot, k control.NeighbourKey) (is placedHost, why string) {
	said := t.said.merge.Neighbours.Counts(k)
	is.origin, is.mac, is.router = said.Origin, said.Value.MAC, said.Value.Router
	if !said.IsThere() {
		ways := t.said.ways[k]
		if len(ways) == 0 {
			return is, "nobody says so any more"
		}
		is.mac = slices.MinFunc(slices.Collect(maps.Keys(ways)), func(a, b frame.MAC) int { return int(int64(a.Uint64()) - int64(b.Uint64())) })
		is.origin, is.fixed = ways[is.mac].origin(), true
	}
	d, ok := s.VNIs[k.VNI]
	if !ok {
		return is, noVNI(k.VNI)
	}
	dom := &s.Domains[d]
	is.domain, is.answers, is.routes = d, dom.Suppress && !is.fixed, dom.IRB != nil
	switch {
	case dom.IRB != nil && dom.IRB.Has(k.Addr):
		return is, "it is the gateway's own address"
	case !is.answers && !is.routes:
		return is, "its VNI has neither suppress_arp nor gateway"
	}
	return is, ""
}

// settleHosts brings the neighbours into line with what is said of addresses. anew is as
// settleMAC has it. What is taken back is taken in one walk.
func (t *Tables) settleHosts(s *forward.Snapshot, keys map[control.NeighbourKey]bool, anew bool) {
	gone := make(map[hostKey]bool)
	for k := range keys {
		placed := t.said.hosts[hostPart(k)]
		was, had := placed[k]
		is, why := t.wantHost(s, k)
		delete(placed, k)
		if had {
			t.unplaceHost(k, was, is, why == "", gone)
		}
		if why != "" {
			continue
		}
		placed[k] = is
		if anew || was != is {
			t.placeHost(k, is)
			delete(gone, hostKey{is.domain, k.Addr})
		}
	}
	if len(gone) > 0 {
		t.hosts.RemoveStatics(func(d fdb.Domain, a netip.Addr) bool { return gone[hostKey{d, a}] })
	}
}

type hostKey struct {
	domain fdb.Domain
	addr   netip.Addr
}

// unplaceHost takes back what was said of an address, as far as nothing else is said now;
// of routing's neighbours it is noted in gone.
func (t *Tables) unplaceHost(k control.NeighbourKey, was, is placedHost, stays bool, gone map[hostKey]bool) {
	stays = stays && was.domain == is.domain
	if was.answers && !(stays && is.answers) {
		t.neighbours.Unbind(was.domain, k.Addr)
	}
	if was.routes && !(stays && is.routes) {
		gone[hostKey{was.domain, k.Addr}] = true
	}
}

// placeHost says who has an address. Packets that wait for it are lost, and counted: they
// are some that came in the moment before.
func (t *Tables) placeHost(k control.NeighbourKey, p placedHost) {
	if p.answers {
		t.neighbours.Bind(p.domain, k.Addr, p.mac, p.router)
	}
	var waited []nud.Packet
	switch {
	case p.routes && p.fixed:
		waited = t.hosts.SetStatic(p.domain, k.Addr, p.mac, 0)
	case p.routes:
		waited = t.hosts.Bind(p.domain, k.Addr, p.mac, 0)
	}
	t.orphans.Add(uint64(len(waited)))
}

// mendHost puts an address back that a station had taken which is not here any more.
func (t *Tables) mendHost(k control.NeighbourKey, p placedHost, now uint32) {
	if p.answers {
		if e, there := t.neighbours.Lookup(p.domain, k.Addr, now); !there || !e.Bound && t.isAway(p.domain, e.MAC, now) {
			t.neighbours.Bind(p.domain, k.Addr, p.mac, p.router)
		}
	}
	if !p.routes {
		return
	}
	if e, there := t.hosts.Peek(p.domain, k.Addr); !there || e.State == nud.Failed || isLearned(&e) && t.isAway(p.domain, e.MAC, now) {
		p.answers = false
		t.placeHost(k, p)
	}
}

func isLearned(e *nud.Entry) bool { return e.State != nud.Permanent && e.State != nud.Bound }

// isAway reports whether a station is known, and not behind a port of this gateway.
func (t *Tables) isAway(d fdb.Domain, m frame.MAC, now uint32) bool {
	e, there := t.fdb.Lookup(d, m, now)
	return there && !isHere(e)
}
