package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/port/raw"
	"vxgw/l3/ip"
	"vxgw/l3/offload"
	"vxgw/l3/underlay"
	"vxgw/l3/vxlan"
	"vxgw/test/netns"
)

var (
	wireMAC = frame.MAC{2, 0, 0, 0, 0xf0, 1}
	peerMAC = frame.MAC{2, 0, 0, 0, 0xf0, 2}
)

// superFrame is a TCP super-frame as a socket of the kernel's hands it over.
type superFrame struct {
	v6    bool
	size  int // bytes of payload
	mss   int
	flags ip.TCPFlags
}

func (s superFrame) build() ([]byte, frame.Offload) {
	l4 := frame.HeaderLen + ip.IPv4HeaderLen
	if s.v6 {
		l4 = frame.HeaderLen + ip.IPv6HeaderLen
	}
	f := make([]byte, l4+ip.TCPHeaderLen+s.size)
	copy(f, append(remote[:], here[:]...))
	tcp, n := f[l4:], len(f)-l4
	binary.BigEndian.PutUint16(tcp, 43210)
	binary.BigEndian.PutUint16(tcp[2:], 5201)
	binary.BigEndian.PutUint32(tcp[4:], 0xfffff000) // it wraps on the way
	tcp[12] = ip.TCPHeaderLen / 4 << 4
	ip.TCP(tcp).SetFlags(s.flags)
	for i := range tcp[ip.TCPHeaderLen:] {
		tcp[ip.TCPHeaderLen+i] = byte(i * 7)
	}
	o := frame.Offload{NeedsChecksum: true, ChecksumStart: uint16(l4), ChecksumAt: ip.TCPChecksumAt, SegmentSize: uint16(s.mss)}
	var pseudo uint16
	if s.v6 {
		o.GSO = frame.GSOTCPv6
		binary.BigEndian.PutUint16(f[12:], frame.TypeIPv6)
		h := ip.IPv6(f[frame.HeaderLen:])
		h.Encode(ip.IPv6Fields{PayloadLen: n, NextHeader: ip.ProtoTCP, HopLimit: 64, Src: here6.As16(), Dst: remote6.As16()})
		pseudo = h.PseudoSum(ip.ProtoTCP, n)
	} else {
		o.GSO = frame.GSOTCPv4
		binary.BigEndian.PutUint16(f[12:], frame.TypeIPv4)
		h := ip.IPv4(f[frame.HeaderLen:])
		h.Encode(ip.IPv4Fields{TotalLen: ip.IPv4HeaderLen + n, ID: 0xfffe, DontFragment: true, TTL: 64, Protocol: ip.ProtoTCP, Src: here4.As4(), Dst: remote4.As4()})
		h.SetChecksum(0)
		h.SetChecksum(^ip.Sum(h[:ip.IPv4HeaderLen], 0))
		pseudo = h.PseudoSum(ip.ProtoTCP, n)
	}
	binary.BigEndian.PutUint16(tcp[ip.TCPChecksumAt:], pseudo)
	return f, o
}

// wholeBed is a VTEP and the wire that it sends by.
type wholeBed struct {
	t        *testing.T
	gw, peer *netns.NS
	dev      underlay.Underlay
	to       netip.Addr
	via      *underlay.Hop
	lacks    chan error
}

// newWholeBed makes a VTEP on a link that does nothing by itself: what the peer
// sees the kernel's software cut.
func newWholeBed(t *testing.T, v6, df bool) *wholeBed {
	t.Helper()
	netns.Require(t)
	b := &wholeBed{t: t, lacks: make(chan error, 8)}
	for _, ns := range []**netns.NS{&b.gw, &b.peer} {
		var err error
		*ns, err = netns.New("")
		must(t, err)
		t.Cleanup(func() { must(t, (*ns).Close()) })
	}
	must(t, netns.Veth(b.gw, "und", b.peer, "und", netns.VethOptions{AMAC: wireMAC, BMAC: peerMAC, MTU: 9000}))
	addr, bits := netip.MustParseAddr("192.0.2.1"), "/24"
	b.to = peerAddr
	if v6 {
		addr, bits, b.to = netip.MustParseAddr("2001:db8::1"), "/64", netip.MustParseAddr("2001:db8::2")
	}
	must(t, b.gw.AddAddr("und", addr.String()+bits))
	must(t, b.gw.Offloads("und", false, "tx", "tso", "gso", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation"))
	must(t, b.peer.Offloads("und", false, "gro"))
	index := 0
	must(t, b.gw.Do(func() error {
		l, err := interfaceIndex("und")
		index = l
		if err != nil {
			return err
		}
		b.dev, err = openUnderlay(UnderlayOptions{
			Address: addr, Port: 4789, Queues: 2, TTL: 64, DF: df, ZeroChecksum6: v6, Lacks: func(err error) { b.lacks <- err },
		})
		if err != nil {
			return err
		}
		_, err = b.dev.UseLinks([]int{index})
		return err
	}))
	t.Cleanup(func() { must(t, b.dev.Close()) })
	b.via = &underlay.Hop{Interface: index, From: wireMAC, To: peerMAC}
	if !b.dev.Queues()[0].CarriesOffload(b.via, 1000) {
		select {
		case err := <-b.lacks:
			t.Skipf("this kernel does not carry super-frames: %v", err)
		default:
			t.Fatal("super-frames are not carried, and nobody was told why")
		}
	}
	return b
}

// datagram is f on its way to the peer, with room for the VXLAN header.
func (b *wholeBed) datagram(f []byte, o frame.Offload) underlay.Datagram {
	head := make([]byte, vxlanHeader)
	vxlan.Put(head, 1000)
	return underlay.Datagram{To: b.to, Via: b.via, SourcePort: 50001, TOS: 0x2a, Head: head, Body: f, Offload: o}
}

// cut returns the segments of f as the gateway sends them where it must cut.
func (b *wholeBed) cut(f []byte, o frame.Offload) (ds []underlay.Datagram) {
	b.t.Helper()
	segments, ok := offload.NewSegmenter(vxlanHeader).Cut(f, o)
	if !ok {
		b.t.Fatal("not a super-frame")
	}
	for _, s := range segments {
		vxlan.Put(s.Head, 1000)
		d := b.datagram(s.Body, frame.Offload{})
		d.Head = s.Head
		ds = append(ds, d)
	}
	return ds
}

// wire sends ds and returns the n packets that the peer sees.
func (b *wholeBed) wire(lane, n int, ds ...underlay.Datagram) [][]byte {
	b.t.Helper()
	c, err := b.peer.Capture("und", netns.Only(isVXLANPacket))
	must(b.t, err)
	defer c.Close()
	must(b.t, b.dev.Queues()[lane].WriteBatch(ds))
	for i := range ds {
		if ds[i].Status != frame.Sent {
			b.t.Fatalf("datagram %d: status %d", i, ds[i].Status)
		}
	}
	must(b.t, c.Wait(n, patience))
	return c.Frames()
}

func isVXLANPacket(f []byte) bool {
	switch {
	case len(f) > 60 && frame.Frame(f).Type() == frame.TypeIPv4:
		return f[23] == ip.ProtoUDP && ip.UDP(f[34:]).DstPort() == 4789
	case len(f) > 80 && frame.Frame(f).Type() == frame.TypeIPv6:
		return f[20] == ip.ProtoUDP && ip.UDP(f[54:]).DstPort() == 4789
	}
	return false
}

// withoutID returns a packet without what may differ: the outer IPv4 ID, and with
// it the checksum of that header, which must be right.
func withoutID(t *testing.T, f []byte) []byte {
	t.Helper()
	f = slices.Clone(f)
	if frame.Frame(f).Type() == frame.TypeIPv4 {
		if !ip.IPv4(f[14:34]).ChecksumOK() {
			t.Error("the outer IPv4 checksum is wrong")
		}
		clear(f[18:20])
		clear(f[24:26])
	}
	return f
}

// What the kernel makes of a whole super-frame is, byte for byte, what the gateway
// makes of it, ordinary frames in front and behind stay there.
func TestWholeIsWhatTheGatewayCuts(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(fmt.Sprintf("outer IPv6 %t", v6), func(t *testing.T) {
			b := newWholeBed(t, v6, true)
			for _, s := range []superFrame{
				{false, 20000, 1448, ip.ACK | ip.PSH},
				{false, 1449, 1448, ip.ACK},
				{false, 60001, 1000, ip.ACK | ip.FIN | ip.PSH},
				{false, 30001, 8000, ip.ACK | ip.CWR},
				{true, 20000, 1428, ip.ACK | ip.PSH},
				{true, 60001, 999, ip.ACK | ip.CWR | ip.PSH},
			} {
				f, o := s.build()
				first, last := dataFrame(remote, here), dataFrame(remote, here)
				last = append(last, 1)
				cut := b.cut(f, o)
				around := func(mid ...underlay.Datagram) []underlay.Datagram {
					all := []underlay.Datagram{b.datagram(first, frame.Offload{})}
					return append(append(all, mid...), b.datagram(last, frame.Offload{}))
				}
				want := b.wire(0, len(cut)+2, around(cut...)...)
				got := b.wire(1, len(cut)+2, around(b.datagram(f, o))...)
				if len(got) != len(want) {
					t.Fatalf("%+v: %d packets, want %d", s, len(got), len(want))
				}
				for i := range want {
					if g, w := withoutID(t, got[i]), withoutID(t, want[i]); !bytes.Equal(g, w) {
						t.Fatalf("%+v: packet %d:\ngot  %x\nwant %x", s, i, g[:min(len(g), 140)], w[:min(len(w), 140)])
					}
				}
			}
		})
	}
}

// Without DF all segments can be told apart, those of the next super-frame too.
func TestWholeHasIDsOfItsOwn(t *testing.T) {
	b := newWholeBed(t, false, false)
	f, o := superFrame{size: 20000, mss: 1000, flags: ip.ACK}.build()
	ids := make(map[uint16]bool)
	got := b.wire(0, 41, b.datagram(f, o), b.datagram(dataFrame(remote, here), frame.Offload{}), b.datagram(f, o))
	for _, f := range got {
		ids[ip.IPv4(f[14:]).ID()] = true
	}
	if len(got) != 41 || len(ids) != 41 {
		t.Errorf("%d packets have %d different IDs, want 41", len(got), len(ids))
	}
}

// A link that is down, or gone since it was asked, loses nothing silently.
func TestWholeToALinkThatIsDown(t *testing.T) {
	b := newWholeBed(t, false, true)
	f, o := superFrame{size: 20000, mss: 1000, flags: ip.ACK}.build()
	ds := []underlay.Datagram{b.datagram(f, o)}
	must(t, b.gw.SetDown("und"))
	if err := b.dev.Queues()[0].WriteBatch(ds); err == nil || ds[0].Status != frame.Down {
		t.Errorf("by a link that is down: status %d, %v", ds[0].Status, err)
	}
	must(t, b.gw.SetUp("und"))
	if _, err := b.dev.UseLinks(nil); err != nil {
		t.Fatal(err)
	}
	if b.dev.Queues()[0].CarriesOffload(b.via, 1000) {
		t.Error("super-frames are carried by a link that is not used")
	}
	ds[0].Status = frame.Sent
	if err := b.dev.Queues()[0].WriteBatch(ds); err == nil || ds[0].Status != frame.Down {
		t.Errorf("by a link that is not used: status %d, %v", ds[0].Status, err)
	}
}

// What does not fit a 16-bit length is not taken whole.
func TestWholeFitsAnIPPacket(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		b := newWholeBed(t, v6, true)
		q, most := b.dev.Queues()[0], underlay.MaxPayload
		if !v6 {
			most -= ip.IPv4HeaderLen
		}
		if !q.CarriesOffload(b.via, most) || q.CarriesOffload(b.via, most+1) {
			t.Errorf("IPv6 %t: the longest UDP payload is not %d bytes", v6, most)
		}
		const headers = frame.HeaderLen + ip.IPv4HeaderLen + ip.TCPHeaderLen
		f, o := superFrame{size: most - vxlanHeader - headers, mss: 8000, flags: ip.ACK}.build()
		cut := b.cut(f, o)
		for i, p := range b.wire(0, len(cut), b.datagram(f, o)) {
			want := append(slices.Clone(cut[i].Head), cut[i].Body...)
			if !bytes.HasSuffix(p, want) {
				t.Errorf("IPv6 %t: segment %d is not as it should be", v6, i)
			}
		}
	}
}

// A super-frame that the program does not see has left without outer headers: it is
// not counted as sent, and is the last, which is told of once.
func TestWholeThatTheProgramDoesNotSee(t *testing.T) {
	b := newWholeBed(t, false, true)
	must(t, netns.Veth(b.gw, "other", b.peer, "other", netns.VethOptions{MTU: 1500}))
	f, o := superFrame{size: 20000, mss: 1000, flags: ip.ACK}.build()
	var told []error
	must(t, b.gw.Do(func() error {
		other, err := interfaceIndex("other")
		if err != nil {
			return err
		}
		w, err := openWholes(b.via.Interface, UnderlayOptions{Address: b.to, Queues: 1, Lacks: func(err error) { told = append(told, err) }})
		if err != nil {
			return err
		}
		defer w.close()
		must(t, w.lanes[0].tx.Close())
		if w.lanes[0].tx, err = raw.OpenMarked(other, w.lanes[0].slot.Mark); err != nil {
			return err
		}
		l := &wireLink{whole: w}
		for range 2 {
			if errno := l.SendWhole(0, make([]byte, 42), make([]byte, vxlanHeader), f, o); errno != unix.ENOBUFS {
				t.Errorf("error %v, want %v", errno, unix.ENOBUFS)
			}
		}
		if l.CarriesOffload() || len(told) != 1 || !errors.Is(told[0], errEncapPassed) {
			t.Errorf("carries more: %t; told %v", l.CarriesOffload(), told)
		}
		return nil
	}))
}

func interfaceIndex(name string) (int, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return ifi.Index, nil
}
