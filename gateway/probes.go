package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"vxgw/l2/frame"
	"vxgw/l3/plpmtu"
)

// Echo sends packets that other hosts answer, by which the gateway finds out how much
// the path to a VTEP carries. *echo.Socket is the real one.
type Echo interface {
	// Send sends a request of size bytes of IP packet that no router may fragment.
	Send(to netip.Addr, size int) error
	// Read waits for an answer, and returns whose it is and how long the request was.
	Read() (from netip.Addr, size int, err error)
	Close() error
}

const (
	// settle is how many seconds after it was heard of a path is probed: neighbours
	// and routes are found first.
	settle = 10

	// probesEach is how many paths are looked at in a second, and so how many probes are
	// sent, at most. With 1,024 VTEPs each has its turn every 16 seconds.
	probesEach = 64
)

// probePaths is the task that probes the paths to VTEPs. It runs until ctx ends.
func (g *Gateway) probePaths(ctx context.Context) {
	if g.edges.OpenEcho == nil || !g.config().Underlay.ProbePMTU {
		return
	}
	var socket Echo
	var reader sync.WaitGroup
	defer reader.Wait()
	defer func() {
		if socket != nil {
			_ = socket.Close()
		}
	}()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		if socket == nil && g.up.open.Load() {
			socket = g.openEcho(&reader)
		}
		if socket != nil {
			g.probeSome(socket, g.edges.Clock())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// openEcho returns a socket whose answers are heard, or nil.
func (g *Gateway) openEcho(reader *sync.WaitGroup) Echo {
	s, err := g.edges.OpenEcho(g.config().Underlay.Address)
	if err != nil {
		g.trouble.once("echo", "paths to VTEPs are not probed: one that carries less than its route says, and whose routers do not say so, is not noticed", "err", err, "mend", "give vxgw CAP_NET_RAW, as its systemd unit does")
		return nil
	}
	reader.Go(func() { g.hearEchoes(s) })
	return s
}

// hearEchoes hears answers until the socket is closed.
func (g *Gateway) hearEchoes(s Echo) {
	for {
		from, size, err := s.Read()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			continue // of a packet that went out before
		}
		g.pathMTUs.answered(from, size, g.edges.Clock())
	}
}

// answered notes that a probe was answered.
func (p *pathMTUs) answered(from netip.Addr, size int, now uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.known[from]; k != nil && k.search != nil {
		k.search.Answered(size, now)
	}
}

// probe is one that is due.
type probe struct {
	to   netip.Addr
	size int // bytes of IP packet
}

// finding is what probes have found of a path, in bytes of IP packet.
type finding struct {
	of       netip.Addr
	bound    int // that its route and routers say
	was, now int
}

// look has paths take their turn, and returns what is due and what is new.
func (p *pathMTUs) look(now uint32) (due []probe, news []finding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range min(probesEach, len(p.order)) {
		p.turn = (p.turn + 1) % len(p.order)
		a := p.order[p.turn]
		k := p.known[a]
		bound := p.bound(a, k.route)
		if !k.probe(bound, now) {
			continue
		}
		if found := k.found(); found != k.told {
			news = append(news, finding{a, bound, k.told, found})
			k.told = found
		}
		if size, is := k.search.Next(now); is {
			due = append(due, probe{a, size})
		}
	}
	return due, news
}

// probe has a path probed up to a bound, and reports whether it is: one that carries no
// more than every path does need not be.
func (k *knownPath) probe(bound int, now uint32) bool {
	switch {
	case bound < plpmtu.Base:
		k.search = nil
		return false
	case k.search == nil:
		k.search = plpmtu.New(bound, now+settle)
	default:
		k.search.SetLongest(bound, now)
	}
	return true
}

// probeSome sends what is due, and tells of what was found.
func (g *Gateway) probeSome(socket Echo, now uint32) {
	due, news := g.pathMTUs.look(now)
	for _, f := range news {
		g.tellFinding(f)
	}
	if len(news) > 0 {
		g.paths.ask(allPaths)
	}
	for _, p := range due {
		// What cannot be sent is not answered either.
		_ = socket.Send(p.to, p.size)
	}
}

// tellFinding says what an operator is to know of a path.
func (g *Gateway) tellFinding(f finding) {
	added := overhead(f.of)
	switch {
	case f.now == 0: // it is to be found out anew
	case f.now < f.bound && (f.was == 0 || f.now < f.was):
		pinged := f.bound - (added - vxlanHeader) // an echo header is as long as UDP's
		g.log.Warn("the path to a VTEP carries less than its route says: longer probes get lost, and no router says so",
			"vtep", f.of, "carries", f.now, "route", f.bound, "leaves_for_hosts", f.now-added-frame.HeaderLen,
			"mend", fmt.Sprintf("`ping -M do -s %d %v` shows it: raise the MTU on the way to %d, and let ICMP \"fragmentation needed\" through. If it is long pings alone that somebody refuses: pmtu_probe = false in [underlay]", pinged, f.of, f.bound))
	case f.was != 0 && f.now > f.was:
		g.log.Info("the path to a VTEP carries more again", "vtep", f.of, "carries", f.now, "before", f.was)
	}
}
