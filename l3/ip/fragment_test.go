package ip

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

// inFrame puts an Ethernet header in front of a packet, and padding behind it.
func inFrame(h IPv4, padding int) []byte {
	f := make([]byte, frame.HeaderLen, frame.HeaderLen+len(h)+padding)
	copy(f[0:6], macB)
	copy(f[6:12], macA)
	binary.BigEndian.PutUint16(f[12:14], frame.TypeIPv4)
	f = append(f, h...)
	return append(f, bytes.Repeat([]byte{0xee}, padding)...)
}

// setFragment writes the flags and the offset, in bytes, and mends the checksum.
func setFragment(h IPv4, offset int, flags uint16) {
	binary.BigEndian.PutUint16(h[6:8], uint16(offset/8)|flags)
	h.SetChecksum(0)
	h.SetChecksum(^Sum(h[:h.HeaderLen()], 0))
}

// cut returns all fragments of a frame, each in memory of its own.
func cut(t interface{ Fatalf(string, ...any) }, f []byte, mtu int) (all [][]byte) {
	x, ok := Fragments(f, mtu)
	if !ok {
		t.Fatalf("no fragments of % x for %d bytes", f, mtu)
	}
	for range 1 << 14 {
		dst := bytes.Repeat([]byte{0xaa}, frame.HeaderLen+mtu+8)
		n := x.Next(dst)
		if !bytes.Equal(dst[n:], bytes.Repeat([]byte{0xaa}, len(dst)-n)) {
			t.Fatalf("wrote past %d bytes", n)
		}
		if n == 0 {
			return all
		}
		all = append(all, dst[:n])
	}
	t.Fatalf("no end of fragments for %d bytes", mtu)
	return nil
}

// copied returns the options that every fragment has, as RFC 791 section 3.1 has it,
// padded to four bytes.
func copied(options []byte) (out []byte) {
	for i := 0; i < len(options) && options[i] != 0; {
		n := 1
		if options[i] != 1 {
			n = int(options[i+1])
		}
		if options[i]&0x80 != 0 {
			out = append(out, options[i:i+n]...)
		}
		i += n
	}
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	return out
}

// checkFragments puts the fragments of a packet together as RFC 791 section 3.2 has
// it, and compares that with the packet.
func checkFragments(t interface{ Fatalf(string, ...any) }, f []byte, mtu int, all [][]byte) {
	whole, _ := ParseIPv4(f[frame.HeaderLen:])
	more := whole.fragment()&flagMF != 0
	next := 0
	for i, b := range all {
		h, ok := ParseIPv4(b[frame.HeaderLen:])
		switch {
		case !ok || len(h) != len(b)-frame.HeaderLen || !bytes.Equal(b[:14], f[:14]):
			t.Fatalf("fragment %d is no packet: % x", i, b)
		case len(h) > mtu:
			t.Fatalf("fragment %d has %d bytes, more than %d", i, len(h), mtu)
		case slowSum(h[:h.HeaderLen()]) != 0xffff:
			t.Fatalf("fragment %d has a wrong checksum: % x", i, h)
		case h.FragmentOffset() != whole.FragmentOffset()+next:
			t.Fatalf("fragment %d is at %d, want %d+%d", i, h.FragmentOffset(), whole.FragmentOffset(), next)
		case h.DontFragment() || h.fragment()&flagMF != 0 != (more || i < len(all)-1):
			t.Fatalf("fragment %d of %d has flags %#04x", i, len(all), h.fragment()&^offsetMask)
		case !bytes.Equal(h.Payload(), whole.Payload()[next:next+len(h.Payload())]):
			t.Fatalf("fragment %d has % x", i, h.Payload())
		case len(h.Payload()) == 0 && len(whole.Payload()) != 0:
			t.Fatalf("fragment %d is empty", i)
		case i < len(all)-1 && (len(h.Payload())%8 != 0 || len(h)+8 <= mtu):
			t.Fatalf("fragment %d has %d bytes of payload: no multiple of eight, or too few", i, len(h.Payload()))
		}
		// Version, TOS, identification, TTL, protocol and addresses are everyone's.
		if h[1] != whole[1] || h.ID() != whole.ID() || !bytes.Equal(h[8:10], whole[8:10]) || !bytes.Equal(h[12:20], whole[12:20]) {
			t.Fatalf("fragment %d has the header % x, want one like % x", i, h[:20], whole[:20])
		}
		want := whole.options()
		if i > 0 {
			want = copied(want)
		}
		if !bytes.Equal(h.options(), want) {
			t.Fatalf("fragment %d has the options % x, want % x", i, h.options(), want)
		}
		next += len(h.Payload())
	}
	if next != len(whole.Payload()) || len(all) == 0 {
		t.Fatalf("%d bytes of %d in %d fragments", next, len(whole.Payload()), len(all))
	}
}

// anyOptions draws options that can be walked.
func anyOptions(t *rapid.T) (o []byte) {
	for range rapid.IntRange(0, 4).Draw(t, "options") {
		one := []byte{optionNOP}
		if rapid.Bool().Draw(t, "long") {
			data := rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "data")
			one = append([]byte{rapid.SampledFrom([]byte{7, 68, 82, 130, 134, 148}).Draw(t, "type"), uint8(2 + len(data))}, data...)
		}
		if len(o)+len(one) <= IPv4MaxHeaderLen-IPv4HeaderLen {
			o = append(o, one...)
		}
	}
	return o
}

func TestFragmentsGiveThePacketBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// The bytes of the payload do not matter, and rapid draws few long slices.
		n := rapid.OneOf(rapid.IntRange(0, 3000), rapid.IntRange(1000, 3000)).Draw(t, "payload")
		h := with4(anyOptions(t), payload(n))
		h.SetTOS(rapid.Byte().Draw(t, "TOS"))
		flags := uint16(0)
		if rapid.Bool().Draw(t, "MF") {
			flags = flagMF
		}
		setFragment(h, 8*rapid.IntRange(0, (0xffff-len(h))/8).Draw(t, "offset"), flags)
		f := inFrame(h, rapid.IntRange(0, 20).Draw(t, "padding"))
		before := bytes.Clone(f)
		mtu := rapid.OneOf(rapid.IntRange(68, 200), rapid.IntRange(68, 3100)).Draw(t, "MTU")
		checkFragments(t, f, mtu, cut(t, f, mtu))
		if !bytes.Equal(f, before) {
			t.Fatalf("the packet was changed")
		}
	})
}

// The longest packet that there is comes through the smallest MTU.
func TestFragmentsOfTheLongestPacket(t *testing.T) {
	f := inFrame(with4([]byte{148, 4, 0, 0}, payload(0xffff-24)), 0)
	checkFragments(t, f, 68, cut(t, f, 68))
}

func TestFragmentsKnown(t *testing.T) {
	type piece struct {
		offset, n int
		more      bool
	}
	for _, tc := range []struct {
		name  string
		n     int // bytes of payload
		at    int // where it is a fragment of something longer
		flags uint16
		mtu   int
		want  []piece
	}{
		{"fits", 100, 0, 0, 120, []piece{{0, 100, false}}},
		{"one byte too long", 101, 0, 0, 120, []piece{{0, 96, true}, {96, 5, false}}},
		{"nothing in it", 0, 0, 0, 68, []piece{{0, 0, false}}},
		{"one byte in it", 1, 0, 0, 68, []piece{{0, 1, false}}},
		{"1500 bytes through 1450", 1480, 0, 0, 1450, []piece{{0, 1424, true}, {1424, 56, false}}},
		{"the smallest MTU", 100, 0, 0, 68, []piece{{0, 48, true}, {48, 48, true}, {96, 4, false}}},
		{"an MTU of no multiple of eight", 110, 0, 0, 75, []piece{{0, 48, true}, {48, 48, true}, {96, 14, false}}},
		{"but the last takes all that fits", 103, 0, 0, 75, []piece{{0, 48, true}, {48, 55, false}}},
		{"the last fragment again", 100, 1480, 0, 100, []piece{{1480, 80, true}, {1560, 20, false}}},
		{"a middle fragment again: MF stays", 96, 1480, flagMF, 100, []piece{{1480, 80, true}, {1560, 16, true}}},
		{"up to the end of 65535 bytes", 99, 65416, 0, 68, []piece{{65416, 48, true}, {65464, 48, true}, {65512, 3, false}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := with4(nil, payload(tc.n))
			setFragment(h, tc.at, tc.flags)
			var got []piece
			for _, b := range cut(t, inFrame(h, 0), tc.mtu) {
				h, _ := ParseIPv4(b[14:])
				got = append(got, piece{h.FragmentOffset(), len(h.Payload()), h.fragment()&flagMF != 0})
			}
			if len(got) != len(tc.want) {
				t.Fatalf("got %v, want %v", got, tc.want)
			}
			for i := range got {
				if got[i] != tc.want[i] {
					t.Errorf("fragment %d: %v, want %v", i, got[i], tc.want[i])
				}
			}
		})
	}
}

// gopacket reads the fragments as packets, options and all.
func TestFragmentsForGopacket(t *testing.T) {
	h := with4([]byte{7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 1}, payload(500))
	all := cut(t, inFrame(h, 0), 200)
	for i, b := range all {
		l, ok := checksumsRight(t, b).Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		if !ok {
			t.Fatalf("fragment %d: no IPv4", i)
		}
		var types []uint8
		for _, o := range l.Options {
			types = append(types, o.OptionType)
		}
		want := []uint8{148}
		if i == 0 {
			want = []uint8{7, 148, 1}
		}
		if !bytes.Equal(types, want) {
			t.Errorf("fragment %d has options %v, want %v", i, types, want)
		}
	}
	if len(all) < 3 {
		t.Errorf("only %d fragments", len(all))
	}
}

func TestFragmentsRefuse(t *testing.T) {
	plain := inFrame(with4(nil, payload(400)), 0)
	bent := func(at int, v ...byte) []byte {
		f := bytes.Clone(plain)
		copy(f[at:], v)
		return f
	}
	beyond := with4(nil, payload(400))
	setFragment(beyond, 0xfff8, 0)
	just := with4(nil, payload(400))
	setFragment(just, (0xffff-len(just)+8)&^7, 0)
	for _, tc := range []struct {
		name string
		f    []byte
		mtu  int
	}{
		{"DF", bent(14+6, 0x40), 1400},
		{"DF on a fragment", bent(14+6, 0x60, 8), 1400},
		{"an MTU of 67", plain, 67},
		{"an MTU of 0", plain, 0},
		{"IPv6", udp6(t, 400, nil), 1400},
		{"ARP", bent(13, 6), 1400},
		{"wrong version", bent(14, 0x65), 1400},
		{"longer than the frame", bent(14+2, 9), 1400},
		{"options that lie", inFrame(with4([]byte{7, 9, 0, 0}, payload(400)), 0), 1400},
		{"at the last offset there is", inFrame(beyond, 0), 100},
		{"a little beyond 65535 bytes", inFrame(just, 0), 100},
		{"no packet", plain[:14], 1400},
		{"no frame", plain[:13], 1400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, ok := Fragments(tc.f, tc.mtu); ok {
				t.Error("it is cut")
			}
		})
	}
}

func TestFragmentsWantRoom(t *testing.T) {
	x, ok := Fragments(inFrame(with4(nil, payload(400)), 0), 100)
	if !ok {
		t.Fatal("not cut")
	}
	if n := x.Next(make([]byte, 113)); n != 0 {
		t.Errorf("%d bytes in a buffer of 113", n)
	}
	if n := x.Next(make([]byte, 114)); n != 114 {
		t.Errorf("%d bytes, want the first fragment's 114: one that had no room is not lost", n)
	}
}

func TestFragmentsAllocateNothing(t *testing.T) {
	f := inFrame(with4([]byte{148, 4, 0, 0}, payload(1400)), 0)
	dst := make([]byte, 2048)
	n := testing.AllocsPerRun(100, func() {
		x, ok := Fragments(f, 576)
		count := 0
		for x.Next(dst) > 0 {
			count++
		}
		if !ok || count != 3 {
			t.Fatalf("%d fragments", count)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What can be cut gives its packet back.
func FuzzFragments(f *testing.F) {
	f.Add(inFrame(with4(nil, payload(300)), 4), 100)
	f.Add(inFrame(with4([]byte{7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 1}, payload(300)), 0), 68)
	late := with4(nil, payload(96))
	setFragment(late, 65400, flagMF)
	f.Add(inFrame(late, 0), 70)
	f.Fuzz(func(t *testing.T, b []byte, mtu int) {
		mtu = min(mtu, 9000)
		before := bytes.Clone(b)
		if _, ok := Fragments(b, mtu); !ok {
			return
		}
		checkFragments(t, b, mtu, cut(t, b, mtu))
		if !bytes.Equal(b, before) {
			t.Fatal("the packet was changed")
		}
	})
}
