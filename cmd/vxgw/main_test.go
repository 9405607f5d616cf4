package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vxgw/config"
	"vxgw/gateway/api"
)

// outcome is what a command line did.
type outcome struct {
	code           int
	stdout, stderr string
}

func vxgw(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code := execute(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return outcome{code, out.String(), errs.String()}
}

// standIn is a gateway that answers for one port, one MAC and two drops.
type standIn struct{ api.Source }

func (standIn) Ports() []api.PortRow {
	return []api.PortRow{{Interface: "eth1", VLAN: 10, VNI: 10010, State: api.StateUp}}
}

func (standIn) MACs(vni uint32) iter.Seq[api.MACRow] {
	if vni != 0 && vni != 10010 {
		return slices.Values([]api.MACRow(nil))
	}
	return slices.Values([]api.MACRow{{VNI: 10010, MAC: "02:00:00:00:01:01", Port: "eth1", Origin: api.OriginLearned, Age: 12}})
}

func (standIn) Drops() []api.DropRow {
	return []api.DropRow{{Reason: "ecn", Direction: "overlay", Count: 2}, {Reason: "storm", Direction: "access"}}
}

func (standIn) Name() string                       { return "edge-1" }
func (standIn) VNIs() []api.VNIRow                 { return nil }
func (standIn) VTEPs() []api.VTEPRow               { return nil }
func (standIn) VRFs() []api.VRFRow                 { return nil }
func (standIn) Origins() []api.OriginRow           { return nil }
func (standIn) Datapath() []api.DatapathRow        { return nil }
func (standIn) LearnRefused() []api.RefusedRow     { return nil }
func (standIn) Underlay() api.UnderlayRow          { return api.UnderlayRow{Address: "192.0.2.1", Up: true} }
func (standIn) MACCounts() map[api.MACCountKey]int { return nil }

func (s standIn) FindMACs(q api.MACQuery) iter.Seq[api.MACRow] {
	return func(yield func(api.MACRow) bool) {
		for r := range s.MACs(q.VNI) {
			if q.BehindPort(r.Port) && !yield(r) {
				return
			}
		}
	}
}

func (standIn) Explain(r api.ExplainRequest) (api.Explanation, error) {
	if r.Port == "eth9" {
		return api.Explanation{}, errors.New("eth9 is no access port of this gateway")
	}
	return api.Explanation{Verdict: "drop", Reason: "ecn", Steps: []api.Step{{Question: "frame", Answer: r.Frame}}}, nil
}

// standInFile is a gateway's configuration file, in memory. What is done to it is the
// same each time.
type standInFile struct{ api.Committer }

func (standInFile) Reload(confirm time.Duration) (api.Reloaded, error) {
	done := api.Reloaded{Changes: []string{"+ port eth3", "~ underlay.ttl (at the next start)"}, RestartNeeded: []string{"underlay.ttl"}}
	if confirm != 0 {
		until := time.Date(2025, 6, 1, 12, 0, 0, 0, time.Local).Add(confirm)
		done.ConfirmUntil = &until
	}
	return done, nil
}

func (standInFile) Confirm() (api.ConfigRow, error) { return api.ConfigRow{File: "/f.toml"}, nil }

func (standInFile) Rollback() (api.Reloaded, error) {
	return api.Reloaded{}, fmt.Errorf("nothing waits: %w", api.ErrNotNow)
}

func (standInFile) Config() api.ConfigRow {
	return api.ConfigRow{File: "/f.toml", State: api.ConfigConfirmed, Since: time.Now()}
}

func (standInFile) Diff(_ string, text []byte) (is api.Differences, err error) {
	switch {
	case bytes.Contains(text, []byte("198.51.100.1")):
		return is, fmt.Errorf("it cannot run: %w", api.ErrInvalid)
	case bytes.Contains(text, []byte("ttl = 9")):
		is.Impacts = []api.Impact{
			{Item: "port eth1", Change: "VLAN 10 -> 20", Effect: "its 12 MACs are flushed", Interrupts: true},
			{Item: "underlay ttl", Change: "64 -> 9", Effect: "takes a restart", Restart: true},
		}
	}
	return is, nil
}

// serve starts a control API, and returns its socket and a configuration that
// names it.
func serve(t *testing.T) (socket, file string) {
	t.Helper()
	dir := t.TempDir()
	socket = filepath.Join(dir, "s")
	file = filepath.Join(dir, "vxgw.toml")
	text := strings.Replace(config.Sample(), "\n[api]\n", "\n[api]\nsocket = \""+socket+"\"\n", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := api.New(standIn{}, api.Options{Socket: socket, Commit: standInFile{}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); <-done })
	return socket, file
}

func TestCommandLine(t *testing.T) {
	socket, file := serve(t)
	t.Setenv("VXGW_SOCKET", socket)
	bad := filepath.Join(t.TempDir(), "bad.toml")
	if err := os.WriteFile(bad, []byte("[underlay]\naddress = \"192.0.2.1\"\nporrt = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	small := func(name, more string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("[underlay]\naddress = \"192.0.2.1\"\n"+more+"[api]\nsocket = \""+socket+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ttl := small("ttl.toml", "ttl = 9\n")
	// Valid, and nothing that this gateway can run.
	moved := small("moved.toml", "[[vni]]\nid = 1\nflood = [\"198.51.100.1\"]\n")
	nobody := filepath.Join(t.TempDir(), "nobody.toml")
	if err := os.WriteFile(nobody, []byte("[underlay]\naddress = \"192.0.2.1\"\n[api]\nsocket = \"/nonexistent\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, args     string
		stdin          string
		code           int
		stdout, stderr string
	}{
		{"nothing", "", "", 2, "", "Name one of capture, check,"},
		{"unknown command", "bogus", "", 2, "", `no "bogus": there is capture, check,`},
		{"near command", "sho", "", 2, "", "did you mean show?"},
		{"unknown flag", "--bogus", "", 2, "", "Try 'vxgw --help'."},
		{"version", "version", "", 0, "vxgw devel", ""},
		{"version as a flag", "--version", "", 0, "vxgw devel", ""},
		{"sample", "sample", "", 0, "[underlay]", ""},
		{"schema", "schema", "", 0, `"$schema": "https://json-schema.org/draft/2020-12/schema"`, ""},
		{"import of no bridge", "import no-such-bridge", "", 1, "", `error: there is no bridge "no-such-bridge"`},
		{"one argument too many", "sample all", "", 2, "", "Try 'vxgw sample --help'."},
		{"check", "check -c " + file, "", 0, "192.0.2.1", ""},
		{"check nothing", "check -c /nonexistent", "", 2, "", "/nonexistent: there is no such file"},
		{"check what is wrong", "check -c " + bad, "", 2, "", bad + ":3:1: "},
		{"check what changes", "check --diff -c " + ttl, "", 0, "port eth1: VLAN 10 -> 20: its 12 MACs are flushed\nunderlay ttl: 64 -> 9: takes a restart\nwhat takes a restart: systemctl restart vxgw\nnothing else is touched\n", ""},
		{"check what changes nothing", "check --diff -c " + file, "", 0, "nothing changes\n", ""},
		{"check what changes, as JSON", "check --diff --json -c " + ttl, "", 0, `"change":"VLAN 10 -> 20"`, ""},
		{"check what cannot run", "check --diff -c " + moved, "", 2, "", "it cannot run"},
		{"check what is wrong and changes", "check --diff -c " + bad, "", 2, "", bad + ":3:1: "},
		{"check against nobody", "check --diff -c " + nobody, "", 1, "", "is it running? systemctl status vxgw\nThe file is valid."},
		{"check against another", "check --diff -c " + nobody + " --socket " + socket, "", 0, "nothing changes", ""},
		{"check as JSON", "check --json -c " + file, "", 2, "", "go with --diff"},
		{"reload", "reload", "", 0, "+ port eth3\n~ underlay.ttl (at the next start)\nwhat is marked \"at the next start\" takes effect then: systemctl restart vxgw\n", ""},
		{"reload to be confirmed", "reload --confirm 60s", "", 0, "not confirmed: rolled back at 12:01:00, unless `vxgw confirm` follows\n", ""},
		{"reload to be confirmed at once", "reload --confirm 0s", "", 2, "", "write 60s or 5m"},
		{"reload to be confirmed some time", "reload --confirm soon", "", 2, "", "Try 'vxgw reload --help'."},
		{"confirm", "confirm", "", 0, "confirmed: /f.toml stays in force\n", ""},
		{"rollback of nothing", "rollback", "", 1, "", "error: nothing waits"},
		{"show config", "show config", "", 0, "/f.toml  confirmed", ""},
		{"run what is wrong", "run -c " + bad, "", 2, "", bad + ":3:1: "},
		{"top without a terminal", "top", "", 2, "", "`vxgw top -b` writes text, and `vxgw show ports`"},
		{"top times in a terminal", "top -n 3", "", 2, "", "-n goes with -b"},
		{"top less than never", "top -b -n -1", "", 2, "", "0 for no end"},
		{"top too often", "top -b -d 10ms", "", 2, "", "once in 1s at the most"},
		{"top of something else", "top -b -t cables", "", 2, "", "there is ports, vnis, vteps, drops, macs"},
		{"top of nobody", "top -b -n 1 --socket /nonexistent", "", 1, "", "is it running? systemctl status vxgw"},
		{"top once", "top -b -n 1 -d 1s", "", 0, "\n  eth1     10  10010  up          0         0       0         0     0\n", ""},
		{"top of MACs", "top -b -n 1 -d 1s -t macs --filter eth1", "", 0, "02:00:00:00:01:01  10010  eth1  learned  12s", ""},
		{"top of drops, twice", "top -b -n 2 -d 1s -t drops", "", 0, "\n  ecn", ""},
		{"show nothing", "show", "", 2, "", "vxgw show what?"},
		{"show something else", "show cables", "", 2, "", `no "cables": there is config, datapath`},
		{"show ports", "show ports", "", 0, "eth1    10  10010  up", ""},
		{"by another name", "show port", "", 0, "eth1", ""},
		{"flags before", "show --json ports", "", 0, `"interface":"eth1"`, ""},
		{"flags after", "show ports --json", "", 0, `"interface":"eth1"`, ""},
		{"of one VNI", "show macs --vni 10010", "", 0, "12s", ""},
		{"of another VNI", "show macs --vni 5", "", 0, "no MACs learned yet (VNI 5)", ""},
		{"of no VNI", "show macs --vni 0", "", 2, "", "1 to 16777215"},
		{"of an empty VNI", "show macs --vni=", "", 2, "", "1 to 16777215"},
		{"drops", "show drops", "", 0, "total   -              2", ""},
		{"all drops", "show drops --all", "", 0, "storm   access         0", ""},
		{"socket by flag", "show ports --socket /nonexistent", "", 1, "", "is it running? systemctl status vxgw"},
		{"socket by configuration", "show ports -c " + file, "", 0, "eth1", ""},
		{"socket by a bad configuration", "show ports -c " + bad, "", 2, "", bad + ":3:1: "},
		{"explain", "explain --port eth1 0xFF FF:ff", "", 0, "1. frame  ffffff\nverdict: drop (ecn)", ""},
		{"explain standard input", "explain --vtep 192.0.2.2 --vni 10010 -", "\t0x0000:  ffff\n", 0, "frame  ffff\n", ""},
		{"explain as JSON", "explain --json --port eth1 ff", "", 0, `"verdict":"drop"`, ""},
		{"explain nowhere", "explain ff", "", 2, "", "say where"},
		{"explain without a VNI", "explain --vtep 192.0.2.2 ff", "", 2, "", "say the VNI"},
		{"explain a wrong VNI", "explain --vtep 192.0.2.2 --vni -1 ff", "", 2, "", "1 to 16777215"},
		{"explain nothing", "explain --port eth1", "", 2, "", "the frame is empty"},
		{"explain too much", "explain --port eth1 -", strings.Repeat(" ", maxFrameText+1), 2, "", "longer than any frame"},
		{"the gateway says no", "explain --port eth9 ff", "", 1, "", "error: eth9 is no access port"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := vxgw(t, test.stdin, strings.Fields(test.args)...)
			if got.code != test.code || !strings.Contains(got.stdout, test.stdout) || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", got.code, test.code, got.stdout, got.stderr)
			}
			if test.code == 0 && got.stderr != "" && !strings.Contains(got.stderr, "(warning)") {
				t.Errorf("stderr: %s", got.stderr)
			}
			if test.code != 0 && (got.stderr == "" || got.stdout != "") {
				t.Errorf("stdout %q, stderr %q: an error belongs on stderr alone", got.stdout, got.stderr)
			}
		})
	}
}

func TestJSONIsAnArray(t *testing.T) {
	socket, _ := serve(t)
	got := vxgw(t, "", "show", "macs", "--json", "--socket", socket)
	var rows []api.MACRow
	if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil || len(rows) != 1 || rows[0].Age != 12 {
		t.Errorf("%q: %v", got.stdout, err)
	}
}

// TestInterrupted holds that a question ends with the user's patience, without
// words.
func TestInterrupted(t *testing.T) {
	socket, _ := serve(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, errs bytes.Buffer
	if code := execute(ctx, []string{"show", "macs", "--socket", socket}, strings.NewReader(""), &out, &errs); code != 1 || errs.String() != "" {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

// TestSampleIsValid holds that what `vxgw sample` prints is what `vxgw check`
// takes.
func TestSampleIsValid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vxgw.toml")
	if err := os.WriteFile(file, []byte(vxgw(t, "", "sample").stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := vxgw(t, "", "check", "-c", file); got.code != 0 {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
}
