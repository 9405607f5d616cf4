package doctor

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/l3/underlay/path"
	"vxgw/l3/underlay/path/nftables"
	"vxgw/l3/underlay/probe"
	"vxgw/l3/underlay/udp"
)

var update = flag.Bool("update", false, "write golden files and docs/doctor.md anew")

var (
	own   = netip.MustParseAddr("192.0.2.17")
	vtepA = netip.MustParseAddr("192.0.2.34")
	vtepB = netip.MustParseAddr("203.0.113.50")
	hop1  = netip.MustParseAddr("192.0.2.1")
)

// network is a fake Network.
type network struct {
	links     map[string]path.Link
	holders   []path.Link
	paths     map[netip.Addr]path.Path
	vxlan     string
	duplicate bool
	failed    []netip.Addr
	asked     []netip.Addr
	offloads  map[string]path.Offloads
	hashes    bool
	hashErr   error
}

func (n *network) Link(name string) (path.Link, bool)        { l, ok := n.links[name]; return l, ok }
func (n *network) Holders(netip.Addr) []path.Link            { return n.holders }
func (n *network) VXLANOn(uint16, netip.Addr) (string, bool) { return n.vxlan, n.vxlan != "" }
func (n *network) IsDuplicate(netip.Addr) (string, bool, error) {
	return "und0", n.duplicate, nil
}
func (n *network) Unanswered(int) (failed, asked []netip.Addr, err error) {
	return n.failed, n.asked, nil
}
func (n *network) Offloads(link string) (path.Offloads, error) { return n.offloads[link], nil }
func (n *network) HashesPorts(string, bool) (bool, error)      { return n.hashes, n.hashErr }
func (n *network) Path(dst, _ netip.Addr) (path.Path, error) {
	if p, ok := n.paths[dst]; ok {
		return p, nil
	}
	return path.Path{}, fmt.Errorf("no route to %v: %w", dst, unix.ENETUNREACH)
}

// live is a running gateway.
type live struct {
	underlay api.UnderlayRow
	vteps    []api.VTEPRow
}

func (l *live) Underlay() api.UnderlayRow   { return l.underlay }
func (l *live) VTEPs() []api.VTEPRow        { return l.vteps }
func (l *live) Datapath() []api.DatapathRow { return nil }

// bench is a machine that all is well with, for tests to change.
type bench struct {
	*Subject
	net     *network
	files   fstest.MapFS
	live    *live
	rules   error
	answers []probe.Answer
	heard   frame.MAC
	got     int
	synced  bool
	probed  []probe.Target
}

const configText = `[underlay]
address = "192.0.2.17"
[[vni]]
id = 1000
vlan = 10
flood = ["192.0.2.34", "203.0.113.50"]
[[port]]
interface = "acc1"
vlan = 10
`

const (
	allCaps  = "Name:\tvxgw\nCapEff:\t000001ffffffffff\n"
	limits   = "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            524288               524288               files     \nMax locked memory         unlimited            unlimited            bytes     \n"
	udpTable = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
)

// socketLine is one of /proc/net/udp: port 4789 on every address.
const socketLine = "  100: 00000000:12B5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0000000000000000 0\n"

func newBench(t *testing.T) *bench {
	t.Helper()
	cfg, err := config.Parse("/etc/vxgw/vxgw.toml", []byte(configText))
	if err != nil {
		t.Fatal(err)
	}
	und0 := path.Link{Name: "und0", Index: 2, MTU: 9000, AdminUp: true, Carrier: true, Multicast: true, Ethernet: true, Driver: "mlx5_core"}
	acc1 := path.Link{Name: "acc1", Index: 3, MTU: 1500, AdminUp: true, Carrier: true, Multicast: true, Ethernet: true, Driver: "mlx5_core"}
	good := path.Offloads{GRO: true, GSO: true}
	b := &bench{
		net: &network{
			links: map[string]path.Link{"und0": und0, "acc1": acc1}, holders: []path.Link{und0},
			paths: map[netip.Addr]path.Path{
				vtepA: {MTU: 9000, Link: "und0", LinkIndex: 2, Plain: true},
				vtepB: {MTU: 9000, Link: "und0", LinkIndex: 2, Plain: true, Via: hop1},
			},
			offloads: map[string]path.Offloads{"und0": good, "acc1": good}, hashes: true,
		},
		files: fstest.MapFS{
			"etc/vxgw/vxgw.toml": {Mode: 0o640}, "proc/self/mounts": {Data: []byte("bpf /sys/fs/bpf bpf rw 0 0\n")},
			"proc/self/status": {Data: []byte(allCaps)}, "proc/self/limits": {Data: []byte(limits)},
			"proc/net/udp": {Data: []byte(udpTable)}, "proc/net/udp6": {Data: []byte(udpTable)},
			"proc/interrupts":                     {Data: []byte(" 40:  1  2  PCI-MSI  und0-TxRx-0\n 41:  1  2  PCI-MSI  und0-TxRx-1\n")},
			"proc/irq/40/effective_affinity_list": {Data: []byte("0\n")}, "proc/irq/41/effective_affinity_list": {Data: []byte("1\n")},
			"sys/class/net/und0/queues/rx-0/x": {}, "sys/class/net/und0/queues/rx-1/x": {},
		},
		live: &live{underlay: api.UnderlayRow{Address: own.String(), Interface: "und0", Port: 4789, Up: true}, vteps: []api.VTEPRow{
			{Address: vtepA.String(), Origin: api.OriginStatic, PathMTU: 9000}, {Address: vtepB.String(), Origin: api.OriginStatic, PathMTU: 9000}, {Address: "239.1.1.1", Origin: api.OriginGroup},
		}},
		answers: []probe.Answer{{Target: probe.Target{Addr: vtepA, Size: 1550}, Replied: true, Whole: true}, {Target: probe.Target{Addr: vtepB, Size: 1550}, Replied: true, Whole: true}},
		got:     udp.DefaultBuffer, synced: true,
	}
	for name, value := range map[string]string{
		"kernel/osrelease": "6.1.0-25-amd64", "net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/und0/rp_filter": "0", "net/ipv4/conf/und1/rp_filter": "0",
		"net/ipv4/igmp_max_memberships": "20", "net/core/rmem_max": "212992", "net/core/wmem_max": "212992", "net/core/bpf_jit_enable": "1",
	} {
		b.sysctl(name, value)
	}
	b.Subject = &Subject{Config: cfg, Live: b.live, Machine: &Machine{
		Files: b.files, CPUs: 4, Network: b.net,
		Buffers:      func(int) (int, int, error) { return b.got, b.got, nil },
		Synchronised: func() (bool, error) { return b.synced, nil },
		Rules:        func() (*nftables.Ruleset, error) { return new(nftables.Ruleset), b.rules },
		Probe: func(_ context.Context, _ netip.Addr, _ uint16, to []probe.Target) ([]probe.Answer, error) {
			b.probed = to
			return b.answers, nil
		},
		WhoHas: func(context.Context, int, frame.MAC, netip.Addr) (frame.MAC, bool, error) {
			return b.heard, b.heard != frame.MAC{}, nil
		},
	}}
	return b
}

func (b *bench) sysctl(name, value string) { b.file("proc/sys/"+name, value+"\n") }

func (b *bench) file(name, text string) { b.files[name] = &fstest.MapFile{Data: []byte(text)} }

func (b *bench) narrow(mtu int) {
	b.net.paths[vtepB] = path.Path{MTU: mtu, Link: "und0", LinkIndex: 2, Plain: true, Via: hop1}
	b.live.vteps[1].PathMTU = mtu
	b.answers[1].Size = mtu
}

// second has packets to one VTEP leave by another link.
func (b *bench) second() {
	b.net.links["und1"] = path.Link{Name: "und1", Index: 4, MTU: 9000, AdminUp: true, Carrier: true}
	b.net.paths[vtepB] = path.Path{MTU: 9000, Link: "und1", LinkIndex: 4, Plain: true}
}

func (b *bench) holder(f func(*path.Link)) { f(&b.net.holders[0]) }

func (b *bench) answer(i int, a probe.Answer) {
	a.Target = b.answers[i].Target
	b.answers[i] = a
}

// taken has a process hold the port.
func (b *bench) taken() {
	b.file("proc/net/udp", udpTable+socketLine)
	b.file("proc/77/comm", "socat\n")
	b.files["proc/77/fd/5"] = &fstest.MapFile{Data: []byte("socket:[4242]"), Mode: fs.ModeSymlink}
}

func (b *bench) withGroup() {
	b.Config.VNIs[0].Group = netip.MustParseAddr("239.1.1.1")
}

func (b *bench) noGateway() { b.Live = nil }

// TestChecks changes one thing of a machine that all is well with, and looks at what
// one check finds. With nothing changed all find that all is well.
func TestChecks(t *testing.T) {
	for _, test := range []struct {
		name, check string
		change      func(*bench)
		want        string // state and a part of what it says
		mend        string // a part of it
	}{
		{"down", "gateway", func(b *bench) { b.live.underlay.Up, b.live.underlay.Reason = false, "nobody has it" }, "fail does not send or receive: nobody has it", "journalctl -u vxgw"},
		{"none", "gateway", (*bench).noGateway, "warn no gateway answers", "systemctl start vxgw"},
		{"writable", "configuration", func(b *bench) { b.files["etc/vxgw/vxgw.toml"].Mode = 0o666 }, "warn can be written by others", "chmod go-w /etc/vxgw/vxgw.toml"},
		{"warnings", "configuration", func(b *bench) { b.Config.Warnings = []config.Problem{{Message: "surprise"}} }, "warn 1 warnings, the first is: surprise", "vxgw check -c /etc/vxgw/vxgw.toml"},
		{"gone", "configuration", func(b *bench) { delete(b.files, "etc/vxgw/vxgw.toml") }, "note not known", ""},
		{"old", "kernel", func(b *bench) { b.sysctl("kernel/osrelease", "5.10.0-1") }, "warn Linux 5.10.0-1 is older than 5.15", "reboot"},
		{"old major", "kernel", func(b *bench) { b.sysctl("kernel/osrelease", "4.19.1") }, "warn older", "reboot"},
		{"just new enough", "kernel", func(b *bench) { b.sysctl("kernel/osrelease", "5.15.0") }, "ok Linux 5.15.0", ""},
		{"none", "capabilities", func(b *bench) { b.file("proc/self/status", "CapEff:\t0\n") }, "fail the gateway has no CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON", "AmbientCapabilities="},
		{"some", "capabilities", func(b *bench) { b.file("proc/self/status", "CapEff:\t0000000000002000\n") }, "warn the gateway has no CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON", "AmbientCapabilities="},
		{"who looks has none", "capabilities", func(b *bench) { b.noGateway(); b.file("proc/self/status", "CapEff:\t0\n") }, "warn this process has no CAP_NET_RAW", "sudo vxgw doctor"},
		{"few files", "limits", func(b *bench) { b.file("proc/self/limits", strings.Replace(limits, "524288 ", "100 ", 1)) }, "warn may open 100 files", "LimitNOFILE=272"},
		{"little memory", "limits", func(b *bench) { b.file("proc/self/limits", strings.Replace(limits, "unlimited ", "65536 ", 1)) }, "warn may lock 64 KiB", "LimitMEMLOCK=infinity"},
		{"no clock", "time", func(b *bench) { b.synced = false }, "warn nothing keeps the clock right", "timedatectl set-ntp true"},
		{"not to be asked", "time", func(b *bench) { b.Machine.Synchronised = func() (bool, error) { return false, unix.EPERM } }, "note may not look", ""},
		{"held by none", "vtep-address", func(b *bench) { b.net.holders = nil }, "fail no interface holds 192.0.2.17", "ip address add 192.0.2.17/32 dev INTERFACE"},
		{"set down", "vtep-address", func(b *bench) { b.holder(func(l *path.Link) { l.AdminUp = false }) }, "fail und0 holds 192.0.2.17 and is down", "ip link set und0 up"},
		{"no carrier", "vtep-address", func(b *bench) { b.holder(func(l *path.Link) { l.Carrier = false }) }, "fail no carrier", "ethtool und0"},
		{"held twice", "vtep-address", func(b *bench) { b.net.holders = append(b.net.holders, path.Link{Name: "lo0"}) }, "warn held by und0, lo0", "ip address del 192.0.2.17/32 dev lo0"},
		{"elsewhere", "vtep-address", func(b *bench) { b.Config.Underlay.Interface = "eth7" }, "warn [underlay] interface is eth7", "set interface"},
		{"somebody else has it", "duplicate-address", func(b *bench) { b.heard = frame.MAC{2, 0, 0, 0, 0, 9} }, "fail 02:00:00:00:00:09 on und0 has 192.0.2.17 too", "arping -D -I und0 192.0.2.17"},
		{"found by the kernel", "duplicate-address", func(b *bench) { b.net.duplicate = true }, "fail duplicate address detection failed", "dadfailed"},
		{"a vxlan device", "udp-port", func(b *bench) { b.net.vxlan = "vxlan7" }, "fail vxlan device vxlan7 has UDP port 4789", "ip link delete vxlan7"},
		{"a process", "udp-port", (*bench).taken, "fail held by socat, process 77", "kill 77"},
		{"a process that is hidden", "udp-port", func(b *bench) { b.taken(); delete(b.files, "proc/77/fd/5") }, "fail cannot be named", "ss -ulpn 'sport = :4789'"},
		{"itself", "udp-port", func(b *bench) {
			b.taken()
			b.files["proc/self/fd/5"] = b.files["proc/77/fd/5"]
		}, "ok nobody else", ""},
		{"another port", "udp-port", func(b *bench) { b.file("proc/net/udp", udpTable+strings.Replace(socketLine, "12B5", "12B6", 1)) }, "ok nobody else", ""},
		{"no route", "routes", func(b *bench) { delete(b.net.paths, vtepB) }, "fail no route to 1 of 2 VTEPs: 203.0.113.50", "ip route add 203.0.113.50/32 via ROUTER"},
		{"to itself", "routes", func(b *bench) {
			b.net.links["lo"] = path.Link{Name: "lo", Index: 1, Loopback: true}
			b.net.paths[vtepB] = path.Path{Link: "lo", LinkIndex: 1}
		}, "fail 203.0.113.50: an address of this machine", "ip route get 203.0.113.50"},
		{"a dead router", "neighbours", func(b *bench) { b.net.failed = []netip.Addr{hop1} }, "fail nobody answers for 192.0.2.1 on und0: packets to 1 of 2 VTEPs", "ip neigh show to 192.0.2.1 dev und0"},
		{"asked a while ago", "neighbours", func(b *bench) { b.net.asked = []netip.Addr{vtepA} }, "fail nobody answers for 192.0.2.34", "ip neigh show to 192.0.2.34"},
		{"others are dead", "neighbours", func(b *bench) { b.net.failed = []netip.Addr{netip.MustParseAddr("192.0.2.99")} }, "ok none of 2 next hops", ""},
		{"no answer", "reachability", func(b *bench) { b.answer(1, probe.Answer{}) }, "warn 1 of 2 VTEPs answer no ICMP echo: 203.0.113.50", "ping 203.0.113.50"},
		{"no echo, but the port", "reachability", func(b *bench) { b.answer(1, probe.Answer{Refused: true}) }, "ok 2 VTEPs answer", ""},
		{"no right to probe", "reachability", func(b *bench) {
			b.Machine.Probe = func(context.Context, netip.Addr, uint16, []probe.Target) ([]probe.Answer, error) {
				return nil, unix.EPERM
			}
		}, "note may not look", ""},
		{"small", "mtu", func(b *bench) { b.narrow(1500) }, "warn acc1 may send 1500 bytes, which take 1550: the path to 203.0.113.50 carries 1500", "hosts' MTU to 1450"},
		{"small here", "mtu", func(b *bench) {
			l := b.net.links["und0"]
			l.MTU = 1500
			b.net.links["und0"] = l
			b.narrow(1500)
		}, "warn acc1 may send", "ip link set dev und0 mtu 1550"},
		{"just enough", "mtu", func(b *bench) { b.narrow(1550) }, "ok acc1", ""},
		{"one byte less", "mtu", func(b *bench) { b.narrow(1549) }, "warn carries 1549", "to 1550"},
		{"from the file", "mtu", func(b *bench) { b.noGateway(); b.narrow(1500) }, "warn carries 1500", "1450"},
		{"carried again", "mtu", func(b *bench) { b.narrow(1500); b.answers[1].Size = 1550 }, "warn the kernel still goes by 1500", "ip route flush cache"},
		{"a router says so", "path-probe", func(b *bench) { b.answer(0, probe.Answer{Replied: true, Narrow: 1400, By: hop1}) }, "warn 192.0.2.34: 192.0.2.1 says that 1400 bytes are carried, 1550 were sent", "hosts' MTU to 1350"},
		{"a black hole", "path-probe", func(b *bench) { b.answer(0, probe.Answer{Replied: true}) }, "warn 192.0.2.34: short pings are answered", "ping -M do -s 1522 192.0.2.34"},
		{"nobody has the port", "path-probe", func(b *bench) { b.answer(0, probe.Answer{Replied: true, Refused: true}) }, "warn nobody has UDP port 4789", "ss -uln"},
		{"silence", "path-probe", func(b *bench) { b.answer(0, probe.Answer{}) }, "note 192.0.2.34: not known", ""},
		{"a group", "multicast", (*bench).withGroup, "ok 1 groups", ""},
		{"no memberships", "multicast", func(b *bench) { b.withGroup(); b.sysctl("net/ipv4/igmp_max_memberships", "0") }, "fail no group can be joined", "sysctl -w net.ipv4.igmp_max_memberships=20"},
		{"turned off", "multicast", func(b *bench) { b.withGroup(); b.holder(func(l *path.Link) { l.Multicast = false }) }, "fail multicast is turned off on und0", "ip link set und0 multicast on"},
		{"strict with one link", "rp-filter", func(b *bench) { b.sysctl("net/ipv4/conf/all/rp_filter", "1") }, "ok strict on und0", ""},
		{"strict with two", "rp-filter", func(b *bench) { b.second(); b.sysctl("net/ipv4/conf/all/rp_filter", "1") }, "warn strict on und0, und1", "sysctl -w net.ipv4.conf.und0.rp_filter=2"},
		{"one of two is strict", "rp-filter", func(b *bench) { b.second(); b.sysctl("net/ipv4/conf/und1/rp_filter", "1") }, "warn strict on und1", "sysctl -w net.ipv4.conf.und1.rp_filter=2"},
		{"loose with two", "rp-filter", func(b *bench) {
			b.second()
			b.sysctl("net/ipv4/conf/und0/rp_filter", "1")
			b.sysctl("net/ipv4/conf/all/rp_filter", "2")
		}, "ok not strict", ""},
		{"not to be read", "firewall", func(b *bench) { b.rules = unix.EPERM }, "note may not look", ""},
		{"legacy", "firewall", func(b *bench) { b.file("proc/net/ip_tables_names", "filter\n") }, "warn iptables-legacy, which are not read", "iptables-legacy -S INPUT"},
		{"loaded, not used", "conntrack", func(b *bench) { b.sysctl("net/netfilter/nf_conntrack_max", "1") }, "ok no rule of nftables has connections followed", ""},
		{"small", "socket-buffers", func(b *bench) { b.got = 212992 }, "warn sockets get 208 KiB to receive and 208 to send, and ask for 4096 (net.core.rmem_max 212992, wmem_max 212992)", "sysctl -w net.core.rmem_max=4194304 net.core.wmem_max=4194304"},
		{"LRO", "offloads", func(b *bench) { b.net.offloads["acc1"] = path.Offloads{LRO: true, GRO: true, GSO: true} }, "warn acc1: LRO is on", "ethtool -K acc1 lro off"},
		{"no GRO", "offloads", func(b *bench) { b.net.offloads["und0"] = path.Offloads{} }, "warn und0: GRO is off; GSO is off", "ethtool -K und0 gro on gso on"},
		{"by addresses", "rss", func(b *bench) { b.net.hashes = false }, "warn spreads UDP by addresses alone", "ethtool -N und0 rx-flow-hash udp4 sdfn"},
		{"not told", "rss", func(b *bench) { b.net.hashErr = fmt.Errorf("x: %w", unix.EOPNOTSUPP) }, "ok does not say", ""},
		{"one queue", "rss", func(b *bench) { delete(b.files, "sys/class/net/und0/queues/rx-1/x"); b.net.hashes = false }, "ok one receive queue", ""},
		{"one queue", "queues", func(b *bench) { delete(b.files, "sys/class/net/und0/queues/rx-1/x") }, "warn one receive queue, and there are 4 CPUs", "ethtool -L und0 combined 4"},
		{"one CPU", "queues", func(b *bench) { b.file("proc/irq/41/effective_affinity_list", "0\n") }, "warn all 2 interrupts of und0 go to one of 4 CPUs", "systemctl start irqbalance"},
		{"no JIT", "fast-path", func(b *bench) { b.sysctl("net/core/bpf_jit_enable", "0") }, "warn interpreted", "sysctl -w net.core.bpf_jit_enable=1"},
		{"no BPF file system", "fast-path", func(b *bench) { b.file("proc/self/mounts", "proc /proc proc rw 0 0\n") }, "warn no BPF file system", "mount -t bpf"},
		{"no XDP", "fast-path", func(b *bench) {
			l := b.net.links["acc1"]
			l.XDP.Known = true
			b.net.links["acc1"] = l
		}, "warn no XDP at acc1 (driver mlx5_core)", "vxgw show datapath"},
		{"not wanted", "fast-path", func(b *bench) { b.Config.Datapath.Mode = config.ModeRaw; b.file("proc/self/mounts", "") }, "ok not wanted", ""},
	} {
		t.Run(test.check+"/"+test.name, func(t *testing.T) {
			b := newBench(t)
			test.change(b)
			state, says, _ := strings.Cut(test.want, " ")
			var found []string
			for _, c := range Run(context.Background(), b.Subject, true) {
				if c.Name != test.check {
					continue
				}
				found = append(found, fmt.Sprintf("%s %s -> %s", c.State, c.Says, c.Mend))
				if c.State == state && strings.Contains(c.Says, says) && strings.Contains(c.Mend, test.mend) && (test.mend == "") == (c.Mend == "") {
					return
				}
			}
			t.Errorf("%q is not among what was found:\n%s", test.want, strings.Join(found, "\n"))
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is out of date (-want +got); go test ./gateway/doctor -update writes it\n%s", file, diff)
	}
}

func written(t *testing.T, all []api.Check) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, all); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWholeRuns(t *testing.T) {
	t.Run("healthy", func(t *testing.T) {
		b := newBench(t)
		all := Run(context.Background(), b.Subject, true)
		if Failed(all) || slices.ContainsFunc(all, func(c api.Check) bool { return c.State != api.CheckOK }) {
			t.Errorf("something is not well: %+v", all)
		}
		if len(b.probed) != 2 || b.probed[0].Size != 1550 {
			t.Errorf("probed %+v", b.probed)
		}
		golden(t, "testdata/healthy.txt", written(t, all))
	})
	t.Run("broken", func(t *testing.T) {
		b := newBench(t)
		b.taken()
		b.second()
		b.narrow(1500)
		b.net.paths[vtepB] = path.Path{MTU: 1500, Link: "und1", LinkIndex: 4, Plain: true, Via: hop1}
		b.sysctl("net/ipv4/conf/all/rp_filter", "1")
		b.sysctl("kernel/osrelease", "5.4.0")
		b.net.failed, b.rules, b.synced = []netip.Addr{hop1}, fmt.Errorf("rules: %w", unix.EPERM), false
		b.answer(0, probe.Answer{Replied: true})
		b.answer(1, probe.Answer{})
		b.net.offloads["acc1"] = path.Offloads{LRO: true, GRO: true, GSO: true}
		all := Run(context.Background(), b.Subject, true)
		if !Failed(all) {
			t.Error("nothing fails")
		}
		golden(t, "testdata/broken.txt", written(t, all))
	})
	t.Run("without probes nothing is sent", func(t *testing.T) {
		b := newBench(t)
		b.Machine.Probe, b.Machine.WhoHas = nil, nil // a call would end the test
		for _, c := range Run(context.Background(), b.Subject, false) {
			if c.Name == "path-probe" || c.Name == "duplicate-address" || c.Name == "reachability" {
				t.Errorf("%+v", c)
			}
		}
	})
	t.Run("without a file", func(t *testing.T) {
		b := newBench(t)
		b.Config, b.Live = nil, nil
		if all := Run(context.Background(), b.Subject, true); len(all) < 4 {
			t.Errorf("%+v", all)
		}
		c := NoConfig("f.toml", errors.New("f.toml:1:1: wrong\nf.toml:2:1: too"))
		if !Failed([]api.Check{c}) || c.Says != "f.toml:1:1: wrong" {
			t.Errorf("%+v", c)
		}
	})
}

// The dashboard's panel asks nothing that is not cheap, and tells of what is well in one
// line.
func TestPanel(t *testing.T) {
	b := newBench(t)
	b.Machine.Probe, b.Machine.WhoHas, b.Machine.Rules = nil, nil, nil
	all := Panel(context.Background(), b.Subject)
	if len(all) != 1 || all[0].State != api.CheckOK {
		t.Errorf("%+v", all)
	}
	b.sysctl("kernel/osrelease", "5.4.0")
	if all = Panel(context.Background(), b.Subject); len(all) != 2 || all[0].Name != "Host: kernel" || all[0].Mend == "" {
		t.Errorf("%+v", all)
	}
}

// Whatever is not well comes with what mends it, in the page too.
func TestTable(t *testing.T) {
	names := make(map[string]bool)
	for i := range checks {
		c := &checks[i]
		if names[c.name] {
			t.Errorf("there are two of %s", c.name)
		}
		names[c.name] = true
		if c.reads == "" || c.means == "" || c.mend == "" || c.run == nil {
			t.Errorf("%s does not say all", c.name)
		}
	}
	golden(t, "../../docs/doctor.md", Page())
}
