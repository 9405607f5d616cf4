// Package faults runs the gateway as an operator does, breaks what it stands on,
// and holds it to what the operator then reads, counts and may do. The program
// is the real one, in network namespaces of its own.
package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long anything may take that ought to be soon. Nothing is held
// to it that is not broken.
const patience = 20 * time.Second

// program is the gateway under test.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if what := os.Getenv(refuseEnv); what != "" {
		return runRefused(what)
	}
	dir, err := os.MkdirTemp("", "vxgw-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// A process without privileges runs it too.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	program = filepath.Join(dir, "vxgw")
	if out, err := exec.Command("go", "build", "-o", program, "vxgw/cmd/vxgw").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the gateway: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
