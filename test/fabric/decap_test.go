package fabric

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"vxgw/l2/frame"
	underlay "vxgw/l3/underlay/mem"
	"vxgw/l3/underlay/path"
	"vxgw/test/packet"
)

// rogue is a VTEP that nothing configures.
const rogue = "203.0.113.66"

// payload sends a UDP payload from VTEP b to gateway a.
func payload(n *Net, p []byte) *Result {
	return n.InjectWire("192.0.2.2", "a", underlay.Wire{Payload: p})
}

// learned counts the MACs that a gateway knows.
func learned(g *Gateway) int {
	k := 0
	for range g.MACs(0) {
		k++
	}
	return k
}

// RFC 7348 section 4.1: the VNI must be one that is configured.
func TestUnknownVNI(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		for _, id := range []uint32{999, 0, 0xffffff, 1001} {
			n.Inject("192.0.2.2", "a", id, Local(frame.Broadcast, RA)).Is("a!overlay:unknown_vni")
		}
		if k := learned(a); k != 0 {
			t.Errorf("%d MACs learned", k)
		}
	})
}

// A VNI has 24 bits, the most significant byte first.
func TestVNIByteOrder(t *testing.T) {
	ids := []int{1, 4096, 0x010000, 16777215}
	Test(t, func(n *Net) {
		text := func(name string) (s string) {
			for i, id := range ids {
				s += fmt.Sprintf("[[vni]]\nid = %d\nvlan = %d\nflood = [%q]\n[[port]]\ninterface = \"e%d\"\nvlan = %d\n", id, i+1, vteps[name], i, i+1)
			}
			return s
		}
		n.Add(conf("a") + text("b"))
		n.Add(conf("b") + text("a"))
		for i, id := range ids {
			w := n.Send(fmt.Sprintf("a.e%d", i), Local(frame.Broadcast, H1)).Is(fmt.Sprintf("a>b b.e%d", i)).Wire()
			if got := int(w.Payload[4])<<16 | int(w.Payload[5])<<8 | int(w.Payload[6]); got != id || w.Payload[3] != 0 || w.Payload[7] != 0 {
				t.Errorf("VNI %d went out as % x", id, w.Payload[:8])
			}
		}
	})
}

// RFC 7348 section 5: VMs in different VNIs cannot communicate with each other.
func TestVNIsDoNotLeak(t *testing.T) {
	kinds := map[string]func(dst frame.MAC) []byte{
		"no IP": func(dst frame.MAC) []byte { return Local(dst, H1) },
		"IPv4":  func(dst frame.MAC) []byte { return UDP(dst, H1, 20) },
		"IPv6":  func(dst frame.MAC) []byte { return UDP6(dst, H1, 20) },
	}
	Test(t, func(n *Net) {
		mesh(n)
		n.Send("a.e3", Local(frame.Broadcast, H3)) // known, in the other VNI
		n.Send("b.e3", Local(frame.Broadcast, RB))
		for _, kind := range kinds {
			for _, dst := range []frame.MAC{H3, RB, Nobody, frame.Broadcast, MAC("01:00:5e:01:01:01")} {
				n.Send("a.e1", kind(dst)).Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
			}
			for _, vid := range []uint16{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000, 4094} {
				tag := frame.Tag{Present: true, TPID: frame.TypeVLAN, TCI: vid}
				n.SendTagged("a.e1", tag, kind(frame.Broadcast)).Is("a!access:tagged_frame")
				n.Send("a.e1", packet.Tagged(kind(frame.Broadcast), frame.TypeVLAN, vid)).Is("a!access:tagged_frame")
			}
			n.SendTagged("a.e1", frame.Tag{Present: true, TPID: frame.TypeVLAN}, kind(frame.Broadcast)).Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
		}
	})
}

func TestVNIWithoutPort(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b"), vni(3000, "b"), ports(10, "e1")))
		n.Inject("192.0.2.2", "a", 3000, Local(frame.Broadcast, RA)).Is("a!overlay:no_port")
		n.Inject("192.0.2.2", "a", 3000, Local(H1, RA)).Is("a!overlay:no_port")
	})
}

// RFC 7348 section 6.1: a frame with an inner tag is dropped, and its source
// is not learned.
func TestInnerTag(t *testing.T) {
	tests := []struct {
		name      string
		tpid, tci uint16
	}{
		{"VID 100", frame.TypeVLAN, 100},
		{"VID 0 with a priority", frame.TypeVLAN, 5 << 13},
		{"VID 0", frame.TypeVLAN, 0},
		{"VID 4095", frame.TypeVLAN, 4095},
		{"the port's own VLAN", frame.TypeVLAN, 10},
		{"802.1ad", frame.TypeQinQ, 100},
		{"0x9100", frame.TypeOldQinQ, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := alone(n)
				n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>192.0.2.2 a>192.0.2.3")
				for _, dst := range []frame.MAC{H1, frame.Broadcast} {
					n.Inject("192.0.2.2", "a", 1000, packet.Tagged(UDP(dst, RA, 30), tt.tpid, tt.tci)).Is("a!overlay:inner_vlan")
				}
				if k := learned(a); k != 1 {
					t.Errorf("%d MACs known, want H1 alone", k)
				}
			})
		})
	}
}

// reserved lists the 39 reserved bits of a VXLAN header: seven flags, 24 bits
// before the VNI and eight behind it.
func reserved() (bits []int) {
	for i := range 64 {
		if i != 4 && (i < 32 || i >= 56) {
			bits = append(bits, i)
		}
	}
	return bits
}

func flip(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 0x80 >> (bit % 8)
	return b
}

// RFC 7348 section 5: reserved fields must be ignored on receipt.
func TestReservedBitsIgnored(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		if k := len(reserved()); k != 39 {
			t.Fatalf("%d reserved bits, want 39", k)
		}
		f := append(Header(1000), Local(frame.Broadcast, RA)...)
		for _, bit := range reserved() {
			payload(n, flip(f, bit)).Is("a.e1 a.e2")
		}
		for _, flags := range []byte{0x0c, 0x88, 0xff} {
			payload(n, append([]byte{flags}, f[1:]...)).Is("a.e1 a.e2")
		}
	})
}

func TestReservedBitsStrict(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add("[gateway]\nname = \"a\"\n[underlay]\naddress = \"192.0.2.1\"\nreserved_bits = \"strict\"\n" + vni(1000, "b c") + ports(10, "e1 e2"))
		f := append(Header(1000), Local(frame.Broadcast, RA)...)
		for _, bit := range reserved() {
			payload(n, flip(f, bit)).Is("a!overlay:vxlan_reserved")
		}
		for _, flags := range []byte{0x0c, 0x88, 0xff} {
			payload(n, append([]byte{flags}, f[1:]...)).Is("a!overlay:vxlan_reserved")
		}
		if k := learned(a); k != 0 {
			t.Errorf("%d MACs learned", k)
		}
		for range 10 {
			payload(n, f).Is("a.e1 a.e2")
		}
	})
}

// RFC 7348 section 5: the I flag must be set.
func TestNoIFlag(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		f := append(Header(1000), Local(frame.Broadcast, RA)...)
		for _, flags := range []byte{0x00, 0x80, 0x04, 0xf7} {
			payload(n, append([]byte{flags}, f[1:]...)).Is("a!overlay:vxlan_flags")
		}
		if k := learned(a); k != 0 {
			t.Errorf("%d MACs learned", k)
		}
	})
}

func TestShortPackets(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		whole := append(Header(1000), Local(frame.Broadcast, RA)...)
		for k := range 8 + 14 {
			payload(n, whole[:k]).Is("a!overlay:too_short")
		}
		for k := 8 + 14; k <= len(whole); k++ {
			payload(n, whole[:k]).Is("a.e1 a.e2") // the NIC pads, not we
		}
	})
}

func TestOuterFragment(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		n.InjectWire("192.0.2.2", "a", underlay.Wire{Fragmented: true, Payload: append(Header(1000), Local(frame.Broadcast, RA)...)}).Is("a!overlay:outer_fragment")
		if k := learned(a); k != 0 {
			t.Errorf("%d MACs learned", k)
		}
	})
}

func TestRefusedByTheKernel(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		r := n.begin(nil)
		a.VTEP().Refuse(refusedAll)
		r.end()
		r.Is("a!overlay:rx_overflow*1 a!overlay:outer_checksum*2 a!overlay:outer_fragment*3 a!overlay:outer_malformed*4")
		// Overflows here were refused before a packet came in.
		a.datagrams.Add(refusedAll.Overflow)
	})
}

func TestInnerSource(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		for src, why := range map[string]string{
			"01:02:03:04:05:06": "source_multicast",
			"ff:ff:ff:ff:ff:ff": "source_multicast",
			"00:00:00:00:00:00": "source_zero",
		} {
			n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, MAC(src))).Is("a!overlay:" + why)
			n.Send("a.e1", Local(frame.Broadcast, MAC(src))).Is("a!access:" + why)
		}
		if k := learned(a); k != 0 {
			t.Errorf("%d MACs learned", k)
		}
	})
}

func TestOwnGatewayMACFromOutside(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b", `vrf = "red"`, `gateway = ["10.1.1.1/24"]`, `gateway_mac = "00:00:5e:00:01:01"`), ports(10, "e1 e2"), "[[vrf]]\nname = \"red\""))
		src := MAC("00:00:5e:00:01:01")
		n.Send("a.e1", Local(frame.Broadcast, src)).Is("a!access:source_gateway")
		n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, src)).Is("a!overlay:source_gateway")
	})
}

// g1 is the VXLAN payload of the golden packet: an ICMP echo from 10.1.1.20 to
// 10.1.1.10 in VNI 1000.
func g1() []byte {
	icmp := []byte{8, 0, 0xee, 0xb7, 0x12, 0x34, 0, 1}
	for i := range 56 {
		icmp = append(icmp, byte(i))
	}
	ip4 := []byte{0x45, 0, 0, 0x54, 0, 0, 0, 0, 0x40, 1, 0x64, 0x8a, 10, 1, 1, 20, 10, 1, 1, 10}
	return append(Header(1000), Typed(H1, RA, frame.TypeIPv4, append(ip4, icmp...))...)
}

// Every prefix and every single wrong bit of a packet is delivered or counted:
// the harness checks both, whatever becomes of it.
func TestDamagedPackets(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		whole := g1()
		for k := range whole {
			if r := payload(n, whole[:k]); k >= 22 {
				r.Is("a.e1 a.e2")
			}
		}
		for bit := range len(whole) * 8 {
			r := payload(n, flip(whole, bit))
			if s := r.String(); s == "" {
				t.Errorf("with bit %d wrong: nothing happened", bit)
			}
			for place, frames := range r.Frames {
				if len(frames) != 1 || !bytes.Equal(frames[0].Bytes, r.Sent) {
					t.Errorf("with bit %d wrong: %d frames at %s, % x", bit, len(frames), place, frames[0].Bytes)
				}
			}
		}
	})
}

// A packet inside a packet is data: it is decapsulated once.
func TestNestedVXLAN(t *testing.T) {
	for _, deep := range []int{2, 10, 100} {
		Test(t, func(n *Net) {
			a := alone(n)
			a.Host.EditLink("e1", func(l *path.Link) { l.MTU = 9000 })
			a.Host.EditLink("e2", func(l *path.Link) { l.MTU = 9000 })
			f := Local(frame.Broadcast, RA)
			for range deep - 1 {
				f = packet.UDP(MAC("02:00:00:00:f0:01"), RA, rogueUDP, ownUDP, packet.VXLAN(1000, f))
			}
			n.Inject("192.0.2.2", "a", 1000, f).Is("a.e1 a.e2")
		})
	}
}

func TestWhoMaySend(t *testing.T) {
	tests := []struct {
		name, keys string
		flood      string
		from       string
		allowed    bool
	}{
		{"in the flood list", "", "b c", "192.0.2.2", true},
		{"not in the flood list", "", "b c", rogue, false},
		{"no list: anyone", "", "", rogue, true},
		{"in the allowed prefix", `allowed_vteps = ["192.0.2.0/25"]`, "b", "192.0.2.34", true},
		{"above the allowed prefix", `allowed_vteps = ["192.0.2.0/25"]`, "b", "192.0.2.200", false},
		{"flooded to and not allowed", `allowed_vteps = ["192.0.2.128/25"]`, "b", "192.0.2.2", false},
		{"our own address, looped back", "", "", "192.0.2.1", false},
		{"a group: anyone", `group = "239.1.1.1"`, "b", rogue, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := n.Add(conf("a", vni(1000, tt.flood, tt.keys), ports(10, "e1 e2")))
				r := n.Inject(tt.from, "a", 1000, Local(frame.Broadcast, RA))
				if tt.allowed {
					r.Is("a.e1 a.e2")
					return
				}
				r.Is("a!overlay:vtep_not_allowed")
				if k := learned(a); k != 0 {
					t.Errorf("%d MACs learned", k)
				}
			})
		})
	}
}

// Twenty senders, of which ten may.
func TestTenOfTwentySenders(t *testing.T) {
	senders := func(n *Net, want func(i int) string) {
		for i := range 20 {
			n.Inject(fmt.Sprintf("192.0.2.%d", 100+i), "a", 1000, Local(frame.Broadcast, MAC(fmt.Sprintf("02:00:00:00:02:%02x", i)))).Is(want(i))
		}
	}
	Test(t, func(n *Net) {
		flood := ""
		for i := range 10 {
			flood += fmt.Sprintf(" 192.0.2.%d", 100+i)
		}
		n.Add(conf("a", vni(1000, flood), ports(10, "e1")))
		senders(n, func(i int) string {
			if i < 10 {
				return "a.e1"
			}
			return "a!overlay:vtep_not_allowed"
		})
	})
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, ""), ports(10, "e1")))
		senders(n, func(int) string { return "a.e1" })
		if k := len(a.VTEPs()); k != 20 {
			t.Errorf("%d VTEPs listed, want 20", k)
		}
	})
}

// A packet whose inner frame says it is longer than it is stays as it is.
func TestInnerLengthsAreNotOurs(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		f := UDP(frame.Broadcast, RA, 40)
		binary.BigEndian.PutUint16(f[16:], 9000)
		n.Inject("192.0.2.2", "a", 1000, f).Is("a.e1 a.e2")
		n.Send("a.e1", f).Is("a.e2 a>192.0.2.2 a>192.0.2.3")
	})
}
