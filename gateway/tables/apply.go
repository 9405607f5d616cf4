package tables

import (
	"time"

	"vxgw/config"
	"vxgw/gateway/forward"
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
// MACs. The error names a bound that was exceeded; then part of the
// configuration is not in force.
func (t *Tables) Apply(cfg *config.Config) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := applier{Tables: t, cfg: cfg, s: *t.snap.Load()}
	a.s.Strict = cfg.Underlay.Strict
	if err := a.run(); err != nil {
		return err
	}
	t.snap.Store(&a.s)
	t.flush(a.forget)
	a.pin()
	return nil
}

// applier is one Apply under way: s is the snapshot being made.
type applier struct {
	*Tables
	cfg *config.Config
	s   forward.Snapshot

	// What the new configuration no longer has.
	gonePorts   []forward.PortID
	goneDomains []fdb.Domain
	goneVTEPs   []forward.VTEPID
	goneFlood   []domainVTEP
}

type domainVTEP struct {
	domain fdb.Domain
	vtep   forward.VTEPID
}

func (a *applier) run() error {
	if err := a.applyVTEPs(); err != nil {
		return err
	}
	if err := a.applyVNIs(); err != nil {
		return err
	}
	return a.applyPorts()
}

func (a *applier) applyVTEPs() error {
	want := make(map[addr]struct{})
	for _, v := range a.cfg.VNIs {
		for _, to := range v.Flood {
			want[to] = struct{}{}
		}
	}
	for _, m := range a.cfg.MACs {
		if m.VTEP.IsValid() {
			want[m.VTEP] = struct{}{}
		}
	}
	a.s.VTEPs = clone(a.s.VTEPs)
	for to := range want {
		if _, err := a.number(&a.s, to); err != nil {
			return err
		}
	}
	for to := range a.static {
		if _, keep := want[to]; !keep {
			id, _ := a.vteps.find(to)
			a.goneVTEPs = append(a.goneVTEPs, forward.VTEPID(id))
		}
	}
	a.static = want
	return nil
}

func (a *applier) applyVNIs() error {
	old := a.s
	a.s.Domains = clone(a.s.Domains)
	a.s.VNIs = make(map[uint32]fdb.Domain, len(a.cfg.VNIs))
	for i := range a.cfg.VNIs {
		v := &a.cfg.VNIs[i]
		id, fresh, ok := a.domains.get(v.ID)
		if !ok {
			return full("VNIs", maxDomains)
		}
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
		a.missingFlood(fdb.Domain(id), was.Flood, a.s.Domains[id].Flood)
	}
	for vni, id := range old.VNIs {
		if _, keep := a.s.VNIs[vni]; !keep {
			a.s.Domains[id] = forward.Domain{Traffic: old.Domains[id].Traffic}
			a.domains.drop(vni)
			a.goneDomains = append(a.goneDomains, id)
		}
	}
	return nil
}

// domain makes the bridge domain of a VNI; its ports come later.
func (a *applier) domain(v *config.VNI, was forward.Domain) forward.Domain {
	d := forward.Domain{
		VNI:      v.ID,
		Name:     v.Name,
		Learning: v.Learning,
		Anyone:   v.AllowedVTEPs == nil,
		Allowed:  forward.NewAddrSet(v.AllowedVTEPs),
		Gateway:  v.GatewayMAC,
		Traffic:  traffic(was.Traffic),
	}
	for _, to := range v.Flood {
		id, _ := a.vteps.find(to)
		d.Flood = append(d.Flood, forward.VTEPID(id))
	}
	return d
}

func (a *applier) missingFlood(d fdb.Domain, was, is []forward.VTEPID) {
	keep := make(map[forward.VTEPID]bool, len(is))
	for _, v := range is {
		keep[v] = true
	}
	for _, v := range was {
		if !keep[v] {
			a.goneFlood = append(a.goneFlood, domainVTEP{d, v})
		}
	}
}

func (a *applier) applyPorts() error {
	a.s.Ports = clone(a.s.Ports)
	want := make(map[string]bool, len(a.cfg.Ports))
	for i := range a.cfg.Ports {
		p := &a.cfg.Ports[i]
		want[p.Interface] = true
		n, fresh, ok := a.ports.get(p.Interface)
		if !ok {
			return full("ports", forward.MaxPorts)
		}
		for n >= len(a.s.Ports) {
			a.s.Ports = append(a.s.Ports, forward.Port{})
		}
		id, was := forward.PortID(n), a.s.Ports[n]
		if fresh {
			was = forward.Port{}
		}
		d := a.s.VNIs[p.VNI]
		if was.Name != "" && was.Domain != d {
			a.gonePorts = append(a.gonePorts, id) // its MACs were another VNI's
		}
		a.s.Ports[n] = forward.Port{
			Name: p.Interface, Domain: d, Isolated: p.Isolated, BPDU: bpdu(p.BPDU), DropPriority: p.DropPriority,
			Up: was.Up, Dev: was.Dev, Traffic: traffic(was.Traffic),
		}
		a.s.Domains[d].Ports = append(a.s.Domains[d].Ports, id)
		a.fdb.SetHop(forward.PortHop(id), p.MACLimit)
	}
	for name, n := range a.ports.ids {
		if !want[name] {
			a.s.Ports[n] = forward.Port{Traffic: a.s.Ports[n].Traffic}
			a.ports.drop(name)
			a.gonePorts = append(a.gonePorts, forward.PortID(n))
		}
	}
	return nil
}

func bpdu(p config.BPDUPolicy) forward.BPDU {
	switch p {
	case config.BPDUTunnel:
		return forward.BPDUTunnel
	case config.BPDUShutdown:
		return forward.BPDUShutdown
	}
	return forward.BPDUDrop
}

// forget drops what was learned about things that are gone. It runs after the
// new snapshot is out, so that nothing new is learned about them.
func (a *applier) forget() {
	for _, id := range a.gonePorts {
		a.fdb.FlushHop(forward.PortHop(id))
	}
	for _, d := range a.goneDomains {
		a.fdb.FlushDomain(d)
	}
	for _, g := range a.goneFlood {
		a.fdb.FlushDomainHop(g.domain, forward.VTEPHop(g.vtep))
	}
	for _, v := range a.goneVTEPs {
		a.fdb.FlushHop(forward.VTEPHop(v))
	}
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
