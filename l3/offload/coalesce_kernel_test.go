package offload

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// streams are what hosts send, as segments.
func streams(t *testing.T) map[string][][]byte {
	marked := func(s shape) [][]byte {
		s.flags.ece, s.tos = true, 3
		return s.segments(t)
	}
	loose := stream4(9000)
	loose.df = false
	tiny, jumbo := stream4(30), stream6(60000)
	tiny.size, jumbo.size = 1, 8900
	return map[string][][]byte{
		"IPv4":                    stream4(20 * 1448).segments(t),
		"IPv4, the last is short": stream4(20*1448 + 7).segments(t),
		"IPv4, 64 KiB":            stream4(60 * 1448).segments(t),
		"IPv4 without DF":         loose.segments(t),
		"IPv4, congested":         marked(stream4(9000)),
		"IPv6":                    stream6(20 * 1428).segments(t),
		"IPv6, the last is short": stream6(20*1428 + 7).segments(t),
		"IPv6, 64 KiB":            stream6(60 * 1428).segments(t),
		"IPv6, congested":         marked(stream6(9000)),
		"a byte a segment":        tiny.segments(t),
		"jumbo frames":            jumbo.segments(t),
	}
}

// The kernel cuts what was joined into what it was before.
func TestKernelCutsWhatWasJoined(t *testing.T) {
	out, in := pair(t)
	for name, segs := range streams(t) {
		c := newTestCoalescer(t)
		joined := c.coalesce(outs(segs...), 9500)
		if len(joined) > 2 {
			t.Errorf("%s: %s", name, describe(joined))
		}
		for _, o := range joined {
			if err := sendOffloaded(out, o.Bytes, o.Offload); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for i, got := range receive(t, in, len(segs)) {
			if !bytes.Equal(got, segs[i]) {
				t.Fatalf("%s: segment %d of %d\ngot  % x\nwant % x", name, i, len(segs), got, segs[i])
			}
		}
	}
}

// The kernel's GRO joins the same segments to the same super-frames.
func TestJoinedIsWhatTheKernelJoins(t *testing.T) {
	inNamespace(t)
	run(t, "ip link add out0 type veth peer name in0")
	for _, name := range []string{"out0", "in0"} {
		run(t, "ip link set "+name+" mtu 9500 addrgenmode none up")
		run(t, "ethtool -L "+name+" rx 1 tx 1") // what comes in at once has to meet
	}
	run(t, "ethtool -K out0 tx off sg off tso off gso off")
	run(t, "ethtool -K in0 gro on")
	out, in := packetSocket(t, "out0", 1), packetSocket(t, "in0", 1)
	congested := stream4(20 * 1448)
	congested.flags.ece, congested.tos = true, 3
	for name, sh := range map[string]shape{
		"IPv4": stream4(20 * 1448), "IPv4, 64 KiB": stream4(45 * 1448), "IPv4, congested": congested,
		"IPv6": stream6(20 * 1428), "IPv6, 64 KiB": stream6(45 * 1428),
	} {
		// Cut by the kernel it arrives as segments, all at once. The last of
		// them still belongs to the sending socket, and is not joined.
		f, o := sh.super(t)
		if err := sendOffloaded(out, f, o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		segs := sh.segments(t)
		segs = segs[:len(segs)-1]
		got := newTestCoalescer(t).coalesce(outs(segs...), 9500)
		if len(got) != 1 {
			t.Fatalf("%s: %s", name, describe(got))
		}
		want := receiveWhole(t, in, len(got[0].Bytes))
		if !bytes.Equal(got[0].Bytes, want.Bytes) || got[0].Offload != want.Offload {
			t.Errorf("%s: with %+v\n% x\nthe kernel with %+v\n% x", name, got[0].Offload, got[0].Bytes[:80], want.Offload, want.Bytes[:80])
		}
	}
}

// receiveWhole reads the next frame from macA that is n bytes long, with what the
// kernel notes of it.
func receiveWhole(t *testing.T, fd, n int) (o frame.Out) {
	t.Helper()
	b := make([]byte, 1<<17)
	for {
		k, err := unix.Read(fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			t.Fatalf("no frame of %d bytes: %v", n, err)
		case k != 10+n || !bytes.Equal(b[10+6:10+12], macA):
			continue
		}
		o.Bytes = b[10:k]
		o.Offload = frame.Offload{
			NeedsChecksum: b[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0,
			ChecksumStart: binary.NativeEndian.Uint16(b[6:]), ChecksumAt: binary.NativeEndian.Uint16(b[8:]),
			SegmentSize: binary.NativeEndian.Uint16(b[4:]),
			GSO:         map[byte]frame.GSO{1: frame.GSOTCPv4, 4: frame.GSOTCPv6}[b[1]],
		}
		return o
	}
}
