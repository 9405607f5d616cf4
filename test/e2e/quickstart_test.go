package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vxgw/test/markdown"
	"vxgw/test/netns"
)

// machine is a network namespace with an /etc, a /run and a BPF file system of its own:
// what a reader of the documents would sit at. Its root directory is this machine's.
type machine struct {
	t    *testing.T
	name string
	ns   *netns.NS
	pid  int    // whose mount namespace it is
	bin  string // comes first in PATH
}

// furnish gives a shell's mount namespace directories of its own; %[1]s is an empty one.
const furnish = `set -e
mount -t tmpfs tmpfs %[1]s
mkdir %[1]s/upper %[1]s/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=%[1]s/upper,workdir=%[1]s/work /etc
mount -t tmpfs tmpfs /run
mount -t bpf bpf /sys/fs/bpf
rm -rf /etc/vxgw
mkdir /etc/vxgw /run/vxgw /run/state
echo ready
exec sleep 600
`

// systemctl stands in for the service manager: it starts what the unit starts, and
// returns when the unit would be active. The log is where the test finds it.
const systemctl = `#!/bin/sh
case "$*" in
"enable --now vxgw")
	vxgw check >/dev/null || exit 1
	vxgw run --state /run/state >/run/vxgw.log 2>&1 &
	echo $! >/run/vxgw.pid
	until vxgw show config >/dev/null 2>&1; do
		kill -0 "$(cat /run/vxgw.pid)" || exit 1
		sleep 0.05
	done ;;
"disable --now vxgw")
	kill "$(cat /run/vxgw.pid)"
	while kill -0 "$(cat /run/vxgw.pid)" 2>/dev/null; do sleep 0.05; done ;;
*)
	echo "systemctl $*: not here" >&2
	exit 1 ;;
esac
`

func newMachine(t *testing.T, name, bin string) *machine {
	t.Helper()
	m := &machine{t: t, name: name, ns: newNS(t), bin: bin}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", fmt.Sprintf(furnish, t.TempDir()))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%s: no file systems of its own: %q, %v", name, line, err)
	}
	m.pid = cmd.Process.Pid
	t.Cleanup(m.end)
	return m
}

// shell runs a script as a reader would type it, and stops at what fails.
func (m *machine) shell(script string) (string, error) {
	cmd := m.ns.Command(context.Background(), "nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", m.pid), "sh", "-euc", script)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PATH=") }),
		"PATH="+m.bin+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// file returns where one of the machine's files is from outside.
func (m *machine) file(path string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", m.pid), path)
}

// end ends a gateway that still runs there, and looks at what it said.
func (m *machine) end() {
	log, err := os.ReadFile(m.file("/run/vxgw.log"))
	if err != nil {
		return // there was none
	}
	if out, err := m.shell(`kill "$(cat /run/vxgw.pid)" 2>/dev/null || exit 0; while kill -0 "$(cat /run/vxgw.pid)" 2>/dev/null; do sleep 0.05; done`); err != nil {
		m.t.Errorf("%s: the gateway does not end: %v\n%s", m.name, err, out)
	}
	for _, bad := range []string{"DATA RACE", "panic:"} {
		if strings.Contains(string(log), bad) {
			m.t.Errorf("%s: %s in the gateway's output", m.name, bad)
		}
	}
	if m.t.Failed() {
		m.t.Logf("%s: the gateway's log:\n%s", m.name, log)
	}
}

// newOffice has the machines of docs/quickstart.md, wired as its picture has them.
func newOffice(t *testing.T) map[string]*machine {
	t.Helper()
	bin := t.TempDir()
	must(t, os.Symlink(program, filepath.Join(bin, "vxgw")))
	must(t, os.WriteFile(filepath.Join(bin, "systemctl"), []byte(systemctl), 0o755))
	all := map[string]*machine{}
	for _, name := range []string{"gateway", "gateway2", "peer", "h1", "h2", "h3"} {
		all[name] = newMachine(t, name, bin)
	}
	cables := newNS(t)
	var ports []string
	for i, name := range []string{"gateway", "gateway2", "peer"} {
		port := fmt.Sprintf("p%d", i)
		wire(t, all[name].ns, "und0", cables, port, netns.VethOptions{MTU: 1600})
		ports = append(ports, port)
	}
	must(t, cables.Bridge("br0", ports...))
	wire(t, all["h1"].ns, "eth0", all["gateway"].ns, "eth1", netns.VethOptions{})
	wire(t, all["h2"].ns, "eth0", all["gateway"].ns, "eth2", netns.VethOptions{})
	wire(t, all["h3"].ns, "eth0", all["gateway2"].ns, "eth1", netns.VethOptions{})
	return all
}

// What docs/quickstart.md has a reader do works as it stands, in its order, and prints
// what it says, but for numbers and addresses.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"ip", "bridge", "ping", "curl", "unshare", "nsenter"} {
		needProgram(t, program)
	}
	office := newOffice(t)
	text, err := os.ReadFile("../../docs/quickstart.md")
	must(t, err)
	ran, printed := 0, ""
	for _, b := range markdown.Parse("docs/quickstart.md", string(text)).Blocks {
		if b.Language() == "text" {
			if got, want := alike(printed), alike(b.Text); got != want {
				t.Errorf("line %d: printed was\n%s\nwhich is not alike\n%s", b.Line, printed, b.Text)
			}
			continue
		}
		if len(b.Info) < 2 {
			continue // for a machine that is not here
		}
		m := office[b.Info[1]]
		if m == nil {
			t.Fatalf("line %d: no machine is called %s", b.Line, b.Info[1])
		}
		if b.Language() == "toml" {
			must(t, os.WriteFile(m.file("/etc/vxgw/vxgw.toml"), []byte(b.Text), 0o644))
			continue
		}
		ran++
		if printed, err = m.shell(b.Text); err != nil {
			t.Fatalf("line %d, on %s: %v\n%s\nprinted:\n%s", b.Line, m.name, err, b.Text, printed)
		}
	}
	if ran < 15 {
		t.Errorf("only %d blocks were run", ran)
	}
	if d, err := office["gateway"].shell("cat /run/vxgw.log"); err != nil || strings.Contains(d, "level=ERROR") {
		t.Errorf("the first gateway's log has an error (%v):\n%s", err, d)
	}
}

var (
	aMAC    = regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`)
	aState  = regexp.MustCompile(`^(reachable|stale|delay|probe)$`) // of a neighbour, from one moment to the next
	aNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(ms|s|m|h)?$`)
)

// alike leaves of an output what it has each time: MACs, counters and ages are others, and
// so is how wide columns are and the order of rows.
func alike(text string) string {
	var lines []string
	for line := range strings.Lines(aMAC.ReplaceAllString(text, "MAC")) {
		words := strings.Fields(line)
		for i, word := range words {
			switch {
			case aNumber.MatchString(word):
				words[i] = "#"
			case aState.MatchString(word):
				words[i] = "STATE"
			}
		}
		if len(words) > 0 {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
