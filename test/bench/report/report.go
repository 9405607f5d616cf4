// Package report holds what a benchmark measured, and writes it down in Markdown
// with charts in SVG. It measures nothing.
package report

import "math"

// Report is what one run measured.
type Report struct {
	Facts   []string // about the machine and the run, one sentence each
	Devices []string // what was measured; the first is what the others are compared with
	Figures []Figure
	Notes   []string // how it was measured
}

// Figure is one thing that was measured of each device, once a round.
type Figure struct {
	Measurement string // what `make bench FIGURES=` calls the measurement that it is of
	Group       Group
	Title       string
	Unit        Unit
	LessIsGood  bool

	// Rounds has a sample of each device for each round.
	Rounds [][]Sample
}

// Sample is a figure of one device in one round.
type Sample struct {
	Value   float64 // NaN where the device has no such thing
	Offered float64 // frames a second that came in at the device; 0: not counted
	CPUs    float64 // how many CPUs of the machine were busy meanwhile; 0: not counted
}

// Absent is the sample of a device that has nothing to measure.
func Absent() Sample { return Sample{Value: math.NaN()} }

// values returns one number of each round's sample of a device.
func (f Figure) values(device int, of func(Sample) float64) []float64 {
	var all []float64
	for _, round := range f.Rounds {
		if v := of(round[device]); !math.IsNaN(v) {
			all = append(all, v)
		}
	}
	return all
}

// Ratios returns how often a device's value was that of the first device, each
// round for itself.
func (f Figure) Ratios(device int) Spread {
	var all []float64
	for _, round := range f.Rounds {
		if r := round[device].Value / round[0].Value; !math.IsNaN(r) && !math.IsInf(r, 0) {
			all = append(all, r)
		}
	}
	return spread(all)
}

// Values returns the spread of a device's values.
func (f Figure) Values(device int) Spread { return spread(f.values(device, value)) }

// CPUs returns the median of how many CPUs were busy, 0 where it was not
// counted.
func (f Figure) CPUs(device int) float64 {
	m := spread(f.values(device, func(s Sample) float64 { return s.CPUs })).Median
	if math.IsNaN(m) {
		return 0
	}
	return m
}

func value(s Sample) float64 { return s.Value }
