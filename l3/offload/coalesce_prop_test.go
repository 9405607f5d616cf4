package offload

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

// testCoalescer is a Coalescer whose results are checked.
type testCoalescer struct {
	t fataler
	Coalescer
	s *Segmenter
}

// fataler is what *testing.T, *testing.F and *rapid.T have.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newTestCoalescer(t fataler) *testCoalescer {
	return &testCoalescer{t: t, s: NewSegmenter(headroom)}
}

// coalesce checks what holds for any frames: cut again, what comes out is what
// went in, byte for byte, the frames of each connection in order; and nothing of
// what went in was changed.
func (c *testCoalescer) coalesce(in []frame.Out, mtu int) []frame.Out {
	c.t.Helper()
	before := make([]frame.Out, len(in))
	for i := range in {
		before[i] = frame.Out{Bytes: bytes.Clone(in[i].Bytes), Offload: in[i].Offload}
	}
	out := c.Coalesce(in, mtu)
	after := c.expand(before, out, mtu)
	for i := range in {
		if !bytes.Equal(in[i].Bytes, before[i].Bytes) || in[i].Offload != before[i].Offload {
			c.t.Fatalf("frame %d was changed", i)
		}
	}
	sameOrder(c.t, before, after)
	return out
}

// expand cuts the super-frames that were made.
func (c *testCoalescer) expand(in, out []frame.Out, mtu int) (all []frame.Out) {
	c.t.Helper()
	for _, o := range out {
		if isOneOf(in, o) {
			all = append(all, o)
			continue
		}
		segs, ok := c.s.Cut(o.Bytes, o.Offload)
		if !ok || len(segs) < 2 || len(o.Bytes) > 65535 {
			c.t.Fatalf("a super-frame of %d bytes with %+v is cut into %d segments, %t", len(o.Bytes), o.Offload, len(segs), ok)
		}
		if p, ok := locate(o.Bytes); !ok || p.end != len(o.Bytes) || p.kind == ipv4 && slowSum(o.Bytes[14:p.l4]) != 0xffff {
			c.t.Fatalf("a super-frame's IP header: % x", o.Bytes[14:54])
		}
		for _, s := range segs {
			f := join(s)
			if len(f)-14 > mtu {
				c.t.Fatalf("a segment has an IP packet of %d bytes", len(f)-14)
			}
			all = append(all, frame.Out{Bytes: f})
		}
	}
	return all
}

func isOneOf(in []frame.Out, o frame.Out) bool {
	for i := range in {
		if o.Offload == in[i].Offload && bytes.Equal(o.Bytes, in[i].Bytes) {
			return true
		}
	}
	return false
}

// sameOrder checks that every connection has its frames, in order. What may belong
// to any counts as one of each; what belongs to none is a connection by itself.
func sameOrder(t fataler, before, after []frame.Out) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("%d frames become %d", len(before), len(after))
	}
	keys := make(map[string]bool)
	for _, o := range before {
		keys[connectionOf(o.Bytes)] = true
	}
	for key := range keys {
		b, a := of(before, key), of(after, key)
		if len(b) != len(a) {
			t.Fatalf("%d frames of a connection become %d", len(b), len(a))
		}
		for i := range b {
			if !bytes.Equal(b[i].Bytes, a[i].Bytes) || b[i].Offload != a[i].Offload {
				t.Fatalf("frame %d of %d of a connection\nwas % x\nis  % x", i, len(b), b[i].Bytes, a[i].Bytes)
			}
		}
	}
}

const anyConnection = "any"

func of(frames []frame.Out, key string) (some []frame.Out) {
	for _, o := range frames {
		if k := connectionOf(o.Bytes); k == key || k == anyConnection {
			some = append(some, o)
		}
	}
	return some
}

// connectionOf names the TCP connection that a frame belongs to.
func connectionOf(f []byte) string {
	if len(f) < 34 {
		return ""
	}
	switch binary.BigEndian.Uint16(f[12:]) {
	case 0x0800:
		switch {
		case f[23] != 6:
			return ""
		case f[14] != 0x45 || f[20]&0x3f != 0 || f[21] != 0 || len(f) < 54:
			return anyConnection
		}
		return string(f[26:38])
	case 0x86dd:
		switch {
		case f[20] == 17 || f[20] == 58:
			return ""
		case f[20] != 6 || f[14]>>4 != 6 || len(f) < 74:
			return anyConnection
		}
		return string(f[22:58])
	}
	return ""
}

// TestCoalesceIsUndoneByCutting sends the streams of some connections at once, with
// everything about them drawn at random.
func TestCoalesceIsUndoneByCutting(t *testing.T) {
	joined, c := 0, newTestCoalescer(t)
	rapid.Check(t, func(rt *rapid.T) {
		var queues [][][]byte
		for conn := range rapid.IntRange(1, 4).Draw(rt, "connections") {
			s := anyShape(rt)
			s.udp, s.bare, s.ext = rapid.IntRange(0, 9).Draw(rt, "udp") == 0, true, nil
			s.flags.ack, s.flags.urg, s.flags.fin = true, false, false
			s.flags.cwr = s.flags.cwr && rapid.Bool().Draw(rt, "cwr")
			var queue [][]byte
			for _, f := range s.segments(rt) {
				f[35+20*b2i(s.v6)] += byte(conn)
				queue = append(queue, stamp(f))
			}
			queues = append(queues, queue)
		}
		var in []frame.Out
		for len(queues) > 0 {
			i := rapid.IntRange(0, len(queues)-1).Draw(rt, "which")
			for range rapid.IntRange(1, 10).Draw(rt, "how many") {
				if len(queues[i]) == 0 {
					break
				}
				f := queues[i][0]
				queues[i] = queues[i][1:]
				switch rapid.IntRange(0, 40).Draw(rt, "what happens") {
				case 0:
					continue // lost
				case 1:
					f = changed(f, rapid.IntRange(0, len(f)-1).Draw(rt, "at"), byte(rapid.IntRange(1, 255).Draw(rt, "by")))
				case 2:
					f[rapid.IntRange(0, len(f)-1).Draw(rt, "at")] ^= byte(rapid.IntRange(1, 255).Draw(rt, "by"))
				}
				in = append(in, frame.Out{Bytes: f})
			}
			if len(queues[i]) == 0 {
				queues = append(queues[:i], queues[i+1:]...)
			}
		}
		c.t = rt
		joined += len(in) - len(c.coalesce(in, 1600))
	})
	if joined == 0 {
		t.Error("nothing was ever joined")
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// FuzzCoalesce takes a script: what each frame of a batch is. Four bytes say which
// segment of which connection it is, and what is wrong with it.
func FuzzCoalesce(f *testing.F) {
	var streams [][][]byte
	for i, s := range []shape{stream4(30 * 40), stream4(30 * 40), stream6(30 * 40), options6(tcp6(10 * 40)), tcp4(10 * 40), udp4(10 * 40)} {
		s.size = 40
		s.flags.psh = i == 0
		segs := s.segments(f)
		if i == 1 {
			for _, g := range segs {
				g[35]++
				stamp(g)
			}
		}
		streams = append(streams, segs)
	}
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 2, 1, 0, 0})
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 47, 8, 1, 1, 16, 1, 0, 2, 0, 0, 3, 0, 0, 0, 1, 2, 0, 0})
	f.Add([]byte{0, 28, 0, 0, 0, 29, 0, 0, 0, 30, 0, 0, 5, 1, 1, 1, 4, 1, 1, 1})
	c := newTestCoalescer(f)
	f.Fuzz(func(t *testing.T, script []byte) {
		var in []frame.Out
		for ; len(script) >= 4 && len(in) < 200; script = script[4:] {
			stream := streams[int(script[0]&0x7f)%len(streams)]
			g := bytes.Clone(stream[int(script[1])%len(stream)])
			if script[3] != 0 {
				g[int(script[2])%len(g)] ^= script[3]
			}
			if script[0]&0x80 == 0 {
				stamp(g)
			}
			in = append(in, frame.Out{Bytes: g})
		}
		c.t = t
		c.coalesce(in, mtu)
	})
}
