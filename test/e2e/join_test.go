package e2e

import (
	"bytes"
	"net/netip"
	"testing"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/packet"
)

// segments returns count segments of a TCP connection over IPv4 and as many of one
// over IPv6, in turn, with UDP between.
func segments(count int) (all [][]byte) {
	payload := bytes.Repeat([]byte{0x5a, 0xa5, 7}, 500)[:segmentSize]
	from4, to4 := netip.MustParseAddrPort("203.0.113.1:80"), netip.MustParseAddrPort("203.0.113.2:5000")
	from6, to6 := netip.MustParseAddrPort("[2001:db8:9::1]:80"), netip.MustParseAddrPort("[2001:db8:9::2]:5000")
	for i := range count {
		all = append(all, packet.Segment(h1MAC, ra1MAC, from4, to4, i, payload), packet.Segment(h1MAC, ra1MAC, from6, to6, i, payload))
		if i%10 == 9 {
			all = append(all, packet.Numbered(h1MAC, ra1MAC, uint32(i)))
		}
	}
	return all
}

// segmentSize is the data in a segment, in bytes.
const segmentSize = 1400

// carried returns how many bytes of data TCP frames have.
func carried(frames [][]byte) (n int) {
	for _, f := range frames {
		switch {
		case frame.Frame(f).Src() != ra1MAC:
		case frame.Frame(f).Type() == frame.TypeIPv6:
			n += len(f) - 74
		case f[23] == ip.ProtoTCP:
			n += len(f) - 54
		}
	}
	return n
}

// kind is the EtherType, and UDP told from TCP.
func kind(f []byte) [2]uint16 { return [2]uint16{frame.Frame(f).Type(), uint16(f[23])} }

// TCP segments that come out of the overlay together go to a port as super-frames,
// which the kernel cuts again where the device cannot: a host then gets, byte for
// byte, what was sent to it. Ports count the segments either way.
func TestSegmentsFromTheOverlay(t *testing.T) {
	t.Parallel()
	const count = 20
	b := newBed(t, 1, 1700)
	b.start(settings{more: "[datapath]\nmode = \"raw\"\n"}) // the workers join
	h1 := capture(t, b.hosts, "h1")
	sent := segments(count)
	b.fromHost("h1", packet.Numbered(frame.Broadcast, h1MAC, 1)) // who h1 is
	wantTx := uint64(0)
	round := func() {
		b.pause(func() { b.fromPeer(encapsulated(vtepA, sent)...) }) // all in one batch
		wantTx += uint64(len(sent))
		eventually(t, "all segments are counted", func() bool { return rows[api.PortRow](b.gateway, "ports")[0].TxPackets >= wantTx })
		if p := rows[api.PortRow](b.gateway, "ports")[0]; p.TxPackets != wantTx {
			t.Errorf("acc1 counts %d packets, want %d", p.TxPackets, wantTx)
		}
	}

	must(t, b.ns.Offloads("acc1", false))
	round()
	must(t, h1.WaitMatch(len(sent), func(f []byte) bool { return frame.Frame(f).Src() == ra1MAC }, patience))
	byKind := make(map[[2]uint16][][]byte)
	for _, f := range h1.Frames() {
		byKind[kind(f)] = append(byKind[kind(f)], f)
	}
	for _, f := range sent {
		k := kind(f)
		if len(byKind[k]) == 0 || !bytes.Equal(byKind[k][0], f) {
			t.Fatalf("of kind %#x want\n% x\nhave %d", k, f, len(byKind[k]))
		}
		byKind[k] = byKind[k][1:]
	}

	// With offloads on the host gets what was joined. A process that is to stop may
	// still read the first few packets, so how much is in each is not certain.
	must(t, b.ns.Offloads("acc1", true))
	before := len(h1.Frames())
	round()
	must(t, h1.WaitMatch(2, func(f []byte) bool { return len(f) > 5*segmentSize }, patience))
	eventually(t, "all data is there", func() bool { return carried(h1.Frames()[before:]) >= 2*count*segmentSize })
	frames := h1.Frames()[before:]
	if got := carried(frames); got != 2*count*segmentSize {
		t.Errorf("%d bytes of data in %d frames, want %d", got, len(frames), 2*count*segmentSize)
	}
	b.wantDrops(drops{})
}
