package config

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files of this package and those in docs")

// uncommented takes the # off every key and header that is commented out; that
// of prose has a space behind it.
func uncommented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if len(line) > 1 && line[0] == '#' && line[1] != ' ' && line[1] != '\n' {
			line = line[1:]
		}
		b.WriteString(line)
	}
	return b.String()
}

func TestSampleIsValid(t *testing.T) {
	c, err := Parse("sample", []byte(Sample()))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("the sample as it is has warnings:\n%v", Problems(c.Warnings))
	}
	full, err := Parse("sample", []byte(uncommented(Sample())))
	if err != nil {
		t.Fatal(err)
	}
	if len(full.Ports) != 2 || len(full.MACs) != 2 || len(full.VRFs) != 1 || len(full.VRFs[0].Routes) != 4 || !full.VNIs[0].Group.IsValid() {
		t.Errorf("uncommented, not all of it is there: %+v", full)
	}
}

// TestSampleIsComplete checks that every key is explained once, and that a key
// that is commented out shows its default.
func TestSampleIsComplete(t *testing.T) {
	raw, err := decodeTOML(uncommented(Sample()))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(tb *table, in []map[string]any)
	walk = func(tb *table, in []map[string]any) {
		for _, k := range tb.keys {
			if n := strings.Count(Sample(), "# "+k.doc); n != 1 {
				t.Errorf("%s %s is explained %d times", tb.header(), k.name, n)
			}
			found := false
			for _, m := range in {
				v, ok := m[k.name]
				found = found || ok
				if ok && k.def != nil && v != k.def {
					t.Errorf("%s %s is shown as %v, its default is %v", tb.header(), k.name, v, k.def)
				}
			}
			if !found {
				t.Errorf("%s %s is not in the sample", tb.header(), k.name)
			}
		}
		for _, kid := range tb.kids {
			var inner []map[string]any
			for _, m := range in {
				switch v := m[kid.name].(type) {
				case map[string]any:
					inner = append(inner, v)
				case []map[string]any:
					inner = append(inner, v...)
				}
			}
			walk(kid, inner)
		}
	}
	walk(fileTable, []map[string]any{raw})
}

// TestSampleIsTheDocumented keeps the file in the documentation the same.
func TestSampleIsTheDocumented(t *testing.T) { golden(t, "../docs/vxgw.toml", Sample()) }

func golden(t *testing.T, file, got string) {
	t.Helper()
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
		t.Errorf("%s is out of date (-want +got); go test ./config -update writes it\n%s", file, diff)
	}
}

// TestDefaultsAreValid checks the schema against itself.
func TestDefaultsAreValid(t *testing.T) {
	var walk func(*table)
	walk = func(tb *table) {
		for _, k := range tb.keys {
			if k.def != nil {
				if _, err := k.kind.parse(k.def); err != nil {
					t.Errorf("default of %s %s %v", tb.header(), k.name, err)
				}
			}
			if k.doc == "" || k.kind.want == "" {
				t.Errorf("%s %s has no words", tb.header(), k.name)
			}
			if k.required && k.def != nil {
				t.Errorf("%s %s is required and has a default", tb.header(), k.name)
			}
		}
		for _, kid := range tb.kids {
			walk(kid)
		}
	}
	walk(fileTable)
}
