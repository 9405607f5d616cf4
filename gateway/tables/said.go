package tables

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"vxgw/config"
	"vxgw/gateway/control"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// said is what controllers have said, and what of it is in the tables. Words are by VNI
// and VRF as they came: a VNI that leaves the configuration takes nothing of them along.
type said struct {
	merge *control.Merge
	cfg   *config.Config
	vnis  map[uint32]*config.VNI // of cfg

	vteps   map[addr]map[control.Origin]int               // entries that count and name a VTEP
	members map[uint32]map[addr]*member                   // the same by VNI
	routers map[control.MACKey]map[addr]router            // named by routes that count
	ways    map[control.NeighbourKey]map[frame.MAC]router // the same by VTEP: the MACs of each

	// What was put into the FDB, and among the neighbours. It is there still, but for
	// what a station that is here has taken: see Mend.
	macs  [saidParts]map[control.MACKey]placedMAC
	hosts [saidParts]map[control.NeighbourKey]placedHost
	next  int // the part that Mend looks at next

	inFDB  map[inFDB]int          // entries of macs
	unused map[control.Origin]int // see UnusedCount; none while it is not known
}

// member is a VTEP that entries of a VNI name: how many, and whether it is flooded to.
type member struct {
	entries int
	floods  bool
}

// router is a router's MAC behind a VTEP: how many hops of routes name it, by who says
// so.
type router map[control.Origin]int

// origin is the first of those who name the router: not the last that did, or a gateway
// that is told the same in another order would say something else.
func (r router) origin() control.Origin {
	return slices.MinFunc(slices.Collect(maps.Keys(r)), control.Origin.Compare)
}

// placedMAC is an entry as it was put into the FDB.
type placedMAC struct {
	entry  fdb.Entry
	origin control.Origin
}

// placedHost is who has an address, as it was put among the neighbours.
type placedHost struct {
	domain  fdb.Domain
	mac     frame.MAC
	router  bool
	answers bool // ARP and ND are answered for it
	routes  bool // the gateway routes to it
	fixed   bool // it is a router behind a VTEP, and nobody here can be
	origin  control.Origin
}

// inFDB is what entries are counted by.
type inFDB struct {
	domain fdb.Domain
	origin control.Origin
}

// saidParts is how many parts Mend goes by.
const saidParts = 64

func newSaid() said {
	s := said{
		merge: control.NewMerge(),
		vteps: make(map[addr]map[control.Origin]int), members: make(map[uint32]map[addr]*member),
		routers: make(map[control.MACKey]map[addr]router),
		ways:    make(map[control.NeighbourKey]map[frame.MAC]router), inFDB: make(map[inFDB]int), unused: make(map[control.Origin]int),
	}
	for i := range saidParts {
		s.macs[i] = make(map[control.MACKey]placedMAC)
		s.hosts[i] = make(map[control.NeighbourKey]placedHost)
	}
	return s
}

// configure notes the configuration that is in force from now on.
func (s *said) configure(cfg *config.Config) {
	s.cfg, s.vnis = cfg, make(map[uint32]*config.VNI, len(cfg.VNIs))
	for i := range cfg.VNIs {
		s.vnis[cfg.VNIs[i].ID] = &cfg.VNIs[i]
	}
}

// Most entries of all origins: what no gateway carries is refused before it takes memory.
const (
	maxSaidVTEPs  = 1 << 18
	maxSaidRoutes = 1 << 20
)

// Say does what an origin says, in one step: replace is all that it has said from now on,
// or, where that is nil, edit is what changes of it. It reports whether anything did. The
// error is for people, and names a bound that would be exceeded; then nothing has
// changed.
func (t *Tables) Say(o control.Origin, replace *control.Words, edit control.Edit) (changed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if replace != nil {
		edit = t.said.merge.Replace(o, *replace)
	}
	if err := t.roomFor(o, &edit); err != nil {
		return false, err
	}
	changed = t.said.merge.Edits(o, &edit)
	t.enact(t.said.merge.Apply(o, edit))
	return changed, nil
}

// Words returns what an origin has said.
func (t *Tables) Words(o control.Origin) control.Words {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said.merge.Of(o)
}

// SaidSizes returns how much an origin has said.
func (t *Tables) SaidSizes(o control.Origin) control.Sizes {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said.merge.Sizes(o)
}

// roomFor asks for room for what an edit adds. What is there stays, though a reload may
// have lowered a limit below it.
func (t *Tables) roomFor(o control.Origin, e *control.Edit) error {
	m, total := t.said.merge, t.said.cfg.Datapath.MACLimit
	for _, err := range []error{
		room(m.VTEPs.Growth(o, e.Removed.VTEPs, e.Added.VTEPs), "/vteps", "VTEPs of VNIs", m.VTEPs.Len(), maxSaidVTEPs, "", nil),
		room(m.MACs.Growth(o, e.Removed.MACs, e.Added.MACs), "/macs", "MACs", m.MACs.Len(), total, "[datapath] mac_limit", t.limit(1, m.MACs.Count)),
		room(m.Neighbours.Growth(o, e.Removed.Neighbours, e.Added.Neighbours), "/neighbours", "addresses", m.Neighbours.Len(), addressesPerMAC*total, "twice [datapath] mac_limit", t.limit(addressesPerMAC, m.Neighbours.Count)),
		room(m.Routes.Growth(o, e.Removed.Routes, e.Added.Routes), "/routes", "routes", m.Routes.Len(), maxSaidRoutes, "", nil),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// addressesPerMAC is how many addresses there may be for each MAC that there may be.
const addressesPerMAC = 2

// limit returns what tells of a VNI how many entries it has, and may have: times its
// mac_limit. A VNI that is not configured has no limit of its own.
func (t *Tables) limit(times int, has func(string) int) func(group string) (is, most int) {
	return func(group string) (is, most int) {
		vni, _ := strconv.ParseUint(group, 10, 32)
		if v := t.said.vnis[uint32(vni)]; v != nil {
			return has(group), times * v.MACLimit
		}
		return 0, 0
	}
}

// room asks for room for entries of one kind: in all, and in each group that grows.
func room(growth map[string]int, place, what string, is, most int, by string, of func(group string) (is, most int)) error {
	sum := 0
	for group, n := range growth {
		sum += n
		if n <= 0 || of == nil {
			continue
		}
		if is, most := of(group); most > 0 && is+n > most {
			return &control.Fault{Place: place, Message: fmt.Sprintf("VNI %s would have %d %s of controllers: %d is the most, for its mac_limit: raise that, or say fewer", group, is+n, what, most)}
		}
	}
	if sum > 0 && is+sum > most {
		if by != "" {
			by = ", by " + by
		}
		return &control.Fault{Place: place, Message: fmt.Sprintf("there would be %d %s of controllers: %d is the most%s: say fewer", is+sum, what, most, by)}
	}
	return nil
}

// enact puts what counts otherwise than before into the tables: first the snapshot, in
// one step, and then what is behind it. It needs mu.
func (t *Tables) enact(c control.Changes) {
	clear(t.said.unused)
	if c.Len() == 0 {
		return
	}
	todo := t.recount(&c)
	a := applier{Tables: t, cfg: t.said.cfg, s: *t.snap.Load(), static: t.static}
	a.numberSaid()
	narrowed := a.refillDomains(todo.vnis)
	a.rerouteSaid(c.Routes)
	t.publish(&a.s)
	t.forget(&a.gone)
	for k := range todo.macs {
		t.settleMAC(&a.s, k, true)
	}
	t.settleHosts(&a.s, todo.hosts, true)
	t.restate(narrowed)
}

// unsettled is what changes of entries have to do with.
type unsettled struct {
	vnis  map[uint32]bool // other VTEPs take part in them
	macs  map[control.MACKey]bool
	hosts map[control.NeighbourKey]bool
}

// recount keeps count of the VTEPs and routers that entries name, and returns what is
// to be settled.
func (t *Tables) recount(c *control.Changes) unsettled {
	s := &t.said
	u := unsettled{make(map[uint32]bool), make(map[control.MACKey]bool), make(map[control.NeighbourKey]bool)}
	for _, ch := range c.VTEPs {
		if ch.Is.IsThere() {
			s.name(ch.Is.Origin, ch.Key.VNI, ch.Key.Addr, 1, &u)
		}
		if ch.Was.IsThere() {
			s.name(ch.Was.Origin, ch.Key.VNI, ch.Key.Addr, -1, &u)
		}
		if m := s.members[ch.Key.VNI][ch.Key.Addr]; m != nil {
			m.floods = ch.Is.IsThere()
		}
		u.vnis[ch.Key.VNI] = true
	}
	for _, ch := range c.MACs {
		// First what is, so that a VTEP that stays does not go in between.
		if ch.Is.IsThere() {
			s.name(ch.Is.Origin, ch.Key.VNI, ch.Is.Value.VTEP, 1, &u)
		}
		if ch.Was.IsThere() {
			s.name(ch.Was.Origin, ch.Key.VNI, ch.Was.Value.VTEP, -1, &u)
		}
		u.macs[ch.Key] = true
	}
	for _, ch := range c.Neighbours {
		u.hosts[ch.Key] = true
	}
	for _, ch := range c.Routes {
		for _, h := range ch.Is.Value.Hops {
			s.nameRouter(h, ch.Is.Origin, 1, &u)
		}
		for _, h := range ch.Was.Value.Hops {
			s.nameRouter(h, ch.Was.Origin, -1, &u)
		}
	}
	return u
}

// name counts entries of a VNI that name a VTEP.
func (s *said) name(o control.Origin, vni uint32, a addr, n int, u *unsettled) {
	by := s.vteps[a]
	if by == nil {
		by = make(map[control.Origin]int)
		s.vteps[a] = by
	}
	if by[o] += n; by[o] == 0 {
		if delete(by, o); len(by) == 0 {
			delete(s.vteps, a)
		}
	}
	of := s.members[vni]
	if of == nil {
		of = make(map[addr]*member)
		s.members[vni] = of
	}
	m := of[a]
	if m == nil {
		m = new(member)
		of[a] = m
		u.vnis[vni] = true
	}
	if m.entries += n; m.entries == 0 {
		u.vnis[vni] = true
		if delete(of, a); len(of) == 0 {
			delete(s.members, vni)
		}
	}
}

// nameRouter counts hops that name a router behind a VTEP.
func (s *said) nameRouter(h control.Hop, o control.Origin, n int, u *unsettled) {
	if !h.VTEP.IsValid() {
		return
	}
	s.name(o, h.VNI, h.VTEP, n, u)
	k, w := control.MACKey{VNI: h.VNI, MAC: h.RouterMAC}, control.NeighbourKey{VNI: h.VNI, Addr: h.VTEP}
	u.macs[k], u.hosts[w] = true, true
	countRouter(s.routers, k, h.VTEP, o, n)
	countRouter(s.ways, w, h.RouterMAC, o, n)
}

// countRouter counts hops in a map of maps. What nobody names is not in there.
func countRouter[K, L comparable](m map[K]map[L]router, k K, l L, o control.Origin, n int) {
	of := m[k]
	if of == nil {
		of = make(map[L]router)
		m[k] = of
	}
	r := of[l]
	if r == nil {
		r = make(router)
		of[l] = r
	}
	if r[o] += n; r[o] != 0 {
		return
	}
	if delete(r, o); len(r) > 0 {
		return
	}
	if delete(of, l); len(of) == 0 {
		delete(m, k)
	}
}

// numberSaid gives a number to every VTEP that an entry names, while there are any.
func (a *applier) numberSaid() {
	for to := range a.said.vteps {
		if a.vteps.missing(to) > 0 && a.vteps.left() > 0 {
			a.number(&a.s, to)
		}
	}
}

// refillDomains makes the flood lists of VNIs anew, and who may send to them, and returns
// the domains whose VTEPs are not those they were.
func (a *applier) refillDomains(vnis map[uint32]bool) (narrowed map[fdb.Domain]bool) {
	narrowed = make(map[fdb.Domain]bool)
	cloned := false
	for vni := range vnis {
		cfg, id := a.said.vnis[vni], a.s.VNIs[vni]
		if cfg == nil {
			continue
		}
		if !cloned {
			a.s.Domains, cloned = clone(a.s.Domains), true
		}
		was := a.s.Domains[id]
		is := was
		is.Flood, is.Allowed = a.flood(cfg), forward.NewAddrSet(a.allowed(cfg))
		a.s.Domains[id] = is
		a.noLonger(id, &was, &is)
		if !is.Anyone {
			narrowed[id] = true
		}
	}
	return narrowed
}

// flood returns whom a VNI floods to: its group, its list, and whom controllers name.
func (a *applier) flood(v *config.VNI) (all []forward.VTEPID) {
	add := func(to addr) {
		if id, ok := a.vteps.find(to); ok && !slices.Contains(all, forward.VTEPID(id)) {
			all = append(all, forward.VTEPID(id))
		}
	}
	if v.Group.IsValid() {
		add(v.Group)
	}
	for _, to := range v.Flood {
		add(to)
	}
	for _, to := range a.said.membersOf(v.ID) {
		if a.said.members[v.ID][to].floods {
			add(to)
		}
	}
	return all
}

// allowed returns who may send to a VNI. A list that the configuration has is the whole
// of it; else it is whom the VNI floods to and whom controllers name, nil for anyone.
func (a *applier) allowed(v *config.VNI) []netip.Prefix {
	if v.AllowedVTEPs == nil || v.AllowedOnly {
		return v.AllowedVTEPs
	}
	all := clone(v.AllowedVTEPs)
	for _, m := range a.said.membersOf(v.ID) {
		all = append(all, netip.PrefixFrom(m, m.BitLen()))
	}
	return all
}

// membersOf are the VTEPs that controllers name in a VNI, in order.
func (s *said) membersOf(vni uint32) []addr {
	return slices.SortedFunc(maps.Keys(s.members[vni]), netip.Addr.Compare)
}

// hopOf is where a VTEP is, by number.
func (t *Tables) hopOf(a addr) (fdb.Hop, bool) {
	id, ok := t.vteps.find(a)
	return forward.VTEPHop(forward.VTEPID(id)), ok
}

// refit brings all that is behind the snapshot into line with what controllers say, once
// there is another configuration. It needs mu.
func (t *Tables) refit(s *forward.Snapshot) {
	clear(t.said.unused)
	macs, hosts := make(map[control.MACKey]bool), make(map[control.NeighbourKey]bool)
	for k := range t.said.merge.MACs.All {
		macs[k] = true
	}
	for k := range t.said.routers {
		macs[k] = true
	}
	for k := range t.said.merge.Neighbours.All {
		hosts[k] = true
	}
	for k := range t.said.ways {
		hosts[k] = true
	}
	for i := range saidParts {
		for k := range t.said.macs[i] {
			macs[k] = true
		}
		for k := range t.said.hosts[i] {
			hosts[k] = true
		}
	}
	for k := range macs {
		t.settleMAC(s, k, false)
	}
	t.settleHosts(s, hosts, false)
	fenced := make(map[fdb.Domain]bool)
	for _, d := range s.VNIs {
		if !s.Domains[d].Anyone {
			fenced[d] = true
		}
	}
	t.restate(fenced)
}
