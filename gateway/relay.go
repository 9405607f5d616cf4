package gateway

import (
	"net/netip"
	"slices"

	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/dhcp"
	"vxgw/l3/ip"
)

// dhcpClient4 is the port of DHCP clients (RFC 2131 section 4.1).
const dhcpClient4 = 68

// link describes a domain to the relay, and where in it a client is.
func (r *router) link(d fdb.Domain, from fdb.Hop) dhcp.Link {
	s := r.tx.snap
	dom := &s.Domains[d]
	l := dhcp.Link{VNI: dom.VNI, Addr: dom.IRB.From4, Name: r.gw.Name()}
	l.Own = s.VRFs[dom.IRB.VRF].Own.Has
	for _, p := range dom.IRB.Addrs {
		if p.Addr().Is6() && !p.Addr().IsLinkLocalUnicast() {
			l.Addr6 = p.Addr()
			break
		}
	}
	if p, isPort := forward.HopPort(from); isPort && int(p) < len(s.Ports) {
		l.Circuit = "port " + s.Ports[p].Name
	} else if v := forward.HopVTEP(from); !isPort && int(v) < len(s.VTEPs) {
		l.Circuit = "vtep " + s.VTEPs[v].Addr.String()
	}
	return l
}

// relayRequest sends what a client asks on to every server of its VNI.
func (r *router) relayRequest(j job) {
	packet, payload, ok := datagram(j.frame)
	if !ok {
		r.routing.tally.lose(forward.BadIPHeader)
		return
	}
	l, sent := r.link(j.domain, j.from), false
	l.MAC = frame.Frame(j.frame).Src()
	for _, server := range r.servers(j.domain) {
		var out []byte
		var err error
		from, port := l.Addr, uint16(forward.DHCPServer4)
		switch v4 := packet.Is4(); {
		case v4 != server.Is4():
			continue
		case v4:
			out, err = dhcp.Relay4(payload, l)
		default:
			from, port = l.Addr6, forward.DHCPServer6
			out, err = dhcp.Relay6(payload, packet, l)
		}
		if err != nil {
			r.refuse(j, err)
			return
		}
		r.route(j.domain, dhcp.Fields{Src: from, Dst: server, SrcPort: port, DstPort: port, Payload: out})
		sent = true
	}
	if !sent {
		r.routing.tally.lose(forward.NotServed)
	}
}

func (r *router) refuse(j job, err error) {
	r.routing.tally.lose(forward.NotServed)
	r.gw.trouble.once("dhcp "+err.Error(), "a DHCP message was not relayed", "vni", r.tx.snap.Domains[j.domain].VNI, "err", err, "mend", "see that dhcp_servers of the [[vni]] are DHCP servers, and who sends it: tcpdump port 67 or port 547")
}

// servers returns the DHCP servers of a domain.
func (r *router) servers(d fdb.Domain) []netip.Addr {
	return r.tx.snap.Domains[d].IRB.Servers
}

// route routes a datagram of the gateway's own.
func (r *router) route(d fdb.Domain, f dhcp.Fields) {
	f.From = r.tx.snap.Domains[d].Gateway
	f.To = f.From // it is the next hop's when it has been routed
	if b, ok := r.datagram(f); ok {
		r.routing.own(&b, d)
	}
}

// datagram makes a datagram of the gateway's own. What none can be made of is lost.
func (r *router) datagram(f dhcp.Fields) (frame.Buffer, bool) {
	b := newOwn(dhcp.FrameLen(f))
	if b.Len = dhcp.PutUDP(b.Bytes(), f); b.Len == 0 {
		r.routing.tally.lose(forward.NotServed)
	}
	return b, b.Len > 0
}

// relayReply sends what a server answers on to its client. The gateway's address
// that it was sent to says which network that is in. Only the servers of that network
// are believed: any host of the VRF can write to the gateway, and would configure the
// hosts of another network in the gateway's name.
func (r *router) relayReply(j job) {
	from, payload, ok := datagram(j.frame)
	if !ok {
		r.routing.tally.lose(forward.BadIPHeader)
		return
	}
	to, _ := destination(j.frame)
	d, ok := r.domainOf(r.tx.snap.Domains[j.domain].IRB.VRF, to)
	if !ok || !slices.Contains(r.servers(d), from) {
		r.routing.tally.lose(forward.NotServed)
		return
	}
	if to.Is4() {
		r.reply4(j, d, payload)
	} else {
		r.reply6(j, d, payload)
	}
}

func (r *router) reply4(j job, d fdb.Domain, payload []byte) {
	l := r.link(d, forward.OwnHop)
	a, err := dhcp.Answer4(payload, l)
	if err != nil {
		r.refuse(j, err)
		return
	}
	mac := a.MAC
	if a.Broadcast {
		mac = frame.Broadcast
	}
	r.toClient(d, dhcp.Fields{To: mac, Src: l.Addr, Dst: a.To, SrcPort: forward.DHCPServer4, DstPort: dhcpClient4, Payload: a.Msg})
}

func (r *router) reply6(j job, d fdb.Domain, payload []byte) {
	a, err := dhcp.Answer6(payload)
	if err != nil {
		r.refuse(j, err)
		return
	}
	// Its client is a neighbour that is asked for like any other.
	r.route(d, dhcp.Fields{Src: r.tx.snap.Domains[d].IRB.From(a.To), Dst: a.To, SrcPort: forward.DHCPServer6, DstPort: a.Port, Payload: a.Msg})
}

func (r *router) toClient(d fdb.Domain, f dhcp.Fields) {
	f.From = r.tx.snap.Domains[d].Gateway
	if b, ok := r.datagram(f); ok {
		r.routing.send(d, &b)
	}
}

// domainOf returns the domain in which the gateway has an address.
func (r *router) domainOf(id forward.VRFID, a netip.Addr) (fdb.Domain, bool) {
	for i := range r.tx.snap.Domains {
		if irb := r.tx.snap.Domains[i].IRB; irb != nil && irb.VRF == id && irb.Has(a) {
			return fdb.Domain(i), true
		}
	}
	return 0, false
}

// destination returns where an IP packet in a frame is to go, and the packet. The
// frame is one that was found good before.
func destination(f frame.Frame) (netip.Addr, []byte) {
	if f.Type() == frame.TypeIPv4 {
		h := ip.IPv4(f.Payload())
		return h.Dst(), h
	}
	h := ip.IPv6(f.Payload())
	return h.Dst(), h
}

// datagram returns the source and the UDP payload of a whole datagram with a right
// checksum.
func datagram(f frame.Frame) (src netip.Addr, payload []byte, ok bool) {
	if len(f) < frame.HeaderLen {
		return src, nil, false
	}
	var u ip.UDP
	var pseudo func(uint8, int) uint16
	if f.Type() == frame.TypeIPv4 {
		h, good := ip.ParseIPv4(f.Payload())
		if !good || !h.ChecksumOK() || h.IsFragment() || h.Protocol() != ip.ProtoUDP {
			return src, nil, false
		}
		src, u, pseudo = h.Src(), ip.UDP(h.Payload()), h.PseudoSum
	} else {
		h, good := ip.ParseIPv6(f.Payload())
		if !good || h.NextHeader() != ip.ProtoUDP {
			return src, nil, false
		}
		src, u, pseudo = h.Src(), ip.UDP(h.Payload()), h.PseudoSum
	}
	if len(u) < ip.UDPHeaderLen || u.Length() < ip.UDPHeaderLen || u.Length() > len(u) {
		return src, nil, false
	}
	u = u[:u.Length()]
	switch {
	case u.Checksum() == 0:
		ok = src.Is4()
	default:
		ok = ip.Sum(u, pseudo(ip.ProtoUDP, len(u))) == 0xffff
	}
	return src, u[ip.UDPHeaderLen:], ok
}
