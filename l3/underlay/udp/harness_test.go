package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/bpf"

	"vxgw/l2/frame"
	"vxgw/l2/port/raw"
	"vxgw/l3/underlay"
	"vxgw/test/netns"
)

// raceEnabled says that the race detector makes sync.Pool forget at random.
var raceEnabled bool

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen before it gives up.
const patience = 10 * time.Second

const (
	vxlanPort = 4789
	dev       = "und"
)

var (
	gwMAC   = frame.MAC{2, 0, 0, 0, 0xf0, 1}
	peerMAC = frame.MAC{2, 0, 0, 0, 0xf0, 2}
)

// family is one address family's side of the test network.
type addresses struct {
	name     string
	gw, peer netip.Addr
	bits     string
}

var (
	v4       = addresses{"IPv4", netip.MustParseAddr("192.0.2.17"), netip.MustParseAddr("192.0.2.34"), "/24"}
	v6       = addresses{"IPv6", netip.MustParseAddr("2001:db8::17"), netip.MustParseAddr("2001:db8::34"), "/64"}
	families = []addresses{v4, v6}
)

// overhead is the length of IP and UDP header in bytes.
func (a addresses) overhead() int {
	if a.gw.Is4() {
		return 28
	}
	return 48
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

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

// network is a gateway's and a peer's namespace with a wire between.
type network struct{ gw, peer *netns.NS }

func newNetwork(t testing.TB, mtu int) network {
	t.Helper()
	n := network{newNS(t), newNS(t)}
	must(t, netns.Veth(n.gw, dev, n.peer, dev, netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: mtu}))
	for _, a := range families {
		must(t, n.gw.AddAddr(dev, a.gw.String()+a.bits))
		must(t, n.peer.AddAddr(dev, a.peer.String()+a.bits))
		n.introduce(t, a)
	}
	return n
}

// introduce sends there and back until both sides have heard of each other. A
// veth that has just come up drops packets for a moment, and a neighbour that is
// not known yet has room for few.
func (n network) introduce(t testing.TB, a addresses) {
	t.Helper()
	listen := func(ns *netns.NS, addr netip.Addr) net.PacketConn {
		c, err := ns.ListenPacket("udp", netip.AddrPortFrom(addr, 9).String())
		must(t, err)
		return c
	}
	gw, peer := listen(n.gw, a.gw), listen(n.peer, a.peer)
	heard := func(from, to net.PacketConn) bool {
		_, _ = from.WriteTo([]byte{0}, to.LocalAddr())
		_ = to.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _, err := to.ReadFrom(make([]byte, 1))
		return err == nil
	}
	eventually(t, "the peer hears the gateway", func() bool { return heard(gw, peer) })
	eventually(t, "the gateway hears the peer", func() bool { return heard(peer, gw) })
	must(t, errors.Join(gw.Close(), peer.Close()))
}

// openIn opens an underlay in a namespace, with a tap unless told otherwise.
func openIn(t testing.TB, ns *netns.NS, cfg Config) *Underlay {
	t.Helper()
	u, err := tryOpen(ns, cfg)
	must(t, err)
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u
}

func tryOpen(ns *netns.NS, cfg Config) (u *Underlay, err error) {
	if cfg.Port == 0 {
		cfg.Port = vxlanPort
	}
	err = ns.Do(func() (err error) { u, err = Open(cfg); return err })
	return u, err
}

func openTap(etherType uint16, filter []bpf.RawInstruction) (Tap, error) {
	return raw.OpenTap(etherType, filter)
}

// send sends one datagram and returns what became of it.
func send(u *Underlay, d underlay.Datagram) (frame.Status, error) {
	ds := []underlay.Datagram{d}
	err := u.Queues()[0].WriteBatch(ds)
	return ds[0].Status, err
}

func mustSend(t testing.TB, u *Underlay, ds ...underlay.Datagram) {
	t.Helper()
	must(t, u.Queues()[0].WriteBatch(ds))
	for i := range ds {
		if ds[i].Status != frame.Sent {
			t.Fatalf("datagram %d: status %d", i, ds[i].Status)
		}
	}
}

// reader collects packets of one queue.
type reader struct {
	t    testing.TB
	conn underlay.Reader
	pkts []underlay.Packet
	left []underlay.Packet
}

func newReader(t testing.TB, u *Underlay) *reader {
	return &reader{t: t, conn: u.Queues()[0], pkts: underlay.NewPackets(underlay.BatchSize, underlay.MaxPayload)}
}

// next returns the next packet; its bytes are the test's.
func (r *reader) next() underlay.Packet {
	r.t.Helper()
	timer := time.AfterFunc(patience, r.conn.Wake)
	defer timer.Stop()
	for len(r.left) == 0 {
		n, err := r.conn.ReadBatch(r.pkts)
		if err != nil {
			r.t.Fatalf("waiting for a packet: %v", err)
		}
		r.left = r.pkts[:n]
	}
	p := r.left[0]
	r.left = r.left[1:]
	p.Mem = bytes.Clone(p.Mem[:p.Off+p.Len])
	return p
}

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
