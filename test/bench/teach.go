package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vxgw/test/bench/load"
)

const (
	// teachRate is slow enough for every device to learn from each frame, in
	// frames a second.
	teachRate = 100_000

	// lessons is how often the device may be told.
	lessons = 10
)

// teach has the device learn every MAC of the bed. The probes came from h1; what
// is behind the peer is told by frames from there.
func (b *bed) teach(ctx context.Context) error {
	f := b.decap(small)
	g, err := load.NewGenerator(f.from, f.stream)
	if err != nil {
		return err
	}
	return errors.Join(b.tell(ctx, g), g.Close())
}

func (b *bed) tell(ctx context.Context, g *load.Generator) error {
	frames := b.vnis*train + b.macs // of one lesson, at least
	learned, want := 0, b.vnis+b.vnis*b.macs
	for range lessons {
		if _, err := g.Pace(ctx, teachRate, time.Duration(frames)*time.Second/teachRate+time.Millisecond); err != nil {
			return err
		}
		var err error
		if learned, err = b.under.MACs(ctx); err != nil {
			return err
		}
		if learned >= want {
			return nil
		}
	}
	return fmt.Errorf("it has learned %d of %d MACs", learned, want)
}
