package api

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s\ngot:\n%s", file, diff, got)
	}
}

func TestTables(t *testing.T) {
	_, c := start(t, busy(), func(o *Options) { o.Commit = &committer{} })
	for _, r := range Resources {
		t.Run(r.Name, func(t *testing.T) {
			var out bytes.Buffer
			if err := WriteTable(context.Background(), &out, c, r.Name, View{Now: noon, Width: 100}); err != nil {
				t.Fatal(err)
			}
			golden(t, r.Name, out.String())
		})
	}
	var out bytes.Buffer
	if err := WriteTable(context.Background(), &out, c, "drops", View{Zeros: true}); err != nil {
		t.Fatal(err)
	}
	golden(t, "drops-all", out.String())
}

func TestEmptyTables(t *testing.T) {
	_, c := start(t, &fake{})
	var out bytes.Buffer
	for _, r := range Resources {
		v := View{}
		if r.ByVNI {
			v.VNI = 10010
		}
		if err := WriteTable(context.Background(), &out, c, r.Name, v); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "empty", out.String())
	if err := WriteTable(context.Background(), &out, c, "cables", View{}); err == nil {
		t.Error("a table of nothing there is")
	}
}

// TestLongTable holds that a table longer than what it looks ahead stays whole
// and in its columns.
func TestLongTable(t *testing.T) {
	_, c := start(t, &fake{macs: macRows(3 * sampleRows)})
	var out bytes.Buffer
	if err := WriteTable(context.Background(), &out, c, "macs", View{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3*sampleRows+1 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, l := range lines {
		if len(l) != len(lines[0]) {
			t.Fatalf("%q is not as long as %q", l, lines[0])
		}
	}
}

func TestLayoutKeepsLines(t *testing.T) {
	var out bytes.Buffer
	l := newLayout(&out, 0, column{head: "A"}, column{head: "B", right: true}, column{head: "C", optional: true})
	l.row("x\ny\x1b[2J", "", "")
	l.row("größe", "12345", "")
	if err := l.end(); err != nil {
		t.Fatal(err)
	}
	if want := "A            B\nx?y?[2J      -\ngröße    12345\n"; out.String() != want {
		t.Errorf("got\n%q, want\n%q", out.String(), want)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestBrokenPipe(t *testing.T) {
	_, c := start(t, &fake{macs: macRows(100_000)})
	if err := WriteTable(context.Background(), brokenPipe{}, c, "macs", View{}); err == nil || err.Error() != "broken pipe" {
		t.Errorf("table: error %v", err)
	}
	if err := c.Copy(context.Background(), brokenPipe{}, "macs", 0); err == nil || err.Error() != "broken pipe" {
		t.Errorf("JSON: error %v", err)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 59 * time.Second: "59s", 303 * time.Second: "5m3s",
		7500 * time.Second: "2h5m", 76 * time.Hour: "3d4h",
	} {
		if got := Age(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, test := range []struct {
		text string
		n    int
		want string
	}{
		{"short", 20, "short"},
		{"exactly twenty chars", 20, "exactly twenty chars"},
		{"longer than twenty characters", 20, "longer than..."},
		{"onewordwithoutanyspaceinit", 20, "onewordwithoutany..."},
		{"ends, before (this) is told", 20, "ends, before..."},
	} {
		if got := clip(test.text, test.n); got != test.want || len(got) > test.n {
			t.Errorf("%q to %d: %q, want %q", test.text, test.n, got, test.want)
		}
	}
}

func TestExplanationText(t *testing.T) {
	flood, _ := (&fake{}).Explain(ExplainRequest{})
	drop := Explanation{
		Steps:   []Step{{"ingress", "access port eth1"}, {"tag", "TPID 0x8100, VID 5"}},
		Verdict: "drop", Reason: "tagged_frame", Mend: "make the switch port an untagged access port",
	}
	var out bytes.Buffer
	for _, e := range []Explanation{flood, drop} {
		if err := e.WriteText(&out); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "explain", out.String())
}
