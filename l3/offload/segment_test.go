package offload

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

const headroom = 8

// join returns a segment as one piece.
func join(s Segment) []byte {
	return append(append([]byte(nil), s.Head[headroom:]...), s.Body...)
}

func sameSegments(t *testing.T, name string, got []Segment, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d segments, want %d", name, len(got), len(want))
	}
	for i := range got {
		if g := join(got[i]); !bytes.Equal(g, want[i]) {
			t.Fatalf("%s: segment %d of %d\ngot  % x\nwant % x", name, i, len(want), g, want[i])
		}
	}
}

func shapes() map[string]shape {
	all := tcp4(4000)
	all.flags.fin, all.flags.cwr, all.flags.ece = true, true, true
	all6 := all
	all6.v6 = true
	exact, one, none, tiny := tcp4(2*1448), tcp4(100), tcp4(0), tcp4(333)
	tiny.size = 1
	fragmentable := tcp4(5000)
	fragmentable.df = false
	return map[string]shape{
		"TCP over IPv4":                      tcp4(4000),
		"TCP over IPv6":                      tcp6(4000),
		"TCP over IPv4, 64 KiB":              tcp4(65535 - 64),
		"TCP over IPv6, 64 KiB":              tcp6(65535 - 32),
		"FIN, PSH, CWR, ECE":                 all,
		"FIN, PSH, CWR, ECE over IPv6":       all6,
		"a whole number of segments":         exact,
		"one segment":                        one,
		"no payload":                         none,
		"a byte a segment":                   tiny,
		"without DF":                         fragmentable,
		"TCP with extension headers":         options6(tcp6(4000)),
		"UDP over IPv4":                      udp4(5000),
		"UDP over IPv6":                      udp6(5000),
		"UDP over IPv4, 64 KiB":              udp4(65535 - 28),
		"UDP with extension headers":         options6(udp6(5000)),
		"UDP, odd segments":                  func() shape { s := udp4(1000); s.size = 333; return s }(),
		"UDP over IPv6, a byte a segment":    func() shape { s := udp6(100); s.size = 1; return s }(),
		"TCP, odd segments":                  func() shape { s := tcp4(1000); s.size = 333; return s }(),
		"TCP over IPv6, segments of 1 MTU":   func() shape { s := tcp6(20000); s.size = 9000; return s }(),
		"TCP over IPv4 with all the options": func() shape { s := tcp4(20000); s.options = 40; return s }(),
	}
}

func TestCut(t *testing.T) {
	s := NewSegmenter(headroom)
	for name, in := range shapes() {
		f, o := in.super(t)
		before := append([]byte(nil), f...)
		got, ok := s.Cut(f, o)
		if !ok {
			t.Errorf("%s: refused", name)
			continue
		}
		if !bytes.Equal(f, before) {
			t.Errorf("%s: the super-frame was changed", name)
		}
		sameSegments(t, name, got, in.segments(t))
	}
}

// A checksum that is already complete, as after a GRO that keeps the segments
// in a list, gives the same segments.
func TestCutWithoutPartialChecksum(t *testing.T) {
	s := NewSegmenter(headroom)
	for name, in := range shapes() {
		f, o := in.super(t)
		o.NeedsChecksum, o.ChecksumStart, o.ChecksumAt = false, 0, 0
		got, ok := s.Cut(f, o)
		if !ok {
			t.Errorf("%s: refused", name)
			continue
		}
		sameSegments(t, name, got, in.segments(t))
	}
}

func TestCutKeepsNoChecksum(t *testing.T) {
	f, o := udp4(5000).super(t)
	o.NeedsChecksum = false
	f[14+20+6], f[14+20+7] = 0, 0
	got, ok := NewSegmenter(headroom).Cut(f, o)
	if !ok {
		t.Fatal("refused")
	}
	want := udp4(5000).segments(t)
	for _, w := range want {
		w[14+20+6], w[14+20+7] = 0, 0
	}
	sameSegments(t, "UDP without a checksum", got, want)
}

// With a Routing header the pseudo-header has the last destination, which only
// the sender's partial sum knows of.
func TestCutWithRoutingHeader(t *testing.T) {
	in := tcp6(4000)
	in.extType, in.ext = 43, []byte{6, 2, 4, 1, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77}
	f, o := in.super(t)
	got, ok := NewSegmenter(headroom).Cut(f, o)
	if !ok {
		t.Fatal("refused")
	}
	sameSegments(t, "routing header", got, in.segments(t))
	o.NeedsChecksum = false
	if _, ok := NewSegmenter(headroom).Cut(f, o); ok {
		t.Error("cut without knowing the pseudo-header")
	}
}

// A padded frame of one segment loses its padding.
func TestCutDropsPadding(t *testing.T) {
	in := udp4(3)
	f, o := in.super(t)
	got, ok := NewSegmenter(headroom).Cut(append(f, make([]byte, 60-len(f))...), o)
	if !ok {
		t.Fatal("refused")
	}
	sameSegments(t, "padded", got, in.segments(t))
}

func TestCutRefuses(t *testing.T) {
	type mend = func(f []byte, o *frame.Offload) []byte
	set16 := func(f []byte, at int, v uint16) { binary.BigEndian.PutUint16(f[at:], v) }
	for _, tc := range []struct {
		name string
		in   shape
		mend mend
	}{
		{"no frame", tcp4(4000), func(f []byte, o *frame.Offload) []byte { return nil }},
		{"no segmentation", tcp4(4000), func(f []byte, o *frame.Offload) []byte { o.GSO = frame.GSONone; return f }},
		{"another segmentation", tcp4(4000), func(f []byte, o *frame.Offload) []byte { o.GSO = frame.GSOOther; return f }},
		{"segment size zero", tcp4(4000), func(f []byte, o *frame.Offload) []byte { o.SegmentSize = 0; return f }},
		{"too many segments", tcp4(2049), func(f []byte, o *frame.Offload) []byte { o.SegmentSize = 1; return f }},
		{"too many bytes of headers", func() shape { s := options6(tcp6(2048)); s.options = 40; return s }(), func(f []byte, o *frame.Offload) []byte { o.SegmentSize = 1; return f }},
		{"IPv6 named IPv4", tcp6(4000), func(f []byte, o *frame.Offload) []byte { o.GSO = frame.GSOTCPv4; return f }},
		{"IPv4 named IPv6", tcp4(4000), func(f []byte, o *frame.Offload) []byte { o.GSO = frame.GSOTCPv6; return f }},
		{"UDP named TCP", udp4(4000), func(f []byte, o *frame.Offload) []byte { o.GSO = frame.GSOTCPv4; return f }},
		{"TCP named UDP", tcp4(4000), func(f []byte, o *frame.Offload) []byte { o.GSO = frame.GSOUDP; return f }},
		{"checksum of something else", tcp4(4000), func(f []byte, o *frame.Offload) []byte { o.ChecksumStart += 50; return f }},
		{"checksum elsewhere in the header", tcp4(4000), func(f []byte, o *frame.Offload) []byte { o.ChecksumAt = 6; return f }},
		{"tagged", tcp4(4000), func(f []byte, o *frame.Offload) []byte { set16(f, 12, 0x8100); return f }},
		{"IPv4 total length too long", tcp4(4000), func(f []byte, o *frame.Offload) []byte { return f[:len(f)-1] }},
		{"IPv4 total length too short", tcp4(4000), func(f []byte, o *frame.Offload) []byte { return append(f, 0) }},
		{"IPv4 total length zero", tcp4(4000), func(f []byte, o *frame.Offload) []byte { set16(f, 16, 0); return f }},
		{"IPv6 payload length too long", tcp6(4000), func(f []byte, o *frame.Offload) []byte { return f[:len(f)-1] }},
		{"IPv6 payload length too short", tcp6(4000), func(f []byte, o *frame.Offload) []byte { return append(f, 0) }},
		{"a jumbogram", tcp6(4000), func(f []byte, o *frame.Offload) []byte { set16(f, 18, 0); return f }},
		{"a fragment", tcp4(4000), func(f []byte, o *frame.Offload) []byte { return fragment(t, f) }},
		{"an IPv6 fragment", func() shape {
			s := tcp6(4000)
			s.extType, s.ext = 44, []byte{6, 0, 0, 1, 0, 0, 0, 1}
			return s
		}(), func(f []byte, o *frame.Offload) []byte { return f }},
		{"TCP data offset below five", tcp4(4000), func(f []byte, o *frame.Offload) []byte { f[14+32+12] = 0x40; return f }},
		{"TCP header beyond the packet", tcp4(0), func(f []byte, o *frame.Offload) []byte { f[14+32+12] = 0xf0; return f }},
		{"UDP length too long", udp4(4000), func(f []byte, o *frame.Offload) []byte { set16(f, 14+20+4, 4009); return f }},
		{"UDP length too short", udp4(4000), func(f []byte, o *frame.Offload) []byte { set16(f, 14+20+4, 4007); return f }},
	} {
		f, o := tc.in.super(t)
		if segs, ok := NewSegmenter(headroom).Cut(tc.mend(f, &o), o); ok || segs != nil {
			t.Errorf("%s: cut into %d segments", tc.name, len(segs))
		}
	}
}

// anyShape draws a super-frame of any kind.
func anyShape(t *rapid.T) shape {
	s := shape{
		v6:   rapid.Bool().Draw(t, "v6"),
		udp:  rapid.Bool().Draw(t, "udp"),
		id:   rapid.Uint16().Draw(t, "id"),
		tos:  rapid.Byte().Draw(t, "tos"),
		df:   rapid.Bool().Draw(t, "df"),
		seq:  rapid.Uint32().Draw(t, "seq"),
		data: rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "data"),
		size: rapid.IntRange(2, 1500).Draw(t, "size"),
	}
	s.options = 4 * rapid.IntRange(0, 10).Draw(t, "option words")
	for _, fl := range []*bool{&s.flags.fin, &s.flags.psh, &s.flags.cwr, &s.flags.ece, &s.flags.ack, &s.flags.urg} {
		*fl = rapid.Bool().Draw(t, "flag")
	}
	if s.v6 && rapid.Bool().Draw(t, "extension headers") {
		s = options6(s)
	}
	return s
}

func TestCutIsWhatTheSenderMeant(t *testing.T) {
	s := NewSegmenter(headroom)
	rapid.Check(t, func(t *rapid.T) {
		in := anyShape(t)
		f, o := in.super(t)
		segs, ok := s.Cut(f, o)
		want := in.segments(t)
		if !ok || len(segs) != len(want) {
			t.Fatalf("%d segments, %t, want %d", len(segs), ok, len(want))
		}
		for i := range segs {
			if got := join(segs[i]); !bytes.Equal(got, want[i]) {
				t.Fatalf("segment %d\ngot  % x\nwant % x", i, got, want[i])
			}
		}
	})
}

// The headroom belongs to the caller, and no segment can grow into the next.
func TestHeadroom(t *testing.T) {
	f, o := tcp4(4000).super(t)
	segs, ok := NewSegmenter(headroom).Cut(f, o)
	if !ok {
		t.Fatal("refused")
	}
	for _, s := range segs {
		copy(s.Head, "VXLANHDR")
		_ = append(s.Head, 0xee)
	}
	sameSegments(t, "headroom", segs, tcp4(4000).segments(t))
}

// checkSegments is what must hold for any segments of any frame.
func checkSegments(t *testing.T, f []byte, o frame.Offload, segs []Segment) {
	t.Helper()
	var joined []byte
	for i, s := range segs {
		seg := join(s)
		p, ok := locate(seg)
		if !ok || p.end != len(seg) {
			t.Fatalf("segment %d of %d: lengths do not agree", i, len(segs))
		}
		if len(s.Body) > int(o.SegmentSize) || i < len(segs)-1 && len(s.Body) != int(o.SegmentSize) {
			t.Fatalf("segment %d of %d has %d bytes of payload", i, len(segs), len(s.Body))
		}
		if p.kind == ipv4 && slowSum(seg[14:p.l4]) != 0xffff {
			t.Fatalf("segment %d: IPv4 header checksum", i)
		}
		joined = append(joined, s.Body...)
	}
	p, _ := locate(f)
	if !bytes.HasSuffix(f[:p.end], joined) {
		t.Fatal("the payload is not that of the super-frame")
	}
}

func FuzzCut(f *testing.F) {
	for _, s := range []shape{tcp4(100), tcp6(100), udp4(100), options6(udp6(100))} {
		s.size = 40
		b, o := s.super(f)
		f.Add(b, uint8(o.GSO), o.SegmentSize, o.NeedsChecksum, o.ChecksumStart, o.ChecksumAt)
	}
	for _, w := range wrappings {
		in := tcp4(100)
		in.size = 40
		b, o := w.super(f, in)
		f.Add(b, uint8(o.GSO), o.SegmentSize, o.NeedsChecksum, o.ChecksumStart, o.ChecksumAt)
	}
	s := NewSegmenter(headroom)
	f.Fuzz(func(t *testing.T, b []byte, gso uint8, size uint16, needs bool, start, at uint16) {
		o := frame.Offload{GSO: frame.GSO(gso), SegmentSize: size, NeedsChecksum: needs, ChecksumStart: start, ChecksumAt: at}
		segs, ok := s.Cut(b, o)
		if !ok {
			return
		}
		checkSegments(t, b, o, segs)
		// What the checksums come to with a partial sum is up to that sum.
		// Without one they are right.
		for i, seg := range segs {
			j := join(seg)
			p, _ := locate(j)
			bare := p.proto == 17 && p.kind == ipv4 && j[p.l4+6]|j[p.l4+7] == 0
			if !needs && !bare && slowSum(append(pseudoHeader(j, p), j[p.l4:p.end]...)) != 0xffff {
				t.Fatalf("segment %d: wrong checksum", i)
			}
		}
	})
}

func pseudoHeader(f []byte, p packet) []byte {
	b := append([]byte(nil), f[14+12:14+20]...)
	if p.kind != ipv4 {
		b = append([]byte(nil), f[14+8:14+40]...)
	}
	return binary.BigEndian.AppendUint16(append(b, 0, p.proto), uint16(p.end-p.l4))
}

func TestCutAllocates(t *testing.T) {
	s := NewSegmenter(headroom)
	f4, o4 := tcp4(60000).super(t)
	f6, o6 := udp6(60000).super(t)
	ft, ot := wrappings[1].super(t, tcp4(60000))
	if n := testing.AllocsPerRun(20, func() { s.Cut(f4, o4); s.Cut(f6, o6); s.Cut(ft, ot) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCut(b *testing.B) {
	s := NewSegmenter(headroom)
	for name, in := range map[string]shape{"TCPv4": tcp4(65000), "TCPv6": tcp6(65000), "UDP": udp4(65000)} {
		f, o := in.super(b)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(f)))
			for b.Loop() {
				s.Cut(f, o)
			}
		})
	}
}
