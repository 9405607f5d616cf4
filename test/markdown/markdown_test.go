package markdown

import (
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
