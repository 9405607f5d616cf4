package main

import (
	"context"
	"time"

	"vxgw/test/bench/report"
)

// idling is how long an idle process is watched at least.
const idling = 2 * time.Second

// startAndIdle returns how long the bed's device took to start, and what it needs
// when there is nothing to do.
func startAndIdle(ctx context.Context, b *bed, d time.Duration) ([]report.Sample, error) {
	took := report.Sample{Value: b.took.Seconds()}
	if len(b.under.Processes()) == 0 {
		return []report.Sample{took, report.Absent(), report.Absent()}, nil
	}
	before, _, err := needs(b.under.Processes())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := wait(ctx, max(d, idling)); err != nil {
		return nil, err
	}
	after, memory, err := needs(b.under.Processes())
	return []report.Sample{
		took,
		{Value: float64(memory)},
		{Value: (after - before).Seconds() / time.Since(began).Seconds()},
	}, err
}

// needs returns the CPU time that processes have had, and their memory in bytes.
func needs(pids []int) (cpu time.Duration, memory uint64, err error) {
	for _, pid := range pids {
		busy, err := processBusy(pid)
		if err != nil {
			return 0, 0, err
		}
		resident, err := processMemory(pid)
		if err != nil {
			return 0, 0, err
		}
		cpu, memory = cpu+busy, memory+resident
	}
	return cpu, memory, nil
}
