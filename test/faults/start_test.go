package faults

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
	"vxgw/test/netns"
)

func port(name string) string { return fmt.Sprintf("[[port]]\ninterface = %q\nvlan = 10\n", name) }

// TestUnfitPorts holds that an interface that cannot be an access port says why,
// and is one as soon as it can be.
func TestUnfitPorts(t *testing.T) {
	tests := []struct {
		name, dev string
		spoil     func(*bed) error
		says      string
		mend      func(*bed) error
	}{
		{"absent", "acc2", nil, "there is no interface acc2",
			func(b *bed) error { return netns.Veth(b.gw, "acc2", b.host, "eth1", netns.VethOptions{}) }},
		{"down", "acc1", func(b *bed) error { return b.gw.SetDown("acc1") }, "ip link set acc1 up",
			func(b *bed) error { return b.gw.SetUp("acc1") }},
		{"no carrier", "acc1", func(b *bed) error { return b.host.SetDown("eth0") }, "no carrier",
			func(b *bed) error { return b.host.SetUp("eth0") }},
		{"in a bridge", "acc1", func(b *bed) error { return b.gw.Bridge("br9", "acc1") }, "ip link set acc1 nomaster",
			func(b *bed) error { return b.gw.Release("acc1") }},
		{"underlay", "und0", nil, "it holds the VTEP address", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBed(t)
			if test.spoil != nil {
				must(t, test.spoil(b))
			}
			d := start(t, b.gw, settings{ports: port(test.dev)})
			d.says("level=WARN", "port="+test.dev, test.says)
			if r := rows[api.PortRow](d, "ports")[0]; r.State == "up" || !strings.Contains(r.Reason, test.says) {
				t.Errorf("show ports: %+v", r)
			}
			if test.mend == nil {
				return
			}
			must(t, test.mend(b))
			d.says(`msg="port up"`, "port="+test.dev)
			if n := d.lines("port="+test.dev, test.says); n != 1 {
				t.Errorf("it was said %d times", n)
			}
		})
	}
}

// TestPortTakesTheAddress holds that an access port that is given the VTEP's
// address is one no longer, and comes back when it has lost it.
func TestPortTakesTheAddress(t *testing.T) {
	b := newBed(t)
	must(t, b.gw.DelAddr("und0", gwAddr.String()+"/24"))
	d := start(t, b.gw, settings{})
	d.says("port up")
	d.says("no interface holds the VTEP address 192.0.2.1", "ip address add 192.0.2.1/32")
	must(t, b.gw.AddAddr("acc1", gwAddr.String()+"/24"))
	d.says("port refused", "it holds the VTEP address")
	must(t, b.gw.DelAddr("acc1", gwAddr.String()+"/24"))
	must(t, b.gw.AddAddr("und0", gwAddr.String()+"/24"))
	b.pings(t)
}

func TestPortTaken(t *testing.T) {
	t.Run("by a vxlan device", func(t *testing.T) {
		b := newBed(t)
		must(t, b.gw.VXLAN(netns.VXLANConfig{Name: "vx9", VNI: 9, Local: gwAddr, Remotes: nil}))
		d := start(t, b.gw, settings{})
		d.says("underlay down", "vxlan device vx9", "ip link delete vx9")
		must(t, b.gw.Delete("vx9"))
		b.pings(t)
	})
	t.Run("by a process", func(t *testing.T) {
		b := newBed(t)
		conn, err := b.gw.ListenPacket("udp4", ":4789")
		must(t, err)
		d := start(t, b.gw, settings{})
		d.says("underlay down", "held by another process", "ss -ulpn")
		must(t, conn.Close())
		b.pings(t)
	})
	t.Run("by another gateway", func(t *testing.T) {
		b := newBed(t)
		start(t, b.gw, settings{})
		d := start(t, b.gw, settings{ports: port("acc9")})
		d.says("underlay down", "held by another process")
		b.pings(t)
	})
}

// TestHTTPTaken holds that forwarding does without the metrics, and that they
// are served as soon as they can be.
func TestHTTPTaken(t *testing.T) {
	b := newBed(t)
	l, err := b.gw.Listen("tcp", "127.0.0.1:9279")
	must(t, err)
	d := start(t, b.gw, settings{api: `http = "127.0.0.1:9279"`})
	d.says("metrics are not served, forwarding goes on", "another program has the port")
	b.pings(t)
	must(t, l.Close())
	d.says("metrics are served")
}

func TestSecondGateway(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	second := *d
	second.err = new(buffer)
	second.again(b.gw)
	second.start()
	if code := second.ends(); code != 1 {
		t.Errorf("exit %d", code)
	}
	second.says("another vxgw answers on "+d.socket, fmt.Sprintf("pid %d", d.cmd.Process.Pid))
	if n := strings.Count(second.err.String(), "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, second.err.String())
	}
	b.pings(t)
}

// TestKilled holds that a gateway that was killed leaves nothing that keeps the
// next one from starting.
func TestKilled(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	b.pings(t)
	must(t, d.cmd.Process.Kill())
	<-d.done
	if _, err := os.Lstat(d.socket); err != nil {
		t.Fatalf("no socket was left behind: %v", err)
	}
	next := *d
	next.err = new(buffer)
	next.again(b.gw)
	next.start().begun()
	b.pings(t)
}

// unprivileged has a gateway run as nobody, with some capabilities.
func unprivileged(t *testing.T, d *daemon, caps ...uintptr) {
	t.Helper()
	const nobody = 65534
	must(t, os.Chown(d.dir, nobody, nobody))
	d.cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: caps,
	}
}

func TestCapabilities(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		b := newBed(t)
		d := prepare(t, b.gw, settings{})
		unprivileged(t, d)
		if code := d.start().ends(); code != 1 {
			t.Errorf("exit %d", code)
		}
		d.says("error: ", "CAP_NET_RAW", "AmbientCapabilities=")
		if n := strings.Count(d.err.String(), "\n"); n != 1 {
			t.Errorf("%d lines:\n%s", n, d.err.String())
		}
	})
	t.Run("not the port", func(t *testing.T) {
		b := newBed(t)
		d := prepare(t, b.gw, settings{underlay: "port = 80"})
		unprivileged(t, d, unix.CAP_NET_RAW, unix.CAP_NET_ADMIN)
		if code := d.start().ends(); code != 1 {
			t.Errorf("exit %d", code)
		}
		d.says("error: ", "CAP_NET_BIND_SERVICE")
	})
	for name, caps := range map[string][]uintptr{
		"CAP_NET_RAW":                   {unix.CAP_NET_RAW},
		"CAP_NET_RAW and CAP_NET_ADMIN": {unix.CAP_NET_RAW, unix.CAP_NET_ADMIN},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			d := prepare(t, b.gw, settings{})
			unprivileged(t, d, caps...)
			d.start().begun()
			b.pings(t)
		})
	}
}

// TestForeignSocket holds that who may not ask is told why.
func TestForeignSocket(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	must(t, os.Chmod(d.dir, 0o755))
	c := exec.Command(program, "show", "ports", "--socket", d.socket)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	if exitCode(err) != 1 || !strings.Contains(string(out), "you are not root or in group vxgw") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReaderGone holds that a table is cut off without a word when nobody reads
// on.
func TestReaderGone(t *testing.T) {
	b := newBed(t)
	var static strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&static, "[[mac]]\nvni = %d\naddress = \"02:00:00:01:%02x:%02x\"\nvtep = \"192.0.2.2\"\n", vni, i>>8, i&0xff)
	}
	d := start(t, b.gw, settings{more: static.String()})
	for _, args := range [][]string{{"show", "macs", "--json"}, {"show", "macs"}} {
		var errs buffer
		c := exec.Command(program, append(args, "--socket", d.socket)...)
		c.Stderr = &errs
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		_, err = bufio.NewReaderSize(out, 16).ReadString('\n')
		must(t, err)
		must(t, out.Close())
		_ = c.Wait() // a signal, as it is with any program in a pipe
		if errs.String() != "" {
			t.Errorf("%v: %s", args, errs.String())
		}
	}
}

// TestServiceManager holds that READY=1 comes when frames are carried, that the
// status follows, and that the watchdog is fed.
func TestServiceManager(t *testing.T) {
	b := newBed(t)
	d := prepare(t, b.gw, settings{})
	socket := filepath.Join(d.dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	defer conn.Close()
	d.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=2000000")
	var said buffer
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			_, _ = fmt.Fprintf(&said, "%s\n", buf[:n])
			if strings.HasPrefix(string(buf[:n]), "READY=1") {
				answered, err := b.ping(56, 5)
				_, _ = fmt.Fprintf(&said, "answered=%t %v\n", answered > 0, err)
			}
		}
	}()
	d.start()
	hears := func(what string, times int) {
		t.Helper()
		until(t, what, func() error {
			if strings.Count(said.String(), what) >= times {
				return nil
			}
			return errors.New(said.String())
		})
	}
	hears("READY=1\nSTATUS=VTEP 192.0.2.1, 1 of 1 ports up", 1)
	hears("answered=true", 1)
	hears("WATCHDOG=1", 3)
	must(t, b.host.SetDown("eth0"))
	hears("STATUS=VTEP 192.0.2.1, 0 of 1 ports up", 1)
	must(t, b.gw.DelAddr("und0", gwAddr.String()+"/24"))
	hears("underlay down: no interface holds the VTEP address", 1)
	d.stop(syscall.SIGTERM)
	hears("STOPPING=1", 1)
	if n := strings.Count(said.String(), "READY=1"); n != 1 {
		t.Errorf("READY=1 came %d times", n)
	}
}

// TestLogFormats holds that each form of the log is that form to the last line,
// and that the level is respected.
func TestLogFormats(t *testing.T) {
	b := newBed(t)
	for _, test := range []struct{ format, begins string }{{"json", "{"}, {"journald", "<"}, {"text", "time="}, {"auto", "time="}} {
		if _, err := os.Stat("/run/systemd/journal/socket"); test.format == "journald" && err == nil {
			continue // the journal has it
		}
		d := prepare(t, b.gw, settings{log: fmt.Sprintf("format = %q", test.format)})
		d.start()
		d.says("ready")
		d.stop(syscall.SIGTERM)
		for line := range strings.Lines(d.err.String()) {
			if !strings.HasPrefix(line, test.begins) {
				t.Errorf("%s: %s", test.format, line)
			}
		}
	}
	d := prepare(t, b.gw, settings{log: `level = "error"`})
	d.start()
	b.pings(t)
	d.stop(syscall.SIGTERM)
	if s := d.err.String(); s != "" {
		t.Errorf("an error log of a gateway without errors:\n%s", s)
	}
	refused := prepare(t, b.gw, settings{log: `format = "json"`})
	must(t, os.WriteFile(refused.socket, nil, 0o600))
	if code := refused.start().ends(); code != 1 || !strings.HasPrefix(refused.err.String(), `{`) {
		t.Errorf("exit %d, and the log does not say why:\n%s", code, refused.err.String())
	}
	must(t, os.Remove(refused.socket))
}

// TestLogReaderGone holds that frames are carried on when the log's reader goes
// away.
func TestLogReaderGone(t *testing.T) {
	b := newBed(t)
	d := prepare(t, b.gw, settings{})
	r, w, err := os.Pipe()
	must(t, err)
	d.cmd.Stderr = w
	d.start()
	must(t, w.Close())
	lines := bufio.NewReader(r)
	for line := ""; !strings.Contains(line, "msg=ready"); {
		line, err = lines.ReadString('\n')
		if err == io.EOF {
			t.Fatal("the gateway ended")
		}
		must(t, err)
	}
	must(t, r.Close())
	d.signal(syscall.SIGHUP) // has a line written
	must(t, b.host.SetDown("eth0"))
	until(t, "the port is down", func() error {
		if s := rows[api.PortRow](d, "ports")[0].State; s != "down" {
			return errors.New(s)
		}
		return nil
	})
	must(t, b.host.SetUp("eth0"))
	b.pings(t)
}
