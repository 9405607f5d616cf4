// Package qemu starts virtual machines for tests: their console is read, and their network
// cards are wires whose other end the test holds. Nothing of it reaches the network.
package qemu

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Limit is how long a start, or anything else that is waited for, may take where a machine
// is emulated instruction by instruction.
const Limit = 20 * time.Minute

// Machine is a virtual machine. Its ways to the outside are sockets in a directory.
type Machine struct {
	t       testing.TB
	ctx     context.Context
	stop    context.CancelFunc
	dir     string
	ended   chan error // one: how QEMU has ended
	console *console
	options []string
}

// New prepares a machine whose sockets are in dir, which is to have a short path. It may
// run for two Limits.
func New(t testing.TB, dir string) *Machine {
	t.Helper()
	m := &Machine{t: t, dir: dir, ended: make(chan error, 1)}
	m.ctx, m.stop = context.WithTimeout(context.Background(), 2*Limit)
	m.console = newConsole(m.Listen("serial"))
	m.options = []string{
		"-machine", "q35", "-nodefaults", "-no-user-config", "-display", "none",
		"-accel", "kvm", "-accel", "tcg,thread=multi", "-cpu", "max,la57=off",
		"-chardev", "socket,id=serial,path=" + m.at("serial"), "-serial", "chardev:serial",
	}
	return m
}

func (m *Machine) at(name string) string { return filepath.Join(m.dir, name) }

// Listen listens on a socket that QEMU is to open.
func (m *Machine) Listen(name string) net.Listener {
	m.t.Helper()
	_ = os.Remove(m.at(name))
	l, err := net.Listen("unix", m.at(name))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { l.Close() })
	return l
}

// Wire gives the machine a network card of a model that QEMU has in a PCI slot, and
// returns the other end of its wire.
func (m *Machine) Wire(name, model, mac string, slot int) *Wire {
	m.t.Helper()
	m.options = append(m.options,
		"-netdev", fmt.Sprintf("dgram,id=%[1]s,local.type=unix,local.path=%[2]s,remote.type=unix,remote.path=%[2]s.test", name, m.at(name)),
		"-device", fmt.Sprintf("%s,netdev=%s,mac=%s,addr=%d,romfile=", model, name, mac, slot))
	return newWire(m.t, m.at(name))
}

// Start starts QEMU with more options, and it ends with the test, or with this process.
func (m *Machine) Start(options ...string) {
	m.t.Helper()
	cmd := exec.CommandContext(m.ctx, "qemu-system-x86_64", append(m.options, options...)...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.run(cmd)
	}()
	m.t.Cleanup(func() {
		m.stop()
		<-done
		if m.t.Failed() {
			m.t.Logf("on the console:\n%s", m.Text())
		}
	})
}

// run runs QEMU until it ends. What happens to this process happens to it: the kernel
// goes by the thread that has started it, so that one stays.
func (m *Machine) run(cmd *exec.Cmd) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said)
	}
	m.ended <- err
	m.console.end(err)
}

// Context ends with the machine.
func (m *Machine) Context() context.Context { return m.ctx }

// Text returns what is on the console.
func (m *Machine) Text() string { return m.console.text() }

// Say types a line at the console.
func (m *Machine) Say(line string) {
	m.t.Helper()
	if err := m.console.say(line + "\n"); err != nil {
		m.t.Fatal(err)
	}
}

// Await waits until something is on the console, and returns it.
func (m *Machine) Await(pattern string) string {
	m.t.Helper()
	began := time.Now()
	found, err := m.console.await(m.ctx, regexp.MustCompile(pattern), Limit)
	if err != nil {
		m.t.Fatalf("waiting for %q: %v", pattern, err)
	}
	m.t.Logf("%v until %q", time.Since(began).Round(time.Second), pattern)
	return found
}

// AwaitOff waits until the machine is off.
func (m *Machine) AwaitOff() {
	m.t.Helper()
	select {
	case err := <-m.ended:
		if err != nil {
			m.t.Errorf("QEMU: %v", err)
		}
	case <-time.After(Limit):
		m.t.Fatal("it does not power down")
	}
}
