package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/bench/load"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// pinning is a mount namespace with a BPF file system, for gateways that come one after
// the other.
type pinning struct{ pid int }

func newPinning(t testing.TB) pinning {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", "mount -t bpf bpf /sys/fs/bpf && echo ready && exec sleep 600")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("no BPF file system: %q, %v", line, err)
	}
	return pinning{cmd.Process.Pid}
}

// root is its root directory, seen from outside.
func (p pinning) root() string { return fmt.Sprintf("/proc/%d/root", p.pid) }

// command runs the gateway's program there.
func (p pinning) command(ns *netns.NS, args ...string) *netns.Cmd {
	return ns.Command(context.Background(), "nsenter", append([]string{fmt.Sprintf("--mount=/proc/%d/ns/mnt", p.pid), program}, args...)...)
}

// start runs a gateway there and waits until it can be asked. The caller ends it.
func (p pinning) start(t testing.TB, ns *netns.NS, file string, args ...string) *gateway {
	t.Helper()
	socket := socketBeside(file)
	g := &gateway{t: t, ns: ns, socket: socket, client: api.NewClient(socket)}
	g.cmd = p.command(ns, append([]string{"run", "-c", file}, args...)...)
	g.cmd.Stdout, g.cmd.Stderr = &g.log, &g.log
	must(t, g.cmd.Start())
	t.Cleanup(func() {
		g.client.Close()
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		if t.Failed() {
			t.Logf("a gateway's output:\n%s", g.log.String())
		}
	})
	eventually(t, "the gateway can be asked", func() bool { _, err := ask[api.DatapathRow](g, "datapath"); return err == nil })
	return g.forwards()
}

// end sends a gateway a signal and waits for its end.
func (g *gateway) end(s syscall.Signal) {
	g.t.Helper()
	must(g.t, g.cmd.Process.Signal(s))
	_ = g.cmd.Wait() // by the signal, or well
}

// mode returns the mode of an interface.
func (g *gateway) mode(dev string) string {
	for _, d := range rows[api.DatapathRow](g, "datapath") {
		if d.Interface == dev {
			return d.Mode
		}
	}
	return ""
}

// counter counts the frames of one length that come in at a device, without a loss.
type counter struct {
	t     testing.TB
	count *ebpf.Map
}

func newCounter(t testing.TB, ns *netns.NS, dev string, length int) *counter {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "count", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	must(t, err)
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "count", Type: ebpf.XDP, License: "MIT", Instructions: asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // data and data_end
		asm.Mov.Imm(asm.R0, 2), // XDP_PASS
		asm.Sub.Reg(asm.R3, asm.R2),
		asm.JNE.Imm(asm.R3, int32(length), "out"),
		asm.LoadMapValue(asm.R1, m.FD(), 0),
		asm.Mov.Imm(asm.R2, 1),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R0, 1), // XDP_DROP
		asm.Return().WithSymbol("out"),
	}})
	must(t, err)
	attachXDP(t, ns, dev, prog, m)
	return &counter{t, m}
}

func (c *counter) frames() (n uint64) {
	c.t.Helper()
	must(c.t, c.count.Lookup(uint32(0), &n))
	return n
}

// beforeAndAfter is the two ways that a gateway gives way to the next one.
var beforeAndAfter = []struct {
	name   string
	signal syscall.Signal
}{{"killed", syscall.SIGKILL}, {"stopped", syscall.SIGTERM}}

// A flow that is known loses nothing while the gateway ends, is away, and starts again,
// in either direction, and no frame of it comes twice.
func TestFlowsOutliveTheGateway(t *testing.T) {
	for _, mode := range []string{"xdp", "tcx"} {
		for _, how := range beforeAndAfter {
			t.Run(mode+", "+how.name, func(t *testing.T) { outlive(t, mode, how.signal) })
		}
	}
}

func outlive(t *testing.T, mode string, signal syscall.Signal) {
	const rate, length = 100_000, 342
	from4, to4 := netip.MustParseAddrPort("203.0.113.1:80"), netip.MustParseAddrPort("203.0.113.2:5000")
	b := newBed(t, 1, 1700)
	must(t, b.hosts.Offloads("h1", true, "gro"))
	if mode == "tcx" {
		attachCounter(t, b.ns, "acc1") // another program is there, and stays
		attachCounter(t, b.ns, "und0")
	}
	pins := newPinning(t)
	file := writeConfig(t, b.config(settings{more: "[datapath]\nmode = \"xdp\"\n"}), `http = ""`)
	encap, decap := newCounter(t, b.peer, "und0", length+outerLen), newCounter(t, b.hosts, "h1", length)
	b.gateway = pins.start(t, b.ns, file)
	b.learnBoth()
	eventually(t, "the fast path is there", func() bool { return b.mode("acc1") == mode && b.mode("und0") == mode })

	inner := packet.UDP(ra1MAC, h1MAC, from4, to4, make([]byte, length-42))
	outer := outerFrom(vtepA, packet.UDP(h1MAC, ra1MAC, to4, from4, make([]byte, length-42)))
	// The programs may be a moment behind when the first frames come.
	warm := paceBoth(t, b, inner, outer, 1000, time.Second)
	eventually(t, "the first frames are there", func() bool {
		return encap.frames() >= uint64(warm[0]) && decap.frames() >= uint64(warm[1])
	})
	was := [2]uint64{encap.frames(), decap.frames()}
	sent := make(chan [2]int, 1)
	go func() { sent <- paceBoth(t, b, inner, outer, rate, 4*time.Second) }()
	time.Sleep(time.Second)
	b.end(signal)
	time.Sleep(time.Second) // without a gateway
	b.gateway = pins.start(t, b.ns, file)
	n := <-sent
	eventually(t, "all frames are there", func() bool {
		return encap.frames()-was[0] >= uint64(n[0]) && decap.frames()-was[1] >= uint64(n[1])
	})
	if e, d := encap.frames()-was[0], decap.frames()-was[1]; e != uint64(n[0]) || d != uint64(n[1]) {
		t.Errorf("%d of %d frames encapsulated, %d of %d decapsulated", e, n[0], d, n[1])
	}
	eventually(t, "the log says that the fast path is taken over", func() bool { return strings.Contains(b.log.String(), "taken over") })
	b.isReady()
	if is := b.mode("acc1"); is != mode {
		t.Errorf("taken over in mode %s, want %s", is, mode)
	}
	if at := atTCX(t, b.ns, "acc1"); at != 1 {
		t.Errorf("%d programs at TCX of acc1", at)
	}
	b.learnsMore()
}

// learnsMore holds that the workers get what the programs do not know, at either side.
func (b *bed) learnsMore() {
	b.t.Helper()
	b.fromHost("h1", packet.Numbered(frame.Broadcast, h2MAC, 1))
	b.fromPeer(outerFrom(vtepA, packet.Numbered(frame.Broadcast, rb1MAC, 2)))
	eventually(b.t, "others are learned", func() bool { return len(rows[api.MACRow](b.gateway, "macs")) == 4 })
}

// atTCX returns how many programs there are at TCX ingress of an interface.
func atTCX(t testing.TB, ns *netns.NS, dev string) (n int) {
	t.Helper()
	index, err := ns.Indexes(dev)
	must(t, err)
	must(t, ns.Do(func() error {
		at, err := link.QueryPrograms(link.QueryOptions{Target: index[0], Attach: ebpf.AttachTCXIngress})
		if err == nil {
			n = len(at.Programs)
		}
		return err
	}))
	return n
}

// learnBoth has the gateway know h1 and a remote station, and waits until it does.
func (b *bed) learnBoth() {
	b.t.Helper()
	b.fromHost("h1", packet.Numbered(frame.Broadcast, h1MAC, 1))
	b.fromPeer(outerFrom(vtepA, packet.Numbered(frame.Broadcast, ra1MAC, 2)))
	eventually(b.t, "both are known", func() bool { return len(rows[api.MACRow](b.gateway, "macs")) == 2 })
	time.Sleep(100 * time.Millisecond) // who asks may be told before the programs' copy has it
}

// paceBoth sends frames from h1 and from the peer at a rate, and returns how many.
func paceBoth(t *testing.T, b *bed, inner, outer []byte, rate float64, d time.Duration) (sent [2]int) {
	var done [2]chan struct{}
	for i, from := range []struct {
		ns    *netns.NS
		dev   string
		frame []byte
	}{{b.hosts, "h1", inner}, {b.peer, "und0", outer}} {
		done[i] = make(chan struct{})
		go func() {
			defer close(done[i])
			g, err := load.NewGenerator(from.ns, load.Stream{Frames: [][]byte{from.frame}, Devices: []string{from.dev}})
			if err != nil {
				t.Error(err)
				return
			}
			defer g.Close()
			if sent[i], err = g.Pace(context.Background(), rate, d); err != nil {
				t.Error(err)
			}
		}()
	}
	<-done[0]
	<-done[1]
	return sent
}

// What a gateway leaves is taken away by unload, which a running gateway refuses, and
// by one that starts with another mode; one that is to leave nothing leaves nothing.
func TestWhatIsLeftIsTakenAway(t *testing.T) {
	b := newBed(t, 1, 1700)
	pins := newPinning(t)
	xdp := writeConfig(t, b.config(settings{more: "[datapath]\nmode = \"xdp\"\n"}), `http = ""`)
	auto := writeConfig(t, b.config(settings{}), `http = ""`)
	raw := writeConfig(t, b.config(settings{more: "[datapath]\nmode = \"raw\"\n"}), `http = ""`)
	atXDP := func() bool {
		out, err := b.ns.Command(context.Background(), "ip", "-d", "link", "show", "acc1").Output()
		must(t, err)
		return strings.Contains(string(out), "xdp")
	}
	taps := func() int { return atTCX(t, b.ns, "acc1") + atTCX(t, b.ns, "und0") }
	attached := func() bool { return atXDP() || taps() > 0 }
	unload := func(socket string) (string, error) {
		out, err := pins.command(b.ns, "unload", "--socket", socket).CombinedOutput()
		return string(out), err
	}
	begin := func(file string, args ...string) {
		b.gateway = pins.start(t, b.ns, file, args...)
		eventually(t, "programs are attached", func() bool { return atXDP() == (file == xdp) && taps() == 2 })
	}

	for _, file := range []string{xdp, auto} {
		begin(file)
		if out, err := unload(b.socket); err == nil || !strings.Contains(out, "is running") {
			t.Errorf("unload beside a gateway: %q, %v", out, err)
		}
		b.end(syscall.SIGTERM)
		if atXDP() != (file == xdp) || taps() != 2 {
			t.Fatal("a gateway that was stopped left less than it had")
		}
		b.isPromiscuous(true)
		if out, err := unload(b.socket); err != nil || !strings.Contains(out, "acc1, und0") {
			t.Errorf("unload: %q, %v", out, err)
		}
		if attached() {
			t.Error("unload has left something")
		}
		if out, err := unload(b.socket); err != nil || out != "nothing was left\n" {
			t.Errorf("unload again: %q, %v", out, err)
		}
		b.isPromiscuous(false)

		begin(file)
		b.end(syscall.SIGKILL)
		b.gateway = pins.start(t, b.ns, raw)
		eventually(t, "mode raw takes it away", func() bool { return !atXDP() && taps() == 1 }) // what keeps VXLAN from the host's stack
		b.end(syscall.SIGTERM)
		if attached() {
			t.Error("mode raw has left something")
		}
		b.isPromiscuous(false)

		begin(file, "--detach-on-exit")
		b.end(syscall.SIGTERM)
		if attached() {
			t.Error("a gateway that was to leave nothing has left something")
		}
		b.isPromiscuous(false)
	}

	must(t, b.ns.Command(context.Background(), "ip", "link", "set", "acc1", "promisc", "on").Run())
	begin(xdp)
	b.end(syscall.SIGKILL)
	if out, err := unload(b.socket); err != nil {
		t.Errorf("unload: %q, %v", out, err)
	}
	b.isPromiscuous(true)
}

// isPromiscuous holds that a network card in the place of acc1 is to hand on all frames,
// or not, whether somebody has a socket there or not.
func (b *bed) isPromiscuous(want bool) {
	b.t.Helper()
	out, err := b.ns.Command(context.Background(), "ip", "-o", "link", "show", "acc1").Output()
	must(b.t, err)
	if is := strings.Contains(string(out), "PROMISC"); is != want {
		b.t.Errorf("acc1 is promiscuous: %t", is)
	}
}
