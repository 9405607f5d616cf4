package test

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vxgw/test/markdown"
)

func documents(t *testing.T) []markdown.Doc {
	t.Helper()
	all, err := markdown.All("..")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLinks holds that what the documents link to in this repository is there, its
// headings included.
func TestLinks(t *testing.T) {
	headings, links := map[string][]string{}, 0
	for _, d := range documents(t) {
		headings[d.Path] = d.Headings
	}
	for _, d := range documents(t) {
		for _, l := range d.Links {
			if strings.Contains(l.Target, "://") || strings.HasPrefix(l.Target, "mailto:") {
				continue
			}
			links++
			file, heading, _ := strings.Cut(l.Target, "#")
			to := path.Join(path.Dir(d.Path), file)
			if file == "" {
				to = d.Path
			}
			if _, err := os.Stat(filepath.Join("..", to)); err != nil {
				t.Errorf("%s:%d links to %s: %v", d.Path, l.Line, l.Target, err)
			}
			if known, ok := headings[to]; heading != "" && (!ok || !slices.Contains(known, heading)) {
				t.Errorf("%s:%d links to %s, where there is no such heading", d.Path, l.Line, l.Target)
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}

// TestREADMEListsDocuments holds that a reader finds every document from README.md.
func TestREADMEListsDocuments(t *testing.T) {
	all := documents(t)
	var listed []string
	for _, d := range all {
		if d.Path == "README.md" {
			for _, l := range d.Links {
				listed = append(listed, l.Target)
			}
		}
	}
	for _, d := range all {
		if strings.HasPrefix(d.Path, "docs/") && !slices.Contains(listed, d.Path) {
			t.Errorf("README.md does not name %s: add it to what there is to read", d.Path)
		}
	}
}

// TestNamedTests holds that a test that the documents name in proof of something exists.
func TestNamedTests(t *testing.T) {
	known := testNames(t)
	seen := 0
	for _, d := range documents(t) {
		for _, s := range d.Spans {
			name, ok := strings.CutPrefix(s.Code, "Test")
			if !ok || name == "" || strings.ContainsAny(name, " ./") {
				continue
			}
			seen++
			if !known[s.Code] {
				t.Errorf("%s:%d names %s, which there is not", d.Path, s.Line, s.Code)
			}
		}
	}
	if seen == 0 {
		t.Error("no document names a test")
	}
}

// testNames returns the names of all tests.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, s := range sources(t) {
		if !s.isTest {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", s.file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "func Test"); ok {
				name, _, _ := strings.Cut(rest, "(")
				known["Test"+name] = true
			}
		}
	}
	return known
}
