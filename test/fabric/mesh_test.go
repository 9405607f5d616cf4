package fabric

import (
	"testing"

	"vxgw/l2/frame"
)

func TestMesh(t *testing.T) {
	Test(t, func(n *Net) {
		mesh(n)
		// H1 at a asks for H2 at b: everybody in the VNI hears it, once.
		request := ARP(H1, "10.1.1.10", "10.1.1.20")
		n.Send("a.e1", request).Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
		// H2 answers: only the asker hears that.
		n.Send("b.e2", Local(H1, H2)).Is("b>a a.e1")
		n.Send("a.e1", UDP(H2, H1, 100)).Is("a>b b.e2")
		n.Send("b.e2", UDP(H1, H2, 1400)).Is("b>a a.e1")
		// c heard H1, and never H2.
		n.Send("c.e1", Local(H1, H3)).Is("c>a a.e1")
		// What it floods for want of knowledge, a keeps from going on to b.
		n.Send("c.e1", Local(H2, H3)).Is("c.e2 c>a a!overlay:split_horizon c>b b.e2")
	})
}

func TestFlood(t *testing.T) {
	Test(t, func(n *Net) {
		mesh(n)
		n.Times(10, "a.e1", Local(frame.Broadcast, H1)).
			Is("a.e2*10 a>b*10 a>c*10 b.e1*10 b.e2*10 c.e1*10 c.e2*10")
		n.Times(10, "a.e3", Local(frame.Broadcast, H1)).
			Is("a>b*10 a>c*10 b.e3*10 c.e3*10")
	})
}
