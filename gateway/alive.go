package gateway

import "runtime"

func numCPU() int { return runtime.GOMAXPROCS(0) }

// pulse is what Alive saw of the workers when it last looked.
type pulse map[*heartbeat]uint64

// Alive reports whether every worker went round since the last call. It wakes
// those that wait for frames, so that an idle gateway is alive and one whose
// workers are stuck is not. The first call reports true. It is for one caller:
// the watchdog.
func (g *Gateway) Alive() func() bool {
	seen := pulse{}
	return func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		alive, now := true, pulse{}
		look := func(h *heartbeat, wake func()) {
			n := h.beats.Load()
			if was, known := seen[h]; known && was == n {
				alive = false
			}
			now[h] = n
			wake()
		}
		for _, p := range g.ports {
			if p.dev == nil || p.hasEnded() {
				continue
			}
			for _, w := range p.workers {
				look(&w.beat, w.rx.Wake)
			}
		}
		g.reapOverlay()
		for _, w := range g.up.workers {
			look(&w.beat, w.conn.Wake)
		}
		seen = now
		return alive
	}
}
