package gateway

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
	"time"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/port"
)

var _ api.Source = (*Gateway)(nil)

// Name returns the gateway's configured name.
func (g *Gateway) Name() string { return g.config().Name }

// Ports lists the configured access ports, in the configuration's order.
func (g *Gateway) Ports() []api.PortRow {
	g.fast.collect()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.tables.Snapshot()
	rows := make([]api.PortRow, 0, len(g.ports))
	for _, p := range g.ports {
		t := s.Ports[p.id].Traffic
		rows = append(rows, api.PortRow{
			Interface: p.cfg.Interface, VLAN: p.cfg.VLAN, VNI: p.cfg.VNI,
			State: string(p.state), Reason: p.reason,
			RxPackets: t.RxPackets.Load(), RxBytes: t.RxBytes.Load(),
			TxPackets: t.TxPackets.Load(), TxBytes: t.TxBytes.Load(),
			MACs:  g.tables.FDB().HopLen(forward.PortHop(p.id)),
			Storm: stormRows(nil, s.Ports[p.id].Storm, "rx"),
		})
	}
	return rows
}

// VNIs lists the configured bridge domains, in the configuration's order.
func (g *Gateway) VNIs() []api.VNIRow {
	g.fast.collect()
	s, behind, held := g.tables.Snapshot(), g.behind(), g.heldByDomain()
	vnis := g.config().VNIs
	rows := make([]api.VNIRow, 0, len(vnis))
	for i := range vnis {
		v := &vnis[i]
		d, ok := s.VNIs[v.ID]
		if !ok {
			continue // a reload is under way
		}
		t := s.Domains[d].Traffic
		rows = append(rows, api.VNIRow{
			VNI: v.ID, VLAN: v.VLAN, Name: v.Name, VRF: v.VRF,
			MACs: g.tables.FDB().DomainLen(d), Held: held[d],
			Ports: portNames(s, d), VTEPs: vtepNames(s, members(s, d, behind)),
			RxPackets: t.RxPackets.Load(), RxBytes: t.RxBytes.Load(),
			TxPackets: t.TxPackets.Load(), TxBytes: t.TxBytes.Load(),
			Suppressed: t.Suppressed.Load(),
			Storm:      stormRows(stormRows(nil, s.Domains[d].StormIn, "rx"), s.Domains[d].StormOut, "tx"),
		})
	}
	return rows
}

func portNames(s *forward.Snapshot, d fdb.Domain) []string {
	names := []string{}
	for _, p := range s.Domains[d].Ports {
		names = append(names, s.Ports[p].Name)
	}
	return names
}

func vtepNames(s *forward.Snapshot, ids []forward.VTEPID) []string {
	names := []string{}
	for _, id := range ids {
		names = append(names, s.VTEPs[id].Addr.String())
	}
	return names
}

// members returns the VTEPs of a domain, by number: those that it floods to, and
// those that MACs were learned behind.
func members(s *forward.Snapshot, d fdb.Domain, behind behind) []forward.VTEPID {
	ids := slices.Clone(s.Domains[d].Flood)
	for id := range behind.vteps(d) {
		if int(id) < len(s.VTEPs) && s.VTEPs[id].Addr.IsValid() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// VTEPs lists the remote VTEPs: the configured and those that were heard of.
func (g *Gateway) VTEPs() []api.VTEPRow {
	g.fast.collect()
	s, now := g.tables.Snapshot(), g.edges.Clock()
	vnis := g.vnisByVTEP(s)
	rows := []api.VTEPRow{}
	for i := range s.VTEPs {
		v := &s.VTEPs[i]
		if !v.Addr.IsValid() {
			continue
		}
		row := api.VTEPRow{
			Address: v.Addr.String(), Origin: "learned", VNIs: vnis[i], MTU: innerMTU(v.MaxFrame),
			RxPackets: v.Traffic.RxPackets.Load(), RxBytes: v.Traffic.RxBytes.Load(),
			TxPackets: v.Traffic.TxPackets.Load(), TxBytes: v.Traffic.TxBytes.Load(),
			LastSeen: wallClock(v.Traffic.LastSeen.Load(), now),
		}
		if o := g.tables.OriginOfVTEP(v.Addr); o != "" {
			row.Origin = string(o)
		}
		row.PathMTU, row.PathMTUFrom, row.PathProbe, row.PathShrunk = g.pathMTUs.row(v.Addr)
		if g.tables.Static(v.Addr) {
			row.Origin = "static"
		}
		if v.IsGroup() {
			row.Origin = "group"
		}
		rows = append(rows, row)
	}
	sort.Slice(rows, func(a, b int) bool { return rows[a].Address < rows[b].Address })
	return rows
}

// vnisByVTEP lists the VNIs of each VTEP, in the configuration's order.
func (g *Gateway) vnisByVTEP(s *forward.Snapshot) [][]uint32 {
	behind, vnis := g.behind(), make([][]uint32, len(s.VTEPs))
	for i := range vnis {
		vnis[i] = []uint32{}
	}
	for _, v := range g.config().VNIs {
		d, ok := s.VNIs[v.ID]
		if !ok {
			continue // a reload is under way
		}
		for _, id := range members(s, d, behind) {
			vnis[id] = append(vnis[id], v.ID)
		}
	}
	return vnis
}

func innerMTU(maxFrame int) int {
	if maxFrame == 0 {
		return 0
	}
	return maxFrame - ethernetHeader
}

// wallClock turns a moment of the gateway's clock into a time of day; nil for
// never.
func wallClock(at, now uint32) *time.Time {
	if at == 0 {
		return nil
	}
	t := time.Now().Add(-time.Duration(now-min(at, now)) * time.Second).Truncate(time.Second)
	return &t
}

// MACs yields the FDB entries of one VNI, or of all for 0.
func (g *Gateway) MACs(vni uint32) iter.Seq[api.MACRow] {
	return func(yield func(api.MACRow) bool) {
		now := g.edges.Clock()
		s := g.tables.Snapshot()
		for i := range s.Domains {
			d := &s.Domains[i]
			if d.IRB == nil || vni != 0 && d.VNI != vni {
				continue
			}
			if !yield(api.MACRow{VNI: d.VNI, MAC: d.Gateway.String(), Origin: api.OriginGateway}) {
				return
			}
		}
		for e := range g.tables.FDB().All() {
			if int(e.Domain) >= len(s.Domains) || s.Domains[e.Domain].VNI == 0 || vni != 0 && s.Domains[e.Domain].VNI != vni {
				continue
			}
			if _, live := g.tables.FDB().Lookup(e.Domain, e.MAC, now); !live {
				continue // expired, and not swept yet
			}
			if !yield(g.macRow(s, e, now)) {
				return
			}
		}
	}
}

func (g *Gateway) macRow(s *forward.Snapshot, e fdb.Entry, now uint32) api.MACRow {
	vni := s.Domains[e.Domain].VNI
	row := api.MACRow{VNI: vni, MAC: e.MAC.String(), Origin: g.originName(vni, e.MAC, e.Origin), Held: e.Held}
	if e.Origin == fdb.Learned {
		row.Age = now - min(e.Seen, now)
	}
	if p, isPort := forward.HopPort(e.Hop); isPort && int(p) < len(s.Ports) {
		row.Port = s.Ports[p].Name
	} else if v := forward.HopVTEP(e.Hop); !isPort && int(v) < len(s.VTEPs) {
		row.VTEP = s.VTEPs[v].Addr.String()
	}
	return row
}

// MACCounts counts the FDB entries by VNI and origin.
func (g *Gateway) MACCounts() map[api.MACCountKey]int {
	s, t := g.tables.Snapshot(), g.tables.FDB()
	counts := make(map[api.MACCountKey]int)
	for vni, d := range s.VNIs {
		learned := t.DomainLearned(d)
		counts[api.MACCountKey{VNI: vni, Origin: fdb.Learned.String()}] = learned
		counts[api.MACCountKey{VNI: vni, Origin: fdb.Static.String()}] = t.DomainLen(d) - learned
	}
	// What a station that is here has taken is learned, and a controller's word all the
	// same: of those there are few.
	static := func(vni uint32) api.MACCountKey { return api.MACCountKey{VNI: vni, Origin: fdb.Static.String()} }
	for _, c := range g.tables.SaidMACs() {
		counts[api.MACCountKey{VNI: c.VNI, Origin: string(c.Origin)}] = c.Count
		counts[static(c.VNI)] = max(0, counts[static(c.VNI)]-c.Count)
	}
	return counts
}

// Drops lists every reason in every direction that it can occur in.
func (g *Gateway) Drops() []api.DropRow {
	g.pollEdges()
	var rows []api.DropRow
	for d := range forward.NumDirections {
		for r := forward.None + 1; r < forward.NumReasons; r++ {
			if r.Occurs(d) {
				rows = append(rows, api.DropRow{
					Reason: r.String(), Direction: d.String(), Count: g.ledger.total(d, r), Meaning: r.Meaning(), Mend: r.Mend(),
				})
			}
		}
	}
	return rows
}

// LearnRefused counts the MACs that a limit kept from being learned.
func (g *Gateway) LearnRefused() []api.RefusedRow {
	var rows []api.RefusedRow
	for r := range numRefusals {
		rows = append(rows, api.RefusedRow{Reason: r.String(), Count: g.ledger.refused[r].Load(), Mend: refusalMends[r]})
	}
	return rows
}

// Datapath says how the frames of each interface are moved.
func (g *Gateway) Datapath() []api.DatapathRow {
	g.mu.Lock()
	defer g.mu.Unlock()
	var rows []api.DatapathRow
	for _, p := range g.ports {
		row := api.DatapathRow{Mode: "raw", Interface: p.cfg.Interface, Attached: p.dev != nil, Reason: p.reason}
		if p.dev != nil && p.reason == "" {
			row.Mode, row.Reason = g.describeFast(p.link.Index, describePort(p.dev)+g.heard(p.link.Index))
		}
		rows = append(rows, row)
	}
	if row, ok := g.groupRow(); ok {
		rows = append(rows, row)
	}
	return append(rows, g.uplinkRow())
}

// Underlay says how this VTEP stands.
func (g *Gateway) Underlay() api.UnderlayRow {
	g.mu.Lock()
	defer g.mu.Unlock()
	u, row := &g.config().Underlay, g.uplinkRow()
	return api.UnderlayRow{Address: u.Address.String(), Interface: row.Interface, Port: u.Port, Up: g.up.dev != nil, Reason: g.up.reason}
}

// describePort says how frames come from and go to a port.
func describePort(dev port.Port) string {
	how := "AF_PACKET"
	if n := len(dev.Queues()); n > 1 {
		how = fmt.Sprintf("AF_PACKET, %d queues", n)
	}
	if err := dev.Lacks(); err != nil {
		return fmt.Sprintf("%s; %v", how, err)
	}
	return how + ", rings, with checksum and segmentation offload (virtio-net headers)"
}

// heard says that somebody captures packets on one of these interfaces. He sees
// what is sent, for frames then go by packet sockets.
func (g *Gateway) heard(interfaces ...int) string {
	if g.edges.IsHeard != nil && slices.ContainsFunc(interfaces, g.edges.IsHeard) {
		return "; somebody captures packets there, and for as long frames are sent in a slower way that shows them"
	}
	return ""
}

// describeUplink says how packets come from and go to VTEPs.
func (g *Gateway) describeUplink() string {
	const stack = "UDP sockets on the VTEP address, one per worker"
	if links := g.linksInUse(); links != "" {
		return "past the host's IP stack by " + links + "; what cannot be, by " + stack + g.heard(g.up.past...)
	}
	if g.config().Underlay.Bypass && g.ipsec.Load() {
		return stack + ", because the host has IPsec policies"
	}
	return stack
}

func (g *Gateway) uplinkRow() api.DatapathRow {
	u := &g.config().Underlay
	row := api.DatapathRow{Mode: "raw", Interface: u.Device(), Attached: g.up.dev != nil, Reason: g.up.reason}
	if l, ok := g.edges.Host.Holder(u.Address); ok && u.VLAN == 0 {
		row.Interface = l.Name
	}
	if u.VLAN != 0 {
		row.Interface = cmp.Or(g.up.vlan.link.Name, row.Interface)
	}
	if g.up.dev != nil {
		row.Mode, row.Reason = g.describeUplinkFast(cmp.Or(g.up.vlan.ails, g.describeUplink()))
		if lacks := g.up.lacks.Load(); lacks != nil {
			row.Reason += ", with less than they should have: " + strings.Join(*lacks, "; ")
		}
	}
	return row
}
