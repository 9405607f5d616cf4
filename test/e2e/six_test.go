package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

var (
	gwSix   = netip.MustParseAddr("2001:db8::17")
	vtepSix = netip.MustParseAddr("2001:db8::34")
)

// outerLenSix is what stands in front of an inner frame on an IPv6 underlay.
const outerLenSix = 14 + 40 + 8 + 8

// newSix builds a bed whose underlay is IPv6, and runs the gateway.
func newSix(t *testing.T, underlay string) *bed {
	t.Helper()
	b := newBed(t, 1, 1600)
	must(t, b.ns.AddAddr("und0", gwSix.String()+"/64"))
	must(t, b.peer.AddAddr("und0", vtepSix.String()+"/64"))
	b.gateway = start(t, b.ns, fmt.Sprintf(`
[underlay]
address = "2001:db8::17"
%s
[[vni]]
id = 1000
vlan = 10
flood = ["2001:db8::34"]
[[port]]
interface = "acc1"
vlan = 10
`, underlay)).forwards()
	return b
}

// outerSix returns the frame that carries an inner frame from vtepSix to the
// gateway.
func outerSix(inner []byte) []byte {
	return packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(vtepSix, 0xc0de), netip.AddrPortFrom(gwSix, vxlanPort), packet.VXLAN(vni, inner))
}

func isUDPSix(f []byte) bool {
	return len(f) >= outerLenSix && frame.Frame(f).Type() == frame.TypeIPv6 && f[20] == ip.ProtoUDP
}

// What leaves over IPv6 is compared whole, but for the flow label and the source
// port, which must be the same throughout a flow.
func TestOuterHeaderIPv6(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, underlay string
		hops, class    uint8
		zero           bool
	}{
		{"as it comes", "", 64, 0, false},
		{"without UDP checksum", "udp_checksum = false", 64, 0, true},
		{"hop limit and DSCP", "ttl = 100\ndscp = 46", 100, 46 << 2, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newSix(t, tc.underlay)
			at := capture(t, b.peer, "und0", netns.Only(isUDPSix))
			sent := numbered(ra1MAC, h1MAC, 0, 10)
			b.fromHost("h1", sent...)
			must(t, at.Wait(10, patience))
			label, sport := at.Frames()[0][14:18], at.Frames()[0][54:56]
			for i, f := range at.Frames() {
				want := packet.UDP(peerMAC, gwMAC, netip.AddrPortFrom(gwSix, binary.BigEndian.Uint16(sport)), netip.AddrPortFrom(vtepSix, vxlanPort), packet.VXLAN(vni, sent[i]))
				copy(want[14:18], label)
				want[14], want[15] = 0x60|tc.class>>4, tc.class<<4|label[1]&0xf
				want[21] = tc.hops
				if tc.zero {
					want[60], want[61] = 0, 0
				}
				if !bytes.Equal(f, want) {
					t.Fatalf("packet %d:\n got % x\nwant % x", i, f, want)
				}
			}
			b.wantDrops(drops{})
		})
	}
}

// A zero checksum is refused unless the configuration says otherwise, a wrong
// one always; fragments and lengths that lie are counted as over IPv4.
func TestDecapIPv6(t *testing.T) {
	t.Parallel()
	good := outerSix(golden[outerLen:])
	with := func(f func(b []byte)) []byte {
		b := slices.Clone(good)
		f(b)
		return b
	}
	extension := func(next byte, header ...byte) []byte {
		b := slices.Concat(good[:54], header, good[54:])
		b[20] = next
		binary.BigEndian.PutUint16(b[18:], uint16(len(b)-54))
		return b
	}
	for _, tc := range []struct {
		name, underlay string
		zero           string // what becomes of a zero checksum
	}{
		{"as it comes", "", "outer_checksum"},
		{"without UDP checksums", "udp_checksum = false", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newSix(t, tc.underlay)
			at := capture(t, b.hosts, "h1")
			total := drops{}
			for _, c := range []struct {
				name   string
				packet []byte
				drop   string
			}{
				{"right checksum", good, ""},
				{"wrong checksum", with(func(b []byte) { b[61]++ }), "outer_checksum"},
				{"a bit changed on the way", with(func(b []byte) { b[120] ^= 1 }), "outer_checksum"},
				{"zero checksum", with(func(b []byte) { b[60], b[61] = 0, 0 }), tc.zero},
				{"UDP longer than its packet", with(func(b []byte) { b[59]++ }), "outer_malformed"},
				{"UDP of 7 bytes", with(func(b []byte) { b[58], b[59] = 0, 7 }), "outer_malformed"},
				{"IP longer than what came", with(func(b []byte) { b[19]++ }), "outer_malformed"},
				{"IP version 4 in an IPv6 frame", with(func(b []byte) { b[14] = 0x40 }), "outer_malformed"},
				{"first fragment", extension(44, ip.ProtoUDP, 0, 0, 1, 0, 0, 0, 9), "outer_fragment"},
				{"later fragment", extension(44, ip.ProtoUDP, 0, 5, 0xa8, 0, 0, 0, 10), "outer_fragment"},
				{"for another host", with(func(b []byte) { b[53]++ }), ignored},
				{"for all nodes", with(func(b []byte) { a := netip.MustParseAddr("ff02::1").As16(); copy(b[38:], a[:]) }), ignored},
			} {
				before := len(got(at))
				fence(t, rb1MAC, func(f ...[]byte) {
					b.fromPeer(append(slices.Repeat([][]byte{c.packet}, 10), outerSix(f[0]))...)
				}, at)
				var want [][]byte
				switch c.drop {
				case "":
					want = slices.Repeat([][]byte{golden[outerLen:]}, 10)
				case ignored:
				default:
					total[c.drop+" overlay"] += 10
				}
				wantFrames(t, got(at)[before:], want)
				b.wantDrops(total)
				if t.Failed() {
					t.Fatalf("that was: %s", c.name)
				}
			}
		})
	}
}
