package raw

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/port"
	"vxgw/test/netns"
)

func TestBytesPassExactly(t *testing.T) { allWays(t, testBytesPassExactly) }

func testBytesPassExactly(t *testing.T, by way) {
	a, b := newPair(t, by)
	for _, dir := range []struct {
		name     string
		from, to *Port
	}{{"there", a, b}, {"back", b, a}} {
		t.Run(dir.name, func(t *testing.T) {
			r := newReader(t, dir.to)
			var frames [][]byte
			for _, n := range []int{14, 15, 16, 17, 18, 33, 34, 42, 59, 60, 61, 512, 1513, 1514} {
				frames = append(frames, makeFrame(n))
			}
			send(t, dir.from, frames...)
			for _, want := range frames {
				got := r.next(isTest)
				if !bytes.Equal(got.Bytes(), want) {
					t.Fatalf("sent %d bytes, got %d: % x", len(want), got.Len, got.Bytes())
				}
				if got.Tag.Present || !got.Offload.None() || got.Truncated || got.FullLen != len(want) || got.Off < frame.Headroom {
					t.Fatalf("%d bytes: noted %+v", len(want), got)
				}
			}
		})
	}
}

func TestManyBatchesInOrder(t *testing.T) { allWays(t, testManyBatchesInOrder) }

func testManyBatchesInOrder(t *testing.T, by way) {
	a, b := newPair(t, by)
	pinThread(t) // each CPU of the sender has a queue of its own
	const n = 5*port.BatchSize + 3
	frames := make([][]byte, n)
	for i := range frames {
		frames[i] = makeFrame(60 + i)
	}
	send(t, a, frames...)
	r := newReader(t, b)
	for i := range frames {
		if got := r.next(isTest); !bytes.Equal(got.Bytes(), frames[i]) {
			t.Fatalf("frame %d: got one of %d bytes, want %d", i, got.Len, len(frames[i]))
		}
	}
}

func TestOwnFramesAreNotHeard(t *testing.T) { allWays(t, testOwnFramesAreNotHeard) }

func testOwnFramesAreNotHeard(t *testing.T, by way) {
	w := newWire(t)
	p := openIn(t, w.a, by(Config{Promiscuous: true}))
	other := openIn(t, w.a, Config{}) // AF_XDP has room for one
	far := openIn(t, w.b, by(Config{}))

	send(t, p, makeFrame(100))
	send(t, other, makeFrame(101)) // another program of this machine
	r := newReader(t, far)
	r.next(isTest)
	r.next(isTest) // both have gone out
	send(t, far, makeFrame(102))
	if got := newReader(t, p).next(isTest); got.Len != 102 {
		t.Errorf("heard an outgoing frame of %d bytes", got.Len)
	}
}

func TestPromiscuous(t *testing.T) {
	for _, on := range []bool{true, false} {
		w := newWire(t)
		openIn(t, w.a, Config{Promiscuous: on})
		out := run(t, w.a, "ip", "-details", "link", "show", "dev", dev)
		if strings.Contains(out, "promiscuity 1") != on {
			t.Errorf("promiscuous %v: %s", on, out)
		}
	}
}

func TestTruncated(t *testing.T) {
	a, b := newPair(t, bySocket)
	send(t, a, makeFrame(1000), makeFrame(200), makeFrame(201))
	bufs := frame.NewBuffers(port.BatchSize, 200)
	for i := range bufs {
		bufs[i].Mem = bufs[i].Mem[:frame.Headroom+200]
	}
	r := &reader{t: t, port: b, bufs: bufs}
	for _, want := range []struct {
		full int
		cut  bool
	}{{1000, true}, {200, false}, {201, true}} {
		got := r.next(isTest)
		if got.Truncated != want.cut || got.Len != 200 || got.FullLen != want.full {
			t.Errorf("%d bytes: truncated %v, %d of %d bytes", want.full, got.Truncated, got.Len, got.FullLen)
		}
	}
}

func TestBuffersWithoutRoom(t *testing.T) {
	a, _ := newPair(t, bySocket)
	if n, err := a.ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("no buffers: %d, %v", n, err)
	}
	if _, err := a.ReadBatch([]frame.Buffer{{Mem: make([]byte, frame.Headroom)}}); !errors.Is(err, errNoRoom) {
		t.Errorf("no room: %v", err)
	}
}

func TestStatuses(t *testing.T) { allWays(t, testStatuses) }

func testStatuses(t *testing.T, by way) {
	a, b := newPair(t, by)
	huge := makeFrame(70000)
	out := []frame.Out{
		{Bytes: makeFrame(100)},
		{Bytes: makeFrame(1515)},
		{Bytes: makeFrame(1514)},
		{Bytes: makeFrame(14)[:13]},
		{Bytes: nil},
		{Bytes: makeFrame(101), Offload: frame.Offload{GSO: frame.GSOOther, SegmentSize: 100}},
		{Bytes: makeFrame(102), Offload: frame.Offload{GSO: frame.GSOTCPv4}},
		{Bytes: makeFrame(103), Offload: frame.Offload{GSO: frame.GSOTCPv4, SegmentSize: 10}}, // not TCP
		{Bytes: makeFrame(104), Offload: frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 69}},
		{Bytes: makeFrame(105), Offload: frame.Offload{NeedsChecksum: true, ChecksumStart: 65535, ChecksumAt: 65535}},
		{Bytes: huge},
		{Bytes: makeFrame(106), Status: frame.Down},
	}
	want := []frame.Status{
		frame.Sent, frame.TooBig, frame.Sent, frame.Failed, frame.Failed,
		frame.Refused, frame.Refused, frame.Refused, frame.Refused, frame.Refused,
		frame.TooBig, frame.Sent,
	}
	if err := a.WriteBatch(out); err == nil {
		t.Error("no error for frames that were not sent")
	}
	for i := range out {
		if out[i].Status != want[i] {
			t.Errorf("frame %d: status %d, want %d", i, out[i].Status, want[i])
		}
	}
	r := newReader(t, b)
	for _, n := range []int{100, 1514, 106} {
		if got := r.next(isTest); got.Len != n {
			t.Errorf("got %d bytes, want %d", got.Len, n)
		}
	}
	if err := a.WriteBatch(nil); err != nil {
		t.Errorf("nothing to send: %v", err)
	}
}

func TestOverflowIsCounted(t *testing.T) {
	w := newWire(t)
	a := openIn(t, w.a, Config{})
	b := openIn(t, w.b, Config{ReceiveBuffer: 8192})
	if _, err := b.Overflows(); err != nil { // whatever came before
		t.Fatal(err)
	}
	const sent = 1000
	for range sent {
		send(t, a, makeFrame(1000))
	}
	// A veth hands a frame over at the latest in softirq context.
	var lost uint64
	poll(t, func() bool {
		n, err := b.Overflows()
		must(t, err)
		lost += n
		return lost > sent/2
	})
	if n, err := b.Overflows(); err != nil || lost+n > sent {
		t.Errorf("%d lost, %v", lost+n, err)
	}
	newReader(t, b).next(isTest)
	send(t, a, makeFrame(77))
	newReader(t, b).next(func(f *frame.Buffer) bool { return isTest(f) && f.Len == 77 })
}

func poll(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
		time.Sleep(time.Millisecond)
	}
}

// readError reads until there is an error that is not about a deadline.
func readError(p *Port) error {
	bufs := frame.NewBuffers(1, 2000)
	for {
		if _, err := p.ReadBatch(bufs); err != nil {
			return err
		}
	}
}

func TestLinkDownAndUp(t *testing.T) { allWays(t, testLinkDownAndUp) }

func testLinkDownAndUp(t *testing.T, by way) {
	w := newWire(t)
	a, b := openIn(t, w.a, by(Config{})), openIn(t, w.b, by(Config{}))
	must(t, w.b.SetDown(dev))
	if err := readError(b); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("down: %v", err)
	}
	out := []frame.Out{{Bytes: makeFrame(60)}, {Bytes: makeFrame(61)}}
	if err := b.WriteBatch(out); !errors.Is(err, unix.ENETDOWN) || out[0].Status != frame.Down || out[1].Status != frame.Down {
		t.Errorf("writing while down: %v, status %d and %d", err, out[0].Status, out[1].Status)
	}
	must(t, w.b.SetUp(dev))
	mustHear(t, a, b)
	mustHear(t, b, a)

	// Once more: it is told each time.
	must(t, w.b.SetDown(dev))
	if err := readError(b); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("down again: %v", err)
	}
}

func TestOpenedWhileDown(t *testing.T) { allWays(t, testOpenedWhileDown) }

func testOpenedWhileDown(t *testing.T, by way) {
	w := wire{newNS(t), newNS(t)}
	must(t, netns.Veth(w.a, dev, w.b, dev, netns.VethOptions{Down: true}))
	b := openIn(t, w.b, by(Config{}))
	if err := readError(b); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("down from the start: %v", err)
	}
	must(t, w.a.SetUp(dev))
	must(t, w.b.SetUp(dev))
	mustHear(t, openIn(t, w.a, by(Config{})), b)
}

func TestDeviceGone(t *testing.T) { allWays(t, testDeviceGone) }

func testDeviceGone(t *testing.T, by way) {
	for name, remove := range map[string]func(wire) error{
		"deleted":           func(w wire) error { return w.b.Delete(dev) },
		"peer deleted":      func(w wire) error { return w.a.Delete(dev) },
		"moved":             func(w wire) error { return w.b.Move(dev, w.a) },
		"down, then delete": func(w wire) error { return errors.Join(w.b.SetDown(dev), w.b.Delete(dev)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := wire{newNS(t), newNS(t)}
			must(t, netns.Veth(w.a, "far", w.b, dev, netns.VethOptions{}))
			if name == "peer deleted" {
				must(t, w.a.Rename("far", dev))
			}
			b := openIn(t, w.b, by(Config{}))
			got := make(chan error, 1)
			go func() {
				for {
					err := readError(b)
					if !errors.Is(err, unix.ENETDOWN) { // comes first, or not at all
						got <- err
						return
					}
				}
			}()
			must(t, remove(w))
			if err := <-got; !errors.Is(err, unix.ENODEV) {
				t.Errorf("reading: %v", err)
			}
			if err := readError(b); !errors.Is(err, unix.ENODEV) {
				t.Errorf("reading again: %v", err)
			}
			out := []frame.Out{{Bytes: makeFrame(60)}}
			if err := b.WriteBatch(out); err == nil || out[0].Status != frame.Down {
				t.Errorf("writing: %v, status %d", err, out[0].Status)
			}
			b.Wake()
			if err := readError(b); !errors.Is(err, unix.ENODEV) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("reading after Wake: %v", err)
			}
		})
	}
}

func TestWake(t *testing.T) { bothWays(t, testWake) }

func testWake(t *testing.T, by way) {
	w := newWire(t)
	a, b := openIn(t, w.a, by(Config{})), openIn(t, w.b, by(Config{}))
	waking := func(p *Port) {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- readError(p) }()
		p.Wake() // before or during the wait
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("woken: %v", err)
		}
	}
	for range 50 {
		waking(b)
	}
	b.Wake()
	b.Wake()
	b.Wake()
	if err := readError(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("woken in advance: %v", err)
	}
	// Three at once are one, and the port reads on.
	send(t, a, makeFrame(90))
	newReader(t, b).next(isTest)

	must(t, w.b.SetDown(dev))
	if err := readError(b); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("down: %v", err)
	}
	for range 50 {
		waking(b)
	}
}

func TestClose(t *testing.T) { allWays(t, testClose) }

func testClose(t *testing.T, by way) {
	w := newWire(t)
	b := openIn(t, w.b, by(Config{}))
	done := make(chan error, 1)
	go func() { done <- readError(b) }()
	must(t, b.Close())
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	if err := readError(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading again: %v", err)
	}
	out := []frame.Out{{Bytes: makeFrame(60)}, {Bytes: makeFrame(61)}}
	if err := b.WriteBatch(out); !errors.Is(err, net.ErrClosed) || out[0].Status != frame.Down || out[1].Status != frame.Down {
		t.Errorf("writing: %v, status %d and %d", err, out[0].Status, out[1].Status)
	}
	if _, err := b.Overflows(); err == nil {
		t.Error("overflows of a closed port")
	}
	b.Wake()
	must(t, b.Close())
}

func TestCloseWhileDown(t *testing.T) { bothWays(t, testCloseWhileDown) }

func testCloseWhileDown(t *testing.T, by way) {
	w := newWire(t)
	b := openIn(t, w.b, by(Config{}))
	must(t, w.b.SetDown(dev))
	_ = readError(b)
	done := make(chan error, 1)
	go func() { done <- readError(b) }()
	must(t, b.Close())
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading: %v", err)
	}
}

func TestAllAtOnce(t *testing.T) { allWays(t, testAllAtOnce) }

func testAllAtOnce(t *testing.T, by way) {
	a, b := newPair(t, by)
	const writers, batches = 4, 50
	var writing, reading sync.WaitGroup
	var sent, seen atomic.Int64
	for range writers {
		writing.Go(func() {
			out := make([]frame.Out, port.BatchSize)
			for range batches {
				for i := range out {
					out[i] = frame.Out{Bytes: makeFrame(60 + i)}
				}
				_ = a.WriteBatch(out)
				for i := range out {
					if out[i].Status == frame.Sent {
						sent.Add(1)
					}
				}
			}
		})
	}
	reading.Go(func() {
		bufs := frame.NewBuffers(port.BatchSize, 2000)
		for {
			n, err := b.ReadBatch(bufs)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			for i := range bufs[:n] {
				if f := &bufs[i]; isTest(f) {
					seen.Add(1)
					if !bytes.Equal(f.Bytes(), makeFrame(f.Len)) {
						t.Errorf("a frame of %d bytes was changed", f.Len)
					}
				}
			}
		}
	})
	reading.Go(func() {
		for !b.closed.Load() {
			b.Wake()
			_, _ = b.Overflows()
		}
	})
	writing.Wait()
	poll(t, func() bool { return seen.Load() > 0 })
	must(t, b.Close())
	reading.Wait()
	if sent.Load() != writers*batches*port.BatchSize || seen.Load() == 0 || b.Unreadable() != 0 {
		t.Errorf("%d frames sent, %d seen, %d unreadable", sent.Load(), seen.Load(), b.Unreadable())
	}
}

func TestNoAllocations(t *testing.T) { allWays(t, testNoAllocations) }

func testNoAllocations(t *testing.T, by way) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := newPair(t, by)
	out := make([]frame.Out, 8)
	for i := range out {
		out[i].Bytes = makeFrame(100 + i)
	}
	allocatesNothing(t, a, b, out)
}

// allocatesNothing holds that frames go from one port to the other without.
func allocatesNothing(t *testing.T, from, to *Port, out []frame.Out) {
	t.Helper()
	bufs := frame.NewBuffers(port.BatchSize, 2000)
	per := testing.AllocsPerRun(200, func() {
		if err := from.WriteBatch(out); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < len(out); {
			n, err := to.ReadBatch(bufs)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	})
	if per != 0 {
		t.Errorf("%v allocations", per)
	}
}

func TestNoAllocationsOnFailure(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w := newWire(t)
	p := openIn(t, w.a, Config{})
	must(t, w.a.SetDown(dev))
	out := []frame.Out{{Bytes: makeFrame(60)}}
	if per := testing.AllocsPerRun(200, func() { _ = p.WriteBatch(out) }); per != 0 {
		t.Errorf("%v allocations", per)
	}
}

func TestOpenErrors(t *testing.T) {
	ns := newNS(t)
	for _, c := range []struct {
		name string
		cfg  Config
		is   error
		says string
	}{
		{"no such name", Config{Interface: "nowhere"}, unix.ENODEV, "open port nowhere: no such"},
		{"no such index", Config{Index: 4242}, unix.ENODEV, "no such interface"},
		{"no Ethernet", Config{Interface: "lo"}, nil, "not an Ethernet interface"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := ns.Do(func() error {
				p, err := Open(c.cfg)
				if err == nil {
					_ = p.Close()
				}
				return err
			})
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOpenWithoutCapability(t *testing.T) {
	w := newWire(t)
	err := w.a.Do(func() error {
		restore, err := drop(unix.CAP_NET_RAW)
		if err != nil {
			return err
		}
		defer restore()
		_, err = Open(Config{Interface: dev})
		if _, terr := OpenTap(frame.TypeIPv4, nil); !errors.Is(terr, unix.EPERM) {
			return fmt.Errorf("the tap: %w", terr)
		}
		return err
	})
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "needs CAP_NET_RAW") {
		t.Errorf("got %v", err)
	}
}

// drop takes capabilities from the calling thread.
func drop(capabilities ...int) (restore func(), err error) {
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	if err := unix.Capget(&header, &had[0]); err != nil {
		return nil, err
	}
	less := had
	for _, c := range capabilities {
		less[c/32].Effective &^= 1 << (c % 32)
	}
	if err := unix.Capset(&header, &less[0]); err != nil {
		return nil, err
	}
	return func() {
		_ = unix.Capset(&header, &had[0])
		runtime.UnlockOSThread()
	}, nil
}

func TestFeatures(t *testing.T) {
	w := newWire(t)
	p := openIn(t, w.a, Config{ReceiveBuffer: 1 << 20})
	f := p.Features()
	if f.Offload != nil || !p.CarriesOffload() || f.ReceiveBuffer != 1<<20 || f.SendBuffer != DefaultBuffer {
		t.Errorf("got %+v", f)
	}
}

// Without virtio-net headers a port still carries what is fit for a wire.
func TestWithoutVnetHeaders(t *testing.T) {
	w := newWire(t)
	full := openIn(t, w.b, Config{})
	var p *Port
	must(t, w.a.Do(func() (err error) {
		p, err = open(Config{Interface: dev}, func(socket) error { return unix.ENOPROTOOPT })
		return err
	}))
	defer p.Close()
	if err := p.Features().Offload; !errors.Is(err, unix.ENOPROTOOPT) || p.CarriesOffload() {
		t.Errorf("features: %v", err)
	}
	out := []frame.Out{
		{Bytes: makeFrame(100)},
		{Bytes: makeFrame(101), Offload: frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 6}},
		{Bytes: makeFrame(102)},
	}
	_ = p.WriteBatch(out)
	if out[0].Status != frame.Sent || out[1].Status != frame.Refused || out[2].Status != frame.Sent {
		t.Errorf("statuses %d %d %d", out[0].Status, out[1].Status, out[2].Status)
	}
	r := newReader(t, full)
	for _, o := range []frame.Out{out[0], out[2]} {
		if got := r.next(isTest); !bytes.Equal(got.Bytes(), o.Bytes) {
			t.Errorf("got %d bytes, want %d", got.Len, len(o.Bytes))
		}
	}
	send(t, full, makeFrame(103))
	sendOut(t, full, []frame.Out{{Bytes: makeFrame(104), Offload: frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 6}}})
	r = newReader(t, p)
	if got := r.next(isTest); !bytes.Equal(got.Bytes(), makeFrame(103)) || !got.Offload.None() {
		t.Errorf("got %+v", got)
	}
	if got := r.next(isTest); got.Len != 104 || got.Offload.GSO != frame.GSOOther {
		t.Errorf("an unfinished frame: %+v", got.Offload)
	}
}

// A port without virtio-net headers whose express somebody else uses sends by a
// packet socket that expects none.
func TestBusyExpressWithoutVnetHeaders(t *testing.T) {
	w := newWire(t)
	far := openIn(t, w.b, Config{})
	var p *Port
	must(t, w.a.Do(func() (err error) {
		p, err = open(Config{Interface: dev, Express: true}, func(socket) error { return unix.ENOPROTOOPT })
		return err
	}))
	defer p.Close()
	if p.tx.express == nil {
		t.Skip("needs a kernel with AF_XDP (CONFIG_XDP_SOCKETS)")
	}
	p.tx.express.mu.Lock()
	send(t, p, makeFrame(100), makeFrame(101))
	p.tx.express.mu.Unlock()
	send(t, p, makeFrame(102))
	r := newReader(t, far)
	for n := 100; n < 103; n++ {
		if got := r.next(isTest); !bytes.Equal(got.Bytes(), makeFrame(n)) {
			t.Errorf("got %d bytes, want %d", got.Len, n)
		}
	}
}

// What the kernel cannot hand over is passed over and counted.
func TestUnreadableFrames(t *testing.T) {
	a, b := newPair(t, bySocket)
	refusals := []unix.Errno{unix.EINVAL, unix.ENOMEM}
	b.rx.all[0].rest.receive = func(fd uintptr) bool {
		if len(refusals) == 0 {
			return b.rx.all[0].rest.tryReceive(fd)
		}
		b.rx.all[0].rest.errno, refusals = refusals[0], refusals[1:]
		return true
	}
	send(t, a, makeFrame(100))
	if got := newReader(t, b).next(isTest); got.Len != 100 || b.Unreadable() != 2 {
		t.Errorf("%d bytes, %d unreadable", got.Len, b.Unreadable())
	}
	b.rx.all[0].rest.receive = func(uintptr) bool { b.rx.all[0].rest.errno = unix.EFAULT; return true }
	if err := readError(b); !errors.Is(err, unix.EFAULT) {
		t.Errorf("an error of our own making: %v", err)
	}
}

// Without auxdata nobody knows whether there was a tag.
func TestFramesWithoutAuxdata(t *testing.T) {
	a, b := newPair(t, bySocket)
	setAuxdata := func(on int) {
		must(t, control(b.rx.all[0].rest.raw, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, on)
		}))
	}
	setAuxdata(0)
	got := make(chan int, 1)
	go func() {
		bufs := frame.NewBuffers(port.BatchSize, 2000)
		_, err := b.ReadBatch(bufs)
		if err != nil {
			t.Error(err)
		}
		got <- bufs[0].Len
	}()
	send(t, a, withTag(makeFrame(100), frame.TypeVLAN, 1))
	poll(t, func() bool { return b.Unreadable() == 1 })
	setAuxdata(1)
	send(t, a, makeFrame(101))
	if n := <-got; n != 101 {
		t.Errorf("got %d bytes", n)
	}
}
