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

	// probesEach is how many probes are sent in a second, at most. With 1,024 VTEPs
	// it takes a minute to ask all of them, and that is what confirming takes too.
	probesEach = 32
)

// probes is the task that probes the paths to VTEPs.
type probes struct {
	mu       sync.Mutex // guards searches: answers come in on a goroutine of their own
	searches map[netip.Addr]*plpmtu.Search
	socket   Echo // the task's own
}

// probePaths is the task. It runs until ctx ends.
func (g *Gateway) probePaths(ctx context.Context) {
	if g.edges.OpenEcho == nil || !g.config().Underlay.ProbePMTU {
		return
	}
	p := &g.probes
	var reader sync.WaitGroup
	defer reader.Wait()
	defer func() {
		if p.socket != nil {
			_ = p.socket.Close()
		}
	}()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if p.socket == nil && g.up.open.Load() {
			g.openEcho(&reader)
		}
		if p.socket != nil {
			g.probeEach(g.edges.Clock())
		}
	}
}

func (g *Gateway) openEcho(reader *sync.WaitGroup) {
	s, err := g.edges.OpenEcho(g.config().Underlay.Address)
	if err != nil {
		g.trouble.once("echo", "paths to VTEPs are not probed: one that carries less than its route says, and whose routers do not say so, is not noticed", "err", err, "mend", "give vxgw CAP_NET_RAW, as its systemd unit does")
		return
	}
	g.probes.socket = s
	reader.Go(func() { g.hearEchoes(s) })
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
		g.echoed(from, size, g.edges.Clock())
	}
}

// echoed notes that a probe was answered.
func (g *Gateway) echoed(from netip.Addr, size int, now uint32) {
	g.probes.mu.Lock()
	defer g.probes.mu.Unlock()
	if s := g.probes.searches[from]; s != nil {
		s.Answered(size, now)
	}
}

// probeEach sends what is due, and tells of what was found.
func (g *Gateway) probeEach(now uint32) {
	p := &g.probes
	bounds := g.pathMTUs.bounds()
	p.mu.Lock()
	defer p.mu.Unlock()
	for a := range p.searches {
		if _, ok := bounds[a]; !ok {
			delete(p.searches, a)
		}
	}
	left := probesEach
	for a, longest := range bounds {
		s := g.searchFor(a, longest, now)
		if s == nil {
			continue
		}
		g.foundPath(a, longest, s)
		if left == 0 {
			continue
		}
		if size, due := s.Next(now); due {
			left--
			// What cannot be sent is not answered either.
			_ = p.socket.Send(a, size)
		}
	}
}

// searchFor returns the search for a path; nil where there is nothing to find out: the
// path carries no more than any does. It needs probes.mu.
func (g *Gateway) searchFor(a netip.Addr, longest int, now uint32) *plpmtu.Search {
	p := &g.probes
	s := p.searches[a]
	switch {
	case longest < plpmtu.Base:
		delete(p.searches, a)
		return nil
	case s != nil:
		s.SetLongest(longest, now)
	default:
		if p.searches == nil {
			p.searches = make(map[netip.Addr]*plpmtu.Search)
		}
		s = plpmtu.New(longest, now+settle)
		p.searches[a] = s
	}
	return s
}

// foundPath takes over what a search has found, and says so.
func (g *Gateway) foundPath(a netip.Addr, longest int, s *plpmtu.Search) {
	is, was := s.Found(), g.pathMTUs.probed(a, s.State().String())
	if is == 0 || is == was {
		return
	}
	g.pathMTUs.find(a, is)
	g.paths.ask(allPaths)
	inner := is - overhead(a) - frame.HeaderLen
	switch {
	case is < longest && (was == 0 || is < was):
		g.log.Warn("the path to a VTEP carries less than its route says: longer probes get lost, and no router says so",
			"vtep", a, "carries", is, "route", longest, "leaves_for_hosts", inner,
			"mend", fmt.Sprintf("`ping -M do -s %d %v` shows it: raise the MTU on the way to %d, and let ICMP \"fragmentation needed\" through. If it is long pings alone that somebody refuses: pmtu_probe = false in [underlay]", longest-28, a, longest))
	case was != 0 && is > was:
		g.log.Info("the path to a VTEP carries more again", "vtep", a, "carries", is, "before", was)
	}
}
