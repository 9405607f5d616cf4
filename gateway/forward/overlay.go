package forward

import (
	"net/netip"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/vxlan"
)

// Outer is what a VXLAN packet's outer headers said.
type Outer struct {
	From       netip.Addr
	Interface  int   // index of the interface it came in by; 0: not known
	TOS        uint8 // DSCP and ECN
	Fragmented bool  // put together from IP fragments (RFC 7348 section 4.3)
	Truncated  bool  // its end was lost on the way in
}

// ClassifyOverlay asks what can be asked of a VXLAN packet before its inner
// frame is looked at, and returns the bridge domain it belongs to. payload is
// the UDP payload.
func (s *Snapshot) ClassifyOverlay(o Outer, payload []byte) (fdb.Domain, Reason) {
	switch {
	case o.Interface != 0 && s.IsAccess(o.Interface):
		return 0, VTEPOnAccess
	case o.Fragmented:
		return 0, OuterFragment
	}
	vni, r := s.header(payload)
	if r != None {
		return 0, r
	}
	d, r := s.ClassifyVNI(o.From, vni)
	if r == None && o.Truncated {
		r = TooShort
	}
	return d, r
}

// ClassifyVNI returns the bridge domain of a VNI, and whether the VTEP at from
// may send to it.
func (s *Snapshot) ClassifyVNI(from netip.Addr, vni uint32) (fdb.Domain, Reason) {
	d, ok := s.VNIs[vni]
	switch {
	case !ok:
		return 0, UnknownVNI
	case from == s.Local, from.IsMulticast(), !s.Domains[d].Allows(from):
		// Our own packets come back from nowhere but a loop, and a group sends
		// nothing.
		return d, VTEPNotAllowed
	}
	return d, None
}

// FromOverlay decides on the inner frame of a VXLAN packet that ClassifyOverlay
// found good, from the VTEP with number from. now is the FDB's clock in
// seconds.
func (s *Snapshot) FromOverlay(domain fdb.Domain, from VTEPID, tos uint8, f frame.Frame, now uint32) Verdict {
	v := Verdict{Domain: domain, Port: NoPortID, VTEP: NoVTEPID}
	if r := checkInner(f); r != None {
		return v.drop(r)
	}
	d := &s.Domains[domain]
	learn := d.Learning && from != NoVTEPID
	if r := s.source(&v, d, f.Src(), VTEPHop(from), learn, now); r != None {
		return v.drop(r)
	}
	if !v.ecn(f, tos) {
		return v.drop(ECN)
	}
	dst := f.Dst()
	bpdu := dst.IsBPDU()
	if dst.IsReserved() && !bpdu {
		return v.drop(ReservedDestination)
	}
	if !d.Gateway.IsZero() && s.toGateway(&v, d, f) {
		return v
	}
	s.hear(&v, d, f, now)
	if !dst.IsMulticast() {
		if hop, ok := s.hop(domain, dst, now); ok {
			return s.unicastFromOverlay(v, hop)
		}
	}
	return s.floodFromOverlay(v, bpdu)
}

func checkInner(f frame.Frame) Reason {
	switch {
	case len(f) < frame.HeaderLen:
		return TooShort
	case frame.IsTagType(f.Type()):
		return InnerVLAN
	}
	return None
}

// ecn folds the outer ECN field into the inner frame's (RFC 6040 section 4.2)
// and reports false where the frame must be dropped instead.
func (v *Verdict) ecn(f frame.Frame, outer uint8) bool {
	inner, isIP := ip.FrameECN(f)
	if !isIP {
		return true // nothing to mark, nothing to protect
	}
	e, marks := ip.DecapECN(inner, outer)
	v.SetECN, v.ECN = e != ip.EncapECN(inner), e
	return marks != ip.MarksDrop
}

func (s *Snapshot) unicastFromOverlay(v Verdict, hop fdb.Hop) Verdict {
	out, isPort := HopPort(hop)
	switch {
	case !isPort:
		return v.drop(SplitHorizon)
	case !s.Ports[out].Up:
		return v.drop(PortDown)
	}
	v.Kind, v.Port = ToPort, out
	return v
}

func (s *Snapshot) floodFromOverlay(v Verdict, bpdu bool) Verdict {
	d := &s.Domains[v.Domain]
	if open, why := s.anyPort(d, NoPortID, bpdu); !open {
		if why == None {
			why = NoPort
		}
		return v.drop(why)
	}
	v.Kind = Flood
	return v
}

// header reads the VXLAN header and returns the VNI.
func (s *Snapshot) header(payload []byte) (uint32, Reason) {
	vni, reserved, problem := vxlan.Parse(payload)
	switch {
	case problem == vxlan.Short:
		return 0, TooShort
	case problem == vxlan.NoVNI:
		return 0, VXLANFlags
	case reserved && s.Strict:
		return 0, VXLANReserved
	}
	return vni, None
}
