package gateway

import (
	"encoding/binary"
	"net/netip"

	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	"vxgw/l3/nud"
	"vxgw/l3/underlay"
)

// alert is a kind of frame that an operator hears of and not only counts.
type alert uint8

const (
	alertStaticMoved alert = iota
	alertGateway
	alertClaimed
	alertInnerVLAN
	alertNotAllowed
	alertNoRoom
	alertOnAccess
	alertOtherGroup
	alertTwice
	numAlerts
)

// alertEvery is how long, in seconds, a worker keeps quiet about a kind of frame
// that it has told of. The counters have the rest.
const alertEvery = 30

// alerts is one worker's memory of what it has told of: no lock is taken, and
// nothing made, for a frame that is not told of.
type alerts struct {
	next [numAlerts]uint32 // the clock from which on a kind is told of again
}

func (a *alerts) due(k alert, now uint32) bool {
	if now < a.next[k] {
		return false
	}
	a.next[k] = now + alertEvery
	return true
}

// alert tells of frames that somebody's mistake or ill will sent to a port.
func (w *accessWorker) alert(v forward.Verdict, f frame.Frame) {
	p := &w.snap.Ports[w.id]
	switch v.Reason {
	case forward.StaticMoved:
		if w.alerts.due(alertStaticMoved, w.now) {
			w.gw.log.Warn("a MAC that is pinned elsewhere came in at a port: dropped", "mac", f.Src(), "port", p.Name, "vni", w.snap.Domains[v.Domain].VNI, "mend", v.Reason.Mend())
		}
	case forward.GatewayClaimed:
		w.gw.claimed(&w.alerts, &w.snap.Domains[v.Domain], v, f, w.now, "port", p.Name)
	case forward.SourceGateway:
		if w.alerts.due(alertGateway, w.now) {
			w.gw.log.Warn("our own gateway MAC came in at a port: dropped", "mac", f.Src(), "port", p.Name, "mend", v.Reason.Mend())
		}
	}
}

// claimed tells of somebody else who says that he has an address of the gateway's,
// and has the address defended.
func (g *Gateway) claimed(a *alerts, d *forward.Domain, v forward.Verdict, f frame.Frame, now uint32, where ...any) {
	m, ok := nud.Read(f)
	if !ok || d.IRB == nil {
		return
	}
	addr := m.Addr
	if !d.IRB.Has(addr) {
		addr = m.Target
	}
	g.router.do(job{kind: jobClaimed, domain: v.Domain, addr: addr}, d.IRB, now)
	if a.due(alertClaimed, now) {
		g.log.Warn("somebody else claims an address of the gateway's: not believed, and not passed on", append([]any{"address", addr, "mac", f.Src(), "vni", d.VNI, "mend", v.Reason.Mend()}, where...)...)
	}
}

// alert tells of frames that somebody's mistake or ill will sent in VXLAN.
func (w *overlayWorker) alert(v forward.Verdict, from netip.Addr, f frame.Frame) {
	vni := w.snap.Domains[v.Domain].VNI
	switch v.Reason {
	case forward.InnerVLAN:
		if w.alerts.due(alertInnerVLAN, w.now) {
			w.gw.log.Warn("a VLAN tag inside VXLAN: dropped", "vtep", from, "vni", vni, "vid", innerVID(f), "mend", v.Reason.Mend())
		}
	case forward.StaticMoved:
		if w.alerts.due(alertStaticMoved, w.now) {
			w.gw.log.Warn("a MAC that is pinned elsewhere came from a VTEP: dropped", "mac", f.Src(), "vtep", from, "vni", vni, "mend", v.Reason.Mend())
		}
	case forward.GatewayClaimed:
		w.gw.claimed(&w.alerts, &w.snap.Domains[v.Domain], v, f, w.now, "vtep", from)
	case forward.SourceGateway:
		if w.alerts.due(alertGateway, w.now) {
			w.gw.log.Warn("our own gateway MAC came from a VTEP: dropped", "mac", f.Src(), "vtep", from, "vni", vni, "mend", v.Reason.Mend())
		}
	}
}

// alertGroup tells of packets to a group that were carried, and that show that
// somebody's configuration is not as it was meant. RFC 7348 section 4.2 has each
// VNI mapped to a group and does not say that packets to another are wrong;
// allowed_vteps says who may send. That a VTEP both hears the group and is
// flooded to is only seen from what it sends to the group.
func (w *overlayWorker) alertGroup(v forward.Verdict, p *underlay.Packet) {
	d := &w.snap.Domains[v.Domain]
	switch {
	case p.Group != d.Group:
		if w.alerts.due(alertOtherGroup, w.now) {
			w.gw.log.Warn("a VTEP sends a VNI to a group that is not the VNI's here: carried", "vtep", p.From, "vni", d.VNI, "its_group", p.Group, "our_group", groupName(d), "mend", "give the VNI the same group on both")
		}
	case v.Learn && w.floodsTo(d, p.From):
		if w.alerts.due(alertTwice, w.now) {
			w.gw.log.Warn("a VTEP in flood sends to the group of the VNI: if it hears the group too, it gets flooded frames twice", "vtep", p.From, "vni", d.VNI, "group", p.Group, "mend", "take it off flood")
		}
	}
}

func (w *overlayWorker) floodsTo(d *forward.Domain, a netip.Addr) bool {
	for _, to := range d.Flood {
		if w.snap.VTEPs[to].Addr == a {
			return true
		}
	}
	return false
}

func groupName(d *forward.Domain) string {
	if d.Group.IsValid() {
		return d.Group.String()
	}
	return "none"
}

// innerVID returns the VLAN id of a tagged frame, -1 where it is cut off.
func innerVID(f frame.Frame) int {
	if len(f) < frame.HeaderLen+2 {
		return -1
	}
	return int(frame.Tag{TCI: binary.BigEndian.Uint16(f[frame.HeaderLen:])}.VID())
}
