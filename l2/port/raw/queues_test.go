package raw

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/port"
)

// manyFlows returns frame number seq of one of many flows.
func manyFlows(flow, seq uint32, special bool) frame.Out {
	o := flowFrame(seq, special)
	binary.BigEndian.PutUint16(o.Bytes[34:], uint16(1024+flow)) // the source port
	return o
}

// collector reads all queues of a port, and holds that each frame comes once, and
// those of a flow in order and by one queue.
type collector struct {
	t       *testing.T
	reading sync.WaitGroup
	total   atomic.Int64

	mu   sync.Mutex
	next map[uint32]uint32 // of each flow
	at   map[uint32]int
	used map[int]int
}

// collect begins to read. It ends when the port is closed.
func collect(t *testing.T, queues []port.Reader) *collector {
	c := &collector{t: t, next: make(map[uint32]uint32), at: make(map[uint32]int), used: make(map[int]int)}
	for i, q := range queues {
		c.reading.Go(func() {
			bufs := frame.NewBuffers(port.BatchSize, frame.MaxLen)
			for {
				n, err := q.ReadBatch(bufs)
				c.look(i, bufs[:n])
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
					return
				}
			}
		})
	}
	return c
}

func (c *collector) look(queue int, bufs []frame.Buffer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range bufs {
		b := bufs[i].Bytes()
		if !isType(frame.TypeIPv4)(&bufs[i]) {
			continue
		}
		flow, seq := uint32(binary.BigEndian.Uint16(b[34:])-1024), binary.BigEndian.Uint32(b[38:])
		if is, known := c.at[flow]; known && is != queue {
			c.t.Errorf("flow %d is at queues %d and %d", flow, is, queue)
		}
		if want, known := c.next[flow]; known && seq != want {
			c.t.Errorf("flow %d: frame %d in the place of %d", flow, seq, want)
		}
		c.at[flow], c.next[flow] = queue, seq+1
		c.used[queue]++
		c.total.Add(1)
	}
}

// fourQueues is a way of ports that have a ring, as another is.
func fourQueues(by way) way {
	return func(cfg Config) Config {
		cfg.Queues = 4
		return by(cfg)
	}
}

func TestQueues(t *testing.T) { bothWays(t, testQueues) }

func testQueues(t *testing.T, by way) {
	w := newWire(t)
	a := openIn(t, w.a, Config{})
	b := openIn(t, w.b, fourQueues(by)(Config{RingBytes: 32 << 20, ReceiveBuffer: 64 << 20}))
	if n := len(b.Queues()); n != 4 {
		t.Fatalf("%d queues", n)
	}
	c := collect(t, b.Queues())
	pinThread(t)
	const flows, rounds = 100, 40
	for seq := range uint32(rounds) {
		out := make([]frame.Out, flows)
		for flow := range uint32(flows) {
			out[flow] = manyFlows(flow, seq, (flow+seq)%5 == 0)
		}
		sendOut(t, a, out)
	}
	poll(t, func() bool { return c.total.Load() == flows*rounds })
	if n, err := b.Overflows(); n != 0 || err != nil {
		t.Errorf("%d lost, %v", n, err)
	}
	must(t, b.Close())
	c.reading.Wait()
	if n := c.total.Load(); n != flows*rounds {
		t.Errorf("%d frames, want %d", n, flows*rounds)
	}
	if len(c.used) != 4 {
		t.Errorf("frames at each queue: %v", c.used)
	}
}

// busy is a socket of a port that frames come to before each of its system calls.
type busy struct {
	socket
	come func()
}

func (b busy) Control(f func(fd uintptr)) error {
	b.come()
	return b.socket.Control(f)
}

// TestOpenedUnderTraffic: while one queue after the other is opened each frame comes
// once or not at all, and none is lost any more when all are open.
func TestOpenedUnderTraffic(t *testing.T) { bothWays(t, testOpenedUnderTraffic) }

func testOpenedUnderTraffic(t *testing.T, by way) {
	w := newWire(t)
	a := openIn(t, w.a, Config{})
	cfg := by(Config{Interface: dev})
	seq := uint32(0)
	come := func() {
		var out []frame.Out
		for flow := range uint32(20) {
			out = append(out, manyFlows(flow, seq, flow%5 == 0))
		}
		sendOut(t, a, out)
		seq++
	}
	var q queues
	must(t, w.b.Do(func() error {
		index, err := cfg.index()
		if err != nil {
			return err
		}
		for range 3 {
			in, err := openIntake(cfg, index, setVnetHeader, new(Features))
			if err != nil {
				return err
			}
			q.all = append(q.all, in)
			if err := in.addRing(cfg, index); err != nil && cfg.Split != nil {
				return err
			}
			in.rest.raw = busy{in.rest.raw, come}
		}
		return q.begin(index)
	}))
	opened := seq
	for _, in := range q.all {
		in.rest.raw = in.rest.raw.(busy).socket
	}
	come()
	c := &countOnce{collector: collector{t: t}, seen: make(map[uint64]bool)}
	var readers []port.Reader
	for _, in := range q.all {
		readers = append(readers, Queue{in})
	}
	c.collect(readers)
	all := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for flow := range uint64(20) {
			if !c.seen[(1024+flow)<<32|uint64(opened)] {
				return false
			}
		}
		return true
	}
	poll(t, all)
	must(t, q.close())
	c.reading.Wait()
	if opened < 6 {
		t.Errorf("frames came %d times", opened)
	}
}

// countOnce is a collector that minds neither order nor gaps: a sender's thread may
// move from one processor to another, and a queue may be full.
type countOnce struct {
	collector
	seen map[uint64]bool
}

func (c *countOnce) collect(queues []port.Reader) {
	for _, q := range queues {
		c.reading.Go(func() {
			bufs := frame.NewBuffers(port.BatchSize, frame.MaxLen)
			for {
				n, err := q.ReadBatch(bufs)
				if err != nil && !errors.Is(err, unix.ENETDOWN) {
					return
				}
				c.mu.Lock()
				for i := range bufs[:n] {
					if b := bufs[i].Bytes(); isType(frame.TypeIPv4)(&bufs[i]) {
						is := uint64(binary.BigEndian.Uint16(b[34:]))<<32 | uint64(binary.BigEndian.Uint32(b[38:]))
						if c.seen[is] {
							c.t.Errorf("frame %#x came twice", is)
						}
						c.seen[is] = true
						c.total.Add(1)
					}
				}
				c.mu.Unlock()
			}
		})
	}
}

// TestQueuesOverflow: what no queue has room for is counted, each frame once.
func TestQueuesOverflow(t *testing.T) {
	w := newWire(t)
	a := openIn(t, w.a, Config{})
	b := openIn(t, w.b, fourQueues(byRing(t))(Config{RingBytes: 1}))
	const sent = 3000
	out := make([]frame.Out, sent)
	for i := range out {
		out[i] = manyFlows(uint32(i%200), uint32(i), false)
	}
	sendOut(t, a, out)
	var lost uint64
	poll(t, func() bool {
		n, err := b.Overflows()
		must(t, err)
		lost += n
		return lost == sent-4*minSlots
	})
}

// TestQueuesGiveBack: each queue's memory, whatever its reader is at.
func TestQueuesGiveBack(t *testing.T) {
	w := newWire(t)
	was := mappings(t)
	a := openIn(t, w.a, Config{})
	b := openIn(t, w.b, fourQueues(byRing(t))(Config{}))
	if n := mappings(t); n != was+4 {
		t.Errorf("%d rings, were %d", n, was)
	}
	queues := b.Queues()
	out := make([]frame.Out, 200)
	for i := range out {
		out[i] = manyFlows(uint32(i), 0, false)
	}
	sendOut(t, a, out)
	inHand := make([][]frame.Buffer, 4)
	for i, q := range queues[:3] { // the last is never read
		bufs := frame.NewBuffers(port.BatchSize, 100)
		n, err := q.ReadBatch(bufs)
		must(t, err)
		inHand[i] = bufs[:n]
	}
	must(t, b.Close())
	if n := mappings(t); n != was+3 {
		t.Errorf("%d rings, were %d", n, was)
	}
	for i, q := range queues {
		for j := range inHand[i] {
			if f := &inHand[i][j]; f.Len != len(flowFrame(0, false).Bytes) {
				t.Errorf("queue %d: a frame of %d bytes", i, f.Len)
			}
		}
		if _, err := q.ReadBatch(make([]frame.Buffer, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("queue %d: %v", i, err)
		}
	}
	if n := mappings(t); n != was {
		t.Errorf("%d rings, were %d", n, was)
	}
}

func TestQueuesWake(t *testing.T) { bothWays(t, testQueuesWake) }

func testQueuesWake(t *testing.T, by way) {
	w := newWire(t)
	b := openIn(t, w.b, fourQueues(by)(Config{}))
	for i, q := range b.Queues() {
		done := make(chan error, 1)
		go func() {
			_, err := q.ReadBatch(frame.NewBuffers(1, 2000))
			done <- err
		}()
		q.Wake()
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("queue %d: %v", i, err)
		}
	}
}

// TestQueuesOfADeviceThatIsDown: a kernel that has none then says so, and another
// has them when it is up.
func TestQueuesOfADeviceThatIsDown(t *testing.T) {
	w := newWire(t)
	a := openIn(t, w.a, Config{})
	must(t, w.b.SetDown(dev))
	cfg := fourQueues(byRing(t))(Config{Interface: dev})
	var b *Port
	err := w.b.Do(func() (err error) { b, err = Open(cfg); return err })
	must(t, w.b.SetUp(dev))
	if err != nil {
		t.Skipf("needs a kernel that has PACKET_FANOUT for a device that is down: %v", err)
	}
	defer func() { must(t, b.Close()) }()
	c := &countOnce{collector: collector{t: t}, seen: make(map[uint64]bool)}
	c.collect(b.Queues())
	for seq := uint32(0); c.total.Load() < 1000; seq++ {
		var out []frame.Out
		for flow := range uint32(50) {
			out = append(out, manyFlows(flow, seq, false))
		}
		_ = a.WriteBatch(out)
	}
	must(t, b.Close())
	c.reading.Wait()
}

// TestOutOfDescriptors has one fail after the other of the system calls that open a
// port: what comes out is an error, or a port that hears each frame once.
func TestOutOfDescriptors(t *testing.T) {
	w := newWire(t)
	a := openIn(t, w.a, Config{})
	cfg := fourQueues(byRing(t))(Config{Interface: dev})
	_, err := cfg.Split(slotRoom(minSlot)) // the programs are there already
	must(t, err)
	var hoard []*os.File // so that there are no gaps
	last := 0
	for range 100 {
		f, err := os.Open(os.DevNull)
		must(t, err)
		hoard = append(hoard, f)
		last = max(last, int(f.Fd()))
	}
	defer func() {
		for _, f := range hoard {
			_ = f.Close()
		}
	}()
	was := mappings(t)
	var had unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &had))
	opened := map[string]int{}
	for more := 0; opened["4 rings"] == 0; more++ {
		if more > 200 {
			t.Fatalf("it is never enough: %v", opened)
		}
		var b *Port
		err := w.b.Do(func() (err error) {
			// The namespace has taken some already.
			less := unix.Rlimit{Cur: uint64(last + 1 + more), Max: had.Max}
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &less); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &had)) }()
			b, err = Open(cfg)
			return err
		})
		if err != nil {
			opened["errors"]++
		} else {
			opened[fmt.Sprintf("%d rings", mappings(t)-was)]++
			hearsOnce(t, a, b)
			must(t, b.Close())
		}
		if n := mappings(t); n != was {
			t.Fatalf("%d descriptors: %d rings, were %d", more, n, was)
		}
	}
	t.Log(opened)
	if opened["errors"] == 0 || len(opened) < 3 {
		t.Errorf("opened %v", opened)
	}
}

// hearsOnce holds that of many flows each frame comes once.
func hearsOnce(t *testing.T, a, b *Port) {
	t.Helper()
	c := &countOnce{collector: collector{t: t}, seen: make(map[uint64]bool)}
	c.collect(b.Queues())
	const flows = 60
	out := make([]frame.Out, 0, 2*flows)
	for flow := range uint32(flows) {
		out = append(out, manyFlows(flow, 0, false), manyFlows(flow, 1, true))
	}
	sendOut(t, a, out)
	poll(t, func() bool { return c.total.Load() >= int64(len(out)) })
	for _, q := range b.Queues() {
		q.Wake()
	}
	c.reading.Wait()
	if n := c.total.Load(); n != int64(len(out)) {
		t.Errorf("%d frames, want %d", n, len(out))
	}
}
