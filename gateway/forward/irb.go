package forward

import (
	"encoding/binary"
	"net/netip"

	"vxgw/gateway/counters"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/ip"
	"vxgw/l3/vrf"
)

// VRFID is the number of a VRF; it indexes Snapshot.VRFs.
type VRFID uint16

// NoVRFID is no VRF: the packet came to a domain that is not routed.
const NoVRFID VRFID = 0xffff

// VRF is one routing table, and what is counted of it.
type VRF struct {
	Name    string
	Table   *vrf.Table
	Large   bool              // so many routes that a cache is faster
	Own     *OwnAddrs         // the gateway's addresses
	Traffic *counters.Traffic // Rx: frames that came to be routed, Tx: those that were
}

// IRB is the routed side of a bridge domain: integrated routing and bridging. Its
// MAC is the domain's Gateway.
type IRB struct {
	VRF VRFID

	// Addrs are the gateway's addresses in this domain, with their prefixes. An
	// IPv6 one always has a link-local address among them.
	Addrs []netip.Prefix

	// From4 and From6 are what ICMP errors come from, and requests for
	// neighbours: the zero Addr where the family is not routed here.
	From4, From6 netip.Addr
	Link         netip.Addr // the link-local one among Addrs

	// Servers are where DHCP of clients goes, Relay4 and Relay6 whether there are
	// any of the family.
	Servers        []netip.Addr
	Relay4, Relay6 bool

	Advertise bool // routers are advertised to IPv6 hosts (RFC 4861 section 6.2)

	// Errors bounds the ICMP errors that are sent into this domain.
	Errors *counters.Limit

	// Jobs bounds what frames of this domain have the router task do, so that those
	// of another one are not kept from it.
	Jobs *counters.Limit
}

// Has reports whether an address is one of the gateway's in this domain.
func (i *IRB) Has(a netip.Addr) bool {
	for k := range i.Addrs {
		if i.Addrs[k].Addr() == a {
			return true
		}
	}
	return false
}

// From returns the address that the gateway speaks from to a neighbour: the one in
// the neighbour's prefix where there is one. It is not valid where the gateway
// has none of its family.
func (i *IRB) From(to netip.Addr) netip.Addr {
	for k := range i.Addrs {
		if i.Addrs[k].Contains(to) {
			return i.Addrs[k].Addr()
		}
	}
	if to.Is4() {
		return i.From4
	}
	return i.From6
}

// toGateway decides on a frame that the gateway itself may have to do with, in a
// domain where it has a MAC, and reports whether that is all there is to it:
// otherwise the frame is bridged like any other.
func (s *Snapshot) toGateway(v *Verdict, d *Domain, f frame.Frame) bool {
	mine := f.Dst() == d.Gateway
	if d.IRB == nil {
		return v.toRouter(mine)
	}
	switch f.Type() {
	case frame.TypeARP:
		if a, ok := neigh.ParseARP(f.Payload()); ok {
			return d.arp(v, a, mine)
		}
	case frame.TypeIPv6:
		if p, ok := neigh.ParseND(f.Payload()); ok {
			return d.nd(v, p, mine)
		}
		switch d.IRB.service6(f) {
		case solicitation:
			v.Solicits = true
			return false
		case dhcp:
			v.Kind = Local
			return true
		}
		return v.toRouter(mine)
	case frame.TypeIPv4:
		if !mine && d.IRB.Relay4 && isDHCP4(f) {
			v.Kind = Local
			return true
		}
		return v.toRouter(mine)
	}
	if mine {
		*v = v.drop(NotServed)
	}
	return mine
}

// toRouter gives a frame to the L3 side, if it is for the gateway's MAC, and reports
// whether it is.
func (v *Verdict) toRouter(mine bool) bool {
	if mine {
		v.Kind = ToRouter
	}
	return mine
}

// arp: what asks for an address of ours is answered and goes no further. What says
// that somebody else has it would have hosts send to him: it goes nowhere. Nor does
// what says that somebody else has our MAC: what is routed to him would be flooded.
// Who names no station's MAC is not answered, for the answer would go there.
func (d *Domain) arp(v *Verdict, a neigh.ARP, mine bool) bool {
	sender := a.SenderMAC()
	switch {
	case d.IRB.Has(a.Sender()):
		*v = v.drop(GatewayClaimed)
		return true
	case sender == d.Gateway:
		*v = v.drop(SourceGateway)
		return true
	}
	v.Heed = true
	ours := d.IRB.Has(a.Target())
	v.Reply = ours && a.Op() == neigh.ARPRequest && !sender.IsMulticast() && !sender.IsZero()
	if ours || mine {
		v.Kind = Local
		return true
	}
	return false
}

// nd is arp for IPv6.
func (d *Domain) nd(v *Verdict, p neigh.ND, mine bool) bool {
	ours := d.IRB.Has(p.Target())
	solicits := p.IsSolicitation()
	named := p.TargetMAC
	if solicits {
		named = p.SourceMAC
	}
	switch mac, ok := named(); {
	case ours && !solicits, d.IRB.Has(p.Src()):
		*v = v.drop(GatewayClaimed)
		return true
	case ok && mac == d.Gateway:
		*v = v.drop(SourceGateway)
		return true
	}
	v.Heed = true
	v.Reply = ours && solicits
	if ours || mine {
		v.Kind = Local
		return true
	}
	return false
}

// service is what a frame to a group wants of the gateway.
type service uint8

const (
	nothing service = iota
	solicitation
	dhcp
)

// Ports of DHCP (RFC 2131 section 4.1, RFC 8415 section 7.2).
const (
	DHCPServer4 = 67
	DHCPServer6 = 547
)

// service6 tells what an IPv6 multicast wants. Only what may be in the plain
// place behind a fixed header is looked for: that is where hosts put it.
func (i *IRB) service6(f frame.Frame) service {
	if !f.Dst().IsMulticast() || len(f) < frame.HeaderLen+ip.IPv6HeaderLen+ip.UDPHeaderLen {
		return nothing
	}
	h := ip.IPv6(f.Payload())
	switch h.NextHeader() {
	case ip.ProtoICMPv6:
		if _, _, _, ok := neigh.IsRouterSolicitation(f.Payload()); ok {
			return solicitation
		}
	case ip.ProtoUDP:
		if i.Relay6 && ip.UDP(f[frame.HeaderLen+ip.IPv6HeaderLen:]).DstPort() == DHCPServer6 {
			return dhcp
		}
	}
	return nothing
}

// isDHCP4 reports whether a frame is a broadcast to DHCP servers. A packet with
// options is left to be bridged: no client sends one.
func isDHCP4(f frame.Frame) bool {
	const transport = frame.HeaderLen + ip.IPv4HeaderLen
	if len(f) < transport+ip.UDPHeaderLen || f.Dst() != frame.Broadcast {
		return false
	}
	h := ip.IPv4(f.Payload())
	return h.HeaderLen() == ip.IPv4HeaderLen && h.Protocol() == ip.ProtoUDP && !h.IsFragment() &&
		ip.UDP(f[transport:]).DstPort() == DHCPServer4
}

// FromGateway decides on a frame that the gateway itself sends into a domain: one
// that it has routed, or one of its own. in is the port that a routed frame came
// in by, NoPortID where it was none or the domain was another; to is the station that
// the frame is to be addressed to, whatever it says yet. No horizon is split: what
// is routed into the overlay is no longer what came out of it.
func (s *Snapshot) FromGateway(domain fdb.Domain, in PortID, to frame.MAC, f Input, now uint32) Verdict {
	v := Verdict{Domain: domain, Port: NoPortID, VTEP: NoVTEPID}
	if !to.IsMulticast() {
		if hop, ok := s.hop(domain, to, now); ok {
			return s.unicastFromGateway(v, in, hop, f)
		}
	}
	return s.floodFromAccess(v, NoPortID, f, false)
}

// BlocksRouted says why a frame that the gateway floods, see FromGateway, does not
// leave by port out; None when it does.
func (s *Snapshot) BlocksRouted(in, out PortID) Reason {
	if s.apart(in, out) {
		return IsolatedPort
	}
	return s.Blocks(NoPortID, out, false)
}

// unicastFromGateway: a frame may leave by the port that it came in by, for a
// router sends it back where two hosts of a subnet do not know it. Isolated ports
// stay apart on that way too.
func (s *Snapshot) unicastFromGateway(v Verdict, in PortID, hop fdb.Hop, f Input) Verdict {
	out, isPort := HopPort(hop)
	if !isPort {
		return s.toVTEP(v, HopVTEP(hop), f)
	}
	p := &s.Ports[out]
	switch {
	case !p.Up:
		return v.drop(PortDown)
	case s.apart(in, out):
		return v.drop(IsolatedPort)
	case p.MTU > 0 && f.Size > p.MTU+frame.HeaderLen:
		return v.tooBig(p.MTU + frame.HeaderLen)
	}
	v.Kind, v.Port = ToPort, out
	return v
}

// isLinkLocal4 reports whether an address is in 169.254/16.
func isLinkLocal4(a []byte) bool { return a[0] == 169 && a[1] == 254 }

// isLinkLocal6 reports whether an address is in fe80::/10.
func isLinkLocal6(a []byte) bool { return binary.BigEndian.Uint16(a)&0xffc0 == 0xfe80 }
