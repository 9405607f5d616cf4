package main

import (
	"context"
	"errors"
	"time"

	"vxgw/test/bench/load"
	"vxgw/test/bench/report"
)

const (
	// trials bounds a search, and nearness ends it: the last rate without loss
	// and the first with some are this near, as a part of the latter.
	trials   = 12
	nearness = 0.02

	// guessing is how long the first rate is looked for at least.
	guessing = 250 * time.Millisecond

	// sentInTime is what part of a trial's frames the generator has to send in
	// time, or else the trial is none.
	sentInTime = 0.99

	// stillness is how long nothing has to come out of the device before what
	// is missing counts as lost.
	stillness = 50 * time.Millisecond
)

// lossFree returns the highest rate, in frames a second, at which a trial of
// length d lost nothing. The search begins at the rate that comes through when
// more is sent.
func (b *bed) lossFree(ctx context.Context, d time.Duration, f flow) (report.Sample, error) {
	full, err := b.flood(ctx, max(d, guessing), f)
	if err != nil {
		return report.Sample{}, err
	}
	g, err := load.NewGenerator(f.from, f.stream)
	if err != nil {
		return report.Sample{}, err
	}
	rate, err := search(full.Value, func(rate float64) (bool, error) { return b.trial(ctx, g, rate, d, f) })
	return report.Sample{Value: rate}, errors.Join(err, g.Close())
}

// search looks for the highest rate that passes, from a first guess: it doubles
// until one fails, and then halves what is in doubt. What it returns has passed,
// or is 0.
func search(guess float64, passes func(rate float64) (bool, error)) (float64, error) {
	good, bad := 0.0, 0.0 // bad: 0 until one has failed
	rate := guess
	for range trials {
		ok, err := passes(rate)
		if err != nil {
			return 0, err
		}
		if ok {
			good = rate
		} else {
			bad = rate
		}
		switch {
		case bad == 0:
			rate *= 2
		case bad-good <= nearness*bad:
			return good, nil
		default:
			rate = (good + bad) / 2
		}
	}
	return good, nil
}

// trial reports whether everything that is sent at a rate for d comes through.
// RFC 2544 section 26.1 has trials of 60 s.
func (b *bed) trial(ctx context.Context, g *load.Generator, rate float64, d time.Duration, f flow) (bool, error) {
	before, err := b.read([]flow{f})
	if err != nil {
		return false, err
	}
	sent, err := g.Pace(ctx, rate, d)
	if err != nil {
		return false, err
	}
	came, err := b.drained(ctx, before.out, uint64(sent), f)
	return came >= uint64(sent) && float64(sent) >= sentInTime*rate*d.Seconds(), err
}

// drained returns how many frames came out of the device since its counter was
// before, when that are all that were sent or no more come.
func (b *bed) drained(ctx context.Context, before, sent uint64, f flow) (uint64, error) {
	last, since := uint64(0), time.Now()
	for {
		now, err := b.read([]flow{f})
		if err != nil {
			return 0, err
		}
		came := now.out - before
		if came > last {
			last, since = came, now.at
		}
		if came >= sent || now.at.Sub(since) >= stillness {
			return came, nil
		}
		if err := wait(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
}
