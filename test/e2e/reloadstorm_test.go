package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// holding is what a gateway has of the machine.
type holding struct {
	files, goroutines int
	named             map[string]string // the rest, as the machine lists it
}

func (b *bed) holding(pins pinning) holding {
	b.t.Helper()
	b.client.Close() // its own connections are none of it
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.cmd.Process.Pid))
	must(b.t, err)
	h := holding{len(fds), int(metrics(b.t, b.ns)["go_goroutines"]), make(map[string]string)}
	for name, c := range map[string]string{
		"memberships": "ip maddr show dev und0",
		"addresses":   "ip -o address show",
		"pins":        "find /sys/fs/bpf | sed -E 's/(tap-.*)-[0-9]+$/\\1/' | sort", // whenever a port was opened
		"interfaces":  "ip -o link show | cut -d : -f 2",
		"programs":    "ip -o link show | grep -c xdp",
	} {
		out, err := b.ns.Command(context.Background(), "nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", pins.pid), "sh", "-c", c).Output()
		must(b.t, err)
		h.named[name] = string(out)
	}
	return h
}

// exceeds says what there is more of than before, or other things.
func (h holding) exceeds(before holding) string {
	if h.files > before.files || h.goroutines > before.goroutines {
		return fmt.Sprintf("%d files and %d goroutines, were %d and %d", h.files, h.goroutines, before.files, before.goroutines)
	}
	return cmp.Diff(before.named, h.named)
}

// However many reload at once, by the API and by signals, for good and for a time: what
// the gateway holds afterwards is what it held before, and it runs by the last file.
func TestReloadStorm(t *testing.T) {
	const clients, each = 8, 40
	b := newBed(t, 3, 1700)
	pins := newPinning(t)
	base := make(variant, len(parts))
	tail := "[datapath]\nmode = \"xdp\"\n"
	file := writeConfig(t, base.String()+tail, withHTTP)
	text, err := os.ReadFile(file)
	must(t, err)
	tail = string(text[len(base.String()):])
	b.gateway = pins.start(t, b.ns, file, "--state", t.TempDir())
	eventually(t, "there are programs", func() bool { return b.mode("acc1") == "xdp" && b.mode("und0") == "xdp" })
	write := func(v variant) {
		must(t, os.WriteFile(file+".next", []byte(v.String()+tail), 0o644))
		must(t, os.Rename(file+".next", file))
	}
	settle := func() {
		write(base)
		eventually(t, "the first configuration is back", func() bool {
			_, err := b.client.Rollback(t.Context()) // whatever waits
			if err != nil && !errors.Is(err, api.ErrNotNow) {
				t.Fatal(err)
			}
			_, err = b.client.Reload(t.Context(), 0)
			return err == nil
		})
		b.forwards()
	}
	// Once, so that what is made but once is there.
	all := make(variant, len(parts))
	for i := range all {
		all[i] = len(parts[i]) - 1
	}
	write(all)
	_, err = b.client.Reload(t.Context(), 0)
	must(t, err)
	settle()
	before := b.holding(pins)
	eventually(t, "nothing more of the first reloads goes on", func() bool {
		was := before
		time.Sleep(500 * time.Millisecond)
		before = b.holding(pins)
		return cmp.Diff(was.named, before.named) == "" && was.files == before.files && was.goroutines == before.goroutines
	})

	var storm sync.WaitGroup
	for c := range clients {
		storm.Go(func() {
			r, client := rand.New(rand.NewPCG(3, uint64(c))), api.NewClient(b.socket)
			defer client.Close()
			v := make(variant, len(parts))
			for range each {
				v.next(r)
				next := fmt.Sprintf("%s.%d", file, c)
				if err := errors.Join(os.WriteFile(next, []byte(v.String()+tail), 0o644), os.Rename(next, file)); err != nil {
					t.Error(err)
				}
				var err error
				switch r.IntN(8) {
				case 0:
					_, err = client.Reload(t.Context(), time.Second) // may come to its end in the storm
				case 1:
					_, err = client.Confirm(t.Context())
				case 2:
					_, err = client.Rollback(t.Context())
				case 3:
					err = b.cmd.Process.Signal(syscall.SIGHUP)
				case 4:
					_, err = client.Diff(t.Context(), file, []byte(v.String()+tail))
				default:
					_, err = client.Reload(t.Context(), 0)
				}
				if err != nil && !errors.Is(err, api.ErrNotNow) {
					t.Error(err)
				}
			}
		})
	}
	storm.Wait()
	settle()
	var more string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) { // to look is a connection
		if more = b.holding(pins).exceeds(before); more == "" {
			break
		}
	}
	if more != "" {
		t.Errorf("the gateway holds more than before: %s", more)
	}
	b.learnBothOf(vni)
	b.end(syscall.SIGTERM)
	if out := b.log.String(); strings.Contains(out, "DATA RACE") || strings.Contains(out, "panic:") {
		t.Error("the race detector, or a panic, in the output")
	}
}

// learnBothOf has the gateway know h1 and a remote station of a VNI, and waits until it
// does, whatever else it knows.
func (b *bed) learnBothOf(vni int) {
	b.t.Helper()
	eventually(b.t, "both are known", func() bool {
		b.fromHost("h1", packet.Numbered(frame.Broadcast, h1MAC, 1))
		b.fromPeer(outerFrom(vtepA, packet.Numbered(frame.Broadcast, ra1MAC, 2)))
		known := b.macs()
		return known[fmt.Sprintf("%d %s", vni, h1MAC)] != "" && known[fmt.Sprintf("%d %s", vni, ra1MAC)] != ""
	})
}
