package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vxgw/l2/frame"
	"vxgw/test/bench/load"
	"vxgw/test/bench/report"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// passed is a frame that came through a device: in a VNI, or out of the access
// port of one.
type passed struct {
	vni   uint32
	frame string
}

// here returns the devices that this machine has what they take.
func here(t *testing.T) []device {
	t.Helper()
	all, missing := present(devices(program))
	for _, m := range missing {
		t.Log(m)
	}
	return all
}

// Every frame comes through a device to where the sink would be, unchanged, once,
// and none besides. In which order is the device's business.
func TestFramesPass(t *testing.T) {
	require(t)
	for _, d := range here(t) {
		for _, s := range []spec{{vnis: 1, macs: 5}, {vnis: 3, macs: 1}} {
			if d.Bare() && s.vnis > 1 {
				continue // it has two wires and no more
			}
			t.Run(fmt.Sprintf("%s, %v", d.Title(), s), func(t *testing.T) {
				b, err := newBed(t.Context(), d, s)
				must(t, err)
				t.Cleanup(func() { must(t, b.close()) })
				for _, sink := range b.sinks {
					must(t, sink.Close())
				}
				b.sinks = nil
				encapPasses(t, b, d.Bare())
				decapPasses(t, b, d.Bare())
			})
		}
	}
}

// sent is how many frames a test sends: whole trains to each of 1 or 3 VNIs.
const sent = 12 * train

// carried is an inner frame as it came: with outer headers around it, or out of the
// access port of a VNI.
func carried(f []byte, wrapped bool, vni uint32) passed {
	if !wrapped {
		return passed{vni, string(f)}
	}
	return passed{binary.BigEndian.Uint32(f[vniOffset:]) >> 8, string(f[outerLen:])}
}

// encapPasses sends frames from h1. A bare device leaves them without outer headers,
// and those in decapPasses with them.
func encapPasses(t *testing.T, b *bed, bare bool) {
	t.Helper()
	c, err := b.peer.Capture(underlay)
	must(t, err)
	send(t, b.encap(imix))
	must(t, c.Wait(sent, patience))
	must(t, c.Close())
	got := make(map[passed]int)
	for _, f := range c.Frames() {
		got[carried(f, !bare, firstVNI)]++
	}
	want := make(map[passed]int)
	for n := range sent {
		want[passed{vniOf(b, n), numbered(remote(b, n), h1MAC, h1Addr, h2Addr, n)}]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("encapsulated (-want +got):\n%s", diff)
	}
}

func decapPasses(t *testing.T, b *bed, bare bool) {
	t.Helper()
	got := make(map[passed]int)
	var captures []*netns.Capture
	for i := range b.vnis {
		c, err := b.h1.Capture(hostDev(i))
		must(t, err)
		captures = append(captures, c)
	}
	send(t, b.decap(imix))
	for i, c := range captures {
		must(t, c.Wait(sent/b.vnis, patience))
		must(t, c.Close())
		for _, f := range c.Frames() {
			got[carried(f, bare, uint32(firstVNI+i))]++
		}
	}
	want := make(map[passed]int)
	for n := range sent {
		want[passed{vniOf(b, n), numbered(h1MAC, remote(b, n), h2Addr, h1Addr, n)}]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decapsulated (-want +got):\n%s", diff)
	}
}

func send(t *testing.T, f flow) {
	t.Helper()
	g, err := load.NewGenerator(f.from, f.stream)
	must(t, err)
	// Each train finds room in a socket's queue that nobody has emptied since.
	for range sent / train {
		must(t, g.Send(train))
		must(t, wait(t.Context(), 5*time.Millisecond))
	}
	must(t, g.Close())
}

// vniOf is the VNI of frame n of a stream, and remote the MAC behind the peer
// that it is to or from.
func vniOf(b *bed, n int) uint32 { return uint32(firstVNI + n/train%b.vnis) }

func remote(b *bed, n int) frame.MAC { return frame.MAC{2, 1, 0, 0, 0, byte(n % b.macs)} }

// numbered is inner frame n of a stream of IMIX.
func numbered(dst, src frame.MAC, from, to netip.Addr, n int) string {
	size := [...]int{60, 566, 60, 566, 60, 1514, 60, 566, 60, 566, 60, 60}[n%12]
	f := packet.UDP(dst, src, netip.AddrPortFrom(from, uint16(50000+n%64)), netip.AddrPortFrom(to, 9), make([]byte, size-42))
	f[40], f[41] = 0, 0 // no checksum
	return string(f)
}

// IMIX is 7 : 4 : 1.
func TestIMIX(t *testing.T) {
	got := make(map[int]int)
	for _, n := range imix {
		got[n]++
	}
	if diff := cmp.Diff(map[int]int{60: 7, 566: 4, 1514: 1}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// brief is a session of everything, in beds that are soon built: of vxgw only by
// itself, for by mode it is the same program.
func brief(t *testing.T, out *strings.Builder) *session {
	t.Helper()
	ms := measurements()
	for i := range ms {
		ms[i].spec.vnis = min(ms[i].spec.vnis, 5)
		ms[i].spec.macs = min(ms[i].spec.macs, 50)
	}
	devices := slices.DeleteFunc(here(t), func(d device) bool {
		g, ok := d.(gateway)
		return ok && g.mode != ""
	})
	return &session{devices: devices, measurements: ms, rounds: 1, window: 100 * time.Millisecond, out: out}
}

// Every measurement works and leaves nothing behind.
func TestMeasure(t *testing.T) {
	require(t)
	before := traces(t)
	var out strings.Builder
	s := brief(t, &out)
	figures, err := s.run(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if diff := cmp.Diff(before, traces(t)); diff != "" {
		t.Errorf("left behind (+):\n%s", diff)
	}
	n := 0
	for _, m := range s.measurements {
		for range m.figures {
			wantSamples(t, m.name, figures[n], s.devices)
			n++
		}
	}
	if n != len(figures) {
		t.Errorf("%d figures, want %d", len(figures), n)
	}
	if lines := strings.Count(out.String(), "\n"); lines != n*len(s.devices) {
		t.Errorf("%d lines were told, want one for each of %d samples:\n%s", lines, n*len(s.devices), out.String())
	}
}

// wantSamples wants one sample of each device: of nothing where it does not take
// part, or is no process and has nothing to measure. The kernel always delivers
// something.
func wantSamples(t *testing.T, measurement string, f report.Figure, devices []device) {
	t.Helper()
	if f.Measurement != measurement || len(f.Rounds) != 1 || len(f.Rounds[0]) != len(devices) {
		t.Errorf("%s of %s has samples %v, want one of each of %d devices, of %s", f.Title, f.Measurement, f.Rounds, len(devices), measurement)
		return
	}
	for d, s := range f.Rounds[0] {
		processless := measurement == "start" && f.Unit != report.Seconds && d == 0
		absent := processless || devices[d].Without(measurement) != ""
		if math.IsNaN(s.Value) != absent || s.Value < 0 || s.Value == 0 && d == 0 {
			t.Errorf("%s, %s: %v", f.Title, devices[d].Title(), s)
		}
	}
}

// traces lists what a session could leave behind.
func traces(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/run/netns/vxgw-bench-*", filepath.Join(os.TempDir(), "vxgw-bench-*", "*")} {
		found, err := filepath.Glob(pattern)
		must(t, err)
		all = append(all, found...)
	}
	return all
}

// interrupter ends a context when something is first written to it.
type interrupter struct{ interrupt context.CancelFunc }

func (i interrupter) Write(b []byte) (int, error) {
	i.interrupt()
	return len(b), nil
}

// A session that is interrupted takes everything away.
func TestInterrupt(t *testing.T) {
	require(t)
	before := traces(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := brief(t, nil)
	s.rounds, s.window, s.out = 100, time.Minute, interrupter{cancel}
	s.measurements = s.measurements[:1]
	// The first figure is soon there, the next one would take a minute.
	short := s.measurements[0].run
	s.measurements[0].run = func(ctx context.Context, b *bed, d time.Duration) ([]report.Sample, error) {
		if b.under.Processes() == nil {
			d = 100 * time.Millisecond
		}
		return short(ctx, b, d)
	}
	if _, err := s.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if diff := cmp.Diff(before, traces(t)); diff != "" {
		t.Errorf("left behind (+):\n%s", diff)
	}
}

// A device that cannot start is told of, with what was to be built taken away.
func TestDeviceFails(t *testing.T) {
	require(t)
	before := traces(t)
	var out strings.Builder
	s := brief(t, &out)
	s.devices = []device{kernel{}, gateway{program: "/nonexistent/vxgw"}}
	if _, err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "start /nonexistent/vxgw") {
		t.Errorf("it ended with %v", err)
	}
	if diff := cmp.Diff(before, traces(t)); diff != "" {
		t.Errorf("left behind (+):\n%s", diff)
	}
}
