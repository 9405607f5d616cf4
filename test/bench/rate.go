package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"vxgw/test/bench/load"
	"vxgw/test/bench/report"
)

// settling is how long frames flow before they are counted.
const settling = 300 * time.Millisecond

// flood sends flows at once, each as fast as a CPU can, and returns how many
// frames a second came in at the device and went out of it again, all flows
// together.
func (b *bed) flood(ctx context.Context, d time.Duration, flows ...flow) (report.Sample, error) {
	var generators []*load.Generator
	var err error
	for _, f := range flows {
		g, failed := load.NewGenerator(f.from, f.stream)
		if failed != nil {
			err = failed
			break
		}
		generators = append(generators, g)
	}
	var sample report.Sample
	if err == nil {
		sample, err = b.floodWith(ctx, d, flows, generators)
	}
	for _, g := range generators {
		err = errors.Join(err, g.Close())
	}
	return sample, err
}

func (b *bed) floodWith(ctx context.Context, d time.Duration, flows []flow, generators []*load.Generator) (report.Sample, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sending, ctx := errgroup.WithContext(ctx)
	for _, g := range generators {
		sending.Go(func() error { return g.Flood(ctx) })
	}
	sample, err := b.count(ctx, d, flows)
	stop()
	return sample, errors.Join(err, sending.Wait())
}

// count counts frames for d, once they flow.
func (b *bed) count(ctx context.Context, d time.Duration, flows []flow) (report.Sample, error) {
	if err := wait(ctx, settling); err != nil {
		return report.Sample{}, err
	}
	before, err := b.read(flows)
	if err != nil {
		return report.Sample{}, err
	}
	if err := wait(ctx, d); err != nil {
		return report.Sample{}, err
	}
	after, err := b.read(flows)
	if err != nil {
		return report.Sample{}, err
	}
	return after.since(before), nil
}

// reading is what counters said at a time.
type reading struct {
	at      time.Time
	in, out uint64        // frames
	busy    time.Duration // of all CPUs together
}

// read reads the counters of the devices in gw that the flows pass: all of them
// at once, for there may be a thousand.
func (b *bed) read(flows []flow) (r reading, err error) {
	r.at = time.Now()
	if r.busy, err = machineBusy(); err != nil {
		return reading{}, err
	}
	stats, err := b.gw.AllStats()
	for _, f := range flows {
		for _, dev := range f.in {
			r.in += stats[dev].RxPackets
		}
		for _, dev := range f.out {
			r.out += stats[dev].TxPackets
		}
	}
	return r, err
}

// since returns the rates since an earlier reading. A device that is offered too
// much may deliver nothing at all.
func (r reading) since(before reading) report.Sample {
	secs := r.at.Sub(before.at).Seconds()
	return report.Sample{
		Value:   float64(r.out-before.out) / secs,
		Offered: float64(r.in-before.in) / secs,
		CPUs:    (r.busy - before.busy).Seconds() / secs,
	}
}

// wait waits for d, or until ctx ends, which is an error.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
