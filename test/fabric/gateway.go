package fabric

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vxgw/config"
	"vxgw/gateway"
	"vxgw/l2/port"
	portmem "vxgw/l2/port/mem"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/mem"
	"vxgw/l3/underlay/path"
)

// Underlay is the name of the link that holds a VTEP's address.
const Underlay = "und0"

// cableSize is how many frames a port holds in each direction.
const cableSize = 4096

// Gateway is one gateway of a Net.
type Gateway struct {
	*gateway.Gateway
	Host   *Host
	Config *config.Config

	net       *Net
	stop      context.CancelFunc
	done      chan error
	log       *logBuffer
	datagrams atomic.Uint64 // that came in while attached
	attached  atomic.Bool
	opened    atomic.Pointer[opened]

	// Guarded by Net.mu.
	groups     []netip.Addr // that it has joined
	membership underlay.Membership

	mu     sync.Mutex // guards everything below
	cables map[string][]*portmem.Host
	sent   map[string]uint64 // frames that a port took
	got    map[string]uint64 // frames that came out of a port
	bytes  map[string]uint64
	taken  error // what opening the underlay fails with
}

// opened is the last attachment to the underlay.
type opened struct {
	options gateway.UnderlayOptions
	vtep    *mem.VTEP
}

// Add starts a gateway with a configuration as an operator writes it, on a host
// that has all that the configuration names.
func (n *Net) Add(text string) *Gateway { return n.AddOn(text, func(*Host) {}) }

// AddOn is Add on a host that prepare has changed beforehand.
func (n *Net) AddOn(text string, prepare func(*Host)) *Gateway {
	n.T.Helper()
	cfg, err := config.Parse("test.toml", []byte(text))
	if err != nil {
		n.T.Fatalf("the test's configuration: %v", err)
	}
	g := &Gateway{
		Host: newHost(), Config: cfg, net: n, log: new(logBuffer), done: make(chan error, 1),
		cables: make(map[string][]*portmem.Host), sent: make(map[string]uint64), got: make(map[string]uint64), bytes: make(map[string]uint64),
	}
	g.Host.follow = g.follow
	g.Host.AddLink(Underlay)
	if cfg.Underlay.VLAN == 0 {
		g.Host.AddAddr(cfg.Underlay.Address, Underlay)
	}
	for _, p := range cfg.Ports {
		g.Host.AddLink(p.Interface)
	}
	prepare(g.Host)
	g.start()
	return g
}

func (g *Gateway) start() {
	n := g.net
	gw, err := gateway.New(g.Config, gateway.Edges{
		Host:         g.Host,
		OpenPort:     g.openPort,
		OpenUnderlay: g.openUnderlay,
		PortTaken:    func(err error) bool { return errors.Is(err, unix.EADDRINUSE) },
		Clock:        n.clock.Load,
	}, slog.New(slog.NewTextHandler(g.log, nil)))
	if err != nil {
		n.T.Fatalf("%v", err)
	}
	g.Gateway = gw
	n.gateways = append(n.gateways, g)
	n.byAddr[g.Addr()] = g.Name()
	n.mu.Lock()
	n.to[g.Addr()] = g
	n.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	g.stop = cancel
	go func() { g.done <- gw.Run(ctx) }()
	n.Settle()
}

// Stop ends the gateway and waits for it. A second Stop does nothing.
func (g *Gateway) Stop() {
	if g.stop == nil {
		return
	}
	g.stop()
	g.stop = nil
	if err := <-g.done; err != nil {
		g.net.T.Errorf("%s ended with %v", g.Name(), err)
	}
}

// Addr returns the VTEP's address.
func (g *Gateway) Addr() netip.Addr { return g.Config.Underlay.Address }

// Log returns what the gateway has logged.
func (g *Gateway) Log() string { return g.log.String() }

// Options returns how the underlay was last opened.
func (g *Gateway) Options() gateway.UnderlayOptions { return g.opened.Load().options }

// VTEP returns the attachment to the fabric, to have it refuse packets.
func (g *Gateway) VTEP() *mem.VTEP { return g.opened.Load().vtep }

// FailOpen has opening the underlay end with err; nil: it works.
func (g *Gateway) FailOpen(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken = err
}

func (g *Gateway) openPort(l path.Link, _ gateway.PortOptions) (port.Port, error) {
	p, h := portmem.NewPair(cableSize)
	h.SetMTU(l.MTU)
	h.SetDown(!l.AdminUp || !l.Carrier)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cables[l.Name] = append(g.cables[l.Name], h)
	return p, nil
}

// follow has the newest device of a link do what the link does.
func (g *Gateway) follow(l path.Link, there bool) {
	h := g.Cable(l.Name)
	switch {
	case h == nil:
	case !there:
		h.Remove()
	default:
		h.SetMTU(l.MTU)
		h.SetDown(!l.AdminUp || !l.Carrier)
	}
}

// Cable returns what is plugged into a port, nil while the port is not open.
func (g *Gateway) Cable(name string) *portmem.Host {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.cables[name]
	if len(c) == 0 {
		return nil
	}
	return c[len(c)-1]
}

// attachment tells the harness when a VTEP goes.
type attachment struct {
	*mem.VTEP
	g *Gateway
}

func (a attachment) Close() error {
	a.g.attached.Store(false)
	return a.VTEP.Close()
}

func (a attachment) SetGroups(m underlay.Membership) error {
	err := a.VTEP.SetGroups(m)
	n := a.g.net
	var joined []netip.Addr
	for _, group := range m.Groups {
		if slices.Contains(n.Fabric.Members(group), a.g.Addr()) {
			joined = append(joined, group)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	a.g.groups, a.g.membership = joined, m
	return err
}

// Membership returns which groups the gateway last asked for, and where.
func (g *Gateway) Membership() underlay.Membership {
	g.net.mu.Lock()
	defer g.net.mu.Unlock()
	return g.membership
}

// inGroup reports whether the gateway has joined a multicast group.
func (g *Gateway) inGroup(a netip.Addr) bool {
	g.net.mu.Lock()
	defer g.net.mu.Unlock()
	return slices.Contains(g.groups, a)
}

func (g *Gateway) openUnderlay(o gateway.UnderlayOptions) (underlay.Underlay, error) {
	g.mu.Lock()
	err := g.taken
	g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	v, err := g.net.Fabric.Attach(o.Address, mem.Options{Queues: o.Queues})
	if err != nil {
		return nil, fmt.Errorf("opening the underlay: %w", err)
	}
	g.opened.Store(&opened{o, v})
	g.attached.Store(true)
	return attachment{v, g}, nil
}

// logBuffer keeps what a gateway logs.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// forget empties the log.
func (b *logBuffer) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
