package vxlan

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

func TestPut(t *testing.T) {
	for _, tc := range []struct {
		name string
		vni  uint32
		want []byte
	}{
		{"VNI 1000", 1000, []byte{0x08, 0, 0, 0, 0x00, 0x03, 0xe8, 0}},
		{"VNI 1", 1, []byte{0x08, 0, 0, 0, 0, 0, 1, 0}},
		{"VNI 4096", 4096, []byte{0x08, 0, 0, 0, 0, 0x10, 0, 0}},
		{"VNI 65536", 0x010000, []byte{0x08, 0, 0, 0, 1, 0, 0, 0}},
		{"highest VNI", MaxVNI, []byte{0x08, 0, 0, 0, 0xff, 0xff, 0xff, 0}},
		{"25 bits", 1<<24 | 7, []byte{0x08, 0, 0, 0, 0, 0, 7, 0}},
	} {
		b := bytes.Repeat([]byte{0xaa}, HeaderLen+1)
		Put(b, tc.vni)
		if !bytes.Equal(b[:HeaderLen], tc.want) || b[HeaderLen] != 0xaa {
			t.Errorf("%s: % x, want % x", tc.name, b, tc.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name     string
		in       []byte
		vni      uint32
		reserved bool
		problem  Problem
	}{
		{"nothing", nil, 0, false, Short},
		{"one byte", []byte{0x08}, 0, false, Short},
		{"seven bytes", []byte{0x08, 0, 0, 0, 0, 0, 1}, 0, false, Short},
		{"VNI 1000", []byte{0x08, 0, 0, 0, 0, 3, 0xe8, 0}, 1000, false, OK},
		{"with a frame behind it", []byte{0x08, 0, 0, 0, 0, 3, 0xe8, 0, 0xff}, 1000, false, OK},
		{"VNI 0", []byte{0x08, 0, 0, 0, 0, 0, 0, 0}, 0, false, OK},
		{"highest VNI", []byte{0x08, 0, 0, 0, 0xff, 0xff, 0xff, 0}, MaxVNI, false, OK},
		{"no flag", []byte{0, 0, 0, 0, 0, 3, 0xe8, 0}, 0, false, NoVNI},
		{"flags 0x80", []byte{0x80, 0, 0, 0, 0, 3, 0xe8, 0}, 0, false, NoVNI},
		{"GPE next protocol without I", []byte{0x04, 0, 0, 1, 0, 3, 0xe8, 0}, 0, false, NoVNI},
		{"every flag but I", []byte{0xf7, 0, 0, 0, 0, 3, 0xe8, 0}, 0, false, NoVNI},
		{"GPE next protocol", []byte{0x0c, 0, 0, 1, 0, 3, 0xe8, 0}, 1000, true, OK},
		{"group policy", []byte{0x88, 0, 0, 9, 0, 3, 0xe8, 0}, 1000, true, OK},
	} {
		vni, reserved, problem := Parse(tc.in)
		if vni != tc.vni || reserved != tc.reserved || problem != tc.problem {
			t.Errorf("%s: %d %t %d, want %d %t %d", tc.name, vni, reserved, problem, tc.vni, tc.reserved, tc.problem)
		}
	}
}

// Each of the 39 reserved bits is seen, on its own, and takes nothing from the
// VNI.
func TestParseSeesEveryReservedBit(t *testing.T) {
	seen := 0
	for bit := range 64 {
		isFlagI, isVNI := bit == 59, bit >= 8 && bit < 32
		if isFlagI || isVNI {
			continue
		}
		var b [HeaderLen]byte
		binary.BigEndian.PutUint64(b[:], 1<<bit|0x08<<56|1000<<8)
		if vni, reserved, p := Parse(b[:]); vni != 1000 || !reserved || p != OK {
			t.Errorf("bit %d: VNI %d, reserved %t, problem %d", bit, vni, reserved, p)
		}
		seen++
	}
	if seen != 39 {
		t.Errorf("%d reserved bits, want 39", seen)
	}
}

func TestParseReadsWhatPutWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Uint32Max(MaxVNI).Draw(t, "vni")
		b := rapid.SliceOfN(rapid.Byte(), HeaderLen, 64).Draw(t, "memory")
		Put(b, want)
		if vni, reserved, p := Parse(b); vni != want || reserved || p != OK {
			t.Fatalf("%d %t %d, want %d", vni, reserved, p, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x08, 0, 0, 0, 0, 3, 0xe8, 0, 1, 2, 3})
	f.Add([]byte{0x08, 0, 0, 0, 0, 3, 0xe8})
	f.Fuzz(func(t *testing.T, b []byte) {
		vni, reserved, p := Parse(b)
		if (p == Short) != (len(b) < HeaderLen) || vni > MaxVNI {
			t.Fatalf("VNI %d, problem %d of %d bytes", vni, p, len(b))
		}
		if p != OK {
			return
		}
		var again [HeaderLen]byte
		Put(again[:], vni)
		if reserved == bytes.Equal(again[:], b[:HeaderLen]) {
			t.Fatalf("reserved %t, but Put writes % x for % x", reserved, again, b[:HeaderLen])
		}
	})
}

func TestHeaderAllocates(t *testing.T) {
	b := make([]byte, HeaderLen)
	if n := testing.AllocsPerRun(100, func() { Put(b, 1000); Parse(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
