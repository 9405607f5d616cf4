package probe

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/test/netns"
)

const port = 4789

var (
	own  = netip.MustParseAddr("192.0.2.17")
	far  = netip.MustParseAddr("203.0.113.34")
	gone = netip.MustParseAddr("203.0.113.35")
	own6 = netip.MustParseAddr("2001:db8:1::17")
	far6 = netip.MustParseAddr("2001:db8:2::34")
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newNS(t *testing.T) *netns.NS {
	t.Helper()
	netns.Require(t)
	ns, err := netns.New("")
	must(t, err)
	t.Cleanup(func() { ns.Close() })
	return ns
}

// line is a host, a router, and another host, whose side carries mtu bytes.
func line(t *testing.T, mtu int) (here, router, there *netns.NS) {
	t.Helper()
	here, router, there = newNS(t), newNS(t), newNS(t)
	must(t, netns.Veth(here, "und0", router, "near", netns.VethOptions{MTU: 1600}))
	must(t, netns.Veth(router, "away", there, "und0", netns.VethOptions{MTU: mtu}))
	for _, a := range []struct {
		ns        *netns.NS
		dev, addr string
	}{
		{here, "und0", "192.0.2.17/24"}, {router, "near", "192.0.2.1/24"}, {router, "away", "203.0.113.1/24"}, {there, "und0", "203.0.113.34/24"},
		{here, "und0", "2001:db8:1::17/64"}, {router, "near", "2001:db8:1::1/64"}, {router, "away", "2001:db8:2::1/64"}, {there, "und0", "2001:db8:2::34/64"},
	} {
		must(t, a.ns.AddAddr(a.dev, a.addr))
	}
	must(t, router.Forward())
	for _, r := range []struct {
		ns      *netns.NS
		to, via string
	}{{here, "203.0.113.0/24", "192.0.2.1"}, {there, "192.0.2.0/24", "203.0.113.1"}, {here, "2001:db8:2::/64", "2001:db8:1::1"}, {there, "2001:db8:1::/64", "2001:db8:2::1"}} {
		must(t, r.ns.AddRoute(netns.Route{To: r.to, Via: r.via}))
	}
	return here, router, there
}

// ask probes from a namespace.
func ask(t *testing.T, ns *netns.NS, from netip.Addr, targets ...Target) (all []Answer) {
	t.Helper()
	must(t, ns.Do(func() (err error) { all, err = Ask(context.Background(), from, port, targets); return err }))
	return all
}

// askUntil asks until there is the answer that is waited for, or the last of many: all
// are heard side by side, and the machine may be busy.
func askUntil(t *testing.T, ns *netns.NS, from netip.Addr, of Target, is func(Answer) bool) (a Answer) {
	t.Helper()
	for range 20 {
		if a = ask(t, ns, from, of)[0]; is(a) {
			break
		}
	}
	return a
}

// listen has a namespace take what comes for the port, and say nothing.
func listen(t *testing.T, ns *netns.NS) {
	t.Helper()
	c, err := ns.ListenPacket("udp", ":4789")
	must(t, err)
	t.Cleanup(func() { c.Close() })
}

func TestAsk(t *testing.T) {
	t.Run("nobody has the port", func(t *testing.T) {
		here, _, _ := line(t, 1600)
		a := askUntil(t, here, own, Target{far, 1550}, func(a Answer) bool { return a.Refused })
		if !a.Replied || !a.Whole || !a.Refused || a.Narrow != 0 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("a router carries less", func(t *testing.T) {
		here, _, there := line(t, 1400)
		listen(t, there)
		a := askUntil(t, here, own, Target{far, 1550}, func(a Answer) bool { return a.Replied && a.Narrow > 0 })
		if !a.Replied || a.Carried() || a.Narrow != 1400 || a.By.String() != "192.0.2.1" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("this machine carries less, and one is not there", func(t *testing.T) {
		here, _, there := line(t, 1600)
		listen(t, there)
		all := ask(t, here, own, Target{far, 1601}, Target{gone, 1550}, Target{far, 1601})
		if len(all) != 2 {
			t.Fatalf("%+v", all)
		}
		if a := all[0]; !a.Replied || a.Carried() || a.Narrow != 1600 {
			t.Errorf("%+v", a)
		}
		if a := all[1]; a.Replied || a.Carried() || a.Narrow != 0 {
			t.Errorf("%+v", a)
		}
	})
}

func TestAskIPv6(t *testing.T) {
	here, _, _ := line(t, 1600)
	router := netip.MustParseAddr("2001:db8:1::1") // it is a host too
	for _, test := range []struct {
		size, narrow   int
		whole, refused bool
	}{{1550, 0, true, true}, {1601, 1600, false, false}} {
		a := askUntil(t, here, own6, Target{router, test.size}, func(a Answer) bool { return a.Refused == test.refused && a.Narrow == test.narrow })
		if !a.Replied || a.Whole != test.whole || a.Refused != test.refused || a.Narrow != test.narrow {
			t.Errorf("%d bytes: %+v", test.size, a)
		}
	}
}

func TestWhoHas(t *testing.T) {
	a, b := newNS(t), newNS(t)
	ours, theirs := frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}
	must(t, netns.Veth(a, "und0", b, "und0", netns.VethOptions{AMAC: ours, BMAC: theirs}))
	must(t, a.AddAddr("und0", "192.0.2.17/24"))
	must(t, b.AddAddr("und0", "192.0.2.34/24"))
	index, err := a.Indexes("und0")
	must(t, err)
	for _, test := range []struct {
		addr  netip.Addr
		found bool
	}{{own, false}, {netip.MustParseAddr("192.0.2.34"), true}} {
		var who frame.MAC
		var found bool
		must(t, a.Do(func() (err error) {
			who, found, err = WhoHas(context.Background(), index[0], ours, test.addr)
			return err
		}))
		if found != test.found || found && who != theirs {
			t.Errorf("%v: %v %v", test.addr, who, found)
		}
	}
}

// extended is struct sock_extended_err with an offender.
func extended(origin, kind, code byte, info uint32, by netip.Addr) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.EMSGSIZE))
	b = append(b, origin, kind, code, 0)
	b = binary.NativeEndian.AppendUint32(b, info)
	b = append(b, 0, 0, 0, 0)
	if by.Is4() {
		b = append(binary.NativeEndian.AppendUint16(b, unix.AF_INET), 0, 0)
		return append(append(b, by.AsSlice()...), make([]byte, 8)...)
	}
	b = append(binary.NativeEndian.AppendUint16(b, unix.AF_INET6), 0, 0, 0, 0, 0, 0)
	return append(append(b, by.AsSlice()...), 0, 0, 0, 0)
}

func TestErrors(t *testing.T) {
	router := netip.MustParseAddr("192.0.2.1")
	for _, test := range []struct {
		name string
		said []byte
		to   netip.Addr
		want Answer
	}{
		{"too big", extended(unix.SO_EE_ORIGIN_ICMP, 3, 4, 1400, router), far, Answer{Narrow: 1400, By: router}},
		{"too big, but not for this length", extended(unix.SO_EE_ORIGIN_ICMP, 3, 4, 1550, router), far, Answer{}},
		{"too big without a number", extended(unix.SO_EE_ORIGIN_ICMP, 3, 4, 0, router), far, Answer{}},
		{"port unreachable", extended(unix.SO_EE_ORIGIN_ICMP, 3, 3, 0, far), far, Answer{Refused: true}},
		{"a firewall says so", extended(unix.SO_EE_ORIGIN_ICMP, 3, 3, 0, router), far, Answer{}},
		{"host unreachable", extended(unix.SO_EE_ORIGIN_ICMP, 3, 1, 0, router), far, Answer{}},
		{"here", extended(unix.SO_EE_ORIGIN_LOCAL, 0, 0, 1500, far)[:16], far, Answer{Narrow: 1500}},
		{"IPv6 too big", extended(unix.SO_EE_ORIGIN_ICMP6, 2, 0, 1400, own6), far6, Answer{Narrow: 1400, By: own6}},
		{"IPv6 port unreachable", extended(unix.SO_EE_ORIGIN_ICMP6, 1, 4, 0, far6), far6, Answer{Refused: true}},
		{"another origin", extended(unix.SO_EE_ORIGIN_TIMESTAMPING, 3, 3, 0, far), far, Answer{}},
		{"cut short", extended(unix.SO_EE_ORIGIN_ICMP, 3, 4, 1400, router)[:15], far, Answer{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAsking([]Target{{test.to, 1550}})
			if e, ok := parseExtended(test.said); ok {
				e.note(a, test.to)
			}
			test.want.Target = Target{test.to, 1550}
			if a.answers[0] != test.want {
				t.Errorf("%+v, want %+v", a.answers[0], test.want)
			}
		})
	}
}

// FuzzErrors holds that whatever the kernel says, no length above the one that was sent
// becomes known, and nobody but the VTEP itself says that it got something.
func FuzzErrors(f *testing.F) {
	f.Add(extended(unix.SO_EE_ORIGIN_ICMP, 3, 4, 1400, far))
	f.Add(extended(unix.SO_EE_ORIGIN_ICMP6, 1, 4, 0, far6))
	f.Fuzz(func(t *testing.T, said []byte) {
		parseError(said)
		a := newAsking([]Target{{far, 1550}})
		e, ok := parseExtended(said)
		if ok {
			e.note(a, far)
		}
		if is := a.answers[0]; is.Narrow < 0 || is.Narrow >= 1550 || is.Refused && e.by != far || is.Replied || is.Whole {
			t.Errorf("%+v of %+v", is, e)
		}
	})
}

func TestClaims(t *testing.T) {
	ours, theirs := frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}
	said := func(mac frame.MAC, ip netip.Addr) []byte {
		b := arpProbe(mac, own)
		copy(b[14:], ip.AsSlice())
		return b
	}
	for name, test := range map[string]struct {
		said []byte
		want bool
	}{
		"another says so": {said(theirs, own), true}, "we do": {said(ours, own), false}, "of another address": {said(theirs, far), false},
		"a probe": {arpProbe(theirs, own), false}, "cut short": {said(theirs, own)[:27], false},
	} {
		if _, is := claims(test.said, ours, own); is != test.want {
			t.Errorf("%s: %v", name, is)
		}
	}
}
