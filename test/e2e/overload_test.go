package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// pause stops the gateway's process while f runs.
func (g *gateway) pause(f func()) {
	g.t.Helper()
	must(g.t, g.cmd.Process.Signal(syscall.SIGSTOP))
	eventually(g.t, "the gateway's threads have stopped", g.hasStopped)
	defer func() { must(g.t, g.cmd.Process.Signal(syscall.SIGCONT)) }()
	f()
}

// hasStopped reports whether no thread of the gateway runs.
func (g *gateway) hasStopped() bool {
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", g.cmd.Process.Pid))
	must(g.t, err)
	for _, file := range all {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // that one has just ended
		}
		// The state is behind the name, which is in brackets (proc(5)).
		if _, after, ok := strings.Cut(string(b), ") "); !ok || after[0] != 'T' {
			return false
		}
	}
	return len(all) > 0
}

// A gateway that is held up loses what its sockets have no room for, and knows
// how much: what was sent is what was carried and what overflowed. Afterwards
// it carries everything again.
func TestOverflow(t *testing.T) {
	t.Parallel()
	const burst = 20000
	long := make([]byte, 1400)
	for _, tc := range []struct {
		name   string
		reason string
		send   func(*bed, int)
		at     func(*bed) *netns.Capture
	}{
		{"access", "rx_overflow access", func(b *bed, n int) {
			frames := make([][]byte, n)
			for i := range frames {
				frames[i] = packet.Ethernet(nobody, h1MAC, typeTest, long)
			}
			b.fromHost("h1", frames...)
		}, func(b *bed) *netns.Capture { return captureOuter(t, b.peer, "und0") }},
		{"overlay", "rx_overflow overlay", func(b *bed, n int) {
			frames := make([][]byte, n)
			for i := range frames {
				frames[i] = packet.Ethernet(nobody, ra1MAC, typeTest, long)
			}
			b.fromVTEP(vtepA)(frames...)
		}, func(b *bed) *netns.Capture { return capture(t, b.hosts, "h1") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, 1, 1600).start(settings{})
			at := tc.at(b)
			isLong := func(f []byte) bool { return frame.Frame(inner(f)).Dst() == nobody }
			b.pause(func() { tc.send(b, burst) })
			var carried int
			var lost uint64
			eventually(t, "all frames are accounted for", func() bool {
				carried, lost = at.Count(isLong), b.dropped()[tc.reason]
				return uint64(carried)+lost == burst
			})
			if carried == 0 || lost == 0 {
				t.Errorf("%d carried and %d lost: the burst tests nothing", carried, lost)
			}
			tc.send(b, 100)
			must(t, at.WaitMatch(carried+100, isLong, patience))
			b.wantDrops(drops{tc.reason: lost})
		})
	}
}
