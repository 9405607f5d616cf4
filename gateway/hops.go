package gateway

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"vxgw/gateway/forward"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/path"
)

// neighbours are next hops, and whether the MAC of each is known.
type neighbours map[path.Neighbour]bool

// hopsFor returns where packets to a VTEP go on the link that take path p, and all
// hops of it where there are several; nil where only the host's stack can send them:
// no next hop is resolved yet (the stack asks for it), the link is no Ethernet, or
// the route wraps packets up itself. The next hops are added to inUse. Of several
// that is also done for those that are not resolved: the stack asks for the one
// alone that it would send to.
func (g *Gateway) hopsFor(s *forward.Snapshot, to netip.Addr, p path.Path, inUse neighbours) (via *underlay.Hop, more []*underlay.Hop) {
	if !g.bypasses() || !p.Plain {
		return nil, nil
	}
	if len(p.Hops) == 0 {
		h := p.PathHop()
		if via = g.hopBy(s, h); via != nil {
			inUse[h.NextHop(to)] = true
		}
		return via, nil
	}
	for _, h := range p.Hops {
		hop := g.hopBy(s, h)
		if hop != nil {
			more = append(more, hop)
		}
		if hop != nil || h.MAC.IsZero() && g.linkFor(s, h) != nil {
			inUse[h.NextHop(to)] = hop != nil
		}
	}
	if len(more) == 0 {
		return nil, nil
	}
	if via = more[0]; !slices.ContainsFunc(more, func(h *underlay.Hop) bool { return *h != *via }) {
		more = nil // the others are not resolved
	}
	return via, more
}

// hopBy returns where on its link a next hop is; nil where that is not known.
func (g *Gateway) hopBy(s *forward.Snapshot, h path.PathHop) *underlay.Hop {
	if h.MAC.IsZero() {
		return nil
	}
	l := g.linkFor(s, h)
	if l == nil {
		return nil
	}
	return &underlay.Hop{Interface: l.Index, From: l.MAC, To: h.MAC}
}

// linkFor returns the link of a next hop; nil where packets cannot be put on it.
func (g *Gateway) linkFor(s *forward.Snapshot, h path.PathHop) *path.Link {
	if s.IsAccess(h.LinkIndex) {
		return nil
	}
	l, ok := g.edges.Host.Link(h.Link)
	if !ok || l.Index != h.LinkIndex || !l.Ethernet || l.Loopback || l.MAC.IsZero() || !l.AdminUp || !l.Carrier {
		return nil
	}
	return &l
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
// alone it only learns of more. One that is new and not resolved the host is told of
// at once.
func (g *Gateway) useHops(w pathWork, inUse neighbours) {
	p := &g.paths
	was := p.links()
	var wanted []path.Neighbour
	p.mu.Lock()
	for n, resolved := range inUse {
		if _, known := p.inUse[n]; !known && !resolved {
			wanted = append(wanted, n)
		}
	}
	if w == freshPaths {
		for n, resolved := range p.inUse {
			inUse[n] = inUse[n] || resolved
		}
	}
	p.inUse = inUse
	p.mu.Unlock()
	g.confirm(wanted)
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
	g.confirm(hops)
}

func (g *Gateway) confirm(hops []path.Neighbour) {
	if err := g.edges.Host.Confirm(hops); err != nil {
		g.trouble.once("confirm", "the host cannot be told that next hops are in use: one that dies is noticed late", "err", err, "mend", "give the gateway CAP_NET_ADMIN, as the systemd unit does")
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
		g.trouble.once("links", "VXLAN goes by the host's IP stack, which is slower", "err", err, "mend", "nothing is lost by it; `vxgw show datapath` says when it is over")
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
