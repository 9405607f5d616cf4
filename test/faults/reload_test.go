package faults

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"vxgw/gateway/api"
)

// write makes the settings the daemon's configuration file.
func (d *daemon) write(s settings) {
	d.t.Helper()
	must(d.t, os.WriteFile(d.file, []byte(s.text(d.socket)), 0o644))
}

// more is a second VNI with a port of its own.
const more = "[[vni]]\nid = 10020\nvlan = 20\nflood = [\"192.0.2.9\"]\n[[port]]\ninterface = \"acc9\"\nvlan = 20\n"

func (d *daemon) wantPorts(want string) {
	d.t.Helper()
	var names []string
	for _, p := range rows[api.PortRow](d, "ports") {
		names = append(names, p.Interface)
	}
	if got := strings.Join(names, " "); got != want {
		d.t.Errorf("ports %q, want %q", got, want)
	}
}

func TestReload(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	b.pings(t)
	reload := func() (string, string, int) {
		t.Helper()
		return tool(t, nil, "reload", "--socket", d.socket)
	}
	if out, _, code := reload(); code != 0 || out != "nothing changed\n" {
		t.Errorf("the same file: exit %d, %q", code, out)
	}

	d.write(settings{more: more, underlay: "ttl = 9"})
	out, _, code := reload()
	for _, line := range []string{"+ vni 10020", "+ port acc9", "+ vtep 192.0.2.9 in vni 10020", "~ underlay.ttl (at the next start)", "systemctl restart"} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in %q", line, out)
		}
	}
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	d.wantPorts("acc1 acc9")
	d.says("port absent", "acc9")
	b.pings(t)

	// An invalid file changes nothing and names every mistake.
	must(t, os.WriteFile(d.file, []byte("[underlay]\naddress = \"nowhere\"\nprot = 1\n"), 0o644))
	_, stderr, code := reload()
	if code != 2 || !strings.Contains(stderr, d.file+":2:11: ") || !strings.Contains(stderr, d.file+":3:1: ") {
		t.Errorf("an invalid file: exit %d, %q", code, stderr)
	}
	d.wantPorts("acc1 acc9")
	b.pings(t)

	d.write(settings{log: "level = \"debug\""})
	if out, _, code := reload(); code != 0 || !strings.Contains(out, "- port acc9") {
		t.Errorf("back again: exit %d, %q", code, out)
	}
	d.wantPorts("acc1")
	b.pings(t)
}

// TestHangup holds that SIGHUP does what reload does, and ends nothing.
func TestHangup(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	d.write(settings{more: more})
	d.signal(syscall.SIGHUP)
	d.says("configuration reloaded", "changes=3")
	d.wantPorts("acc1 acc9")
	must(t, os.WriteFile(d.file, []byte("[underlay"), 0o644))
	d.signal(syscall.SIGHUP)
	d.says("level=ERROR", "not reloaded", d.file)
	d.wantPorts("acc1 acc9")
	b.pings(t)
}

// TestReloadWithoutGateway holds that there must be one.
func TestReloadWithoutGateway(t *testing.T) {
	_, stderr, code := tool(t, nil, "reload", "--socket", t.TempDir()+"/none")
	if code != 1 || !strings.Contains(stderr, "is it running?") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}
