package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bootLimit is how long a start, or anything else that is waited for, may take where the
// machine is emulated instruction by instruction.
const bootLimit = 20 * time.Minute

// machine is an appliance in QEMU. Its ways to the outside are sockets in a directory.
type machine struct {
	t       *testing.T
	ctx     context.Context
	dir     string
	cmd     *exec.Cmd
	ended   chan error // one: how QEMU has ended
	console *console
	control net.Listener
}

// nic is the other end of a wire of the machine.
type nic struct {
	conn *net.UnixConn
	to   *net.UnixAddr
}

// options are the arguments of QEMU that every start has: three network cards that the
// appliance calls enp0s2 (access), enp0s3 (underlay) and enp0s4 (management, with a DHCP
// server and a way in by SSH, but none out).
func (m *machine) options(disk string, sshPort int) []string {
	at := func(name string) string { return filepath.Join(m.dir, name) }
	args := []string{
		"-machine", "q35", "-nodefaults", "-display", "none", "-no-user-config", "-m", "1024",
		"-accel", "kvm", "-accel", "tcg,thread=multi", "-cpu", "max,la57=off", "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng,addr=6",
		"-chardev", "socket,id=serial,path=" + at("serial"), "-serial", "chardev:serial",
		"-chardev", "socket,id=qmp,path=" + at("qmp"), "-mon", "chardev=qmp,mode=control",
		"-drive", "file=" + disk + ",format=raw,if=none,id=disk,cache=unsafe,discard=unmap", "-device", "virtio-blk-pci,drive=disk,bootindex=1,addr=7",
		"-netdev", fmt.Sprintf("user,id=management,restrict=on,hostfwd=tcp:127.0.0.1:%d-:22", sshPort),
		"-device", "virtio-net-pci,netdev=management,addr=4,romfile=",
	}
	for i, name := range []string{"access", "underlay"} {
		args = append(args,
			"-netdev", fmt.Sprintf("dgram,id=%[1]s,local.type=unix,local.path=%[2]s,remote.type=unix,remote.path=%[2]s.test", name, at(name)),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=%s,mac=52:54:00:00:00:%02d,addr=%d,romfile=", name, i+1, i+2))
	}
	return args
}

// wire lays the test's end of a wire.
func (m *machine) wire(name string) *nic {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	_ = os.Remove(path)
	_ = os.Remove(path + ".test")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path + ".test", Net: "unixgram"})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	return &nic{conn, &net.UnixAddr{Name: path, Net: "unixgram"}}
}

func (m *machine) listen(name string) net.Listener {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { l.Close() })
	return l
}

// start starts QEMU, which ends with the test, or with this process.
func start(t *testing.T, dir, disk string, sshPort int, more ...string) (m *machine, access, underlay *nic) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*bootLimit)
	m = &machine{t: t, ctx: ctx, dir: dir, ended: make(chan error, 1)}
	access, underlay = m.wire("access"), m.wire("underlay")
	serial := m.listen("serial")
	m.control = m.listen("qmp")
	m.console = newConsole(serial)
	m.cmd = exec.CommandContext(ctx, "qemu-system-x86_64", append(m.options(disk, sshPort), more...)...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.run()
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Logf("on the console:\n%s", m.console.text())
		}
	})
	return m, access, underlay
}

// run runs QEMU until it ends. What happens to this process happens to it: the kernel
// goes by the thread that has started it, so that one stays.
func (m *machine) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := m.cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said)
	}
	m.ended <- err
	m.console.end(err)
}

// powerDown presses the button and waits for the machine to be off.
func (m *machine) powerDown() {
	m.t.Helper()
	conn, err := m.control.Accept()
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	go io.Copy(io.Discard, conn) //nolint:errcheck // what it answers is of no interest
	for _, command := range []string{"qmp_capabilities", "system_powerdown"} {
		if err := json.NewEncoder(conn).Encode(map[string]string{"execute": command}); err != nil {
			m.t.Fatal(err)
		}
	}
	select {
	case err := <-m.ended:
		if err != nil {
			m.t.Errorf("QEMU: %v", err)
		}
	case <-time.After(bootLimit):
		m.t.Fatal("it does not power down")
	}
}

// await waits until something is on the console, and returns it.
func (m *machine) await(pattern string) string {
	m.t.Helper()
	began := time.Now()
	found, err := m.console.await(m.ctx, regexp.MustCompile(pattern), bootLimit)
	if err != nil {
		m.t.Fatalf("waiting for %q: %v", pattern, err)
	}
	m.t.Logf("%v until %q", time.Since(began).Round(time.Second), pattern)
	return found
}

// console is what a machine has written to its serial port.
type console struct {
	mu sync.Mutex

	// guarded by mu
	b       bytes.Buffer
	ended   error         // nil while it runs
	changed chan struct{} // closed, and made anew, at each change
}

func newConsole(l net.Listener) *console {
	c := &console{changed: make(chan struct{})}
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(c, conn)
	}()
	return c
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b.Write(p)
	c.wake()
	return len(p), nil
}

// wake is called with mu held.
func (c *console) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// end says that nothing more comes, and why.
func (c *console) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = errors.Join(errors.New("the machine has ended"), err)
	c.wake()
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

func (c *console) await(ctx context.Context, pattern *regexp.Regexp, limit time.Duration) (string, error) {
	late := time.After(limit)
	for {
		c.mu.Lock()
		found, ended, changed := pattern.Find(c.b.Bytes()), c.ended, c.changed
		text := string(found)
		c.mu.Unlock()
		switch {
		case found != nil:
			return text, nil
		case ended != nil:
			return "", ended
		}
		select {
		case <-changed:
		case <-late:
			return "", errors.New("it takes too long")
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// send puts a frame on the wire. Until the machine is there nobody takes it.
func (n *nic) send(f []byte) { _, _ = n.conn.WriteTo(f, n.to) }

// receive returns the next frame, or nil if there is none before the deadline.
func (n *nic) receive(deadline time.Time) []byte {
	b := make([]byte, 1<<16)
	if err := n.conn.SetReadDeadline(deadline); err != nil {
		return nil
	}
	size, err := n.conn.Read(b)
	if err != nil {
		return nil
	}
	return b[:size]
}
