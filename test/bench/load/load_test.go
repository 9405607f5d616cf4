package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

const patience = 20 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wires lays count wires from "a0", "a1" ... to "b0", "b1" ... in two namespaces.
func wires(t testing.TB, count int) (a, b *netns.NS) {
	t.Helper()
	netns.Require(t)
	if err := Available(); err != nil {
		t.Skip(err)
	}
	for _, n := range []**netns.NS{&a, &b} {
		ns, err := netns.New("")
		must(t, err)
		t.Cleanup(func() {
			if err := ns.Close(); err != nil {
				t.Error(err)
			}
		})
		*n = ns
	}
	for i := range count {
		must(t, netns.Veth(a, fmt.Sprintf("a%d", i), b, fmt.Sprintf("b%d", i), netns.VethOptions{}))
		must(t, b.Offloads(fmt.Sprintf("b%d", i), true, "gro"))
	}
	return a, b
}

func generator(t testing.TB, ns *netns.NS, s Stream) *Generator {
	t.Helper()
	g, err := NewGenerator(ns, s)
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	return g
}

func capture(t testing.TB, ns *netns.NS, dev string) *netns.Capture {
	t.Helper()
	c, err := ns.Capture(dev)
	must(t, err)
	return c
}

// sample returns a frame of n bytes that are not all alike.
func sample(n int, mark byte) []byte {
	f := packet.Ethernet(frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 1}, 0x88b5, make([]byte, n-frame.HeaderLen))
	for i := frame.HeaderLen; i < n; i++ {
		f[i] = byte(i * 7)
	}
	f[frame.HeaderLen] = mark
	return f
}

// Every frame arrives as it is meant, in order, and none besides.
func TestFramesAreAsMeant(t *testing.T) {
	a, b := wires(t, 1)
	long, middle, short := sample(1514, 1), sample(566, 2), sample(60, 3)
	s := Stream{
		Frames: [][]byte{short, middle, short, long, short},
		Fields: []Field{
			{Offset: 16, Size: 2, First: 0xfff0, Count: 16},
			{Offset: 20, Size: 4, First: 0xfffffff0, Count: 7},
			{Offset: 24, Size: 4, First: 0xfffffe, Count: 2, Shift: 8},
			{Offset: 2, Size: 4, First: 1, Count: 1000},
			{Offset: 28, Size: 2, First: 7, Count: 5, Train: 3},
		},
		Devices: []string{"a0"},
	}
	g, c := generator(t, a, s), capture(t, b, "b0")
	const half = 1500 // the memory of frames is used again within a run
	must(t, g.Send(half))
	must(t, g.Send(half))
	must(t, c.Wait(2*half, patience))
	got := c.Frames()
	for n := range uint32(2 * half) {
		want := bytes.Clone(s.Frames[n%5])
		binary.BigEndian.PutUint16(want[16:], uint16(0xfff0+n%16))
		binary.BigEndian.PutUint32(want[20:], 0xfffffff0+n%7)
		binary.BigEndian.PutUint32(want[24:], (0xfffffe+n%2)<<8)
		binary.BigEndian.PutUint32(want[2:], 1+n%1000)
		binary.BigEndian.PutUint16(want[28:], uint16(7+n/3%5))
		if !bytes.Equal(got[n], want) {
			t.Fatalf("frame %d (%d bytes): % x, want (%d bytes) % x", n, len(got[n]), got[n][:min(40, len(got[n]))], len(want), want[:40])
		}
	}
	wantSent(t, g, 2*half)
	must(t, c.Close())
	wantReceived(t, b, "b0", 2*half)
}

func wantSent(t testing.TB, g *Generator, want uint64) {
	t.Helper()
	if n, err := g.Sent(); err != nil || n != want {
		t.Errorf("sent %d frames, %v; want %d", n, err, want)
	}
}

// wantReceived wants exactly so many frames to have come in on a device, dropped
// ones included.
func wantReceived(t testing.TB, ns *netns.NS, dev string, want uint64) {
	t.Helper()
	var s netns.Stats
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var err error
		s, err = ns.Stats(dev)
		must(t, err)
		if s.RxPackets == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s received %d frames, want %d", dev, s.RxPackets, want)
		}
	}
}

// The memory of a frame comes back from its receiver, who may have written to
// it: what is sent next does not show it.
func TestFramesAreWrittenAnew(t *testing.T) {
	a, b := wires(t, 1)
	// b0 sends each frame back with one byte changed, in the same memory.
	reflect(t, b, "b0")
	pass(t, a, "a0")
	f := sample(60, 1)
	g, c := generator(t, a, Stream{Frames: [][]byte{f}, Devices: []string{"a0"}}), capture(t, a, "a0")
	const count = 1000
	must(t, g.Send(count))
	must(t, c.Wait(count, patience))
	want := bytes.Clone(f)
	want[reflectedAt]++
	for i, got := range c.Frames() {
		if !bytes.Equal(got, want) {
			t.Fatalf("frame %d: % x, want % x", i, got, want)
		}
	}
	must(t, c.Close())
}

// Devices take turns, and a field that counts as many keeps step with them.
func TestDevicesTakeTurns(t *testing.T) {
	for _, train := range []int{0, 4} {
		t.Run(fmt.Sprintf("trains of %d", train), func(t *testing.T) { takeTurns(t, train) })
	}
}

func takeTurns(t *testing.T, train int) {
	const devices, count = 3, 8 // frames for each device
	a, b := wires(t, devices)
	s := Stream{
		Frames:  [][]byte{sample(60, 1)},
		Fields:  []Field{{Offset: 16, Size: 2, First: 100, Count: devices, Train: train}, {Offset: 20, Size: 4, Count: 1000}},
		Devices: []string{"a0", "a1", "a2"},
		Train:   train,
	}
	g := generator(t, a, s)
	var captures []*netns.Capture
	for i := range devices {
		captures = append(captures, capture(t, b, fmt.Sprintf("b%d", i)))
	}
	must(t, g.Send(devices*count))
	for i, c := range captures {
		must(t, c.Wait(count, patience))
		for k, f := range c.Frames() {
			row := max(train, 1)
			n := uint32(k/row*row*devices + i*row + k%row) // its number in the stream
			if turn, number := binary.BigEndian.Uint16(f[16:]), binary.BigEndian.Uint32(f[20:]); turn != uint16(100+i) || number != n {
				t.Errorf("b%d: frame %d is number %d of turn %d, want number %d of turn %d", i, k, number, turn, n, 100+i)
			}
		}
		must(t, c.Close())
		wantReceived(t, b, fmt.Sprintf("b%d", i), count)
	}
}

// A sink takes frames away before anybody hears them, and lets them through
// again when it is closed.
func TestSink(t *testing.T) {
	a, b := wires(t, 1)
	g := generator(t, a, Stream{Frames: [][]byte{sample(60, 1)}, Devices: []string{"a0"}})
	c := capture(t, b, "b0")
	sink, err := NewSink(b, "b0")
	must(t, err)
	must(t, g.Send(1000))
	wantReceived(t, b, "b0", 1000)
	must(t, sink.Close())
	must(t, b.Offloads("b0", true, "gro"))
	must(t, g.Send(1))
	must(t, c.Wait(1, patience))
	if n := len(c.Frames()); n != 1 {
		t.Errorf("%d frames were heard, want 1", n)
	}
	must(t, c.Close())
}

// A crossing hands frames on in both directions, unchanged, until it is closed.
func TestCrossing(t *testing.T) {
	left, middle := wires(t, 1) // a0 to b0
	right, err := netns.New("")
	must(t, err)
	t.Cleanup(func() { must(t, right.Close()) })
	must(t, netns.Veth(middle, "c0", right, "d0", netns.VethOptions{}))
	c, err := NewCrossing(middle, "b0", "c0")
	must(t, err)
	for _, way := range []struct {
		from    *netns.NS
		fromDev string
		to      *netns.NS
		toDev   string
	}{{left, "a0", right, "d0"}, {right, "d0", left, "a0"}} {
		must(t, way.to.Offloads(way.toDev, true, "gro"))
		f := sample(60, 1)
		g, heard := generator(t, way.from, Stream{Frames: [][]byte{f}, Devices: []string{way.fromDev}}), capture(t, way.to, way.toDev)
		must(t, g.Send(100))
		must(t, heard.Wait(100, patience))
		must(t, heard.Close())
		for i, got := range heard.Frames() {
			if !bytes.Equal(got, f) {
				t.Fatalf("frame %d: % x, want % x", i, got, f)
			}
		}
	}
	must(t, c.Close())
	before, err := right.Stats("d0")
	must(t, err)
	g := generator(t, left, Stream{Frames: [][]byte{sample(60, 1)}, Devices: []string{"a0"}})
	heard := capture(t, middle, "b0")
	must(t, middle.Offloads("b0", true, "gro"))
	must(t, g.Send(10))
	must(t, heard.Wait(10, patience))
	must(t, heard.Close())
	if after, err := right.Stats("d0"); err != nil || after.RxPackets != before.RxPackets {
		t.Errorf("closed, it handed on %d frames, %v", after.RxPackets-before.RxPackets, err)
	}
	if _, err := NewCrossing(middle, "b0", "x9"); err == nil || !strings.Contains(err.Error(), "x9") {
		t.Errorf("%v", err)
	}
}

func TestFloodEnds(t *testing.T) {
	a, b := wires(t, 1)
	sink, err := NewSink(b, "b0")
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	g := generator(t, a, Stream{Frames: [][]byte{sample(60, 1)}, Devices: []string{"a0"}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- g.Flood(ctx) }()
	for {
		n, err := g.Sent()
		must(t, err)
		if n > 0 {
			break
		}
	}
	cancel()
	must(t, <-done)
	n, err := g.Sent()
	must(t, err)
	if n == 0 || n%floodLen != 0 {
		t.Errorf("%d frames were sent, want a multiple of %d", n, floodLen)
	}
	wantReceived(t, b, "b0", n)
}

// What Pace says it sent is what the program counted and what arrived. How near
// that is to what it was asked for depends on the machine; more it never is.
func TestPace(t *testing.T) {
	a, b := wires(t, 1)
	sink, err := NewSink(b, "b0")
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	g := generator(t, a, Stream{Frames: [][]byte{sample(60, 1)}, Devices: []string{"a0"}})
	n, err := g.Pace(t.Context(), 20000, 50*time.Millisecond)
	must(t, err)
	if n == 0 || n > 1000 {
		t.Errorf("%d frames in 50 ms at 20000 a second", n)
	}
	wantSent(t, g, uint64(n))
	wantReceived(t, b, "b0", uint64(n))

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := g.Pace(ended, 1000, time.Hour); !errors.Is(err, context.Canceled) || n != 0 {
		t.Errorf("Pace with an ended context sent %d frames: %v", n, err)
	}
}

func TestDue(t *testing.T) {
	const rate = 333333
	sent := 0
	for by := burstEvery; by <= time.Second; by += burstEvery {
		sent += due(rate, by, sent)
	}
	if sent != rate {
		t.Errorf("%d frames in a second, want %d", sent, rate)
	}
}

func TestCheck(t *testing.T) {
	frames := [][]byte{sample(60, 1)}
	other := sample(1514, 1)
	other[100]++
	devices := []string{"a0"}
	for name, tc := range map[string]struct {
		s    Stream
		want string
	}{
		"good":                  {Stream{Frames: frames, Devices: devices}, ""},
		"no frame":              {Stream{Devices: devices}, "0 frames"},
		"too many frames":       {Stream{Frames: make([][]byte, 65), Devices: devices}, "65 frames"},
		"no device":             {Stream{Frames: frames}, "no device"},
		"too short":             {Stream{Frames: [][]byte{make([]byte, 13)}, Devices: devices}, "13 bytes"},
		"too long":              {Stream{Frames: [][]byte{make([]byte, 4096)}, Devices: devices}, "4096 bytes"},
		"unlike bodies":         {Stream{Frames: [][]byte{sample(1514, 1), other}, Devices: devices}, "differs"},
		"field behind the end":  {Stream{Frames: frames, Devices: devices, Fields: []Field{{Offset: 58, Size: 4, Count: 1}}}, "at 58"},
		"field behind the head": {Stream{Frames: [][]byte{sample(200, 1)}, Devices: devices, Fields: []Field{{Offset: 96, Size: 2, Count: 1}}}, "at 96"},
		"trains that are none":  {Stream{Frames: frames, Devices: devices, Train: -1}, "-1"},
		"train that is none":    {Stream{Frames: frames, Devices: devices, Fields: []Field{{Size: 2, Count: 1, Train: -1}}}, "-1"},
		"field of three bytes":  {Stream{Frames: frames, Devices: devices, Fields: []Field{{Size: 3, Count: 1}}}, "3 bytes"},
		"field that is nothing": {Stream{Frames: frames, Devices: devices, Fields: []Field{{Size: 2}}}, "cannot count"},
		"field that is full":    {Stream{Frames: frames, Devices: devices, Fields: []Field{{Size: 2, First: 0xffff, Count: 1}}}, ""},
		"field that runs over":  {Stream{Frames: frames, Devices: devices, Fields: []Field{{Size: 2, First: 0xffff, Count: 2}}}, "cannot count"},
		"shifted field":         {Stream{Frames: frames, Devices: devices, Fields: []Field{{Size: 4, First: 0xffffff, Count: 2, Shift: 8}}}, "cannot count"},
	} {
		err := tc.s.check()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestGeneratorNamesWhatIsMissing(t *testing.T) {
	a, _ := wires(t, 1)
	_, err := NewGenerator(a, Stream{Frames: [][]byte{sample(60, 1)}, Devices: []string{"a9"}})
	if err == nil || !strings.Contains(err.Error(), "no device a9") {
		t.Errorf("%v", err)
	}
	if _, err := NewSink(a, "a9"); err == nil || !strings.Contains(err.Error(), "a9") {
		t.Errorf("%v", err)
	}
}
