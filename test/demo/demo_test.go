package demo

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vxgw/test/netns"
)

// program builds vxgw once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "vxgw-demo-test-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "vxgw")
	out, err := exec.Command("go", "build", "-o", file, "vxgw/cmd/vxgw").CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return file, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if file, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(code)
}

// left lists what a demo leaves behind: nothing.
func left(t *testing.T) []string {
	t.Helper()
	spaces, err := filepath.Glob("/run/netns/vxgw-demo-*")
	if err != nil {
		t.Fatal(err)
	}
	return spaces
}

func TestDemo(t *testing.T) {
	netns.Require(t)
	file, err := program()
	if err != nil {
		t.Fatal(err)
	}
	before := left(t)
	var out bytes.Buffer
	if err := Run(context.Background(), &out, file); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"kernel VTEP", "ping h1 -> h2      5 of 5", "ping h2 -> h1      5 of 5", "same SHA-256: true",
		"Dropped: tagged_frame (access) 1", "Dropped: inner_vlan (overlay) 1", "02:00:00:00:01:02", "$ vxgw show drops",
		"ping h1 -> h3      5 of 5", "h1 asks 203.0.113.3 who it is:  \"red\"", "b1 asks 203.0.113.3 who it is:  \"blue\"", "$ vxgw show routes",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not shown in\n%s", want, &out)
		}
	}
	if after := left(t); len(after) > len(before) {
		t.Errorf("left behind: %v", after)
	}
}

// canceller cancels when a line is printed: where Ctrl-C would hit.
type canceller struct {
	bytes.Buffer
	at     string
	cancel context.CancelFunc
}

func (c *canceller) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(c.at)) {
		c.cancel()
	}
	return c.Buffer.Write(b)
}

func TestInterruptedDemoCleansUp(t *testing.T) {
	netns.Require(t)
	file, err := program()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir()) // ours alone to find empty
	for _, at := range []string{"namespaces vxgw-demo", "Configuration", "Traffic", "ping h1", "Refused", "show macs"} {
		t.Run(at, func(t *testing.T) {
			before := left(t)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			out := &canceller{at: at, cancel: cancel}
			if err := Run(ctx, out, file); err == nil || !strings.Contains(err.Error(), "interrupted") {
				t.Errorf("error %v, want interrupted\n%s", err, out)
			}
			if after := left(t); len(after) > len(before) {
				t.Errorf("left behind: %v", after)
			}
			if dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "vxgw-demo-[0-9]*")); len(dirs) > 0 {
				t.Errorf("left behind: %v", dirs)
			}
		})
	}
}
