package ip

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// slowSum is RFC 1071 as it is written: 16-bit words, one at a time.
func slowSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		if sum += w; sum > 0xffff {
			sum -= 0xffff
		}
	}
	return uint16(sum)
}

func anyBytes(max int) *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), 0, max) }

func TestSumKnown(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []byte
		want uint16
	}{
		{"empty", nil, 0},
		{"one byte", []byte{0xab}, 0xab00},
		{"RFC 1071 section 3", []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0xddf2},
		{"carry out of the last word", []byte{0xff, 0xff, 0xff, 0xff, 0, 1}, 1},
	} {
		if got := Sum(tc.in, 0); got != tc.want {
			t.Errorf("%s: Sum = %#04x, want %#04x", tc.name, got, tc.want)
		}
	}
}

func TestSumEveryLength(t *testing.T) {
	for _, fill := range []byte{0x00, 0x01, 0x80, 0xff} {
		b := make([]byte, 300)
		for i := range b {
			b[i] = fill
		}
		for n := range b {
			if got, want := Sum(b[:n], 0), slowSum(b[:n]); got != want {
				t.Fatalf("%d bytes of %#02x: Sum = %#04x, want %#04x", n, fill, got, want)
			}
		}
	}
}

func TestSumIsTheSlowSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, initial := anyBytes(600).Draw(t, "bytes"), rapid.Uint16().Draw(t, "initial")
		want := slowSum(append(binary.BigEndian.AppendUint16(nil, initial), b...))
		if got := Sum(b, initial); got != want {
			t.Fatalf("Sum = %#04x, want %#04x", got, want)
		}
	})
}

func TestSumsOfPiecesJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyBytes(100).Draw(t, "a"), anyBytes(100).Draw(t, "b")
		whole := append(append([]byte(nil), a...), b...)
		if got, want := Concat(Sum(a, 0), len(a), Sum(b, 0)), slowSum(whole); got != want {
			t.Fatalf("Concat = %#04x, want %#04x", got, want)
		}
		if len(a)%2 == 0 {
			if got, want := Add(Sum(a, 0), Sum(b, 0)), slowSum(whole); got != want {
				t.Fatalf("Add = %#04x, want %#04x", got, want)
			}
		}
	})
}

// A checksum brought along must verify exactly like one computed anew, in the
// corner that RFC 1624 was written for too: a sum of zero.
func TestUpdateKeepsAChecksumRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "header")
		h[0] |= 1 // some bit is always set in a header
		h[10], h[11] = 0, 0
		field := ^Sum(h, 0)
		at := rapid.SampledFrom([]int{2, 4, 6, 8, 12, 14, 16, 18}).Draw(t, "at")
		before, after := binary.BigEndian.Uint16(h[at:]), rapid.Uint16().Draw(t, "after")
		binary.BigEndian.PutUint16(h[at:], after)
		if got, want := Update(field, before, after), ^Sum(h, 0); got != want {
			t.Fatalf("Update = %#04x, computed anew %#04x", got, want)
		}
	})
}

func TestPseudoSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		proto := rapid.Byte().Draw(t, "proto")
		n := rapid.IntRange(0, 0xffff).Draw(t, "n")
		a4 := rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "v4 addresses")
		a6 := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "v6 addresses")

		header4 := binary.BigEndian.AppendUint16(append(append([]byte(nil), a4...), 0, proto), uint16(n))
		if got, want := PseudoIPv4([4]byte(a4[:4]), [4]byte(a4[4:]), proto, n), slowSum(header4); got != want {
			t.Fatalf("PseudoIPv4 = %#04x, want %#04x", got, want)
		}
		header6 := append(binary.BigEndian.AppendUint32(append([]byte(nil), a6...), uint32(n)), 0, 0, 0, proto)
		if got, want := PseudoIPv6([16]byte(a6[:16]), [16]byte(a6[16:]), proto, n), slowSum(header6); got != want {
			t.Fatalf("PseudoIPv6 = %#04x, want %#04x", got, want)
		}
	})
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint16(7), 1)
	f.Fuzz(func(t *testing.T, b []byte, initial uint16, cut int) {
		want := slowSum(append(binary.BigEndian.AppendUint16(nil, initial), b...))
		if got := Sum(b, initial); got != want {
			t.Fatalf("Sum = %#04x, want %#04x", got, want)
		}
		if cut < 0 || cut > len(b) {
			return
		}
		if got := Concat(Sum(b[:cut], initial), cut, Sum(b[cut:], 0)); got != want {
			t.Fatalf("in two pieces %#04x, want %#04x", got, want)
		}
	})
}

var sink uint16

func BenchmarkSum(b *testing.B) {
	for _, tc := range []struct {
		name string
		n    int
	}{{"20", 20}, {"1460", 1460}, {"65495", 65495}} {
		b.Run(tc.name, func(b *testing.B) {
			buf := make([]byte, tc.n)
			b.SetBytes(int64(tc.n))
			for b.Loop() {
				sink = Sum(buf, sink)
			}
		})
	}
}
