package neigh

import (
	"net/netip"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Bind says who has an address, in the place of whoever is known: requests for it are
// answered, it does not expire, has room whatever the limit of its domain is, and what
// doubts it is not heeded. A station that claims the address from another MAC takes it:
// the entry is one that was learned then. Bind reports false, and does nothing, for what
// is no host's address or no station's MAC.
func (t *Table) Bind(d fdb.Domain, a netip.Addr, m frame.MAC, isRouter bool) bool {
	if !IsHost(a) || m.IsMulticast() || m.IsZero() {
		return false
	}
	k, st := makeKey(d, a), makeState(0, isRouter)|bound
	hash := t.hash(k)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()

	t.domains[d].bound.Add(1)
	sl := s.find(k, hash)
	if sl == nil {
		t.domains[d].n.Add(1)
		s.insert(t, k, m, st)
		t.changed(k, frame.MAC{}, m)
		return true
	}
	var before frame.MAC
	if was := sl.load(); was.live() {
		before = sl.mac()
		t.unbind(k, was)
	} else {
		t.domains[d].n.Add(1)
		s.live++
	}
	sl.set(k, m, st)
	t.changed(k, before, m)
	return true
}

// Unbind takes back what Bind said. What was learned since stays.
func (t *Table) Unbind(d fdb.Domain, a netip.Addr) {
	k := makeKey(d, a)
	hash := t.hash(k)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()

	if sl := s.find(k, hash); sl != nil && sl.load().live() && sl.load().bound() {
		t.remove(s, sl)
		s.tidy(t)
	}
}

// unbind counts an entry with a state as bound no more.
func (t *Table) unbind(k key, st state) {
	if st.live() && st.bound() {
		t.domains[k.domain].bound.Add(-1)
	}
}
