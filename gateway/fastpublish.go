package gateway

import (
	"unsafe"

	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
	"vxgw/l2/frame"
)

// targets returns the interfaces that frames can be redirected to. It needs mu.
func (f *fast) targets() map[int]bool {
	t := make(map[int]bool)
	for index, l := range f.links {
		x := l.link.XDP
		can := l.at != nil
		if l.link.Driver == "veth" { // it is its peer that has to be ready
			can = x.Target
		} else if x.Known {
			can = can && x.Target
		}
		if can && !l.link.Shaped && !f.heard(index) && l.link.AdminUp && l.link.Carrier {
			t[index] = true
		}
	}
	return t
}

// heard reports whether somebody captures packets at an interface.
func (f *fast) heard(index int) bool { return f.gw.edges.IsHeard != nil && f.gw.edges.IsHeard(index) }

// publish gives the programs what the gateway knows.
func (f *fast) publish() {
	f.collect() // by the numbers that have been in force until now
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told, f.toldUp = f.targets(), make(map[int]bool)
	s := f.gw.tables.Snapshot()
	v := fastView(s, f.reach)
	for index, l := range f.links {
		v.Links = append(v.Links, xdp.Link{Index: index, MAC: l.mac(), Access: l.role == xdp.Access, Port: uint16(l.port)})
	}
	if !sameRouting(s, f.published) {
		f.plane.Reroute()
	}
	f.published = s
	if what := f.plane.Crowded(v); what != "" && f.crowded == "" {
		f.crowded = what
		f.gw.log.Warn("the fast path has no room for all there is: frames to and from the others are carried by the workers, which is slower",
			"not_there", what, "mend", "start the gateway anew: it makes room for twice what the configuration has")
	}
	f.promiscuous()
	if err := f.plane.Publish(v); err != nil {
		f.gw.trouble.once("publish", "the fast path does not follow all changes", "err", err, "mend", "if it is said again: systemctl restart vxgw, which loses nothing")
	}
}

// promiscuous has ports that programs carry frames of hand on what is for others without
// this process too. It needs mu.
func (f *fast) promiscuous() {
	want := make(map[int]bool)
	for index, l := range f.links {
		if l.role == xdp.Access && f.isCarried(index) {
			want[index] = true
		}
	}
	if err := f.plane.Promiscuous(want, f.heritage != nil); err != nil {
		f.gw.trouble.once("promiscuous", "a port may carry nothing while this process is away", "err", err, "mend", "ip link set DEV promisc on, if the gateway is not allowed to")
	}
}

// reach tells of an interface, and notes whether it was up. It needs mu.
func (f *fast) reach(index int) reach {
	up := f.isUp(index)
	f.toldUp[index] = up
	l := f.linkOf(index)
	if l == nil {
		return reach{index: index, up: up}
	}
	index = l.link.Index
	return reach{index: index, up: up, target: f.told[index], frags: l.link.XDP.TargetFrags, veth: l.link.Driver == "veth"}
}

// isUp reports whether an interface is there and has a carrier.
func (f *fast) isUp(index int) bool {
	l, ok := f.gw.edges.Host.LinkAt(index)
	return ok && l.AdminUp && l.Carrier
}

// isOutdated reports whether an interface that the programs were told of has come up or
// gone since. It needs mu.
func (f *fast) isOutdated() bool {
	for index, was := range f.toldUp {
		if f.isUp(index) != was {
			return true
		}
	}
	return false
}

// linkOf returns the link that an interface is, or that it is a VLAN of; nil where there
// is none. It needs mu.
func (f *fast) linkOf(index int) *fastLink {
	if l := f.links[index]; l != nil {
		return l
	}
	for _, parent := range f.links {
		if parent.vlan.Index == index {
			return parent
		}
	}
	return nil
}

// sameRouting reports whether two snapshots route alike. Slices are replaced when
// something in them changes.
func sameRouting(s, was *forward.Snapshot) bool {
	return was != nil && unsafe.SliceData(s.VRFs) == unsafe.SliceData(was.VRFs) && unsafe.SliceData(s.Domains) == unsafe.SliceData(was.Domains)
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
