package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// street is hosts at the ports of a gateway that suppresses ARP and ND, and one
// behind a kernel VTEP.
//
//	hosts[i] eth0 --- acc<i+1> gw und0 --- und0 vtep (vxlan + bridge) acc0 --- eth0 remote
type street struct {
	hosts  []*host
	remote *host
	atVTEP *netns.Capture // what the gateway sends to the VTEP
	*gateway
}

func newStreet(t *testing.T, n int) *street {
	t.Helper()
	s := &street{remote: newHost(t, 100)}
	ns, vtep := newNS(t), newNS(t)
	config := "[underlay]\naddress = \"192.0.2.17\"\n[[vni]]\nid = 1000\nvlan = 10\nflood = [\"192.0.2.34\"]\nsuppress_arp = true\n"
	for i := range n {
		h, acc := newHost(t, i+1), fmt.Sprintf("acc%d", i+1)
		s.hosts = append(s.hosts, h)
		wire(t, h.NS, "eth0", ns, acc, netns.VethOptions{AMAC: frame.MAC{2, 0, 0, 0, 1, byte(i + 1)}})
		config += fmt.Sprintf("[[port]]\ninterface = %q\nvlan = 10\n", acc)
	}
	wire(t, ns, "und0", vtep, "und0", netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: 1600})
	wire(t, vtep, "acc0", s.remote.NS, "eth0", netns.VethOptions{BMAC: ra1MAC})
	must(t, ns.AddAddr("und0", gwAddr.String()+"/24"))
	must(t, vtep.AddAddr("und0", vtepA.String()+"/24"))
	must(t, vtep.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: vni, Local: vtepA, MTU: 1500, Remotes: []netip.Addr{gwAddr}}, "acc0"))
	s.atVTEP = captureOuter(t, vtep, "und0")
	s.gateway = startWith(t, ns, config, withHTTP).forwards()
	for _, h := range append(s.hosts, s.remote) {
		h.configure(t)
	}
	return s
}

// asked counts the requests to everybody for an address that the VTEP was sent
// until now.
func (s *street) asked(a netip.Addr) int {
	s.t.Helper()
	fence(s.t, h1MAC, from(s.t, s.hosts[0].NS, "eth0"), s.atVTEP)
	return s.atVTEP.Count(func(f []byte) bool {
		in := frame.Frame(inner(f))
		if !in.Dst().IsMulticast() {
			return false
		}
		p := in.Payload()
		switch in.Type() {
		case frame.TypeARP:
			return len(p) >= 28 && p[7] == packet.ARPRequest && netip.AddrFrom4([4]byte(p[24:28])) == a
		case frame.TypeIPv6:
			return len(p) >= 64 && p[6] == 58 && p[40] == packet.Solicitation && netip.AddrFrom16([16]byte(p[48:64])) == a
		}
		return false
	})
}

// known returns the MAC and the state of a neighbour, "" where it is not known.
func (s *street) known(a netip.Addr) string {
	s.t.Helper()
	for _, r := range rows[api.NeighbourRow](s.gateway, "neighbours") {
		if r.VNI == vni && r.Address == a.String() {
			return r.MAC + " " + r.State
		}
	}
	return ""
}

// want checks how often the VTEP was sent a request for a, and how many were
// answered by the gateway.
func (s *street) want(a netip.Addr, asked, suppressed int) {
	s.t.Helper()
	if n := s.asked(a); n != asked {
		s.t.Errorf("the VTEP was sent %d requests for %v, want %d", n, a, asked)
	}
	if n := rows[api.VNIRow](s.gateway, "vnis")[0].Suppressed; n != uint64(suppressed) {
		s.t.Errorf("%d requests were suppressed, want %d", n, suppressed)
	}
	if n := metrics(s.t, s.ns)[fmt.Sprintf("vxgw_suppressed_total{vni=\"%d\"}", vni)]; n != float64(suppressed) {
		s.t.Errorf("vxgw_suppressed_total is %v, want %d", n, suppressed)
	}
}

// One host asks for the remote one, and all others are answered by the gateway:
// hosts of the kernel's making believe it, reach the remote host, follow it to
// another MAC, and hear of it when it is down.
func TestSuppress(t *testing.T) {
	t.Parallel()
	for _, family := range []string{"IPv4", "IPv6"} {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			s := newStreet(t, 5)
			a := s.remote.addresses()[family]
			wantPing(t, s.hosts[0], a, 3, netns.PingOptions{})
			asked := s.asked(a) // once, or again if the remote host was not ready
			s.want(a, max(1, asked), 0)
			for _, h := range s.hosts[1:3] {
				wantPing(t, h, a, 3, netns.PingOptions{})
			}
			// The remote host asks for those who ping it: that is not counted.
			s.want(a, asked, 2)
			if got, want := s.known(a), ra1MAC.String()+" fresh"; got != want {
				t.Errorf("%v is known as %q, want %q", a, got, want)
			}

			// Another NIC, and it tells.
			must(t, s.remote.Sysctl("ipv4/conf/eth0/arp_notify", "1"))
			must(t, s.remote.Sysctl("ipv6/conf/eth0/ndisc_notify", "1"))
			must(t, s.remote.SetMAC("eth0", rb1MAC))
			eventually(t, "the new MAC is known", func() bool { return strings.HasPrefix(s.known(a), rb1MAC.String()) })
			wantPing(t, s.hosts[3], a, 3, netns.PingOptions{})
			wantPing(t, s.hosts[0], a, 3, netns.PingOptions{})
			s.want(a, asked, 3)

			// Down, and still answered for: the gateway has not heard of it.
			must(t, s.remote.SetDown("eth0"))
			last := s.hosts[4]
			if n, err := last.Ping(t.Context(), a, 1, netns.PingOptions{Timeout: 200 * time.Millisecond}); n != 0 || err != nil {
				t.Errorf("a host that is down answered: %d, %v", n, err)
			}
			fence(t, frame.MAC{2, 0, 0, 0, 1, 5}, from(t, last.NS, "eth0"), s.atVTEP)
			s.want(a, asked, 4)
			s.wantDrops(drops{})
		})
	}
}

// What a host asks to see whether its address is free reaches everybody, though
// the gateway knows who has it: and so two hosts do not get the same one.
func TestSuppressDuplicate(t *testing.T) {
	t.Parallel()
	s := newStreet(t, 2)
	for _, a := range s.remote.addresses() {
		wantPing(t, s.hosts[0], a, 1, netns.PingOptions{})
	}
	probes := map[netip.Addr][]byte{
		s.remote.six:  packet.Detect(h2MAC, s.remote.six).Frame(),
		s.remote.four: packet.ARP(frame.Broadcast, packet.ARPRequest, h2MAC, netip.IPv4Unspecified(), frame.MAC{}, s.remote.four),
	}
	at := capture(t, s.hosts[1].NS, "eth0")
	for addr, f := range probes {
		before := s.asked(addr)
		must(t, s.hosts[1].Send("eth0", f))
		// The owner itself objects.
		must(t, at.WaitMatch(1, func(f []byte) bool { return frame.Frame(f).Src() == ra1MAC && isAnswer(f, addr) }, patience))
		if n := s.asked(addr); n != before+1 {
			t.Errorf("%d probes for %v came to the VTEP", n-before, addr)
		}
	}
	s.want(s.remote.six, s.asked(s.remote.six), 0)
}

// isAnswer reports whether a frame says who has an address.
func isAnswer(f []byte, a netip.Addr) bool {
	p := frame.Frame(f).Payload()
	if a.Is4() {
		return frame.Frame(f).Type() == frame.TypeARP && p[7] == packet.ARPReply && netip.AddrFrom4([4]byte(p[14:18])) == a
	}
	return frame.Frame(f).Type() == frame.TypeIPv6 && len(p) >= 64 && p[40] == packet.Advertisement && netip.AddrFrom16([16]byte(p[48:64])) == a
}
