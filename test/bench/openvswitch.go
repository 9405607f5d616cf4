package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"vxgw/l2/frame"
	"vxgw/test/netns"
)

// openVSwitch is Open vSwitch with its userspace data path, which takes no kernel
// module. The database and the switch run in the device's namespace and keep
// everything in a directory of their own.
//
// A bridge of all VNIs tells them apart by VLANs of its own, which no frame has.
// A second one is the underlay: Open vSwitch takes for itself what comes to the
// local port of a bridge, so the VTEP address is there.
type openVSwitch struct{}

const (
	overlayBridge  = "br-int"
	underlayBridge = "br-und"
)

// wireType is what the wires are as ports of a bridge: AF_XDP sockets, which are
// twice as fast as the AF_PACKET sockets of "system" or more, but take 150 MB each.
// With "afxdp" a thread would spin for them, also while others are measured.
func wireType(s site) string {
	if s.vnis > 1 {
		return "system"
	}
	return "afxdp-nonpmd"
}

// wireMAC is what the underlay wire is called instead of gwMAC, which the bridge
// has: the kernel's stack, which hears the same frames, then takes none for its own
// and does not answer that nobody listens.
var wireMAC = frame.MAC{2, 0, 0, 0, 0xf0, 3}

// maxVNIs is how many VLANs there are to tell VNIs apart.
const maxVNIs = 4094

// ovsTables is room for 100,000 MACs and more; 8,192 is the default.
const ovsTables = 200_000

func (openVSwitch) Title() string { return "Open vSwitch" }

func (openVSwitch) About() string {
	return "`datapath_type=netdev`, the wires ports of type `afxdp-nonpmd`, or `system` where there are 100; one thread forwards, and none spins"
}

func (openVSwitch) Without(measurement string) string {
	switch measurement {
	case "routed":
		return "it routes by OpenFlow rules only, and asks no neighbour"
	case "tcp":
		return "super-frames and unfinished checksums do not come through its tunnels"
	case "macs-100000":
		return "to learn 100,000 MACs takes it half a minute"
	case "vnis-1000":
		return "1,000 ports take a minute to build"
	}
	return ""
}

func (openVSwitch) Bare() bool { return false }

func (openVSwitch) Missing() error {
	const from = "openvswitch-switch"
	return have(tool{"ovs-vswitchd", from}, tool{"ovsdb-server", from}, tool{"ovsdb-tool", from}, tool{"ovs-vsctl", from}, tool{"ovs-appctl", from})
}

func (openVSwitch) Start(ctx context.Context, s site) (running, error) {
	if s.vnis > maxVNIs {
		return nil, fmt.Errorf("%d VNIs: Open vSwitch tells %d apart here", s.vnis, maxVNIs)
	}
	dir, err := os.MkdirTemp("", "vxgw-bench-")
	if err != nil {
		return nil, err
	}
	v := &vswitch{ns: s.ns, dir: dir}
	return v, first(
		func() error { return v.command(ctx, "ovsdb-tool", "create", v.file("conf.db"), schema) },
		func() error { return v.run(ctx, "ovsdb-server", v.file("conf.db"), "--remote=p"+v.database()) },
		func() error { return v.daemons[0].awaitFile(ctx, v.file("db.sock")) },
		func() error { return v.run(ctx, "ovs-vswitchd", v.database()) },
		func() error { return s.ns.SetMAC(underlay, wireMAC) },
		func() error {
			return v.command(ctx, "ovs-vsctl", append([]string{"--db=" + v.database(), "--timeout=60"}, bridges(s)...)...)
		},
		func() error { return v.underlay(ctx, s) },
	)
}

// schema is where Debian and most others have that of the database.
const schema = "/usr/share/openvswitch/vswitch.ovsschema"

// bridges is what ovs-vsctl(8) is told.
func bridges(s site) []string {
	wire := "type=" + wireType(s)
	args := slices.Concat(
		bridge(underlayBridge, fmt.Sprintf(`other_config:hwaddr="%v"`, gwMAC)),
		port(underlayBridge, underlay, wire),
		bridge(overlayBridge, fmt.Sprintf("other_config:mac-table-size=%d", ovsTables)),
	)
	for i := range s.vnis {
		vlan := fmt.Sprintf("tag=%d", i+1)
		args = slices.Concat(args,
			port(overlayBridge, access(i)+" "+vlan, wire),
			port(overlayBridge, fmt.Sprintf("vx%d %s", i, vlan), fmt.Sprintf("type=vxlan options:key=%d options:local_ip=%v options:remote_ip=%v options:dst_port=%d",
				firstVNI+i, s.local, s.remote, vxlanPort)))
	}
	return args
}

func bridge(name, settings string) []string {
	return strings.Fields(fmt.Sprintf("-- add-br %s -- set bridge %s datapath_type=netdev %s", name, name, settings))
}

// port adds one, whose name may have columns of the port behind it.
func port(bridge, name, settings string) []string {
	dev, _, _ := strings.Cut(name, " ")
	return strings.Fields(fmt.Sprintf("-- add-port %s %s -- set interface %s %s", bridge, name, dev, settings))
}

// vswitch is a running Open vSwitch.
type vswitch struct {
	ns      *netns.NS
	dir     string
	daemons []*daemon // the database, and the switch
}

func (v *vswitch) file(name string) string { return filepath.Join(v.dir, name) }

func (v *vswitch) database() string { return "unix:" + v.file("db.sock") }

// environment keeps everything in the directory (ovs-vswitchd(8)).
func (v *vswitch) environment() []string {
	return []string{"OVS_RUNDIR=" + v.dir, "OVS_DBDIR=" + v.dir, "OVS_LOGDIR=" + v.dir, "OVS_SYSCONFDIR=" + v.dir}
}

// run starts one of the two daemons.
func (v *vswitch) run(ctx context.Context, program string, args ...string) error {
	args = append(args, "--unixctl="+v.control(program), "--pidfile="+v.file(program+".pid"), "--verbose=syslog:off", "--verbose=console:warn")
	d, err := startDaemon(ctx, v.ns, v.environment(), program, args...)
	if err == nil {
		v.daemons = append(v.daemons, d)
	}
	return err
}

// control is the socket that ovs-appctl(8) talks to a daemon by.
func (v *vswitch) control(program string) string { return v.file(program + ".ctl") }

// command runs a program that soon ends.
func (v *vswitch) command(ctx context.Context, program string, args ...string) error {
	_, err := v.output(ctx, program, args...)
	return err
}

func (v *vswitch) output(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := v.ns.Command(ctx, program, args...)
	cmd.Env = append(os.Environ(), v.environment()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return string(out), nil
}

func (v *vswitch) appctl(ctx context.Context, args ...string) (string, error) {
	return v.output(ctx, "ovs-appctl", append([]string{"--target=" + v.control("ovs-vswitchd")}, args...)...)
}

// underlay moves the VTEP address from the wire to the bridge, and says who has
// the other one.
func (v *vswitch) underlay(ctx context.Context, s site) error {
	err := ip(ctx, v.ns, []string{
		fmt.Sprintf("addr flush dev %s", underlay),
		fmt.Sprintf("link set %s mtu %d up", underlayBridge, underlayMTU),
		fmt.Sprintf("addr add %v/24 dev %s", s.local, underlayBridge),
	})
	if err != nil {
		return err
	}
	_, err = v.appctl(ctx, "tnl/neigh/set", underlayBridge, s.remote.String(), peerMAC.String())
	return err
}

func (v *vswitch) MACs(ctx context.Context) (int, error) {
	out, err := v.appctl(ctx, "fdb/stats-show", overlayBridge)
	if err != nil {
		return 0, err
	}
	return parseFDBStats(out)
}

// parseFDBStats returns how many addresses a bridge has, from a line as
// "Current/maximum MAC entries in the table: 2/8192".
func parseFDBStats(out string) (int, error) {
	_, rest, _ := strings.Cut(out, "MAC entries in the table: ")
	count, _, ok := strings.Cut(rest, "/")
	if !ok {
		return 0, fmt.Errorf("fdb/stats-show says no number of MACs: %q", out)
	}
	return strconv.Atoi(count)
}

func (v *vswitch) Processes() (pids []int) {
	for _, d := range v.daemons {
		pids = append(pids, d.pid())
	}
	return pids
}

// Stop ends the switch first, which would miss its database.
func (v *vswitch) Stop() error {
	var errs []error
	for _, d := range slices.Backward(v.daemons) {
		errs = append(errs, d.stop(true))
	}
	return errors.Join(append(errs, os.RemoveAll(v.dir))...)
}
