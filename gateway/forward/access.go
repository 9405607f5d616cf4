package forward

import (
	"encoding/binary"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Input is one frame to decide on.
type Input struct {
	// Frame is the Ethernet frame without the tag that travels in Tag.
	Frame frame.Frame
	Tag   frame.Tag

	// Size is the longest frame that will stand on the wire for this one, in
	// bytes: len(Frame), or less for a super-frame that will be cut.
	Size int
}

// PopTag moves a VLAN tag that stands in the frame's bytes beside it, as the
// kernel does before a packet socket sees a frame. Only one is moved, and only
// where none was moved before: what is left in the bytes is a second tag.
func PopTag(b *frame.Buffer) {
	if b.Tag.Present || b.Len < frame.HeaderLen+frame.TagLen {
		return
	}
	f := b.Bytes()
	if t := frame.Frame(f).Type(); frame.IsTagType(t) {
		b.Tag = frame.Tag{Present: true, TPID: t, TCI: binary.BigEndian.Uint16(f[14:16])}
		copy(f[frame.TagLen:], f[:12])
		b.Off += frame.TagLen
		b.Len -= frame.TagLen
		if b.Offload.NeedsChecksum && b.Offload.ChecksumStart >= frame.TagLen {
			b.Offload.ChecksumStart -= frame.TagLen
		}
	}
}

// FromAccess decides on a frame that came in on an access port. now is the
// FDB's clock in seconds.
func (s *Snapshot) FromAccess(in PortID, f Input, now uint32) Verdict {
	p := &s.Ports[in]
	v := Verdict{Domain: p.Domain, Port: NoPortID, VTEP: NoVTEPID}
	if r := checkAccess(p, f); r != None {
		return v.drop(r)
	}
	d := &s.Domains[p.Domain]
	src, dst := f.Frame.Src(), f.Frame.Dst()
	if r := s.source(&v, d, src, PortHop(in), true, now); r != None {
		return v.drop(r)
	}
	bpdu := dst.IsBPDU()
	if dst.IsReserved() && (!bpdu || p.BPDU != BPDUTunnel) {
		v.Shutdown = bpdu && p.BPDU == BPDUShutdown
		return v.drop(ReservedDestination)
	}
	if !d.Gateway.IsZero() && s.toGateway(&v, d, f.Frame) {
		return v
	}
	if m := s.hear(&v, d, f.Frame, now); s.suppress(&v, in, m, now) {
		return v
	}
	if !dst.IsMulticast() {
		if hop, ok := s.hop(p.Domain, dst, now); ok {
			return s.unicastFromAccess(v, in, hop, f)
		}
	}
	return s.floodFromAccess(v, in, f, bpdu)
}

// checkAccess asks what needs no table: length and tags.
func checkAccess(p *Port, f Input) Reason {
	switch {
	case p.Shut:
		return PortDown
	case len(f.Frame) < frame.HeaderLen:
		return TooShort
	case f.Tag.Present && (f.Tag.TPID != frame.TypeVLAN || f.Tag.VID() != 0 || p.DropPriority):
		return TaggedFrame
	case frame.IsTagType(f.Frame.Type()):
		return TaggedFrame
	}
	return None
}

// source asks whether a frame may have this source, and notes whether it is to
// be learned at hop.
func (s *Snapshot) source(v *Verdict, d *Domain, src frame.MAC, hop fdb.Hop, learn bool, now uint32) Reason {
	switch {
	case src.IsMulticast():
		return SourceMulticast
	case src.IsZero():
		return SourceZero
	case src == d.Gateway: // never equal where there is none: that is zero
		return SourceGateway
	}
	e, ok := s.FDB.Lookup(v.Domain, src, now)
	if ok && e.Origin != fdb.Learned {
		_, here := HopPort(hop)
		switch {
		case e.Hop == hop:
		case !e.Origin.Yields():
			return StaticMoved
		case here:
			v.Learn = learn // the station is here; a controller hears of it, and says what that means
		}
		return None
	}
	if ok && e.Held && e.Hop != hop {
		return DuplicateMAC
	}
	v.Learn = learn && (!ok || e.Hop != hop || e.Seen != now)
	return None
}

func (s *Snapshot) unicastFromAccess(v Verdict, in PortID, hop fdb.Hop, f Input) Verdict {
	out, isPort := HopPort(hop)
	if !isPort {
		return s.toVTEP(v, HopVTEP(hop), f)
	}
	switch {
	case out == in:
		return v.drop(SamePort)
	case !s.Ports[out].Up:
		return v.drop(PortDown)
	case s.apart(in, out):
		return v.drop(IsolatedPort)
	}
	v.Kind, v.Port = ToPort, out
	return v
}

// hop looks a destination up. An entry that this snapshot cannot follow, to a
// port that has left the domain or to something numbered later, is as good as
// none: the FDB is a moment ahead of the snapshot or behind it.
func (s *Snapshot) hop(d fdb.Domain, dst frame.MAC, now uint32) (fdb.Hop, bool) {
	e, ok := s.FDB.Lookup(d, dst, now)
	if !ok {
		return 0, false
	}
	if p, isPort := HopPort(e.Hop); isPort {
		return e.Hop, int(p) < len(s.Ports) && s.Ports[p].Domain == d && s.Ports[p].Name != ""
	}
	v := HopVTEP(e.Hop)
	return e.Hop, int(v) < len(s.VTEPs) && s.VTEPs[v].Addr.IsValid()
}

func (s *Snapshot) toVTEP(v Verdict, to VTEPID, f Input) Verdict {
	if !s.Fits(to, f.Size) {
		return v.tooBig(s.VTEPs[to].MaxFrame)
	}
	v.Kind, v.VTEP = ToVTEP, to
	return v
}

func (v Verdict) tooBig(maxFrame int) Verdict {
	v = v.drop(TooBig)
	v.MTU = maxFrame - frame.HeaderLen
	return v
}

// Fits reports whether an inner frame of size bytes goes to a VTEP unfragmented:
// the question behind TooBig, for each copy.
func (s *Snapshot) Fits(to VTEPID, size int) bool {
	limit := s.VTEPs[to].MaxFrame
	return limit == 0 || size <= limit
}

// floodFromAccess floods where at least one copy has somewhere to go, and says
// why there is none otherwise. The sender of a unicast frame is told when a path
// refused a copy: the station may be behind that one.
func (s *Snapshot) floodFromAccess(v Verdict, in PortID, f Input, bpdu bool) Verdict {
	d := &s.Domains[v.Domain]
	remote, narrow := s.anyVTEP(d, f.Size)
	open, why := s.anyPort(d, in, bpdu)
	switch {
	case remote || open:
		v.Kind = Flood
		if narrow > 0 && !f.Frame.Dst().IsMulticast() {
			v.MTU = narrow - frame.HeaderLen
		}
		return v
	case narrow > 0:
		return v.tooBig(narrow)
	case why == None:
		return v.drop(NoRemote)
	}
	return v.drop(why)
}

// anyVTEP reports whether a flooded frame of size bytes fits the path to a VTEP,
// and the longest that the narrowest path takes where it does not fit all; 0
// where it does.
func (s *Snapshot) anyVTEP(d *Domain, size int) (fits bool, narrow int) {
	for _, to := range d.Flood {
		if s.Fits(to, size) {
			fits = true
		} else if m := s.VTEPs[to].MaxFrame; narrow == 0 || m < narrow {
			narrow = m
		}
	}
	return fits, narrow
}

// anyPort reports whether a frame flooded from in reaches a port, and if not,
// what stood in the way of the last one; None where the domain has none.
func (s *Snapshot) anyPort(d *Domain, in PortID, bpdu bool) (bool, Reason) {
	why := None
	for _, out := range d.Ports {
		if out == in {
			continue
		}
		r := s.Blocks(in, out, bpdu)
		if r == None {
			return true, None
		}
		why = r
	}
	return false, why
}

// apart reports whether two ports are not to talk to each other. in may be NoPortID.
func (s *Snapshot) apart(in, out PortID) bool {
	return in != NoPortID && in != out && s.Ports[in].Isolated && s.Ports[out].Isolated
}

// Blocks says why a frame flooded from port in (NoPortID: from the overlay)
// does not leave by port out; None when it does. bpdu marks a spanning-tree
// frame, which leaves only by ports that tunnel it.
func (s *Snapshot) Blocks(in, out PortID, bpdu bool) Reason {
	p := &s.Ports[out]
	switch {
	case out == in:
		return SamePort
	case bpdu && p.BPDU != BPDUTunnel:
		return ReservedDestination
	case s.apart(in, out):
		return IsolatedPort
	case !p.Up:
		return PortDown
	}
	return None
}
