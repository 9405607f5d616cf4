package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

var (
	group    = netip.MustParseAddr("239.119.1.1")
	groupSix = netip.MustParseAddr("ff0e::77:1")
)

// groupMAC is the address that a group has on Ethernet (RFC 1112 section 6.4,
// RFC 2464 section 7).
func groupMAC(g netip.Addr) frame.MAC {
	b := g.AsSlice()
	if g.Is4() {
		return frame.MAC{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	return frame.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// onWire is a VXLAN packet as it stands on the wire, taken apart.
type onWire struct {
	dst, src frame.MAC
	from, to netip.Addr
	ttl      uint8
	port     uint16
	vxlan    string // the header, in hexadecimal
	inner    []byte
}

func dissect(t testing.TB, f []byte) (w onWire) {
	t.Helper()
	w.dst, w.src = frame.Frame(f).Dst(), frame.Frame(f).Src()
	rest := f[14:]
	if frame.Frame(f).Type() == frame.TypeIPv4 {
		w.from, w.to, w.ttl = ip.IPv4(rest).Src(), ip.IPv4(rest).Dst(), rest[8]
		rest = rest[20:]
	} else {
		w.from, w.to, w.ttl = ip.IPv6(rest).Src(), ip.IPv6(rest).Dst(), rest[7]
		rest = rest[40:]
	}
	w.port = binary.BigEndian.Uint16(rest[2:])
	w.vxlan, w.inner = fmt.Sprintf("%x", rest[8:16]), rest[16:]
	return w
}

// groupConfig is a configuration with one VNI in a group, flooded to nobody else.
func groupConfig(address, group netip.Addr, port, more string) string {
	return fmt.Sprintf("[underlay]\naddress = %q\n%s\n[[vni]]\nid = %d\nvlan = 10\ngroup = %q\n[[port]]\ninterface = %q\nvlan = 10\n", address, more, vni, group, port)
}

// The ARP walk of RFC 7348 section 4.2, frame by frame: the request goes to the
// group, the reply and all that follows goes to who asked. The other VTEP is the
// Linux kernel or a second gateway, and either of the two asks first.
func TestGroupARPWalk(t *testing.T) {
	t.Parallel()
	for _, six := range []bool{false, true} {
		for _, peer := range []string{"kernel", "gateway"} {
			for _, first := range []string{"ours", "theirs"} {
				t.Run(fmt.Sprintf("IPv6 %t, %s, %s asks", six, peer, first), func(t *testing.T) {
					t.Parallel()
					arpWalk(t, six, peer == "kernel", first == "ours")
				})
			}
		}
	}
}

func arpWalk(t *testing.T, six, kernel, oursAsks bool) {
	own, other, group, bits := gwAddr, vtepA, group, "/24"
	if six {
		own, other, group, bits = gwSix, vtepSix, groupSix, "/64"
	}
	h1, h2, ns, peer := newHost(t, 1), newHost(t, 2), newNS(t), newNS(t)
	wire(t, h1.NS, "eth0", ns, "acc1", netns.VethOptions{AMAC: h1MAC})
	wire(t, ns, "und0", peer, "und0", netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: 1600})
	wire(t, h2.NS, "eth0", peer, "acc1", netns.VethOptions{AMAC: h2MAC})
	must(t, ns.AddAddr("und0", own.String()+bits))
	must(t, peer.AddAddr("und0", other.String()+bits))
	g := start(t, ns, groupConfig(own, group, "acc1", "")).forwards()
	if kernel {
		must(t, peer.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: vni, Local: other, Group: group, Dev: "und0", TTL: 64}, "acc1"))
	} else {
		start(t, peer, groupConfig(other, group, "acc1", "")).forwards()
	}
	must(t, h1.AddAddr("eth0", h1.four.String()+"/24"))
	must(t, h2.AddAddr("eth0", h2.four.String()+"/24"))
	at := capture(t, ns, "und0", netns.Outgoing(), netns.Only(func(f []byte) bool { return isUDP(f) || isUDPSix(f) }))
	g.knowsOfCapture("und0")
	asks, answers := h1, h2
	a, b := onWire{src: gwMAC, from: own}, onWire{src: peerMAC, from: other}
	askMAC, answerMAC := h1MAC, h2MAC
	if !oursAsks {
		asks, answers, a, b = h2, h1, b, a
		askMAC, answerMAC = h2MAC, h1MAC
	}
	wantPing(t, asks, answers.four, 1, netns.PingOptions{})
	must(t, at.Wait(4, patience))
	frames := at.Frames()[:4]
	request := packet.ARP(frame.Broadcast, packet.ARPRequest, askMAC, asks.four, frame.MAC{}, answers.four)
	reply := packet.ARP(askMAC, packet.ARPReply, answerMAC, answers.four, askMAC, asks.four)
	for i, want := range []onWire{
		{dst: groupMAC(group), src: a.src, from: a.from, to: group, inner: request},
		{dst: a.src, src: b.src, from: b.from, to: a.from, inner: reply},
		{dst: b.src, src: a.src, from: a.from, to: b.from},
		{dst: a.src, src: b.src, from: b.from, to: a.from},
	} {
		w := dissect(t, frames[i])
		if w.dst != want.dst || w.src != want.src || w.from != want.from || w.to != want.to ||
			w.ttl != 64 || w.port != vxlanPort || w.vxlan != "080000000003e800" || want.inner != nil && !bytes.HasPrefix(w.inner, want.inner) {
			t.Errorf("frame %d: %+v\nwant %+v", i+1, w, want)
		}
	}
	macs := g.macs()
	if macs["1000 "+h2MAC.String()] != "vtep "+other.String() || macs["1000 "+h1MAC.String()] != "port acc1" {
		t.Errorf("known is %v", macs)
	}
	if v := g.vtep(group.String()); v.Origin != "group" || v.RxPackets != 0 || oursAsks != (v.TxPackets > 0) {
		t.Errorf("show vteps: %+v", v)
	}
	h1.configure6(t)
	h2.configure6(t)
	everything(t, h1, h2, 1<<20)
	g.wantDrops(drops{})
}

// configure6 gives the host its IPv6 address.
func (h *host) configure6(t testing.TB) {
	t.Helper()
	must(t, h.AddAddr("eth0", h.six.String()+"/64"))
}

// isReport keeps IGMP and MLDv2 (RFC 3376 section 4, RFC 3810 section 5).
func isReport(f []byte) bool {
	switch frame.Frame(f).Type() {
	case frame.TypeIPv4:
		return len(f) >= 14+20+8 && f[23] == 2
	case frame.TypeIPv6:
		return len(f) >= 14+40+8+8 && f[20] == 0 && f[54] == 58 && f[62] == 143
	}
	return false
}

// terminate ends the gateway before the test does.
func (g *gateway) terminate() {
	g.t.Helper()
	must(g.t, g.cmd.Process.Signal(syscall.SIGTERM))
	eventually(g.t, "the gateway ends", func() bool { return g.cmd.Process.Signal(syscall.Signal(0)) != nil })
}

// What a record of a report says of a group (RFC 3376 section 4.2.12).
const (
	nowInclude = 3 // of no sources: left
	nowExclude = 4 // of no sources: joined
)

// record returns a matcher for reports of version 3 or MLDv2 that carry a record
// of one type, without sources, for a group.
func record(typ byte, group netip.Addr) func([]byte) bool {
	want := append([]byte{typ, 0, 0, 0}, group.AsSlice()...)
	return func(f []byte) bool {
		r := f[14:]
		if group.Is4() {
			r = r[4*(r[0]&15):]
			return r[0] == 0x22 && bytes.Contains(r[8:], want)
		}
		return bytes.Contains(r[40+8+8:], want)
	}
}

// Joining and leaving are seen on the wire, as the standards have it, twice each
// (robustness); a group that VNIs share is joined once.
func TestGroupReports(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		address, group netip.Addr
	}{{gwAddr, group}, {gwSix, groupSix}} {
		t.Run(tc.address.String(), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, 1, 1600)
			must(t, b.ns.AddAddr("und0", gwSix.String()+"/64"))
			must(t, b.ns.AddAddr("und0", "fe80::17/64"))
			at := capture(t, b.peer, "und0", netns.Only(isReport))
			text := groupConfig(tc.address, tc.group, "acc1", "") + fmt.Sprintf("[[vni]]\nid = 2000\nvlan = 20\ngroup = %q\n", tc.group)
			g := start(t, b.ns, text).forwards()
			must(t, at.WaitMatch(2, record(nowExclude, tc.group), patience))
			f := at.Frames()[slices.IndexFunc(at.Frames(), record(nowExclude, tc.group))]
			if tc.group.Is4() {
				// To 224.0.0.22, TTL 1, internetwork control, Router Alert.
				if r := ip.IPv4(f[14:]); r.Dst() != netip.MustParseAddr("224.0.0.22") || f[22] != 1 || f[15] != 0xc0 || !bytes.Equal(f[34:38], []byte{0x94, 4, 0, 0}) {
					t.Errorf("report % x", f)
				}
			} else if r := ip.IPv6(f[14:]); r.Dst() != netip.MustParseAddr("ff02::16") || f[21] != 1 || r.Src() != netip.MustParseAddr("fe80::17") || !bytes.Contains(f[54:62], []byte{5, 2, 0, 0}) {
				t.Errorf("report % x", f)
			}
			if n := at.Count(record(nowInclude, tc.group)); n > 0 {
				t.Errorf("%d reports say that it has left", n)
			}
			g.terminate()
			must(t, at.WaitMatch(2, record(nowInclude, tc.group), patience))
		})
	}
}

// A querier that speaks version 2 is answered in version 2: the kernel does so.
func TestGroupReportsV2(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600)
	b.gateway = start(t, b.ns, groupConfig(gwAddr, group, "acc1", "")).forwards()
	at := capture(t, b.peer, "und0", netns.Only(isReport))
	query := []byte{0x46, 0xc0, 0, 32, 0, 0, 0, 0, 1, 2, 0, 0, 192, 0, 2, 34, 224, 0, 0, 1, 0x94, 4, 0, 0, 0x11, 10, 0xee, 0xf5, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(query[10:], ^ip.Sum(query[:24], 0))
	b.fromPeer(packet.Ethernet(frame.MAC{1, 0, 0x5e, 0, 0, 1}, peerMAC, frame.TypeIPv4, query))
	must(t, at.WaitMatch(1, func(f []byte) bool { return f[38] == 0x16 && ip.IPv4(f[14:]).Dst() == group }, patience))
	b.terminate()
	must(t, at.WaitMatch(1, func(f []byte) bool {
		return f[38] == 0x17 && ip.IPv4(f[14:]).Dst() == netip.MustParseAddr("224.0.0.2")
	}, patience))
}

// toGroup returns the frame that carries an inner frame in a VNI from a VTEP to a
// group.
func toGroup(from, to netip.Addr, vni uint32, inner []byte) []byte {
	return packet.UDP(groupMAC(to), peerMAC, netip.AddrPortFrom(from, 0xc0de), netip.AddrPortFrom(to, vxlanPort), packet.VXLAN(vni, inner))
}

// More groups than the 20 that the kernel lets one socket join: each is joined,
// and what is sent to each arrives.
func TestManyGroups(t *testing.T) {
	t.Parallel()
	const many = 64
	b := newBed(t, 1, 1600)
	at, reports := capture(t, b.hosts, "h1"), capture(t, b.peer, "und0", netns.Only(isReport))
	text := groupConfig(gwAddr, group, "acc1", "")
	groups := []netip.Addr{group}
	for i := 1; i < many; i++ {
		groups = append(groups, netip.AddrFrom4([4]byte{239, 119, 2, byte(i)}))
		text += fmt.Sprintf("[[vni]]\nid = %d\nvlan = %d\ngroup = %q\n", vni+i, 10+i, groups[i])
	}
	b.gateway = start(t, b.ns, text).forwards()
	if row := b.groups(); row.Interface != "und0" || !strings.Contains(row.Reason, "64 groups joined") {
		t.Errorf("show datapath: %+v", row)
	}
	var frames [][]byte
	for i, g := range groups {
		must(t, reports.WaitMatch(1, record(nowExclude, g), patience))
		frames = append(frames, toGroup(vtepA, g, uint32(vni+i), packet.Numbered(frame.Broadcast, ra1MAC, uint32(i))))
	}
	b.fromPeer(frames...)
	must(t, at.Wait(1, patience))
	b.wantDrops(drops{"no_port overlay": many - 1})
}

// groups returns the datapath row of the multicast groups, the last but one.
func (g *gateway) groups() api.DatapathRow {
	g.t.Helper()
	all := rows[api.DatapathRow](g, "datapath")
	return all[len(all)-2]
}

// waitGroups waits until show datapath says words about the groups.
func (g *gateway) waitGroups(words string) {
	g.t.Helper()
	var row api.DatapathRow
	eventually(g.t, words, func() bool {
		row = g.groups()
		return strings.Contains(row.Reason, words)
	})
	if row.Attached != strings.Contains(words, "joined") {
		g.t.Errorf("%+v", row)
	}
}

// command runs a program in a namespace.
func command(t *testing.T, ns *netns.NS, name string, args ...string) string {
	t.Helper()
	out, err := ns.Command(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// A switch that looks into IGMP and MLD, and so carries a group to its members
// only, carries it to the gateway and to kernel VTEPs, and not to a bystander.
func TestGroupSnooping(t *testing.T) {
	t.Parallel()
	for _, six := range []bool{false, true} {
		t.Run(fmt.Sprintf("IPv6 %t", six), func(t *testing.T) {
			t.Parallel()
			own, other, group, bits := gwAddr, vtepA, group, "/24"
			if six {
				own, other, group, bits = gwSix, vtepSix, groupSix, "/64"
			}
			hosts, ns, peer, segment := newNS(t), newNS(t), newNS(t), newNS(t)
			wire(t, hosts, "h1", ns, "acc1", netns.VethOptions{})
			wire(t, hosts, "hA", peer, "acc1", netns.VethOptions{})
			wire(t, ns, "und0", segment, "gw", netns.VethOptions{AMAC: gwMAC, MTU: 1600})
			wire(t, peer, "und0", segment, "a", netns.VethOptions{MTU: 1600})
			wire(t, hosts, "by", segment, "by", netns.VethOptions{MTU: 1600})
			command(t, segment, "ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "1", "mcast_query_response_interval", "50", "mcast_startup_query_interval", "50", "mcast_query_interval", "100", "mcast_mld_version", "2", "mcast_igmp_version", "3")
			for _, dev := range []string{"gw", "a", "by"} {
				must(t, segment.Enslave(dev, "br0"))
			}
			must(t, segment.AddAddr("br0", "192.0.2.254/24"))
			must(t, segment.AddAddr("br0", "fe80::254/64"))
			must(t, segment.SetUp("br0"))
			command(t, segment, "ip", "link", "set", "br0", "type", "bridge", "mcast_querier", "1")
			for _, side := range []struct {
				ns   *netns.NS
				addr netip.Addr
			}{{ns, own}, {peer, other}} {
				must(t, side.ns.AddAddr("und0", side.addr.String()+bits))
				must(t, side.ns.AddAddr("und0", fmt.Sprintf("fe80::%x/64", side.addr.AsSlice()[side.addr.BitLen()/8-1])))
			}
			at, atA, by := capture(t, hosts, "h1"), capture(t, hosts, "hA"), capture(t, hosts, "by", netns.Only(func(f []byte) bool { return isUDP(f) || isUDPSix(f) }))
			// Until the bridge trusts its querier it floods what nobody has joined.
			stranger := groupMAC(group)
			stranger[5] = 99
			unknown := toGroup(own, group, vni, nil)
			copy(unknown, stranger[:])
			if six {
				unknown[14+24+15] = 99
			} else {
				unknown[14+19] = 99
				reseal(unknown)
			}
			eventually(t, "the switch snoops", func() bool {
				before := len(by.Frames())
				must(t, ns.Send("und0", unknown))
				time.Sleep(50 * time.Millisecond)
				return len(by.Frames()) == before
			})
			must(t, peer.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: vni, Local: other, Group: group, Dev: "und0", TTL: 64}, "acc1"))
			g := start(t, ns, groupConfig(own, group, "acc1", "")).forwards()
			strays := len(by.Frames())
			eventually(t, "the switch knows the members", func() bool {
				mdb := command(t, segment, "bridge", "mdb", "show")
				return strings.Contains(mdb, "port gw grp "+group.String()) && strings.Contains(mdb, "port a grp "+group.String())
			})
			must(t, hosts.Send("h1", numbered(frame.Broadcast, h1MAC, 100, 10)...))
			must(t, hosts.Send("hA", numbered(frame.Broadcast, ra1MAC, 200, 10)...))
			must(t, atA.WaitMatch(10, func(f []byte) bool { n, ok := number(f); return ok && n < 200 }, patience))
			must(t, at.WaitMatch(10, func(f []byte) bool { n, ok := number(f); return ok && n >= 200 }, patience))
			if n, m := between(t, atA, 100, 10), between(t, at, 200, 10); n != 10 || m != 10 {
				t.Errorf("%d and %d frames, want 10 each", n, m)
			}
			if n := len(by.Frames()) - strays; n != 0 {
				t.Errorf("%d frames came to a bystander", n)
			}
			g.wantDrops(drops{})
		})
	}
}

// Two gateways on one machine share a group and the wire to everybody else: each
// hears the other once and itself never.
func TestGroupOfTwoOnOneMachine(t *testing.T) {
	t.Parallel()
	for _, six := range []bool{false, true} {
		t.Run(fmt.Sprintf("IPv6 %t", six), func(t *testing.T) {
			t.Parallel()
			own, second, group, bits := gwAddr, netip.MustParseAddr("192.0.2.18"), group, "/24"
			if six {
				own, second, group, bits = gwSix, netip.MustParseAddr("2001:db8::18"), groupSix, "/64"
			}
			b := newBed(t, 2, 1600)
			for _, a := range []netip.Addr{own, second} {
				if a != gwAddr {
					must(t, b.ns.AddAddr("und0", a.String()+bits))
				}
			}
			one := start(t, b.ns, groupConfig(own, group, "acc1", "")).forwards()
			two := start(t, b.ns, groupConfig(second, group, "acc2", "")).forwards()
			at1, at2 := capture(t, b.hosts, "h1"), capture(t, b.hosts, "h2")
			atPeer := capture(t, b.peer, "und0", netns.Only(func(f []byte) bool { return isUDP(f) || isUDPSix(f) }))
			b.fromHost("h1", numbered(frame.Broadcast, h1MAC, 0, 100)...)
			b.fromHost("h2", numbered(frame.Broadcast, h2MAC, 100, 100)...)
			must(t, at1.Wait(100, patience))
			must(t, at2.Wait(100, patience))
			must(t, atPeer.Wait(200, patience))
			if n, m := between(t, at1, 100, 100), between(t, at2, 0, 100); n != 100 || m != 100 || len(at1.Frames()) != 100 || len(at2.Frames()) != 100 {
				t.Errorf("%d of %d frames at one, %d of %d at the other", n, len(at1.Frames()), m, len(at2.Frames()))
			}
			for _, g := range []*gateway{one, two} {
				g.wantDrops(drops{})
			}
			if v := one.vtep(second.String()); v.RxPackets != 100 {
				t.Errorf("%+v", v)
			}
			if v := one.vtep(own.String()); v.Address != "" {
				t.Errorf("it has itself as a VTEP: %+v", v)
			}
		})
	}
}

// What comes by a group is judged as what comes to the VTEP's address is.
func TestGroupDecap(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600)
	b.gateway = start(t, b.ns, strings.Replace(groupConfig(gwAddr, group, "acc1", ""), "group =", `allowed_vteps = ["192.0.2.0/24"]`+"\ngroup =", 1)).forwards()
	at := capture(t, b.hosts, "h1")
	good := toGroup(vtepA, group, vni, golden[outerLen:])
	with := func(f func(p []byte)) []byte {
		p := slices.Clone(good)
		f(p)
		return reseal(p)
	}
	total := drops{}
	for _, c := range []struct {
		name   string
		packet []byte
		drop   string
	}{
		{"right checksum", good, ""},
		{"no checksum", with(func(p []byte) { p[40], p[41] = 0, 0 }), ""},
		{"wrong checksum", with(func(p []byte) { p[41]++ }), "outer_checksum"},
		{"UDP longer than its packet", with(func(p []byte) { p[39]++ }), "outer_malformed"},
		{"first fragment", with(func(p []byte) { p[20] = 0x20 }), "outer_fragment"},
		{"later fragment", with(func(p []byte) { p[20], p[21] = 0, 9 }), "outer_fragment"},
		{"CE on what is not capable", with(func(p []byte) { p[15] = 3; p[40], p[41] = 0, 0 }), "ecn"},
		{"a VNI that nobody has", with(func(p []byte) { p[46] = 0xff; p[40], p[41] = 0, 0 }), "unknown_vni"},
		{"a VTEP that may not", toGroup(netip.MustParseAddr("203.0.113.66"), group, vni, golden[outerLen:]), "vtep_not_allowed"},
		{"a group that was not joined", toGroup(vtepA, netip.MustParseAddr("239.119.1.2"), vni, golden[outerLen:]), ignored},
		{"damaged, to such a group", with(func(p []byte) { p[33]++; p[39]++ }), ignored},
	} {
		before := len(got(at))
		fence(t, rb1MAC, func(f ...[]byte) {
			b.fromPeer(append(slices.Repeat([][]byte{c.packet}, 10), toGroup(vtepA, group, vni, f[0]))...)
		}, at)
		var want [][]byte
		switch c.drop {
		case "":
			want = slices.Repeat([][]byte{golden[outerLen:]}, 10)
		case ignored:
		default:
			total[c.drop+" overlay"] += 10
		}
		wantFrames(t, got(at)[before:], want)
		b.wantDrops(total)
		if t.Failed() {
			t.Fatalf("that was: %s", c.name)
		}
	}
}

// Groups that cannot be joined are said to be, tried again, and joined once they
// can be. Each way of losing a membership ends with a report on the wire.
func TestGroupTroubles(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600)
	must(t, b.ns.Sysctl("ipv4/igmp_max_memberships", "0"))
	b.gateway = start(t, b.ns, groupConfig(gwAddr, group, "acc1", ""))
	b.waitGroups("igmp_max_memberships")
	must(t, b.ns.Sysctl("ipv4/igmp_max_memberships", "20"))
	b.waitGroups("1 group joined")
	b.forwards()
	arrives := func(n uint32) {
		t.Helper()
		at := capture(t, b.hosts, "h1")
		b.fromPeer(toGroup(vtepA, group, vni, packet.Numbered(frame.Broadcast, ra1MAC, n)))
		must(t, at.Wait(1, patience))
		out := captureOuter(t, b.peer, "und0")
		b.fromHost("h1", packet.Numbered(frame.Broadcast, h1MAC, n))
		must(t, out.Wait(1, patience))
		if p := vxlanPacket(out.Frames()[0]); p.dst() != group {
			t.Errorf("sent to %v", p.dst())
		}
		must(t, at.Close())
		must(t, out.Close())
	}
	arrives(1)

	command(t, b.ns, "ip", "link", "set", "und0", "multicast", "off")
	b.waitGroups("ip link set und0 multicast on")
	command(t, b.ns, "ip", "link", "set", "und0", "multicast", "on")
	b.waitGroups("1 group joined")
	arrives(2)

	// The cable out and in again.
	at := capture(t, b.peer, "und0", netns.Only(isReport))
	must(t, b.peer.SetDown("und0"))
	eventually(t, "the link is seen to be down", func() bool {
		return strings.Contains(command(t, b.ns, "ip", "link", "show", "und0"), "NO-CARRIER")
	})
	must(t, b.peer.SetUp("und0"))
	must(t, at.WaitMatch(1, record(nowExclude, group), patience))
	arrives(3)

	// Another device of the same name.
	must(t, b.ns.Delete("und0"))
	wire(t, b.ns, "und0", b.peer, "und0", netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: 1600})
	must(t, b.peer.AddAddr("und0", vtepA.String()+"/24"))
	at = capture(t, b.peer, "und0", netns.Only(isReport))
	must(t, b.ns.AddAddr("und0", gwAddr.String()+"/24"))
	must(t, at.WaitMatch(1, record(nowExclude, group), patience))
	b.forwards()
	arrives(4)

	// The address moves to another interface.
	wire(t, b.ns, "und1", b.peer, "und1", netns.VethOptions{})
	at = capture(t, b.peer, "und1", netns.Only(isReport))
	must(t, b.ns.DelAddr("und0", gwAddr.String()+"/24"))
	must(t, b.ns.AddAddr("und1", gwAddr.String()+"/24"))
	must(t, at.WaitMatch(1, record(nowExclude, group), patience))
	eventually(t, "the groups are on und1", func() bool { return b.groups().Interface == "und1" })
}
