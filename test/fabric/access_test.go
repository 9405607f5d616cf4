package fabric

import (
	"bytes"
	"fmt"
	"testing"

	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	"vxgw/test/packet"
)

// An access port takes untagged frames. The kernel moves the outer tag out of
// the frame, or leaves it in: both must be seen.
func TestTags(t *testing.T) {
	refused := "a!access:tagged_frame"
	passed := "a.e2 a>192.0.2.2 a>192.0.2.3"
	tests := []struct {
		name      string
		tpid, tci uint16
		want      string
	}{
		{"VID 100", frame.TypeVLAN, 100, refused},
		{"the port's own VLAN", frame.TypeVLAN, 10, refused},
		{"VID 4095", frame.TypeVLAN, 4095, refused},
		{"802.1ad", frame.TypeQinQ, 100, refused},
		{"802.1ad VID 0", frame.TypeQinQ, 0, refused},
		{"0x9100", frame.TypeOldQinQ, 100, refused},
		{"priority 5", frame.TypeVLAN, 5 << 13, passed},
		{"priority 0", frame.TypeVLAN, 0, passed},
	}
	for _, tt := range tests {
		for _, f := range [][]byte{Local(frame.Broadcast, H1), UDP(frame.Broadcast, H1, 100), UDP6(frame.Broadcast, H1, 100)} {
			t.Run(fmt.Sprintf("%s, type %x", tt.name, f[12:14]), func(t *testing.T) {
				Test(t, func(n *Net) {
					alone(n)
					n.SendTagged("a.e1", frame.Tag{Present: true, TPID: tt.tpid, TCI: tt.tci}, f).Is(tt.want)
					r := n.Send("a.e1", packet.Tagged(f, tt.tpid, tt.tci))
					r.Sent = f // the tag is gone
					r.Is(tt.want)
				})
			})
		}
	}
}

func TestTagBehindATag(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		for _, inner := range []uint16{frame.TypeVLAN, frame.TypeQinQ, frame.TypeOldQinQ} {
			one := packet.Tagged(Local(frame.Broadcast, H1), inner, 0)
			n.SendTagged("a.e1", frame.Tag{Present: true, TPID: frame.TypeVLAN}, one).Is("a!access:tagged_frame")
			n.Send("a.e1", packet.Tagged(one, frame.TypeVLAN, 0)).Is("a!access:tagged_frame")
			n.Send("a.e1", packet.Tagged(one, frame.TypeQinQ, 7)).Is("a!access:tagged_frame")
		}
	})
}

func TestPriorityTagsRefused(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b"), ports(10, "e1 e2", `priority_tagged = "drop"`)))
		n.SendTagged("a.e1", frame.Tag{Present: true, TPID: frame.TypeVLAN}, Local(frame.Broadcast, H1)).Is("a!access:tagged_frame")
		n.SendTagged("a.e1", frame.Tag{Present: true, TPID: frame.TypeVLAN, TCI: 7 << 13}, Local(frame.Broadcast, H1)).Is("a!access:tagged_frame")
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>192.0.2.2")
	})
}

// Frames from 14 bytes on are taken and carried as they are: virtual peers send
// them without padding.
func TestShortFrames(t *testing.T) {
	Test(t, func(n *Net) {
		mesh(n)
		f := Local(frame.Broadcast, H1)
		for k := 1; k < 14; k++ {
			n.Send("a.e1", f[:k]).Is("a!access:too_short")
		}
		for k := 14; k <= 60; k++ {
			n.Send("a.e1", f[:k]).Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
		}
	})
}

// The reserved group addresses of a bridge go nowhere, from neither side (IEEE
// 802.1Q table 8-1).
func TestReservedAddresses(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		for last := range 16 {
			f := Typed(MAC(fmt.Sprintf("01:80:c2:00:00:%02x", last)), H1, 0x8809, make([]byte, 46))
			n.Send("a.e1", f).Is("a!access:reserved_destination")
			n.Inject("192.0.2.2", "a", 1000, f).Is("a!overlay:reserved_destination")
		}
		for _, dst := range []string{"01:00:0c:cc:cc:cc", "01:00:0c:cc:cc:cd"} { // CDP, PVST+
			n.Send("a.e1", Local(MAC(dst), H1)).Is("a!access:reserved_destination")
			n.Inject("192.0.2.2", "a", 1000, Local(MAC(dst), H1)).Is("a!overlay:reserved_destination")
		}
		for _, dst := range []string{"01:80:c2:00:00:10", "01:80:c2:00:00:20", "01:80:c2:00:00:21", "01:80:c2:00:01:00"} {
			f := Local(MAC(dst), H1)
			n.Send("a.e1", f).Is("a.e2 a>192.0.2.2 a>192.0.2.3")
			n.Inject("192.0.2.2", "a", 1000, f).Is("a.e1 a.e2")
		}
	})
}

// Multicast is flooded, whoever's it is: nothing snoops.
func TestMulticastFloods(t *testing.T) {
	Test(t, func(n *Net) {
		mesh(n)
		for _, dst := range []string{"01:00:5e:00:00:05", "01:00:5e:00:00:fb", "01:00:5e:09:09:09", "33:33:00:00:00:01", "01:00:0c:cc:cc:ce", "09:00:2b:00:00:0f"} {
			n.Send("a.e1", Local(MAC(dst), H1)).Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
		}
	})
}

// A type field of up to 1500 is a length, and the frame LLC: no IP, whatever
// follows.
func TestLLC(t *testing.T) {
	Test(t, func(n *Net) {
		mesh(n)
		for _, typ := range []uint16{0, 46, 0x0800 >> 4, 1500, 1501, 1535, 1536} {
			n.Send("a.e1", Typed(frame.Broadcast, H1, typ, append([]byte{0xaa, 0xaa, 3}, UDP(H1, H2, 40)[14:]...))).
				Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
		}
	})
}

var (
	bridgeGroup = MAC("01:80:c2:00:00:00")
	pvst        = MAC("01:00:0c:cc:cc:cd")
)

func bpdu(dst, src frame.MAC) []byte {
	return Typed(dst, src, 38, append([]byte{0x42, 0x42, 3}, make([]byte, 43)...))
}

// Spanning tree is dropped unless a port tunnels it, and then it leaves only by
// ports that do too.
func TestBPDU(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b"), ports(10, "e1 e2", `bpdu = "tunnel"`), ports(10, "plain")))
		n.Add(conf("b", vni(1000, "a"), ports(10, "e1", `bpdu = "tunnel"`), ports(10, "plain")))
		for _, dst := range []frame.MAC{bridgeGroup, pvst} {
			n.Send("a.e1", bpdu(dst, H1)).Is("a.e2 a>b b.e1")
			n.Send("a.plain", bpdu(dst, H3)).Is("a!access:reserved_destination")
		}
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a.plain a>b b.e1 b.plain")
	})
}

func TestBPDUWithNobodyToTunnelTo(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, ""), ports(10, "e1", `bpdu = "tunnel"`), ports(10, "plain")))
		n.Send("a.e1", bpdu(bridgeGroup, H1)).Is("a!access:reserved_destination")
		n.Inject("192.0.2.2", "a", 1000, bpdu(bridgeGroup, RA)).Is("a.e1")
	})
}

// A port with bpdu = "shutdown" is taken out of service by one BPDU, and put
// back by taking the link down and up.
func TestBPDUShutdown(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, ""), ports(10, "e1 e2"), ports(10, "guard", `bpdu = "shutdown"`)))
		n.Send("a.guard", Local(frame.Broadcast, H1)).Is("a.e1 a.e2")
		n.Send("a.guard", bpdu(bridgeGroup, H1)).Is("a!access:reserved_destination")
		if p := a.Ports()[2]; p.State != "down" || p.MACs != 0 || p.Reason == "" {
			t.Errorf("%+v", p)
		}
		n.Send("a.guard", Local(frame.Broadcast, H1)).Is("a!access:port_down")
		n.Send("a.e1", Local(frame.Broadcast, H2)).Is("a.e2")
		n.Send("a.e1", Local(H1, H2)).Is("a.e2") // forgotten, so flooded
		a.Host.SetUp("guard", false)
		n.Settle()
		a.Host.SetUp("guard", true)
		n.Send("a.guard", Local(H2, H1)).Is("a.e1")
		n.Send("a.e1", Local(frame.Broadcast, H2)).Is("a.e2 a.guard")
	})
}

// Isolated ports do not talk to each other. They do to others, and to VTEPs.
func TestIsolatedPorts(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, "b"), ports(10, "i1 i2", "isolated = true"), ports(10, "e1")))
		n.Send("a.i1", Local(frame.Broadcast, H1)).Is("a.e1 a>192.0.2.2")
		n.Send("a.i2", Local(frame.Broadcast, H2)).Is("a.e1 a>192.0.2.2")
		n.Send("a.e1", Local(frame.Broadcast, H3)).Is("a.i1 a.i2 a>192.0.2.2")
		n.Send("a.i1", Local(H2, H1)).Is("a!access:isolated_port")
		n.Send("a.i1", Local(H3, H1)).Is("a.e1")
		n.Send("a.e1", Local(H1, H3)).Is("a.i1")
		n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, RA)).Is("a.i1 a.i2 a.e1")
		n.Send("a.i1", Local(RA, H1)).Is("a>192.0.2.2")
	})
}

func TestIsolatedPortAlone(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, ""), ports(10, "i1 i2", "isolated = true")))
		n.Send("a.i1", Local(frame.Broadcast, H1)).Is("a!access:isolated_port")
	})
}

func TestNobodyToSendTo(t *testing.T) {
	Test(t, func(n *Net) {
		n.Add(conf("a", vni(1000, ""), ports(10, "e1")))
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a!access:no_remote")
		n.Send("a.e1", Local(H2, H1)).Is("a!access:no_remote")
		n.Send("a.e1", Local(H1, H1)).Is("a!access:same_port")
	})
}

// One VLAN id on three ports, three VNIs.
func TestPortSignificantVLAN(t *testing.T) {
	text := func(name, peer string) string {
		s := conf(name)
		for i := range 3 {
			s += fmt.Sprintf("[[vni]]\nid = %d\nflood = [%q]\n[[port]]\ninterface = \"e%d\"\nvni = %d\n", 5001+i, vteps[peer], i, 5001+i)
		}
		return s
	}
	Test(t, func(n *Net) {
		n.Add(text("a", "b"))
		n.Add(text("b", "a"))
		for i := range 3 {
			n.Send(fmt.Sprintf("a.e%d", i), Local(frame.Broadcast, H1)).Is(fmt.Sprintf("a>b b.e%d", i))
			n.Send(fmt.Sprintf("b.e%d", i), Local(H1, H2)).Is(fmt.Sprintf("b>a a.e%d", i))
		}
	})
}

// A checksum that the kernel left to the NIC is finished before a frame goes
// where nobody else would finish it.
func TestUnfinishedChecksum(t *testing.T) {
	Test(t, func(n *Net) {
		a, _, _ := mesh(n)
		for _, whole := range [][]byte{UDP(frame.Broadcast, H1, 33), UDP6(frame.Broadcast, H1, 33)} {
			start := 34
			if whole[12] == 0x86 {
				start = 54
			}
			undone := bytes.Clone(whole)
			copy(undone[start+6:], pseudoSum(whole, start))
			send := func() *Result {
				r := n.SendFrame("a.e1", portmem.Frame{Bytes: undone, Offload: frame.Offload{NeedsChecksum: true, ChecksumStart: uint16(start), ChecksumAt: 6}})
				r.Sent = whole
				return r
			}
			send().Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
			a.Cable("e2").SetCarriesOffload(false)
			send().Is("a.e2 a>b a>c b.e1 b.e2 c.e1 c.e2")
			a.Cable("e2").SetCarriesOffload(true)
			// Between ports alone the work is handed on.
			n.Send("a.e2", Local(frame.Broadcast, H2))
			copy(undone, H2[:])
			r := send()
			r.Sent = undone
			r.Is("a.e2")
			if o := r.Frames["a.e2"][0].Offload; !o.NeedsChecksum {
				t.Errorf("handed on with %+v", o)
			}
		}
	})
}

// A frame that was cut short on the way in is not sent on short.
func TestTruncatedFrame(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		n.Send("a.e1", Typed(frame.Broadcast, H1, 0x88b5, make([]byte, frame.MaxLen+100))).Is("a!access:too_short")
	})
}
