package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
	"vxgw/l2/frame"
	"vxgw/l3/underlay/path"
)

// fastWant is an interface that the fast path would decide about.
type fastWant struct {
	link path.Link
	role xdp.Role
	port forward.PortID // of role Access
}

// fastLink is an interface that the fast path may decide about, and what came of it.
type fastLink struct {
	fastWant
	at      *xdp.Attachment // nil: no program is there
	variant xdp.Variant
	frags   bool
	why     string // no program is there, in words; "" where one is
	trial   trial
}

// trial is what is known of who sends on a veth.
type trial struct {
	last      xdp.Load  // at the last look
	notBefore time.Time // a program is tried again
	pause     time.Duration
}

const (
	// Programs are put at veths when so many frames came in fastEvery by all
	// interfaces, which is 20,000 a second, where someFrames of them did. One is taken
	// away when manyLocal of a local sender's came.
	manyFrames = 2000
	someFrames = 200
	manyLocal  = 500

	// atOnce bounds how many programs are loaded in one look: each takes some 20 ms.
	atOnce = 16

	// pauseAtFirst doubles until it is mostPause.
	pauseAtFirst = 10 * time.Second
	mostPause    = 10 * time.Minute
)

// want tells of the interfaces that there are. What is gone, or is another one now, is
// let go of.
func (f *fast) want(wants []fastWant) {
	if !f.is() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	is := make(map[int]fastWant, len(wants))
	for _, w := range wants {
		is[w.link.Index] = w
	}
	for index, l := range f.links {
		if w, still := is[index]; !still || w.role != l.role || w.port != l.port {
			f.detach(index)
			delete(f.links, index)
		}
	}
	for index, w := range is {
		l, known := f.links[index]
		if !known {
			l = &fastLink{why: littleComes}
			f.links[index] = l
		}
		l.fastWant = w
	}
	f.unsettled = true
	if targets := f.targets(); !maps.Equal(targets, f.told) {
		f.told = targets
		f.news()
	}
}

// news has the programs get a new view soon.
func (f *fast) news() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// look puts programs where they can be and pay, and takes them away where not. It
// looks at every interface only when there is something new, or much comes in.
func (f *fast) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	busy := f.isBusy()
	if !busy && !f.unsettled && now.Before(f.again) {
		return
	}
	if f.unsettled || !now.Before(f.again) {
		f.again = now.Add(pauseAtFirst)
	}
	f.unsettled = f.heritage != nil
	changes := 0
	for index, l := range f.links {
		if changes == atOnce {
			f.unsettled = true
			break
		}
		if f.settle(index, l, now) {
			changes++
		}
	}
	f.tendHeritage(now)
	if changes > 0 {
		f.active.Store(f.attached() > 0)
		f.news()
		xdp.Forget()
	}
}

// isBusy reports whether much has come in since the last look, by any interface.
func (f *fast) isBusy() bool {
	n := f.plane.Load(0).Buffers + f.read.Load()
	for _, l := range f.links {
		if l.at == nil || !f.adapts(l) {
			continue
		}
		n += f.plane.Load(l.link.Index).XDP
	}
	was := f.seen
	f.seen = n
	return n-was >= manyFrames
}

// settle puts a program at an interface or takes it away, and reports whether it did.
func (f *fast) settle(index int, l *fastLink, now time.Time) bool {
	v, frags, why := fit(l.link)
	if why == "" && f.adapts(l) && !f.heritage.Has(index, l.role) {
		why = f.tried(l, now)
	}
	switch {
	case why == "" && l.at == nil && now.After(l.trial.notBefore):
		return f.attach(l, v, frags, now)
	case why != "" && l.at != nil:
		f.detach(index)
		l.why = why
		return true
	case why != "":
		l.why = why
	}
	return false
}

// attached returns how many programs there are. It needs mu.
func (f *fast) attached() (n int) {
	for _, l := range f.links {
		if l.at != nil {
			n++
		}
	}
	return n
}

// adapts reports whether a program is only at an interface while it pays.
func (f *fast) adapts(l *fastLink) bool {
	return l.link.Driver == "veth" && f.gw.config().Datapath.Mode == config.ModeAuto
}

// fit says how a program can be at an interface, and why it cannot.
func fit(l path.Link) (v xdp.Variant, frags bool, why string) {
	x := l.XDP
	switch {
	case x.Known && !(x.Basic && x.Redirect):
		return 0, false, fmt.Sprintf("the driver (%s) has no XDP", l.Driver)
	case l.Shaped:
		return 0, false, "it has a queueing discipline, which XDP would go past"
	case l.Driver == "tun":
		return 0, false, "what a virtual machine leaves undone in a frame, XDP does not see"
	case l.Driver == "veth" && !x.RxTimestampHints:
		return 0, false, "what a sender on this machine leaves undone in a frame, XDP does not see before Linux 6.7"
	case l.Driver == "veth":
		return xdp.Veth, x.Frags, ""
	case l.StripsVLAN && !x.RxVLANHints:
		return 0, false, fmt.Sprintf("the device takes VLAN tags out, and XDP would not see them: ethtool -K %s rxvlan off", l.Name)
	case l.StripsVLAN:
		return xdp.Tags, x.Frags, ""
	}
	return xdp.Plain, x.Frags, ""
}

// Why there is no program at a veth for now.
const (
	localSenders = "senders on this machine use it, who leave checksums and segments undone"
	littleComes  = "little comes in that XDP would be faster for"
)

// tried says why there is to be no program at a veth for now. What comes from a sender
// on this machine must go up: to have it go through XDP first costs, and while there is
// a program at a veth its peer cuts super-frames itself, which costs TCP most of its
// speed. So the sender decides.
func (f *fast) tried(l *fastLink, now time.Time) string {
	is, t := f.plane.Load(l.link.Index), &l.trial
	was := t.last
	t.last = is
	if l.at == nil {
		frames, undone := is.Buffers-was.Buffers, is.Undone-was.Undone
		switch {
		case now.Before(t.notBefore), undone*8 > frames:
			return localSenders
		case frames < someFrames:
			return littleComes
		}
		return ""
	}
	if local := is.Local - was.Local; local < manyLocal || local*2 < is.XDP-was.XDP {
		return ""
	}
	t.pause = min(max(2*t.pause, pauseAtFirst), mostPause)
	t.notBefore = now.Add(t.pause)
	return localSenders
}

// attach puts a program at an interface, and reports whether it is there.
func (f *fast) attach(l *fastLink, v xdp.Variant, frags bool, now time.Time) bool {
	at, err := f.place(l, v, frags)
	if err != nil {
		l.why = cannot(err, l.link.Name)
		l.trial.notBefore = now.Add(pauseAtFirst)
		f.gw.trouble.once("xdp "+l.link.Name, "no XDP at an interface: its frames are carried by the workers, which is slower", "interface", l.link.Name, "reason", l.why)
		return false
	}
	l.at, l.variant, l.frags, l.why = at, v, frags, ""
	l.trial.last = f.plane.Load(l.link.Index)
	f.gw.log.Debug("XDP attached", "interface", l.link.Name)
	f.adviseRSS(l)
	return true
}

// notPermitted is why there is no fast path where the kernel refuses programs: for want
// of a capability, or because it is locked down.
const notPermitted = "the kernel does not permit it: that takes CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and a kernel that is not locked down"

// cannot says why a program could not be put at an interface.
func cannot(err error, name string) string {
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return fmt.Sprintf("another XDP program is there and stays: `ip link show %s` names it", name)
	case errors.Is(err, fs.ErrPermission):
		return notPermitted
	case xdp.IsTooOld(err):
		return fmt.Sprintf("this kernel is too old: %v", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Sprintf("the driver does not take it as the interface is (MTU, channels or offloads): %v", err)
	}
	return err.Error()
}

// adviseRSS says how packets of VTEPs are spread over the receive queues of a network
// card, and so over CPUs: the addresses of two VTEPs are always the same.
func (f *fast) adviseRSS(l *fastLink) {
	if l.role != xdp.FacesUnderlay || l.link.Kind != "" || runtime.NumCPU() < 2 {
		return
	}
	f.gw.log.Info("XDP runs on the CPU that a packet's receive queue belongs to: see that the card hashes UDP ports, in which VXLAN has its flows",
		"interface", l.link.Name, "shown_by", "ethtool -n "+l.link.Name+" rx-flow-hash udp4", "mend", "ethtool -N "+l.link.Name+" rx-flow-hash udp4 sdfn")
}

// place puts a program at an interface: in the place of a former gateway's where there
// is one.
func (f *fast) place(l *fastLink, v xdp.Variant, frags bool) (*xdp.Attachment, error) {
	index := l.link.Index
	if f.heritage.Has(index, l.role) {
		at, _, err := f.plane.Inherit(f.heritage, index, l.role, v, frags)
		return at, err
	}
	return f.plane.Attach(index, l.role, v, frags)
}

// detach takes the program away from an interface. It needs mu.
func (f *fast) detach(index int) {
	l := f.links[index]
	if l == nil || l.at == nil {
		return
	}
	if err := l.at.Close(); err != nil {
		f.gw.log.Debug("taking XDP away", "interface", l.link.Name, "err", err)
	}
	l.at = nil
	l.trial.last = f.plane.Load(l.link.Index)
	f.gw.log.Debug("XDP taken away", "interface", l.link.Name)
}

// targets returns the interfaces that frames can be redirected to. It needs mu.
func (f *fast) targets() map[int]bool {
	t := make(map[int]bool)
	for index, l := range f.links {
		x := l.link.XDP
		heard := f.gw.edges.IsHeard != nil && f.gw.edges.IsHeard(index)
		can := l.at != nil
		if l.link.Driver == "veth" { // it is its peer that has to be ready
			can = x.Target
		} else if x.Known {
			can = can && x.Target
		}
		if can && !l.link.Shaped && !heard && l.link.AdminUp && l.link.Carrier {
			t[index] = true
		}
	}
	return t
}

// publish gives the programs what the gateway knows.
func (f *fast) publish() {
	f.collect() // by the numbers that have been in force until now
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = f.targets()
	s := f.gw.tables.Snapshot()
	v := fastView(s, f.reach)
	for index, l := range f.links {
		v.Links = append(v.Links, xdp.Link{Index: index, MAC: l.link.MAC, Access: l.role == xdp.Access, Port: uint16(l.port)})
	}
	if !sameRouting(s, f.published) {
		f.plane.Reroute()
	}
	f.published = s
	if err := f.plane.Publish(v); err != nil {
		f.gw.trouble.once("publish", "the fast path does not follow all changes", "err", err)
	}
}

// reach tells of an interface. It needs mu.
func (f *fast) reach(index int) reach {
	l := f.links[index]
	if l == nil {
		return reach{}
	}
	return reach{target: f.told[index], frags: l.link.XDP.TargetFrags, veth: l.link.Driver == "veth"}
}

// sameRouting reports whether two snapshots route alike. Slices are replaced when
// something in them changes.
func sameRouting(s, was *forward.Snapshot) bool {
	return was != nil && unsafe.SliceData(s.VRFs) == unsafe.SliceData(was.VRFs) && unsafe.SliceData(s.Domains) == unsafe.SliceData(was.Domains)
}

// fastWants lists the interfaces that the fast path would decide about. It needs
// Gateway.mu.
func (g *Gateway) fastWants() (wants []fastWant) {
	for _, p := range g.ports {
		if p.dev != nil && p.link.AdminUp {
			wants = append(wants, fastWant{p.link, xdp.Access, p.id})
		}
	}
	for _, index := range g.up.past {
		l, ok := g.edges.Host.LinkAt(index)
		if u := g.config().Underlay; ok && u.VLAN != 0 {
			// Tags stand in what the parent gets.
			l, ok = g.edges.Host.LinkAt(l.VLAN.Parent)
		} else if l.VLAN.ID != 0 {
			ok = false
		}
		if ok {
			wants = append(wants, fastWant{l, xdp.FacesUnderlay, forward.NoPortID})
		}
	}
	return wants
}

// describe says of an interface what the fast path does there, and in which mode that
// is: "raw" where it does nothing.
func (f *fast) describe(index int) (mode, how string) {
	if !f.is() {
		if f.gw.config().Datapath.Mode == config.ModeRaw {
			return "raw", ""
		}
		return "raw", "no fast path: " + f.why
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.links[index]
	mode, how = "raw", ""
	if f.plane.Tapped(index) {
		mode, how = "tcx", "what is certain is sent on at TCX"
	} else {
		how = "nothing is sent on at TCX"
		if why := f.untapped.Load(); why != nil {
			how += ": " + *why
		}
	}
	switch {
	case l == nil:
		return mode, how
	case l.at == nil:
		return mode, how + "; no XDP: " + l.why
	}
	how = "XDP in the driver"
	if l.frags {
		how += ", jumbo frames too"
	}
	if !f.told[index] {
		how += "; frames cannot be redirected to it, and leave in other ways"
		if l.link.Driver == "veth" {
			how += ": its peer needs GRO (ethtool -K PEER gro on)"
		}
	}
	return "xdp", how
}

// describeFast says how the frames of an interface are moved, of which the workers'
// part is said already.
func (g *Gateway) describeFast(index int, workers string) (mode, how string) {
	mode, how = g.fast.describe(index)
	switch {
	case how == "":
		return mode, workers
	case mode == "raw":
		return mode, workers + "; " + how
	}
	return mode, how + ". All else: " + workers
}

// describeUplinkFast is describeFast for the underlay. It needs Gateway.mu.
func (g *Gateway) describeUplinkFast(workers string) (mode, how string) {
	for _, w := range g.fastWants() {
		if w.role == xdp.FacesUnderlay {
			return g.describeFast(w.link.Index, workers)
		}
	}
	return g.describeFast(0, workers)
}

// generation is the moment of the programs' decisions that a batch began at.
type generation struct {
	on  bool // there are programs
	gen uint32
}

// generation is to be asked for before the snapshot.
func (f *fast) generation() generation {
	if !f.active.Load() {
		return generation{}
	}
	return generation{true, f.plane.Generation()}
}

// routed has the programs send packets where this one was sent, unless its flow has a
// part in where that is.
func (f *fast) routed(packet frame.Frame, to *forward.Routed, g generation) {
	if to.Route == nil || len(to.Route.Hops) != 1 {
		return
	}
	dst, _ := destination(packet)
	f.plane.Routed(&xdp.Route{VRF: uint16(to.VRF), Addr: dst, Domain: to.Domain, Via: to.Neighbour, MAC: to.MAC}, g.gen)
}
