package gateway

import (
	"encoding/binary"
	"net/netip"

	"vxgw/gateway/forward"
	"vxgw/l2/frame"
)

// alert is a kind of frame that an operator hears of and not only counts.
type alert uint8

const (
	alertStaticMoved alert = iota
	alertGateway
	alertInnerVLAN
	alertNotAllowed
	alertNoRoom
	alertOnAccess
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
	case forward.SourceGateway:
		if w.alerts.due(alertGateway, w.now) {
			w.gw.log.Warn("our own gateway MAC came in at a port: dropped", "mac", f.Src(), "port", p.Name, "mend", v.Reason.Mend())
		}
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
	case forward.SourceGateway:
		if w.alerts.due(alertGateway, w.now) {
			w.gw.log.Warn("our own gateway MAC came from a VTEP: dropped", "mac", f.Src(), "vtep", from, "vni", vni, "mend", v.Reason.Mend())
		}
	}
}

// innerVID returns the VLAN id of a tagged frame, -1 where it is cut off.
func innerVID(f frame.Frame) int {
	if len(f) < frame.HeaderLen+2 {
		return -1
	}
	return int(frame.Tag{TCI: binary.BigEndian.Uint16(f[frame.HeaderLen:])}.VID())
}
