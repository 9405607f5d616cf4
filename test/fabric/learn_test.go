package fabric

import (
	"fmt"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
)

const (
	toB   = "a>192.0.2.2"
	flood = "a.e2 a>192.0.2.2 a>192.0.2.3" // from e1 of a gateway alone
)

// where returns where a MAC of VNI 1000 is, as `show macs` has it.
func where(g *Gateway, m frame.MAC) string {
	for r := range g.MACs(1000) {
		if r.MAC == m.String() {
			return fmt.Sprintf("%s%s %s", r.Port, r.VTEP, r.Origin)
		}
	}
	return "unknown"
}

func checkWhere(t *testing.T, g *Gateway, m frame.MAC, want string) {
	t.Helper()
	if got := where(g, m); got != want {
		t.Errorf("%s is %s, want %s", m, got, want)
	}
}

// RFC 7348 section 4.1: unknown destinations are flooded, and one frame from
// there ends that.
func TestLearnFromVTEP(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		n.Times(10, "a.e1", Local(Nobody, H1)).Is("a.e2*10 a>192.0.2.2*10 a>192.0.2.3*10")
		n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, Nobody)).Is("a.e1 a.e2")
		checkWhere(t, a, Nobody, "192.0.2.2 learned")
		n.Times(10, "a.e1", Local(Nobody, H1)).Is("a>192.0.2.2*10")
	})
}

func TestLearningOff(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b c", "learning = false"), ports(10, "e1 e2")))
		n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, RA)).Is("a.e1 a.e2")
		checkWhere(t, a, RA, "unknown")
		n.Send("a.e1", Local(RA, H1)).Is(flood)
		checkWhere(t, a, H1, "e1 learned") // what is behind a port is learned all the same
	})
}

func TestAgeing(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b c", `ageing = "30s"`), ports(10, "e1 e2")))
		teach(n)
		n.Send("a.e2", Local(H1, H2))
		n.Advance(29)
		n.Send("a.e1", Local(RA, H1)).Is(toB)
		n.Send("a.e1", Local(H2, H1)).Is("a.e2")
		n.Advance(2)
		n.Send("a.e1", Local(RA, H1)).Is(flood)
		n.Send("a.e1", Local(H2, H1)).Is(flood)
		checkWhere(t, a, RA, "unknown")
		n.Advance(31)
		if k := learned(a); k != 0 {
			t.Errorf("%d MACs left", k)
		}
	})
}

// A station that is heard stays known.
func TestAgeingIsPutOff(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b c", `ageing = "30s"`), ports(10, "e1 e2")))
		for range 12 {
			teach(n)
			n.Advance(10)
			n.Send("a.e1", Local(RA, H1)).Is(toB)
		}
	})
}

func TestNoAgeing(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b c", `ageing = "0s"`), ports(10, "e1 e2")))
		teach(n)
		n.Advance(10 * 365 * 86400)
		n.Send("a.e1", Local(RA, H1)).Is(toB)
	})
}

// Ageing goes by the gateway's clock. An hour by any other changes nothing.
func TestAgeingIgnoresTimeOfDay(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b c", `ageing = "30s"`), ports(10, "e1 e2")))
		teach(n)
		time.Sleep(time.Hour)
		n.Send("a.e1", Local(RA, H1)).Is(toB)
	})
}

// A MAC is followed wherever it goes, at once.
func TestMoves(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		n.Send("a.e2", Local(frame.Broadcast, H2))
		fromPort := func(place string) { n.Send(place, Local(frame.Broadcast, H1)) }
		for range 3 {
			fromPort("a.e1")
			checkWhere(t, a, H1, "e1 learned")
			n.Send("a.e2", Local(H1, H2)).Is("a.e1")
			fromPort("a.e2")
			checkWhere(t, a, H1, "e2 learned")
			n.Send("a.e1", Local(H1, RB)).Is("a.e2")
			n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, H1)).Is("a.e1 a.e2")
			checkWhere(t, a, H1, "192.0.2.2 learned")
			n.Send("a.e2", Local(H1, H2)).Is(toB)
			n.Inject("192.0.2.3", "a", 1000, Local(frame.Broadcast, H1)).Is("a.e1 a.e2")
			checkWhere(t, a, H1, "192.0.2.3 learned")
			n.Send("a.e2", Local(H1, H2)).Is("a>192.0.2.3")
		}
	})
}

// Two VNIs may know the same MAC in different places.
func TestLearnPerVNI(t *testing.T) {
	Test(t, func(n *Net) {
		mesh(n)
		n.Send("b.e1", Local(frame.Broadcast, H1))
		n.Send("c.e3", Local(frame.Broadcast, H1))
		n.Send("a.e1", Local(H1, H2)).Is("a>b b.e1")
		n.Send("a.e3", Local(H1, H2)).Is("a>c c.e3")
	})
}

const pinned = `
[[mac]]
vni = 1000
address = "02:00:00:00:02:0a"
vtep = "192.0.2.2"
[[mac]]
vni = 1000
address = "02:00:00:00:01:01"
port = "e1"
`

// A static MAC stays where it is; from elsewhere it is an impostor's.
func TestStaticMACs(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n, pinned)
		n.Send("a.e2", Local(RA, H2)).Is(toB)
		n.Send("a.e2", Local(H1, H2)).Is("a.e1")
		n.Inject("192.0.2.2", "a", 1000, Local(H1, RA)).Is("a.e1")
		n.Inject("192.0.2.3", "a", 1000, Local(H1, RA)).Is("a!overlay:static_moved")
		n.Inject("192.0.2.3", "a", 1000, Local(frame.Broadcast, H1)).Is("a!overlay:static_moved")
		n.Send("a.e1", Local(frame.Broadcast, RA)).Is("a!access:static_moved")
		n.Send("a.e2", Local(frame.Broadcast, H1)).Is("a!access:static_moved")
		n.Advance(1000)
		checkWhere(t, a, RA, "192.0.2.2 static")
		checkWhere(t, a, H1, "e1 static")
		n.Send("a.e1", Local(RA, H1)).Is(toB)
	})
}

// A static MAC on a port survives the port's going down, and is not sent to
// meanwhile.
func TestStaticMACOnAPortThatIsDown(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n, pinned)
		a.Host.SetUp("e1", false)
		n.Send("a.e2", Local(H1, H2)).Is("a!access:port_down")
		n.Inject("192.0.2.2", "a", 1000, Local(H1, RA)).Is("a!overlay:port_down")
		checkWhere(t, a, H1, "e1 static")
		a.Host.SetUp("e1", true)
		n.Send("a.e2", Local(H1, H2)).Is("a.e1")
	})
}

func station(i int) frame.MAC { return frame.MAC{2, 0, 0, 0x77, byte(i >> 8), byte(i)} }

func TestPortLimit(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b c"), ports(10, "e1", "mac_limit = 8"), ports(10, "e2"), `
[[mac]]
vni = 1000
address = "02:00:00:77:00:0f"
port = "e1"
`))
		for i := range 16 {
			want := flood
			if i >= 8 && i < 15 {
				want += " a?port_limit"
			}
			n.Send("a.e1", Local(frame.Broadcast, station(i))).Is(want)
		}
		if k := a.Ports()[0].MACs; k != 9 {
			t.Errorf("%d MACs behind e1, want 8 and the static one", k)
		}
		// Those that are known stay known, the others are flooded to.
		n.Send("a.e2", Local(station(7), H2)).Is("a.e1")
		n.Send("a.e2", Local(station(8), H2)).Is("a.e1 a>192.0.2.2 a>192.0.2.3")
		n.Send("a.e2", Local(station(15), H2)).Is("a.e1")
		// Other ports are not affected.
		n.Send("a.e2", Local(H1, station(8))).Is("a.e1 a>192.0.2.2 a>192.0.2.3")
		checkWhere(t, a, station(8), "e2 learned")
	})
}

func TestVNILimit(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b c", "mac_limit = 5"), vni(2000, "b"), ports(10, "e1 e2"), ports(20, "e3")))
		for i := range 8 {
			want := "a.e1 a.e2"
			if i >= 5 {
				want += " a?vni_limit"
			}
			n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, station(i))).Is(want)
		}
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is(flood + " a?vni_limit")
		n.Send("a.e3", Local(frame.Broadcast, H1)).Is(toB)
		if k := learned(a); k != 6 {
			t.Errorf("%d MACs known, want 5 and 1", k)
		}
	})
}

// A table that is full learns nothing more and forgets nobody.
func TestTableLimit(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add("[gateway]\nname = \"a\"\n[underlay]\naddress = \"192.0.2.1\"\n[datapath]\nmac_limit = 10\n" + vni(1000, "b c") + ports(10, "e1 e2"))
		n.Send("a.e2", Local(frame.Broadcast, H2)).Is("a.e1 a>192.0.2.2 a>192.0.2.3")
		for i := range 20 {
			want := flood
			if i >= 9 {
				want += " a?table_full"
			}
			n.Send("a.e1", Local(frame.Broadcast, station(i))).Is(want)
		}
		checkWhere(t, a, H2, "e2 learned")
		for i := range 9 {
			n.Send("a.e2", Local(station(i), H2)).Is("a.e1")
		}
		// Moving needs no room.
		n.Send("a.e2", Local(station(1), station(0))).Is("a.e1")
		checkWhere(t, a, station(0), "e2 learned")
	})
}

// A link that goes down takes its MACs with it, at once; other ports keep theirs.
func TestLinkDownForgets(t *testing.T) {
	changes := map[string]func(h *Host){
		"set down":       func(h *Host) { h.SetUp("e1", false) },
		"cable pulled":   func(h *Host) { h.SetCarrier("e1", false) },
		"gone":           func(h *Host) { h.RemoveLink("e1") },
		"into a bridge":  func(h *Host) { h.SetMaster("e1", "br0") },
		"a quick flap":   func(h *Host) { h.Flap("e1") },
		"another device": func(h *Host) { h.RemoveLink("e1"); h.AddLink("e1") },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := alone(n)
				n.Send("a.e1", Local(frame.Broadcast, H1))
				n.Send("a.e2", Local(frame.Broadcast, H2))
				teach(n)
				change(a.Host)
				n.Settle()
				checkWhere(t, a, H1, "unknown")
				checkWhere(t, a, H2, "e2 learned")
				checkWhere(t, a, RA, "192.0.2.2 learned")
			})
		})
	}
}

// What `show vteps` says of who was heard, and of who is configured.
func TestVTEPList(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b", `allowed_vteps = ["192.0.2.0/24"]`), ports(10, "e1")))
		n.Inject("192.0.2.77", "a", 1000, Local(frame.Broadcast, RA)).Is("a.e1")
		n.Inject(rogue, "a", 1000, Local(frame.Broadcast, RB)).Is("a!overlay:vtep_not_allowed")
		var got []string
		for _, v := range a.VTEPs() {
			got = append(got, fmt.Sprintf("%s %s rx %d heard %v", v.Address, v.Origin, v.RxPackets, v.LastSeen != nil))
		}
		want := []string{"192.0.2.2 static rx 0 heard false", "192.0.2.77 learned rx 1 heard true"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("VTEPs %v, want %v", got, want)
		}
		// An hour after the last frame, and with no MAC behind it, it is forgotten.
		n.Advance(301)
		n.Advance(3601)
		if rows := a.VTEPs(); len(rows) != 1 || rows[0].Origin != "static" {
			t.Errorf("VTEPs %+v", rows)
		}
		n.Inject("192.0.2.78", "a", 1000, Local(frame.Broadcast, RA)).Is("a.e1")
		checkWhere(t, a, RA, "192.0.2.78 learned")
	})
}

func TestMACCounts(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n, pinned)
		teach(n)
		n.Send("a.e2", Local(frame.Broadcast, H2))
		n.Send("a.e3", Local(frame.Broadcast, H3))
		counts := a.MACCounts()
		for _, want := range []struct {
			vni    uint32
			origin string
			count  int
		}{{1000, "learned", 1}, {1000, "static", 2}, {2000, "learned", 1}, {2000, "static", 0}} {
			if got := counts[api.MACCountKey{VNI: want.vni, Origin: want.origin}]; got != want.count {
				t.Errorf("%d %s MACs in VNI %d, want %d", got, want.origin, want.vni, want.count)
			}
		}
	})
}
