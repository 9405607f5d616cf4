package storm

import (
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		name string
		dst  frame.MAC
		want Kind
	}{
		{"broadcast", frame.Broadcast, Broadcast},
		{"IPv4 multicast", frame.MAC{1, 0, 0x5e, 0, 0, 1}, Multicast},
		{"solicited node", frame.MAC{0x33, 0x33, 0xff, 0, 0, 1}, Multicast},
		{"a bridge group", frame.MAC{1, 0x80, 0xc2, 0, 0, 0}, Multicast},
		{"a station", frame.MAC{2, 0, 0, 0, 0, 1}, UnknownUnicast},
	} {
		if got := KindOf(c.dst); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	for k, want := range []string{"broadcast", "multicast", "unknown_unicast", "invalid", "invalid"} {
		if got := Kind(k).String(); got != want {
			t.Errorf("kind %d is %q, want %q", k, got, want)
		}
	}
}

// passed is how many of n frames pass that come every so many nanoseconds.
func passed(c *Control, from int64, n int, every int64) (passed int) {
	for i := range n {
		if c.Take(Broadcast, 1, from+int64(i)*every) {
			passed++
		}
	}
	return passed
}

func TestControl(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit int
		run   func(*testing.T, *Control)
	}{
		{"no limit", 0, func(t *testing.T, c *Control) {
			if n := passed(c, 0, 1000, 0); n != 1000 || c.Spent(Broadcast, 0) {
				t.Errorf("%d pass", n)
			}
		}},
		{"a tenth of a second at once", 1000, func(t *testing.T, c *Control) {
			if n := passed(c, 5*second, 1000, 0); n != 100 || !c.Spent(Broadcast, 5*second) {
				t.Errorf("%d pass", n)
			}
		}},
		{"a few frames at once where the limit is low", 3, func(t *testing.T, c *Control) {
			if n := passed(c, second, 1000, 0); n != burstLeast {
				t.Errorf("%d pass", n)
			}
		}},
		{"what is at the limit passes", 1000, func(t *testing.T, c *Control) {
			if n := passed(c, 0, 100_000, second/1000); n != 100_000 {
				t.Errorf("%d pass", n)
			}
		}},
		{"what is over it passes at the limit", 1000, func(t *testing.T, c *Control) {
			if n := passed(c, 0, 1_000_000, second/100_000); n < 10_000 || n > 10_101 {
				t.Errorf("%d pass in ten seconds", n)
			}
		}},
		{"the highest limit", 10_000_000, func(t *testing.T, c *Control) {
			if n := passed(c, 0, 20_000_000, 50); n < 10_000_000 || n > 11_000_001 {
				t.Errorf("%d pass in a second", n)
			}
		}},
		{"a frame with more copies than a burst passes, and is paid for", 100, func(t *testing.T, c *Control) {
			if !c.Take(Broadcast, 200, 0) || c.Take(Broadcast, 1, second) {
				t.Error("it does not pass, or another does before it is paid for")
			}
			if !c.Take(Broadcast, 200, 2*second) {
				t.Error("it is paid for twice")
			}
		}},
		{"kinds are apart", 10, func(t *testing.T, c *Control) {
			passed(c, 0, 1000, 0)
			if !c.Take(Multicast, 1, 0) || !c.Take(UnknownUnicast, 1, 0) || c.Spent(Multicast, 0) {
				t.Error("another kind is held up")
			}
		}},
		{"a limit that is raised holds at once", 1, func(t *testing.T, c *Control) {
			c.Take(Broadcast, 1_000_000, 0)
			c.Set(Limits{Broadcast: 1000})
			if n := passed(c, 1, 1000, 0); n != 100 {
				t.Errorf("%d pass", n)
			}
			if c.Limit(Broadcast) != 1000 {
				t.Error(c.Limit(Broadcast))
			}
		}},
		{"one that is set again is not disturbed", 1000, func(t *testing.T, c *Control) {
			passed(c, 0, 100, 0)
			c.Set(Limits{Broadcast: 1000})
			if c.Take(Broadcast, 1, 0) {
				t.Error("a burst is given twice")
			}
		}},
		{"one that is taken away", 1, func(t *testing.T, c *Control) {
			passed(c, 0, 1000, 0)
			c.Set(Limits{})
			if !c.Take(Broadcast, 1, 0) || c.Spent(Broadcast, 0) {
				t.Error("still limited")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var is Control
			is.Set(Limits{Broadcast: c.limit})
			c.run(t, &is)
		})
	}
}

func TestNilControlLimitsNothing(t *testing.T) {
	var c *Control
	if c.Limit(Broadcast) != 0 || c.Spent(Broadcast, 0) {
		t.Error("limited")
	}
}

// TestRateIsABucket compares with a bucket of tokens: in no time does more pass than it
// would give, and what it would give passes.
func TestRateIsABucket(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		per := rapid.IntRange(1, 100_000).Draw(r, "limit")
		var is rate
		is.set(per)
		full := max(float64(per)/10, burstLeast)
		tokens, now := full, int64(0)
		for range rapid.IntRange(1, 200).Draw(r, "steps") {
			step := rapid.Int64Range(0, second/4).Draw(r, "step")
			n := rapid.IntRange(1, 60).Draw(r, "copies")
			now += step
			tokens = min(tokens+float64(step)*float64(per)/second, full)
			// Whole nanoseconds are a little off at the edge.
			if got := is.take(n, now); got != (tokens > 0) && (tokens > 0.01 || tokens < -0.01) {
				r.Fatalf("%d of %d a second at %d: %v with %v tokens", n, per, now, got, tokens)
			} else if got {
				tokens -= float64(n)
			}
		}
	})
}

// TestManyTake has workers take at the same time: together they get what one would, and
// one alone gets all of it.
func TestManyTake(t *testing.T) {
	for _, workers := range []int{1, 4} {
		var c Control
		c.Set(Limits{Broadcast: 10_000})
		var clock atomic.Int64
		var got atomic.Int64
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				for now := clock.Load(); now < second; now = clock.Add(1000) {
					if c.Take(Broadcast, 1, now) {
						got.Add(1)
					}
				}
			})
		}
		all.Wait()
		if n := got.Load(); n < 10_900 || n > 11_001 {
			t.Errorf("%d workers: %d pass in a second", workers, n)
		}
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	var c Control
	c.Set(Limits{Broadcast: 10})
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += second / 100
		if !c.Take(Broadcast, 3, now) {
			c.Drop(Broadcast, 3)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if c.Dropped(Broadcast) == 0 {
		t.Error("nothing was dropped")
	}
}
