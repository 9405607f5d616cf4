package raw

import (
	"fmt"
	"sync"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l2/port"
)

// BenchmarkWriteBatch sends to a veth whose other end nobody reads.
func BenchmarkWriteBatch(b *testing.B) {
	for _, size := range []int{60, 1514} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			w := newWire(b)
			p := openIn(b, w.a, Config{})
			out := make([]frame.Out, port.BatchSize)
			for i := range out {
				out[i].Bytes = makeFrame(size)
			}
			b.ReportAllocs()
			for n := 0; n < b.N; n += len(out) {
				if err := p.WriteBatch(out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// BenchmarkReadBatch reads frames that are queued already.
func BenchmarkReadBatch(b *testing.B) {
	for _, size := range []int{60, 1514} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			w := newWire(b)
			tx, rx := openIn(b, w.a, Config{}), openIn(b, w.b, Config{})
			out := make([]frame.Out, port.BatchSize)
			for i := range out {
				out[i].Bytes = makeFrame(size)
			}
			bufs := frame.NewBuffers(port.BatchSize, frame.MaxLen)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += len(out) {
				b.StopTimer()
				if err := tx.WriteBatch(out); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				for got := 0; got < len(out); {
					n, err := rx.ReadBatch(bufs)
					if err != nil {
						b.Fatal(err)
					}
					got += n
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// BenchmarkBothWays writes and reads at the same time; what is read counts.
func BenchmarkBothWays(b *testing.B) {
	w := newWire(b)
	tx, rx := openIn(b, w.a, Config{}), openIn(b, w.b, Config{})
	var sender sync.WaitGroup
	done := make(chan struct{})
	sender.Go(func() {
		out := make([]frame.Out, port.BatchSize)
		for i := range out {
			out[i].Bytes = makeFrame(60)
		}
		for {
			select {
			case <-done:
				return
			default:
				_ = tx.WriteBatch(out)
			}
		}
	})
	bufs := frame.NewBuffers(port.BatchSize, frame.MaxLen)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		got, err := rx.ReadBatch(bufs)
		if err != nil {
			b.Fatal(err)
		}
		n += got
	}
	b.StopTimer()
	close(done)
	sender.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}
