package offload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"vxgw/l2/frame"
)

const mtu = 1500

// outs returns frames on their way, which are ready for the wire.
func outs(frames ...[]byte) (out []frame.Out) {
	for _, f := range frames {
		out = append(out, frame.Out{Bytes: f})
	}
	return out
}

// describe writes the number of segments of each frame that comes out, 1 for one
// that is as it was.
func describe(out []frame.Out) string {
	var words []string
	for _, o := range out {
		n := 1
		if size := int(o.Offload.SegmentSize); size > 0 {
			l4 := int(o.Offload.ChecksumStart)
			n = (len(o.Bytes) - l4 - int(o.Bytes[l4+12]>>4)*4 + size - 1) / size
		}
		words = append(words, fmt.Sprint(n))
	}
	return strings.Join(words, " ")
}

// stamp makes the checksums of a changed frame right again.
func stamp(f []byte) []byte {
	l4 := 54
	if f[12] == 0x08 {
		l4 = 34
		f[24], f[25] = 0, 0
		binary.BigEndian.PutUint16(f[24:], ^slowSum(f[14:34]))
	}
	p, ok := locate(f)
	if ok && p.l4 == l4 && p.proto == 6 && len(f) >= l4+20 {
		f[l4+16], f[l4+17] = 0, 0
		binary.BigEndian.PutUint16(f[l4+16:], ^slowSum(append(pseudoHeader(f, p), f[l4:p.end]...)))
	}
	return f
}

// changed returns a copy of f with one byte changed, and checksums that are right.
func changed(f []byte, at int, by byte) []byte {
	f = bytes.Clone(f)
	f[at] ^= by
	return stamp(f)
}

func TestCoalesce(t *testing.T) {
	a := stream4(5 * 1448).segments(t)
	b := stream6(5 * 1428).segments(t)
	short := stream4(2*1448 + 100).segments(t)
	second := make([][]byte, len(a)) // another connection
	for i := range a {
		second[i] = changed(a[i], 34+1, 1)
	}
	push := func(f []byte) []byte { return changed(f, 34+13, 8) }
	damaged := func(f []byte, at int) []byte { f = bytes.Clone(f); f[at] ^= 1; return f }
	fragmented := bytes.Clone(a[2])
	fragmented[20] = 0x20
	stamp(fragmented)
	udp := udp4(100).whole(t)
	tiny := stream4(10)
	tiny.size = 2
	whole, undone := stream4(2 * 1448).super(t)

	c := newTestCoalescer(t)
	for _, tc := range []struct {
		name string
		in   []frame.Out
		want string
	}{
		{"nothing", nil, ""},
		{"one segment", outs(a[0]), "1"},
		{"IPv4", outs(a...), "5"},
		{"IPv6", outs(b...), "5"},
		{"the last is short", outs(short...), "3"},
		{"after a short one none follows", outs(short[2], a[3]), "1 1"},
		{"a longer one does not follow", outs(changed(a[0][:1000], 16, 0), a[1]), "1 1"},
		{"two connections in turn", outs(a[0], second[0], a[1], second[1], a[2], second[2]), "3 3"},
		{"two families in turn", outs(a[0], b[0], a[1], b[1]), "2 2"},
		{"something else between", outs(a[0], udp, a[1]), "2 1"},
		{"ends with PSH", outs(a[0], push(a[1]), a[2], a[3]), "2 2"},
		{"starts with PSH", outs(push(a[0]), a[1], a[2]), "1 2"},
		{"out of order", outs(a[1], a[0], a[2]), "1 1 1"},
		{"one is missing", outs(a[0], a[2], a[3]), "1 2"},
		{"one comes twice", outs(a[0], a[1], a[1], a[2]), "2 2"},
		{"the first is damaged", outs(damaged(a[0], 700), a[1], a[2]), "1 2"},
		{"the second is damaged", outs(a[0], damaged(a[1], 700), a[2], a[3]), "1 1 2"},
		{"IPv6, the first is damaged", outs(damaged(b[0], 700), b[1], b[2]), "1 2"},
		{"an IPv4 header is damaged", outs(a[0], damaged(a[1], 24), a[2], a[3]), "1 1 2"},
		{"a TCP checksum is damaged", outs(a[0], damaged(a[1], 50), a[2], a[3]), "1 1 2"},
		{"an acknowledgement between", outs(a[0], stream4(0).whole(t), a[1], a[2]), "1 1 2"},
		{"a fragment between", outs(a[0], second[0], fragmented, a[1], second[1], a[2]), "1 1 1 2 1"},
		{"options between", outs(a[0], tcp4(10).whole(t), a[1], a[2]), "1 1 2"},
		{"extension headers between", outs(b[0], options6(tcp6(10)).whole(t), b[1], b[2]), "1 1 2"},
		{"a super-frame between", []frame.Out{{Bytes: a[0]}, {Bytes: whole, Offload: undone}, {Bytes: a[1]}, {Bytes: a[2]}}, "1 2 2"},
		{"padded", outs(append(tiny.segments(t)[0], 0, 0), tiny.segments(t)[1], tiny.segments(t)[2]), "1 2"},
		{"small", outs(tiny.segments(t)...), "5"},
		{"too long for the port", outs(changed(append(a[0], 0), 17, 1), changed(append(a[1], 0), 17, 1)), "1 1"},
		{"64 KiB", outs(stream4(50 * 1448).segments(t)...), "45 5"},
		{"64 KiB of IPv6", outs(stream6(50 * 1428).segments(t)...), "45 5"},

		// What must be alike, by the byte in the second frame that is not.
		{"destination MAC", outs(a[0], changed(a[1], 0, 4)), "1 1"},
		{"source MAC", outs(a[0], changed(a[1], 11, 4)), "1 1"},
		{"TOS", outs(a[0], changed(a[1], 15, 8)), "1 1"},
		{"CE", outs(changed(a[0], 15, 2), changed(a[1], 15, 3)), "1 1"},
		{"CE on both", outs(changed(a[0], 15, 3), changed(a[1], 15, 3)), "2"},
		{"ID", outs(a[0], changed(a[1], 19, 2)), "1 1"},
		{"DF", outs(a[0], changed(a[1], 20, 0x40)), "1 1"},
		{"no DF on both", outs(changed(a[0], 20, 0x40), changed(a[1], 20, 0x40)), "2"},
		{"TTL", outs(a[0], changed(a[1], 22, 1)), "1 1"},
		{"source address", outs(a[0], changed(a[1], 26, 1)), "1 1"},
		{"destination port", outs(a[0], changed(a[1], 36, 1)), "1 1"},
		{"sequence number", outs(a[0], changed(a[1], 38, 1)), "1 1"},
		{"acknowledgement", outs(a[0], changed(a[1], 45, 1)), "1 1"},
		{"header length", outs(a[0], changed(a[1], 46, 0x10)), "1 1"},
		{"reserved bits", outs(a[0], changed(a[1], 46, 2)), "1 1"},
		{"SYN", outs(a[0], changed(a[1], 47, 2)), "1 1"},
		{"SYN on both", outs(changed(a[0], 47, 2), changed(a[1], 47, 2)), "1 1"},
		{"FIN", outs(a[0], changed(a[1], 47, 1)), "1 1"},
		{"RST", outs(a[0], changed(a[1], 47, 4)), "1 1"},
		{"no ACK on either", outs(changed(a[0], 47, 16), changed(a[1], 47, 16)), "1 1"},
		{"URG on both", outs(changed(a[0], 47, 32), changed(a[1], 47, 32)), "1 1"},
		{"ECE", outs(a[0], changed(a[1], 47, 64)), "1 1"},
		{"ECE on both", outs(changed(a[0], 47, 64), changed(a[1], 47, 64)), "2"},
		{"CWR", outs(changed(a[0], 47, 128), a[1]), "1 1"},
		{"window", outs(a[0], changed(a[1], 49, 1)), "1 1"},
		{"urgent pointer", outs(a[0], changed(a[1], 53, 1)), "1 1"},
		{"options", outs(a[0], changed(a[1], 60, 1)), "1 1"},
		{"traffic class", outs(b[0], changed(b[1], 15, 0x10)), "1 1"},
		{"flow label", outs(b[0], changed(b[1], 17, 1)), "1 1"},
		{"hop limit", outs(b[0], changed(b[1], 21, 1)), "1 1"},
		{"IPv6 address", outs(b[0], changed(b[1], 53, 1)), "1 1"},
		{"IPv6 version", outs(changed(b[0], 14, 0x10), changed(b[1], 14, 0x10)), "1 1"},
		{"IPv6 length", outs(b[0], damaged(b[1], 19)), "1 1"},
		{"IPv4 length", outs(a[0], changed(a[1], 17, 1)), "1 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.t = t
			if got := describe(c.coalesce(tc.in, mtu)); got != tc.want {
				t.Errorf("came out as %s, want %s", got, tc.want)
			}
		})
	}
}

// One bit at a time of the second segment, everywhere in its headers and in some of
// its payload: it comes out as it was.
func TestCoalesceOfFlippedBits(t *testing.T) {
	for _, in := range []shape{stream4(2 * 200), stream6(2 * 200)} {
		in.size = 200
		segs := in.segments(t)
		c := newTestCoalescer(t)
		for bit := range 8 * len(segs[1]) {
			for _, right := range []bool{true, false} {
				f := bytes.Clone(segs[1])
				f[bit/8] ^= 1 << (bit % 8)
				if right {
					stamp(f)
				}
				c.coalesce(outs(segs[0], f, segs[0]), mtu)
			}
		}
	}
}

// What says the same and is written in another way would come back in the usual
// one.
func TestCoalesceOfUnusualChecksums(t *testing.T) {
	in := stream4(3 * 1448)
	for v := range 1 << 16 {
		binary.BigEndian.PutUint16(in.data[1448+500:], uint16(v))
		f := in.segments(t)[1]
		if f[50]|f[51] != 0 {
			continue
		}
		segs := in.segments(t)
		if got := describe(newTestCoalescer(t).coalesce(outs(segs...), mtu)); got != "3" {
			t.Errorf("with a checksum of zero %s", got)
		}
		segs[1][50], segs[1][51] = 0xff, 0xff
		if got := describe(newTestCoalescer(t).coalesce(outs(segs...), mtu)); got != "1 1 1" {
			t.Errorf("with a checksum of all ones %s", got)
		}
		return
	}
	t.Fatal("no payload makes the checksum zero")
}

// Frames are given the status of what they were sent as.
func TestSettle(t *testing.T) {
	a, udp := stream4(5*1448).segments(t), udp4(100).whole(t)
	in := outs(a[0], udp, a[1], a[2], a[4])
	c := new(Coalescer)
	got := c.Coalesce(in, mtu)
	for i, s := range []frame.Status{frame.TooBig, frame.Failed, frame.Down} {
		got[i].Status = s
	}
	c.Settle(in)
	for i, want := range []frame.Status{frame.TooBig, frame.Failed, frame.TooBig, frame.TooBig, frame.Down} {
		if in[i].Status != want {
			t.Errorf("frame %d: status %d, want %d", i, in[i].Status, want)
		}
	}
	in = outs(a[0], a[2])
	got = c.Coalesce(in, mtu)
	got[1].Status = frame.Down
	c.Settle(in)
	if in[0].Status != frame.Sent || in[1].Status != frame.Down {
		t.Errorf("nothing joined: %d, %d", in[0].Status, in[1].Status)
	}
}

// Where the port's MTU is not known nothing can be said of segments.
func TestCoalesceWithoutMTU(t *testing.T) {
	in := outs(stream4(5 * 1448).segments(t)...)
	if got := describe(newTestCoalescer(t).coalesce(in, 0)); got != "1 1 1 1 1" {
		t.Error(got)
	}
}

// A connection more than are followed costs joins, and nothing else.
func TestCoalesceManyConnections(t *testing.T) {
	var in []frame.Out
	c := newTestCoalescer(t)
	for seg := range 2 {
		for i := range 500 {
			f := bytes.Clone(stream4(2 * 1448).segments(t)[seg])
			binary.BigEndian.PutUint16(f[34:], uint16(i))
			in = append(in, frame.Out{Bytes: stamp(f)})
		}
	}
	if got := len(c.coalesce(in, mtu)); got < 500 || got > 1000-32 {
		t.Errorf("%d frames of 1000", got)
	}
}

func TestCoalesceAllocates(t *testing.T) {
	var in []frame.Out
	for i, s := range []shape{stream4(20 * 1448), stream6(20 * 1428), stream4(0), udp4(5)} {
		for _, f := range s.segments(t) {
			f[11] = byte(i)
			in = append(in, frame.Out{Bytes: f})
		}
	}
	c := new(Coalescer)
	if n := testing.AllocsPerRun(20, func() { c.Coalesce(in, mtu); c.Settle(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkCoalesce is what a batch of 64 frames costs.
func BenchmarkCoalesce(b *testing.B) {
	apart := func(s shape) (in []frame.Out) { // each of a connection of its own
		for i := range 64 {
			f := bytes.Clone(s.whole(b))
			binary.BigEndian.PutUint16(f[34:], uint16(i))
			in = append(in, frame.Out{Bytes: stamp(f)})
		}
		return in
	}
	one := stream4(64 * 1448)
	one.flags.psh = false
	acks := apart(stream4(0))
	for i := range acks {
		copy(acks[i].Bytes[34:36], acks[0].Bytes[34:36])
	}
	var mixed []frame.Out
	for i := range 8 {
		for j := range 8 {
			f := bytes.Clone(one.segments(b)[i])
			f[35] = byte(j)
			mixed = append(mixed, frame.Out{Bytes: stamp(f)})
		}
	}
	for _, bb := range []struct {
		name string
		in   []frame.Out
	}{
		{"UDP of 60 bytes", apart(udp4(18))},
		{"acknowledgements of one connection", acks},
		{"acknowledgements of many", apart(stream4(0))},
		{"long segments, each of another connection", apart(stream4(1400))},
		{"one connection", outs(one.segments(b)...)},
		{"one connection over IPv6", outs(stream6(64 * 1428).segments(b)...)},
		{"eight connections in turn", mixed},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c := new(Coalescer)
			for b.Loop() {
				c.Coalesce(bb.in, mtu)
				c.Settle(bb.in)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(bb.in)), "ns/frame")
		})
	}
}
