package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vxgw/test/bench/report"
	"vxgw/test/netns"
)

// program is the gateway under test; "" where the tests are going to be skipped.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Geteuid() == 0 {
		dir, err := os.MkdirTemp("", "vxgw-bench-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "vxgw")
		if out, err := exec.Command("go", "build", "-o", program, "vxgw/cmd/vxgw").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the gateway: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// require skips the test where the bench cannot run.
func require(t testing.TB) {
	t.Helper()
	netns.Require(t)
	if err := able(); err != nil {
		t.Skipf("%v; what is a package `make test` provides", err)
	}
}

func TestChoose(t *testing.T) {
	all := measurements()
	names := func(ms []measurement) string {
		var all []string
		for _, m := range ms {
			all = append(all, m.name)
		}
		return strings.Join(all, ",")
	}
	for _, tc := range []struct{ given, want string }{
		{"", names(all)},
		{"tcp", "tcp"},
		{"tcp,small", "small,tcp"},
	} {
		got, err := choose(all, tc.given)
		if err != nil || names(got) != tc.want {
			t.Errorf("%q: %s, %v; want %s", tc.given, names(got), err, tc.want)
		}
	}
	if _, err := choose(all, "small,tpc"); err == nil || !strings.Contains(err.Error(), `"tpc"`) || !strings.Contains(err.Error(), "tcp-wire") {
		t.Errorf("%v", err)
	}
}

// All of a chart is better when it is more, or all when it is less.
func TestGroups(t *testing.T) {
	less := make(map[report.Group]bool)
	for _, m := range measurements() {
		for _, f := range m.figures {
			if before, ok := less[m.group]; ok && before != f.lessIsGood {
				t.Errorf("%s: %q is unlike others in its chart %q", m.name, f.title, m.group.Title)
			}
			less[m.group] = f.lessIsGood
		}
	}
}

// Measurements that share a kind of bed stand together, and a name stands for
// one of them.
func TestMeasurements(t *testing.T) {
	seen, kinds := map[string]bool{}, map[spec]bool{}
	for rest := measurements(); len(rest) > 0; {
		n := sameBed(rest)
		if kinds[rest[0].spec] {
			t.Errorf("%s: beds of %v are built twice", rest[0].name, rest[0].spec)
		}
		kinds[rest[0].spec] = true
		for _, m := range rest[:n] {
			if seen[m.name] || strings.ContainsAny(m.name, ", ") {
				t.Errorf("%q is no name of its own", m.name)
			}
			seen[m.name] = true
		}
		rest = rest[n:]
	}
}

// A device leaves out what there is, and not everything; what the others are
// compared with leaves out nothing.
func TestWithout(t *testing.T) {
	for i, d := range devices("") {
		part := 0
		for _, m := range measurements() {
			if d.Without(m.name) == "" {
				part++
			}
			if d.Bare() && d.Without(m.name) == "" && (m.spec.vnis > 1 || m.spec.routed || m.spec.hosts) {
				t.Errorf("%s does nothing to a frame, and takes part in %s", d.Title(), m.name)
			}
		}
		if part == 0 || i == 0 && part != len(measurements()) {
			t.Errorf("%s takes part in %d of %d measurements", d.Title(), part, len(measurements()))
		}
	}
}

// Why something is left out is told in a sentence for each reason.
func TestAbsences(t *testing.T) {
	got := absences(measurements(), gateway{mode: "xdp"})
	want := []string{
		"vxgw xdp is not in `vnis-1000`: 1,000 ports take a minute to build",
		"vxgw xdp is not in `tcp`, `tcp-wire`, `rtt`, `start`: of the fast path alone only rates of frames are of interest",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := absences(measurements(), kernel{}); got != nil {
		t.Errorf("of what takes part in all: %q", got)
	}
}

// broken is a device that cannot be measured here.
type broken struct{ kernel }

func (broken) Title() string  { return "broken" }
func (broken) Missing() error { return errors.New("there is no such thing") }

func TestPresent(t *testing.T) {
	here, missing := present([]device{kernel{}, broken{}, redirect{}})
	if len(here) != 2 || here[1].Title() != "bare redirect" {
		t.Errorf("there are %v", here)
	}
	if diff := cmp.Diff([]string{"broken was not measured: there is no such thing"}, missing); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := have(tool{"sh", "dash"}, tool{"no-such-program", "nothing"}); err == nil || err.Error() != "there is no no-such-program: install nothing" {
		t.Errorf("%v", err)
	}
}

// The document has a place for the figures, and what is written by hand stays. The
// charts are where it looks for them.
func TestWrite(t *testing.T) {
	document, err := os.ReadFile(filepath.FromSlash("../../docs/performance.md"))
	must(t, err)
	file := filepath.Join(t.TempDir(), "performance.md")
	must(t, os.WriteFile(file, document, 0o644))
	r := report.Report{
		Devices: []string{"Linux", "vxgw"}, Facts: []string{"this was measured"},
		Figures: []report.Figure{{Group: report.Group{Name: "chart", Title: "Chart"}, Rounds: [][]report.Sample{{{Value: 1}, {Value: 2}}}}},
	}
	must(t, write(r, options{file: file}, io.Discard))
	got, err := os.ReadFile(file)
	must(t, err)
	if !strings.Contains(string(got), "- this was measured\n") || !strings.HasPrefix(string(got), "# Performance\n") {
		t.Errorf("the document is now\n%s", got)
	}
	_, rest, _ := strings.Cut(string(got), "more is better](")
	link, _, _ := strings.Cut(rest, ")")
	chart, err := os.ReadFile(filepath.Join(filepath.Dir(file), filepath.FromSlash(link)))
	must(t, err)
	if string(chart) != r.Charts()[0].SVG {
		t.Errorf("the chart %s is\n%s", link, chart)
	}
}

// A part is printed, and nothing is written.
func TestWritePart(t *testing.T) {
	r := report.Report{Devices: []string{"Linux", "vxgw"}, Facts: []string{"this was measured"}}
	var out strings.Builder
	must(t, write(r, options{file: "/nonexistent/file", figures: "tcp"}, &out))
	if !strings.Contains(out.String(), "- this was measured\n") {
		t.Errorf("of a part is printed:\n%s", out.String())
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-rounds", "1", "-secs", "0.5", "-figures", "tcp"})
	if err != nil || o.rounds != 1 || o.window().Milliseconds() != 500 || o.figures != "tcp" || o.file != "docs/performance.md" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-rounds", "0"}, {"-secs", "0"}, {"-secs", "NaN"}, {"tcp"}} {
		if o, err := parse(bad); err == nil {
			t.Errorf("%v: %+v", bad, o)
		}
	}
}
