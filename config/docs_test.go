package config

import (
	"strings"
	"testing"

	"vxgw/test/markdown"
)

// TestDocumentedConfigurations holds that every configuration in the documents is valid.
// One that shows a part of a file stands beside the least that there must be.
func TestDocumentedConfigurations(t *testing.T) {
	all, err := markdown.All("..")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, d := range all {
		for _, b := range d.Blocks {
			if b.Language() != "toml" {
				continue
			}
			seen++
			text := b.Text
			if !strings.Contains(text, "[underlay]") {
				text += "\n[underlay]\naddress = \"192.0.2.1\"\n"
			}
			if _, err := Parse("block", []byte(text)); err != nil {
				t.Errorf("%s:%d: %v\n%s", d.Path, b.Line, err, text)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d configurations were found", seen)
	}
}
