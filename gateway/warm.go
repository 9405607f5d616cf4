package gateway

import (
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/underlay"
	"vxgw/l3/vxlan"
)

// warmer brings what a batch is about to look up in a large FDB into the cache,
// all of it at once. It belongs to one worker.
type warmer struct {
	fdb  *fdb.Table // of the batch at hand
	keys [fdb.MaxWarm]fdb.Key
	n    int
}

// access warms the stations of frames from a port.
func (w *warmer) access(s *forward.Snapshot, in forward.PortID, bufs []frame.Buffer) {
	if !s.FDB.Large() {
		return
	}
	w.fdb = s.FDB
	d := s.Ports[in].Domain
	for i := range bufs {
		w.add(d, bufs[i].Bytes())
	}
	w.flush()
}

// overlay warms the stations of frames in VXLAN. Whether a packet is good is
// asked later: for one that is not, memory is read for nothing.
func (w *warmer) overlay(s *forward.Snapshot, pkts []underlay.Packet) {
	if !s.FDB.Large() {
		return
	}
	w.fdb = s.FDB
	var last uint32
	d, known := s.VNIs[last]
	for i := range pkts {
		b := pkts[i].Bytes()
		vni, _, problem := vxlan.Parse(b)
		if problem != vxlan.OK {
			continue
		}
		if vni != last {
			last = vni
			d, known = s.VNIs[vni]
		}
		if known {
			w.add(d, b[vxlanHeader:])
		}
	}
	w.flush()
}

// add takes in both stations of a frame. No group is in the FDB.
func (w *warmer) add(d fdb.Domain, f frame.Frame) {
	if len(f) < frame.HeaderLen {
		return
	}
	w.key(d, f.Src())
	if dst := f.Dst(); !dst.IsMulticast() {
		w.key(d, dst)
	}
}

func (w *warmer) key(d fdb.Domain, m frame.MAC) {
	if w.n == len(w.keys) {
		w.flush()
	}
	w.keys[w.n] = fdb.KeyOf(d, m)
	w.n++
}

func (w *warmer) flush() {
	w.fdb.Warm(w.keys[:w.n])
	w.n = 0
}
