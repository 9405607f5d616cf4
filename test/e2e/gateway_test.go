package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vxgw/gateway/api"
	"vxgw/test/netns"
)

// patience is how long a test waits for what must happen before it gives up.
const patience = 20 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	eventuallyWithin(t, patience, what, ok)
}

// eventuallyWithin is for what takes its time by itself.
func eventuallyWithin(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// gateway is a running vxgw.
type gateway struct {
	t      testing.TB
	ns     *netns.NS
	socket string
	client *api.Client
	cmd    *netns.Cmd
	log    output

	// drops is what the gateway must have dropped when it is stopped, nil
	// where a test does not say. early is what came for a port before any was up,
	// and nil until all are.
	drops drops
	early *uint64
}

// drops counts dropped frames by "reason direction"; what is zero is absent.
type drops map[string]uint64

// start runs a gateway with a configuration, to which only [api] is added, and
// stops it when the test ends. It returns when the gateway can be asked.
func start(t testing.TB, ns *netns.NS, config string) *gateway {
	t.Helper()
	return startWith(t, ns, config, `http = ""`)
}

func startWith(t testing.TB, ns *netns.NS, config, apiLine string) *gateway {
	t.Helper()
	return startFile(t, ns, writeConfig(t, config, apiLine))
}

// writeConfig writes a configuration file with an [api] section of its own; the
// socket is beside it.
func writeConfig(t testing.TB, config, apiLine string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "vxgw.toml")
	config += fmt.Sprintf("\n[api]\nsocket = %q\n%s\n", socketBeside(file), apiLine)
	must(t, os.WriteFile(file, []byte(config), 0o644))
	return file
}

func socketBeside(file string) string { return filepath.Join(filepath.Dir(file), "control.sock") }

func startFile(t testing.TB, ns *netns.NS, file string) *gateway {
	t.Helper()
	socket := socketBeside(file)
	g := &gateway{t: t, ns: ns, socket: socket, client: api.NewClient(socket)}
	g.cmd = ns.Command(context.Background(), program, "run", "--detach-on-exit", "-c", file)
	g.cmd.Stdout, g.cmd.Stderr = &g.log, &g.log
	must(t, g.cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- g.cmd.Wait() }()
	t.Cleanup(func() { g.stop(ended) })
	eventually(t, "the gateway listens on its control socket", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the gateway ended: %v\n%s", err, g.log.String())
		default:
		}
		_, err := ask[api.DatapathRow](g, "datapath")
		return err == nil
	})
	return g
}

// stop ends the gateway in good order: exit status 0, and nothing for the race
// detector to say.
func (g *gateway) stop(ended chan error) {
	if g.drops != nil && !g.t.Failed() {
		g.wantDrops(g.drops)
	}
	g.client.Close()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		g.t.Error(err)
	}
	force := time.AfterFunc(patience, func() { _ = g.cmd.Process.Kill() })
	defer force.Stop()
	if err := <-ended; err != nil {
		g.t.Errorf("the gateway did not end in good order: %v", err)
	}
	out := g.log.String()
	for _, bad := range []string{"DATA RACE", "panic:"} {
		if strings.Contains(out, bad) {
			g.t.Errorf("%s in the gateway's output", bad)
		}
	}
	if g.t.Failed() {
		g.t.Logf("the gateway's output:\n%s", out)
	}
}

// ask returns the rows of GET /v1/NAME.
func ask[T any](g *gateway, name string) ([]T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []T
	for row, err := range api.Rows[T](ctx, g.client, name, 0) {
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, nil
}

func rows[T any](g *gateway, name string) []T {
	g.t.Helper()
	all, err := ask[T](g, name)
	must(g.t, err)
	return all
}

// knowsOfCapture waits until the gateway has noticed that somebody captures what
// goes by an interface. Until then a capture may miss what it sends.
func (g *gateway) knowsOfCapture(dev string) {
	g.t.Helper()
	eventually(g.t, "the gateway knows of the capture", func() bool {
		for _, d := range rows[api.DatapathRow](g, "datapath") {
			if d.Interface == dev && strings.Contains(d.Reason, "captures packets") {
				return true
			}
		}
		return false
	})
}

// forwards waits until every port is up and everything is attached. What a peer sent
// to a port before that is rightly dropped, and no part of what a test compares.
func (g *gateway) forwards() *gateway {
	g.t.Helper()
	eventually(g.t, "the gateway forwards", func() bool {
		for _, p := range rows[api.PortRow](g, "ports") {
			if p.State != api.StateUp {
				return false
			}
		}
		for _, d := range rows[api.DatapathRow](g, "datapath") {
			if !d.Attached {
				return false
			}
		}
		return true
	})
	if g.early == nil {
		early := g.dropped()[portDown]
		g.early = &early
	}
	return g
}

// portDown is what drops has of frames from the overlay to a port that is down.
const portDown = "port_down overlay"

// port returns the row of one port.
func (g *gateway) port(name string) api.PortRow {
	g.t.Helper()
	for _, p := range rows[api.PortRow](g, "ports") {
		if p.Interface == name {
			return p
		}
	}
	g.t.Fatalf("show ports has no %s", name)
	return api.PortRow{}
}

// waitPort waits until a port is in a state.
func (g *gateway) waitPort(name, state string) api.PortRow {
	g.t.Helper()
	var p api.PortRow
	eventually(g.t, fmt.Sprintf("port %s is %s", name, state), func() bool {
		p = g.port(name)
		return p.State == state
	})
	return p
}

// vtep returns the row of one VTEP, the zero row where there is none.
func (g *gateway) vtep(address string) api.VTEPRow {
	g.t.Helper()
	for _, v := range rows[api.VTEPRow](g, "vteps") {
		if v.Address == address {
			return v
		}
	}
	return api.VTEPRow{}
}

// uplink returns the datapath row of the underlay, which comes last.
func (g *gateway) uplink() api.DatapathRow {
	g.t.Helper()
	all := rows[api.DatapathRow](g, "datapath")
	return all[len(all)-1]
}

// macs returns where each MAC is, by VNI and MAC: "port acc1", "vtep 192.0.2.34".
func (g *gateway) macs() map[string]string {
	g.t.Helper()
	where := make(map[string]string)
	for _, m := range rows[api.MACRow](g, "macs") {
		at := "vtep " + m.VTEP
		if m.Port != "" {
			at = "port " + m.Port
		}
		where[fmt.Sprintf("%d %s", m.VNI, m.MAC)] = at
	}
	return where
}

// dropped returns what was dropped so far.
func (g *gateway) dropped() drops {
	g.t.Helper()
	d := make(drops)
	for _, row := range rows[api.DropRow](g, "drops") {
		if row.Count > 0 {
			d[row.Reason+" "+row.Direction] = row.Count
		}
	}
	return d
}

// wantDrops waits until exactly this was dropped, and has it compared again
// when the gateway is stopped.
func (g *gateway) wantDrops(want drops) {
	g.t.Helper()
	want = maps.Clone(want)
	g.drops = maps.Clone(want)
	if g.early != nil {
		want[portDown] += *g.early
	}
	maps.DeleteFunc(want, func(_ string, n uint64) bool { return n == 0 })
	var got drops
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if got = g.dropped(); maps.Equal(got, want) {
			return
		}
	}
	g.t.Errorf("drops (-want +got):\n%s", cmp.Diff(want, got))
}

// output is what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
