package gateway

import (
	"context"
	"sync"
	"time"
)

// Intervals of the supervisor.
const (
	tickEvery  = time.Second      // sweeping, retrying what could not be opened
	pathsEvery = 30 * time.Second // asking for paths again though nothing was said to change
)

// supervise brings what is open into line with what is configured and what the
// host has: at the start, whenever the host says that something changed, and
// once a second. It only ever compares the two, so a notification lost is a
// second lost.
func (g *Gateway) supervise(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	defer g.closeAll()
	var ticks int
	g.lookForIPsec()
	g.fast.find()
	g.reconcile()
	if err := g.begin(); err != nil {
		return err
	}
	g.fast.inherit()
	g.refreshPaths(allPaths)
	g.fast.begin()
	var tasks sync.WaitGroup
	tasks.Go(func() { g.followPaths(ctx) })
	tasks.Go(func() { g.probePaths(ctx) })
	tasks.Go(func() { g.router.run(ctx) })
	tasks.Go(func() { g.fast.run(ctx) })
	tasks.Go(func() { g.watch.run(ctx) })
	tasks.Go(func() { g.examineAtStart(ctx) })
	defer tasks.Wait()
	if f := g.ready.Swap(nil); f != nil {
		(*f)()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.edges.Host.Changed():
			g.paths.ask(allPaths)
		case <-g.kick:
		case <-tick.C:
			ticks++
			g.everySecond(ticks)
		}
		g.reconcile()
	}
}

// begin ends the start. What may not be done at the start will not be allowed
// later; what is not allowed later may be, and is waited for like the rest.
func (g *Gateway) begin() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun = true
	return g.up.forbidden
}

func (g *Gateway) everySecond(ticks int) {
	g.pollEdges() // before the sweep, which asks who was heard
	g.fast.everySecond(g.edges.Clock())
	g.tables.Sweep(g.edges.Clock())
	g.sweepOrigins()
	g.tables.Mend(g.edges.Clock())
	if f := g.edges.LookAround; f != nil {
		if err := f(); err != nil {
			g.trouble.once("look around", "packet captures on this machine are not noticed: they miss what the gateway sends", "err", err, "mend", "let the gateway read /proc/net/packet")
		}
	}
	g.noticeLosses()
	g.watchStorms()
	g.tendHolds()
	g.noticeDrops()
	g.captures.CollectDrops()
	g.expirePathMTUs()
	if ticks%confirmEvery == 0 {
		g.confirmHops()
	}
	g.lookForIPsec()
	if ticks%int(pathsEvery/tickEvery) == 0 {
		g.paths.ask(allPaths)
	}
}

func (g *Gateway) reconcile() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reconcileVLAN()
	// The way out first: frames come in from the moment that a port is open.
	g.reconcileUplink()
	g.reconcilePorts()
	g.reconcileLinks()
	g.reconcileGroups()
	g.fast.want(g.fastWants())
}

func (g *Gateway) closeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.captures.Close()
	g.fast.close()
	g.closePorts(g.ports)
	g.closeUplink()
	g.closeVLAN()
}
