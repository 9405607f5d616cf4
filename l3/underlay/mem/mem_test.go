package mem

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/underlay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	a  = netip.MustParseAddr("192.0.2.1")
	b  = netip.MustParseAddr("192.0.2.2")
	a6 = netip.MustParseAddr("2001:db8::1")
)

func attach(t *testing.T, f *Fabric, addr netip.Addr, o Options) *VTEP {
	t.Helper()
	v, err := f.Attach(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func pair(t *testing.T) (f *Fabric, va, vb *VTEP) {
	f = NewFabric()
	return f, attach(t, f, a, Options{}), attach(t, f, b, Options{})
}

// send sends one datagram and returns what became of it.
func send(v *VTEP, d underlay.Datagram) (frame.Status, error) {
	ds := []underlay.Datagram{d}
	err := v.Queues()[0].WriteBatch(ds)
	return ds[0].Status, err
}

func read(t *testing.T, c underlay.Reader) []underlay.Packet {
	t.Helper()
	pkts := underlay.NewPackets(underlay.BatchSize, 2000)
	n, err := c.ReadBatch(pkts)
	if err != nil {
		t.Fatal(err)
	}
	return pkts[:n]
}

func TestDeliversWhatWasSent(t *testing.T) {
	_, va, vb := pair(t)
	head, body := []byte("head"), []byte("body")
	if s, err := send(va, underlay.Datagram{To: b, SourcePort: 50000, TOS: 0x2a, Head: head, Body: body}); s != frame.Sent || err != nil {
		t.Fatal(s, err)
	}
	head[0] = 'X' // it was borrowed until WriteBatch returned
	pkts := read(t, vb.Queues()[0])
	if len(pkts) != 1 {
		t.Fatalf("%d packets", len(pkts))
	}
	p := &pkts[0]
	if string(p.Bytes()) != "headbody" || p.From != a || p.FromPort != 50000 || p.TOS != 0x2a || p.Fragmented || p.Truncated {
		t.Errorf("got %q from %v:%d tos %#x", p.Bytes(), p.From, p.FromPort, p.TOS)
	}
}

func TestStatus(t *testing.T) {
	refusal := errors.New("a firewall")
	f, va, _ := pair(t)
	long := make([]byte, 1000)
	for _, tt := range []struct {
		name string
		set  func()
		d    underlay.Datagram
		want frame.Status
		err  error
	}{
		{"nobody there", func() {}, underlay.Datagram{To: netip.MustParseAddr("192.0.2.9")}, frame.Sent, nil},
		{"just short enough", func() { f.SetMTU(a, b, 1028) }, underlay.Datagram{To: b, Head: long}, frame.Sent, nil},
		{"too long", func() { f.SetMTU(a, b, 1027) }, underlay.Datagram{To: b, Head: long}, frame.TooBig, unix.EMSGSIZE},
		{"limit gone", func() { f.SetMTU(a, b, 0) }, underlay.Datagram{To: b, Head: long}, frame.Sent, nil},
		{"longer than UDP", func() {}, underlay.Datagram{To: b, Head: make([]byte, underlay.MaxPayload), Body: []byte{0}}, frame.TooBig, errTooLong},
		{"failure", func() { f.Fail(b, frame.Failed, refusal) }, underlay.Datagram{To: b}, frame.Failed, refusal},
		{"failure gone", func() { f.Fail(b, frame.Sent, nil) }, underlay.Datagram{To: b}, frame.Sent, nil},
		{"other family", func() {}, underlay.Datagram{To: a6}, frame.Failed, unix.EAFNOSUPPORT},
		{"closed", func() { _ = va.Close() }, underlay.Datagram{To: b}, frame.Down, net.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.set()
			if s, err := send(va, tt.d); s != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("status %v, error %v; want %v, %v", s, err, tt.want, tt.err)
			}
		})
	}
	if f.Lost() != 1 {
		t.Errorf("lost %d, want 1", f.Lost())
	}
}

func TestAlterObserveInject(t *testing.T) {
	f, _, vb := pair(t)
	var seen []Wire
	f.Observe(func(w Wire) { seen = append(seen, w) })
	f.Alter(func(w *Wire) { w.TOS |= 3 })
	f.Inject(Wire{From: a6, FromPort: 1, To: b, Fragmented: true, Payload: []byte("raw")})
	p := read(t, vb.Queues()[0])[0]
	if p.From != a6 || p.TOS != 3 || !p.Fragmented || string(p.Bytes()) != "raw" {
		t.Errorf("got %+v", p)
	}
	if got := vb.Refused().Fragment; got != 1 {
		t.Errorf("%d fragments counted, want 1", got)
	}
	if len(seen) != 1 || seen[0].TOS != 3 || !bytes.Equal(seen[0].Payload, []byte("raw")) {
		t.Errorf("seen %+v", seen)
	}
}

func TestOverflowIsCounted(t *testing.T) {
	f := NewFabric()
	v := attach(t, f, b, Options{Depth: 3})
	for range 5 {
		f.Inject(Wire{From: a, To: b})
	}
	if got := v.Refused().Overflow; got != 2 {
		t.Errorf("overflow %d, want 2", got)
	}
	if got := len(read(t, v.Queues()[0])); got != 3 {
		t.Errorf("%d packets, want 3", got)
	}
	v.Refuse(underlay.Refused{Overflow: 1, Checksum: 2, Fragment: 3, Malformed: 4})
	if got, want := v.Refused(), (underlay.Refused{Overflow: 3, Checksum: 2, Fragment: 3, Malformed: 4}); got != want {
		t.Errorf("refused %+v, want %+v", got, want)
	}
}

func TestFlowStaysOnItsQueueAndFlowsSpread(t *testing.T) {
	f := NewFabric()
	v := attach(t, f, b, Options{Queues: 4})
	for port := range uint16(200) {
		f.Inject(Wire{From: a, FromPort: port, To: b})
		f.Inject(Wire{From: a, FromPort: port, To: b})
	}
	where := make(map[uint16]int)
	for i, q := range v.queues {
		if len(q.waiting) == 0 {
			t.Errorf("queue %d got nothing", i)
		}
		for _, w := range q.waiting {
			if was, ok := where[w.FromPort]; ok && was != i {
				t.Errorf("port %d is on queues %d and %d", w.FromPort, was, i)
			}
			where[w.FromPort] = i
		}
	}
}

func TestTruncated(t *testing.T) {
	f := NewFabric()
	v := attach(t, f, b, Options{})
	f.Inject(Wire{From: a, To: b, Payload: make([]byte, 5000)})
	p := read(t, v.Queues()[0])[0]
	if !p.Truncated || p.FullLen != 5000 || p.Len >= 5000 {
		t.Errorf("truncated %v, %d of %d bytes", p.Truncated, p.Len, p.FullLen)
	}
}

func TestWakeAndClose(t *testing.T) {
	f := NewFabric()
	v := attach(t, f, b, Options{})
	q := v.Queues()[0]
	pkts := underlay.NewPackets(1, 100)
	for _, tt := range []struct {
		name string
		do   func()
		want error
	}{
		{"wake", q.Wake, os.ErrDeadlineExceeded},
		{"wake again", q.Wake, os.ErrDeadlineExceeded},
		{"close", func() { _ = v.Close() }, net.ErrClosed},
		{"close again", func() { _ = v.Close() }, net.ErrClosed},
	} {
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { _, err = q.ReadBatch(pkts) })
		tt.do()
		wg.Wait()
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	f.Inject(Wire{From: a, To: b})
	if f.Lost() != 1 {
		t.Error("a datagram to a detached VTEP is not lost")
	}
	if _, err := f.Attach(b, Options{}); err != nil {
		t.Errorf("the address of a detached VTEP: %v", err)
	}
}

func TestAttachRefuses(t *testing.T) {
	f, _, _ := pair(t)
	if _, err := f.Attach(a, Options{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("taken address: %v", err)
	}
	for _, addr := range []netip.Addr{{}, netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("239.1.1.1")} {
		if _, err := f.Attach(addr, Options{}); err == nil {
			t.Errorf("%v was taken for a VTEP", addr)
		}
	}
	if got := f.VTEPs(); len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("attached: %v", got)
	}
}

func TestReadRefusesPacketsWithoutRoom(t *testing.T) {
	_, va, _ := pair(t)
	if _, err := va.Queues()[0].ReadBatch(make([]underlay.Packet, 1)); !errors.Is(err, errNoRoom) {
		t.Errorf("got %v", err)
	}
	if n, err := va.Queues()[0].ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("no packets to fill: %d, %v", n, err)
	}
}

// TestManyWriters is for the race detector.
func TestManyWriters(t *testing.T) {
	_, va, vb := pair(t)
	const writers, each = 4, 100
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				_, _ = send(va, underlay.Datagram{To: b, Head: []byte("x")})
			}
		})
	}
	got := 0
	for got < writers*each {
		got += len(read(t, vb.Queues()[0]))
	}
	wg.Wait()
}

func TestGroups(t *testing.T) {
	f, va, vb := pair(t)
	group := netip.MustParseAddr("239.1.1.1")
	m := underlay.Membership{Interface: 1, Groups: []netip.Addr{group}}
	if status, err := send(va, underlay.Datagram{To: group}); status != frame.Down || !errors.Is(err, unix.ENODEV) {
		t.Errorf("without an interface: %v, %v", status, err)
	}
	for _, v := range []*VTEP{va, vb} {
		if err := v.SetGroups(m); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.Members(group); len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("members %v", got)
	}
	for i := range 3 {
		if status, err := send(va, underlay.Datagram{To: group, Head: []byte{byte(i)}}); status != frame.Sent || err != nil {
			t.Fatal(status, err)
		}
	}
	pkts := read(t, vb.GroupQueue())
	if len(pkts) != 3 || pkts[0].From != a || pkts[0].Group != group {
		t.Errorf("%d packets, the first from %v to %v", len(pkts), pkts[0].From, pkts[0].Group)
	}
	if len(va.groups.waiting) != 0 {
		t.Error("the sender hears itself")
	}
	vb.LimitGroups(0)
	var ge *underlay.GroupError
	if err := vb.SetGroups(m); !errors.As(err, &ge) || ge.Group != group || !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("beyond the limit: %v", err)
	}
	lost := f.Lost()
	if _, err := send(va, underlay.Datagram{To: group}); err != nil || f.Lost() != lost+1 {
		t.Errorf("nobody hears it: %v, %d lost", err, f.Lost())
	}
	if err := va.Close(); err != nil || len(f.Members(group)) != 0 {
		t.Errorf("closed: %v, members %v", err, f.Members(group))
	}
	if err := va.SetGroups(m); !errors.Is(err, net.ErrClosed) {
		t.Errorf("groups of a VTEP that is closed: %v", err)
	}
}
