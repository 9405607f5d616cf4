package main

import (
	"errors"
	"testing"
)

func TestSearch(t *testing.T) {
	for _, tc := range []struct {
		name  string
		guess float64
		limit float64 // the highest rate that passes
	}{
		{"guess far below", 1000, 12345},
		{"guess far above", 12345, 1000},
		{"guess just below", 1000, 1001},
		{"guess just above", 1000, 999},
		{"guess that is it", 1000, 1000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var tried []float64
			got, err := search(tc.guess, func(rate float64) (bool, error) {
				tried = append(tried, rate)
				return rate <= tc.limit, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got > tc.limit || got < tc.limit*(1-nearness) {
				t.Errorf("found %v, want %v or less by 2 %% at most; tried %v", got, tc.limit, tried)
			}
			if len(tried) > trials {
				t.Errorf("%d trials, want %d at most", len(tried), trials)
			}
		})
	}
}

// What is found has passed, whatever else the machine does meanwhile.
func TestSearchFindsWhatPassed(t *testing.T) {
	passed := map[float64]bool{}
	n := 0
	got, err := search(1000, func(rate float64) (bool, error) {
		n++
		passed[rate] = n%3 != 0
		return passed[rate], nil
	})
	if err != nil || !passed[got] {
		t.Errorf("found %v, %v, of %v", got, err, passed)
	}
}

func TestSearchInVain(t *testing.T) {
	n := 0
	got, err := search(1000, func(float64) (bool, error) { n++; return false, nil })
	if got != 0 || err != nil || n != trials {
		t.Errorf("found %v, %v after %d trials", got, err, n)
	}
	broken := errors.New("broken")
	if _, err := search(1000, func(float64) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
}
