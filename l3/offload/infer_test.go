package offload

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

// ordinary leaves a frame as it is.
var ordinary frame.Offload

func TestInfer(t *testing.T) {
	unfinished := func(s shape) []byte { f := s.whole(t); s.partial(f); return f }
	damaged := func(s shape) []byte { f := s.whole(t); f[len(f)-1] ^= 1; return f }
	flags := func(f []byte, b byte) []byte { f[14+32+13] |= b; return f }
	checksum := func(s shape) frame.Offload { return s.partial(s.whole(t)) }
	cut := func(s shape, mtu int) frame.Offload {
		o := checksum(s)
		headers := s.l4() - 14 + 20 + s.options
		o.GSO, o.SegmentSize = s.gso(), uint16(mtu-headers)
		return o
	}
	routed := tcp6(100)
	routed.extType, routed.ext = 43, []byte{6, 0, 4, 0, 0, 0, 0, 0}
	syn := func(s shape) []byte { f := unfinished(s); return flags(f, 0x02) }

	for _, tc := range []struct {
		name string
		f    []byte
		mtu  int
		want frame.Offload
	}{
		{"finished TCP over IPv4", tcp4(1400).whole(t), 1500, ordinary},
		{"finished TCP over IPv6", tcp6(1400).whole(t), 1500, ordinary},
		{"finished UDP", udp4(1400).whole(t), 1500, ordinary},
		{"unfinished TCP over IPv4", unfinished(tcp4(1400)), 1500, checksum(tcp4(1400))},
		{"unfinished TCP over IPv6", unfinished(tcp6(1400)), 1500, checksum(tcp6(1400))},
		{"unfinished TCP with extension headers", unfinished(options6(tcp6(1400))), 1500, checksum(options6(tcp6(1400)))},
		{"unfinished UDP over IPv4", unfinished(udp4(1400)), 1500, checksum(udp4(1400))},
		{"unfinished UDP over IPv6", unfinished(udp6(1400)), 1500, checksum(udp6(1400))},
		{"unfinished and padded", append(unfinished(udp4(3)), make([]byte, 15)...), 1500, checksum(udp4(3))},
		{"unfinished, no limit known", unfinished(tcp4(60000)), 0, checksum(tcp4(60000))},
		{"damaged TCP", damaged(tcp4(1400)), 1500, ordinary},
		{"UDP without a checksum", func() []byte { f := udp4(100).whole(t); f[40], f[41] = 0, 0; return f }(), 1500, ordinary},

		{"TCP super-frame over IPv4", unfinished(tcp4(60000)), 1500, cut(tcp4(60000), 1500)},
		{"TCP super-frame over IPv6", unfinished(tcp6(60000)), 1500, cut(tcp6(60000), 1500)},
		{"TCP super-frame with extension headers", unfinished(options6(tcp6(60000))), 1500, cut(options6(tcp6(60000)), 1500)},
		{"one byte too long", unfinished(tcp4(1500 - 64 + 1)), 1500, cut(tcp4(1437), 1500)},
		{"fits exactly", unfinished(tcp4(1500 - 64)), 1500, checksum(tcp4(1436))},
		{"finished TCP too long", tcp4(4000).whole(t), 1500, ordinary},
		{"super-frame with a damaged IP header", func() []byte { f := unfinished(tcp4(4000)); f[22]--; return f }(), 1500, checksum(tcp4(4000))},
		{"damaged TCP too long", damaged(tcp4(4000)), 1500, ordinary},
		{"SYN too long", syn(tcp4(4000)), 1500, checksum(tcp4(4000))},
		{"MTU leaves no room for payload", unfinished(tcp4(4000)), 70, checksum(tcp4(4000))},
		{"UDP too long is finished and left whole", unfinished(udp4(4000)), 1500, checksum(udp4(4000))},
		{"finished UDP too long", udp4(4000).whole(t), 1500, ordinary},

		{"first fragment", fragment(t, unfinished(udp4(1400))), 1500, ordinary},
		{"routing header", unfinished(routed), 1500, ordinary},
		{"UDP length lies", func() []byte { f := unfinished(udp4(100)); f[39]++; return f }(), 1500, ordinary},
		{"cut short", unfinished(tcp4(1400))[:1000], 1500, ordinary},
		{"TCP header cut short", unfinished(tcp4(0))[:50], 1500, ordinary},
		{"ICMP", func() []byte { f := unfinished(udp4(100)); f[23] = 1; return f }(), 1500, ordinary},
		{"ARP", append(append([]byte(nil), tcp4(0).whole(t)[:12]...), 0x08, 0x06, 0, 1), 1500, ordinary},
		{"tagged", func() []byte { f := unfinished(udp4(100)); f[12], f[13] = 0x81, 0; return f }(), 1500, ordinary},
		{"empty", nil, 1500, ordinary},
	} {
		before := append([]byte(nil), tc.f...)
		got := Infer(tc.f, tc.mtu)
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
		if got.GSO == frame.GSONone && !bytes.Equal(tc.f, before) {
			t.Errorf("%s: changed", tc.name)
		}
	}
}

// A finished checksum that happens to equal the pseudo-header's sum is left
// alone.
func TestInferTellsFinishedFromUnfinished(t *testing.T) {
	s := tcp4(100)
	partial := s.whole(t)
	o := s.partial(partial)
	at := int(o.ChecksumStart + o.ChecksumAt)
	want := binary.BigEndian.Uint16(partial[at:])
	for v := range 1 << 16 {
		binary.BigEndian.PutUint16(s.data[50:], uint16(v))
		f := s.whole(t)
		if binary.BigEndian.Uint16(f[at:]) == want {
			if got := Infer(f, 1500); got != ordinary {
				t.Errorf("%+v for a finished checksum", got)
			}
			return
		}
	}
	t.Fatal("no payload makes the checksum the pseudo-header's sum")
}

// What Infer finds, FinishChecksum or Cut mends: the frames are then those that
// the sender meant.
func TestInferredIsMended(t *testing.T) {
	segmenter := NewSegmenter(headroom)
	rapid.Check(t, func(t *rapid.T) {
		s := anyShape(t)
		s.flags.urg = false
		mtu := rapid.IntRange(200, 4000).Draw(t, "mtu")
		want := s.whole(t)
		f := append([]byte(nil), want...)
		if rapid.Bool().Draw(t, "unfinished") {
			s.partial(f)
		}
		o := Infer(f, mtu)
		if o.GSO == frame.GSONone {
			if !s.udp && len(f)-14 > mtu {
				t.Fatal("left too long")
			}
			if !FinishChecksum(f, o) || !bytes.Equal(f, want) {
				t.Fatalf("got  % x\nwant % x", f, want)
			}
			return
		}
		segs, ok := segmenter.Cut(f, o)
		s.size = int(o.SegmentSize)
		if frames := s.segments(t); !ok || len(segs) != len(frames) {
			t.Fatalf("%d segments, %t, want %d", len(segs), ok, len(frames))
		} else {
			for i := range segs {
				if !bytes.Equal(join(segs[i]), frames[i]) || len(frames[i])-14 > mtu {
					t.Fatalf("segment %d\ngot  % x\nwant % x", i, join(segs[i]), frames[i])
				}
			}
		}
	})
}

// A UDP super-frame is cut where its sender meant to, and not if its headers are
// damaged or nothing is unfinished.
func TestInferUDP(t *testing.T) {
	super := func(s shape) (f []byte, o frame.Offload) {
		f, o = s.super(t)
		o.Tunnelled = true
		return f, o
	}
	f4, o4 := super(udp4(5000))
	f6, o6 := super(udp6(5000))
	short := udp4(1472)
	fs, os := super(short)
	os.GSO, os.SegmentSize, os.Tunnelled = frame.GSONone, 0, false
	damaged, od := super(udp4(5000))
	damaged[22]--
	od.GSO, od.SegmentSize, od.Tunnelled = frame.GSONone, 0, false
	ft, ot := super(tcp4(5000))
	ot.GSO, ot.SegmentSize, ot.Tunnelled = frame.GSONone, 0, false
	for _, tc := range []struct {
		name string
		f    []byte
		want frame.Offload
	}{
		{"IPv4", f4, o4},
		{"IPv6", f6, o6},
		{"no longer than a segment", fs, os},
		{"damaged IP header", damaged, od},
		{"TCP", ft, ot},
		{"finished", udp4(5000).whole(t), ordinary},
		{"cut off", f4[:len(f4)-1], ordinary},
	} {
		if got := InferUDP(tc.f, 1472); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
	segs, ok := NewSegmenter(headroom).Cut(f4, o4)
	if !ok {
		t.Fatal("refused")
	}
	sameSegments(t, "UDP", segs, udp4(5000).segments(t))
}

// An inferred offload can always be carried out, and is then gone.
func FuzzInfer(f *testing.F) {
	for _, s := range []shape{tcp4(200), tcp6(200), udp4(100), options6(tcp6(200))} {
		b := s.whole(f)
		f.Add(append([]byte(nil), b...), 150)
		s.partial(b)
		f.Add(b, 150)
	}
	segmenter := NewSegmenter(headroom)
	f.Fuzz(func(t *testing.T, b []byte, mtu int) {
		o := Infer(b, mtu)
		switch {
		case o.None():
		case o.GSO == frame.GSONone:
			if !FinishChecksum(b, o) {
				t.Fatal("an inferred checksum was refused")
			}
			if again := Infer(b, 0); again != ordinary {
				t.Fatalf("after finishing: %+v", again)
			}
		default:
			segs, ok := segmenter.Cut(b, o)
			if !ok {
				p, _ := locate(b)
				if p.end == len(b) && (len(b)+int(o.SegmentSize)-1)/int(o.SegmentSize) <= MaxSegments/4 {
					t.Fatalf("an inferred super-frame was refused: %+v", o)
				}
				return
			}
			checkSegments(t, b, o, segs)
			for _, s := range segs {
				if n := len(s.Head) - headroom + len(s.Body) - 14; n > mtu {
					t.Fatalf("a segment has an IP packet of %d bytes, mtu %d", n, mtu)
				}
			}
		}
	})
}

func TestInferAllocates(t *testing.T) {
	f4, f6 := tcp4(1400).whole(t), udp6(1400).whole(t)
	if n := testing.AllocsPerRun(100, func() { Infer(f4, 1500); Infer(f6, 1500) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkInfer(b *testing.B) {
	for name, in := range map[string]shape{"TCPv4": tcp4(1400), "TCPv6": tcp6(1400), "UDPv4": udp4(1400)} {
		f := in.whole(b)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Infer(f, 1500)
			}
		})
	}
}
