package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"vxgw/config"
)

// A configuration of thousands of VNIs has as much to warn of: the log names some, and
// says how many more there are.
func TestLogIsBounded(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, maxWarnings: maxWarnings, maxWarnings + 1: maxWarnings + 1, 5000: maxWarnings + 1} {
		var all []config.Problem
		for i := range n {
			all = append(all, config.Problem{File: "f", Line: i + 1, Col: 1, Message: "a warning"})
		}
		var text bytes.Buffer
		logWarnings(all, slog.New(slog.NewTextHandler(&text, nil)))
		if lines := strings.Count(text.String(), "\n"); lines != want {
			t.Errorf("%d warnings: %d lines, want %d", n, lines, want)
		}
		if more := fmt.Sprintf("=%d", n-maxWarnings); n > maxWarnings && !strings.Contains(text.String(), more) {
			t.Errorf("%d warnings: nothing of %s more", n, more)
		}
	}
}
