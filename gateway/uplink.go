package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"sync/atomic"

	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/path"
)

// uplinkState is the VTEP's attachment to the underlay. Guarded by Gateway.mu
// but for the atomics.
type uplinkState struct {
	reason    string // why there is none; "" while there is
	telling          // of reason
	forbidden error  // at the start: the sockets may not be made
	dev       underlay.Underlay
	workers   []*overlayWorker
	done      []chan struct{}

	vlan   vlanState
	groups groupState
	past   []int // interfaces that packets go by past the host's IP stack

	seen   underlay.Refused         // what was already added to the ledger, of dev
	lacks  atomic.Pointer[[]string] // what dev works without
	failed atomic.Bool              // a worker gave up
	open   atomic.Bool              // dev is there
}

// reconcileUplink opens the VTEP's sockets while this machine holds its
// address, and closes them when it no longer does: nothing must leave with a
// source address that is not ours.
func (g *Gateway) reconcileUplink() {
	defer g.tellUplink()
	holder, why := g.holder()
	if g.up.dev != nil && (why != "" || g.up.failed.Load()) {
		g.closeUplink()
	}
	if why != "" {
		g.setUplink(why)
		return
	}
	if g.up.dev == nil {
		g.warnHolder(holder)
		g.openUplink()
	}
}

// holder returns the interface that holds the VTEP address, or why none does
// that it could be used on.
func (g *Gateway) holder() (path.Link, string) {
	u := &g.config().Underlay
	if u.VLAN != 0 {
		return g.vlanHolder()
	}
	holder, held := g.edges.Host.Holder(u.Address)
	if !held {
		return holder, fmt.Sprintf("no interface holds the VTEP address %s: ip address add %s dev %s; waiting for it",
			u.Address, netip.PrefixFrom(u.Address, u.Address.BitLen()), cmp.Or(u.Interface, "INTERFACE"))
	}
	return holder, ""
}

// warnHolder tells of a VTEP address that another interface has than the one
// that is configured, or has too: routes decide which one packets leave by.
func (g *Gateway) warnHolder(holder path.Link) {
	u := &g.config().Underlay
	first, _ := g.edges.Host.Holder(u.Address)
	switch {
	case u.VLAN != 0 && first.Index != holder.Index:
		g.trouble.once("holder", "the VTEP address is on another interface too than the sub-interface of [underlay] vlan", "address", u.Address, "on", first.Name, "configured", holder.Name, "mend", "ip address del it from "+first.Name)
	case u.VLAN == 0 && u.Interface != "" && holder.Name != u.Interface:
		g.trouble.once("holder", "the VTEP address is on another interface than [underlay] interface", "address", u.Address, "on", holder.Name, "configured", u.Interface, "mend", "move the address, or name "+holder.Name+" in [underlay] interface")
	}
}

func (g *Gateway) openUplink() {
	u := &g.config().Underlay
	g.up.lacks.Store(nil)
	dev, err := g.edges.OpenUnderlay(UnderlayOptions{
		Address: u.Address, Port: u.Port, Queues: g.workers(), TTL: u.TTL,
		DF: u.DF, Checksum: u.Checksum, ZeroChecksum6: u.ZeroChecksum6,
		OnTooBig: g.learnPathMTU, Lacks: g.lacks, Tap: g.fast.tap(xdp.FacesUnderlay),
	})
	if errors.Is(err, fs.ErrPermission) && !g.begun {
		g.up.forbidden = err
		return
	}
	if err != nil {
		g.setUplink(g.explainOpen(err))
		return
	}
	g.up.failed.Store(false)
	g.up.dev, g.up.seen = dev, underlay.Refused{}
	queues := dev.Queues()
	for i, q := range queues {
		g.startOverlay(i, q)
	}
	g.tables.SetUplinks(queues)
	g.up.open.Store(true)
	g.paths.ask(allPaths)
	g.setUplink("")
}

func (g *Gateway) startOverlay(lane int, q underlay.Reader) {
	w, done := newOverlayWorker(g, lane, q), make(chan struct{})
	g.up.workers, g.up.done = append(g.up.workers, w), append(g.up.done, done)
	go func() {
		defer close(done)
		w.run()
	}()
}

// reapOverlay forgets workers whose queue has ended.
func (g *Gateway) reapOverlay() {
	u := &g.up
	for i := len(u.done) - 1; i >= 0; i-- {
		select {
		case <-u.done[i]:
			u.workers, u.done = slices.Delete(u.workers, i, i+1), slices.Delete(u.done, i, i+1)
		default:
		}
	}
}

// explainOpen turns an error of OpenUnderlay into what an operator can act on.
func (g *Gateway) explainOpen(err error) string {
	u := &g.config().Underlay
	if g.edges.PortTaken == nil || !g.edges.PortTaken(err) {
		return fmt.Sprintf("cannot open the underlay on %s: %v", u.Address, err)
	}
	if dev, ok := g.edges.Host.VXLANOn(u.Port, u.Address); ok {
		return fmt.Sprintf("UDP port %d is held by the kernel's vxlan device %s: ip link delete %s, or set [underlay] port; waiting for it", u.Port, dev, dev)
	}
	return fmt.Sprintf("UDP port %d on %s is held by another process (ss -ulpn 'sport = :%d' names it): stop it, or set [underlay] port; waiting for it", u.Port, u.Address, u.Port)
}

// workers returns how many workers there are to be for each direction.
func (g *Gateway) workers() int {
	if n := g.config().Datapath.Workers; n > 0 {
		return n
	}
	return max(numCPU()/2, 1)
}

func (g *Gateway) closeUplink() {
	if g.up.dev == nil {
		return
	}
	g.up.open.Store(false)
	g.tables.SetUplinks(nil)
	g.pollUplink()
	if err := g.up.dev.Close(); err != nil {
		g.log.Debug("closing the underlay", "err", err)
	}
	for _, d := range g.up.done {
		<-d
	}
	g.up.dev, g.up.workers, g.up.done = nil, nil, nil
	g.up.groups, g.up.past = groupState{}, nil
}

// uplinkFailed is how a worker says that its socket is of no use any more. The
// next tick makes new ones, and not sooner: the reason may be there to stay.
func (g *Gateway) uplinkFailed() { g.up.failed.Store(true) }

func (g *Gateway) setUplink(why string) {
	if g.up.reason == why && (why != "" || g.up.dev == nil) {
		return
	}
	g.up.reason = why
	g.up.changes++
}

// tellUplink says how the underlay is when that changed, as seldom as of a port.
func (g *Gateway) tellUplink() {
	notShown, due := g.up.due(g.edges.Clock())
	if !due {
		return
	}
	var args []any
	if notShown > 0 {
		args = append(args, "not_shown", notShown)
	}
	if g.up.reason == "" && g.up.dev != nil {
		u := &g.config().Underlay
		g.log.Info("underlay up", append(args, "address", u.Address, "port", u.Port, "queues", len(g.up.dev.Queues()))...)
		return
	}
	g.log.Warn("underlay down", append(args, "reason", g.up.reason)...)
}

// pollUplink adds what the kernel refused before a packet could be read.
func (g *Gateway) pollUplink() {
	if g.up.dev == nil {
		return
	}
	is, was := g.up.dev.Refused(), g.up.seen
	g.up.seen = is
	lost := &g.ledger.lost[forward.Overlay]
	lost[forward.RxOverflow].Add(is.Overflow - was.Overflow)
	lost[forward.OuterChecksum].Add(is.Checksum - was.Checksum)
	lost[forward.OuterFragment].Add(is.Fragment - was.Fragment)
	lost[forward.OuterMalformed].Add(is.Malformed - was.Malformed)
}

// pollEdges brings the counters that the kernel keeps up to date.
func (g *Gateway) pollEdges() {
	g.fast.collect()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.ports {
		g.pollPort(p)
	}
	g.pollUplink()
}
