package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/port/raw"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/l3/vxlan"
	"vxgw/test/bpf"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// testLink is a Link as the gateway has it, but for what sends super-frames.
type testLink struct {
	*raw.Sender
	reader *raw.Reader
	stop   func() error
}

// linkOpener returns a Config.OpenLink for a VTEP.
func linkOpener(vtep netip.AddrPort, express bool) func(index int) (Link, error) {
	return func(index int) (Link, error) {
		l := &testLink{}
		var err error
		if l.Sender, err = raw.OpenSender(index, express); err != nil {
			return nil, err
		}
		l.reader, err = raw.OpenReader(raw.Config{Index: index, Split: func(room int) (s raw.Split, err error) {
			s.Ring, s.Rest, l.stop, err = bpf.Divert(index, vtep, room)
			return s, err
		}})
		if err != nil {
			return nil, errors.Join(err, l.Sender.Close())
		}
		return l, nil
	}
}

func (l *testLink) Queues() []FrameReader { return []FrameReader{l.reader.Queues()[0]} }
func (l *testLink) CarriesOffload() bool  { return false }
func (l *testLink) SendWhole(int, []byte, []byte, []byte, frame.Offload) unix.Errno {
	return unix.EOPNOTSUPP
}

func (l *testLink) Close() error { return errors.Join(l.reader.Close(), l.stop(), l.Sender.Close()) }

// linked is an underlay that packets go by past the stack.
type linked struct {
	*Underlay
	t     testing.TB
	ns    *netns.NS
	index int
	hop   *underlay.Hop

	mu      sync.Mutex
	pkts    []underlay.Packet // came, by whichever way
	byWire  int
	readers sync.WaitGroup
}

// openLinked opens an underlay in the gateway's namespace, which does not use the
// link yet, and collects what comes in.
func (n network) openLinked(t testing.TB, cfg Config, express bool) *linked {
	t.Helper()
	bpf.Require(t)
	if cfg.Port == 0 {
		cfg.Port = vxlanPort
	}
	if cfg.OpenLink == nil {
		cfg.OpenLink = linkOpener(netip.AddrPortFrom(cfg.Address, cfg.Port), express)
	}
	l := &linked{t: t, ns: n.gw, Underlay: openIn(t, n.gw, cfg)}
	must(t, n.gw.Do(func() error {
		ifi, err := net.InterfaceByName(dev)
		if err == nil {
			l.index = ifi.Index
		}
		return err
	}))
	l.hop = &underlay.Hop{Interface: l.index, From: gwMAC, To: peerMAC}
	for _, q := range l.Underlay.Queues() {
		l.collect(q, false)
	}
	t.Cleanup(func() {
		must(t, l.Close())
		l.readers.Wait()
	})
	return l
}

// collect reads a queue to its end.
func (l *linked) collect(q underlay.Reader, wire bool) {
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	q.Wake()
	l.readers.Go(func() {
		defer begin()
		pkts := underlay.NewPackets(underlay.BatchSize, underlay.MaxPayload)
		for {
			n, err := q.ReadBatch(pkts)
			l.mu.Lock()
			for i := range pkts[:n] {
				p := pkts[i]
				p.Mem = bytes.Clone(p.Mem[:p.Off+p.Len])
				l.pkts = append(l.pkts, p)
				if wire {
					l.byWire++
				}
			}
			l.mu.Unlock()
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case errors.Is(err, os.ErrDeadlineExceeded):
				begin()
			case err != nil:
				l.t.Error(err)
				return
			}
		}
	})
	<-begun
}

// use has packets go by the interfaces.
func (l *linked) use(interfaces ...int) (err error) {
	var fresh []underlay.Reader
	_ = l.ns.Do(func() error { fresh, err = l.UseLinks(interfaces); return nil })
	for _, q := range fresh {
		l.collect(q, true)
	}
	return err
}

// came returns what has come, and how much of it by the wire.
func (l *linked) came() (pkts []underlay.Packet, byWire int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.pkts), l.byWire
}

func (l *linked) send(ds ...underlay.Datagram) error { return l.conns[0].WriteBatch(ds) }

// TestFramesAreThoseOfTheKernel: what goes by a link is, byte for byte, what the
// kernel sends for the same datagram.
func TestFramesAreThoseOfTheKernel(t *testing.T) {
	n := newNetwork(t, 1600)
	payloads := [][2]string{{"head", "body"}, {"odd", "body"}, {"odd", "odd"}, {"head", ""}, {"", "body"}, {"", ""}, {string(noise(8)), string(noise(1400))}}
	for _, a := range families {
		for _, c := range []struct {
			name string
			cfg  Config
		}{
			{"defaults", Config{}}, {"DF", Config{DF: true}}, {"TTL", Config{TTL: 7}}, {"checksum", Config{Checksum: true, DF: true}},
			{"zero checksum", Config{ZeroChecksum6: true}}, {"other port", Config{Port: 8472}},
		} {
			for _, express := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s express=%v", a.name, c.name, express), func(t *testing.T) {
					c.cfg.Address = a.gw
					u := n.openLinked(t, c.cfg, express)
					must(t, u.use(u.index))
					at := capture(t, n.peer)
					defer at.Close()
					var byStack, byLink []underlay.Datagram
					for i, p := range payloads {
						d := underlay.Datagram{To: a.peer, SourcePort: uint16(49152 + 1000*i), TOS: uint8(i * 0x2b), Head: []byte(p[0]), Body: []byte(p[1])}
						byStack = append(byStack, d)
						d.Via = u.hop
						byLink = append(byLink, d)
					}
					must(t, u.send(byStack...))
					want := waitFrames(t, at, len(payloads))
					must(t, u.send(byLink...))
					got := waitFrames(t, at, 2*len(payloads))[len(payloads):]
					ids := make(map[uint16]bool)
					for i := range got {
						is := got[i]
						if a.gw.Is4() && !c.cfg.DF {
							h := ip.IPv4(is[14:])
							ids[h.ID()] = true
							if !h.ChecksumOK() {
								t.Errorf("datagram %d: the header checksum is wrong", i)
							}
							is = bytes.Clone(is)
							ip.IPv4(is[14:]).SetID(ip.IPv4(want[i][14:]).ID())
							resum(is[14:])
						}
						if !bytes.Equal(is, want[i]) {
							t.Errorf("datagram %d:\n got % x\nwant % x", i, is, want[i])
						}
					}
					if a.gw.Is4() && !c.cfg.DF && len(ids) != len(got) {
						t.Errorf("%d packets without DF have %d IDs", len(got), len(ids))
					}
				})
			}
		}
	}
}

// TestOnePayloadForManyVTEPs: head-end replication sends one to more than a batch
// holds, some by the link and some by the stack.
func TestOnePayloadForManyVTEPs(t *testing.T) {
	n := newNetwork(t, 1600)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := n.openLinked(t, Config{Address: a.gw, Checksum: true}, false)
			must(t, u.use(u.index))
			at := capture(t, n.peer)
			defer at.Close()
			head, body := noise(8), noise(1000)
			const vteps = 3*underlay.BatchSize + 7
			var ds []underlay.Datagram
			for i := range vteps {
				d := underlay.Datagram{To: a.peer, SourcePort: uint16(50000 + i), Head: head, Body: body}
				if i%5 != 0 {
					d.Via = &underlay.Hop{Interface: u.index, From: gwMAC, To: peerMAC}
				}
				ds = append(ds, d)
			}
			must(t, u.send(ds...))
			seen := make(map[uint16]int)
			for _, f := range waitFrames(t, at, vteps) {
				p := ip.UDP(f[14+a.overhead()-8:])
				seen[p.SrcPort()]++
				if !bytes.Equal(p[8:], append(bytes.Clone(head), body...)) || !sumRight(a, f[14:]) {
					t.Fatalf("to VTEP %d: % x", p.SrcPort(), f)
				}
			}
			for i := range vteps {
				if ds[i].Status != frame.Sent || seen[uint16(50000+i)] != 1 {
					t.Errorf("datagram %d: status %d, came %d times", i, ds[i].Status, seen[uint16(50000+i)])
				}
			}
		})
	}
}

// sumRight verifies the UDP checksum of an IP packet without options.
func sumRight(a addresses, p []byte) bool {
	q := bytes.Clone(p)
	sumUDP(a, q)
	return bytes.Equal(p, q)
}

// TestLinkStatuses: what becomes of datagrams whose link refuses them, or is not
// there.
func TestLinkStatuses(t *testing.T) {
	for _, a := range families {
		for _, express := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s express=%v", a.name, express), func(t *testing.T) {
				n := newNetwork(t, 1600)
				u := n.openLinked(t, Config{Address: a.gw, DF: true}, express)
				at := capture(t, n.peer)
				send := func(want error, statuses ...frame.Status) {
					t.Helper()
					before := len(at.Frames())
					var ds []underlay.Datagram
					for i := range statuses {
						body := 10
						if i == 1 {
							body = 1600
						}
						ds = append(ds, underlay.Datagram{To: a.peer, Via: u.hop, SourcePort: 50000, Head: make([]byte, 8), Body: make([]byte, body)})
					}
					err := u.send(ds...)
					if !errors.Is(err, want) || want != nil && !errors.As(err, new(*SendError)) {
						t.Errorf("error %v, want %v", err, want)
					}
					sent := 0
					for i, s := range statuses {
						if ds[i].Status != s {
							t.Errorf("datagram %d: status %d, want %d", i, ds[i].Status, s)
						}
						if s == frame.Sent {
							sent++
						}
					}
					must(t, at.Wait(before+sent, patience))
				}
				const ok, big, failed = frame.Sent, frame.TooBig, frame.Failed
				noRoute := error(unix.ENETUNREACH)
				if a.gw.Is6() {
					noRoute = unix.EINVAL // and no address either
				}
				send(unix.EMSGSIZE, ok, big, ok) // the link is not in use: by the stack
				must(t, u.use(u.index))
				send(unix.EMSGSIZE, ok, big, ok)
				must(t, n.gw.SetDown(dev))
				send(noRoute, failed) // the stack is asked
				must(t, n.gw.SetUp(dev))
				if a.gw.Is6() {
					must(t, n.gw.AddAddr(dev, a.gw.String()+a.bits)) // gone with the link
				}
				n.introduce(t, a)
				send(nil, ok)
				must(t, u.use())
				send(unix.EMSGSIZE, ok, big, ok)
				must(t, u.Close())
				send(net.ErrClosed, frame.Down)
			})
		}
	}
}

// TestUseLinks: what cannot be opened is said and does without; what is in use stays
// so; and nothing is left behind.
func TestUseLinks(t *testing.T) {
	n := newNetwork(t, 0)
	opened, closed := make(map[int]int), make(map[int]int)
	open := linkOpener(netip.AddrPortFrom(v4.gw, vxlanPort), false)
	u := n.openLinked(t, Config{Address: v4.gw, OpenLink: func(index int) (Link, error) {
		l, err := open(index)
		if err != nil {
			return nil, err
		}
		opened[index]++
		return &closing{l, func() { closed[index]++ }}, nil
	}}, false)
	nowhere := u.index + 1000
	for range 3 {
		if err := u.use(nowhere, u.index); !errors.Is(err, unix.ENODEV) {
			t.Errorf("an interface that is not there: %v", err)
		}
	}
	if opened[u.index] != 1 || closed[u.index] != 0 {
		t.Errorf("opened %v, closed %v", opened, closed)
	}
	must(t, u.use())
	must(t, u.use(u.index))
	if opened[u.index] != 2 || closed[u.index] != 1 {
		t.Errorf("opened %v, closed %v", opened, closed)
	}
	must(t, u.Close())
	if closed[u.index] != 2 {
		t.Errorf("opened %v, closed %v", opened, closed)
	}
	if err := u.use(u.index); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	plain := openIn(t, n.gw, Config{Address: v4.gw})
	if queues, err := plain.UseLinks([]int{u.index}); err != nil || len(queues) > 0 {
		t.Errorf("without links: %v, %v", queues, err)
	}
}

type closing struct {
	Link
	note func()
}

func (c *closing) Close() error { c.note(); return c.Link.Close() }

// TestLinksComeAndGo: while packets go by the link, by the stack and by the link
// again each is sent once and received once.
func TestLinksComeAndGo(t *testing.T) {
	n := newNetwork(t, 1600)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := n.openLinked(t, Config{Address: a.gw}, false)
			peer := openIn(t, n.peer, Config{Address: a.peer})
			const total = 6000
			var there, back sync.WaitGroup
			atPeer := 0
			there.Go(func() { // to the peer, a number each
				for i := uint32(0); i < total; i++ {
					d := underlay.Datagram{To: a.peer, Via: u.hop, SourcePort: uint16(50000 + i%9), Head: make([]byte, 8), Body: binary.BigEndian.AppendUint32(nil, i)}
					if err := u.send(d, d); err != nil {
						t.Errorf("datagram %d: %v", i, err)
					}
				}
			})
			there.Go(func() {
				seen := make(map[uint32]int)
				r := newReader(t, peer)
				for range 2 * total {
					p := r.next()
					seen[binary.BigEndian.Uint32(p.Bytes()[8:])]++
					atPeer++
				}
				for i, n := range seen {
					if n != 2 {
						t.Errorf("datagram %d came %d times", i, n)
					}
				}
			})
			stop := make(chan struct{})
			sent := uint32(0)
			back.Go(func() { // to the gateway
				for {
					select {
					case <-stop:
						return
					default:
					}
					if got, _ := u.came(); int(sent)-len(got) > 100 {
						time.Sleep(50 * time.Microsecond)
						continue
					}
					ds := []underlay.Datagram{{To: a.gw, SourcePort: uint16(50000 + sent%9), Head: binary.BigEndian.AppendUint32(nil, sent)}}
					if err := peer.Queues()[0].WriteBatch(ds); err != nil {
						t.Error(err)
					}
					sent++
				}
			})
			for range 6 {
				_, wire := u.came()
				must(t, u.use(u.index))
				eventually(t, "packets come by the wire", func() bool { _, n := u.came(); return n > wire+100 })
				must(t, u.use())
				all, wire := u.came()
				stack := len(all) - wire
				eventually(t, "packets come by the stack", func() bool { all, n := u.came(); return len(all)-n > stack+100 })
			}
			there.Wait()
			close(stop)
			back.Wait()
			eventually(t, "all have come", func() bool { got, _ := u.came(); return len(got) >= int(sent) })
			seen := make(map[uint32]bool)
			got, _ := u.came()
			for _, p := range got {
				i := binary.BigEndian.Uint32(p.Bytes())
				if seen[i] {
					t.Errorf("packet %d came twice", i)
				}
				seen[i] = true
			}
			if len(seen) != int(sent) || atPeer != 2*total {
				t.Errorf("%d of %d came in, %d of %d went out", len(seen), sent, atPeer, 2*total)
			}
			if r := u.Refused(); r != (underlay.Refused{}) {
				t.Errorf("refused %+v", r)
			}
		})
	}
}

// TestEveryBitFlipByWire: of a packet with any one bit flipped, the gateway gets it
// by one way, or somebody counts it, unless the flip made it another's.
func TestEveryBitFlipByWire(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := n.openLinked(t, Config{Address: a.gw, OpenTap: openTap}, false)
			must(t, u.use(u.index))
			p := good(a, 4)
			var flipped [][]byte
			for bit := range 8 * len(p) {
				q := bytes.Clone(p)
				q[bit/8] ^= 0x80 >> (bit % 8)
				if !elsewhere(a, bit/8) {
					flipped = append(flipped, q)
				}
			}
			n.deliver(t, a, flipped...)
			account := func() int {
				r := u.Refused()
				got, _ := u.came()
				return len(got) + int(r.Overflow+r.Checksum+r.Fragment+r.Malformed)
			}
			eventually(t, "all accounted for", func() bool { return account() >= len(flipped) })
			// Two more, one for each way, and nothing else comes.
			n.finish(t, a)
			n.deliver(t, a, byTheStack(a))
			eventually(t, "the last two come", func() bool { return account() >= len(flipped)+2 })
			_, wire := u.came()
			if total := account(); total != len(flipped)+2 || wire == 0 {
				t.Errorf("%d sent, %d accounted for, %d by the wire: %+v", len(flipped)+2, total, wire, u.Refused())
			}
		})
	}
}

// byTheStack returns a packet for the gateway that no link takes.
func byTheStack(a addresses) []byte {
	p := good(a, 4)
	if a.gw.Is6() {
		return extended(p, 60, 17, 0, 1, 4, 0, 0, 0, 0)
	}
	options := append(append(bytes.Clone(p[:20]), 1, 1, 1, 0), p[20:]...)
	put16(options, 2, uint16(len(options)))
	options[0] = 0x46
	return resum(options)
}

// TestWireOverflow: what the link's ring had no room for is counted, also when the
// link has gone.
func TestWireOverflow(t *testing.T) {
	n := newNetwork(t, 0)
	// Nobody reads the link.
	open := linkOpener(netip.AddrPortFrom(v4.gw, vxlanPort), false)
	u := n.openLinked(t, Config{Address: v4.gw, OpenLink: func(index int) (Link, error) { return open(index) }}, false)
	must(t, n.gw.Do(func() error { _, err := u.UseLinks([]int{u.index}); return err }))
	const slots, sent = 2048, 5000
	var packets [][]byte
	for range sent {
		packets = append(packets, good(v4, 4))
	}
	n.deliver(t, v4, packets...)
	lost := func() uint64 { return u.Refused().Overflow }
	eventually(t, "the ring overflows", func() bool { return lost() == sent-slots })
	must(t, u.use())
	if n := lost(); n != sent-slots {
		t.Errorf("%d lost when the link has gone", n)
	}
	must(t, u.Close())
	if n := lost(); n != sent-slots {
		t.Errorf("%d lost after Close", n)
	}
}

// TestKernelVTEPOnThisMachine: what it leaves undone inside is told of.
func TestKernelVTEPOnThisMachine(t *testing.T) {
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			n := newNetwork(t, 9000)
			u := n.openLinked(t, Config{Address: a.gw}, false)
			must(t, u.use(u.index))
			const vni = 1000
			must(t, n.peer.VXLAN(netns.VXLANConfig{Name: "vx0", VNI: vni, Local: a.peer, Remotes: []netip.Addr{a.gw}, MTU: 8900}))
			var p *raw.Port
			must(t, n.peer.Do(func() (err error) { p, err = raw.Open(raw.Config{Interface: "vx0"}); return err }))
			defer p.Close()
			inner := func(proto uint8, payload int) []byte {
				f := packet.UDP(frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}, netip.MustParseAddrPort("203.0.113.1:9"), netip.MustParseAddrPort("203.0.113.2:9"), make([]byte, payload))
				f[14+9] = proto
				if proto == ip.ProtoTCP {
					f[34+12] = 5 << 4
				}
				resum(f[14:])
				return f
			}
			sums := frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: ip.TCPChecksumAt}
			udpSum := frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: ip.UDPChecksumAt}
			super, run := sums, udpSum
			super.GSO, super.SegmentSize = frame.GSOTCPv4, 1000
			run.GSO, run.SegmentSize = frame.GSOUDP, 1000
			out := []frame.Out{
				{Bytes: inner(ip.ProtoUDP, 100)},
				{Bytes: inner(ip.ProtoTCP, 100), Offload: sums},
				{Bytes: inner(ip.ProtoTCP, 40012), Offload: super},
				{Bytes: inner(ip.ProtoUDP, 40000), Offload: run},
				{Bytes: inner(ip.ProtoUDP, 101)},
			}
			must(t, p.WriteBatch(out))
			var got []underlay.Packet
			eventually(t, "all have come", func() bool {
				got = nil
				all, _ := u.came()
				for _, p := range all {
					if f := p.Bytes()[vxlan.HeaderLen:]; len(f) > 34 && frame.Frame(f).Dst() == (frame.MAC{2, 0, 0, 0, 0, 1}) {
						got = append(got, p)
					}
				}
				return len(got) >= len(out)
			})
			if len(got) != len(out) {
				t.Fatalf("%d packets, want %d", len(got), len(out))
			}
			for i, p := range got {
				f := p.Bytes()[vxlan.HeaderLen:]
				if !bytes.Equal(f, out[i].Bytes) || p.Offload != out[i].Offload || !p.Noted {
					t.Errorf("packet %d: %d bytes with %+v, want %d with %+v", i, len(f), p.Offload, len(out[i].Bytes), out[i].Offload)
				}
			}
			if r := u.Refused(); r != (underlay.Refused{}) {
				t.Errorf("refused %+v", r)
			}
		})
	}
}

// TestNoAllocationsByLink sends and receives by a link.
func TestNoAllocationsByLink(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	n := newNetwork(t, 0)
	for _, a := range families {
		u := n.openLinked(t, Config{Address: a.gw, Checksum: true}, false)
		must(t, u.use(u.index))
		ds := make([]underlay.Datagram, 20)
		for i := range ds {
			ds[i] = underlay.Datagram{To: a.peer, Via: u.hop, SourcePort: uint16(50000 + i), Head: make([]byte, 8), Body: make([]byte, 100)}
		}
		if per := testing.AllocsPerRun(100, func() {
			if err := u.conns[0].WriteBatch(ds); err != nil {
				t.Fatal(err)
			}
		}); per != 0 {
			t.Errorf("%s: %v allocations", a.name, per)
		}
		f := ethernet(a, good(a, 100))
		in := &frames{}
		w := testWire(a, false, in)
		pkts := make([]underlay.Packet, underlay.BatchSize)
		bufs := make([]frame.Buffer, 20)
		for i := range bufs {
			bufs[i] = came(f, frame.Offload{})
		}
		in.atOnce = 20
		if per := testing.AllocsPerRun(100, func() {
			in.left = bufs
			if n, err := w.ReadBatch(pkts); n != 20 || err != nil {
				t.Fatal(n, err)
			}
		}); per != 0 {
			t.Errorf("%s: %v allocations on the wire", a.name, per)
		}
	}
}
