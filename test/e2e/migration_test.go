package e2e

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vxgw/gateway/api"
	"vxgw/test/netns"
)

// migrationPage returns the blocks of docs/migration.md that have a name, by it.
func migrationPage(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/migration.md")
	must(t, err)
	blocks := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)<!-- ([a-z ]+) -->\n```[a-z]+\n(.*?)```").FindAllSubmatch(page, -1) {
		blocks[string(m[1])] = string(m[2])
	}
	return blocks
}

// shell runs commands in a namespace, as a person would, until one fails.
func shell(t *testing.T, ns *netns.NS, commands string) error {
	t.Helper()
	if _, err := exec.LookPath("bridge"); err != nil {
		t.Skip("needs ip and bridge (iproute2); `make test` provides them")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := ns.Command(ctx, "sh", "-exc", commands).CombinedOutput()
	if err != nil {
		t.Logf("%v:\n%s", err, out)
	}
	return err
}

// imported returns what vxgw import prints in a namespace, and that vxgw check takes it.
func imported(t *testing.T, ns *netns.NS) string {
	t.Helper()
	cmd := ns.Command(t.Context(), program, "import")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("vxgw import: %v\n%s", err, errs.String())
	}
	file := writeConfig(t, string(out), "")
	if said, err := ns.Command(t.Context(), program, "check", "-c", file).CombinedOutput(); err != nil {
		t.Fatalf("vxgw check: %v\n%s", err, said)
	}
	return string(out)
}

// migrant is a machine with two hosts at its ports, and a third host behind the
// kernel's VTEP elsewhere.
type migrant struct {
	h1, h2, far *host
	ns          *netns.NS
}

func newMigrant(t *testing.T) *migrant {
	t.Helper()
	m := &migrant{newHost(t, 1), newHost(t, 2), newHost(t, 3), newNS(t)}
	peer := newNS(t)
	wire(t, m.h1.NS, "eth0", m.ns, "eth1", netns.VethOptions{AMAC: h1MAC})
	wire(t, m.h2.NS, "eth0", m.ns, "eth2", netns.VethOptions{AMAC: h2MAC})
	wire(t, m.ns, "und0", peer, "und0", netns.VethOptions{MTU: 1600})
	wire(t, peer, "acc0", m.far.NS, "eth0", netns.VethOptions{AMAC: peerMAC, BMAC: h3MAC})
	must(t, m.ns.AddAddr("und0", "192.0.2.1/24"))
	must(t, peer.AddAddr("und0", "192.0.2.2/24"))
	must(t, peer.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: 10010, Local: netip.MustParseAddr("192.0.2.2"), Remotes: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, "acc0"))
	for _, h := range []*host{m.h1, m.h2, m.far} {
		h.configure(t)
	}
	return m
}

// talk has all three hosts reach each other.
func (m *migrant) talk(t *testing.T) {
	t.Helper()
	for _, pair := range [][2]*host{{m.h1, m.far}, {m.far, m.h2}, {m.h2, m.h1}} {
		pair := pair
		eventually(t, "a ping is answered", func() bool {
			n, err := pair[0].Ping(t.Context(), pair[1].four, 1, netns.PingOptions{})
			return err == nil && n == 1
		})
	}
	transfer(t, m.h1, m.far, m.far.four, 1<<20)
	transfer(t, m.far, m.h2, m.h2.four, 1<<20)
}

// The page's set-up carries frames, is imported as the page says, changes over by the
// page's commands while hosts speak, and back.
func TestMigrationPage(t *testing.T) {
	t.Parallel()
	page, m := migrationPage(t), newMigrant(t)
	must(t, shell(t, m.ns, page["build"]))
	m.talk(t)
	file := imported(t, m.ns)
	if diff := cmp.Diff(page["import"], file); diff != "" {
		t.Fatalf("docs/migration.md (-page +vxgw import):\n%s", diff)
	}
	t.Run("over", func(t *testing.T) {
		g := start(t, m.ns, file)
		if p := g.port("eth1"); p.State != api.StateRefused || !strings.Contains(p.Reason, "br10") {
			t.Errorf("%+v: want it to wait for the bridge", p)
		}
		if u := g.uplink(); u.Attached || !strings.Contains(u.Reason, "vx10") {
			t.Errorf("%+v: want it to wait for vx10", u)
		}
		m.talk(t) // by the kernel still
		must(t, shell(t, m.ns, page["switch"]))
		g.forwards()
		m.talk(t)
		if v := g.vtep("192.0.2.2"); v.RxPackets == 0 || v.TxPackets == 0 {
			t.Errorf("%+v: want what the hosts said to have gone by it", v)
		}
		if is := g.macs()["10010 "+h2MAC.String()]; is != "port eth2" {
			t.Errorf("the static MAC is at %q", is)
		}
	})
	must(t, shell(t, m.ns, page["back"]))
	m.talk(t)
}

// The page's VLAN-aware bridges are imported as it says.
func TestMigrationPageVLANs(t *testing.T) {
	t.Parallel()
	page := migrationPage(t)
	for _, name := range []string{"aware", "single"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMigrant(t)
			if shell(t, m.ns, "ip link add x type bridge vlan_filtering 1 && ip link delete x") != nil {
				t.Skip("this kernel has no VLAN-aware bridges")
			}
			must(t, shell(t, m.ns, page["build "+name]))
			_, body, _ := strings.Cut(imported(t, m.ns), "\n\n")
			if diff := cmp.Diff(page["import "+name], body); diff != "" {
				t.Fatalf("docs/migration.md (-page +vxgw import):\n%s", diff)
			}
		})
	}
}

// Two bridges that this machine routes between become two VNIs of a VRF: the hosts
// keep their router's address and its MAC.
func TestImportedGateway(t *testing.T) {
	t.Parallel()
	m := newMigrant(t)
	must(t, shell(t, m.ns, `
for n in 10 20; do
	ip link add br$n type bridge
	ip link add vx$n type vxlan id 100$n local 192.0.2.1 dstport 4789
	ip link set vx$n up master br$n
	bridge fdb append 00:00:00:00:00:00 dev vx$n dst 192.0.2.2
	ip link set eth${n%0} up master br$n
	ip link set br$n up address 02:00:5e:00:00:$n
done
ip addr add 10.1.1.1/24 dev br10
ip addr add 10.1.2.1/24 dev br20`))
	must(t, m.ns.Forward())
	must(t, m.h1.AddAddr("eth0", "10.1.1.11/24"))
	must(t, m.h2.AddAddr("eth0", "10.1.2.12/24"))
	must(t, shell(t, m.h1.NS, "ip route add 10.1.2.0/24 via 10.1.1.1"))
	must(t, shell(t, m.h2.NS, "ip route add 10.1.1.0/24 via 10.1.2.1"))
	wantPing(t, m.h1, netip.MustParseAddr("10.1.2.12"), 1, netns.PingOptions{})
	file := imported(t, m.ns)
	g := start(t, m.ns, file)
	must(t, shell(t, m.ns, "for n in 10 20; do ip link set vx$n down; ip link set eth${n%0} nomaster; ip link set br$n down; ip address flush dev br$n; done"))
	g.forwards()
	eventually(t, "a ping is routed", func() bool {
		n, err := m.h1.Ping(t.Context(), netip.MustParseAddr("10.1.2.12"), 1, netns.PingOptions{})
		return err == nil && n == 1
	})
	must(t, shell(t, m.h1.NS, "ip neigh show 10.1.1.1 | grep 02:00:5e:00:00:10; ip neigh del 10.1.1.1 dev eth0"))
	wantPing(t, m.h1, netip.MustParseAddr("10.1.1.1"), 1, netns.PingOptions{})
	must(t, shell(t, m.h1.NS, "ip neigh show 10.1.1.1 | grep 02:00:5e:00:00:10"))
}
