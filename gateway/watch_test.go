package gateway_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vxgw/gateway/events"
	"vxgw/l2/frame"
	"vxgw/test/fabric"
)

// listener reads a gateway's events.
type listener struct {
	t   *testing.T
	n   *fabric.Net
	log *events.Log
	at  uint64
}

// hear returns what was told since it was last asked, a line each, without the time.
func (l *listener) hear() []string {
	l.t.Helper()
	l.n.Settle()
	time.Sleep(50 * time.Millisecond) // of the bubble
	l.n.Settle()
	buf := make([]events.Event, 1000)
	n, ok := l.log.Since(l.at, buf)
	if !ok {
		l.t.Fatalf("what came after %d is not kept", l.at)
	}
	var lines []string
	for _, e := range buf[:n] {
		l.at = e.ID
		_, line, _ := strings.Cut(e.String(), "  ")
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// hears holds that just that was told since it was last asked.
func (l *listener) hears(want ...string) {
	l.t.Helper()
	if diff := cmp.Diff(want, l.hear()); diff != "" {
		l.t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestEvents holds what is told of what happens to a gateway, and in which order.
func TestEvents(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		const more = toBC + "\nsuppress_arp = true\nageing = \"100s\""
		p := ports(10, "e1 e2", "")
		g := n.Add(head + vni(1000, more) + p)
		l := &listener{t: t, n: n, log: g.Events(), at: g.Events().Last()}
		if l.at != 946684800e6 { // in a bubble it is the year 2000
			t.Errorf("events are numbered from %d", l.at)
		}
		began := []string{
			"port_up vni 1000 port e1 state up", "port_up vni 1000 port e2 state up",
			"vtep_added vtep 192.0.2.2 origin static", "vtep_added vtep 192.0.2.3 origin static",
		}
		if got := slices.Sorted(slices.Values(l.hear())); !slices.Equal(got, began) {
			t.Errorf("of the start: %q", got)
		}

		n.Send("a.e1", fabric.ARP(fabric.H1, "10.1.1.1", "10.1.1.2"))
		l.hears(
			"mac_learned vni 1000 mac "+fabric.H1.String()+" port e1 origin learned",
			"neighbour_learned vni 1000 mac "+fabric.H1.String()+" address 10.1.1.1 port e1 by suppression",
		)
		n.Send("a.e1", fabric.Local(frame.Broadcast, fabric.H1))
		l.hears() // it is where it was

		n.Send("a.e2", fabric.Local(frame.Broadcast, fabric.H1))
		l.hears("mac_moved vni 1000 mac " + fabric.H1.String() + " port e2 from e1 origin learned")
		n.Inject("192.0.2.2", "a", 1000, fabric.Local(frame.Broadcast, fabric.H1))
		l.hears("mac_moved vni 1000 mac " + fabric.H1.String() + " vtep 192.0.2.2 from e2 origin learned")

		// The address at another MAC.
		n.Send("a.e2", fabric.ARP(fabric.H2, "10.1.1.1", "10.1.1.2"))
		l.hears(
			"mac_learned vni 1000 mac "+fabric.H2.String()+" port e2 origin learned",
			"neighbour_moved vni 1000 mac "+fabric.H2.String()+" address 10.1.1.1 port e2 from "+fabric.H1.String()+" by suppression",
		)

		g.Host.SetCarrier("e2", false)
		got := l.hear()
		down := slices.IndexFunc(got, func(s string) bool {
			return strings.HasPrefix(s, "port_down vni 1000 port e2 state down reason e2 has no carrier")
		})
		if gone := "mac_gone vni 1000 mac " + fabric.H2.String() + " cause flushed"; down < 0 || !slices.Contains(got, gone) {
			t.Errorf("of a lost carrier: %q", got)
		}
		g.Host.SetCarrier("e2", true)
		for range 5 {
			n.Tick() // the neighbour goes with its MAC, at the next sweep
		}
		l.hears("port_up vni 1000 port e2 state up", "neighbour_gone vni 1000 mac "+fabric.H2.String()+" address 10.1.1.1 by suppression")

		n.Advance(101)
		l.hears("mac_gone vni 1000 mac " + fabric.H1.String() + " cause aged")

		// One that is dropped.
		n.Inject("192.0.2.9", "a", 1000, fabric.Local(frame.Broadcast, fabric.RA))
		n.Advance(1)
		got = l.hear()
		if len(got) != 1 || !strings.HasPrefix(got[0], "drops reason vtep_not_allowed direction overlay frames 1 in all 1 mend: ") {
			t.Errorf("of a drop: %q", got)
		}

		n.Send("a.e1", fabric.Local(frame.Broadcast, fabric.H1))
		l.hear()
		apply(t, g, vni(2000, "")+ports(20, "e2", ""))
		want := []string{
			"mac_gone vni 1000 mac " + fabric.H1.String() + " cause flushed",
			"port_gone vni 1000 port e1",
			"reload changes: - vni 1000; + vni 2000; - port e1; ~ port e2; - vtep 192.0.2.2 in vni 1000; - vtep 192.0.2.3 in vni 1000",
		}
		l.hears(want...)
	})
}

// TestEventsOfAnySource holds that learned VTEPs and routed neighbours are told of, too.
func TestEventsOfAnySource(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		g := n.Add(head + vni(1000, "vrf = \"red\"\ngateway = [\"10.1.1.254/24\"]\ngroup = \"239.1.1.1\"") + ports(10, "e1", "") + "[[vrf]]\nname = \"red\"\n")
		l := &listener{t: t, n: n, log: g.Events()}
		l.at = l.log.Last()
		l.hear()
		n.Inject("192.0.2.7", "a", 1000, fabric.ARP(fabric.RA, "10.1.1.1", "10.1.1.254"))
		l.hears(
			"vtep_added vtep 192.0.2.7 origin learned",
			"mac_learned vni 1000 mac "+fabric.RA.String()+" vtep 192.0.2.7 origin learned",
			"neighbour_learned vni 1000 mac "+fabric.RA.String()+" address 10.1.1.1 vtep 192.0.2.7 by routing",
		)
		n.Inject("192.0.2.8", "a", 1000, fabric.Local(fabric.RA, fabric.RB))
		l.hears("vtep_added vtep 192.0.2.8 origin learned", "mac_learned vni 1000 mac "+fabric.RB.String()+" vtep 192.0.2.8 origin learned")
		for range 80 {
			n.Advance(100)
			n.Inject("192.0.2.7", "a", 1000, fabric.ARP(fabric.RA, "10.1.1.1", "10.1.1.254"))
		}
		var gone []string
		for _, line := range l.hear() {
			if strings.HasPrefix(line, "mac_") || strings.HasPrefix(line, "vtep_") {
				gone = append(gone, line)
			}
		}
		if want := []string{"mac_gone vni 1000 mac " + fabric.RB.String() + " cause aged", "vtep_gone vtep 192.0.2.8"}; !slices.Equal(gone, want) {
			t.Errorf("of two hours: %q, want %q", gone, want)
		}
	})
}

// TestStationsFollowEvents holds that who keeps what events say knows what is in the
// table, whatever happened.
func TestStationsFollowEvents(t *testing.T) {
	fabric.Test(t, func(n *fabric.Net) {
		with := vni(1000, toBC+"\nageing = \"5s\"") + vni(2000, toB) + ports(10, "e1 e2", "") + ports(20, "e3", "mac_limit = 3")
		g := n.Add(head + with)
		l := &listener{t: t, n: n, log: g.Events()}
		known := map[string]string{}
		follow := func() {
			t.Helper()
			for _, line := range l.hear() {
				w := strings.Fields(line)
				switch w[0] {
				case "mac_learned", "mac_moved":
					known[w[2]+" "+w[4]] = w[6]
				case "mac_gone":
					delete(known, w[2]+" "+w[4])
				}
			}
			is := map[string]string{}
			for r := range g.MACs(0) {
				is[strings.Join([]string{vniText(r.VNI), r.MAC}, " ")] = r.Port + r.VTEP
			}
			if !maps.Equal(known, is) {
				t.Fatalf("events say %v, the table has %v", known, is)
			}
		}
		l.at = l.log.Last()
		for i := range 40 {
			m := frame.MAC{2, 0, 0, 0, 9, byte(i % 7)}
			switch i % 8 {
			case 0, 3:
				n.Send("a.e1", fabric.Local(frame.Broadcast, m))
			case 1:
				n.Send("a.e2", fabric.Local(frame.Broadcast, m))
			case 2, 5:
				n.Inject("192.0.2.2", "a", 1000, fabric.Local(frame.Broadcast, m))
			case 4:
				n.Send("a.e3", fabric.Local(frame.Broadcast, m))
			case 6:
				g.Host.Flap("e1")
			case 7:
				n.Advance(3)
			}
			follow()
		}
		apply(t, g, vni(1000, toB)+ports(10, "e2", ""))
		follow()
		n.Advance(100)
		follow()
	})
}

func vniText(n uint32) string {
	if n == 1000 {
		return "1000"
	}
	return "2000"
}
