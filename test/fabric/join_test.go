package fabric

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	"vxgw/l3/underlay/path"
)

// stream returns n segments of size bytes each, as a host behind src sends them.
func stream(v6 bool, dst, src frame.MAC, port, n, size int) (frames [][]byte) {
	for i := range n {
		tcp := &layers.TCP{SrcPort: layers.TCPPort(port), DstPort: 80, Seq: 7000 + uint32(i*size), Ack: 1, ACK: true, PSH: i == n-1, Window: 512}
		eth := &layers.Ethernet{DstMAC: dst[:], SrcMAC: src[:], EthernetType: layers.EthernetTypeIPv4}
		ip4 := &layers.IPv4{Version: 4, TTL: 64, Id: uint16(i), Protocol: layers.IPProtocolTCP, SrcIP: net.IP{10, 1, 1, 20}, DstIP: net.IP{10, 1, 1, 10}}
		ip6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: net.ParseIP("2001:db8::20"), DstIP: net.ParseIP("2001:db8::10")}
		var network gopacket.SerializableLayer = ip4
		must(tcp.SetNetworkLayerForChecksum(ip4))
		if v6 {
			eth.EthernetType, network = layers.EthernetTypeIPv6, ip6
			must(tcp.SetNetworkLayerForChecksum(ip6))
		}
		buf := gopacket.NewSerializeBuffer()
		must(gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, network, tcp, gopacket.Payload(bytes.Repeat([]byte{byte(i)}, size))))
		frames = append(frames, bytes.Clone(buf.Bytes()))
	}
	return frames
}

// joined returns what segments carry.
func joined(frames [][]byte, headers int) (data []byte) {
	for _, f := range frames {
		data = append(data, f[headers:]...)
	}
	return data
}

// What comes from a VTEP in segments goes to a port that takes super-frames as
// one, and is counted as what it was. To one that does not it goes as it came.
func TestSegmentsFromAVTEPAreJoined(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		headers := 54
		if v6 {
			headers = 74
		}
		Test(t, func(n *Net) {
			a := alone(n)
			n.Send("a.e1", Local(frame.Broadcast, H1))
			before := a.Ports()[0]
			segs := stream(v6, H1, RA, 1000, 20, 1000)
			r := n.InjectBurst("192.0.2.2", "a", 1000, segs...).Is("a.e1~")
			f := r.Frames["a.e1"][0]
			if o := f.Offload; o.SegmentSize != 1000 || !o.NeedsChecksum || int(o.ChecksumStart) != headers-20 {
				t.Errorf("with %+v", o)
			}
			if !bytes.Equal(f.Bytes[headers:], joined(segs, headers)) {
				t.Error("not the data that was sent")
			}
			after := a.Ports()[0]
			if k, b := after.TxPackets-before.TxPackets, after.TxBytes-before.TxBytes; k != 20 || b != uint64(20*(headers+1000)) {
				t.Errorf("counted as %d packets of %d bytes", k, b)
			}
			a.Cable("e1").SetCarriesOffload(false)
			r = n.InjectBurst("192.0.2.2", "a", 1000, segs...).Is("a.e1~*20")
			sameFrames(t, r.Frames["a.e1"], segs)
		})
	}
}

func sameFrames(t *testing.T, got []portmem.Frame, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i].Bytes, want[i]) || !got[i].Offload.None() {
			t.Errorf("frame %d\n% x\nwant\n% x", i, got[i].Bytes, want[i])
		}
	}
}

// Flooded they are joined for each port that takes it.
func TestFloodedSegmentsAreJoined(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		a.Cable("e2").SetCarriesOffload(false)
		segs := stream(false, Nobody, RA, 1000, 20, 1000)
		r := n.InjectBurst("192.0.2.2", "a", 1000, segs...).Is("a.e1~ a.e2~*20")
		sameFrames(t, r.Frames["a.e2"], segs)
	})
}

// Other frames on their way to the same port, and to others, are not touched, and
// those of each connection stay in order.
func TestJoinedAmongOthers(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		n.Send("a.e1", Local(frame.Broadcast, H1))
		n.Send("a.e2", Local(frame.Broadcast, H2))
		one, two, other := stream(false, H1, RA, 1000, 10, 1000), stream(false, H1, RA, 1001, 10, 1000), stream(false, H2, RA, 1000, 10, 1000)
		var all [][]byte
		for i := range one {
			all = append(all, one[i], UDP(H1, RA, 100+i), two[i], other[i])
		}
		r := n.InjectBurst("192.0.2.2", "a", 1000, all...).Is("a.e1~*12 a.e2~")
		var udp []portmem.Frame
		for _, f := range r.Frames["a.e1"] {
			if f.Offload.None() {
				udp = append(udp, f)
			}
		}
		for i, f := range udp {
			if !bytes.Equal(f.Bytes, UDP(H1, RA, 100+i)) {
				t.Errorf("UDP frame %d is % x", i, f.Bytes)
			}
		}
	})
}

// Damage is passed on as damage.
func TestDamagedSegmentsAreNotJoined(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		n.Send("a.e1", Local(frame.Broadcast, H1))
		segs := stream(false, H1, RA, 1000, 9, 1000)
		segs[4][500] ^= 1
		r := n.InjectBurst("192.0.2.2", "a", 1000, segs...).Is("a.e1~*3")
		if f := r.Frames["a.e1"][1]; !bytes.Equal(f.Bytes, segs[4]) || !f.Offload.None() {
			t.Errorf("the damaged one is % x", f.Bytes)
		}
	})
}

// No frame is longer than the port takes, however it is put: what is too long is
// lost as it came. Where the port does not say, nothing is joined.
func TestJoinedSegmentsFitThePort(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		n.Send("a.e1", Local(frame.Broadcast, H1))
		mtu := func(n int) func(*path.Link) { return func(l *path.Link) { l.MTU = n } }
		a.Host.EditLink("e1", mtu(1040)) // headers and payload, exactly
		n.Settle()
		n.InjectBurst("192.0.2.2", "a", 1000, stream(false, H1, RA, 1000, 5, 1000)...).Is("a.e1~")
		n.InjectBurst("192.0.2.2", "a", 1000, stream(false, H1, RA, 1000, 5, 1001)...).Is("a!overlay:too_big*5")
		a.Host.EditLink("e1", mtu(0))
		n.Settle()
		n.InjectBurst("192.0.2.2", "a", 1000, stream(false, H1, RA, 1000, 5, 1000)...).Is("a.e1~*5")
	})
}

// A super-frame that cannot be sent counts as what it was joined of.
func TestLostSuperFrameCountsItsSegments(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		n.Send("a.e1", Local(frame.Broadcast, H1))
		for status, reason := range map[frame.Status]string{
			frame.TooBig: "too_big", frame.Failed: "tx_failed", frame.Down: "port_down", frame.Refused: "tx_failed",
		} {
			a.Cable("e1").SetVerdict(func(o frame.Out) frame.Status {
				if o.Offload.None() {
					return frame.Sent
				}
				return status
			})
			segs := append(stream(false, H1, RA, 1000, 7, 1000), UDP(H1, RA, 10))
			n.InjectBurst("192.0.2.2", "a", 1000, segs...).Is(strings.ReplaceAll("a.e1~ a!overlay:REASON*7", "REASON", reason))
		}
	})
}

// What hosts on the same gateway send each other is nobody's business.
func TestLocalSegmentsAreNotJoined(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		n.Send("a.e2", Local(frame.Broadcast, H2))
		segs := stream(false, H2, H1, 1000, 9, 1000)
		r := n.Burst("a.e1", segs...).Is("a.e2~*9")
		sameFrames(t, r.Frames["a.e2"], segs)
	})
}
