package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxExposure is the most that `systemd-analyze security` may find, of 10. Packet
// sockets and BPF are two tenths each of it.
const maxExposure = 2.1

// tool returns the path of a program of systemd, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s of systemd; `make test` installs it", name)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// unit returns the values of a key in the unit, in their order.
func unit(t *testing.T, key string) []string {
	t.Helper()
	text, err := os.ReadFile("vxgw.service")
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && k == key {
			values = append(values, v)
		}
	}
	return values
}

// TestUnitVerifies holds that systemd knows every key and value of the unit. The
// program need not be installed, so another stands in its place.
func TestUnitVerifies(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	text, err := os.ReadFile("vxgw.service")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "vxgw.service")
	text = []byte(strings.ReplaceAll(string(text), "/usr/bin/vxgw ", "/bin/true "))
	if err := os.WriteFile(copied, text, 0o644); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(run(t, analyze, "verify", "--man=no", "--recursive-errors=no", copied)) {
		if strings.Contains(line, "vxgw.service") {
			t.Error(strings.TrimSpace(line))
		}
	}
}

func TestUnitExposure(t *testing.T) {
	out := run(t, tool(t, "systemd-analyze"), "security", "--offline=true", "--no-pager", "vxgw.service")
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure in\n%s", out)
	}
	if n, err := strconv.ParseFloat(m[1], 64); err != nil || n > maxExposure {
		t.Errorf("exposure %s, want at most %v:\n%s", m[1], maxExposure, out)
	}
}

// TestUnitKeys holds what the gateway relies on.
func TestUnitKeys(t *testing.T) {
	const caps = "CAP_NET_RAW CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_BPF CAP_PERFMON"
	for key, want := range map[string][]string{
		"Type":                     {"notify"},
		"ExecStart":                {"/usr/bin/vxgw run -c /etc/vxgw/vxgw.toml"},
		"Restart":                  {"on-failure"},
		"RestartPreventExitStatus": {"2"},
		"RuntimeDirectory":         {"vxgw"},
		"ConfigurationDirectory":   {"vxgw"},
		"StateDirectory":           {"vxgw"},
		"StateDirectoryMode":       {"0700"},
		"AmbientCapabilities":      {caps},
		"CapabilityBoundingSet":    {caps},
		"RestrictAddressFamilies":  {"AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_XDP"},
		"SystemCallErrorNumber":    {"EPERM"},
		"LimitMEMLOCK":             {"infinity"},
	} {
		if got := unit(t, key); !slices.Equal(got, want) {
			t.Errorf("%s=%q, want %q", key, got, want)
		}
	}
	if len(unit(t, "WatchdogSec")) != 1 {
		t.Error("no watchdog")
	}
}

// TestUserAndDirectories holds that the user of the unit is the one that is made,
// and that the files are what systemd reads.
func TestUserAndDirectories(t *testing.T) {
	users, err := os.ReadFile("vxgw.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"User", "Group"} {
		if got := unit(t, key); len(got) != 1 || !strings.Contains(string(users), "\nu "+got[0]+" ") {
			t.Errorf("%s=%q is not made by vxgw.sysusers", key, got)
		}
	}
	root := t.TempDir()
	for dir, mode := range map[string]os.FileMode{"etc": 0o755, "run": 0o755, "var/lib": 0o755} {
		if err := os.MkdirAll(filepath.Join(root, dir), mode); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("making users and directories needs root; `make test` provides it")
	}
	sysusers, tmpfiles := tool(t, "systemd-sysusers"), tool(t, "systemd-tmpfiles")
	run(t, sysusers, "--root="+root, abs(t, "vxgw.sysusers"))
	run(t, tmpfiles, "--root="+root, "--create", abs(t, "vxgw.tmpfiles"))
	for dir, mode := range map[string]os.FileMode{"etc/vxgw": 0o755, "run/vxgw": 0o755, "var/lib/vxgw": 0o700} {
		if info, err := os.Stat(filepath.Join(root, dir)); err != nil || info.Mode() != os.ModeDir|mode {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
	if passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd")); err != nil || !strings.Contains(string(passwd), "vxgw:") {
		t.Errorf("no user vxgw in %q, %v", passwd, err)
	}
}

func abs(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
