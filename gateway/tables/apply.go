package tables

import (
	"time"

	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/gateway/storm"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// maxDomains is as many bridge domains as the FDB can tell apart.
const maxDomains = 1 << 16

type macKey struct {
	domain fdb.Domain
	mac    frame.MAC
}

// Apply makes a configuration the one in force, in one step. What it has in
// common with the one before keeps its numbers, counters, devices and learned
// MACs. The error names a bound that would be exceeded; then nothing has
// changed.
func (t *Tables) Apply(cfg *config.Config) error {
	defer t.forgetAgain()
	t.mu.Lock()
	defer t.mu.Unlock()
	a := applier{Tables: t, cfg: cfg, s: *t.snap.Load(), static: staticVTEPs(cfg)}
	if err := a.bounds(); err != nil {
		return err
	}
	t.said.configure(cfg)
	a.s.Strict = cfg.Underlay.Strict
	a.applyVTEPs()
	a.numberVRFs()
	a.applyVNIs()
	a.applyVRFs()
	a.applyPorts()
	t.publish(&a.s)
	t.forget(&a.gone)
	a.pin()
	t.refit(&a.s)
	return nil
}

// Fits returns the error that Apply would, and applies nothing.
func (t *Tables) Fits(cfg *config.Config) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := applier{Tables: t, cfg: cfg, static: staticVTEPs(cfg)}
	return a.bounds()
}

// applier is one Apply under way: s is the snapshot being made.
type applier struct {
	*Tables
	cfg    *config.Config
	s      forward.Snapshot
	static map[addr]struct{} // the VTEPs that cfg names

	anyRouted bool // a VNI of cfg is routed

	gone gone // what the new configuration no longer has
}

// staticVTEPs returns the VTEPs that a configuration names, and its multicast
// groups, which are sent to like them.
func staticVTEPs(cfg *config.Config) map[addr]struct{} {
	m := make(map[addr]struct{})
	for _, r := range cfg.Remotes() {
		m[r.VTEP] = struct{}{}
	}
	for i := range cfg.VNIs {
		if g := cfg.VNIs[i].Group; g.IsValid() {
			m[g] = struct{}{}
		}
	}
	return m
}

// bounds asks whether there are numbers enough, before any is given out. What
// leaves the configuration still has its number while it does.
func (a *applier) bounds() error {
	vteps, vnis, ports, vrfs := 0, 0, 0, 0
	for to := range a.static {
		vteps += a.vteps.missing(to)
	}
	for i := range a.cfg.VNIs {
		vnis += a.domains.missing(a.cfg.VNIs[i].ID)
	}
	for i := range a.cfg.Ports {
		ports += a.ports.missing(a.cfg.Ports[i].Interface)
	}
	for i := range a.cfg.VRFs {
		vrfs += a.vrfs.missing(a.cfg.VRFs[i].Name)
	}
	switch {
	case vrfs > a.vrfs.left():
		return full("VRFs", maxVRFs)
	case vteps > a.vteps.left():
		return full("VTEPs", forward.MaxVTEPs)
	case vnis > a.domains.left():
		return full("VNIs", maxDomains)
	case ports > a.ports.left():
		return full("ports", forward.MaxPorts)
	}
	return nil
}

func (a *applier) applyVTEPs() {
	a.s.VTEPs = clone(a.s.VTEPs)
	for to := range a.static {
		a.number(&a.s, to)
	}
	a.numberSaid()
	for to := range a.Tables.static {
		if _, keep := a.static[to]; !keep && len(a.said.vteps[to]) == 0 {
			id, _ := a.vteps.find(to)
			a.gone.vtep(forward.VTEPID(id))
		}
	}
	a.Tables.static = a.static
}

func (a *applier) applyVNIs() {
	old, share := a.s, neighbourShare(a.cfg)
	a.s.Domains = clone(a.s.Domains)
	a.s.VNIs = make(map[uint32]fdb.Domain, len(a.cfg.VNIs))
	for i := range a.cfg.VNIs {
		v := &a.cfg.VNIs[i]
		id, fresh, _ := a.domains.get(v.ID)
		for id >= len(a.s.Domains) {
			a.s.Domains = append(a.s.Domains, forward.Domain{})
		}
		was := a.s.Domains[id]
		if fresh {
			was = forward.Domain{}
		}
		a.s.Domains[id] = a.domain(v, was)
		a.s.VNIs[v.ID] = fdb.Domain(id)
		a.fdb.SetDomain(fdb.Domain(id), v.MACLimit, uint32(v.Ageing/time.Second))
		a.fdb.SetMoves(fdb.Domain(id), moves(v.Moves))
		a.applySuppress(fdb.Domain(id), v, share)
		a.applyHosts(fdb.Domain(id), v)
		if !fresh {
			a.noLonger(fdb.Domain(id), &was, &a.s.Domains[id])
		}
	}
	for vni, id := range old.VNIs {
		if _, keep := a.s.VNIs[vni]; !keep {
			a.s.Domains[id] = forward.Domain{Traffic: old.Domains[id].Traffic}
			a.domains.drop(vni)
			a.neighbours.SetDomain(id, 0)
			a.setHosts(id, 0)
			set(&a.gone.mute, id)
			a.gone.domain(id)
		}
	}
}

// neighbourShare is how many IP neighbours each VNI that suppresses may know:
// its part of [datapath] mac_limit. It belongs to the VNI alone, so that nobody
// who makes up addresses in another one can use it up.
func neighbourShare(cfg *config.Config) int {
	n := 0
	for i := range cfg.VNIs {
		if cfg.VNIs[i].SuppressARP {
			n++
		}
	}
	return cfg.Datapath.MACLimit / max(n, 1)
}

// applySuppress gives a domain its room for neighbours, or takes it away.
func (a *applier) applySuppress(d fdb.Domain, v *config.VNI, share int) {
	if v.SuppressARP {
		a.neighbours.SetDomain(d, min(v.MACLimit, share))
		return
	}
	a.neighbours.SetDomain(d, 0)
	set(&a.gone.mute, d)
}

// domain makes the bridge domain of a VNI; its ports come later.
func (a *applier) domain(v *config.VNI, was forward.Domain) forward.Domain {
	may := a.allowed(v)
	return forward.Domain{
		VNI:      v.ID,
		Name:     v.Name,
		Flood:    a.flood(v),
		Learning: v.Learning,
		Suppress: v.SuppressARP,
		ClampMSS: v.ClampMSS,
		Anyone:   may == nil,
		Allowed:  forward.NewAddrSet(may),
		Gateway:  a.gatewayMAC(v),
		IRB:      a.irb(v, was.IRB),
		Group:    v.Group,
		Traffic:  traffic(was.Traffic),
		StormIn:  stormControl(was.StormIn, v.Storm),
		StormOut: stormControl(was.StormOut, v.Storm),
	}
}

// noLonger notes the VTEPs that left a domain's list, or may no longer send to
// it: what was learned behind them there goes with them.
func (a *applier) noLonger(d fdb.Domain, was, is *forward.Domain) {
	keep := make(map[forward.VTEPID]bool, len(is.Flood))
	for _, v := range is.Flood {
		keep[v] = true
	}
	for _, v := range was.Flood {
		if !keep[v] {
			a.gone.flood(d, v)
		}
	}
	if !is.Anyone && (was.Anyone || !is.Allowed.Equal(was.Allowed)) {
		if a.gone.narrowed == nil {
			a.gone.narrowed = make(map[fdb.Domain]*narrowed)
		}
		a.gone.narrowed[d] = &narrowed{*is, a.s.VTEPs}
	}
}

func (a *applier) applyPorts() {
	a.s.Ports = clone(a.s.Ports)
	want := make(map[string]bool, len(a.cfg.Ports))
	for i := range a.cfg.Ports {
		p := &a.cfg.Ports[i]
		want[p.Interface] = true
		n, fresh, _ := a.ports.get(p.Interface)
		for n >= len(a.s.Ports) {
			a.s.Ports = append(a.s.Ports, forward.Port{})
		}
		id, was := forward.PortID(n), a.s.Ports[n]
		if fresh {
			was = forward.Port{}
		}
		d := a.s.VNIs[p.VNI]
		if was.Name != "" && was.Domain != d {
			a.gone.port(id) // its MACs were another VNI's
		}
		is := was // what the host says of it stays
		is.Name, is.Domain = p.Interface, d
		is.Isolated, is.BPDU, is.DropPriority = p.Isolated, bpdu(p.BPDU), p.DropPriority
		is.Traffic = traffic(was.Traffic)
		is.Storm = stormControl(was.Storm, p.Storm)
		a.s.Ports[n] = is
		a.s.Domains[d].Ports = append(a.s.Domains[d].Ports, id)
		a.fdb.SetHop(forward.PortHop(id), p.MACLimit)
	}
	a.s.Access = accessLinks(a.s.Ports)
	for name, n := range a.ports.ids {
		if !want[name] {
			// Shut, because its worker may still read for a moment.
			a.s.Ports[n] = forward.Port{Shut: true, Traffic: a.s.Ports[n].Traffic}
			a.ports.drop(name)
			a.gone.port(forward.PortID(n))
		}
	}
}

// stormControl puts limits in force: those that were there go on counting, and what of them
// is the same is not disturbed. Where nothing was ever limited there is none.
func stormControl(was *storm.Control, s config.Storm) *storm.Control {
	if was == nil {
		if !s.Any() {
			return nil
		}
		was = new(storm.Control)
	}
	was.Set(storm.Limits{storm.Broadcast: s.Broadcast, storm.Multicast: s.Multicast, storm.UnknownUnicast: s.UnknownUnicast})
	return was
}

func moves(m config.Moves) fdb.Moves {
	return fdb.Moves{Limit: m.Limit, Window: wholeSeconds(m.Window), Hold: wholeSeconds(m.Hold)}
}

// wholeSeconds rounds up: what is more than nothing stays so.
func wholeSeconds(d time.Duration) uint32 { return uint32((d + time.Second - 1) / time.Second) }

func bpdu(p config.BPDUPolicy) forward.BPDU {
	switch p {
	case config.BPDUTunnel:
		return forward.BPDUTunnel
	case config.BPDUShutdown:
		return forward.BPDUShutdown
	}
	return forward.BPDUDrop
}

// pin puts the static entries into the FDB and takes out those that are gone.
func (a *applier) pin() {
	want := make(map[macKey]struct{}, len(a.cfg.MACs))
	for _, m := range a.cfg.MACs {
		k := macKey{a.s.VNIs[m.VNI], m.MAC}
		want[k] = struct{}{}
		a.fdb.Set(fdb.Entry{Domain: k.domain, MAC: m.MAC, Hop: a.hop(m), Origin: fdb.Static})
	}
	for k := range a.pinned {
		if _, keep := want[k]; !keep {
			a.fdb.Remove(k.domain, k.mac)
		}
	}
	a.pinned = want
}

func (a *applier) hop(m config.StaticMAC) fdb.Hop {
	if m.VTEP.IsValid() {
		id, _ := a.vteps.find(m.VTEP)
		return forward.VTEPHop(forward.VTEPID(id))
	}
	id, _ := a.ports.find(m.Port)
	return forward.PortHop(forward.PortID(id))
}
