package faults

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"vxgw/test/scale"
)

// counted builds the gateway so that it counts, when it ends, how often each
// statement of it was run. That is work that no busy machine changes.
func counted(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "vxgw")
	build := exec.Command("go", "build", "-cover", "-covermode=atomic", "-coverpkg=vxgw/...,github.com/BurntSushi/toml", "-o", file, "vxgw/cmd/vxgw")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the gateway: %v\n%s", err, out)
	}
	return file
}

// statements runs f with a place for such a program to leave its counts in, and
// returns how many statements were run, by file.
func statements(t *testing.T, f func(env string)) map[string]int {
	t.Helper()
	dir := t.TempDir()
	f("GOCOVERDIR=" + dir)
	profile := filepath.Join(dir, "profile")
	if out, err := exec.Command("go", "tool", "covdata", "textfmt", "-i", dir, "-o", profile).CombinedOutput(); err != nil {
		t.Fatalf("read the counts: %v\n%s", err, out)
	}
	text, err := os.ReadFile(profile)
	must(t, err)
	count := make(map[string]int)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		// FILE:LINE.COL,LINE.COL STATEMENTS COUNT
		file, rest, _ := strings.Cut(lines.Text(), ":")
		if fields := strings.Fields(rest); len(fields) == 3 {
			n, _ := strconv.Atoi(fields[1])
			times, _ := strconv.Atoi(fields[2])
			count[file] += n * times
		}
	}
	return count
}

// TestWorkGrowsWithTheSize holds that with four times the VNIs, ports and VTEPs
// a start, a check, a reload and every `show` are four times the work or so, and
// not sixteen.
func TestWorkGrowsWithTheSize(t *testing.T) {
	full := scale.Full
	quarter := scale.Size{VNIs: full.VNIs / 4, Ports: full.Ports / 4, VTEPs: full.VTEPs / 4}
	program := counted(t)
	work := func(s scale.Size) map[string]int {
		f := newFarm(t, s)
		// Probes are a second's work for every VTEP, and so are the more the longer it takes.
		quiet := func(s settings) settings { s.underlay += "\npmtu_probe = false"; return s }
		d := prepare(t, f.gw, quiet(f.settings()))
		return statements(t, func(env string) {
			check := exec.Command(program, "check", "-c", d.file)
			check.Env = append(os.Environ(), env)
			must(t, check.Run())
			d.cmd = f.gw.Command(context.Background(), program, "run", "-c", d.file)
			d.cmd.Env = append(os.Environ(), env)
			d.cmd.Stderr = d.err
			d.start().begun()
			d.isUp(s.Ports)
			half := scale.Size{VNIs: s.VNIs / 2, Ports: s.Ports / 2, VTEPs: s.VTEPs / 2}
			for _, next := range []settings{f.settings(), {whole: half.Sections("")}, f.settings()} {
				d.write(quiet(next))
				if _, errs, code := tool(t, nil, "reload", "--socket", d.socket); code != 0 {
					t.Fatalf("reload: exit %d\n%.2000s", code, errs)
				}
			}
			d.isUp(s.Ports)
			for _, name := range []string{"ports", "vnis", "vteps", "macs", "drops", "datapath"} {
				if _, errs, code := tool(t, nil, "show", name, "--socket", d.socket); code != 0 {
					t.Fatalf("show %s: exit %d\n%s", name, code, errs)
				}
			}
			d.stop(syscall.SIGTERM)
		})
	}
	// What is done once a second is done oftener where all the rest takes longer.
	const slack = 50_000
	once, fourfold := work(quarter), work(full)
	sum := [2]int{}
	for file, n := range fourfold {
		sum[0], sum[1] = sum[0]+once[file], sum[1]+n
		if n > 6*once[file]+slack {
			t.Errorf("%s: %d statements where %d were run for a quarter", file, n, once[file])
		}
	}
	t.Logf("%d and %d statements", sum[0], sum[1])
	if sum[1] > 5*sum[0] {
		t.Errorf("%d statements in all where %d were run for a quarter", sum[1], sum[0])
	}
}
