package fabric

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	underlay "vxgw/l3/underlay/mem"
)

// Everybody sends at once, to workers of every gateway at once: no copy is
// lost or doubled.
func TestEverybodyAtOnce(t *testing.T) {
	const each = 300
	Test(t, func(n *Net) {
		gateways := []string{"a", "b", "c"}
		for _, name := range gateways {
			peers := strings.ReplaceAll("a b c", name, "")
			n.Add(strings.ReplaceAll(conf(name, vni(1000, peers), ports(10, "e1 e2 e3")), "workers = 1", "workers = 4"))
		}
		r := n.begin(nil)
		var senders sync.WaitGroup
		sender := byte(0)
		want := ""
		for _, name := range gateways {
			for _, port := range []string{"e1", "e2", "e3"} {
				sender++
				f := UDP(frame.Broadcast, frame.MAC{2, 0, 0, 0, 9, sender}, 100)
				senders.Go(func() {
					for range each {
						n.Gateway(name).put(port, portmem.Frame{Bytes: f})
					}
				})
				// Of nine ports, all but itself.
				want += fmt.Sprintf(" %s.%s~*%d", name, port, 8*each)
			}
			for _, peer := range gateways {
				if peer != name {
					want += fmt.Sprintf(" %s>%s~*%d", name, peer, 3*each)
				}
			}
		}
		senders.Wait()
		r.end()
		r.Is(want)
	})
}

// superFrame is a TCP packet that stands for many, as a host's kernel delivers
// it: longer than any MTU, its checksum unfinished.
func superFrame(v6 bool, dst, src frame.MAC, size int) portmem.Frame {
	tcp := &layers.TCP{SrcPort: 1000, DstPort: 80, Seq: 7000, Ack: 1, ACK: true, PSH: true, Window: 512}
	eth := &layers.Ethernet{DstMAC: dst[:], SrcMAC: src[:], EthernetType: layers.EthernetTypeIPv4}
	ip4 := &layers.IPv4{Version: 4, TTL: 64, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolTCP, SrcIP: net.IP{10, 1, 1, 10}, DstIP: net.IP{10, 1, 1, 20}}
	ip6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: net.ParseIP("2001:db8::10"), DstIP: net.ParseIP("2001:db8::20")}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7 / 3)
	}
	o := frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 16, GSO: frame.GSOTCPv4, SegmentSize: 1000}
	var network gopacket.SerializableLayer = ip4
	if v6 {
		eth.EthernetType, network = layers.EthernetTypeIPv6, ip6
		o.ChecksumStart, o.GSO = 54, frame.GSOTCPv6
		must(tcp.SetNetworkLayerForChecksum(ip6))
	} else {
		must(tcp.SetNetworkLayerForChecksum(ip4))
	}
	buf := gopacket.NewSerializeBuffer()
	must(gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, network, tcp, gopacket.Payload(data)))
	b := bytes.Clone(buf.Bytes())
	start := int(o.ChecksumStart)
	copy(b[start+16:], tcpPseudoSum(b, start))
	return portmem.Frame{Bytes: b, Offload: o}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// tcpPseudoSum is pseudoSum for TCP.
func tcpPseudoSum(f []byte, start int) []byte {
	s := pseudoSum(f, start)
	sum := uint32(binary.BigEndian.Uint16(s)) + 0xffff - 17 + 6
	return []byte{byte((sum>>16 + sum&0xffff) >> 8), byte(sum>>16 + sum&0xffff)}
}

// segments checks that frames are the super-frame cut up: each of them right by
// itself, and all its data in order.
func checkSegments(t *testing.T, whole portmem.Frame, frames [][]byte) {
	t.Helper()
	start := int(whole.Offload.ChecksumStart)
	data, seq := whole.Bytes[start+20:], uint32(7000)
	for _, f := range frames {
		p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
		tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok || len(tcp.Payload) > 1000 || tcp.Seq != seq || !bytes.HasPrefix(data, tcp.Payload) {
			t.Fatalf("segment %v", p)
		}
		if sum, want := f[start+16:start+18], rightSum(p, tcp); !bytes.Equal(sum, want) {
			t.Errorf("TCP checksum %x, want %x", sum, want)
		}
		seq, data = seq+uint32(len(tcp.Payload)), data[len(tcp.Payload):]
	}
	if len(data) > 0 {
		t.Errorf("%d bytes of data are missing", len(data))
	}
}

func rightSum(p gopacket.Packet, tcp *layers.TCP) []byte {
	must(tcp.SetNetworkLayerForChecksum(p.NetworkLayer()))
	buf := gopacket.NewSerializeBuffer()
	must(gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true}, tcp, gopacket.Payload(tcp.Payload)))
	return buf.Bytes()[16:18]
}

// A super-frame is cut before it is encapsulated, never after, and for a port
// that does not take it whole. A port that does gets it as it is.
func TestSuperFrame(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(fmt.Sprintf("IPv6 %v", v6), func(t *testing.T) {
			Test(t, func(n *Net) {
				a := alone(n)
				teach(n)
				n.Send("a.e2", Local(frame.Broadcast, H2))
				far := superFrame(v6, RA, H1, 10500)
				r := n.SendFrame("a.e1", far).Is("a>192.0.2.2~*11")
				var frames [][]byte
				for _, w := range r.Wires {
					if !bytes.Equal(w.Payload[:8], Header(1000)) || w.FromPort != r.Wires[0].FromPort {
						t.Errorf("header % x, source port %d", w.Payload[:8], w.FromPort)
					}
					frames = append(frames, w.Payload[8:])
				}
				checkSegments(t, far, frames)

				near := superFrame(v6, H2, H1, 10500)
				r = n.SendFrame("a.e1", near).Is("a.e2")
				if got := r.Frames["a.e2"][0].Offload; got != near.Offload {
					t.Errorf("handed on with %+v, want %+v", got, near.Offload)
				}
				a.Cable("e2").SetCarriesOffload(false)
				r = n.SendFrame("a.e1", near).Is("a.e2~*11")
				frames = nil
				for _, f := range r.Frames["a.e2"] {
					if !f.Offload.None() {
						t.Errorf("segment with %+v", f.Offload)
					}
					frames = append(frames, f.Bytes)
				}
				checkSegments(t, near, frames)

				// Flooded: whole to the port that takes it, in segments to VTEPs.
				all := superFrame(v6, Nobody, H1, 10500)
				a.Cable("e2").SetCarriesOffload(true)
				n.SendFrame("a.e1", all).Is("a.e2 a>192.0.2.2~*11 a>192.0.2.3~*11")
			})
		})
	}
}

// A UDP super-frame out of a kernel VTEP on this machine, of whose segments only
// the kernel tells, is cut for every port.
func TestUDPSuperFrameFromAVTEP(t *testing.T) {
	Test(t, func(n *Net) {
		alone(n)
		n.Send("a.e1", Local(frame.Broadcast, H1))
		f := UDP(H1, RA, 2500)
		copy(f[40:], pseudoSum(f, 34))
		r := n.begin(f)
		n.injecting.Store(1)
		n.Fabric.Inject(underlay.Wire{
			From: n.addr("192.0.2.2"), To: n.addr("a"), FromPort: 50000, Payload: append(Header(1000), f...),
			Offload: frame.Offload{GSO: frame.GSOUDP, SegmentSize: 1000},
		})
		r.end()
		r.Is("a.e1~*3")
		var data []byte
		for _, f := range r.Frames["a.e1"] {
			p := gopacket.NewPacket(f.Bytes, layers.LayerTypeEthernet, gopacket.Default)
			udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
			if !ok || int(udp.Length) != len(f.Bytes)-34 || udp.Checksum == 0 || !f.Offload.None() {
				t.Fatalf("segment %v with %+v", p, f.Offload)
			}
			data = append(data, udp.Payload...)
		}
		if !bytes.Equal(data, f[42:]) {
			t.Errorf("not the data that was sent")
		}
	})
}

// Its segments are what must fit the path, not the whole.
func TestSuperFrameOnANarrowPath(t *testing.T) {
	Test(t, func(n *Net) {
		a := narrow(n)
		teach(n)
		f := superFrame(false, RA, H1, 10500)
		n.SendFrame("a.e1", f).Is("a>192.0.2.2~*11")
		a.Host.SetPath(addrB, 1050)
		n.Tick()
		n.SendFrame("a.e1", f).Is("a!access:too_big a.e1~")
	})
}

// A batch of floods is more than is sent at once.
func TestFloodsOfAWholeBatch(t *testing.T) {
	Test(t, func(n *Net) {
		names := ""
		for i := range 30 {
			names += fmt.Sprintf(" p%d", i)
		}
		n.Add(conf("a", vni(1000, manyVTEPs(50)), ports(10, "in"+names)))
		frames := make([][]byte, 200)
		for i := range frames {
			frames[i] = Local(frame.Broadcast, H1)
		}
		want := ""
		for _, p := range strings.Fields(names) {
			want += fmt.Sprintf(" a.%s*200", p)
		}
		for _, v := range strings.Fields(manyVTEPs(50)) {
			want += fmt.Sprintf(" a>%s*200", v)
		}
		r := n.Burst("a.in", frames...)
		r.Sent = frames[0]
		r.Is(want)
		// A super-frame, with copies made anew for every port.
		for i := range 30 {
			n.Gateway("a").Cable(fmt.Sprintf("p%d", i)).SetCarriesOffload(false)
		}
		n.Send("a.p0", Local(frame.Broadcast, H2))
		undone := superFrame(false, Nobody, H1, 10500)
		segments := ""
		for _, p := range strings.Fields(names) {
			segments += fmt.Sprintf(" a.%s~*11", p)
		}
		for _, v := range strings.Fields(manyVTEPs(50)) {
			segments += fmt.Sprintf(" a>%s~*11", v)
		}
		for _, f := range n.SendFrame("a.in", undone).Is(segments).Frames["a.p29"] {
			if !f.Offload.None() {
				t.Errorf("segment with %+v", f.Offload)
			}
		}
	})
}

// More VTEPs than are learned, which is three of four numbers: what they send is carried, and what is said
// of it is that nothing was learned. Those that are known stay known.
func TestTooManyVTEPs(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, ""), ports(10, "e1")))
		n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, RA)).Is("a.e1")
		const (
			learnable = forward.MaxVTEPs * 3 / 4
			forged    = learnable + 500
		)
		r := n.begin(Local(frame.Broadcast, RB))
		w := underlay.Wire{To: a.Addr(), Payload: append(Header(1000), r.Sent...)}
		for i := range forged {
			w.From = netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)})
			n.injecting.Store(1)
			n.Fabric.Inject(w)
			if i%1000 == 0 {
				n.Settle()
				a.drain(func(string, portmem.Frame) {})
			}
		}
		r.end()
		if got, want := r.counts["a?vtep_limit"], forged+1-learnable; got != want {
			t.Errorf("%d frames from VTEPs without a number, want %d", got, want)
		}
		n.Send("a.e1", Local(RA, H1)).Is(toB)
	})
}
