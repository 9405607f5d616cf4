package gateway_test

import (
	"net/netip"
	"testing"

	"vxgw/gateway/control"
	"vxgw/test/fabric"
)

// TestOriginEvents holds what is told of a controller, of what it says, and of a station
// that is heard here whatever it says.
func TestOriginEvents(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		g := n.Add(head + vni(1000, toBC+"\nsuppress_arp = true") + ports(10, "e1 e2", ""))
		l := &listener{t: t, n: n, log: g.Events(), at: g.Events().Last()}
		l.hear()
		const zebra control.Origin = "zebra"
		key := control.MACKey{VNI: 1000, MAC: fabric.RA}
		where := func(vtep string) *control.Words {
			w := control.NewWords()
			w.MACs[key] = control.MAC{VTEP: netip.MustParseAddr(vtep)}
			w.Neighbours[control.NeighbourKey{VNI: 1000, Addr: netip.MustParseAddr("10.1.1.9")}] = control.Neighbour{MAC: fabric.RA}
			return &w
		}
		hold := uint32(10)
		say := func(r control.Request) {
			t.Helper()
			if r.Origin, r.Hold = zebra, &hold; r.Replace == nil && r.Edit.Added.MACs == nil {
				r.Edit = control.Edit{Added: control.NewWords(), Removed: control.NewWords()}
			}
			if _, err := g.TellOrigin(r); err != nil {
				t.Fatal(err)
			}
		}
		mac := " vni 1000 mac " + fabric.RA.String()

		say(control.Request{Replace: where("192.0.2.9")})
		l.hears(
			"vtep_added vtep 192.0.2.9 origin zebra",
			"mac_learned"+mac+" vtep 192.0.2.9 origin zebra",
			"neighbour_learned"+mac+" address 10.1.1.9 vtep 192.0.2.9 origin zebra by suppression",
			"origin_connected origin zebra state leased hold 10 entries 2",
		)
		say(control.Request{}) // a sign of life
		l.hears()
		say(control.Request{Replace: where("192.0.2.3")})
		l.hears(
			"mac_moved"+mac+" vtep 192.0.2.3 from 192.0.2.9 origin zebra from origin controller",
			"origin_replaced origin zebra state leased hold 10 entries 2",
		)
		n.Send("a.e1", fabric.Local(fabric.H2, fabric.RA))
		l.hears("mac_moved" + mac + " port e1 from 192.0.2.3 origin learned from origin zebra")

		detach := g.AttachOrigin(zebra)
		l.hears("origin_connected origin zebra state attached hold 10 entries 2")
		n.Advance(100) // it lives as long as its stream is open
		l.hears()
		detach()
		l.hears("origin_lost origin zebra state leased hold 10 entries 2")
		n.Advance(11)
		n.Tick()
		l.hears(
			"neighbour_gone"+mac+" address 10.1.1.9 by suppression",
			"origin_swept origin zebra state expired hold 10 entries 2 mend: start it again: it is to PUT all that it has to say",
		)

		say(control.Request{Replace: where("192.0.2.3")})
		l.hear()
		if err := g.EndOrigin(zebra, nil); err != nil {
			t.Fatal(err)
		}
		l.hears(
			"mac_gone"+mac+" cause removed",
			"neighbour_gone"+mac+" address 10.1.1.9 by suppression",
			"origin_ended origin zebra state leased hold 10 entries 2",
		)
	})
}
