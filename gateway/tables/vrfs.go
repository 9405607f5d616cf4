package tables

import (
	"iter"
	"net/netip"

	"vxgw/config"
	"vxgw/gateway/counters"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l3/nud"
	"vxgw/l3/vrf"
)

// maxVRFs is as many VRFs as one gateway has.
const maxVRFs = 4096

// errorsPerSecond bounds the ICMP errors that are sent into one domain (RFC 1812
// section 4.3.2.8, RFC 4443 section 2.4(f)). Each has its own share.
const errorsPerSecond = 100

// jobsPerSecond bounds what frames of one domain have the router task do: DHCP of some
// hundred clients at once is plausible, and more is a storm.
const jobsPerSecond = 256

// Hosts returns who has which IP address in the domains that are routed.
func (t *Tables) Hosts() *nud.Table { return t.hosts }

// numberVRFs gives the VRFs their numbers, which the VNIs name.
func (a *applier) numberVRFs() {
	for i := range a.cfg.VRFs {
		a.vrfs.get(a.cfg.VRFs[i].Name)
	}
	for i := range a.cfg.VNIs {
		a.anyRouted = a.anyRouted || routed(&a.cfg.VNIs[i])
	}
}

// applyVRFs makes the routing tables of a configuration. A table is built aside and
// put in place whole: who looks up in the old one is not disturbed.
func (a *applier) applyVRFs() {
	old := a.s.VRFs
	a.s.VRFs = clone(old)
	keep := make(map[string]bool, len(a.cfg.VRFs))
	members, said := make(map[string][]*config.VNI), a.saidRoutes()
	for i := range a.cfg.VNIs {
		if v := &a.cfg.VNIs[i]; routed(v) {
			members[v.VRF] = append(members[v.VRF], v)
		}
	}
	for i := range a.cfg.VRFs {
		v := &a.cfg.VRFs[i]
		keep[v.Name] = true
		id, _ := a.vrfs.find(v.Name)
		for id >= len(a.s.VRFs) {
			a.s.VRFs = append(a.s.VRFs, forward.VRF{})
		}
		was := a.s.VRFs[id]
		if was.Name == "" { // another's, before
			was = forward.VRF{}
		}
		a.s.VRFs[id] = a.vrf(v, members[v.Name], said[v.Name], was)
	}
	for name, id := range a.vrfs.ids {
		if !keep[name] {
			// Empty, because a worker may still route by it for a moment.
			a.s.VRFs[id] = forward.VRF{Table: vrf.Build(noRoutes), Own: forward.NewOwnAddrs(nil), Traffic: a.s.VRFs[id].Traffic}
			a.vrfs.drop(name)
		}
	}
}

func routed(v *config.VNI) bool { return v.VRF != "" && len(v.Gateway) > 0 }

func noRoutes(func(vrf.Route) bool) {}

func (a *applier) vrf(cfg *config.VRF, members []*config.VNI, said []vrf.Route, was forward.VRF) forward.VRF {
	var own []netip.Addr
	for _, v := range members {
		for _, p := range v.Gateway {
			own = append(own, p.Addr())
		}
	}
	is := forward.VRF{Name: cfg.Name, Own: forward.NewOwnAddrs(own), Table: vrf.Build(a.routes(cfg, members, said)), Traffic: was.Traffic}
	is.Large = is.Table.Len() > largeTable
	if is.Traffic == nil {
		is.Traffic = new(counters.Traffic)
	}
	return is
}

// largeTable is how many routes a table has whose look-ups are not in a core's caches.
const largeTable = 4096

// routes yields the routes of a VRF: what its gateways connect, the gateways
// themselves, and what the configuration and controllers add.
func (a *applier) routes(cfg *config.VRF, members []*config.VNI, said []vrf.Route) iter.Seq[vrf.Route] {
	return func(yield func(vrf.Route) bool) {
		for _, v := range members {
			d := a.s.VNIs[v.ID]
			for _, p := range v.Gateway {
				self := []vrf.NextHop{{Domain: d}}
				host := netip.PrefixFrom(p.Addr(), p.Addr().BitLen())
				if p != host && !yield(vrf.Route{Prefix: p.Masked(), Kind: vrf.Connected, Origin: vrf.OriginConnected, Hops: self}) {
					return
				}
				if !yield(vrf.Route{Prefix: host, Kind: vrf.Local, Origin: vrf.OriginLocal, Hops: self}) {
					return
				}
			}
		}
		for i := range cfg.Routes {
			if !yield(a.staticRoute(&cfg.Routes[i])) {
				return
			}
		}
		for _, r := range said {
			if !yield(r) {
				return
			}
		}
	}
}

// staticRoute turns a route of the configuration into one of the table.
func (a *applier) staticRoute(r *config.Route) vrf.Route {
	is := vrf.Route{Prefix: r.Prefix, Kind: vrf.Via, Origin: vrf.OriginStatic}
	switch {
	case r.Blackhole:
		is.Kind = vrf.Blackhole
	case r.Unreachable:
		is.Kind = vrf.Unreachable
	}
	for _, h := range r.Hops {
		is.Hops = append(is.Hops, vrf.NextHop{Domain: a.s.VNIs[h.VNI], Via: h.Via})
	}
	return is
}

// irb makes the routed side of a domain; nil where it has none.
func (a *applier) irb(v *config.VNI, was *forward.IRB) *forward.IRB {
	if !routed(v) {
		return nil
	}
	id, _ := a.vrfs.find(v.VRF)
	is := &forward.IRB{VRF: forward.VRFID(id), Addrs: clone(v.Gateway), Servers: v.DHCPServers, Advertise: v.RA}
	for _, p := range v.Gateway {
		switch {
		case p.Addr().Is4() && !is.From4.IsValid():
			is.From4 = p.Addr()
		case p.Addr().Is6() && !is.From6.IsValid():
			is.From6 = p.Addr()
		}
	}
	if is.From6.IsValid() {
		is.Link = neigh.LinkLocal(v.GatewayMAC)
		is.Addrs = append(is.Addrs, netip.PrefixFrom(is.Link, 64))
	}
	for _, s := range v.DHCPServers {
		is.Relay4, is.Relay6 = is.Relay4 || s.Is4(), is.Relay6 || s.Is6()
	}
	if was != nil {
		is.Errors, is.Jobs = was.Errors, was.Jobs
	} else {
		is.Errors, is.Jobs = counters.NewLimit(errorsPerSecond), counters.NewLimit(jobsPerSecond)
	}
	return is
}

// gatewayMAC is what the gateway's MAC is in a VNI. One that does not route has it
// too as soon as another does: it is ours everywhere, and nobody else's.
func (a *applier) gatewayMAC(v *config.VNI) frame.MAC {
	if v.GatewayMAC.IsZero() && a.anyRouted {
		return a.cfg.MAC
	}
	return v.GatewayMAC
}

// hostLimit is how many neighbours a routed domain may have: those that it may have
// MACs of, and two addresses for each.
func hostLimit(v *config.VNI) int { return 2 * min(v.MACLimit, maxHosts) }

// maxHosts bounds what one domain may have of neighbours' MACs.
const maxHosts = 32768

// applyHosts gives a domain room for neighbours, or takes it away.
func (a *applier) applyHosts(d fdb.Domain, v *config.VNI) {
	limit := 0
	if routed(v) {
		limit = hostLimit(v)
	}
	a.setHosts(d, limit)
}

// setHosts says how many neighbours a domain may have, and counts the packets that
// waited for those that go.
func (t *Tables) setHosts(d fdb.Domain, limit int) {
	t.orphans.Add(uint64(len(t.hosts.SetDomain(d, limit))))
}

// Orphans returns how many packets waited for a neighbour in a domain that then was
// routed no more, since the last call.
func (t *Tables) Orphans() uint64 { return t.orphans.Swap(0) }
