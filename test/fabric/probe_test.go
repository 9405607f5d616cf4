package fabric

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// probed is a neighbour at e3, and what the gateway asks it, and everybody, for it.
type probed struct {
	addr          netip.Addr
	from          netip.Addr // who sends to it
	alone, all    []byte
	answer, moved []byte // its own, and of RA that has the address now
}

func probes(t *testing.T, test func(*testing.T, *Net, probed)) {
	alone := packet.Solicit(GW, gw2six, r3six)
	alone.DstMAC, alone.Dst = H3, r3six
	for _, p := range []probed{
		{
			r3, r1, packet.ARP(H3, packet.ARPRequest, GW, gw2, frame.MAC{}, r3), packet.ARP(frame.Broadcast, packet.ARPRequest, GW, gw2, frame.MAC{}, r3),
			packet.ARP(GW, packet.ARPReply, H3, r3, GW, gw2), packet.ARP(GW, packet.ARPReply, RA, r3, GW, gw2),
		},
		{
			r3six, r1six, control(alone), control(packet.Solicit(GW, gw2six, r3six)),
			packet.Advertise(H3, r3six, GW, gw2six).Frame(), packet.Advertise(RA, r3six, GW, gw2six).Frame(),
		},
	} {
		t.Run(fmt.Sprintf("IPv6 %v", p.addr.Is6()), func(t *testing.T) {
			Test(t, func(n *Net) {
				routed(n)
				test(t, n, p)
			})
		})
	}
}

// asks tells how often the gateway asks a neighbour alone, and how often everybody at
// its port. Neither is ever more than once.
func (p probed) asks(r *Result) (alone, all bool) {
	for _, f := range r.frames("a.e3") {
		alone = alone || bytes.Equal(f, p.alone)
		all = all || bytes.Equal(f, p.all)
	}
	return alone, all
}

func (n *Net) state(g *Gateway, a netip.Addr) string {
	rows := g.Neighbours()
	i := slices.IndexFunc(rows, func(r api.NeighbourRow) bool { return r.Address == a.String() })
	if i < 0 {
		return ""
	}
	return rows[i].State
}

// A neighbour that is sent to is asked again and again whether it is there, before
// what is known of it is too old, and nothing that goes to it waits for that (RFC 4861
// section 7.3.3).
func TestNeighbourIsProbed(t *testing.T) {
	probes(t, func(t *testing.T, n *Net, p probed) {
		f := datagram(H1, p.from, p.addr, 100)
		var times []int
		for s := 1; s <= 120; s++ {
			r := n.second()
			alone, all := p.asks(r)
			if all {
				t.Fatalf("everybody was asked after %d seconds", s)
			}
			if alone {
				times = append(times, s)
				n.Send("a.e1", f).Is("a.e3~").carries("a.e3", onward(f, H3)) // while it is in doubt
				n.Send("a.e3", p.answer).Is("")
				if got := n.state(n.Gateway("a"), p.addr); got != "reachable" {
					t.Errorf("it is %s when it has answered", got)
				}
			}
			n.Send("a.e1", f).Is("a.e3~").carries("a.e3", onward(f, H3))
		}
		// The first 5 seconds after it was first used; then its answer holds for 15
		// to 45 seconds, and 5 more pass.
		if len(times) < 3 || len(times) > 7 || times[0] > 7 {
			t.Errorf("it was probed after %v seconds", times)
		}
		for i := 1; i < len(times); i++ {
			if d := times[i] - times[i-1]; d < 20 || d > 51 {
				t.Errorf("it was probed after %v seconds", times)
			}
		}
	})
}

// silent sends to a neighbour that does not answer until it is to be asked for, and
// checks that it was asked three times alone and that all went to it meanwhile.
func (p probed) silent(t *testing.T, n *Net) {
	t.Helper()
	f := datagram(H1, p.from, p.addr, 100)
	asked := 0
	for s := 1; ; s++ {
		r := n.second()
		alone, all := p.asks(r)
		switch {
		case s > 20:
			t.Fatal("nobody was asked in 20 seconds")
		case alone && all, asked > 0 && !alone && !all:
			t.Fatalf("after %d seconds: asked alone: %v, everybody: %v", s, alone, all)
		case alone:
			asked++
		case all && asked != 3:
			t.Fatalf("everybody was asked after %d probes, want 3", asked)
		}
		n.Send("a.e1", f).Is("a.e3~").carries("a.e3", onward(f, H3))
		if all {
			return
		}
	}
}

// One that does not answer is asked three times, then everybody is: whoever has the
// address now gets what goes there.
func TestNeighbourIsFoundElsewhere(t *testing.T) {
	probes(t, func(t *testing.T, n *Net, p probed) {
		p.silent(t, n)
		n.Inject("192.0.2.2", "a", 2000, p.moved).Is("")
		f := datagram(H1, p.from, p.addr, 100)
		n.Send("a.e1", f).Is("a>192.0.2.2~").encapsulates(2000, onward(f, RA))
	})
}

// One that is gone is given up, and one that comes back is found again.
func TestNeighbourComesBack(t *testing.T) {
	probes(t, func(t *testing.T, n *Net, p probed) {
		p.silent(t, n)
		f := datagram(H1, p.from, p.addr, 100)
		for range 2 {
			if alone, all := p.asks(n.second()); alone || !all {
				t.Fatalf("asked alone: %v, everybody: %v", alone, all)
			}
			n.Send("a.e1", f).Is("a.e3~")
		}
		n.second().Is("")
		if got := n.state(n.Gateway("a"), p.addr); got != "failed" {
			t.Errorf("it is %q, want it failed", got)
		}
		n.Send("a.e1", f).Is("a!route:neighbour_unresolved")
		n.second()
		n.second()
		n.Send("a.e1", f).Is(inTwo).carries("a.e3", p.all)
		n.Send("a.e3", p.answer).Is("a.e3~").carries("a.e3", onward(f, H3))
	})
}

// A neighbour that nobody sends to is left alone for ten minutes, and then asked: one
// that answers is kept.
func TestIdleNeighbourIsProbed(t *testing.T) {
	probes(t, func(t *testing.T, n *Net, p probed) {
		n.clock.Add(590)
		if alone, all := p.asks(n.second()); alone || all {
			t.Error("it was asked already")
		}
		n.clock.Add(9)
		if alone, all := p.asks(n.second()); !alone || all {
			t.Fatalf("asked alone: %v, everybody: %v", alone, all)
		}
		n.Send("a.e3", p.answer).Is("")
		if alone, all := p.asks(n.second()); alone || all {
			t.Error("it was asked again")
		}
		f := datagram(H1, p.from, p.addr, 100)
		n.Send("a.e1", f).Is("a.e3~").carries("a.e3", onward(f, H3))
	})
}
