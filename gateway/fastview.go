package gateway

import (
	"math"

	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
	"vxgw/l2/frame"
	"vxgw/l3/underlay"
)

// reach is how frames get to an interface.
type reach struct {
	index  int  // of the interface that frames leave by: that itself, or its parent
	up     bool // it is there, and has a carrier
	target bool // they can be redirected there by XDP
	frags  bool // those in several pieces too
	veth   bool // its peer is on this machine
}

// fastView is what the programs are to know of a snapshot. of tells of interfaces, by
// index.
func fastView(s *forward.Snapshot, of func(index int) reach) *xdp.View {
	v := &xdp.View{
		Ports:   make([]xdp.Port, len(s.Ports)),
		Domains: make([]xdp.Domain, len(s.Domains)),
		VTEPs:   make([]xdp.VTEP, len(s.VTEPs)),
	}
	for i := range s.Ports {
		v.Ports[i] = fastPort(&s.Ports[i], of)
	}
	for _, d := range s.VNIs {
		is := &s.Domains[d]
		v.Domains[d] = xdp.Domain{
			Live: true, VNI: is.VNI, Gateway: is.Gateway, Ageing: s.FDB.Ageing(d),
			Hears: is.Suppress || is.IRB != nil, Routed: is.IRB != nil, Clamps: is.ClampMSS,
		}
		if is.IRB != nil {
			v.Domains[d].VRF = uint16(is.IRB.VRF)
		}
	}
	for i := range s.VTEPs {
		t := &s.VTEPs[i]
		v.VTEPs[i] = xdp.VTEP{Addr: t.Addr, MaxFrame: t.MaxFrame}
		if t.Via != nil {
			fastHops(&v.VTEPs[i], t, of)
		}
	}
	for i := range s.VRFs {
		v.Own = append(v.Own, s.VRFs[i].Own.Filter())
	}
	return v
}

// fastHops says where packets to a VTEP go. What they are to be able to do all of its
// hops must. By an interface that has gone since its path was found the programs send
// nothing: the kernel would not tell them that it is lost.
func fastHops(v *xdp.VTEP, t *forward.VTEP, of func(index int) reach) {
	v.Target, v.Frags = true, true
	up := true
	hop := func(h *underlay.Hop) xdp.Hop {
		is := of(h.Interface)
		v.Target, v.Frags, up = v.Target && is.target, v.Frags && is.frags, up && is.up
		return xdp.Hop{Interface: is.index, From: h.From, To: h.To}
	}
	via, more := hop(t.Via), []xdp.Hop(nil)
	for _, h := range t.More {
		more = append(more, hop(h))
	}
	if up {
		v.Via, v.More = &via, more
	}
}

func fastPort(p *forward.Port, of func(index int) reach) xdp.Port {
	is := xdp.Port{
		Live: p.Name != "" && p.Dev != nil && p.Index != 0, Up: p.Up, Shut: p.Shut, Isolated: p.Isolated,
		Domain: uint16(p.Domain), MaxFrame: math.MaxUint32,
	}
	if p.MTU > 0 {
		is.MaxFrame = uint32(p.MTU + frame.HeaderLen)
	}
	if is.Live {
		r := of(p.Index)
		is.Index, is.Target, is.Frags, is.Veth = p.Index, is.Up && r.target, r.frags, r.veth
	}
	return is
}
