package report

import "math"

// scale places ratios on an axis from left to right, logarithmically: twice as much
// is as far from 1 as half of it.
type scale struct {
	ticks       []float64 // at least two, rising; the axis ends with the last ones
	left, right float64   // pixels
}

// The ends that an axis has at most: what is beyond is drawn at the end.
const (
	leastTick    = 0.01
	greatestTick = 100
)

// newScale chooses ticks that ratios from low to high fit between, with 1 among
// them. They are 1, 2 and 5 times powers of ten.
func newScale(low, high, left, right float64) scale {
	s := scale{left: left, right: right}
	for _, power := range []float64{0.01, 0.1, 1, 10, 100} {
		for _, step := range []float64{1, 2, 5} {
			if t := power * step; t <= greatestTick {
				s.ticks = append(s.ticks, t)
			}
		}
	}
	for len(s.ticks) > 1 && s.ticks[1] <= min(low, 0.5) {
		s.ticks = s.ticks[1:]
	}
	for n := len(s.ticks); n > 1 && s.ticks[n-2] >= max(high, 2); n = len(s.ticks) {
		s.ticks = s.ticks[:n-1]
	}
	return s
}

// x returns where a ratio is.
func (s scale) x(ratio float64) float64 {
	low, high := s.ticks[0], s.ticks[len(s.ticks)-1]
	r := math.Min(math.Max(ratio, low), high)
	return s.left + (s.right-s.left)*math.Log(r/low)/math.Log(high/low)
}
