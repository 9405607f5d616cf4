package report

import (
	"cmp"
	"math"
	"slices"
)

// Spread is what becomes of the same figure measured several times.
type Spread struct{ Median, Min, Max float64 }

// spread of no values is all NaN.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Spread{median(sorted), sorted[0], sorted[len(sorted)-1]}
}

// median of sorted values: that in the middle, or the mean of the two.
func median(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Percentile returns the smallest of the values that p percent of them are not
// above, by nearest rank; p is above 0 and at most 100. It sorts the values, of
// which there is at least one.
func Percentile[T cmp.Ordered](values []T, p float64) T {
	slices.Sort(values)
	rank := int(math.Ceil(p / 100 * float64(len(values))))
	return values[max(rank, 1)-1]
}
