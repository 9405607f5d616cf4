package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	mac1 = frame.MAC{2, 0, 0, 0, 1, 1}
	mac2 = frame.MAC{2, 0, 0, 0, 1, 2}
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newNS(t *testing.T, name string) *NS {
	t.Helper()
	Require(t)
	n, err := New(name)
	must(t, err)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close %v: %v", n, err)
		}
	})
	return n
}

// wire is two namespaces with a wire between them: a's eth0 to b's eth0.
func wire(t *testing.T) (a, b *NS) {
	t.Helper()
	a, b = newNS(t, ""), newNS(t, "")
	must(t, Veth(a, "eth0", b, "eth0", VethOptions{AMAC: mac1, BMAC: mac2}))
	return a, b
}

func threadNamespace(t *testing.T) string {
	t.Helper()
	id, err := os.Readlink(threadNS)
	must(t, err)
	return id
}

func TestNamespaceIsNamedUniquelyAndGoesOnClose(t *testing.T) {
	a, b := newNS(t, "vxgw-test"), newNS(t, "vxgw-test")
	if a.Name() == b.Name() || !strings.HasPrefix(a.Name(), "vxgw-test-") {
		t.Fatalf("names %q and %q: want vxgw-test and two suffixes", a.Name(), b.Name())
	}
	for _, n := range []*NS{a, b} {
		path := filepath.Join(mountDir, n.Name())
		if _, err := os.Stat(path); err != nil {
			t.Errorf("ip netns would not find it: %v", err)
		}
		must(t, n.Close())
		must(t, n.Close()) // a second time is no harm
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}

func TestNamespaceNamesThatAreRefused(t *testing.T) {
	Require(t)
	for _, name := range []string{"a/b", "../x", ".hidden", "a b"} {
		if n, err := New(name); err == nil {
			n.Close()
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestNamespaceStartsWithNothingButLo(t *testing.T) {
	n := newNS(t, "")
	must(t, n.Do(func() error {
		links, err := net.Interfaces()
		if err != nil {
			return err
		}
		if len(links) != 1 || links[0].Name != "lo" || links[0].Flags&net.FlagUp == 0 {
			t.Errorf("links %+v: want lo, up", links)
		}
		return nil
	}))
}

func TestDoRestoresTheThread(t *testing.T) {
	n := newNS(t, "")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadNamespace(t)
	var inside string
	must(t, n.Do(func() (err error) {
		inside, err = os.Readlink(threadNS)
		return err
	}))
	if inside == before {
		t.Error("the function ran outside")
	}
	if after := threadNamespace(t); after != before {
		t.Errorf("the caller's thread is in %s, was in %s", after, before)
	}
}

// Many goroutines at once must never see a thread that another left behind.
func TestDoNeverLeavesAThreadInside(t *testing.T) {
	n := newNS(t, "")
	home := threadNamespace(t)
	done := make(chan string)
	for range 64 {
		go func() {
			_ = n.Do(func() error { runtime.Gosched(); return nil })
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			id, _ := os.Readlink(threadNS)
			done <- id
		}()
	}
	for range 64 {
		if id := <-done; id != home {
			t.Errorf("a thread of the pool is in %s, home is %s", id, home)
		}
	}
}

// A thread that cannot go home must end, not go back to the pool.
func TestDoEndsAThreadThatCannotGoHome(t *testing.T) {
	n := newNS(t, "")
	home, tid := threadNamespace(t), 0
	must(t, n.Do(func() error {
		tid = unix.Gettid()
		return dropSysAdmin() // so that setns is refused
	}))
	if tid == os.Getpid() {
		return // the first thread never ends; the runtime lays it to rest
	}
	task := fmt.Sprintf("/proc/self/task/%d", tid)
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		if _, err := os.Stat(task); errors.Is(err, os.ErrNotExist) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the thread is still there")
		}
	}
	if id := threadNamespace(t); id != home {
		t.Errorf("a thread is in %s, home is %s", id, home)
	}
}

// dropSysAdmin takes CAP_SYS_ADMIN from the calling thread.
func dropSysAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	data[0].Permitted &^= 1 << unix.CAP_SYS_ADMIN
	return unix.Capset(&header, &data[0])
}

func TestDoPassesOnHowTheFunctionEnded(t *testing.T) {
	n := newNS(t, "")
	home := threadNamespace(t)
	want := errors.New("no")
	if err := n.Do(func() error { return want }); err != want {
		t.Errorf("error %v, want %v", err, want)
	}
	func() {
		defer func() {
			if s, _ := recover().(string); !strings.HasPrefix(s, "aloud\n") {
				t.Errorf("recovered %q, want the panic", s)
			}
		}()
		_ = n.Do(func() error { panic("aloud") })
		t.Error("a panic was swallowed")
	}()
	exited := make(chan bool)
	go func() {
		returned := false
		defer func() { exited <- !returned }()
		_ = n.Do(func() error { runtime.Goexit(); return nil })
		returned = true
	}()
	if !<-exited {
		t.Error("Goexit, and so t.FailNow, was swallowed")
	}
	if id := threadNamespace(t); id != home {
		t.Errorf("a thread is in %s, home is %s", id, home)
	}
}

// A handle without sockets would act on the host.
func TestNothingHappensAfterClose(t *testing.T) {
	n := newNS(t, "")
	must(t, n.Close())
	for what, err := range map[string]error{
		"Do":       n.Do(func() error { t.Error("ran"); return nil }),
		"SetDown":  n.SetDown("lo"),
		"AddAddr":  n.AddAddr("lo", "192.0.2.1/32"),
		"AddRoute": n.AddRoute(Route{To: "203.0.113.0/24", Kind: "blackhole"}),
		"Bridge":   n.Bridge("br0"),
		"Veth":     Veth(n, "a", n, "b", VethOptions{}),
		"VXLAN":    n.VXLAN(VXLANConfig{Name: "vx", VNI: 1}),
		"Send":     n.Send("lo", []byte{0}),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v, want os.ErrClosed", what, err)
		}
	}
}

func TestVethIsWholeOrNotThere(t *testing.T) {
	a, b := newNS(t, ""), newNS(t, "")
	must(t, b.Bridge("taken"))
	if err := Veth(a, "eth0", b, "taken", VethOptions{}); !errors.Is(err, unix.EEXIST) {
		t.Fatalf("error %v, want EEXIST", err)
	}
	if _, err := a.link("eth0"); err == nil {
		t.Error("half a wire is left")
	}
	must(t, Veth(a, "eth0", b, "eth0", VethOptions{AMAC: mac1, BMAC: mac2, MTU: 1600, Queues: 2}))
	for _, end := range []struct {
		ns  *NS
		mac frame.MAC
	}{{a, mac1}, {b, mac2}} {
		link, err := end.ns.link("eth0")
		must(t, err)
		at := link.Attrs()
		if frame.MAC(at.HardwareAddr) != end.mac || at.MTU != 1600 || at.NumRxQueues != 2 || at.OperState != netlink.OperUp {
			t.Errorf("end %+v: want address %v, MTU 1600, 2 queues, up", at, end.mac)
		}
	}
	must(t, a.Close())
	if _, err := b.link("eth0"); err == nil {
		t.Error("the far end is still there when Close returns")
	}
}

// reference is h1 --acc0[gw]und0-- v2 -- h2, with the kernel's own bridge and
// VXLAN device as the gateway.
type reference struct{ h1, gw, v2, h2 *NS }

func build() (r reference, all []*NS, err error) {
	add := func(name string) *NS {
		n, newErr := New(name)
		if newErr != nil {
			err = errors.Join(err, newErr)
			return nil
		}
		all = append(all, n)
		return n
	}
	r = reference{add("h1"), add("gw"), add("v2"), add("h2")}
	if err != nil {
		return r, all, err
	}
	a1, a2 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, step := range []func() error{
		func() error { return Veth(r.h1, "eth0", r.gw, "acc0", VethOptions{AMAC: mac1}) },
		func() error { return Veth(r.gw, "und0", r.v2, "und0", VethOptions{MTU: 1600}) },
		func() error { return Veth(r.v2, "acc0", r.h2, "eth0", VethOptions{BMAC: mac2}) },
		func() error { return r.gw.AddAddr("und0", "192.0.2.1/24") },
		func() error { return r.v2.AddAddr("und0", "192.0.2.2/24") },
		func() error { return r.h1.AddAddr("eth0", "198.51.100.1/24") },
		func() error { return r.h2.AddAddr("eth0", "198.51.100.2/24") },
		func() error {
			return r.gw.VTEP("br10", VXLANConfig{Name: "vx10", VNI: 10010, Local: a1, Remotes: []netip.Addr{a2}, Dev: "und0"}, "acc0")
		},
		func() error {
			return r.v2.VTEP("br10", VXLANConfig{Name: "vx10", VNI: 10010, Local: a2, Remotes: []netip.Addr{a1}, Dev: "und0"}, "acc0")
		},
	} {
		if err := step(); err != nil {
			return r, all, err
		}
	}
	return r, all, nil
}

func newReference(t *testing.T) reference {
	t.Helper()
	Require(t)
	r, all, err := build()
	t.Cleanup(func() {
		for _, n := range all {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	must(t, err)
	return r
}

func TestReferenceCarriesPingAndTCP(t *testing.T) {
	r := newReference(t)
	h2 := netip.MustParseAddr("198.51.100.2")
	got, err := r.h1.Ping(t.Context(), h2, 5, PingOptions{Timeout: patience})
	if got != 5 || err != nil {
		t.Fatalf("ping: %d of 5 answered, %v", got, err)
	}
	if got, err := r.h1.Ping(t.Context(), h2, 2, PingOptions{Size: 1472, DF: true, Timeout: patience}); got != 2 || err != nil {
		t.Errorf("ping of the full MTU: %d of 2 answered, %v", got, err)
	}
	if _, err := r.h1.Ping(t.Context(), h2, 1, PingOptions{Size: 1473, DF: true}); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("ping past the MTU: %v, want EMSGSIZE", err)
	}

	l, err := r.h2.Listen("tcp", "198.51.100.2:7")
	must(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 64)
		n, _ := c.Read(b)
		_, _ = c.Write(b[:n])
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := r.h1.Dial(ctx, "tcp", "198.51.100.2:7")
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(patience)))
	_, err = c.Write([]byte("through"))
	must(t, err)
	b := make([]byte, 64)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "through" {
		t.Errorf("echo %q, %v", b[:n], err)
	}
}

// The wires are quiet: what comes is what was sent, once each.
func TestReferenceCountsExactly(t *testing.T) {
	r := newReference(t)
	outer, err := r.v2.Capture("und0", Only(isVXLAN))
	must(t, err)
	inner, err := r.h2.Capture("eth0")
	must(t, err)

	const n = 200
	frames := make([][]byte, n)
	for i := range frames {
		frames[i] = packet.Numbered(mac2, mac1, uint32(i))
	}
	must(t, r.h1.Send("eth0", frames...))
	must(t, r.h1.Send("eth0", packet.Numbered(mac2, mac1, n)))
	last := func(f []byte) bool { got, ok := packet.Number(f); return ok && got == n }
	must(t, inner.WaitMatch(1, last, patience))
	must(t, outer.Wait(n+1, patience))

	for i, f := range inner.Frames() {
		if got, ok := packet.Number(f); !ok || int(got) != i {
			t.Fatalf("frame %d is %x", i, f)
		}
	}
	if in, out := len(inner.Frames()), len(outer.Frames()); in != n+1 || out != n+1 {
		t.Errorf("%d frames arrived in %d datagrams, want %d", in, out, n+1)
	}
	must(t, outer.Close())
	must(t, inner.Close())
	fdb, err := r.gw.FDB("acc0")
	must(t, err)
	if !slices.ContainsFunc(fdb, func(e FDBEntry) bool { return e.MAC == mac1 && e.Bridge && !e.Permanent }) {
		t.Errorf("the bridge has not learned h1: %+v", fdb)
	}
	fdb, err = r.v2.FDB("vx10")
	must(t, err)
	from := netip.MustParseAddr("192.0.2.1")
	if !slices.ContainsFunc(fdb, func(e FDBEntry) bool { return e.MAC == mac1 && e.Remote == from && !e.Bridge }) {
		t.Errorf("the VTEP has not learned h1: %+v", fdb)
	}
}

func isVXLAN(f []byte) bool {
	return len(f) > 38 && frame.Frame(f).Type() == frame.TypeIPv4 && f[23] == 17 && f[36] == 0x12 && f[37] == 0xb5
}

func listed(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(mountDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestReferenceIsGoneAfterClose(t *testing.T) {
	Require(t)
	r, all, err := build()
	must(t, err)
	_, err = r.h2.Capture("eth0") // left open on purpose
	must(t, err)
	for _, n := range all {
		must(t, n.Close())
	}
	for _, n := range all {
		if slices.Contains(listed(t), n.Name()) {
			t.Errorf("%s is still listed", n.Name())
		}
	}
}

func TestHalfBuiltIsGoneAfterClose(t *testing.T) {
	a, b := newNS(t, "half"), newNS(t, "half")
	must(t, Veth(a, "eth0", b, "eth0", VethOptions{}))
	if err := b.VTEP("br0", VXLANConfig{Name: "vx0", VNI: 1 << 24}, "eth0"); err == nil {
		t.Fatal("a VNI of 25 bits was accepted")
	}
	if _, err := b.link("br0"); err == nil {
		t.Error("half a VTEP is left")
	}
	if err := b.Bridge("br1", "eth0", "nothere"); err == nil {
		t.Fatal("a port that is not there was accepted")
	}
	if _, err := b.link("br1"); err == nil {
		t.Error("half a bridge is left")
	}
	must(t, b.Close())
	if _, err := a.link("eth0"); err == nil {
		t.Error("the wire outlived its end")
	}
	must(t, a.Close())
	for _, name := range listed(t) {
		if name == a.Name() || name == b.Name() {
			t.Errorf("%s is still listed", name)
		}
	}
}

func TestRequireSaysWhatIsMissing(t *testing.T) {
	Require(t)
	s := &skipper{}
	Require(s)
	if s.skipped {
		t.Error("skipped although this very test was not")
	}
}

type skipper struct{ skipped bool }

func (s *skipper) Helper()     {}
func (s *skipper) Skip(...any) { s.skipped = true }
