package pkg

import (
	"os/exec"
	"strings"
	"testing"
)

// files is what an operator finds.
var files = []string{
	"/usr/bin/vxgw", "/etc/vxgw/vxgw.toml",
	"/usr/lib/systemd/system/vxgw.service", "/usr/lib/sysusers.d/vxgw.conf", "/usr/lib/tmpfiles.d/vxgw.conf",
	"/usr/share/man/man8/vxgw.8.gz", "/usr/share/man/man8/vxgw-run.8.gz", "/usr/share/man/man8/vxgw-show-drops.8.gz", "/usr/share/man/man5/vxgw.toml.5.gz",
	"/usr/share/bash-completion/completions/vxgw", "/usr/share/zsh/vendor-completions/_vxgw", "/usr/share/fish/vendor_completions.d/vxgw.fish",
	"/usr/share/doc/vxgw/README.Debian", "/usr/share/doc/vxgw/copyright", "/usr/share/doc/vxgw/changelog.gz",
}

func TestInstallAndPurge(t *testing.T) {
	b := needPackages(t)
	r := newRoom(t)
	before := r.everything()
	said := r.install(b.old)
	if !strings.Contains(said, "installed and not started") {
		t.Errorf("installing says\n%s", said)
	}
	list := r.run("dpkg", "-L", "vxgw")
	for _, f := range files {
		if !strings.Contains(list, f+"\n") || !r.has(f) {
			t.Errorf("no %s", f)
		}
	}
	r.run("getent", "passwd", "vxgw")
	r.run("getent", "group", "vxgw")
	if out := r.run("vxgw", "check"); !strings.Contains(out, "VTEP 192.0.2.1") {
		t.Errorf("the sample does\n%s", out)
	}
	if r.has("/etc/systemd/system/multi-user.target.wants/vxgw.service") {
		t.Error("the unit is enabled: the sample would take interfaces at the next boot")
	}
	r.readable(list)

	const mine = "[underlay]\naddress = \"192.0.2.9\"\n"
	r.write("/etc/vxgw/vxgw.toml", mine)
	r.install(b.new)
	if got := r.run("cat", "/etc/vxgw/vxgw.toml"); got != mine {
		t.Errorf("after an upgrade the configuration is %q", got)
	}
	if got := r.run("dpkg-query", "-W", "vxgw"); !strings.Contains(got, "1.1-1") {
		t.Errorf("after an upgrade it is %q", got)
	}
	r.run("dpkg", "--remove", "--no-triggers", "vxgw")
	if got := r.run("cat", "/etc/vxgw/vxgw.toml"); got != mine || r.has("/usr/bin/vxgw") {
		t.Errorf("removed, the configuration is %q", got)
	}
	r.run("dpkg", "--purge", "--no-triggers", "vxgw")
	if left := strings.Join(added(before, r.everything()), " "); left != "" {
		t.Errorf("purged, there is still %s", left)
	}
	if r.has("/run/vxgw") || r.has("/run/vxgw-bpf") {
		t.Error("purged, there is something in /run")
	}
	for _, kind := range []string{"passwd", "group"} {
		if out, err := r.try("getent", kind, "vxgw"); err == nil {
			t.Errorf("purged, there is %s", out)
		}
	}
}

// readable holds that what is there for people and systemd is understood.
func (r *room) readable(list string) {
	r.t.Helper()
	var pages []string
	for _, f := range strings.Fields(list) {
		if strings.HasPrefix(f, "/usr/share/man/") && strings.HasSuffix(f, ".gz") {
			pages = append(pages, f)
		}
	}
	if out := r.run("sh", "-c", "man --warnings -l "+strings.Join(pages, " ")+" 2>&1 >/dev/null"); out != "" {
		r.t.Errorf("manual pages: %s", out)
	}
	if out := r.run("man", "vxgw.toml"); !strings.Contains(out, "suppress_arp") {
		r.t.Errorf("man vxgw.toml: %.300s", out)
	}
	r.run("bash", "-n", "/usr/share/bash-completion/completions/vxgw")
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		if out := r.run("systemd-analyze", "verify", "--recursive-errors=no", "/usr/lib/systemd/system/vxgw.service"); strings.Contains(out, "vxgw") {
			r.t.Errorf("systemd-analyze verify: %s", out)
		}
	}
}

// everything lists the files of the room that a package may leave something among.
func (r *room) everything() map[string]bool {
	r.t.Helper()
	all := map[string]bool{}
	for _, f := range strings.Fields(r.run("find", "/etc", "/usr/bin", "/usr/lib/systemd", "/usr/lib/sysusers.d", "/usr/lib/tmpfiles.d", "/usr/share/man", "/usr/share/doc", "/var/lib", "-xdev", "!", "-path", "*/dpkg/*")) {
		all[f] = true
	}
	return all
}

// added returns what is in after and was not before, but for what the tools of users
// and the cache of manual pages keep for themselves.
func added(before, after map[string]bool) (left []string) {
	for f := range after {
		switch f {
		case "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock", "/etc/subuid-", "/etc/subgid-", "/var/lib/systemd/deb-systemd-helper-enabled":
			continue
		}
		if !before[f] {
			left = append(left, f)
		}
	}
	return left
}
