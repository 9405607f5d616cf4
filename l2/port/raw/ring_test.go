package raw

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/port"
)

func TestSlotSize(t *testing.T) {
	for _, c := range []struct{ mtu, size int }{
		{68, 2048}, {1500, 2048}, {1892, 2048}, {1893, 4096}, {3940, 4096}, {3941, 8192}, {8036, 8192},
		{9000, 16384}, {16228, 16384}, {16229, 16384}, {65535, 16384},
	} {
		size := slotSize(c.mtu)
		if size != c.size {
			t.Errorf("MTU %d: slots of %d bytes, want %d", c.mtu, size, c.size)
		}
		if longest := c.mtu + frame.HeaderLen + frame.TagLen; longest <= slotRoom(maxSlot) && longest > slotRoom(size) {
			t.Errorf("MTU %d: room for %d bytes", c.mtu, slotRoom(size))
		}
	}
	if at := slotHeader + frame.HeaderLen; at%8 != 0 || slotHeader < frame.Headroom {
		t.Errorf("the IP header is at byte %d of a slot", at)
	}
}

// inRing reports whether a frame lies in the memory of the port's ring.
func (p *Port) inRing(b *frame.Buffer) bool {
	mem, at := p.rx.all[0].ring.mem, uintptr(unsafe.Pointer(&b.Mem[0]))
	first := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	return at >= first && at < first+uintptr(len(mem))
}

// ringPair returns the ends of a wire with an MTU: one that sends, and one with a
// ring.
func ringPair(t testing.TB, mtu int, cfg Config) (a, b *Port) {
	t.Helper()
	_, a, b = ringWire(t, mtu, cfg)
	return a, b
}

func ringWire(t testing.TB, mtu int, cfg Config) (w wire, a, b *Port) {
	t.Helper()
	w = newWire(t)
	must(t, errors.Join(w.a.SetMTU(dev, mtu), w.b.SetMTU(dev, mtu)))
	a, b = openIn(t, w.a, Config{}), openIn(t, w.b, byRing(t)(cfg))
	waitForStamps(t, a, b)
	return w, a, b
}

// waitForStamps waits until the kernel stamps frames when they come. It begins a
// moment after the first socket of the machine has asked for it.
func waitForStamps(t testing.TB, a, b *Port) {
	t.Helper()
	r := newRingReader(t, b)
	for stamped := false; !stamped; {
		send(t, a, makeFrame(60))
		r.reader.next(func(f *frame.Buffer) bool {
			stamped = binary.NativeEndian.Uint32(f.Mem)&unix.TP_STATUS_TS_SOFTWARE != 0
			return true
		})
	}
	if len(r.left) > 0 {
		t.Fatal("more frames than were sent")
	}
}

// ringReader reads a port and says of each frame whether it came by the ring.
type ringReader struct {
	reader
	p *Port
}

func newRingReader(t testing.TB, p *Port) *ringReader {
	return &ringReader{reader: *newReader(t, p), p: p}
}

func (r *ringReader) next() (got frame.Buffer, byRing bool) {
	r.t.Helper()
	got = r.reader.next(func(b *frame.Buffer) bool {
		byRing = r.p.inRing(b)
		return true
	})
	return got, byRing
}

// A frame that fits into a slot to the last byte comes by the ring, and one that is
// a byte longer does not. Both are whole.
func TestSlotRoom(t *testing.T) {
	for _, mtu := range []int{0, 1500, 1893, 3941, 9000} {
		t.Run(fmt.Sprint("MTU ", mtu), func(t *testing.T) {
			a, b := ringPair(t, 65535, Config{MTU: mtu})
			room := slotRoom(b.rx.all[0].ring.size)
			if want := slotRoom(slotSize(max(mtu, 1500))); mtu == 0 && room != want {
				t.Errorf("room for %d bytes, want %d", room, want)
			}
			r := newRingReader(t, b)
			tag := uint16(0x1234)
			for _, n := range []int{14, 60, room - 1, room, room + 1, room + 1000, 65535} {
				plain := makeFrame(n)
				tagged := plain[:min(n, 65531)]
				send(t, a, plain)
				if n > 14 { // one that short is not fit to be untagged
					send(t, a, withTag(tagged, frame.TypeVLAN, tag))
				}
				for range min(n-13, 2) {
					want := plain
					got, byRing := r.next()
					if got.Tag.Present {
						want = tagged
					}
					if byRing != (n <= room) || got.Truncated || got.FullLen != len(want) || !got.Offload.None() || !bytes.Equal(got.Bytes(), want) {
						t.Errorf("%d bytes: %d of %d, by the ring %v, %+v", n, got.Len, got.FullLen, byRing, got)
					}
					if got.Tag.Present && got.Tag.TCI != tag {
						t.Errorf("%d bytes: tag %+v", n, got.Tag)
					}
				}
			}
		})
	}
}

// What the kernel left undone of an ordinary frame is told in its slot, and there
// is room in front of it.
func TestUnfinishedInSlots(t *testing.T) {
	a, b := ringPair(t, 1500, Config{})
	r := newRingReader(t, b)
	f := tcpFrame(1000)
	o := frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 16}
	for _, tagged := range []bool{false, true} {
		out := frame.Out{Bytes: f, Offload: o}
		if tagged {
			out.Bytes = withTag(f, frame.TypeVLAN, 0)
			out.Offload.ChecksumStart += frame.TagLen
		}
		sendOut(t, a, []frame.Out{out})
		got, byRing := r.next()
		if !byRing || got.Offload != o || got.Tag.Present != tagged || !bytes.Equal(got.Bytes(), f) {
			t.Errorf("tagged %v: by the ring %v, %+v, tag %+v", tagged, byRing, got.Offload, got.Tag)
		}
		if got.Off < frame.Headroom {
			t.Errorf("%d bytes in front", got.Off)
		}
	}
}

// TestEverySlotManyTimes goes round a small ring, with frames of every length.
func TestEverySlotManyTimes(t *testing.T) {
	a, b := ringPair(t, 1500, Config{RingBytes: 1})
	if n := b.rx.all[0].ring.slots; n != minSlots {
		t.Fatalf("%d slots", n)
	}
	r := newRingReader(t, b)
	// What was handed out last is still in its slot when the next comes.
	for i := range 100 {
		frames := make([][]byte, port.BatchSize-i%5)
		for j := range frames {
			frames[j] = makeFrame(14 + (i*97+j*31)%1500)
			binary.BigEndian.PutUint16(frames[j][6:], uint16(i))
		}
		send(t, a, frames...)
		for j, want := range frames {
			got, byRing := r.next()
			if !byRing || !bytes.Equal(got.Bytes(), want) {
				t.Fatalf("round %d, frame %d: %d bytes, want %d, by the ring %v", i, j, got.Len, len(want), byRing)
			}
		}
	}
	if n, err := b.Overflows(); n != 0 || err != nil {
		t.Errorf("%d lost, %v", n, err)
	}
}

// TestRingOverflow: what finds no slot is counted, each frame once, and the ring
// goes on when there is room again.
func TestRingOverflow(t *testing.T) {
	a, b := ringPair(t, 1500, Config{RingBytes: 1})
	pinThread(t)
	const sent = 1000
	for round := range 3 {
		// What was handed out last is still in its slot, until the next read.
		b.Wake()
		if err := readError(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("round %d: %v", round, err)
		}
		frames := make([][]byte, sent)
		for i := range frames {
			frames[i] = makeFrame(100 + i)
		}
		send(t, a, frames...)
		// A veth hands frames over in softirq context, which may be put off.
		var lost uint64
		poll(t, func() bool {
			n, err := b.Overflows()
			must(t, err)
			lost += n
			return lost == sent-minSlots
		})
		r := newRingReader(t, b)
		for i := range minSlots {
			if got, _ := r.next(); !bytes.Equal(got.Bytes(), frames[i]) {
				t.Fatalf("round %d: frame %d is of %d bytes", round, i, got.Len)
			}
		}
		send(t, a, makeFrame(77))
		if got, _ := r.next(); got.Len != 77 {
			t.Errorf("round %d: %d bytes behind what was lost", round, got.Len)
		}
		if n, err := b.Overflows(); n != 0 || err != nil {
			t.Errorf("round %d: %d more lost, %v", round, n, err)
		}
	}
}

// flowFrame returns frame number seq of a TCP flow: an ordinary one, or a
// super-frame when super is set.
func flowFrame(seq uint32, super bool) frame.Out {
	n := 60 + int(seq%1000)
	o := frame.Offload{}
	if super {
		n += 3000
		o = frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 16, GSO: frame.GSOTCPv4, SegmentSize: 1448}
	}
	f := tcpFrame(n)
	binary.BigEndian.PutUint32(f[38:], seq)
	return frame.Out{Bytes: f, Offload: o}
}

// TestOrderAcrossRingAndSocket: super-frames and long frames between the ordinary
// frames of one flow come where they were sent.
func TestOrderAcrossRingAndSocket(t *testing.T) {
	for _, c := range []struct {
		name string
		out  func(seq uint32, special bool) frame.Out
	}{
		{"super-frames", flowFrame},
		{"long frames", func(seq uint32, special bool) frame.Out {
			f := flowFrame(seq, special)
			f.Offload = frame.Offload{}
			return f
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := ringPair(t, 9000, Config{MTU: 1500, RingBytes: 16 << 20, ReceiveBuffer: 64 << 20})
			const total = 6000
			var sending sync.WaitGroup
			sending.Go(func() {
				runtime.LockOSThread() // each CPU of the sender has a queue of its own
				defer runtime.UnlockOSThread()
				pinCPU(t)
				r := rand.New(rand.NewPCG(1, 1))
				for seq := uint32(0); seq < total; {
					out := make([]frame.Out, 1+r.IntN(40))
					for i := range out {
						out[i] = c.out(seq, r.IntN(4) == 0)
						seq++
					}
					if err := a.WriteBatch(out); err != nil {
						t.Error(err)
						return
					}
				}
			})
			defer sending.Wait()
			r := newRingReader(t, b)
			var byRing, bySocket int
			for want := uint32(0); want < total; want++ {
				got, ring := r.next()
				if seq := binary.BigEndian.Uint32(got.Bytes()[38:]); seq != want {
					n, err := b.Overflows()
					t.Fatalf("frame %d in the place of %d (%d overflowed, %v)", seq, want, n, err)
				}
				if ring {
					byRing++
				} else {
					bySocket++
				}
			}
			if byRing < total/2 || bySocket < total/10 {
				t.Errorf("%d by the ring, %d by the socket", byRing, bySocket)
			}
		})
	}
}

// pinCPU keeps the calling thread, which is locked, on one CPU for good.
func pinCPU(t *testing.T) {
	var had, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &had); err != nil {
		t.Error(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if had.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Error(err)
	}
}

// mappings counts the rings in this process's memory.
func mappings(t testing.TB) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	return strings.Count(string(maps), "socket:[")
}

// TestMemoryIsGivenBack: with Close, or when the reader lets go of what he has in
// his hands.
func TestMemoryIsGivenBack(t *testing.T) {
	a, b := ringPair(t, 1500, Config{})
	was := mappings(t)
	if was < 1 {
		t.Fatal("no ring is seen")
	}
	want := func(what string, n int) {
		t.Helper()
		if is := mappings(t); is != was+n {
			t.Errorf("%s: %d rings, want %d", what, is, was+n)
		}
	}
	bufs := frame.NewBuffers(port.BatchSize, 100)

	frames := [][]byte{makeFrame(100), makeFrame(101)}
	send(t, a, frames...)
	n, err := b.ReadBatch(bufs)
	must(t, err)
	must(t, b.Close())
	want("closed with frames in hand", 0)
	for i := range bufs[:n] {
		if !bytes.Equal(bufs[i].Bytes(), frames[i]) {
			t.Errorf("frame %d after Close: % x", i, bufs[i].Bytes())
		}
	}
	for range 2 {
		if _, err := b.ReadBatch(bufs); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading: %v", err)
		}
		want("the reader has come back", -1)
	}
	must(t, b.Close())
}

func TestCloseWithoutReader(t *testing.T) {
	w := newWire(t)
	was := mappings(t)
	a := openIn(t, w.a, Config{})
	for _, reader := range []string{"never read", "stopped", "down"} {
		t.Run(reader, func(t *testing.T) {
			b := openIn(t, w.b, byRing(t)(Config{}))
			if n := mappings(t); n != was+1 {
				t.Errorf("%d rings, were %d", n, was)
			}
			switch reader {
			case "stopped":
				send(t, a, makeFrame(100))
				newReader(t, b).next(isTest)
				b.Wake()
				if err := readError(b); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("woken: %v", err)
				}
			case "down":
				must(t, w.b.SetDown(dev))
				if err := readError(b); !errors.Is(err, unix.ENETDOWN) {
					t.Errorf("down: %v", err)
				}
			}
			must(t, b.Close())
			if n := mappings(t); n != was {
				t.Errorf("%d rings, were %d", n, was)
			}
		})
	}
}

// TestCloseUnderLoad: the frames that a reader has in his hands are his, whatever
// moment it is closed at.
func TestCloseUnderLoad(t *testing.T) {
	w := newWire(t)
	was := mappings(t)
	a := openIn(t, w.a, Config{})
	out := make([]frame.Out, port.BatchSize)
	for round := range 30 {
		b := openIn(t, w.b, byRing(t)(Config{RingBytes: 1}))
		var reading sync.WaitGroup
		begun := make(chan struct{})
		reading.Go(func() {
			bufs := frame.NewBuffers(port.BatchSize, frame.MaxLen)
			for first := true; ; first = false {
				n, err := b.ReadBatch(bufs)
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
				if first {
					close(begun)
				}
				for i := range bufs[:n] {
					if f := &bufs[i]; !bytes.Equal(f.Bytes(), makeFrame(f.Len)) {
						t.Errorf("a frame of %d bytes was changed", f.Len)
					}
				}
			}
		})
		closing := make(chan error, 1)
		go func() {
			<-begun
			closing <- b.Close()
		}()
		for i := range 5 + round {
			for j := range out {
				n := 60 + (i+j)%1000
				if j == 7 {
					n = 60 // and long ones for the socket
				}
				out[j] = frame.Out{Bytes: makeFrame(n)}
			}
			must(t, a.WriteBatch(out))
		}
		must(t, <-closing)
		reading.Wait()
		if n := mappings(t); n != was {
			t.Fatalf("%d rings, were %d", n, was)
		}
	}
}

// TestFramesBeforeTheLinkWent: what came before the device went down, or away, is
// read first.
func TestFramesBeforeTheLinkWent(t *testing.T) {
	for _, c := range []struct {
		name string
		gone func(wire) error
		want error
	}{
		{"down", func(w wire) error { return w.b.SetDown(dev) }, unix.ENETDOWN},
		{"away", func(w wire) error { return w.b.Delete(dev) }, unix.ENODEV},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a, b := ringWire(t, 1500, Config{})
			before, err := w.b.Stats(dev)
			must(t, err)
			const sent = 3*port.BatchSize + 5
			var out []frame.Out
			for seq := range uint32(sent) {
				out = append(out, flowFrame(seq, seq%10 == 3))
			}
			pinThread(t)
			sendOut(t, a, out)
			// All have been handed over: the veth's own count is behind it.
			poll(t, func() bool { s, err := w.b.Stats(dev); must(t, err); return s.RxPackets-before.RxPackets >= sent })
			must(t, c.gone(w))
			r := newRingReader(t, b)
			for want := range uint32(sent) {
				got, _ := r.next()
				if seq := binary.BigEndian.Uint32(got.Bytes()[38:]); seq != want {
					t.Fatalf("frame %d in the place of %d", seq, want)
				}
			}
			for {
				err := readError(b)
				if errors.Is(err, c.want) {
					break
				}
				if !errors.Is(err, unix.ENETDOWN) { // comes first
					t.Fatal(err)
				}
			}
		})
	}
}

// TestNoAllocationsOfBoth reads batches that came by both ways.
func TestNoAllocationsOfBoth(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := ringPair(t, 1500, Config{})
	out := make([]frame.Out, 20)
	for i := range out {
		out[i] = flowFrame(uint32(i), i%3 == 0)
	}
	allocatesNothing(t, a, b, out)
}

// TestWithoutRing: what a ring lacks is said, and every frame comes by the socket.
func TestWithoutRing(t *testing.T) {
	w := newWire(t)
	a := openIn(t, w.a, Config{})
	was := mappings(t)
	good := byRing(t)(Config{}).Split
	refused := errors.New("not permitted to load programs")
	notAProgram := int(os.Stdin.Fd())
	for _, c := range []struct {
		name  string
		split func(room int) (Split, error)
		vnet  func(socket) error
		is    error
	}{
		{"none asked for", nil, setVnetHeader, errNoSplit},
		{"no permission", func(int) (Split, error) { return Split{}, refused }, setVnetHeader, refused},
		{"no program for the ring", func(room int) (Split, error) {
			s, err := good(room)
			return Split{Ring: notAProgram, Rest: s.Rest}, err
		}, setVnetHeader, unix.EINVAL},
		{"no program for the rest", func(room int) (Split, error) {
			s, err := good(room)
			return Split{Ring: s.Ring, Rest: notAProgram}, err
		}, setVnetHeader, unix.EINVAL},
		{"no virtio-net headers", good, func(socket) error { return unix.ENOPROTOOPT }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b *Port
			must(t, w.b.Do(func() (err error) {
				b, err = open(Config{Interface: dev, Split: c.split}, c.vnet)
				return err
			}))
			defer b.Close()
			err := b.Features().Ring
			if err == nil || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("ring: %v", err)
			}
			if n := mappings(t); n != was {
				t.Errorf("%d rings, were %d", n, was)
			}
			r := newReader(t, b)
			out := []frame.Out{{Bytes: makeFrame(100)}, {Bytes: makeFrame(1514)}}
			if b.CarriesOffload() {
				out = append(out, flowFrame(1, true), frame.Out{Bytes: makeFrame(101)})
			}
			sendOut(t, a, out)
			for i := range out {
				got := r.next(func(b *frame.Buffer) bool { return true })
				if !bytes.Equal(got.Bytes(), out[i].Bytes) || got.Offload != out[i].Offload {
					t.Errorf("frame %d: %d bytes, %+v", i, got.Len, got.Offload)
				}
			}
			must(t, b.Close())
		})
	}
}

// TestRingWithoutCapability: without CAP_BPF nothing is loaded, and the port works.
func TestRingWithoutCapability(t *testing.T) {
	if off, err := os.ReadFile("/proc/sys/kernel/unprivileged_bpf_disabled"); err != nil || strings.TrimSpace(string(off)) == "0" {
		t.Skipf("needs a kernel that lets only the privileged load programs: kernel.unprivileged_bpf_disabled is %q, %v", off, err)
	}
	w := newWire(t)
	a, cfg := openIn(t, w.a, Config{}), byRing(t)(Config{Interface: dev})
	var b *Port
	must(t, w.b.Do(func() error {
		restore, err := drop(unix.CAP_BPF, unix.CAP_SYS_ADMIN)
		if err != nil {
			return err
		}
		defer restore()
		b, err = Open(cfg)
		return err
	}))
	defer b.Close()
	if err := b.Features().Ring; !errors.Is(err, os.ErrPermission) {
		t.Errorf("ring: %v", err)
	}
	send(t, a, makeFrame(100))
	newReader(t, b).next(isTest)
	must(t, b.Close())
}

func TestReader(t *testing.T) {
	w := newWire(t)
	a := openIn(t, w.a, Config{})
	var r *Reader
	must(t, w.b.Do(func() (err error) {
		r, err = OpenReader(byRing(t)(Config{Interface: dev}))
		return err
	}))
	send(t, a, makeFrame(100), makeFrame(1514))
	q := r.Queues()[0]
	in := &reader{t: t, port: q, bufs: frame.NewBuffers(port.BatchSize, frame.MaxLen)}
	for _, n := range []int{100, 1514} {
		if got := in.next(isTest); !bytes.Equal(got.Bytes(), makeFrame(n)) {
			t.Errorf("got %d bytes, want %d", got.Len, n)
		}
	}
	q.Wake()
	if _, err := q.ReadBatch(in.bufs); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("woken: %v", err)
	}
	if n, err := q.Overflows(); n != 0 || err != nil {
		t.Errorf("%d lost, %v", n, err)
	}
	must(t, r.Close())
	if _, err := q.ReadBatch(in.bufs); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestReaderCloses: what came before is read, and then that it is closed, by
// whatever the reader is at; and the memory is given back.
func TestReaderCloses(t *testing.T) {
	w := newWire(t)
	was := mappings(t)
	a := openIn(t, w.a, Config{})
	const sent = 3*port.BatchSize + 5
	for _, at := range []string{"nothing, ever", "nothing, at the moment", "a frame", "waiting"} {
		t.Run(at, func(t *testing.T) {
			var r *Reader
			must(t, w.b.Do(func() (err error) {
				r, err = OpenReader(byRing(t)(Config{Interface: dev}))
				return err
			}))
			q := r.Queues()[0]
			bufs := frame.NewBuffers(port.BatchSize, frame.MaxLen)
			in := &reader{t: t, port: q, bufs: bufs}
			before, err := w.b.Stats(dev)
			must(t, err)
			var total atomic.Int64
			count := func() (last error) {
				for {
					n, err := q.ReadBatch(bufs)
					for i := range bufs[:n] {
						if isTest(&bufs[i]) {
							total.Add(1)
						}
					}
					if err != nil {
						return err
					}
				}
			}
			ended := make(chan error, 1)
			switch at {
			case "nothing, at the moment":
				q.Wake()
				if err := count(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("woken: %v", err)
				}
			case "a frame":
				send(t, a, makeFrame(60))
				in.next(isTest)
			case "waiting":
				go func() { ended <- count() }()
				send(t, a, makeFrame(62)) // that it has begun to read is seen by what it read
				poll(t, func() bool { return total.Load() == 1 })
				total.Store(0)
				before.RxPackets++
			}
			frames := make([][]byte, sent)
			for i := range frames {
				frames[i] = makeFrame(60 + i)
			}
			send(t, a, frames...)
			poll(t, func() bool { s, err := w.b.Stats(dev); must(t, err); return s.RxPackets-before.RxPackets >= sent })
			must(t, r.Close())
			send(t, a, makeFrame(61)) // comes too late
			if at != "waiting" {
				ended <- count()
			}
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("reading: %v", err)
			}
			if want := map[bool]int{true: 0, false: sent}[at == "nothing, ever"]; int(total.Load()) != want {
				t.Errorf("%d frames were read, want %d", total.Load(), want)
			}
			if n := mappings(t); n != was {
				t.Errorf("%d rings, were %d", n, was)
			}
			must(t, r.Close())
		})
	}
}

// TestReaderGivesUp: who reads until an error that is for good need not come again.
func TestReaderGivesUp(t *testing.T) {
	w := newWire(t)
	was := mappings(t)
	var r *Reader
	must(t, w.b.Do(func() (err error) {
		r, err = OpenReader(byRing(t)(Config{Interface: dev}))
		return err
	}))
	must(t, w.b.Delete(dev))
	q := r.Queues()[0]
	bufs := frame.NewBuffers(port.BatchSize, 2000)
	for {
		_, err := q.ReadBatch(bufs)
		if errors.Is(err, unix.ENODEV) {
			break
		}
		if err != nil && !errors.Is(err, unix.ENETDOWN) {
			t.Fatal(err)
		}
	}
	must(t, r.Close())
	if n := mappings(t); n != was {
		t.Errorf("%d rings, were %d", n, was)
	}
}

func TestReaderNeedsARing(t *testing.T) {
	w := newWire(t)
	was := mappings(t)
	for name, cfg := range map[string]Config{
		"no interface": byRing(t)(Config{Interface: "nowhere"}),
		"no Ethernet":  byRing(t)(Config{Interface: "lo"}),
		"no filters":   {Interface: dev},
		"no program": {Interface: dev, Split: func(int) (Split, error) {
			return Split{int(os.Stdin.Fd()), int(os.Stdin.Fd())}, nil
		}},
	} {
		err := w.b.Do(func() error {
			r, err := OpenReader(cfg)
			if err == nil {
				_ = r.Close()
			}
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "read from "+cfg.Interface) {
			t.Errorf("%s: %v", name, err)
		}
		if n := mappings(t); n != was {
			t.Errorf("%s: %d rings, were %d", name, n, was)
		}
	}
}
