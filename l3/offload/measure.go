package offload

import "vxgw/l2/frame"

// Measure returns what Cut makes of the super-frame f: how many segments, and how
// many bytes in all. It reports false where o does not describe f, and for more
// than MaxSegments.
func Measure(f []byte, o frame.Offload) (segments, bytes int, ok bool) {
	c, ok := newCut(f, o)
	if !ok {
		return 0, 0, false
	}
	segments = max(1, (c.end-c.body+c.size-1)/c.size)
	return segments, c.end + (segments-1)*c.body, segments <= MaxSegments
}
