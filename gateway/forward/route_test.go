package forward

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vxgw/gateway/counters"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/ip"
	"vxgw/l3/nud"
	"vxgw/l3/vrf"
)

// The routed topology: VNI 1000 and 2000 in VRF red, VNI 3000 in blue, where the
// gateway has the address that it has in VNI 1000 too. h1 is 10.1.1.10, ra 10.1.1.20
// behind VTEP A, and a router stands at 10.1.2.254.
var (
	rt2     = mac("02:00:00:00:09:fe")
	host1   = netip.MustParseAddr("10.1.1.10")
	host1v6 = netip.MustParseAddr("2001:db8:1::10")
	router  = netip.MustParseAddr("10.1.2.254")
	gwLocal = neigh.LinkLocal(gwMAC)
)

func routedSnapshot() *Snapshot {
	s := testSnapshot()
	s.Hosts = nud.New()
	for _, d := range []fdb.Domain{dom1000, dom2000, dom3000} {
		s.Hosts.SetDomain(d, 100)
		s.Domains[d].Gateway = gwMAC
	}
	s.Domains[dom4000].Gateway = gwMAC
	pfx := func(texts ...string) (all []netip.Prefix) {
		for _, t := range texts {
			all = append(all, netip.MustParsePrefix(t))
		}
		return append(all, netip.PrefixFrom(gwLocal, 64))
	}
	irb := func(id VRFID, addrs []netip.Prefix) *IRB {
		return &IRB{VRF: id, Addrs: addrs, From4: addrs[0].Addr(), From6: addrs[1].Addr(), Link: gwLocal, Errors: counters.NewLimit(100)}
	}
	s.Domains[dom1000].IRB = irb(0, pfx("10.1.1.1/24", "2001:db8:1::1/64"))
	s.Domains[dom2000].IRB = irb(0, pfx("10.1.2.1/24", "2001:db8:2::1/64", "10.1.3.0/31"))
	s.Domains[dom2000].IRB.Relay4, s.Domains[dom2000].IRB.Relay6 = true, true
	s.Domains[dom3000].IRB = irb(1, pfx("10.1.1.1/24", "2001:db8:3::1/64"))
	hop := func(d fdb.Domain, via string) []vrf.NextHop {
		h := vrf.NextHop{Domain: d}
		if via != "" {
			h.Via = netip.MustParseAddr(via)
		}
		return []vrf.NextHop{h}
	}
	route := func(p string, k vrf.Kind, hops []vrf.NextHop) vrf.Route {
		return vrf.Route{Prefix: netip.MustParsePrefix(p), Kind: k, Hops: hops}
	}
	red := vrf.Build(slices.Values([]vrf.Route{
		route("10.1.1.0/24", vrf.Connected, hop(dom1000, "")), route("10.1.1.1/32", vrf.Local, hop(dom1000, "")),
		route("10.1.2.0/24", vrf.Connected, hop(dom2000, "")), route("10.1.2.1/32", vrf.Local, hop(dom2000, "")),
		route("10.1.3.0/31", vrf.Connected, hop(dom2000, "")), route("10.1.3.0/32", vrf.Local, hop(dom2000, "")),
		route("2001:db8:1::/64", vrf.Connected, hop(dom1000, "")), route("2001:db8:1::1/128", vrf.Local, hop(dom1000, "")),
		route("2001:db8:2::/64", vrf.Connected, hop(dom2000, "")), route("2001:db8:2::1/128", vrf.Local, hop(dom2000, "")),
		route("172.16.0.0/12", vrf.Via, hop(dom2000, "10.1.2.254")),
		route("172.17.0.0/16", vrf.Blackhole, nil), route("172.18.0.0/16", vrf.Unreachable, nil),
		route("2001:db8:b::/48", vrf.Unreachable, nil),
	}))
	blue := vrf.Build(slices.Values([]vrf.Route{
		route("10.1.1.0/24", vrf.Connected, hop(dom3000, "")), route("10.1.1.1/32", vrf.Local, hop(dom3000, "")),
		route("2001:db8:3::/64", vrf.Connected, hop(dom3000, "")), route("2001:db8:3::1/128", vrf.Local, hop(dom3000, "")),
	}))
	own := func(texts ...string) *OwnAddrs {
		var addrs []netip.Addr
		for _, t := range texts {
			addrs = append(addrs, netip.MustParseAddr(t))
		}
		return NewOwnAddrs(addrs)
	}
	s.VRFs = []VRF{
		{Name: "red", Table: red, Traffic: new(counters.Traffic), Own: own("10.1.1.1", "10.1.2.1", "10.1.3.0", "2001:db8:1::1", "2001:db8:2::1")},
		{Name: "blue", Table: blue, Traffic: new(counters.Traffic), Own: own("10.1.1.1", "2001:db8:3::1")},
	}
	s.Hosts.SetStatic(dom1000, host1, h1, now)
	s.Hosts.SetStatic(dom1000, netip.MustParseAddr("10.1.1.20"), ra, now)
	s.Hosts.SetStatic(dom1000, host1v6, h1, now)
	s.Hosts.SetStatic(dom2000, router, rt2, now)
	return s
}

// udp4 is a datagram for the gateway's MAC; mend may change its header, whose
// checksum is then made right.
func udp4(src, dst string, mend func(ip.IPv4)) frame.Frame {
	b := make([]byte, frame.HeaderLen+ip.IPv4HeaderLen+ip.UDPHeaderLen+4)
	ethernetTo(b, frame.TypeIPv4)
	h := ip.IPv4(b[frame.HeaderLen:])
	h.Encode(ip.IPv4Fields{TotalLen: len(h), TTL: 64, Protocol: ip.ProtoUDP, Src: netip.MustParseAddr(src).As4(), Dst: netip.MustParseAddr(dst).As4()})
	u := ip.UDP(h.Payload())
	binary.BigEndian.PutUint16(u[2:4], 2000)
	u.SetLength(len(u))
	if mend != nil {
		mend(h)
		h.SetChecksum(0)
		h.SetChecksum(^ip.Sum(h[:h.HeaderLen()], 0))
	}
	return b
}

func udp6(src, dst string, mend func(ip.IPv6)) frame.Frame {
	b := make([]byte, frame.HeaderLen+ip.IPv6HeaderLen+32)
	ethernetTo(b, frame.TypeIPv6)
	h := ip.IPv6(b[frame.HeaderLen:])
	h.Encode(ip.IPv6Fields{PayloadLen: 32, NextHeader: ip.ProtoUDP, HopLimit: 64, Src: netip.MustParseAddr(src).As16(), Dst: netip.MustParseAddr(dst).As16()})
	binary.BigEndian.PutUint16(h.Payload()[2:4], 2000)
	if mend != nil {
		mend(h)
	}
	return b
}

func ethernetTo(b []byte, t uint16) {
	copy(b[0:6], gwMAC[:])
	copy(b[6:12], h2[:])
	binary.BigEndian.PutUint16(b[12:14], t)
}

func TestRoute(t *testing.T) {
	ttl := func(n byte) func(ip.IPv4) { return func(h ip.IPv4) { h[8] = n } }
	hops := func(n byte) func(ip.IPv6) { return func(h ip.IPv6) { h[7] = n } }
	proto := func(p byte, typ ...byte) func(ip.IPv4) {
		return func(h ip.IPv4) { h[9] = p; copy(h.Payload(), typ) }
	}
	next := func(p byte, typ ...byte) func(ip.IPv6) {
		return func(h ip.IPv6) { h[6] = p; copy(h.Payload(), typ) }
	}
	options := func(o ...byte) func(ip.IPv4) { // in the place of the UDP header
		return func(h ip.IPv4) { h[0] = 0x40 | byte(5+len(o)/4); copy(h[20:], o) }
	}
	from, from6 := netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("2001:db8:1::1")
	to := func(d fdb.Domain, a netip.Addr, m frame.MAC) Routed {
		return Routed{Action: RouteForward, Domain: d, Neighbour: a, MAC: m}
	}
	asks := func(d fdb.Domain, a string) Routed {
		return Routed{Action: RouteResolve, Domain: d, Neighbour: netip.MustParseAddr(a)}
	}
	drop := func(r Reason) Routed { return Routed{Reason: r} }
	told := func(r Reason, e ip.Error) Routed { return Routed{Reason: r, Telling: true, Tell: e, From: from} }
	told6 := func(r Reason, e ip.Error) Routed { return Routed{Reason: r, Telling: true, Tell: e, From: from6} }
	at := func(a string, r Routed) Routed { r.From = netip.MustParseAddr(a); return r }

	tests := []struct {
		name string
		in   fdb.Domain
		f    frame.Frame
		want Routed
	}{
		{"to a neighbour in another VNI", dom2000, udp4("10.1.2.9", "10.1.1.10", nil), to(dom1000, host1, h1)},
		{"to one behind a VTEP", dom2000, udp4("10.1.2.9", "10.1.1.20", nil), to(dom1000, netip.MustParseAddr("10.1.1.20"), ra)},
		{"to one in the same VNI", dom1000, udp4("10.1.1.9", "10.1.1.10", nil), to(dom1000, host1, h1)},
		{"to one that is not known", dom1000, udp4("10.1.1.9", "10.1.2.77", nil), asks(dom2000, "10.1.2.77")},
		{"by a route", dom1000, udp4("10.1.1.9", "172.20.1.1", nil), to(dom2000, router, rt2)},
		{"TTL 2 is enough", dom2000, udp4("10.1.2.9", "10.1.1.10", ttl(2)), to(dom1000, host1, h1)},
		{"the other end of a /31 (RFC 3021)", dom1000, udp4("10.1.1.9", "10.1.3.1", nil), asks(dom2000, "10.1.3.1")},
		{"record route and router alert pass", dom2000, udp4("10.1.2.9", "10.1.1.10", options(7, 3, 4, 1, 148, 4, 0, 0)), to(dom1000, host1, h1)},
		{"a fragment passes", dom2000, udp4("10.1.2.9", "10.1.1.10", func(h ip.IPv4) { h[6], h[7] = 0x20, 5 }), to(dom1000, host1, h1)},

		{"TTL 1 (RFC 1812 section 5.3.1)", dom1000, udp4("10.1.1.9", "10.1.2.77", ttl(1)), told(TTLExpired, ip.TTLExceeded)},
		{"TTL 0", dom1000, udp4("10.1.1.9", "10.1.2.77", ttl(0)), told(TTLExpired, ip.TTLExceeded)},
		{"no route", dom1000, udp4("10.1.1.9", "8.8.8.8", nil), told(NoRoute, ip.NetUnreachable)},
		{"blackhole: nobody is told", dom1000, udp4("10.1.1.9", "172.17.1.1", nil), drop(Blackhole)},
		{"unreachable", dom1000, udp4("10.1.1.9", "172.18.1.1", nil), told(NoRoute, ip.HostUnreachable)},
		{"unreachable in IPv6 (RFC 4443 section 3.1)", dom1000, udp6("2001:db8:1::9", "2001:db8:b::1", nil), told6(NoRoute, ip.NetUnreachable)},
		{"no way from one VRF to another", dom3000, udp4("10.1.1.9", "10.1.2.9", nil), told(NoRoute, ip.NetUnreachable)},
		{"each VRF has its own 10.1.1.0/24", dom3000, udp4("10.1.1.9", "10.1.1.10", nil), asks(dom3000, "10.1.1.10")},

		{"header checksum", dom1000, func() frame.Frame { f := udp4("10.1.1.9", "10.1.2.9", nil); f[24] ^= 1; return f }(), drop(BadIPHeader)},
		{"version", dom1000, func() frame.Frame { f := udp4("10.1.1.9", "10.1.2.9", nil); f[14] = 0x55; return f }(), drop(BadIPHeader)},
		{"longer than the frame", dom1000, udp4("10.1.1.9", "10.1.2.9", func(h ip.IPv4) { h.SetTotalLen(2000) }), drop(BadIPHeader)},
		{"a header of 16 bytes", dom1000, udp4("10.1.1.9", "10.1.2.9", func(h ip.IPv4) { h[0] = 0x44 }), drop(BadIPHeader)},
		{"an option that lies", dom1000, udp4("10.1.1.9", "10.1.2.9", options(1, 7, 40, 4)), Routed{Reason: BadIPHeader, Telling: true, Tell: ip.ParameterProblem, Pointer: 21, From: from}},
		{"loose source route", dom1000, udp4("10.1.1.9", "10.1.2.9", options(131, 7, 4, 10, 1, 2, 3, 0)), drop(SourceRouted)},
		{"strict source route behind padding", dom1000, udp4("10.1.1.9", "10.1.2.9", options(1, 137, 3, 4)), drop(SourceRouted)},

		{"from 0/8", dom1000, udp4("0.0.0.0", "10.1.2.9", nil), drop(Martian)},
		{"from loopback", dom1000, udp4("127.0.0.1", "10.1.2.9", nil), drop(Martian)},
		{"from a group", dom1000, udp4("224.0.0.9", "10.1.2.9", nil), drop(Martian)},
		{"from class E", dom1000, udp4("240.0.0.9", "10.1.2.9", nil), drop(Martian)},
		{"from everybody", dom1000, udp4("255.255.255.255", "10.1.2.9", nil), drop(Martian)},
		{"from 169.254/16 (RFC 3927 section 2.7)", dom1000, udp4("169.254.1.9", "10.1.2.9", nil), drop(Martian)},
		{"to 169.254/16", dom1000, udp4("10.1.1.9", "169.254.1.9", nil), drop(Martian)},
		{"to 0/8", dom1000, udp4("10.1.1.9", "0.0.0.1", nil), drop(Martian)},
		{"to loopback", dom1000, udp4("10.1.1.9", "127.0.0.1", nil), drop(Martian)},
		{"to a group", dom1000, udp4("10.1.1.9", "239.1.1.1", nil), drop(Martian)},
		{"to everybody", dom1000, udp4("10.1.1.9", "255.255.255.255", nil), drop(Martian)},
		{"to itself", dom1000, udp4("10.1.1.9", "10.1.1.9", nil), drop(Martian)},
		{"from the gateway's own address", dom1000, udp4("10.1.1.1", "10.1.2.9", nil), drop(Martian)},
		{"from the gateway's address in another VNI", dom1000, udp4("10.1.2.1", "10.1.2.9", nil), drop(Martian)},
		{"directed broadcast (RFC 2644)", dom1000, udp4("10.1.1.9", "10.1.2.255", nil), drop(Martian)},
		{"the network's own address", dom1000, udp4("10.1.1.9", "10.1.2.0", nil), drop(Martian)},

		{"echo", dom1000, udp4("10.1.1.9", "10.1.1.1", proto(ip.ProtoICMP, 8)), Routed{Action: RouteEcho, From: from}},
		{"echo for its address in another VNI", dom1000, udp4("10.1.1.9", "10.1.2.1", proto(ip.ProtoICMP, 8)), Routed{Action: RouteEcho, From: netip.MustParseAddr("10.1.2.1")}},
		{"echo with TTL 1", dom1000, udp4("10.1.1.9", "10.1.1.1", func(h ip.IPv4) { proto(ip.ProtoICMP, 8)(h); h[8] = 1 }), Routed{Action: RouteEcho, From: from}},
		{"a gateway at the first address of a /31", dom1000, udp4("10.1.1.9", "10.1.3.0", proto(ip.ProtoICMP, 8)), Routed{Action: RouteEcho, From: netip.MustParseAddr("10.1.3.0")}},
		{"an echo reply", dom1000, udp4("10.1.1.9", "10.1.1.1", proto(ip.ProtoICMP, 0)), drop(NotServed)},
		{"a fragment for the gateway", dom1000, udp4("10.1.1.9", "10.1.1.1", func(h ip.IPv4) { h[6] = 0x20 }), drop(NotServed)},
		{"UDP for the gateway: traceroute ends here", dom1000, udp4("10.1.1.9", "10.1.1.1", nil), told(NotServed, ip.PortUnreachable)},
		{"TCP for the gateway", dom1000, udp4("10.1.1.9", "10.1.1.1", proto(ip.ProtoTCP)), told(NotServed, ip.ProtocolUnreachable)},
		{"DHCP for the gateway", dom1000, udp4("10.9.9.9", "10.1.1.1", func(h ip.IPv4) { h.Payload()[3], h.Payload()[2] = 67, 0 }), Routed{Action: RouteLocal}},
		{"a VNI that does not route", dom4000, udp4("10.1.1.9", "10.1.2.9", nil), drop(NoGateway)},

		{"IPv6 to a neighbour", dom2000, udp6("2001:db8:2::9", "2001:db8:1::10", nil), to(dom1000, host1v6, h1)},
		{"IPv6 to one that is not known", dom1000, udp6("2001:db8:1::9", "2001:db8:2::9", nil), asks(dom2000, "2001:db8:2::9")},
		{"hop limit 1", dom1000, udp6("2001:db8:1::9", "2001:db8:2::9", hops(1)), told6(TTLExpired, ip.TTLExceeded)},
		{"hop limit 0", dom1000, udp6("2001:db8:1::9", "2001:db8:2::9", hops(0)), told6(TTLExpired, ip.TTLExceeded)},
		{"IPv6 without a route", dom1000, udp6("2001:db8:1::9", "2001:db9::9", nil), told6(NoRoute, ip.NetUnreachable)},
		{"IPv6 from a group", dom1000, udp6("ff02::1", "2001:db8:2::9", nil), drop(Martian)},
		{"IPv6 from nobody", dom1000, udp6("::", "2001:db8:2::9", nil), drop(Martian)},
		{"IPv6 from loopback", dom1000, udp6("::1", "2001:db8:2::9", nil), drop(Martian)},
		{"IPv6 from a mapped address", dom1000, udp6("::ffff:10.1.1.9", "2001:db8:2::9", nil), drop(Martian)},
		{"IPv6 to a group", dom1000, udp6("2001:db8:1::9", "ff0e::1", nil), drop(Martian)},
		{"link-local out of its link (RFC 4443 section 3.1)", dom1000, udp6("fe80::9", "2001:db8:2::9", nil), at(gwLocal.String(), told6(Martian, ip.BeyondScope))},
		{"to a link-local that is not ours", dom1000, udp6("2001:db8:1::9", "fe80::77", nil), drop(Martian)},
		{"IPv6 from the gateway's own address", dom1000, udp6("2001:db8:2::1", "2001:db8:2::9", nil), drop(Martian)},
		{"IPv6 longer than the frame", dom1000, udp6("2001:db8:1::9", "2001:db8:2::9", func(h ip.IPv6) { h.SetPayloadLen(900) }), drop(BadIPHeader)},
		{"routing header 0 (RFC 5095)", dom1000, udp6("2001:db8:1::9", "2001:db8:2::9", next(ip.ProtoRouting, 17, 2, 0, 1)), drop(SourceRouted)},
		{"hop-by-hop options pass", dom2000, udp6("2001:db8:2::9", "2001:db8:1::10", next(ip.ProtoHopByHop, 17, 0, 1, 4)), to(dom1000, host1v6, h1)},
		{"ICMPv6 echo", dom1000, udp6("2001:db8:1::9", "2001:db8:1::1", next(ip.ProtoICMPv6, 128)), Routed{Action: RouteEcho, From: from6}},
		{"ICMPv6 echo for link-local", dom1000, udp6("fe80::9", gwLocal.String(), next(ip.ProtoICMPv6, 128)), Routed{Action: RouteEcho, From: gwLocal}},
		{"UDP for the gateway in IPv6", dom1000, udp6("2001:db8:1::9", "2001:db8:1::1", nil), told6(NotServed, ip.PortUnreachable)},
		{"SCTP for the gateway in IPv6", dom1000, udp6("2001:db8:1::9", "2001:db8:1::1", next(ip.ProtoSCTP)), told6(NotServed, ip.ProtocolUnreachable)},
		{"advertisements are none of routing's", dom1000, udp6("2001:db8:1::9", "2001:db8:1::1", next(ip.ProtoICMPv6, 136)), drop(NotServed)},
		{"IPv6 from another VRF's address is an address", dom1000, udp6("2001:db8:3::1", "2001:db8:1::10", nil), at("2001:db8:1::1", to(dom1000, host1v6, h1))},
	}
	s := routedSnapshot()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := s.Route(tt.in, tt.f, nil, now)
			if got.Reason != None && !got.Reason.Occurs(Route) {
				t.Errorf("%s cannot occur in direction route", got.Reason)
			}
			got.Route, got.VRF = nil, 0
			if !got.Telling && got.Action != RouteEcho {
				got.From, tt.want.From = netip.Addr{}, netip.Addr{}
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{}, frame.MAC{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// What is for the gateway itself goes no further, and what is not is bridged.
func TestToGateway(t *testing.T) {
	dst := func(f frame.Frame, m frame.MAC) frame.Frame { copy(f[0:6], m[:]); return f }
	arp := func(to frame.MAC, op uint16, sender, target string) frame.Frame {
		f := make([]byte, neigh.ARPRequestLen)
		neigh.PutARPRequest(f, h1, netip.MustParseAddr(sender), netip.MustParseAddr(target), to)
		binary.BigEndian.PutUint16(f[20:22], op)
		return f
	}
	ns := func(src, target string, to frame.MAC) frame.Frame {
		f := make([]byte, neigh.SolicitationLen)
		return f[:neigh.PutSolicitation(f, h1, netip.MustParseAddr(src), netip.MustParseAddr(target), to)]
	}
	na := func(target string) frame.Frame {
		f := make([]byte, neigh.AdvertisementLen)
		neigh.PutUnsolicited(f, h1, netip.MustParseAddr(target))
		return f
	}
	dhcp := func() frame.Frame {
		f := dst(udp4("10.1.2.9", "10.1.2.8", func(h ip.IPv4) {
			copy(h[12:20], []byte{0, 0, 0, 0, 255, 255, 255, 255})
			copy(h[20:24], []byte{0, 68, 0, 67})
		}), frame.Broadcast)
		return f
	}
	// said has an ARP message name another sender than the frame.
	said := func(f frame.Frame, m frame.MAC) frame.Frame { copy(f[22:28], m[:]); return f }
	// named has a message of ND name another MAC.
	named := func(f frame.Frame, m frame.MAC) frame.Frame {
		copy(f[len(f)-6:], m[:])
		h := ip.IPv6(f.Payload())
		copy(h[42:44], []byte{0, 0})
		binary.BigEndian.PutUint16(h[42:44], ^ip.Sum(h[40:], h.PseudoSum(ip.ProtoICMPv6, len(h)-40)))
		return f
	}
	stolen := Verdict{Kind: Drop, Reason: SourceGateway}
	local := Verdict{Kind: Local, Heed: true}
	answered := Verdict{Kind: Local, Heed: true, Reply: true}
	flooded := Verdict{Kind: Flood, Heed: true}
	claimed := Verdict{Kind: Drop, Reason: GatewayClaimed}
	tests := []struct {
		name string
		in   PortID
		f    frame.Frame
		want Verdict
	}{
		{"ARP for the gateway", acc1, arp(frame.Broadcast, 1, "10.1.1.10", "10.1.1.1"), answered},
		{"ARP for the gateway by unicast", acc1, arp(gwMAC, 1, "10.1.1.10", "10.1.1.1"), answered},
		{"ARP probe for the gateway (RFC 5227 section 2.5)", acc1, arp(frame.Broadcast, 1, "0.0.0.0", "10.1.1.1"), answered},
		{"ARP for a host", acc1, arp(frame.Broadcast, 1, "10.1.1.10", "10.1.1.11"), flooded},
		{"ARP for the gateway's address in another VNI", acc1, arp(frame.Broadcast, 1, "10.1.1.10", "10.1.2.1"), flooded},
		{"gratuitous ARP of a host", acc1, arp(frame.Broadcast, 1, "10.1.1.10", "10.1.1.10"), flooded},
		{"ARP reply to the gateway", acc1, arp(gwMAC, 2, "10.1.1.10", "10.1.1.1"), local},
		{"gratuitous ARP for the gateway", acc1, arp(frame.Broadcast, 1, "10.1.1.1", "10.1.1.1"), claimed},
		{"ARP reply that claims the gateway", acc1, arp(h2, 2, "10.1.1.1", "10.1.1.11"), claimed},
		{"ARP request that says that a host has the gateway's MAC", acc1, said(arp(frame.Broadcast, 1, "10.1.1.10", "10.1.1.1"), gwMAC), stolen},
		{"ARP reply that says so", acc1, said(arp(gwMAC, 2, "10.1.1.10", "10.1.1.1"), gwMAC), stolen},
		{"ARP request from everybody", acc1, said(arp(frame.Broadcast, 1, "10.1.1.10", "10.1.1.1"), frame.Broadcast), local},
		{"ARP request from no MAC", acc1, said(arp(frame.Broadcast, 1, "10.1.1.10", "10.1.1.1"), frame.MAC{}), local},
		{"NS that says that a host has the gateway's MAC", acc1, named(ns("2001:db8:1::10", "2001:db8:1::1", frame.MAC{}), gwMAC), stolen},
		{"NA that says so", acc1, named(na("2001:db8:1::10"), gwMAC), stolen},
		{"NS for the gateway", acc1, ns("2001:db8:1::10", "2001:db8:1::1", frame.MAC{}), answered},
		{"NS for its link-local address", acc1, ns("2001:db8:1::10", gwLocal.String(), frame.MAC{}), answered},
		{"NS by unicast", acc1, ns("2001:db8:1::10", "2001:db8:1::1", gwMAC), answered},
		{"DAD for the gateway (RFC 4862)", acc1, ns("::", "2001:db8:1::1", frame.MAC{}), answered},
		{"NS for a host", acc1, ns("2001:db8:1::10", "2001:db8:1::11", frame.MAC{}), flooded},
		{"NA of a host", acc1, na("2001:db8:1::10"), flooded},
		{"NA that claims the gateway", acc1, na("2001:db8:1::1"), claimed},
		{"NS from the gateway's address", acc1, ns("2001:db8:1::1", "2001:db8:1::11", frame.MAC{}), claimed},
		{"IPv4 for the gateway's MAC", acc1, dst(udp4("10.1.1.10", "10.1.2.9", nil), gwMAC), Verdict{Kind: ToRouter}},
		{"neither IP nor ARP", acc1, eth(gwMAC, h1, "88b5 00"), Verdict{Kind: Drop, Reason: NotServed}},
		{"DHCP where it is relayed", acc3, dhcp(), Verdict{Kind: Local, Domain: dom2000}},
		{"DHCP where it is not", acc1, dhcp(), Verdict{Kind: Flood}},
		{"the gateway's MAC where nothing is routed", tunnel, dst(udp4("10.1.1.10", "10.1.2.9", nil), gwMAC), Verdict{Kind: ToRouter, Domain: dom4000}},
	}
	s := routedSnapshot()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.f.Src() == h2 {
				copy(tt.f[6:12], h1[:])
			}
			got := s.FromAccess(tt.in, Input{Frame: tt.f, Size: len(tt.f)}, now)
			got.Learn = false
			checkVerdict(t, got, tt.want)
			// From a VTEP it is no different, but for what is flooded.
			if tt.in == acc1 {
				copy(tt.f[6:12], ra[:])
				got := s.FromOverlay(dom1000, vtepA, 0, tt.f, now)
				got.Learn = false
				if tt.name != "DHCP where it is not" {
					checkVerdict(t, got, tt.want)
				}
			}
		})
	}
}

// Where the gateway's own frames go: no horizon is split for them.
func TestFromGateway(t *testing.T) {
	s := routedSnapshot()
	s.Ports[acc2].MTU = 1400
	tests := []struct {
		name string
		in   PortID
		to   frame.MAC
		size int
		want Verdict
	}{
		{"a port", NoPortID, h1, 60, Verdict{Kind: ToPort, Port: acc1}},
		{"back by the port it came in by", acc1, h1, 60, Verdict{Kind: ToPort, Port: acc1}},
		{"a VTEP", NoPortID, ra, 60, Verdict{Kind: ToVTEP, VTEP: vtepA}},
		{"unknown", NoPortID, nobody, 60, Verdict{Kind: Flood}},
		{"everybody", NoPortID, frame.Broadcast, 60, Verdict{Kind: Flood}},
		{"down", NoPortID, hDown, 60, Verdict{Kind: Drop, Reason: PortDown}},
		{"isolated from isolated", iso1, hIso, 60, Verdict{Kind: Drop, Reason: IsolatedPort}},
		{"isolated from another VNI", NoPortID, hIso, 60, Verdict{Kind: ToPort, Port: iso2}},
		{"too long for the port", NoPortID, h2, 1415, Verdict{Kind: Drop, Reason: TooBig, MTU: 1400}},
		{"just fits", NoPortID, h2, 1414, Verdict{Kind: ToPort, Port: acc2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := eth(gwMAC, h1, ipv4)
			checkVerdict(t, s.FromGateway(dom1000, tt.in, tt.to, Input{Frame: f, Size: tt.size}, now), tt.want)
		})
	}
}

func TestRouteAllocatesNothing(t *testing.T) {
	s := routedSnapshot()
	f4, f6 := udp4("10.1.2.9", "10.1.1.10", nil), udp6("2001:db8:2::9", "2001:db8:1::10", nil)
	n := testing.AllocsPerRun(100, func() {
		for _, f := range []frame.Frame{f4, f6} {
			r := s.Route(dom2000, f, nil, now)
			s.FromGateway(r.Domain, NoPortID, r.MAC, Input{Frame: f, Size: len(f)}, now)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A verdict on any packet is one of the five, with a reason where it is a drop and
// nowhere else, and is of the packet's own VRF.
func FuzzRoute(f *testing.F) {
	f.Add(uint8(0), []byte(udp4("10.1.2.9", "10.1.1.10", nil)))
	f.Add(uint8(1), []byte(udp6("2001:db8:2::9", "2001:db8:1::10", nil)))
	s := routedSnapshot()
	f.Fuzz(func(t *testing.T, d uint8, b []byte) {
		if len(b) < frame.HeaderLen {
			return
		}
		in := fdb.Domain(d % 3)
		r := s.Route(in, b, nil, now)
		switch {
		case r.Action > RouteLocal:
			t.Fatalf("no such action: %+v", r)
		case (r.Action == RouteDrop) != (r.Reason != None):
			t.Fatalf("a drop needs a reason, and only a drop: %+v", r)
		case r.Reason != None && !r.Reason.Occurs(Route):
			t.Fatalf("%s cannot occur in direction route", r.Reason)
		case r.Telling && r.Action != RouteDrop:
			t.Fatalf("told of what went on: %+v", r)
		case r.Action == RouteForward && s.Domains[r.Domain].IRB.VRF != s.Domains[in].IRB.VRF:
			t.Fatalf("into another VRF: %+v", r)
		}
	})
}

func BenchmarkRoute(b *testing.B) {
	s := routedSnapshot()
	for name, f := range map[string]frame.Frame{"IPv4": udp4("10.1.2.9", "10.1.1.10", nil), "IPv6": udp6("2001:db8:2::9", "2001:db8:1::10", nil)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var r Routed
			for b.Loop() {
				s.RouteTo(&r, dom2000, f, nil, now)
			}
		})
	}
}
