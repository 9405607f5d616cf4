package tables

import (
	"fmt"
	"net/netip"

	"vxgw/gateway/control"
	"vxgw/gateway/forward"
	"vxgw/l3/vrf"
)

// wantRoute returns the route that the words of controllers come to; why, for people,
// where that is none. Hops that cannot be used are left out.
func (t *Tables) wantRoute(s *forward.Snapshot, k control.RouteKey, r control.Route) (is vrf.Route, why string) {
	is = vrf.Route{Prefix: k.Prefix, Kind: vrf.Via, Origin: vrf.OriginController}
	id, ok := t.vrfs.find(k.VRF)
	if !ok {
		return is, fmt.Sprintf("no VRF %q is configured", k.VRF)
	}
	for _, h := range r.Hops {
		hop, not := t.wantHop(s, forward.VRFID(id), h)
		if not != "" {
			why = not
			continue
		}
		is.Hops = append(is.Hops, hop)
	}
	if len(is.Hops) > 0 {
		why = ""
	}
	return is, why
}

// wantHop is wantRoute for one hop. A router behind a VTEP is a neighbour in its L3VNI, as
// its VTEP's address: that is where its MAC was put, see wantHost.
func (t *Tables) wantHop(s *forward.Snapshot, id forward.VRFID, h control.Hop) (hop vrf.NextHop, why string) {
	d, ok := s.VNIs[h.VNI]
	if !ok {
		return hop, noVNI(h.VNI)
	}
	dom := &s.Domains[d]
	switch {
	case dom.IRB == nil:
		return hop, fmt.Sprintf("VNI %d has no gateway: give it one in this VRF", h.VNI)
	case dom.IRB.VRF != id:
		return hop, fmt.Sprintf("VNI %d is routed in another VRF", h.VNI)
	}
	if !h.VTEP.IsValid() {
		return vrf.NextHop{Domain: d, Via: h.Via}, reachable(dom, h)
	}
	if _, ok := t.hopOf(h.VTEP); !ok {
		return hop, noNumber
	}
	if dom.Gateway == h.RouterMAC {
		return hop, fmt.Sprintf("the router's MAC is the gateway's own in VNI %d", h.VNI)
	}
	return vrf.NextHop{Domain: d, Via: h.VTEP}, ""
}

// reachable says why the neighbour of a hop cannot be asked for; "" where it can.
func reachable(dom *forward.Domain, h control.Hop) string {
	if dom.IRB.Has(h.Via) {
		return fmt.Sprintf("%s is the gateway's own address", h.Via)
	}
	for _, p := range dom.IRB.Addrs {
		if p.Contains(h.Via) {
			return ""
		}
	}
	return fmt.Sprintf("no gateway of VNI %d has %s in its prefix", h.VNI, h.Via)
}

// rerouteSaid brings the routes that changed into line with what is said of them.
func (a *applier) rerouteSaid(changes []control.Change[control.RouteKey, control.Route]) {
	if len(changes) == 0 {
		return
	}
	a.s.VRFs = clone(a.s.VRFs)
	for _, c := range changes {
		id, ok := a.vrfs.find(c.Key.VRF)
		if !ok {
			continue
		}
		v := &a.s.VRFs[id]
		if was := v.Table.Exact(c.Key.Prefix); was != nil && was.Origin != vrf.OriginController {
			continue // the configuration's own counts before it
		}
		r, why := a.wantRoute(&a.s, c.Key, c.Is.Value)
		if !c.Is.IsThere() || why != "" {
			v.Table = v.Table.Without(c.Key.Prefix)
		} else {
			v.Table = v.Table.With(r)
		}
		v.Large = v.Table.Len() > largeTable
	}
}

// saidRoutes returns the routes that controllers say there are, by VRF, for tables that
// are made anew.
func (a *applier) saidRoutes() map[string][]vrf.Route {
	all := make(map[string][]vrf.Route)
	for k, said := range a.said.merge.Routes.All {
		if r, why := a.wantRoute(&a.s, k, said.Value); why == "" {
			all[k.VRF] = append(all[k.VRF], r)
		}
	}
	return all
}

// OriginOfRoute returns who says that there is a route of a controller.
func (t *Tables) OriginOfRoute(name string, p netip.Prefix) control.Origin {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said.merge.Routes.Counts(control.RouteKey{VRF: name, Prefix: p}).Origin
}

// OriginOfMAC returns who says where a station of a controller is.
func (t *Tables) OriginOfMAC(k control.MACKey) control.Origin {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said.macs[macPart(k)][k].origin
}

// OriginOfHost returns who says who has an address.
func (t *Tables) OriginOfHost(k control.NeighbourKey) control.Origin {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said.hosts[hostPart(k)][k].origin
}
