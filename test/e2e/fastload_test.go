package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
)

// most is how many frames a flow under load has numbers for.
const most = 1 << 18

// during has the frames of a flow sent at a rate for as long as do takes, and wants
// each to come once.
func (f *flow) during(rate float64, do func()) {
	f.t.Helper()
	stop := f.begin(rate)
	do()
	stop()
	f.wantAll()
}

// wantAll waits for all frames that were sent, and wants each to have come once.
func (f *flow) wantAll() {
	f.t.Helper()
	for deadline := time.Now().Add(patience); f.to.all() < f.sent && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	f.wantNow(f.sent)
}

// begin sends frames at a rate, or fewer where the machine has no time for more, until
// stop is called.
func (f *flow) begin(rate float64) (stop func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() {
		n, err := f.pace(ctx, rate)
		if err != nil && !errors.Is(err, context.Canceled) {
			f.t.Error(err)
		}
		done <- n
	}()
	end := func() { // once: a test that fails ends it, too
		if cancel != nil {
			cancel()
			f.sent += <-done
			cancel = nil
		}
	}
	f.t.Cleanup(end)
	return func() {
		f.t.Helper()
		end()
		if f.sent > f.to.count {
			f.t.Fatalf("%d frames were sent, more than there are numbers", f.sent)
		}
	}
}

// pace sends frames at a rate until ctx ends, and returns how many.
func (f *flow) pace(ctx context.Context, rate float64) (sent int, err error) {
	if f.gen != nil {
		return f.gen.Pace(ctx, rate, time.Hour)
	}
	// A sender that is late does not make up for it so fast that mode auto would have XDP.
	const atOnce = 15
	for start := time.Now(); ctx.Err() == nil; time.Sleep(time.Millisecond) {
		due := int(rate*time.Since(start).Seconds()) - sent
		all := f.make(f.sent+sent, min(due, atOnce))
		if err := f.from.ns.Send(f.from.dev, all...); err != nil {
			return sent, err
		}
		sent += len(all)
	}
	return sent, nil
}

// make makes n frames from a number on.
func (f *flow) make(first, n int) [][]byte {
	all := make([][]byte, max(n, 0))
	for i := range all {
		k := first + i
		all[i] = slices.Clone(f.frames[k%len(f.frames)])
		if f.field != 0 {
			binary.BigEndian.PutUint32(all[i][f.field:], firstNumber+uint32(k))
		}
	}
	return all
}

// sentSoFar returns how many frames a flow of a generator has sent by now.
func (f *flow) sentSoFar() int {
	f.t.Helper()
	n, err := f.gen.Sent()
	must(f.t, err)
	return int(n)
}

// count counts frames that come in at a device and are meant.
func count(t testing.TB, ns *netns.NS, dev string, meant func([]byte) bool) *atomic.Int64 {
	t.Helper()
	n := new(atomic.Int64)
	capture(t, ns, dev, netns.Only(func(f []byte) bool {
		if meant(f) {
			n.Add(1)
		}
		return false
	}))
	return n
}

// isTo tells frames to a station from others, bare ones and those that are encapsulated.
func isTo(m frame.MAC) func([]byte) bool {
	return func(f []byte) bool { in := frame.Frame(inner(f)); return len(in) >= frame.HeaderLen && in.Dst() == m }
}

// datapathOf returns what `show datapath` has of an interface.
func (g *gateway) datapathOf(dev string) api.DatapathRow {
	g.t.Helper()
	for _, d := range rows[api.DatapathRow](g, "datapath") {
		if d.Interface == dev {
			return d
		}
	}
	return api.DatapathRow{}
}

// says waits until `show datapath` has an interface in a mode, for a reason.
func (g *gateway) says(dev, mode, why string) {
	g.t.Helper()
	var last api.DatapathRow
	defer func() {
		if g.t.Failed() {
			g.t.Logf("the last of %s: %+v", dev, last)
		}
	}()
	eventually(g.t, dev+" is in mode "+mode+": "+why, func() bool {
		last = g.datapathOf(dev)
		return last.Mode == mode && strings.Contains(last.Reason, why)
	})
}

// hasXDP reports whether an interface has an XDP program.
func hasXDP(t testing.TB, ns *netns.NS, dev string) bool {
	t.Helper()
	out, err := ns.Command(context.Background(), "ip", "-d", "link", "show", dev).Output()
	must(t, err)
	return bytes.Contains(out, []byte("prog/xdp"))
}

// reloads has the gateway run another configuration, to which only [api] is added.
func (g *gateway) reloads(text string) {
	g.t.Helper()
	file := filepath.Join(filepath.Dir(g.socket), "vxgw.toml")
	was, err := os.ReadFile(file)
	must(g.t, err)
	tail := string(was[strings.LastIndex(string(was), "\n[api]\n"):])
	must(g.t, os.WriteFile(file, []byte(text+tail), 0o644))
	_, err = g.client.Reload(context.Background())
	must(g.t, err)
}

// lines counts the lines of a gateway's log that have all of these words.
func (g *gateway) lines(words ...string) (n int) {
	for line := range strings.Lines(g.log.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}

// wantOneLine wants the log to say something, and once.
func (g *gateway) wantOneLine(words ...string) {
	g.t.Helper()
	eventually(g.t, "the log says: "+strings.Join(words, ", "), func() bool { return g.lines(words...) > 0 })
	if n := g.lines(words...); n != 1 {
		g.t.Errorf("%d lines of the log have %q, want one", n, words)
	}
}
