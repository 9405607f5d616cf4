package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"vxgw/l3/ip"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

var (
	fourFrom = netip.MustParseAddrPort("198.51.100.1:1000")
	fourTo   = netip.MustParseAddrPort("198.51.100.2:2000")
	sixFrom  = netip.MustParseAddrPort("[2001:db8:1::1]:1000")
	sixTo    = netip.MustParseAddrPort("[2001:db8:1::2]:2000")
)

// datagram returns a frame from h1MAC to ra1MAC with an IP packet of size bytes.
func datagram(size int, six bool) []byte {
	if six {
		return packet.UDP(ra1MAC, h1MAC, sixFrom, sixTo, make([]byte, size-48))
	}
	return packet.UDP(ra1MAC, h1MAC, fourFrom, fourTo, make([]byte, size-28))
}

// checkTooBig looks at the answer to a frame that was too big.
func checkTooBig(t *testing.T, answer, to []byte, mtu int) {
	t.Helper()
	if !bytes.Equal(answer[:6], to[6:12]) || !bytes.Equal(answer[6:12], to[:6]) || !bytes.Equal(answer[12:14], to[12:14]) {
		t.Errorf("Ethernet header % x for an answer to % x", answer[:14], to[:14])
	}
	var msg, quoted []byte
	sum := uint16(0)
	if to[12] == 0x08 {
		h, ok := ip.ParseIPv4(answer[14:])
		if !ok || !h.ChecksumOK() || h.Src() != fourTo.Addr() || h.Dst() != fourFrom.Addr() || h.Protocol() != ip.ProtoICMP || len(h) > 576 {
			t.Fatalf("IPv4 header % x", answer[14:])
		}
		msg = h.Payload()
		if msg[0] != 3 || msg[1] != 4 || int(binary.BigEndian.Uint16(msg[6:])) != mtu {
			t.Errorf("ICMP % x, want fragmentation needed with MTU %d", msg[:8], mtu)
		}
	} else {
		h, ok := ip.ParseIPv6(answer[14:])
		if !ok || netip.AddrFrom16([16]byte(h[8:24])) != sixTo.Addr() || netip.AddrFrom16([16]byte(h[24:40])) != sixFrom.Addr() || h.NextHeader() != ip.ProtoICMPv6 || len(h) > 1280 {
			t.Fatalf("IPv6 header % x", answer[14:])
		}
		msg = h[40:]
		sum = ip.PseudoIPv6([16]byte(h[8:24]), [16]byte(h[24:40]), ip.ProtoICMPv6, len(msg))
		if msg[0] != 2 || msg[1] != 0 || int(binary.BigEndian.Uint32(msg[4:])) != mtu {
			t.Errorf("ICMPv6 % x, want packet too big with MTU %d", msg[:8], mtu)
		}
	}
	if ip.Sum(msg, sum) != 0xffff {
		t.Error("the ICMP checksum is wrong")
	}
	if quoted = msg[8:]; len(quoted) < 28 || !bytes.HasPrefix(to[14:], quoted) {
		t.Errorf("quotes % x", quoted)
	}
}

// What the underlay cannot carry is dropped and counted, and its sender told
// where a sender may be told; what just fits is carried. Nothing is fragmented.
func TestTooBig(t *testing.T) {
	t.Parallel()
	const fits, times = 1450, 10 // bytes of inner IP packet
	b := newBed(t, 1, 1500).start(settings{})
	mayFragment := func(size int) []byte {
		f := datagram(size, false)
		f[20] = 0
		return reseal(f)
	}
	atHost, atPeer := capture(t, b.hosts, "h1"), captureOuter(t, b.peer, "und0")
	total := uint64(0)
	for _, tc := range []struct {
		name    string
		frame   []byte
		carried bool
		answer  bool
	}{
		{"IPv4 with DF that fits", datagram(fits, false), true, false},
		{"IPv4 with DF, 1 byte too long", datagram(fits+1, false), false, true},
		{"IPv4 with DF, as long as hosts send", datagram(1500, false), false, true},
		{"IPv4 without DF that fits", mayFragment(fits), true, false},
		{"IPv4 without DF", mayFragment(1500), false, false},
		{"IPv6 that fits", datagram(fits, true), true, false},
		{"IPv6, 1 byte too long", datagram(fits+1, true), false, true},
		{"IPv6, as long as hosts send", datagram(1500, true), false, true},
		{"no IP that fits", packet.Ethernet(ra1MAC, h1MAC, typeTest, make([]byte, fits)), true, false},
		{"no IP", packet.Ethernet(ra1MAC, h1MAC, typeTest, make([]byte, fits+1)), false, false},
	} {
		hostHad, peerHad := len(got(atHost)), len(got(atPeer))
		fence(t, h1MAC, func(f ...[]byte) {
			b.fromHost("h1", append(slices.Repeat([][]byte{tc.frame}, times), f...)...)
		}, atPeer)
		fence(t, ra1MAC, b.fromVTEP(vtepA), atHost)
		if tc.answer {
			eventually(t, tc.name+": the sender is told", func() bool { return len(got(atHost))-hostHad >= times })
		}
		answers, carried := got(atHost)[hostHad:], got(atPeer)[peerHad:]
		want := map[bool]int{true: times}
		if len(answers) != want[tc.answer] || len(carried) != want[tc.carried] {
			t.Errorf("%s: %d carried, %d answered, want %d and %d", tc.name, len(carried), len(answers), want[tc.carried], want[tc.answer])
		}
		for _, a := range answers {
			checkTooBig(t, a, tc.frame, fits)
		}
		for _, f := range carried {
			if !bytes.Equal(vxlanPacket(f).inner(), tc.frame) {
				t.Errorf("%s: carried as % x", tc.name, f)
			}
		}
		if !tc.carried {
			total += times
		}
		b.wantDrops(drops{"too_big access": total})
	}
	if n := atPeer.Count(func(f []byte) bool { return vxlanPacket(f).ip().IsFragment() }); n != 0 {
		t.Errorf("%d outer fragments", n)
	}
}

// Hosts of MTU 1500 on an underlay of MTU 1500 find out what fits, and their TCP
// works both ways over both families.
func TestPathMTUDiscovery(t *testing.T) {
	t.Parallel()
	r := newReference(t, path{underlayMTU: 1500, vxlan: netns.VXLANConfig{DF: true}})
	atVTEP, atGateway := captureOuter(t, r.vtep, "und0"), captureOuter(t, r.ns, "und0")
	for _, way := range []struct{ from, to *host }{{r.h1, r.h2}, {r.h2, r.h1}} {
		for _, addr := range way.to.addresses() {
			wantPing(t, way.from, addr, 3, netns.PingOptions{})
			wantPing(t, way.from, addr, 3, netns.PingOptions{Size: 1400, DF: true})
			transfer(t, way.from, way.to, addr, 4<<20)
		}
	}
	for _, c := range []*netns.Capture{atVTEP, atGateway} {
		if n := c.Count(func(f []byte) bool { return vxlanPacket(f).ip().IsFragment() }); n != 0 {
			t.Errorf("%d outer fragments", n)
		}
	}
	if d := r.dropped(); len(d) != 1 || d["too_big access"] < 2 {
		t.Errorf("dropped %v, want too_big only, once for each family at least", d)
	}
	if !strings.Contains(r.log.String(), "raise the underlay MTU to 1550") {
		t.Error("the log does not say what to do about the narrow underlay")
	}
}

// The path's MTU is followed while the gateway runs: that of a route, and that
// of the device.
func TestMTUIsFollowed(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1500).start(settings{})
	atPeer := captureOuter(t, b.peer, "und0")
	total := uint64(0)
	narrow := netns.Route{To: vtepA.String() + "/32", Dev: "und0", MTU: 1400}
	setMTU := func(mtu int) func() error {
		return func() error {
			must(t, b.peer.SetMTU("und0", mtu))
			return b.ns.SetMTU("und0", mtu)
		}
	}
	for _, step := range []struct {
		name   string
		change func() error
		mtu    int
	}{
		{"as it was", func() error { return nil }, 1450},
		{"a route of MTU 1400", func() error { return b.ns.AddRoute(narrow) }, 1350},
		{"without the route", func() error { return b.ns.DelRoute(narrow) }, 1450},
		{"a device of MTU 1600", setMTU(1600), 1550},
		{"a device of MTU 1300", setMTU(1300), 1250},
		{"a device of MTU 1500", setMTU(1500), 1450},
	} {
		must(t, step.change())
		eventually(t, fmt.Sprintf("%s: show vteps says %d", step.name, step.mtu), func() bool { return b.vtep("192.0.2.34").MTU == step.mtu })
		before := len(got(atPeer))
		size := min(step.mtu, 1500) // the port takes no more
		fence(t, h1MAC, func(f ...[]byte) {
			b.fromHost("h1", append(slices.Repeat([][]byte{datagram(size, false)}, 10), f...)...)
		}, atPeer)
		if n := len(got(atPeer)) - before; n != 10 {
			t.Errorf("%s: %d of 10 packets of %d bytes were carried", step.name, n, size)
		}
		if step.mtu < 1500 {
			b.fromHost("h1", slices.Repeat([][]byte{datagram(step.mtu+1, false)}, 10)...)
			total += 10
			b.wantDrops(drops{"too_big access": total})
		}
	}
	if n := atPeer.Count(func(f []byte) bool { return vxlanPacket(f).ip().IsFragment() }); n != 0 {
		t.Errorf("%d outer fragments", n)
	}
}
