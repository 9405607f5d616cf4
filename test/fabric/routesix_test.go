package fabric

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/ip"
	"vxgw/l3/underlay/path"
	"vxgw/test/packet"
)

// The gateway's IPv6 addresses. The link-local one is of its MAC (RFC 4291 appendix A).
var (
	gw1six  = netip.MustParseAddr("2001:db8:1::1")
	gw2six  = netip.MustParseAddr("2001:db8:2::1")
	gwLink  = netip.MustParseAddr("fe80::200:5eff:fe00:101")
	h1Link  = netip.MustParseAddr("fe80::10")
	someSix = netip.MustParseAddr("2001:db8:2::40")
	someMAC = MAC("02:00:00:00:03:28")
)

// inTwo is where a flood into VNI 2000 goes.
const inTwo = "a.e3~ a>192.0.2.2~ a>192.0.2.3~"

// advertised is what the gateway answers to a solicitation for an address of its: it
// routes (R), was asked (S) and is sure (O).
func advertised(addr netip.Addr, dst frame.MAC, to netip.Addr) []byte {
	na := packet.Advertise(GW, addr, dst, to)
	na.Flags |= packet.FlagRouter
	return control(na)
}

// announced is what it tells everybody (RFC 4861 section 7.2.6).
func announced(addr netip.Addr) []byte {
	na := packet.Announce(GW, addr)
	na.Flags |= packet.FlagRouter
	return control(na)
}

// control is a message as the gateway sends it: in class CS6, like what routers say
// among themselves (RFC 4594 section 3.2).
func control(m packet.ND) []byte {
	f := m.Frame()
	f[14], f[15] = 0x6c, 0
	return f
}

// Who asks for an address of the gateway's is told, and only who may ask (RFC 4861
// section 7.1.1).
func TestGatewayIsSolicited(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		for _, addr := range []netip.Addr{gw1six, gwLink} {
			n.Send("a.e1", packet.Solicit(H1, r1six, addr).Frame()).Is("a.e1~").carries("a.e1", advertised(addr, H1, r1six))
		}
		// One that is sure already asks the gateway alone (section 7.3.3).
		alone := packet.Solicit(H1, r1six, gw1six)
		alone.DstMAC, alone.Dst = GW, gw1six
		n.Send("a.e1", alone.Frame()).Is("a.e1~").carries("a.e1", advertised(gw1six, H1, r1six))
		n.Inject("192.0.2.2", "a", 2000, packet.Solicit(RA, someSix, gw2six).Frame()).Is("a>192.0.2.2~").encapsulates(2000, advertised(gw2six, RA, someSix))

		bad := packet.Solicit(H1, r1six, gw1six)
		bad.HopLimit = 254 // it has passed a router
		n.Send("a.e1", bad.Frame()).Is("a.e2 a>192.0.2.2")
		bad = packet.Solicit(H1, r1six, gw1six)
		bad.BadChecksum = true
		n.Send("a.e1", bad.Frame()).Is("a.e2 a>192.0.2.2")
	})
}

// A host that wants the gateway's address for itself hears that it is taken, and so
// does everybody: the host has no address to be told at (RFC 4861 section 7.2.4).
func TestGatewayAddressIsDetected(t *testing.T) {
	Test(t, func(n *Net) {
		g := routed(n)
		for _, addr := range []netip.Addr{gw1six, gwLink} {
			want := announced(addr)
			r := n.Send("a.e2", packet.Detect(H2, addr).Frame()).Is("a.e1~ a.e2~ a>192.0.2.2~")
			r.carries("a.e2", want)
			r.carries("a.e1", want)
			r.encapsulates(1000, want)
		}
		for _, row := range g.Neighbours() {
			if row.Address == "::" || row.Address == gw1six.String() {
				t.Errorf("neighbour %+v", row)
			}
		}
		// What others want is theirs to defend.
		n.Send("a.e2", packet.Detect(H2, r1six).Frame()).Is("a.e1 a>192.0.2.2")
	})
}

// Who is not known is solicited, and what waits is sent when he advertises himself.
func TestResolvedSix(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		ask := control(packet.Solicit(GW, gw2six, someSix))
		var sent [][]byte
		for i := range 4 {
			sent = append(sent, datagram(H1, r1six, someSix, i))
		}
		first := n.Send("a.e1", sent[0]).Is(inTwo)
		first.carries("a.e3", ask)
		for i, w := range first.Wires {
			if !bytes.Equal(w.Payload, append(Header(2000), ask...)) {
				t.Errorf("datagram %d has\n% x, want\n% x", i, w.Payload[headerLen:], ask)
			}
		}
		n.Send("a.e1", sent[1]).Is("")
		n.Send("a.e1", sent[2]).Is("")
		n.Send("a.e1", sent[3]).Is("a!route:neighbour_unresolved")

		forged := packet.Advertise(RA, someSix, GW, gw2six)
		forged.HopLimit = 254 // from another link
		n.Inject("192.0.2.2", "a", 2000, forged.Frame()).Is("a!route:not_served")
		r := n.Inject("192.0.2.2", "a", 2000, packet.Advertise(someMAC, someSix, GW, gw2six).Frame()).Is("a>192.0.2.2~*3")
		for i, w := range r.Wires {
			if want := append(Header(2000), onward(sent[i+1], someMAC)...); !bytes.Equal(w.Payload, want) {
				t.Errorf("datagram %d has\n% x, want\n% x", i, w.Payload, want)
			}
		}
		f := datagram(H1, r1six, someSix, 9)
		n.Send("a.e1", f).Is("a>192.0.2.2~").encapsulates(2000, onward(f, someMAC))
	})
}

// error6 is an ICMPv6 error as RFC 4443 section 2.1 has it: the packet as it came in,
// as much of it as the least MTU has room for, and a checksum over the pseudo-header.
func error6(f []byte, from netip.Addr, typ, code uint8, rest uint32) []byte {
	const least = 1280
	quote := f[14:min(len(f), 14+least-40-8)]
	m := binary.BigEndian.AppendUint32([]byte{typ, code, 0, 0}, rest)
	m = append(m, quote...)
	to := ip.IPv6(f[14:]).Src()
	binary.BigEndian.PutUint16(m[2:], ^ip.Sum(m, ip.PseudoIPv6(from.As16(), to.As16(), ip.ProtoICMPv6, len(m))))
	b := []byte{0x6c, 0, 0, 0, 0, 0, ip.ProtoICMPv6, 255} // CS6, see control
	binary.BigEndian.PutUint16(b[4:], uint16(len(m)))
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	return packet.Ethernet(frame.Frame(f).Src(), frame.Frame(f).Dst(), frame.TypeIPv6, append(b, m...))
}

// What goes no further is counted, and its sender told, byte for byte.
func TestRouteErrorsSix(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		outside := netip.MustParseAddr("2001:db8:ffff::1")
		hops := func(f []byte, k byte) []byte { f[14+7] = k; return f }
		for _, tt := range []struct {
			name      string
			f         []byte
			reason    string
			from      netip.Addr
			typ, code uint8
		}{
			{"hop limit 1", hops(datagram(H1, r1six, r3six, 40), 1), "ttl_expired", gw1six, 3, 0},
			{"hop limit 0", hops(datagram(H1, r1six, r3six, 40), 0), "ttl_expired", gw1six, 3, 0},
			{"hop limit 1, longer than what is quoted", hops(datagram(H1, r1six, r3six, 1400), 1), "ttl_expired", gw1six, 3, 0},
			{"no route", datagram(H1, r1six, outside, 40), "no_route", gw1six, 1, 0},
			{"a link-local source leaves its link", datagram(H1, h1Link, r3six, 40), "martian", neigh.LinkLocal(GW), 1, 2},
			{"traceroute to the gateway", datagram(H1, r1six, gw1six, 40), "not_served", gw1six, 1, 4},
			{"traceroute to it on another link", datagram(H1, r1six, gw2six, 40), "not_served", gw2six, 1, 4},
		} {
			r := n.Send("a.e1", tt.f).Is("a.e1~ a!route:" + tt.reason)
			if got, want := r.Frame("a.e1"), error6(tt.f, tt.from, tt.typ, tt.code, 0); !bytes.Equal(got, want) {
				t.Errorf("%s: told\n%s\nwant\n%s", tt.name, hex.Dump(got), hex.Dump(want))
			}
		}
		// No error answers an error (RFC 4443 section 2.4 (e.1)).
		told := error6(datagram(GW, outside, r1six, 40), r1six, 1, 0, 0)
		copy(told, GW[:])
		copy(told[6:], H1[:])
		n.Send("a.e1", told).Is("a!route:no_route")

		// By the overlay, back into it.
		f := datagram(RA, someSix, outside, 40)
		n.Inject("192.0.2.2", "a", 2000, f).Is("a>192.0.2.2~ a!route:no_route").encapsulates(2000, error6(f, gw2six, 1, 0, 0))
	})
}

// Who never advertises himself is asked three times, a second apart, and then the
// senders are told that the address is unreachable (RFC 4861 section 7.2.2).
func TestUnresolvedSix(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		f := datagram(H1, r1six, someSix, 40)
		n.Send("a.e1", f).Is(inTwo)
		for range 2 {
			n.second().Is(inTwo)
		}
		n.second().Is("a.e1~ a!route:neighbour_unresolved").carries("a.e1", error6(f, gw1six, 1, 3, 0))
		n.Send("a.e1", f).Is("a!route:neighbour_unresolved")
	})
}

// No router cuts an IPv6 packet: its sender is told what fits, and never less than
// what every link carries (RFC 8201, RFC 8200 section 5).
func TestRoutedTooBigSix(t *testing.T) {
	Test(t, func(n *Net) {
		g := routed(n)
		n.Inject("192.0.2.2", "a", 2000, packet.Solicit(RA, someSix, gw2six).Frame()).Is("a>192.0.2.2~")
		g.Host.SetPath(netip.MustParseAddr("192.0.2.2"), 1450) // frames of 1414, packets of 1400 bytes
		n.Settle()
		fits, long := datagram(H1, r1six, someSix, 1400-48), datagram(H1, r1six, someSix, 1401-48)
		n.Send("a.e1", fits).Is("a>192.0.2.2~").encapsulates(2000, onward(fits, RA))
		n.Send("a.e1", long).Is("a.e1~ a!route:too_big").carries("a.e1", error6(long, gw1six, 2, 0, 1400))

		g.Host.EditLink("e3", func(l *path.Link) { l.MTU = 1000 })
		n.Settle()
		long = datagram(H1, r1six, r3six, 1000)
		n.Send("a.e1", long).Is("a.e1~ a!route:too_big").carries("a.e1", error6(long, gw1six, 2, 0, 1280))
	})
}

// Hosts ping their gateway, by its global addresses and by the one of the link.
func TestEchoSix(t *testing.T) {
	Test(t, func(n *Net) {
		routed(n)
		for _, tt := range []struct{ from, to netip.Addr }{{r1six, gw1six}, {r1six, gw2six}, {h1Link, gwLink}, {r1six, gwLink}, {h1Link, gw1six}} {
			n.Send("a.e1", ping6(GW, H1, tt.from, tt.to, 128, 3)).Is("a.e1~").carries("a.e1", ping6(H1, GW, tt.to, tt.from, 129, 64))
		}
		n.Inject("192.0.2.2", "a", 2000, ping6(GW, RA, someSix, gwLink, 128, 1)).Is("a>192.0.2.2~").encapsulates(2000, ping6(RA, GW, gwLink, someSix, 129, 64))

		damaged := ping6(GW, H1, r1six, gw1six, 128, 3)
		damaged[len(damaged)-1] ^= 1
		n.Send("a.e1", damaged).Is("a!route:not_served")
		n.Send("a.e1", ping6(GW, H1, h1Link, netip.MustParseAddr("fe80::99"), 128, 3)).Is("a!route:martian") // nobody's here, and no other link's
	})
}

// ping6 is an echo request (128) or its reply (129).
func ping6(dst, src frame.MAC, from, to netip.Addr, typ, hops uint8) []byte {
	m := append([]byte{typ, 0, 0, 0, 0x12, 0x34, 0, 7}, "the payload comes back as it was"...)
	binary.BigEndian.PutUint16(m[2:], ^ip.Sum(m, ip.PseudoIPv6(from.As16(), to.As16(), ip.ProtoICMPv6, len(m))))
	b := []byte{0x60, 0, 0, 0, 0, byte(len(m)), ip.ProtoICMPv6, hops}
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	return packet.Ethernet(dst, src, frame.TypeIPv6, append(b, m...))
}
