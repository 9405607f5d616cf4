package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// wantOuter returns the packet that carries an inner frame from the gateway to
// a VTEP as it must be on the wire, byte for byte, with the identification and
// the source port of got, which are the gateway's choice.
func wantOuter(got vxlanPacket, o outerHeader, inner []byte) []byte {
	f := packet.UDP(peerMAC, gwMAC, netip.AddrPortFrom(gwAddr, got.sport()), netip.AddrPortFrom(vtepA, o.port), packet.VXLAN(vni, inner))
	if !o.checksum {
		f[40], f[41] = 0, 0
	}
	h := ip.IPv4(f[14:])
	h[1], h[8] = o.tos, o.ttl
	h.SetID(got.ip().ID())
	h[6] = 0
	if o.df {
		h[6] = 0x40
	}
	return reseal(f)
}

// outerHeader is what the configuration decides on.
type outerHeader struct {
	port     uint16
	ttl, tos uint8
	df       bool
	checksum bool
}

// What leaves is compared whole: Ethernet, IPv4, UDP and VXLAN headers and the
// inner frame.
func TestOuterHeader(t *testing.T) {
	t.Parallel()
	standard := outerHeader{port: vxlanPort, ttl: 64, df: true}
	with := func(f func(*outerHeader)) outerHeader { o := standard; f(&o); return o }
	for _, tc := range []struct {
		name, underlay string
		want           outerHeader
	}{
		{"as it comes", "", standard},
		{"port 8472", "port = 8472", with(func(o *outerHeader) { o.port = 8472 })},
		{"port 1111", "port = 1111", with(func(o *outerHeader) { o.port = 1111 })},
		{"TTL 100", "ttl = 100", with(func(o *outerHeader) { o.ttl = 100 })},
		{"fixed DSCP", "dscp = 46", with(func(o *outerHeader) { o.tos = 46 << 2 })},
		{"without DF", "df = false", with(func(o *outerHeader) { o.df = false })},
		{"UDP checksum", "udp_checksum = true", with(func(o *outerHeader) { o.checksum = true })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, 1, 1600).start(settings{underlay: tc.underlay, more: "[[mac]]\nvni = 1000\naddress = \"02:00:00:00:02:0a\"\nvtep = \"192.0.2.34\"\n"})
			atPeer := captureOuter(t, b.peer, "und0")
			const count = 10
			sent := numbered(ra1MAC, h1MAC, 0, count)
			b.fromHost("h1", sent...)
			must(t, atPeer.Wait(count, patience))
			fence(t, h1MAC, from(t, b.hosts, "h1"), atPeerOn(atPeer, tc.want.port)...)
			ids := make(map[uint16]bool)
			for i, f := range atPeer.Frames()[:count] {
				p := vxlanPacket(f)
				if want := wantOuter(p, tc.want, sent[i]); !bytes.Equal(f, want) {
					t.Fatalf("packet %d:\n got % x\nwant % x", i, f, want)
				}
				if p.sport() < 49152 {
					t.Errorf("source port %d is not of the range 49152-65535", p.sport())
				}
				ids[p.ip().ID()] = true
			}
			if !tc.want.df && len(ids) != count {
				t.Errorf("%d packets that may be fragmented have %d identifications", count, len(ids))
			}
			if tc.want.port == vxlanPort {
				if n := len(atPeer.Frames()); n != count+1 {
					t.Errorf("%d packets for %d frames", n, count+1)
				}
			}
			b.wantDrops(drops{})
		})
	}
}

// atPeerOn leaves out a capture in which fences cannot be seen, because the
// port is not the one that they are looked for on.
func atPeerOn(c *netns.Capture, port uint16) []*netns.Capture {
	if port != vxlanPort {
		return nil
	}
	return []*netns.Capture{c}
}

// A port of one's own is listened on in the place of the standard one.
func TestOwnPortOnly(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600).start(settings{underlay: "port = 1111"})
	atHost := capture(t, b.hosts, "h1")
	toPort := func(f []byte, port uint16) []byte {
		binary.BigEndian.PutUint16(f[36:], port)
		return f
	}
	b.fromVTEP(vtepA)(numbered(h1MAC, ra1MAC, 0, 10)...) // to 4789
	for _, f := range numbered(h1MAC, ra1MAC, 10, 10) {
		b.fromPeer(toPort(outer(f), 1111))
	}
	must(t, atHost.Wait(10, patience))
	if n := between(t, atHost, 10, 10); n != 10 || len(atHost.Frames()) != 10 {
		t.Errorf("%d of 10 frames for port 1111, %d frames in all", n, len(atHost.Frames()))
	}
	b.wantDrops(drops{})
	if v := b.vtep("192.0.2.34"); v.RxPackets != 10 {
		t.Errorf("%d packets received, want 10", v.RxPackets)
	}
}

// DSCP and ECN of the inner packet stand on the outer one: RFC 6040 normal mode.
func TestOuterTOS(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, underlay string
		want           func(inner uint8) uint8
		other          uint8 // of a frame that is not IP
	}{
		{"inherit", "", func(inner uint8) uint8 { return inner }, 0},
		{"fixed", "dscp = 10", func(inner uint8) uint8 { return 10<<2 | inner&3 }, 10 << 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, 1, 1600).start(settings{underlay: tc.underlay})
			atPeer := captureOuter(t, b.peer, "und0")
			var want []uint8
			for _, dscp := range []uint8{0, 0x14 >> 2, 46, 63} {
				for ecn := range uint8(4) {
					tos := dscp<<2 | ecn
					four := packet.UDP(ra1MAC, h1MAC, netip.MustParseAddrPort("203.0.113.1:9"), netip.MustParseAddrPort("203.0.113.2:9"), []byte("IPv4"))
					ip.IPv4(four[14:]).SetTOS(tos)
					six := packet.UDP(ra1MAC, h1MAC, netip.MustParseAddrPort("[2001:db8::1]:9"), netip.MustParseAddrPort("[2001:db8::2]:9"), []byte("IPv6"))
					six[14], six[15] = 0x60|tos>>4, tos<<4
					b.fromHost("h1", four, six)
					want = append(want, tc.want(tos), tc.want(tos))
				}
			}
			b.fromHost("h1", packet.Ethernet(ra1MAC, h1MAC, typeTest, make([]byte, 46)))
			b.fromHost("h1", packet.ARP(frame.Broadcast, packet.ARPRequest, h1MAC, netip.MustParseAddr("203.0.113.1"), frame.MAC{}, netip.MustParseAddr("203.0.113.2")))
			want = append(want, tc.other, tc.other)
			must(t, atPeer.Wait(len(want), patience))
			for i, f := range atPeer.Frames() {
				if got := vxlanPacket(f).ip().TOS(); got != want[i] {
					t.Errorf("frame %d: outer TOS %#02x, want %#02x", i, got, want[i])
				}
			}
			b.wantDrops(drops{})
		})
	}
}

// flowFrame returns a frame of a TCP flow with everything that may change
// within a flow as step says.
func flowFrame(flow uint16, step byte) []byte {
	f := packet.UDP(ra1MAC, h1MAC, netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), 1024+flow),
		netip.MustParseAddrPort("203.0.113.2:80"), make([]byte, 12+int(step)))
	h := ip.IPv4(f[14:])
	h[9] = ip.ProtoTCP
	h[1], h[8] = step<<2, 1+step
	h.SetID(uint16(step) * 77)
	if step%2 == 0 {
		h[6] = 0 // without DF
	}
	copy(f[34+4:], []byte{step, step, step, step, step, 0, 0, step, 0x50, step, step, 9, 0, 0, 0, 0}) // sequence, acknowledgement, flags, window
	return reseal(f)
}

// One source port for each flow, whatever changes within it; many flows spread
// over the range.
func TestSourcePorts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, underlay string
		first, last    uint16
		atLeast        int // different ports for 1000 flows
	}{
		{"the usual range", "", 49152, 65535, 900},
		{"a narrow range", `source_ports = "50000-50003"`, 50000, 50003, 4},
		{"one port", `source_ports = "4242-4242"`, 4242, 4242, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, 1, 1600).start(settings{underlay: tc.underlay})
			atPeer := captureOuter(t, b.peer, "und0")
			const flows, steps = 1000, 3
			for step := range byte(steps) {
				var frames [][]byte
				for flow := range uint16(flows) {
					frames = append(frames, flowFrame(flow, step))
				}
				b.fromHost("h1", frames...)
			}
			must(t, atPeer.Wait(flows*steps, patience))
			portOf, ports := make(map[uint16]uint16), make(map[uint16]int)
			for _, f := range atPeer.Frames() {
				p := vxlanPacket(f)
				if p.sport() < tc.first || p.sport() > tc.last {
					t.Fatalf("source port %d", p.sport())
				}
				h := p.ip()
				if h[0] != 0x45 || h.Protocol() != ip.ProtoUDP || !h.ChecksumOK() {
					t.Fatalf("IPv4 header % x", h[:20])
				}
				flow := binary.BigEndian.Uint16(p.inner()[34:])
				if was, ok := portOf[flow]; ok && was != p.sport() {
					t.Errorf("flow %d: source ports %d and %d", flow, was, p.sport())
				}
				portOf[flow] = p.sport()
				ports[p.sport()]++
			}
			if len(portOf) != flows || len(ports) < tc.atLeast {
				t.Errorf("%d flows on %d source ports, want %d flows on at least %d", len(portOf), len(ports), flows, tc.atLeast)
			}
			b.wantDrops(drops{})
		})
	}
}

// far is a VTEP behind routers.
var far = netip.MustParseAddr("203.0.113.34")

// routed is a bed whose VTEP is reached through two routers on one segment.
type routed struct {
	*bed
	routers [2]*netns.NS
	macs    [2]frame.MAC
	far     *netns.NS
}

func newRouted(t *testing.T) *routed {
	r := &routed{bed: newBed(t, 1, 1600), far: newNS(t)}
	must(t, r.far.AddAddr("lo", far.String()+"/32"))
	sink(t, r.far)
	segment := newNS(t)
	r.ns.Delete("und0")
	wire(t, r.ns, "und0", segment, "gw", netns.VethOptions{AMAC: gwMAC, MTU: 1600})
	must(t, r.ns.AddAddr("und0", gwAddr.String()+"/24"))
	for i := range r.routers {
		r.routers[i], r.macs[i] = newNS(t), frame.MAC{2, 0, 0, 0, 0xf0, byte(0x10 + i)}
		router, down := r.routers[i], fmt.Sprintf("down%d", i)
		wire(t, router, "up", segment, fmt.Sprintf("r%d", i), netns.VethOptions{AMAC: r.macs[i], MTU: 1600})
		wire(t, router, "down", r.far, down, netns.VethOptions{MTU: 1600})
		must(t, router.AddAddr("up", fmt.Sprintf("192.0.2.%d/24", 1+i)))
		must(t, router.AddAddr("down", fmt.Sprintf("198.51.100.%d/31", 2*i)))
		must(t, r.far.AddAddr(down, fmt.Sprintf("198.51.100.%d/31", 2*i+1)))
		must(t, router.AddRoute(netns.Route{To: far.String() + "/32", Via: fmt.Sprintf("198.51.100.%d", 2*i+1)}))
		must(t, router.Forward())
	}
	must(t, r.far.AddRoute(netns.Route{To: "192.0.2.0/24", Via: "198.51.100.0"}))
	must(t, segment.Bridge("br0", "gw", "r0", "r1"))
	r.via(0)
	return r
}

// via routes the VTEP through one of the routers.
func (r *routed) via(i int) {
	r.t.Helper()
	must(r.t, r.ns.ReplaceRoute(netns.Route{To: far.String() + "/32", Via: fmt.Sprintf("192.0.2.%d", 1+i)}))
}

// follows waits until packets take the way by a router.
func (r *routed) follows(router int) {
	r.t.Helper()
	at := captureOuter(r.t, r.routers[router], "up")
	for deadline := time.Now().Add(patience); len(at.Frames()) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("no packet goes by router %d", router)
		}
		from(r.t, r.hosts, "h1")(packet.Numbered(frame.Broadcast, h1MAC, firstFence+fences.Add(1)))
	}
}

// A router on the way takes one from the TTL, and a route that changes is
// followed without a restart: the next hop's MAC is the new one's.
func TestRouteChange(t *testing.T) {
	for _, bypass := range []bool{true, false} {
		t.Run(fmt.Sprintf("bypass %v", bypass), func(t *testing.T) { testRouteChange(t, bypass) })
	}
}

func testRouteChange(t *testing.T, bypass bool) {
	t.Parallel()
	r := newRouted(t)
	r.start(settings{underlay: fmt.Sprintf("ttl = 100\nbypass = %v", bypass), flood: `"203.0.113.34"`})
	for i, step := range []int{0, 1, 0} {
		r.via(step)
		if bypass {
			r.follows(step) // past the host's stack a route is followed as soon as it is heard of
		}
		at := [2]*netns.Capture{captureOuter(t, r.routers[0], "up"), captureOuter(t, r.routers[1], "up")}
		atFar := [2]*netns.Capture{captureOuter(t, r.far, "down0"), captureOuter(t, r.far, "down1")}
		first := uint32(100 * i)
		r.fromHost("h1", numbered(nobody, h1MAC, first, 10)...)
		must(t, atFar[step].Wait(10, patience))
		fence(t, h1MAC, from(t, r.hosts, "h1"), atFar[step], at[step])
		for j := range at {
			want := 0
			if j == step {
				want = 10
			}
			if n, m := between(t, at[j], first, 10), between(t, atFar[j], first, 10); n != want || m != want {
				t.Errorf("step %d: %d frames at router %d and %d behind it, want %d", i, n, j, m, want)
			}
		}
		for _, f := range at[step].Frames() {
			if dst := frame.Frame(f).Dst(); dst != r.macs[step] || vxlanPacket(f).ip().TTL() != 100 {
				t.Errorf("step %d: to %v with TTL %d, want %v with 100", i, dst, vxlanPacket(f).ip().TTL(), r.macs[step])
			}
		}
		for _, f := range atFar[step].Frames() {
			if ttl := vxlanPacket(f).ip().TTL(); ttl != 99 {
				t.Errorf("step %d: TTL %d behind the router, want 99", i, ttl)
			}
		}
	}
	r.wantDrops(drops{})
}

// Without a route nothing leaves and every packet is counted; with one again,
// packets flow again.
func TestRouteGone(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.start(settings{flood: `"203.0.113.34"`})
	atFar := captureOuter(t, r.far, "down0")
	fence(t, h1MAC, from(t, r.hosts, "h1"), atFar)
	must(t, r.ns.DelRoute(netns.Route{To: far.String() + "/32", Via: "192.0.2.1"}))
	eventually(t, "the gateway knows that there is no route", func() bool { return r.vtep(far.String()).MTU == 0 })
	r.fromHost("h1", numbered(nobody, h1MAC, 0, 10)...)
	r.wantDrops(drops{"tx_failed access": 10})
	r.via(0)
	fence(t, h1MAC, from(t, r.hosts, "h1"), atFar)
	if n := between(t, atFar, 0, 10); n != 0 {
		t.Errorf("%d frames came though there was no route", n)
	}
}
