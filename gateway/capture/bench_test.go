package capture

import (
	"context"
	"testing"
)

// BenchmarkCapture is what a frame costs the task that reads the rings, and its worker,
// and one that nobody captures.
func BenchmarkCapture(b *testing.B) {
	for _, open := range []bool{true, false} {
		b.Run(map[bool]string{true: "captured", false: "nobody captures"}[open], func(b *testing.B) {
			s := newStage(b)
			if open {
				is := s.open(Spec{Anywhere: true})
				go func() {
					for {
						if _, err := is.Next(context.Background()); err != nil {
							return
						}
					}
				}()
			}
			f := buffer(make([]byte, 342))
			for i := 0; b.Loop(); i++ {
				s.w.Begin(uint32(i))
				for range 64 {
					s.w.FromPort(0, 1000, f)
				}
				s.w.End()
				if open {
					s.catchUp()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*64), "ns/frame")
		})
	}
}
