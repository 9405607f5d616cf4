package config

import (
	"strings"
	"testing"
)

// TestManPage holds that the page has every key, and no line that man(1) would take for
// a request that it does not know.
func TestManPage(t *testing.T) {
	page := ManPage("2026-11-26")
	if !strings.HasPrefix(page, ".TH VXGW.TOML 5 \"2026-11-26\"") {
		t.Errorf("head %.60q", page)
	}
	fileTable.each(func(tb *table) {
		for i := range tb.keys {
			if k := &tb.keys[i]; !strings.Contains(page, "\n.B "+k.name+"\n") || !strings.Contains(page, roff(k.doc)) {
				t.Errorf("%s %s is not there", tb.header(), k.name)
			}
		}
	})
	requests := []string{".TH ", ".SH ", ".PP", ".TP", ".B ", ".BR ", ".I ", ".br"}
	for line := range strings.Lines(page) {
		known := !strings.HasPrefix(line, ".") && !strings.HasPrefix(line, "'")
		for _, r := range requests {
			known = known || strings.HasPrefix(line, r)
		}
		if !known {
			t.Errorf("line %q is no request", line)
		}
	}
}

func TestRoff(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"plain":         {"a name", "a name"},
		"hyphen":        {"head-end", `head\-end`},
		"backslash":     {`a\b`, `a\eb`},
		"dot":           {".example", `\&.example`},
		"quote":         {"'t is", `\&'t is`},
		"literal":       {"beside `vlan`, the", `beside \fBvlan\fR, the`},
		"literal first": {"`.x`", `\fB.x\fR`},
		"unpaired":      {"a ` b", "a ` b"},
		"two lines":     {"a\n.b", "a .b"},
	} {
		if got := roff(test.in); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
