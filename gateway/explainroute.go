package gateway

import (
	"fmt"
	"net/netip"

	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/ip"
	"vxgw/l3/vrf"
)

// route tells what the L3 side makes of a frame for the gateway's MAC, and where it
// then goes.
func (x *explainer) route(v forward.Verdict, in forward.PortID, f frame.Frame) {
	x.step("destination", "%s is this gateway's: routed", f.Dst())
	r := x.s.Route(v.Domain, f, nil, x.now)
	if irb := x.s.Domains[v.Domain].IRB; irb != nil {
		x.packet(f)
		x.lookup(&r)
	}
	switch r.Action {
	case forward.RouteForward:
		x.onward(&r, v.Domain, in, f)
	case forward.RouteResolve:
		x.unresolved(&r, v.Domain)
	case forward.RouteEcho:
		x.echo(&r, f)
	case forward.RouteLocal:
		x.step("local", "DHCP: for the relay of this gateway")
		x.forwarded("local")
	default:
		x.told(&r)
		x.dropped(r.Reason)
	}
}

// echo tells whether an echo request is a good one.
func (x *explainer) echo(r *forward.Routed, f frame.Frame) {
	if !ip.TurnEcho(append([]byte(nil), f...), r.From) {
		x.step("local", "an echo request for %s, which is this gateway's, with a wrong code or checksum", r.From)
		x.dropped(forward.NotServed)
		return
	}
	x.step("local", "an echo request for %s, which is this gateway's: answered", r.From)
	x.forwarded("local")
}

// packet names the addresses of the packet, as far as they can be read.
func (x *explainer) packet(f frame.Frame) {
	if h, ok := ip.ParseIPv4(f.Payload()); ok && f.Type() == frame.TypeIPv4 {
		x.step("packet", "%s -> %s, protocol %d, TTL %d, %s", h.Src(), h.Dst(), h.Protocol(), h.TTL(), countBytes(len(h)))
	}
	if h, ok := ip.ParseIPv6(f.Payload()); ok && f.Type() == frame.TypeIPv6 {
		x.step("packet", "%s -> %s, next header %d, hop limit %d, %s", h.Src(), h.Dst(), h.NextHeader(), h.HopLimit(), countBytes(len(h)))
	}
}

func (x *explainer) lookup(r *forward.Routed) {
	name := x.s.VRFs[r.VRF].Name
	switch {
	case r.Route == nil && r.Reason == forward.NoRoute:
		x.step("route", "VRF %s has none", name)
	case r.Route == nil:
	default:
		x.step("route", "VRF %s: %s", name, x.routeText(r.Route))
	}
}

func (x *explainer) routeText(r *vrf.Route) string {
	text := fmt.Sprintf("%s, %s", r.Prefix, r.Kind)
	if r.Kind.String() != r.Origin.String() {
		text += ", " + r.Origin.String()
	}
	for i, h := range r.Hops {
		switch {
		case h.Via.IsValid() && i == 0:
			text += fmt.Sprintf(", via %s in %s", h.Via, domainName(&x.s.Domains[h.Domain]))
		case h.Via.IsValid():
			text += fmt.Sprintf(" or %s", h.Via)
		case r.Kind != vrf.Local:
			text += fmt.Sprintf(", in %s", domainName(&x.s.Domains[h.Domain]))
		}
	}
	return text
}

// onward tells how the packet goes on as a frame from the gateway's MAC.
func (x *explainer) onward(r *forward.Routed, d fdb.Domain, in forward.PortID, f frame.Frame) {
	out := &x.s.Domains[r.Domain]
	x.step("neighbour", "%s in %s is at %s", r.Neighbour, domainName(out), r.MAC)
	if d != r.Domain {
		in = forward.NoPortID
	}
	v := x.s.FromGateway(r.Domain, in, r.MAC, forward.Input{Frame: f, Size: len(f)}, x.now)
	if v.Kind == forward.Drop && v.Reason == forward.TooBig && mayFragment(f) {
		x.fragments(r, f, v.MTU)
		return
	}
	if v.MTU > 0 {
		x.step("answer", "its sender is told that %d bytes of IP packet fit", v.MTU)
	}
	f = append(frame.Frame(nil), f...)
	rewrite(f, r.MAC, out.Gateway)
	if v.Kind != forward.Drop {
		x.step("rewrite", "%s -> %s, TTL or hop limit %d", f.Src(), f.Dst(), hopsLeft(f))
	}
	x.destination(v, f)
	x.fromGateway(v, in, f)
}

// fromGateway names the copies of a frame that the gateway sends.
func (x *explainer) fromGateway(v forward.Verdict, in forward.PortID, f frame.Frame) {
	switch v.Kind {
	case forward.Drop:
		x.dropped(v.Reason)
	case forward.Flood:
		x.forwarded("flood")
		x.floodPorts(v, func(out forward.PortID) forward.Reason { return x.s.BlocksRouted(in, out) })
		x.floodVTEPs(v, f)
	default:
		x.unicast(v, f)
	}
}

// unresolved tells what becomes of a packet for a neighbour whose MAC is not known.
func (x *explainer) unresolved(r *forward.Routed, from fdb.Domain) {
	in := domainName(&x.s.Domains[r.Domain])
	if !x.s.Hosts.Holds(r.Domain, r.Neighbour, from, x.now) {
		x.step("neighbour", "%s in %s has just not answered, or too many are asked for", r.Neighbour, in)
		x.dropped(forward.NeighbourUnresolved)
		return
	}
	x.step("neighbour", "%s in %s is not known: it would be asked for, and the packet waits", r.Neighbour, in)
	x.forwarded("hold")
}

// fragments tells where the fragments of a packet go.
func (x *explainer) fragments(r *forward.Routed, f frame.Frame, mtu int) {
	x.step("fragments", "it is too long for the way and may be cut: into packets of up to %d bytes", mtu)
	parts, _ := ip.Fragments(f, mtu)
	b := make([]byte, frame.HeaderLen+mtu)
	for n := parts.Next(b); n > 0; n = parts.Next(b) {
		part := frame.Frame(b[:n])
		rewrite(part, r.MAC, x.s.Domains[r.Domain].Gateway)
		x.fromGateway(x.s.FromGateway(r.Domain, forward.NoPortID, r.MAC, forward.Input{Frame: part, Size: n}, x.now), forward.NoPortID, part)
	}
}

// told says what the sender of a dropped packet hears.
func (x *explainer) told(r *forward.Routed) {
	if r.Telling {
		x.step("answer", "its sender is told by ICMP, from %s", r.From)
	}
}

// local tells what the gateway does itself with an ARP or ND frame, or with DHCP.
func (x *explainer) local(v forward.Verdict, f frame.Frame) {
	switch {
	case v.Reply:
		x.step("local", "%s is this gateway's: answered from %s", asked(f), x.s.Domains[v.Domain].Gateway)
	case v.Heed:
		x.step("local", "for this gateway, which learns its neighbour from it")
	default:
		x.step("local", "DHCP of a client: for the relay of this gateway")
	}
	x.forwarded("local")
}

// solicits tells what a router solicitation is answered with, beside being flooded.
func (x *explainer) solicits(v forward.Verdict) {
	if x.s.Domains[v.Domain].IRB.Advertise {
		x.step("advertisement", "it asks for routers: this gateway advertises itself to all hosts, once in 3 seconds at most")
		return
	}
	x.step("advertisement", "it asks for routers: this gateway is none for hosts to know of (ra = false)")
}

func asked(f frame.Frame) netip.Addr {
	if a, ok := neigh.ParseARP(f.Payload()); ok && f.Type() == frame.TypeARP {
		return a.Target()
	}
	if p, ok := neigh.ParseND(f.Payload()); ok {
		return p.Target()
	}
	return netip.Addr{}
}

func mayFragment(f frame.Frame) bool {
	return f.Type() == frame.TypeIPv4 && !ip.IPv4(f.Payload()).DontFragment()
}

func hopsLeft(f frame.Frame) uint8 {
	if f.Type() == frame.TypeIPv4 {
		return ip.IPv4(f.Payload()).TTL()
	}
	return ip.IPv6(f.Payload()).HopLimit()
}
