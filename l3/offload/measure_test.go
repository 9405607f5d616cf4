package offload

import (
	"testing"

	"vxgw/l2/frame"
)

// Measure says what Cut does.
func TestMeasureIsWhatCutMakes(t *testing.T) {
	s := NewSegmenter(0)
	for name, in := range shapes() {
		f, o := in.super(t)
		segments, ok := s.Cut(f, o)
		if !ok {
			t.Fatalf("%s: refused", name)
		}
		want := 0
		for _, g := range segments {
			want += len(g.Head) + len(g.Body)
		}
		if n, bytes, ok := Measure(f, o); !ok || n != len(segments) || bytes != want {
			t.Errorf("%s: %d segments of %d bytes, %t; want %d of %d", name, n, bytes, ok, len(segments), want)
		}
	}
	for name, bend := range map[string]func(*frame.Offload){
		"no size":           func(o *frame.Offload) { o.SegmentSize = 0 },
		"too many segments": func(o *frame.Offload) { o.SegmentSize = 1 },
		"another protocol":  func(o *frame.Offload) { o.GSO = frame.GSOUDP },
	} {
		f, o := tcp4(MaxSegments + 1).super(t)
		bend(&o)
		if n, _, ok := Measure(f, o); ok {
			t.Errorf("%s: %d segments", name, n)
		}
	}
}
