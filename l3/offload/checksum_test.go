package offload

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

func TestFinishChecksum(t *testing.T) {
	for name, in := range shapes() {
		want := in.whole(t)
		f := append([]byte(nil), want...)
		o := in.partial(f)
		if !FinishChecksum(f, o) {
			t.Errorf("%s: refused", name)
		}
		if !bytes.Equal(f, want) {
			t.Errorf("%s: checksum % x, want % x", name, f[o.ChecksumStart+o.ChecksumAt:][:2], want[o.ChecksumStart+o.ChecksumAt:][:2])
		}
	}
}

func TestFinishChecksumOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyShape(t)
		want := in.whole(t)
		f := append([]byte(nil), want...)
		o := in.partial(f)
		padding := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "padding")
		f, want = append(f, padding...), append(want, padding...)
		if !FinishChecksum(f, o) || !bytes.Equal(f, want) {
			t.Fatalf("got  % x\nwant % x", f, want)
		}
	})
}

func TestFinishChecksumNothingToDo(t *testing.T) {
	f := tcp4(100).whole(t)
	before := append([]byte(nil), f...)
	if !FinishChecksum(f, frame.Offload{}) || !bytes.Equal(f, before) {
		t.Error("changed, or refused")
	}
}

// zeroSum returns a datagram whose checksum comes out as zero.
func zeroSum(t *testing.T, s shape) ([]byte, frame.Offload) {
	t.Helper()
	at := 16
	if s.udp {
		at = 6
	}
	s.data = data(100)
	for v := range 1 << 16 {
		binary.BigEndian.PutUint16(s.data[50:], uint16(v))
		f := s.whole(t)
		if c := binary.BigEndian.Uint16(f[s.l4()+at:]); c == 0 || c == 0xffff {
			return f, s.partial(f)
		}
	}
	t.Fatal("no payload makes the checksum zero")
	return nil, frame.Offload{}
}

// For UDP zero says that there is no checksum; TCP has no such rule.
func TestFinishChecksumZero(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   shape
		want uint16
	}{{"UDP", udp4(0), 0xffff}, {"UDP over IPv6", udp6(0), 0xffff}, {"TCP", tcp4(0), 0}} {
		f, o := zeroSum(t, tc.in)
		if !FinishChecksum(f, o) {
			t.Errorf("%s: refused", tc.name)
		}
		if got := binary.BigEndian.Uint16(f[o.ChecksumStart+o.ChecksumAt:]); got != tc.want {
			t.Errorf("%s: %#04x, want %#04x", tc.name, got, tc.want)
		}
	}
}

func TestFinishSCTP(t *testing.T) {
	f := udp4(100).whole(t)
	f[14+9] = 132
	sctp := f[34:]
	clear(sctp[8:12])
	want := crc32.Checksum(sctp, crc32.MakeTable(crc32.Castagnoli))
	copy(sctp[8:12], "junk")
	if !FinishChecksum(f, frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 8}) {
		t.Fatal("refused")
	}
	if got := binary.LittleEndian.Uint32(sctp[8:12]); got != want {
		t.Errorf("CRC %#08x, want %#08x", got, want)
	}
	if FinishChecksum(f[:34+11], frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 8}) {
		t.Error("a short header was accepted")
	}
}

func TestFinishChecksumRefuses(t *testing.T) {
	const l4 = 34
	for _, tc := range []struct {
		name string
		o    frame.Offload
		n    int
	}{
		{"super-frame", frame.Offload{NeedsChecksum: true, ChecksumStart: l4, ChecksumAt: 6, GSO: frame.GSOUDP, SegmentSize: 10}, 142},
		{"start beyond the frame", frame.Offload{NeedsChecksum: true, ChecksumStart: 143, ChecksumAt: 6}, 142},
		{"start far beyond the frame", frame.Offload{NeedsChecksum: true, ChecksumStart: 65535, ChecksumAt: 65535}, 142},
		{"start in the Ethernet header", frame.Offload{NeedsChecksum: true, ChecksumStart: 13, ChecksumAt: 6}, 142},
		{"field beyond the frame", frame.Offload{NeedsChecksum: true, ChecksumStart: l4, ChecksumAt: 108}, 142},
		{"field half beyond the frame", frame.Offload{NeedsChecksum: true, ChecksumStart: l4 + 1, ChecksumAt: 106}, 142},
		{"field at an odd place", frame.Offload{NeedsChecksum: true, ChecksumStart: l4, ChecksumAt: 7}, 142},
		{"field in the padding", frame.Offload{NeedsChecksum: true, ChecksumStart: l4, ChecksumAt: 108}, 150},
		{"no frame", frame.Offload{NeedsChecksum: true, ChecksumStart: l4, ChecksumAt: 6}, 0},
	} {
		f := append(udp4(100).whole(t), make([]byte, 8)...)[:tc.n]
		before := append([]byte(nil), f...)
		if FinishChecksum(f, tc.o) {
			t.Errorf("%s: accepted", tc.name)
		}
		if !bytes.Equal(f, before) {
			t.Errorf("%s: changed", tc.name)
		}
	}
}

// At most the checksum field changes, and then the sum comes out right.
func FuzzFinishChecksum(f *testing.F) {
	for _, s := range []shape{tcp4(100), udp6(100)} {
		b := s.whole(f)
		o := s.partial(b)
		f.Add(b, o.ChecksumStart, o.ChecksumAt)
	}
	f.Fuzz(func(t *testing.T, b []byte, start, at uint16) {
		before := append([]byte(nil), b...)
		ok := FinishChecksum(b, frame.Offload{NeedsChecksum: true, ChecksumStart: start, ChecksumAt: at})
		if !ok {
			if !bytes.Equal(b, before) {
				t.Fatal("refused and changed")
			}
			return
		}
		n, lo := 2, int(start)+int(at)
		if at == 8 {
			n = 4
		}
		copy(before[lo:lo+n], b[lo:lo+n])
		if !bytes.Equal(b, before) {
			t.Fatal("more than the checksum changed")
		}
	})
}

func TestFinishChecksumAllocates(t *testing.T) {
	f := tcp4(1000).whole(t)
	o := tcp4(1000).partial(f)
	sctp := frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 8}
	if n := testing.AllocsPerRun(100, func() { FinishChecksum(f, o); FinishChecksum(f, sctp) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
