package fabric

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"vxgw/l2/frame"
)

// keepPathMTU is for how many seconds a router is believed (RFC 1191 section
// 6.3).
const keepPathMTU = 600

// A router on the way says that it carries less than the route does: what does
// not fit is refused at once, and the sender told; ten minutes later it is
// tried again.
func TestRouterSaysTooBig(t *testing.T) {
	Test(t, func(n *Net) {
		a := narrow(n) // the route carries 1500
		teach(n)
		said := func(mtu int) {
			a.Options().OnTooBig(addrB, mtu)
			n.Settle()
		}
		carries := func(inner int) {
			t.Helper()
			n.Send("a.e1", UDP(RA, H1, inner-28)).Is(toB)
			got := n.Send("a.e1", UDP(RA, H1, inner-28+1)).Is("a!access:too_big a.e1~").Frame("a.e1")
			if mtu := int(got[40])<<8 | int(got[41]); mtu != inner {
				t.Errorf("told MTU %d, want %d", mtu, inner)
			}
			if row := a.VTEPs()[0]; row.MTU != inner {
				t.Errorf("`show vteps` has MTU %d, want %d", row.MTU, inner)
			}
		}
		carries(1450)
		said(1400)
		carries(1350)
		said(1400) // said of what was under way
		said(1480) // never more
		carries(1350)
		if got := strings.Count(a.Log(), "a router on the way said so"); got != 1 {
			t.Errorf("told of %d times:\n%s", got, a.Log())
		}
		if want := "path to VTEP 192.0.2.2 carries only 1400 bytes"; !strings.Contains(a.Log(), want) || !strings.Contains(a.Log(), "lower the hosts' to 1350") {
			t.Errorf("the log does not say %q, or not what to do:\n%s", want, a.Log())
		}
		// The narrower of both holds, whichever changes.
		a.Host.SetPath(addrB, 1300)
		n.Tick()
		carries(1250)
		a.Host.SetPath(addrB, 1500)
		n.Tick()
		carries(1350)
		said(1200)
		carries(1150)
		n.Advance(keepPathMTU - 1)
		n.Send("a.e1", UDP(RA, H1, 1151-28)).Is("a!access:too_big a.e1~")
		n.Advance(1)
		carries(1450)
		if got := strings.Count(a.Log(), "has expired"); got != 1 {
			t.Errorf("told %d times that it expired:\n%s", got, a.Log())
		}
	})
}

// A word of a path that is not known, and one of a VTEP that was learned.
func TestRouterSaysTooBigOfAnyVTEP(t *testing.T) {
	Test(t, func(n *Net) {
		far := netip.MustParseAddr("192.0.2.99")
		a := n.AddOn(conf("a", vni(1000, "b"), vni(2000, ""), ports(10, "e1"), ports(20, "e2")), func(h *Host) { h.SetPath(addrB, 0) })
		say := func(to netip.Addr) {
			a.Options().OnTooBig(to, 1400)
			n.Settle()
		}
		n.Send("a.e1", UDP(frame.Broadcast, H1, 1472)).Is("a>192.0.2.2")
		say(addrB)
		n.Send("a.e1", UDP(frame.Broadcast, H1, 1472)).Is("a!access:too_big")
		// One that nobody has heard of is not remembered.
		say(far)
		if strings.Contains(a.Log(), far.String()) {
			t.Errorf("tells of a VTEP that there is not:\n%s", a.Log())
		}
		n.Inject(far.String(), "a", 2000, Local(frame.Broadcast, RA)).Is("a.e2")
		n.Tick()
		n.Send("a.e2", UDP(RA, H1, 1472)).Is("a>192.0.2.99")
		say(far)
		n.Send("a.e2", UDP(RA, H1, 1472)).Is("a!access:too_big a.e2~")
		n.Send("a.e2", UDP(RA, H1, 1350-28)).Is("a>192.0.2.99")
	})
}

// An underlay that works with less says what it lacks.
func TestUnderlayLacks(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		for _, what := range []string{"no ear", "no arm"} {
			a.Options().Lacks(errors.New(what))
			if !strings.Contains(a.Log(), what) {
				t.Errorf("the log has nothing of %s:\n%s", what, a.Log())
			}
		}
		shown := func() bool {
			rows := a.Datapath()
			return strings.Contains(rows[len(rows)-1].Reason, "no ear")
		}
		if !shown() {
			t.Errorf("%+v", a.Datapath())
		}
		a.Host.RemoveAddr(a.Addr())
		n.Settle()
		a.Host.AddAddr(a.Addr(), Underlay)
		n.Settle()
		if shown() {
			t.Errorf("sockets that lack nothing: %+v", a.Datapath())
		}
	})
}
