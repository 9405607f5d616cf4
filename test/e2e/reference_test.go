package e2e

import (
	"net/netip"
	"testing"

	"vxgw/test/netns"
)

// reference is the reference path: two hosts, the gateway and a kernel VTEP.
//
//	h1 eth0 --- acc1 gw und0 --- und0 vtep (vxlan + bridge) acc0 --- eth0 h2
type reference struct {
	h1, h2   *host
	ns, vtep *netns.NS
	*gateway
}

// path says what the reference path is like. Its zero value is hosts of MTU
// 1500 and an underlay of 1600, with the kernel's offloads as they come.
type path struct {
	hostMTU, underlayMTU int
	vxlan                netns.VXLANConfig // of the kernel VTEP, as far as it matters
	underlay             string            // lines of [underlay]
	noOffloads           bool
}

func newReference(t *testing.T, p path) *reference {
	t.Helper()
	if p.hostMTU == 0 {
		p.hostMTU = 1500
	}
	if p.underlayMTU == 0 {
		p.underlayMTU = 1600
	}
	r := &reference{h1: newHost(t, 1), h2: newHost(t, 2), ns: newNS(t), vtep: newNS(t)}
	wire(t, r.h1.NS, "eth0", r.ns, "acc1", netns.VethOptions{AMAC: h1MAC, MTU: p.hostMTU})
	wire(t, r.ns, "und0", r.vtep, "und0", netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: p.underlayMTU})
	wire(t, r.vtep, "acc0", r.h2.NS, "eth0", netns.VethOptions{BMAC: h2MAC, MTU: p.hostMTU})
	must(t, r.ns.AddAddr("und0", gwAddr.String()+"/24"))
	must(t, r.vtep.AddAddr("und0", vtepA.String()+"/24"))
	p.vxlan.Name, p.vxlan.VNI, p.vxlan.Local, p.vxlan.MTU = "vx0", vni, vtepA, p.hostMTU
	p.vxlan.Remotes = []netip.Addr{gwAddr}
	must(t, r.vtep.VTEP("br0", p.vxlan, "acc0"))
	if p.noOffloads {
		for _, end := range []struct {
			ns  *netns.NS
			dev string
		}{{r.h1.NS, "eth0"}, {r.ns, "acc1"}, {r.ns, "und0"}, {r.vtep, "und0"}, {r.vtep, "acc0"}, {r.h2.NS, "eth0"}} {
			must(t, end.ns.Offloads(end.dev, false))
		}
	}
	r.gateway = start(t, r.ns, `
[underlay]
address = "192.0.2.17"
`+p.underlay+`
[[vni]]
id = 1000
vlan = 10
flood = ["192.0.2.34"]
[[port]]
interface = "acc1"
vlan = 10
`).forwards()
	// Not earlier: IPv6 speaks up as soon as it can, and would find the port
	// still down.
	r.h1.configure(t)
	r.h2.configure(t)
	return r
}

// Hosts speak to each other through the gateway and the kernel as if they were
// on one wire, and the gateway drops nothing.
func TestReferencePath(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		path path
	}{
		{"as it comes", path{}},
		{"kernel with UDP checksums", path{vxlan: netns.VXLANConfig{UDPChecksum: true}}},
		{"gateway with UDP checksums", path{underlay: "udp_checksum = true"}},
		{"without offloads", path{noOffloads: true}},
		{"without offloads, with UDP checksums", path{noOffloads: true, vxlan: netns.VXLANConfig{UDPChecksum: true}, underlay: "udp_checksum = true"}},
		{"jumbo frames", path{hostMTU: 9000, underlayMTU: 9100}},
		{"strict about reserved bits", path{underlay: `reserved_bits = "strict"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newReference(t, tc.path)
			everything(t, r.h1, r.h2, 8<<20)
			r.wantDrops(drops{})
		})
	}
}
