package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// line is one place that writes to the log.
type line struct {
	file, level string
	message     string // "…" where the program puts something in
	keys        []string
	open        bool // it has attributes that are not written out there
}

// levels are the methods that write to the log. What a message of Debug means is for
// who reads the code; once is gateway/trouble.go's Warn.
var levels = map[string]string{"Info": "info", "Warn": "warn", "Error": "error", "once": "warn"}

// logLines finds what the daemon writes to its log.
func logLines(t *testing.T) (all []line) {
	t.Helper()
	for _, s := range sources(t) {
		if s.isTest || !under(s.dir, "cmd", "gateway", "l3", "l2") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join("..", s.file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if l, ok := logLine(call); ok {
					l.file = s.file
					all = append(all, l)
				}
			}
			return true
		})
	}
	return all
}

// logLine reads a call of a logger's method, `log.Warn(message, key, value...)`.
func logLine(call *ast.CallExpr) (l line, ok bool) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || levels[method.Sel.Name] == "" {
		return l, false
	}
	l.level = levels[method.Sel.Name]
	args := call.Args
	if method.Sel.Name == "once" {
		args = args[1:] // its key
	} else if on := lastName(method.X); on != "log" && on != "Log" {
		return l, false
	}
	l.message = text(args[0])
	l.open = call.Ellipsis.IsValid()
	for _, arg := range args[1:] {
		ast.Inspect(arg, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				key, _ := strconv.Unquote(lit.Value)
				l.keys = append(l.keys, key)
			}
			return true
		})
	}
	return l, true
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

var verbs = regexp.MustCompile(`%[a-z]`)

// text is what is written out of a message.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return text(e.X) + text(e.Y)
	case *ast.CallExpr:
		if lastName(e.Fun) == "Sprintf" {
			return verbs.ReplaceAllString(text(e.Args[0]), "…")
		}
	}
	return "…"
}

// TestLogCatalogue holds that docs/logs.md has every message that an operator may see,
// with its level, and none that is not written any more; and that what is wrong comes
// with what to do about it.
func TestLogCatalogue(t *testing.T) {
	page, err := os.ReadFile("../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, l := range logLines(t) {
		if l.message == "…" {
			continue // in the words of another message, or of the configuration
		}
		row := fmt.Sprintf("| %s | `%s` |", l.level, l.message)
		wanted[row] = true
		if !strings.Contains(string(page), "\n"+row+" ") {
			t.Errorf("%s: docs/logs.md has no row\n%s MEANING | WHAT TO DO |", l.file, row)
		}
		if l.level != "info" && !l.open && !slices.Contains(l.keys, "mend") && !slices.Contains(sayIt, l.message) {
			t.Errorf("%s: %q does not say what to do: give it a \"mend\"", l.file, l.message)
		}
	}
	if len(wanted) < 40 {
		t.Fatalf("only %d messages found", len(wanted))
	}
	for row := range strings.Lines(string(page)) {
		cells := strings.Split(row, " | ")
		if level := strings.TrimPrefix(cells[0], "| "); len(cells) != 4 || level != "info" && level != "warn" && level != "error" {
			continue
		}
		if !wanted[cells[0]+" | "+cells[1]+" |"] {
			t.Errorf("docs/logs.md has %s, which nothing writes", cells[1])
		}
		if strings.TrimSpace(strings.TrimSuffix(cells[3], " |\n")) == "" || cells[2] == "" {
			t.Errorf("docs/logs.md says too little of %s", cells[1])
		}
	}
}

// sayIt are the messages that need no "mend" of their own: a reason beside them says it.
var sayIt = []string{
	"stopped: …", // the error says what to do, as it does on a terminal
	"not reloaded: the gateway runs on as it was", // every mistake with its place
	"port …", "underlay down", "multicast groups are not joined", "VLAN sub-interface is not as it should be",
}
