package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"go.uber.org/goleak"

	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	"vxgw/l3/underlay"
	"vxgw/test/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a Hub with one worker's Witness, without a gateway.
type stage struct {
	*Hub
	t        testing.TB
	w        *Witness
	recorder *Recorder
}

func newStage(t testing.TB) *stage {
	s := &stage{t: t, recorder: NewRecorder(MaxRecords)}
	describe := func(p Place) Interface {
		if p.IsUnderlay() {
			return Interface{p, fmt.Sprintf("und%d", p.Index), "underlay"}
		}
		return Interface{p, fmt.Sprintf("eth%d", p.Port), "access port"}
	}
	s.Hub = NewHub(Config{
		Application: "test", VXLAN: 4789, Describe: describe, Recorder: s.recorder,
		Interfaces: func() []Interface { return []Interface{describe(AtPort(0)), describe(AtPort(1)), describe(Underlay)} },
		PutOuter: func(b []byte, d *underlay.Datagram, in *Incoming, n int) []byte {
			if in != nil {
				return fmt.Appendf(b, "in %v %d %d:", in.From, d.SourcePort, n)
			}
			return fmt.Appendf(b, "out %v %d %d:", d.To, d.SourcePort, n)
		},
		Warn: func(msg string, err error) { t.Errorf("%s: %v", msg, err) },
	})
	s.w = s.Witness()
	t.Cleanup(s.Close)
	return s
}

func (s *stage) open(spec Spec) *Session {
	s.t.Helper()
	if spec.Snap == 0 {
		spec.Snap = DefaultSnap
	}
	is, err := s.Open(spec)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(is.Close)
	return is
}

// batch has the worker at a batch.
func (s *stage) batch(f func(*Witness)) {
	s.w.Begin(1)
	f(s.w)
	s.w.End()
}

func buffer(b []byte) *frame.Buffer { return &frame.Buffer{Mem: b, Len: len(b)} }

// finish ends a capture and returns "NAME DIRECTION: BYTES COMMENT" of each frame.
func (s *stage) finish(is *Session) (lines []string, drops uint64) {
	s.t.Helper()
	is.Close()
	var file []byte
	for {
		b, err := is.Next(context.Background())
		file = append(file, b...)
		if err == io.EOF {
			break
		}
	}
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		s.t.Fatal(err)
	}
	for {
		data, ci, opts, err := r.ReadPacketDataWithOptions()
		if err == io.EOF {
			break
		}
		if err != nil {
			s.t.Fatal(err)
		}
		at, _ := r.Interface(ci.InterfaceIndex)
		way := "in"
		if opts.Flags.Direction == pcapgo.NgEpbFlagDirectionOutbound {
			way = "out"
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s: %s %s", at.Name, way, data, strings.Join(opts.Comments, ","))))
	}
	for i := range r.NInterfaces() {
		at, _ := r.Interface(i)
		if n := at.Statistics.PacketsDropped; n != pcapgo.NgNoValue64 {
			drops += n
		}
	}
	return lines, drops
}

func TestWhatIsSeen(t *testing.T) {
	peer := netip.MustParseAddr("192.0.2.2")
	everything := func(w *Witness) {
		w.FromPort(0, 1000, buffer([]byte("frame of port 0")))
		w.FromPort(1, 2000, buffer([]byte("frame of port 1")))
		w.Dropped(forward.Access, forward.SourceZero, false)
		tagged := buffer([]byte("twelve bytesand more"))
		tagged.Tag = frame.Tag{Present: true, TPID: 0x2121, TCI: 0x2323}
		w.FromPort(0, 1000, tagged)
		w.FromUnderlay(&underlay.Packet{Buffer: *buffer([]byte("payload")), From: peer, FromPort: 7}, 1000)
		w.Dropped(forward.Overlay, forward.TooBig, true)
		w.FromUnderlay(&underlay.Packet{Buffer: frame.Buffer{Mem: []byte("whole packet"), Off: 6, Len: 6}, Outer: 6, From: peer}, 2000)
		w.End()
		w.ToPort(1, 1000, []byte("sent"), forward.Access, forward.None)
		w.ToPort(1, 1000, []byte("lost"), forward.Access, forward.TxFailed)
		w.ToUnderlay(&underlay.Datagram{To: peer, SourcePort: 9, Head: []byte("head"), Body: []byte("body")}, 2000, forward.Route, forward.None)
		w.End()
		w.Dropped(forward.Route, forward.NoRoute, false) // nothing is at hand
	}
	const rebuilt = "the host's stack has taken the outer headers off: MACs, TTL and ID are not those that it came with"
	all := []string{
		"eth0 in: frame of port 0",
		"eth1 in: frame of port 1 dropped: source_zero (access)",
		"eth0 in: twelve bytes!!##and more",
		"und0 in: in 192.0.2.2 7 7:payload a copy was dropped: too_big (overlay)," + rebuilt,
		"und0 in: whole packet",
		"eth1 out: sent",
		"eth1 out: lost dropped: tx_failed (access)",
		"und0 out: out 192.0.2.2 9 8:headbody",
	}
	pick := func(i ...int) (lines []string) {
		for _, i := range i {
			lines = append(lines, all[i])
		}
		return lines
	}
	tests := []struct {
		name string
		spec Spec
		want []string
	}{
		{"everything", Spec{Anywhere: true}, all},
		{"one port", Spec{Place: AtPort(1)}, pick(1, 5, 6)},
		{"the underlay", Spec{Place: Underlay}, pick(3, 4, 7)},
		{"one VNI", Spec{Anywhere: true, VNI: 2000}, pick(1, 4, 7)},
		{"what is dropped", Spec{Anywhere: true, Dropped: true}, pick(1, 3, 6)},
		{"what is dropped at a port", Spec{Place: AtPort(1), Dropped: true}, pick(1, 6)},
		{"two frames", Spec{Anywhere: true, Count: 2}, pick(0, 1)},
		{"four bytes", Spec{Place: AtPort(0), Snap: 4}, []string{"eth0 in: fram", "eth0 in: twel"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			is := s.open(tt.spec)
			s.batch(everything)
			lines, drops := s.finish(is)
			if !slices.Equal(lines, tt.want) || drops != 0 {
				t.Errorf("captured, %d lost:\n%s\nwant:\n%s", drops, strings.Join(lines, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
	t.Run("several at once", func(t *testing.T) {
		s := newStage(t)
		var open []*Session
		for i := range tests {
			open = append(open, s.open(tests[i].spec))
		}
		s.batch(everything)
		for i, tt := range tests {
			if lines, _ := s.finish(open[i]); !slices.Equal(lines, tt.want) {
				t.Errorf("%s: captured %q", tt.name, lines)
			}
		}
	})
}

func TestDropsAreRemembered(t *testing.T) {
	s := newStage(t)
	s.batch(func(w *Witness) {
		w.FromPort(1, 1000, buffer([]byte("a frame")))
		w.Dropped(forward.Access, forward.SourceZero, false)
		w.FromPort(0, 1000, buffer(make([]byte, 1000)))
		for range 100 {
			w.Dropped(forward.Access, forward.TaggedFrame, false)
		}
	})
	s.CollectDrops()
	all := s.recorder.All(forward.None)
	if len(all) != 1+perReason {
		t.Fatalf("%d frames are remembered, want %d", len(all), 1+perReason)
	}
	zero := s.recorder.All(forward.SourceZero)
	if r := zero[0]; r.Where != "eth1" || string(r.Data) != "a frame" || r.VNI != 1000 || r.Len != 7 || r.Time == 0 {
		t.Errorf("remembered: %+v", r)
	}
	if r := s.recorder.All(forward.TaggedFrame)[0]; len(r.Data) != FlightSnap || r.Len != 1000 {
		t.Errorf("%d bytes of %d are remembered, want %d of 1000", len(r.Data), r.Len, FlightSnap)
	}
	// The next second has room again.
	s.w.Begin(2)
	s.w.FromPort(0, 1000, buffer([]byte("another")))
	s.w.Dropped(forward.Access, forward.TaggedFrame, false)
	s.w.End()
	s.Dismiss(s.w)
	if n := len(s.recorder.All(forward.TaggedFrame)); n != perReason+1 {
		t.Errorf("%d tagged frames are remembered, want %d", n, perReason+1)
	}
}

// What rings and readers have no room for is counted, in the statistics of its
// interface, and is not in the file.
func TestLossIsCounted(t *testing.T) {
	s := newStage(t)
	is := s.open(Spec{Place: AtPort(0)})
	f := make([]byte, 4000)
	const count = 4 * mostRing / 4000
	s.Hub.mu.Lock() // the reader stands still
	s.batch(func(w *Witness) {
		for range count {
			w.FromPort(0, 1000, buffer(f))
		}
	})
	s.Hub.mu.Unlock()
	lines, drops := s.finish(is)
	if uint64(len(lines))+drops != count || drops == 0 || len(lines) == 0 {
		t.Errorf("%d frames captured and %d lost of %d", len(lines), drops, count)
	}
}

func TestSlowReaderIsCounted(t *testing.T) {
	s := newStage(t)
	is := s.open(Spec{Place: AtPort(0)})
	f := make([]byte, 60000)
	const count = 3 * bufferSize / 60000
	for range count {
		s.batch(func(w *Witness) { w.FromPort(0, 1000, buffer(f)) })
		s.Hub.mu.Lock()
		s.drain()
		s.Hub.mu.Unlock()
	}
	lines, drops := s.finish(is)
	if uint64(len(lines))+drops != count || drops == 0 || len(lines) < count/4 {
		t.Errorf("%d frames captured and %d lost of %d", len(lines), drops, count)
	}
}

// portions is a Source that tells of one frame at a time.
type portions struct{ left int }

func (p *portions) Begin(int) error   { return nil }
func (p *portions) End()              {}
func (p *portions) Lost(Place) uint64 { return 0 }

func (p *portions) Read(f func(Note)) (more bool) {
	if p.left == 0 {
		return false
	}
	p.left--
	f(Note{Place: AtPort(0), VNI: 1000, Data: []byte("frame"), Len: 5})
	return p.left > 0
}

// A capture that ends has all that was seen before, however much the source still has.
func TestEndHasWhatWasSeen(t *testing.T) {
	const frames = 10
	for name, spec := range map[string]Spec{"given up": {Anywhere: true}, "over": {Anywhere: true, Duration: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			s, source := newStage(t), new(portions)
			s.cfg.Source = source
			is := s.open(spec)
			s.mu.Lock()
			source.left = frames
			if spec.Duration > 0 {
				is.began = is.began.Add(-2 * spec.Duration)
				s.expire()
			}
			s.mu.Unlock()
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			var file, more []byte
			for err := error(nil); err == nil; file = append(file, more...) {
				more, err = is.Next(ctx)
			}
			if n := bytes.Count(file, []byte("frame")); n != frames {
				t.Errorf("%d frames captured of %d", n, frames)
			}
		})
	}
}

func TestEndOfCaptures(t *testing.T) {
	s := newStage(t)
	var all []*Session
	for range MaxCaptures {
		all = append(all, s.open(Spec{Anywhere: true}))
	}
	if _, err := s.Open(Spec{Anywhere: true, Snap: 1}); !errors.Is(err, ErrTooMany) {
		t.Errorf("one capture too many: %v", err)
	}
	all[0].Close()
	short := s.open(Spec{Anywhere: true, Duration: time.Millisecond})
	for {
		if _, err := short.Next(context.Background()); err == io.EOF {
			break
		}
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		if _, err := all[1].Next(gone); err == io.EOF {
			break
		}
	}
	s.Close()
	for {
		if _, err := all[2].Next(context.Background()); err == io.EOF {
			break
		}
	}
	if _, err := s.Open(Spec{Anywhere: true, Snap: 1}); err == nil {
		t.Error("a capture begins when all is over")
	}
	if s.w.live.Load() != nil {
		t.Error("the worker still tells captures that are over")
	}
}

// A worker allocates nothing, whether anybody captures or not, and whatever is dropped.
func TestWitnessAllocatesNothing(t *testing.T) {
	f := packet.UDP(macB, macA, port4("10.1.1.10:1000"), port4("10.1.2.20:53"), make([]byte, 500))
	b := buffer(f)
	tagged := *b
	tagged.Tag = frame.Tag{Present: true, TPID: 0x8100, TCI: 5}
	p := &underlay.Packet{Buffer: *b, From: netip.MustParseAddr("192.0.2.2"), FromPort: 7}
	d := &underlay.Datagram{To: p.From, Head: f}
	second := uint32(0)
	batch := func(w *Witness) {
		second++
		w.Begin(second)
		w.FromPort(0, 1000, b)
		w.Dropped(forward.Access, forward.SourceZero, false)
		w.FromPort(0, 1000, &tagged)
		w.FromUnderlay(p, 1000)
		w.Dropped(forward.Overlay, forward.TooBig, true)
		was := w.Earlier(AtPort(0), netip.Addr{}, 1000, f)
		w.Dropped(forward.Route, forward.NoRoute, false)
		w.Back(was)
		w.End()
		w.ToPort(1, 1000, f, forward.Access, forward.TxFailed)
		w.ToUnderlay(d, 1000, forward.Access, forward.None)
		w.End()
	}
	for name, specs := range map[string][]Spec{"nobody captures": nil, "one captures": {{Anywhere: true}}, "two capture": {{Anywhere: true, Dropped: true}, {Place: AtPort(0)}}} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			for _, spec := range specs {
				s.open(spec)
			}
			batch(s.w)
			s.Hub.mu.Lock() // the reader allocates, and is not what is looked at
			defer s.Hub.mu.Unlock()
			if n := testing.AllocsPerRun(200, func() { batch(s.w) }); n != 0 {
				t.Errorf("%v allocations for a batch", n)
			}
		})
	}
}
