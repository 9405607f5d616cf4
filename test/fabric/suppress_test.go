package fabric

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/test/packet"
)

// Addresses of the stations.
var (
	h1v4, h1v6 = netip.MustParseAddr("10.1.1.10"), netip.MustParseAddr("2001:db8:1::10")
	h2v4, h2v6 = netip.MustParseAddr("10.1.1.11"), netip.MustParseAddr("2001:db8:1::11")
	rav4, rav6 = netip.MustParseAddr("10.1.1.20"), netip.MustParseAddr("2001:db8:1::20")
)

// family is how stations ask and answer over IPv4 or IPv6.
type family struct {
	name       string
	h1, h2, ra netip.Addr
}

var families = []family{{"IPv4", h1v4, h2v4, rav4}, {"IPv6", h1v6, h2v6, rav6}}

func (f family) ask(src frame.MAC, from, target netip.Addr) []byte {
	if target.Is4() {
		return packet.ARP(frame.Broadcast, packet.ARPRequest, src, from, frame.MAC{}, target)
	}
	return packet.Solicit(src, from, target).Frame()
}

// probe asks whether an address is free.
func (f family) probe(src frame.MAC, target netip.Addr) []byte {
	if target.Is4() {
		return f.ask(src, netip.IPv4Unspecified(), target)
	}
	return packet.Detect(src, target).Frame()
}

// confirm asks a known station whether it is still there.
func (f family) confirm(dst, src frame.MAC, from, target netip.Addr) []byte {
	if target.Is4() {
		return packet.ARP(dst, packet.ARPRequest, src, from, frame.MAC{}, target)
	}
	n := packet.Solicit(src, from, target)
	n.DstMAC, n.Dst = dst, target
	return n.Frame()
}

func (f family) reply(src frame.MAC, addr netip.Addr, dst frame.MAC, to netip.Addr) []byte {
	if addr.Is4() {
		return packet.ARP(dst, packet.ARPReply, src, addr, dst, to)
	}
	return packet.Advertise(src, addr, dst, to).Frame()
}

func (f family) announce(src frame.MAC, addr netip.Addr) []byte {
	if addr.Is4() {
		return f.ask(src, addr, addr)
	}
	return packet.Announce(src, addr).Frame()
}

// suppressing runs a test on three gateways of which a suppresses, once over
// each family.
func suppressing(t *testing.T, test func(*testing.T, *Net, *Gateway, family)) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := n.Add(conf("a", vni(1000, "b c", "suppress_arp = true"), ports(10, "e1 e2")))
				n.Add(conf("b", vni(1000, "a c"), ports(10, "e1 e2")))
				n.Add(conf("c", vni(1000, "a b"), ports(10, "e1 e2")))
				test(t, n, a, f)
			})
		})
	}
}

const (
	everywhere = "a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2" // from a.e1
	fromB      = "b.e2 b>a b>c a.e1 a.e2 c.e1 c.e2" // from b.e1
	fromC      = "c.e2 c>a c>b a.e1 a.e2 b.e1 b.e2" // from c.e1
	answered   = "a.e1~"
)

// wantAnswer checks what a host is told: who has the address.
func wantAnswer(t *testing.T, r *Result, place string, addr netip.Addr, m frame.MAC) {
	t.Helper()
	r.Is(place + "~")
	f := r.Frame(place)
	got := neigh.Read(f)
	if got.Says != neigh.Claims || got.Subject != addr || got.MAC != m || frame.Frame(f).Dst() != frame.Frame(r.Sent).Src() {
		t.Errorf("told % x: %+v, want %v at %v", f, got, addr, m)
	}
}

func neighbours(g *Gateway) string {
	var rows []string
	for _, r := range g.Neighbours() {
		rows = append(rows, fmt.Sprintf("%d %s %s %s %s", r.VNI, r.Address, r.MAC, r.State, r.Origin))
	}
	return strings.Join(rows, ", ")
}

// A neighbour that a VTEP spoke for is answered for at once and nothing is sent
// to anybody, even when it is down, until it has not been heard of for a while.
func TestSuppress(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, a *Gateway, f family) {
		q := f.ask(H1, f.h1, f.ra)
		n.Send("a.e1", q).Is(everywhere)
		n.Send("b.e1", f.reply(RA, f.ra, H1, f.h1)).Is("b>a a.e1")
		if got, want := neighbours(a), fmt.Sprintf("1000 %s %s fresh learned", f.ra, RA); !strings.Contains(got, want) {
			t.Errorf("neighbours %q, want %q", got, want)
		}
		for range 10 {
			wantAnswer(t, n.Send("a.e1", q), "a.e1", f.ra, RA)
			wantAnswer(t, n.Send("a.e2", f.ask(H2, f.h2, f.ra)), "a.e2", f.ra, RA)
		}
		if k := a.VNIs()[0].Suppressed; k != 20 {
			t.Errorf("%d suppressed, want 20", k)
		}
		n.Advance(neigh.FreshFor - 1)
		wantAnswer(t, n.Send("a.e1", q), "a.e1", f.ra, RA)

		// It is down, and one request goes to find that out.
		n.Advance(1)
		if got, want := neighbours(a), fmt.Sprintf("1000 %s %s stale learned", f.ra, RA); !strings.Contains(got, want) {
			t.Errorf("neighbours %q, want %q", got, want)
		}
		n.Send("a.e1", q).Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
		wantAnswer(t, n.Send("a.e1", q), "a.e1", f.ra, RA)
		n.Advance(neigh.AskFor)
		for range 3 {
			n.Send("a.e1", q).Is(everywhere)
		}
		// It is back.
		n.Send("b.e1", f.reply(RA, f.ra, H1, f.h1)).Is("b>a a.e1")
		wantAnswer(t, n.Send("a.e1", q), "a.e1", f.ra, RA)
		n.Advance(neigh.KeepFor)
		n.Send("a.e1", q).Is(everywhere)
		if strings.Contains(neighbours(a), f.ra.String()) {
			t.Errorf("neighbours %q", neighbours(a))
		}
	})
}

// One that confirms itself whenever it is asked is asked every half a minute.
func TestSuppressRefresh(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, _ *Gateway, f family) {
		q, r := f.ask(H1, f.h1, f.ra), f.reply(RA, f.ra, H1, f.h1)
		n.Send("a.e1", q).Is(everywhere)
		n.Send("b.e1", r).Is("b>a a.e1")
		asked := 0
		for range 300 {
			n.clock.Add(1)
			if s := n.Send("a.e1", q).String(); s == everywhere {
				asked++
				n.Send("b.e1", r).Is("b>a a.e1")
			} else if s != "a.e1" {
				t.Fatalf("came out at %s", s)
			}
		}
		if asked != 300/neigh.FreshFor {
			t.Errorf("asked %d times in 300 seconds", asked)
		}
	})
}

// Without suppression nothing is answered and nothing is known.
func TestNoSuppress(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a, _, _ := mesh(n)
				n.Send("b.e1", f.announce(RA, f.ra)).Is(fromB)
				n.Send("a.e1", f.ask(H1, f.h1, f.ra)).Is(everywhere)
				if got := neighbours(a); got != "" {
					t.Errorf("neighbours %q", got)
				}
			})
		})
	}
}

// What is not a question to everybody goes its way, whoever is known.
func TestSuppressLetsThrough(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, _ *Gateway, f family) {
		known := func() {
			t.Helper()
			n.Send("b.e1", f.announce(RA, f.ra)).Is(fromB)
			n.Send("a.e2", f.announce(H2, f.h2)).Is("a.e1 a>b a>c b.e1 b.e2 c.e1 c.e2")
			wantAnswer(t, n.Send("a.e1", f.ask(H1, f.h1, f.ra)), "a.e1", f.ra, RA)
		}
		known()
		n.Send("a.e1", f.confirm(RA, H1, f.h1, f.ra)).Is("a>b b.e1")
		known()
		n.Send("a.e1", f.announce(H1, f.h1)).Is(everywhere)
		known()
		n.Send("a.e1", f.probe(H1, f.ra)).Is(everywhere)
		// Whoever looks for an owner makes it doubtful that the known one has it.
		n.Send("a.e1", f.ask(H1, f.h1, f.ra)).Is(everywhere)
		known()
		wantAnswer(t, n.Send("a.e1", f.ask(H1, f.h1, f.h2)), "a.e1", f.h2, H2) // behind another port
		n.Send("a.e2", f.ask(H2, f.h2, f.h2)).Is("a.e1 a>b a>c b.e1 b.e2 c.e1 c.e2")
		// From the overlay, all is delivered.
		n.Send("b.e1", f.ask(RA, f.ra, f.h2)).Is(fromB)
	})
}

// What is behind the asking port is asked there, and hears it itself.
func TestSuppressSamePort(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, _ *Gateway, f family) {
		n.Send("a.e1", f.announce(H2, f.h2)).Is(everywhere)
		n.Send("a.e1", f.ask(H1, f.h1, f.h2)).Is(everywhere)
	})
}

// A host that moves is followed: to another VTEP with its MAC, and to another
// MAC with its address.
func TestSuppressMoves(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, _ *Gateway, f family) {
		q := f.ask(H1, f.h1, f.ra)
		n.Send("b.e1", f.announce(RA, f.ra)).Is(fromB)
		wantAnswer(t, n.Send("a.e1", q), "a.e1", f.ra, RA)
		n.Send("c.e1", Local(frame.Broadcast, RA)).Is(fromC)
		wantAnswer(t, n.Send("a.e1", q), "a.e1", f.ra, RA)
		n.Send("a.e1", Local(RA, H1)).Is("a>c c.e1")

		n.Send("b.e1", f.announce(RB, f.ra)).Is(fromB)
		wantAnswer(t, n.Send("a.e1", q), "a.e1", f.ra, RB)
		n.Send("c.e1", f.reply(RA, f.ra, H1, f.h1)).Is("c>a a.e1")
		wantAnswer(t, n.Send("a.e1", q), "a.e1", f.ra, RA)
	})
}

// One that takes over an address and only asks for another's is heard of by all:
// its request tells them.
func TestSuppressMoveIsTold(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, _ *Gateway, f family) {
		n.Send("b.e1", f.announce(RA, f.ra)).Is(fromB)
		n.Send("a.e1", f.announce(H1, f.h1)).Is(everywhere)
		n.Send("a.e1", f.ask(H3, f.h1, f.ra)).Is(everywhere)
		wantAnswer(t, n.Send("a.e1", f.ask(H3, f.h1, f.ra)), "a.e1", f.ra, RA)
	})
}

// Two hosts exchange their addresses.
func TestSuppressSwap(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, _ *Gateway, f family) {
		ra, rb := f.ra, f.h2
		for range 3 {
			n.Send("b.e1", f.announce(RA, ra)).Is(fromB)
			n.Send("c.e1", f.announce(RB, rb)).Is(fromC)
			wantAnswer(t, n.Send("a.e1", f.ask(H1, f.h1, ra)), "a.e1", ra, RA)
			wantAnswer(t, n.Send("a.e1", f.ask(H1, f.h1, rb)), "a.e1", rb, RB)
			ra, rb = rb, ra
		}
	})
}

// One station may have many addresses.
func TestSuppressManyAddresses(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, _ *Gateway, f family) {
		n.Send("b.e1", f.announce(RA, f.ra)).Is(fromB)
		n.Send("b.e1", f.announce(RA, f.h2)).Is(fromB)
		wantAnswer(t, n.Send("a.e1", f.ask(H1, f.h1, f.ra)), "a.e1", f.ra, RA)
		wantAnswer(t, n.Send("a.e1", f.ask(H1, f.h1, f.h2)), "a.e1", f.h2, RA)
	})
}

// A host is not answered for while there is no way to it.
func TestSuppressUnreachable(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, a *Gateway, f family) {
		n.Send("a.e2", f.announce(H2, f.h2)).Is("a.e1 a>b a>c b.e1 b.e2 c.e1 c.e2")
		n.Send("b.e1", f.announce(RA, f.ra)).Is(fromB)
		wantAnswer(t, n.Send("a.e1", f.ask(H1, f.h1, f.h2)), "a.e1", f.h2, H2)

		a.Host.SetCarrier("e2", false)
		n.Settle()
		n.Send("a.e1", f.ask(H1, f.h1, f.h2)).Is("a>b a>c b.e1 b.e2 c.e1 c.e2")
		a.Host.SetCarrier("e2", true)
		n.Settle()
		n.Send("a.e1", f.ask(H1, f.h1, f.h2)).Is(everywhere) // whoever is behind it now

		a.Host.RemoveAddr(a.Addr())
		n.Settle()
		n.Send("a.e1", f.ask(H1, f.h1, f.ra)).Is("a.e2 a!access:tx_failed*2")
	})
}

// When the FDB forgets a MAC, its addresses go.
func TestSuppressMACGone(t *testing.T) {
	for _, f := range families {
		Test(t, func(n *Net) {
			a := n.Add(conf("a", vni(1000, "b c", "suppress_arp = true", `ageing = "10s"`), ports(10, "e1 e2")))
			n.Inject("192.0.2.2", "a", 1000, f.announce(RA, f.ra)).Is("a.e1 a.e2")
			wantAnswer(t, n.Send("a.e1", f.ask(H1, f.h1, f.ra)), "a.e1", f.ra, RA)
			n.Advance(10)
			n.Send("a.e1", f.ask(H1, f.h1, f.ra)).Is(flood)
			if strings.Contains(neighbours(a), f.ra.String()) {
				t.Errorf("neighbours %q", neighbours(a))
			}
		})
	}
}

// Where MACs behind VTEPs are not learned, nor are their addresses.
func TestSuppressWithoutLearning(t *testing.T) {
	for _, f := range families {
		Test(t, func(n *Net) {
			a := n.Add(conf("a", vni(1000, "b c", "suppress_arp = true", "learning = false"), ports(10, "e1 e2"), pinned))
			n.Inject("192.0.2.2", "a", 1000, f.announce(RB, f.h2)).Is("a.e1 a.e2")
			n.Send("a.e1", f.ask(H1, f.h1, f.h2)).Is(flood)
			n.Inject("192.0.2.2", "a", 1000, f.announce(RA, f.ra)).Is("a.e1 a.e2") // its MAC is static
			wantAnswer(t, n.Send("a.e1", f.ask(H1, f.h1, f.ra)), "a.e1", f.ra, RA)
			if strings.Contains(neighbours(a), RB.String()) {
				t.Errorf("neighbours %q", neighbours(a))
			}
		})
	}
}

// A station that a limit keeps out of the FDB is not answered for, and what was
// known of its address is not told any more.
func TestSuppressMACRefused(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b c", "suppress_arp = true", "mac_limit = 2"), ports(10, "e1 e2")))
		f := families[0]
		n.Inject("192.0.2.2", "a", 1000, f.announce(RA, f.ra)).Is("a.e1 a.e2")
		wantAnswer(t, n.Send("a.e1", f.ask(H1, f.h1, f.ra)), "a.e1", f.ra, RA)
		n.Inject("192.0.2.3", "a", 1000, f.announce(RB, f.ra)).Is("a.e1 a.e2 a?vni_limit")
		n.Send("a.e1", f.ask(H1, f.h1, f.ra)).Is(flood)
	})
}

// A host that contradicts itself is carried and not believed.
func TestSuppressContradiction(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, _ *Gateway, f family) {
		n.Send("b.e1", f.announce(RA, f.ra)).Is(fromB)
		forged := f.announce(RA, f.ra)
		copy(forged[6:], RB[:])
		n.Send("c.e1", forged).Is(fromC)
		n.Send("a.e1", f.ask(H1, f.h1, f.ra)).Is(everywhere)
	})
}

// A router stays one to those who are answered, and nobody is told that it is
// none before it has said what it is.
func TestSuppressRouter(t *testing.T) {
	suppressing(t, func(t *testing.T, n *Net, _ *Gateway, f family) {
		if f.ra.Is4() {
			return
		}
		q := f.ask(H1, f.h1, f.ra)
		n.Send("b.e1", f.ask(RA, f.ra, f.h2)).Is(fromB)
		n.Send("a.e1", q).Is(everywhere)
		na := packet.Advertise(RA, f.ra, H1, f.h1)
		na.Flags |= packet.FlagRouter
		n.Send("b.e1", na.Frame()).Is("b>a a.e1")
		r := n.Send("a.e1", q)
		wantAnswer(t, r, "a.e1", f.ra, RA)
		if !neigh.Read(r.Frame("a.e1")).Router {
			t.Error("a router is told to be none")
		}
	})
}

// A flood of made-up addresses is carried, costs what the limit says, and is
// nothing to another VNI.
func TestSuppressSpoofed(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add("[gateway]\nname = \"a\"\n[underlay]\naddress = \"192.0.2.1\"\n[datapath]\nmac_limit = 100\n" +
			vni(1000, "b c", "suppress_arp = true") + vni(2000, "b", "suppress_arp = true") + ports(10, "e1 e2") + ports(20, "e3 e4"))
		f := families[0]
		var frames [][]byte
		for i := range 2000 {
			frames = append(frames, f.announce(H1, netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})))
		}
		n.Burst("a.e1", frames...).Is("a.e2~*2000 a>192.0.2.2~*2000 a>192.0.2.3~*2000 a?neighbour_limit*1950")
		if k := len(a.Neighbours()); k != 50 {
			t.Errorf("%d neighbours, want 50", k)
		}
		n.Send("a.e3", f.announce(H3, f.h1)).Is("a.e4 a>192.0.2.2")
		wantAnswer(t, n.Send("a.e4", f.ask(H2, f.h2, f.h1)), "a.e4", f.h1, H3)
		n.Advance(neigh.KeepFor)
		if !strings.Contains(a.Log(), "limit=neighbour_limit") {
			t.Errorf("the log says nothing of it: %s", a.Log())
		}
		if k := len(a.Neighbours()); k != 0 {
			t.Errorf("%d neighbours stay", k)
		}
	})
}

// The network as one would keep it on a slate: who was last heard to have an
// address. Whatever is said where, whoever is answered is told just that.
func TestSuppressAgainstModel(t *testing.T) {
	stations := []frame.MAC{H1, H2, RA, RB}
	places := map[frame.MAC]string{H1: "a.e1", H2: "a.e2", RA: "b.e1", RB: "c.e1"}
	rapid.Check(t, func(rt *rapid.T) {
		f := rapid.SampledFrom(families).Draw(rt, "family")
		addrs := []netip.Addr{f.h1, f.h2, f.ra}
		type step struct {
			what       int
			from       frame.MAC
			has, wants netip.Addr
			later      uint32
		}
		var steps []step
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			steps = append(steps, step{
				rapid.IntRange(0, 4).Draw(rt, "what"), rapid.SampledFrom(stations).Draw(rt, "station"),
				rapid.SampledFrom(addrs).Draw(rt, "has"), rapid.SampledFrom(addrs).Draw(rt, "wants"),
				rapid.Uint32Range(1, 60).Draw(rt, "later"),
			})
		}
		var rec recorder
		synctest.Test(t, func(*testing.T) {
			n := New(&rec)
			defer n.Stop()
			n.Add(conf("a", vni(1000, "b c", "suppress_arp = true"), ports(10, "e1 e2")))
			n.Add(conf("b", vni(1000, "a c"), ports(10, "e1")))
			n.Add(conf("c", vni(1000, "a b"), ports(10, "e1")))
			owner, heard := map[netip.Addr]frame.MAC{}, map[netip.Addr]uint32{}
			for _, s := range steps {
				n.Settle()
				switch s.what {
				case 0:
					n.clock.Add(s.later)
				case 1:
					n.Send(places[s.from], f.announce(s.from, s.has))
					owner[s.has], heard[s.has] = s.from, n.clock.Load()
				case 2:
					n.Send(places[s.from], f.probe(s.from, s.wants))
					if owner[s.wants] != s.from {
						delete(owner, s.wants)
					}
				default:
					if s.has == s.wants {
						continue
					}
					was, moved := owner[s.has], false
					r := n.Send(places[s.from], f.ask(s.from, s.has, s.wants))
					moved = was != frame.MAC{} && was != s.from
					switch {
					case s.has.Is4():
						owner[s.has], heard[s.has] = s.from, n.clock.Load()
					case moved:
						delete(owner, s.has)
					}
					place := places[s.from]
					got := r.Frames[place]
					if len(got) == 0 {
						now := n.clock.Load()
						if m, ok := owner[s.wants]; ok && m != s.from && !moved && now-heard[s.wants] < neigh.FreshFor && strings.HasPrefix(place, "a.") {
							rec.Errorf("%v, heard %d s ago, is not answered for: %s", s.wants, now-heard[s.wants], r)
						}
						continue
					}
					told := neigh.Read(got[0].Bytes)
					if m, ok := owner[s.wants]; len(got) != 1 || !strings.HasPrefix(place, "a.") || !ok || told.MAC != m || told.Subject != s.wants || m == s.from || len(r.Wires) > 0 {
						rec.Errorf("asked for %v, which %v has (%t), and told %+v: %s", s.wants, m, ok, told, r)
					}
				}
			}
			n.CheckAccounts()
		})
		for _, s := range rec.failures {
			rt.Error(s)
		}
	})
}
