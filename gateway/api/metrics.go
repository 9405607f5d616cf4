package api

import (
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"vxgw/gateway/control"
)

// The metrics. Direction rx is what came in to the gateway: from the access side
// for a port, from the overlay for a VNI; tx is what went out there. One of port
// and vni is empty, which to Prometheus is a label that is not there.
var (
	framesDesc = desc("frames_total", "Frames that came in (rx) or went out (tx), by access port or, on the overlay side, by VNI; each copy of a flooded frame counts.", "direction", "port", "vni")
	bytesDesc  = desc("bytes_total", "Bytes of the frames in vxgw_frames_total, from the destination MAC on, without FCS and without what VXLAN adds.", "direction", "port", "vni")
	dropsDesc  = desc("drops_total", "Frames dropped, by reason and by where they came from.", "reason", "direction")
	macsDesc   = desc("macs", "Entries of the forwarding database.", "vni", "origin")
	portUpDesc = desc("port_up", "Whether the access port carries frames: 1 or 0.", "port")
	underDesc  = desc("underlay_up", "Whether this VTEP sends and receives: 1 or 0.", "vtep")

	vrfFramesDesc     = desc("vrf_frames_total", "Frames that came to be routed in a VRF (rx), and that were routed (tx).", "direction", "vrf")
	vrfBytesDesc      = desc("vrf_bytes_total", "Bytes of the frames in vxgw_vrf_frames_total.", "direction", "vrf")
	vrfRoutesDesc     = desc("vrf_routes", "Routes of a VRF.", "vrf")
	vrfNeighboursDesc = desc("vrf_neighbours", "IP neighbours of the routed interfaces of a VRF, by state.", "vrf", "state")

	heldDesc        = desc("macs_held", "Learned MACs that moved too often and are held where they were.", "vni")
	stormDropsDesc  = desc("storm_drops_total", "Frames over a limit of storm control: of what a port takes in (rx), or of what a VNI takes out of the overlay (rx) or sends into it (tx, each copy).", "direction", "port", "vni", "kind")
	stormActiveDesc = desc("storm_active", "Whether storm control dropped frames there within the last half a minute: 1 or 0.", "direction", "port", "vni", "kind")

	suppressedDesc = desc("suppressed_total", "ARP and ND requests that were answered for a neighbour and sent nowhere.", "vni")

	vtepRxPacketsDesc = desc("vtep_rx_packets_total", "VXLAN packets from the remote VTEP that were accepted.", "vtep")
	vtepTxPacketsDesc = desc("vtep_tx_packets_total", "VXLAN packets sent to the remote VTEP.", "vtep")
	vtepRxBytesDesc   = desc("vtep_rx_bytes_total", "Bytes of the inner frames from the remote VTEP.", "vtep")
	vtepTxBytesDesc   = desc("vtep_tx_bytes_total", "Bytes of the inner frames sent to the remote VTEP.", "vtep")
	vtepMTUDesc       = desc("vtep_path_mtu_bytes", "Longest outer IP packet that the path to the remote VTEP carries; absent if that is not known.", "vtep")
	vtepShrunkDesc    = desc("vtep_path_mtu_shrunk_total", "How often the path to the remote VTEP came to carry less.", "vtep")
	vtepSeenDesc      = desc("vtep_last_seen_timestamp_seconds", "When the remote VTEP was last heard, in seconds since 1970; absent if never.", "vtep")

	originUpDesc      = desc("origin_up", "Whether a controller has shown a sign of life within its hold time: 1, or 0 when what it had said was forgotten.", "origin")
	originLeftDesc    = desc("origin_hold_left_seconds", "How long what a controller has said is kept unless it shows a sign of life.", "origin")
	originEntriesDesc = desc("origin_entries", "Entries that a controller has said, by section.", "origin", "section")
	originUnusedDesc  = desc("origin_entries_unused", "Entries of a controller that are of no use at the moment.", "origin")
	originSweptDesc   = desc("origin_swept_total", "How often a controller's hold time has ended.", "origin")

	datapathDesc = desc("datapath_info", "How the frames of an interface are moved: 1 while it is attached, else 0.", "mode", "interface")
	refusedDesc  = desc("learn_refused_total", "MACs, or IP addresses of neighbours (neighbour_limit), that a limit kept from being learned; frames are forwarded all the same. Of MACs that moved too often (duplicate) only the move that was too many is counted: further frames are duplicate_mac of vxgw_drops_total.", "reason")
	configDesc   = desc("config_state", "Which of its states the configuration is in: 1, and 0 for the others. unconfirmed: it is rolled back unless `vxgw confirm` follows; rolled_back: the file has another one, that was not confirmed.", "state")
	confirmDesc  = desc("config_confirm_until_timestamp_seconds", "When the configuration that runs is rolled back unless it is confirmed, in seconds since 1970; absent if nothing waits.")
	streamsDesc  = desc("event_streams", "Clients that listen to events.")
	resyncsDesc  = desc("event_resyncs_total", "Times that a listener to events had to be told that it missed some.")
	lostDesc     = desc("event_lost_total", "Changes that came faster than they could be told of.")
	buildDesc    = desc("build_info", "The program that runs; always 1.", "version", "revision", "goversion")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("vxgw_"+name, help, labels, nil)
}

// collector asks a Source at each scrape; it keeps nothing between them.
type collector struct {
	src               Source
	server            *Server // nil: nothing is told of it
	version, revision string
}

// registry returns a registry of its own, so that no library can add to it.
func (s *Server) registry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collector{src: s.src, server: s, version: s.opts.Version, revision: s.opts.Revision},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return reg
}

// Describe names every metric there can be.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		framesDesc, bytesDesc, dropsDesc, macsDesc, portUpDesc, underDesc, suppressedDesc,
		vtepRxPacketsDesc, vtepTxPacketsDesc, vtepRxBytesDesc, vtepTxBytesDesc, vtepMTUDesc, vtepShrunkDesc, vtepSeenDesc,
		datapathDesc, refusedDesc, buildDesc, heldDesc, stormDropsDesc, stormActiveDesc,
		originUpDesc, originLeftDesc, originEntriesDesc, originUnusedDesc, originSweptDesc,
		vrfFramesDesc, vrfBytesDesc, vrfRoutesDesc, vrfNeighboursDesc,
		streamsDesc, resyncsDesc, lostDesc, configDesc, confirmDesc,
	} {
		ch <- d
	}
}

// Collect reads the source once.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	m := metrics(ch)
	for _, p := range c.src.Ports() {
		m.traffic(p.Interface, "", p.RxPackets, p.RxBytes, p.TxPackets, p.TxBytes)
		m.gauge(portUpDesc, oneIf(p.State == StateUp), p.Interface)
		m.storm(p.Interface, "", p.Storm)
	}
	u := c.src.Underlay()
	m.gauge(underDesc, oneIf(u.Up), u.Address)
	for _, v := range c.src.VNIs() {
		m.traffic("", vniLabel(v.VNI), v.RxPackets, v.RxBytes, v.TxPackets, v.TxBytes)
		m.counter(suppressedDesc, v.Suppressed, vniLabel(v.VNI))
		m.gauge(heldDesc, float64(v.Held), vniLabel(v.VNI))
		m.storm("", vniLabel(v.VNI), v.Storm)
	}
	for _, v := range c.src.VTEPs() {
		m.vtep(v)
	}
	for _, d := range c.src.Drops() {
		m.counter(dropsDesc, d.Count, d.Reason, d.Direction)
	}
	for key, n := range c.src.MACCounts() {
		m.gauge(macsDesc, float64(n), vniLabel(key.VNI), key.Origin)
	}
	for _, v := range c.src.VRFs() {
		m.vrf(v)
	}
	for _, o := range c.src.Origins() {
		m.origin(o)
	}
	for _, d := range c.src.Datapath() {
		m.gauge(datapathDesc, oneIf(d.Attached), d.Mode, d.Interface)
	}
	for _, r := range c.src.LearnRefused() {
		m.counter(refusedDesc, r.Count, r.Reason)
	}
	if s := c.server; s != nil {
		m.gauge(streamsDesc, float64(len(s.streams[0])+len(s.streams[1])))
		m.counter(resyncsDesc, s.resyncs.Load())
		m.counter(lostDesc, c.src.Events().Lost())
		m.config(s.config())
	}
	m.gauge(buildDesc, 1, c.version, c.revision, runtime.Version())
}

// metrics is where a Collect sends what it read.
type metrics chan<- prometheus.Metric

func (m metrics) counter(d *prometheus.Desc, n uint64, labels ...string) {
	m.send(d, prometheus.CounterValue, float64(n), labels)
}

func (m metrics) gauge(d *prometheus.Desc, v float64, labels ...string) {
	m.send(d, prometheus.GaugeValue, v, labels)
}

// send makes one sample. A label value that is no UTF-8 becomes an error of
// this sample, not a panic: an interface may have any bytes for a name.
func (m metrics) send(d *prometheus.Desc, t prometheus.ValueType, v float64, labels []string) {
	metric, err := prometheus.NewConstMetric(d, t, v, labels...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(d, err)
	}
	m <- metric
}

func (m metrics) traffic(port, vni string, rxPackets, rxBytes, txPackets, txBytes uint64) {
	m.counter(framesDesc, rxPackets, "rx", port, vni)
	m.counter(framesDesc, txPackets, "tx", port, vni)
	m.counter(bytesDesc, rxBytes, "rx", port, vni)
	m.counter(bytesDesc, txBytes, "tx", port, vni)
}

func (m metrics) config(rows []ConfigRow) {
	for _, r := range rows {
		for _, state := range []string{ConfigConfirmed, ConfigUnconfirmed, ConfigRolledBack} {
			m.gauge(configDesc, oneIf(r.State == state), state)
		}
		if r.ConfirmUntil != nil {
			m.gauge(confirmDesc, float64(r.ConfirmUntil.Unix()))
		}
	}
}

func (m metrics) storm(port, vni string, rows []StormRow) {
	for _, r := range rows {
		m.counter(stormDropsDesc, r.Dropped, r.Direction, port, vni, r.Kind)
		m.gauge(stormActiveDesc, oneIf(r.Active), r.Direction, port, vni, r.Kind)
	}
}

func (m metrics) vtep(v VTEPRow) {
	m.counter(vtepRxPacketsDesc, v.RxPackets, v.Address)
	m.counter(vtepTxPacketsDesc, v.TxPackets, v.Address)
	m.counter(vtepRxBytesDesc, v.RxBytes, v.Address)
	m.counter(vtepTxBytesDesc, v.TxBytes, v.Address)
	m.counter(vtepShrunkDesc, v.PathShrunk, v.Address)
	if v.PathMTU > 0 {
		m.gauge(vtepMTUDesc, float64(v.PathMTU), v.Address)
	}
	if v.LastSeen != nil {
		m.gauge(vtepSeenDesc, float64(v.LastSeen.Unix()), v.Address)
	}
}

func (m metrics) vrf(v VRFRow) {
	m.counter(vrfFramesDesc, v.RxPackets, "rx", v.Name)
	m.counter(vrfFramesDesc, v.TxPackets, "tx", v.Name)
	m.counter(vrfBytesDesc, v.RxBytes, "rx", v.Name)
	m.counter(vrfBytesDesc, v.TxBytes, "tx", v.Name)
	m.gauge(vrfRoutesDesc, float64(v.Routes), v.Name)
	for state, n := range v.Neighbours {
		m.gauge(vrfNeighboursDesc, float64(n), v.Name, state)
	}
}

func (m metrics) origin(o OriginRow) {
	m.gauge(originUpDesc, oneIf(o.State != string(control.Expired)), o.Origin)
	m.gauge(originLeftDesc, float64(o.Left), o.Origin)
	m.gauge(originEntriesDesc, float64(o.VTEPs), o.Origin, "vteps")
	m.gauge(originEntriesDesc, float64(o.MACs), o.Origin, "macs")
	m.gauge(originEntriesDesc, float64(o.Neighbours), o.Origin, "neighbours")
	m.gauge(originEntriesDesc, float64(o.Routes), o.Origin, "routes")
	m.gauge(originUnusedDesc, float64(o.Unused), o.Origin)
	m.counter(originSweptDesc, o.Swept, o.Origin)
}

func vniLabel(vni uint32) string { return strconv.FormatUint(uint64(vni), 10) }

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
