package xdp

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
)

// skbContext is the start of struct __sk_buff.
type skbContext struct {
	Len, PacketType, Mark uint32
	_                     [180]byte
}

func newTestEncap(t *testing.T, slots int, v6 bool) *Encap {
	t.Helper()
	e, err := newEncap(slots, v6)
	if errors.Is(err, os.ErrPermission) || os.Geteuid() != 0 {
		t.Skipf("needs root to load a program (%v); `make test` provides it", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// run has the program see a frame with a mark, and returns what it makes of it.
func (e *Encap) run(t *testing.T, f []byte, mark uint32) (verdict int32, out []byte, outMark uint32) {
	t.Helper()
	in, after := skbContext{Mark: mark}, skbContext{}
	o := ebpf.RunOptions{Data: f, DataOut: make([]byte, len(f)+256), Context: in, ContextOut: &after}
	v, err := e.prog.Run(&o)
	if err != nil {
		t.Fatal(err)
	}
	return int32(v), o.DataOut, after.Mark
}

// testFrame is an Ethernet frame with an IPv4 packet of n bytes.
func testFrame(n int) []byte {
	f := append(bytes.Repeat([]byte{2}, 12), 8, 0)
	packet := bytes.Repeat([]byte{0xa5}, n)
	copy(packet, []byte{0x45, 0, byte(n >> 8), byte(n), 0, 0, 0x40, 0, 64, 6})
	return append(f, packet...)
}

func TestEncap(t *testing.T) {
	for name, v6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) {
			e := newTestEncap(t, 3, v6)
			outer, room := bytes.Repeat([]byte{1}, room4-8), room4
			copy(outer[12:], []byte{0x08, 0x00, 0x45})
			if v6 {
				outer, room = bytes.Repeat([]byte{1}, room6-8), room6
				copy(outer[12:], []byte{0x86, 0xdd, 0x60})
			}
			vxlan := []byte{8, 0, 0, 0, 0, 3, 0xe8, 0}
			f := testFrame(400)
			s := e.Slot(2)
			s.Put(outer, vxlan, f)
			v, got, mark := e.run(t, f, s.Mark)
			want := append(append(bytes.Clone(outer), vxlan...), f...)
			if v != tcxNext || mark != 0 || !bytes.Equal(got, want) || len(got) != len(f)+room {
				t.Errorf("verdict %d, mark %#x:\ngot  %x\nwant %x", v, mark, got, want)
			}
			if done, failed := s.Outcome(); done != 1 || failed != 0 {
				t.Errorf("%d done and %d failed, want 1 and 0", done, failed)
			}
		})
	}
}

// Frames that are not a slot's own pass as they are, whatever their mark.
func TestEncapLeavesOthersAlone(t *testing.T) {
	e := newTestEncap(t, 3, false)
	f := testFrame(400)
	for i := range 3 {
		e.Slot(i).Put(make([]byte, room4-8), make([]byte, 8), f)
	}
	tests := []struct {
		name  string
		frame []byte
		mark  uint32
	}{
		{"no mark", f, 0},
		{"another's mark", f, e.mark ^ 1<<12},
		{"the highest bit", f, e.mark ^ 1<<31},
		{"no such slot", f, e.mark | 3},
		{"another length", testFrame(401), e.mark | 1},
	}
	for _, tt := range tests {
		v, got, mark := e.run(t, tt.frame, tt.mark)
		if v != tcxNext || mark != tt.mark || !bytes.Equal(got, tt.frame) {
			t.Errorf("%s: verdict %d, mark %#x, %d bytes", tt.name, v, mark, len(got))
		}
	}
	for i := range 3 {
		if done, failed := e.Slot(i).Outcome(); done+failed != 0 {
			t.Errorf("slot %d: %d done and %d failed, want none", i, done, failed)
		}
	}
}

// What gets no headers is dropped and counted: there is no tunnel for what is not
// IP.
func TestEncapDropsWhatItCannotDo(t *testing.T) {
	e := newTestEncap(t, 1, false)
	f := testFrame(400)
	f[12], f[13] = 0x88, 0xb5
	s := e.Slot(0)
	s.Put(make([]byte, room4-8), make([]byte, 8), f)
	if v, _, _ := e.run(t, f, s.Mark); v != tcxDrop {
		t.Errorf("verdict %d, want %d", v, tcxDrop)
	}
	if done, failed := s.Outcome(); done != 0 || failed != 1 {
		t.Errorf("%d done and %d failed, want 0 and 1", done, failed)
	}
}

func TestEncapSlots(t *testing.T) {
	for _, n := range []int{0, MaxSlots + 1} {
		if e, err := newEncap(n, false); err == nil {
			t.Errorf("%d slots are taken", n)
			e.Close()
		}
	}
	e := newTestEncap(t, MaxSlots, true)
	marks := make(map[uint32]bool)
	for i := range MaxSlots {
		marks[e.Slot(i).Mark] = true
	}
	if len(marks) != MaxSlots || marks[0] {
		t.Errorf("%d marks for %d slots", len(marks), MaxSlots)
	}
}
