package e2e

import (
	"fmt"
	"testing"

	"vxgw/test/netns"
)

// Two gateways back to back, hosts on both sides, over IPv4 and over IPv6. What
// one says it sent the other says it received.
func TestTwoGateways(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		a, b     string
		bits     int
		underlay string
	}{
		{"IPv4", "192.0.2.17", "192.0.2.34", 24, ""},
		{"IPv4 with UDP checksums", "192.0.2.17", "192.0.2.34", 24, "udp_checksum = true"},
		{"IPv6", "2001:db8::17", "2001:db8::34", 64, ""},
		{"IPv6 without UDP checksums", "2001:db8::17", "2001:db8::34", 64, "udp_checksum = false"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h1, h2 := newHost(t, 1), newHost(t, 2)
			nsA, nsB := newNS(t), newNS(t)
			wire(t, h1.NS, "eth0", nsA, "acc1", netns.VethOptions{})
			wire(t, nsA, "und0", nsB, "und0", netns.VethOptions{MTU: 1600})
			wire(t, h2.NS, "eth0", nsB, "acc1", netns.VethOptions{})
			must(t, nsA.AddAddr("und0", fmt.Sprintf("%s/%d", tc.a, tc.bits)))
			must(t, nsB.AddAddr("und0", fmt.Sprintf("%s/%d", tc.b, tc.bits)))
			run := func(ns *netns.NS, own, other string) *gateway {
				return start(t, ns, fmt.Sprintf("[underlay]\naddress = %q\n%s\n[[vni]]\nid = 1000\nvlan = 10\nflood = [%q]\n[[port]]\ninterface = \"acc1\"\nvlan = 10\n",
					own, tc.underlay, other)).forwards()
			}
			a, b := run(nsA, tc.a, tc.b), run(nsB, tc.b, tc.a)
			h1.configure(t)
			h2.configure(t)
			everything(t, h1, h2, 8<<20)
			a.wantDrops(drops{})
			b.wantDrops(drops{})
			eventually(t, "both gateways count the same", func() bool {
				atA, atB := a.vtep(tc.b), b.vtep(tc.a)
				return atA.TxPackets > 0 && atB.TxPackets > 0 &&
					atA.TxPackets == atB.RxPackets && atA.RxPackets == atB.TxPackets &&
					atA.TxBytes == atB.RxBytes && atA.RxBytes == atB.TxBytes
			})
		})
	}
}
