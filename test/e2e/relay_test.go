package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vxgw/test/netns"
)

// needProgram skips a test where a program is not there; `make test` installs it.
func needProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed: `make test` installs it", name)
	}
}

// ISC's client at h1 gets its addresses from dnsmasq behind a kernel VTEP, in another
// VNI: the gateway relays what the one says to the other.
func TestDHCPRelay(t *testing.T) {
	t.Parallel()
	needProgram(t, "dnsmasq")
	needProgram(t, "dhclient")
	p := newPlant(t, 1600)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := new(output)
	server := p.r2.Command(ctx, "dnsmasq", "--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--pid-file", "--user=root", "--leasefile-ro", "--no-ping",
		"--dhcp-range=10.1.1.100,10.1.1.150,255.255.255.0,1h", "--dhcp-range=2001:db8:11::100,2001:db8:11::1ff,64,1h", "--log-dhcp", "--log-facility=-")
	server.Stdout, server.Stderr = served, served
	must(t, server.Start())
	t.Cleanup(func() { cancel(); _ = server.Wait() }) // killed, which is no news
	eventually(t, "dnsmasq serves", func() bool { return strings.Contains(served.String(), "started") })
	must(t, p.h1.AddAddr("eth0", "fe80::10/64")) // that a client speaks from

	for _, family := range []struct{ flag, lease, agent string }{
		{"-4", "fixed-address 10.1.1.1", "option: 82 agent-id"},
		{"-6", "iaaddr 2001:db8:11::1", "client MAC address: " + h1MAC.String()},
	} {
		leases := filepath.Join(t.TempDir(), "leases")
		must(t, os.WriteFile(leases, nil, 0o644))
		got := lease(t, p.h1.NS, family.flag, leases)
		if !strings.Contains(got, family.lease) {
			t.Errorf("dhclient %s was given\n%s\nand dnsmasq said\n%s", family.flag, got, served)
		}
		if !strings.Contains(served.String(), family.agent) {
			t.Errorf("dnsmasq heard nothing of %q:\n%s", family.agent, served)
		}
	}
}

// lease runs ISC's client until it has a lease, and returns the file of its leases.
func lease(t *testing.T, ns *netns.NS, family, leases string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := ns.Command(ctx, "dhclient", family, "-1", "-d", "-v", "-lf", leases, "-pf", leases+".pid", "-sf", "/bin/true", "eth0")
	said := new(output)
	client.Stdout, client.Stderr = said, said
	must(t, client.Start())
	var file []byte
	for ctx.Err() == nil && !strings.Contains(string(file), "}") {
		file, _ = os.ReadFile(leases)
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	_ = client.Wait() // it stays in the foreground until it is killed
	return string(file) + said.String()
}
