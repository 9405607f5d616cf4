package api

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const wantMetrics = `
# HELP vxgw_build_info The program that runs; always 1.
# TYPE vxgw_build_info gauge
# HELP vxgw_bytes_total Bytes of the frames in vxgw_frames_total, from the destination MAC on, without FCS and without what VXLAN adds.
# TYPE vxgw_bytes_total counter
vxgw_bytes_total{direction="rx",port="",vni="10010"} 500
vxgw_bytes_total{direction="rx",port="",vni="16777215"} 0
vxgw_bytes_total{direction="rx",port="enp129s0f1np1",vni=""} 0
vxgw_bytes_total{direction="rx",port="eth1",vni=""} 98304
vxgw_bytes_total{direction="tx",port="",vni="10010"} 600
vxgw_bytes_total{direction="tx",port="",vni="16777215"} 0
vxgw_bytes_total{direction="tx",port="enp129s0f1np1",vni=""} 0
vxgw_bytes_total{direction="tx",port="eth1",vni=""} 1190
# HELP vxgw_datapath_info How the frames of an interface are moved: 1 while it is attached, else 0.
# TYPE vxgw_datapath_info gauge
vxgw_datapath_info{interface="enp129s0f1np1",mode="raw"} 0
vxgw_datapath_info{interface="eth1",mode="raw"} 1
# HELP vxgw_drops_total Frames dropped, by reason and by where they came from.
# TYPE vxgw_drops_total counter
vxgw_drops_total{direction="access",reason="tagged_frame"} 3
vxgw_drops_total{direction="overlay",reason="ecn"} 41
vxgw_drops_total{direction="overlay",reason="too_big"} 0
# HELP vxgw_event_lost_total Changes that came faster than they could be told of.
# TYPE vxgw_event_lost_total counter
vxgw_event_lost_total 0
# HELP vxgw_event_resyncs_total Times that a listener to events had to be told that it missed some.
# TYPE vxgw_event_resyncs_total counter
vxgw_event_resyncs_total 0
# HELP vxgw_event_streams Clients that listen to events.
# TYPE vxgw_event_streams gauge
vxgw_event_streams 0
# HELP vxgw_frames_total Frames that came in (rx) or went out (tx), by access port or, on the overlay side, by VNI; each copy of a flooded frame counts.
# TYPE vxgw_frames_total counter
vxgw_frames_total{direction="rx",port="",vni="10010"} 5
vxgw_frames_total{direction="rx",port="",vni="16777215"} 0
vxgw_frames_total{direction="rx",port="enp129s0f1np1",vni=""} 0
vxgw_frames_total{direction="rx",port="eth1",vni=""} 1204
vxgw_frames_total{direction="tx",port="",vni="10010"} 6
vxgw_frames_total{direction="tx",port="",vni="16777215"} 0
vxgw_frames_total{direction="tx",port="enp129s0f1np1",vni=""} 0
vxgw_frames_total{direction="tx",port="eth1",vni=""} 17
# HELP vxgw_learn_refused_total MACs, or IP addresses of neighbours (neighbour_limit), that a limit kept from being learned; frames are forwarded all the same. Of MACs that moved too often (duplicate) only the move that was too many is counted: further frames are duplicate_mac of vxgw_drops_total.
# TYPE vxgw_learn_refused_total counter
vxgw_learn_refused_total{reason="port_limit"} 7
vxgw_learn_refused_total{reason="table_full"} 0
# HELP vxgw_macs Entries of the forwarding database.
# TYPE vxgw_macs gauge
vxgw_macs{origin="learned",vni="10010"} 1
vxgw_macs{origin="learned",vni="16777215"} 1
vxgw_macs{origin="static",vni="10010"} 1
# HELP vxgw_macs_held Learned MACs that moved too often and are held where they were.
# TYPE vxgw_macs_held gauge
vxgw_macs_held{vni="10010"} 0
vxgw_macs_held{vni="16777215"} 0
# HELP vxgw_port_up Whether the access port carries frames: 1 or 0.
# TYPE vxgw_port_up gauge
vxgw_port_up{port="enp129s0f1np1"} 0
vxgw_port_up{port="eth1"} 1
# HELP vxgw_suppressed_total ARP and ND requests that were answered for a neighbour and sent nowhere.
# TYPE vxgw_suppressed_total counter
vxgw_suppressed_total{vni="10010"} 3
vxgw_suppressed_total{vni="16777215"} 0
# HELP vxgw_underlay_up Whether this VTEP sends and receives: 1 or 0.
# TYPE vxgw_underlay_up gauge
vxgw_underlay_up{vtep="192.0.2.1"} 1
# HELP vxgw_vrf_bytes_total Bytes of the frames in vxgw_vrf_frames_total.
# TYPE vxgw_vrf_bytes_total counter
vxgw_vrf_bytes_total{direction="rx",vrf="red"} 900
vxgw_vrf_bytes_total{direction="tx",vrf="red"} 800
# HELP vxgw_vrf_frames_total Frames that came to be routed in a VRF (rx), and that were routed (tx).
# TYPE vxgw_vrf_frames_total counter
vxgw_vrf_frames_total{direction="rx",vrf="red"} 9
vxgw_vrf_frames_total{direction="tx",vrf="red"} 8
# HELP vxgw_vrf_neighbours IP neighbours of the routed interfaces of a VRF, by state.
# TYPE vxgw_vrf_neighbours gauge
vxgw_vrf_neighbours{state="failed",vrf="red"} 1
vxgw_vrf_neighbours{state="reachable",vrf="red"} 2
# HELP vxgw_vrf_routes Routes of a VRF.
# TYPE vxgw_vrf_routes gauge
vxgw_vrf_routes{vrf="red"} 4
# HELP vxgw_vtep_last_seen_timestamp_seconds When the remote VTEP was last heard, in seconds since 1970; absent if never.
# TYPE vxgw_vtep_last_seen_timestamp_seconds gauge
vxgw_vtep_last_seen_timestamp_seconds{vtep="192.0.2.2"} 1.748778897e+09
# HELP vxgw_vtep_rx_bytes_total Bytes of the inner frames from the remote VTEP.
# TYPE vxgw_vtep_rx_bytes_total counter
vxgw_vtep_rx_bytes_total{vtep="192.0.2.2"} 500
vxgw_vtep_rx_bytes_total{vtep="2001:db8::3"} 0
# HELP vxgw_vtep_rx_packets_total VXLAN packets from the remote VTEP that were accepted.
# TYPE vxgw_vtep_rx_packets_total counter
vxgw_vtep_rx_packets_total{vtep="192.0.2.2"} 5
vxgw_vtep_rx_packets_total{vtep="2001:db8::3"} 0
# HELP vxgw_vtep_tx_bytes_total Bytes of the inner frames sent to the remote VTEP.
# TYPE vxgw_vtep_tx_bytes_total counter
vxgw_vtep_tx_bytes_total{vtep="192.0.2.2"} 600
vxgw_vtep_tx_bytes_total{vtep="2001:db8::3"} 0
# HELP vxgw_vtep_tx_packets_total VXLAN packets sent to the remote VTEP.
# TYPE vxgw_vtep_tx_packets_total counter
vxgw_vtep_tx_packets_total{vtep="192.0.2.2"} 6
vxgw_vtep_tx_packets_total{vtep="2001:db8::3"} 0
`

func TestMetrics(t *testing.T) {
	reg := New(busy(), Options{Version: "v1.2.3", Revision: "abcdef"}).registry()
	var names []string
	for line := range strings.Lines(wantMetrics) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "TYPE" && f[2] != "vxgw_build_info" {
			names = append(names, f[2])
		}
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(wantMetrics), names...); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"vxgw_build_info", "go_goroutines", "process_open_fds"} {
		if n, err := testutil.GatherAndCount(reg, name); n != 1 || err != nil {
			t.Errorf("%s: %d samples, %v", name, n, err)
		}
	}
}

// TestMetricsLint holds every metric to the conventions of Prometheus, and that none is
// left out because the fake has nothing of the kind.
func TestMetricsLint(t *testing.T) {
	c := collector{src: full()}
	problems, err := testutil.CollectAndLint(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	descs := make(chan *prometheus.Desc, 100)
	c.Describe(descs)
	if got, want := len(gathered(t)), len(descs); got != want {
		t.Errorf("%d metrics of %d that are described were looked at", got, want)
	}
}

// TestBadSample holds that a name that is no text hides only its own samples.
func TestBadSample(t *testing.T) {
	src := busy()
	src.ports[1].Interface = "eth\xff"
	s, _ := start(t, src, withHTTP)
	req, err := http.NewRequest(http.MethodGet, httpURL(t, s, "/metrics"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, text := roundTrip(t, plainClient(), req)
	if resp.StatusCode != http.StatusOK || !strings.Contains(text, `vxgw_port_up{port="eth1"} 1`) || strings.Contains(text, "\xff") {
		t.Errorf("%s:\n%s", resp.Status, text)
	}
}

func BenchmarkScrape(b *testing.B) {
	s, _ := start(b, busy(), withHTTP)
	url, c := httpURL(b, s, "/metrics"), plainClient()
	for b.Loop() {
		resp, err := c.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
