package fabric

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	underlay "vxgw/l3/underlay/mem"
	"vxgw/test/packet"
)

// teach has VTEP b speak from RA, so that a knows where RA is.
func teach(n *Net) { n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, RA)) }

// RFC 7348 section 5: flags 0x08, the VNI, and every reserved bit zero.
func TestHeaderOnTheWire(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		teach(n)
		f := UDP(RA, H1, 56)
		w := n.Send("a.e1", f).Is("a>192.0.2.2").Wire()
		if want := []byte{8, 0, 0, 0, 0, 3, 0xe8, 0}; !bytes.Equal(w.Payload[:8], want) {
			t.Errorf("header % x, want % x", w.Payload[:8], want)
		}
		if !bytes.Equal(w.Payload[8:], f) {
			t.Errorf("inner frame % x, want % x", w.Payload[8:], f)
		}
		if w.From.String() != vteps["a"] || w.To.String() != "192.0.2.2" || w.TOS != 0 {
			t.Errorf("outer header %+v", w)
		}
	})
}

func TestUnderlayOptions(t *testing.T) {
	for _, tt := range []struct {
		name, keys, address string
		want                string
	}{
		{"defaults", "", "192.0.2.1", "192.0.2.1 port 4789 ttl 64 df true sum false zero6 false"},
		{"another port", "port = 1111", "192.0.2.1", "192.0.2.1 port 1111 ttl 64 df true sum false zero6 false"},
		{"the old port", "port = 8472\nttl = 100\ndf = false\nudp_checksum = true", "192.0.2.1", "192.0.2.1 port 8472 ttl 100 df false sum true zero6 false"},
		{"IPv6", "", "2001:db8::1", "2001:db8::1 port 4789 ttl 64 df true sum true zero6 false"},
		{"IPv6 without checksums", "udp_checksum = false", "2001:db8::1", "2001:db8::1 port 4789 ttl 64 df true sum false zero6 true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			Test(t, func(n *Net) {
				g := n.Add(fmt.Sprintf("[gateway]\nname = \"a\"\n[underlay]\naddress = %q\n%s\n", tt.address, tt.keys) + vni(1000, "") + ports(10, "e1"))
				o := g.Options()
				got := fmt.Sprintf("%s port %d ttl %d df %v sum %v zero6 %v", o.Address, o.Port, o.TTL, o.DF, o.Checksum, o.ZeroChecksum6)
				if got != tt.want {
					t.Errorf("opened with %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// RFC 7348 section 5: the source port is a hash of the inner headers, from the
// dynamic range, and the same for a whole flow.
func TestSourcePort(t *testing.T) {
	v4 := func(sport, dport int) []byte {
		return packet.UDP(RA, H1, netip.AddrPortFrom(netip.MustParseAddr("10.1.1.10"), uint16(sport)), netip.AddrPortFrom(netip.MustParseAddr("10.1.1.20"), uint16(dport)), []byte("x"))
	}
	v6 := func(sport, dport int) []byte {
		return packet.UDP(RA, H1, netip.AddrPortFrom(netip.MustParseAddr("2001:db8::10"), uint16(sport)), netip.AddrPortFrom(netip.MustParseAddr("2001:db8::20"), uint16(dport)), []byte("x"))
	}
	under := func(label uint32, f []byte) []byte {
		return Typed(RA, H1, 0x8847, append(binary.BigEndian.AppendUint32(nil, label<<12|0x140), f[14:]...))
	}
	families := map[string]func(i int) []byte{
		"IPv4":           func(i int) []byte { return v4(1000, 2000+i) },
		"IPv6":           func(i int) []byte { return v6(1000, 2000+i) },
		"MPLS over IPv4": func(i int) []byte { return under(100, v4(1000, 2000+i)) },
		"MPLS over IPv6": func(i int) []byte { return under(100, v6(1000, 2000+i)) },
		"no IP":          func(i int) []byte { return Typed(RA, H1, uint16(0x8800+i), make([]byte, 46)) },
	}
	for name, flow := range families {
		t.Run(name, func(t *testing.T) {
			Test(t, func(n *Net) {
				alone(n)
				teach(n)
				seen := make(map[uint16]bool)
				for i := range 100 {
					p := n.Send("a.e1", flow(i)).Is("a>192.0.2.2").Wire().FromPort
					if p < 49152 {
						t.Errorf("source port %d is not of the dynamic range", p)
					}
					seen[p] = true
				}
				if len(seen) < 90 {
					t.Errorf("100 flows use %d source ports", len(seen))
				}
			})
		})
	}
}

func TestSourcePortOfManyFlows(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		teach(n)
		rnd := rand.New(rand.NewPCG(1, 2))
		frames := make([][]byte, 10000)
		for i := range frames {
			at := func() netip.AddrPort {
				return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(rnd.Uint32()), byte(rnd.Uint32())}), uint16(rnd.Uint32()))
			}
			frames[i] = packet.UDP(RA, H1, at(), at(), nil)
		}
		seen := make(map[uint16]int)
		for len(frames) > 0 {
			k := min(len(frames), 1000)
			r := n.Burst("a.e1", frames[:k]...).Is(fmt.Sprintf("a>192.0.2.2~*%d", k))
			frames = frames[k:]
			for _, w := range r.Wires {
				seen[w.FromPort]++
				if w.FromPort < 49152 {
					t.Fatalf("source port %d is not of the dynamic range", w.FromPort)
				}
			}
		}
		// 10000 balls in 16384 boxes fill 7484 of them on average, give or take 50.
		if len(seen) < 7000 {
			t.Errorf("10000 flows use %d of 16384 source ports", len(seen))
		}
	})
}

func TestSourcePortOfOneFlow(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		teach(n)
		ports := make(map[uint16]bool)
		for i := range 200 {
			f := UDP(RA, H1, 10+i)
			h := ip.IPv4(f[14:])
			binary.BigEndian.PutUint16(f[14+4:], uint16(i))                   // ID
			f[14+1], f[14+8] = byte(i)&0xfc, byte(64+i%100)                   // DSCP, TTL
			f[14+10], f[14+11] = 0, 0                                         // checksum
			binary.BigEndian.PutUint16(f[14+10:], ^uint16(ip.Sum(h[:20], 0))) // and again
			ports[n.Send("a.e1", f).Is("a>192.0.2.2").Wire().FromPort] = true
		}
		if len(ports) != 1 {
			t.Errorf("one flow used %d source ports", len(ports))
		}
	})
}

func TestSourcePortRange(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add("[gateway]\nname = \"a\"\n[underlay]\naddress = \"192.0.2.1\"\nsource_ports = \"5000-5000\"\n" + vni(1000, "b") + ports(10, "e1"))
		if p := n.Send("a.e1", Local(RA, H1)).Is("a>192.0.2.2").Wire().FromPort; p != 5000 {
			t.Errorf("source port %d", p)
		}
	})
}

// withTOS returns a frame whose TOS or traffic class is tos.
func withTOS(f []byte, tos uint8) []byte {
	f = bytes.Clone(f)
	if f[14]>>4 == 6 {
		f[14], f[15] = f[14]&0xf0|tos>>4, f[15]&0x0f|tos<<4
		return f
	}
	f[15], f[24], f[25] = tos, 0, 0
	binary.BigEndian.PutUint16(f[24:], ^uint16(ip.Sum(f[14:34], 0)))
	return f
}

func TestOuterTOS(t *testing.T) {
	tests := []struct {
		name, dscp  string
		inner, want uint8
	}{
		{"inherited", `"inherit"`, 0x14 << 2, 0x14 << 2},
		{"inherited with ECN", `"inherit"`, 0xb8 | 2, 0xb8 | 2},
		{"fixed", "32", 0xb8, 32 << 2},
		{"fixed with ECN", "32", 0xb8 | 3, 32<<2 | 3},
		{"ECT(1)", "0", 1, 1},
	}
	for _, tt := range tests {
		for _, f := range [][]byte{UDP(RA, H1, 10), UDP6(RA, H1, 10)} {
			t.Run(fmt.Sprintf("%s, IPv%d", tt.name, f[14]>>4), func(t *testing.T) {
				Test(t, func(n *Net) {
					n.Add("[gateway]\nname = \"a\"\n[underlay]\naddress = \"192.0.2.1\"\ndscp = " + tt.dscp + "\n" + vni(1000, "b") + ports(10, "e1"))
					if got := n.Send("a.e1", withTOS(f, tt.inner)).Is("a>192.0.2.2").Wire().TOS; got != tt.want {
						t.Errorf("outer TOS 0x%02x, want 0x%02x", got, tt.want)
					}
				})
			})
		}
	}
}

// The fourth figure of RFC 6040: rows are the inner field, columns the outer,
// both in the order Not-ECT, ECT(0), ECT(1), CE. 0xff is a drop.
var figure4 = [4][4]uint8{
	{0, 0, 0, 0xff},
	{2, 2, 1, 3},
	{1, 1, 1, 3},
	{3, 3, 3, 3},
}

var figureOrder = [4]uint8{0, 2, 1, 3}

func TestECNThroughTwoGateways(t *testing.T) {
	for row, inner := range figureOrder {
		for col, outer := range figureOrder {
			for _, f := range [][]byte{UDP(H2, H1, 30), UDP6(H2, H1, 30)} {
				t.Run(fmt.Sprintf("inner %02b outer %02b IPv%d", inner, outer, f[14]>>4), func(t *testing.T) {
					Test(t, func(n *Net) {
						mesh(n)
						n.Send("b.e1", Local(frame.Broadcast, H2))
						n.Alter(func(w *underlay.Wire) {
							if w.TOS != 0xb8|inner {
								t.Errorf("encapsulated with TOS 0x%02x", w.TOS)
							}
							w.TOS = w.TOS&^3 | outer
						})
						sent := withTOS(f, 0xb8|inner)
						r := n.Send("a.e1", sent)
						want := figure4[row][col]
						if want == 0xff {
							r.Is("a>b b!overlay:ecn")
							return
						}
						r.Is("a>b b.e1~")
						if got := r.Frame("b.e1"); !bytes.Equal(got, withTOS(f, 0xb8|want)) {
							t.Errorf("delivered\n% x\nwant\n% x", got, withTOS(f, 0xb8|want))
						}
					})
				})
			}
		}
	}
}

// What is not IP has no ECN field, and nothing to lose.
func TestCEOnWhatIsNotIP(t *testing.T) {
	Test(t, func(n *Net) {
		mesh(n)
		n.InjectWire("b", "a", underlay.Wire{TOS: 3, Payload: append(Header(1000), Local(frame.Broadcast, RA)...)}).Is("a.e1 a.e2")
	})
}

// Bridging never touches the inner TTL (RFC 1812 section 4.2.2.9).
func TestInnerTTL(t *testing.T) {
	for _, ttl := range []uint8{0, 1, 255} {
		Test(t, func(n *Net) {
			mesh(n)
			f := UDP(frame.Broadcast, H1, 10)
			f[14+8] = ttl
			n.Send("a.e1", withTOS(f, 0)).Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
		})
	}
}
