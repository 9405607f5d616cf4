package load

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// burstEvery is the time between two bursts of Pace.
const burstEvery = 500 * time.Microsecond

// Pace sends rate frames a second for d, in bursts: every half of a millisecond
// it sends what is due by then, and sleeps until the next. A burst that is late
// makes the next one longer. What is still due at the end is not sent: when fewer
// than rate x d frames went out, the machine had no time for them. It returns how
// many did.
func (g *Generator) Pace(ctx context.Context, rate float64, d time.Duration) (int, error) {
	sent := 0
	err := g.inside(func() error {
		slack, err := preciseSleep()
		if err != nil {
			return err
		}
		sent, err = g.pace(ctx, rate, d)
		return errors.Join(err, unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0))
	})
	return sent, err
}

// preciseSleep has the calling thread woken when it asks to be, and returns what
// PR_SET_TIMERSLACK was before, in nanoseconds.
func preciseSleep() (uintptr, error) {
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return 0, err
	}
	return uintptr(before), unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

func (g *Generator) pace(ctx context.Context, rate float64, d time.Duration) (sent int, err error) {
	start := time.Now()
	for ctx.Err() == nil {
		elapsed := time.Since(start)
		if elapsed >= d {
			return sent, nil
		}
		next := elapsed.Truncate(burstEvery) + burstEvery
		n := due(rate, min(next, d), sent)
		if err := g.run(n); err != nil {
			return sent, err
		}
		sent += n
		if err := sleep(next - time.Since(start)); err != nil {
			return sent, err
		}
	}
	return sent, ctx.Err()
}

// due returns how many frames are to be sent by a time that were not yet.
func due(rate float64, by time.Duration, sent int) int {
	return int(rate*by.Seconds()) - sent
}

// sleep sleeps without the runtime's timers, which are some 100 µs late.
func sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := unix.NsecToTimespec(int64(d))
	return unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &t, nil)
}
