package gateway_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"vxgw/config"
	"vxgw/l2/frame"
	"vxgw/test/fabric"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const head = `
[gateway]
name = "a"
[underlay]
address = "192.0.2.1"
`

func vni(id int, more string) string {
	return fmt.Sprintf("[[vni]]\nid = %d\nvlan = %d\n%s\n", id, id/100, more)
}

func ports(vlan int, names string, more string) (s string) {
	for _, name := range strings.Fields(names) {
		s += fmt.Sprintf("[[port]]\ninterface = %q\nvlan = %d\n%s\n", name, vlan, more)
	}
	return s
}

func apply(t *testing.T, g *fabric.Gateway, text string) {
	t.Helper()
	cfg, err := config.Parse("new.toml", []byte(head+text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Reload(cfg); err != nil {
		t.Fatal(err)
	}
}

const (
	toB  = `flood = ["192.0.2.2"]`
	toBC = `flood = ["192.0.2.2", "192.0.2.3"]`
)

// A VNI that is taken away carries nothing, and carries again when it is back;
// the other VNI notices nothing of it.
func TestVNIGoesAndComesBack(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		with := vni(1000, toB) + vni(2000, toB) + ports(10, "e1 e2", "") + ports(20, "e3 e4", "")
		without := vni(1000, toB) + ports(10, "e1 e2", "")
		g := n.Add(head + with)
		n.Send("a.e2", fabric.Local(frame.Broadcast, fabric.H2)).Is("a.e1 a>192.0.2.2")
		for range 3 {
			apply(t, g, without)
			n.Burst("a.e3", fabric.Local(frame.Broadcast, fabric.H3)).Is("") // nobody listens there
			n.Inject("192.0.2.2", "a", 2000, fabric.Local(frame.Broadcast, fabric.RA)).Is("a!overlay:unknown_vni")
			n.Send("a.e1", fabric.Local(frame.Broadcast, fabric.H1)).Is("a.e2 a>192.0.2.2")
			n.Send("a.e1", fabric.Local(fabric.H2, fabric.H1)).Is("a.e2") // still known
			apply(t, g, with)
			n.Send("a.e1", fabric.Local(fabric.H2, fabric.H1)).Is("a.e2")
		}
		n.Settle()
		n.Inject("192.0.2.2", "a", 2000, fabric.Local(frame.Broadcast, fabric.RA)).Is("a.e3 a.e4")
		n.Send("a.e3", fabric.Local(frame.Broadcast, fabric.H3)).Is("a.e4 a>192.0.2.2")
	})
}

// A VTEP that leaves the flood list gets no more copies, and takes what was
// learned behind it along.
func TestVTEPLeaves(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		p := ports(10, "e1 e2", "")
		g := n.Add(head + vni(1000, toBC) + p)
		n.Inject("192.0.2.2", "a", 1000, fabric.Local(frame.Broadcast, fabric.RA)).Is("a.e1 a.e2")
		n.Inject("192.0.2.3", "a", 1000, fabric.Local(frame.Broadcast, fabric.RB)).Is("a.e1 a.e2")
		n.Send("a.e1", fabric.Local(fabric.RB, fabric.H1)).Is("a>192.0.2.3")
		apply(t, g, vni(1000, toB)+p)
		n.Send("a.e1", fabric.Local(fabric.RB, fabric.H1)).Is("a.e2 a>192.0.2.2")
		n.Send("a.e1", fabric.Local(fabric.RA, fabric.H1)).Is("a>192.0.2.2")
		n.Inject("192.0.2.3", "a", 1000, fabric.Local(frame.Broadcast, fabric.RB)).Is("a!overlay:vtep_not_allowed")
		apply(t, g, vni(1000, toBC)+p)
		n.Send("a.e1", fabric.Local(frame.Broadcast, fabric.H1)).Is("a.e2 a>192.0.2.2 a>192.0.2.3")
		n.Inject("192.0.2.3", "a", 1000, fabric.Local(frame.Broadcast, fabric.RB)).Is("a.e1 a.e2")
	})
}

// What a port may do changes without a frame lost.
func TestPortsChange(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		bpdu := fabric.Typed(fabric.MAC("01:80:c2:00:00:00"), fabric.H1, 38, make([]byte, 46))
		v := vni(1000, toB)
		g := n.Add(head + v + ports(10, "e1 e2", ""))
		n.Send("a.e1", fabric.Local(frame.Broadcast, fabric.H1)).Is("a.e2 a>192.0.2.2")
		n.Send("a.e1", bpdu).Is("a!access:reserved_destination")
		apply(t, g, v+ports(10, "e1 e2", "isolated = true\nbpdu = \"tunnel\""))
		n.Send("a.e2", fabric.Local(fabric.H1, fabric.H2)).Is("a!access:isolated_port")
		n.Send("a.e1", fabric.Local(frame.Broadcast, fabric.H1)).Is("a>192.0.2.2")
		n.Send("a.e1", bpdu).Is("a>192.0.2.2")
		apply(t, g, v+ports(10, "e1 e2", ""))
		n.Send("a.e2", fabric.Local(fabric.H1, fabric.H2)).Is("a.e1")
	})
}

// A port that moves to another VNI forgets whom it knew in the first.
func TestPortChangesItsVNI(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		v := vni(1000, toB) + vni(2000, toB)
		g := n.Add(head + v + ports(10, "e1 e2", "") + ports(20, "e3", ""))
		n.Send("a.e2", fabric.Local(frame.Broadcast, fabric.H2)).Is("a.e1 a>192.0.2.2")
		apply(t, g, v+ports(10, "e1", "")+ports(20, "e2 e3", ""))
		n.Send("a.e1", fabric.Local(fabric.H2, fabric.H1)).Is("a>192.0.2.2")
		n.Send("a.e3", fabric.Local(fabric.H2, fabric.H3)).Is("a.e2 a>192.0.2.2")
	})
}

// Static MACs come and go, over what was learned.
func TestStaticMACsChange(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		base := vni(1000, toBC) + ports(10, "e1 e2", "")
		static := "[[mac]]\nvni = 1000\naddress = \"02:00:00:00:02:0a\"\nvtep = \"192.0.2.3\"\n"
		g := n.Add(head + base)
		n.Inject("192.0.2.2", "a", 1000, fabric.Local(frame.Broadcast, fabric.RA)).Is("a.e1 a.e2")
		apply(t, g, base+static)
		n.Send("a.e1", fabric.Local(fabric.RA, fabric.H1)).Is("a>192.0.2.3")
		n.Inject("192.0.2.2", "a", 1000, fabric.Local(frame.Broadcast, fabric.RA)).Is("a!overlay:static_moved")
		apply(t, g, base)
		n.Send("a.e1", fabric.Local(fabric.RA, fabric.H1)).Is("a.e2 a>192.0.2.2 a>192.0.2.3")
		n.Inject("192.0.2.2", "a", 1000, fabric.Local(frame.Broadcast, fabric.RA)).Is("a.e1 a.e2")
	})
}

// VNIs that share a group have it joined once; the last one leaves it.
func TestGroupsAreLeft(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		group := netip.MustParseAddr("239.1.1.1")
		const grouped = `group = "239.1.1.1"`
		p := ports(10, "e1 e2", "")
		g := n.Add(head + vni(1000, grouped) + vni(2000, grouped) + p)
		joined := func(want int) {
			t.Helper()
			n.Tick() // the supervisor looks at the tables
			if got := len(n.Fabric.Members(group)); got != want {
				t.Errorf("%d members, want %d", got, want)
			}
		}
		joined(1)
		apply(t, g, vni(1000, grouped)+vni(2000, toB)+p)
		joined(1)
		n.Send("a.e1", fabric.Local(frame.Broadcast, fabric.H1)).Is("a.e2 a>239.1.1.1")
		apply(t, g, vni(1000, toB)+vni(2000, toB)+p)
		joined(0)
		n.Send("a.e1", fabric.Local(frame.Broadcast, fabric.H1)).Is("a.e2 a>192.0.2.2")
		apply(t, g, vni(1000, `group = "239.1.1.2"`)+vni(2000, toB)+p)
		joined(0)
		n.Send("a.e1", fabric.Local(frame.Broadcast, fabric.H1)).Is("a.e2 a>239.1.1.2")
		apply(t, g, vni(1000, grouped)+vni(2000, toB)+p)
		joined(1)
		n.Send("a.e1", fabric.Local(frame.Broadcast, fabric.H1)).Is("a.e2 a>239.1.1.1")
	})
}

// Suppression is turned on and off under traffic.
func TestSuppressChanges(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		const flood = "a.e2 a>192.0.2.2"
		on := vni(1000, toB+"\nsuppress_arp = true") + ports(10, "e1 e2", "")
		off := vni(1000, toB) + ports(10, "e1 e2", "")
		g := n.Add(head + off)
		ask := fabric.ARP(fabric.H1, "10.1.1.10", "10.1.1.20")
		tell := func() {
			n.Inject("192.0.2.2", "a", 1000, fabric.ARP(fabric.RA, "10.1.1.20", "10.1.1.20")).Is("a.e1 a.e2")
		}
		for range 3 {
			tell()
			n.Send("a.e1", ask).Is(flood)
			apply(t, g, on)
			n.Send("a.e1", ask).Is(flood)
			tell()
			n.Send("a.e1", ask).Is("a.e1~")
			apply(t, g, on)
			n.Send("a.e1", ask).Is("a.e1~")
			apply(t, g, off)
			if rows := g.Neighbours(); len(rows) > 0 {
				t.Errorf("%+v", rows)
			}
		}
	})
}
