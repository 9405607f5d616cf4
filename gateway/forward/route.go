package forward

import (
	"net/netip"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/vrf"
)

// Routed is what routing makes of a packet. It is a value: nothing has been done.
type Routed struct {
	Action Action
	Reason Reason // why, when Action is RouteDrop

	VRF   VRFID
	Route *vrf.Route // the longest prefix that holds the destination; nil: none was looked up or found

	// Of RouteForward and RouteResolve: the domain that the packet goes on in, and
	// who gets it there. MAC is known of RouteForward.
	Domain    fdb.Domain
	Neighbour netip.Addr
	MAC       frame.MAC

	// Tell is what the sender is to hear, when Telling says so: an ICMP error
	// from the address From.
	Telling bool
	Tell    ip.Error
	Pointer int // of ParameterProblem
	From    netip.Addr
}

// Action is what is done with a packet that came to be routed.
type Action uint8

// The actions.
const (
	RouteDrop    Action = iota
	RouteForward        // to MAC in Domain, with a TTL of one less
	RouteResolve        // it waits until Neighbour's MAC is known
	RouteEcho           // the gateway is asked for an echo, at the address From
	RouteLocal          // it is for a service of the gateway's own: DHCP
)

// Route decides on a packet that came to the gateway's MAC in a domain (RFC 1812
// section 5.2, RFC 8200). cache is the caller's, or nil. now is the gateway's clock in
// seconds.
func (s *Snapshot) Route(domain fdb.Domain, f frame.Frame, cache *vrf.Cache, now uint32) Routed {
	var r Routed
	s.RouteTo(&r, domain, f, cache, now)
	return r
}

// RouteTo is Route for who has a Routed to be written over.
func (s *Snapshot) RouteTo(r *Routed, domain fdb.Domain, f frame.Frame, cache *vrf.Cache, now uint32) {
	*r = Routed{}
	d := &s.Domains[domain]
	if d.IRB == nil {
		r.VRF = NoVRFID
		r.drop(NoGateway)
		return
	}
	r.VRF = d.IRB.VRF
	if f.Type() == frame.TypeIPv4 {
		r.From = d.IRB.From4
		s.route4(r, f, cache, now)
	} else {
		r.From = d.IRB.From6
		s.route6(r, d, f, cache, now)
	}
}

// RouteOwn is Route for a packet that the gateway itself sends, from a domain with a
// routed side. It has not come from anywhere, so nobody is told of what becomes of it.
// What is for a link-local address stays in the domain.
func (s *Snapshot) RouteOwn(domain fdb.Domain, packet []byte, dst netip.Addr, now uint32) Routed {
	r := Routed{VRF: s.Domains[domain].IRB.VRF}
	if dst.Is6() && dst.IsLinkLocalUnicast() {
		r.Domain, r.Neighbour = domain, dst
		s.find(&r, now)
		return r
	}
	r.Route = s.VRFs[r.VRF].Table.Lookup(dst)
	s.onward(&r, packet, dst, now)
	r.Telling = false
	return r
}

func (r *Routed) drop(why Reason) { r.Action, r.Reason = RouteDrop, why }

// refuse drops a packet and tells its sender.
func (r *Routed) refuse(why Reason, tell ip.Error) {
	r.Action, r.Reason, r.Telling, r.Tell = RouteDrop, why, true, tell
}

func (s *Snapshot) route4(r *Routed, f frame.Frame, cache *vrf.Cache, now uint32) {
	h, ok := ip.ParseIPv4(f.Payload())
	switch {
	case !r.From.IsValid():
		r.drop(NoGateway)
		return
	case !ok, !h.ChecksumOK():
		r.drop(BadIPHeader)
		return
	case !h.OptionsOK():
		r.refuse(BadIPHeader, ip.ParameterProblem)
		r.Pointer = h.BadOption()
		return
	case h.SourceRouted():
		r.drop(SourceRouted)
		return
	case martian4(h):
		r.drop(Martian)
		return
	}
	dst := h.Dst()
	r.Route = s.VRFs[r.VRF].lookup(dst, cache)
	switch {
	case s.VRFs[r.VRF].Own.has4(h[12:16]):
		r.drop(Martian)
	case r.Route != nil && r.Route.Kind == vrf.Local:
		r.local4(h, dst)
	case isLinkLocal4(h[12:16]), isLinkLocal4(h[16:20]):
		r.drop(Martian) // RFC 3927 section 2.7
	case h.TTL() <= 1:
		r.refuse(TTLExpired, ip.TTLExceeded)
	default:
		s.onward(r, h, dst, now)
	}
}

// lookup finds a route. In a small table that takes no longer than in a cache.
func (v *VRF) lookup(a netip.Addr, cache *vrf.Cache) *vrf.Route {
	if cache == nil || !v.Large {
		return v.Table.Lookup(a)
	}
	return cache.Lookup(v.Table, a)
}

// local4 is for an address of the gateway's own.
func (r *Routed) local4(h ip.IPv4, dst netip.Addr) {
	if h.IsFragment() {
		r.drop(NotServed) // nothing that the gateway serves comes in fragments
		return
	}
	r.serve(dst, h.Protocol(), h.Payload(), &services4)
}

// services is what a family calls what the gateway serves.
type services struct {
	icmp, echo uint8
	dhcp       uint16
}

var (
	services4 = services{ip.ProtoICMP, ip.ICMPEcho, DHCPServer4}
	services6 = services{ip.ProtoICMPv6, ip.ICMPv6Echo, DHCPServer6}
)

// serve decides on what is for the address dst of the gateway's own, by the protocol
// and what is behind its header.
func (r *Routed) serve(dst netip.Addr, proto uint8, body []byte, is *services) {
	r.From = dst
	switch {
	case proto == is.icmp && len(body) >= ip.ICMPHeaderLen && ip.ICMP(body).Type() == is.echo:
		r.Action = RouteEcho
	case proto == is.icmp:
		r.drop(NotServed)
	case proto == ip.ProtoUDP && len(body) >= ip.UDPHeaderLen && ip.UDP(body).DstPort() == is.dhcp:
		r.Action = RouteLocal
	case proto == ip.ProtoUDP:
		r.refuse(NotServed, ip.PortUnreachable)
	default:
		r.refuse(NotServed, ip.ProtocolUnreachable)
	}
}

func (s *Snapshot) route6(r *Routed, d *Domain, f frame.Frame, cache *vrf.Cache, now uint32) {
	h, ok := ip.ParseIPv6(f.Payload())
	switch {
	case !r.From.IsValid():
		r.drop(NoGateway)
		return
	case !ok:
		r.drop(BadIPHeader)
		return
	case martian6(h):
		r.drop(Martian)
		return
	}
	dst := h.Dst()
	link := isLinkLocal6(h[24:40])
	if link {
		if d.IRB.Has(dst) {
			r.local6(h, dst)
		} else {
			r.drop(Martian) // RFC 4291 section 2.5.6: never to another link
		}
		return
	}
	r.Route = s.VRFs[r.VRF].lookup(dst, cache)
	switch {
	case s.VRFs[r.VRF].Own.has6(h[8:24]):
		r.drop(Martian)
	case r.Route != nil && r.Route.Kind == vrf.Local:
		r.local6(h, dst)
	case isLinkLocal6(h[8:24]):
		r.From = d.IRB.Link
		r.refuse(Martian, ip.BeyondScope) // RFC 4443 section 3.1, code 2
	case h.RoutingHeader0():
		r.drop(SourceRouted)
	case h.HopLimit() <= 1:
		r.refuse(TTLExpired, ip.TTLExceeded)
	default:
		s.onward(r, h, dst, now)
	}
}

// local6 is local4 for IPv6.
func (r *Routed) local6(h ip.IPv6, dst netip.Addr) {
	switch u, ok := h.Upper(); {
	case !ok:
		r.drop(BadIPHeader)
	case u.Fragment, u.Routed:
		r.drop(NotServed)
	default:
		r.serve(dst, u.Proto, h[u.Off:], &services6)
	}
}

// onward finds who gets a packet next, by the route that was looked up.
func (s *Snapshot) onward(r *Routed, packet []byte, dst netip.Addr, now uint32) {
	if r.Route == nil {
		r.refuse(NoRoute, ip.NetUnreachable)
		return
	}
	switch r.Route.Kind {
	case vrf.Blackhole:
		r.drop(Blackhole)
		return
	case vrf.Unreachable:
		tell := ip.HostUnreachable // RFC 1812 section 4.3.3.1
		if !dst.Is4() {
			tell = ip.NetUnreachable // RFC 4443 section 3.1: code 0
		}
		r.refuse(NoRoute, tell)
		return
	case vrf.Connected:
		if isEdge(r.Route.Prefix, dst) {
			r.drop(Martian)
			return
		}
	}
	hop := &r.Route.Hops[0]
	if len(r.Route.Hops) > 1 {
		hop = r.Route.Hop(vrf.FlowHash(packet))
	}
	r.Domain, r.Neighbour = hop.Domain, hop.Via
	if !hop.Via.IsValid() {
		r.Neighbour = dst
	}
	s.find(r, now)
}

// find finds the MAC of the neighbour who gets a packet.
func (s *Snapshot) find(r *Routed, now uint32) {
	mac, ok := s.Hosts.Lookup(r.Domain, r.Neighbour, now)
	if !ok {
		r.Action = RouteResolve
		return
	}
	r.Action, r.MAC = RouteForward, mac
}

// isEdge reports whether an IPv4 address is the network's own or its directed
// broadcast, which are not forwarded (RFC 2644). Point-to-point prefixes have
// neither (RFC 3021).
func isEdge(p netip.Prefix, a netip.Addr) bool {
	if !a.Is4() || p.Bits() >= 31 {
		return false
	}
	b := a.As4()
	host := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	host &= 1<<(32-p.Bits()) - 1
	return host == 0 || host == 1<<(32-p.Bits())-1
}

// martian4 reports whether a packet has an address that is never routed (RFC 1812
// section 5.3.7, RFC 6890).
func martian4(h ip.IPv4) bool {
	return !routable4(h[12:16]) || !routable4(h[16:20]) || [4]byte(h[12:16]) == [4]byte(h[16:20])
}

// routable4: none of 0/8, 127/8, 224/4 and 240/4.
func routable4(a []byte) bool { return a[0] != 0 && a[0] != 127 && a[0] < 224 }

// martian6 is martian4 for IPv6 (RFC 4291 sections 2.4 to 2.7): none of ::, ::1,
// ::ffff:0:0/96 and ff00::/8.
func martian6(h ip.IPv6) bool {
	return !routable6(h[8:24]) || !routable6(h[24:40]) || [16]byte(h[8:24]) == [16]byte(h[24:40])
}

func routable6(a []byte) bool {
	if a[0] == 0xff {
		return false
	}
	b := netip.AddrFrom16([16]byte(a))
	return !b.IsUnspecified() && !b.IsLoopback() && !b.Is4In6()
}
