package tables

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l2/port"
)

var (
	addrA = netip.MustParseAddr("192.0.2.34")
	addrB = netip.MustParseAddr("192.0.2.50")
	addrX = netip.MustParseAddr("203.0.113.66")
	h1    = frame.MAC{2, 0, 0, 0, 1, 1}
	ra    = frame.MAC{2, 0, 0, 0, 2, 10}
)

func vni(id uint32, flood ...netip.Addr) config.VNI {
	v := config.VNI{ID: id, Flood: flood, Learning: true, Ageing: 300 * time.Second, MACLimit: 100}
	for _, a := range flood {
		v.AllowedVTEPs = append(v.AllowedVTEPs, netip.PrefixFrom(a, a.BitLen()))
	}
	return v
}

func onPort(name string, vni uint32) config.Port {
	return config.Port{Interface: name, VNI: vni, MACLimit: 10}
}

func base() *config.Config {
	return &config.Config{
		Datapath: config.Datapath{MACLimit: 1000},
		VNIs:     []config.VNI{vni(1000, addrA, addrB), vni(2000, addrA)},
		Ports:    []config.Port{onPort("acc1", 1000), onPort("acc2", 1000), onPort("acc3", 2000)},
	}
}

func tablesOf(t *testing.T, cfg *config.Config) *Tables {
	t.Helper()
	tb, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

// device is a port.Port that only its identity matters of.
type device struct{ port.Port }

func up(t *Tables, name string) (forward.PortID, port.Port) {
	id, _ := t.Port(name)
	dev := &device{}
	t.SetPorts([]PortChange{{ID: id, State: PortState{Dev: dev, Up: true, MTU: 1500}}})
	return id, dev
}

func (t *Tables) has(vni uint32, m frame.MAC) bool {
	s := t.Snapshot()
	_, ok := t.FDB().Lookup(s.VNIs[vni], m, 1)
	return ok
}

func TestNewSnapshot(t *testing.T) {
	tb := tablesOf(t, base())
	s := tb.Snapshot()
	d := s.Domains[s.VNIs[1000]]
	if d.VNI != 1000 || len(d.Ports) != 2 || len(d.Flood) != 2 || d.Anyone || !d.Allowed.Contains(addrB) || d.Allowed.Contains(addrX) {
		t.Errorf("VNI 1000 is %+v", d)
	}
	for _, p := range d.Ports {
		if s.Ports[p].Up || s.Ports[p].Dev != nil {
			t.Errorf("port %s is up before it was opened", s.Ports[p].Name)
		}
	}
	if id, ok := tb.VTEP(addrA); !ok || s.VTEPs[id].Addr != addrA || !tb.Static(addrA) {
		t.Errorf("VTEP A is not numbered")
	}
}

func TestApplyKeepsWhatDidNotChange(t *testing.T) {
	tb := tablesOf(t, base())
	p1, dev := up(tb, "acc1")
	s := tb.Snapshot()
	d := s.VNIs[1000]
	tb.FDB().Learn(d, h1, forward.PortHop(p1), 1)
	traffic, vtraffic := s.Ports[p1].Traffic, s.Domains[d].Traffic

	next := base()
	next.VNIs = slices.Insert(next.VNIs, 0, vni(500, addrB))
	next.Ports = append([]config.Port{onPort("acc0", 500)}, next.Ports...)
	if err := tb.Apply(next); err != nil {
		t.Fatal(err)
	}
	n := tb.Snapshot()
	if id, _ := tb.Port("acc1"); id != p1 || n.Ports[p1].Dev != dev || !n.Ports[p1].Up || n.Ports[p1].Traffic != traffic {
		t.Errorf("acc1 was disturbed: %+v", n.Ports[p1])
	}
	if n.VNIs[1000] != d || n.Domains[d].Traffic != vtraffic || !tb.has(1000, h1) {
		t.Error("VNI 1000 was disturbed")
	}
	if len(n.Domains[n.VNIs[500]].Ports) != 1 {
		t.Error("VNI 500 has no port")
	}
}

func TestApplyForgets(t *testing.T) {
	drop := func(edit func(*config.Config)) *config.Config {
		c := base()
		edit(c)
		return c
	}
	tests := []struct {
		name string
		next *config.Config
		gone bool // ra, learned behind B in VNI 1000
		h1   bool // h1, learned behind acc1 in VNI 1000
	}{
		{"nothing changed", base(), false, false},
		{"a VTEP leaves every list", drop(func(c *config.Config) { c.VNIs[0].Flood = []netip.Addr{addrA} }), true, false},
		{"a port leaves", drop(func(c *config.Config) { c.Ports = c.Ports[1:] }), false, true},
		{"a port changes its VNI", drop(func(c *config.Config) { c.Ports[0].VNI = 2000 }), false, true},
		{"a VNI leaves", drop(func(c *config.Config) { c.VNIs, c.Ports = c.VNIs[1:], c.Ports[2:] }), true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tb := tablesOf(t, base())
			p1, _ := up(tb, "acc1")
			b, _ := tb.VTEP(addrB)
			d := tb.Snapshot().VNIs[1000]
			tb.FDB().Learn(d, h1, forward.PortHop(p1), 1)
			tb.FDB().Learn(d, ra, forward.VTEPHop(b), 1)
			if err := tb.Apply(tt.next); err != nil {
				t.Fatal(err)
			}
			if _, ok := tb.FDB().Lookup(d, ra, 1); ok == tt.gone {
				t.Errorf("the MAC behind the VTEP: there %t, gone expected %t", ok, tt.gone)
			}
			if _, ok := tb.FDB().Lookup(d, h1, 1); ok == tt.h1 {
				t.Errorf("the MAC behind the port: there %t, gone expected %t", ok, tt.h1)
			}
			for _, p := range tb.Snapshot().Domains {
				for _, id := range p.Ports {
					if tb.Snapshot().Ports[id].Name == "" {
						t.Errorf("VNI %d lists a port that is gone", p.VNI)
					}
				}
			}
		})
	}
}

// Each VNI that suppresses has its share of room for neighbours; what is turned
// off or goes takes its neighbours along, and the others' stay.
func TestSuppress(t *testing.T) {
	with := func(limit int, suppress ...uint32) *config.Config {
		cfg := base()
		cfg.Datapath.MACLimit = limit
		for i := range cfg.VNIs {
			cfg.VNIs[i].SuppressARP = slices.Contains(suppress, cfg.VNIs[i].ID)
		}
		return cfg
	}
	tb := tablesOf(t, with(40, 1000, 2000))
	p1, _ := up(tb, "acc1")
	s := tb.Snapshot()
	d1, d2 := s.VNIs[1000], s.VNIs[2000]
	tb.FDB().Learn(d1, h1, forward.PortHop(p1), 1)
	tb.FDB().Learn(d2, h1, forward.PortHop(p1), 1)
	fill := func(want1, want2 int) {
		t.Helper()
		for i := range 200 {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			tb.Neighbours().Hear(d1, neigh.Message{Says: neigh.Claims, Subject: a, MAC: h1}, 1)
			tb.Neighbours().Hear(d2, neigh.Message{Says: neigh.Claims, Subject: a, MAC: h1}, 1)
		}
		if n1, n2 := tb.Neighbours().Len(d1), tb.Neighbours().Len(d2); n1 != want1 || n2 != want2 {
			t.Errorf("%d and %d neighbours, want %d and %d", n1, n2, want1, want2)
		}
	}
	apply := func(cfg *config.Config) {
		t.Helper()
		if err := tb.Apply(cfg); err != nil {
			t.Fatal(err)
		}
	}
	fill(20, 20)
	apply(with(40, 1000))
	fill(40, 0)
	apply(with(1000, 1000))
	fill(100, 0) // the VNI's own mac_limit
	if s := tb.Snapshot(); !s.Domains[d1].Suppress || s.Domains[d2].Suppress {
		t.Errorf("%+v", s.Domains)
	}
	// A MAC that is forgotten takes its addresses along.
	tb.FDB().Remove(d1, h1)
	for range sweepParts {
		tb.Sweep(2)
	}
	if n := tb.Neighbours().Len(d1); n != 0 {
		t.Errorf("%d neighbours without a MAC", n)
	}
	fill(100, 0)
	gone := with(1000)
	gone.VNIs, gone.Ports = gone.VNIs[1:], gone.Ports[2:]
	apply(gone)
	fill(0, 0)
}

func TestStaticMACs(t *testing.T) {
	cfg := base()
	cfg.MACs = []config.StaticMAC{{VNI: 1000, MAC: ra, VTEP: addrX}, {VNI: 1000, MAC: h1, Port: "acc2"}}
	tb := tablesOf(t, cfg)
	s := tb.Snapshot()
	e, ok := tb.FDB().Lookup(s.VNIs[1000], ra, 1)
	if !ok || e.Origin != fdb.Static || s.VTEPs[forward.HopVTEP(e.Hop)].Addr != addrX {
		t.Errorf("the VTEP's static MAC: %+v %t", e, ok)
	}
	p2, _ := tb.Port("acc2")
	if e, ok := tb.FDB().Lookup(s.VNIs[1000], h1, 1); !ok || e.Hop != forward.PortHop(p2) {
		t.Errorf("the port's static MAC: %+v %t", e, ok)
	}
	tb.SetPorts([]PortChange{{ID: p2, State: PortState{}}})
	if !tb.has(1000, h1) {
		t.Error("a static MAC went with its port's link")
	}
	if err := tb.Apply(base()); err != nil {
		t.Fatal(err)
	}
	if tb.has(1000, h1) || tb.has(1000, ra) {
		t.Error("static MACs stay after they left the configuration")
	}
}

func TestPortDownForgetsItsMACs(t *testing.T) {
	tb := tablesOf(t, base())
	p1, dev := up(tb, "acc1")
	p2, _ := up(tb, "acc2")
	d := tb.Snapshot().VNIs[1000]
	tb.FDB().Learn(d, h1, forward.PortHop(p1), 1)
	tb.FDB().Learn(d, ra, forward.PortHop(p2), 1)
	tb.SetPorts([]PortChange{{ID: p1, State: PortState{Dev: dev, Up: false}}})
	if tb.has(1000, h1) || !tb.has(1000, ra) {
		t.Error("link down must flush the port's MACs and no others")
	}
}

// Of many ports that are news at once, one snapshot has all, and those alone that
// are not up or were not for a moment lose their MACs.
func TestManyPortsAtOnce(t *testing.T) {
	tb := tablesOf(t, base())
	p1, dev1 := up(tb, "acc1")
	p2, dev2 := up(tb, "acc2")
	p3, _ := up(tb, "acc3")
	d, other := tb.Snapshot().VNIs[1000], tb.Snapshot().VNIs[2000]
	station := func(i byte) frame.MAC { return frame.MAC{2, 0, 0, 0, 9, i} }
	for i := range byte(10) {
		tb.FDB().Learn(d, station(i), forward.PortHop(p1), 1)
		tb.FDB().Learn(d, station(10+i), forward.PortHop(p2), 1)
		tb.FDB().Learn(other, station(i), forward.PortHop(p3), 1)
	}
	a, _ := tb.VTEP(addrA)
	tb.FDB().Learn(d, ra, forward.VTEPHop(a), 1)
	before := tb.Snapshot()
	tb.SetPorts(nil)
	if tb.Snapshot() != before {
		t.Error("no news is a new snapshot")
	}
	tb.SetPorts([]PortChange{
		{ID: p1, State: PortState{Dev: dev1, Up: true, MTU: 9000}},
		{ID: p2, State: PortState{Dev: dev2, Up: true, MTU: 1500}, Flapped: true},
		{ID: p3, State: PortState{Up: true, MTU: 1500, Index: 7}}, // up, and there is no device
	})
	s := tb.Snapshot()
	if !s.Ports[p1].Up || s.Ports[p1].MTU != 9000 || !s.Ports[p2].Up || s.Ports[p3].Up || !s.IsAccess(7) {
		t.Errorf("%+v", s.Ports)
	}
	for hop, want := range map[fdb.Hop]int{forward.PortHop(p1): 10, forward.PortHop(p2): 0, forward.PortHop(p3): 0, forward.VTEPHop(a): 1} {
		if n := tb.FDB().HopLen(hop); n != want {
			t.Errorf("%d MACs behind hop %d, want %d", n, hop, want)
		}
	}
}

// What left a configuration takes along what was learned of it, and nothing
// else: of two VNIs, three VTEPs and ten stations behind each of them in each.
func TestForgetsExactlyWhatHasGone(t *testing.T) {
	with := base()
	for i := range with.VNIs {
		with.VNIs[i] = vni(with.VNIs[i].ID, addrA, addrB, addrX)
	}
	for _, c := range []struct {
		name  string
		edit  func(*config.Config)
		stays func(vni uint32, a addr) bool
	}{
		{"nothing", func(*config.Config) {}, func(uint32, addr) bool { return true }},
		{"a VTEP in one VNI", func(c *config.Config) { c.VNIs[0] = vni(1000, addrA, addrX) },
			func(vni uint32, a addr) bool { return vni != 1000 || a != addrB }},
		{"a VTEP in both", func(c *config.Config) { c.VNIs[0], c.VNIs[1] = vni(1000, addrA, addrX), vni(2000, addrA, addrX) },
			func(_ uint32, a addr) bool { return a != addrB }},
		{"two VTEPs may not send, and are sent to", func(c *config.Config) {
			c.VNIs[1].AllowedVTEPs = []netip.Prefix{netip.PrefixFrom(addrB, 32)}
		}, func(vni uint32, a addr) bool { return vni != 2000 || a == addrB }},
		{"more VTEPs may send", func(c *config.Config) {
			c.VNIs[1].AllowedVTEPs = append(c.VNIs[1].AllowedVTEPs, netip.MustParsePrefix("10.0.0.0/8"))
		}, func(uint32, addr) bool { return true }},
		{"a VNI", func(c *config.Config) { c.VNIs, c.Ports = c.VNIs[:1], c.Ports[:2] },
			func(vni uint32, _ addr) bool { return vni == 1000 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb := tablesOf(t, with)
			station := func(v forward.VTEPID, i byte) frame.MAC { return frame.MAC{2, 0, 0, byte(v), 9, i} }
			all := []addr{addrA, addrB, addrX}
			ids := map[uint32]fdb.Domain{1000: tb.Snapshot().VNIs[1000], 2000: tb.Snapshot().VNIs[2000]}
			each := func(f func(vni uint32, d fdb.Domain, a addr, v forward.VTEPID, m frame.MAC)) {
				for id, d := range ids {
					for _, a := range all {
						v, _ := tb.VTEP(a)
						for i := range byte(10) {
							f(id, d, a, v, station(v, i))
						}
					}
				}
			}
			each(func(_ uint32, d fdb.Domain, _ addr, v forward.VTEPID, m frame.MAC) {
				tb.FDB().Learn(d, m, forward.VTEPHop(v), 1)
			})
			next := *with
			next.VNIs, next.Ports = slices.Clone(with.VNIs), slices.Clone(with.Ports)
			c.edit(&next)
			if err := tb.Apply(&next); err != nil {
				t.Fatal(err)
			}
			each(func(id uint32, d fdb.Domain, a addr, _ forward.VTEPID, m frame.MAC) {
				if _, there := tb.FDB().Lookup(d, m, 1); there != c.stays(id, a) {
					t.Errorf("VNI %d, VTEP %v: there %v", id, a, there)
				}
			})
		})
	}
}

func TestLearnedVTEPs(t *testing.T) {
	tb := tablesOf(t, base())
	before := tb.Snapshot()
	id := tb.Learn(addrX)
	if len(before.VTEPs) == len(tb.Snapshot().VTEPs) {
		t.Fatal("the old snapshot changed")
	}
	if again := tb.Learn(addrX); again != id {
		t.Errorf("numbered twice: %d and %d", id, again)
	}
	if got, ok := tb.VTEP(addrX); !ok || got != id || tb.Static(addrX) {
		t.Errorf("VTEP %d %t, want %d", got, ok, id)
	}
	tb.Snapshot().VTEPs[id].Traffic.LastSeen.Store(1)
	d := tb.Snapshot().VNIs[1000]
	tb.FDB().SetDomain(d, 100, 0)
	tb.FDB().Learn(d, ra, forward.VTEPHop(id), 1)
	tb.Sweep(10)
	tb.Sweep(10 + keepIdle + 10)
	if _, ok := tb.VTEP(addrX); !ok {
		t.Fatal("retired with a MAC behind it")
	}
	tb.FDB().Remove(d, ra)
	tb.Sweep(20_000)
	tb.Sweep(20_000 + keepIdle + 1)
	if _, ok := tb.VTEP(addrX); ok {
		t.Error("not retired after an hour of silence")
	}
	if _, ok := tb.VTEP(addrA); !ok {
		t.Error("a configured VTEP was retired")
	}
}

func TestVTEPsAreBounded(t *testing.T) {
	tb := tablesOf(t, base())
	var last forward.VTEPID
	for i := range forward.MaxVTEPs + 10 {
		last = tb.Learn(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if last != forward.NoVTEPID {
		t.Errorf("got number %d beyond the bound", last)
	}
	if n := len(tb.Snapshot().VTEPs); n != maxLearned {
		t.Errorf("%d VTEPs, want %d", n, maxLearned)
	}
	before := tb.Snapshot()
	if tb.Learn(addrX); tb.Snapshot() != before {
		t.Error("a new snapshot for a VTEP that there was no room for")
	}
	cfg := base()
	cfg.VNIs[0].Flood = append(cfg.VNIs[0].Flood, addrX)
	if err := tb.Apply(cfg); err != nil {
		t.Errorf("what was learned leaves the configuration no room: %v", err)
	}
}

func TestARefusedApplyChangesNothing(t *testing.T) {
	tb := tablesOf(t, base())
	before := tb.Snapshot()
	big := base()
	big.VNIs[0].Flood = append(big.VNIs[0].Flood, addrX)
	for i := range forward.MaxPorts {
		big.Ports = append(big.Ports, onPort(fmt.Sprintf("p%d", i), 1000))
	}
	if err := tb.Apply(big); err == nil || tb.Snapshot() != before {
		t.Fatalf("error %v, snapshot changed %t", err, tb.Snapshot() != before)
	}
	if _, ok := tb.VTEP(addrX); ok {
		t.Error("a VTEP of the refused configuration has a number")
	}
	if err := tb.Apply(base()); err != nil {
		t.Error(err)
	}
}

// Whoever finds a VTEP's number must be able to load a snapshot that has it.
func TestNumbersComeAfterTheirSnapshot(t *testing.T) {
	tb := tablesOf(t, base())
	addrs := make([]netip.Addr, 2000)
	for i := range addrs {
		addrs[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, a := range addrs {
			tb.Learn(a)
		}
	}()
	for _, a := range addrs {
		for {
			id, ok := tb.VTEP(a)
			if !ok {
				continue
			}
			if s := tb.Snapshot(); int(id) >= len(s.VTEPs) || s.VTEPs[id].Addr != a {
				t.Fatalf("number %d of %s is not in the snapshot", id, a)
			}
			break
		}
	}
	<-done
}

func TestApplyKeepsWhatTheHostSays(t *testing.T) {
	tb := tablesOf(t, base())
	id, _ := tb.Port("acc1")
	tb.SetPorts([]PortChange{{ID: id, State: PortState{Dev: &device{}, Up: false, Shut: true, MTU: 9000}}})
	if err := tb.Apply(base()); err != nil {
		t.Fatal(err)
	}
	if p := tb.Snapshot().Ports[id]; !p.Shut || p.Up || p.MTU != 9000 {
		t.Errorf("after a reload: %+v", p)
	}
}

func TestARemovedPortTakesNothingIn(t *testing.T) {
	tb := tablesOf(t, base())
	id, _ := up(tb, "acc3")
	cfg := base()
	cfg.Ports = cfg.Ports[:2]
	if err := tb.Apply(cfg); err != nil {
		t.Fatal(err)
	}
	if !tb.Snapshot().Ports[id].Shut {
		t.Error("its worker, which ends later, would feed another VNI")
	}
}

func TestNarrowedAllowListForgets(t *testing.T) {
	wide, narrow := base(), base()
	wide.VNIs[0].AllowedVTEPs = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	narrow.VNIs[0].AllowedVTEPs = []netip.Prefix{netip.MustParsePrefix("203.0.113.8/32")}
	tb := tablesOf(t, wide)
	d := tb.Snapshot().VNIs[1000]
	tb.FDB().Learn(d, ra, forward.VTEPHop(tb.Learn(addrX)), 1)
	if err := tb.Apply(narrow); err != nil {
		t.Fatal(err)
	}
	if tb.has(1000, ra) {
		t.Error("traffic still goes to a VTEP that is no longer allowed")
	}
}

func TestVTEPLookUpAllocatesNothing(t *testing.T) {
	tb := tablesOf(t, base())
	if n := testing.AllocsPerRun(100, func() { tb.VTEP(addrA); tb.VTEP(addrX); tb.Snapshot() }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestSetPaths(t *testing.T) {
	tb := tablesOf(t, base())
	a, _ := tb.VTEP(addrA)
	before := tb.Snapshot()
	tb.SetPaths(map[forward.VTEPID]Path{a: {MaxFrame: 1464}, 9999: {MaxFrame: 1}})
	if before.VTEPs[a].MaxFrame != 0 || tb.Snapshot().VTEPs[a].MaxFrame != 1464 {
		t.Error("the path is not in the new snapshot alone")
	}
}

func TestSlotsAreUsedAgainLast(t *testing.T) {
	s := newSlots[string](3)
	ids := map[string]int{}
	for _, k := range []string{"a", "b"} {
		ids[k], _, _ = s.get(k)
	}
	s.drop("a")
	if c, _, _ := s.get("c"); c == ids["a"] {
		t.Error("the number of a was used again while another was free")
	}
	if d, fresh, ok := s.get("d"); d != ids["a"] || !fresh || !ok {
		t.Error("the number of a is lost")
	}
	if _, _, ok := s.get("e"); ok {
		t.Error("beyond the bound")
	}
}

// A group has a number like a VTEP, stands in front of the flood list, and goes
// the way of a VTEP that the configuration no longer names.
func TestGroupsAreNumbered(t *testing.T) {
	group := netip.MustParseAddr("239.1.1.1")
	cfg := base()
	cfg.VNIs[0].Group = group
	tb := tablesOf(t, cfg)
	s := tb.Snapshot()
	d := &s.Domains[s.VNIs[1000]]
	if d.Group != group || len(d.Flood) != 3 || !s.VTEPs[d.Flood[0]].IsGroup() || !tb.Static(group) {
		t.Fatalf("domain %+v, VTEPs %+v", d, s.VTEPs)
	}
	if err := tb.Apply(base()); err != nil {
		t.Fatal(err)
	}
	if d := &tb.Snapshot().Domains[s.VNIs[1000]]; d.Group.IsValid() || len(d.Flood) != 2 || tb.Static(group) {
		t.Errorf("the VNI has left its group: %+v", d)
	}
	for _, now := range []uint32{1, 2, keepIdle + 5} {
		tb.Sweep(now)
	}
	for _, v := range tb.Snapshot().VTEPs {
		if v.IsGroup() {
			t.Error("a group that no VNI has is still there after an hour")
		}
	}
}
