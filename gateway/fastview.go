package gateway

import (
	"math"

	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
	"vxgw/l2/frame"
)

// reach is how frames get to an interface.
type reach struct {
	index  int  // of the interface that frames leave by: that itself, or its parent
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
			Hears: is.Suppress || is.IRB != nil, Routed: is.IRB != nil,
		}
		if is.IRB != nil {
			v.Domains[d].VRF = uint16(is.IRB.VRF)
		}
	}
	for i := range s.VTEPs {
		t := &s.VTEPs[i]
		v.VTEPs[i] = xdp.VTEP{Addr: t.Addr, MaxFrame: t.MaxFrame}
		if t.Via != nil {
			is := of(t.Via.Interface)
			v.VTEPs[i].Via = &xdp.Hop{Interface: is.index, From: t.Via.From, To: t.Via.To}
			v.VTEPs[i].Target, v.VTEPs[i].Frags = is.target, is.frags
		}
	}
	for i := range s.VRFs {
		v.Own = append(v.Own, s.VRFs[i].Own.Filter())
	}
	return v
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
