package mem

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFromHostToPort(t *testing.T) {
	p, h := NewPair(4)
	sent := Frame{
		Bytes:   bytes.Repeat([]byte{7}, 300),
		Tag:     frame.Tag{Present: true, TPID: frame.TypeVLAN},
		Offload: frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 6},
	}
	if !h.Send(sent) || !h.SendBytes([]byte("short")) {
		t.Fatal("not taken")
	}
	sent.Bytes[0] = 99 // the port has a copy
	bufs := frame.NewBuffers(3, 126)
	n, err := p.ReadBatch(bufs)
	if n != 2 || err != nil {
		t.Fatalf("read %d, %v", n, err)
	}
	b := &bufs[0]
	if b.Bytes()[0] != 7 || b.Off != frame.Headroom || b.Tag != sent.Tag || b.Offload != sent.Offload || b.FullLen != 300 || !b.Truncated || b.Len >= 300 {
		t.Errorf("got %+v", b)
	}
	if b := &bufs[1]; string(b.Bytes()) != "short" || b.Tag.Present || !b.Offload.None() || b.Truncated || b.FullLen != 5 {
		t.Errorf("got %+v", b)
	}
}

func TestOverflows(t *testing.T) {
	p, h := NewPair(2)
	for i, want := range []bool{true, true, false, false, false} {
		if h.SendBytes([]byte{byte(i)}) != want {
			t.Errorf("frame %d: taken %v", i, !want)
		}
	}
	for _, want := range []uint64{3, 0} {
		if n, err := p.Overflows(); n != want || err != nil {
			t.Errorf("%d overflows, %v; want %d", n, err, want)
		}
	}
	bufs := frame.NewBuffers(1, 100)
	for i := range 2 {
		if n, err := p.ReadBatch(bufs); n != 1 || err != nil || bufs[0].Bytes()[0] != byte(i) {
			t.Errorf("frame %d: %d, %v", i, n, err)
		}
	}
	if !h.SendBytes([]byte{9}) {
		t.Error("no room after reading")
	}
}

func TestStatuses(t *testing.T) {
	needs := frame.Offload{NeedsChecksum: true}
	super := frame.Offload{GSO: frame.GSOTCPv4, SegmentSize: 10}
	for _, c := range []struct {
		name  string
		setUp func(*Port, *Host)
		out   frame.Out
		want  frame.Status
		err   error
	}{
		{"sent", func(*Port, *Host) {}, frame.Out{Bytes: make([]byte, 60), Status: frame.Failed}, frame.Sent, nil},
		{"offload", func(*Port, *Host) {}, frame.Out{Bytes: make([]byte, 60), Offload: needs}, frame.Sent, nil},
		{"offload not carried", func(_ *Port, h *Host) { h.SetCarriesOffload(false) }, frame.Out{Bytes: make([]byte, 60), Offload: needs}, frame.Refused, errRefused},
		{"offload unknown", func(*Port, *Host) {}, frame.Out{Bytes: make([]byte, 60), Offload: frame.Offload{GSO: frame.GSOOther}}, frame.Refused, errRefused},
		{"fits", func(_ *Port, h *Host) { h.SetMTU(100) }, frame.Out{Bytes: make([]byte, 114)}, frame.Sent, nil},
		{"too big", func(_ *Port, h *Host) { h.SetMTU(100) }, frame.Out{Bytes: make([]byte, 115)}, frame.TooBig, unix.EMSGSIZE},
		{"super-frame", func(_ *Port, h *Host) { h.SetMTU(100) }, frame.Out{Bytes: make([]byte, 115), Offload: super}, frame.Sent, nil},
		{"runt", func(*Port, *Host) {}, frame.Out{Bytes: make([]byte, 13)}, frame.Failed, unix.EINVAL},
		{"down", func(_ *Port, h *Host) { h.SetDown(true) }, frame.Out{Bytes: make([]byte, 60)}, frame.Down, unix.ENETDOWN},
		{"up again", func(_ *Port, h *Host) { h.SetDown(true); h.SetDown(false) }, frame.Out{Bytes: make([]byte, 60)}, frame.Sent, nil},
		{"gone", func(_ *Port, h *Host) { h.Remove() }, frame.Out{Bytes: make([]byte, 60)}, frame.Down, unix.ENODEV},
		{"closed", func(p *Port, _ *Host) { _ = p.Close() }, frame.Out{Bytes: make([]byte, 60)}, frame.Down, net.ErrClosed},
		{"injected", func(_ *Port, h *Host) { h.SetVerdict(func(frame.Out) frame.Status { return frame.Refused }) }, frame.Out{Bytes: make([]byte, 60)}, frame.Refused, errFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, h := NewPair(4)
			c.setUp(p, h)
			out := []frame.Out{c.out}
			if err := p.WriteBatch(out); !errors.Is(err, c.err) || out[0].Status != c.want {
				t.Errorf("status %d, %v; want %d, %v", out[0].Status, err, c.want, c.err)
			}
			got := h.Drain()
			if (len(got) == 1) != (c.want == frame.Sent) {
				t.Fatalf("the host got %d frames", len(got))
			}
			if len(got) == 1 && (!bytes.Equal(got[0].Bytes, c.out.Bytes) || got[0].Offload != c.out.Offload) {
				t.Errorf("the host got %+v", got[0])
			}
		})
	}
}

func TestOneFailureLeavesTheOthers(t *testing.T) {
	p, h := NewPair(2)
	b := make([]byte, 60)
	out := []frame.Out{{Bytes: b[:1]}, {Bytes: b}, {Bytes: b}, {Bytes: b}}
	if err := p.WriteBatch(out); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("got %v", err)
	}
	for i, want := range []frame.Status{frame.Failed, frame.Sent, frame.Sent, frame.Failed} {
		if out[i].Status != want {
			t.Errorf("frame %d: status %d, want %d", i, out[i].Status, want)
		}
	}
	b[0] = 1 // the host has copies
	for _, f := range h.Drain() {
		if f.Bytes[0] != 0 {
			t.Error("the host's frame changed")
		}
	}
}

func TestReadErrors(t *testing.T) {
	bufs := frame.NewBuffers(1, 100)
	read := func(p *Port) error { _, err := p.ReadBatch(bufs); return err }
	for _, c := range []struct {
		name string
		do   func(*Port, *Host)
		want []error
	}{
		{"woken", func(p *Port, _ *Host) { p.Wake(); p.Wake() }, []error{os.ErrDeadlineExceeded, nil}},
		{"down", func(_ *Port, h *Host) { h.SetDown(true); h.SetDown(true) }, []error{unix.ENETDOWN, nil}},
		{"gone", func(_ *Port, h *Host) { h.Remove() }, []error{unix.ENODEV, unix.ENODEV}},
		{"closed", func(p *Port, _ *Host) { _, _ = p.Close(), p.Close() }, []error{net.ErrClosed, net.ErrClosed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, h := NewPair(4)
			h.SendBytes([]byte("queued"))
			c.do(p, h)
			for i, want := range c.want {
				if err := read(p); !errors.Is(err, want) {
					t.Errorf("read %d: %v, want %v", i, err, want)
				}
			}
		})
	}
	p, _ := NewPair(0)
	if err := func() error { _, err := p.ReadBatch([]frame.Buffer{{}}); return err }(); !errors.Is(err, errNoRoom) {
		t.Errorf("no room: %v", err)
	}
	if n, err := p.ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("no buffers: %d, %v", n, err)
	}
}

func TestSendWhileDown(t *testing.T) {
	p, h := NewPair(4)
	h.SetDown(true)
	if h.SendBytes([]byte("lost")) {
		t.Error("taken while down")
	}
	h.SetDown(false)
	h.SetDown(true)
	h.SetDown(false)
	if _, err := p.ReadBatch(frame.NewBuffers(1, 100)); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("got %v", err)
	}
	if n, err := p.Overflows(); n != 0 || err != nil {
		t.Errorf("%d overflows, %v", n, err)
	}
}

func TestWaiting(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*Port, *Host)
		want error
	}{
		{"frame", func(_ *Port, h *Host) { h.SendBytes([]byte("x")) }, nil},
		{"wake", func(p *Port, _ *Host) { p.Wake() }, os.ErrDeadlineExceeded},
		{"close", func(p *Port, _ *Host) { _ = p.Close() }, net.ErrClosed},
		{"down", func(_ *Port, h *Host) { h.SetDown(true) }, unix.ENETDOWN},
		{"gone", func(_ *Port, h *Host) { h.Remove() }, unix.ENODEV},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, h := NewPair(4)
			got := make(chan error)
			go func() {
				_, err := p.ReadBatch(frame.NewBuffers(1, 100))
				got <- err
			}()
			c.do(p, h)
			if err := <-got; !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestRecv(t *testing.T) {
	p, h := NewPair(4)
	out := []frame.Out{{Bytes: make([]byte, 60)}}
	go func() { _ = p.WriteBatch(out) }()
	if f, err := h.Recv(t.Context()); err != nil || len(f.Bytes) != 60 {
		t.Errorf("got %d bytes, %v", len(f.Bytes), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, err := h.Recv(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	go func() { _ = p.Close() }()
	if _, err := h.Recv(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestAllAtOnce(t *testing.T) {
	p, h := NewPair(16)
	const writers, each = 4, 200
	var writing, reading sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range each {
				h.SendBytes(make([]byte, 60))
				_ = p.WriteBatch([]frame.Out{{Bytes: make([]byte, 60)}})
				p.Wake()
				_ = p.CarriesOffload()
				h.Drain()
			}
		})
	}
	read := 0
	reading.Go(func() {
		bufs := frame.NewBuffers(8, 100)
		for {
			n, err := p.ReadBatch(bufs)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			read += n
		}
	})
	writing.Wait()
	lost, err := p.Overflows()
	if err != nil {
		t.Error(err)
	}
	p.l.mu.Lock()
	left := len(p.l.toPort)
	p.l.mu.Unlock()
	_ = p.Close()
	reading.Wait()
	if n := read + int(lost); n > writers*each || n+left < writers*each-16 {
		t.Errorf("%d read, %d lost, %d left", read, lost, left)
	}
}
