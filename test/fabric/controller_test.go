package fabric

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	said "vxgw/gateway/control"
	"vxgw/test/packet"
)

// say has an origin say what it has to say.
func say(n *Net, g *Gateway, w said.Words, hold uint32) said.Answer {
	n.T.Helper()
	a, err := g.TellOrigin(said.Request{Origin: said.EVPN, Hold: &hold, Replace: &w})
	if err != nil {
		n.T.Fatalf("%v", err)
	}
	n.Settle()
	return a
}

// What a controller says of routes and neighbours is routed by, without a question asked;
// and it is gone when the controller has been silent for its hold time.
func TestControllerRoutes(t *testing.T) {
	Test(t, func(n *Net) {
		irb := "vrf = \"red\"\ngateway = [\"10.1.9.1/32\", \"2001:db8:9::1/128\"]\ngateway_mac = \"" + GW.String() + "\"\nra = false"
		g := n.Add(routedConf() + vni(4000, "b", irb))
		quiet(n)
		hello(n, "a.e1", H1, r1, gw1)
		n.Send("a.e1", packet.Solicit(H1, r1six, netip.MustParseAddr("2001:db8:1::1")).Frame()).Is("a.e1~")
		var (
			b, c      = netip.MustParseAddr(vteps["b"]), netip.MustParseAddr(vteps["c"])
			rmac      = MAC("02:00:00:00:09:0b")
			far, far6 = netip.MustParseAddr("10.50.0.5"), netip.MustParseAddr("2001:db8:50::5")
			bound     = netip.MustParseAddr("10.1.2.77")
			station   = MAC("02:00:00:00:03:4d")
		)
		n.Send("a.e1", datagram(H1, r1, far, 10)).Is("a.e1~ a!route:no_route")

		w := said.NewWords()
		w.Routes[said.RouteKey{VRF: "red", Prefix: netip.MustParsePrefix("10.50.0.0/16")}] = said.Route{Hops: []said.Hop{{VNI: 4000, VTEP: b, RouterMAC: rmac}}}
		w.Routes[said.RouteKey{VRF: "red", Prefix: netip.MustParsePrefix("2001:db8:50::/48")}] = said.Route{Hops: []said.Hop{{VNI: 4000, VTEP: b, RouterMAC: rmac}}}
		w.Routes[said.RouteKey{VRF: "red", Prefix: netip.MustParsePrefix("10.60.0.0/16")}] = said.Route{Hops: []said.Hop{{VNI: 2000, Via: bound}}}
		w.Neighbours[said.NeighbourKey{VNI: 2000, Addr: bound}] = said.Neighbour{MAC: station}
		w.MACs[said.MACKey{VNI: 2000, MAC: station}] = said.MAC{VTEP: c}
		if a := say(n, g, w, 10); len(a.Unused) > 0 {
			t.Fatalf("not used: %+v", a.Unused)
		}
		f := datagram(H1, r1, far, 20)
		n.Send("a.e1", f).Is("a>192.0.2.2~").encapsulates(4000, onward(f, rmac))
		f = datagram(H1, r1six, far6, 20)
		n.Send("a.e1", f).Is("a>192.0.2.2~").encapsulates(4000, onward(f, rmac))
		f = datagram(H1, r1, bound, 20)
		n.Send("a.e1", f).Is("a>192.0.2.3~").encapsulates(2000, onward(f, station))
		f = datagram(H1, r1, netip.MustParseAddr("10.60.1.1"), 20)
		n.Send("a.e1", f).Is("a>192.0.2.3~").encapsulates(2000, onward(f, station))
		// And back, as the other router sends it.
		f = datagram(rmac, far, r1, 20)
		n.Inject("192.0.2.2", "a", 4000, f).Is("a.e1~").carries("a.e1", onward(f, H1))

		var from []string
		for r := range g.Routes() {
			if r.Origin == "evpn" {
				from = append(from, r.Prefix+" "+r.Via)
			}
		}
		if got, want := strings.Join(from, ", "), "10.50.0.0/16 192.0.2.2, 10.60.0.0/16 10.1.2.77, 2001:db8:50::/48 192.0.2.2"; got != want {
			t.Errorf("routes %s, want %s", got, want)
		}
		n.Advance(12)
		n.Tick()
		if o := g.Origins(); len(o) != 1 || o[0].State != "expired" || o[0].Routes != 0 {
			t.Errorf("the controller is %+v", o)
		}
		n.Send("a.e1", datagram(H1, r1, far, 30)).Is("a.e1~ a!route:no_route")
	})
}

// ARP for an address that a controller tells of is answered, though nothing of it was
// ever heard; and when a station here claims the address, it is the one.
func TestControllerAnswers(t *testing.T) {
	Test(t, func(n *Net) {
		g := n.Add(conf("a", vni(1000, "b", "suppress_arp = true"), ports(10, "e1 e2")))
		bound, station := netip.MustParseAddr("10.1.1.66"), MAC("02:00:00:00:03:42")
		ask := packet.ARP(MAC("ff:ff:ff:ff:ff:ff"), packet.ARPRequest, H1, r1, MAC("00:00:00:00:00:00"), bound)
		n.Send("a.e1", ask).Is("a.e2~ a>192.0.2.2~")
		w := said.NewWords()
		w.Neighbours[said.NeighbourKey{VNI: 1000, Addr: bound}] = said.Neighbour{MAC: station}
		w.MACs[said.MACKey{VNI: 1000, MAC: station}] = said.MAC{VTEP: netip.MustParseAddr(vteps["b"])}
		say(n, g, w, 1000)
		got := n.Send("a.e1", ask).Is("a.e1~").Frame("a.e1")
		if want := packet.ARP(H1, packet.ARPReply, station, bound, H1, r1); !bytes.Equal(got, want) {
			t.Errorf("answered\n% x, want\n% x", got, want)
		}
		n.Advance(200) // nothing of it is heard, and it is so all the same
		n.Send("a.e1", ask).Is("a.e1~")
		n.Send("a.e2", packet.ARP(MAC("ff:ff:ff:ff:ff:ff"), packet.ARPRequest, H2, bound, MAC("00:00:00:00:00:00"), bound)).Is("a.e1~ a>192.0.2.2~")
		got = n.Send("a.e1", ask).Is("a.e1~").Frame("a.e1")
		if want := packet.ARP(H1, packet.ARPReply, H2, bound, H1, r1); !bytes.Equal(got, want) {
			t.Errorf("answered\n% x, want\n% x", got, want)
		}
	})
}
