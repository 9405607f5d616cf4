package path

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/test/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

var (
	macA = frame.MAC{2, 0, 0, 0, 0, 0xa}
	macB = frame.MAC{2, 0, 0, 0, 0, 0xb}
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newNS(t *testing.T) *netns.NS {
	t.Helper()
	netns.Require(t)
	n, err := netns.New("")
	must(t, err)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// opened returns a Monitor of n that does not run.
func opened(t *testing.T, n *netns.NS) *Monitor {
	t.Helper()
	var m *Monitor
	must(t, n.Do(func() (err error) {
		m, err = Open()
		return err
	}))
	t.Cleanup(func() { m.Close() })
	return m
}

// run has m follow until the test ends.
func run(t *testing.T, m *Monitor) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func follow(t *testing.T, n *netns.NS) *Monitor {
	t.Helper()
	m := opened(t, n)
	run(t, m)
	return m
}

// eventually looks each time that m says so until ok, as the gateway does.
func eventually(t *testing.T, m *Monitor, what string, ok func() bool) {
	t.Helper()
	expired := time.NewTimer(patience)
	defer expired.Stop()
	for !ok() {
		select {
		case <-m.Changed():
		case <-expired.C:
			t.Fatalf("%s: not seen within %v", what, patience)
		}
	}
}

func link(t *testing.T, m *Monitor, name string) Link {
	t.Helper()
	l, ok := m.Link(name)
	if !ok {
		t.Fatalf("no link %s", name)
	}
	return l
}

func isUp(m *Monitor, name string) func() bool {
	return func() bool { l, ok := m.Link(name); return ok && l.AdminUp && l.Carrier }
}

func isDown(m *Monitor, name string) func() bool {
	return func() bool { l, ok := m.Link(name); return ok && !(l.AdminUp && l.Carrier) }
}

func isGone(m *Monitor, name string) func() bool {
	return func() bool { _, ok := m.Link(name); return !ok }
}

func TestLinkAppearsWithAllThatIsKnownOfIt(t *testing.T) {
	n, far := newNS(t), newNS(t)
	m := follow(t, n)
	if l := link(t, m, "lo"); !l.Loopback || !l.AdminUp || !l.Carrier || l.Kind != "" {
		t.Errorf("lo is %+v", l)
	}
	if _, ok := m.Link("eth0"); ok {
		t.Error("a link that is not there")
	}
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{AMAC: macA, MTU: 1600}))
	eventually(t, m, "eth0 up", isUp(m, "eth0"))
	l := link(t, m, "eth0")
	want := Link{Name: "eth0", Index: l.Index, MTU: 1600, MAC: macA, AdminUp: true, Carrier: true, Multicast: true, Ethernet: true, Kind: "veth", Driver: "veth", StripsVLAN: true, XDP: l.XDP}
	if l != want {
		t.Errorf("link %+v, want %+v", l, want)
	}
}

func TestDownsCountsEachWayDown(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	m := follow(t, n)
	eventually(t, m, "up", isUp(m, "eth0"))
	start := link(t, m, "eth0").Downs

	must(t, n.SetDown("eth0"))
	eventually(t, m, "set down", isDown(m, "eth0"))
	must(t, n.SetUp("eth0"))
	eventually(t, m, "set up", isUp(m, "eth0"))
	if got := link(t, m, "eth0").Downs - start; got != 1 {
		t.Errorf("%d downs after being set down once", got)
	}
	must(t, far.SetDown("eth0"))
	eventually(t, m, "carrier lost", isDown(m, "eth0"))
	if l := link(t, m, "eth0"); !l.AdminUp || l.Carrier {
		t.Errorf("without its peer the link is %+v", l)
	}
	must(t, far.SetUp("eth0"))
	eventually(t, m, "carrier back", isUp(m, "eth0"))
	if got := link(t, m, "eth0").Downs - start; got != 2 {
		t.Errorf("%d downs after losing the carrier too", got)
	}
}

// Flaps that nobody looked at in between, also such as the kernel told of in
// one message.
func TestQuickFlapsAreNotMissed(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	m := opened(t, n)
	before := link(t, m, "eth0")
	const flaps = 10
	for range flaps {
		must(t, far.SetDown("eth0"))
		must(t, far.SetUp("eth0"))
	}
	run(t, m)
	eventually(t, m, "all flaps", func() bool {
		l := link(t, m, "eth0")
		return l.AdminUp && l.Carrier && l.Downs-before.Downs >= flaps
	})
	if l := link(t, m, "eth0"); l.Downs-before.Downs != flaps {
		t.Errorf("%d downs, want %d", l.Downs-before.Downs, flaps)
	}
	if m.syncs != 1 {
		t.Errorf("%d dumps: flaps must not be answered with dumps", m.syncs)
	}
}

func TestLinkDeletedAndMadeAgainIsAnother(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	m := follow(t, n)
	eventually(t, m, "up", isUp(m, "eth0"))
	before := link(t, m, "eth0")
	must(t, n.Delete("eth0"))
	eventually(t, m, "deleted", isGone(m, "eth0"))
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	eventually(t, m, "made again", isUp(m, "eth0"))
	if l := link(t, m, "eth0"); l.Index == before.Index || l.Downs <= before.Downs {
		t.Errorf("link %+v, was %+v: want another index and more downs", l, before)
	}
}

func TestLinkMovedAwayAndBackWasAway(t *testing.T) {
	n, far, other := newNS(t), newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	m := opened(t, n)
	before := link(t, m, "eth0")
	must(t, n.Move("eth0", other))
	must(t, other.Move("eth0", n)) // with its index, which is free
	must(t, n.SetUp("eth0"))
	run(t, m)
	eventually(t, m, "back", func() bool { return isUp(m, "eth0")() && link(t, m, "eth0").Downs > before.Downs })
}

func TestLinkRenamed(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	m := follow(t, n)
	eventually(t, m, "up", isUp(m, "eth0"))
	before := link(t, m, "eth0")
	must(t, n.Rename("eth0", "wan0"))
	eventually(t, m, "renamed", func() bool { _, ok := m.Link("wan0"); return ok })
	if _, ok := m.Link("eth0"); ok {
		t.Error("the old name is still known")
	}
	want := before
	want.Name = "wan0"
	if got := link(t, m, "wan0"); got != want {
		t.Errorf("link %+v, want %+v", got, want)
	}
}

func TestLinkEnslavedAndReleased(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	m := follow(t, n)
	must(t, n.Bridge("br0", "eth0"))
	eventually(t, m, "enslaved", func() bool { return link(t, m, "eth0").Master == "br0" })
	if l := link(t, m, "br0"); l.Kind != "bridge" || l.Master != "" {
		t.Errorf("bridge %+v", l)
	}
	must(t, n.Rename("br0", "lan"))
	eventually(t, m, "bridge renamed", func() bool { return link(t, m, "eth0").Master == "lan" })
	must(t, n.Release("eth0"))
	eventually(t, m, "released", func() bool { return link(t, m, "eth0").Master == "" })
	must(t, n.Enslave("eth0", "lan"))
	must(t, n.Delete("lan"))
	eventually(t, m, "bridge deleted", func() bool { return isGone(m, "lan")() && link(t, m, "eth0").Master == "" })
}

func TestLinkChangesMTUAndMAC(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{AMAC: macA}))
	m := follow(t, n)
	must(t, n.SetMTU("eth0", 1450))
	eventually(t, m, "MTU", func() bool { return link(t, m, "eth0").MTU == 1450 })
	must(t, n.SetMAC("eth0", macB))
	eventually(t, m, "MAC", func() bool { return link(t, m, "eth0").MAC == macB })
}

func holds(m *Monitor, addr, name string) func() bool {
	return func() bool {
		l, ok := m.Holder(netip.MustParseAddr(addr))
		return l.Name == name && ok == (name != "")
	}
}

func TestHolderFollowsTheAddress(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	must(t, netns.Veth(n, "eth1", far, "eth1", netns.VethOptions{}))
	m := follow(t, n)
	for _, c := range []struct{ addr, bits string }{{"192.0.2.1", "/24"}, {"2001:db8::1", "/64"}} {
		if !holds(m, c.addr, "")() {
			t.Errorf("%s is held by nobody yet", c.addr)
		}
		must(t, n.AddAddr("eth0", c.addr+c.bits))
		eventually(t, m, "added", holds(m, c.addr, "eth0"))
		must(t, n.DelAddr("eth0", c.addr+c.bits))
		eventually(t, m, "removed", holds(m, c.addr, ""))
		must(t, n.AddAddr("eth1", c.addr+c.bits))
		eventually(t, m, "moved", holds(m, c.addr, "eth1"))
	}
	// One address under two prefix lengths is held until both are gone.
	must(t, n.AddAddr("eth0", "192.0.2.9/24"))
	must(t, n.AddAddr("eth0", "192.0.2.9/32"))
	must(t, n.DelAddr("eth0", "192.0.2.9/24"))
	must(t, n.AddAddr("eth0", "192.0.2.10/24"))
	eventually(t, m, "a later address", holds(m, "192.0.2.10", "eth0"))
	if !holds(m, "192.0.2.9", "eth0")() {
		t.Error("the address is gone with one of its two prefix lengths")
	}
	// Of two holders the one that is up.
	must(t, n.AddAddr("eth0", "192.0.2.1/32"))
	eventually(t, m, "two holders", holds(m, "192.0.2.1", "eth0"))
	must(t, n.SetDown("eth0"))
	eventually(t, m, "the one that is up", holds(m, "192.0.2.1", "eth1"))
	must(t, n.Delete("eth1"))
	eventually(t, m, "the one that is left", holds(m, "192.0.2.1", "eth0"))
	if !holds(m, "127.0.0.1", "lo")() {
		t.Error("lo does not hold 127.0.0.1")
	}
}

// An address under duplicate address detection cannot be bound to.
func TestHolderWaitsForDuplicateAddressDetection(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	must(t, n.AddAddr("eth0", "2001:db8:ffff::1/64")) // turns IPv6 on
	must(t, n.Sysctl("ipv6/conf/eth0/accept_dad", "1"))
	must(t, n.Sysctl("ipv6/conf/eth0/dad_transmits", "10000"))
	m := follow(t, n)
	must(t, n.Do(func() error { return addWithDAD("eth0", "2001:db8::1/64") }))
	must(t, n.AddAddr("eth0", "192.0.2.1/24"))
	eventually(t, m, "a later address", holds(m, "192.0.2.1", "eth0"))
	if l, ok := m.Holder(netip.MustParseAddr("2001:db8::1")); ok {
		t.Errorf("%s holds a tentative address", l.Name)
	}
}

// underlay is n with und0 192.0.2.1/24 and 2001:db8::1/64 towards a router.
func underlay(t *testing.T) (n, far *netns.NS) {
	t.Helper()
	n, far = newNS(t), newNS(t)
	must(t, netns.Veth(n, "und0", far, "und0", netns.VethOptions{MTU: 1600, AMAC: macA, BMAC: macB}))
	for _, a := range []struct {
		ns   *netns.NS
		addr string
	}{{n, "192.0.2.1/24"}, {far, "192.0.2.254/24"}, {n, "2001:db8::1/64"}, {far, "2001:db8::ff/64"}} {
		must(t, a.ns.AddAddr("und0", a.addr))
	}
	return n, far
}

func TestPathIsTheRoutes(t *testing.T) {
	n, _ := underlay(t)
	m := follow(t, n)
	for _, c := range []struct{ name, src, direct, behind, net, via string }{
		{"IPv4", "192.0.2.1", "192.0.2.7", "203.0.113.7", "203.0.113.0/24", "192.0.2.254"},
		{"IPv6", "2001:db8::1", "2001:db8::7", "2001:db8:1::7", "2001:db8:1::/64", "2001:db8::ff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, direct, behind := netip.MustParseAddr(c.src), netip.MustParseAddr(c.direct), netip.MustParseAddr(c.behind)
			index := link(t, m, "und0").Index
			expect := func(dst, src netip.Addr, want Path) {
				t.Helper()
				want.Link, want.LinkIndex, want.Plain = "und0", index, true
				got, err := m.Path(dst, src)
				got.MAC = frame.MAC{} // has a test of its own
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("path to %v: %+v, %v, want %+v", dst, got, err, want)
				}
			}
			expect(direct, src, Path{MTU: 1600})
			expect(direct, netip.Addr{}, Path{MTU: 1600})
			if _, err := m.Path(behind, src); !errors.Is(err, unix.ENETUNREACH) || !strings.Contains(err.Error(), "no route to "+c.behind) {
				t.Errorf("without a route: %v", err)
			}
			via := netip.MustParseAddr(c.via)
			must(t, n.AddRoute(netns.Route{To: c.net, Via: c.via}))
			expect(behind, src, Path{MTU: 1600, Via: via})
			must(t, n.ReplaceRoute(netns.Route{To: c.net, Via: c.via, MTU: 1400}))
			expect(behind, src, Path{MTU: 1400, Via: via})
			must(t, n.ReplaceRoute(netns.Route{To: c.net, Via: c.via, MTU: 9000}))
			expect(behind, src, Path{MTU: 1600, Via: via})
			must(t, n.DelRoute(netns.Route{To: c.net}))
			for kind, want := range map[string]error{"blackhole": unix.EINVAL, "unreachable": unix.EHOSTUNREACH, "prohibit": unix.EACCES} {
				r := netns.Route{To: c.net, Kind: kind}
				must(t, n.AddRoute(r))
				if _, err := m.Path(behind, src); !errors.Is(err, want) || !strings.Contains(err.Error(), kind) {
					t.Errorf("through a %s route: %v", kind, err)
				}
				must(t, n.DelRoute(r))
			}
		})
	}
}

// What a router has said about the path's MTU counts (RFC 1191, RFC 8201).
func TestPathKnowsWhatPathMTUDiscoveryLearned(t *testing.T) {
	n, router := underlay(t)
	behind := newNS(t)
	must(t, netns.Veth(router, "narrow", behind, "eth0", netns.VethOptions{MTU: 1400}))
	must(t, router.Forward())
	for _, c := range []struct{ dst, bits, hop, net, via, back string }{
		{"203.0.113.7", "/24", "203.0.113.1", "203.0.113.0/24", "192.0.2.254", "192.0.2.0/24"},
		{"2001:db8:1::7", "/64", "2001:db8:1::1", "2001:db8:1::/64", "2001:db8::ff", "2001:db8::/64"},
	} {
		must(t, router.AddAddr("narrow", c.hop+c.bits))
		must(t, behind.AddAddr("eth0", c.dst+c.bits))
		must(t, behind.AddRoute(netns.Route{To: c.back, Via: c.hop}))
		must(t, n.AddRoute(netns.Route{To: c.net, Via: c.via}))
	}
	m := follow(t, n)
	for _, dst := range []string{"203.0.113.7", "2001:db8:1::7"} {
		to := netip.MustParseAddr(dst)
		if p, err := m.Path(to, netip.Addr{}); err != nil || p.MTU != 1600 {
			t.Fatalf("before: %+v, %v", p, err)
		}
		for end := time.Now().Add(patience); ; {
			// Too long for the router, which says so.
			if got, err := n.Ping(t.Context(), to, 1, netns.PingOptions{Size: 1472, DF: true, Timeout: 20 * time.Millisecond}); got != 0 {
				t.Fatalf("ping: %d answers, %v", got, err)
			}
			p, err := m.Path(to, netip.Addr{})
			if err == nil && p.MTU == 1400 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after: %+v, %v", p, err)
			}
		}
	}
}

func TestPathFromAnAddressThatIsNotHere(t *testing.T) {
	n, _ := underlay(t)
	m := follow(t, n)
	_, err := m.Path(netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.99"))
	if err == nil || !strings.Contains(err.Error(), "no interface holds 192.0.2.99") {
		t.Errorf("error %v", err)
	}
	for _, c := range [][2]string{{"192.0.2.7", "2001:db8::1"}, {"2001:db8::7", "192.0.2.1"}} {
		if p, err := m.Path(netip.MustParseAddr(c[0]), netip.MustParseAddr(c[1])); err == nil {
			t.Errorf("path from %s to %s: %+v", c[1], c[0], p)
		}
	}
	if p, err := m.Path(netip.Addr{}, netip.Addr{}); err == nil {
		t.Errorf("path to nowhere: %+v", p)
	}
}

func TestPathOfAGroupAndOfTheHostItself(t *testing.T) {
	n, _ := underlay(t)
	m := follow(t, n)
	src := netip.MustParseAddr("192.0.2.1")
	if p, err := m.Path(netip.MustParseAddr("239.1.1.1"), src); err != nil || p.Link != "und0" || p.MTU != 1600 {
		t.Errorf("path to a group: %+v, %v", p, err)
	}
	if p, err := m.Path(src, src); err != nil || p.Link != "lo" {
		t.Errorf("path to itself: %+v, %v", p, err)
	}
}

func TestRouteChangesAreSignalled(t *testing.T) {
	n, _ := underlay(t)
	m := follow(t, n)
	dst := netip.MustParseAddr("203.0.113.7")
	mtu := func(want int) func() bool {
		return func() bool {
			p, err := m.Path(dst, netip.Addr{})
			return err == nil && p.MTU == want || err != nil && want == 0
		}
	}
	r := netns.Route{To: "203.0.113.0/24", Via: "192.0.2.254"}
	must(t, n.AddRoute(r))
	eventually(t, m, "added", mtu(1600))
	r.MTU = 1400
	must(t, n.ReplaceRoute(r))
	eventually(t, m, "replaced", mtu(1400))
	must(t, n.ReplaceRoute(netns.Route{To: r.To, Kind: "blackhole"}))
	eventually(t, m, "blackholed", mtu(0))
}

func TestPathKnowsTheNextHopsMAC(t *testing.T) {
	n, _ := underlay(t)
	m := follow(t, n)
	must(t, n.AddRoute(netns.Route{To: "203.0.113.0/24", Via: "192.0.2.254"}))
	for _, c := range []struct{ hop, dst string }{{"192.0.2.254", "203.0.113.7"}, {"2001:db8::ff", "2001:db8::ff"}} {
		if got, err := n.Ping(t.Context(), netip.MustParseAddr(c.hop), 1, netns.PingOptions{Timeout: patience}); got != 1 || err != nil {
			t.Fatalf("ping: %d, %v", got, err)
		}
		eventually(t, m, "resolved", func() bool {
			p, err := m.Path(netip.MustParseAddr(c.dst), netip.Addr{})
			return err == nil && p.MAC == macB
		})
	}
	must(t, n.SetDown("und0")) // forgets its neighbours
	eventually(t, m, "forgotten", func() bool {
		m.mu.RLock()
		defer m.mu.RUnlock()
		return len(m.state.neighbours) == 0
	})
}

func TestVXLANOnNamesTheDeviceThatHasThePort(t *testing.T) {
	n, far := underlay(t)
	m := follow(t, n)
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	on := func(port uint16, a netip.Addr, want string) func() bool {
		return func() bool { got, ok := m.VXLANOn(port, a); return got == want && ok == (want != "") }
	}
	must(t, n.VXLAN(netns.VXLANConfig{Name: "vx4", VNI: 1, Local: v4, Port: 4789}))
	eventually(t, m, "IPv4", on(4789, v4, "vx4"))
	if !on(4789, netip.MustParseAddr("192.0.2.99"), "vx4")() {
		t.Error("the port is taken on every IPv4 address")
	}
	if !on(4789, v6, "")() || !on(8472, v4, "")() {
		t.Error("another family or port is free")
	}
	must(t, n.VXLAN(netns.VXLANConfig{Name: "vx6", VNI: 2, Local: v6, Port: 4789}))
	eventually(t, m, "IPv6", on(4789, v6, "vx6"))
	must(t, n.SetDown("vx4"))
	eventually(t, m, "down it has no socket", on(4789, v4, ""))
	must(t, n.SetUp("vx4"))
	eventually(t, m, "up again", on(4789, v4, "vx4"))
	must(t, n.Delete("vx4"))
	eventually(t, m, "deleted", on(4789, v4, ""))

	// A device that was made elsewhere has its socket there.
	must(t, far.VXLAN(netns.VXLANConfig{Name: "vx9", VNI: 9, Local: netip.MustParseAddr("192.0.2.254"), Port: 4789}))
	must(t, far.Move("vx9", n))
	must(t, n.SetUp("vx9"))
	eventually(t, m, "moved in", isUp(m, "vx9"))
	if !on(4789, v4, "")() {
		t.Error("a device whose socket is in another namespace is blamed")
	}
}

// The kernel drops notifications; afterwards everything is as it is.
func TestLostNotificationsAreMadeUpFor(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	must(t, netns.Veth(n, "eth1", far, "eth1", netns.VethOptions{}))
	must(t, n.AddAddr("eth0", "192.0.2.1/24"))
	m := opened(t, n)
	before := link(t, m, "eth0")
	must(t, m.events.raw.Control(func(fd uintptr) { setRoom(int(fd), 1) })) // the kernel's least

	const storm = 200
	for i := range storm {
		must(t, n.SetMTU("eth0", 1400+i))
	}
	// All of this is lost, the socket is full.
	must(t, far.SetDown("eth0"))
	must(t, far.SetUp("eth0"))
	must(t, n.Delete("eth1"))
	must(t, netns.Veth(n, "eth2", far, "eth2", netns.VethOptions{}))
	must(t, n.DelAddr("eth0", "192.0.2.1/24"))
	must(t, n.AddAddr("eth2", "192.0.2.1/24"))

	run(t, m)
	eventually(t, m, "all that was lost", func() bool {
		l := link(t, m, "eth0")
		return l.MTU == 1400+storm-1 && l.AdminUp && l.Carrier && l.Downs == before.Downs+1 &&
			isGone(m, "eth1")() && isUp(m, "eth2")() && holds(m, "192.0.2.1", "eth2")()
	})
	if m.losses == 0 {
		t.Error("nothing was lost: this test shows nothing")
	}
	// A socket that has overflowed must hear again.
	must(t, n.SetMTU("eth2", 1234))
	eventually(t, m, "later news", func() bool { return link(t, m, "eth2").MTU == 1234 })
}

// Whatever happens while it is read, in the end it knows what is.
func TestStormWhileItRuns(t *testing.T) {
	n, far := newNS(t), newNS(t)
	m := opened(t, n)
	must(t, m.events.raw.Control(func(fd uintptr) { setRoom(int(fd), 1) }))
	run(t, m)
	const links, rounds = 8, 5
	for round := range rounds {
		for i := range links {
			dev := fmt.Sprintf("eth%d", i)
			must(t, netns.Veth(n, dev, far, dev, netns.VethOptions{}))
			for k := range 10 {
				must(t, n.SetMTU(dev, 1300+k))
			}
			must(t, n.AddAddr(dev, fmt.Sprintf("192.0.2.%d/32", i)))
			if round < rounds-1 || i%2 == 1 {
				must(t, n.Delete(dev))
			}
		}
	}
	for i := range links {
		dev, addr := fmt.Sprintf("eth%d", i), fmt.Sprintf("192.0.2.%d", i)
		if i%2 == 1 {
			eventually(t, m, dev+" gone", func() bool { return isGone(m, dev)() && holds(m, addr, "")() })
			continue
		}
		eventually(t, m, dev+" there", func() bool { return isUp(m, dev)() && link(t, m, dev).MTU == 1309 && holds(m, addr, dev)() })
	}
}

// Each Monitor speaks to the namespace it was opened in, whatever threads its
// methods and Run are on.
func TestTwoNamespacesInOneProcess(t *testing.T) {
	n1, n2 := newNS(t), newNS(t)
	m1, m2 := follow(t, n1), follow(t, n2)
	must(t, netns.Veth(n1, "one", n2, "two", netns.VethOptions{MTU: 1600}))
	must(t, n1.AddAddr("one", "192.0.2.1/24"))
	must(t, n2.AddAddr("two", "198.51.100.1/24"))
	eventually(t, m1, "one", func() bool { return isUp(m1, "one")() && holds(m1, "192.0.2.1", "one")() })
	eventually(t, m2, "two", func() bool { return isUp(m2, "two")() && holds(m2, "198.51.100.1", "two")() })
	if !isGone(m1, "two")() || !isGone(m2, "one")() {
		t.Error("a Monitor sees the other's links")
	}
	if p, err := m1.Path(netip.MustParseAddr("192.0.2.7"), netip.Addr{}); err != nil || p.Link != "one" {
		t.Errorf("path in the first: %+v, %v", p, err)
	}
	if p, err := m2.Path(netip.MustParseAddr("198.51.100.7"), netip.Addr{}); err != nil || p.Link != "two" {
		t.Errorf("path in the second: %+v, %v", p, err)
	}
	// A dump must go to the right one, too.
	for _, m := range []*Monitor{m1, m2} {
		dump, complete, err := m.dumper.dump()
		if err != nil || !complete {
			t.Fatalf("dump: complete %v, %v", complete, err)
		}
		s := newState()
		s.replace(dump)
		if len(s.devices) != 2 || len(s.xdp) > 0 && len(s.xdp) != 2 {
			t.Errorf("a dump of %d devices, want lo and one end of the wire", len(s.devices))
		}
	}
}

func TestAfterClose(t *testing.T) {
	n, _ := underlay(t)
	m := opened(t, n)
	must(t, m.Close())
	must(t, m.Close())
	if l := link(t, m, "und0"); l.MTU != 1600 {
		t.Errorf("what was known is forgotten: %+v", l)
	}
	if _, err := m.Path(netip.MustParseAddr("192.0.2.7"), netip.Addr{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("path: %v, want os.ErrClosed", err)
	}
	if err := m.Run(t.Context()); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// What was missed for whatever reason is put right by the next full reading.
func TestPeriodicReadingPutsThingsRight(t *testing.T) {
	n, _ := underlay(t)
	m := opened(t, n)
	m.state = newState()
	m.state.names["und0"] = 99
	m.state.devices[99] = device{Link: Link{Name: "und0", Index: 99, Downs: 7}}
	m.state.held[address{99, netip.MustParseAddr("192.0.2.9"), 24}] = struct{}{}
	m.nextSync = time.Now()
	run(t, m)
	eventually(t, m, "the truth", func() bool {
		l, ok := m.Link("und0")
		return ok && l.Index != 99 && l.Downs > 7 && holds(m, "192.0.2.1", "und0")() && holds(m, "192.0.2.9", "")()
	})
}

func TestRunGivesUpWhenItCannotRead(t *testing.T) {
	m := opened(t, newNS(t))
	m.dumper.close()
	for i := 1; i < maxFailures; i++ {
		if err := m.sync(); err != nil {
			t.Fatalf("gave up after %d failures: %v", i, err)
		}
	}
	if m.sync() == nil {
		t.Errorf("no error after %d failures", maxFailures)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	m := opened(t, newNS(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}
