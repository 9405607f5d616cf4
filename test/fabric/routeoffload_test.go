package fabric

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	"vxgw/l3/ip"
	"vxgw/l3/underlay/path"
	"vxgw/test/packet"
)

// super is a super-frame of so many bytes from a host of VNI 1000 to an address by
// the gateway, in segments of 1000.
func super(from, to netip.Addr, size int) portmem.Frame {
	f := superFrame(to.Is6(), GW, H1, size)
	if to.Is6() {
		copy(f.Bytes[14+8:], from.AsSlice())
		copy(f.Bytes[14+24:], to.AsSlice())
	} else {
		h := ip.IPv4(f.Bytes[14:])
		copy(h[12:], from.AsSlice())
		copy(h[16:], to.AsSlice())
		h.SetChecksum(0)
		h.SetChecksum(^ip.Sum(h[:20], 0))
	}
	start := int(f.Offload.ChecksumStart)
	copy(f.Bytes[start+16:], tcpPseudoSum(f.Bytes, start))
	return f
}

// checkRouted checks that frames are a super-frame cut up and a hop further on: from
// the gateway's MAC, with right header checksums and one hop less.
func checkRouted(t *testing.T, whole portmem.Frame, to frame.MAC, frames [][]byte) {
	t.Helper()
	for i, f := range frames {
		in := frame.Frame(f)
		if in.Dst() != to || in.Src() != GW {
			t.Errorf("segment %d goes from %v to %v", i, in.Src(), in.Dst())
		}
		if in.Type() == frame.TypeIPv4 {
			h, ok := ip.ParseIPv4(in.Payload())
			if !ok || len(h) != len(f)-14 || !h.ChecksumOK() || h.TTL() != 63 || binary.BigEndian.Uint16(h[4:]) != uint16(i) {
				t.Errorf("segment %d has the header % x", i, f[14:34])
			}
		} else if h, ok := ip.ParseIPv6(in.Payload()); !ok || len(h) != len(f)-14 || h.HopLimit() != 63 {
			t.Errorf("segment %d has the header % x", i, f[14:54])
		}
	}
	checkSegments(t, whole, frames)
}

func (r *Result) frames(place string) (all [][]byte) {
	for _, f := range r.Frames[place] {
		all = append(all, f.Bytes)
	}
	return all
}

func (r *Result) inner() (all [][]byte) {
	for _, w := range r.Wires {
		all = append(all, w.Payload[headerLen:])
	}
	return all
}

// routedPair is a case of either version: a neighbour at a port and one behind a VTEP.
type routedPair struct {
	from, near, far netip.Addr
}

func bothVersions(t *testing.T, test func(*testing.T, *Net, routedPair)) {
	for _, p := range []routedPair{{r1, r3, rA}, {r1six, r3six, someSix}} {
		t.Run(fmt.Sprintf("IPv6 %v", p.near.Is6()), func(t *testing.T) {
			Test(t, func(n *Net) {
				routed(n)
				n.Inject("192.0.2.2", "a", 2000, packet.Solicit(RA, someSix, gw2six).Frame()).Is("a>192.0.2.2~")
				test(t, n, p)
			})
		})
	}
}

// A super-frame is routed whole to a port that takes it, and in segments to one that
// does not and to VTEPs.
func TestRoutedSuperFrame(t *testing.T) {
	bothVersions(t, func(t *testing.T, n *Net, p routedPair) {
		near := super(p.from, p.near, 10500)
		r := n.SendFrame("a.e1", near).Is("a.e3~")
		r.carries("a.e3", onward(near.Bytes, H3))
		if o := r.Frames["a.e3"][0].Offload; o != near.Offload {
			t.Errorf("handed on with %+v, want %+v", o, near.Offload)
		}
		n.Gateway("a").Cable("e3").SetCarriesOffload(false)
		r = n.SendFrame("a.e1", near).Is("a.e3~*11")
		checkRouted(t, near, H3, r.frames("a.e3"))

		far := super(p.from, p.far, 10500)
		r = n.SendFrame("a.e1", far).Is("a>192.0.2.2~*11")
		checkRouted(t, far, RA, r.inner())
		for _, w := range r.Wires {
			if !bytes.Equal(w.Payload[:headerLen], Header(2000)) || w.FromPort != r.Wires[0].FromPort {
				t.Errorf("header % x, source port %d", w.Payload[:headerLen], w.FromPort)
			}
		}
	})
}

// One that waits for its neighbour is as whole when it is released.
func TestHeldSuperFrame(t *testing.T) {
	bothVersions(t, func(t *testing.T, n *Net, p routedPair) {
		unknown := netip.MustParseAddr("10.1.2.40")
		reply := packet.ARP(GW, packet.ARPReply, someMAC, unknown, GW, gw2)
		if p.near.Is6() {
			unknown = netip.MustParseAddr("2001:db8:2::41")
			reply = packet.Advertise(someMAC, unknown, GW, gw2six).Frame()
		}
		held := super(p.from, unknown, 10500)
		n.SendFrame("a.e1", held).Is(inTwo)
		r := n.Send("a.e3", reply).Is("a.e3~")
		r.carries("a.e3", onward(held.Bytes, someMAC))
		if o := r.Frames["a.e3"][0].Offload; o != held.Offload {
			t.Errorf("released with %+v, want %+v", o, held.Offload)
		}

		unknown = unknown.Next()
		m := MAC("02:00:00:00:03:29")
		reply = packet.ARP(GW, packet.ARPReply, m, unknown, GW, gw2)
		if p.near.Is6() {
			reply = packet.Advertise(m, unknown, GW, gw2six).Frame()
		}
		held = super(p.from, unknown, 10500)
		n.SendFrame("a.e1", held).Is(inTwo)
		r = n.Inject("192.0.2.2", "a", 2000, reply).Is("a>192.0.2.2~*11")
		checkRouted(t, held, m, r.inner())
	})
}

// An unfinished checksum is finished where nobody behind the gateway would do it, and
// the hop that is taken off leaves it right.
func TestRoutedUnfinishedChecksum(t *testing.T) {
	bothVersions(t, func(t *testing.T, n *Net, p routedPair) {
		unfinished := func(to netip.Addr) (whole []byte, f portmem.Frame) {
			whole = datagram(H1, p.from, to, 100)
			f.Bytes = bytes.Clone(whole)
			start := 34
			if to.Is6() {
				start = 54
			}
			copy(f.Bytes[start+6:], pseudoSum(f.Bytes, start))
			f.Offload = frame.Offload{NeedsChecksum: true, ChecksumStart: uint16(start), ChecksumAt: 6}
			return whole, f
		}
		whole, f := unfinished(p.far)
		n.SendFrame("a.e1", f).Is("a>192.0.2.2~").encapsulates(2000, onward(whole, RA))
		whole, f = unfinished(p.near)
		r := n.SendFrame("a.e1", f).Is("a.e3~")
		r.carries("a.e3", onward(f.Bytes, H3))
		if o := r.Frames["a.e3"][0].Offload; o != f.Offload {
			t.Errorf("handed on with %+v, want %+v", o, f.Offload)
		}
		n.Gateway("a").Cable("e3").SetCarriesOffload(false)
		n.SendFrame("a.e1", f).Is("a.e3~").carries("a.e3", onward(whole, H3))
	})
}

// The longest segment decides whether a super-frame fits, and its sender is told what
// does. What may be cut is, segment by segment.
func TestRoutedSuperFrameTooBig(t *testing.T) {
	bothVersions(t, func(t *testing.T, n *Net, p routedPair) {
		g := n.Gateway("a")
		headers := 40
		if p.near.Is6() {
			headers = 60
		}
		far := super(p.from, p.far, 10500)
		g.Host.SetPath(netip.MustParseAddr("192.0.2.2"), 1000+headers+50) // exactly one segment
		n.Settle()
		checkRouted(t, far, RA, n.SendFrame("a.e1", far).Is("a>192.0.2.2~*11").inner())
		g.Host.SetPath(netip.MustParseAddr("192.0.2.2"), 1000+headers+49)
		n.Settle()
		r := n.SendFrame("a.e1", far).Is("a.e1~ a!route:too_big")
		if p.near.Is6() {
			r.carries("a.e1", error6(far.Bytes, gw1six, 2, 0, 1280))
			return
		}
		checkError(t, r.Frame("a.e1"), far.Bytes, gw1, 3, 4, 1039)

		h := ip.IPv4(far.Bytes[14:])
		h[6] = 0
		h.SetChecksum(0)
		h.SetChecksum(^ip.Sum(h[:20], 0))
		r = n.SendFrame("a.e1", far).Is("a>192.0.2.2~*21") // the last segment fits
		data := 0
		for _, f := range r.inner() {
			p, ok := ip.ParseIPv4(f[14:])
			if !ok || !p.ChecksumOK() || p.TTL() != 63 || len(p) > 1039 || frame.Frame(f).Dst() != RA || frame.Frame(f).Src() != GW {
				t.Errorf("fragment % x", f[:34])
			}
			data += len(p.Payload())
		}
		if want := 10500 + 11*20; data != want {
			t.Errorf("%d bytes behind IP headers, want %d", data, want)
		}
	})
}

// Segments out of the overlay are joined on their way to a port, routed or not.
func TestRoutedSegmentsAreJoined(t *testing.T) {
	Test(t, func(n *Net) {
		g := routed(n)
		segs := stream(false, GW, RA, 1000, 20, 1000)
		var want [][]byte
		for _, f := range segs {
			h := ip.IPv4(f[14:])
			copy(h[12:], rA.AsSlice())
			copy(h[16:], r1.AsSlice())
			h.SetChecksum(0)
			h.SetChecksum(^ip.Sum(h[:20], 0))
			tcp := ip.TCP(f[34:])
			tcp.SetChecksum(0)
			tcp.SetChecksum(^ip.Sum(tcp, h.PseudoSum(ip.ProtoTCP, len(tcp))))
			want = append(want, onward(f, H1))
		}
		r := n.InjectBurst("192.0.2.2", "a", 2000, segs...).Is("a.e1~")
		f := r.Frames["a.e1"][0]
		if o := f.Offload; o.SegmentSize != 1000 || !bytes.Equal(f.Bytes[54:], joined(segs, 54)) || !bytes.Equal(f.Bytes[:12], want[0][:12]) || f.Bytes[14+8] != 63 {
			t.Errorf("%+v, % x", o, f.Bytes[:54])
		}
		g.Host.EditLink("e1", func(l *path.Link) { l.MTU = 0 }) // nothing is joined there
		n.Settle()
		sameFrames(t, n.InjectBurst("192.0.2.2", "a", 2000, segs...).Is("a.e1~*20").Frames["a.e1"], want)
	})
}
