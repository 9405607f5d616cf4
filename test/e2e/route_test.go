package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
)

// plant is three Linux hosts in two VNIs that the gateway routes between, with the
// gateway as their default router:
//
//	h1 eth0 --- acc1 gw und0 --- und0 vtep (vxlan + bridge) acc0 --- eth0 r2
//	h2 eth0 --- acc2
//
// h1 is in VNI 1000 (10.1.1.0/24, 2001:db8:11::/64), h2 and r2 in VNI 2000
// (10.1.2.0/24, 2001:db8:12::/64).
type plant struct {
	h1, h2, r2 *host
	ns, vtep   *netns.NS
	*gateway
}

var (
	gate1, gate2       = netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("10.1.2.1")
	gate1six, gate2six = netip.MustParseAddr("2001:db8:11::1"), netip.MustParseAddr("2001:db8:12::1")
)

func newPlant(t *testing.T, mtu int) *plant {
	t.Helper()
	p := &plant{ns: newNS(t), vtep: newNS(t)}
	place := func(net, n int) *host {
		return &host{newNS(t), netip.AddrFrom4([4]byte{10, 1, byte(net), byte(n)}), netip.MustParseAddr(fmt.Sprintf("2001:db8:1%d::%d", net, n))}
	}
	p.h1, p.h2, p.r2 = place(1, 10), place(2, 10), place(2, 20)
	wire(t, p.h1.NS, "eth0", p.ns, "acc1", netns.VethOptions{AMAC: h1MAC})
	wire(t, p.h2.NS, "eth0", p.ns, "acc2", netns.VethOptions{AMAC: h2MAC})
	wire(t, p.ns, "und0", p.vtep, "und0", netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: mtu})
	wire(t, p.vtep, "acc0", p.r2.NS, "eth0", netns.VethOptions{BMAC: ra1MAC})
	must(t, p.ns.AddAddr("und0", gwAddr.String()+"/24"))
	must(t, p.vtep.AddAddr("und0", vtepA.String()+"/24"))
	must(t, p.vtep.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: otherVNI, Local: vtepA, MTU: 1500, Remotes: []netip.Addr{gwAddr}}, "acc0"))
	p.gateway = start(t, p.ns, `
[underlay]
address = "192.0.2.17"
[[vni]]
id = 1000
vlan = 10
flood = ["192.0.2.34"]
vrf = "red"
gateway = ["10.1.1.1/24", "2001:db8:11::1/64"]
dhcp_servers = ["10.1.2.20", "2001:db8:12::20"]
[[vni]]
id = 2000
vlan = 20
flood = ["192.0.2.34"]
vrf = "red"
gateway = ["10.1.2.1/24", "2001:db8:12::1/64"]
[[port]]
interface = "acc1"
vlan = 10
[[port]]
interface = "acc2"
vlan = 20
[[vrf]]
name = "red"
[[vrf.route]]
prefix = "172.18.0.0/16"
unreachable = true
`).forwards()
	p.settle(t)
	return p
}

// settle gives the hosts their addresses and routes.
func (p *plant) settle(t *testing.T) {
	t.Helper()
	for h, via := range map[*host][2]netip.Addr{p.h1: {gate1, gate1six}, p.h2: {gate2, gate2six}, p.r2: {gate2, gate2six}} {
		h.configure(t)
		must(t, h.AddRoute(netns.Route{To: "0.0.0.0/0", Via: via[0].String(), Dev: "eth0"}))
		must(t, h.AddRoute(netns.Route{To: "::/0", Via: via[1].String(), Dev: "eth0"}))
	}
}

// Linux hosts ping each other and the gateway across VNIs, at the ports and behind a
// kernel VTEP, and move data over TCP with every offload that they have.
func TestRoutedHosts(t *testing.T) {
	t.Parallel()
	p := newPlant(t, 1600)
	for _, pair := range []struct{ from, to *host }{{p.h1, p.h2}, {p.h1, p.r2}, {p.h2, p.h1}, {p.r2, p.h1}} {
		for _, a := range pair.to.addresses() {
			wantPing(t, pair.from, a, 5, netns.PingOptions{})
			wantPing(t, pair.from, a, 2, netns.PingOptions{Size: 1400, DF: true})
			transfer(t, pair.from, pair.to, a, 8<<20)
		}
	}
	for _, h := range []*host{p.h1, p.h2, p.r2} {
		for _, a := range []netip.Addr{gate1, gate2, gate1six, gate2six} {
			wantPing(t, h, a, 3, netns.PingOptions{})
		}
	}
	for _, n := range rows[api.NeighbourRow](p.gateway, "neighbours") {
		if n.State == "failed" || n.State == "incomplete" {
			t.Errorf("neighbour %+v", n)
		}
	}
	p.wantDrops(drops{})
}

// The gateway shows in a traceroute, in both families, and ends one to itself.
func TestTraceroute(t *testing.T) {
	t.Parallel()
	p := newPlant(t, 1600)
	for _, tt := range []struct {
		from *host
		to   netip.Addr
		want []netip.Addr
	}{
		{p.h1, p.h2.four, []netip.Addr{gate1, p.h2.four}},
		{p.h1, p.r2.four, []netip.Addr{gate1, p.r2.four}},
		{p.r2, p.h1.four, []netip.Addr{gate2, p.h1.four}},
		{p.h1, p.h2.six, []netip.Addr{gate1six, p.h2.six}},
		{p.r2, p.h1.six, []netip.Addr{gate2six, p.h1.six}},
		{p.h1, gate1, []netip.Addr{gate1}},
		{p.h1, gate2, []netip.Addr{gate2}},
		{p.h1, gate1six, []netip.Addr{gate1six}},
	} {
		for i, want := range tt.want {
			if got := whoAnswers(t, tt.from, tt.to, i+1); got != want {
				t.Errorf("%v, %d hops: %v answers, want %v", tt.to, i+1, got, want)
			}
		}
	}
	if got := whoAnswers(t, p.h1, netip.MustParseAddr("172.18.1.1"), 9); got != gate1 {
		t.Errorf("of what is unreachable %v tells, want %v", got, gate1)
	}
	if got := whoAnswers(t, p.h1, netip.MustParseAddr("203.0.113.7"), 9); got != gate1 {
		t.Errorf("of what no route leads to %v tells, want %v", got, gate1)
	}
}

// whoAnswers sends a datagram that lives for so many hops to a port where nobody
// listens, and returns who sends an ICMP error.
func whoAnswers(t *testing.T, from *host, to netip.Addr, hops int) (who netip.Addr) {
	t.Helper()
	must(t, from.Do(func() error {
		family, level, ttl, recvErr := unix.AF_INET, unix.IPPROTO_IP, unix.IP_TTL, unix.IP_RECVERR
		var sa unix.Sockaddr = &unix.SockaddrInet4{Port: 33434 + hops, Addr: [4]byte(to.AsSlice())}
		if to.Is6() {
			family, level, ttl, recvErr = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_RECVERR
			sa = &unix.SockaddrInet6{Port: 33434 + hops, Addr: to.As16()}
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := errors.Join(unix.SetsockoptInt(fd, level, ttl, hops), unix.SetsockoptInt(fd, level, recvErr, 1), unix.Connect(fd, sa)); err != nil {
			return err
		}
		for deadline := time.Now().Add(patience); time.Now().Before(deadline) && !who.IsValid(); {
			if _, err := unix.Write(fd, []byte("who is there")); err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EHOSTUNREACH) && !errors.Is(err, unix.ENETUNREACH) {
				return err
			}
			// One at a time: hosts limit the errors that they send.
			pfd := []unix.PollFd{{Fd: int32(fd)}}
			if n, _ := unix.Poll(pfd, 2000); n == 1 {
				who = offender(fd)
			}
		}
		return nil
	}))
	return who
}

// offender reads an error from a socket's queue and returns who sent it
// (SO_EE_OFFENDER).
func offender(fd int) netip.Addr {
	oob, b := make([]byte, 512), make([]byte, 512)
	_, n, _, _, err := unix.Recvmsg(fd, b, oob, unix.MSG_ERRQUEUE)
	if err != nil {
		return netip.Addr{}
	}
	messages, _ := unix.ParseSocketControlMessage(oob[:n])
	for _, m := range messages {
		const head = 16 // struct sock_extended_err
		if len(m.Data) < head+16 {
			continue
		}
		switch sa := m.Data[head:]; binary.NativeEndian.Uint16(sa) {
		case unix.AF_INET:
			return netip.AddrFrom4([4]byte(sa[4:8]))
		case unix.AF_INET6:
			return netip.AddrFrom16([16]byte(sa[8:24]))
		}
	}
	return netip.Addr{}
}

// Where the way into the overlay is narrower than the hosts' networks they find out
// by themselves: the gateway tells them (RFC 1191, RFC 8201), and nothing is lost for
// good.
func TestRoutedPathMTU(t *testing.T) {
	t.Parallel()
	p := newPlant(t, 1500) // 1450 bytes of packet fit
	eventually(t, "the path is known", func() bool { return p.gateway.vtep(vtepA.String()).MTU == 1450 })
	for name, a := range p.r2.addresses() {
		size := 1450 - 28
		if name == "IPv6" {
			size = 1450 - 48
		}
		wantPing(t, p.h1, a, 2, netns.PingOptions{Size: size, DF: true})
		if n, err := p.h1.Ping(t.Context(), a, 1, netns.PingOptions{Size: size + 1, DF: true, Timeout: 300 * time.Millisecond}); n != 0 {
			t.Errorf("%s: a packet of 1451 bytes came through (%v)", name, err)
		}
		transfer(t, p.h1, p.r2, a, 4<<20)
		transfer(t, p.r2, p.h1, p.h1.addresses()[name], 4<<20)
	}
	// The host has learned of it, and cuts what it may. What answers is behind a VTEP
	// that would cut the outer packets.
	must(t, p.r2.SetMTU("eth0", 1450))
	for _, a := range p.r2.addresses() {
		wantPing(t, p.h1, a, 2, netns.PingOptions{Size: 4000})
	}
}

// A kernel VTEP that routes too: each router sends into the other's VNI what is for
// there, so that there and back take different ways (asymmetric IRB).
func TestRoutingPeer(t *testing.T) {
	t.Parallel()
	p := newPlant(t, 1600)
	// The peer is a router in both VNIs, and r2's.
	must(t, p.vtep.VTEP("br1", netns.VXLANConfig{Name: "vx1", VNI: vni, Local: vtepA, MTU: 1500, Remotes: []netip.Addr{gwAddr}}))
	must(t, p.vtep.AddAddr("br0", "10.1.2.254/24"))
	must(t, p.vtep.AddAddr("br1", "10.1.1.254/24"))
	must(t, p.vtep.AddAddr("br0", "2001:db8:12::254/64"))
	must(t, p.vtep.AddAddr("br1", "2001:db8:11::254/64"))
	for _, br := range []string{"br0", "br1"} {
		must(t, p.vtep.AddAddr(br, "fe80::254/64")) // that a router asks for neighbours from
	}
	must(t, p.vtep.Forward())
	must(t, p.r2.ReplaceRoute(netns.Route{To: "0.0.0.0/0", Via: "10.1.2.254", Dev: "eth0"}))
	must(t, p.r2.DelRoute(netns.Route{To: "::/0", Via: gate2six.String(), Dev: "eth0"}))
	must(t, p.r2.AddRoute(netns.Route{To: "::/0", Via: "2001:db8:12::254", Dev: "eth0"}))
	at := capture(t, p.h1.NS, "eth0")
	brMAC, err := p.vtep.MAC("br1")
	must(t, err)
	for _, a := range p.r2.addresses() {
		wantPing(t, p.h1, a, 5, netns.PingOptions{})
		transfer(t, p.h1, p.r2, a, 4<<20)
	}
	n := at.Count(func(f []byte) bool { return frame.Frame(f).Type() == frame.TypeIPv4 && frame.Frame(f).Src() == brMAC })
	if n < 5 {
		t.Errorf("%d packets came by the other router, want all answers", n)
	}
}

// A host that goes silent and comes back, and one that comes back with another NIC,
// are found again.
func TestHostReturns(t *testing.T) {
	t.Parallel()
	p := newPlant(t, 1600)
	wantPing(t, p.h1, p.h2.four, 2, netns.PingOptions{})
	must(t, p.h2.SetDown("eth0"))
	if n, _ := p.h1.Ping(t.Context(), p.h2.four, 1, netns.PingOptions{Timeout: 200 * time.Millisecond}); n != 0 {
		t.Error("a host that is down answered")
	}
	must(t, p.h2.SetMAC("eth0", h3MAC)) // and it does not say so
	must(t, p.h2.SetUp("eth0"))
	must(t, p.h2.ReplaceRoute(netns.Route{To: "0.0.0.0/0", Via: gate2.String(), Dev: "eth0"}))
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	for {
		if n, err := p.h1.Ping(ctx, p.h2.four, 1, netns.PingOptions{Timeout: time.Second}); n == 1 {
			return
		} else if err != nil {
			t.Fatalf("the host with its new NIC is not found: %v", err)
		}
	}
}
