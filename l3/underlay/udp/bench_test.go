package udp

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"vxgw/l3/underlay"
)

// benchSizes are payloads of a short frame, and of one with 1500 bytes of IP.
var benchSizes = []int{8 + 60, 8 + 1514}

func reportRate(b *testing.B, packets int, took time.Duration) {
	b.ReportMetric(float64(packets)/took.Seconds(), "packets/s")
	b.ReportMetric(float64(took.Nanoseconds())/float64(packets), "ns/packet")
}

// BenchmarkWriteBatch includes what the receiving host's stack does with the
// packets up to its socket, for the wire is a veth.
func BenchmarkWriteBatch(b *testing.B) {
	n := newNetwork(b, 1600)
	for _, a := range families {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", a.name, size), func(b *testing.B) {
				u := openIn(b, n.gw, Config{Address: a.gw, DF: true, ZeroChecksum6: true})
				defer u.Close()
				peer := openIn(b, n.peer, Config{Address: a.peer, ReceiveBuffer: 1, ZeroChecksum6: true})
				defer peer.Close()
				ds := make([]underlay.Datagram, underlay.BatchSize)
				for i := range ds {
					ds[i] = underlay.Datagram{To: a.peer, SourcePort: uint16(50000 + i), Head: make([]byte, size)}
				}
				conn := u.Queues()[0]
				start := time.Now()
				for b.Loop() {
					if err := conn.WriteBatch(ds); err != nil {
						b.Fatal(err)
					}
				}
				reportRate(b, b.N*len(ds), time.Since(start))
			})
		}
	}
}

// BenchmarkReadBatch reads what was put into the receive buffer beforehand.
func BenchmarkReadBatch(b *testing.B) {
	const batches = 16
	n := newNetwork(b, 1600)
	for _, a := range families {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", a.name, size), func(b *testing.B) {
				u := openIn(b, n.gw, Config{Address: a.gw})
				defer u.Close()
				peer := openIn(b, n.peer, Config{Address: a.peer})
				defer peer.Close()
				ds := make([]underlay.Datagram, underlay.BatchSize)
				for i := range ds {
					ds[i] = underlay.Datagram{To: a.gw, SourcePort: uint16(50000 + i), Head: make([]byte, size)}
				}
				pkts := underlay.NewPackets(underlay.BatchSize, underlay.MaxPayload)
				packets, took := 0, time.Duration(0)
				for b.Loop() {
					for range batches {
						mustSend(b, peer, ds...)
					}
					start := time.Now()
					for got := 0; got < batches*len(ds); {
						n, err := u.Queues()[0].ReadBatch(pkts)
						if err != nil {
							b.Fatal(err)
						}
						got, packets = got+n, packets+n
					}
					took += time.Since(start)
				}
				reportRate(b, packets, took)
			})
		}
	}
}

// BenchmarkTap is WriteBatch to a host with, and without, a tap. A reader waits
// in both cases: one that waits changes how the Go scheduler treats system
// calls, by more than the tap costs.
func BenchmarkTap(b *testing.B) {
	n := newNetwork(b, 1600)
	for _, a := range families {
		for _, tap := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/tap=%v", a.name, tap), func(b *testing.B) {
				u := openIn(b, n.gw, Config{Address: a.gw, DF: true})
				cfg := Config{Address: a.peer, ReceiveBuffer: 1}
				if tap {
					cfg.OpenTap = openTap
				}
				peer := openIn(b, n.peer, cfg)
				defer peer.Close()
				var wg sync.WaitGroup
				defer wg.Wait()
				defer u.Close()
				wg.Go(func() { _, _ = u.Queues()[0].ReadBatch(underlay.NewPackets(1, 100)) })
				ds := make([]underlay.Datagram, underlay.BatchSize)
				for i := range ds {
					ds[i] = underlay.Datagram{To: a.peer, SourcePort: uint16(50000 + i), Head: make([]byte, 68)}
				}
				start := time.Now()
				for b.Loop() {
					if err := u.Queues()[0].WriteBatch(ds); err != nil {
						b.Fatal(err)
					}
				}
				reportRate(b, b.N*len(ds), time.Since(start))
			})
		}
	}
}
