// Package e2e tests the gateway as it is run: a process of its own in a network
// namespace, with real sockets, real hosts and the Linux kernel's vxlan, or a
// second gateway, as its peer. It counts frames and compares bytes; the
// namespaces are quiet, so the counts are exact.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the gateway under test, built with the race detector; "" where
// the tests are going to be skipped.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(controllerSocket) != "" {
		return beController()
	}
	if os.Geteuid() == 0 {
		dir, err := os.MkdirTemp("", "vxgw-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		// The race detector lets a second pass before a process ends, unless
		// told otherwise.
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		program = filepath.Join(dir, "vxgw")
		if err := build(program); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

func build(path string) error {
	cmd := exec.Command("go", "build", "-race", "-o", path, "vxgw/cmd/vxgw")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // the race detector needs it
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return nil
}
