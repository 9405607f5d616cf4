package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"vxgw/test/bench/report"
)

// A session measures everything round by round, and each device in turn in each
// round, so that a machine that is faster at one time than at another is so for
// all of them.
type session struct {
	devices      []device
	measurements []measurement
	rounds       int
	window       time.Duration // how long each figure is measured
	out          io.Writer     // hears of each sample

	figures map[string][]report.Figure // by the measurement's name
}

// run returns the figures of all measurements, in order. Whatever it built is
// taken away again, also when it fails or ctx ends.
func (s *session) run(ctx context.Context) ([]report.Figure, error) {
	s.figures = make(map[string][]report.Figure)
	for _, m := range s.measurements {
		for _, f := range m.figures {
			s.figures[m.name] = append(s.figures[m.name],
				report.Figure{Measurement: m.name, Group: m.group, Title: f.title, Unit: f.unit, LessIsGood: f.lessIsGood})
		}
	}
	for rest := s.measurements; len(rest) > 0; {
		n := sameBed(rest)
		if err := s.group(ctx, rest[:n]); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	var all []report.Figure
	for _, m := range s.measurements {
		all = append(all, s.figures[m.name]...)
	}
	return all, nil
}

// sameBed returns how many measurements from the first on share its kind of bed.
func sameBed(ms []measurement) int {
	n := 1
	for n < len(ms) && ms[n].spec == ms[0].spec {
		n++
	}
	return n
}

// lasting reports whether a bed stands for all rounds. Others are built anew for
// each; but to delete a thousand bridges takes the kernel 20 seconds.
func (s spec) lasting() bool { return s.vnis > 100 }

// group makes measurements of the same kind of bed.
func (s *session) group(ctx context.Context, ms []measurement) (err error) {
	var beds []*bed
	defer func() { err = errors.Join(err, closeAll(beds)) }()
	for round := range s.rounds {
		if beds == nil {
			if beds, err = s.build(ctx, ms); err != nil {
				return err
			}
		}
		for _, m := range ms {
			if err := s.round(ctx, round, m, beds); err != nil {
				return err
			}
		}
		if ms[0].spec.lasting() {
			continue
		}
		err, beds = closeAll(beds), nil
		if err != nil {
			return err
		}
	}
	return nil
}

// build builds a bed for each device that takes part in one of the measurements,
// and has nil for the others. Those that are there stay for the caller to close
// also after an error.
func (s *session) build(ctx context.Context, ms []measurement) (beds []*bed, err error) {
	for _, d := range s.devices {
		var b *bed
		if slices.ContainsFunc(ms, func(m measurement) bool { return d.Without(m.name) == "" }) {
			if b, err = newBed(ctx, d, ms[0].spec); err != nil {
				return beds, err
			}
		}
		beds = append(beds, b)
	}
	return beds, nil
}

func closeAll(beds []*bed) error {
	var errs []error
	for _, b := range beds {
		if b != nil {
			errs = append(errs, b.close())
		}
	}
	return errors.Join(errs...)
}

// round takes a sample of each device, in turn.
func (s *session) round(ctx context.Context, n int, m measurement, beds []*bed) error {
	figures := s.figures[m.name]
	for i := range figures {
		figures[i].Rounds = append(figures[i].Rounds, nil)
	}
	for d, b := range beds {
		samples, err := s.take(ctx, m, d, b)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", m.name, s.devices[d].Title(), err)
		}
		for i, sample := range samples {
			figures[i].Rounds[n] = append(figures[i].Rounds[n], sample)
			fmt.Fprintf(s.out, "round %d of %d  %-13s %-40s %s\n", n+1, s.rounds, s.devices[d].Title(),
				figures[i].Title, figures[i].Unit.Sample(sample))
		}
	}
	return nil
}

// take measures one device: nothing, where it does not take part.
func (s *session) take(ctx context.Context, m measurement, d int, b *bed) ([]report.Sample, error) {
	if s.devices[d].Without(m.name) != "" {
		return slices.Repeat([]report.Sample{report.Absent()}, len(m.figures)), nil
	}
	return m.run(ctx, b, s.window)
}
