package ip

import (
	"bytes"
	"encoding/binary"
	"testing"

	"vxgw/l2/frame"
)

// packet4 is a frame with an IPv4 packet of n bytes of payload: its options, and
// what its flags and fragment offset are.
func packet4(options []byte, field uint16, n int) []byte {
	hl := IPv4HeaderLen + len(options)
	f := make([]byte, frame.HeaderLen+hl+n)
	binary.BigEndian.PutUint16(f[12:14], frame.TypeIPv4)
	h := IPv4(f[frame.HeaderLen:])
	h.Encode(IPv4Fields{TotalLen: hl + n, ID: 0x1234, TTL: 64, Protocol: ProtoUDP, Src: [4]byte{10, 0, 0, 1}, Dst: [4]byte{10, 0, 0, 2}})
	h[0] = 4<<4 | uint8(hl/4)
	binary.BigEndian.PutUint16(h[6:8], field)
	copy(h[IPv4HeaderLen:hl], options)
	for i := range h[hl:] {
		h[hl+i] = byte(i * 7)
	}
	h.SetChecksum(0)
	h.SetChecksum(^Sum(h[:hl], 0))
	return f
}

// checkFragments checks that the fragments of a frame are the packet again, one after
// the other (RFC 791 section 3.2), and returns them.
func checkFragments(t *testing.T, f []byte, mtu int) (parts []IPv4, ok bool) {
	t.Helper()
	x, ok := Fragments(f, mtu)
	if !ok {
		return nil, false
	}
	whole, _ := ParseIPv4(f[frame.HeaderLen:])
	var body []byte
	b := make([]byte, frame.HeaderLen+mtu)
	for n := x.Next(b); n > 0; n = x.Next(b) {
		p, good := ParseIPv4(bytes.Clone(b[frame.HeaderLen:n]))
		if !good || len(p) != n-frame.HeaderLen || len(p) > mtu || !p.ChecksumOK() || p.ID() != whole.ID() {
			t.Fatalf("fragment % x", b[:n])
		}
		if at := whole.FragmentOffset() + len(body); p.FragmentOffset() != at {
			t.Fatalf("a fragment at %d, want it at %d", p.FragmentOffset(), at)
		}
		body = append(body, p.Payload()...)
		last := len(body) == len(whole.Payload())
		if more := p.fragment()&flagMF != 0; more != (!last || whole.fragment()&flagMF != 0) {
			t.Fatalf("more fragments: %t at %d of %d bytes", more, len(body), len(whole.Payload()))
		}
		parts = append(parts, p)
	}
	if !bytes.Equal(body, whole.Payload()) {
		t.Fatalf("%d bytes of payload come out of %d", len(body), len(whole.Payload()))
	}
	return parts, true
}

func TestFragments(t *testing.T) {
	routerAlert := []byte{148, 4, 0, 0} // in every fragment
	record := []byte{7, 7, 4, 1, 2, 3, 4, 0}
	tests := []struct {
		name    string
		f       []byte
		mtu     int
		parts   int // 0: it cannot be cut
		options int // bytes of options in the second
	}{
		{"it fits", packet4(nil, 0, 1000), 1020, 1, 0},
		{"two", packet4(nil, 0, 1480), 1400, 2, 0},
		{"an MTU that is no multiple of eight", packet4(nil, 0, 1480), 577, 3, 0},
		{"the least MTU", packet4(nil, 0, 100), 68, 3, 0},
		{"nothing in it", packet4(nil, 0, 0), 68, 1, 0},
		{"DF", packet4(nil, flagDF, 1480), 1400, 0, 0},
		{"below the least MTU", packet4(nil, 0, 1480), 67, 0, 0},
		{"a fragment in the middle", packet4(nil, flagMF|100, 1480), 1400, 2, 0},
		{"the last fragment", packet4(nil, 100, 1480), 1400, 2, 0},
		{"an option for all", packet4(routerAlert, 0, 1480), 1400, 2, 4},
		{"an option for the first", packet4(record, 0, 1480), 1400, 2, 0},
		{"the longest packet's end", packet4(nil, 8004, 1480), 1400, 2, 0},
		{"a fragment beyond the longest packet", packet4(nil, offsetMask, 1480), 1400, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parts, _ := checkFragments(t, tt.f, tt.mtu)
			if len(parts) != tt.parts {
				t.Fatalf("%d fragments, want %d", len(parts), tt.parts)
			}
			if len(parts) > 1 && parts[1].HeaderLen() != IPv4HeaderLen+tt.options {
				t.Errorf("a header of %d bytes", parts[1].HeaderLen())
			}
		})
	}
}

// Whatever is cut is the same again when it is put together.
func FuzzFragments(f *testing.F) {
	f.Add(packet4(nil, 0, 1480), uint16(577))
	f.Add(packet4([]byte{148, 4, 0, 0}, flagMF|100, 1000), uint16(68))
	f.Add(packet4(nil, offsetMask, 1480), uint16(1400))
	f.Fuzz(func(t *testing.T, b []byte, mtu uint16) {
		checkFragments(t, b, int(mtu))
	})
}
