package journal

import (
	"net/netip"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

func mac(n int) frame.MAC { return frame.MACFromUint64(2<<40 | uint64(n)) }

// TestManyWriters holds that what many write at once comes out, each writer's in its
// order, and that whoever waits is woken.
func TestManyWriters(t *testing.T) {
	const writers, each = 8, 20_000
	q := NewQueue(256)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				q.Put(Record{Domain: fdb.Domain(w), Hop: fdb.Hop(i)})
			}
		})
	}
	go func() { wg.Wait(); q.Put(Record{Kind: Note}) }()
	var got, next [writers]int
	var batch []Record
	for ended := false; !ended; {
		<-q.Wake()
		q.Rest()
		for batch = q.Read(batch[:0], 100); len(batch) > 0; batch = q.Read(batch[:0], 100) {
			for _, r := range batch {
				if r.Kind == Note {
					ended = true
					continue
				}
				if int(r.Hop) < next[r.Domain] {
					t.Fatalf("of writer %d came %d after %d", r.Domain, r.Hop, next[r.Domain]-1)
				}
				got[r.Domain]++
				next[r.Domain] = int(r.Hop) + 1
			}
		}
		// The end may be lost like anything else.
		if q.Lost() > 0 && !ended {
			wg.Wait()
			q.Put(Record{Kind: Note})
		}
	}
	all := 0
	for _, n := range got {
		all += n
	}
	if lost := int(q.Lost()); all+lost < writers*each || all > writers*each {
		t.Errorf("%d came and %d are lost, of %d", all, lost, writers*each)
	}
}

// TestFull holds that a writer to a full queue is refused and not kept, that what was
// there first stays, and that there is room again afterwards.
func TestFull(t *testing.T) {
	q := NewQueue(4)
	for range 3 {
		for i := range 6 {
			q.Put(Record{Hop: fdb.Hop(i)})
		}
		var hops []fdb.Hop
		for _, r := range q.Read(nil, 10) {
			hops = append(hops, r.Hop)
		}
		if want := []fdb.Hop{0, 1, 2, 3}; !slices.Equal(hops, want) {
			t.Fatalf("read %v, want %v", hops, want)
		}
	}
	if q.Lost() != 6 {
		t.Errorf("%d lost, want 6", q.Lost())
	}
}

func TestPutAllocatesNothing(t *testing.T) {
	q := NewQueue(64)
	r := Record{Kind: Neighbour, Addr: netip.MustParseAddr("2001:db8::1")}
	if n := testing.AllocsPerRun(1000, func() { q.Put(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if q.Lost() == 0 {
		t.Error("the queue was never full")
	}
}

// state is what a listener knows: where each station and neighbour is.
type state map[key]any

func (s state) apply(r Record) {
	k, _ := r.key()
	switch {
	case r.Kind == MACGone, r.Kind == Neighbour && r.MAC.IsZero():
		delete(s, k)
	case r.Kind == Neighbour:
		s[k] = r.MAC
	default:
		s[k] = r.Hop
	}
}

// TestCoalesce holds that what is left of a batch leads to the same state, tells of each
// thing once and in the order in which they first changed, says where each came from,
// and counts every change.
func TestCoalesce(t *testing.T) {
	var c Coalescer
	rapid.Check(t, func(r *rapid.T) {
		now := state{} // what the tables have
		draw := rapid.Custom(func(r *rapid.T) Record { return change(r, now) })
		for _, rec := range rapid.SliceOfN(draw, 0, 10).Draw(r, "before") {
			now.apply(rec)
		}
		listener, was := clone(now), clone(now)
		var batch []Record
		for range rapid.IntRange(0, 40).Draw(r, "changes") {
			rec := draw.Draw(r, "change")
			now.apply(rec)
			batch = append(batch, rec)
		}
		total, seen := 0, map[key]bool{}
		for _, rec := range c.Coalesce(slices.Clone(batch)) {
			total += rec.Times
			k, ok := rec.key()
			if ok && seen[k] {
				r.Fatalf("%+v is told of twice", k)
			}
			seen[k] = true
			if rec.Kind == MACThere && rec.Moved && was[k] != rec.From {
				r.Fatalf("%+v was at %v before", rec, was[k])
			}
			if at, known := was[k]; rec.Kind == Neighbour && rec.Was.IsZero() == known || known && rec.Kind == Neighbour && at != rec.Was {
				r.Fatalf("%+v was at %v before", rec, at)
			}
			if ok {
				listener.apply(rec)
			}
		}
		if total != len(batch) {
			r.Fatalf("%d changes are told of as %d", len(batch), total)
		}
		if !equal(listener, now) {
			r.Fatalf("the listener has %v, the tables have %v", listener, now)
		}
	})
}

// change draws a change that can follow a state.
func change(r *rapid.T, now state) Record {
	host := rapid.IntRange(1, 3).Draw(r, "host")
	rec := Record{Domain: fdb.Domain(rapid.IntRange(0, 1).Draw(r, "domain"))}
	if rapid.Bool().Draw(r, "neighbour") {
		rec.Kind, rec.Routed = Neighbour, rapid.Bool().Draw(r, "routed")
		rec.Addr = netip.AddrFrom4([4]byte{10, 0, 0, byte(host)})
		rec.MAC = rapid.SampledFrom([]frame.MAC{mac(1), mac(2), {}}).Draw(r, "mac")
		k, _ := rec.key()
		rec.Was, _ = now[k].(frame.MAC)
		return rec
	}
	rec.MAC, rec.Hop = mac(host), fdb.Hop(rapid.IntRange(0, 2).Draw(r, "hop"))
	k, _ := rec.key()
	at, known := now[k].(fdb.Hop)
	switch {
	case known && rapid.Bool().Draw(r, "goes"):
		rec.Kind, rec.Hop = MACGone, 0
	case known:
		rec.Moved, rec.From = true, at
	}
	return rec
}

func clone(s state) state {
	c := state{}
	for k, v := range s {
		c[k] = v
	}
	return c
}

func equal(a, b state) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}
