package fdb

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vxgw/l2/frame"
)

const (
	bothDomains = 3
	bothHops    = 5
	bothMACs    = 200
)

// failer is what testing.TB and rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// both is a table beside its model. Each operation is done to both; the first
// difference ends the test.
type both struct {
	tb  failer
	t   *Table
	m   *model
	now uint32

	mirror map[place]Entry // what the table has told
	doing  string          // the operation under way
}

// told is a Mirror that keeps what it is told, and holds that what it is told of a
// change is what the change was.
type told struct{ *both }

func (m told) Put(e Entry, what Outcome, from Place) {
	p := place{e.Domain, e.MAC}
	was, there := m.mirror[p]
	right := false
	switch what {
	case Known:
		right = there && was.Hop == e.Hop && was.Origin == e.Origin
	case Moved:
		right = there && from == Place{was.Hop, was.Origin} && from.Hop != e.Hop
	case Added:
		right = !there || m.m.expired(was, m.now) || was.Origin != e.Origin && was.Hop == e.Hop
	}
	if !right {
		m.tb.Fatalf("told that %+v is %v from %v; before it was %+v, %t", e, what, from, was, there)
	}
	m.mirror[p] = e
}

func (m told) Seen(d Domain, a frame.MAC) {
	e := m.mirror[place{d, a}]
	e.Seen = m.now
	m.mirror[place{d, a}] = e
}

// causes is why a station goes, by the operation.
var causes = map[string]Cause{"age": Aged, "flush hop": Flushed, "flush domain": Flushed, "flush domain hop": Flushed, "remove": Removed, "forget": Removed, "learn": Ousted}

func (m told) Drop(d Domain, a frame.MAC, why Cause) {
	if want, known := causes[m.doing]; !known || why != want {
		m.tb.Fatalf("told that %v went: %v, by %q", a, why, m.doing)
	}
	delete(m.mirror, place{d, a})
}

// op is one operation, with more numbers than it may need.
type op struct {
	kind, domain, mac, hop, n uint8
}

func (o op) place() place {
	m := frame.MACFromUint64(2<<40 | uint64(o.mac%bothMACs))
	switch o.mac {
	case 254:
		m = frame.MAC{}
	case 255:
		m = frame.Broadcast
	}
	return place{Domain(o.domain % bothDomains), m}
}

func (o op) entry() Entry {
	p := o.place()
	return Entry{p.d, p.m, o.anyHop(), Origin(o.n % 17), uint32(o.n), o.n%2 == 1}
}

// anyHop is one past the last hop now and then.
func (o op) anyHop() Hop { return Hop(o.hop % (bothHops + 1)) }

// limit is -1, none, or one that a short run reaches.
func (o op) limit() int { return int(o.n%40) - 1 }

func same[T comparable](b *both, what string, o op, got, want T) {
	b.tb.Helper()
	if got != want {
		b.tb.Fatalf("%s %+v at %d: table %v, model %v", what, o, b.now, got, want)
	}
}

// opNames are the operations; those that fill the table stand first and come
// oftenest.
var opNames = []string{"learn", "lookup", "refresh", "time", "set", "remove", "domain", "hop", "age", "flush hop", "flush domain", "flush domain hop", "moves", "end holds", "forget", "news"}

func (b *both) do(name string, o op) {
	b.tb.Helper()
	p, h := o.place(), o.anyHop()
	b.doing = name
	switch name {
	case "learn":
		same(b, name, o, b.t.Learn(p.d, p.m, h, b.now), b.m.learn(p, h, b.now))
	case "lookup":
	case "refresh":
		at := b.now - uint32(o.n%4)
		b.t.Refresh(p.d, p.m, h, at)
		b.m.refresh(p, h, at)
		if e, ok := b.m.entries[p]; ok {
			b.mirror[p] = e // whoever refreshes knows
		}
	case "time":
		b.now += uint32(o.n%8) - 1 // back by one second now and then
	case "set":
		same(b, name, o, b.t.Set(o.entry()), b.m.set(o.entry()))
	case "remove":
		same(b, name, o, b.t.Remove(p.d, p.m), b.m.remove(p))
	case "domain":
		ageing := uint32(o.hop % 8 * 4)
		b.t.SetDomain(p.d, o.limit(), ageing)
		b.m.domain[p.d] = bound{o.limit(), ageing}
	case "hop":
		b.t.SetHop(h, o.limit())
		b.m.hop[h] = o.limit()
	case "age":
		same(b, name, o, b.t.Age(b.now), b.m.removeIf(func(e Entry) bool { return b.m.expired(e, b.now) }))
	case "moves":
		m := Moves{Limit: int(o.n % 5), Window: uint32(o.hop%8)*4 + 1, Hold: uint32(o.mac % 4 * 8)}
		b.t.SetMoves(p.d, m)
		b.m.moves[p.d] = m
	case "end holds":
		b.endHolds(o)
	case "forget":
		same(b, name, o, b.t.Forget(p.d, p.m), b.m.forget(p))
	case "news":
		b.news(o)
	case "flush hop":
		b.flush(name, o, func(_ Domain, is Hop) bool { return is == h })
	case "flush domain":
		b.flush(name, o, func(is Domain, _ Hop) bool { return is == p.d })
	case "flush domain hop":
		b.flush(name, o, func(d Domain, is Hop) bool { return d == p.d && is == h })
	default:
		b.tb.Fatalf("no such operation: %q", name)
	}
	b.sameAt(p, o)
}

// endHolds compares who is let go.
func (b *both) endHolds(o op) {
	b.tb.Helper()
	got := map[place]bool{}
	b.t.EndHolds(b.now, func(d Domain, m frame.MAC) { got[place{d, m}] = true })
	if want := b.m.endHolds(b.now); !maps.Equal(got, want) {
		b.tb.Fatalf("let go %+v at %d: table %v, model %v", o, b.now, got, want)
	}
}

// news compares who is held since it was last called.
func (b *both) news(o op) {
	b.tb.Helper()
	var got []Held
	if more := b.t.NewlyHeld(func(h Held) { got = append(got, h) }); more+len(got) != len(b.m.news) {
		b.tb.Fatalf("news %+v at %d: table %v and %d more, model %v", o, b.now, got, more, b.m.news)
	}
	if !slices.Equal(got, b.m.news[:len(got)]) {
		b.tb.Fatalf("news %+v at %d: table %v, model %v", o, b.now, got, b.m.news)
	}
	b.m.news = nil
}

func (b *both) flush(name string, o op, goes func(Domain, Hop) bool) {
	b.tb.Helper()
	b.m.forgetMoves(goes)
	same(b, name, o, b.t.Flush(goes), b.m.removeIf(func(e Entry) bool { return isLearned(e) && goes(e.Domain, e.Hop) }))
}

func (b *both) sameAt(p place, o op) {
	b.tb.Helper()
	got, gotOK := b.t.Lookup(p.d, p.m, b.now)
	want, wantOK := b.m.lookup(p, b.now)
	same(b, "lookup", o, gotOK, wantOK)
	same(b, "lookup", o, got, want)
}

// check compares everything there is.
func (b *both) check() {
	b.tb.Helper()
	got := map[place]Entry{}
	for e := range b.t.All() {
		p := place{e.Domain, e.MAC}
		if _, twice := got[p]; twice {
			b.tb.Fatalf("All yields %v twice", p)
		}
		got[p] = e
	}
	if !maps.Equal(got, b.m.entries) {
		b.tb.Fatalf("All (-model +table):\n%s", cmp.Diff(b.m.entries, got))
	}
	if !maps.Equal(b.mirror, got) {
		b.tb.Fatalf("the mirror (-table +mirror):\n%s", cmp.Diff(got, b.mirror))
	}
	for p := range got {
		b.sameAt(p, op{})
	}
	b.checkHeld(got)
	counts(b.tb, b.t, slices.Collect(maps.Values(got)))
}

// checkHeld holds that who is held is who is listed as such: nobody is held without an
// end.
func (b *both) checkHeld(entries map[place]Entry) {
	b.tb.Helper()
	listed := map[place]Entry{}
	b.t.EachHeld(func(e Entry) { listed[place{e.Domain, e.MAC}] = e })
	held := map[place]Entry{}
	for p, e := range entries {
		if e.Held {
			held[p] = e
		}
	}
	if !maps.Equal(listed, held) {
		b.tb.Fatalf("held (-entries +listed):\n%s", cmp.Diff(held, listed))
	}
}

// counts checks every count of t against its entries.
func counts(tb failer, t *Table, all []Entry) {
	tb.Helper()
	type count struct{ All, Learned int }
	type sums struct {
		Table  count
		Domain map[Domain]count
		Hop    map[Hop]count
	}
	got := sums{count{t.Len(), t.Learned()}, map[Domain]count{}, map[Hop]count{}}
	for d := range 64 { // the tests use no more
		if c := (count{t.DomainLen(Domain(d)), t.DomainLearned(Domain(d))}); c != (count{}) {
			got.Domain[Domain(d)] = c
		}
	}
	for h := range t.hops {
		if c := (count{t.HopLen(Hop(h)), t.HopLearned(Hop(h))}); c != (count{}) {
			got.Hop[Hop(h)] = c
		}
	}
	want := sums{Domain: map[Domain]count{}, Hop: map[Hop]count{}}
	for _, e := range all {
		one := count{All: 1}
		if e.Origin == Learned {
			one.Learned = 1
		}
		add := func(c count) count { return count{c.All + one.All, c.Learned + one.Learned} }
		want.Table, want.Domain[e.Domain], want.Hop[e.Hop] = add(want.Table), add(want.Domain[e.Domain]), add(want.Hop[e.Hop])
	}
	if !reflect.DeepEqual(want, got) {
		d := cmp.Diff(want, got)
		tb.Fatalf("counts (-entries +counts):\n%s", d)
	}
	shards(tb, t)
}

// shards checks what each shard believes about itself.
func shards(tb failer, t *Table) {
	tb.Helper()
	for i := range t.shards {
		s := &t.shards[i]
		used, live := 0, 0
		for j := range *s.slots.Load() {
			sl := &(*s.slots.Load())[j]
			if sl.k.Load() != 0 {
				used++
			}
			if sl.value().live() {
				live++
			}
		}
		if used != s.used || live != s.live {
			tb.Fatalf("shard %d has %d used and %d live slots, and believes %d and %d", i, used, live, s.used, s.live)
		}
		size := len(*s.slots.Load())
		if used*4 > size*maxUsedQuarters {
			tb.Fatalf("shard %d: %d of %d slots are used", i, used, size)
		}
		if size > minSlots && size >= slotsFor(live)*4 {
			tb.Fatalf("shard %d keeps %d slots for %d entries", i, size, live)
		}
		if (used-live)*4 > size {
			tb.Fatalf("shard %d: %d of %d slots are dead", i, used-live, size)
		}
	}
}

// newBoth keeps all in one shard, so that a short run grows and shrinks it.
func newBoth(tb testing.TB, limit uint8, now uint32) *both {
	b := &both{tb: tb, now: now, mirror: map[place]Entry{}}
	c := Config{Limit: int(limit), Hops: bothHops, Near: 2, Mirror: told{b}}
	b.t, b.m = New(c), newModel(c)
	b.t.shards, b.t.shift = b.t.shards[:1], 64
	return b
}
