package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of /proc/stat, USER_HZ.
const clockTick = 10 * time.Millisecond

// machineBusy returns the time that all CPUs together were not idle since the
// machine started, to the clock tick.
func machineBusy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseBusy(string(b))
}

// busyBefore returns how many CPUs are busy now, before anything is measured.
func busyBefore(ctx context.Context) (float64, error) {
	const look = time.Second
	before, err := machineBusy()
	if err != nil {
		return 0, err
	}
	if err := wait(ctx, look); err != nil {
		return 0, err
	}
	after, err := machineBusy()
	return (after - before).Seconds() / look.Seconds(), err
}

// parseBusy reads the first line of /proc/stat: "cpu", and the ticks spent in
// user, nice, system, idle, iowait, irq, softirq and steal.
func parseBusy(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	words := strings.Fields(line)
	if len(words) < 9 || words[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var busy time.Duration
	for i, w := range words[1:9] {
		const idle, iowait = 3, 4
		n, err := strconv.ParseUint(w, 10, 63)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		if i != idle && i != iowait {
			busy += time.Duration(n) * clockTick
		}
	}
	return busy, nil
}

// processBusy returns the CPU time that a process's threads have had.
func processBusy(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("process %d has no threads: %w", pid, err)
	}
	var busy time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		busy += time.Duration(n)
	}
	return busy, nil
}

// processMemory returns the resident memory of a process in bytes.
func processMemory(pid int) (uint64, error) {
	file := fmt.Sprintf("/proc/%d/status", pid)
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 54)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no VmRSS", file)
}
