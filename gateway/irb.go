package gateway

import (
	"net/netip"
	"slices"

	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/ra"
)

// irbState is what the router task remembers of a routed interface.
type irbState struct {
	up    bool
	mac   frame.MAC
	addrs []netip.Prefix

	// introduce counts down the seconds in which the gateway makes itself known
	// (RFC 5227 section 2): first it asks whether somebody else has its addresses,
	// then it announces them.
	introduce int

	advertise   ra.Schedule
	advertising bool                  // hosts have it as their router
	defended    map[netip.Addr]uint32 // when an address was last announced against another claim
}

const (
	introduction  = 5  // seconds that it takes
	announcements = 2  // RFC 5227 section 1.1, ANNOUNCE_NUM: in the last seconds of it
	defendEvery   = 10 // seconds, DEFEND_INTERVAL
)

// tendIRBs follows the routed interfaces: those that are new, have come up, or have
// another address or MAC, make themselves known.
func (r *router) tendIRBs() {
	s := r.tx.snap
	for d := range r.irbs {
		if int(d) >= len(s.Domains) || s.Domains[d].IRB == nil {
			r.retire(d)
		}
	}
	for i := range s.Domains {
		if irb := s.Domains[i].IRB; irb != nil {
			r.tend(fdb.Domain(i), irb)
		}
	}
}

// retire ends a routed interface: hosts are told that it is no router any more (RFC
// 4861 section 6.2.5), where their VNI is still there.
func (r *router) retire(d fdb.Domain) {
	is := r.irbs[d]
	delete(r.irbs, d)
	if is.advertising && int(d) < len(r.tx.snap.Domains) {
		r.advertiseAs(d, is.mac, &forward.IRB{Addrs: is.addrs}, 0)
	}
}

func (r *router) tend(d fdb.Domain, irb *forward.IRB) {
	is := r.irbs[d]
	if is == nil {
		is = &irbState{defended: make(map[netip.Addr]uint32)}
		r.irbs[d] = is
	}
	up := r.isUp(d)
	mac := r.tx.snap.Domains[d].Gateway
	if up && (!is.up || is.mac != mac || !slices.Equal(is.addrs, irb.Addrs)) {
		is.introduce = introduction
		is.advertise = ra.NewSchedule(uint64(d)<<32|uint64(r.routing.now), r.routing.now)
	}
	if is.advertising && !irb.Advertise {
		r.advertiseAs(d, is.mac, &forward.IRB{Addrs: is.addrs}, 0)
	}
	is.up, is.mac, is.addrs, is.advertising = up, mac, irb.Addrs, up && irb.Advertise
	if !up {
		return
	}
	if is.introduce > 0 {
		is.introduce--
		r.introduce(d, irb, is.introduce)
	}
	if irb.Advertise && is.advertise.Due(r.routing.now) {
		r.advertise(d, irb, ra.DefaultLifetime)
	}
}

// isUp reports whether anybody can be behind a routed interface.
func (r *router) isUp(d fdb.Domain) bool {
	s := r.tx.snap
	for _, p := range s.Domains[d].Ports {
		if s.Ports[p].Up {
			return true
		}
	}
	return len(s.Uplinks) > 0 && len(s.Domains[d].Flood) > 0
}

// introduce asks for the gateway's addresses, or announces them.
func (r *router) introduce(d fdb.Domain, irb *forward.IRB, left int) {
	for _, p := range irb.Addrs {
		if left >= announcements {
			r.askWhetherTaken(d, p.Addr())
		} else {
			r.announce(d, p.Addr())
		}
	}
}

// askWhetherTaken sends a probe for an address of the gateway's own (RFC 5227
// section 2.1.1, RFC 4862 section 5.4). The gateway serves meanwhile: it may be one
// of several with the same address and MAC, and hosts need it now. Who answers is
// told of, see GatewayClaimed.
func (r *router) askWhetherTaken(d fdb.Domain, a netip.Addr) {
	nobody := netip.IPv6Unspecified()
	if a.Is4() {
		nobody = netip.IPv4Unspecified()
	}
	r.routing.askFrom(d, nobody, a, frame.MAC{})
}

// announce says that the gateway has an address (RFC 5227 section 2.3, RFC 4861
// section 7.2.6).
func (r *router) announce(d fdb.Domain, a netip.Addr) {
	mac := r.tx.snap.Domains[d].Gateway
	b := newOwn(max(neigh.ARPRequestLen, neigh.AnswerLen))
	if a.Is4() {
		b.Len = neigh.PutARPRequest(b.Bytes(), mac, a, a, frame.Broadcast)
	} else {
		b.Len = neigh.PutUnsolicited(b.Bytes(), mac, a)
	}
	r.routing.send(d, &b)
}

// defend announces an address that somebody else claims, not more often than every
// ten seconds (RFC 5227 section 2.4 (c)).
func (r *router) defend(d fdb.Domain, a netip.Addr) {
	is := r.irbs[d]
	if is == nil {
		return
	}
	if last, ok := is.defended[a]; ok && r.routing.now-last < defendEvery {
		return
	}
	is.defended[a] = r.routing.now
	r.announce(d, a)
}

// solicited notes that a host asks for routers.
func (r *router) solicited(d fdb.Domain) {
	irb, is := r.tx.snap.Domains[d].IRB, r.irbs[d]
	if is == nil || !irb.Advertise {
		return
	}
	if is.advertise.Solicited(r.routing.now) {
		r.advertise(d, irb, ra.DefaultLifetime)
	}
}

// advertise tells the hosts of a domain of the router and its prefixes.
func (r *router) advertise(d fdb.Domain, irb *forward.IRB, lifetime int) {
	r.advertiseAs(d, r.tx.snap.Domains[d].Gateway, irb, lifetime)
}

func (r *router) advertiseAs(d fdb.Domain, mac frame.MAC, irb *forward.IRB, lifetime int) {
	c := ra.Config{
		MAC: mac, MTU: r.mtu(d),
		Lifetime: lifetime, Managed: irb.Relay6, Other: irb.Relay6,
	}
	for _, p := range irb.Addrs {
		switch {
		case p.Addr().Is4():
		case p.Addr().IsLinkLocalUnicast():
			c.Source = p.Addr()
		default:
			c.Prefixes = append(c.Prefixes, p.Masked())
		}
	}
	b := newOwn(ra.MaxLen)
	if b.Len = ra.Put(b.Bytes(), c, ra.AllNodes, neigh.GroupMAC(ra.AllNodes)); b.Len > 0 {
		r.routing.send(d, &b)
	}
}

// mtu is the longest packet that all ports and paths of a domain carry, in bytes; 0
// where that is what every Ethernet carries, or is not known.
func (r *router) mtu(d fdb.Domain) int {
	s, mtu := r.tx.snap, ethernetMTU
	dom := &s.Domains[d]
	for _, to := range dom.Flood {
		if m := s.VTEPs[to].MaxFrame; m > 0 {
			mtu = min(mtu, m-frame.HeaderLen)
		}
	}
	for _, p := range dom.Ports {
		if m := s.Ports[p].MTU; m > 0 {
			mtu = min(mtu, m)
		}
	}
	if mtu == ethernetMTU {
		return 0
	}
	return mtu
}

// ethernetMTU is what hosts take for granted (RFC 2464 section 2).
const ethernetMTU = 1500

// cease tells hosts that the gateway routes no more (RFC 4861 section 6.2.5).
func (r *router) cease() {
	s := r.tx.snap
	for d := range r.irbs {
		if int(d) < len(s.Domains) && s.Domains[d].IRB != nil && s.Domains[d].IRB.Advertise {
			r.advertise(d, s.Domains[d].IRB, 0)
		}
	}
}
