// Package demo shows a gateway at work: two hosts, the gateway and a Linux
// kernel VTEP in network namespaces of their own, real traffic between them,
// two frames that are refused, routing between the networks of two tenants, and
// everything taken away again.
package demo

import (
	"errors"
	"fmt"
	"net/netip"

	"vxgw/l2/frame"
	"vxgw/test/netns"
)

// The demo's addresses: documentation prefixes (RFC 5737) and locally
// administered MACs.
var (
	h1MAC  = frame.MAC{2, 0, 0, 0, 1, 1}
	h2MAC  = frame.MAC{2, 0, 0, 0, 1, 2}
	h1Addr = netip.MustParseAddr("198.51.100.1")
	h2Addr = netip.MustParseAddr("198.51.100.2")
	gwVTEP = netip.MustParseAddr("192.0.2.1")
	kVTEP  = netip.MustParseAddr("192.0.2.2")
)

const (
	vni       = 10010
	vlan      = 10
	vxlanPort = 4789

	// underlayMTU leaves room for the hosts' 1500 bytes and 50 of overhead.
	underlayMTU = 1600
)

const picture = `
   host h1                gateway                kernel VTEP              host h2
  198.51.100.1                                                         198.51.100.2
  +--------+      +---------------------+      +----------------+      +--------+
  |   eth0 |------| eth1  vxgw     und0 |------| und0    bridge |------| eth0   |
  +--------+      | VLAN 10 = VNI 10010 |      |  vxlan + bridge|      +--------+
   untagged       |           192.0.2.1 |      | 192.0.2.2      |       untagged
                  +---------------------+      +----------------+
                                         VXLAN
                                        UDP 4789
`

// topology is the namespaces of the demo.
type topology struct{ h1, gw, vtep, h2, h3, b1, b3 *netns.NS }

// build makes the namespaces and wires; what was made is in the topology also
// when there is an error, for close.
func (t *topology) build() error {
	for _, n := range []struct {
		ns   **netns.NS
		name string
	}{{&t.h1, "vxgw-demo-h1"}, {&t.gw, "vxgw-demo-gw"}, {&t.vtep, "vxgw-demo-vtep"}, {&t.h2, "vxgw-demo-h2"}} {
		ns, err := netns.New(n.name)
		if err != nil {
			return err
		}
		*n.ns = ns
	}
	return first(
		func() error { return netns.Veth(t.h1, "eth0", t.gw, "eth1", netns.VethOptions{AMAC: h1MAC}) },
		func() error {
			return netns.Veth(t.gw, "und0", t.vtep, "und0", netns.VethOptions{MTU: underlayMTU})
		},
		func() error { return netns.Veth(t.vtep, "acc0", t.h2, "eth0", netns.VethOptions{BMAC: h2MAC}) },
		func() error { return t.h1.AddAddr("eth0", h1Addr.String()+"/24") },
		func() error { return t.gw.AddAddr("und0", gwVTEP.String()+"/24") },
		func() error { return t.vtep.AddAddr("und0", kVTEP.String()+"/24") },
		func() error { return t.h2.AddAddr("eth0", h2Addr.String()+"/24") },
		func() error {
			return t.vtep.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: vni, Local: kVTEP, Remotes: []netip.Addr{gwVTEP}}, "acc0")
		},
	)
}

// first runs the functions until one fails.
func first(fs ...func() error) error {
	for _, f := range fs {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (t *topology) close() error {
	var errs []error
	for _, n := range []*netns.NS{t.h1, t.h2, t.h3, t.b1, t.b3, t.vtep, t.gw} {
		if n != nil {
			errs = append(errs, n.Close())
		}
	}
	return errors.Join(errs...)
}

// configuration is what the gateway runs with.
func configuration(socket string) string {
	return fmt.Sprintf(`[gateway]
name = "demo"

[underlay]
address = "%s"
interface = "und0"

[[vni]]
id = %d
vlan = %d
name = "demo"
flood = ["%s"]

[[port]]
interface = "eth1"
vlan = %d

[api]
socket = "%s"
http = ""
`, gwVTEP, vni, vlan, kVTEP, vlan, socket)
}
