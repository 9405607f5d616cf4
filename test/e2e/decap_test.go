package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// golden is an ICMP echo request from ra1MAC to h1MAC in VNI 1000, as a VTEP
// sends it: 148 bytes.
var golden = unhex(`
	02 00 00 00 f0 01 02 00 00 00 f0 02 08 00 45 00
	00 86 00 00 40 00 40 11 b6 33 c0 00 02 22 c0 00
	02 11 c0 de 12 b5 00 72 00 00 08 00 00 00 00 03
	e8 00 02 00 00 00 01 01 02 00 00 00 02 0a 08 00
	45 00 00 54 00 00 00 00 40 01 64 8a 0a 01 01 14
	0a 01 01 0a 08 00 ee b7 12 34 00 01 00 01 02 03
	04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13
	14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 20 21 22 23
	24 25 26 27 28 29 2a 2b 2c 2d 2e 2f 30 31 32 33
	34 35 36 37`)

// goldenChecksum is the UDP checksum of golden.
const goldenChecksum = 0xa833

// goldenWith returns golden with something changed.
func goldenWith(f func(b []byte)) []byte {
	b := slices.Clone(golden)
	f(b)
	return b
}

// got returns the captured frames that are no fences.
func got(c *netns.Capture) [][]byte {
	return slices.DeleteFunc(c.Frames(), func(f []byte) bool {
		n, ok := number(f)
		return ok && n > firstFence
	})
}

// wantFrames compares what came with what must have come.
func wantFrames(t testing.TB, have, want [][]byte) {
	t.Helper()
	if len(have) != len(want) {
		t.Errorf("%d frames, want %d", len(have), len(want))
	}
	for i := range min(len(have), len(want)) {
		if !bytes.Equal(have[i], want[i]) {
			t.Errorf("frame %d:\n got % x\nwant % x", i, have[i], want[i])
			return
		}
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600).start(settings{})
	atHost := capture(t, b.hosts, "h1")
	b.fromPeer(slices.Repeat([][]byte{golden}, 10)...)
	fence(t, ra1MAC, b.fromVTEP(vtepA), atHost)
	wantFrames(t, got(atHost), slices.Repeat([][]byte{golden[outerLen:]}, 10))
	b.wantDrops(drops{})
	if p, v := b.port("acc1"), b.vtep("192.0.2.34"); p.TxPackets != 11 || p.RxPackets != 0 || v.RxPackets != 11 || v.TxPackets != 0 {
		t.Errorf("port %+v, VTEP %+v: want 11 packets one way", p, v)
	}
}

// What one packet does: the reason for which it is dropped, "" where it is
// delivered, and ignored where it is not the gateway's at all.
const ignored = "-"

// received is one case of a packet from the underlay.
type received struct {
	name   string
	packet []byte
	drop   string // a reason, or ignored
	want   []byte // what comes out; nil: the inner frame of packet as it is
}

// receive sends each packet ten times and compares what came out and every
// counter.
func (b *bed) receive(t *testing.T, cases []received) {
	t.Helper()
	const times = 10
	total := b.dropped()
	atHost := capture(t, b.hosts, "h1")
	for _, tc := range cases {
		var want [][]byte
		switch {
		case tc.drop == ignored:
		case tc.drop != "":
			total[tc.drop+" overlay"] += times
		case tc.want != nil:
			want = slices.Repeat([][]byte{tc.want}, times)
		default:
			want = slices.Repeat([][]byte{tc.packet[outerLen:]}, times)
		}
		before := len(got(atHost))
		fence(t, rb1MAC, func(f ...[]byte) {
			b.fromPeer(append(slices.Repeat([][]byte{tc.packet}, times), encapsulated(vtepA, f)...)...)
		}, atHost)
		wantFrames(t, got(atHost)[before:], want)
		b.wantDrops(total)
		if t.Failed() {
			t.Fatalf("that was: %s", tc.name)
		}
	}
}

// innerIP returns a frame from ra1MAC to h1MAC with an ECN field.
func innerIP(six bool, ecn uint8) []byte {
	if six {
		f := packet.UDP(h1MAC, ra1MAC, netip.MustParseAddrPort("[2001:db8::1]:9"), netip.MustParseAddrPort("[2001:db8::2]:9"), []byte("IPv6"))
		f[15] |= ecn << 4
		return f
	}
	f := packet.UDP(h1MAC, ra1MAC, netip.MustParseAddrPort("203.0.113.1:9"), netip.MustParseAddrPort("203.0.113.2:9"), []byte("IPv4"))
	f[15] = 0x28 | ecn
	return reseal(f)
}

// The table of RFC 6040 section 4.2, every cell of it, over IPv4 and IPv6. The
// outer DSCP does not come in.
func TestDecapECN(t *testing.T) {
	t.Parallel()
	const notECT, ect1, ect0, ce, dropped = 0, 1, 2, 3, 4
	table := map[uint8]map[uint8]uint8{ // inner, outer
		notECT: {notECT: notECT, ect0: notECT, ect1: notECT, ce: dropped},
		ect0:   {notECT: ect0, ect0: ect0, ect1: ect1, ce: ce},
		ect1:   {notECT: ect1, ect0: ect1, ect1: ect1, ce: ce},
		ce:     {notECT: ce, ect0: ce, ect1: ce, ce: ce},
	}
	b := newBed(t, 1, 1600).start(settings{})
	var cases []received
	for in := range uint8(4) {
		for out := range uint8(4) {
			for _, six := range []bool{false, true} {
				p := outer(innerIP(six, in))
				ip.IPv4(p[14:]).SetTOS(0xb8 | out)
				c := received{name: fmt.Sprintf("inner %02b, outer %02b, IPv6 %t", in, out, six), packet: p}
				if e := table[in][out]; e == dropped {
					c.drop = "ecn"
				} else {
					c.want = innerIP(six, e)
				}
				cases = append(cases, c)
			}
		}
	}
	arp := outer(packet.ARP(h1MAC, packet.ARPReply, ra1MAC, netip.MustParseAddr("203.0.113.1"), h1MAC, netip.MustParseAddr("203.0.113.2")))
	ip.IPv4(arp[14:]).SetTOS(ce)
	b.receive(t, append(cases, received{name: "CE around what is not IP", packet: arp}))
}

// Short frames come out as short as they were, and nothing of what was in the
// buffers before comes with them.
func TestShortInnerFrames(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{})
	long := packet.Ethernet(h1MAC, ra1MAC, typeTest, bytes.Repeat([]byte{0xaa}, 1500))
	b.fromPeer(slices.Repeat([][]byte{outer(long)}, 300)...)
	atHosts := []*netns.Capture{capture(t, b.hosts, "h1"), capture(t, b.hosts, "h2")}
	fence(t, ra1MAC, b.fromVTEP(vtepA), atHosts...)
	var short [][]byte
	for n := 14; n < 60; n++ {
		short = append(short, outer(packet.Ethernet(nobody, ra1MAC, typeTest, make([]byte, n-14))))
	}
	b.fromPeer(short...)
	fence(t, ra1MAC, b.fromVTEP(vtepA), atHosts...)
	for _, c := range atHosts {
		n := 14
		for _, f := range got(c) {
			if frame.Frame(f).Dst() != nobody {
				continue
			}
			if len(f) != n || !bytes.Equal(f[14:], make([]byte, n-14)) {
				t.Errorf("a frame of %d bytes came as % x", n, f)
			}
			n++
		}
		if n != 60 {
			t.Errorf("the last frame had %d bytes, want 59", n-1)
		}
	}
	b.wantDrops(drops{})
}

// zeroSum is a packet whose UDP checksum comes out as zero, which is written as
// 0xffff (RFC 768).
func zeroSum() []byte {
	p := packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(vtepA, 0xc0de), netip.AddrPortFrom(gwAddr, vxlanPort), packet.VXLAN(vni, golden[outerLen:]))
	// The checksum is added to the last 16 bits that stand at an even place.
	at := len(p) - 2
	sum := uint32(binary.BigEndian.Uint16(p[at:])) + uint32(binary.BigEndian.Uint16(p[40:]))
	binary.BigEndian.PutUint16(p[at:], uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(p[40:], 0xffff)
	return p
}

func TestDecapChecksums(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600).start(settings{})
	sum := func(c uint16) []byte {
		return goldenWith(func(b []byte) { binary.BigEndian.PutUint16(b[40:], c) })
	}
	b.receive(t, []received{
		{name: "no UDP checksum", packet: golden},
		{name: "the right UDP checksum", packet: sum(goldenChecksum)},
		{name: "a wrong UDP checksum", packet: sum(goldenChecksum + 1), drop: "outer_checksum"},
		{name: "a bit changed on the way", packet: goldenWith(func(b []byte) {
			binary.BigEndian.PutUint16(b[40:], goldenChecksum)
			b[120] ^= 0x10
		}), drop: "outer_checksum"},
		{name: "a UDP checksum of 0xffff that stands for zero", packet: zeroSum()},
		{name: "a UDP checksum of 0xffff that is wrong", packet: sum(0xffff), drop: "outer_checksum"},
		{name: "a wrong IPv4 checksum", packet: goldenWith(func(b []byte) { b[25]++ }), drop: "outer_malformed"},
	})
}

// Packets that are cut short, lie about their lengths, or are not for the
// gateway.
func TestMalformed(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600).start(settings{})
	to := func(dst string) []byte {
		return goldenWith(func(b []byte) {
			a := netip.MustParseAddr(dst).As4()
			copy(b[30:], a[:])
			reseal(b)
		})
	}
	toAll := func(b []byte) []byte { copy(b, frame.Broadcast[:]); return b }
	udpLen := func(n uint16) []byte {
		return goldenWith(func(b []byte) { binary.BigEndian.PutUint16(b[38:], n) })
	}
	ipLen := func(n uint16) []byte {
		return goldenWith(func(b []byte) { binary.BigEndian.PutUint16(b[16:], n); reseal(b) })
	}
	fragment := func(bits uint16) []byte {
		return goldenWith(func(b []byte) { binary.BigEndian.PutUint16(b[20:], bits); reseal(b) })
	}
	first := func(c byte) []byte {
		return goldenWith(func(b []byte) { b[14] = c; reseal(b) })
	}
	as := func(src string) []byte {
		return goldenWith(func(b []byte) {
			a := netip.MustParseAddr(src).As4()
			copy(b[26:], a[:])
			reseal(b)
		})
	}
	b.receive(t, []received{
		{name: "UDP payload of 0 bytes", packet: outerPayload(vtepA, nil), drop: "too_short"},
		{name: "UDP payload of 1 byte", packet: outerPayload(vtepA, []byte{8}), drop: "too_short"},
		{name: "UDP payload of 7 bytes", packet: outerPayload(vtepA, golden[42:49]), drop: "too_short"},
		{name: "nothing inside VXLAN", packet: outerPayload(vtepA, golden[42:50]), drop: "too_short"},
		{name: "13 bytes inside VXLAN", packet: outerPayload(vtepA, golden[42:63]), drop: "too_short"},

		{name: "UDP longer than its packet", packet: udpLen(115), drop: "outer_malformed"},
		{name: "UDP of 65535 bytes", packet: udpLen(0xffff), drop: "outer_malformed"},
		{name: "UDP of 7 bytes", packet: udpLen(7), drop: "outer_malformed"},
		{name: "UDP of 0 bytes", packet: udpLen(0), drop: "outer_malformed"},
		{name: "UDP shorter than its packet", packet: udpLen(114 - 10), want: golden[outerLen : 148-10]},

		{name: "IP longer than what came", packet: ipLen(135), drop: "outer_malformed"},
		{name: "IP of 65535 bytes", packet: ipLen(0xffff), drop: "outer_malformed"},
		{name: "IP shorter than its header", packet: ipLen(19), drop: "outer_malformed"},
		{name: "IP shorter than UDP's header", packet: ipLen(27), drop: "outer_malformed"},
		{name: "bytes behind the IP packet", packet: append(slices.Clone(golden), make([]byte, 20)...), want: golden[outerLen:]},

		{name: "first fragment", packet: fragment(0x2000), drop: "outer_fragment"},
		{name: "later fragment that looks like VXLAN", packet: fragment(185), drop: "outer_fragment"},
		{name: "fragment in the middle", packet: fragment(0x2000 | 370), drop: "outer_fragment"},
		{name: "the reserved bit of RFC 791", packet: fragment(0x8000)},

		{name: "IP version 5", packet: first(0x55), drop: "outer_malformed"},
		{name: "IP version 3", packet: first(0x35), drop: "outer_malformed"},
		{name: "IP version 6 in an IPv4 frame", packet: first(0x65), drop: "outer_malformed"},
		{name: "IP header of 4 bytes", packet: first(0x41), drop: "outer_malformed"},
		{name: "IP header of 0 bytes", packet: first(0x40), drop: "outer_malformed"},

		{name: "for another host", packet: to("192.0.2.99"), drop: ignored},
		{name: "for another host, by broadcast", packet: toAll(to("192.0.2.99")), drop: ignored},
		{name: "to the broadcast address of the network", packet: toAll(to("192.0.2.255")), drop: ignored},
		{name: "to 255.255.255.255", packet: toAll(to("255.255.255.255")), drop: ignored},
		{name: "to a group that was not joined", packet: to("239.1.1.1"), drop: ignored},
		{name: "to 127.0.0.1", packet: to("127.0.0.1"), drop: ignored},
		{name: "from the gateway's own address", packet: as("192.0.2.17"), drop: "outer_malformed"},
		{name: "from 127.0.0.1", packet: as("127.0.0.1"), drop: "outer_malformed"},
		{name: "from 0.0.0.0", packet: as("0.0.0.0"), drop: "outer_malformed"},
		{name: "from 255.255.255.255", packet: as("255.255.255.255"), drop: "outer_malformed"},
		{name: "from the broadcast address of the network", packet: as("192.0.2.255"), drop: "vtep_not_allowed"},
		{name: "from a group", packet: as("224.0.0.1"), drop: "outer_malformed"},
		{name: "for another station", packet: goldenWith(func(b []byte) { b[5]++ }), drop: ignored},
		{name: "to another UDP port", packet: goldenWith(func(b []byte) { b[37]++ }), drop: ignored},
	})
}

// What VXLAN says and who says it.
func TestDecapHeader(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600).start(settings{})
	with := func(at int, v ...byte) []byte {
		return goldenWith(func(b []byte) { copy(b[at:], v) })
	}
	tagged := func(tpid, tci uint16) []byte { return outer(packet.Tagged(golden[outerLen:], tpid, tci)) }
	stranger := slices.Clone(golden)
	copy(stranger[26:], []byte{192, 0, 2, 200})
	b.receive(t, []received{
		{name: "VNI 999", packet: with(46, 0, 3, 0xe7), drop: "unknown_vni"},
		{name: "VNI 1001", packet: with(46, 0, 3, 0xe9), drop: "unknown_vni"},
		{name: "VNI 0", packet: with(46, 0, 0, 0), drop: "unknown_vni"},
		{name: "VNI 16777215", packet: with(46, 0xff, 0xff, 0xff), drop: "unknown_vni"},
		{name: "VNI in the wrong byte order", packet: with(46, 0xe8, 3, 0), drop: "unknown_vni"},

		{name: "no flag", packet: with(42, 0x00), drop: "vxlan_flags"},
		{name: "flags 80", packet: with(42, 0x80), drop: "vxlan_flags"},
		{name: "flags 04", packet: with(42, 0x04), drop: "vxlan_flags"},
		{name: "flags f7", packet: with(42, 0xf7), drop: "vxlan_flags"},
		{name: "flags 0c", packet: with(42, 0x0c)},
		{name: "flags 88", packet: with(42, 0x88)},

		{name: "a VTEP that is not allowed", packet: reseal(stranger), drop: "vtep_not_allowed"},

		{name: "inner VLAN 100", packet: tagged(0x8100, 100), drop: "inner_vlan"},
		{name: "inner priority tag", packet: tagged(0x8100, 5<<13), drop: "inner_vlan"},
		{name: "inner VLAN 4095", packet: tagged(0x8100, 4095), drop: "inner_vlan"},
		{name: "inner 802.1ad", packet: tagged(0x88a8, 100), drop: "inner_vlan"},
		{name: "inner 9100", packet: tagged(0x9100, 100), drop: "inner_vlan"},

		{name: "a group as source", packet: with(56, 1, 2, 3, 4, 5, 6), drop: "source_multicast"},
		{name: "broadcast as source", packet: with(56, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), drop: "source_multicast"},
		{name: "zero as source", packet: with(56, 0, 0, 0, 0, 0, 0), drop: "source_zero"},
		{name: "to 01-80-c2-00-00-00", packet: with(50, 1, 0x80, 0xc2, 0, 0, 0), drop: "reserved_destination"},
		{name: "to 01-80-c2-00-00-0e", packet: with(50, 1, 0x80, 0xc2, 0, 0, 0xe), drop: "reserved_destination"},
		{name: "to 01-80-c2-00-00-10", packet: with(50, 1, 0x80, 0xc2, 0, 0, 0x10)},
	})
	// Ten of each were dropped, and nobody was learned of but the two senders of
	// what was delivered.
	want := map[string]string{"1000 " + ra1MAC.String(): "vtep 192.0.2.34", "1000 " + rb1MAC.String(): "vtep 192.0.2.34"}
	if macs := b.macs(); fmt.Sprint(macs) != fmt.Sprint(want) {
		t.Errorf("learned %v, want %v", macs, want)
	}
	if v := rows[api.VTEPRow](b.gateway, "vteps"); len(v) != 1 {
		t.Errorf("VTEPs %v, want one", v)
	}
}

// Each of the 39 reserved bits of the VXLAN header, alone.
func TestReservedBits(t *testing.T) {
	t.Parallel()
	var bits [][]byte
	for bit := range 64 {
		at, mask := 42+bit/8, byte(0x80)>>(bit%8)
		if at == 42 && mask == 8 || at >= 46 && at < 49 {
			continue // the I flag and the VNI
		}
		bits = append(bits, goldenWith(func(b []byte) { b[at] |= mask }))
	}
	if len(bits) != 39 {
		t.Fatalf("%d reserved bits, want 39", len(bits))
	}
	for _, tc := range []struct {
		name, underlay string
		delivered      int
		drops          drops
	}{
		{"ignore", "", 39 + 10, drops{}},
		{"strict", `reserved_bits = "strict"`, 10, drops{"vxlan_reserved overlay": 39}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, 1, 1600).start(settings{underlay: tc.underlay})
			atHost := capture(t, b.hosts, "h1")
			b.fromPeer(append(slices.Clip(bits), slices.Repeat([][]byte{golden}, 10)...)...)
			fence(t, ra1MAC, b.fromVTEP(vtepA), atHost)
			wantFrames(t, got(atHost), slices.Repeat([][]byte{golden[outerLen:]}, tc.delivered))
			b.wantDrops(tc.drops)
		})
	}
}

// mangled says what becomes of golden with one bit changed.
func mangled(at int, mask byte) string {
	switch {
	case at < 6:
		// A group address that the packet does not have is no obstacle to
		// Linux; another station's is.
		if at == 0 && mask == 1 {
			return ""
		}
		return ignored
	case at < 12:
		return "" // the sender's address
	case at < 14:
		return ignored // another EtherType
	case at == 23:
		return ignored // another protocol
	case at < 30:
		return "outer_malformed" // the header's checksum is wrong, or its length
	case at < 34:
		return ignored // another destination
	case at < 36:
		return "" // the source port
	case at < 38:
		return ignored // another port
	case at < 40:
		if n := binary.BigEndian.Uint16(goldenWith(func(b []byte) { b[at] ^= mask })[38:]); n > 114 {
			return "outer_malformed"
		}
		return ""
	case at < 42:
		return "outer_checksum"
	case at == 42 && mask == 8:
		return "vxlan_flags"
	case at >= 46 && at < 49:
		return "unknown_vni"
	case at == 56 && mask == 1:
		return "source_multicast"
	}
	return ""
}

// Every bit of a packet changed, and every prefix of it: each is delivered as it
// is, or dropped for a reason that is counted, or was never the gateway's.
func TestMangled(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600).start(settings{})
	atHost := capture(t, b.hosts, "h1")
	want, delivered := drops{}, [][]byte{}
	var packets [][]byte
	for n := 14; n < len(golden); n++ {
		packets = append(packets, golden[:n])
		if n >= 34 {
			want["outer_malformed overlay"]++ // it says that it is longer
		}
	}
	for bit := range 8 * len(golden) {
		at, mask := bit/8, byte(1)<<(bit%8)
		p := goldenWith(func(b []byte) { b[at] ^= mask })
		packets = append(packets, p)
		switch d := mangled(at, mask); d {
		case "":
			n := int(binary.BigEndian.Uint16(p[38:]))
			delivered = append(delivered, p[outerLen:34+n])
		case ignored:
		default:
			want[d+" overlay"]++
		}
	}
	b.fromPeer(packets...)
	fence(t, rb1MAC, b.fromVTEP(vtepA), atHost)
	// The changed source ports may go by another queue than the rest.
	sameFrames(t, got(atHost), delivered)
	b.wantDrops(want)
}

// sameFrames compares without regard to the order.
func sameFrames(t testing.TB, have, want [][]byte) {
	t.Helper()
	count := make(map[string]int)
	for _, f := range want {
		count[string(f)]++
	}
	for _, f := range have {
		count[string(f)]--
	}
	for f, n := range count {
		if n != 0 {
			t.Errorf("% x: %d too few", f, n)
		}
	}
}
