package e2e

import (
	"strings"
	"syscall"
	"testing"

	"vxgw/gateway/api"
)

// Another process on the UDP port is told of; when it ends the gateway starts
// to forward by itself.
func TestPortTakenByProcess(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600)
	taken, err := b.ns.ListenPacket("udp", gwAddr.String()+":4789")
	must(t, err)
	b.gateway = start(t, b.ns, b.config(settings{}))
	b.waitPort("acc1", api.StateUp)
	if u := b.uplink(); u.Attached || !strings.Contains(u.Reason, "another process") || !strings.Contains(u.Reason, "4789") {
		t.Errorf("%+v: want the conflict named", u)
	}
	must(t, taken.Close())
	b.forwards()
	b.works(t, 0)
	b.wantDrops(drops{})
}

// A second gateway with the same address gets nothing of the first one's
// packets, and takes over when that ends without a word.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600)
	config := b.config(settings{})
	first := b.ns.Command(t.Context(), program, "run", "-c", writeConfig(t, config, `http = ""`))
	must(t, first.Start())
	defer first.Wait()
	eventually(t, "the first gateway has the port", func() bool {
		c, err := b.ns.ListenPacket("udp", gwAddr.String()+":4789")
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	b.gateway = start(t, b.ns, config)
	if u := b.uplink(); u.Attached {
		t.Errorf("%+v: two gateways have one address", u)
	}
	must(t, first.Process.Signal(syscall.SIGKILL))
	b.forwards()
	b.works(t, 0)
}

// A gateway that was killed leaves nothing that keeps another from starting.
func TestRestartAfterKill(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600)
	file := writeConfig(t, b.config(settings{}), `http = ""`)
	for range 3 {
		killed := b.ns.Command(t.Context(), program, "run", "-c", file)
		var out output
		killed.Stdout, killed.Stderr = &out, &out
		must(t, killed.Start())
		eventually(t, "the gateway is ready", func() bool { return strings.Contains(out.String(), "msg=ready") })
		must(t, killed.Process.Kill())
		if err := killed.Wait(); err == nil || strings.Contains(out.String(), "DATA RACE") {
			t.Errorf("%v\n%s", err, out.String())
		}
	}
	b.gateway = startFile(t, b.ns, file).forwards()
	b.works(t, 0)
	b.wantDrops(drops{})
}
