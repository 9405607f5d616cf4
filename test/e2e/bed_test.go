package e2e

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// The addresses of the tests: documentation prefixes and locally administered
// MACs.
var (
	gwMAC   = frame.MAC{2, 0, 0, 0, 0xf0, 1}
	peerMAC = frame.MAC{2, 0, 0, 0, 0xf0, 2}
	h1MAC   = frame.MAC{2, 0, 0, 0, 1, 1}
	h2MAC   = frame.MAC{2, 0, 0, 0, 1, 2}
	h3MAC   = frame.MAC{2, 0, 0, 0, 1, 3}
	ra1MAC  = frame.MAC{2, 0, 0, 0, 2, 0xa}
	rb1MAC  = frame.MAC{2, 0, 0, 0, 3, 0xa}
	nobody  = frame.MAC{0xde, 0xad, 0xbe, 0xef, 0x13, 0x37} // an address that nobody has

	gwAddr = netip.MustParseAddr("192.0.2.17")
	vtepA  = netip.MustParseAddr("192.0.2.34")
	vtepB  = netip.MustParseAddr("192.0.2.50")
	vtepC  = netip.MustParseAddr("192.0.2.66")
)

const (
	vni       = 1000
	otherVNI  = 2000
	vxlanPort = 4789

	// outerLen is what stands in front of an inner frame: Ethernet, IPv4, UDP
	// and VXLAN headers.
	outerLen = 14 + 20 + 8 + 8

	// typeTest is the EtherType for local experiments (IEEE 802).
	typeTest = 0x88b5
)

// newNS makes a namespace that lives as long as the test.
func newNS(t testing.TB) *netns.NS {
	t.Helper()
	netns.Require(t)
	ns, err := netns.New("")
	must(t, err)
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// wire lays a wire.
func wire(t testing.TB, a *netns.NS, aName string, b *netns.NS, bName string, o netns.VethOptions) {
	t.Helper()
	must(t, netns.Veth(a, aName, b, bName, o))
}

func capture(t testing.TB, ns *netns.NS, dev string, opts ...netns.CaptureOption) *netns.Capture {
	t.Helper()
	c, err := ns.Capture(dev, opts...)
	must(t, err)
	return c
}

// bed is a gateway between bare hosts and a bare VTEP: they are devices that
// frames are sent out of and captured on, and say nothing of their own accord.
//
//	hosts h1..hN --- acc1..accN gw und0 --- und0 peer, which has vtepA, B and C
type bed struct {
	t               testing.TB
	hosts, ns, peer *netns.NS
	ports           int
	*gateway
}

// newBed builds it, with a number of ports and the MTU of the underlay.
func newBed(t testing.TB, ports, mtu int) *bed {
	t.Helper()
	b := &bed{t: t, hosts: newNS(t), ns: newNS(t), peer: newNS(t), ports: ports}
	for i := range ports {
		wire(t, b.hosts, fmt.Sprintf("h%d", i+1), b.ns, fmt.Sprintf("acc%d", i+1),
			netns.VethOptions{AMAC: frame.MAC{2, 0, 0, 0, 1, byte(i + 1)}})
	}
	wire(t, b.ns, "und0", b.peer, "und0", netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: mtu})
	must(t, b.ns.AddAddr("und0", gwAddr.String()+"/24"))
	for _, a := range []netip.Addr{vtepA, vtepB, vtepC} {
		must(t, b.peer.AddAddr("und0", a.String()+"/24"))
	}
	sink(t, b.peer)
	return b
}

// sink keeps a bare VTEP's kernel from answering that nobody listens.
func sink(t testing.TB, ns *netns.NS) {
	t.Helper()
	for _, port := range []int{vxlanPort, 8472, 1111} {
		conn, err := ns.ListenPacket("udp", fmt.Sprintf(":%d", port))
		must(t, err)
		t.Cleanup(func() { conn.Close() })
	}
}

// settings are lines of configuration, by section.
type settings struct {
	underlay string
	flood    string // default: vtepA
	vni      string // of each [[vni]]
	port     string // of each [[port]]
	more     string // further sections
}

// start runs the gateway with one VNI and waits until it forwards.
func (b *bed) start(s settings) *bed {
	b.t.Helper()
	b.gateway = start(b.t, b.ns, b.config(s)).forwards()
	return b
}

func (b *bed) config(s settings) string {
	if s.flood == "" {
		s.flood = `"192.0.2.34"`
	}
	var text strings.Builder
	fmt.Fprintf(&text, "[underlay]\naddress = \"192.0.2.17\"\n%s\n[[vni]]\nid = %d\nvlan = 10\nflood = [%s]\n%s\n", s.underlay, vni, s.flood, s.vni)
	for i := range b.ports {
		fmt.Fprintf(&text, "[[port]]\ninterface = \"acc%d\"\nvlan = 10\n%s\n", i+1, s.port)
	}
	text.WriteString(s.more)
	return text.String()
}

// fromHost sends frames out of a host's device.
func (b *bed) fromHost(dev string, frames ...[]byte) {
	b.t.Helper()
	must(b.t, b.hosts.Send(dev, frames...))
}

// fromPeer sends outer frames.
func (b *bed) fromPeer(frames ...[]byte) {
	b.t.Helper()
	must(b.t, b.peer.Send("und0", frames...))
}

// outer returns the frame that carries an inner frame from vtepA to the
// gateway, UDP checksum zero.
func outer(inner []byte) []byte { return outerFrom(vtepA, inner) }

func outerFrom(from netip.Addr, inner []byte) []byte {
	return outerPayload(from, packet.VXLAN(vni, inner))
}

// outerPayload returns the frame with a UDP payload from a VTEP to the gateway.
func outerPayload(from netip.Addr, payload []byte) []byte {
	f := packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(from, 0xc0de), netip.AddrPortFrom(gwAddr, vxlanPort), payload)
	f[40], f[41] = 0, 0
	return f
}

// reseal makes the outer IPv4 header's checksum right again.
func reseal(f []byte) []byte {
	h := ip.IPv4(f[14:])
	h.SetChecksum(0)
	h.SetChecksum(^ip.Sum(h[:20], 0))
	return f
}

// vxlanPacket is a captured VXLAN packet over IPv4.
type vxlanPacket []byte

func (p vxlanPacket) ip() ip.IPv4     { return ip.IPv4(p[14:]) }
func (p vxlanPacket) dst() netip.Addr { return p.ip().Dst() }
func (p vxlanPacket) sport() uint16   { return binary.BigEndian.Uint16(p[34:]) }
func (p vxlanPacket) dport() uint16   { return binary.BigEndian.Uint16(p[36:]) }
func (p vxlanPacket) inner() []byte   { return p[outerLen:] }

// isUDP keeps what a VTEP sends over IPv4, and fragments of it.
func isUDP(f []byte) bool {
	return len(f) >= outerLen && frame.Frame(f).Type() == frame.TypeIPv4 && f[23] == ip.ProtoUDP
}

// captureOuter takes the UDP packets that come in on a device.
func captureOuter(t testing.TB, ns *netns.NS, dev string) *netns.Capture {
	t.Helper()
	return capture(t, ns, dev, netns.Only(isUDP))
}

// inner returns what is inside when f is a VXLAN packet, and otherwise f.
func inner(f []byte) []byte {
	if isUDP(f) && len(f) > outerLen && vxlanPacket(f).dport() == vxlanPort {
		return vxlanPacket(f).inner()
	}
	return f
}

// number returns the number of a frame or of the frame inside.
func number(f []byte) (uint32, bool) { return packet.Number(inner(f)) }

// numbered returns frames with the numbers from first on.
func numbered(dst, src frame.MAC, first, count uint32) [][]byte {
	frames := make([][]byte, count)
	for i := range frames {
		frames[i] = packet.Numbered(dst, src, first+uint32(i))
	}
	return frames
}

// encapsulated returns the frames as they come from a VTEP.
func encapsulated(from netip.Addr, frames [][]byte) [][]byte {
	out := make([][]byte, len(frames))
	for i, f := range frames {
		out[i] = outerFrom(from, f)
	}
	return out
}

// fences numbers the frames that follow what is counted, see fence.
var fences atomic.Uint32

const firstFence = 1 << 24

// fence sends one more broadcast behind what was sent before and waits until it
// is captured everywhere: what was not captured then never comes.
func fence(t testing.TB, src frame.MAC, send func(...[]byte), at ...*netns.Capture) {
	t.Helper()
	n := firstFence + fences.Add(1)
	send(packet.Numbered(frame.Broadcast, src, n))
	for _, c := range at {
		must(t, c.WaitMatch(1, func(f []byte) bool { m, ok := number(f); return ok && m == n }, patience))
	}
}

// from returns a function that sends out of a device.
func from(t testing.TB, ns *netns.NS, dev string) func(...[]byte) {
	return func(frames ...[]byte) {
		t.Helper()
		must(t, ns.Send(dev, frames...))
	}
}

// fromVTEP returns a function that sends frames in VXLAN from one of the peer's
// VTEPs.
func (b *bed) fromVTEP(a netip.Addr) func(...[]byte) {
	return func(frames ...[]byte) {
		b.t.Helper()
		b.fromPeer(encapsulated(a, frames)...)
	}
}

// between counts captured numbers of first to first+count-1. Each may be there
// once at most.
func between(t testing.TB, c *netns.Capture, first, count uint32) int {
	t.Helper()
	seen := make(map[uint32]bool)
	for _, f := range c.Frames() {
		n, ok := number(f)
		if !ok || n < first || n >= first+count {
			continue
		}
		if seen[n] {
			t.Errorf("frame %d came twice", n)
		}
		seen[n] = true
	}
	return len(seen)
}

// unhex reads bytes written as in a dump.
func unhex(text string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		panic(err)
	}
	return b
}
