package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"vxgw/config"
)

// A configuration of thousands of VNIs has as much to warn of, and a reload of it
// changes as much: a log names some, and says how many more there are.
func TestLogIsBounded(t *testing.T) {
	for _, test := range []struct {
		name string
		max  int
		log  func(log *slog.Logger, n int)
	}{
		{"warnings", maxWarnings, func(log *slog.Logger, n int) {
			var all []config.Problem
			for i := range n {
				all = append(all, config.Problem{File: "f", Line: i + 1, Col: 1, Message: "a warning"})
			}
			logWarnings(all, log)
		}},
		{"changes", maxChanges, func(log *slog.Logger, n int) {
			var all []string
			for i := range n {
				all = append(all, fmt.Sprintf("+ vni %d", i))
			}
			(&reloader{log: log}).logChanges(all)
		}},
	} {
		for n, want := range map[int]int{0: 0, 1: 1, test.max: test.max, test.max + 1: test.max + 1, 5000: test.max + 1} {
			var text bytes.Buffer
			test.log(slog.New(slog.NewTextHandler(&text, nil)), n)
			if lines := strings.Count(text.String(), "\n"); lines != want {
				t.Errorf("%d %s: %d lines, want %d", n, test.name, lines, want)
			}
			if more := fmt.Sprintf("=%d", n-test.max); n > test.max && !strings.Contains(text.String(), more) {
				t.Errorf("%d %s: nothing of %s more", n, test.name, more)
			}
		}
	}
}
