package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/gateway/forward"
	"vxgw/gateway/tables"
	"vxgw/l2/frame"
)

// pathWork says which paths are to be asked for.
type pathWork int32

const (
	noPaths    pathWork = iota
	freshPaths          // those that were not asked for yet, or that a router narrowed
	allPaths
)

// paths is the task that asks the host how much the path to each VTEP carries.
// It has a goroutine of its own: with thousands of VTEPs it takes a while, and
// a link that went down must not wait for it.
type paths struct {
	want   atomic.Int32
	kick   chan struct{}
	narrow map[narrow]string // what was warned of; the task's own

	mu    sync.Mutex // guards inUse
	inUse neighbours // that packets go to past the host's stack, or would
}

func newPaths() paths { return paths{kick: make(chan struct{}, 1)} }

// ask makes the task look again soon. It never waits.
func (p *paths) ask(w pathWork) {
	for {
		was := p.want.Load()
		if was >= int32(w) || p.want.CompareAndSwap(was, int32(w)) {
			break
		}
	}
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// followPaths is the task. It runs until ctx ends.
func (g *Gateway) followPaths(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.paths.kick:
			took := worked(func() { g.refreshPaths(pathWork(g.paths.want.Swap(int32(noPaths)))) })
			if !rest(ctx, min(restPaths*took, mostRestPaths)) {
				return
			}
		}
	}
}

// restPaths is how many times longer than it has worked the task then rests. A
// port that flaps has every path asked for, ten times a second; with thousands of
// VTEPs that is a core's work. Work is what keeps a processor busy: to wait for the
// kernel, which may be a while where others change its interfaces, is none.
const restPaths = 9

// mostRestPaths bounds that. A next hop that has died is known as such by the path only.
const mostRestPaths = 2 * time.Second

// worked returns how long f keeps a processor busy, in the kernel too.
func worked(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun, busy := time.Now(), threadTime()
	f()
	return min(threadTime()-busy, time.Since(begun)) // in testing/synctest no time goes by
}

func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // never refused
	return time.Duration(t.Nano())
}

// rest waits, and reports false when ctx ends first.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// overhead is what encapsulation adds to an inner frame, seen from the
// underlay's MTU: outer IP, UDP and VXLAN headers.
func overhead(a netip.Addr) int {
	const udp = 8
	if a.Is4() {
		return 20 + udp + vxlanHeader
	}
	return 40 + udp + vxlanHeader
}

// refreshPaths asks for the path to each VTEP and tells forwarding how much
// each carries.
func (g *Gateway) refreshPaths(w pathWork) {
	s := g.tables.Snapshot()
	found := make(map[forward.VTEPID]tables.Path)
	inUse := make(neighbours)
	reached := make(map[netip.Addr]bool)
	var lost []netip.Addr
	var why error
	for i := range s.VTEPs {
		v := &s.VTEPs[i]
		reached[v.Addr] = true
		if !v.Addr.IsValid() || w == freshPaths && v.MaxFrame != 0 && !g.isNarrowed(v) {
			continue
		}
		var is tables.Path
		if v.IsGroup() {
			is.MaxFrame = g.groupFits(v.Addr)
		} else if p, err := g.edges.Host.Path(v.Addr, g.config().Underlay.Address); err != nil {
			lost, why = append(lost, v.Addr), err
			delete(reached, v.Addr)
		} else {
			is.MaxFrame = longestFrame(v.Addr, g.pathMTUs.follow(v.Addr, p.MTU))
			is.Via, is.More = g.hopsFor(s, v.Addr, p, inUse)
		}
		if is.MaxFrame != v.MaxFrame || !sameHop(is.Via, v.Via) || !slices.EqualFunc(is.More, v.More, sameHop) {
			found[forward.VTEPID(i)] = is
		}
	}
	if g.up.open.Load() {
		g.tellLost(lost, why)
	}
	g.pathMTUs.keep(reached)
	if len(found) > 0 {
		g.tables.SetPaths(found)
	}
	g.useHops(w, inUse)
	g.warnNarrow()
}

// longestFrame returns the longest inner frame, in bytes, for a path to a that carries
// IP packets of mtu bytes; 0 when that is not known.
func longestFrame(a netip.Addr, mtu int) int {
	if mtu <= 0 {
		return 0
	}
	return max(mtu-overhead(a), frame.HeaderLen)
}

// tellLost names VTEPs that there is no path to, once for as long as they stay
// the same.
func (g *Gateway) tellLost(lost []netip.Addr, why error) {
	is := ""
	if len(lost) > 0 {
		is = fmt.Sprint(lost)
	}
	if is == g.lost {
		return
	}
	g.lost = is
	if len(lost) == 0 {
		g.log.Info("there is a path to every VTEP again")
		return
	}
	g.log.Warn("there is no path to a VTEP", "vtep", lost[len(lost)-1], "vteps_without_path", len(lost), "err", why, "mend", "`ip route get` of the VTEP says why; give the underlay a route")
}

// warnNarrow says where a path carries less than the access ports of a VNI may
// send: the MTU black hole, named before anybody falls into it. Each is named
// once for as long as nothing about it changes.
func (g *Gateway) warnNarrow() {
	is := narrowPaths(g.tables.Snapshot())
	var news []narrow
	for n := range is {
		if _, told := g.paths.narrow[n]; !told {
			news = append(news, n)
		}
	}
	slices.SortFunc(news, func(a, b narrow) int { return a.vtep.Compare(b.vtep) })
	for _, n := range news[:min(len(news), maxNarrow)] {
		n.warn(g, is[n])
	}
	if more := len(news) - maxNarrow; more > 0 {
		g.log.Warn("more paths to VTEPs carry less than access ports may send", "paths", more, "mend", "`vxgw show vteps` has what each carries")
	}
	g.paths.narrow = is
}

// maxNarrow is how many narrow paths are named one by one: an underlay that was
// left at 1500 bytes makes every path narrow.
const maxNarrow = 8

// narrow is a path that carries less than a port may send.
type narrow struct {
	vtep    netip.Addr
	carries int // bytes of inner IP packet
	mtu     int // of the port
}

// narrowPaths returns the paths that are narrow, and a port for each.
func narrowPaths(s *forward.Snapshot) map[narrow]string {
	is := make(map[narrow]string)
	for i := range s.Domains {
		d := &s.Domains[i]
		widest := widestPort(s, d)
		if widest == nil {
			continue
		}
		for _, to := range d.Flood {
			v := &s.VTEPs[to]
			if inner := v.MaxFrame - frame.HeaderLen; v.MaxFrame > 0 && inner < widest.MTU {
				is[narrow{v.Addr, inner, widest.MTU}] = widest.Name
			}
		}
	}
	return is
}

func (n narrow) warn(g *Gateway, port string) {
	need := n.mtu + frame.HeaderLen + overhead(n.vtep)
	g.log.Warn("the path to a VTEP carries less than an access port may send: longer frames are dropped as too_big",
		"vtep", n.vtep, "carries", n.carries, "port", port, "port_mtu", n.mtu, "mend", fmt.Sprintf("raise the underlay MTU to %d, or lower the hosts' to %d; clamp_mss = true in the [[vni]] does so for TCP", need, n.carries))
}

func widestPort(s *forward.Snapshot, d *forward.Domain) *forward.Port {
	var widest *forward.Port
	for _, id := range d.Ports {
		if p := &s.Ports[id]; p.Dev != nil && (widest == nil || p.MTU > widest.MTU) {
			widest = p
		}
	}
	return widest
}
