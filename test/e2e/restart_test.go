package e2e

import (
	"strings"
	"testing"

	"vxgw/gateway/api"
)

// What was learned outlives the gateway with the programs that stay at its interfaces;
// where there are none it is learned anew.
func TestMACsOutliveTheGateway(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		mode, is string
		kept     int
	}{{"xdp", "xdp", 2}, {"auto", "tcx", 2}, {"raw", "raw", 0}} {
		for _, how := range beforeAndAfter {
			t.Run(tc.mode+", "+how.name, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, 1, 1700)
				must(t, b.hosts.Offloads("h1", true, "gro"))
				pins := newPinning(t)
				file := writeConfig(t, b.config(settings{more: "[datapath]\nmode = \"" + tc.mode + "\"\n"}), `http = ""`)
				b.gateway = pins.start(t, b.ns, file)
				b.learnBoth()
				fast := tc.kept > 0
				eventually(t, "frames are carried as they are to be", func() bool { return b.mode("acc1") == tc.is })
				b.end(how.signal)
				b.gateway = pins.start(t, b.ns, file).isReady()
				if n := len(rows[api.MACRow](b.gateway, "macs")); n != tc.kept {
					t.Errorf("%d MACs are known, want %d", n, tc.kept)
				}
				if taken := strings.Contains(b.log.String(), "taken over"); taken != fast {
					t.Errorf("the log says that something was taken over: %t", taken)
				}
			})
		}
	}
}
