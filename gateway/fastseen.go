package gateway

import (
	"sync"

	"vxgw/gateway/capture"
	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
)

// source is where captures learn of what the programs carry; nil where there are none.
func (f *fast) source() capture.Source {
	if !f.is() {
		return nil
	}
	return &fastSource{fast: f}
}

// fastSource tells captures of the frames that the programs carry.
type fastSource struct {
	// set once
	fast *fast

	mu    sync.Mutex // guards everything below
	watch *xdp.Watch // nil: nobody captures

	of    *forward.Snapshot // that ports is of
	ports map[int]forward.PortID
}

// Begin is as capture.Source has it.
func (s *fastSource) Begin(snap int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch == nil {
		w, err := s.fast.plane.Watch()
		if err != nil {
			return err
		}
		s.watch = w
	}
	s.watch.Keep(snap)
	return nil
}

// End is as capture.Source has it.
func (s *fastSource) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch == nil {
		return
	}
	if err := s.watch.Close(); err != nil {
		s.fast.gw.log.Debug("closing the ring of the fast path's frames", "err", err)
	}
	s.watch = nil
}

// Read is as capture.Source has it.
func (s *fastSource) Read(f func(capture.Note)) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch == nil {
		return false
	}
	more, err := s.watch.Read(func(w *xdp.Watched) {
		if n, ok := s.note(w); ok {
			f(n)
		}
	})
	if err != nil {
		s.fast.gw.trouble.once("watch", "captures do not see all that the fast path carries", "err", err,
			"mend", "mode = \"raw\" in [datapath] has workers carry everything, and captures see it")
	}
	return more
}

// note is what the programs have told of, as a worker would tell it. A port that has
// just gone is no place any more.
func (s *fastSource) note(w *xdp.Watched) (n capture.Note, ok bool) {
	n = capture.Note{
		Time: w.Time, Out: w.Out, VNI: w.VNI, Len: w.Len, Data: w.Data,
		Reason: forward.Reason(w.Reason), Direction: forward.Direction(w.Direction),
		Place: capture.Place{Port: forward.NoPortID, Index: w.Interface},
	}
	if w.Underlay {
		return n, true
	}
	n.Place.Index = 0
	n.Place.Port, ok = s.port(w.Interface)
	return n, ok
}

// port finds the port of an interface, by index.
func (s *fastSource) port(index int) (forward.PortID, bool) {
	if is := s.fast.gw.tables.Snapshot(); is != s.of {
		s.of, s.ports = is, make(map[int]forward.PortID)
		for i := range is.Ports {
			if p := &is.Ports[i]; p.Name != "" && p.Index != 0 {
				s.ports[p.Index] = forward.PortID(i)
			}
		}
	}
	id, ok := s.ports[index]
	return id, ok
}

// Lost is as capture.Source has it.
func (s *fastSource) Lost(p capture.Place) (n uint64) {
	snap := s.fast.gw.tables.Snapshot()
	switch {
	case !p.IsUnderlay() && int(p.Port) < len(snap.Ports):
		n = s.fast.plane.Unwatched(snap.Ports[p.Port].Index)
	case p.IsUnderlay():
		for _, index := range s.fast.underlays() {
			n += s.fast.plane.Unwatched(index)
		}
	}
	return n
}
