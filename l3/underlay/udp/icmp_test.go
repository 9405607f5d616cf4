package udp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/test/netns"
)

// icmpFrame returns the frame that carries an ICMP message from the peer to an
// address of the gateway's namespace.
func (a addresses) icmpFrame(to netip.Addr, msg []byte) []byte {
	var f []byte
	f = append(f, gwMAC[:]...)
	f = append(f, peerMAC[:]...)
	if a.gw.Is4() {
		f = binary.BigEndian.AppendUint16(f, frame.TypeIPv4)
		h := make([]byte, ip.IPv4HeaderLen)
		ip.IPv4(h).Encode(ip.IPv4Fields{TotalLen: len(h) + len(msg), TTL: 64, Protocol: ip.ProtoICMP, Src: a.peer.As4(), Dst: to.As4()})
		return append(append(f, h...), msg...)
	}
	f = binary.BigEndian.AppendUint16(f, frame.TypeIPv6)
	h := make([]byte, ip.IPv6HeaderLen)
	ip.IPv6(h).Encode(ip.IPv6Fields{PayloadLen: len(msg), NextHeader: ip.ProtoICMPv6, HopLimit: 64, Src: a.peer.As16(), Dst: to.As16()})
	return append(append(f, h...), msg...)
}

// others are messages that nobody listens for.
func (a addresses) others() (msgs [][]byte) {
	types := [][2]byte{{0, 0}, {3, 0}, {3, 1}, {3, 3}, {3, 13}, {5, 1}, {11, 0}, {12, 0}, {40, 4}}
	if a.gw.Is6() {
		types = [][2]byte{{1, 0}, {1, 4}, {3, 0}, {4, 0}, {129, 0}, {127, 0}, {200, 0}}
	}
	for _, typ := range types {
		m := a.tooBig(1400, a.outer(1500)[:500])
		m[0], m[1] = typ[0], typ[1]
		msgs = append(msgs, a.seal(m))
	}
	return msgs
}

// TestICMPFilter: the kernel puts nothing into the socket but the one message.
func TestICMPFilter(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			var conn net.PacketConn
			must(t, n.gw.Do(func() (err error) {
				conn, err = listenICMP(&Config{Address: a.gw})
				return err
			}))
			defer conn.Close()
			for _, m := range a.others() {
				must(t, n.peer.Send(dev, a.icmpFrame(a.gw, m)))
			}
			last := a.tooBig(1400, a.outer(1500)[:500])
			must(t, n.peer.Send(dev, a.icmpFrame(a.gw, last)))
			must(t, conn.SetReadDeadline(time.Now().Add(patience)))
			buf := make([]byte, maxICMP)
			size, _, err := conn.ReadFrom(buf)
			if err != nil || string(buf[:size]) != string(last) {
				t.Errorf("read % x, %v; want % x", buf[:size], err, last)
			}
		})
	}
}

// TestOnTooBig: what a router says is told, and nothing else is.
func TestOnTooBig(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			type told struct {
				to  netip.Addr
				mtu int
			}
			all := make(chan told, 100)
			u := openIn(t, n.gw, Config{
				Address:  a.gw,
				OnTooBig: func(to netip.Addr, mtu int) { all <- told{to, mtu} },
				Lacks:    func(err error) { t.Error(err) },
			})
			other := a.outer(1500)[:500]
			other[a.overhead()-5]++ // the destination port
			wrong := a.tooBig(1300, a.outer(1500)[:500])
			wrong[3]++ // the checksum
			elsewhere := netip.MustParseAddr("192.0.2.18")
			if a.gw.Is6() {
				elsewhere = netip.MustParseAddr("2001:db8::18")
			}
			must(t, n.gw.AddAddr(dev, elsewhere.String()+a.bits))
			must(t, n.peer.Send(dev,
				a.icmpFrame(a.gw, a.tooBig(1300, other)),
				a.icmpFrame(a.gw, wrong),
				a.icmpFrame(elsewhere, a.tooBig(1310, a.outer(1500)[:500])), // another's
				a.icmpFrame(a.gw, a.tooBig(1400, a.outer(1500)[:500])),
				a.icmpFrame(a.gw, a.tooBig(1350, a.outer(1400)[:500]))))
			for _, want := range []told{{a.peer, 1400}, {a.peer, 1350}} {
				select {
				case got := <-all:
					if got != want {
						t.Errorf("told of %v, want %v", got, want)
					}
				case <-time.After(patience):
					t.Fatalf("not told of %v", want)
				}
			}
			must(t, u.Close())
			must(t, n.peer.Send(dev, a.icmpFrame(a.gw, a.tooBig(1399, a.outer(1500)[:500]))))
			if len(all) > 0 {
				t.Errorf("told of %v", <-all)
			}
			must(t, u.Close())
		})
	}
}

// TestRouterIsHeard: the kernel's router says it of what the gateway sends.
func TestRouterIsHeard(t *testing.T) {
	n := newNetwork(t, 1500)
	must(t, n.peer.Forward())
	must(t, netns.Veth(n.peer, "down", newNS(t), "up", netns.VethOptions{MTU: 1400}))
	for prefix, via := range map[string]netip.Addr{"203.0.113.0/24": v4.peer, "2001:db8:2::/64": v6.peer} {
		router := netip.MustParsePrefix(prefix)
		must(t, n.peer.AddAddr("down", netip.PrefixFrom(router.Addr().Next(), router.Bits()).String()))
		must(t, n.gw.AddRoute(netns.Route{To: prefix, Via: via.String()}))
	}
	for _, a := range []struct {
		addresses
		to netip.Addr
	}{{v4, netip.MustParseAddr("203.0.113.34")}, {v6, netip.MustParseAddr("2001:db8:2::34")}} {
		t.Run(a.name, func(t *testing.T) {
			heard := make(chan int, 1)
			u := openIn(t, n.gw, Config{
				Address: a.gw, DF: true,
				OnTooBig: func(to netip.Addr, mtu int) {
					if to == a.to {
						heard <- mtu
					}
				},
			})
			mustSend(t, u, underlay.Datagram{To: a.to, SourcePort: 50000, Head: make([]byte, 1500-a.overhead())})
			select {
			case mtu := <-heard:
				if mtu != 1400 {
					t.Errorf("the path carries %d bytes, want 1400", mtu)
				}
			case <-time.After(patience):
				t.Error("nothing was heard of the router")
			}
		})
	}
}

// TestNoICMPSocket: an underlay that cannot listen to routers says so and works.
func TestNoICMPSocket(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			var said error
			cfg := Config{Address: a.peer, OnTooBig: func(netip.Addr, int) {}, Lacks: func(err error) { said = err }}
			must(t, n.gw.Do(func() error {
				if openTooBigs(&cfg) != nil {
					t.Error("listens on an address that is not there")
				}
				return nil
			}))
			if !errors.Is(said, unix.EADDRNOTAVAIL) {
				t.Errorf("said %v", said)
			}
		})
	}
}
