package fabric

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	"vxgw/l3/ip"
	"vxgw/l3/underlay/path"
	"vxgw/test/packet"
)

var allNodes = netip.IPv6LinkLocalAllNodes()

// advertisingConf is routedConf where hosts are told of the gateway.
func advertisingConf(more ...string) string {
	return strings.ReplaceAll(routedConf(more...), "ra = false", "ra = true")
}

// router is a router advertisement (RFC 4861 section 4.2) byte for byte: to all nodes,
// from the gateway's link-local address.
func router(flags byte, lifetime uint16, mtu uint32, prefixes ...netip.Prefix) []byte {
	m := binary.BigEndian.AppendUint16([]byte{134, 0, 0, 0, 64, flags}, lifetime)
	m = append(m, make([]byte, 8)...) // reachable and retransmission times are the hosts' own
	m = append(m, packet.LinkLayer(packet.OptionSource, GW)...)
	if mtu > 0 {
		m = binary.BigEndian.AppendUint32(append(m, 5, 1, 0, 0), mtu)
	}
	for _, p := range prefixes {
		flags := byte(0x80) // on link
		if p.Bits() == 64 {
			flags |= 0x40 // hosts make addresses in it
		}
		m = append(m, 3, 4, byte(p.Bits()), flags)
		m = binary.BigEndian.AppendUint32(m, 30*24*3600)
		m = binary.BigEndian.AppendUint32(m, 7*24*3600)
		m = append(append(m, 0, 0, 0, 0), p.Addr().AsSlice()...)
	}
	binary.BigEndian.PutUint16(m[2:], ^ip.Sum(m, ip.PseudoIPv6(gwLink.As16(), allNodes.As16(), ip.ProtoICMPv6, len(m))))
	b := []byte{0x6c, 0, 0, 0, 0, 0, ip.ProtoICMPv6, 255}
	binary.BigEndian.PutUint16(b[4:], uint16(len(m)))
	b = append(append(b, gwLink.AsSlice()...), allNodes.AsSlice()...)
	return packet.Ethernet(packet.GroupMAC(allNodes), GW, frame.TypeIPv6, append(b, m...))
}

// advertisements returns those that came out at a place.
func (r *Result) advertisements(place string) (all [][]byte) {
	for _, f := range r.frames(place) {
		if isRA(f) {
			all = append(all, f)
		}
	}
	return all
}

// advertises checks that one advertisement came out at a place.
func (r *Result) advertises(place string, want []byte) {
	r.net.T.Helper()
	if got := r.advertisements(place); len(got) != 1 || !bytes.Equal(got[0], want) {
		r.net.T.Errorf("%s got %d advertisements, %s, want\n%s", place, len(got), hex.Dump(bytes.Join(got, nil)), hex.Dump(want))
	}
}

// started starts a gateway and returns what comes out of it at once.
func (n *Net) started(text string) (*Gateway, *Result) {
	g := n.Add(text)
	r := &Result{net: n, Frames: collect(n, g)}
	return g, r
}

// soliciting is a host's question for routers (RFC 4861 section 4.1).
func soliciting(src frame.MAC, from netip.Addr) []byte {
	m := []byte{133, 0, 0, 0, 0, 0, 0, 0}
	if !from.IsUnspecified() {
		m = append(m, packet.LinkLayer(packet.OptionSource, src)...)
	}
	group := netip.IPv6LinkLocalAllRouters()
	binary.BigEndian.PutUint16(m[2:], ^ip.Sum(m, ip.PseudoIPv6(from.As16(), group.As16(), ip.ProtoICMPv6, len(m))))
	b := []byte{0x60, 0, 0, 0, 0, byte(len(m)), ip.ProtoICMPv6, 255}
	b = append(append(b, from.AsSlice()...), group.AsSlice()...)
	return packet.Ethernet(packet.GroupMAC(group), src, frame.TypeIPv6, append(b, m...))
}

var (
	prefix1 = netip.MustParsePrefix("2001:db8:1::/64")
	prefix2 = netip.MustParsePrefix("2001:db8:2::/64")
)

// A router that comes up says so a few times, no more than 16 seconds apart, and then
// seldom (RFC 4861 section 6.2.4).
func TestAdvertisedAtTheStart(t *testing.T) {
	Test(t, func(n *Net) {
		_, r := n.started(advertisingConf())
		r.advertises("a.e1", router(0, 1800, 0, prefix1))
		r.advertises("a.e2", router(0, 1800, 0, prefix1))
		r.advertises("a.e3", router(0, 1800, 0, prefix2))
		if got := r.advertisements("a.e4"); len(got) != 0 { // it has no IPv6
			t.Errorf("e4 got % x", got)
		}
		var times []int
		for s := 1; s <= 700; s++ {
			r := n.second()
			if len(r.advertisements("a.e1")) == 0 {
				continue
			}
			times = append(times, s)
			r.advertises("a.e1", router(0, 1800, 0, prefix1))
			if w := r.wire(1000); !bytes.Equal(w, router(0, 1800, 0, prefix1)) {
				t.Errorf("VTEP b got\n%s", hex.Dump(w))
			}
		}
		if len(times) < 3 || times[0] > 16 || times[1]-times[0] > 16 || len(times) > 5 {
			t.Errorf("advertised after %v seconds", times)
		}
		for i := 2; i < len(times); i++ {
			if d := times[i] - times[i-1]; d < 200 || d > 600 {
				t.Errorf("advertised after %v seconds", times)
			}
		}
	})
}

// wire returns the advertisement that a VTEP got in a VNI, nil where there was none.
func (r *Result) wire(vni uint32) []byte {
	for _, w := range r.Wires {
		if bytes.HasPrefix(w.Payload, Header(vni)) && isRA(w.Payload[headerLen:]) {
			return w.Payload[headerLen:]
		}
	}
	return nil
}

// Hosts that ask are answered at once, all together, and no more than once in three
// seconds (RFC 4861 section 6.2.6). What they ask goes to other routers too.
func TestAdvertisedOnSolicitation(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(advertisingConf())
		settled(n)
		want := router(0, 1800, 0, prefix1)
		ask := soliciting(H1, h1Link)
		r := n.Send("a.e1", ask).Is("a.e1~ a.e2~*2 a>192.0.2.2~*2")
		r.advertises("a.e1", want)
		r.advertises("a.e2", want)
		n.Send("a.e2", soliciting(H2, netip.IPv6Unspecified())).Is("a.e1 a>192.0.2.2") // a moment later
		for s := 1; s < 3; s++ {
			if got := n.second().advertisements("a.e1"); len(got) != 0 {
				t.Errorf("advertised %d seconds after the last", s)
			}
		}
		n.second().advertises("a.e1", want) // what was asked in between
		for range 3 {
			n.second().Is("")
		}
		ex, err := n.Gateway("a").Explain(api.ExplainRequest{Port: "e1", Frame: hex.EncodeToString(ask)})
		if err != nil || !slices.ContainsFunc(ex.Steps, func(s api.Step) bool { return s.Question == "advertisement" }) {
			t.Errorf("explained as %+v, %v", ex, err)
		}
		r = n.Inject("192.0.2.2", "a", 1000, soliciting(RA, h1Link)).Is("a.e1~*2 a.e2~*2 a>192.0.2.2~")
		if w := r.wire(1000); !bytes.Equal(w, want) {
			t.Errorf("VTEP b got\n%s", hex.Dump(w))
		}
		n.second()
		n.second()
		n.second()
		for name, spoil := range map[string]func([]byte){
			"it has passed a router": func(f []byte) { f[14+7] = 254 },
			"a wrong checksum":       func(f []byte) { f[56] ^= 1 },
			"a code":                 func(f []byte) { f[55] = 1 },
		} {
			f := soliciting(H1, h1Link)
			spoil(f)
			if r := n.Send("a.e1", f); r.String() != "a.e2 a>192.0.2.2" {
				t.Errorf("%s: %s", name, r)
			}
		}
	})
}

// settled waits until the first advertisements, and introductions, are over.
func settled(n *Net) {
	for range 40 {
		n.second()
	}
}

// Where nothing is to be advertised nobody is answered.
func TestNotAdvertised(t *testing.T) {
	Test(t, func(n *Net) {
		_, r := n.started(routedConf())
		if got := r.advertisements("a.e1"); len(got) != 0 {
			t.Errorf("e1 got % x", got)
		}
		quiet(n)
		n.Send("a.e1", soliciting(H1, h1Link)).Is("a.e2 a>192.0.2.2")
	})
}

// A gateway that stops is no router any more, and hosts hear of it (RFC 4861 section
// 6.2.5).
func TestAdvertisedAtTheEnd(t *testing.T) {
	Test(t, func(n *Net) {
		g := n.Add(advertisingConf())
		settled(n)
		n.begin(nil)
		g.Stop()
		r := &Result{net: n, Frames: collect(n, g)}
		n.mu.Lock()
		r.Wires = n.wires
		n.mu.Unlock()
		r.advertises("a.e1", router(0, 0, 0, prefix1))
		r.advertises("a.e3", router(0, 0, 0, prefix2))
		if w := r.wire(2000); !bytes.Equal(w, router(0, 0, 0, prefix2)) {
			t.Errorf("VTEPs got\n%s", hex.Dump(w))
		}
	})
}

// collect takes what has come out of a gateway's ports.
func collect(n *Net, g *Gateway) map[string][]portmem.Frame {
	n.Settle()
	frames := make(map[string][]portmem.Frame)
	g.drain(func(name string, f portmem.Frame) {
		frames[g.Name()+"."+name] = append(frames[g.Name()+"."+name], f)
	})
	return frames
}

// Hosts hear of every prefix, of addresses by DHCPv6 where that is relayed, and of the
// MTU where the link carries less than every Ethernet does (RFC 4861 section 4.6.4).
func TestAdvertisedPrefixesAndMTU(t *testing.T) {
	Test(t, func(n *Net) {
		text := advertisingConf(`dhcp_servers = ["2001:db8:2::21"]`)
		text = strings.Replace(text, `"2001:db8:1::1/64"`, `"2001:db8:1::1/64", "2001:db8:11::1/80"`, 1)
		g, r := n.started(text)
		other := netip.MustParsePrefix("2001:db8:11::/80")
		r.advertises("a.e1", router(0xc0, 1800, 0, prefix1, other))
		settled(n)

		ask := soliciting(H1, h1Link)
		g.Host.SetPath(netip.MustParseAddr("192.0.2.2"), 1500) // packets of 1450 bytes
		n.Settle()
		n.Send("a.e1", ask).advertises("a.e1", router(0xc0, 1800, 1450, prefix1, other))
		for range 3 {
			n.second()
		}
		g.Host.EditLink("e2", func(l *path.Link) { l.MTU = 1400 })
		n.Settle()
		n.Send("a.e1", ask).advertises("a.e1", router(0xc0, 1800, 1400, prefix1, other))
	})
}

// The gateway says what addresses it has, IPv6 too, once it has asked whether they are
// taken (RFC 4862 section 5.4, RFC 4861 section 7.2.6).
func TestIntroductionSix(t *testing.T) {
	Test(t, func(n *Net) {
		_, r := n.started(routedConf())
		got := [][]byte{}
		for range 7 {
			for _, f := range r.frames("a.e3") {
				if frame.Frame(f).Type() == frame.TypeIPv6 {
					got = append(got, f)
				}
			}
			r = n.second()
		}
		var want [][]byte
		for range 3 {
			for _, a := range []netip.Addr{gw2six, gwLink} {
				want = append(want, control(packet.Detect(GW, a)))
			}
		}
		for range 2 {
			for _, a := range []netip.Addr{gw2six, gwLink} {
				want = append(want, announced(a))
			}
		}
		if !bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) {
			t.Errorf("heard\n%s\nwant\n%s", hex.Dump(bytes.Join(got, nil)), hex.Dump(bytes.Join(want, nil)))
		}
	})
}
