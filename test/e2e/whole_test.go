package e2e

import (
	"net/netip"
	"testing"

	"vxgw/test/netns"
)

// newOverKernel makes a host at an access port and one behind a kernel VTEP, with
// default offloads, over an underlay of some MTU, and returns where the gateway goes.
func newOverKernel(t *testing.T, mtu int) (gw *netns.NS, h1, h2 *host) {
	t.Helper()
	gw, peer := newNS(t), newNS(t)
	h1, h2 = newHost(t, 10), newHost(t, 11)
	wire(t, h1.NS, "eth0", gw, "acc1", netns.VethOptions{AMAC: h1MAC})
	wire(t, gw, "und0", peer, "und0", netns.VethOptions{MTU: mtu})
	wire(t, peer, "acc", h2.NS, "eth0", netns.VethOptions{BMAC: h2MAC})
	must(t, gw.AddAddr("und0", gwAddr.String()+"/24"))
	must(t, peer.AddAddr("und0", vtepA.String()+"/24"))
	must(t, peer.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: vni, Local: vtepA, Remotes: []netip.Addr{gwAddr}}, "acc"))
	h1.configure(t)
	h2.configure(t)
	return gw, h1, h2
}

// overKernel is the gateway's configuration there, with more of its VNI.
func overKernel(more string) string {
	return "[underlay]\naddress = \"192.0.2.17\"\n[[vni]]\nid = 1000\nvlan = 10\nflood = [\"192.0.2.34\"]\n" + more + "\n[[port]]\ninterface = \"acc1\"\nvlan = 10\n"
}

// Hosts with default offloads talk TCP over a kernel VTEP: what one of them sends
// goes out to the VTEP whole, and all bytes arrive.
func TestSuperFramesGoWhole(t *testing.T) {
	t.Parallel()
	gw, h1, h2 := newOverKernel(t, 1600)
	g := start(t, gw, overKernel("")).forwards()
	for _, addr := range h2.addresses() {
		wantPing(t, h1, addr, 3, netns.PingOptions{})
	}
	whole := capture(t, gw, "und0", netns.Outgoing(), netns.Only(func(f []byte) bool { return len(f) > 4000 && isUDP(f) }))
	for _, addr := range h2.addresses() {
		transfer(t, h1, h2, addr, 16<<20)
	}
	if len(whole.Frames()) == 0 {
		t.Error("no super-frame went out whole")
	}
	for _, addr := range h1.addresses() {
		transfer(t, h2, h1, addr, 16<<20)
	}
	g.wantDrops(drops{})
}
