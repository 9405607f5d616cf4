package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"vxgw/gateway/forward"
	"vxgw/l2/frame"
)

const (
	// keepPathMTU is for how many seconds a router is believed: then the path
	// may be another (RFC 1191 section 6.3, RFC 8201 section 4).
	keepPathMTU = 600

	// maxPathMTUs bounds what is remembered: one for each VTEP that there can
	// be.
	maxPathMTUs = forward.MaxVTEPs
)

// pathMTUs is what is known of what paths carry, and from whom. The kernel keeps no
// record of what routers on the way say of packets that leave by raw sockets.
type pathMTUs struct {
	mu    sync.Mutex // guards what follows
	said  map[netip.Addr]pathMTU
	known map[netip.Addr]*knownPath // of VTEPs that there is a route to
}

// knownPath is what is known of one path, in bytes of IP packet.
type knownPath struct {
	route  int    // what its route says
	found  int    // what probes have found; 0: nothing yet
	state  string // of the probes; "": there are none
	is     int    // what is gone by
	shrunk uint64 // how often that became less
}

// follow notes what the route to a says, and returns what is to be gone by. A path that
// becomes narrower is counted.
func (p *pathMTUs) follow(a netip.Addr, route int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.known[a]
	if k == nil {
		if p.known == nil {
			p.known = make(map[netip.Addr]*knownPath)
		}
		k = &knownPath{}
		p.known[a] = k
	}
	k.route = route
	is, _ := p.least(a, k)
	if k.is > 0 && is > 0 && is < k.is {
		k.shrunk++
	}
	k.is = is
	return is
}

// least returns what a path carries by all that is known, and who says so. It needs mu.
func (p *pathMTUs) least(a netip.Addr, k *knownPath) (mtu int, by string) {
	mtu, by = k.route, byRoute
	if was, ok := p.said[a]; ok && (mtu == 0 || was.mtu < mtu) {
		mtu, by = was.mtu, byRouter
	}
	if k.found > 0 && k.found < mtu {
		mtu, by = k.found, byProbe
	}
	return mtu, by
}

// Who says what a path carries, in api.VTEPRow.
const (
	byRoute  = "route"
	byRouter = "router"
	byProbe  = "probe"
)

// bounds returns what paths carry by their routes and by what routers said: as much as
// can be found by probes.
func (p *pathMTUs) bounds() map[netip.Addr]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	bounds := make(map[netip.Addr]int, len(p.known))
	for a, k := range p.known {
		bound := k.route
		if was, ok := p.said[a]; ok && was.mtu < bound {
			bound = was.mtu
		}
		bounds[a] = bound
	}
	return bounds
}

// probed notes how far probes are, and returns what they had found before.
func (p *pathMTUs) probed(a netip.Addr, state string) (found int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.known[a]
	if k == nil {
		return 0
	}
	k.state = state
	return k.found
}

// find notes what probes have found.
func (p *pathMTUs) find(a netip.Addr, mtu int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.known[a]; k != nil {
		k.found = mtu
	}
}

// keep forgets all paths but those to these VTEPs.
func (p *pathMTUs) keep(vteps map[netip.Addr]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a := range p.known {
		if !vteps[a] {
			delete(p.known, a)
		}
	}
}

// of returns what is known of the path to a, and who says what is gone by.
func (p *pathMTUs) of(a netip.Addr) (k knownPath, by string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if is := p.known[a]; is != nil {
		k = *is
		_, by = p.least(a, is)
	}
	return k, by
}

type pathMTU struct {
	mtu int    // longest IP packet, in bytes
	at  uint32 // when it was said, on the gateway's clock
}

// lower notes that the path to a carries IP packets of mtu bytes, and reports
// whether that is news. A path that carries more than was said is found by
// expire alone.
func (p *pathMTUs) lower(a netip.Addr, mtu int, now uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, ok := p.said[a]
	if ok && mtu >= was.mtu || !ok && len(p.said) >= maxPathMTUs {
		return false
	}
	if p.said == nil {
		p.said = make(map[netip.Addr]pathMTU)
	}
	p.said[a] = pathMTU{mtu, now}
	return true
}

// limit returns the smaller of mtu and what was said of the path to a; 0 is
// not known.
func (p *pathMTUs) limit(a netip.Addr, mtu int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, ok := p.said[a]
	if ok && (mtu == 0 || was.mtu < mtu) {
		return was.mtu
	}
	return mtu
}

// expire forgets what was said too long ago, and returns of whose paths.
func (p *pathMTUs) expire(now uint32) (old []netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a, s := range p.said {
		if now-min(s.at, now) >= keepPathMTU {
			delete(p.said, a)
			old = append(old, a)
		}
	}
	return old
}

// learnPathMTU is how the underlay says that a router dropped a packet to a VTEP
// because it was longer than mtu. Only VTEPs that have a number are remembered.
func (g *Gateway) learnPathMTU(to netip.Addr, mtu int) {
	id, ok := g.tables.VTEP(to)
	if !ok {
		return
	}
	v := &g.tables.Snapshot().VTEPs[id]
	fits := mtu - overhead(to)
	if v.Addr != to || v.MaxFrame != 0 && fits >= v.MaxFrame || !g.pathMTUs.lower(to, mtu, g.edges.Clock()) {
		return // it was under way when we learned so, or is forged
	}
	g.paths.ask(freshPaths)
	inner := fits - frame.HeaderLen
	g.trouble.once("narrow path to "+to.String(), fmt.Sprintf("the path to VTEP %s carries only %d bytes: a router on the way said so", to, mtu),
		"vtep", to, "carries", inner, "mend", fmt.Sprintf("`tracepath -n %s` shows where: raise the MTU there, or lower the hosts' to %d", to, inner))
}

// isNarrowed reports whether a router said that the path to a VTEP carries less
// than forwarding knows.
func (g *Gateway) isNarrowed(v *forward.VTEP) bool {
	known := v.MaxFrame + overhead(v.Addr)
	return g.pathMTUs.limit(v.Addr, known) < known
}

// expirePathMTUs lets paths carry what their routes say again: longer packets
// show whether routers still object.
func (g *Gateway) expirePathMTUs() {
	old := g.pathMTUs.expire(g.edges.Clock())
	for _, a := range old {
		g.log.Info("the path to a VTEP may carry more again: what a router said of it has expired", "vtep", a, "after_seconds", keepPathMTU)
	}
	if len(old) > 0 {
		g.paths.ask(allPaths)
	}
}

// lacks tells of something that the underlay works without.
func (g *Gateway) lacks(err error) {
	for {
		was, is := g.up.lacks.Load(), []string{err.Error()}
		if was != nil {
			is = append(slices.Clone(*was), is...)
		}
		if was != nil && slices.Contains(*was, err.Error()) || g.up.lacks.CompareAndSwap(was, &is) {
			break
		}
	}
	g.trouble.once("underlay lacks "+err.Error(), "the underlay works with less than it should", "err", err)
}
