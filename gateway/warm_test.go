package gateway

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/port"
	"vxgw/test/packet"
)

// stationMAC returns the MAC of station i of the tests.
func stationMAC(i int) frame.MAC { return frame.MACFromUint64(2<<40 | 7<<32 | uint64(i)) }

// settle has n stations be known, every other one behind the first port and the
// rest behind a VTEP.
func (b *bench) settle(t testing.TB, n int) {
	t.Helper()
	d := b.tables.Snapshot().VNIs[1000]
	v, _ := b.tables.VTEP(peerAddr)
	b.tables.FDB().SetDomain(d, 0, 0)
	b.tables.FDB().SetHop(forward.PortHop(b.access.id), 0)
	for i := range n {
		hop := forward.PortHop(b.access.id)
		if i%2 == 1 {
			hop = forward.VTEPHop(v)
		}
		if o := b.tables.FDB().Learn(d, stationMAC(i), hop, b.now); o != fdb.Added {
			t.Fatalf("station %d: %v", i, o)
		}
	}
}

// between has a full batch of frames come in, from the port to the VTEP or the
// other way, each with a source and a destination of its own.
func (b *bench) between(frames [port.BatchSize]conversation, fromPort bool) {
	for i, c := range frames {
		at := frame.Headroom
		if fromPort {
			buf := &b.access.bufs[i]
			buf.Off, buf.Len = at, len(small)
			copy(buf.Mem[at:], small)
			c.address(buf.Bytes(), c.here, c.there)
			continue
		}
		p := &b.overlay.pkts[i]
		p.Off, p.Len, p.From, p.FromPort = at, len(smallInside), peerAddr, 50000
		copy(p.Mem[at:], smallInside)
		c.address(p.Bytes()[vxlanHeader:], c.there, c.here)
	}
	if fromPort {
		b.access.batch(b.access.bufs)
	} else {
		b.overlay.batch(b.overlay.pkts)
	}
}

var (
	small       = packet.Ethernet(frame.MAC{}, frame.MAC{}, 0x88b5, make([]byte, 46))
	smallInside = packet.VXLAN(1000, small)
)

// conversation is two stations: one behind the port, one behind the VTEP.
type conversation struct{ here, there uint32 }

func (conversation) address(f []byte, src, dst uint32) {
	m := stationMAC(0)
	copy(f, m[:])
	copy(f[6:], m[:])
	binary.BigEndian.PutUint32(f[2:], dst)
	binary.BigEndian.PutUint32(f[8:], src)
}

// conversations returns batches of conversations between n stations at random.
func conversations(n, batches int) [][port.BatchSize]conversation {
	r, all := rand.New(rand.NewPCG(1, 2)), make([][port.BatchSize]conversation, batches)
	for i := range all {
		for j := range all[i] {
			all[i][j] = conversation{uint32(2 * r.IntN(n/2)), uint32(2*r.IntN(n/2) + 1)}
		}
	}
	return all
}

// A large table is warmed for every batch, whatever is in it, and that changes
// neither what becomes of the frames nor what they cost in memory.
func TestLargeTableAllocatesNothing(t *testing.T) {
	const n = 1 << 17
	b := newBench(t)
	b.settle(t, n)
	if !b.tables.FDB().Large() {
		t.Fatalf("%d stations are not many", n)
	}
	c := conversations(n, 1)[0]
	for _, fromPort := range []bool{true, false} {
		b.sink = sink{}
		batch := func() { b.now++; b.between(c, fromPort) }
		batch()
		if b.sink.frames+b.sink.dgrams != port.BatchSize || fromPort != (b.sink.dgrams > 0) {
			t.Errorf("from the port %v: %+v", fromPort, b.sink)
		}
		if k := testing.AllocsPerRun(100, batch); k != 0 {
			t.Errorf("from the port %v: %v allocations", fromPort, k)
		}
	}
	for _, other := range []func(*bench){
		fromPort(dataFrame(frame.Broadcast, here), frame.Offload{}), fromPort(make([]byte, 13), frame.Offload{}), fromPort(nil, frame.Offload{}),
		fromVTEP(dataFrame(frame.Broadcast, remote), 0), fromVTEP(nil, 0), shortFromVTEP,
	} {
		if k := testing.AllocsPerRun(10, func() { other(b) }); k != 0 {
			t.Errorf("%v allocations", k)
		}
	}
}

// shortFromVTEP has a batch come in of which no packet has a VXLAN header.
func shortFromVTEP(b *bench) {
	for i := range b.overlay.pkts {
		b.overlay.pkts[i].Len = i % vxlanHeader
	}
	b.overlay.batch(b.overlay.pkts)
}

// BenchmarkStations carries frames of 60 bytes between stations at random. An
// operation is one frame, from the port to the VTEP or back, with all that the
// gateway does for it but the system calls.
func BenchmarkStations(b *testing.B) {
	for _, n := range []int{1000, 10_000, 30_000, 100_000, 300_000, 1_000_000} {
		gw := newBench(b)
		gw.settle(b, n)
		all := conversations(n, 1<<20/port.BatchSize)
		for _, fromPort := range []bool{true, false} {
			b.Run(fmt.Sprintf("stations=%d/fromPort=%v", n, fromPort), func(b *testing.B) {
				b.ReportAllocs()
				for i, next := 0, 0; i < b.N; i, next = i+port.BatchSize, next+1 {
					gw.between(all[next%len(all)], fromPort)
				}
			})
		}
	}
}
