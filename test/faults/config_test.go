package faults

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const tenMistakes = `[gateway]
name = 5
[underlay]
address = "192.0.2.300"
porrt = 4789
ttl = 0
[datapath]
mode = "fast"
[[vni]]
id = 16777216
vlan = 4095
flood = ["239.1.1.1"]
[[port]]
interface = "lo"
bpdu = "forward"
[log]
level = "loud"
`

// TestBadFiles holds that nothing is started on a file that is not valid, and
// that all that is wrong is said in one run, the same by run and by check.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	tests := []struct {
		name, file string
		says       []string
	}{
		{"no file", filepath.Join(dir, "none"), []string{"there is no such file", "vxgw sample"}},
		{"directory", dir, []string{"is a directory"}},
		{"empty", write("empty", ""), []string{"the file is empty", "vxgw sample"}},
		{"huge", write("huge", strings.Repeat("#", 3<<20)), []string{"larger than"}},
		{"no text", write("binary", "\x7fELF\x00\x01"), []string{":1:"}},
		{"ten mistakes", write("ten", tenMistakes), []string{
			":2:8: ", ":4:11: ", ":5:1: ", ":6:7: ", ":8:8: ", ":10:6: ", ":11:8: ", ":12:10: ", ":14:13: ", ":15:8: ", ":17:9: ",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, byRun, code := tool(t, nil, "run", "-c", test.file)
			if code != 2 {
				t.Errorf("run: exit %d", code)
			}
			stdout, byCheck, code := tool(t, nil, "check", "-c", test.file)
			if code != 2 || byCheck != byRun || stdout != "" {
				t.Errorf("check: exit %d, %q\n%swhere run says\n%s", code, stdout, byCheck, byRun)
			}
			nothingRaw(t, byRun)
			for _, s := range test.says {
				if !strings.Contains(byRun, s) {
					t.Errorf("nothing of %q in\n%s", s, byRun)
				}
			}
			form := regexp.MustCompile("^" + regexp.QuoteMeta(test.file) + `(:\d+:\d+)?: .`)
			for line := range strings.Lines(byRun) {
				if !form.MatchString(line) {
					t.Errorf("not FILE:LINE:COL: message: %s", line)
				}
			}
		})
	}
}

func TestSampleIntoCheck(t *testing.T) {
	sample, _, code := tool(t, nil, "sample")
	if code != 0 {
		t.Fatalf("sample: exit %d", code)
	}
	stdout, stderr, code := tool(t, strings.NewReader(sample), "check", "-c", "/dev/stdin")
	if code != 0 || !strings.Contains(stdout, "10010") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// TestUsage holds that what is wrong on a command line is said with where help
// is, and that nobody who asks is taken for the gateway.
func TestUsage(t *testing.T) {
	nobody := filepath.Join(t.TempDir(), "s")
	tests := []struct {
		args string
		code int
		says string
	}{
		{"bogus", 2, "Try 'vxgw --help'."},
		{"--bogus", 2, "Try 'vxgw --help'."},
		{"run now", 2, `"now" is too much`},
		{"run -c", 2, "Try 'vxgw run --help'."},
		{"help bogus", 2, `no "bogus"`},
		{"help show bogus", 2, `no "bogus"`},
		{"help version now", 2, `"now"`},
		{"show", 2, "vxgw show what?"},
		{"show ports --socket " + nobody, 1, "is it running?"},
		{"show ports --socket /dev/null", 1, "is it running?"},
		{"explain --port eth1 xyz", 2, "not a hexadecimal digit"},
		{"explain --port eth1 fff", 2, "one is missing"},
		{"explain --port eth1 --vni 0 ff", 2, "1 to 16777215"},
		{"explain --port eth1 --socket " + nobody + " ff", 1, "is it running?"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			stdout, stderr, code := tool(t, nil, strings.Fields(test.args)...)
			if code != test.code || stdout != "" || !strings.Contains(stderr, test.says) {
				t.Errorf("exit %d, stdout %q\n%s", code, stdout, stderr)
			}
			nothingRaw(t, stderr)
		})
	}
}

// TestHelp holds that every command says what it is for, and exits with 0.
func TestHelp(t *testing.T) {
	for _, args := range []string{"help", "--help", "help run", "run --help", "help show", "show macs -h", "explain --help"} {
		stdout, stderr, code := tool(t, nil, strings.Fields(args)...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "Usage:") {
			t.Errorf("%s: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
}
