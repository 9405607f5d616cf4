package fabric

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	underlay "vxgw/l3/underlay/mem"
)

// A frame from the overlay never goes back there (RFC 7432 section 12 by
// analogy; RFC 7348 is silent).
func TestSplitHorizon(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		n.Inject("192.0.2.3", "a", 1000, Local(frame.Broadcast, RB)).Is("a.e1 a.e2")
		for _, dst := range []frame.MAC{frame.Broadcast, Nobody, MAC("01:00:5e:00:00:fb")} {
			for range 10 {
				n.Inject("192.0.2.2", "a", 1000, Local(dst, RA)).Is("a.e1 a.e2")
			}
		}
		n.Inject("192.0.2.2", "a", 1000, Local(RB, RA)).Is("a!overlay:split_horizon")
		n.Inject("192.0.2.2", "a", 1000, Local(RA, RA)).Is("a!overlay:split_horizon")
	})
}

func TestSplitHorizonWithAGroup(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b c", `group = "239.1.1.1"`), ports(10, "e1")))
		n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, RA)).Is("a.e1")
	})
}

func TestHairpin(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is(flood)
		n.Send("a.e1", Local(H1, H2)).Is("a!access:same_port")
		n.Send("a.e1", Local(H1, H1)).Is("a!access:same_port")
	})
}

func TestLocalSwitching(t *testing.T) {
	Test(t, func(n *Net) {
		mesh(n)
		n.Send("a.e1", Local(frame.Broadcast, H1))
		n.Send("a.e2", Local(H1, H2)).Is("a.e1")
		n.Send("a.e1", Local(H2, H1)).Is("a.e2")
	})
}

// VTEPs writes addresses 198.18.0.1 and following.
func manyVTEPs(k int) string {
	var b strings.Builder
	for i := range k {
		fmt.Fprintf(&b, " 198.18.%d.%d", (i+1)/256, (i+1)%256)
	}
	return b.String()
}

// Head-end replication: one copy each, all with the same inner bytes and
// source port, whatever becomes of one of them.
func TestManyVTEPs(t *testing.T) {
	for _, k := range []int{10, 256, 1000} {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			Test(t, func(n *Net) {
				n.Add(conf("a", vni(1000, manyVTEPs(k)), ports(10, "e1 e2")))
				all := make([]string, k)
				for i, a := range strings.Fields(manyVTEPs(k)) {
					all[i] = "a>" + a
				}
				r := n.Send("a.e1", UDP(frame.Broadcast, H1, 100)).Is("a.e2 " + strings.Join(all, " "))
				for _, w := range r.Wires {
					if w.FromPort != r.Wires[0].FromPort || !bytes.Equal(w.Payload, r.Wires[0].Payload) {
						t.Fatalf("copies differ: %+v and %+v", r.Wires[0], w)
					}
				}
				blocked := k / 2
				n.Fabric.Fail(netip.MustParseAddr(all[blocked][2:]), frame.Failed, unix.EAGAIN)
				others := append(append([]string{}, all[:blocked]...), all[blocked+1:]...)
				n.Send("a.e1", UDP(frame.Broadcast, H1, 100)).Is("a.e2 a!access:tx_failed " + strings.Join(others, " "))
			})
		})
	}
}

// What an edge did not take is counted, under what the edge said. A VTEP has no
// port that could be down.
func TestSendFailures(t *testing.T) {
	tests := []struct {
		status   frame.Status
		underlay string
		port     string
	}{
		{frame.Failed, "tx_failed", "tx_failed"},
		{frame.TooBig, "too_big", "too_big"},
		{frame.Down, "tx_failed", "port_down"},
		{frame.Refused, "tx_failed", "tx_failed"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s, %s", tt.underlay, tt.port), func(t *testing.T) {
			Test(t, func(n *Net) {
				a := alone(n)
				b := netip.MustParseAddr("192.0.2.2")
				teach(n)
				n.Fabric.Fail(b, tt.status, unix.ENOBUFS)
				n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>192.0.2.3 a!access:" + tt.underlay)
				n.Send("a.e1", Local(RA, H1)).Is("a!access:" + tt.underlay)
				n.Fabric.Fail(b, frame.Sent, nil)
				n.Send("a.e1", Local(RA, H1)).Is(toB)

				a.Cable("e2").SetVerdict(func(frame.Out) frame.Status { return tt.status })
				n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a>192.0.2.2 a>192.0.2.3 a!access:" + tt.port)
				n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, RA)).Is("a.e1 a!overlay:" + tt.port)
				a.Cable("e2").SetVerdict(nil)
				n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, RA)).Is("a.e1 a.e2")
			})
		})
	}
}

// One bad destination in a batch does not harm the others.
func TestSendFailuresInABatch(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		n.Send("a.e2", Local(frame.Broadcast, H2))
		count := 0
		a.Cable("e2").SetVerdict(func(frame.Out) frame.Status {
			if count++; count%3 == 0 {
				return frame.Failed
			}
			return frame.Sent
		})
		frames := make([][]byte, 300)
		for i := range frames {
			frames[i] = Local(H2, H1)
		}
		n.Burst("a.e1", frames...).Is("a.e2~*200 a!access:tx_failed*100")
	})
}

// hold keeps whoever sends to a port from going on until it is let go.
func hold(g *Gateway, port string) (letGo func()) {
	gate := make(chan struct{})
	g.Cable(port).SetVerdict(func(frame.Out) frame.Status {
		<-gate
		return frame.Sent
	})
	// Whoever that woke must wait again before the port's lock is kept: a
	// goroutine that waits for a lock is not idle, and Settle would not return.
	g.net.Settle()
	return func() { close(gate) }
}

// More frames than a port holds while its worker is busy are lost, and counted.
func TestPortOverflow(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		n.Send("a.e2", Local(frame.Broadcast, H2))
		r := n.begin(Local(H2, H1))
		letGo := hold(a, "e2")
		a.put("e1", portmem.Frame{Bytes: r.Sent})
		n.Settle()
		for range cableSize + 100 {
			a.put("e1", portmem.Frame{Bytes: r.Sent})
		}
		letGo()
		r.end()
		// One more came in than fits on the way out.
		r.Is(fmt.Sprintf("a.e2*%d a!access:tx_failed a!access:rx_overflow*100", cableSize))
	})
}

func TestUnderlayOverflow(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		n.Send("a.e1", Local(frame.Broadcast, H1))
		r := n.begin(Local(H1, RA))
		letGo := hold(a, "e1")
		inject := func() {
			n.injecting.Store(1)
			n.Fabric.Inject(underlay.Wire{From: netip.MustParseAddr("192.0.2.2"), To: a.Addr(), Payload: append(Header(1000), r.Sent...)})
		}
		inject()
		n.Settle()
		for range underlay.DefaultDepth + 50 {
			inject()
		}
		letGo()
		r.end()
		r.Is(fmt.Sprintf("a.e1*%d a!overlay:tx_failed a!overlay:rx_overflow*50", cableSize))
	})
}
