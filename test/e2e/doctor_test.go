package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"vxgw/gateway/api"
	"vxgw/test/netns"
)

// doctor runs `vxgw doctor --json` and returns what it found, and its exit code.
func doctor(t *testing.T, ns *netns.NS, args ...string) (found []api.Check, code int) {
	t.Helper()
	cmd := ns.Command(context.Background(), program, append([]string{"doctor", "--json"}, args...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		must(t, err)
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return found, code
}

// findings are what a check of a name found, one to a line.
func findings(found []api.Check, name string) string {
	var lines []string
	for _, c := range found {
		if c.Name == name {
			lines = append(lines, strings.TrimSpace(c.State+" "+c.Says+" -> "+c.Mend))
		}
	}
	return strings.Join(lines, "\n")
}

// wantFinding holds that a check found what begins or goes on so.
func wantFinding(t *testing.T, found []api.Check, name string, parts ...string) {
	t.Helper()
	is := findings(found, name)
	for _, part := range parts {
		if !strings.Contains(is, part) {
			t.Errorf("%s: %q is not in what was found: %s", name, part, is)
		}
	}
}

const healthyChecks = "vtep-address duplicate-address udp-port routes reachability neighbours mtu path-probe multicast rp-filter firewall conntrack socket-buffers offloads"

// With a gateway and a VTEP that is there, nothing that the two have to do with each
// other is wrong: each check that needs no luck with the machine says so. Then one thing
// after the other is broken.
func TestDoctorOfARunningGateway(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	r.start(settings{flood: `"203.0.113.34"`, underlay: "pmtu_probe = false"})
	ask := func(args ...string) ([]api.Check, int) {
		return doctor(t, r.ns, append([]string{"--socket", r.socket}, args...)...)
	}
	found, code := ask()
	if code != 0 {
		t.Errorf("exit code %d: %+v", code, found)
	}
	for name := range strings.FieldsSeq(healthyChecks) {
		is := findings(found, name)
		if is == "" || strings.Contains("\n"+is, "\nwarn") || strings.Contains("\n"+is, "\nfail") {
			t.Errorf("%s: %s", name, is)
		}
	}
	wantFinding(t, found, "gateway", "ok VTEP 192.0.2.17 sends and receives on und0")
	wantFinding(t, found, "path-probe", "ok 1 of 1 paths carry")

	t.Run("a small MTU on the way", func(t *testing.T) {
		must(t, r.routers[0].SetMTU("down", midMTU))
		defer func() { must(t, r.routers[0].SetMTU("down", 1600)) }()
		eventually(t, "the probe hears of it", func() bool { // a kept answer is some seconds old
			found, code = ask()
			return strings.Contains(findings(found, "path-probe"), "warn")
		})
		wantFinding(t, found, "path-probe", "203.0.113.34: 192.0.2.1 says that 1400 bytes are carried, 1550 were sent", "tracepath -n 203.0.113.34")
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("nobody has the route", func(t *testing.T) {
		must(t, r.ns.DelRoute(netns.Route{To: far.String() + "/32", Via: "192.0.2.1"}))
		defer r.via(0)
		eventually(t, "it is missed", func() bool {
			found, code = ask("--no-probe")
			return code == 1
		})
		wantFinding(t, found, "routes", "fail no route to 1 of 1 VTEPs: 203.0.113.34", "ip route add 203.0.113.34/32 via ROUTER")
	})
	t.Run("a rule that drops", func(t *testing.T) {
		rules(t, r.ns, "table inet f {\n chain input {\n type filter hook input priority 0; policy drop;\n meta l4proto { icmp, tcp } accept\n }\n}\n")
		eventually(t, "it is seen", func() bool {
			found, code = ask("--no-probe")
			return strings.Contains(findings(found, "firewall"), "warn")
		})
		wantFinding(t, found, "firewall", "the policy of chain inet f input drops VXLAN from 203.0.113.34", "nft insert rule inet f input udp dport 4789 accept")
		rules(t, r.ns, "insert rule inet f input udp dport 4789 accept\n")
		eventually(t, "what was said mends it", func() bool {
			found, code = ask("--no-probe")
			return strings.HasPrefix(findings(found, "firewall"), "ok")
		})
	})
}

// rules gives a namespace rules of nftables.
func rules(t *testing.T, ns *netns.NS, text string) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft; apt-get install nftables")
	}
	cmd := ns.Command(context.Background(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// Where no gateway answers the command looks itself, at the file.
func TestDoctorFromTheFile(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600)
	file := writeConfig(t, b.config(settings{flood: `"192.0.2.34", "192.0.2.99"`}), `http = ""`)
	look := func() ([]api.Check, int) { return doctor(t, b.ns, "-c", file) }

	found, code := look()
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	wantFinding(t, found, "gateway", "warn no gateway answers")
	wantFinding(t, found, "neighbours", "fail nobody answers for 192.0.2.99 on und0: packets to 1 of 2 VTEPs are lost", "ip neigh show to 192.0.2.99")
	wantFinding(t, found, "reachability", "1 of 2 VTEPs answer no ICMP echo: 192.0.2.99")
	wantFinding(t, found, "path-probe", "ok 1 of 2 paths carry", "note 192.0.2.99: not known")
	wantFinding(t, found, "udp-port", "ok nobody else has UDP port 4789")
	wantFinding(t, found, "duplicate-address", "ok nobody else")

	conn, err := b.ns.ListenPacket("udp", ":4789") // this test is another process
	must(t, err)
	must(t, b.ns.Sysctl("ipv4/conf/all/rp_filter", "1"))
	wire(t, b.ns, "und1", b.peer, "und1", netns.VethOptions{MTU: 1600})
	must(t, b.ns.AddAddr("und1", "198.51.100.1/24"))
	must(t, b.ns.AddRoute(netns.Route{To: "192.0.2.34/32", Via: "198.51.100.2"}))
	must(t, b.peer.AddAddr("und0", gwAddr.String()+"/32"))
	must(t, b.ns.SetMTU("und0", 1500))
	found, code = look()
	conn.Close()
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	wantFinding(t, found, "udp-port", "fail UDP port 4789 is held by e2e", "kill ")
	wantFinding(t, found, "rp-filter", "warn strict on ", "sysctl -w net.ipv4.conf.und")
	wantFinding(t, found, "duplicate-address", "fail "+peerMAC.String()+" on und0 has 192.0.2.17 too", "arping -D -I und0 192.0.2.17")
	wantFinding(t, found, "mtu", "warn acc1 may send 1500 bytes, which take 1550", "ip link set dev und0 mtu 1550")
}

// A file that is not valid is a finding, and what does not need it is looked at all the
// same.
func TestDoctorWithoutAFile(t *testing.T) {
	t.Parallel()
	ns := newNS(t)
	found, code := doctor(t, ns, "-c", t.TempDir()+"/none.toml")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	wantFinding(t, found, "configuration", "fail ", "vxgw check -c ")
	wantFinding(t, found, "kernel", "Linux ")
}
