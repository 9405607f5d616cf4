package fabric

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/underlay/path"
)

// checkPort checks a port's state, and that its reason is a sentence with what
// to do in it.
func checkPort(t *testing.T, g *Gateway, name, state, reason string) {
	t.Helper()
	g.net.Settle()
	for _, p := range g.Ports() {
		if p.Interface != name {
			continue
		}
		if p.State != state || !strings.Contains(p.Reason, reason) || (state == "up") != (p.Reason == "") {
			t.Errorf("%s is %s (%s), want %s (%s)", name, p.State, p.Reason, state, reason)
		}
	}
}

// A port that is not there is waited for, and comes back by itself.
func TestPortAbsentThenThere(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(conf("a", vni(1000, "b"), ports(10, "e1 e2")), func(h *Host) { h.RemoveLink("e2") })
		checkPort(t, a, "e2", "absent", "waiting for it")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is(toB)
		a.Host.AddLink("e2")
		checkPort(t, a, "e2", "up", "")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>192.0.2.2")
		n.Send("a.e2", Local(H1, H2)).Is("a.e1")
		a.Host.RemoveLink("e2")
		checkPort(t, a, "e2", "absent", "waiting for it")
		n.Send("a.e1", Local(H2, H1)).Is(toB)
		a.Host.AddLink("e2")
		checkPort(t, a, "e2", "up", "")
		n.Send("a.e2", Local(H1, H2)).Is("a.e1")
		n.Send("a.e1", Local(H2, H1)).Is("a.e2")
	})
}

func TestPortDownAndUp(t *testing.T) {
	set := map[string]func(h *Host, up bool){
		"administratively": func(h *Host, up bool) { h.SetUp("e2", up) },
		"no carrier":       func(h *Host, up bool) { h.SetCarrier("e2", up) },
	}
	for reason, set := range set {
		t.Run(reason, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := alone(n)
				n.Send("a.e2", Local(frame.Broadcast, H2))
				for range 3 {
					set(a.Host, false)
					checkPort(t, a, "e2", "down", reason)
					n.Send("a.e1", Local(H2, H1)).Is("a>192.0.2.2 a>192.0.2.3")
					n.Inject("192.0.2.2", "a", 1000, Local(H2, RA)).Is("a.e1")
					set(a.Host, true)
					checkPort(t, a, "e2", "up", "")
					n.Send("a.e2", Local(H1, H2)).Is("a.e1")
					n.Send("a.e1", Local(H2, H1)).Is("a.e2")
				}
			})
		})
	}
}

func TestAllPortsDown(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		a.Host.SetUp("e1", false)
		a.Host.SetUp("e2", false)
		n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, RA)).Is("a!overlay:port_down")
		n.Inject("192.0.2.2", "a", 1000, Local(H1, RA)).Is("a!overlay:port_down")
	})
}

func TestPortInABridge(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(conf("a", vni(1000, "b"), ports(10, "e1 e2")), func(h *Host) { h.SetMaster("e2", "br0") })
		checkPort(t, a, "e2", "refused", "ip link set e2 nomaster")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is(toB)
		a.Host.SetMaster("e2", "")
		checkPort(t, a, "e2", "up", "")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>192.0.2.2")
		a.Host.SetMaster("e2", "br0")
		checkPort(t, a, "e2", "refused", "nomaster")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is(toB)
		n.Send("a.e2", Local(frame.Broadcast, H2)).Is("")
	})
}

func TestPortThatCannotBeOne(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(conf("a", vni(1000, "b"), ports(10, "e1 e2")), func(h *Host) {
			h.EditLink("e2", func(l *path.Link) { l.Loopback = true })
		})
		checkPort(t, a, "e2", "refused", "loopback")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is(toB)
	})
}

// A flap too quick to be seen forgets the port's MACs and nothing else.
func TestPortFlap(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		n.Send("a.e2", Local(frame.Broadcast, H2))
		n.Send("a.e1", Local(H2, H1)).Is("a.e2")
		a.Host.Flap("e2")
		n.Send("a.e1", Local(H2, H1)).Is(flood)
		checkPort(t, a, "e2", "up", "")
		n.Send("a.e2", Local(H1, H2)).Is("a.e1")
	})
}

// Without its address a VTEP is silent: nothing may leave with a source that
// is somebody else's. Local switching goes on.
func TestUnderlayAddress(t *testing.T) {
	own := netip.MustParseAddr(vteps["a"])
	Test(t, func(n *Net) {
		a := n.AddOn(conf("a", vni(1000, "b c"), ports(10, "e1 e2")), func(h *Host) { h.RemoveAddr(own) })
		b := n.Add(conf("b", vni(1000, "a c"), ports(10, "e1")))
		silent := func() {
			t.Helper()
			n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a!access:tx_failed*2")
			n.Send("a.e2", Local(H1, H2)).Is("a.e1")
			n.Send("b.e1", Local(frame.Broadcast, H3)).Is("b>a b>192.0.2.3")
			if rows := a.Datapath(); rows[len(rows)-1].Attached || !strings.Contains(rows[len(rows)-1].Reason, "192.0.2.1") {
				t.Errorf("datapath %+v", rows[len(rows)-1])
			}
			if got := n.Fabric.VTEPs(); len(got) != 1 || got[0] != b.Addr() {
				t.Errorf("attached: %v", got)
			}
		}
		silent()
		for range 3 {
			a.Host.AddAddr(own, Underlay)
			n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>b a>192.0.2.3 b.e1")
			n.Send("b.e1", Local(H1, H3)).Is("b>a a.e1")
			n.Send("a.e1", Local(H3, H1)).Is("a>b b.e1")
			a.Host.RemoveAddr(own)
			n.Settle()
			silent()
		}
	})
}

func TestUnderlayPortTaken(t *testing.T) {
	Test(t, func(n *Net) {
		other, err := n.Fabric.Attach(netip.MustParseAddr(vteps["a"]), attachOptions)
		if err != nil {
			t.Fatal(err)
		}
		a := n.AddOn(conf("a", vni(1000, "b"), ports(10, "e1 e2")), func(h *Host) {
			h.SetVXLAN(netip.MustParseAddrPort("192.0.2.1:4789"), "vxlan7")
		})
		row := func() string { rows := a.Datapath(); return rows[len(rows)-1].Reason }
		if !strings.Contains(row(), "ip link delete vxlan7") {
			t.Errorf("reason %q", row())
		}
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a!access:tx_failed")
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		n.Tick() // nobody tells when a port is free again
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>192.0.2.2")
	})
}

func TestUnderlayCannotBeOpened(t *testing.T) {
	Test(t, func(n *Net) {
		own := netip.MustParseAddr(vteps["a"])
		a := n.AddOn(conf("a", vni(1000, "b"), ports(10, "e1 e2")), func(h *Host) { h.RemoveAddr(own) })
		a.FailOpen(errors.New("no luck"))
		a.Host.AddAddr(own, Underlay)
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a!access:tx_failed")
		if !strings.Contains(a.Log(), "no luck") {
			t.Errorf("log\n%s", a.Log())
		}
		a.FailOpen(unix.EADDRINUSE)
		n.Tick()
		if !strings.Contains(a.Log(), "ss -ulpn") {
			t.Errorf("log\n%s", a.Log())
		}
		a.FailOpen(nil)
		n.Tick()
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>192.0.2.2")
	})
}

// Gateways come and go; the others carry on, and know where what is when they
// are back.
func TestGatewaysComeAndGo(t *testing.T) {
	Test(t, func(n *Net) {
		_, b, _ := mesh(n)
		n.Send("b.e1", Local(frame.Broadcast, H2))
		b.Stop()
		n.Settle()
		n.Send("a.e1", Local(H2, H1)).Is("a>b")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>b a>c c.e1 c.e2")
		if k := n.Fabric.Lost(); k != 2 {
			t.Errorf("%d datagrams went to nobody, want 2", k)
		}
	})
}

// The watchdog sees idle workers go round.
func TestAlive(t *testing.T) {
	Test(t, func(n *Net) {
		a, _, _ := mesh(n)
		alive := a.Alive()
		for range 5 {
			if !alive() {
				t.Error("not alive")
			}
			n.Settle()
		}
	})
}

// Starting and stopping, over and over, leaves nothing behind.
func TestStartAndStop(t *testing.T) {
	for range 10 {
		Test(t, func(n *Net) {
			mesh(n)
			n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
		})
	}
}
