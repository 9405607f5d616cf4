package raw

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// vnet returns a virtio-net header.
func vnet(flags, gso uint8, size, start, at uint16) []byte {
	h := make([]byte, vnetLen)
	h[vnetFlags], h[vnetGSOType] = flags, gso
	binary.NativeEndian.PutUint16(h[vnetSegmentSize:], size)
	binary.NativeEndian.PutUint16(h[vnetChecksumStart:], start)
	binary.NativeEndian.PutUint16(h[vnetChecksumAt:], at)
	return h
}

// tcp6Frame returns an IPv6 frame with TCP behind a destination options header
// of 8 bytes when options is set.
func tcp6Frame(n int, options bool) []byte {
	f := makeFrame(n)
	binary.BigEndian.PutUint16(f[12:], frame.TypeIPv6)
	clear(f[14 : 14+48])
	f[14], f[14+6] = 0x60, protoTCP
	if options {
		f[14+6], f[14+40] = 60, protoTCP
	}
	return f
}

func tunnelled(o frame.Offload) frame.Offload {
	o.Tunnelled = true
	return o
}

func TestDecodeOffload(t *testing.T) {
	const needs, valid = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, unix.VIRTIO_NET_HDR_F_DATA_VALID
	const tcp4, tcp6, udp = unix.VIRTIO_NET_HDR_GSO_TCPV4, unix.VIRTIO_NET_HDR_GSO_TCPV6, unix.VIRTIO_NET_HDR_GSO_UDP_L4
	udpFrame := tcpFrame(3000)
	udpFrame[14+9] = protoUDP
	sum := func(start, at uint16) frame.Offload {
		return frame.Offload{NeedsChecksum: true, ChecksumStart: start, ChecksumAt: at}
	}
	super := func(o frame.Offload, g frame.GSO, size uint16) frame.Offload {
		o.GSO, o.SegmentSize = g, size
		return o
	}
	for _, c := range []struct {
		name   string
		header []byte
		frame  []byte
		want   frame.Offload
	}{
		{"nothing", vnet(0, 0, 0, 0, 0), tcpFrame(100), frame.Offload{}},
		{"valid already", vnet(valid, 0, 0, 0, 0), tcpFrame(100), frame.Offload{}},
		{"sizes without meaning", vnet(0, 0, 9, 9, 9), tcpFrame(100), frame.Offload{}},
		{"checksum", vnet(needs, 0, 0, 34, 16), tcpFrame(100), sum(34, 16)},
		{"checksum at the end", vnet(needs, 0, 0, 34, 64), tcpFrame(100), sum(34, 64)},
		{"checksum past the end", vnet(needs, 0, 0, 34, 65), tcpFrame(100), cannot},
		{"checksum far past the end", vnet(needs, 0, 0, 0xffff, 0xffff), tcpFrame(100), cannot},
		{"checksum in the Ethernet header", vnet(needs, 0, 0, 13, 16), tcpFrame(100), cannot},
		{"TCP", vnet(needs, tcp4, 1448, 34, 16), tcpFrame(3000), super(sum(34, 16), frame.GSOTCPv4, 1448)},
		{"TCP with CWR", vnet(needs, tcp4|unix.VIRTIO_NET_HDR_GSO_ECN, 1448, 34, 16), tcpFrame(3000), super(sum(34, 16), frame.GSOTCPv4, 1448)},
		{"TCP, checksum done", vnet(0, tcp4, 1448, 0, 0), tcpFrame(3000), super(frame.Offload{}, frame.GSOTCPv4, 1448)},
		{"TCP without a size", vnet(needs, tcp4, 0, 34, 16), tcpFrame(3000), cannot},
		{"TCP, summed elsewhere", vnet(needs, tcp4, 1448, 84, 16), tcpFrame(3000), cannot},
		{"TCP in a UDP tunnel", vnet(needs, tcp4, 1448, 84, 16), udpFrame, tunnelled(super(sum(84, 16), frame.GSOTCPv4, 1448))},
		{"TCP in a tunnel, not summed", vnet(0, tcp4, 1448, 0, 0), udpFrame, cannot},
		{"TCP over IPv6", vnet(needs, tcp6, 1428, 54, 16), tcp6Frame(3000, false), super(sum(54, 16), frame.GSOTCPv6, 1428)},
		{"TCP behind options", vnet(needs, tcp6, 1428, 62, 16), tcp6Frame(3000, true), super(sum(62, 16), frame.GSOTCPv6, 1428)},
		{"the wrong IP version", vnet(needs, tcp6, 1428, 34, 16), tcpFrame(3000), cannot},
		{"the other wrong one", vnet(needs, tcp4, 1428, 54, 16), tcp6Frame(3000, false), cannot},
		{"no IP at all", vnet(0, tcp4, 1428, 0, 0), makeFrame(3000), cannot},
		{"too short for IP", vnet(0, tcp4, 1, 0, 0), tcpFrame(60)[:20], cannot},
		{"UDP", vnet(needs, udp, 1400, 34, 6), udpFrame, super(sum(34, 6), frame.GSOUDP, 1400)},
		{"UDP fragments", vnet(needs, unix.VIRTIO_NET_HDR_GSO_UDP, 1400, 34, 6), udpFrame, cannot},
		{"a kind yet to come", vnet(needs, 0x21, 1400, 34, 6), udpFrame, cannot},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := decodeOffload(c.header, c.frame); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestEncodeCarriesCWR(t *testing.T) {
	o := frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 16, GSO: frame.GSOTCPv4, SegmentSize: 1448}
	h, f := make([]byte, vnetLen), tcpFrame(3000)
	for _, cwr := range []bool{false, true} {
		if cwr {
			f[34+13] |= 0x80
		}
		if ok := encodeOffload(h, o, f); !ok || h[vnetGSOType]&unix.VIRTIO_NET_HDR_GSO_ECN != 0 != cwr {
			t.Errorf("CWR %v: %v, gso_type %#x", cwr, ok, h[vnetGSOType])
		}
	}
}

// FuzzOffload: whatever the header says, what comes out can be acted on, and
// survives being written and read again.
func FuzzOffload(f *testing.F) {
	f.Add(vnet(1, 1, 1448, 34, 16), tcpFrame(200))
	f.Add(vnet(1, 4, 1428, 62, 16), tcp6Frame(200, true))
	f.Add(vnet(1, 0, 0, 34, 8), tcpFrame(100))
	f.Add(vnet(0, 0x85, 1, 0, 0), makeFrame(14))
	f.Fuzz(func(t *testing.T, header, b []byte) {
		if len(header) < vnetLen || len(b) > frame.MaxLen {
			return
		}
		o := decodeOffload(header[:vnetLen], b)
		if o == cannot {
			return
		}
		if o.NeedsChecksum && (int(o.ChecksumStart) < frame.HeaderLen || int(o.ChecksumStart)+int(o.ChecksumAt)+2 > len(b)) {
			t.Fatalf("%+v is outside of %d bytes", o, len(b))
		}
		if (o.GSO == frame.GSONone) != (o.SegmentSize == 0) {
			t.Fatalf("%+v", o)
		}
		again := make([]byte, vnetLen)
		if !encodeOffload(again, o, b) {
			t.Fatalf("%+v cannot be written", o)
		}
		if back := decodeOffload(again, b); back != o {
			t.Fatalf("%+v became %+v", o, back)
		}
		c := bytes.Clone(b)
		finishSCTP(&o, c)
		if o.NeedsChecksum && !bytes.Equal(b, c) {
			t.Fatalf("bytes changed under %+v", o)
		}
	})
}

func TestFinishSCTP(t *testing.T) {
	f := tcpFrame(100)
	f[14+9] = 132
	o := frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: sctpChecksumAt}
	copy(f[42:], "junk")
	finishSCTP(&o, f)
	got := binary.LittleEndian.Uint32(f[42:])
	clear(f[42:46])
	if want := crc32.Checksum(f[34:], crc32.MakeTable(crc32.Castagnoli)); got != want || !o.None() {
		t.Errorf("CRC %#x, want %#x; left %+v", got, want, o)
	}
	short := frame.Offload{NeedsChecksum: true, ChecksumStart: 90, ChecksumAt: sctpChecksumAt}
	if finishSCTP(&short, f); short != cannot {
		t.Errorf("cut off in the CRC: %+v", short)
	}
}
