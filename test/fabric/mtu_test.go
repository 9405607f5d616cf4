package fabric

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay/path"
	"vxgw/test/packet"
)

var addrB = netip.MustParseAddr("192.0.2.2")

// narrow is a gateway whose path to b carries 1500 bytes: 1464 of inner frame.
func narrow(n *Net, more ...string) *Gateway {
	text := conf("a", append([]string{vni(1000, "b"), ports(10, "e1")}, more...)...)
	return n.AddOn(text, func(h *Host) { h.SetPath(addrB, 1500) })
}

// setDF clears or sets DF, with the header checksum brought along.
func setDF(f []byte, df bool) []byte {
	f = bytes.Clone(f)
	f[20], f[24], f[25] = 0, 0, 0
	if df {
		f[20] = 0x40
	}
	binary.BigEndian.PutUint16(f[24:], ^uint16(ip.Sum(f[14:34], 0)))
	return f
}

// RFC 7348 section 4.3: VTEPs must not fragment. What does not fit is dropped,
// and the sender told where it can be.
func TestTooBigForThePath(t *testing.T) {
	Test(t, func(n *Net) {
		a := narrow(n)
		teach(n)
		const fits = 1450 - 28 // of UDP payload
		n.Send("a.e1", UDP(RA, H1, fits)).Is(toB)
		n.Send("a.e1", UDP6(RA, H1, fits-20)).Is(toB)
		n.Send("a.e1", setDF(UDP(RA, H1, fits+1), false)).Is("a!access:too_big")
		n.Send("a.e1", Typed(RA, H1, 0x88b5, make([]byte, 1451))).Is("a!access:too_big")
		n.Send("a.e1", UDP(RA, H1, fits+1)).Is("a!access:too_big a.e1~")
		n.Send("a.e1", UDP6(RA, H1, fits-20+1)).Is("a!access:too_big a.e1~")
		// Unknown: the same, for nobody can be sent to.
		n.Send("a.e1", UDP(Nobody, H1, fits+1)).Is("a!access:too_big a.e1~")
		n.Send("a.e1", UDP(frame.Broadcast, H1, fits+1)).Is("a!access:too_big")
		if !strings.Contains(a.Log(), "1550") {
			t.Errorf("the log does not name the MTU to set:\n%s", a.Log())
		}
		if row := a.VTEPs()[0]; row.MTU != 1450 {
			t.Errorf("`show vteps` has MTU %d, want 1450", row.MTU)
		}
	})
}

func TestTooBigAnswerIPv4(t *testing.T) {
	Test(t, func(n *Net) {
		narrow(n)
		teach(n)
		big := UDP(RA, H1, 1472)
		got := n.Send("a.e1", big).Is("a!access:too_big a.e1~").Frame("a.e1")
		// RFC 1191 section 4, RFC 1812 section 4.3.2.3: from whom it was sent
		// to, 576 bytes in all, the next-hop MTU in the last 16 bits of the
		// second word, and the packet that was too big.
		want := []byte{
			2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 2, 0x0a, 8, 0,
			0x45, 0xc0, 0x02, 0x40, 0, 0, 0x40, 0, 255, 1, 0, 0, 10, 1, 1, 20, 10, 1, 1, 10,
			3, 4, 0, 0, 0, 0, 0x05, 0xaa,
		}
		want = append(want, big[14:14+576-28]...)
		binary.BigEndian.PutUint16(want[24:], ^uint16(ip.Sum(want[14:34], 0)))
		binary.BigEndian.PutUint16(want[36:], ^uint16(ip.Sum(want[34:], 0)))
		if !bytes.Equal(got, want) {
			t.Errorf("answer\n% x\nwant\n% x", got, want)
		}
	})
}

func TestTooBigAnswerIPv6(t *testing.T) {
	Test(t, func(n *Net) {
		narrow(n)
		teach(n)
		big := UDP6(RA, H1, 1452)
		got := n.Send("a.e1", big).Is("a!access:too_big a.e1~").Frame("a.e1")
		// RFC 4443 section 3.2: 1280 bytes at most, the MTU in 32 bits.
		want := []byte{2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 2, 0x0a, 0x86, 0xdd, 0x6c, 0, 0, 0, 0x04, 0xd8, 58, 255}
		want = append(want, big[38:54]...)
		want = append(want, big[22:38]...)
		want = append(want, 2, 0, 0, 0, 0, 0, 0x05, 0xaa)
		want = append(want, big[14:14+1280-48]...)
		pseudo := append(bytes.Clone(want[22:54]), 0, 0, 0x04, 0xd8, 0, 0, 0, 58)
		binary.BigEndian.PutUint16(want[56:], ^uint16(ip.Sum(append(pseudo, want[54:]...), 0)))
		if !bytes.Equal(got, want) {
			t.Errorf("answer\n% x\nwant\n% x", got, want)
		}
	})
}

// The answers are limited to a hundred a second; the drops are all counted.
func TestTooBigAnswersAreLimited(t *testing.T) {
	Test(t, func(n *Net) {
		narrow(n)
		teach(n)
		big := UDP(RA, H1, 1472)
		n.Times(120, "a.e1", big).Is("a!access:too_big*120 a.e1~*100")
		n.Advance(1)
		n.Times(120, "a.e1", big).Is("a!access:too_big*120 a.e1~*100")
	})
}

// One narrow path among several: the others get their copies.
func TestTooBigForOneOfTwo(t *testing.T) {
	Test(t, func(n *Net) {
		n.AddOn(conf("a", vni(1000, "b c"), ports(10, "e1 e2")), func(h *Host) { h.SetPath(addrB, 1500) })
		n.Send("a.e1", UDP(frame.Broadcast, H1, 1472)).Is("a.e2 a>192.0.2.3 a!access:too_big")
		n.Send("a.e1", UDP(frame.Broadcast, H1, 1400)).Is("a.e2 a>192.0.2.2 a>192.0.2.3")
	})
}

// A path that becomes narrow, and wide again.
func TestPathChanges(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		teach(n)
		big := UDP(RA, H1, 1472)
		n.Send("a.e1", big).Is(toB)
		a.Host.SetPath(addrB, 1549)
		n.Tick()
		n.Send("a.e1", big).Is("a!access:too_big a.e1~")
		a.Host.SetPath(addrB, 1550)
		n.Tick()
		n.Send("a.e1", big).Is(toB)
		// A path that is not known is tried.
		a.Host.SetUnreachable(addrB, true)
		n.Tick()
		n.Send("a.e1", big).Is(toB)
	})
}

// A VTEP that was never configured has a path too.
func TestPathToALearnedVTEP(t *testing.T) {
	Test(t, func(n *Net) {
		n.AddOn(conf("a", vni(1000, ""), ports(10, "e1")), func(h *Host) { h.SetPath(netip.MustParseAddr("192.0.2.99"), 1500) })
		n.Inject("192.0.2.99", "a", 1000, Local(frame.Broadcast, RA)).Is("a.e1")
		n.Tick()
		n.Send("a.e1", UDP(RA, H1, 1472)).Is("a!access:too_big a.e1~")
		n.Send("a.e1", UDP(RA, H1, 1422)).Is("a>192.0.2.99")
	})
}

// Over IPv6 encapsulation costs 20 bytes more.
func TestIPv6Underlay(t *testing.T) {
	text := func(name, own, peer string) string {
		return fmt.Sprintf("[gateway]\nname = %q\n[underlay]\naddress = %q\n", name, own) + vni(1000, peer) + ports(10, "e1 e2")
	}
	Test(t, func(n *Net) {
		peer := netip.MustParseAddr("2001:db8::2")
		n.AddOn(text("a", "2001:db8::1", "2001:db8::2"), func(h *Host) { h.SetPath(peer, 1500) })
		n.Add(text("b", "2001:db8::2", "2001:db8::1"))
		for _, f := range [][]byte{ARP(H1, "10.1.1.10", "10.1.1.20"), UDP(frame.Broadcast, H1, 10), UDP6(frame.Broadcast, H1, 10)} {
			n.Send("a.e1", f).Is("a.e2 a>b b.e1 b.e2")
		}
		n.Send("b.e1", Local(H1, H2)).Is("b>a a.e1")
		n.Send("a.e1", UDP(H2, H1, 1430-28)).Is("a>b b.e1")
		got := n.Send("a.e1", UDP(H2, H1, 1431-28)).Is("a!access:too_big a.e1~").Frame("a.e1")
		if mtu := int(got[40])<<8 | int(got[41]); mtu != 1430 {
			t.Errorf("told MTU %d, want 1430", mtu)
		}
	})
}

// What is too long for an access port is lost there, and counted.
func TestTooBigForAPort(t *testing.T) {
	Test(t, func(n *Net) {
		a, _, _ := mesh(n)
		n.Send("a.e1", Local(frame.Broadcast, H1))
		a.Host.EditLink("e1", func(l *path.Link) { l.MTU = 1000 })
		n.Send("b.e1", setDF(UDP(H1, H2, 972), true)).Is("b>a a.e1")
		n.Send("b.e1", setDF(UDP(H1, H2, 973), true)).Is("b>a a!overlay:too_big")
		n.Send("a.e2", setDF(UDP(H1, H3, 973), true)).Is("a!access:too_big")
	})
}

// A jumbo frame goes from end to end where everything is wide.
func TestJumboFrames(t *testing.T) {
	Test(t, func(n *Net) {
		a, b, _ := mesh(n)
		for _, g := range []*Gateway{a, b} {
			g.Host.SetPath(addrB, 9100)
			g.Host.EditLink("e1", func(l *path.Link) { l.MTU = 9000 })
		}
		n.Send("b.e1", Local(frame.Broadcast, H2))
		n.Tick()
		n.Send("a.e1", packet.UDP(H2, H1, rogueUDP, ownUDP, make([]byte, 8972))).Is("a>b b.e1")
	})
}
