package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
)

// The addresses of the tests, of the documentation prefixes.
var (
	gwAddr   = netip.MustParseAddr("192.0.2.1")
	peerAddr = netip.MustParseAddr("192.0.2.2")
	hostAddr = netip.MustParseAddr("198.51.100.1")
	farAddr  = netip.MustParseAddr("198.51.100.2")
	hostMAC  = frame.MAC{2, 0, 0, 0, 1, 1}
)

const vni = 10010

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bed is a host at an access port, and a kernel VTEP with another host behind.
//
//	host eth0 --- acc1 gw und0 --- und0 peer (vxlan, br0)
type bed struct {
	host, gw, peer *netns.NS
}

func newBed(t testing.TB) *bed {
	t.Helper()
	netns.Require(t)
	b := &bed{newNS(t), newNS(t), newNS(t)}
	must(t, netns.Veth(b.host, "eth0", b.gw, "acc1", netns.VethOptions{AMAC: hostMAC}))
	must(t, netns.Veth(b.gw, "und0", b.peer, "und0", netns.VethOptions{MTU: 1600}))
	must(t, b.host.AddAddr("eth0", hostAddr.String()+"/24"))
	must(t, b.gw.AddAddr("und0", gwAddr.String()+"/24"))
	must(t, b.peer.AddAddr("und0", peerAddr.String()+"/24"))
	must(t, b.peer.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: vni, Local: peerAddr, Remotes: []netip.Addr{gwAddr}}))
	must(t, b.peer.AddAddr("br0", farAddr.String()+"/24"))
	return b
}

func newNS(t testing.TB) *netns.NS {
	t.Helper()
	ns, err := netns.New("")
	must(t, err)
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// pings holds that the hosts reach each other.
func (b *bed) pings(t testing.TB) {
	t.Helper()
	until(t, "a ping is answered", func() error {
		n, err := b.ping(56, 1)
		if err == nil && n == 0 {
			err = errors.New("no answer")
		}
		return err
	})
}

func (b *bed) ping(size, count int) (int, error) {
	return b.host.Ping(context.Background(), farAddr, count, netns.PingOptions{Size: size, Timeout: 200 * time.Millisecond})
}

// until polls until check has nothing to say.
func until(t testing.TB, what string, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %v: %v", what, patience, err)
}

// settings are what a configuration has beside the least. Every line is TOML.
type settings struct {
	underlay, ports, api, log, more string
	flood                           string
	whole                           string // in the place of the VNI and the ports
}

func (s settings) text(socket string) string {
	if s.ports == "" {
		s.ports = "[[port]]\ninterface = \"acc1\"\nvlan = 10\n"
	}
	if s.flood == "" {
		s.flood = `"192.0.2.2"`
	}
	if !strings.Contains(s.underlay, "address") {
		s.underlay += "\naddress = \"192.0.2.1\""
	}
	if !strings.Contains(s.api, "http") {
		s.api += "\nhttp = \"\""
	}
	if s.whole == "" {
		s.whole = fmt.Sprintf("[[vni]]\nid = %d\nvlan = 10\nflood = [%s]\n%s", vni, s.flood, s.ports)
	}
	return fmt.Sprintf("[underlay]\n%s\n%s\n[api]\nsocket = %q\n%s\n[log]\n%s\n%s\n",
		s.underlay, s.whole, socket, s.api, s.log, s.more)
}

// daemon is a gateway that was started.
type daemon struct {
	t      testing.TB
	cmd    *netns.Cmd
	dir    string
	file   string
	socket string
	client *api.Client
	err    *buffer
	done   chan struct{}
	code   int // once done is closed
}

// buffer takes what a process writes while others read it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// prepare writes a configuration for a gateway that is not started yet.
func prepare(t testing.TB, ns *netns.NS, s settings) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "vxgw-faults-") // short: a socket's path is
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &daemon{t: t, dir: dir, file: filepath.Join(dir, "vxgw.toml"), socket: filepath.Join(dir, "s"), err: new(buffer)}
	must(t, os.WriteFile(d.file, []byte(s.text(d.socket)), 0o644))
	d.again(ns)
	return d
}

// again prepares another process of the same configuration.
func (d *daemon) again(ns *netns.NS) {
	d.cmd = ns.Command(context.Background(), program, "run", "-c", d.file, "--state", d.state())
	d.cmd.Stderr = d.err
	d.done = make(chan struct{})
	d.client = api.NewClient(d.socket)
}

// state is where the gateway keeps what was confirmed last.
func (d *daemon) state() string { return filepath.Join(d.dir, "state") }

func (d *daemon) start() *daemon {
	d.t.Helper()
	must(d.t, d.cmd.Start())
	cmd, done := d.cmd, d.done
	go func() {
		defer close(done)
		d.code = exitCode(cmd.Wait())
	}()
	d.t.Cleanup(func() {
		d.client.Close()
		if d.running() {
			d.stop(syscall.SIGTERM)
		}
		if d.t.Failed() {
			d.t.Logf("log:\n%s", d.err.String())
		}
	})
	return d
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -2
}

// start runs a gateway and waits until it has begun.
func start(t testing.TB, ns *netns.NS, s settings) *daemon {
	t.Helper()
	return prepare(t, ns, s).start().begun()
}

func (d *daemon) begun() *daemon {
	d.t.Helper()
	d.says("msg=ready")
	return d
}

func (d *daemon) running() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// ends waits for the end, and returns the exit code.
func (d *daemon) ends() int {
	d.t.Helper()
	select {
	case <-d.done:
	case <-time.After(patience):
		_ = d.cmd.Process.Kill()
		d.t.Fatalf("the gateway did not end\n%s", d.err.String())
	}
	return d.code
}

func (d *daemon) signal(s os.Signal) {
	d.t.Helper()
	must(d.t, d.cmd.Process.Signal(s))
}

// stop ends the gateway by a signal and holds that it ends well.
func (d *daemon) stop(s os.Signal) {
	d.t.Helper()
	d.signal(s)
	if code := d.ends(); code != 0 {
		d.t.Errorf("exit %d after %v\n%s", code, s, d.err.String())
	}
	if _, err := os.Lstat(d.socket); !errors.Is(err, os.ErrNotExist) {
		d.t.Errorf("the control socket is still there: %v", err)
	}
}

// says waits until the log has a line with all of the words.
func (d *daemon) says(words ...string) {
	d.t.Helper()
	until(d.t, fmt.Sprintf("the log says %q", words), func() error {
		if d.lines(words...) > 0 {
			return nil
		}
		return errors.New(d.err.String())
	})
}

// lines counts the lines of the log that have all of the words.
func (d *daemon) lines(words ...string) (n int) {
next:
	for line := range strings.Lines(d.err.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		n++
	}
	return n
}

// drops returns a drop counter.
func (d *daemon) drops(reason, direction string) uint64 {
	d.t.Helper()
	for row, err := range api.Rows[api.DropRow](context.Background(), d.client, "drops", 0) {
		must(d.t, err)
		if row.Reason == reason && row.Direction == direction {
			return row.Count
		}
	}
	d.t.Fatalf("there is no drop counter %s, %s", reason, direction)
	return 0
}

// rows asks for a table.
func rows[T any](d *daemon, name string) (all []T) {
	d.t.Helper()
	for row, err := range api.Rows[T](context.Background(), d.client, name, 0) {
		must(d.t, err)
		all = append(all, row)
	}
	return all
}

// tool runs vxgw and returns what it wrote and its exit code.
func tool(t testing.TB, stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Stdin, c.Stdout, c.Stderr = stdin, &out, &errs
	code = exitCode(c.Run())
	return out.String(), errs.String(), code
}

// nothingRaw holds that a text is one for operators.
func nothingRaw(t testing.TB, text string) {
	t.Helper()
	for _, raw := range []string{"goroutine ", "panic", ".go:", "%!", "<nil>"} {
		if strings.Contains(text, raw) {
			t.Errorf("%q is not for operators:\n%s", raw, text)
		}
	}
}
