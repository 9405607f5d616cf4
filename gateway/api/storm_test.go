package api

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// stormy is a gateway with a loop behind a port.
func stormy() *fake {
	f := busy()
	f.ports[0].Storm = []StormRow{
		{Kind: "broadcast", Direction: "rx", Limit: 1000, Dropped: 123456, Active: true},
		{Kind: "multicast", Direction: "rx", Limit: 2000},
	}
	f.vnis[0].Held = 2
	f.vnis[0].Storm = []StormRow{
		{Kind: "broadcast", Direction: "rx", Limit: 1000, Dropped: 7},
		{Kind: "broadcast", Direction: "tx", Limit: 1000, Dropped: 9000, Active: true},
		{Kind: "unknown_unicast", Direction: "tx", Limit: 500, Dropped: 1, Active: true},
	}
	f.macs = slices.Values([]MACRow{
		{VNI: 10010, MAC: "02:00:00:00:01:01", Port: "eth1", Origin: OriginLearned, Age: 12, Held: true},
		{VNI: 10010, MAC: "02:00:00:00:01:02", VTEP: "192.0.2.2", Origin: "static"},
	})
	return f
}

func TestStormTables(t *testing.T) {
	_, c := start(t, stormy())
	for _, name := range []string{"ports", "vnis", "macs"} {
		var out bytes.Buffer
		if err := WriteTable(context.Background(), &out, c, name, View{Now: noon}); err != nil {
			t.Fatal(err)
		}
		golden(t, "storm-"+name, out.String())
		out.Reset()
		if err := c.Copy(context.Background(), &out, name, 0); err != nil {
			t.Fatal(err)
		}
		golden(t, "storm-"+name+"-json", out.String())
	}
}

func TestStormMetrics(t *testing.T) {
	const want = `# HELP vxgw_macs_held Learned MACs that moved too often and are held where they were.
# TYPE vxgw_macs_held gauge
vxgw_macs_held{vni="10010"} 2
vxgw_macs_held{vni="16777215"} 0
# HELP vxgw_storm_active Whether storm control dropped frames there within the last half a minute: 1 or 0.
# TYPE vxgw_storm_active gauge
vxgw_storm_active{direction="rx",kind="broadcast",port="",vni="10010"} 0
vxgw_storm_active{direction="rx",kind="broadcast",port="eth1",vni=""} 1
vxgw_storm_active{direction="rx",kind="multicast",port="eth1",vni=""} 0
vxgw_storm_active{direction="tx",kind="broadcast",port="",vni="10010"} 1
vxgw_storm_active{direction="tx",kind="unknown_unicast",port="",vni="10010"} 1
# HELP vxgw_storm_drops_total Frames over a limit of storm control: of what a port takes in (rx), or of what a VNI takes out of the overlay (rx) or sends into it (tx, each copy).
# TYPE vxgw_storm_drops_total counter
vxgw_storm_drops_total{direction="rx",kind="broadcast",port="",vni="10010"} 7
vxgw_storm_drops_total{direction="rx",kind="broadcast",port="eth1",vni=""} 123456
vxgw_storm_drops_total{direction="rx",kind="multicast",port="eth1",vni=""} 0
vxgw_storm_drops_total{direction="tx",kind="broadcast",port="",vni="10010"} 9000
vxgw_storm_drops_total{direction="tx",kind="unknown_unicast",port="",vni="10010"} 1
`
	reg := New(stormy(), Options{}).registry()
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "vxgw_macs_held", "vxgw_storm_active", "vxgw_storm_drops_total"); err != nil {
		t.Error(err)
	}
}
