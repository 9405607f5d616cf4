package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/gateway/tables"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l2/port"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/path"
	"vxgw/test/packet"
)

// sink counts what edges are handed.
type sink struct{ frames, dgrams int }

// sinkPort and sinkConn take everything.
type sinkPort struct {
	port.Port
	*sink
	whole bool // super-frames too
}

type sinkConn struct {
	underlay.Conn
	*sink
}

func (s sinkPort) CarriesOffload() bool { return s.whole }
func (s sinkPort) Lacks() error         { return nil }

func (s sinkPort) WriteBatch(out []frame.Out) error {
	s.frames += len(out)
	for i := range out {
		out[i].Status = frame.Sent
	}
	return nil
}

func (s sinkConn) CarriesOffload(*underlay.Hop, int) bool { return true }

func (s sinkConn) WriteBatch(out []underlay.Datagram) error {
	s.dgrams += len(out)
	for i := range out {
		out[i].Status = frame.Sent
	}
	return nil
}

// noHost knows of nothing.
type noHost struct{ VLANHost }

func (noHost) Run(context.Context) error                      { return nil }
func (noHost) Changed() <-chan struct{}                       { return nil }
func (noHost) Link(string) (path.Link, bool)                  { return path.Link{}, false }
func (noHost) Holder(netip.Addr) (path.Link, bool)            { return path.Link{}, false }
func (noHost) Confirm([]path.Neighbour) error                 { return nil }
func (noHost) IPsec() (bool, error)                           { return false, nil }
func (noHost) LinkAt(int) (path.Link, bool)                   { return path.Link{}, false }
func (noHost) Path(netip.Addr, netip.Addr) (path.Path, error) { return path.Path{}, nil }
func (noHost) VXLANOn(uint16, netip.Addr) (string, bool)      { return "", false }

// bench is a gateway whose workers are driven by hand.
type bench struct {
	*Gateway
	sink    sink
	access  *accessWorker
	overlay *overlayWorker
	now     uint32
}

var (
	here     = frame.MAC{2, 0, 0, 0, 1, 1}
	beside   = frame.MAC{2, 0, 0, 0, 1, 2}
	remote   = frame.MAC{2, 0, 0, 0, 2, 0xa}
	irbMAC   = frame.MAC{0, 0, 0x5e, 0, 1, 1}
	peerAddr = netip.MustParseAddr("192.0.2.2")

	here4, remote4 = netip.MustParseAddr("10.1.1.10"), netip.MustParseAddr("10.1.1.20")
	here6, remote6 = netip.MustParseAddr("2001:db8:1::10"), netip.MustParseAddr("2001:db8:1::20")
)

func arpReply(src frame.MAC) []byte {
	return packet.ARP(here, packet.ARPReply, src, remote4, here, here4)
}

func arpRequest(from netip.Addr) []byte {
	return packet.ARP(frame.Broadcast, packet.ARPRequest, here, from, frame.MAC{}, remote4)
}

func newBench(t testing.TB) *bench { return newBenchWith(t, "", "") }

// newBenchWith makes a bench with lines for its VNI and for its ports.
func newBenchWith(t testing.TB, vniLines, portLines string) *bench {
	t.Helper()
	cfg, err := config.Parse("test.toml", fmt.Appendf(nil, `
[underlay]
address = "192.0.2.1"
[[vni]]
id = 1000
vlan = 10
flood = ["192.0.2.2", "192.0.2.3", "192.0.2.4"]
suppress_arp = true
vrf = "red"
gateway = ["10.1.1.1/24", "2001:db8:1::1/64"]
gateway_mac = "00:00:5e:00:01:01"
%s
[[port]]
interface = "e1"
vlan = 10
%[2]s
[[port]]
interface = "e2"
vlan = 10
%[2]s
[[port]]
interface = "e3"
vlan = 10
%[2]s
[[vrf]]
name = "red"
`, vniLines, portLines))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{now: 1}
	b.Gateway, err = New(cfg, Edges{Host: noHost{}, Clock: func() uint32 { return b.now }}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range b.ports {
		b.tables.SetPorts([]tables.PortChange{{ID: p.id, State: tables.PortState{Dev: sinkPort{sink: &b.sink, whole: i == 0}, Up: true, MTU: 1500}}})
	}
	b.tables.SetUplinks([]underlay.Conn{sinkConn{sink: &b.sink}})
	b.access = newAccessWorker(b.Gateway, b.ports[0].id, 0, sinkPort{sink: &b.sink}, sinkPort{sink: &b.sink}, &b.ports[0].bpduSeen)
	b.overlay = newOverlayWorker(b.Gateway, 0, sinkConn{sink: &b.sink})
	d := b.tables.Snapshot().VNIs[1000]
	v, _ := b.tables.VTEP(peerAddr)
	b.tables.FDB().Learn(d, here, forward.PortHop(b.ports[0].id), b.now)
	b.tables.FDB().Learn(d, beside, forward.PortHop(b.ports[1].id), b.now)
	b.tables.FDB().Learn(d, remote, forward.VTEPHop(v), b.now)
	for a, m := range map[netip.Addr]frame.MAC{here4: here, here6: here, remote4: remote, remote6: remote} {
		b.tables.Hosts().SetStatic(d, a, m, b.now)
	}
	for _, f := range [][]byte{arpReply(remote), packet.Announce(remote, remote6).Frame()} {
		b.tables.Neighbours().Hear(d, neigh.Read(f), b.now)
	}
	return b
}

// fromPort has a full batch of copies of f come in at the first port.
func fromPort(f []byte, o frame.Offload) func(*bench) {
	return func(b *bench) {
		for i := range b.access.bufs {
			buf := &b.access.bufs[i]
			buf.Off, buf.Len = frame.Headroom, copy(buf.Mem[frame.Headroom:], f)
			buf.Tag, buf.Offload, buf.Truncated = frame.Tag{}, o, false
		}
		b.access.batch(b.access.bufs)
	}
}

// fromVTEP has a full batch of VXLAN packets with f in them come in.
func fromVTEP(f []byte, tos uint8) func(*bench) {
	return streamFromVTEP(func(int) []byte { return f }, tos)
}

// streamFromVTEP has a full batch of VXLAN packets come in with frames that differ.
func streamFromVTEP(f func(i int) []byte, tos uint8) func(*bench) {
	var payloads [underlay.BatchSize][]byte
	for i := range payloads {
		payloads[i] = packet.VXLAN(1000, f(i))
	}
	return func(b *bench) {
		for i := range b.overlay.pkts {
			p := &b.overlay.pkts[i]
			p.Off, p.Len = frame.Headroom, copy(p.Mem[frame.Headroom:], payloads[i])
			p.From, p.FromPort, p.TOS = peerAddr, 50000, tos
		}
		b.overlay.batch(b.overlay.pkts)
	}
}

// segment is one of a TCP connection: the i-th, with 1000 bytes of payload.
func segment(i int) []byte {
	return packet.Segment(here, remote, netip.AddrPortFrom(remote4, 80), netip.AddrPortFrom(here4, 1000), i, make([]byte, 1000))
}

// inTurn does one after the other, a second later each time.
func inTurn(batches ...func(*bench)) func(*bench) {
	return func(b *bench) {
		b.now++
		for _, f := range batches {
			f(b)
		}
	}
}

func dataFrame(dst, src frame.MAC) []byte {
	return packet.UDP(dst, src, netip.MustParseAddrPort("10.1.1.10:1000"), netip.MustParseAddrPort("10.1.1.20:9"), make([]byte, 1000))
}

// routedFrame is to the gateway's MAC, from one address to another.
func routedFrame(src frame.MAC, from, to netip.Addr) []byte {
	return packet.UDP(irbMAC, src, netip.AddrPortFrom(from, 1000), netip.AddrPortFrom(to, 9), make([]byte, 1000))
}

// The frame path allocates nothing, once it has grown to what a batch needs.
func TestBatchesAllocateNothing(t *testing.T) {
	const n = port.BatchSize
	var done frame.Offload
	unfinished := frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 6}
	capable := dataFrame(here, remote)
	ip.SetFrameECN(capable, ip.ECT0)
	tests := []struct {
		name           string
		batch          func(*bench)
		frames, dgrams int // of each batch
	}{
		{"to a port", fromPort(dataFrame(beside, here), done), n, 0},
		{"to a VTEP", fromPort(dataFrame(remote, here), done), 0, n},
		{"from a VTEP", fromVTEP(dataFrame(here, remote), 0), n, 0},
		{"from a VTEP, congested", fromVTEP(capable, ip.CE), n, 0},
		{"from a VTEP, segments", streamFromVTEP(segment, 0), 1, 0},
		{"from a VTEP, segments of a damaged stream", streamFromVTEP(func(i int) []byte { f := segment(i); f[100] ^= byte(i % 2); return f }, 0), n, 0},
		{"flood from a port", fromPort(dataFrame(frame.Broadcast, here), done), 2 * n, 3 * n},
		{"flood from a VTEP", fromVTEP(dataFrame(frame.Broadcast, remote), 0), 3 * n, 0},
		{"unfinished checksum to a port", fromPort(dataFrame(beside, here), unfinished), n, 0},
		{"unfinished checksum to a VTEP", fromPort(dataFrame(remote, here), unfinished), 0, n},
		{"both ways, the sources refreshed", inTurn(fromPort(dataFrame(remote, here), done), fromVTEP(dataFrame(here, remote), 0)), n, n},
		{"ARP answered", fromPort(arpRequest(here4), done), n, 0},
		{"ND answered", fromPort(packet.Solicit(here, here6, remote6).Frame(), done), n, 0},
		{"neighbours heard again", inTurn(fromVTEP(arpReply(remote), 0), fromVTEP(packet.Advertise(remote, remote6, here, here6).Frame(), 0)), 2 * n, 0},
		{"an address that moves to and fro", inTurn(fromVTEP(arpReply(remote), 0), fromPort(packet.ARP(remote, packet.ARPReply, here, remote4, remote, remote4), done)), n, n},
		{"routed to a port", fromPort(routedFrame(beside, remote4, here4), done), n, 0},
		{"routed to a VTEP", fromPort(routedFrame(here, here4, remote4), done), 0, n},
		{"routed from a VTEP to a port", fromVTEP(routedFrame(remote, remote4, here4), 0), n, 0},
		{"routed from a VTEP to a VTEP", fromVTEP(routedFrame(remote, here4, remote4), 0), 0, n},
		{"routed to a VTEP, IPv6", fromPort(routedFrame(here, here6, remote6), done), 0, n},
		{"routed, unfinished checksum", fromPort(routedFrame(here, here4, remote4), unfinished), 0, n},
		{"dropped", inTurn(fromPort(dataFrame(beside, frame.Broadcast), done), fromVTEP(dataFrame(remote, remote), 0)), 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			tt.batch(b)
			b.sink.frames, b.sink.dgrams = 0, 0
			tt.batch(b)
			if b.sink.frames != tt.frames || b.sink.dgrams != tt.dgrams {
				t.Fatalf("a batch sends %d frames and %d datagrams, want %d and %d", b.sink.frames, b.sink.dgrams, tt.frames, tt.dgrams)
			}
			if k := testing.AllocsPerRun(100, func() { tt.batch(b) }); k != 0 {
				t.Errorf("%v allocations for a batch of %d frames, want none", k, n)
			}
		})
	}
}
