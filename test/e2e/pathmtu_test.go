package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// What a link on the way to a VTEP carries, and what that leaves for hosts.
const (
	midMTU  = 1400
	midFits = midMTU - 50 // of inner IP packet, over IPv4
)

// longOuter keeps outer packets that the link on the way does not carry.
func longOuter(f []byte) bool { return len(f) > frame.HeaderLen+midMTU && (isUDP(f) || isUDPSix(f)) }

// A link on the way that is narrower than the first: the first packet that is
// too long for it is lost there, and its router says so. What comes after is
// dropped here and counted, its sender told, and what fits is carried.
func TestNarrowBeyondTheFirstHop(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	must(t, r.routers[0].SetMTU("down", midMTU))
	r.start(settings{flood: `"203.0.113.34"`, underlay: "pmtu_probe = false"})
	const times = 10
	atFar, atHost := captureOuter(t, r.far, "down0"), capture(t, r.hosts, "h1")
	atRouter := capture(t, r.routers[0], "up", netns.Only(longOuter))
	if mtu := r.vtep(far.String()).MTU; mtu != 1550 {
		t.Errorf("show vteps has MTU %d, want 1550", mtu)
	}

	r.fromHost("h1", datagram(1500, false))
	eventually(t, "show vteps has what the router said", func() bool { return r.vtep(far.String()).MTU == midFits })
	r.wantDrops(drops{})
	r.fromHost("h1", slices.Repeat([][]byte{datagram(1500, false)}, times)...)
	r.fromHost("h1", slices.Repeat([][]byte{datagram(midFits+1, true)}, times)...)
	r.fromHost("h1", slices.Repeat([][]byte{datagram(midFits, false)}, times)...)
	r.wantDrops(drops{"too_big access": 2 * times})
	must(t, atHost.Wait(2*times, patience))
	for i, a := range atHost.Frames() {
		size := 1500
		if i >= times {
			size = midFits + 1
		}
		checkTooBig(t, a, datagram(size, i >= times), midFits)
	}
	fence(t, h1MAC, from(t, r.hosts, "h1"), atFar)
	if n := len(got(atFar)); n != times {
		t.Errorf("%d of %d packets that fit were carried", n, times)
	}
	if n := len(got(atRouter)); n != 1 {
		t.Errorf("%d packets were too long for the router, want the first only", n)
	}
	for _, want := range []string{"path to VTEP 203.0.113.34 carries only 1400 bytes: a router on the way said so", "`tracepath -n 203.0.113.34` shows where"} {
		if n := strings.Count(r.log.String(), want); n != 1 {
			t.Errorf("the log says %d times %q", n, want)
		}
	}
}

// fragmentationNeeded returns the frame in which the first router says that it
// carries mtu bytes, and quotes the start of an outer packet.
func (r *routed) fragmentationNeeded(mtu uint16, quote []byte) []byte {
	msg := []byte{ip.ICMPUnreachable, ip.ICMPCodeFragmentation, 0, 0, 0, 0}
	msg = append(binary.BigEndian.AppendUint16(msg, mtu), quote...)
	binary.BigEndian.PutUint16(msg[2:], ^ip.Sum(msg, 0))
	h := make([]byte, ip.IPv4HeaderLen)
	ip.IPv4(h).Encode(ip.IPv4Fields{
		TotalLen: len(h) + len(msg), TTL: 64, Protocol: ip.ProtoICMP,
		Src: [4]byte{192, 0, 2, 1}, Dst: gwAddr.As4(),
	})
	return packet.Ethernet(gwMAC, r.macs[0], frame.TypeIPv4, append(h, msg...))
}

// What does not quote a packet that we may have sent changes nothing, nor does
// a packet to where no VTEP is; and nobody gets us below 576 bytes.
func TestForgedTooBig(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.start(settings{flood: `"203.0.113.34"`, underlay: "pmtu_probe = false"})
	sent := func(src, dst netip.Addr, port uint16) []byte {
		f := packet.UDP(peerMAC, gwMAC, netip.AddrPortFrom(src, 50000), netip.AddrPortFrom(dst, port), make([]byte, 1500))
		return f[frame.HeaderLen:][:28]
	}
	ours := sent(gwAddr, far, vxlanPort)
	with := func(f func(q []byte)) []byte {
		q := slices.Clone(ours)
		f(q)
		return q
	}
	damaged := r.fragmentationNeeded(1000, ours)
	damaged[36] ^= 1 // the checksum
	frames := [][]byte{damaged}
	for _, quote := range [][]byte{
		nil,
		ours[:27],
		sent(vtepA, far, vxlanPort),
		sent(far, gwAddr, vxlanPort),
		sent(gwAddr, far, 4790),
		sent(gwAddr, vtepC, vxlanPort),
		with(func(q []byte) { q[9] = ip.ProtoTCP }),
		with(func(q []byte) { q[6], q[7] = 0x40, 10 }),
		with(func(q []byte) { q[6] = 0 }),
		with(func(q []byte) { binary.BigEndian.PutUint16(q[2:], 900) }),
	} {
		frames = append(frames, r.fragmentationNeeded(1000, quote))
	}
	// What is believed in the end is told apart from what is not by its MTU: it
	// could not raise what was learned before.
	for _, last := range []struct {
		says uint16
		fits int
	}{{1300, 1250}, {68, 576 - 50}} {
		must(t, r.routers[0].Send("up", append(frames, r.fragmentationNeeded(last.says, ours))...))
		frames = nil
		eventually(t, fmt.Sprintf("show vteps has MTU %d", last.fits), func() bool {
			mtu := r.vtep(far.String()).MTU
			if mtu < last.fits {
				t.Fatalf("show vteps has MTU %d, want %d", mtu, last.fits)
			}
			return mtu == last.fits
		})
	}
	if strings.Contains(r.log.String(), vtepC.String()) {
		t.Error("the log tells of a VTEP that there is not")
	}
	r.wantDrops(drops{})
}

// findOut sends datagrams that are too long for the path, until the sender's
// kernel knows and sends them in fragments.
func findOut(t *testing.T, from, to *host, addr netip.Addr, fits int) {
	t.Helper()
	server, err := to.ListenPacket("udp", netip.AddrPortFrom(addr, 9).String())
	must(t, err)
	defer server.Close()
	c, err := from.Dial(t.Context(), "udp", server.LocalAddr().String())
	must(t, err)
	defer c.Close()
	long := make([]byte, fits)
	eventually(t, fmt.Sprintf("the sender to %v finds out what the path carries", addr), func() bool {
		_, _ = c.Write(long) // fails when an answer has come to the one before
		must(t, server.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		_, _, err := server.ReadFrom(make([]byte, len(long)))
		return err == nil
	})
}

// narrowMiddle is two gateways whose first hops are wide, with a narrow link
// between their routers:
//
//	h1 eth0 --- acc1 a und0 --- near routerA mid --- mid routerB near --- und0 b acc1 --- eth0 h2
type narrowMiddle struct {
	h1, h2 *host
	ends   [2]narrowEnd
}

// narrowEnd is one side of it.
type narrowEnd struct {
	gw             *gateway
	peer           string // the other VTEP
	gwNS, router   *netns.NS
	host           *host
	own, near, mid string // addresses: of the VTEP, and of the router
	prefix         string // that VTEP and router are in
	bits           int
}

func newNarrowMiddle(t *testing.T, a, b narrowEnd) *narrowMiddle {
	t.Helper()
	m := &narrowMiddle{h1: newHost(t, 1), h2: newHost(t, 2), ends: [2]narrowEnd{a, b}}
	for i := range m.ends {
		e := &m.ends[i]
		e.gwNS, e.router, e.host = newNS(t), newNS(t), []*host{m.h1, m.h2}[i]
		wire(t, e.host.NS, "eth0", e.gwNS, "acc1", netns.VethOptions{})
		wire(t, e.gwNS, "und0", e.router, "near", netns.VethOptions{MTU: 1600})
	}
	wire(t, m.ends[0].router, "mid", m.ends[1].router, "mid", netns.VethOptions{MTU: midMTU})
	for i := range m.ends {
		e, other := &m.ends[i], &m.ends[1-i]
		e.peer = other.own
		must(t, e.gwNS.AddAddr("und0", fmt.Sprintf("%s/%d", e.own, e.bits)))
		must(t, e.router.AddAddr("near", fmt.Sprintf("%s/%d", e.near, e.bits)))
		must(t, e.router.AddAddr("mid", fmt.Sprintf("%s/%d", e.mid, e.bits)))
		if strings.Contains(e.own, ":") {
			// What a router asks its neighbours from.
			must(t, e.router.AddAddr("near", "fe80::1/64"))
			must(t, e.router.AddAddr("mid", fmt.Sprintf("fe80::%d/64", i+2)))
		}
		must(t, e.router.Forward())
	}
	for i := range m.ends {
		e, other := &m.ends[i], &m.ends[1-i]
		must(t, e.gwNS.AddRoute(netns.Route{To: other.prefix, Via: e.near}))
		must(t, e.router.AddRoute(netns.Route{To: other.prefix, Via: other.mid}))
		e.gw = start(t, e.gwNS, fmt.Sprintf("[underlay]\naddress = %q\n[[vni]]\nid = 1000\nvlan = 10\nflood = [%q]\n[[port]]\ninterface = \"acc1\"\nvlan = 10\n", e.own, e.peer)).forwards()
	}
	m.h1.configure(t)
	m.h2.configure(t)
	return m
}

// bothWays runs f for each address of each host.
func (m *narrowMiddle) bothWays(t *testing.T, f func(from, to *host, addr netip.Addr)) {
	t.Helper()
	for _, way := range [][2]*host{{m.h1, m.h2}, {m.h2, m.h1}} {
		for _, addr := range way[1].addresses() {
			f(way[0], way[1], addr)
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}

// Over IPv4 and over IPv6, hosts find out what a narrow link on the way leaves
// them, and then nothing that is too long for it leaves any more.
func TestPathMTUDiscoveryBeyondTheFirstHop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		a, b narrowEnd
		fits int
	}{
		{
			"IPv4",
			narrowEnd{own: "192.0.2.17", near: "192.0.2.1", mid: "100.64.0.1", prefix: "192.0.2.0/24", bits: 24},
			narrowEnd{own: "203.0.113.34", near: "203.0.113.1", mid: "100.64.0.2", prefix: "203.0.113.0/24", bits: 24},
			midMTU - 50,
		},
		{
			"IPv6",
			narrowEnd{own: "2001:db8::17", near: "2001:db8::1", mid: "2001:db8:f::1", prefix: "2001:db8::/64", bits: 64},
			narrowEnd{own: "2001:db8:2::34", near: "2001:db8:2::1", mid: "2001:db8:f::2", prefix: "2001:db8:2::/64", bits: 64},
			midMTU - 70,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := newNarrowMiddle(t, tc.a, tc.b)
			m.bothWays(t, func(from, to *host, addr netip.Addr) {
				wantPing(t, from, addr, 3, netns.PingOptions{})
				transfer(t, from, to, addr, 4<<20)
			})
			m.bothWays(t, func(from, to *host, addr netip.Addr) { findOut(t, from, to, addr, tc.fits) })
			m.bothWays(t, func(from, to *host, addr netip.Addr) {
				headers := 28
				if addr.Is6() {
					headers = 48
				}
				wantPing(t, from, addr, 3, netns.PingOptions{Size: tc.fits - headers, DF: true})
				wantPing(t, from, addr, 3, netns.PingOptions{Size: 1452})
				echo(t, from, to, addr)
			})
			for i := range m.ends {
				m.ends[i].wantNoneTooLong(t, tc.fits)
			}
		})
	}
}

// wantNoneTooLong wants the gateway to know what fits, and to count what does
// not in the place of sending it.
func (e *narrowEnd) wantNoneTooLong(t *testing.T, fits int) {
	t.Helper()
	const times = 10
	if mtu := e.gw.vtep(e.peer).MTU; mtu != fits {
		t.Errorf("show vteps has MTU %d of %s, want %d", mtu, e.peer, fits)
	}
	before := e.gw.dropped()
	if len(before) != 1 || before["too_big access"] < 2 {
		t.Errorf("dropped %v, want too_big only, once for each family at least", before)
	}
	atRouter := capture(t, e.router, "near")
	src, err := e.host.MAC("eth0")
	must(t, err)
	long := datagram(1500, false)
	copy(long[6:], src[:])
	must(t, e.host.Send("eth0", slices.Repeat([][]byte{long}, times)...))
	e.gw.wantDrops(drops{"too_big access": before["too_big access"] + times})
	last := packet.Numbered(frame.Broadcast, src, firstFence)
	must(t, e.host.Send("eth0", last))
	must(t, atRouter.WaitMatch(1, func(f []byte) bool { return bytes.HasSuffix(f, last) }, patience))
	if n := atRouter.Count(longOuter); n != 0 {
		t.Errorf("%d packets that are too long still leave", n)
	}
}

// A router on the way that does not say what it drops, or whose word does not get
// through: probes find out what the path carries, and who sends more is told.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	must(t, r.routers[0].SetMTU("down", midMTU))
	dropICMP(t, r.ns, "und0", ip.ICMPUnreachable)
	r.start(settings{flood: `"203.0.113.34"`})
	r.fromHost("h1", datagram(1500, false))
	r.wantDrops(drops{}) // it has vanished, and nobody knows
	eventuallyWithin(t, 5*patience, "probes have found what the path carries", func() bool {
		v := r.vtep(far.String())
		return v.PathMTU == midMTU && v.PathMTUFrom == "probe" && v.PathProbe == "complete" && v.PathShrunk == 1 && v.MTU == midFits
	})
	atHost := capture(t, r.hosts, "h1")
	r.fromHost("h1", datagram(1500, false))
	r.wantDrops(drops{"too_big access": 1})
	must(t, atHost.Wait(1, patience))
	checkTooBig(t, atHost.Frames()[0], datagram(1500, false), midFits)
	if n := strings.Count(r.log.String(), "the path to a VTEP carries less than its route says"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
}

// dropICMP has a device drop ICMP messages of one type, on their way in.
func dropICMP(t testing.TB, ns *netns.NS, dev string, kind byte) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "none", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	must(t, err)
	const proto, at = 14 + 9, 14 + 20
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "drop_icmp", Type: ebpf.XDP, License: "MIT", Instructions: asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // data and data_end
		asm.Mov.Imm(asm.R0, 2), // XDP_PASS
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, at+1),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
		asm.LoadMem(asm.R5, asm.R2, proto, asm.Byte),
		asm.JNE.Imm(asm.R5, ip.ProtoICMP, "out"),
		asm.LoadMem(asm.R5, asm.R2, at, asm.Byte),
		asm.JNE.Imm(asm.R5, int32(kind), "out"),
		asm.Mov.Imm(asm.R0, 1), // XDP_DROP
		asm.Return().WithSymbol("out"),
	}})
	must(t, err)
	attachXDP(t, ns, dev, prog, m)
}
