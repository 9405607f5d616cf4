package faults

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// broadcasts sends frames out of the host's device that are flooded.
func (b *bed) broadcasts(t testing.TB, count, size int) {
	t.Helper()
	f := make([]byte, size)
	copy(f, packet.Numbered(frame.Broadcast, hostMAC, 1))
	frames := make([][]byte, count)
	for i := range frames {
		frames[i] = f
	}
	must(t, b.host.Send("eth0", frames...))
}

// TestRefusedByTheKernel holds that what the kernel refuses to send is counted
// exactly, told of once with what to do about it, and over when the cause is.
func TestRefusedByTheKernel(t *testing.T) {
	const frames = 20
	tests := []struct {
		name   string
		spoil  func(*testing.T, *bed)
		mend   func(*testing.T, *bed)
		size   int
		reason string
		says   []string

		underlay string // more of [underlay]
		noPath   bool   // until the gateway knows, it sends where the VTEP was
	}{
		{"no route", noRoute(""), route, 100, "tx_failed", []string{"network is unreachable", "ip route get"}, "", true},
		{"prohibit route", noRoute("prohibit"), route, 100, "tx_failed", []string{"prohibit route", "ip rule"}, "", true},
		{"unreachable route", noRoute("unreachable"), route, 100, "tx_failed", []string{"unreachable route", "ip route get"}, "", true},
		{"firewall", firewall, noFirewall, 100, "tx_failed", []string{"firewall", "nft list ruleset"}, "bypass = false", false},
		{"narrow underlay", mtu(600), mtu(1600), 1400, "too_big", []string{"raise"}, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBed(t)
			b.viaRouter(t)
			d := start(t, b.gw, settings{flood: `"203.0.113.2"`, underlay: test.underlay})
			b.pings(t)
			test.spoil(t, b)
			if test.noPath {
				until(t, "the gateway knows", func() error {
					if mtu := rows[api.VTEPRow](d, "vteps")[0].MTU; mtu != 0 {
						return fmt.Errorf("the path has an MTU: %d", mtu)
					}
					return nil
				})
			}
			before := d.drops(test.reason, "access")
			b.broadcasts(t, frames, test.size)
			until(t, "the frames are counted", func() error {
				if n := d.drops(test.reason, "access") - before; n < frames {
					return fmt.Errorf("%d of %d", n, frames)
				}
				return nil
			})
			if n := d.drops(test.reason, "access") - before; n != frames {
				t.Errorf("%d frames were counted %d times", frames, n)
			}
			d.says(append(test.says, "level=WARN")...)
			if n := d.lines("packets lost at the underlay"); n > 1 {
				t.Errorf("it was said %d times", n)
			}
			test.mend(t, b)
			b.pings(t)
			nothingRaw(t, d.err.String())
		})
	}
}

const farNet = "203.0.113.0/24"

var farVTEP = netip.MustParseAddr("203.0.113.2")

// viaRouter moves the peer's VTEP behind a route.
func (b *bed) viaRouter(t *testing.T) {
	t.Helper()
	must(t, b.peer.Delete("vx0"))
	must(t, b.peer.AddAddr("und0", "203.0.113.2/32"))
	must(t, b.peer.VXLAN(netns.VXLANConfig{Name: "vx0", VNI: vni, Local: farVTEP, Remotes: []netip.Addr{gwAddr}, Master: "br0"}))
	must(t, b.gw.AddRoute(netns.Route{To: farNet, Via: peerAddr.String()}))
}

func noRoute(kind string) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		must(t, b.gw.DelRoute(netns.Route{To: farNet, Via: peerAddr.String()}))
		if kind != "" {
			must(t, b.gw.AddRoute(netns.Route{To: farNet, Kind: kind}))
		}
	}
}

func route(t *testing.T, b *bed) {
	must(t, b.gw.ReplaceRoute(netns.Route{To: farNet, Via: peerAddr.String()}))
}

func mtu(n int) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) { must(t, b.gw.SetMTU("und0", n)) }
}

func firewall(t *testing.T, b *bed) {
	command(t, b.gw, "nft", "add table ip f; add chain ip f o { type filter hook output priority 0; }; add rule ip f o udp dport 4789 drop")
}

func noFirewall(t *testing.T, b *bed) { command(t, b.gw, "nft", "delete table ip f") }

// command runs a program that is not everywhere.
func command(t *testing.T, ns *netns.NS, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("needs the program %s", name)
	}
	if out, err := ns.Command(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Skipf("%s %v: %v: %s", name, args, err, out)
	}
}

// TestSlowUnderlay holds that a device that takes less than comes is told of,
// and what it does not take is counted.
func TestSlowUnderlay(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	b.pings(t)
	command(t, b.gw, "tc", "qdisc", "add", "dev", "und0", "root", "tbf", "rate", "8kbit", "burst", "1600", "limit", "1600")
	const frames = 200
	sent := rows[api.VTEPRow](d, "vteps")[0].TxPackets
	b.broadcasts(t, frames, 1000)
	until(t, "all is sent or counted", func() error {
		lost, is := d.drops("tx_failed", "access"), rows[api.VTEPRow](d, "vteps")[0].TxPackets
		if lost == 0 || lost+is-sent < frames {
			return fmt.Errorf("%d sent, %d lost", is-sent, lost)
		}
		return nil
	})
	d.says("packets lost at the underlay", "no buffer space", "look at its speed")
	if n := d.lines("packets lost at the underlay"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	command(t, b.gw, "tc", "qdisc", "del", "dev", "und0", "root")
	b.pings(t)
}

// TestOverflow holds that what comes while nobody reads is counted, told of, and
// forgotten: the next frames pass.
func TestOverflow(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	b.pings(t)
	const frames = 8000 // of 1400 bytes: more than a socket's buffer of 4 MiB holds
	before, err := b.gw.Stats("acc1")
	must(t, err)
	read := rows[api.PortRow](d, "ports")[0].RxPackets
	d.signal(syscall.SIGSTOP)
	b.broadcasts(t, frames, 1400)
	d.signal(syscall.SIGCONT)
	b.pings(t)
	until(t, "every frame is read or counted", func() error {
		after, err := b.gw.Stats("acc1")
		must(t, err)
		lost, is := d.drops("rx_overflow", "access"), rows[api.PortRow](d, "ports")[0].RxPackets
		if came := after.RxPackets - before.RxPackets; lost == 0 || lost+is-read != came {
			return fmt.Errorf("%d came, %d read, %d lost", came, is-read, lost)
		}
		return nil
	})
	d.says("rx_overflow", "direction=access", "mend=")
}

// TestExplainAgrees holds that a frame meets what was explained.
func TestExplainAgrees(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	tag := []byte{0x81, 0, 0, 20}
	plain := packet.Numbered(frame.Broadcast, hostMAC, 1)
	tagged := append(append(append([]byte{}, plain[:12]...), tag...), plain[12:]...)
	group := packet.Numbered(frame.Broadcast, frame.MAC{1, 0, 0, 0, 0, 1}, 1)
	reserved := packet.Numbered(frame.MAC{1, 0x80, 0xc2, 0, 0, 3}, hostMAC, 1)
	for reason, f := range map[string][]byte{"tagged_frame": tagged, "source_multicast": group, "reserved_destination": reserved} {
		hex := fmt.Sprintf("%x", f)
		for _, args := range [][]string{{"--port", "acc1", hex}, {"--port", "acc1", "--vni", "10010", hex}} {
			out, errs, code := tool(t, nil, append([]string{"explain", "--socket", d.socket}, args...)...)
			if code != 0 || !contains(out, "verdict: drop ("+reason+")", "mend: ") {
				t.Errorf("%s: exit %d\n%s%s", reason, code, out, errs)
			}
		}
		if n := d.drops(reason, "access"); n != 0 {
			t.Errorf("%s: explaining counted %d", reason, n)
		}
		must(t, b.host.Send("eth0", f))
		until(t, reason+" is counted", func() error {
			if n := d.drops(reason, "access"); n != 1 {
				return fmt.Errorf("%d times", n)
			}
			return nil
		})
	}
	for _, test := range []struct {
		says string
		args []string
	}{
		{"not 10011", []string{"--port", "acc1", "--vni", "10011", "ff"}},
		{"no access port", []string{"--port", "eth9", "ff"}},
	} {
		out, errs, code := tool(t, nil, append([]string{"explain", "--socket", d.socket}, test.args...)...)
		if code != 1 || out != "" || !contains(errs, test.says) {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
	}
	for _, test := range []struct {
		says []string
		args []string
	}{
		{[]string{"1 byte: ", "too_short"}, []string{"--port", "acc1", "ff"}},
		{[]string{"VID 20", "inner_vlan"}, []string{"--vtep", "192.0.2.2", "--vni", "10010", fmt.Sprintf("%x", tagged)}},
		{[]string{"vtep_not_allowed"}, []string{"--vtep", "192.0.2.3", "--vni", "10010", "ff"}},
		{[]string{"unknown_vni"}, []string{"--vtep", "192.0.2.2", "--vni", "5", "ff"}},
		{[]string{"verdict: flood", "copy to vtep 192.0.2.2"}, []string{"--port", "acc1", fmt.Sprintf("%x", plain)}},
	} {
		out, errs, code := tool(t, nil, append([]string{"explain", "--socket", d.socket}, test.args...)...)
		if code != 0 || !contains(out, test.says...) {
			t.Errorf("%v: exit %d\n%s%s", test.args, code, out, errs)
		}
		nothingRaw(t, out)
	}
}

// contains reports whether text has all of the words.
func contains(text string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
