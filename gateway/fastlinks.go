package gateway

import (
	"maps"
	"time"

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
	vlan path.Link      // the sub-interface of link that the underlay is; none without a VLAN
}

// mac is the address that frames for the gateway come to.
func (w *fastWant) mac() frame.MAC {
	if w.vlan.Index != 0 {
		return w.vlan.MAC
	}
	return w.link.MAC
}

// fastLink is an interface that the fast path may decide about, and what came of it.
type fastLink struct {
	fastWant
	at      *xdp.Attachment // nil: no program is there
	frags   bool
	why     string // no program is there, in words; "" where one is
	refused string // why one could not be put there when it was tried; "": it could
	trial   trial
}

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
			f.news()
		}
	}
	for index, w := range is {
		l, known := f.links[index]
		if !known {
			l = &fastLink{why: littleComes}
			f.links[index] = l
			f.news()
		}
		l.fastWant = w
	}
	var facing []int
	for index, w := range is {
		if w.role == xdp.FacesUnderlay {
			facing = append(facing, index)
		}
	}
	f.facing.Store(&facing)
	f.unsettled = true
	if targets := f.targets(); !maps.Equal(targets, f.told) || f.isOutdated() {
		f.told = targets
		f.news()
	}
}

// underlays returns the interfaces that face the underlay, by index.
func (f *fast) underlays() []int {
	if p := f.facing.Load(); p != nil {
		return *p
	}
	return nil
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
	busy := f.isBusy(now)
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
		if f.settle(index, l, busy, now) {
			changes++
		}
	}
	f.tendHeritage(now)
	if changes > 0 {
		f.active.Store(len(f.with) > 0 || f.plane.AnyTapped())
		f.news()
		xdp.Forget()
	}
}

// settle puts a program at an interface or takes it away, and reports whether it did.
func (f *fast) settle(index int, l *fastLink, busy bool, now time.Time) bool {
	v, frags, why := fit(l.link)
	if why == "" && f.adapts(l) && !f.heritage.Has(index, l.role) {
		why = f.tried(l, busy, now)
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

// isCarried reports whether there is a program at an interface, for XDP or at TCX. It
// needs mu.
func (f *fast) isCarried(index int) bool { return f.with[index] != nil || f.plane.Tapped(index) }

// carries returns at how many interfaces there are programs. It needs mu.
func (f *fast) carries() (n int) {
	for index := range f.links {
		if f.isCarried(index) {
			n++
		}
	}
	return n
}

// fastWants lists the interfaces that the fast path would decide about. It needs
// Gateway.mu.
func (g *Gateway) fastWants() (wants []fastWant) {
	for _, p := range g.ports {
		if p.dev != nil && p.link.AdminUp {
			wants = append(wants, fastWant{link: p.link, role: xdp.Access, port: p.id})
		}
	}
	for _, index := range g.up.past {
		if w, ok := g.underlayWant(index); ok {
			wants = append(wants, w)
		}
	}
	return wants
}

// underlayWant is an interface that packets of VTEPs go by. Of the VLAN of [underlay]
// vlan it is the parent, where tags are in the bytes; of another VLAN nothing is known.
func (g *Gateway) underlayWant(index int) (w fastWant, ok bool) {
	l, ok := g.edges.Host.LinkAt(index)
	w = fastWant{link: l, role: xdp.FacesUnderlay, port: forward.NoPortID}
	if !ok || l.VLAN.ID == 0 {
		return w, ok
	}
	if vlan := g.config().Underlay.VLAN; vlan == 0 || vlan != l.VLAN.ID {
		return w, false
	}
	w.vlan = l
	w.link, ok = g.edges.Host.LinkAt(l.VLAN.Parent)
	return w, ok
}
