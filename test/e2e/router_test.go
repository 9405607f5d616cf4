package e2e

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// twins are two routers between the same two networks: the gateway, and a Linux
// kernel. The hosts are bare devices, whose MACs both know.
//
//	hosts h1 --- acc1 gw acc2 --- h2       10.1.1.0/24 and 2001:db8:11::/64 on the left,
//	hosts l1 --- r1 linux r2 --- l2        10.1.2.0/24 and 2001:db8:12::/64 on the right
type twins struct {
	hosts *netns.NS
	at    map[string]*netns.Capture
	*gateway
}

// routerMAC is both routers', on both sides.
var routerMAC = frame.MAC{0, 0, 0x5e, 0, 1, 1}

func newTwins(t *testing.T) *twins {
	t.Helper()
	w := &twins{hosts: newNS(t), at: make(map[string]*netns.Capture)}
	gw, linux := newNS(t), newNS(t)
	for i, m := range []frame.MAC{h1MAC, h2MAC} {
		wire(t, w.hosts, fmt.Sprintf("h%d", i+1), gw, fmt.Sprintf("acc%d", i+1), netns.VethOptions{AMAC: m})
		wire(t, w.hosts, fmt.Sprintf("l%d", i+1), linux, fmt.Sprintf("r%d", i+1), netns.VethOptions{AMAC: m, BMAC: routerMAC})
	}
	for dev, cidrs := range map[string][]string{"r1": {"10.1.1.1/24", "2001:db8:11::1/64", "fe80::1/64"}, "r2": {"10.1.2.1/24", "2001:db8:12::1/64", "fe80::1/64"}} {
		for _, c := range cidrs {
			must(t, linux.AddAddr(dev, c))
		}
	}
	must(t, linux.Forward())
	for key, value := range map[string]string{
		"ipv4/icmp_ratemask": "0", "ipv4/icmp_msgs_per_sec": "100000", "ipv4/icmp_msgs_burst": "100000", "ipv6/icmp/ratelimit": "0",
		"ipv4/conf/all/send_redirects": "0", "ipv4/conf/r1/send_redirects": "0", "ipv4/conf/r2/send_redirects": "0", "ipv4/conf/all/accept_source_route": "0",
	} {
		must(t, linux.Sysctl(key, value))
	}
	must(t, linux.AddRoute(netns.Route{To: "172.18.0.0/16", Kind: "unreachable"}))
	must(t, linux.AddRoute(netns.Route{To: "172.17.0.0/16", Kind: "blackhole"}))
	must(t, linux.AddRoute(netns.Route{To: "172.16.0.0/16", Via: "10.1.2.10", Dev: "r2"}))
	known := map[string]map[string]frame.MAC{"r1": {"10.1.1.10": h1MAC, "2001:db8:11::10": h1MAC, "fe80::9": h1MAC}, "r2": {"10.1.2.10": h2MAC, "2001:db8:12::10": h2MAC}}
	for dev, all := range known {
		for a, m := range all {
			must(t, linux.SetNeighbour(dev, netip.MustParseAddr(a), netns.Neighbour{MAC: m, State: unix.NUD_PERMANENT}))
		}
	}
	must(t, gw.AddAddr("lo", "192.0.2.17/32"))
	w.gateway = start(t, gw, `
[underlay]
address = "192.0.2.17"
[[vni]]
id = 1000
vlan = 10
vrf = "red"
gateway = ["10.1.1.1/24", "2001:db8:11::1/64"]
gateway_mac = "00:00:5e:00:01:01"
ra = false
allowed_vteps = ["192.0.2.99"]
[[vni]]
id = 2000
vlan = 20
vrf = "red"
gateway = ["10.1.2.1/24", "2001:db8:12::1/64"]
gateway_mac = "00:00:5e:00:01:01"
ra = false
allowed_vteps = ["192.0.2.99"]
[[port]]
interface = "acc1"
vlan = 10
[[port]]
interface = "acc2"
vlan = 20
[[vrf]]
name = "red"
[[vrf.route]]
prefix = "172.18.0.0/16"
unreachable = true
[[vrf.route]]
prefix = "172.17.0.0/16"
blackhole = true
[[vrf.route]]
prefix = "172.16.0.0/16"
via = "10.1.2.10"
`).forwards()
	for _, dev := range []string{"h1", "h2", "l1", "l2"} {
		w.at[dev] = capture(t, w.hosts, dev, netns.Only(isIPNotND))
	}
	w.introduce()
	return w
}

// introduce has the hosts ask for the gateway, which so knows of them.
func (w *twins) introduce() {
	w.t.Helper()
	for dev, h := range map[string]struct {
		m           frame.MAC
		four, six   string
		gate4, gate netip.Addr
	}{"h1": {h1MAC, "10.1.1.10", "2001:db8:11::10", gate1, gate1six}, "h2": {h2MAC, "10.1.2.10", "2001:db8:12::10", gate2, gate2six}} {
		must(w.t, w.hosts.Send(dev,
			packet.ARP(frame.Broadcast, packet.ARPRequest, h.m, netip.MustParseAddr(h.four), frame.MAC{}, h.gate4),
			packet.Solicit(h.m, netip.MustParseAddr(h.six), h.gate).Frame()))
	}
}

// isIPNotND keeps what is told apart by its mark.
func isIPNotND(f []byte) bool { _, ok := markOf(f); return ok }

// markOf returns the mark of a packet: its IPv4 identification or IPv6 flow label, in
// an ICMP error that of the packet that it quotes, in an echo its sequence number.
func markOf(f []byte) (mark uint32, ok bool) {
	b := frame.Frame(f).Payload()
	switch {
	case frame.Frame(f).Type() == frame.TypeIPv4 && len(b) >= 20:
		h := ip.IPv4(b)
		hl := h.HeaderLen()
		if h.Protocol() == ip.ProtoICMP && !h.IsFragment() && len(b) >= hl+8 {
			switch m := b[hl:]; {
			case m[0] == 3 || m[0] == 11 || m[0] == 12 || m[0] == 5:
				if len(m) < 28 {
					return 0, false
				}
				return uint32(binary.BigEndian.Uint16(m[12:])), true
			case m[0] == 0:
				return uint32(binary.BigEndian.Uint16(m[6:])), true
			}
		}
		return uint32(h.ID()), h.ID() != 0
	case frame.Frame(f).Type() == frame.TypeIPv6 && len(b) >= 48:
		if m := b[40:]; b[6] == ip.ProtoICMPv6 {
			switch {
			case m[0] < 128 && len(m) >= 48:
				return binary.BigEndian.Uint32(m[8:]) & 0xfffff, true
			case m[0] == 129:
				return uint32(binary.BigEndian.Uint16(m[6:])), true
			case m[0] >= 133 && m[0] <= 137:
				return 0, false
			}
		}
		label := ip.IPv6(b).FlowLabel()
		return label, label != 0
	}
	return 0, false
}

// outcome is what a router made of a packet, in words that can be compared: where
// what came out, with everything in it that does not depend on who routes.
func (w *twins) outcome(side string, mark uint32) string {
	var all []string
	for _, n := range []string{"1", "2"} {
		for _, f := range w.at[side+n].Frames() {
			if m, _ := markOf(f); m == mark {
				all = append(all, n+" "+told(f))
			}
		}
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

// told is a frame that came out. Of an ICMP error it is what must be the same: from
// whom, to whom, type, code and MTU. How much is quoted, the TTL and the TOS are each
// router's own, and so are TTL and DF of an echo reply.
func told(f []byte) string {
	fr := frame.Frame(f)
	b := fr.Payload()
	head := fmt.Sprintf("%s>%s ", fr.Src(), fr.Dst())
	if fr.Type() == frame.TypeIPv4 {
		h, ok := ip.ParseIPv4(b)
		if !ok || !h.ChecksumOK() {
			return head + "broken " + hex.EncodeToString(b)
		}
		if m := h.Payload(); h.Protocol() == ip.ProtoICMP && !h.IsFragment() && len(m) >= 8 && m[0] != 8 {
			return head + fmt.Sprintf("ICMP %v>%v %d/%d %x sum %t", h.Src(), h.Dst(), m[0], m[1], m[4:8], ip.Sum(m, 0) == 0xffff)
		}
		return head + hex.EncodeToString(h)
	}
	h, ok := ip.ParseIPv6(b)
	if !ok {
		return head + "broken " + hex.EncodeToString(b)
	}
	if m := h.Payload(); h.NextHeader() == ip.ProtoICMPv6 && len(m) >= 8 && m[0] != 128 {
		return head + fmt.Sprintf("ICMPv6 %s>%v %d/%d %x sum %t", ownLink(h.Src()), h.Dst(), m[0], m[1], m[4:8], ip.Sum(m, h.PseudoSum(ip.ProtoICMPv6, len(m))) == 0xffff)
	}
	return head + hex.EncodeToString(h)
}

// ownLink is an address, and of a router's link-local one only that it is one: each
// has made its own.
func ownLink(a netip.Addr) string {
	if a.IsLinkLocalUnicast() {
		return "link-local"
	}
	return a.String()
}

// specimen is a packet that is sent to both routers. why says what the two disagree
// about, where they do: then linux is what Linux makes of it, and the gateway drops it
// for a reason.
type specimen struct {
	name string
	f    []byte
	why  string
	drop string // the gateway's reason, where it is not Linux' outcome
}

// packet4 is a UDP packet to the router's MAC.
func packet4(src, dst string, mend func(h ip.IPv4)) []byte {
	f := packet.UDP(routerMAC, h1MAC, netip.AddrPortFrom(netip.MustParseAddr(src), 10000), netip.AddrPortFrom(netip.MustParseAddr(dst), 9), make([]byte, 60))
	if mend != nil {
		mend(ip.IPv4(f[14:]))
	}
	return f
}

func packet6(src, dst string, mend func(h ip.IPv6)) []byte {
	f := packet.UDP(routerMAC, h1MAC, netip.AddrPortFrom(netip.MustParseAddr(src), 10000), netip.AddrPortFrom(netip.MustParseAddr(dst), 9), make([]byte, 60))
	if mend != nil {
		mend(ip.IPv6(f[14:]))
	}
	return f
}

// specimens are packets of every kind that a router has a rule for.
func specimens() []specimen {
	const me, he, me6, he6 = "10.1.1.10", "10.1.2.10", "2001:db8:11::10", "2001:db8:12::10"
	byte4 := func(at int, v byte) func(ip.IPv4) { return func(h ip.IPv4) { h[at] = v } }
	byte6 := func(at int, v byte) func(ip.IPv6) { return func(h ip.IPv6) { h[at] = v } }
	options := func(o ...byte) func(ip.IPv4) {
		return func(h ip.IPv4) { h[0] = 0x40 | byte(5+len(o)/4); copy(h[20:], o) }
	}
	var all []specimen
	add := func(name string, f []byte) { all = append(all, specimen{name: name, f: f}) }
	except := func(name string, f []byte, drop, why string) { all = append(all, specimen{name, f, why, drop}) }
	for _, ttl := range []byte{0, 1, 2, 3, 64, 255} {
		add(fmt.Sprint("TTL ", ttl), packet4(me, he, byte4(8, ttl)))
		add(fmt.Sprint("hop limit ", ttl), packet6(me6, he6, byte6(7, ttl)))
	}
	for _, tos := range []byte{0, 1, 0x2a, 0xb8, 0xff} {
		add(fmt.Sprint("TOS ", tos), packet4(me, he, byte4(1, tos)))
	}
	for _, proto := range []byte{0, 1, 2, 4, 6, 17, 41, 47, 50, 58, 89, 103, 132, 255} {
		add(fmt.Sprint("protocol ", proto), packet4(me, he, byte4(9, proto)))
	}
	for _, p := range []string{"1.1.1.1", "172.18.1.1", "172.17.1.1", "172.16.9.9", "203.0.113.5"} {
		add("to "+p, packet4(me, p, nil))
	}
	for _, p := range []string{"2001:db9::1", "2620::1", "fec0::1"} {
		add("to "+p, packet6(me6, p, nil))
	}
	for _, p := range []string{"0.0.0.0", "127.0.0.1", "224.0.0.9", "255.255.255.255", "10.1.2.255"} {
		add("from "+p, packet4(p, he, nil))
	}
	for _, p := range []string{"0.0.0.0", "127.0.0.1", "224.0.0.9", "239.1.1.1", "255.255.255.255", "10.1.2.255"} {
		add("to "+p, packet4(me, p, nil))
	}
	for _, p := range []string{"::", "::1", "ff02::1", "ff0e::1"} {
		add("from "+p, packet6(p, he6, nil))
	}
	add("from another network", packet4("198.51.100.1", he, nil))
	add("from another network in IPv6", packet6("2001:db8:77::1", he6, nil))
	add("to ::1", packet6(me6, "::1", nil))
	add("to fe80::77", packet6(me6, "fe80::77", nil))
	add("from link-local", packet6("fe80::9", he6, nil))
	add("version", packet4(me, he, byte4(0, 0x55)))
	add("a header of 16 bytes", packet4(me, he, byte4(0, 0x44)))
	add("a header that lies", packet4(me, he, byte4(0, 0x4f)))
	add("longer than the frame", packet4(me, he, byte4(2, 8)))
	add("shorter than a header", packet4(me, he, func(h ip.IPv4) { h.SetTotalLen(19) }))
	add("shorter than the frame", packet4(me, he, func(h ip.IPv4) { h.SetTotalLen(40) }))
	add("longer than the frame in IPv6", packet6(me6, he6, byte6(4, 8)))
	add("shorter than the frame in IPv6", packet6(me6, he6, byte6(5, 20)))
	add("version in IPv6", packet6(me6, he6, byte6(0, 0x50)))
	add("first fragment", packet4(me, he, func(h ip.IPv4) { h[6], h[7] = 0x20, 0 }))
	add("later fragment", packet4(me, he, func(h ip.IPv4) { h[6], h[7] = 0x20, 9 }))
	add("last fragment", packet4(me, he, func(h ip.IPv4) { h[6], h[7] = 0, 99 }))
	add("TTL 1 in a later fragment: nobody is told", packet4(me, he, func(h ip.IPv4) { h[6], h[7], h[8] = 0, 99, 1 }))
	add("no operation", packet4(me, he, options(1, 1, 1, 0)))
	add("an unknown option", packet4(me, he, options(30, 4, 1, 2)))
	add("an option of no length", packet4(me, he, options(30, 0, 1, 2)))
	add("an option of length 1", packet4(me, he, options(30, 1, 1, 2)))
	add("an option that is too long", packet4(me, he, options(30, 9, 1, 2)))
	add("hop-by-hop options", packet6(me6, he6, func(h ip.IPv6) { h[6] = 0; copy(h[40:], []byte{59, 0, 1, 4, 0, 0, 0, 0}) }))
	add("destination options", packet6(me6, he6, func(h ip.IPv6) { h[6] = 60; copy(h[40:], []byte{59, 0, 1, 4, 0, 0, 0, 0}) }))
	add("a fragment in IPv6", packet6(me6, he6, func(h ip.IPv6) { h[6] = 44; copy(h[40:], []byte{17, 0, 0, 1, 0, 0, 0, 7}) }))
	for _, next := range []byte{6, 17, 41, 50, 59, 89, 132, 255} {
		add(fmt.Sprint("next header ", next), packet6(me6, he6, byte6(6, next)))
	}
	add("an ICMP error with TTL 1: nobody is told", packet4(me, he, func(h ip.IPv4) { h[8], h[9], h[20], h[21] = 1, 1, 3, 1 }))
	add("an ICMPv6 error with hop limit 1: nobody is told", packet6(me6, he6, func(h ip.IPv6) { h[7], h[6], h[40] = 1, 58, 1 }))
	for _, a := range []string{"10.1.1.1", "10.1.2.1"} {
		add("UDP to "+a, packet4(me, a, nil))
		add("echo to "+a, echoTo(me, a))
	}
	for _, a := range []string{"2001:db8:11::1", "2001:db8:12::1"} {
		add("UDP to "+a, packet6(me6, a, nil))
	}

	except("from 240/4", packet4("240.1.1.1", he, nil), "martian", "Linux routes class E since 2.6.25; RFC 1812 section 5.3.7 has it as martian")
	except("to 240/4", packet4(me, "240.1.1.1", nil), "martian", "the same")
	except("from 169.254/16", packet4("169.254.1.1", he, nil), "martian", "Linux routes it; RFC 3927 section 2.7 forbids it")
	except("to 169.254/16", packet4(me, "169.254.1.1", nil), "martian", "the same")
	except("from 0.1.2.3", packet4("0.1.2.3", he, nil), "martian", "Linux routes 0/8 since 5.3; RFC 6890 does not")
	except("to 0.1.2.3", packet4(me, "0.1.2.3", nil), "martian", "the same")
	except("to itself", packet4(he, he, nil), "martian", "Linux routes it; nobody sends to himself by a router")
	except("from the router's own address in IPv6", packet6("2001:db8:12::1", he6, nil), "martian", "Linux routes it; nobody else has that address")
	except("from a mapped address", packet6("::ffff:10.1.1.9", he6, nil), "martian", "Linux routes it; RFC 4291 section 2.5.5.2 has no such packets on a wire")
	except("routing header 0", packet6(me6, he6, func(h ip.IPv6) { h[6] = 43; copy(h[40:], []byte{59, 2, 0, 1}) }), "source_routed", "Linux routes it on, being no destination of it; RFC 5095 section 4.2 would have it filtered")
	return all
}

// echoTo is an echo request. Its sequence number is written by mark.
func echoTo(src, dst string) []byte {
	return packet4(src, dst, func(h ip.IPv4) {
		h[9] = ip.ProtoICMP
		copy(h[20:], []byte{8, 0, 0, 0, 0, 1, 0, 0})
	})
}

// mark gives a packet its mark, and a right checksum where it had a header.
func mark(f []byte, n uint32) {
	b := frame.Frame(f).Payload()
	if frame.Frame(f).Type() == frame.TypeIPv6 {
		binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)&^0xfffff|n)
		return
	}
	h := ip.IPv4(b)
	h.SetID(uint16(n))
	if h.Protocol() == ip.ProtoICMP && b[20] == 8 {
		binary.BigEndian.PutUint16(b[26:], uint16(n))
		b[22], b[23] = 0, 0
		binary.BigEndian.PutUint16(b[22:], ^ip.Sum(b[20:], 0))
	}
	h.SetChecksum(0)
	h.SetChecksum(^ip.Sum(b[:min(len(b), max(20, h.HeaderLen()))], 0))
}

// The gateway does with a packet what Linux does with it, byte for byte where it goes
// on and in what senders are told, but for what is listed with its reason.
func TestRoutesLikeLinux(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	all := specimens()
	const chunk = 40 // errors are limited to 100 a second
	for from := 0; from < len(all); from += chunk {
		for i := from; i < min(from+chunk, len(all)); i++ {
			mark(all[i].f, uint32(i+1))
			must(t, w.hosts.Send("h1", all[i].f))
			must(t, w.hosts.Send("l1", all[i].f))
		}
		w.introduce()
		last := packet4("10.1.1.10", "10.1.2.10", nil)
		mark(last, 0x8000+uint32(from))
		for _, side := range []string{"h", "l"} {
			must(t, w.hosts.Send(side+"1", last))
			must(t, w.at[side+"2"].WaitMatch(1, func(f []byte) bool { m, _ := markOf(f); return m == 0x8000+uint32(from) }, patience))
		}
		time.Sleep(1100 * time.Millisecond) // the limit's second
	}
	for i, s := range all {
		got, linux := w.outcome("h", uint32(i+1)), w.outcome("l", uint32(i+1))
		switch {
		case s.why == "" && got != linux:
			t.Errorf("%s: the gateway has it come out as\n%s\nand Linux as\n%s", s.name, got, linux)
		case s.why != "" && got != "[]":
			t.Errorf("%s: %s, want it dropped as %s: %s", s.name, got, s.drop, s.why)
		case s.why != "" && got == linux:
			t.Errorf("%s is no exception any more: Linux drops it too (%s)", s.name, s.why)
		}
	}
	have := w.dropped()
	for _, s := range all {
		if s.drop != "" && have[s.drop+" route"] == 0 {
			t.Errorf("nothing is counted as %s", s.drop)
		}
	}
}
