package fabric

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay/path"
	"vxgw/test/packet"
)

// GW is the MAC of the gateway of the routing tests.
var GW = MAC("00:00:5e:00:01:01")

// The hosts: h1 at e1 in VNI 1000, h3 at e3 in VNI 2000, ra and rb behind VTEPs b and
// c in VNI 2000, hb at e4 in VNI 3000, which is another VRF with the same prefix.
var (
	r1, r1six = netip.MustParseAddr("10.1.1.10"), netip.MustParseAddr("2001:db8:1::10")
	r3, r3six = netip.MustParseAddr("10.1.2.10"), netip.MustParseAddr("2001:db8:2::10")
	rA        = netip.MustParseAddr("10.1.2.20")
	rB        = netip.MustParseAddr("10.1.2.30")
	gw1, gw2  = netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("10.1.2.1")
)

const routes = `
[[vrf]]
name = "red"
[[vrf.route]]
prefix = "172.16.0.0/12"
via = "10.1.2.20"
[[vrf.route]]
prefix = "172.17.0.0/16"
blackhole = true
[[vrf.route]]
prefix = "172.18.0.0/16"
unreachable = true
[[vrf.route]]
prefix = "172.19.0.0/16"
via = ["10.1.2.20", "10.1.2.30"]
[[vrf]]
name = "blue"
`

func routedConf(more ...string) string {
	irb := func(vrf, gateways string) string {
		return fmt.Sprintf("vrf = %q\ngateway = [%s]\ngateway_mac = %q\nra = false", vrf, gateways, GW)
	}
	return conf("a",
		vni(1000, "b", irb("red", `"10.1.1.1/24", "2001:db8:1::1/64"`), strings.Join(more, "\n")), vni(2000, "b c", irb("red", `"10.1.2.1/24", "2001:db8:2::1/64"`)),
		vni(3000, "", irb("blue", `"10.1.1.1/24"`)), ports(10, "e1 e2"), ports(20, "e3"), ports(30, "e4"), routes)
}

// routed is a gateway that has made itself known and knows its hosts.
func routed(n *Net, more ...string) *Gateway {
	g := n.Add(routedConf(more...))
	quiet(n)
	hello(n, "a.e1", H1, r1, gw1)
	hello(n, "a.e3", H3, r3, gw2)
	helloFrom(n, "b", 2000, RA, rA, gw2)
	helloFrom(n, "c", 2000, RB, rB, gw2)
	for _, six := range []struct {
		place  string
		mac    frame.MAC
		at, to netip.Addr
	}{{"a.e1", H1, r1six, netip.MustParseAddr("2001:db8:1::1")}, {"a.e3", H3, r3six, netip.MustParseAddr("2001:db8:2::1")}} {
		n.Send(six.place, packet.Solicit(six.mac, six.at, six.to).Frame()).Is(six.place + "~")
	}
	return g
}

// quiet waits until a gateway has made itself known.
func quiet(n *Net) {
	for range 6 {
		n.Tick()
	}
}

// hello has a host ask for its gateway, which so knows of it.
func hello(n *Net, place string, m frame.MAC, a, gateway netip.Addr) {
	n.T.Helper()
	got := n.Send(place, packet.ARP(frame.Broadcast, packet.ARPRequest, m, a, frame.MAC{}, gateway)).Is(place + "~").Frame(place)
	if want := packet.ARP(m, packet.ARPReply, GW, gateway, m, a); !bytes.Equal(got, want) {
		n.T.Fatalf("the gateway answered\n% x, want\n% x", got, want)
	}
}

func helloFrom(n *Net, vtep string, vni uint32, m frame.MAC, a, gateway netip.Addr) {
	n.T.Helper()
	w := n.Inject(vteps[vtep], "a", vni, packet.ARP(frame.Broadcast, packet.ARPRequest, m, a, frame.MAC{}, gateway)).Is("a>" + vteps[vtep] + "~").Wire()
	if want := append(Header(vni), packet.ARP(m, packet.ARPReply, GW, gateway, m, a)...); !bytes.Equal(w.Payload, want) {
		n.T.Fatalf("the gateway answered\n% x, want\n% x", w.Payload, want)
	}
}

// datagram is one from a host to another by the gateway.
func datagram(src frame.MAC, from, to netip.Addr, n int) []byte {
	return packet.UDP(GW, src, netip.AddrPortFrom(from, 10000), netip.AddrPortFrom(to, 9), bytes.Repeat([]byte{0x5a}, n))
}

// onward is a frame as the gateway sends it on: its MACs, one hop less, nothing else.
func onward(f []byte, to frame.MAC) []byte {
	f = bytes.Clone(f)
	copy(f[0:6], to[:])
	copy(f[6:12], GW[:])
	if h := ip.IPv4(f[14:]); frame.Frame(f).Type() == frame.TypeIPv4 {
		h[8]--
		h.SetChecksum(0)
		h.SetChecksum(^ip.Sum(h[:h.HeaderLen()], 0))
	} else {
		f[14+7]--
	}
	return f
}

func (r *Result) carries(place string, want []byte) {
	r.net.T.Helper()
	if got := r.Frame(place); !bytes.Equal(got, want) {
		r.net.T.Errorf("%s got\n%s\nwant\n%s", place, hex.Dump(got), hex.Dump(want))
	}
}

func (r *Result) encapsulates(vni uint32, want []byte) {
	r.net.T.Helper()
	if got := r.Wire().Payload; !bytes.Equal(got, append(Header(vni), want...)) {
		r.net.T.Errorf("the datagram has\n%s\nwant VNI %d and\n%s", hex.Dump(got), vni, hex.Dump(want))
	}
}

// From everywhere to everywhere: into another VNI, into the overlay, out of it, and
// from it into it, which no bridged frame does.
func TestRouted(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		f := datagram(H1, r1, r3, 100)
		n.Send("a.e1", f).Is("a.e3~").carries("a.e3", onward(f, H3))
		f = datagram(H1, r1, rA, 100)
		n.Send("a.e1", f).Is("a>192.0.2.2~").encapsulates(2000, onward(f, RA))
		f = datagram(RA, rA, r1, 100)
		n.Inject("192.0.2.2", "a", 2000, f).Is("a.e1~").carries("a.e1", onward(f, H1))
		f = datagram(RA, rA, rB, 100) // which it need not ask the gateway for
		n.Inject("192.0.2.2", "a", 2000, f).Is("a>192.0.2.3~").encapsulates(2000, onward(f, RB))
		f = datagram(H1, r1six, r3six, 100)
		n.Send("a.e1", f).Is("a.e3~").carries("a.e3", onward(f, H3))
		f = datagram(H3, r3, r3.Next(), 0)
		n.Send("a.e3", f).Is("a.e3~ a>192.0.2.2~ a>192.0.2.3~") // asked for, in its own VNI
	})
}

// Who is not known is asked for, and what waits is sent when he answers.
func TestResolved(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		someone, m := netip.MustParseAddr("10.1.2.40"), MAC("02:00:00:00:03:28")
		ask := packet.ARP(frame.Broadcast, packet.ARPRequest, GW, gw2, frame.MAC{}, someone)
		var sent [][]byte
		for i := range 4 {
			sent = append(sent, datagram(H1, r1, someone, i))
		}
		first := n.Send("a.e1", sent[0]).Is("a.e3~ a>192.0.2.2~ a>192.0.2.3~")
		first.carries("a.e3", ask)
		for i, w := range first.Wires {
			if !bytes.Equal(w.Payload, append(Header(2000), ask...)) {
				t.Errorf("datagram %d has % x", i, w.Payload)
			}
		}
		n.Send("a.e1", sent[1]).Is("")
		n.Send("a.e1", sent[2]).Is("")
		n.Send("a.e1", sent[3]).Is("a!route:neighbour_unresolved") // the first makes room for it
		reply := packet.ARP(GW, packet.ARPReply, m, someone, GW, gw2)
		r := n.Inject("192.0.2.2", "a", 2000, reply).Is("a>192.0.2.2~*3")
		for i, w := range r.Wires {
			if want := append(Header(2000), onward(sent[i+1], m)...); !bytes.Equal(w.Payload, want) {
				t.Errorf("datagram %d has\n% x, want\n% x", i, w.Payload, want)
			}
		}
		f := datagram(H1, r1, someone, 9)
		n.Send("a.e1", f).Is("a>192.0.2.2~").encapsulates(2000, onward(f, m))
	})
}

// Who never answers is asked three times, a second apart, and then the senders are
// told (RFC 1812 section 4.3.3.1).
func TestUnresolved(t *testing.T) {
	Test(t, func(n *Net) {
		g := routed(n)
		nobody := netip.MustParseAddr("10.1.2.99")
		f := datagram(H1, r1, nobody, 40)
		n.Send("a.e1", f).Is("a.e3~ a>192.0.2.2~ a>192.0.2.3~")
		for range 2 {
			n.second().Is("a.e3~ a>192.0.2.2~ a>192.0.2.3~")
		}
		r := n.second().Is("a.e1~ a!route:neighbour_unresolved")
		checkError(t, r.Frame("a.e1"), f, gw1, 3, 1, 0)
		for _, row := range g.Neighbours() {
			if row.Address == nobody.String() && row.State != "failed" {
				t.Errorf("neighbour %+v, want it failed", row)
			}
		}
		n.Send("a.e1", f).Is("a!route:neighbour_unresolved") // not again at once
	})
}

// second lets one second pass, by every clock, and returns what comes out of its own
// accord.
func (n *Net) second() *Result {
	r := n.begin(nil)
	n.clock.Add(1)
	n.Tick()
	r.end()
	return r
}

// checkError checks an ICMP error: from whom, to whom, and that it quotes the packet
// as it came in.
func checkError(t *testing.T, got, f []byte, from netip.Addr, typ, code uint8, mtu uint16) {
	t.Helper()
	fr := frame.Frame(got)
	h, ok := ip.ParseIPv4(fr.Payload())
	if !ok || !h.ChecksumOK() || fr.Dst() != frame.Frame(f).Src() || fr.Src() != GW || h.Src() != from || h.Dst() != ip.IPv4(f[14:]).Src() || h.TTL() != 255 || h.Protocol() != 1 || len(h) > 576 {
		t.Fatalf("the error is\n%s", hex.Dump(got))
	}
	m := ip.ICMP(h.Payload())
	if m.Type() != typ || m.Code() != code || ip.Sum(m, 0) != 0xffff || uint16(m.Rest()) != mtu {
		t.Errorf("ICMP %d/%d, mtu %d, want %d/%d, %d", m.Type(), m.Code(), m.Rest(), typ, code, mtu)
	}
	if !bytes.HasPrefix(f[14:], m.Body()) || len(m.Body()) < 28 {
		t.Errorf("it quotes\n% x, sent was\n% x", m.Body(), f[14:])
	}
}

// What goes no further is counted, and its sender told where he may be.
func TestRouteErrors(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		ttl := func(k byte) []byte {
			f := datagram(H1, r1, r3, 40)
			h := ip.IPv4(f[14:])
			h[8] = k
			h.SetChecksum(0)
			h.SetChecksum(^ip.Sum(h[:20], 0))
			return f
		}
		for _, tt := range []struct {
			name      string
			f         []byte
			reason    string
			typ, code uint8
		}{
			{"TTL 1", ttl(1), "ttl_expired", 11, 0},
			{"TTL 0", ttl(0), "ttl_expired", 11, 0},
			{"no route", datagram(H1, r1, netip.MustParseAddr("8.8.8.8"), 40), "no_route", 3, 0},
			{"unreachable", datagram(H1, r1, netip.MustParseAddr("172.18.1.1"), 40), "no_route", 3, 1},
			{"traceroute to the gateway", datagram(H1, r1, gw1, 40), "not_served", 3, 3},
		} {
			r := n.Send("a.e1", tt.f).Is("a.e1~ a!route:" + tt.reason)
			checkError(t, r.Frame("a.e1"), tt.f, gw1, tt.typ, tt.code, 0)
		}
		n.Send("a.e1", datagram(H1, r1, netip.MustParseAddr("172.17.1.1"), 40)).Is("a!route:blackhole")
		n.Send("a.e1", datagram(H1, netip.MustParseAddr("127.0.0.1"), r3, 40)).Is("a!route:martian")
		n.Send("a.e4", datagram(H2, r1, r3, 40)).Is("a.e4~ a!route:no_route") // blue knows nothing of red

		// By the overlay, back into it.
		r := n.Inject("192.0.2.2", "a", 2000, datagram(RA, rA, netip.MustParseAddr("8.8.8.8"), 40)).Is("a>192.0.2.2~ a!route:no_route")
		checkError(t, r.Wire().Payload[headerLen:], datagram(RA, rA, netip.MustParseAddr("8.8.8.8"), 40), gw2, 3, 0, 0)
	})
}

// No more than so many errors a second, whatever comes; and routing goes on.
func TestErrorsAreLimited(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		var flood [][]byte
		for range 500 {
			flood = append(flood, datagram(H1, r1, netip.MustParseAddr("8.8.8.8"), 1))
		}
		n.Burst("a.e1", flood...).Is("a.e1~*100 a!route:no_route*500")
		n.Inject("192.0.2.2", "a", 2000, datagram(RA, rA, netip.MustParseAddr("8.8.8.8"), 40)).Is("a>192.0.2.2~ a!route:no_route") // another VNI has its own
		f := datagram(H1, r1, r3, 100)
		n.Send("a.e1", f).Is("a.e3~").carries("a.e3", onward(f, H3))
	})
}

// What is too long for the way is told of, or cut where that is allowed (RFC 1812
// section 5.2.6, RFC 1191, RFC 8201).
func TestRoutedTooBig(t *testing.T) {
	Test(t, func(n *Net) {
		g := routed(n)
		g.Host.SetPath(netip.MustParseAddr("192.0.2.2"), 1000) // frames of 964, packets of 950 bytes
		n.Settle()
		f := datagram(H1, r1, rA, 1000)
		r := n.Send("a.e1", f).Is("a.e1~ a!route:too_big")
		checkError(t, r.Frame("a.e1"), f, gw1, 3, 4, 950)

		h := ip.IPv4(f[14:])
		h[6] = 0 // may be cut
		h.SetChecksum(0)
		h.SetChecksum(^ip.Sum(h[:20], 0))
		r = n.Send("a.e1", f).Is("a>192.0.2.2~*2")
		var body []byte
		for i, w := range r.Wires {
			part := w.Payload[headerLen+14:]
			p, ok := ip.ParseIPv4(part)
			if !ok || !p.ChecksumOK() || len(p) > 950 || p.TTL() != 63 || p.FragmentOffset() != len(body) || p.IsFragment() != true {
				t.Errorf("fragment %d is\n%s", i, hex.Dump(part))
			}
			body = append(body, p.Payload()...)
		}
		if !bytes.Equal(body, h.Payload()) {
			t.Error("the fragments are not the packet")
		}
		g.Host.EditLink("e3", func(l *path.Link) { l.MTU = 1200 })
		n.Settle()
		f = datagram(H1, r1six, r3six, 1200)
		r = n.Send("a.e1", f).Is("a.e1~ a!route:too_big")
		got, ok := ip.ParseIPv6(r.Frame("a.e1")[14:])
		m := ip.ICMP(got.Payload())
		if !ok || m.Type() != 2 || m.Rest() != 1280 || got.Src() != netip.MustParseAddr("2001:db8:1::1") {
			t.Errorf("told\n%s", hex.Dump(r.Frame("a.e1")))
		}
	})
}

// Hosts ping their gateway, at the port and behind VTEPs, by any of its addresses.
func TestEcho(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		for _, to := range []netip.Addr{gw1, gw2} {
			got := n.Send("a.e1", echo(H1, r1, to)).Is("a.e1~").Frame("a.e1")
			checkEcho(t, got, H1, r1, to)
		}
		w := n.Inject("192.0.2.2", "a", 2000, echo(RA, rA, gw2)).Is("a>192.0.2.2~").Wire()
		checkEcho(t, w.Payload[headerLen:], RA, rA, gw2)
	})
}

func echo(src frame.MAC, from, to netip.Addr) []byte {
	m := append([]byte{8, 0, 0, 0, 0x12, 0x34, 0, 7}, "the payload comes back as it was"...)
	binary.BigEndian.PutUint16(m[2:], ^ip.Sum(m, 0))
	b := make([]byte, 20+len(m))
	ip.IPv4(b).Encode(ip.IPv4Fields{TotalLen: len(b), TTL: 3, Protocol: 1, Src: from.As4(), Dst: to.As4()})
	copy(b[20:], m)
	return packet.Ethernet(GW, src, frame.TypeIPv4, b)
}

func checkEcho(t *testing.T, got []byte, to frame.MAC, host, gateway netip.Addr) {
	t.Helper()
	sent := echo(to, host, gateway)
	h, ok := ip.ParseIPv4(got[14:])
	if !ok || !h.ChecksumOK() || h.Src() != gateway || h.Dst() != host || h.TTL() != 64 || frame.Frame(got).Dst() != to || frame.Frame(got).Src() != GW {
		t.Fatalf("the reply is\n%s", hex.Dump(got))
	}
	if m := h.Payload(); m[0] != 0 || ip.Sum(m, 0) != 0xffff || !bytes.Equal(m[4:], sent[14+24:]) {
		t.Errorf("the reply has\n%s", hex.Dump(m))
	}
}

// A host that moves to another MAC says so, and is followed at once.
func TestHostMoves(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		n.Inject("192.0.2.2", "a", 2000, packet.ARP(frame.Broadcast, packet.ARPRequest, H2, r3, frame.MAC{}, r3)).Is("a.e3")
		f := datagram(H1, r1, r3, 100)
		n.Send("a.e1", f).Is("a>192.0.2.2~").encapsulates(2000, onward(f, H2))

		// One that moves to another place with its MAC is the FDB's.
		n.Inject("192.0.2.3", "a", 2000, Local(frame.Broadcast, H2)).Is("a.e3")
		n.Send("a.e1", f).Is("a>192.0.2.3~").encapsulates(2000, onward(f, H2))
	})
}

// Nobody else has the gateway's addresses: who says so is not believed, nobody hears
// of it, and the gateway says once in ten seconds that they are its own.
func TestGatewayIsClaimed(t *testing.T) {
	Test(t, func(n *Net) {
		g := routed(n)
		claim := packet.ARP(frame.Broadcast, packet.ARPRequest, H2, gw1, frame.MAC{}, gw1)
		r := n.Send("a.e2", claim).Is("a!access:gateway_claimed a.e1~ a.e2~ a>192.0.2.2~")
		r.carries("a.e1", packet.ARP(frame.Broadcast, packet.ARPRequest, GW, gw1, frame.MAC{}, gw1))
		n.Send("a.e2", claim).Is("a!access:gateway_claimed")
		if !strings.Contains(g.Log(), "somebody else claims an address of the gateway's") {
			t.Error("the log says nothing of it")
		}
		n.Send("a.e2", Local(frame.Broadcast, GW)).Is("a!access:source_gateway")

		// Who asks first is told, and so is the operator.
		n.Send("a.e2", packet.ARP(frame.Broadcast, packet.ARPRequest, H2, netip.IPv4Unspecified(), frame.MAC{}, gw1)).Is("a.e2~")
		n.Send("a.e2", packet.Detect(H2, netip.MustParseAddr("2001:db8:1::1")).Frame()).Is("a.e1~ a.e2~ a>192.0.2.2~") // to all nodes
		if k := strings.Count(g.Log(), "asks whether an address of the gateway's is free"); k != 2 {
			t.Errorf("the log tells of %d hosts that ask, want 2", k)
		}
		for _, row := range g.Neighbours() {
			if row.Address == gw1.String() {
				t.Errorf("neighbour %+v", row)
			}
		}
	})
}

// A gateway that comes up asks whether its addresses are taken, and then announces
// them.
func TestIntroduction(t *testing.T) {
	Test(t, func(n *Net) {
		g := n.Add(routedConf())
		g.Cable("e4")
		var got []string
		for range 6 {
			r := n.second()
			for _, f := range r.Frames["a.e4"] {
				if a := f.Bytes; frame.Frame(a).Type() == frame.TypeARP {
					sender, _ := netip.AddrFromSlice(a[28:32])
					target, _ := netip.AddrFromSlice(a[38:42])
					got = append(got, fmt.Sprintf("%s asks for %s", sender, target))
				}
			}
		}
		probe, announce := "0.0.0.0 asks for 10.1.1.1", "10.1.1.1 asks for 10.1.1.1"
		if want := []string{probe, probe, announce, announce}; !slices.Equal(got, want) { // the first probe came at the start
			t.Errorf("heard %q, want %q", got, want)
		}
	})
}

// A gateway whose MAC is another one after a reload says so: hosts would write to the
// old one for as long as they remember it.
func TestGatewayChangesItsMAC(t *testing.T) {
	Test(t, func(n *Net) {
		g, other := n.Add(routedConf()), MAC("00:00:5e:00:01:02")
		g.Cable("e4")
		for range 10 {
			n.second()
		}
		cfg, err := config.Parse("test.toml", []byte(strings.ReplaceAll(routedConf(), GW.String(), other.String())))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		told := false
		for range 6 {
			for _, f := range n.second().Frames["a.e4"] {
				told = told || bytes.Equal(f.Bytes, packet.ARP(frame.Broadcast, packet.ARPRequest, other, gw1, frame.MAC{}, gw1))
			}
		}
		if !told {
			t.Error("nobody was told of the gateway's new MAC")
		}
	})
}

// Several next hops share the flows, and a flow keeps to one.
func TestSeveralNextHops(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		used := map[string]int{}
		for i := range 64 {
			f := packet.UDP(GW, H1, netip.AddrPortFrom(r1, uint16(20000+i)), netip.MustParseAddrPort("172.19.1.1:9"), make([]byte, 10))
			first := n.Send("a.e1", f).Wire().To
			if again := n.Send("a.e1", f).Wire().To; again != first {
				t.Errorf("flow %d went to %v and then to %v", i, first, again)
			}
			used[first.String()]++
		}
		if used["192.0.2.2"] < 16 || used["192.0.2.3"] < 16 {
			t.Errorf("64 flows went by %v", used)
		}
	})
}

// A reload changes routes, and what it does not change goes on.
func TestRoutesAreReloaded(t *testing.T) {
	Test(t, func(n *Net) {
		g := routed(n)
		f, gone := datagram(H1, r1, r3, 100), datagram(H1, r1, netip.MustParseAddr("172.16.1.1"), 100)
		n.Send("a.e1", gone).Is("a>192.0.2.2~").encapsulates(2000, onward(gone, RA))
		reload := func(text string) {
			cfg, err := config.Parse("test.toml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Reload(cfg); err != nil {
				t.Fatal(err)
			}
			n.Settle()
		}
		reload(strings.Replace(routedConf(), "172.16.0.0/12", "172.31.0.0/16", 1))
		n.Send("a.e1", gone).Is("a.e1~ a!route:no_route")
		n.Send("a.e1", f).Is("a.e3~").carries("a.e3", onward(f, H3))

		// What waits for a neighbour in a VNI that goes is counted.
		n.Send("a.e1", datagram(H1, r1, netip.MustParseAddr("10.1.2.77"), 1)).Is("a.e3~ a>192.0.2.2~ a>192.0.2.3~")
		reload(conf("a", vni(1000, "b", "vrf = \"red\"\ngateway = [\"10.1.1.1/24\"]\ngateway_mac = \""+GW.String()+"\""), ports(10, "e1 e2"), "[[vrf]]\nname = \"red\""))
		r := n.second()
		if got := r.counts["a!route:neighbour_unresolved"]; got != 1 {
			t.Errorf("%d packets are counted that waited, want 1", got)
		}
		n.Send("a.e1", f).Is("a.e1~ a!route:no_route")
	})
}

// A VRF counts what came to it, once, also what had to wait, and nothing that is not
// its own: neither what came to a VNI without a gateway, nor what the gateway itself
// sends.
func TestVRFsCount(t *testing.T) {
	Test(t, func(n *Net) {
		text := routedConf(relayed) + vni(4000, "") + "\n" + ports(40, "e5")
		cfg, err := config.Parse("test.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		g := n.Add(text)
		quiet(n)
		hello(n, "a.e1", H1, r1, gw1)
		check := func(what string, rx, tx uint64) {
			t.Helper()
			if v := g.VRFs()[0]; v.RxPackets != rx || v.TxPackets != tx {
				t.Errorf("%s: VRF red counts %d in, %d out, want %d, %d", what, v.RxPackets, v.TxPackets, rx, tx)
			}
		}
		n.Send("a.e1", datagram(H1, r1, r3, 100))
		check("one that waits", 1, 0)
		n.Send("a.e3", packet.ARP(GW, packet.ARPReply, H3, r3, GW, gw2)).Is("a.e3~")
		check("it is sent", 1, 1)
		f := datagram(H2, r1, r3, 100)
		copy(f, cfg.MAC[:])
		n.Send("a.e5", f).Is("a!route:no_gateway")
		check("one of a VNI that is not routed", 1, 1)
		n.Send("a.e1", discoverFor(netip.IPv4Unspecified())).Is("a.e3~")
		check("one of the gateway's own", 1, 1)
	})
}

// What the gateway sends and has no way to is counted: here a question for who is
// waited for.
func TestOwnFrameIsLost(t *testing.T) {
	Test(t, func(n *Net) {
		g := n.Add(routedConf())
		quiet(n)
		hello(n, "a.e4", H2, r1, gw1)
		n.Send("a.e4", datagram(H2, r1, netip.MustParseAddr("10.1.1.99"), 40)).Is("a.e4~")
		g.Host.SetUp("e4", false)
		n.Settle()
		n.second().Is("a!route:port_down")
	})
}

// What operators see of it.
func TestRoutingIsShown(t *testing.T) {
	Test(t, func(n *Net) {
		g := routed(n)
		n.Send("a.e1", datagram(H1, r1, r3, 100))
		var got []string
		for r := range g.Routes() {
			if r.VRF == "blue" || r.Origin == "static" {
				got = append(got, fmt.Sprint(r.VRF, " ", r.Prefix, " ", r.VNI, " ", r.Via, " ", r.Kind, " ", r.Origin))
			}
		}
		want := []string{
			"red 172.16.0.0/12 2000 10.1.2.20 via static", "red 172.17.0.0/16 0  blackhole static", "red 172.18.0.0/16 0  unreachable static",
			"red 172.19.0.0/16 2000 10.1.2.20 via static", "red 172.19.0.0/16 2000 10.1.2.30 via static",
			"blue 10.1.1.0/24 3000  connected connected", "blue 10.1.1.1/32 3000  local local",
		}
		if !slices.Equal(got, want) {
			t.Errorf("routes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		vrfs := g.VRFs()
		if len(vrfs) != 2 || vrfs[0].Name != "red" || vrfs[0].RxPackets != 1 || vrfs[0].TxPackets != 1 || vrfs[0].RxBytes != 142 || vrfs[1].RxPackets != 0 {
			t.Errorf("VRFs %+v", vrfs)
		}
		ex, err := g.Explain(api.ExplainRequest{Port: "e1", Frame: hex.EncodeToString(datagram(H1, r1, rA, 100))})
		if err != nil || ex.Verdict != "forward" || !slices.ContainsFunc(ex.Steps, func(s api.Step) bool { return s.Question == "rewrite" }) {
			t.Errorf("explained as %+v, %v", ex, err)
		}
		if a := g.Accounts()[forward.Route]; a.ToPort != 1 || a.Frames() != 1 {
			t.Errorf("account %+v", a)
		}
	})
}

// Two gateways that each send what they do not know to the other: a packet goes round
// as long as it has hops, and its sender is told once.
func TestRoutingLoop(t *testing.T) {
	Test(t, func(n *Net) {
		loop := func(name, peer, address, via string) *Gateway {
			return n.Add(conf(name, vni(2000, peer, "vrf = \"red\"\ngateway = [\""+address+"/24\"]"), ports(20, "e1"),
				"[[vrf]]\nname = \"red\"\n[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = \""+via+"\""))
		}
		a := loop("a", "b", "10.1.2.1", "10.1.2.2")
		loop("b", "a", "10.1.2.2", "10.1.2.1")
		quiet(n)
		f := packet.UDP(a.Config.MAC, H1, netip.AddrPortFrom(r3, 1), netip.MustParseAddrPort("8.8.8.8:9"), make([]byte, 20))
		n.Burst("a.e1", f) // who is who is found out with it
		r := n.Burst("a.e1", f)
		if got := r.counts["a>b"] + r.counts["b>a"]; got != 63+1 { // and the error on its way back
			t.Errorf("it crossed %d times, want 63 and its error once: %s", got, r)
		}
		if got := r.counts["a!route:ttl_expired"] + r.counts["b!route:ttl_expired"]; got != 1 {
			t.Errorf("it ended %d times: %s", got, r)
		}
	})
}

// Isolated ports are apart for routed frames too, those that are flooded included.
func TestRoutedBetweenIsolatedPorts(t *testing.T) {
	Test(t, func(n *Net) {
		text := routedConf()
		for _, e := range []string{"e1", "e2"} {
			text = strings.Replace(text, fmt.Sprintf("interface = %q\n", e), fmt.Sprintf("interface = %q\nisolated = true\n", e), 1)
		}
		g := n.Add(text)
		quiet(n)
		r2 := netip.MustParseAddr("10.1.1.11")
		hello(n, "a.e1", H1, r1, gw1)
		hello(n, "a.e2", H2, r2, gw1)
		f := datagram(H1, r1, r2, 40)
		n.Send("a.e1", f).Is("a!route:isolated_port")
		g.Host.Flap("e2") // its MACs are forgotten, and the neighbour is not
		n.Settle()
		n.Send("a.e1", f).Is("a.e1~ a>192.0.2.2~")
	})
}

// A gateway that is taken out of a VNI says to its hosts that it is no router any more
// (RFC 4861 section 6.2.5).
func TestGatewayIsTakenOut(t *testing.T) {
	Test(t, func(n *Net) {
		text := strings.ReplaceAll(routedConf(), "ra = false\n", "")
		g := n.Add(text)
		quiet(n)
		cfg, err := config.Parse("test.toml", []byte(strings.Replace(text, `gateway = ["10.1.1.1/24", "2001:db8:1::1/64"]`, `gateway = ["10.1.1.1/24"]`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		ended := 0
		for range 3 {
			for _, f := range n.second().Frames["a.e1"] {
				if b := f.Bytes; frame.Frame(b).Type() == frame.TypeIPv6 && b[14+40] == 134 && binary.BigEndian.Uint16(b[14+40+6:]) == 0 {
					ended++
				}
			}
		}
		if ended != 1 {
			t.Errorf("%d advertisements with a lifetime of zero, want 1", ended)
		}
	})
}

// A storm of requests for the gateway is answered, goes no further, and takes nothing
// from others.
func TestRequestStorm(t *testing.T) {
	Test(t, func(n *Net) {
		g := routed(n)
		const storm = 2000
		var frames [][]byte
		for i := range storm {
			m := MAC(fmt.Sprintf("02:00:00:01:%02x:%02x", i>>8, i&255))
			frames = append(frames, packet.ARP(frame.Broadcast, packet.ARPRequest, m, netip.AddrFrom4([4]byte{10, 1, 1, byte(i)}), frame.MAC{}, gw1))
		}
		r := n.Burst("a.e2", frames...)
		replies := 0
		for _, f := range r.Frames["a.e2"] {
			if b := f.Bytes; frame.Frame(b).Type() == frame.TypeARP && b[21] == packet.ARPReply {
				replies++
			}
		}
		// 10.1.1.1 is the gateway's own, and who says that it is his is not believed.
		claims := r.counts["a!access:gateway_claimed"]
		if replies != storm-claims || claims == 0 {
			t.Errorf("%d of %d requests are answered, %d were claims", replies, storm, claims)
		}
		f := datagram(H3, r3, r1, 40)
		if got := n.Burst("a.e3", f); len(got.Frames["a.e1"])+len(got.Frames["a.e2"]) == 0 {
			t.Errorf("%s", got)
		}
		if rows := g.Neighbours(); len(rows) > 400 {
			t.Errorf("%d neighbours", len(rows))
		}
	})
}
