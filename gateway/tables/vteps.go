package tables

import (
	"net/netip"
	"sync/atomic"

	"vxgw/gateway/counters"
	"vxgw/gateway/forward"
	"vxgw/gateway/journal"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/underlay"
)

type addr = netip.Addr

// idle is a learned VTEP that no MAC stands behind, and since when.
type idle struct {
	addr  addr
	since uint32
}

// keepIdle is how long, in seconds, a learned VTEP stays listed after the last
// frame from it and the last MAC behind it.
const keepIdle = 3600

// VTEP returns the number of the VTEP at a, and false where it has none yet.
// It takes no lock and allocates nothing.
func (t *Tables) VTEP(a addr) (forward.VTEPID, bool) { return t.index.find(a) }

// maxLearned is how many VTEPs may be numbered by what they send. The rest of
// the numbers are the configuration's: forged sources cannot use them up.
const maxLearned = forward.MaxVTEPs * 3 / 4

// Learn numbers the VTEP at a, which an allowed packet came from, and publishes
// a snapshot that knows it. It returns NoVTEPID when there is no number left:
// its frames are carried, and nothing is learned of it.
func (t *Tables) Learn(a addr) forward.VTEPID {
	if t.crowded.Load() {
		return forward.NoVTEPID // without a lock: there may be a flood of them
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := t.vteps.find(a); ok {
		return forward.VTEPID(id)
	}
	if len(t.vteps.ids) >= maxLearned {
		t.crowded.Store(true)
		return forward.NoVTEPID
	}
	id := forward.NoVTEPID
	t.change(func(s *forward.Snapshot) { id = t.number(s, a) })
	return id
}

// number gives a VTEP its number in the snapshot being made; the caller has
// seen to it that there is one left. Workers can find the number once the
// snapshot is published, and not before. Appending may write behind the end of
// the slice that an older snapshot shares; none looks there.
func (t *Tables) number(s *forward.Snapshot, a addr) forward.VTEPID {
	id, fresh, _ := t.vteps.get(a)
	v := forward.VTEPID(id)
	if !fresh {
		return v
	}
	entry := forward.VTEP{Addr: a, Traffic: new(counters.Traffic)}
	if id < len(s.VTEPs) {
		s.VTEPs = clone(s.VTEPs)
		s.VTEPs[id] = entry
	} else {
		s.VTEPs = append(s.VTEPs, entry)
	}
	t.numbered = append(t.numbered, v)
	return v
}

// Path is what is known of the path to a VTEP.
type Path struct {
	MaxFrame int             // the longest inner frame it carries, in bytes; 0: not known
	Via      *underlay.Hop   // nil: the host's stack is to send
	More     []*underlay.Hop // as forward.VTEP has it
}

// SetPaths tells forwarding of the paths to VTEPs.
func (t *Tables) SetPaths(paths map[forward.VTEPID]Path) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change(func(s *forward.Snapshot) {
		s.VTEPs = clone(s.VTEPs)
		for id, p := range paths {
			if int(id) < len(s.VTEPs) {
				v := &s.VTEPs[id]
				v.MaxFrame, v.Via, v.More = p.MaxFrame, p.Via, p.More
			}
		}
	})
}

// Static reports whether the configuration names the VTEP at a.
func (t *Tables) Static(a addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.static[a]
	return ok
}

// sweepParts is how many sweeps it takes to go once round the FDB: an entry
// that has expired is not found any more, and there is no haste to clear it up.
const sweepParts = 4

// Sweep ages a part of the FDB and of the neighbours, and takes out learned
// VTEPs that were silent for an hour and that no MAC stands behind. now is the
// gateway's clock in seconds. It is to be called once a second.
func (t *Tables) Sweep(now uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part = (t.part + 1) % sweepParts
	t.fdb.AgePart(now, t.part, sweepParts)
	t.neighbours.Age(now, t.part, sweepParts, func(d fdb.Domain, m frame.MAC) bool {
		_, known := t.fdb.Lookup(d, m, now)
		return known
	})
	t.forgetGone()
	t.retire(t.idle(now))
}

// idle returns the learned VTEPs that have been idle for too long.
func (t *Tables) idle(now uint32) (old map[forward.VTEPID]addr) {
	old = make(map[forward.VTEPID]addr)
	for a, n := range t.vteps.ids {
		id := forward.VTEPID(n)
		_, static := t.static[a]
		if static || len(t.said.vteps[a]) > 0 || t.fdb.HopLen(forward.VTEPHop(id)) > 0 || !t.silent(id, now) {
			delete(t.quiet, id)
			continue
		}
		if was, ok := t.quiet[id]; !ok {
			t.quiet[id] = idle{a, now}
		} else if now-was.since > keepIdle {
			old[id] = a
		}
	}
	return old
}

func (t *Tables) silent(id forward.VTEPID, now uint32) bool {
	seen := t.snap.Load().VTEPs[id].Traffic.LastSeen.Load()
	return seen == 0 || now-min(seen, now) > 1
}

// retire gives VTEPs' numbers back. Their places in the snapshot stay, without
// an address, until others take them.
func (t *Tables) retire(old map[forward.VTEPID]addr) {
	if len(old) == 0 {
		return
	}
	var g gone
	for id, a := range old {
		t.index.drop(a)
		t.vteps.drop(a)
		t.journal.Put(journal.Record{Kind: journal.VTEPGone, Addr: a})
		delete(t.quiet, id)
		g.vtep(id)
	}
	t.crowded.Store(false)
	t.forget(&g)
	t.change(func(s *forward.Snapshot) {
		s.VTEPs = clone(s.VTEPs)
		for id := range old {
			s.VTEPs[id] = forward.VTEP{Traffic: s.VTEPs[id].Traffic}
		}
	})
}

// vtepIndex finds VTEPs by address without a lock. Its maps are copied when one
// is added; there are many small ones, so that a flood of forged sources does
// not make each new one dear.
type vtepIndex struct {
	shards [256]atomic.Pointer[map[addr]forward.VTEPID]
}

func newVTEPIndex() *vtepIndex { return new(vtepIndex) }

func (x *vtepIndex) shard(a addr) *atomic.Pointer[map[addr]forward.VTEPID] {
	b := a.As16()
	return &x.shards[b[15]^b[14]*31^b[13]*17^b[7]]
}

func (x *vtepIndex) find(a addr) (forward.VTEPID, bool) {
	m := x.shard(a).Load()
	if m == nil {
		return forward.NoVTEPID, false
	}
	id, ok := (*m)[a]
	return id, ok
}

func (x *vtepIndex) put(a addr, id forward.VTEPID) {
	x.edit(a, func(m map[addr]forward.VTEPID) { m[a] = id })
}

func (x *vtepIndex) drop(a addr) {
	x.edit(a, func(m map[addr]forward.VTEPID) { delete(m, a) })
}

func (x *vtepIndex) edit(a addr, f func(map[addr]forward.VTEPID)) {
	p := x.shard(a)
	m := make(map[addr]forward.VTEPID)
	if old := p.Load(); old != nil {
		for k, v := range *old {
			m[k] = v
		}
	}
	f(m)
	p.Store(&m)
}
