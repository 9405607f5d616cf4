package gateway

import (
	"vxgw/gateway/forward"
	"vxgw/gateway/storm"
	"vxgw/l2/frame"
	"vxgw/l3/offload"
)

// police asks storm control for one worker. The clock is read once a batch, and only
// where something that is flooded has a limit; what is dropped is summed up and counted
// once for a run of frames of the same place.
type police struct {
	clock func() int64

	now     int64 // of the batch at hand; 0: not read yet
	of      *storm.Control
	dropped [storm.NumKinds]int
}

// lets reports whether one frame that is flooded passes c. It is n frames on the wire,
// and count of them are counted where it does not.
func (p *police) lets(c *storm.Control, dst frame.MAC, n, count int) bool {
	k := storm.KindOf(dst)
	if c.Limit(k) == 0 {
		return true
	}
	if p.now == 0 {
		p.now = p.clock()
	}
	if c.Take(k, n, p.now) {
		return true
	}
	if p.of != c {
		p.count()
		p.of = c
	}
	p.dropped[k] += count
	return false
}

// count adds what was dropped to the counters.
func (p *police) count() {
	for k, n := range p.dropped {
		if n > 0 {
			p.of.Drop(storm.Kind(k), n)
		}
	}
	p.of, p.dropped = nil, [storm.NumKinds]int{}
}

// settle ends a batch.
func (p *police) settle() {
	if p.of != nil {
		p.count()
	}
	p.now = 0
}

// onWire is how many frames a frame is on a wire: a super-frame is many.
func onWire(f frame.Frame, o frame.Offload) int {
	if o.GSO != frame.GSONone {
		if n, _, ok := offload.Measure(f, o); ok {
			return n
		}
	}
	return 1
}

// toOverlay queues the copies of a flooded frame for the VTEPs and the group of its
// domain, where the domain's storm control lets them pass.
func (c *carrier) toOverlay(v forward.Verdict, b *frame.Buffer) {
	d := &c.tx.snap.Domains[v.Domain]
	if len(d.Flood) == 0 {
		return
	}
	if d.StormOut != nil {
		f := frame.Frame(b.Bytes())
		if n := len(d.Flood) * onWire(f, b.Offload); !c.police.lets(d.StormOut, f.Dst(), n, n) {
			c.tally.lose(forward.Storm) // who captures has the frame once
			c.tally.loseAll(forward.Storm, n-1)
			return
		}
	}
	c.toVTEPs(d.Flood, b, v.Domain)
}

// nanos is the clock of storm control.
func (g *Gateway) nanos() int64 {
	if g.edges.Nanos != nil {
		return g.edges.Nanos()
	}
	return int64(g.edges.Clock()) * 1_000_000_000
}
