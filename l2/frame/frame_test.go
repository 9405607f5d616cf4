package frame

import (
	"bytes"
	"net"
	"testing"
)

func TestParseMAC(t *testing.T) {
	tests := []struct {
		text string
		want MAC
		ok   bool
	}{
		{"02:00:00:00:01:02", MAC{2, 0, 0, 0, 1, 2}, true},
		{"02-00-00-00-01-02", MAC{2, 0, 0, 0, 1, 2}, true},
		{"0200.0000.0102", MAC{2, 0, 0, 0, 1, 2}, true},
		{"FF:ff:FF:ff:FF:ff", Broadcast, true},
		{"", MAC{}, false},
		{"02:00:00:00:01", MAC{}, false},
		{"02:00:00:00:01:02:03:04", MAC{}, false}, // an EUI-64
		{"02:00:00:00:01:0g", MAC{}, false},
	}
	for _, tt := range tests {
		got, err := ParseMAC(tt.text)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %v, %v; want %v, ok %t", tt.text, got, err, tt.want, tt.ok)
		}
	}
}

func FuzzParseMAC(f *testing.F) {
	f.Add("02:00:00:00:01:02")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMAC(text)
		if err != nil {
			return
		}
		if hw, err := net.ParseMAC(m.String()); err != nil || MAC(hw) != m {
			t.Errorf("%q is read as %v, which is not read back: %v", text, m, err)
		}
		if got := MACFromUint64(m.Uint64()); got != m {
			t.Errorf("%v by way of a number is %v", m, got)
		}
	})
}

func TestMACKinds(t *testing.T) {
	tests := []struct {
		text                            string
		multicast, zero, reserved, bpdu bool
	}{
		{"02:00:00:00:01:02", false, false, false, false},
		{"00:00:00:00:00:00", false, true, false, false},
		{"ff:ff:ff:ff:ff:ff", true, false, false, false},
		{"01:80:c2:00:00:00", true, false, true, true},
		{"01:80:c2:00:00:01", true, false, true, false},
		{"01:80:c2:00:00:0f", true, false, true, false},
		{"01:80:c2:00:00:10", true, false, false, false},
		{"01:80:c2:00:01:00", true, false, false, false},
		{"01:00:0c:cc:cc:cc", true, false, true, false},
		{"01:00:0c:cc:cc:cd", true, false, true, true},
		{"01:00:0c:cc:cc:ce", true, false, false, false},
	}
	for _, tt := range tests {
		m, err := ParseMAC(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if m.IsMulticast() != tt.multicast || m.IsZero() != tt.zero || m.IsReserved() != tt.reserved || m.IsBPDU() != tt.bpdu {
			t.Errorf("%s: multicast %t, zero %t, reserved %t, BPDU %t", m, m.IsMulticast(), m.IsZero(), m.IsReserved(), m.IsBPDU())
		}
	}
}

func TestMACText(t *testing.T) {
	var m MAC
	if err := m.UnmarshalText([]byte("02:00:00:00:01:02")); err != nil {
		t.Fatal(err)
	}
	if text, _ := m.MarshalText(); string(text) != "02:00:00:00:01:02" {
		t.Errorf("written as %s", text)
	}
	if err := m.UnmarshalText([]byte("host")); err == nil {
		t.Error("a word is no address")
	}
}

func TestBuffers(t *testing.T) {
	bufs := NewBuffers(3, 100)
	for i := range bufs {
		b := &bufs[i]
		b.Len = copy(b.Mem[b.Off:], bytes.Repeat([]byte{byte(i + 1)}, 100))
		if b.Len != 100 {
			t.Fatalf("room for %d bytes, want 100", b.Len)
		}
	}
	for i := range bufs {
		b := &bufs[i]
		copy(b.Prepend(8), "headroom") // must stay in this buffer's own memory
		if b.Off < 8 || !bytes.Equal(b.Bytes(), bytes.Repeat([]byte{byte(i + 1)}, 100)) {
			t.Errorf("buffer %d holds %x", i, b.Bytes())
		}
		if n := len(b.Prepend(8)); n != 108 {
			t.Errorf("%d bytes with the header, want 108", n)
		}
		if b.Off%4 != 2 {
			t.Errorf("frames start at %d: the IP header is not aligned", b.Off)
		}
	}
}

func TestTagAndView(t *testing.T) {
	if (Tag{TCI: 0xe064}).VID() != 100 {
		t.Error("PCP and DEI are not part of the VID")
	}
	for typ, want := range map[uint16]bool{0x8100: true, 0x88a8: true, 0x9100: true, 0x0800: false, 0x0100: false} {
		if IsTagType(typ) != want {
			t.Errorf("type %#04x: tag %t", typ, !want)
		}
	}
	f := Frame(append([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x06}, "payload"...))
	if f.Dst() != (MAC{1, 2, 3, 4, 5, 6}) || f.Src() != (MAC{7, 8, 9, 10, 11, 12}) || f.Type() != TypeARP || string(f.Payload()) != "payload" {
		t.Errorf("%s -> %s, %#04x, %q", f.Src(), f.Dst(), f.Type(), f.Payload())
	}
}
