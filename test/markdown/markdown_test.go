package markdown

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const text = "# One `vxgw` thing\n\nsee [a](b.md#c), `[not](one)`.\n\n```sh gateway\nvxgw show \\\n  ports\n# said\n```\n## And another, 2\n````\n```\n````\n  ```console\n  $ vxgw top\n  what it prints\n  ```\n"
	got := Parse("x.md", text)
	want := Doc{
		Path: "x.md",
		Blocks: []Block{
			{6, []string{"sh", "gateway"}, "vxgw show \\\n  ports\n# said\n"},
			{12, []string{}, "```\n"},
			{15, []string{"console"}, "  $ vxgw top\n  what it prints\n"},
		},
		Links:    []Link{{3, "b.md#c"}},
		Spans:    []Span{{1, "vxgw"}, {3, "[not](one)"}},
		Headings: []string{"one-vxgw-thing", "and-another-2"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var lines []string
	for _, b := range got.Blocks {
		lines = append(lines, b.Commands()...)
	}
	if diff := cmp.Diff([]string{"vxgw show ports", "# said", "```", "vxgw top"}, lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Whatever a document has, each line of a block is a line of it, at the number that the
// block says.
func FuzzParse(f *testing.F) {
	f.Add("# a\n```sh x\nvxgw show \\\nports\n```\n[b](c.md)`d`\n")
	f.Add("````\n```\n````")
	f.Add("```toml\r\na = 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := slices.Collect(strings.Lines(text))
		for _, b := range Parse("x.md", text).Blocks {
			if len(b.Commands()) > strings.Count(b.Text, "\n")+1 {
				t.Errorf("%d commands in %q", len(b.Commands()), b.Text)
			}
			for i, line := range slices.Collect(strings.Lines(b.Text)) {
				if at := b.Line - 1 + i; at >= len(lines) || lines[at] != line {
					t.Fatalf("%q is not line %d of %q", line, b.Line+i, text)
				}
			}
		}
	})
}
