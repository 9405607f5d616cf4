package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// vswitch is Open vSwitch with its data path in userspace, which takes no kernel
// module. It keeps everything in a directory of its own.
//
//	und0 --- br-und, which has the VTEP's address    br-int --- acc0
//	           `............ vxlan ...................'
type vswitch struct {
	t   testing.TB
	ns  *netns.NS
	dir string
	log output
}

// ovsSchema is where Debian and most others have that of the database.
const ovsSchema = "/usr/share/openvswitch/vswitch.ovsschema"

// newVSwitch starts it, and ends it with the test.
func newVSwitch(t testing.TB, ns *netns.NS) *vswitch {
	t.Helper()
	v := &vswitch{t: t, ns: ns, dir: t.TempDir()}
	v.tool("ovsdb-tool", "create", v.file("conf.db"), ovsSchema)
	v.daemon("ovsdb-server", v.file("conf.db"), "--remote=p"+v.database())
	eventually(t, "the database listens", func() bool { _, err := os.Stat(v.file("db.sock")); return err == nil })
	v.daemon("ovs-vswitchd", v.database(), "--disable-system")
	return v
}

func (v *vswitch) file(name string) string { return filepath.Join(v.dir, name) }

func (v *vswitch) database() string { return "unix:" + v.file("db.sock") }

// command prepares a program of Open vSwitch to run in its namespace and directory.
func (v *vswitch) command(program string, args ...string) *netns.Cmd {
	cmd := v.ns.Command(context.Background(), program, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+v.dir, "OVS_DBDIR="+v.dir, "OVS_LOGDIR="+v.dir, "OVS_SYSCONFDIR="+v.dir)
	return cmd
}

// tool runs a program that soon ends, and returns what it prints.
func (v *vswitch) tool(program string, args ...string) string {
	v.t.Helper()
	out, err := v.command(program, args...).CombinedOutput()
	if err != nil {
		v.t.Fatalf("%s %s: %v\n%s\n%s", program, strings.Join(args, " "), err, out, v.log.String())
	}
	return string(out)
}

func (v *vswitch) daemon(program string, args ...string) {
	v.t.Helper()
	cmd := v.command(program, append(args, "--unixctl="+v.file(program+".ctl"), "--pidfile="+v.file(program+".pid"), "--verbose=syslog:off", "--verbose=console:warn")...)
	cmd.Stdout, cmd.Stderr = &v.log, &v.log
	must(v.t, cmd.Start())
	v.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		force := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer force.Stop()
		_ = cmd.Wait() // it may have no other way to end than by the signal
	})
}

// configure tells the switch in ovs-vsctl's words what to be, a command a line.
func (v *vswitch) configure(lines ...string) {
	v.t.Helper()
	args := []string{"--db=" + v.database(), "--timeout=60"}
	for _, line := range lines {
		args = append(args, append([]string{"--"}, strings.Fields(line)...)...)
	}
	v.tool("ovs-vsctl", args...)
}

// fdb returns the bridge's forwarding table.
func (v *vswitch) fdb(bridge string) string {
	v.t.Helper()
	return v.tool("ovs-appctl", "--target="+v.file("ovs-vswitchd.ctl"), "fdb/show", bridge)
}

// behindVSwitch is two hosts, the gateway, and Open vSwitch as the VTEP.
//
//	h1 eth0 --- acc1 gw und0 --- und0 Open vSwitch acc0 --- eth0 h2
type behindVSwitch struct {
	h1, h2 *host
	remote netip.Addr // Open vSwitch as a VTEP
	*gateway
	*vswitch
}

// newBehindVSwitch builds it over IPv4 or IPv6. underlay is lines of the gateway's
// [underlay], tunnel options of Open vSwitch's.
func newBehindVSwitch(t *testing.T, six bool, underlay, tunnel string) *behindVSwitch {
	t.Helper()
	for _, program := range []string{"ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-appctl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%v; openvswitch-switch is a package `make test` provides", err)
		}
	}
	own, bits := gwAddr, "/24"
	b := &behindVSwitch{h1: newHost(t, 1), h2: newHost(t, 2), remote: vtepA}
	if six {
		own, bits, b.remote = gwSix, "/64", vtepSix
	}
	ns, ovs := newNS(t), newNS(t)
	wire(t, b.h1.NS, "eth0", ns, "acc1", netns.VethOptions{AMAC: h1MAC})
	// The bridge has peerMAC. The wire has another, or the kernel would answer what
	// comes for the bridge, which it hears too, that nobody listens.
	wire(t, ns, "und0", ovs, "und0", netns.VethOptions{AMAC: gwMAC, MTU: 1600})
	wire(t, ovs, "acc0", b.h2.NS, "eth0", netns.VethOptions{BMAC: h2MAC})
	// Its tunnels take neither super-frames nor checksums that are left to a device.
	for _, h := range []*host{b.h1, b.h2} {
		must(t, h.Offloads("eth0", false))
	}
	must(t, ns.AddAddr("und0", own.String()+bits))

	b.vswitch = newVSwitch(t, ovs)
	b.configure(
		"add-br br-und", "set bridge br-und datapath_type=netdev other_config:hwaddr="+fmt.Sprintf("%q", peerMAC.String()),
		"add-port br-und und0",
		"add-br br-int", "set bridge br-int datapath_type=netdev",
		"add-port br-int acc0",
		"add-port br-int vx0",
		fmt.Sprintf("set interface vx0 type=vxlan options:key=%d options:remote_ip=%v options:local_ip=%v %s", vni, own, b.remote, tunnel),
	)
	must(t, ovs.SetMTU("br-und", 1600))
	must(t, ovs.AddAddr("br-und", b.remote.String()+bits))
	must(t, ovs.SetUp("br-und"))
	b.gateway = start(t, ns, fmt.Sprintf("[underlay]\naddress = %q\n%s\n[[vni]]\nid = %d\nvlan = 10\nflood = [%q]\n[[port]]\ninterface = \"acc1\"\nvlan = 10\n",
		own, underlay, vni, b.remote)).forwards()
	return b
}

// met has h2 speak until h1 hears it, and the other way round. Open vSwitch loses what
// it has for a VTEP whose MAC address it has yet to ask for, and learns a host a moment
// after it has carried its frame.
func (b *behindVSwitch) met(t *testing.T) {
	t.Helper()
	for _, way := range []struct {
		from, to *host
		src      frame.MAC
	}{{b.h2, b.h1, h2MAC}, {b.h1, b.h2, h1MAC}} {
		at := capture(t, way.to.NS, "eth0")
		eventually(t, "a frame comes through", func() bool {
			must(t, way.from.Send("eth0", packet.Numbered(frame.Broadcast, way.src, firstFence)))
			return at.Count(func(f []byte) bool { n, ok := number(f); return ok && n == firstFence }) > 0
		})
		must(t, at.Close())
	}
	eventually(t, "Open vSwitch knows both hosts", func() bool {
		known := b.fdb("br-int")
		return strings.Contains(known, h1MAC.String()) && strings.Contains(known, h2MAC.String())
	})
}

// Open vSwitch as the remote VTEP: frames of both directions come out as they went in,
// once each, both sides count the same, and hosts speak to each other as on one wire.
func TestOpenVSwitch(t *testing.T) {
	t.Parallel()
	netns.Require(t)
	for _, tc := range []struct {
		name             string
		six              bool
		underlay, tunnel string
	}{
		{"as it comes", false, "", ""},
		{"with UDP checksums, strict", false, "udp_checksum = true\nreserved_bits = \"strict\"", "options:csum=true"},
		{"IPv6", true, "", ""},
		{"IPv6, no UDP checksums from the gateway", true, "udp_checksum = false", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBehindVSwitch(t, tc.six, tc.underlay, tc.tunnel)
			b.met(t)
			b.exact(t)
			b.h1.configure(t)
			b.h2.configure(t)
			everything(t, b.h1, b.h2, 1<<20)
			b.wantDrops(drops{})
		})
	}
}

// exact sends numbered frames both ways, and wants just these, byte for byte, and the
// gateway's counters to say so.
func (b *behindVSwitch) exact(t *testing.T) {
	t.Helper()
	const count = 500
	at1, at2 := capture(t, b.h1.NS, "eth0"), capture(t, b.h2.NS, "eth0")
	out, in := numbered(h2MAC, h1MAC, 0, count), numbered(h1MAC, h2MAC, count, count)
	before := b.vtep(b.remote.String())
	// In pieces: Open vSwitch has room for so many frames on a wire, and no more.
	for i := 0; i < count; i += 50 {
		must(t, b.h1.Send("eth0", out[i:i+50]...))
		must(t, b.h2.Send("eth0", in[i:i+50]...))
		must(t, at2.Wait(i+50, patience))
		must(t, at1.Wait(i+50, patience))
	}
	fence(t, h1MAC, from(t, b.h1.NS, "eth0"), at2)
	fence(t, h2MAC, from(t, b.h2.NS, "eth0"), at1)
	wantFrames(t, got(at2), out)
	wantFrames(t, got(at1), in)
	eventually(t, "the gateway has counted them", func() bool {
		is := b.vtep(b.remote.String())
		return is.TxPackets-before.TxPackets == count+1 && is.RxPackets-before.RxPackets == count+1 &&
			is.TxBytes-before.TxBytes == uint64((count+1)*len(out[0])) && is.RxBytes-before.RxBytes == uint64((count+1)*len(in[0]))
	})
	if v := b.vtep(b.remote.String()); v.Address != b.remote.String() || b.gateway.macs()[fmt.Sprintf("%d %v", vni, h2MAC)] != "vtep "+b.remote.String() {
		t.Errorf("h2 is not behind Open vSwitch: %+v, %v", v, b.gateway.macs())
	}
}

// What Open vSwitch sends has the outer header that docs/interop.md says it has.
func TestOpenVSwitchOuterHeader(t *testing.T) {
	t.Parallel()
	netns.Require(t)
	for _, tc := range []struct {
		name, tunnel string
		ttl, df      byte
		zero         bool // UDP checksum
	}{
		{"as it comes", "", 64, 0x40, true},
		{"otherwise", "options:csum=true options:df_default=false options:ttl=33", 33, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBehindVSwitch(t, false, "", tc.tunnel)
			at := capture(t, b.vswitch.ns, "und0", netns.Outgoing(), netns.Only(func(f []byte) bool { return isUDP(f) && vxlanPacket(f).ip().Src() == vtepA }))
			b.met(t)
			ports := make(map[uint16]bool)
			for i := range uint16(64) {
				from, to := netip.AddrPortFrom(b.h2.four, 1000+i), netip.AddrPortFrom(b.h1.four, 7)
				must(t, b.h2.Send("eth0", packet.UDP(h1MAC, h2MAC, from, to, []byte("some bytes"))))
			}
			must(t, at.WaitMatch(64, func(f []byte) bool { return isUDP(inner(f)) }, patience))
			for _, f := range at.Frames() {
				p := vxlanPacket(f)
				ports[p.sport()] = true
				if f[22] != tc.ttl || f[20]&0x40 != tc.df || (f[40] == 0 && f[41] == 0) != tc.zero || f[42] != 8 || p.dport() != vxlanPort {
					t.Fatalf("outer header % x", f[:outerLen])
				}
			}
			if len(ports) < 32 {
				t.Errorf("%d source ports for 64 flows", len(ports))
			}
			b.wantDrops(drops{})
		})
	}
}
