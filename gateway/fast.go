package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l3/vxlan"
)

// fast is the fast path: programs in the kernel that carry the frames whose way is
// certain. Everything else comes up to the workers, who decide; what they have learned
// and what the snapshot says is copied to the programs.
type fast struct {
	// set once
	gw    *Gateway
	plane *xdp.Plane // nil: there is none
	why   string     // there is none, in words

	active atomic.Bool   // there are programs at interfaces, for XDP or in Taps
	ended  atomic.Bool   // what becomes of the gateway now is no news for the programs
	kick   chan struct{} // see news

	facing atomic.Pointer[[]int] // the interfaces that face the underlay, by index; nil: none

	untapped atomic.Pointer[string] // why nothing is sent on at TCX; nil: something is, or was not tried

	read atomic.Uint64 // frames that workers have read

	counting sync.Mutex // guards counts
	counts   fastCounts

	mu        sync.Mutex        // guards everything below
	links     map[int]*fastLink // by index: where programs are, or were to be
	with      map[int]*fastLink // those of links that have a program for XDP
	told      map[int]bool      // the interfaces that the programs redirect to
	toldUp    map[int]bool      // of those that they were told of: whether it was up
	published *forward.Snapshot // the last one that the programs were given
	full      bool              // it was told of that the tables are full
	crowded   string            // what there is no room for, as it was told of
	unsettled bool              // there is news of interfaces
	again     time.Time         // every interface is looked at
	seen      uint64            // frames at the last look
	seenAt    time.Time         // of that

	unpinned string        // why the fast path ends with this process; "": it does not
	heritage *xdp.Heritage // of a gateway that was here before; nil: there is none
	inherits bool          // it is this one's now
	until    time.Time     // heritage is kept
}

// Every which time the fast path is looked after.
const (
	fastEvery = 100 * time.Millisecond // who sends on a veth, and how much

	// publishRest bounds how often the programs get a new view: while one is written
	// news gathers.
	publishRest = 5 * time.Millisecond
)

// newFast makes the tables of the fast path, if there is to be one.
func newFast(g *Gateway, cfg *config.Config) *fast {
	f := &fast{gw: g, links: make(map[int]*fastLink), with: make(map[int]*fastLink), kick: make(chan struct{}, 1)}
	switch {
	case cfg.Datapath.Mode == config.ModeRaw:
		f.why = "[datapath] mode is raw"
		return f
	case g.edges.OpenFast == nil:
		f.why = "there is none here"
		return f
	}
	plane, err := g.edges.OpenFast(fastSizes(cfg), fastUnderlay(cfg))
	if err != nil {
		f.why = cannot(err, "")
		g.log.Warn("no fast path: all frames are carried by the workers, which is slower", "reason", f.why, "mend", "mend the reason, or set [datapath] mode = \"raw\" if the workers are enough")
		return f
	}
	if err := plane.CountLost(); err != nil {
		g.log.Info("frames that a device does not take from the fast path are not counted", "err", err)
	}
	f.plane = plane
	return f
}

// fastSizes is what there is to be room for. VTEPs come by what they send, and a
// reload brings ports and VNIs: there is room for more of each.
func fastSizes(cfg *config.Config) xdp.Sizes {
	const mostStations, mostRoutes = 1 << 18, 1 << 16
	s := xdp.Sizes{
		Ports:    roomFor(len(cfg.Ports), 64, forward.MaxPorts),
		Domains:  roomFor(len(cfg.VNIs), 64, 1<<16),
		VNIs:     roomFor(len(cfg.VNIs), 64, 1<<16),
		VTEPs:    roomFor(len(cfg.Remotes()), 1024, forward.MaxVTEPs),
		VRFs:     roomFor(len(cfg.VRFs), 16, 4096),
		Stations: min(cfg.Datapath.MACLimit, mostStations),
		Routes:   1024,
	}
	for i := range cfg.VNIs {
		if cfg.VNIs[i].VRF != "" {
			s.Routes = mostRoutes
		}
	}
	return s
}

// roomFor is twice what there is, within bounds.
func roomFor(n, least, most int) int { return min(max(2*n, least), most) }

func fastUnderlay(cfg *config.Config) xdp.Underlay {
	u := &cfg.Underlay
	return xdp.Underlay{
		Address: u.Address, Port: u.Port, VLAN: u.VLAN, TTL: u.TTL, DF: u.DF,
		Checksum: u.Checksum, ZeroChecksum6: u.ZeroChecksum6, Strict: u.Strict,
		InheritDSCP: u.DSCP.Inherit, DSCP: u.DSCP.Value,
		SourcePorts: [2]uint16{u.SourcePorts.First, u.SourcePorts.Last}, EntropySeed: vxlan.DefaultSeed,
	}
}

// is reports whether there is a fast path.
func (f *fast) is() bool { return f.plane != nil }

// Learned is as tables.Mirror has it.
func (f *fast) Learned(e fdb.Entry, unsure bool) {
	if !f.ended.Load() {
		f.plane.Learned(e, unsure)
	}
}

// Seen is as tables.Mirror has it.
func (f *fast) Seen(d fdb.Domain, m frame.MAC) {
	if !f.ended.Load() {
		f.plane.Seen(d, m)
	}
}

// Forgotten is as tables.Mirror has it.
func (f *fast) Forgotten(d fdb.Domain, m frame.MAC) {
	if !f.ended.Load() {
		f.plane.Forgotten(d, m)
	}
}

// tap returns how frames with a socket buffer are decided about at an interface; nil
// where there is no fast path.
func (f *fast) tap(r xdp.Role) Tap {
	if !f.is() {
		return nil
	}
	return func(index, room int) (*xdp.Tap, error) {
		t, err := f.plane.Tap(index, r, room)
		if err != nil {
			why := cannot(err, "")
			f.untapped.Store(&why)
		} else {
			f.active.Store(true)
		}
		return t, err
	}
}

// run keeps the programs in line with what the gateway knows until ctx ends.
func (f *fast) run(ctx context.Context) {
	if !f.is() {
		return
	}
	look := time.NewTicker(fastEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.gw.tables.Changed():
			f.news()
		case <-f.kick:
			f.publish()
			if !rest(ctx, publishRest) {
				return
			}
		case <-look.C:
			f.look()
		}
	}
}

// everySecond has the FDB know who was heard by the programs, and frees what has
// rested.
func (f *fast) everySecond(now uint32) {
	if !f.is() {
		return
	}
	t := f.gw.tables.FDB()
	f.plane.EachSeen(now, t.Refresh)
	hosts := f.gw.tables.Hosts()
	f.plane.TendRoutes(func(r *xdp.Route) {
		// What goes by the programs keeps its neighbour in use.
		if mac, ok := hosts.Lookup(r.Domain, r.Via, now); !ok || mac != r.MAC {
			f.plane.Reroute()
		}
	})
	f.plane.Wake()
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.plane.Unplaced(); n > 0 && !f.full {
		f.full = true
		f.gw.log.Warn("the fast path has no room for more MACs: frames to and from the others are carried by the workers, which is slower", "not_there", n, "mend", "raise [datapath] mac_limit")
	}
}

// close ends the fast path, or leaves it to go on by itself: what it knows it carries
// until another gateway takes it over.
func (f *fast) close() {
	if !f.is() {
		return
	}
	f.ended.Store(true)
	f.collect()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeHeritage()
	carries := f.carries()
	stays := carries > 0 && f.unpinned == "" && !f.gw.leavesNothing
	if stays {
		f.plane.Leave()
	}
	for index, l := range f.links {
		if !stays {
			f.detach(index)
		} else if l.at != nil {
			if err := l.at.Leave(); err != nil {
				f.gw.log.Debug("leaving XDP", "interface", l.link.Name, "err", err)
			}
		}
	}
	if !stays {
		if err := f.plane.Unpin(); err != nil {
			f.gw.log.Warn("pins of the fast path stay", "err", err, "mend", "vxgw unload")
		}
	} else {
		f.gw.log.Info("the fast path goes on without this process: it carries what it knows", "interfaces", carries, "mend", "`vxgw unload` ends it, as run --detach-on-exit does at once")
	}
	if err := f.plane.Close(); err != nil {
		f.gw.log.Debug("closing the fast path", "err", err)
	}
}
