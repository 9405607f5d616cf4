package faults

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/netns"
)

// virtio returns a virtio-net header.
func virtio(flags, gso uint8, headerLen, size, start, at uint16) (h [10]byte) {
	h[0], h[1] = flags, gso
	for i, v := range []uint16{headerLen, size, start, at} {
		binary.NativeEndian.PutUint16(h[2+2*i:], v)
	}
	return h
}

// tcpFrame returns a frame of TCP over IPv4, from the host to nobody, with n
// bytes of payload and the checksum left to whoever cuts it.
func tcpFrame(n int) []byte {
	f := make([]byte, 54+n)
	copy(f, []byte{2, 0, 0, 0, 9, 9})
	copy(f[6:], hostMAC[:])
	binary.BigEndian.PutUint16(f[12:], frame.TypeIPv4)
	h := ip.IPv4(f[14:])
	f[14], f[22], f[23] = 0x45, 64, ip.ProtoTCP
	h.SetTotalLen(40 + n)
	copy(f[26:], hostAddr.AsSlice())
	copy(f[30:], farAddr.AsSlice())
	h.SetChecksum(^ip.Sum(f[14:34], 0))
	f[46], f[47] = 0x50, 0x10 // five words of header, ACK
	binary.BigEndian.PutUint16(f[50:], h.PseudoSum(ip.ProtoTCP, 20+n))
	return f
}

// lies returns a frame and notes that contradict it, by what about them is wrong.
func lies() map[string]struct {
	header [10]byte
	f      []byte
} {
	const sum, tcp4, tcp6, udp = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, unix.VIRTIO_NET_HDR_GSO_TCPV4, unix.VIRTIO_NET_HDR_GSO_TCPV6, unix.VIRTIO_NET_HDR_GSO_UDP_L4
	type lie = struct {
		header [10]byte
		f      []byte
	}
	with := func(n int, change func([]byte)) []byte {
		f := tcpFrame(n)
		change(f)
		return f
	}
	length := func(v uint16) func([]byte) { return func(f []byte) { binary.BigEndian.PutUint16(f[16:], v) } }
	return map[string]lie{
		"segments longer than the frame":  {virtio(sum, tcp4, 54, 60000, 34, 16), tcpFrame(3000)},
		"segments of a byte":              {virtio(sum, tcp4, 54, 1, 34, 16), tcpFrame(60000)},
		"segments of nothing":             {virtio(sum, tcp4, 54, 0, 34, 16), tcpFrame(3000)},
		"headers longer than the frame":   {virtio(sum, tcp4, 65535, 1000, 34, 16), tcpFrame(3000)},
		"headers of nothing":              {virtio(sum, tcp4, 0, 1000, 34, 16), tcpFrame(3000)},
		"headers of a byte":               {virtio(sum, tcp4, 1, 1000, 34, 16), tcpFrame(3000)},
		"a checksum beyond the frame":     {virtio(sum, tcp4, 54, 1000, 3050, 16), tcpFrame(3000)},
		"a checksum far beyond":           {virtio(sum, 0, 0, 0, 65535, 65535), tcpFrame(100)},
		"a checksum in the MAC addresses": {virtio(sum, 0, 0, 0, 2, 2), tcpFrame(100)},
		"a checksum in the IP header":     {virtio(sum, 0, 0, 0, 14, 10), tcpFrame(100)},
		"a checksum in the last byte":     {virtio(sum, 0, 0, 0, 152, 1), tcpFrame(100)},
		"TCP over IPv6 that is IPv4":      {virtio(sum, tcp6, 54, 1000, 34, 16), tcpFrame(3000)},
		"UDP that is TCP":                 {virtio(sum, udp, 42, 1000, 34, 6), tcpFrame(3000)},
		"TCP that is no IP":               {virtio(sum, tcp4, 54, 1000, 34, 16), with(3000, func(f []byte) { f[12], f[13] = 0x88, 0xb5 })},
		"an IP length that is too short":  {virtio(sum, tcp4, 54, 1000, 34, 16), with(3000, length(100))},
		"an IP length that is too long":   {virtio(sum, tcp4, 54, 1000, 34, 16), with(3000, length(60000))},
		"an IP length of nothing":         {virtio(sum, tcp4, 54, 1000, 34, 16), with(3000, length(0))},
		"a TCP header of nothing":         {virtio(sum, tcp4, 54, 1000, 34, 16), with(3000, func(f []byte) { f[46] = 0 })},
		"a TCP header beyond the frame":   {virtio(sum, tcp4, 54, 1000, 34, 16), with(10, func(f []byte) { f[46] = 0xf0 })},
		"a kind that nobody knows":        {virtio(sum, 77, 54, 1000, 34, 16), tcpFrame(3000)},
	}
}

// TestVirtioHeadersThatLie sends frames whose virtio-net header contradicts them,
// those that the host's own kernel lets through, and then noise in all places of
// the header: the gateway goes on, every frame is read or counted, and whatever
// leaves for the VTEP is an IP packet as long as it says.
func TestVirtioHeadersThatLie(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	b.pings(t)
	wire, err := b.peer.Capture("und0", netns.Only(isVXLAN))
	must(t, err)
	passed := 0
	send := func(header [10]byte, f []byte) {
		if b.host.SendVirtio("eth0", header, f) == nil {
			passed++
		}
	}
	for _, l := range lies() {
		send(l.header, l.f)
	}
	named := passed
	r := rand.New(rand.NewPCG(7, 7))
	sizes := []uint16{0, 1, 2, 14, 34, 54, 536, 1448, 3000, 65535}
	any := func() uint16 { return sizes[r.IntN(len(sizes))] + uint16(r.IntN(3)) - 1 }
	for range 3000 {
		f := tcpFrame([]int{0, 10, 500, 3000, 20000}[r.IntN(5)])
		if r.IntN(2) == 0 { // a byte of its headers
			f[12+r.IntN(42)] ^= 1 << r.IntN(8)
		}
		send(virtio(uint8(r.IntN(4)), []uint8{0, 1, 3, 4, 5, 0x81, 0x84}[r.IntN(7)], any(), any(), any(), any()), f)
	}
	b.pings(t)
	t.Logf("the kernel lets %d of %d lies pass, and %d of 3000 headers of noise", named, len(lies()), passed-named)
	if named < 3 || passed-named < 100 {
		t.Errorf("too few for a test")
	}
	until(t, "every frame is read or counted", func() error {
		came, err := b.gw.Stats("acc1")
		must(t, err)
		is := rows[api.PortRow](d, "ports")[0].RxPackets
		lost := d.drops(forward.RxOverflow.String(), "access") + d.drops(forward.RxUnreadable.String(), "access")
		if is+lost != came.RxPackets {
			return fmt.Errorf("%d came, %d are read, %d lost", came.RxPackets, is, lost)
		}
		return nil
	})
	must(t, wire.Close())
	for _, c := range wire.Frames() {
		whole(t, c)
	}
	if n := d.lines("offload notes that do not describe it"); n > 1 {
		t.Errorf("it is said %d times", n)
	}
	nothingRaw(t, d.err.String())
}

// whole holds that a packet to the VTEP is as long as its headers say.
func whole(t *testing.T, f []byte) {
	t.Helper()
	if outer, ok := ip.ParseIPv4(f[14:]); !ok || len(outer) != len(f)-14 {
		t.Errorf("a packet of %d bytes does not agree with itself: %x", len(f), f[:60])
	}
	if to, _ := outerDst(f); to != peerAddr {
		t.Errorf("it goes to %v", to)
	}
}
