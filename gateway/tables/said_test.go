package tables

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"vxgw/config"
	"vxgw/gateway/control"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/nud"
)

var (
	addrC = netip.MustParseAddr("192.0.2.51")
	gwMAC = frame.MAC{0, 0, 0x5e, 0, 1, 1}
)

// routedVNI is a VNI with a gateway in a VRF.
func routedVNI(id uint32, vrf, gateway string, flood ...netip.Addr) config.VNI {
	v := vni(id, flood...)
	v.VRF, v.Gateway, v.GatewayMAC = vrf, []netip.Prefix{netip.MustParsePrefix(gateway)}, gwMAC
	return v
}

// sayConfig has VNI 1000 bridged, with a list, 2000 that anyone may send to and that
// suppresses, 3000 routed and suppressing, and 4000, an L3VNI, both in VRF red.
func sayConfig() *config.Config {
	c := base()
	c.VNIs[1] = vni(2000)
	c.VNIs[1].AllowedVTEPs, c.VNIs[1].SuppressARP = nil, true
	routed := routedVNI(3000, "red", "10.3.0.1/24")
	routed.SuppressARP = true
	c.VNIs = append(c.VNIs, routed, routedVNI(4000, "red", "10.4.0.1/32"))
	c.VRFs = []config.VRF{{Name: "red", Routes: []config.Route{{Prefix: netip.MustParsePrefix("10.9.0.0/16"), Blackhole: true}}}}
	c.MAC = gwMAC
	return c
}

// words builds what an origin says.
type words struct{ control.Words }

func some() words { return words{control.NewWords()} }

func (w words) vtep(vni uint32, a netip.Addr) words {
	w.VTEPs[control.VTEP{VNI: vni, Addr: a}] = control.Member{}
	return w
}

func (w words) mac(vni uint32, m frame.MAC, v control.MAC) words {
	w.MACs[control.MACKey{VNI: vni, MAC: m}] = v
	return w
}

func (w words) host(vni uint32, a string, m frame.MAC) words {
	w.Neighbours[control.NeighbourKey{VNI: vni, Addr: netip.MustParseAddr(a)}] = control.Neighbour{MAC: m}
	return w
}

func (w words) route(p string, hops ...control.Hop) words {
	w.Routes[control.RouteKey{VRF: "red", Prefix: netip.MustParsePrefix(p)}] = control.Route{Hops: hops}
	return w
}

func (t *Tables) mustSay(tb testing.TB, o control.Origin, w words) {
	tb.Helper()
	if _, err := t.Say(o, &w.Words, control.Edit{}); err != nil {
		tb.Fatal(err)
	}
}

// state writes all that words of controllers have a part in, a line each.
func (t *Tables) state() []string {
	s, lines := t.Snapshot(), []string{}
	put := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	name := func(d fdb.Domain) uint32 { return s.Domains[d].VNI }
	for e := range t.FDB().All() {
		where := "here"
		if p, isPort := forward.HopPort(e.Hop); !isPort {
			where = s.VTEPs[forward.HopVTEP(e.Hop)].Addr.String()
		} else {
			where = s.Ports[p].Name
		}
		put("mac %d %s %s %s sticky %t", name(e.Domain), e.MAC, where, e.Origin, e.Origin&fdb.Sticky != 0)
	}
	for id, d := range s.VNIs {
		dom, flood := &s.Domains[d], []string{}
		for _, v := range dom.Flood {
			flood = append(flood, s.VTEPs[v].Addr.String())
		}
		slices.Sort(flood)
		put("vni %d floods to %s", id, strings.Join(flood, ","))
		for _, a := range []netip.Addr{addrA, addrB, addrC, addrX} {
			put("vni %d hears %s: %t", id, a, dom.Allows(a))
		}
	}
	for e := range t.Neighbours().All() {
		put("answers %d %s %s bound %t", name(e.Domain), e.Addr, e.MAC, e.Bound)
	}
	for e := range t.Hosts().All() {
		put("routes %d %s %s %s", name(e.Domain), e.Addr, e.MAC, e.State)
	}
	for i := range s.VRFs {
		if s.VRFs[i].Name == "" {
			continue
		}
		for r := range s.VRFs[i].Table.All() {
			hops := []string{}
			for _, h := range r.Hops {
				hops = append(hops, fmt.Sprintf("%d %s", name(h.Domain), h.Via))
			}
			put("route %s %s %s %s %v", s.VRFs[i].Name, r.Prefix, r.Kind, r.Origin, hops)
		}
	}
	slices.Sort(lines)
	return lines
}

// lacks returns the lines that the state has not.
func (t *Tables) lacks(lines ...string) (all []string) {
	is := t.state()
	for _, l := range lines {
		if !slices.Contains(is, l) {
			all = append(all, l)
		}
	}
	return all
}

func (t *Tables) want(tb testing.TB, lines ...string) {
	tb.Helper()
	if l := t.lacks(lines...); len(l) > 0 {
		tb.Errorf("not so:\n%s\nbut:\n%s", strings.Join(l, "\n"), strings.Join(t.state(), "\n"))
	}
}

func (t *Tables) wantNone(tb testing.TB, part string) {
	tb.Helper()
	for _, l := range t.state() {
		if strings.Contains(l, part) {
			tb.Errorf("there is %q", l)
		}
	}
}

func TestSay(t *testing.T) {
	tb := tablesOf(t, sayConfig())
	before := tb.state()
	tb.mustSay(t, control.EVPN, some().
		vtep(1000, addrC).vtep(2000, addrC).vtep(2000, addrA).
		mac(1000, ra, control.MAC{VTEP: addrC}).mac(2000, h1, control.MAC{VTEP: addrB, Sticky: true, Sequence: 7}).
		host(2000, "10.2.0.9", h1).host(3000, "10.3.0.9", ra).
		route("10.7.0.0/16", control.Hop{VNI: 3000, Via: netip.MustParseAddr("10.3.0.9")}).
		route("10.8.0.0/16", control.Hop{VNI: 4000, VTEP: addrX, RouterMAC: frame.MAC{2, 0, 0, 0, 9, 9}}))
	said := []string{
		"vni 1000 floods to 192.0.2.34,192.0.2.50,192.0.2.51", "vni 1000 hears 192.0.2.51: true", "vni 1000 hears 203.0.113.66: false",
		"vni 2000 floods to 192.0.2.34,192.0.2.51",
		"mac 1000 02:00:00:00:02:0a 192.0.2.51 evpn sticky false", "mac 2000 02:00:00:00:01:01 192.0.2.50 evpn sticky true",
		"answers 2000 10.2.0.9 02:00:00:00:01:01 bound true", "answers 3000 10.3.0.9 02:00:00:00:02:0a bound true",
		"routes 3000 10.3.0.9 02:00:00:00:02:0a bound",
		"route red 10.7.0.0/16 via controller [3000 10.3.0.9]",
		"route red 10.8.0.0/16 via controller [4000 203.0.113.66]",
		"mac 4000 02:00:00:00:09:09 203.0.113.66 evpn sticky true", "routes 4000 203.0.113.66 02:00:00:00:09:09 permanent",
	}
	tb.want(t, said...)
	if n := len(tb.Unused(control.EVPN, tb.Words(control.EVPN))); n != 0 || tb.UnusedCount(control.EVPN) != 0 {
		t.Errorf("%d reasons for entries that are not used", n)
	}
	if o := tb.OriginOfVTEP(addrX); o != control.EVPN {
		t.Errorf("%s is of origin %q", addrX, o)
	}
	tb.mustSay(t, control.EVPN, some())
	if d := cmp.Diff(before, tb.state()); d != "" {
		t.Errorf("something is left (-before +after):\n%s", d)
	}
	if o := tb.OriginOfVTEP(addrX); o != "" {
		t.Errorf("%s is of origin %q still", addrX, o)
	}
}

// Whose word counts: the configuration's, then the controllers' in their order, then what
// is learned.
func TestPrecedence(t *testing.T) {
	cfg := sayConfig()
	tb := tablesOf(t, cfg)
	up(tb, "acc1")
	static := sayConfig()
	static.MACs = []config.StaticMAC{{VNI: 1000, MAC: ra, VTEP: addrB}}
	at := func(a netip.Addr, o string) string {
		return fmt.Sprintf("mac 1000 %s %s %s sticky false", ra, a, o)
	}
	where := func(a netip.Addr) words { return some().mac(1000, ra, control.MAC{VTEP: a}) }
	id, _ := tb.VTEP(addrB)
	tb.FDB().Learn(tb.Snapshot().VNIs[1000], ra, forward.VTEPHop(id), 1)
	tb.mustSay(t, "zebra", where(addrC))
	tb.want(t, at(addrC, "controller"))
	if o := tb.OriginOfMAC(control.MACKey{VNI: 1000, MAC: ra}); o != "zebra" {
		t.Errorf("origin %q", o)
	}
	tb.mustSay(t, control.EVPN, where(addrA))
	tb.want(t, at(addrA, "evpn"))
	tb.mustSay(t, control.OVSDB, where(addrX))
	tb.want(t, at(addrA, "evpn"))
	u := tb.Unused(control.OVSDB, tb.Words(control.OVSDB))
	if len(u) != 1 || u[0].Section != "macs" || !strings.Contains(u[0].Reason, "evpn") {
		t.Errorf("not used: %+v", u)
	}
	if err := tb.Apply(static); err != nil {
		t.Fatal(err)
	}
	tb.want(t, at(addrB, "static"))
	tb.mustSay(t, control.EVPN, where(addrC))
	tb.want(t, at(addrB, "static"))
	if err := tb.Apply(cfg); err != nil {
		t.Fatal(err)
	}
	tb.want(t, at(addrC, "evpn"))
	tb.mustSay(t, control.EVPN, some())
	tb.want(t, at(addrX, "ovsdb"))
	tb.mustSay(t, control.OVSDB, some())
	tb.want(t, at(addrC, "controller"))

	// A route of the configuration counts before a controller's.
	tb.mustSay(t, control.EVPN, some().route("10.9.0.0/16", control.Hop{VNI: 3000, Via: netip.MustParseAddr("10.3.0.9")}))
	tb.want(t, "route red 10.9.0.0/16 blackhole static []")
	if u := tb.Unused(control.EVPN, tb.Words(control.EVPN)); len(u) != 1 || !strings.Contains(u[0].Reason, "static route") {
		t.Errorf("not used: %+v", u)
	}
	without := sayConfig()
	without.VRFs[0].Routes = nil
	if err := tb.Apply(without); err != nil {
		t.Fatal(err)
	}
	tb.want(t, "route red 10.9.0.0/16 via controller [3000 10.3.0.9]")
}

// A station that is heard here is here, until it is gone or the controller says anew
// where it is.
func TestWhoIsHere(t *testing.T) {
	tb := tablesOf(t, sayConfig())
	p, _ := up(tb, "acc1")
	d := tb.Snapshot().VNIs[1000]
	const remote, here = "mac 1000 02:00:00:00:02:0a 192.0.2.51 evpn sticky false", "mac 1000 02:00:00:00:02:0a acc1 learned sticky false"
	say := func(seq uint32) {
		t.Helper()
		tb.mustSay(t, control.EVPN, some().mac(1000, ra, control.MAC{VTEP: addrC, Sequence: seq}))
	}
	say(1)
	tb.want(t, remote)
	if o := tb.FDB().Learn(d, ra, forward.PortHop(p), 10); o != fdb.Moved {
		t.Fatalf("it %s", o)
	}
	tb.want(t, here)
	say(1) // nothing new
	for range saidParts {
		tb.Mend(11)
	}
	if err := tb.Apply(sayConfig()); err != nil {
		t.Fatal(err)
	}
	tb.want(t, here)
	say(2)
	tb.want(t, remote)
	tb.FDB().Learn(d, ra, forward.PortHop(p), 12)
	tb.want(t, here)
	tb.SetPorts([]PortChange{{ID: p}}) // the port goes down
	tb.wantNone(t, "mac 1000")
	for range saidParts {
		tb.Mend(13)
	}
	tb.want(t, remote)
	id, _ := tb.VTEP(addrA)
	if o := tb.FDB().Learn(d, ra, forward.VTEPHop(id), 14); o != fdb.IsStatic {
		t.Errorf("heard from another VTEP: %s", o)
	}
	tb.mustSay(t, control.EVPN, some())
	tb.wantNone(t, "mac 1000")
}

// What a controller says counts before what was learned, held or not; a MAC of the
// configuration before both. A station that moves too often never takes what a controller
// says along.
func TestHeldAndSaid(t *testing.T) {
	cfg := sayConfig()
	tb := tablesOf(t, cfg)
	p, _ := up(tb, "acc1")
	d, fdbs := tb.Snapshot().VNIs[1000], tb.FDB()
	fdbs.SetMoves(d, fdb.Moves{Limit: 3, Window: 100, Hold: 50})
	vtep := func(a netip.Addr) fdb.Hop { id, _ := tb.VTEP(a); return forward.VTEPHop(id) }
	here, b := forward.PortHop(p), vtep(addrB)
	loop := func(at, also fdb.Hop) (last fdb.Outcome) {
		for i := range 6 {
			last = fdbs.Learn(d, ra, []fdb.Hop{at, also}[i%2], 10)
		}
		return last
	}
	held := func() (n int) { fdbs.EachHeld(func(fdb.Entry) { n++ }); return n }
	const said = "mac 1000 02:00:00:00:02:0a 192.0.2.51 evpn sticky "
	if o := loop(here, b); o != fdb.Duplicate || held() != 1 {
		t.Fatalf("%s, %d held", o, held())
	}
	tb.mustSay(t, control.EVPN, some().mac(1000, ra, control.MAC{VTEP: addrC}))
	tb.want(t, said+"false")
	if held() != 0 {
		t.Error("a controller's entry is held")
	}
	fdbs.EndHolds(1000, func(fdb.Domain, frame.MAC) { t.Error("told that it is let go") })

	// From other VTEPs nothing is learned, however often.
	if o := loop(b, vtep(addrA)); o != fdb.IsStatic || held() != 0 {
		t.Errorf("%s, %d held", o, held())
	}
	tb.want(t, said+"false")

	// Heard here, it is here, and may then be held as any other. What is learned or held
	// behind a VTEP gives way again.
	loop(here, b)
	if held() != 1 {
		t.Fatal("not held")
	}
	for range saidParts {
		tb.Mend(11)
	}
	if e, _ := fdbs.Lookup(d, ra, 11); e.Hop == here != e.Held || e.Hop != here && e.Origin != fdb.EVPN {
		t.Errorf("it is %+v", e)
	}
	fdbs.Forget(d, ra)
	fdbs.Learn(d, ra, b, 12)
	for range saidParts {
		tb.Mend(12)
	}
	tb.want(t, said+"false")

	tb.mustSay(t, control.EVPN, some().mac(1000, ra, control.MAC{VTEP: addrC, Sticky: true}))
	if o := loop(here, b); o != fdb.IsStatic || held() != 0 {
		t.Errorf("sticky: %s, %d held", o, held())
	}
	tb.want(t, said+"true")
	static := sayConfig()
	static.MACs = []config.StaticMAC{{VNI: 1000, MAC: ra, VTEP: addrB}}
	if err := tb.Apply(static); err != nil {
		t.Fatal(err)
	}
	if o := loop(here, vtep(addrC)); o != fdb.IsStatic || held() != 0 {
		t.Errorf("static: %s, %d held", o, held())
	}
	tb.want(t, "mac 1000 02:00:00:00:02:0a 192.0.2.50 static sticky false")
}

// An address that a station claims is its, for as long as it is heard of.
func TestWhoHasTheAddress(t *testing.T) {
	tb := tablesOf(t, sayConfig())
	s := tb.Snapshot()
	d, a := s.VNIs[3000], netip.MustParseAddr("10.3.0.9")
	const answers, routes = "answers 3000 10.3.0.9 02:00:00:00:02:0a bound true", "routes 3000 10.3.0.9 02:00:00:00:02:0a bound"
	tb.mustSay(t, control.EVPN, some().host(3000, "10.3.0.9", ra))
	tb.want(t, answers, routes)
	tb.Neighbours().Hear(d, neigh.Message{Says: neigh.Claims, Subject: a, MAC: h1}, 100)
	tb.Hosts().Hear(d, nud.Message{Addr: a, MAC: h1, Override: true}, 100)
	tb.want(t, "answers 3000 10.3.0.9 02:00:00:00:01:01 bound false", "routes 3000 10.3.0.9 02:00:00:00:01:01 stale")
	for range saidParts {
		tb.Mend(101)
	}
	tb.want(t, "answers 3000 10.3.0.9 02:00:00:00:01:01 bound false", "routes 3000 10.3.0.9 02:00:00:00:01:01 stale")
	tb.Hosts().Flush(func(fdb.Domain, netip.Addr) bool { return true })
	for range saidParts {
		tb.Mend(100 + neigh.KeepFor)
	}
	tb.want(t, answers, routes)
	tb.mustSay(t, control.EVPN, some())
	tb.wantNone(t, "10.3.0.9")
}

// A VNI that goes takes what is said of it along, and it comes back with the VNI.
func TestVNIGoesAndComes(t *testing.T) {
	tb := tablesOf(t, sayConfig())
	tb.mustSay(t, control.EVPN, some().
		vtep(3000, addrC).mac(3000, ra, control.MAC{VTEP: addrC}).host(3000, "10.3.0.9", ra).
		route("10.7.0.0/16", control.Hop{VNI: 3000, Via: netip.MustParseAddr("10.3.0.9")}))
	full := tb.state()
	if err := tb.Apply(base()); err != nil {
		t.Fatal(err)
	}
	tb.wantNone(t, "3000")
	u := tb.Unused(control.EVPN, tb.Words(control.EVPN))
	want := []control.Unused{
		{Section: "macs", Reason: "no VNI 3000 is configured", Count: 1, Example: "VNI 3000, 02:00:00:00:02:0a"},
		{Section: "neighbours", Reason: "no VNI 3000 is configured", Count: 1, Example: "VNI 3000, 10.3.0.9"},
		{Section: "routes", Reason: `no VRF "red" is configured`, Count: 1, Example: "VRF red, 10.7.0.0/16"},
		{Section: "vteps", Reason: "no VNI 3000 is configured", Count: 1, Example: "VNI 3000, 192.0.2.51"},
	}
	if d := cmp.Diff(want, u); d != "" || tb.UnusedCount(control.EVPN) != 4 {
		t.Errorf("not used (-want +got):\n%s", d)
	}
	tb.Sweep(1)
	if err := tb.Apply(sayConfig()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(full, tb.state()); d != "" {
		t.Errorf("it did not come back (-before +after):\n%s", d)
	}
}

func TestNotUsed(t *testing.T) {
	hop := func(vni uint32, via string) control.Hop { return control.Hop{VNI: vni, Via: netip.MustParseAddr(via)} }
	for _, tt := range []struct {
		name string
		w    words
		why  string
	}{
		{"the gateway's own MAC", some().mac(3000, gwMAC, control.MAC{VTEP: addrA}), "it is the gateway's own MAC in VNI 3000"},
		{"the gateway's own address", some().host(3000, "10.3.0.1", ra), "it is the gateway's own address"},
		{"nobody to answer for", some().host(1000, "10.3.0.2", ra), "its VNI has neither suppress_arp nor gateway"},
		{"a hop that is not on a network", some().route("10.7.0.0/16", hop(3000, "10.5.0.9")), "no gateway of VNI 3000 has 10.5.0.9 in its prefix"},
		{"a hop that is the gateway", some().route("10.7.0.0/16", hop(3000, "10.3.0.1")), "10.3.0.1 is the gateway's own address"},
		{"a hop in a VNI that is bridged", some().route("10.7.0.0/16", hop(2000, "10.3.0.9")), "VNI 2000 has no gateway: give it one in this VRF"},
		{"a router with the gateway's MAC", some().route("10.7.0.0/16", control.Hop{VNI: 4000, VTEP: addrA, RouterMAC: gwMAC}), "the router's MAC is the gateway's own in VNI 4000"},
		{"a connected network", some().route("10.3.0.0/24", hop(3000, "10.3.0.9")), "there is a connected route for it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tb := tablesOf(t, sayConfig())
			before := tb.state()
			tb.mustSay(t, control.EVPN, tt.w)
			u := tb.Unused(control.EVPN, tt.w.Words)
			if len(u) != 1 || u[0].Reason != tt.why || u[0].Count != 1 {
				t.Errorf("%+v, want %q", u, tt.why)
			}
			if tt.w.Len().Routes == 0 {
				if d := cmp.Diff(before, tb.state()); d != "" {
					t.Errorf("it did something (-before +after):\n%s", d)
				}
			}
		})
	}
}

// Who may send to a VNI: a list that is written out is the whole of it.
func TestAllowedOnly(t *testing.T) {
	cfg := sayConfig()
	cfg.VNIs[0].AllowedOnly = true
	tb := tablesOf(t, cfg)
	tb.mustSay(t, control.EVPN, some().vtep(1000, addrC))
	tb.want(t, "vni 1000 floods to 192.0.2.34,192.0.2.50,192.0.2.51", "vni 1000 hears 192.0.2.51: false")
}

// What was learned behind a VTEP goes with the last word that let it send.
func TestForgetsBehindVTEP(t *testing.T) {
	tb := tablesOf(t, sayConfig())
	tb.mustSay(t, control.EVPN, some().vtep(1000, addrC))
	id, _ := tb.VTEP(addrC)
	tb.FDB().Learn(tb.Snapshot().VNIs[1000], h1, forward.VTEPHop(id), 1)
	tb.mustSay(t, control.EVPN, some().vtep(1000, addrC).vtep(1000, addrX))
	if !tb.has(1000, h1) {
		t.Fatal("forgotten, and its VTEP is there")
	}
	tb.mustSay(t, control.EVPN, some().vtep(1000, addrX))
	if tb.has(1000, h1) {
		t.Error("still there, and its VTEP is not")
	}
}

// doubts is a Mirror that keeps whose frames are to be asked about.
type doubts map[string]bool

func (d doubts) Learned(e fdb.Entry, unsure bool)    { d[e.MAC.String()] = unsure }
func (d doubts) Seen(fdb.Domain, frame.MAC)          {}
func (d doubts) Forgotten(_ fdb.Domain, m frame.MAC) { delete(d, m.String()) }
func (d doubts) is(t *testing.T, m frame.MAC, so bool) {
	t.Helper()
	if unsure, there := d[m.String()]; !there || unsure != so {
		t.Errorf("%s is unsure: %t, want %t", m, unsure, so)
	}
}

// A copy of the FDB knows of what is pinned whether its VTEP may send, now and when that
// changes.
func TestMirrorOfSaid(t *testing.T) {
	cfg := sayConfig()
	cfg.MACs = []config.StaticMAC{{VNI: 1000, MAC: ra, VTEP: addrB}}
	cfg.VNIs[0].AllowedVTEPs, cfg.VNIs[0].Flood = cfg.VNIs[0].AllowedVTEPs[:1], cfg.VNIs[0].Flood[:1]
	d := make(doubts)
	tb, err := New(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	d.is(t, ra, true)
	tb.mustSay(t, control.EVPN, some().vtep(1000, addrB).mac(1000, h1, control.MAC{VTEP: addrC}))
	d.is(t, ra, false)
	d.is(t, h1, false)
	tb.mustSay(t, control.EVPN, some().mac(1000, h1, control.MAC{VTEP: addrC}))
	d.is(t, ra, true)
	fenced := *cfg
	fenced.VNIs = slices.Clone(cfg.VNIs)
	fenced.VNIs[0].AllowedOnly = true
	if err := tb.Apply(&fenced); err != nil {
		t.Fatal(err)
	}
	d.is(t, h1, true)
}

func TestLimits(t *testing.T) {
	macs := func(vni uint32, n int) words {
		w := some()
		for i := range n {
			w.mac(vni, frame.MAC{2, 0, 0, 1, byte(i >> 8), byte(i)}, control.MAC{VTEP: addrA})
		}
		return w
	}
	for _, tt := range []struct {
		name string
		w    words
		bad  string
	}{
		{"as many as a VNI may have", macs(1000, 100), ""},
		{"one more", macs(1000, 101), "/macs: VNI 1000 would have 101 MACs of controllers: 100 is the most, for its mac_limit: raise that, or say fewer"},
		{"of a VNI that is not there", macs(7000, 1000), ""},
		{"one more in all", macs(7000, 1001), "/macs: there would be 1001 MACs of controllers: 1000 is the most, by [datapath] mac_limit: say fewer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tb := tablesOf(t, sayConfig())
			before := tb.state()
			_, err := tb.Say(control.EVPN, &tt.w.Words, control.Edit{})
			var fault *control.Fault
			if tt.bad == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.As(err, &fault) || err.Error() != tt.bad {
				t.Fatalf("%v, want %s", err, tt.bad)
			}
			if d := cmp.Diff(before, tb.state()); d != "" || tb.SaidSizes(control.EVPN) != (control.Sizes{}) {
				t.Errorf("refused, and something was done (-before +after):\n%s", d)
			}
		})
	}
	tb := tablesOf(t, sayConfig())
	tb.mustSay(t, control.EVPN, macs(1000, 60))
	w := macs(1000, 60)
	if _, err := tb.Say(control.OVSDB, &w.Words, control.Edit{}); err == nil {
		t.Error("two origins have more than a VNI may")
	}
	fewer := sayConfig()
	fewer.VNIs[0].MACLimit = 10
	if err := tb.Apply(fewer); err != nil {
		t.Fatal(err)
	}
	tb.mustSay(t, control.EVPN, macs(1000, 50)) // fewer is never refused
}

// Whatever is said, taken back and configured, in whatever order, and whoever was here in
// between: the tables are those of a gateway that has just begun with all of it.
func TestSaidInAnyOrder(t *testing.T) {
	configs := []func() *config.Config{
		sayConfig, base,
		func() *config.Config {
			c := sayConfig()
			c.MACs = []config.StaticMAC{{VNI: 1000, MAC: ra, VTEP: addrA}}
			c.VNIs[0].AllowedOnly = true
			return c
		},
		func() *config.Config {
			c := sayConfig()
			c.VNIs = slices.Delete(c.VNIs, 0, 1)
			c.Ports = c.Ports[2:]
			c.VRFs[0].Routes = nil
			return c
		},
		func() *config.Config {
			c := sayConfig()
			c.VNIs[2].SuppressARP, c.VNIs[1].SuppressARP = false, false
			return c
		},
	}
	vteps := []netip.Addr{addrA, addrB, addrC, addrX}
	vnis := []uint32{1000, 2000, 3000, 4000, 5000}
	macs := []frame.MAC{h1, ra, gwMAC, {2, 0, 0, 0, 9, 9}}
	rapid.Check(t, func(r *rapid.T) {
		pick := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(r, what) }
		anyWords := func() words {
			w := some()
			for range pick(4, "vteps") {
				w.vtep(vnis[pick(5, "vni")], vteps[pick(4, "vtep")])
			}
			for range pick(4, "macs") {
				w.mac(vnis[pick(5, "vni")], macs[pick(4, "mac")], control.MAC{VTEP: vteps[pick(4, "vtep")], Sticky: pick(2, "sticky") == 0, Sequence: uint32(pick(3, "sequence"))})
			}
			for range pick(4, "neighbours") {
				w.host(vnis[pick(5, "vni")], []string{"10.3.0.9", "10.3.0.1", "203.0.113.66", "192.0.2.51"}[pick(4, "address")], macs[pick(4, "mac")])
			}
			for range pick(4, "routes") {
				var hops []control.Hop
				for range 1 + pick(2, "hops") {
					h := control.Hop{VNI: vnis[pick(5, "vni")], Via: netip.MustParseAddr("10.3.0.9")}
					if pick(3, "kind") > 0 {
						h = control.Hop{VNI: h.VNI, VTEP: vteps[pick(4, "vtep")], RouterMAC: macs[pick(4, "mac")]}
					}
					hops = append(hops, h)
				}
				w.route([]string{"10.7.0.0/16", "10.8.0.0/16", "10.9.0.0/16"}[pick(3, "prefix")], hops...)
			}
			return w
		}
		cfg := configs[0]
		tb, err := New(cfg(), nil)
		if err != nil {
			r.Fatal(err)
		}
		origins := []control.Origin{control.EVPN, control.OVSDB, "x"}
		for range 1 + pick(12, "steps") {
			o := origins[pick(3, "origin")]
			switch pick(4, "what") {
			case 0:
				w := anyWords()
				_, err = tb.Say(o, &w.Words, control.Edit{})
			case 1:
				_, err = tb.Say(o, nil, control.Edit{Removed: anyWords().Words, Added: anyWords().Words})
			case 2:
				cfg = configs[pick(len(configs), "config")]
				err = tb.Apply(cfg())
			case 3:
				if p, ok := tb.Port("acc3"); ok {
					d := tb.Snapshot().Ports[p].Domain
					m := macs[pick(4, "mac")]
					if tb.FDB().Learn(d, m, forward.PortHop(p), 50); pick(2, "gone") == 0 {
						tb.FDB().Flush(func(fdb.Domain, fdb.Hop) bool { return true })
					}
				}
			}
			if err != nil {
				r.Fatal(err)
			}
		}
		tb.FDB().Flush(func(fdb.Domain, fdb.Hop) bool { return true })
		tb.Sweep(60)
		for range saidParts {
			tb.Mend(60)
		}
		twin, err := New(cfg(), nil)
		if err != nil {
			r.Fatal(err)
		}
		for _, o := range origins {
			w := tb.Words(o)
			if _, err := twin.Say(o, &w, control.Edit{}); err != nil {
				r.Fatal(err)
			}
		}
		if d := cmp.Diff(twin.state(), tb.state()); d != "" {
			r.Fatalf("(-begun anew +as it came)\n%s", d)
		}
		for _, o := range origins {
			if a, b := tb.UnusedCount(o), twin.UnusedCount(o); a != b {
				r.Fatalf("%s: %d are not used, begun anew %d", o, a, b)
			}
			for _, u := range tb.Unused(o, tb.Words(o)) {
				if u.Reason == "nobody says so any more" {
					r.Fatalf("%+v", u)
				}
			}
		}
		for _, o := range origins {
			none := some()
			if _, err := tb.Say(o, &none.Words, control.Edit{}); err != nil {
				r.Fatal(err)
			}
		}
		bare, err := New(cfg(), nil)
		if err != nil {
			r.Fatal(err)
		}
		if d := cmp.Diff(bare.state(), tb.state()); d != "" {
			r.Fatalf("something is left (-bare +after)\n%s", d)
		}
		if s := &tb.said; len(s.vteps)+len(s.members)+len(s.routers)+len(s.ways) > 0 {
			r.Fatalf("counted still: %v %v %v %v", s.vteps, s.members, s.routers, s.ways)
		}
		for k, n := range tb.said.inFDB {
			if n != 0 {
				r.Fatalf("%d of %+v in the FDB", n, k)
			}
		}
	})
}

// A hundred thousand MACs are said at once, and taken back at once.
func TestSayMany(t *testing.T) {
	const many = 100_000
	cfg := sayConfig()
	cfg.Datapath.MACLimit, cfg.VNIs[0].MACLimit = many, many
	tb := tablesOf(t, cfg)
	w := some()
	for i := range many {
		w.mac(1000, frame.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}, control.MAC{VTEP: []netip.Addr{addrA, addrB, addrC}[i%3]})
	}
	begun := time.Now()
	tb.mustSay(t, control.EVPN, w)
	t.Logf("said in %v", time.Since(begun))
	if n := tb.FDB().Len(); n != many {
		t.Errorf("%d entries, want %d", n, many)
	}
	begun = time.Now()
	tb.mustSay(t, control.EVPN, some())
	t.Logf("taken back in %v", time.Since(begun))
	if n := tb.FDB().Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}
