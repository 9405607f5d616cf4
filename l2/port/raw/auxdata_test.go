package raw

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// controlMessage returns a control message as the kernel pads it.
func controlMessage(level, kind int, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	n := uint64(unix.CmsgLen(len(data)))
	if unix.SizeofCmsghdr == 12 {
		binary.NativeEndian.PutUint32(b, uint32(n))
	} else {
		binary.NativeEndian.PutUint64(b, n)
	}
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-8:], uint32(level))
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-4:], uint32(kind))
	copy(b[unix.SizeofCmsghdr:], data)
	return b
}

func auxBytes(status, length, snapped uint32, tci, tpid uint16) []byte {
	b := make([]byte, auxdataLen)
	binary.NativeEndian.PutUint32(b[0:], status)
	binary.NativeEndian.PutUint32(b[4:], length)
	binary.NativeEndian.PutUint32(b[8:], snapped)
	binary.NativeEndian.PutUint16(b[16:], tci)
	binary.NativeEndian.PutUint16(b[18:], tpid)
	return b
}

func TestParseAuxdata(t *testing.T) {
	aux := controlMessage(unix.SOL_PACKET, unix.PACKET_AUXDATA, auxBytes(1, 2, 3, 4, 5))
	other := controlMessage(unix.SOL_SOCKET, unix.SO_TIMESTAMP, make([]byte, 16))
	lies := append([]byte{0xff, 0xff}, aux[2:]...)
	for _, c := range []struct {
		name    string
		control []byte
		ok      bool
	}{
		{"alone", aux, true},
		{"second", append(other[:len(other):len(other)], aux...), true},
		{"without padding", aux[:unix.CmsgLen(auxdataLen)], true},
		{"nothing", nil, false},
		{"another", other, false},
		{"cut off", aux[:30], false},
		{"too long", lies, false},
		{"no length", make([]byte, 64), false},
		{"too little data", controlMessage(unix.SOL_PACKET, unix.PACKET_AUXDATA, make([]byte, 8)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := parseControl(c.control)
			if ok != c.ok {
				t.Fatalf("found %v, want %v", ok, c.ok)
			}
			if want := (auxdata{status: 1, length: 2, snapped: 3, tci: 4, tpid: 5}); ok && got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestAuxdataTag(t *testing.T) {
	const valid, tpid = unix.TP_STATUS_VLAN_VALID, unix.TP_STATUS_VLAN_TPID_VALID
	for _, c := range []struct {
		name string
		aux  auxdata
		want frame.Tag
	}{
		{"none", auxdata{tci: 7, tpid: frame.TypeVLAN}, frame.Tag{}},
		{"whole", auxdata{status: valid | tpid, tci: 7, tpid: frame.TypeQinQ}, frame.Tag{Present: true, TPID: frame.TypeQinQ, TCI: 7}},
		{"TCI zero", auxdata{status: valid | tpid, tpid: frame.TypeVLAN}, frame.Tag{Present: true, TPID: frame.TypeVLAN}},
		{"TPID not told", auxdata{status: valid, tci: 7, tpid: 9}, frame.Tag{Present: true, TPID: frame.TypeVLAN, TCI: 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.aux.tag(); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// FuzzParseAuxdata: it never reads outside, and agrees with the general parser
// where that one finds exactly what the kernel sends.
func FuzzParseAuxdata(f *testing.F) {
	f.Add(controlMessage(unix.SOL_PACKET, unix.PACKET_AUXDATA, auxBytes(0x51, 100, 100, 7, 0x8100)))
	f.Add(controlMessage(unix.SOL_SOCKET, unix.SO_TIMESTAMP, make([]byte, 16)))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, control []byte) {
		got, ok := parseControl(control)
		msgs, err := unix.ParseSocketControlMessage(control)
		if err != nil {
			return
		}
		for _, m := range msgs {
			if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= auxdataLen {
				if want := decodeAuxdata(m.Data); !ok || got != want {
					t.Fatalf("got %+v, %v; want %+v", got, ok, want)
				}
				return
			}
		}
		if ok {
			t.Fatalf("found %+v where there is none", got)
		}
	})
}
