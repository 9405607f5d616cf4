package gateway

import (
	"errors"
	"fmt"
	"time"

	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
	"vxgw/l2/fdb"
)

// keepHeritage is how long the programs of a former gateway stay at interfaces that
// this one has not come to yet.
const keepHeritage = 5 * time.Second

// errNoPins is why a gateway in memory leaves nothing.
var errNoPins = errors.New("nothing can be pinned here")

// LeaveNothing has the programs of the fast path taken away when the gateway ends.
// Otherwise they go on. Call it before Run.
func (g *Gateway) LeaveNothing() { g.leavesNothing = true }

// pinDir returns where this gateway's pins are.
func (g *Gateway) pinDir() (string, error) {
	if g.edges.PinDir == nil {
		return "", errNoPins
	}
	u := &g.config().Underlay
	return g.edges.PinDir(fmt.Sprintf("%s-%d", u.Address, u.Port))
}

// find looks for a former gateway's fast path, before the first socket is open: what
// its programs send on at TCX none may have too. Where there is to be none any more, it
// is taken away.
func (f *fast) find() {
	dir, err := f.gw.pinDir()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		if f.unpinned = err.Error(); f.is() && f.gw.edges.PinDir != nil {
			f.gw.log.Info("the fast path will end with this process", "reason", err)
		}
		return
	}
	if !f.is() {
		if err := xdp.Remove(dir); err != nil {
			f.gw.log.Warn("what a former gateway left stays", "err", err, "mend", "vxgw unload")
		}
		return
	}
	f.heritage, err = xdp.OpenHeritage(dir, f.gw.config().Underlay.Address.Is6())
	if err != nil {
		f.gw.log.Warn("what a former gateway left is not taken over", "err", err, "mend", "vxgw unload")
	}
	if f.heritage.HasTaps() {
		f.plane.SetBehind(xdp.CarriesOn)
	}
}

// inherit learns what a former gateway had learned, if its fast path is still there.
func (f *fast) inherit() {
	f.mu.Lock()
	h := f.heritage
	f.until, f.inherits = time.Now().Add(keepHeritage), true
	f.mu.Unlock()
	if h == nil {
		return
	}
	if h.Strange {
		f.gw.log.Warn("the tables of a former gateway are of another version: its MACs are learned anew",
			"mend", "nothing to do: frames for them are flooded until they are heard")
	}
	n := f.learnLeft(h)
	f.gw.log.Info("a former gateway's fast path goes on, and is taken over", "interfaces", h.Interfaces(), "macs", n)
}

// learnLeft learns the MACs of a former gateway, where they may still be, and returns
// how many these are.
func (f *fast) learnLeft(h *xdp.Heritage) (n int) {
	t, now := f.gw.tables, f.gw.edges.Clock()
	ports := make(map[int]forward.PortID)
	for i, p := range t.Snapshot().Ports {
		if p.Up && p.Index != 0 {
			ports[p.Index] = forward.PortID(i)
		}
	}
	err := h.Stations(func(is xdp.Left) {
		d, hop, ok := f.whereLeft(is, ports)
		if !ok {
			return
		}
		switch t.FDB().Learn(d, is.MAC, hop, now-is.Age) {
		case fdb.Added, fdb.Moved, fdb.Known:
			n++
		}
	})
	if err != nil {
		f.gw.log.Warn("not all MACs of a former gateway are known", "err", err, "mend", "nothing to do: frames for the others are flooded until they are heard")
	}
	return n
}

// whereLeft returns where a station of a former gateway is by this one's numbers.
func (f *fast) whereLeft(is xdp.Left, ports map[int]forward.PortID) (d fdb.Domain, hop fdb.Hop, ok bool) {
	s := f.gw.tables.Snapshot()
	d, ok = s.VNIs[is.VNI]
	if !ok {
		return d, 0, false
	}
	if is.Port != 0 {
		p, ok := ports[is.Port]
		return d, forward.PortHop(p), ok && s.Ports[p].Domain == d
	}
	if !s.Domains[d].Learning {
		return d, 0, false
	}
	if _, why := s.ClassifyVNI(is.VTEP, is.VNI); why != forward.None {
		return d, 0, false
	}
	v, known := f.gw.tables.VTEP(is.VTEP)
	if !known {
		v = f.gw.tables.Learn(is.VTEP)
	}
	return d, forward.VTEPHop(v), v != forward.NoVTEPID
}

// begin puts programs to work, in the place of a former gateway's first of all.
func (f *fast) begin() {
	if !f.is() {
		return
	}
	if dir, err := f.gw.pinDir(); err == nil {
		if err := f.plane.Pin(dir); err != nil {
			f.mu.Lock()
			f.unpinned = err.Error()
			f.mu.Unlock()
			f.gw.log.Warn("the fast path will end with this process", "err", err, "mend", "let this user write to a BPF file system, as the systemd unit does at /run/vxgw-bpf")
		}
	}
	f.publish()
	f.look()
	f.publish()
	f.mu.Lock()
	f.endTaps()
	f.mu.Unlock()
	xdp.Forget() // of what ports have loaded
}

// endTaps takes away what a former gateway has at TCX: this one's programs know by now
// what they can know, and its workers do the rest from here on. It needs mu.
func (f *fast) endTaps() {
	if !f.heritage.HasTaps() {
		return
	}
	f.plane.SetBehind(xdp.IsPast)
	if err := f.heritage.CloseTaps(); err != nil {
		f.gw.log.Warn("what a former gateway left stays", "err", err, "mend", "vxgw unload")
	}
	f.plane.SetBehind(xdp.IsNone)
}

// tendHeritage lets go of what a former gateway left when all of it was taken over, or
// it has waited long enough. It needs mu.
func (f *fast) tendHeritage(now time.Time) {
	if f.heritage != nil && (f.heritage.Left() == 0 || now.After(f.until)) {
		f.closeHeritage()
	}
}

// closeHeritage ends what a former gateway left, or leaves it as it is while it was not
// taken over. It needs mu.
func (f *fast) closeHeritage() {
	if f.heritage == nil {
		return
	}
	end := f.heritage.Forget
	if f.inherits {
		f.endTaps()
		end = f.heritage.Close
	}
	if err := end(); err != nil {
		f.gw.log.Warn("what a former gateway left stays", "err", err, "mend", "vxgw unload")
	}
	f.heritage = nil
}
