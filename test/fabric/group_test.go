package fabric

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/l3/underlay/path"
)

const group = "239.1.1.1"

// grouped is three gateways that have VNI 1000 in a group and in nobody's flood
// list, with a port e1 each.
func grouped(n *Net) (a, b, c *Gateway) {
	add := func(name string) *Gateway {
		return n.Add(conf(name, vni(1000, "", `group = "`+group+`"`), ports(10, "e1")))
	}
	return add("a"), add("b"), add("c")
}

// members wants just these gateways in a group.
func members(n *Net, group, want string) {
	n.T.Helper()
	n.Settle()
	var got []string
	for _, a := range n.Fabric.Members(netip.MustParseAddr(group)) {
		got = append(got, n.name(a))
	}
	if strings.Join(got, " ") != want {
		n.T.Errorf("%s has members %v, want %s", group, got, want)
	}
}

// The ARP walk of RFC 7348 section 4.2: one packet to the group, heard by all
// others, and an answer to the one who asked; the group is nobody's address.
func TestGroup(t *testing.T) {
	Test(t, func(n *Net) {
		a, _, _ := grouped(n)
		members(n, group, "a b c")
		n.Send("a.e1", ARP(H1, "10.1.1.10", "10.1.1.20")).Is("a>" + group + " b.e1 c.e1")
		n.Send("b.e1", Local(H1, H2)).Is("b>a a.e1")
		n.Send("a.e1", Local(H2, H1)).Is("a>b b.e1")
		n.Times(10, "c.e1", Local(Nobody, H3)).Is("c>" + group + "*10 a.e1*10 b.e1*10")
		for _, m := range slices.Collect(a.MACs(0)) {
			if m.VTEP == group {
				t.Errorf("%s was learned behind the group", m.MAC)
			}
		}
		rows := a.VTEPs()
		i := slices.IndexFunc(rows, func(v api.VTEPRow) bool { return v.Address == group })
		if i < 0 || rows[i].Origin != "group" || rows[i].TxPackets != 1 || rows[i].RxPackets != 0 || rows[i].LastSeen != nil || len(rows[i].VNIs) != 1 {
			t.Errorf("show vteps: %+v", rows)
		}
		if v := a.VNIs()[0]; !slices.Contains(v.VTEPs, group) || v.TxPackets != 2 {
			t.Errorf("show vnis: %+v", v)
		}
	})
}

// One to the group and one to each VTEP of flood; from the overlay to neither.
func TestGroupAndFlood(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "c", `group = "`+group+`"`), ports(10, "e1 e2")))
		n.Add(conf("b", vni(1000, "a", `group = "`+group+`"`), ports(10, "e1")))
		n.Add(conf("c", vni(1000, "a"), ports(10, "e1")))
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>" + group + " a>c b.e1 c.e1")
		n.Send("c.e1", Local(frame.Broadcast, H3)).Is("c>a a.e1 a.e2")
		n.InjectGroup("192.0.2.99", group, 1000, Local(frame.Broadcast, RA)).Is("a.e1 a.e2 b.e1")
		n.InjectGroup("192.0.2.99", group, 1000, Local(H3, RA)).Is("a!overlay:split_horizon b.e1")
		// b is in both of a VTEP that has it so: it says so, and drops nothing.
		n.Send("b.e1", Local(frame.Broadcast, H2)).Is("b>" + group + " b>a a.e1*2 a.e2*2")
	})
}

func TestTwiceInTheGroup(t *testing.T) {
	Test(t, func(n *Net) {
		b := n.Add(conf("b", vni(1000, "a", `group = "`+group+`"`), ports(10, "e1")))
		n.InjectGroup(vteps["a"], group, 1000, Local(frame.Broadcast, RA)).Is("b.e1")
		if !strings.Contains(b.Log(), "take it off flood") {
			t.Error(b.Log())
		}
	})
}

// Who may send is asked of what comes by the group as of all else (VPP
// mcast_rcv: 20 sources, 10 known).
func TestWhoMaySendToTheGroup(t *testing.T) {
	for _, allow := range []bool{true, false} {
		t.Run(fmt.Sprint(allow), func(t *testing.T) {
			Test(t, func(n *Net) {
				line := ""
				if allow {
					line = `allowed_vteps = ["198.18.0.0/29", "198.18.0.8/31"]`
				}
				n.Add(conf("a", vni(1000, "", `group = "`+group+`"`, line), ports(10, "e1")))
				for i := range 20 {
					want := "a.e1"
					if allow && i >= 10 {
						want = "a!overlay:vtep_not_allowed"
					}
					n.InjectGroup(fmt.Sprintf("198.18.0.%d", i), group, 1000, Local(frame.Broadcast, MAC(fmt.Sprintf("02:00:00:00:09:%02x", i)))).Is(want)
				}
			})
		})
	}
}

// Our own packet that comes back by the group is nothing that came in. One that
// claims to come from a group is refused.
func TestOwnPacketInTheGroup(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "", `group = "`+group+`"`), ports(10, "e1")))
		n.InjectGroup("a", group, 1000, Local(frame.Broadcast, H1)).Is("")
		n.InjectGroup("239.9.9.9", group, 1000, Local(frame.Broadcast, H1)).Is("a!overlay:vtep_not_allowed")
	})
}

// RFC 7348 does not say that a VNI's packets to another group are wrong: they
// are carried, and told of.
func TestAnotherGroup(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "", `group = "`+group+`"`), vni(2000, "b", `group = "239.1.1.2"`), ports(10, "e1"), ports(20, "e2")))
		n.InjectGroup("192.0.2.99", "239.1.1.2", 1000, Local(frame.Broadcast, RA)).Is("a.e1")
		if !strings.Contains(a.Log(), "our_group=239.1.1.1") {
			t.Error(a.Log())
		}
		n.InjectGroup("192.0.2.99", "239.1.1.3", 1000, Local(frame.Broadcast, RA)).Is("")
	})
}

// VNIs may share a group, which is joined once and heard once.
func TestSharedGroup(t *testing.T) {
	Test(t, func(n *Net) {
		for _, name := range []string{"a", "b"} {
			n.Add(conf(name, vni(1000, "", `group = "`+group+`"`), vni(2000, "", `group = "`+group+`"`), ports(10, "e1"), ports(20, "e2")))
		}
		members(n, group, "a b")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a>" + group + " b.e1")
		n.Send("a.e2", Local(frame.Broadcast, H1)).Is("a>" + group + " b.e2")
		// A group's packets for a VNI that a gateway does not have.
		n.Add(conf("c", vni(1000, "", `group = "`+group+`"`), ports(10, "e1")))
		n.Send("a.e2", Local(frame.Broadcast, H1)).Is("a>" + group + " b.e2 c!overlay:unknown_vni")
	})
}

// The group's copy is measured against the MTU of the interface that it leaves
// by, whatever the path to some VTEP carries.
func TestGroupTooBig(t *testing.T) {
	Test(t, func(n *Net) {
		a, _, _ := grouped(n)
		a.Host.EditLink(Underlay, func(l *path.Link) { l.MTU = 1550 })
		n.Settle()
		n.Send("a.e1", UDP(Nobody, H1, 1472)).Is("a>" + group + " b.e1 c.e1")
		n.Send("a.e1", UDP(frame.Broadcast, H1, 1473)).Is("a!access:too_big")
		n.Send("a.e1", UDP(Nobody, H1, 1473)).Is("a!access:too_big a.e1~")
	})
}

func TestGroupTooBigBesideFlood(t *testing.T) {
	Test(t, func(n *Net) {
		n.AddOn(conf("a", vni(1000, "b", `group = "`+group+`"`), ports(10, "e1")), func(h *Host) {
			h.EditLink(Underlay, func(l *path.Link) { l.MTU = 1550 })
		})
		n.Send("a.e1", UDP(frame.Broadcast, H1, 1473)).Is("a>192.0.2.2 a!access:too_big")
	})
}

// datapathOf returns the row of the multicast groups.
func datapathOf(n *Net, g *Gateway) (r api.DatapathRow) {
	n.T.Helper()
	rows := g.Datapath()
	if len(rows) < 2 {
		n.T.Fatalf("show datapath: %+v", rows)
	}
	return rows[len(rows)-2]
}

// wantGroups wants show datapath to say words about the groups.
func wantGroups(n *Net, g *Gateway, attached bool, words string) {
	n.T.Helper()
	n.Settle()
	if r := datapathOf(n, g); r.Attached != attached || !strings.Contains(r.Reason, words) {
		n.T.Errorf("%+v, want %q", r, words)
	}
}

// What keeps the groups from being joined is shown and waited for.
func TestGroupTroubles(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(conf("a", vni(1000, "", `group = "`+group+`"`), ports(10, "e1")), func(h *Host) {
			h.EditLink(Underlay, func(l *path.Link) { l.Multicast = false })
		})
		n.Add(conf("b", vni(1000, "", `group = "`+group+`"`), ports(10, "e1")))
		wantGroups(n, a, false, "ip link set und0 multicast on")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a!access:tx_failed")
		n.Send("b.e1", Local(frame.Broadcast, H2)).Is("b>" + group)
		a.Host.EditLink(Underlay, func(l *path.Link) { l.Multicast = true })
		wantGroups(n, a, true, "1 group joined")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a>" + group + " b.e1")

		a.VTEP().LimitGroups(0)
		a.Host.RemoveAddr(a.Addr())
		members(n, group, "b")
		a.Host.AddAddr(a.Addr(), Underlay)
		members(n, group, "a b") // a new attachment has a limit of its own
	})
}

func TestGroupLimit(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "", `group = "239.1.1.1"`), vni(2000, "", `group = "239.1.1.2"`), ports(10, "e1")))
		wantGroups(n, a, true, "2 groups joined")
		a.VTEP().LimitGroups(1)
		n.Tick()
		wantGroups(n, a, false, "join group 239.1.1.2: "+unix.ENOBUFS.Error())
		if k := strings.Count(a.Log(), "multicast groups are not joined"); k != 1 {
			t.Errorf("told %d times", k)
		}
		n.Tick()
		if k := strings.Count(a.Log(), "multicast groups are not joined"); k != 1 {
			t.Errorf("told %d times", k)
		}
		a.VTEP().LimitGroups(-1)
		n.Tick()
		wantGroups(n, a, true, "2 groups joined")
	})
}

// The interface is the one that is configured, else the one with the address.
func TestGroupInterface(t *testing.T) {
	Test(t, func(n *Net) {
		text := strings.Replace(conf("a", vni(1000, "", `group = "`+group+`"`), ports(10, "e1")), "[underlay]\n", "[underlay]\ninterface = \"und1\"\n", 1)
		a := n.Add(text)
		wantGroups(n, a, false, "there is no interface und1")
		a.Host.AddLink("und1")
		wantGroups(n, a, true, "1 group joined")
		one := a.Membership()
		if l, _ := a.Host.Link("und1"); one.Interface != l.Index {
			t.Errorf("joined on %d, want %d", one.Interface, l.Index)
		}
		// A device of the same name is another one.
		a.Host.RemoveLink("und1")
		wantGroups(n, a, false, "there is no interface und1")
		members(n, group, "")
		a.Host.AddLink("und1")
		members(n, group, "a")
		if two := a.Membership(); two.Interface == one.Interface {
			t.Error("joined on a device that is gone")
		}
		// A quick flap: joined anew; once it is up, and not while it is down.
		was := a.Membership().Epoch
		a.Host.Flap("und1")
		n.Settle()
		if is := a.Membership().Epoch; is == was {
			t.Error("not joined anew after a flap")
		}
		was = a.Membership().Epoch
		a.Host.SetCarrier("und1", false)
		n.Settle()
		if is := a.Membership().Epoch; is != was {
			t.Error("joined anew with nobody there")
		}
		a.Host.SetCarrier("und1", true)
		n.Settle()
		if is := a.Membership().Epoch; is == was {
			t.Error("not joined anew when the carrier was back")
		}
	})
}

func TestGroupFollowsTheAddress(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "", `group = "`+group+`"`), ports(10, "e1")))
		was := a.Membership().Interface
		a.Host.AddLink("und1")
		a.Host.AddAddr(a.Addr(), "und1")
		n.Settle()
		l, _ := a.Host.Link("und1")
		if is := a.Membership().Interface; is == was || is != l.Index {
			t.Errorf("joined on %d, the address is on %d", is, l.Index)
		}
	})
}
