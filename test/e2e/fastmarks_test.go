package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/bench/load"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// marked returns a frame with a TOS or traffic class, and n in the last byte of its source
// address. There is no UDP checksum in which that would be.
func marked(dst, src frame.MAC, six bool, tos, n uint8) []byte {
	if six {
		from := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: n})
		f := packet.UDP(dst, src, netip.AddrPortFrom(from, 5000), netip.MustParseAddrPort("[2001:db8::ffff]:80"), []byte("who is marked how"))
		binary.BigEndian.PutUint16(f[14:], 6<<12|uint16(tos)<<4)
		f[60], f[61] = 0, 0
		return f
	}
	f := unsummed(dst, src, netip.AddrFrom4([4]byte{203, 0, 113, n}).String(), "198.51.100.2")
	f[15] = tos
	return reseal(f)
}

// tosAndNumber returns the TOS or traffic class of a frame, and its number.
func tosAndNumber(f []byte) (tos, n uint8) {
	if frame.Frame(f).Type() == frame.TypeIPv6 {
		return uint8(binary.BigEndian.Uint16(f[14:]) >> 4), f[37]
	}
	return f[15], f[29]
}

// isMarked tells frames of these tests from others, bare or encapsulated.
func isMarked(f []byte) bool {
	in := inner(f)
	return len(in) >= 60 && (in[12] == 8 && in[13] == 0 && in[26] == 203 || in[12] == 0x86 && in[53] == 0xff)
}

// shoot sends frames as a way has them sent.
func (b *fastBed) shoot(from sender, frames [][]byte) {
	b.t.Helper()
	if !b.live {
		must(b.t, from.ns.Send(from.dev, frames...))
		return
	}
	g, err := load.NewGenerator(from.ns, load.Stream{Frames: frames, Devices: []string{from.dev}})
	must(b.t, err)
	must(b.t, g.Send(len(frames)))
	must(b.t, g.Close())
}

// The outer DSCP is the inner one or the configured one, and the outer ECN field is the
// inner one: of packets that the kernel's programs send alone, every byte is as it is to be.
func TestFastMarksPackets(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, underlay string
		outer          func(tos uint8) uint8
	}{
		{"inherited", "", func(tos uint8) uint8 { return tos }},
		{"fixed", "dscp = 10", func(tos uint8) uint8 { return 10<<2 | tos&3 }},
	} {
		for _, w := range fastWays {
			t.Run(tc.name+" "+w.name, func(t *testing.T) {
				b := newFastBed(t, fastBed{way: w, underlay: tc.underlay})
				b.isFast(t, b.flow(t, journeys()[0], most))
				for _, six := range []bool{false, true} {
					var frames [][]byte
					for i, tos := range []uint8{0, 1, 2, 3, 46 << 2, 46<<2 | 2, 46<<2 | 3, 1 << 2, 63<<2 | 1, 0xff} {
						frames = append(frames, marked(ra1MAC, h1MAC, six, tos, uint8(10+i)))
					}
					at := capture(t, b.peer, "und0", netns.Only(isMarked))
					b.pause(func() {
						b.shoot(sender{b.hosts, "h1"}, frames)
						must(t, at.Wait(len(frames), patience))
					})
					for _, p := range at.Frames() {
						_, n := tosAndNumber(inner(p))
						sent := frames[n-10]
						tos, _ := tosAndNumber(sent)
						if want := b.outerOf(p, sent, tc.outer(tos)); !bytes.Equal(p, want) {
							t.Errorf("TOS %#x, IPv6 %t:\n% x\nwant\n% x", tos, six, p, want)
						}
					}
					must(t, at.Close())
				}
			})
		}
	}
}

// outerOf returns what a frame is to be sent as, with the source port of p.
func (b *fastBed) outerOf(p, inner []byte, tos uint8) []byte {
	f := packet.UDP(peerMAC, gwMAC, netip.AddrPortFrom(gwAddr, vxlanPacket(p).sport()), netip.AddrPortFrom(vtepA, vxlanPort), packet.VXLAN(vni, inner))
	h := ip.IPv4(f[14:])
	h.Encode(ip.IPv4Fields{TOS: tos, TotalLen: len(f) - 14, DontFragment: true, TTL: 64, Protocol: ip.ProtoUDP, Src: gwAddr.As4(), Dst: vtepA.As4()})
	f[40], f[41] = 0, 0
	return reseal(f)
}

// Of what comes out of the tunnel the ECN field is as RFC 6040 section 4.2 has it, nothing
// else changes, and the outer DSCP is not copied. Where the field stays the programs carry
// by themselves; what is folded in or dropped goes up, and is counted.
func TestFastFoldsECN(t *testing.T) {
	t.Parallel()
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	const dropped = 0xff
	becomes := map[uint8][4]uint8{ // by the inner field, and then the outer one
		notECT: {notECT, notECT, notECT, dropped},
		ect1:   {ect1, ect1, ect1, ce},
		ect0:   {ect0, ect1, ect0, ce},
		ce:     {ce, ce, ce, ce},
	}
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			b := newFastBed(t, fastBed{way: w})
			b.isFast(t, b.flow(t, journeys()[1], most))
			before := b.dropped()
			for _, six := range []bool{false, true} {
				var frames [][]byte
				want := make(map[uint8][]byte)
				alone, all := 0, 0
				for in := range uint8(4) {
					for out := range uint8(4) {
						n := 10 + 4*in + out
						tos := 46<<2 | in
						p := b.wrap(vni, marked(h1MAC, ra1MAC, six, tos, n))
						p[15] = 20<<2 | out
						frames = append(frames, reseal(p))
						is := becomes[in][out]
						if is == dropped {
							continue
						}
						all++
						if is == in {
							alone++
						}
						want[n] = marked(h1MAC, ra1MAC, six, 46<<2|is, n)
					}
				}
				at := capture(t, b.hosts, "h1", netns.Only(isMarked))
				b.pause(func() {
					b.shoot(sender{b.peer, "und0"}, frames)
					must(t, at.Wait(alone, patience))
					if n := len(at.Frames()); n != alone {
						t.Errorf("the programs carried %d frames, want %d", n, alone)
					}
				})
				must(t, at.Wait(all, patience))
				for _, f := range at.Frames() {
					tos, n := tosAndNumber(f)
					if !bytes.Equal(f, want[n]) {
						t.Errorf("inner ECN %d, outer %d, IPv6 %t: TOS %#x\n% x\nwant\n% x", (n-10)/4, (n-10)%4, six, tos, f, want[n])
					}
					delete(want, n)
				}
				if len(want) > 0 {
					t.Errorf("%d frames are missing", len(want))
				}
				must(t, at.Close())
			}
			before["ecn overlay"] += 2
			eventually(t, fmt.Sprintf("two drops for ECN are counted, of %v", before), func() bool {
				is := b.dropped()
				return is["ecn overlay"] == before["ecn overlay"] && len(is) == len(before)
			})
		})
	}
}
