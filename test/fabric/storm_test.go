package fabric

import (
	"fmt"
	"strings"
	"testing"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/l2/frame"
)

// The limits of these tests are so low that a burst is ten frames.
const (
	portStorm = "storm_control = { broadcast = 10, multicast = 20, unknown_unicast = 30 }"
	burst     = 10
)

var stormGroup = MAC("01:00:5e:00:00:fb")

// kinds are flooded frames from a source, by the kind that storm control has them for.
func kinds(src frame.MAC) map[string][]byte {
	return map[string][]byte{
		"broadcast": Local(frame.Broadcast, src), "multicast": Local(stormGroup, src), "unknown_unicast": Local(Nobody, src),
	}
}

// stormRow returns storm control of a kind in a direction: of a port, or of VNI 1000 where
// that is "".
func stormRow(t *testing.T, g *Gateway, port, direction, kind string) api.StormRow {
	t.Helper()
	var rows []api.StormRow
	for _, p := range g.Ports() {
		if port != "" && p.Interface == port {
			rows = p.Storm
		}
	}
	for _, v := range g.VNIs() {
		if port == "" && v.VNI == 1000 {
			rows = v.Storm
		}
	}
	for _, r := range rows {
		if r.Direction == direction && r.Kind == kind {
			return r
		}
	}
	t.Fatalf("no storm control of %s %s at %q: %+v", direction, kind, port, rows)
	return api.StormRow{}
}

func times(n int, f []byte) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = f
	}
	return all
}

// What comes in by a port over its limit goes nowhere, is counted, and nothing is
// learned of it. Each kind has its own limit, and the other port its own.
func TestStormAtPort(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b c"), ports(10, "e1 e2", portStorm)))
		for kind, f := range kinds(H1) {
			n.Times(burst, "a.e1", f).Is(fmt.Sprintf("a.e2*%d a>192.0.2.2*%[1]d a>192.0.2.3*%[1]d", burst))
			n.Times(5, "a.e1", f).Is("a!access:storm*5")
			n.Send("a.e1", Local(frame.MAC(f[:6]), H3)).Is("a!access:storm")
			checkWhere(t, a, H3, "unknown")
			n.Send("a.e2", Local(frame.MAC(f[:6]), H2)).Is("a.e1 a>192.0.2.2 a>192.0.2.3")
			if r := stormRow(t, a, "e1", "rx", kind); r.Dropped != 6 || r.Limit == 0 {
				t.Errorf("%+v", r)
			}
		}
		// What is known is not flooded, and has no limit.
		n.Times(50, "a.e1", Local(H2, H1)).Is("a.e2*50")
		n.Advance(1)
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>192.0.2.2 a>192.0.2.3")
	})
}

// Into the overlay each copy counts. Ports get theirs all the same. A frame with more
// copies than a burst passes, and the next ones pay for it.
func TestStormIntoOverlay(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, manyVTEPs(25), "storm_control.broadcast = 10"), ports(10, "e1 e2")))
		all := "a.e2"
		for _, v := range strings.Fields(manyVTEPs(25)) {
			all += " a>" + v
		}
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is(all)
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a!access:storm*25")
		n.Send("a.e1", Local(stormGroup, H1)).Is(all)
		n.Advance(1)
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a!access:storm*25")
		n.Advance(2)
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is(all)
		if r := stormRow(t, a, "", "tx", "broadcast"); r.Dropped != 50 || r.Limit != 10 {
			t.Errorf("%+v", r)
		}
		if r := stormRow(t, a, "", "rx", "broadcast"); r.Dropped != 0 || r.Limit != 10 {
			t.Errorf("%+v", r)
		}
	})
}

func TestStormIntoOverlayByGroup(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b", `group = "239.1.1.1"`, "storm_control.broadcast = 10"), ports(10, "e1 e2")))
		n.Times(burst/2, "a.e1", Local(frame.Broadcast, H1)).Is("a.e2*5 a>192.0.2.2*5 a>239.1.1.1*5")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a!access:storm*2")
	})
}

func TestStormOutOfOverlay(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b c", portStorm), ports(10, "e1 e2")))
		for kind, f := range kinds(RA) {
			for range burst {
				n.Inject("192.0.2.2", "a", 1000, f).Is("a.e1 a.e2")
			}
			n.Inject("192.0.2.2", "a", 1000, f).Is("a!overlay:storm")
			n.Inject("192.0.2.3", "a", 1000, Local(frame.MAC(f[:6]), RB)).Is("a!overlay:storm")
			checkWhere(t, a, RB, "unknown")
			if r := stormRow(t, a, "", "rx", kind); r.Dropped != 2 {
				t.Errorf("%+v", r)
			}
		}
		// The other direction has the same limit for itself.
		n.Times(burst/2, "a.e1", Local(frame.Broadcast, H1)).Is("a.e2*5 a>192.0.2.2*5 a>192.0.2.3*5")
	})
}

// A frame of many segments is as many frames.
func TestStormOfSuperFrames(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b", "storm_control.unknown_unicast = 30"), ports(10, "e1 e2", portStorm)))
		n.SendFrame("a.e1", superFrame(false, Nobody, H1, 40_000)).Is("a.e2~ a>192.0.2.2~*40")
		n.Send("a.e1", Local(Nobody, H1)).Is("a!access:storm")
		n.Send("a.e2", Local(Nobody, H2)).Is("a.e1 a!access:storm")
		if r := stormRow(t, a, "", "tx", "unknown_unicast"); r.Dropped != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// A reload changes limits at once, and counts on.
func TestStormReload(t *testing.T) {
	Test(t, func(n *Net) {
		text := func(broadcast int) string {
			return conf("a", vni(1000, "b"), ports(10, "e1 e2", fmt.Sprintf("storm_control.broadcast = %d", broadcast)))
		}
		reload := func(a *Gateway, broadcast int) {
			next, err := config.Parse("test.toml", []byte(text(broadcast)))
			must(err)
			_, err = a.Reload(next)
			must(err)
			n.Settle()
		}
		a := n.Add(text(0))
		n.Times(50, "a.e1", Local(frame.Broadcast, H1)).Is("a.e2*50 a>192.0.2.2*50")
		reload(a, 10)
		n.Times(burst, "a.e1", Local(frame.Broadcast, H1)).Is("a.e2*10 a>192.0.2.2*10")
		n.Times(5, "a.e1", Local(frame.Broadcast, H1)).Is("a!access:storm*5")
		reload(a, 10)
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a!access:storm")
		reload(a, 200)
		n.Times(20, "a.e1", Local(frame.Broadcast, H1)).Is("a.e2*20 a>192.0.2.2*20")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a!access:storm")
		if r := stormRow(t, a, "e1", "rx", "broadcast"); r.Dropped != 7 || r.Limit != 200 {
			t.Errorf("%+v", r)
		}
		reload(a, 0)
		n.Times(50, "a.e1", Local(frame.Broadcast, H1)).Is("a.e2*50 a>192.0.2.2*50")
	})
}

// Every queue of a port takes from the same limit.
func TestStormManyWorkers(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(strings.ReplaceAll(conf("a", vni(1000, "b"), ports(10, "e1 e2", portStorm)), "workers = 1", "workers = 4"))
		n.Burst("a.e1", times(500, Local(frame.Broadcast, H1))...).Is("a.e2~*10 a>192.0.2.2~*10 a!access:storm*490")
	})
}

// A storm is told of when it begins and when it is over, and it is seen meanwhile.
func TestStormIsToldOf(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b"), ports(10, "e1 e2", portStorm)))
		lines := func(text string) int { return strings.Count(a.Log(), text) }
		const begins, ends = "more is flooded than the limit", "nothing is dropped any more"
		for range 20 {
			n.Burst("a.e1", times(100, Local(frame.Broadcast, H1))...)
			n.Advance(1)
		}
		if lines(begins) != 1 || lines(ends) != 0 || !stormRow(t, a, "e1", "rx", "broadcast").Active {
			t.Errorf("%+v\n%s", stormRow(t, a, "e1", "rx", "broadcast"), a.Log())
		}
		if !strings.Contains(a.Log(), "port=e1 kind=broadcast direction=rx limit=10 dropped=90 mend=") {
			t.Error(a.Log())
		}
		n.Advance(40)
		if lines(begins) != 1 || lines(ends) != 1 || stormRow(t, a, "e1", "rx", "broadcast").Active {
			t.Errorf("%+v\n%s", stormRow(t, a, "e1", "rx", "broadcast"), a.Log())
		}
		n.Burst("a.e1", times(100, Local(frame.Broadcast, H1))...)
		n.Advance(1)
		if lines(begins) != 2 {
			t.Error(a.Log())
		}
	})
}

// Storms in many places are a few lines.
func TestManyStorms(t *testing.T) {
	Test(t, func(n *Net) {
		var names []string
		for i := range 30 {
			names = append(names, fmt.Sprintf("e%d", i))
		}
		a := n.Add(conf("a", vni(1000, "b"), ports(10, strings.Join(names, " "), portStorm)))
		for i, name := range names {
			n.Burst("a."+name, times(20, Local(frame.Broadcast, frame.MAC{2, 0, 0, 0, 9, byte(i)}))...)
		}
		n.Tick()
		if k := strings.Count(a.Log(), "than the limit"); k != 10 {
			t.Errorf("%d lines", k)
		}
		if !strings.Contains(a.Log(), "storm control drops frames in more places\" places=20") {
			t.Error(a.Log())
		}
		n.Advance(60)
		if k := strings.Count(a.Log(), "nothing is dropped any more"); k != 10 {
			t.Errorf("%d lines of an end", k)
		}
	})
}
