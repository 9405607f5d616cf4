package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine describes what is measured on, and what.
func machine(vxgw string, now time.Time) (string, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "", err
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	version, err := exec.Command(vxgw, "version").Output()
	if err != nil {
		return "", fmt.Errorf("%s version: %w", vxgw, err)
	}
	return fmt.Sprintf("Linux %s on %d CPUs (%s), Go %s, %s; %s",
		unix.ByteSliceToString(uts.Release[:]), runtime.NumCPU(), cpuModel(string(info)),
		strings.TrimPrefix(runtime.Version(), "go"), strings.TrimSpace(string(version)), now.UTC().Format(time.DateOnly)), nil
}

// cpuModel finds the name of the first CPU in /proc/cpuinfo.
func cpuModel(info string) string {
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
