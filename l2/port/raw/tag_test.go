package raw

import (
	"bytes"
	"encoding/binary"
	"testing"

	"vxgw/l2/frame"
)

func TestTagIsTold(t *testing.T) { allWays(t, testTagIsTold) }

func testTagIsTold(t *testing.T, by way) {
	for _, offload := range []string{"on", "off"} {
		t.Run("rx-vlan-offload "+offload, func(t *testing.T) {
			w := newWire(t)
			run(t, w.b, "ethtool", "-K", dev, "rxvlan", offload)
			a, b := openIn(t, w.a, by(Config{})), openIn(t, w.b, by(Config{}))
			r := newReader(t, b)
			for _, c := range []struct {
				name      string
				tpid, tci uint16
			}{
				{"802.1Q", frame.TypeVLAN, 100},
				{"802.1ad", frame.TypeQinQ, 200},
				{"priority, VID 0", frame.TypeVLAN, 5 << 13},
				{"VID 0 and TCI 0", frame.TypeVLAN, 0},
				{"802.1ad, TCI 0", frame.TypeQinQ, 0},
				{"every bit set", frame.TypeVLAN, 0xffff},
			} {
				t.Run(c.name, func(t *testing.T) {
					plain := makeFrame(100)
					send(t, a, withTag(plain, c.tpid, c.tci))
					got := r.next(isTest)
					if want := (frame.Tag{Present: true, TPID: c.tpid, TCI: c.tci}); got.Tag != want {
						t.Errorf("tag %+v, want %+v", got.Tag, want)
					}
					if !bytes.Equal(got.Bytes(), plain) {
						t.Errorf("got % x", got.Bytes())
					}
				})
			}
		})
	}
}

func TestTagsThatStayInTheBytes(t *testing.T) { allWays(t, testTagsThatStayInTheBytes) }

func testTagsThatStayInTheBytes(t *testing.T, by way) {
	a, b := newPair(t, by)
	r := newReader(t, b)
	t.Run("inner of two", func(t *testing.T) {
		inner := withTag(makeFrame(100), frame.TypeVLAN, 7)
		send(t, a, withTag(inner, frame.TypeQinQ, 8))
		got := r.next(isType(frame.TypeVLAN))
		if !got.Tag.Present || got.Tag.TCI != 8 || !bytes.Equal(got.Bytes(), inner) {
			t.Errorf("tag %+v, bytes % x", got.Tag, got.Bytes())
		}
	})
	t.Run("0x9100", func(t *testing.T) {
		f := withTag(makeFrame(100), frame.TypeOldQinQ, 9)
		send(t, a, f)
		got := r.next(isType(frame.TypeOldQinQ))
		if got.Tag.Present || !bytes.Equal(got.Bytes(), f) {
			t.Errorf("tag %+v, bytes % x", got.Tag, got.Bytes())
		}
	})
	t.Run("cut off within the tag", func(t *testing.T) {
		for n := 14; n < 18; n++ {
			send(t, a, withTag(makeFrame(100), frame.TypeVLAN, 9)[:n])
		}
		send(t, a, makeFrame(99)) // what is not fit to be untagged may be lost
		if got := r.next(isTest); got.Tag.Present || got.Len != 99 {
			t.Errorf("got %+v", got)
		}
	})
}

// The tag leaves the bytes, and the offsets of the checksum go with it.
func TestTaggedUnfinishedChecksum(t *testing.T) { bothWays(t, testTaggedUnfinishedChecksum) }

func testTaggedUnfinishedChecksum(t *testing.T, by way) {
	for _, offload := range []string{"on", "off"} {
		t.Run("rx-vlan-offload "+offload, func(t *testing.T) {
			w := newWire(t)
			run(t, w.b, "ethtool", "-K", dev, "rxvlan", offload)
			a, b := openIn(t, w.a, by(Config{})), openIn(t, w.b, by(Config{}))
			r := newReader(t, b)
			plain := tcpFrame(1000)
			o := frame.Offload{NeedsChecksum: true, ChecksumStart: 34 + frame.TagLen, ChecksumAt: 16}
			sendOut(t, a, []frame.Out{{Bytes: withTag(plain, frame.TypeVLAN, 33), Offload: o}})
			got := r.next(isType(frame.TypeIPv4))
			o.ChecksumStart -= frame.TagLen
			if got.Offload != o || got.Tag.TCI != 33 || !bytes.Equal(got.Bytes(), plain) {
				t.Errorf("offload %+v, want %+v; tag %+v", got.Offload, o, got.Tag)
			}
		})
	}
}

func TestTaggedSuperframe(t *testing.T) { allWays(t, testTaggedSuperframe) }

func testTaggedSuperframe(t *testing.T, by way) {
	a, b := newPair(t, by)
	plain := tcpFrame(30000)
	o := frame.Offload{NeedsChecksum: true, ChecksumStart: 34 + frame.TagLen, ChecksumAt: 16, GSO: frame.GSOTCPv4, SegmentSize: 1400}
	sendOut(t, a, []frame.Out{{Bytes: withTag(plain, frame.TypeVLAN, 33), Offload: o}})
	got := newReader(t, b).next(isType(frame.TypeIPv4))
	o.ChecksumStart -= frame.TagLen
	if got.Offload != o || got.Tag.TCI != 33 || !bytes.Equal(got.Bytes(), plain) {
		t.Errorf("offload %+v, want %+v; tag %+v, %d bytes", got.Offload, o, got.Tag, got.Len)
	}
}

// tcpFrame returns an IPv4 frame of n bytes with a TCP header whose checksum
// field holds nothing yet.
func tcpFrame(n int) []byte {
	f := makeFrame(n)
	f[0] &^= 1 // somebody's
	binary.BigEndian.PutUint16(f[12:], frame.TypeIPv4)
	ip := f[14:]
	clear(ip[:40])
	ip[0], ip[8], ip[9] = 0x45, 64, protoTCP
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], "\x0a\x00\x00\x01\x0a\x00\x00\x02")
	ip[20+12] = 5 << 4
	return f
}
