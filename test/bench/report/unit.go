package report

import (
	"fmt"
	"math"
	"strings"
)

// Unit is what a figure is measured in.
type Unit int

// The units, and what a value of 1 means.
const (
	FramesPerSecond Unit = iota
	BitsPerSecond
	Seconds
	CPUs  // one CPU's whole time
	Bytes // of memory
)

// text writes a value with three digits, in the unit's usual size.
func (u Unit) text(v float64) string {
	if math.IsNaN(v) {
		return none
	}
	switch u {
	case FramesPerSecond:
		return scaled(v, "/s", 1000, "", "k", "M")
	case BitsPerSecond:
		return scaled(v, "b/s", 1000, "", "k", "M", "G")
	case Seconds:
		return scaled(v*1e9, "s", 1000, "n", "µ", "m", "")
	case CPUs:
		return digits(100*v) + " %"
	case Bytes:
		return scaled(v, "B", 1024, "", "Ki", "Mi", "Gi")
	default:
		panic(fmt.Sprintf("report: unit %d", u))
	}
}

// none stands where there is no value.
const none = "-"

// scaled writes v with the prefix that leaves one to three digits in front of
// the point.
func scaled(v float64, unit string, step float64, prefixes ...string) string {
	for len(prefixes) > 1 && math.Round(v) >= step {
		v, prefixes = v/step, prefixes[1:]
	}
	return strings.TrimSpace(digits(v) + " " + prefixes[0] + unit)
}

// roundedTo rounds to a number of significant digits.
func roundedTo(v float64, n int) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, float64(n-1)-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// digits writes three significant digits, but not more than two behind the
// point, and all of those in front of it.
func digits(v float64) string {
	switch a := math.Abs(roundedTo(v, 3)); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// ratio writes a ratio with two digits behind the point, or two that count where
// it is small.
func ratio(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return none
	case v != 0 && math.Abs(v) < 0.1:
		return fmt.Sprintf("%.2g", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
