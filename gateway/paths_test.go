package gateway

import (
	"testing"
	"time"
)

// A task rests for what it has worked. What it has waited for the kernel does not count:
// ten seconds of it once kept a gateway from its new next hops for another ninety.
func TestWaitingIsNoWork(t *testing.T) {
	const long = 300 * time.Millisecond
	if took := worked(func() { time.Sleep(long) }); took > long/2 {
		t.Errorf("to sleep for %v counts as %v of work", long, took)
	}
	took := worked(func() {
		for begun := threadTime(); threadTime()-begun < 2*time.Millisecond; {
		}
	})
	if took < 2*time.Millisecond {
		t.Errorf("2ms of work count as %v", took)
	}
}
