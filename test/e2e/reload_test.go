package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vxgw/test/netns"
)

// While VNIs, ports and VTEPs beside it come and go, a VNI that no reload
// touches loses no frame and doubles none.
func TestReloadLosesNothing(t *testing.T) {
	t.Parallel()
	const frames, chunk = 20_000, 50
	b := newBed(t, 2, 1600)
	b.ports = 1 // acc2 comes and goes
	without := b.config(settings{vni: "ageing = \"0s\""})
	with := without + fmt.Sprintf("[[vni]]\nid = %d\nvlan = 20\nflood = [\"192.0.2.50\"]\n[[port]]\ninterface = \"acc2\"\nvlan = 20\n", otherVNI)
	b.gateway = start(t, b.ns, without).forwards()
	file := filepath.Join(filepath.Dir(b.socket), "vxgw.toml")
	text, err := os.ReadFile(file)
	must(t, err)
	tail := string(text[len(without):]) // [api], as start wrote it

	seen := capture(t, b.peer, "und0", netns.Only(func(f []byte) bool {
		_, ok := number(f)
		return ok
	}))
	sent := make(chan error, 1)
	go func() {
		for n := uint32(0); n < frames; n += chunk {
			if err := b.hosts.Send("h1", numbered(ra1MAC, h1MAC, n, chunk)...); err != nil {
				sent <- err
				return
			}
			time.Sleep(time.Millisecond) // about 50,000 a second at the most
		}
		sent <- nil
	}()
	reloads := 0
	for done := false; !done || reloads < 50; reloads++ {
		next := with
		if reloads%2 == 1 {
			next = without
		}
		must(t, os.WriteFile(file, []byte(next+tail), 0o644))
		if _, err := b.client.Reload(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-sent:
			must(t, err)
			done = true
		default:
		}
	}
	must(t, seen.Wait(frames, patience))
	count := make(map[uint32]int)
	for _, f := range seen.Frames() {
		n, _ := number(f)
		count[n]++
	}
	for n := range uint32(frames) {
		if count[n] != 1 {
			t.Errorf("frame %d came out %d times", n, count[n])
		}
	}
	must(t, seen.Close())
	t.Logf("%d reloads", reloads)
	b.wantDrops(drops{})
}
