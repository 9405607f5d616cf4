package raw

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/port"
	"vxgw/test/bpf"
	"vxgw/test/netns"
)

var raceEnabled bool

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen before it gives up.
const patience = 10 * time.Second

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces: `make test` provides it")
	}
}

func newNS(t testing.TB) *netns.NS {
	t.Helper()
	needRoot(t)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wire is a veth with one end, "acc", in each of two namespaces.
type wire struct{ a, b *netns.NS }

const dev = "acc"

func newWire(t testing.TB) wire {
	t.Helper()
	w := wire{newNS(t), newNS(t)}
	must(t, netns.Veth(w.a, dev, w.b, dev, netns.VethOptions{}))
	a, b := openIn(t, w.a, Config{}), openIn(t, w.b, Config{})
	mustHear(t, a, b)
	mustHear(t, b, a)
	must(t, errors.Join(a.Close(), b.Close()))
	return w
}

func openIn(t testing.TB, ns *netns.NS, cfg Config) *Port {
	t.Helper()
	cfg.Interface = dev
	var p *Port
	must(t, ns.Do(func() (err error) { p, err = Open(cfg); return err }))
	if err := p.Features().Ring; (err == nil) != (cfg.Split != nil) {
		t.Errorf("ring: %v", err)
	}
	if cfg.Express && p.tx.express == nil {
		t.Error("no AF_XDP")
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// way makes a port's configuration one of a port that reads in a certain way.
type way func(Config) Config

func bySocket(cfg Config) Config { return cfg }

// byRing returns the way of ports with a ring.
func byRing(t testing.TB) way {
	split := bpf.Split(t)
	return func(cfg Config) Config {
		cfg.Split = func(room int) (s Split, err error) {
			s.Ring, s.Rest, err = split(room)
			return s, err
		}
		return cfg
	}
}

// byExpress returns the way of ports that have a ring and send by AF_XDP.
func byExpress(t testing.TB) way {
	t.Helper()
	ring := byRing(t)
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs a kernel with AF_XDP (CONFIG_XDP_SOCKETS): %v", err)
	}
	must(t, unix.Close(fd))
	return func(cfg Config) Config {
		cfg.Express = true
		return ring(cfg)
	}
}

// allWays runs a test of ports that have nothing but packet sockets, of ports that
// read from a ring, and of ports that send by AF_XDP too.
func allWays(t *testing.T, test func(t *testing.T, by way)) {
	bothWays(t, test)
	t.Run("by express", func(t *testing.T) { test(t, byExpress(t)) })
}

// bothWays runs a test of ports that read from a socket alone, and of ports that
// have a ring.
func bothWays(t *testing.T, test func(t *testing.T, by way)) {
	t.Run("by socket", func(t *testing.T) { test(t, bySocket) })
	t.Run("by ring", func(t *testing.T) { test(t, byRing(t)) })
}

// newPair returns ports at the two ends of a wire.
func newPair(t testing.TB, by way) (a, b *Port) {
	t.Helper()
	w := newWire(t)
	return openIn(t, w.a, by(Config{Promiscuous: true})), openIn(t, w.b, by(Config{Promiscuous: true}))
}

// run runs a program in a namespace and returns what it printed.
func run(t *testing.T, ns *netns.NS, name string, args ...string) (out string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs the program %s", name)
	}
	must(t, ns.Do(func() error {
		b, err := exec.Command(path, args...).CombinedOutput()
		out = string(b)
		if err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, out)
		}
		return nil
	}))
	return out
}

// reader collects the frames of a port that a test asks for.
type reader struct {
	t    testing.TB
	port interface {
		ReadBatch([]frame.Buffer) (int, error)
		Wake()
	}
	bufs []frame.Buffer
	left []frame.Buffer
}

func newReader(t testing.TB, p *Port) *reader {
	return &reader{t: t, port: p, bufs: frame.NewBuffers(port.BatchSize, frame.MaxLen)}
}

// next returns the next frame that want accepts; its bytes are the test's.
func (r *reader) next(want func(*frame.Buffer) bool) frame.Buffer {
	r.t.Helper()
	timer := time.AfterFunc(patience, r.port.Wake)
	defer timer.Stop()
	for {
		for len(r.left) > 0 {
			b := &r.left[0]
			r.left = r.left[1:]
			if want(b) {
				return clone(b)
			}
		}
		n, err := r.port.ReadBatch(r.bufs)
		if err != nil {
			r.t.Fatalf("waiting for a frame: %v", err)
		}
		r.left = r.bufs[:n]
	}
}

func clone(b *frame.Buffer) frame.Buffer {
	c := *b
	c.Mem = bytes.Clone(b.Mem[:b.Off+b.Len])
	return c
}

// Frames of the tests have this EtherType, which nothing else sends.
const testType = 0x88b5

func isTest(b *frame.Buffer) bool {
	return b.Len >= frame.HeaderLen && frame.Frame(b.Bytes()).Type() == testType
}

func isType(t uint16) func(*frame.Buffer) bool {
	return func(b *frame.Buffer) bool { return b.Len >= frame.HeaderLen && frame.Frame(b.Bytes()).Type() == t }
}

// makeFrame returns a broadcast frame of n bytes, headers included, filled with
// something that depends on n.
func makeFrame(n int) []byte {
	f := make([]byte, n)
	copy(f, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01")
	binary.BigEndian.PutUint16(f[12:], testType)
	for i := frame.HeaderLen; i < n; i++ {
		f[i] = byte(i*7 + n)
	}
	return f
}

// withTag returns f with a tag put in.
func withTag(f []byte, tpid, tci uint16) []byte {
	t := append(bytes.Clone(f[:12]), byte(tpid>>8), byte(tpid), byte(tci>>8), byte(tci))
	return append(t, f[12:]...)
}

func send(t testing.TB, p *Port, frames ...[]byte) {
	t.Helper()
	out := make([]frame.Out, len(frames))
	for i, f := range frames {
		out[i].Bytes = f
	}
	sendOut(t, p, out)
}

func sendOut(t testing.TB, p *Port, out []frame.Out) {
	t.Helper()
	must(t, p.WriteBatch(out))
	for i := range out {
		if out[i].Status != frame.Sent {
			t.Fatalf("frame %d of %d bytes: status %d", i, len(out[i].Bytes), out[i].Status)
		}
	}
}

// mustHear sends until the frame is heard: a veth that has just come up drops
// frames for a moment, and says that it sent them.
func mustHear(t testing.TB, from, to *Port) {
	t.Helper()
	heard := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		out := []frame.Out{{Bytes: makeFrame(80)}}
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-heard:
				tick.Stop()
				return
			case <-tick.C:
				_ = from.WriteBatch(out)
			}
		}
	})
	defer sending.Wait()
	defer close(heard)
	newReader(t, to).next(isTest)
}

// pinThread keeps the test on one CPU.
func pinThread(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	var had, one unix.CPUSet
	must(t, unix.SchedGetaffinity(0, &had))
	for cpu := 0; one.Count() == 0; cpu++ {
		if had.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	must(t, unix.SchedSetaffinity(0, &one))
	t.Cleanup(func() {
		_ = unix.SchedSetaffinity(0, &had)
		runtime.UnlockOSThread()
	})
}
