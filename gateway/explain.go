package gateway

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/mdlayher/ethernet"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/gateway/storm"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
)

const ethernetHeader = frame.HeaderLen

// Explain asks forwarding what it would do with a frame, and does nothing of
// it: nothing is sent, learned or counted.
func (g *Gateway) Explain(r api.ExplainRequest) (api.Explanation, error) {
	if err := r.Check(); err != nil {
		return api.Explanation{}, err
	}
	raw, err := api.DecodeFrame(r.Frame)
	if err != nil {
		return api.Explanation{}, err
	}
	b := frame.NewBuffers(1, len(raw))[0]
	b.Len = copy(b.Mem[b.Off:], raw)
	// The port's number before the snapshot, which then has it.
	id, isPort := g.tables.Port(r.Port)
	x := explainer{gw: g, s: g.tables.Snapshot(), now: g.edges.Clock()}
	switch {
	case isPort:
		err = x.fromPort(id, r.VNI, b)
	case r.Port != "":
		err = fmt.Errorf("%s is no access port of this gateway: `vxgw show ports` lists them", r.Port)
	default:
		x.fromVTEP(netip.MustParseAddr(r.VTEP), r.VNI, b)
	}
	return x.out, err
}

// explainer walks one frame through forwarding and writes down the answers.
type explainer struct {
	gw  *Gateway
	s   *forward.Snapshot
	now uint32
	out api.Explanation
}

func (x *explainer) step(question, format string, args ...any) {
	x.out.Steps = append(x.out.Steps, api.Step{Question: question, Answer: fmt.Sprintf(format, args...)})
}

func (x *explainer) fromPort(id forward.PortID, vni uint32, b frame.Buffer) error {
	p := &x.s.Ports[id]
	d := &x.s.Domains[p.Domain]
	if vni != 0 && vni != d.VNI {
		return fmt.Errorf("port %s belongs to VNI %d, not %d: give that one, or leave it out", p.Name, d.VNI, vni)
	}
	x.step("ingress", "access port %s, %s", p.Name, domainName(d))
	if p.Shut {
		x.step("port", "%s was shut down: spanning tree was heard on it", p.Name)
	}
	x.dissect(b.Bytes())
	forward.PopTag(&b)
	x.tag(b.Tag)
	v := x.s.FromAccess(id, forward.Input{Frame: b.Bytes(), Tag: b.Tag, Size: b.Len}, x.now)
	x.verdict(v, id, b.Bytes())
	return nil
}

func (x *explainer) fromVTEP(from netip.Addr, vni uint32, b frame.Buffer) {
	x.step("ingress", "VXLAN from %s, VNI %d", from, vni)
	d, r := x.s.ClassifyVNI(from, vni)
	if r != forward.None {
		x.dropped(r)
		return
	}
	x.step("domain", "%s; %s may send to it", domainName(&x.s.Domains[d]), from)
	x.dissect(b.Bytes())
	tagged := b
	tagged.Mem = slices.Clone(b.Mem) // an inner tag is named, and stays where it is
	forward.PopTag(&tagged)
	x.tag(tagged.Tag)
	id, known := x.gw.tables.VTEP(from)
	if !known || int(id) >= len(x.s.VTEPs) {
		// A VTEP that was never heard of gets a number with its first packet:
		// one that no FDB entry can have yet stands for it here.
		id = forward.VTEPID(len(x.s.VTEPs))
	}
	x.verdict(x.s.FromOverlay(d, id, 0, b.Bytes(), x.now), forward.NoPortID, b.Bytes())
}

func (x *explainer) tag(t frame.Tag) {
	if t.Present {
		x.step("tag", "TPID 0x%04x, VID %d", t.TPID, t.VID())
	}
}

func domainName(d *forward.Domain) string {
	if d.Name == "" {
		return fmt.Sprintf("VNI %d", d.VNI)
	}
	return fmt.Sprintf("VNI %d (%s)", d.VNI, d.Name)
}

// dissect names the frame's addresses and type, as far as it has any.
func (x *explainer) dissect(b []byte) {
	var f ethernet.Frame
	switch err := f.UnmarshalBinary(b); {
	case len(b) < ethernetHeader:
		x.step("frame", "%s: an Ethernet header has %d", countBytes(len(b)), ethernetHeader)
	case err != nil: // it ends in the middle of a tag
		x.step("frame", "%s, %s -> %s, EtherType 0x%04x and nothing behind it", countBytes(len(b)), frame.Frame(b).Src(), frame.Frame(b).Dst(), frame.Frame(b).Type())
	default:
		x.step("frame", "%s, %s -> %s, %s", countBytes(len(b)), f.Source, f.Destination, typeName(f.EtherType))
	}
}

func countBytes(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

func typeName(t ethernet.EtherType) string {
	switch uint16(t) {
	case frame.TypeIPv4:
		return "IPv4"
	case frame.TypeIPv6:
		return "IPv6"
	case frame.TypeARP:
		return "ARP"
	}
	return fmt.Sprintf("EtherType 0x%04x", uint16(t))
}

func (x *explainer) verdict(v forward.Verdict, in forward.PortID, f frame.Frame) {
	// A frame is told what it was asked, and no more: one that is dropped for
	// its tag never has its addresses looked up.
	shut := in != forward.NoPortID && x.s.Ports[in].Shut
	if v.Reason.AfterSource() && !shut {
		x.source(v, f.Src())
	}
	if v.SetECN {
		x.step("ecn", "the inner ECN field becomes %02b", v.ECN)
	}
	if (v.Heard != neigh.NoNews || v.Ask || v.Kind == forward.Answer) && !shut {
		x.neighbour(v, f)
	}
	if v.Reason.AfterDestination() && !shut && v.Kind != forward.ToRouter && v.Kind != forward.Local {
		x.destination(v, f)
	}
	if v.Solicits {
		x.solicits(v)
	}
	if v.MTU > 0 {
		x.step("answer", "an IPv4 sender that set DF, or an IPv6 one, is told that %d bytes of IP packet fit", v.MTU)
	}
	switch v.Kind {
	case forward.Drop:
		if v.Shutdown {
			x.step("port", "it would be shut down: spanning tree, and bpdu is \"shutdown\"")
		}
		x.dropped(v.Reason)
	case forward.ToPort, forward.ToVTEP:
		x.unicast(v, f)
	case forward.Flood:
		x.flooded(v, in, f)
	case forward.Answer:
		x.forwarded("answer")
		x.copyToPort(in)
	case forward.ToRouter:
		x.route(v, in, f)
	case forward.Local:
		x.local(v, f)
	}
}

// unicast names the one copy of a frame.
func (x *explainer) unicast(v forward.Verdict, f frame.Frame) {
	x.forwarded("forward")
	if v.Kind == forward.ToPort {
		x.copyToPort(v.Port)
	} else {
		x.copyToVTEP(v.VTEP, f)
	}
}

func (x *explainer) source(v forward.Verdict, src frame.MAC) {
	e, known := x.s.FDB.Lookup(v.Domain, src, x.now)
	switch {
	case known && e.Held && v.Reason == forward.DuplicateMAC:
		x.step("source", "%s is held elsewhere: %s", src, x.hop(e))
	case known && e.Held:
		x.step("source", "%s is held here, because it moved too often", src)
	case known && v.Learn:
		x.step("source", "%s is known: %s; it would be noted here", src, x.hop(e))
	case known:
		x.step("source", "%s is known: %s", src, x.hop(e))
	case v.Learn:
		x.step("source", "%s is new, and would be learned here within the limits", src)
	default:
		x.step("source", "%s is not known, and not learned", src)
	}
}

// neighbour tells what an ARP or ND frame says, and why it is answered or not.
func (x *explainer) neighbour(v forward.Verdict, f frame.Frame) {
	m := neigh.Read(f)
	switch v.Heard {
	case neigh.Added, neigh.Moved, neigh.Heard:
		x.step("neighbour", "it would be noted that %s is at %s", m.Subject, m.MAC)
	case neigh.Dropped:
		x.step("neighbour", "where %s is would be forgotten: this frame makes it doubtful", m.Subject)
	}
	switch {
	case v.Kind == forward.Answer:
		x.step("suppression", "%s is at %s: answered from there, and sent nowhere", m.Asks, v.Neighbour)
	case v.Ask:
		x.step("suppression", "%s was not heard of for %d seconds: not answered, so that it confirms where it is", m.Asks, neigh.FreshFor)
	}
}

func (x *explainer) destination(v forward.Verdict, f frame.Frame) {
	dst := f.Dst()
	switch e, ok := x.s.FDB.Lookup(v.Domain, dst, x.now); {
	case dst == frame.Broadcast:
		x.step("destination", "broadcast")
	case dst.IsMulticast():
		x.step("destination", "%s is a multicast", dst)
	case ok:
		x.step("destination", "%s is known: %s", dst, x.hop(e))
	default:
		x.step("destination", "%s is unknown", dst)
	}
}

// hop says where an FDB entry points.
func (x *explainer) hop(e fdb.Entry) string {
	row := x.gw.macRow(x.s, e, x.now)
	if row.Port != "" {
		return fmt.Sprintf("%s, behind port %s", row.Origin, row.Port)
	}
	return fmt.Sprintf("%s, behind VTEP %s", row.Origin, row.VTEP)
}

func (x *explainer) forwarded(verdict string) { x.out.Verdict = verdict }

func (x *explainer) dropped(r forward.Reason) {
	x.step("drop", "%s: %s", r, r.Meaning())
	x.out.Verdict, x.out.Reason, x.out.Mend = "drop", r.String(), r.Mend()
}

// flooded tells of storm control, and of the copies that it lets pass at the moment.
func (x *explainer) flooded(v forward.Verdict, in forward.PortID, f frame.Frame) {
	c, where := x.s.Domains[v.Domain].StormIn, "out of the overlay"
	if in != forward.NoPortID {
		c, where = x.s.Ports[in].Storm, "in by port "+x.s.Ports[in].Name
	}
	if x.storm(c, "frames", where, f) {
		x.dropped(forward.Storm)
		return
	}
	x.forwarded("flood")
	x.flood(v, in, f)
}

// storm tells of the limit on frames like f that go somewhere, and reports whether it is
// used up at the moment.
func (x *explainer) storm(c *storm.Control, what, where string, f frame.Frame) (spent bool) {
	k := storm.KindOf(f.Dst())
	limit := c.Limit(k)
	if limit == 0 {
		return false
	}
	now := "it is not reached now"
	if spent = c.Spent(k, x.gw.nanos()); spent {
		now = "it is used up now"
	}
	x.step("storm control", "%d %s of %s a second may go %s: %s", limit, what, words(k), where, now)
	return spent
}

func (x *explainer) flood(v forward.Verdict, in forward.PortID, f frame.Frame) {
	bpdu := f.Dst().IsBPDU()
	x.floodPorts(v, func(out forward.PortID) forward.Reason { return x.s.Blocks(in, out, bpdu) })
	if in == forward.NoPortID {
		x.step("no copy", "back into the overlay: split horizon")
		return
	}
	x.floodVTEPs(v, f)
}

func (x *explainer) floodPorts(v forward.Verdict, blocks func(out forward.PortID) forward.Reason) {
	d := &x.s.Domains[v.Domain]
	for _, out := range d.Ports {
		switch r := blocks(out); r {
		case forward.None:
			x.copyToPort(out)
		case forward.SamePort:
		default:
			x.step("no copy", "to port %s: %s", x.s.Ports[out].Name, r.Meaning())
		}
	}
}

func (x *explainer) floodVTEPs(v forward.Verdict, f frame.Frame) {
	d := &x.s.Domains[v.Domain]
	if len(d.Flood) > 0 && x.storm(d.StormOut, "copies", "into the overlay", f) {
		x.step("no copy", "into the overlay: %s", forward.Storm)
		return
	}
	for _, to := range d.Flood {
		if x.s.Fits(to, len(f)) {
			x.copyToVTEP(to, f)
		} else {
			x.step("no copy", "to %s: its path carries frames of up to %d bytes", x.remote(to), x.s.VTEPs[to].MaxFrame)
		}
	}
}

func (x *explainer) copyToPort(p forward.PortID) {
	x.out.Copies = append(x.out.Copies, "port "+x.s.Ports[p].Name)
}

func (x *explainer) copyToVTEP(to forward.VTEPID, f frame.Frame) {
	if len(x.s.Uplinks) == 0 {
		x.step("no copy", "to %s: the underlay is down, see `vxgw show datapath`: %s", x.remote(to), forward.TxFailed)
		return
	}
	e := &x.gw.encapsulation
	kind := "vtep"
	if x.s.VTEPs[to].IsGroup() {
		kind = "group"
	}
	x.out.Copies = append(x.out.Copies, fmt.Sprintf("%s %s sport %d tos 0x%02x", kind, x.s.VTEPs[to].Addr, e.entropy.SourcePort(f), e.tos(f)))
}

// remote names a place on the underlay.
func (x *explainer) remote(to forward.VTEPID) string {
	if v := &x.s.VTEPs[to]; v.IsGroup() {
		return fmt.Sprintf("group %s", v.Addr)
	}
	return fmt.Sprintf("VTEP %s", x.s.VTEPs[to].Addr)
}
