package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vxgw/gateway/api"
)

// startBy runs a gateway by another program, which runs it, and waits until it forwards.
func (b *bed) startBy(t *testing.T, by []string, text string) {
	t.Helper()
	file := writeConfig(t, text, `http = ""`)
	socket := socketBeside(file)
	g := &gateway{t: t, ns: b.ns, socket: socket, client: api.NewClient(socket)}
	args := append(append(by[1:len(by):len(by)], program), "run", "--detach-on-exit", "-c", file)
	g.cmd = b.ns.Command(context.Background(), by[0], args...)
	g.cmd.Stdout, g.cmd.Stderr = &g.log, &g.log
	must(t, g.cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- g.cmd.Wait() }()
	t.Cleanup(func() { g.stop(ended) })
	eventually(t, "the gateway can be asked", func() bool { _, err := ask[api.DatapathRow](g, "datapath"); return err == nil })
	b.gateway = g.forwards()
}

// Without what the fast path takes, frames are carried all the same, each once, and the
// log says once what is missing.
func TestFastWithoutRights(t *testing.T) {
	t.Parallel()
	const noFast = "no fast path: all frames are carried by the workers"
	for _, tc := range []struct {
		name  string
		by    []string
		mode  string
		lines [][]string // each in one line, once
	}{
		{"without CAP_BPF", []string{"setpriv", "--bounding-set", "-bpf,-sys_admin"}, "raw", [][]string{{noFast, "CAP_BPF"}}},
		{"without CAP_PERFMON", []string{"setpriv", "--bounding-set", "-perfmon,-sys_admin"}, "raw", [][]string{{noFast, "CAP_PERFMON"}}},
		{"with CAP_NET_RAW alone", []string{"setpriv", "--bounding-set", "-all,+net_raw"}, "raw", [][]string{{noFast, "CAP_BPF"}}},
		{"without a BPF file system", []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", `mount -t tmpfs none /sys/fs/bpf && exec "$0" "$@"`}, "xdp", [][]string{{"the fast path will end with this process", "mount -t bpf bpf /sys/fs/bpf"}}},
		{"with one that is read-only", []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", `mount -t bpf -o ro bpf /sys/fs/bpf && exec "$0" "$@"`}, "xdp", [][]string{{"the fast path will end with this process", "read-only file system"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := exec.LookPath(tc.by[0]); err != nil {
				t.Skip(err)
			}
			b := newBed(t, 1, 1700)
			must(t, b.hosts.Offloads("h1", true, "gro"))
			must(t, b.peer.Offloads("und0", true, "gro"))
			b.startBy(t, tc.by, b.config(settings{more: "[datapath]\nmode = \"xdp\"\n"}))
			b.learnBoth()
			b.inMode(tc.mode)
			for _, way := range []struct {
				from sender
				to   sender
				f    []byte
				at   int
			}{
				{sender{b.hosts, "h1"}, sender{b.peer, "und0"}, unsummed(ra1MAC, h1MAC, "203.0.113.1", "203.0.113.2"), 42},
				{sender{b.peer, "und0"}, sender{b.hosts, "h1"}, outer(unsummed(h1MAC, ra1MAC, "203.0.113.1", "203.0.113.2")), outerLen + 42},
			} {
				f := newFlow(t, way.from, false, way.at, newTally(t, way.to.ns, way.to.dev, numberRange{outerLen + 84 - way.at, firstNumber, most}), way.f)
				f.during(2000, func() { eventually(t, "some frames are through", func() bool { return f.to.all() > 500 }) })
			}
			for _, words := range tc.lines {
				b.wantOneLine(words...)
			}
			said := make(map[string]int)
			for line := range strings.Lines(b.log.String()) {
				_, what, _ := strings.Cut(line, " ") // behind the time
				if said[what]++; said[what] == 2 {
					t.Errorf("said twice: %s", what)
				}
			}
			b.wantDrops(drops{})
		})
	}
}

// dir returns the directory of a gateway's pins.
func (p pinning) dir(t *testing.T) string {
	t.Helper()
	all, err := filepath.Glob(p.root() + "/sys/fs/bpf/vxgw/*")
	must(t, err)
	if len(all) != 1 {
		t.Fatalf("there are pins of %d gateways: %v", len(all), all)
	}
	return all[0]
}

// tables returns the names of the tables that are pinned.
func (p pinning) tables(t *testing.T) (names []string) {
	t.Helper()
	all, err := os.ReadDir(p.dir(t))
	must(t, err)
	for _, e := range all {
		if strings.HasPrefix(e.Name(), "tables-") {
			names = append(names, e.Name())
		}
	}
	return names
}

// Tables of another layout are not read, which is said once; programs take the place of
// those that go by them, without a frame lost, and the tables go.
func TestFastPinsOfAnotherLayout(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1700)
	must(t, b.hosts.Offloads("h1", true, "gro"))
	must(t, b.peer.Offloads("und0", true, "gro"))
	pins := newPinning(t)
	file := writeConfig(t, b.config(settings{more: "[datapath]\nmode = \"xdp\"\n"}), `http = ""`)
	start := func() {
		b.gateway = pins.start(t, b.ns, file)
		b.inMode("xdp")
	}
	start()
	b.learnBoth()
	f := newFlow(t, sender{b.hosts, "h1"}, true, 42, newTally(t, b.peer, "und0", numberRange{outerLen + 42, firstNumber, most}), unsummed(ra1MAC, h1MAC, "203.0.113.1", "203.0.113.2"))
	b.isFast(t, f)
	// What is not known any more is flooded: that, too, goes to the one VTEP, once.
	f.during(2000, func() {
		b.end(syscall.SIGKILL)
		was := pins.tables(t)
		if len(was) != 1 {
			t.Fatalf("tables are %v, want those of one gateway", was)
		}
		const strange = "tables-0123456789ab-1"
		must(t, os.Rename(filepath.Join(pins.dir(t), was[0]), filepath.Join(pins.dir(t), strange)))
		start()
		b.wantOneLine("the tables of a former gateway are of another version")
		if n := b.lines("level=WARN") + b.lines("level=ERROR"); n != 1 {
			t.Errorf("%d lines of warning", n)
		}
		eventually(t, "tables of this layout are there alone", func() bool {
			is := pins.tables(t)
			return len(is) == 1 && is[0] != strange
		})
	})
	b.learnBoth()
	b.isFast(t, f)
	b.end(syscall.SIGKILL)
}

// A network namespace that has the inode of one that is gone inherits nothing of what a
// gateway has left there, and that is removed.
func TestFastPinsOfANamespaceThatIsGone(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1700)
	pins := newPinning(t)
	file := writeConfig(t, b.config(settings{more: "[datapath]\nmode = \"xdp\"\n"}), `http = ""`)
	b.gateway = pins.start(t, b.ns, file)
	eventually(t, "the fast path is there", func() bool { return b.mode("acc1") == "xdp" && b.mode("und0") == "xdp" })
	b.learnBoth()
	b.end(syscall.SIGKILL)
	// Its interfaces and so its programs went with it. Its cookie nobody has again.
	dir := pins.dir(t)
	links, err := filepath.Glob(dir + "/link-*")
	must(t, err)
	if len(links) != 2 {
		t.Fatalf("pinned programs are %v, want two", links)
	}
	for _, l := range links {
		must(t, os.Remove(l))
	}
	part := strings.SplitN(filepath.Base(dir), "-", 3)
	left := filepath.Join(filepath.Dir(dir), part[0]+"-1"+part[1]+"-"+part[2])
	must(t, os.Rename(dir, left))
	b.gateway = pins.start(t, b.ns, file)
	if at := b.macs(); len(at) != 0 {
		t.Errorf("stations of another network are believed: %v", at)
	}
	if is := pins.dir(t); is != dir {
		t.Errorf("pins are in %s, want %s", is, dir)
	}
	b.learnBoth()
	b.end(syscall.SIGKILL)
	b.gateway = pins.start(t, b.ns, file)
	if at := b.macs(); len(at) != 2 {
		t.Errorf("of its own stations a gateway knows %v after a restart, want two", at)
	}
	b.end(syscall.SIGKILL)
}
