package forward

import (
	"bytes"
	"net/netip"
	"testing"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/underlay"
	"vxgw/test/packet"
)

var (
	ip4 = map[frame.MAC]netip.Addr{}
	ip6 = map[frame.MAC]netip.Addr{}

	quiet4, quiet6 = netip.MustParseAddr("10.1.1.99"), netip.MustParseAddr("2001:db8:1::99")
	zero4          = netip.IPv4Unspecified()
)

// suppressing is the reference topology with suppression on in VNI 1000, where
// every station but h1 has told of its addresses.
func suppressing() *Snapshot {
	s := testSnapshot()
	s.Neighbours = neigh.New()
	s.Uplinks = []underlay.Conn{nil}
	for d := range s.Domains {
		s.Domains[d].Suppress = fdb.Domain(d) == dom1000
		s.Neighbours.SetDomain(fdb.Domain(d), 100)
	}
	for i, m := range []frame.MAC{h1, h2, ra, hIso, hDown, hMoved, hLater, rLater, nobody, rStatic} {
		ip4[m] = netip.AddrFrom4([4]byte{10, 1, 1, byte(i + 1)})
		ip6[m] = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)})
		if m != h1 {
			for _, d := range []fdb.Domain{dom1000, dom2000} {
				s.Neighbours.Hear(d, neigh.Read(packet.ARP(frame.Broadcast, 2, m, ip4[m], m, ip4[m])), now)
				s.Neighbours.Hear(d, neigh.Read(announce(m, m == ra)), now)
			}
		}
	}
	return s
}

func announce(m frame.MAC, router bool) []byte {
	n := packet.Announce(m, ip6[m])
	if router {
		n.Flags |= packet.FlagRouter
	}
	return n.Frame()
}

func arp(src frame.MAC, from, target netip.Addr) []byte {
	return packet.ARP(frame.Broadcast, packet.ARPRequest, src, from, frame.MAC{}, target)
}

func solicit(src frame.MAC, from, target netip.Addr) []byte {
	return packet.Solicit(src, from, target).Frame()
}

// Which requests from a port are answered, and by whom.
func TestSuppress(t *testing.T) {
	suppressing() // gives the stations their addresses
	answer := func(m frame.MAC, isRouter bool) Verdict {
		return Verdict{Kind: Answer, Neighbour: m, Router: isRouter}
	}
	flood := Verdict{Kind: Flood}
	unicast := func(f []byte, dst frame.MAC) []byte {
		f = bytes.Clone(f)
		copy(f, dst[:])
		return f
	}
	with := func(n packet.ND, change func(*packet.ND)) []byte {
		change(&n)
		return n.Frame()
	}
	tests := []struct {
		name  string
		in    PortID
		f     []byte
		later uint32
		want  Verdict
	}{
		{name: "behind a VTEP", f: arp(h1, quiet4, ip4[ra]), want: answer(ra, false)},
		{name: "behind a VTEP, a router", f: solicit(h1, quiet6, ip6[ra]), want: answer(ra, true)},
		{name: "behind another port", f: solicit(h1, quiet6, ip6[h2]), want: answer(h2, false)},
		{name: "a static MAC", f: arp(h1, quiet4, ip4[rStatic]), want: answer(rStatic, false)},
		{name: "unknown", f: arp(h1, quiet4, netip.MustParseAddr("10.1.1.98")), want: flood},
		{name: "unknown, IPv6", f: solicit(h1, quiet6, netip.MustParseAddr("2001:db8:1::98")), want: flood},
		{name: "behind the same port", in: acc2, f: arp(nobody, ip4[nobody], ip4[h2]), want: flood},
		{name: "behind a port that is down", f: arp(h1, quiet4, ip4[hDown]), want: flood},
		{name: "behind a port of another VNI", f: arp(h1, quiet4, ip4[hMoved]), want: flood},
		{name: "behind a VTEP that is not numbered yet", f: arp(h1, quiet4, ip4[rLater]), want: flood},
		{name: "a MAC that is not known", f: arp(h1, quiet4, ip4[nobody]), want: flood},
		{name: "behind an isolated port", f: arp(h1, quiet4, ip4[hIso]), want: answer(hIso, false)},
		{name: "from one isolated port to another", in: iso1, f: arp(h1, quiet4, ip4[hIso]), want: flood},
		{name: "a VNI that does not suppress", in: acc3, f: arp(h1, quiet4, ip4[ra]), want: Verdict{Kind: Drop, Reason: NoRemote, Domain: dom2000}},

		{name: "unicast request", f: unicast(arp(h1, quiet4, ip4[ra]), ra), want: Verdict{Kind: ToVTEP, VTEP: vtepA}},
		{name: "unicast solicitation", f: with(packet.Solicit(h1, quiet6, ip6[ra]), func(n *packet.ND) { n.DstMAC, n.Dst = ra, ip6[ra] }), want: Verdict{Kind: ToVTEP, VTEP: vtepA}},
		{name: "gratuitous request", f: arp(h1, quiet4, quiet4), want: flood},
		{name: "probe", f: arp(h1, zero4, ip4[ra]), want: Verdict{Kind: Flood, Heard: neigh.Dropped}},
		{name: "probe of one's own", in: acc2, f: arp(h2, zero4, ip4[h2]), want: flood},
		{name: "duplicate address detection", f: packet.Detect(h1, ip6[ra]).Frame(), want: Verdict{Kind: Flood, Heard: neigh.Dropped}},
		{name: "another MAC inside", f: unicast(append(arp(h1, quiet4, ip4[ra])[:22:22], arp(nobody, quiet4, ip4[ra])[22:]...), frame.Broadcast), want: Verdict{Kind: Flood, Heard: neigh.Dropped}},
		{name: "hop limit 254", f: with(packet.Solicit(h1, quiet6, ip6[ra]), func(n *packet.ND) { n.HopLimit = 254 }), want: flood},
		{name: "wrong checksum", f: with(packet.Solicit(h1, quiet6, ip6[ra]), func(n *packet.ND) { n.BadChecksum = true }), want: flood},
		{name: "code 1", f: with(packet.Solicit(h1, quiet6, ip6[ra]), func(n *packet.ND) { n.Code = 1 }), want: flood},
		{name: "an option of no length", f: with(packet.Solicit(h1, quiet6, ip6[ra]), func(n *packet.ND) { n.Options = make([]byte, 8) }), want: flood},
		{name: "from nobody, with a source", f: with(packet.Detect(h1, ip6[ra]), func(n *packet.ND) { n.Options = packet.LinkLayer(1, h1) }), want: flood},
		{name: "ARP cut short", f: arp(h1, quiet4, ip4[ra])[:41], want: flood},
		{name: "one who has moved asks", in: acc2, f: arp(h2, ip4[ra], ip4[hIso]), want: Verdict{Kind: Flood, Heard: neigh.Moved}},
		{name: "reply", f: packet.ARP(h2, packet.ARPReply, h1, quiet4, h2, ip4[h2]), want: Verdict{Kind: ToPort, Port: acc2}},

		{name: "fresh for 29 seconds", f: arp(h1, quiet4, ip4[ra]), later: 29, want: answer(ra, false)},
		{name: "stale at 30", f: arp(h1, quiet4, ip4[ra]), later: 30, want: Verdict{Kind: Flood, Ask: true}},
		{name: "forgotten at 120", f: arp(h1, quiet4, ip4[ra]), later: 120, want: flood},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := suppressing()
			later := now + tt.later
			// The sender's own place and address are no news here.
			src := frame.Frame(tt.f).Src()
			s.FDB.Learn(s.Ports[tt.in].Domain, src, PortHop(tt.in), later)
			if src == h1 {
				for _, f := range [][]byte{arp(h1, quiet4, quiet4), packet.Announce(h1, quiet6).Frame()} {
					s.Neighbours.Hear(dom1000, neigh.Read(f), later)
				}
			}
			if src == nobody {
				s.Neighbours.Hear(dom1000, neigh.Read(tt.f), later)
			}
			v := s.FromAccess(tt.in, Input{Frame: tt.f, Size: len(tt.f)}, later)
			v.Learn = false
			checkVerdict(t, v, tt.want)
		})
	}
}

// Without a way out, a neighbour out there is not answered for.
func TestSuppressUnderlayDown(t *testing.T) {
	s := suppressing()
	s.Uplinks = nil
	for _, f := range [][]byte{arp(h1, quiet4, ip4[ra]), solicit(h1, quiet6, ip6[ra])} {
		if v := s.FromAccess(acc1, Input{Frame: f, Size: len(f)}, now); v.Kind != Flood {
			t.Errorf("%+v", v)
		}
	}
	f := arp(h1, quiet4, ip4[h2])
	if v := s.FromAccess(acc1, Input{Frame: f, Size: len(f)}, now); v.Kind != Answer {
		t.Errorf("behind a port: %+v", v)
	}
}

// What comes from a VTEP is heard and delivered, and never answered.
func TestHearFromOverlay(t *testing.T) {
	s := suppressing()
	for _, tt := range []struct {
		name string
		f    []byte
		want Verdict
	}{
		{"request", arp(ra, ip4[ra], ip4[h2]), Verdict{Kind: Flood}},
		{"request of a new one", arp(ra, quiet4, ip4[h2]), Verdict{Kind: Flood, Heard: neigh.Added}},
		{"reply", packet.ARP(h1, packet.ARPReply, ra, quiet4, h1, ip4[h1]), Verdict{Kind: ToPort, Port: acc1, Heard: neigh.Added}},
		{"announcement of a move", arp(ra, ip4[h2], ip4[h2]), Verdict{Kind: Flood, Heard: neigh.Moved}},
		{"solicitation", solicit(ra, ip6[ra], ip6[h2]), Verdict{Kind: Flood}},
		{"solicitation of a new one", solicit(ra, quiet6, ip6[h2]), Verdict{Kind: Flood}},
		{"advertisement", packet.Advertise(ra, quiet6, h1, ip6[h1]).Frame(), Verdict{Kind: ToPort, Port: acc1, Heard: neigh.Added}},
		{"split horizon", packet.ARP(rStatic, packet.ARPReply, ra, quiet4, rStatic, ip4[rStatic]), Verdict{Kind: Drop, Reason: SplitHorizon, Heard: neigh.Added}},
		{"an impostor's", packet.ARP(h1, packet.ARPReply, pStatic, quiet4, h1, ip4[h1]), Verdict{Kind: Drop, Reason: StaticMoved}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkVerdict(t, s.FromOverlay(dom1000, vtepA, 0, tt.f, now), tt.want)
		})
	}
}

// Whatever comes in: who is answered is told of a neighbour that the table has,
// fresh or just asked, and that is not behind its own port.
func FuzzSuppress(f *testing.F) {
	s := suppressing()
	f.Add(uint8(acc1), arp(h1, quiet4, ip4[ra]), uint8(0))
	f.Add(uint8(acc2), solicit(h1, quiet6, ip6[ra]), uint8(30))
	f.Add(uint8(iso1), packet.Detect(h1, ip6[ra]).Frame(), uint8(29))
	f.Add(uint8(acc1), arp(h1, zero4, ip4[ra]), uint8(0))
	f.Add(uint8(acc1), announce(h2, true), uint8(0))
	f.Fuzz(func(t *testing.T, port uint8, b []byte, later uint8) {
		in, at := PortID(port)%PortID(len(s.Ports)), now+uint32(later)
		v := s.FromAccess(in, Input{Frame: b, Size: len(b)}, at)
		checkSane(t, s, v)
		if v.Kind != Answer && !v.Ask {
			return
		}
		fr := frame.Frame(b)
		m := neigh.Read(fr)
		e, ok := s.Neighbours.Lookup(v.Domain, m.Asks, at)
		switch {
		case !ok || !s.Domains[v.Domain].Suppress:
			t.Fatalf("of a neighbour that is not known: %+v", v)
		case !fr.Dst().IsMulticast():
			t.Fatalf("a unicast is answered: %+v", v)
		case v.Kind == Answer && (v.Neighbour != e.MAC || !e.Fresh(at) || v.Ask):
			t.Fatalf("%+v, which is %+v", v, e)
		}
		if hop, ok := s.hop(v.Domain, e.MAC, at); !ok || hop == PortHop(in) {
			t.Fatalf("not to be reached: %+v", v)
		}
	})
}

func TestSuppressAllocatesNothing(t *testing.T) {
	s := suppressing()
	four, six := arp(h1, quiet4, ip4[ra]), solicit(h1, quiet6, ip6[ra])
	reply := packet.Advertise(ra, ip6[ra], h1, quiet6).Frame()
	if n := testing.AllocsPerRun(100, func() {
		s.FromAccess(acc1, Input{Frame: four, Size: len(four)}, now)
		s.FromAccess(acc1, Input{Frame: six, Size: len(six)}, now)
		s.FromOverlay(dom1000, vtepA, 0, reply, now)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
