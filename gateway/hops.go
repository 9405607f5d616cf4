package gateway

import (
	"maps"
	"slices"
	"strings"

	"vxgw/gateway/forward"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/path"
)

// hopFor returns where packets go on the link that take path p; nil where only
// the host's stack can send them: the next hop is not resolved yet (the stack
// asks for it), the link is no Ethernet, or the route wraps packets up itself.
func (g *Gateway) hopFor(s *forward.Snapshot, p path.Path) *underlay.Hop {
	if !g.bypasses() || !p.Plain || p.MAC.IsZero() || s.IsAccess(p.LinkIndex) {
		return nil
	}
	l, ok := g.edges.Host.Link(p.Link)
	if !ok || l.Index != p.LinkIndex || !l.Ethernet || l.Loopback || l.MAC.IsZero() || !l.AdminUp || !l.Carrier {
		return nil
	}
	return &underlay.Hop{Interface: l.Index, From: l.MAC, To: p.MAC}
}

// bypasses reports whether packets may go past the host's stack.
func (g *Gateway) bypasses() bool { return g.config().Underlay.Bypass && !g.ipsec.Load() }

// lookForIPsec has packets go by the host's stack while that has IPsec policies: past
// it they would go out in the clear, and come in where only encrypted ones may.
func (g *Gateway) lookForIPsec() {
	if !g.config().Underlay.Bypass {
		return
	}
	has, err := g.edges.Host.IPsec()
	if err != nil {
		g.trouble.once("ipsec", "whether the host has IPsec policies is not known: VXLAN goes past them if it has", "err", err, "mend", "set [underlay] bypass = false if VXLAN is to be encrypted")
		return
	}
	if g.ipsec.Swap(has) == has {
		return
	}
	if has {
		g.log.Warn("the host has IPsec policies: VXLAN goes by its IP stack, which is slower, so that they hold",
			"mend", "`ip xfrm policy` shows them. What the gateway sends meets those that name addresses only: the kernel does not see a protocol or a port in it")
	} else {
		g.log.Info("the host has no IPsec policies any more")
	}
	g.paths.ask(allPaths)
	g.nudge()
}

// sameHop reports whether two hops are the same, or both nil.
func sameHop(a, b *underlay.Hop) bool { return a == b || a != nil && b != nil && *a == *b }

// confirmEvery is how often, in seconds, the host's stack is told which next hops
// are in use. What goes past the stack it does not see; told so, it makes sure
// that they are still there, as it does for those that it sends to itself. It
// doubts an answer after some 30 seconds (RFC 4861 section 10).
const confirmEvery = 10

// useHops remembers which neighbours packets are sent to directly. Of fresh paths
// alone it only learns of more.
func (g *Gateway) useHops(w pathWork, inUse map[path.Neighbour]struct{}) {
	p := &g.paths
	was := p.links()
	p.mu.Lock()
	if w == freshPaths {
		maps.Copy(inUse, p.inUse)
	}
	p.inUse = inUse
	p.mu.Unlock()
	if !slices.Equal(was, p.links()) {
		g.nudge()
	}
}

// links returns the interfaces that packets are put on directly, in order.
func (p *paths) links() (links []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := range p.inUse {
		if !slices.Contains(links, n.Interface) {
			links = append(links, n.Interface)
		}
	}
	slices.Sort(links)
	return links
}

// confirmHops tells the host's stack which next hops are in use.
func (g *Gateway) confirmHops() {
	g.paths.mu.Lock()
	hops := slices.Collect(maps.Keys(g.paths.inUse))
	g.paths.mu.Unlock()
	if err := g.edges.Host.Confirm(hops); err != nil {
		g.trouble.once("confirm", "the host cannot be told that next hops are in use: one that dies is noticed late", "err", err)
	}
}

// reconcileLinks has packets go by the interfaces of their paths, and by the one
// that holds the VTEP address. It needs Gateway.mu.
func (g *Gateway) reconcileLinks() {
	if g.up.dev == nil || !g.config().Underlay.Bypass {
		return
	}
	use := g.paths.links()
	if l, why := g.holder(); why == "" && g.bypasses() && l.Ethernet && l.AdminUp && !l.Loopback && !slices.Contains(use, l.Index) {
		use = append(use, l.Index)
	}
	use = slices.DeleteFunc(use, func(index int) bool { return !g.bypasses() || g.isShaped(index) })
	g.reapOverlay()
	queues, err := g.up.dev.UseLinks(use)
	if err != nil {
		g.trouble.once("links", "VXLAN goes by the host's IP stack, which is slower", "err", err)
	}
	for _, q := range queues {
		g.startOverlay(len(g.up.workers), q)
	}
	g.up.past = use
}

// linksInUse names the interfaces that packets go by past the host's IP stack. It
// needs Gateway.mu.
func (g *Gateway) linksInUse() string {
	var names []string
	for _, index := range g.up.past {
		if l, ok := g.edges.Host.LinkAt(index); ok {
			names = append(names, l.Name)
		}
	}
	return strings.Join(names, ", ")
}

// isShaped reports whether somebody gave an interface a queueing discipline, which
// only what goes by the host's stack is sure to meet.
func (g *Gateway) isShaped(index int) bool {
	l, ok := g.edges.Host.LinkAt(index)
	return ok && l.Shaped
}
