package raw

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/port"
)

// kernel stands for the kernel of one port: it fills the slots of a ring as
// tpacket_rcv does, and queues messages for the socket beside it.
type kernel struct {
	in   intake
	next int       // the slot to be filled
	rest []arrival // queued
	lost int

	// during is called when rest is asked for messages, before or after it hands
	// them out: what comes meanwhile.
	during func()
}

// arrival is a frame on its way: number seq of its flow, taken in at stamp. A
// special one comes by rest.
type arrival struct {
	stamp   uint64
	flow    byte
	seq     uint32
	special bool
	errno   unix.Errno // what rest says in its place
}

// noSocket is a connection without a socket.
type noSocket struct{}

func (noSocket) Control(f func(fd uintptr)) error    { f(0); return nil }
func (noSocket) Read(f func(fd uintptr) bool) error  { return nil }
func (noSocket) Write(f func(fd uintptr) bool) error { return nil }

func newKernel(slots int) *kernel {
	k := &kernel{during: func() {}}
	in := &k.in
	in.rest.init(nil, noSocket{})
	in.rest.vnetLen = vnetLen
	in.ring = &ring{size: minSlot, slots: slots, mem: make([]byte, slots*minSlot)}
	in.own = frame.NewBuffers(port.BatchSize, 256)
	in.drain = k.drain
	return k
}

// take takes in a frame.
func (k *kernel) take(a arrival) {
	if a.special || a.errno != 0 {
		k.rest = append(k.rest, a)
		return
	}
	r := k.in.ring
	slot := r.mem[k.next*r.size : (k.next+1)*r.size]
	if binary.NativeEndian.Uint32(slot) != unix.TP_STATUS_KERNEL {
		k.lost++
		return
	}
	k.next = (k.next + 1) % r.slots
	const n = frame.HeaderLen + 5
	put := binary.NativeEndian.PutUint32
	put(slot[slotLength:], n)
	put(slot[slotSnapped:], n)
	binary.NativeEndian.PutUint16(slot[slotFrame:], slotHeader)
	put(slot[slotSeconds:], uint32(a.stamp/1e9))
	put(slot[slotNanos:], uint32(a.stamp%1e9))
	clear(slot[slotHeader-vnetLen : slotHeader])
	a.write(slot[slotHeader:])
	put(slot[slotStatus:], unix.TP_STATUS_USER)
}

func (a arrival) write(f []byte) {
	f[frame.HeaderLen] = a.flow
	binary.NativeEndian.PutUint32(f[frame.HeaderLen+1:], a.seq)
}

func read(b *frame.Buffer) (flow byte, seq uint32) {
	f := b.Bytes()[frame.HeaderLen:]
	return f[0], binary.NativeEndian.Uint32(f[1:])
}

// drain is recvmmsg.
func (k *kernel) drain(uintptr) {
	k.during()
	defer k.during()
	r := &k.in.rest
	switch {
	case len(k.rest) == 0:
		r.got, r.errno = 0, unix.EAGAIN
		return
	case k.rest[0].errno != 0:
		r.got, r.errno = 0, k.rest[0].errno
		k.rest = k.rest[1:]
		return
	}
	room := k.in.own[len(k.in.late):]
	for r.got = 0; r.got < r.asked && len(k.rest) > 0 && k.rest[0].errno == 0; r.got++ {
		a, b := k.rest[0], &room[r.got]
		k.rest = k.rest[1:]
		if r.iovs[r.got].Base != &b.Mem[frame.Headroom-vnetLen] {
			panic("a message does not point to the buffer in its place")
		}
		clear(b.Mem[frame.Headroom-vnetLen : frame.Headroom])
		a.write(b.Mem[frame.Headroom:])
		m := &r.msgs[r.got]
		m.Len = vnetLen + frame.HeaderLen + 5
		stamp := make([]byte, 16)
		binary.NativeEndian.PutUint64(stamp, a.stamp/1e9)
		binary.NativeEndian.PutUint64(stamp[8:], a.stamp%1e9)
		control := append(controlMessage(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, stamp),
			controlMessage(unix.SOL_PACKET, unix.PACKET_AUXDATA, auxBytes(unix.TP_STATUS_USER, m.Len-vnetLen, m.Len-vnetLen, 0, 0))...)
		m.Hdr.SetControllen(copy(r.control[r.got][:], control))
	}
}

// batch reads one batch into bufs, as read does, and returns how many came.
func (k *kernel) batch(bufs []frame.Buffer) int {
	in := &k.in
	in.ring.giveBack()
	in.bufs = bufs
	return in.try()
}

// sequence reads all that is there, in batches of up to n frames.
func (k *kernel) sequence(n int) (seqs []uint32) {
	bufs := make([]frame.Buffer, n)
	for {
		got := k.batch(bufs)
		if got == 0 {
			return seqs
		}
		for i := range bufs[:got] {
			_, seq := read(&bufs[i])
			seqs = append(seqs, seq)
		}
	}
}

// TestMerge has frames of one flow come both ways. A letter is a frame: r comes by
// the ring, s by the socket; in brackets is what comes while the socket is read,
// before it answers or after.
func TestMerge(t *testing.T) {
	for _, c := range []struct{ name, before, during, after string }{
		{"nothing", "", "", ""},
		{"by the ring", "rrrrr", "", ""},
		{"by the socket", "sssss", "", ""},
		{"taking turns", "rsrsrs", "", ""},
		{"the other way round", "srsrsr", "", ""},
		{"the ring's come late", "rr", "rs", ""},
		{"the ring's come late, and nothing was there", "", "rrrs", ""},
		{"the ring's come behind what was read", "s", "", "rrr"},
		{"one by each, late", "rs", "rs", "rs"},
		{"the socket's come behind what was read", "rsr", "s", "sr"},
		{"many", "rrrrsrrrrssssr", "srrrrsssr", "rsrrrs"},
	} {
		for _, n := range []int{1, 2, 3, port.BatchSize} {
			t.Run(fmt.Sprintf("%s, %d at once", c.name, n), func(t *testing.T) {
				k, seq := newKernel(minSlots), uint32(0)
				come := func(kinds string) {
					for _, kind := range kinds {
						seq++
						k.take(arrival{stamp: uint64(1e9 + seq), seq: seq, special: kind == 's'})
					}
				}
				script := []string{c.during, c.after}
				k.during = func() {
					if len(script) > 0 {
						come(script[0])
						script = script[1:]
					}
				}
				come(c.before)
				got := k.sequence(n)
				if len(got) != int(seq) || len(script) > 0 {
					t.Errorf("%d of %d frames", len(got), seq)
				}
				for i, is := range got {
					if is != uint32(i+1) {
						t.Fatalf("in the order %v", got)
					}
				}
			})
		}
	}
}

// TestMergeFromTwoProcessors: each stamps some frames before it queues the first
// of them, and so the queues are a little out of order. A flow stays in order.
func TestMergeFromTwoProcessors(t *testing.T) {
	k := newKernel(minSlots)
	for _, a := range []arrival{
		{stamp: 20, flow: 2, seq: 1, special: true}, // the second processor was quicker
		{stamp: 10, flow: 1, seq: 1, special: true},
		{stamp: 21, flow: 2, seq: 2},
		{stamp: 11, flow: 1, seq: 2},
		{stamp: 12, flow: 1, seq: 3, special: true},
	} {
		k.take(a)
	}
	bufs := make([]frame.Buffer, port.BatchSize)
	n := k.batch(bufs)
	var flows string
	for i := range bufs[:n] {
		flow, seq := read(&bufs[i])
		flows += fmt.Sprintf("%d.%d ", flow, seq)
	}
	if want := "1.1 1.2 1.3 2.1 2.2 "; flows != want {
		t.Errorf("got %s, want %s", flows, want)
	}
}

// TestErrorsOfRest: an error about one frame is counted, and the order holds
// across it; another is told when all that was there has been handed out.
func TestErrorsOfRest(t *testing.T) {
	k := newKernel(minSlots)
	for i, a := range []arrival{
		{special: true}, {}, {errno: unix.EINVAL}, {special: true}, {}, {errno: unix.ENETDOWN}, {special: true}, {},
	} {
		a.stamp, a.seq = uint64(i), uint32(i)
		k.take(a)
	}
	if got, want := fmt.Sprint(k.sequence(port.BatchSize)), "[0 1 3 4 6 7]"; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := k.in.rest.unreadable.Load(); n != 1 {
		t.Errorf("%d unreadable frames", n)
	}
	if k.in.deferred != unix.ENETDOWN {
		t.Errorf("deferred %v", k.in.deferred)
	}
}

// script reads what happens out of bytes.
type script []byte

// next returns a number below n, 0 at the end of the script.
func (s *script) next(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % n
}

// world is a kernel whose processors take frames in at the same time, each those
// of a flow of its own.
type world struct {
	*kernel
	script  script
	clock   uint64
	sent    []uint32    // of each flow
	stamped [][]arrival // by each processor, and not queued yet
	room    int         // how many frames there may be in all
}

func newWorld(script []byte, processors, room int) *world {
	w := &world{kernel: newKernel(minSlots), script: script, room: room,
		sent: make([]uint32, processors), stamped: make([][]arrival, processors)}
	w.during = func() { w.happen(w.script.next(6)) }
	return w
}

// happen lets n things happen.
func (w *world) happen(n int) {
	for range n {
		cpu := w.script.next(len(w.sent))
		if w.script.next(2) == 0 {
			w.stamp(cpu, 1+w.script.next(4))
		} else {
			w.queue(cpu)
		}
	}
}

func (w *world) stamp(cpu, n int) {
	for ; n > 0 && w.room > 0; n-- {
		w.room--
		w.clock++
		w.sent[cpu]++
		w.stamped[cpu] = append(w.stamped[cpu], arrival{stamp: w.clock, flow: byte(cpu), seq: w.sent[cpu], special: w.script.next(3) == 0})
	}
}

func (w *world) queue(cpu int) {
	if s := w.stamped[cpu]; len(s) > 0 {
		w.take(s[0])
		w.stamped[cpu] = s[1:]
	}
}

// run reads to the end of the script, and then what is left.
func (w *world) run(t *testing.T, atOnce int) {
	bufs := make([]frame.Buffer, atOnce)
	seen := make([]uint32, len(w.sent))
	for end := false; ; {
		w.happen(w.script.next(12))
		n := w.batch(bufs)
		w.room += n
		for i := range bufs[:n] {
			flow, seq := read(&bufs[i])
			if seq != seen[flow]+1 {
				t.Fatalf("%d processors, %d at once: flow %d: frame %d behind %d", len(w.sent), atOnce, flow, seq, seen[flow])
			}
			seen[flow] = seq
		}
		if len(w.script) > 0 {
			continue
		}
		if end && n == 0 {
			break
		}
		end = n == 0
		for cpu := range w.stamped {
			for len(w.stamped[cpu]) > 0 {
				w.queue(cpu)
				end = false
			}
		}
	}
	for cpu, n := range w.sent {
		if seen[cpu] != n || w.lost != 0 {
			t.Fatalf("flow %d: %d of %d frames, %d lost", cpu, seen[cpu], n, w.lost)
		}
	}
}

// FuzzMerge: however frames come, each of them is handed out once, and those of a
// flow in order: with one processor always, with two as long as a batch takes all
// that there is.
func FuzzMerge(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, atOnce := range []int{1, 3, port.BatchSize} {
			newWorld(b, 1, minSlots).run(t, atOnce)
		}
		newWorld(b, 2, port.BatchSize).run(t, port.BatchSize)
	})
}
