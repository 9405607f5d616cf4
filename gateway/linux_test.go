package gateway

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/port"
	"vxgw/l3/ip"
	"vxgw/l3/underlay/udp"
	"vxgw/test/bpf"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience is how long a test waits for what must happen before it gives up.
const patience = 20 * time.Second

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// uplinkBed is a gateway's namespace without a gateway, and a peer.
type uplinkBed struct {
	t        *testing.T
	ns, peer *netns.NS
	vtep     netip.AddrPort
	from     netip.AddrPort
	index    int

	socket *net.UDPConn // where the stack's packets come in

	mu      sync.Mutex
	seen    map[uint32]string // who got which packet
	count   atomic.Int64
	byStack atomic.Int64
	byWire  atomic.Int64
	hellos  atomic.Int64
	readers sync.WaitGroup
}

var (
	bedGWMAC   = frame.MAC{2, 0, 0, 0, 0xf0, 1}
	bedPeerMAC = frame.MAC{2, 0, 0, 0, 0xf0, 2}
)

func newUplinkBed(t *testing.T, vtep, from string) *uplinkBed {
	t.Helper()
	netns.Require(t)
	bpf.Require(t)
	b := &uplinkBed{t: t, vtep: netip.AddrPortFrom(netip.MustParseAddr(vtep), 4789), seen: make(map[uint32]string)}
	b.from = netip.AddrPortFrom(netip.MustParseAddr(from), 50000)
	for _, ns := range []**netns.NS{&b.ns, &b.peer} {
		n, err := netns.New("")
		must(t, err)
		t.Cleanup(func() { must(t, n.Close()) })
		*ns = n
	}
	must(t, netns.Veth(b.ns, "und0", b.peer, "und0", netns.VethOptions{AMAC: bedGWMAC, BMAC: bedPeerMAC, MTU: 9000}))
	bits := map[bool]string{true: "/24", false: "/64"}[b.vtep.Addr().Is4()]
	must(t, b.ns.AddAddr("und0", vtep+bits))
	must(t, b.peer.AddAddr("und0", from+bits))
	must(t, b.ns.Do(func() error {
		dev, err := net.InterfaceByName("und0")
		if err == nil {
			b.index = dev.Index
		}
		return err
	}))
	c, err := b.ns.ListenPacket("udp", b.vtep.String())
	must(t, err)
	b.socket = c.(*net.UDPConn)
	raw, err := b.socket.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		must(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20))
	}))
	b.readers.Go(b.readStack)
	t.Cleanup(func() {
		_ = b.socket.Close()
		b.readers.Wait()
	})
	// A veth that has just come up drops packets for a moment, and a neighbour that
	// is not known yet has room for few.
	eventually(t, "the peer is heard", func() bool {
		must(t, b.peer.SendUDP(b.from, b.vtep, []byte(hello)))
		return b.hellos.Load() > 0
	})
	return b
}

// hello is the payload of packets that do not count.
const hello = "hello"

// got notes packet n, which must not have come before.
func (b *uplinkBed) got(payload []byte, by string, count *atomic.Int64) {
	if string(payload) == hello {
		b.hellos.Add(1)
		return
	}
	n := binary.BigEndian.Uint32(payload)
	b.mu.Lock()
	defer b.mu.Unlock()
	if was, twice := b.seen[n]; twice {
		b.t.Errorf("packet %d came by the %s, and by the %s too", n, was, by)
	}
	b.seen[n] = by
	count.Add(1)
	b.count.Add(1)
}

func (b *uplinkBed) readStack() {
	buf := make([]byte, 65536)
	for {
		n, err := b.socket.Read(buf)
		if err != nil {
			return
		}
		b.got(buf[:n], "stack", &b.byStack)
	}
}

// readWire begins to read a queue, to its end.
func (b *uplinkBed) readWire(q udp.FrameReader, done *sync.WaitGroup) {
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	defer func() { <-begun }()
	q.Wake()
	done.Go(func() {
		defer begin()
		bufs := frame.NewBuffers(port.BatchSize, frame.MaxLen)
		headers := frame.HeaderLen + ip.IPv4HeaderLen + ip.UDPHeaderLen
		if b.vtep.Addr().Is6() {
			headers = frame.HeaderLen + ip.IPv6HeaderLen + ip.UDPHeaderLen
		}
		for {
			n, err := q.ReadBatch(bufs)
			for i := range bufs[:n] {
				b.got(bufs[i].Bytes()[headers:], "wire", &b.byWire)
			}
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case errors.Is(err, os.ErrDeadlineExceeded):
				begin() // it was woken once
			case err != nil:
				b.t.Error(err)
				return
			}
		}
	})
}

func (b *uplinkBed) open(queues int) udp.Link {
	b.t.Helper()
	var l udp.Link
	must(b.t, b.ns.Do(func() (err error) {
		l, err = openLink(b.index, UnderlayOptions{Address: b.vtep.Addr(), Port: b.vtep.Port(), Queues: queues,
			Lacks: func(err error) { b.t.Error(err) }})
		return err
	}))
	return l
}

// send sends numbered packets of several flows and lengths until it is told to stop,
// and returns how many. It waits for those that it sent, so that no queue overflows.
func (b *uplinkBed) send(stop chan struct{}) (sent uint32) {
	var conns []net.Conn
	must(b.t, b.peer.Do(func() error {
		for i := range 8 {
			from := netip.AddrPortFrom(b.from.Addr(), b.from.Port()+uint16(i))
			c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(b.vtep))
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		return nil
	}))
	for {
		select {
		case <-stop:
			for _, c := range conns {
				must(b.t, c.Close())
			}
			return sent
		default:
		}
		if int64(sent)-b.count.Load() > 100 {
			time.Sleep(50 * time.Microsecond)
			continue
		}
		p := make([]byte, 4+int(sent*131%8900))
		binary.BigEndian.PutUint32(p, sent)
		if _, err := conns[sent%8].Write(p); err != nil {
			if errors.Is(err, syscall.ECONNREFUSED) {
				continue
			}
			b.t.Error(err)
		}
		sent++
	}
}

// TestLinkComesAndGoes: while an interface is taken from the host's stack and given
// back, each packet comes by one of both, once.
func TestLinkComesAndGoes(t *testing.T) {
	for _, c := range []struct {
		name, vtep, from string
		queues           int
	}{
		{"IPv4", "192.0.2.17", "192.0.2.34", 1},
		{"IPv4, several queues", "192.0.2.17", "192.0.2.34", 3},
		{"IPv6", "2001:db8::17", "2001:db8::34", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newUplinkBed(t, c.vtep, c.from)
			stop, total := make(chan struct{}), make(chan uint32)
			go func() { total <- b.send(stop) }()
			for range 8 {
				stack := b.byStack.Load()
				eventually(t, "packets come by the stack", func() bool { return b.byStack.Load() > stack+200 })
				l := b.open(c.queues)
				if n := len(l.Queues()); n != c.queues {
					t.Errorf("%d queues, want %d", n, c.queues)
				}
				var reading sync.WaitGroup
				for _, q := range l.Queues() {
					b.readWire(q, &reading)
				}
				wire := b.byWire.Load()
				eventually(t, "packets come by the wire", func() bool { return b.byWire.Load() > wire+200 })
				must(t, l.Close())
				reading.Wait()
			}
			close(stop)
			sent := <-total
			eventually(t, "every packet comes", func() bool { return b.count.Load() >= int64(sent) })
			if n := b.count.Load(); n != int64(sent) {
				t.Errorf("%d packets, want %d", n, sent)
			}
		})
	}
}

// TestWhatALinkLeavesToTheStack: fragments, options, VLAN tags and others' packets.
func TestWhatALinkLeavesToTheStack(t *testing.T) {
	b := newUplinkBed(t, "192.0.2.17", "192.0.2.34")
	l := b.open(1)
	var reading sync.WaitGroup
	b.readWire(l.Queues()[0], &reading)

	payload := func(n uint32, size int) []byte {
		return append(binary.BigEndian.AppendUint32(nil, n), make([]byte, size)...)
	}
	plain := packet.UDP(bedGWMAC, bedPeerMAC, b.from, b.vtep, payload(1, 100))
	tagged := packet.Tagged(packet.UDP(bedGWMAC, bedPeerMAC, b.from, b.vtep, payload(2, 100)), frame.TypeVLAN, 5<<13)
	must(t, b.peer.Send("und0", plain, tagged))
	must(t, b.peer.SetMTU("und0", 1500))
	must(t, b.peer.SendUDP(b.from, b.vtep, payload(3, 4000)))
	eventually(t, "all three come", func() bool { return b.count.Load() == 3 })
	must(t, l.Close())
	reading.Wait()
	for n, want := range map[uint32]string{1: "wire", 2: "stack", 3: "stack"} {
		if by := b.seen[n]; by != want {
			t.Errorf("packet %d came by the %q, want the %s", n, by, want)
		}
	}
}

// TestLinkWithoutItsInterface opens one that is not there, and one that goes.
func TestLinkWithoutItsInterface(t *testing.T) {
	b := newUplinkBed(t, "192.0.2.17", "192.0.2.34")
	err := b.ns.Do(func() error {
		_, err := openLink(b.index+1000, UnderlayOptions{Address: b.vtep.Addr(), Port: b.vtep.Port()})
		return err
	})
	if err == nil {
		t.Error("opened an interface that is not there")
	}
	l := b.open(2)
	must(t, b.ns.Delete("und0"))
	must(t, l.Close())
}
