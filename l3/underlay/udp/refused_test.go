package udp

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/test/packet"
)

// deliver sends IP packets to the gateway.
func (n network) deliver(t testing.TB, a addresses, packets ...[]byte) {
	t.Helper()
	etherType := frame.TypeIPv4
	if a.gw.Is6() {
		etherType = frame.TypeIPv6
	}
	var frames [][]byte
	for _, p := range packets {
		frames = append(frames, packet.Ethernet(gwMAC, peerMAC, etherType, p))
	}
	must(t, n.peer.Send(dev, frames...))
}

// last is what a test sends behind everything else: a wire keeps the order.
var last = []byte("last")

func (n network) finish(t testing.TB, a addresses) {
	t.Helper()
	n.deliver(t, a, packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(a.peer, 50001), netip.AddrPortFrom(a.gw, vxlanPort), last)[frame.HeaderLen:])
}

// drain reads up to the last packet and returns what came before.
func drain(t testing.TB, u *Underlay) (pkts []underlay.Packet) {
	t.Helper()
	r := newReader(t, u)
	for {
		p := r.next()
		if bytes.Equal(p.Bytes(), last) {
			return pkts
		}
		pkts = append(pkts, p)
	}
}

// expectRefused waits for what the tap counts, and sees that it counts no more.
func expectRefused(t testing.TB, u *Underlay, want underlay.Refused) {
	t.Helper()
	var got underlay.Refused
	eventually(t, fmt.Sprintf("refused %+v", want), func() bool {
		got = u.Refused()
		return got.Fragment+got.Malformed >= want.Fragment+want.Malformed
	})
	if got != want {
		t.Errorf("refused %+v, want %+v", got, want)
	}
}

// TestKernelAgrees: of each damaged packet the kernel gives the socket what the
// table says, and each is counted once.
func TestKernelAgrees(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		for _, tt := range tableOf(a) {
			t.Run(a.name+" "+tt.name, func(t *testing.T) {
				u := openIn(t, n.gw, Config{Address: a.gw, OpenTap: openTap})
				defer u.Close()
				p := bytes.Clone(tt.p)
				zeroUDPChecksum(a, p)
				n.deliver(t, a, p)
				n.finish(t, a)
				pkts := drain(t, u)
				if len(pkts) != tt.delivered {
					t.Errorf("%d packets came through, want %d", len(pkts), tt.delivered)
				}
				for i := range pkts {
					if pkts[i].Fragmented != (tt.want == fragment) {
						t.Errorf("fragmented: %v", pkts[i].Fragmented)
					}
				}
				var want underlay.Refused
				switch tt.want {
				case fragment:
					want.Fragment = 1
				case malformed:
					want.Malformed = 1
				}
				expectRefused(t, u, want)
			})
		}
	}
}

// zeroUDPChecksum takes the UDP checksum away from a packet that was changed,
// or for IPv6 makes it right, where the change made it wrong.
func zeroUDPChecksum(a addresses, p []byte) {
	if a.gw.Is4() && p[0] == 0x45 && len(p) >= 28 && ip.IPv4(p).FragmentOffset() == 0 {
		sum := ip.IPv4(p).Checksum()
		put16(p, 26, 0)
		put16(p, 10, sum)
	}
	if h, ok := ip.ParseIPv6(p); ok && h.NextHeader() == ip.ProtoUDP && h.PayloadLen() >= 8 {
		put16(p, 46, 0)
		put16(p, 46, ip.NonZero(^ip.Sum(h.Payload(), h.PseudoSum(ip.ProtoUDP, h.PayloadLen()))))
	}
}

// TestEveryBitFlip: of a packet with any one bit flipped, the gateway gets it or
// somebody counts it, unless the flip made it another's.
func TestEveryBitFlip(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw, OpenTap: openTap})
			p := good(a, 4)
			var flipped [][]byte
			for bit := range 8 * len(p) {
				q := bytes.Clone(p)
				q[bit/8] ^= 0x80 >> (bit % 8)
				if !elsewhere(a, bit/8) {
					flipped = append(flipped, q)
				}
			}
			sent := len(flipped)
			n.deliver(t, a, flipped...)
			n.finish(t, a)
			got := len(drain(t, u))
			eventually(t, "all accounted for", func() bool {
				r := u.Refused()
				return uint64(sent) <= uint64(got)+r.Overflow+r.Checksum+r.Fragment+r.Malformed
			})
			r := u.Refused()
			t.Logf("%d sent, %d came through, refused %+v", sent, got, r)
			if total := uint64(got) + r.Overflow + r.Checksum + r.Fragment + r.Malformed; total != uint64(sent) {
				t.Errorf("%d sent, %d accounted for", sent, total)
			}
		})
	}
}

// elsewhere reports whether a changed byte gives a packet to somebody else, or
// takes away the sender that the kernel would take it from.
func elsewhere(a addresses, off int) bool {
	if a.gw.Is4() {
		return off == 9 || off >= 16 && off < 20 || off == 22 || off == 23
	}
	return off == 6 || off >= 8 && off < 40 || off == 42 || off == 43
}

func TestFragments(t *testing.T) {
	n := newNetwork(t, 0)
	must(t, n.peer.SetMTU(dev, 1280)) // the peer's kernel cuts what is longer
	for _, a := range families {
		for _, tap := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s tap=%v", a.name, tap), func(t *testing.T) {
				cfg := Config{Address: a.gw}
				want := underlay.Refused{Fragment: 1}
				if tap {
					cfg.OpenTap = openTap
					want.Fragment = 3
				}
				u := openIn(t, n.gw, cfg)
				defer u.Close()
				must(t, n.peer.SendUDP(netip.AddrPortFrom(a.peer, 40000), netip.AddrPortFrom(a.gw, vxlanPort), make([]byte, 3000)))
				must(t, n.peer.SendUDP(netip.AddrPortFrom(a.peer, 40000), netip.AddrPortFrom(a.gw, vxlanPort), []byte("whole")))
				r := newReader(t, u)
				if p := r.next(); !p.Fragmented || p.Len != 3000 {
					t.Errorf("%d bytes, fragmented %v", p.Len, p.Fragmented)
				}
				if p := r.next(); p.Fragmented || string(p.Bytes()) != "whole" {
					t.Errorf("%q, fragmented %v", p.Bytes(), p.Fragmented)
				}
				expectRefused(t, u, want)
			})
		}
	}
}

func TestChecksums(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		at := a.overhead() - 2
		p := good(a, 20)
		right := ip.UDP(p[a.overhead()-8:]).Checksum()
		zero, wrong := bytes.Clone(p), bytes.Clone(p)
		put16(zero, at, 0)
		put16(wrong, at, right+1)
		for _, zeroOK := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s zero=%v", a.name, zeroOK), func(t *testing.T) {
				u := openIn(t, n.gw, Config{Address: a.gw, ZeroChecksum6: zeroOK, OpenTap: openTap})
				defer u.Close()
				n.deliver(t, a, p, zero, wrong, wrong)
				n.finish(t, a)
				came, refused := 2, uint64(2)
				if a.gw.Is6() && !zeroOK {
					came, refused = 1, 3
				}
				if got := len(drain(t, u)); got != came {
					t.Errorf("%d packets came through, want %d", got, came)
				}
				if got, want := u.Refused(), (underlay.Refused{Checksum: refused}); got != want {
					t.Errorf("refused %+v, want %+v", got, want)
				}
				must(t, u.Close())
				if got, want := u.Refused(), (underlay.Refused{Checksum: refused}); got != want {
					t.Errorf("refused after close %+v, want %+v", got, want)
				}
			})
		}
	}
}

// TestAllOnesChecksum: 0xffff stands for a computed zero (RFC 768).
func TestAllOnesChecksum(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		u := openIn(t, n.gw, Config{Address: a.gw})
		p := good(a, 20)
		at := a.overhead() - 2
		sum := ip.UDP(p[a.overhead()-8:]).Checksum()
		put16(p, at+2, ip.Add(uint16(p[at+2])<<8|uint16(p[at+3]), sum))
		put16(p, at, 0xffff)
		n.deliver(t, a, p)
		n.finish(t, a)
		if got := len(drain(t, u)); got != 1 {
			t.Errorf("%s: %d packets came through, refused %+v", a.name, got, u.Refused())
		}
	}
}

func TestOverflow(t *testing.T) {
	const sent = 500
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw, ReceiveBuffer: 16 << 10, OpenTap: openTap})
			other := openIn(t, n.gw, Config{Address: a.gw, Port: 4790, ReceiveBuffer: 16 << 10})
			peer := openIn(t, n.peer, Config{Address: a.peer})
			ds := make([]underlay.Datagram, sent)
			for i := range ds {
				ds[i] = underlay.Datagram{To: a.gw, SourcePort: 50000, Head: make([]byte, 1000)}
			}
			mustSend(t, peer, ds...)
			lost := u.Refused().Overflow
			if lost == 0 || lost >= sent {
				t.Fatalf("%d of %d lost", lost, sent)
			}
			r := newReader(t, u)
			for range sent - lost {
				r.next()
			}
			if got, want := u.Refused(), (underlay.Refused{Overflow: lost}); got != want {
				t.Errorf("refused %+v, want %+v", got, want)
			}
			if got := other.Refused(); got != (underlay.Refused{}) {
				t.Errorf("another socket's: %+v", got)
			}
		})
	}
}

// TestOthersAreNotCounted: what an interface in promiscuous mode takes in for
// somebody else is none of ours.
func TestOthersAreNotCounted(t *testing.T) {
	n := newNetwork(t, 0)
	u := openIn(t, n.gw, Config{Address: v4.gw, OpenTap: openTap})
	fragment := change(good(v4, 100), func(p []byte) { put16(p, 6, 0x2000) })
	c := capture(t, n.gw)
	must(t, n.peer.Send(dev, packet.Ethernet(peerMAC, peerMAC, frame.TypeIPv4, fragment)))
	waitFrames(t, c, 1)
	n.deliver(t, v4, fragment)
	expectRefused(t, u, underlay.Refused{Fragment: 1})
}
