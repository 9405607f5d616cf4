package e2e

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vxgw/l2/frame"
	"vxgw/test/netns"
)

// campus is a gateway with three ports in VNI 1000 and one in VNI 2000, and
// three kernel VTEPs on one underlay segment. All hosts are bare devices in one
// namespace, which say nothing of their own accord:
//
//	VNI 1000: h1, h2, h3 on the gateway; hA, hB, hC on VTEPs A, B and C
//	VNI 2000: h4 on the gateway; hD on VTEP A
type campus struct {
	t         testing.TB
	hosts, ns *netns.NS
	at        map[string]*netns.Capture // by device
	apart     bool                      // h1 and h2 do not reach each other
	next      uint32                    // the first number that was not used
	*gateway
}

var (
	web   = []string{"h1", "h2", "h3", "hA", "hB", "hC"}
	other = []string{"h4", "hD"}
)

// newCampus builds it, with lines of configuration for VNI 1000 and for the
// ports h1 and h2.
func newCampus(t testing.TB, vniLines, portLines string) *campus {
	t.Helper()
	c := &campus{t: t, hosts: newNS(t), ns: newNS(t), at: make(map[string]*netns.Capture)}
	segment := newNS(t)
	wire(t, c.ns, "und0", segment, "gw", netns.VethOptions{AMAC: gwMAC, MTU: 1600})
	must(t, c.ns.AddAddr("und0", gwAddr.String()+"/24"))
	for i := range 4 {
		wire(t, c.hosts, fmt.Sprintf("h%d", i+1), c.ns, fmt.Sprintf("acc%d", i+1), netns.VethOptions{})
	}
	ports := []string{"gw"}
	for i, a := range []netip.Addr{vtepA, vtepB, vtepC} {
		ns, name := newNS(t), string(rune('A'+i))
		wire(t, ns, "und0", segment, name, netns.VethOptions{MTU: 1600})
		ports = append(ports, name)
		must(t, ns.AddAddr("und0", a.String()+"/24"))
		c.vtep(ns, "br0", netns.VXLANConfig{Name: "vx0", VNI: vni, Local: a}, "h"+name)
		if i == 0 {
			c.vtep(ns, "br1", netns.VXLANConfig{Name: "vx1", VNI: otherVNI, Local: a}, "hD")
		}
	}
	must(t, segment.Bridge("br0", ports...))
	c.gateway = start(t, c.ns, fmt.Sprintf(`
[underlay]
address = "192.0.2.17"
[[vni]]
id = 1000
vlan = 10
flood = ["192.0.2.34", "192.0.2.50", "192.0.2.66"]
%s
[[vni]]
id = 2000
flood = ["192.0.2.34"]
[[port]]
interface = "acc1"
vlan = 10
%[2]s
[[port]]
interface = "acc2"
vlan = 10
%[2]s
[[port]]
interface = "acc3"
vlan = 10
[[port]]
interface = "acc4"
vni = 2000
`, vniLines, portLines)).forwards()
	for _, dev := range slices.Concat(web, other) {
		c.at[dev] = capture(t, c.hosts, dev)
	}
	return c
}

// vtep makes a kernel VTEP with one host.
func (c *campus) vtep(ns *netns.NS, bridge string, v netns.VXLANConfig, host string) {
	c.t.Helper()
	port := "to-" + host
	wire(c.t, c.hosts, host, ns, port, netns.VethOptions{})
	v.Remotes = []netip.Addr{gwAddr}
	must(c.t, ns.VTEP(bridge, v, port))
}

// reach returns where a broadcast from a host comes.
func (c *campus) reach(dev string) []string {
	if slices.Contains(other, dev) {
		return without(other, dev)
	}
	if dev[1] >= 'A' {
		return []string{"h1", "h2", "h3"} // the gateway does not relay between VTEPs
	}
	if c.apart && dev != "h3" {
		return []string{"h3", "hA", "hB", "hC"}
	}
	return without(web, dev)
}

func without(all []string, dev string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == dev })
}

// settle returns when what was sent out of dev is where it goes: fences went
// the same way behind it, and others come to each device from both sides.
func (c *campus) settle(dev string) {
	c.t.Helper()
	for _, d := range slices.Compact([]string{dev, "h3", "hA", "h4", "hD"}) {
		var at []*netns.Capture
		for _, r := range c.reach(d) {
			at = append(at, c.at[r])
		}
		fence(c.t, fenceMAC(d), from(c.t, c.hosts, d), at...)
	}
}

// fenceMAC is what the fences out of a device come from.
func fenceMAC(dev string) frame.MAC { return frame.MAC{2, 0, 0xfe, 0, 0, dev[1]} }

// send sends numbered frames out of a device and wants them to come, each once,
// to these devices and to no other.
func (c *campus) send(dev string, dst, src frame.MAC, count int, to ...string) {
	c.t.Helper()
	first := c.next
	c.next += uint32(count)
	must(c.t, c.hosts.Send(dev, numbered(dst, src, first, uint32(count))...))
	c.settle(dev)
	want, have := make(map[string]int), make(map[string]int)
	for _, d := range to {
		want[d] = count
	}
	for d, at := range c.at {
		if n := between(c.t, at, first, uint32(count)); n > 0 {
			have[d] = n
		}
	}
	if !maps.Equal(want, have) {
		c.t.Errorf("%d frames from %s to %v out of %s (-want +got):\n%s", count, src, dst, dev, cmp.Diff(want, have))
	}
}

// strays returns how many frames came to a device that are no fences.
func (c *campus) strays(dev string) int { return len(got(c.at[dev])) }
