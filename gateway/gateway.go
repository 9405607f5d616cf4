// Package gateway is the shell around forwarding: it starts the tasks, runs the
// workers that move frames, carries out their verdicts, and answers questions
// about all of it.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"vxgw/config"
	"vxgw/gateway/capture"
	"vxgw/gateway/counters"
	"vxgw/gateway/tables"
)

// Gateway is one VTEP with its access ports.
type Gateway struct {
	// Set once.
	edges         Edges
	log           *slog.Logger
	tables        *tables.Tables
	encapsulation encapsulation
	trouble       trouble
	answers       *counters.Limit // of ICMP errors for bridged frames
	captures      *capture.Hub
	drops         *capture.Recorder
	router        *router
	fast          *fast
	kick          chan struct{} // look again; see nudge
	paths         paths
	pathMTUs      pathMTUs
	watch         watch
	origins       *origins

	cfg    atomic.Pointer[config.Config] // what runs; Reload replaces it
	ipsec  atomic.Bool                   // the host has IPsec policies
	ledger ledger
	ready  atomic.Pointer[func()] // called once, when forwarding has begun

	leavesNothing bool // see LeaveNothing

	walks walks // through the FDB, for those who ask about members

	notices notices // the supervisor's own
	lost    string  // VTEPs without a path that were told of; the path task's own

	mu    sync.Mutex // guards everything below
	begun bool       // everything was looked at once
	ports []*portState
	up    uplinkState
}

// New makes a gateway of a valid configuration. Nothing is opened before Run.
func New(cfg *config.Config, edges Edges, log *slog.Logger) (*Gateway, error) {
	g := &Gateway{
		edges:         edges,
		log:           log,
		encapsulation: newEncapsulation(cfg),
		kick:          make(chan struct{}, 1),
		paths:         newPaths(),
		answers:       counters.NewLimit(answersPerSecond),
		origins:       newOrigins(),
	}
	g.fast = newFast(g, cfg)
	g.drops = capture.NewRecorder(capture.MaxRecords)
	var err error
	if g.fast.is() {
		g.tables, err = tables.New(cfg, g.fast)
		if err == nil {
			g.tables.Hosts().OnMove(g.fast.plane.Reroute)
		}
	} else {
		g.tables, err = tables.New(cfg, nil)
	}
	if err != nil {
		g.fast.close()
		return nil, err
	}
	g.watch = newWatch(g)
	g.cfg.Store(cfg)
	g.captures = newCaptures(g, cfg)
	g.router = newRouter(g)
	g.trouble.log = log
	for _, c := range cfg.Ports {
		g.ports = append(g.ports, g.newPort(c))
	}
	return g, nil
}

// config returns the configuration that runs.
func (g *Gateway) config() *config.Config { return g.cfg.Load() }

// OnReady arranges for f to be called once the gateway has opened all that can
// be opened and forwards. Call it before Run.
func (g *Gateway) OnReady(f func()) { g.ready.Store(&f) }

// Run carries frames until ctx ends, and returns nil then. An error means that
// the gateway cannot go on: what can heal by itself is waited for instead.
func (g *Gateway) Run(ctx context.Context) error {
	eg, ctx := errgroup.WithContext(ctx)
	// The host is followed to the last: what was made there is removed at the end.
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	eg.Go(func() error {
		if err := g.edges.Host.Run(following); err != nil && following.Err() == nil {
			return fmt.Errorf("following the host's interfaces and routes: %w", err)
		}
		return nil
	})
	eg.Go(func() error {
		defer stop()
		return g.supervise(ctx)
	})
	return eg.Wait()
}

// nudge makes the supervisor look at everything again.
func (g *Gateway) nudge() {
	select {
	case g.kick <- struct{}{}:
	default:
	}
}
