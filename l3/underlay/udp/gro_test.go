package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// newMerging returns a network whose gateway side merges what comes in at once.
// It has one queue, or what comes from several processors would change places.
func newMerging(t testing.TB) network {
	t.Helper()
	n := newNetwork(t, 1600)
	must(t, n.peer.Offloads(dev, false)) // a veth leaves merging alone where its peer can do without
	must(t, n.gw.Offloads(dev, true, "gro"))
	for _, ns := range []*netns.NS{n.peer, n.gw} {
		shell(t, ns, "ethtool -L "+dev+" rx 1 tx 1")
	}
	return n
}

// hold has the gateway's side hold packets back for a moment, so that it merges
// what comes in one at a time, too.
func (n network) hold(t testing.TB) {
	t.Helper()
	shell(t, n.gw, "mount -t sysfs sysfs /sys; cd /sys/class/net/"+dev+"; echo 100000 >gro_flush_timeout; echo 100 >napi_defer_hard_irqs")
}

// shell runs a line in a namespace, with mounts of its own.
func shell(t testing.TB, ns *netns.NS, line string) {
	t.Helper()
	if out, err := ns.Command(context.Background(), "unshare", "-m", "sh", "-ec", line).CombinedOutput(); err != nil {
		t.Skipf("needs ethtool, and a kernel that has devices hold packets back (Linux 5.13): %v: %s", err, out)
	}
}

// burst sends payloads of one flow, each of which the kernel cuts into datagrams
// of size bytes, the last of which may be shorter.
func (n network) burst(t testing.TB, a addresses, size int, payloads ...[]byte) {
	t.Helper()
	must(t, n.peer.Do(func() error {
		c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.peer, 50000)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.gw, vxlanPort)))
		if err != nil {
			return err
		}
		defer c.Close()
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		if err := control(raw, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, size)
		}); err != nil {
			return err
		}
		for _, b := range payloads {
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
		return nil
	}))
}

// cutAt returns b in pieces of n bytes, the last of which may be shorter.
func cutAt(b []byte, n int) (pieces [][]byte) {
	for ; len(b) > n; b = b[n:] {
		pieces = append(pieces, b[:n])
	}
	return append(pieces, b)
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// merged reports whether some message of the batch at hand is a run.
func (u *Underlay) merged() bool {
	in := &u.conns[0].in
	return in.datagrams+in.run.left > in.got
}

// expectPayloads reads packets, compares them with what was sent, and reports
// whether there was a run among them.
func expectPayloads(t *testing.T, u *Underlay, r *reader, a addresses, want [][]byte) (merged bool) {
	t.Helper()
	for i, w := range want {
		p := r.next()
		merged = merged || u.merged()
		if !bytes.Equal(p.Bytes(), w) || p.From != a.peer || p.Truncated || p.Fragmented || p.Interface == 0 || !p.Offload.None() {
			t.Fatalf("datagram %d of %d: %d bytes, want %d; from %v truncated %v fragmented %v interface %d offload %+v",
				i, len(want), p.Len, len(w), p.From, p.Truncated, p.Fragmented, p.Interface, p.Offload)
		}
	}
	return merged
}

// What the kernel has put together comes out one by one, byte for byte, however
// much of it fits what it is read into.
func TestMergedRuns(t *testing.T) {
	n := newMerging(t)
	for _, a := range families {
		for _, tt := range []struct{ size, total int }{
			{1450, 1450 * 40}, {1450, 1450*20 + 1}, {100, 100 * 64}, {100, 100*63 + 99}, {8, 17}, {1, 64}, {1472, 1472*2 - 1},
		} {
			for _, room := range []int{underlay.BatchSize, 7, 1} {
				t.Run(fmt.Sprintf("%s %d of %d into %d", a.name, tt.total, tt.size, room), func(t *testing.T) {
					u := openIn(t, n.gw, Config{Address: a.gw, OpenTap: openTap})
					defer u.Close()
					r := newReader(t, u)
					r.pkts = r.pkts[:room]
					payload := noise(tt.total)
					n.burst(t, a, tt.size, payload, last[:1])
					want := append(cutAt(payload, tt.size), last[:1])
					if merged := expectPayloads(t, u, r, a, want); merged != (tt.total > tt.size) {
						t.Errorf("merged: %v", merged)
					}
					if got := u.Refused(); got != (underlay.Refused{}) {
						t.Errorf("refused %+v", got)
					}
				})
			}
		}
	}
}

// Whatever comes, in whichever order: lengths, marks, sources and checksums that
// differ from one packet to the next, some of them without a checksum, some with
// a wrong one.
func TestMergedMixture(t *testing.T) {
	const sent = 4000
	n := newMerging(t)
	n.hold(t)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw, ZeroChecksum6: true, OpenTap: openTap})
			rnd := rand.New(rand.NewPCG(1, 2))
			var packets [][]byte
			flows := make(map[uint16][]mark)
			damaged := uint64(0)
			m := mark{size: 100, port: 50000}
			for i := range sent {
				if rnd.IntN(4) == 0 {
					port := uint16(50000 + rnd.IntN(3))
					m = mark{size: 1 + rnd.IntN(1400), tos: uint8(rnd.IntN(4)), port: port, bare: port == 50002}
				}
				p, wrong := m.packet(a, i), rnd.IntN(50) == 0 && !m.bare
				if wrong {
					p[len(p)-1] ^= 1
					damaged++
				} else {
					flows[m.port] = append(flows[m.port], mark{m.size, m.tos, m.port, m.bare, i})
				}
				packets = append(packets, p)
			}
			n.deliver(t, a, packets...)
			r, merged := newReader(t, u), false
			for range sent - int(damaged) {
				p := r.next()
				merged = merged || u.merged()
				want := flows[p.FromPort][0]
				flows[p.FromPort] = flows[p.FromPort][1:]
				if !bytes.Equal(p.Bytes(), want.payload(want.number)) || p.TOS != want.tos || p.From != a.peer {
					t.Fatalf("port %d: %d bytes with TOS %#x, want number %d, %d bytes with TOS %#x", p.FromPort, p.Len, p.TOS, want.number, want.size, want.tos)
				}
			}
			if !merged {
				t.Error("nothing was merged")
			}
			if got, want := u.Refused(), (underlay.Refused{Checksum: damaged}); got != want {
				t.Errorf("refused %+v, want %+v", got, want)
			}
		})
	}
}

// mark is what a packet of a mixture is like.
type mark struct {
	size   int
	tos    uint8
	port   uint16
	bare   bool // no checksum
	number int
}

func (m mark) payload(i int) []byte {
	return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, m.size/2+1)[:m.size]
}

func (m mark) packet(a addresses, i int) []byte {
	p := packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(a.peer, m.port), netip.AddrPortFrom(a.gw, vxlanPort), m.payload(i))[frame.HeaderLen:]
	if a.gw.Is4() {
		ip.IPv4(p).SetTOS(m.tos)
	} else {
		ip.IPv6(p).SetTrafficClass(m.tos)
	}
	if m.bare {
		put16(p, a.overhead()-2, 0)
	}
	return p
}

// Packets to a group are merged as well.
func TestMergedGroup(t *testing.T) {
	n := newMerging(t)
	n.hold(t)
	for _, a := range families {
		u := openIn(t, n.gw, Config{Address: a.gw})
		group := groups[a.name][0]
		must(t, setGroups(n.gw, u, underlay.Membership{Interface: indexOf(t, n.gw, dev), Groups: []netip.Addr{group}}))
		var frames, want [][]byte
		for i := range 200 {
			payload := fmt.Sprintf("number %3d", i)
			frames, want = append(frames, toGroup(a, a.peer, group, payload)), append(want, []byte(payload))
		}
		must(t, n.peer.Send(dev, frames...))
		r := groupReader(t, u)
		for i, w := range want {
			if p := r.next(); !bytes.Equal(p.Bytes(), w) || p.Group != group || p.From != a.peer {
				t.Fatalf("%s: packet %d is %q to %v from %v", a.name, i, p.Bytes(), p.Group, p.From)
			}
		}
		must(t, u.Close())
	}
}

// A full buffer is counted, by messages: the kernel does not say how many
// packets there were in one.
func TestMergedOverflow(t *testing.T) {
	const bursts, each = 50, 20
	n := newMerging(t)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw, ReceiveBuffer: 64 << 10, OpenTap: openTap})
			for range bursts {
				n.burst(t, a, 1000, noise(each*1000))
			}
			lost := u.Refused().Overflow
			if lost == 0 || lost >= bursts {
				t.Fatalf("%d of %d messages lost", lost, bursts)
			}
			r := newReader(t, u)
			for range (bursts - lost) * each {
				r.next()
			}
			n.burst(t, a, 1000, last)
			if p := r.next(); !bytes.Equal(p.Bytes(), last) {
				t.Errorf("more than %d messages of %d came through", bursts-lost, each)
			}
			if got, want := u.Refused(), (underlay.Refused{Overflow: lost}); got != want {
				t.Errorf("refused %+v, want %+v", got, want)
			}
		})
	}
}

// A kernel without UDP_GRO is told of, and works.
func TestWithoutGRO(t *testing.T) {
	n := newMerging(t)
	for _, a := range families {
		var said error
		cfg := Config{Address: a.gw, Lacks: func(err error) { said = err }}
		must(t, n.gw.Do(func() error { cfg.probeGRO(option{"no such option", unix.SOL_UDP, 9999, 1}); return nil }))
		if !errors.Is(said, errNoGRO) || !errors.Is(said, unix.ENOPROTOOPT) || len(cfg.gro) != 0 {
			t.Errorf("%s: said %v, options %v", a.name, said, cfg.gro)
		}
		said = nil
		must(t, n.gw.Do(func() error { cfg.probeGRO(udpGRO); return nil }))
		if said != nil || len(cfg.gro) != 1 {
			t.Errorf("%s: said %v, options %v", a.name, said, cfg.gro)
		}
	}
}

// A kernel VTEP on the same machine passes on super-frames of its hosts whole, of
// UDP as well as of TCP. Neither is a run of datagrams.
func TestSuperFrameIsNoRun(t *testing.T) {
	for _, a := range families {
		for _, inner := range families {
			for _, udp := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s udp=%v over %s", inner.name, udp, a.name), func(t *testing.T) {
					n := newNetwork(t, 1600)
					u := openIn(t, n.gw, Config{Address: a.gw, ZeroChecksum6: true})
					must(t, n.peer.VXLAN(netns.VXLANConfig{Name: "vx", VNI: 1000, Local: a.peer, Remotes: []netip.Addr{a.gw}}))
					f, o := undone(inner, udp, 20000)
					must(t, sendUndone(n.peer, indexOf(t, n.peer, "vx"), f, o))
					want := frame.Offload{}
					if udp {
						want = frame.Offload{GSO: frame.GSOUDP, SegmentSize: o.SegmentSize}
					}
					r := newReader(t, u)
					p := r.next()
					for len(p.Bytes()) < 8+len(f) { // what the device says of itself
						p = r.next()
					}
					if !bytes.Equal(p.Bytes()[8:], f) || p.Offload != want {
						t.Errorf("%d bytes with %+v, want %d with %+v", p.Len-8, p.Offload, len(f), want)
					}
				})
			}
		}
	}
}

// undone returns a super-frame with n bytes of payload, its checksum unfinished.
func undone(a addresses, udp bool, n int) ([]byte, frame.Offload) {
	f := packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(a.peer, 1234), netip.AddrPortFrom(a.gw, 5678), make([]byte, n))
	l4 := frame.HeaderLen + a.overhead() - ip.UDPHeaderLen
	o := frame.Offload{NeedsChecksum: true, ChecksumStart: uint16(l4), ChecksumAt: ip.UDPChecksumAt, GSO: frame.GSOUDP, SegmentSize: 1000}
	proto := uint8(ip.ProtoUDP)
	if !udp {
		proto, o.GSO, o.ChecksumAt = ip.ProtoTCP, frame.GSOTCPv4, ip.TCPChecksumAt
		f[l4+12], f[l4+13] = 5<<4, byte(ip.ACK)
	}
	sum := uint16(0)
	if a.gw.Is4() {
		h := ip.IPv4(f[frame.HeaderLen:])
		h[9] = proto
		h.SetChecksum(0)
		h.SetChecksum(^ip.Sum(h[:ip.IPv4HeaderLen], 0))
		sum = h.PseudoSum(proto, len(f)-l4)
	} else {
		h := ip.IPv6(f[frame.HeaderLen:])
		h[6] = proto
		sum = h.PseudoSum(proto, len(f)-l4)
		if !udp {
			o.GSO = frame.GSOTCPv6
		}
	}
	put16(f, l4+int(o.ChecksumAt), sum)
	return f, o
}

// sendUndone sends a frame with a virtio-net header.
func sendUndone(ns *netns.NS, index int, f []byte, o frame.Offload) error {
	header := []byte{unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, map[frame.GSO]byte{frame.GSOTCPv4: 1, frame.GSOTCPv6: 4, frame.GSOUDP: 5}[o.GSO]}
	headers := o.ChecksumStart + 8
	if o.GSO != frame.GSOUDP {
		headers += 12
	}
	for _, v := range [...]uint16{headers, o.SegmentSize, o.ChecksumStart, o.ChecksumAt} {
		header = append(header, byte(v), byte(v>>8))
	}
	return ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
			return err
		}
		to := &unix.SockaddrLinklayer{Ifindex: index, Protocol: bits.ReverseBytes16(unix.ETH_P_ALL)}
		return unix.Sendto(fd, append(header, f...), 0, to)
	})
}
