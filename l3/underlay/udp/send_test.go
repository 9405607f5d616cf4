package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/test/netns"
)

// ours keeps what a capture is about: UDP to the VXLAN port, and fragments.
func ours(f []byte) bool {
	if len(f) < frame.HeaderLen {
		return false
	}
	p := f[frame.HeaderLen:]
	switch frame.Frame(f).Type() {
	case frame.TypeIPv4:
		h, ok := ip.ParseIPv4(p)
		return ok && h.Protocol() == ip.ProtoUDP
	case frame.TypeIPv6:
		h, ok := ip.ParseIPv6(p)
		return ok && (h.NextHeader() == ip.ProtoUDP || h.NextHeader() == ip.ProtoFragment)
	}
	return false
}

func capture(t testing.TB, ns *netns.NS) *netns.Capture {
	t.Helper()
	c, err := ns.Capture(dev, netns.Only(ours))
	must(t, err)
	return c
}

func waitFrames(t testing.TB, c *netns.Capture, n int) [][]byte {
	t.Helper()
	must(t, c.Wait(n, patience))
	return c.Frames()
}

func TestBytesOnTheWire(t *testing.T) {
	n := newNetwork(t, 1600)
	type setting struct {
		name string
		cfg  Config
		sum  bool
	}
	table := map[bool][]setting{
		true: {
			{"defaults", Config{}, false},
			{"DF and TTL", Config{DF: true, TTL: 7}, false},
			{"checksum", Config{DF: true, Checksum: true, TTL: 255}, true},
			{"other port", Config{Port: 8472}, false},
		},
		false: {
			{"defaults", Config{}, true},
			{"hop limit", Config{TTL: 7}, true},
			{"checksum zero", Config{ZeroChecksum6: true}, false},
		},
	}
	payloads := [][2]string{{"head", "body"}, {"odd", "body"}, {"odd", "odd"}, {"head", ""}, {"", "body"}, {"", ""}}
	for _, a := range families {
		for _, s := range table[a.gw.Is4()] {
			t.Run(a.name+" "+s.name, func(t *testing.T) {
				s.cfg.Address = a.gw
				u := openIn(t, n.gw, s.cfg)
				defer u.Close()
				c := capture(t, n.peer)
				defer c.Close()
				var ds []underlay.Datagram
				for i, p := range payloads {
					ds = append(ds, underlay.Datagram{To: a.peer, SourcePort: uint16(49152 + 1000*i), TOS: uint8(i * 0x2b), Head: []byte(p[0]), Body: []byte(p[1])})
				}
				mustSend(t, u, ds...)
				frames := waitFrames(t, c, len(ds))
				if a.gw.Is4() && !s.cfg.DF {
					wantIDs(t, frames)
				}
				for i, f := range frames {
					if s.cfg.Port == 0 {
						s.cfg.Port = vxlanPort
					}
					checkOuter(t, f, a, s.cfg, &ds[i], s.sum)
				}
			})
		}
	}
}

// wantIDs holds that fragments of packets without DF could be told apart. Any
// one ID may be zero: it is a number like the others.
func wantIDs(t *testing.T, frames [][]byte) {
	t.Helper()
	ids := make(map[uint16]bool)
	for _, f := range frames {
		ids[ip.IPv4(f[14:]).ID()] = true
	}
	if len(ids) != len(frames) {
		t.Errorf("%d packets without DF have %d different IDs", len(frames), len(ids))
	}
}

// checkOuter compares a frame with the one that is wanted, byte by byte but for
// the IPv4 ID of a packet without DF.
func checkOuter(t *testing.T, f []byte, a addresses, cfg Config, d *underlay.Datagram, sum bool) {
	t.Helper()
	if cfg.TTL == 0 {
		cfg.TTL = DefaultTTL
	}
	payload := append(bytes.Clone(d.Head), d.Body...)
	n := 8 + len(payload)
	u := binary.BigEndian.AppendUint16(nil, d.SourcePort)
	u = binary.BigEndian.AppendUint16(u, cfg.Port)
	u = binary.BigEndian.AppendUint16(u, uint16(n))
	u = append(append(u, 0, 0), payload...)
	want := append(append([]byte{}, peerMAC[:]...), gwMAC[:]...)
	var pseudo uint16
	if a.gw.Is4() {
		h := make(ip.IPv4, ip.IPv4HeaderLen)
		id := uint16(0)
		if !cfg.DF {
			id = ip.IPv4(f[14:]).ID() // the kernel's choice, see wantIDs
		}
		h.Encode(ip.IPv4Fields{TOS: d.TOS, TotalLen: 20 + n, ID: id, DontFragment: cfg.DF, TTL: cfg.TTL, Protocol: ip.ProtoUDP, Src: a.gw.As4(), Dst: a.peer.As4()})
		pseudo = h.PseudoSum(ip.ProtoUDP, n)
		want = append(append(want, 8, 0), h...)
	} else {
		h := make(ip.IPv6, ip.IPv6HeaderLen)
		h.Encode(ip.IPv6Fields{TrafficClass: d.TOS, PayloadLen: n, NextHeader: ip.ProtoUDP, HopLimit: cfg.TTL, Src: a.gw.As16(), Dst: a.peer.As16()})
		label := ip.IPv6(f[14:]).FlowLabel()
		if label == 0 {
			t.Error("no flow label")
		}
		binary.BigEndian.PutUint32(h, binary.BigEndian.Uint32(h)|label)
		pseudo = h.PseudoSum(ip.ProtoUDP, n)
		want = append(append(want, 0x86, 0xdd), h...)
	}
	if sum {
		binary.BigEndian.PutUint16(u[6:], ip.NonZero(^ip.Sum(u, pseudo)))
	}
	want = append(want, u...)
	if !bytes.Equal(f, want) {
		t.Errorf("source port %d:\ngot  %x\nwant %x", d.SourcePort, f, want)
	}
}

// TestComputedChecksumIsNeverZero has one source port among all that makes the
// sum come out as zero.
func TestComputedChecksumIsNeverZero(t *testing.T) {
	for _, a := range families {
		h := newHeaders(&Config{Address: a.gw, Port: vxlanPort, TTL: 64, Checksum: true})
		zeros := 0
		for port := range 1 << 16 {
			d := underlay.Datagram{To: a.peer, SourcePort: uint16(port)}
			var b header
			h.write(&b, &d, 0, 0)
			u := ip.UDP(b[h.length-8 : h.length])
			switch u.Checksum() {
			case 0:
				t.Fatalf("%s: port %d goes without a checksum", a.name, port)
			case 0xffff:
				zeros++
			}
		}
		if zeros == 0 {
			t.Errorf("%s: no port has the checksum 0xffff", a.name)
		}
	}
}

func TestIPv4IDDiffersWithoutDF(t *testing.T) {
	n := newNetwork(t, 0)
	u := openIn(t, n.gw, Config{Address: v4.gw})
	c := capture(t, n.peer)
	d := underlay.Datagram{To: v4.peer, SourcePort: 50000, Head: []byte("x")}
	mustSend(t, u, d, d, d, d)
	ids := make(map[uint16]bool)
	for _, f := range waitFrames(t, c, 4) {
		ids[ip.IPv4(f[14:]).ID()] = true
	}
	if len(ids) != 4 || ids[0] {
		t.Errorf("IDs of four packets: %v", ids)
	}
}

// TestSourcePortsCoverTheWholeRange sends from ports that sockets have too, the
// VXLAN port among them.
func TestSourcePortsCoverTheWholeRange(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw})
			c := capture(t, n.peer)
			defer c.Close()
			var ds []underlay.Datagram
			want := make(map[uint16]bool)
			labels := make(map[uint32]bool)
			for p := 1; p < 1<<16; p += 257 {
				ds = append(ds, underlay.Datagram{To: a.peer, SourcePort: uint16(p), Head: []byte("x")})
				want[uint16(p)] = true
			}
			ds = append(ds, underlay.Datagram{To: a.peer, SourcePort: vxlanPort})
			want[vxlanPort] = true
			mustSend(t, u, ds...)
			for _, f := range waitFrames(t, c, len(ds)) {
				delete(want, binary.BigEndian.Uint16(f[14+a.overhead()-8:]))
				labels[ip.IPv6(f[14:]).FlowLabel()] = true
			}
			if len(want) > 0 {
				t.Errorf("%d source ports were not seen", len(want))
			}
			if a.gw.Is6() && len(labels) != len(ds) {
				t.Errorf("%d flow labels for %d flows", len(labels), len(ds))
			}
		})
	}
}

func TestFlowLabelsAreNonZeroAndFit(t *testing.T) {
	for p := range 1 << 16 {
		if l := flowLabel(uint16(p)); l == 0 || l > 0xfffff {
			t.Fatalf("port %d: flow label %#x", p, l)
		}
	}
}

// TestTooBigIsNeverFragmented also has the route promise more, and less, than
// the device takes.
func TestTooBigIsNeverFragmented(t *testing.T) {
	const mtu = 1400
	n := newNetwork(t, mtu)
	for _, a := range families {
		for _, df := range []bool{true, false} {
			for _, routeMTU := range []int{0, 1300} {
				t.Run(fmt.Sprintf("%s df=%v route=%d", a.name, df, routeMTU), func(t *testing.T) {
					dst := a.peer
					if routeMTU > 0 {
						dst = dst.Next()
						to := netns.Route{To: netip.PrefixFrom(dst, dst.BitLen()).String(), Via: a.peer.String(), MTU: routeMTU}
						must(t, n.gw.AddRoute(to))
						defer func() { must(t, n.gw.DelRoute(to)) }()
					}
					u := openIn(t, n.gw, Config{Address: a.gw, DF: df})
					defer u.Close()
					c := capture(t, n.peer)
					defer c.Close()
					room := mtu - a.overhead()
					ds := []underlay.Datagram{
						{To: dst, Head: make([]byte, room)},
						{To: dst, Head: make([]byte, 8), Body: make([]byte, room-7)},
						{To: dst, Head: make([]byte, 40000)},
						{To: dst, Head: make([]byte, underlay.MaxPayload+1)},
						{To: dst, Head: []byte("last")},
					}
					err := u.Queues()[0].WriteBatch(ds)
					if !errors.Is(err, unix.EMSGSIZE) {
						t.Errorf("error %v", err)
					}
					for i, want := range []frame.Status{frame.Sent, frame.TooBig, frame.TooBig, frame.TooBig, frame.Sent} {
						if ds[i].Status != want {
							t.Errorf("datagram %d: status %d, want %d", i, ds[i].Status, want)
						}
					}
					frames := waitFrames(t, c, 2)
					if len(frames) != 2 || len(frames[0]) != 14+mtu || len(frames[1]) != 14+a.overhead()+4 {
						t.Errorf("%d frames on the wire, the first of %d bytes", len(frames), len(frames[0]))
					}
				})
			}
		}
	}
}

// TestErrorsDoNotAddUp: a socket that was refused a thousand times still sends.
func TestErrorsDoNotAddUp(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		u := openIn(t, n.gw, Config{Address: a.gw})
		ds := make([]underlay.Datagram, 1000)
		for i := range ds {
			ds[i] = underlay.Datagram{To: a.peer, Head: make([]byte, 2000)}
		}
		if err := u.Queues()[0].WriteBatch(ds); !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("%s: error %v", a.name, err)
		}
		for i := range ds {
			if ds[i].Status != frame.TooBig {
				t.Fatalf("%s: datagram %d: status %d", a.name, i, ds[i].Status)
			}
		}
		mustSend(t, u, underlay.Datagram{To: a.peer, Head: []byte("x")})
	}
}

// TestRefusals has each refusal in the middle of a batch, whose rest is sent.
func TestRefusals(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		other := map[bool]netip.Addr{true: v6.peer, false: v4.peer}[a.gw.Is4()]
		away := map[bool]string{true: "203.0.113.", false: "2001:db8:ffff::"}[a.gw.Is4()]
		for i, kind := range []string{"prohibit", "unreachable", "blackhole"} {
			to := netip.MustParseAddr(away + fmt.Sprint(i+1))
			must(t, n.gw.AddRoute(netns.Route{To: netip.PrefixFrom(to, to.BitLen()).String(), Kind: kind}))
		}
		type refusal struct {
			name   string
			to     netip.Addr
			errnos []unix.Errno // the first that fits; kernels and families differ
			status frame.Status
		}
		table := []refusal{
			{"prohibit", netip.MustParseAddr(away + "1"), []unix.Errno{unix.EACCES}, frame.Failed},
			{"unreachable", netip.MustParseAddr(away + "2"), []unix.Errno{unix.EHOSTUNREACH}, frame.Failed},
			{"blackhole", netip.MustParseAddr(away + "3"), []unix.Errno{unix.EINVAL}, frame.Failed},
			{"no route", netip.MustParseAddr(away + "4"), []unix.Errno{unix.ENETUNREACH}, frame.Failed},
			{"other family", other, []unix.Errno{unix.EAFNOSUPPORT}, frame.Failed},
			{"no address", netip.Addr{}, []unix.Errno{unix.EAFNOSUPPORT}, frame.Failed},
		}
		if a.gw.Is4() {
			table = append(table,
				refusal{"broadcast", netip.MustParseAddr("192.0.2.255"), []unix.Errno{unix.EACCES}, frame.Failed},
				refusal{"mapped", netip.AddrFrom16(a.peer.As16()), []unix.Errno{unix.EAFNOSUPPORT}, frame.Failed})
		} else {
			table = append(table, refusal{"mapped", netip.AddrFrom16(v4.peer.As16()), []unix.Errno{unix.EAFNOSUPPORT}, frame.Failed})
		}
		u := openIn(t, n.gw, Config{Address: a.gw})
		for _, tt := range table {
			t.Run(a.name+" "+tt.name, func(t *testing.T) {
				c := capture(t, n.peer)
				defer c.Close()
				good := underlay.Datagram{To: a.peer, Head: []byte("good"), Status: frame.Refused}
				ds := []underlay.Datagram{good, {To: tt.to, Head: []byte("bad")}, {To: tt.to, Head: []byte("bad")}, good}
				err := u.Queues()[0].WriteBatch(ds)
				var se *SendError
				if !errors.As(err, &se) || se.To != tt.to || !errors.Is(err, tt.errnos[0]) {
					t.Errorf("error %v, want %v", err, tt.errnos)
				}
				t.Log(err)
				for i, want := range []frame.Status{frame.Sent, tt.status, tt.status, frame.Sent} {
					if ds[i].Status != want {
						t.Errorf("datagram %d: status %d, want %d", i, ds[i].Status, want)
					}
				}
				if got := len(waitFrames(t, c, 2)); got != 2 {
					t.Errorf("%d frames on the wire, want 2", got)
				}
			})
		}
	}
}

// TestAddressTakenAway: nothing leaves with a source address that is not this
// machine's.
func TestAddressTakenAway(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			must(t, n.gw.AddAddr(dev, a.gw.Next().String()+a.bits))
			u := openIn(t, n.gw, Config{Address: a.gw})
			must(t, n.gw.DelAddr(dev, a.gw.String()+a.bits))
			s, err := send(u, underlay.Datagram{To: a.peer, Head: []byte("x")})
			t.Log(s, err)
			if s != frame.Failed || err == nil {
				t.Errorf("status %d, error %v", s, err)
			}
		})
	}
}

func TestLinkDown(t *testing.T) {
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			n := newNetwork(t, 0)
			u := openIn(t, n.gw, Config{Address: a.gw})
			must(t, n.gw.SetDown(dev))
			s, err := send(u, underlay.Datagram{To: a.peer, Head: []byte("x")})
			t.Log(s, err)
			if s != frame.Failed || err == nil {
				t.Errorf("status %d, error %v", s, err)
			}
		})
	}
}

func TestWriteAfterClose(t *testing.T) {
	n := newNetwork(t, 0)
	u := openIn(t, n.gw, Config{Address: v4.gw})
	must(t, u.Close())
	ds := make([]underlay.Datagram, 3)
	for i := range ds {
		ds[i].To = v4.peer
	}
	if err := u.Queues()[0].WriteBatch(ds); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
	for i := range ds {
		if ds[i].Status != frame.Down {
			t.Errorf("datagram %d: status %d", i, ds[i].Status)
		}
	}
}

// TestHeadEndReplication sends one payload to many, from many goroutines, in
// batches that are longer than the kernel gets in one call.
func TestHeadEndReplication(t *testing.T) {
	const writers, copies = 4, 200
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw, Checksum: true})
			defer u.Close()
			peer := openIn(t, n.peer, Config{Address: a.peer})
			defer peer.Close()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					head, body := []byte{byte(w)}, bytes.Repeat([]byte{byte(w)}, 100+w)
					ds := make([]underlay.Datagram, copies)
					for i := range ds {
						ds[i] = underlay.Datagram{To: a.peer, SourcePort: uint16(1000*w + i), Head: head, Body: body}
					}
					if err := u.Queues()[0].WriteBatch(ds); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			r := newReader(t, peer)
			seen := make(map[uint16]bool)
			for range writers * copies {
				p := r.next()
				w := p.Bytes()[0]
				if p.From != a.gw || int(p.FromPort)/1000 != int(w) || !bytes.Equal(p.Bytes(), bytes.Repeat([]byte{w}, 101+int(w))) {
					t.Fatalf("from %v:%d: %x", p.From, p.FromPort, p.Bytes())
				}
				seen[p.FromPort] = true
			}
			if len(seen) != writers*copies {
				t.Errorf("%d different datagrams, want %d", len(seen), writers*copies)
			}
		})
	}
}

func TestSummedForgetsNothing(t *testing.T) {
	var m summed
	x, y := []byte("abc"), []byte("defg")
	for _, tt := range [][2][]byte{{nil, nil}, {x, y}, {x, y}, {y, x}, {x, y[:3]}, {x[:2], y}, {nil, y}, {x, nil}, {nil, nil}} {
		want := ip.Sum(append(bytes.Clone(tt[0]), tt[1]...), 0)
		if got := m.of(tt[0], tt[1]); got != want {
			t.Errorf("%q %q: %#x, want %#x", tt[0], tt[1], got, want)
		}
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool allocate")
	}
	n := newNetwork(t, 0)
	for _, a := range families {
		u := openIn(t, n.gw, Config{Address: a.gw, Checksum: true})
		ds := make([]underlay.Datagram, 100)
		for i := range ds {
			ds[i] = underlay.Datagram{To: a.peer, SourcePort: uint16(i), Head: make([]byte, 8), Body: make([]byte, 1000)}
		}
		write := u.Queues()[0].WriteBatch
		if got := testing.AllocsPerRun(100, func() { _ = write(ds) }); got != 0 {
			t.Errorf("%s: %v allocations per batch", a.name, got)
		}
	}
}
