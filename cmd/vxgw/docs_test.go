package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vxgw/test/markdown"
)

// invocation finds the program in a shell's line: at its beginning or behind what begins
// a command, under whatever path.
var invocation = regexp.MustCompile(`(?:^|[|;&(]\s*|\bsudo |\b[A-Z_]+=\S+ )(?:[\w./]*/)?vxgw(?: ([^|;&()<>]*)|$|[|;&)])`)

// invocations returns the arguments of each vxgw in a line.
func invocations(line string) (all [][]string) {
	line, _, _ = strings.Cut(line, " #")
	for _, m := range invocation.FindAllStringSubmatch(line, -1) {
		all = append(all, words(m[1]))
	}
	return all
}

// shows matches a command that a line of text shows. Other things are called vxgw too, and
// dots and alternatives stand for something else.
var shows = regexp.MustCompile(`^vxgw [a-z-]+[^|…[{]*$`)

// words splits as a shell does, quotes included.
func words(text string) (all []string) {
	for _, m := range regexp.MustCompile(`(?:[^\s'"]|'[^']*'|"[^"]*")+`).FindAllString(text, -1) {
		all = append(all, strings.NewReplacer("'", "", `"`, "").Replace(m))
	}
	return all
}

// checkInvocation says what is wrong with a command line: a command, a flag or the number
// of arguments. whole: it is to be run as it stands, and not the beginning of one.
func checkInvocation(args []string, whole bool) error {
	root := rootCommand()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.InitDefaultVersionFlag()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	cmd.SetOut(io.Discard)
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil && (whole || !strings.Contains(err.Error(), "flag needs an argument")) {
		return err
	}
	left := cmd.Flags().Args()
	if cmd.HasSubCommands() && len(left) > 0 && cmd.Name() != "help" {
		return fmt.Errorf("%s has no %q", cmd.CommandPath(), left[0])
	}
	if !whole {
		return nil
	}
	if version := cmd.Flags().Lookup("version"); cmd.HasSubCommands() && (version == nil || !version.Changed) {
		return fmt.Errorf("%s is no command by itself", cmd.CommandPath())
	}
	return cmd.ValidateArgs(left)
}

func TestInvocations(t *testing.T) {
	for _, tc := range []struct {
		line, want string
		whole      bool
		wrong      string
	}{
		{"bin/vxgw check -c vxgw.toml   # says -x", "[[check -c vxgw.toml]]", true, ""},
		{"vxgw sample | vxgw check -c /dev/stdin && sudo vxgw reload --confirm 60s", "[[sample] [check -c /dev/stdin] [reload --confirm 60s]]", true, ""},
		{"vxgw capture --filter 'arp or icmp' -w -", "[[capture --filter arp or icmp -w -]]", true, ""},
		{"apt-get install ./vxgw_1.deb", "[]", true, ""},
		{"systemctl restart vxgw", "[]", true, ""},
		{"vxgw snow ports", "[[snow ports]]", true, `no "snow"`},
		{"vxgw show cables", "[[show cables]]", true, `no "cables"`},
		{"vxgw show", "[[show]]", true, "no command by itself"},
		{"vxgw show", "[[show]]", false, ""},
		{"vxgw show ports --jsn", "[[show ports --jsn]]", false, "unknown flag"},
		{"vxgw reload --confirm", "[[reload --confirm]]", true, "needs an argument"},
		{"vxgw reload --confirm", "[[reload --confirm]]", false, ""},
		{"cmd/vxgw/ one file for each", "[]", true, ""},
		{"vxgw reload --confirm soon", "[[reload --confirm soon]]", true, "invalid"},
		{"vxgw sample all", "[[sample all]]", true, "all"},
	} {
		t.Run(tc.line, func(t *testing.T) {
			got := invocations(tc.line)
			if fmt.Sprint(got) != tc.want {
				t.Errorf("found %v", got)
			}
			for _, args := range got {
				if err := checkInvocation(args, tc.whole); (err != nil) != (tc.wrong != "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
					t.Errorf("%v: %v", args, err)
				}
			}
		})
	}
}

// TestDocumentedCommands holds that the commands and flags that the documents show are
// there: in shell blocks whole, and in a line of text as far as they go.
func TestDocumentedCommands(t *testing.T) {
	all, err := markdown.All("../..")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	check := func(where string, line int, text string, whole bool) {
		for _, args := range invocations(text) {
			seen++
			if err := checkInvocation(args, whole); err != nil {
				t.Errorf("%s:%d: %s: %v", where, line, text, err)
			}
		}
	}
	for _, d := range all {
		for _, b := range d.Blocks {
			if !slices.Contains([]string{"sh", "console"}, b.Language()) {
				if b.Language() == "" && len(invocations(strings.SplitN(b.Text, "\n", 2)[0])) > 0 {
					t.Errorf("%s:%d: commands in a block that does not say so: write ```sh", d.Path, b.Line)
				}
				continue
			}
			for _, line := range b.Commands() {
				check(d.Path, b.Line, line, true)
			}
		}
		for _, s := range d.Spans {
			if shows.MatchString(s.Code) && !strings.Contains(s.Code, "...") {
				check(d.Path, s.Line, s.Code, false)
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d commands were found", seen)
	}
}
