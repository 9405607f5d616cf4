package neigh

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

const dom fdb.Domain = 7

func table(limit int) *Table {
	t := New()
	t.SetDomain(dom, limit)
	return t
}

func says(s Says, a netip.Addr, m frame.MAC) Message { return Message{Says: s, Subject: a, MAC: m} }

func everyone(fdb.Domain, frame.MAC) bool { return true }

func (t *Table) ageAll(now uint32, known func(fdb.Domain, frame.MAC) bool) { t.Age(now, 0, 1, known) }

// know is who is known at an address, "" for nobody.
func know(t *Table, a netip.Addr, now uint32) string {
	e, ok := t.Lookup(dom, a, now)
	if !ok {
		return ""
	}
	s := e.MAC.String()
	if e.Router {
		s += " router"
	}
	return s
}

// What a message does to an address, known or not.
func TestHear(t *testing.T) {
	unknown, known := "", there.String()
	router := known + " router"
	advert := func(s Says, m frame.MAC, isRouter bool) Message {
		return Message{Says: s, Subject: there6, MAC: m, Advertised: true, Router: isRouter}
	}
	tests := []struct {
		name  string
		was   string
		hears Message
		later uint32
		want  News
		is    string
	}{
		{"a claim", unknown, says(Claims, there6, there), 0, Added, known},
		{"a router's claim", unknown, advert(Claims, there, true), 0, Added, router},
		{"the claim again", known, says(Claims, there6, there), 0, NoNews, known},
		{"a second later", known, says(Claims, there6, there), 1, Heard, known},
		{"from a worker whose clock is behind", known, says(Claims, there6, there), ^uint32(0), NoNews, known},
		{"from another MAC", known, says(Claims, there6, third), 0, Moved, third.String()},
		{"a router's successor", router, advert(Claims, third, false), 0, Moved, third.String()},
		{"it routes from now on", known, advert(Claims, there, true), 0, Heard, router},
		{"it routes no more", router, advert(Confirms, there, false), 0, Heard, known},
		{"what does not say leaves it a router", router, says(Confirms, there6, there), 1, Heard, router},
		{"a confirmation of nothing", unknown, says(Confirms, there6, there), 0, NoNews, unknown},
		{"a confirmation", known, says(Confirms, there6, there), 1, Heard, known},
		{"a confirmation of something else", known, says(Confirms, there6, third), 1, Dropped, unknown},
		{"doubt", known, says(Doubts, there6, third), 0, Dropped, unknown},
		{"doubt of no one", known, says(Doubts, there6, frame.MAC{}), 0, Dropped, unknown},
		{"doubt of its owner's", known, says(Doubts, there6, there), 1, NoNews, known},
		{"doubt of the unknown", unknown, says(Doubts, there6, there), 0, NoNews, unknown},
		{"nothing", known, Message{}, 1, NoNews, known},
		{"a confirmation that comes too late", known, says(Confirms, there6, there), KeepFor, NoNews, unknown},
		{"a claim after a long time", known, says(Claims, there6, third), KeepFor, Added, third.String()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tb, now := table(1), uint32(1000)
			if tt.was != unknown {
				tb.Hear(dom, advert(Claims, there, tt.was == router), now)
			}
			now += tt.later
			if got := tb.News(dom, tt.hears, now); got != tt.want {
				t.Errorf("news %d, want %d", got, tt.want)
			}
			if got := tb.Hear(dom, tt.hears, now); got != tt.want {
				t.Errorf("heard %d, want %d", got, tt.want)
			}
			if got := know(tb, there6, now); got != tt.is {
				t.Errorf("known %q, want %q", got, tt.is)
			}
		})
	}
}

// An entry is good for answers as long as its owner confirms it.
func TestUse(t *testing.T) {
	tb := table(10)
	tb.Hear(dom, says(Claims, there4, there), 1000)
	use := func(now uint32, want Use) {
		t.Helper()
		e, ok := tb.Lookup(dom, there4, now)
		if got := e.Use(now); !ok || got != want {
			t.Errorf("at %d: %d (known %t), want %d", now, got, ok, want)
		}
	}
	use(999, Answer)
	use(1000, Answer)
	use(1029, Answer)
	use(1030, Ask)
	use(1040, Ask) // nobody noted that it was let through
	tb.Asked(dom, there4, 1040)
	use(1040, Answer)
	use(1042, Answer)
	use(1043, Pass)
	use(1119, Pass)
	if _, ok := tb.Lookup(dom, there4, 1120); ok {
		t.Error("known for ever")
	}
	tb.Asked(dom, there4, 1050) // it was asked already
	use(1050, Pass)
	tb.Hear(dom, says(Confirms, there4, there), 1050)
	use(1050, Answer)
	use(1080, Ask)
	tb.Asked(dom, there4, 1080)
	tb.Hear(dom, says(Claims, there4, third), 1081)
	use(1081, Answer)
	use(1111, Ask)
	tb.Asked(dom, here4, 1111) // not there: nothing happens
}

// The clock may wrap around.
func TestClockWraps(t *testing.T) {
	tb, start := table(1), ^uint32(0)-10
	tb.Hear(dom, says(Claims, there4, there), start)
	e, ok := tb.Lookup(dom, there4, start+40)
	if !ok || e.Use(start+40) != Ask {
		t.Errorf("%+v, %t", e, ok)
	}
	tb.Asked(dom, there4, start+40)
	if e, _ := tb.Lookup(dom, there4, start+43); e.Use(start+43) != Pass {
		t.Errorf("%+v", e)
	}
}

func TestAge(t *testing.T) {
	tb := table(10)
	tb.Hear(dom, says(Claims, here4, here), 1000)
	tb.Hear(dom, says(Claims, there4, there), 1060)
	tb.Hear(dom, says(Claims, there6, there), 1060)
	tb.ageAll(1119, everyone)
	if tb.Len(dom) != 3 {
		t.Fatalf("%d entries, want 3", tb.Len(dom))
	}
	tb.ageAll(1120, everyone)
	if tb.Len(dom) != 2 || know(tb, here4, 1060) != "" {
		t.Errorf("%d entries, want 2", tb.Len(dom))
	}
	tb.ageAll(1120, func(d fdb.Domain, m frame.MAC) bool { return d != dom || m != there })
	if tb.Len(dom) != 0 {
		t.Errorf("%d entries whose MAC nobody knows", tb.Len(dom))
	}
}

// Parts together are the whole.
func TestAgeInParts(t *testing.T) {
	tb := table(1000)
	for i := range 1000 {
		tb.Hear(dom, says(Claims, nth(i), there), 1000)
	}
	for part := range 4 {
		tb.Age(2000, part, 4, everyone)
	}
	if tb.Len(dom) != 0 {
		t.Errorf("%d entries are left", tb.Len(dom))
	}
}

// nth is an address of its own for each number, of both families in turn.
func nth(i int) netip.Addr {
	if i%2 == 0 {
		return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	b := there6.As16()
	binary.BigEndian.PutUint32(b[12:], uint32(i))
	return netip.AddrFrom16(b)
}

// A domain that is full refuses what is new and keeps what it has; others do not
// feel it.
func TestLimit(t *testing.T) {
	tb := table(100)
	tb.SetDomain(dom+1, 10)
	for i := range 200 {
		want := Added
		if i >= 100 {
			want = Refused
		}
		if got := tb.Hear(dom, says(Claims, nth(i), there), 1000); got != want {
			t.Fatalf("number %d: %d, want %d", i, got, want)
		}
	}
	if got := tb.Hear(dom, says(Claims, nth(0), third), 1001); got != Moved {
		t.Errorf("a move is %d", got)
	}
	if got := tb.Hear(dom+1, says(Claims, there4, there), 1000); got != Added {
		t.Errorf("another domain: %d", got)
	}
	if got := tb.Hear(dom+2, says(Claims, there4, there), 1000); got != Refused {
		t.Errorf("a domain without room: %d", got)
	}
	tb.Hear(dom, says(Doubts, nth(5), third), 1001)
	if got := tb.Hear(dom, says(Claims, nth(150), there), 1001); got != Added {
		t.Errorf("after one has gone: %d", got)
	}
	if tb.Len(dom) != 100 || tb.Len(dom+1) != 1 {
		t.Errorf("%d and %d entries", tb.Len(dom), tb.Len(dom+1))
	}
	tb.Flush(map[fdb.Domain]bool{dom: true, dom + 2: true})
	if tb.Len(dom) != 0 || tb.Len(dom+1) != 1 || know(tb, nth(0), 1001) != "" {
		t.Errorf("%d and %d entries after a flush", tb.Len(dom), tb.Len(dom+1))
	}
}

// The same address in two domains is two neighbours.
func TestDomainsAreApart(t *testing.T) {
	tb := table(10)
	tb.SetDomain(dom+1, 10)
	tb.Hear(dom, says(Claims, there4, there), 1000)
	tb.Hear(dom+1, says(Claims, there4, third), 1000)
	tb.Hear(dom+1, says(Doubts, there4, there), 1000)
	if know(tb, there4, 1000) != there.String() {
		t.Error("a doubt in one domain is heard in another")
	}
}

func TestAll(t *testing.T) {
	tb := table(1000)
	want := map[netip.Addr]bool{}
	for i := range 500 {
		tb.Hear(dom, says(Claims, nth(i), there), 1000)
		want[nth(i)] = true
	}
	for e := range tb.All() {
		if !want[e.Addr] || e.Domain != dom || e.MAC != there || e.Seen != 1000 {
			t.Errorf("%+v", e)
		}
		delete(want, e.Addr)
	}
	if len(want) > 0 {
		t.Errorf("%d entries are not listed", len(want))
	}
	for range tb.All() {
		break
	}
}

// A flood of made-up addresses takes as much memory as the limit says, once, and
// gives it back.
func TestFloodIsBounded(t *testing.T) {
	const limit, flood = 10000, 200000
	before := heap()
	tb := table(limit)
	empty := heap()
	for i := range flood {
		tb.Hear(dom, says(Claims, nth(i), there), 1000+uint32(i/2000))
	}
	full := heap()
	if tb.Len(dom) != limit || full-empty > 100*limit {
		t.Errorf("%d entries in %d bytes, want %d in %d at most", tb.Len(dom), full-empty, limit, 100*limit)
	}
	// As many go as come: the keys of those that went must not pile up.
	for i := range flood {
		tb.Hear(dom, says(Doubts, nth(i), third), 1100)
		tb.Hear(dom, says(Claims, nth(limit+i), there), 1100)
	}
	if full := heap(); full-empty > 100*limit {
		t.Errorf("%d bytes after all were replaced", full-empty)
	}
	tb.ageAll(5000, everyone)
	if gone := heap(); gone-empty > 1<<16 {
		t.Errorf("%d bytes of %d are kept when all have gone (empty: %d)", gone-empty, full-empty, empty-before)
	}
	runtime.KeepAlive(tb)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestTableAllocatesNothing(t *testing.T) {
	tb, now := table(10), uint32(1000)
	m := says(Claims, there6, there)
	tb.Hear(dom, m, now)
	if n := testing.AllocsPerRun(100, func() {
		now++
		tb.News(dom, m, now)
		tb.Hear(dom, m, now)
		tb.Asked(dom, there6, now)
		if _, ok := tb.Lookup(dom, there6, now); !ok {
			t.Fatal("forgotten")
		}
		tb.Hear(dom, says(Claims, there6, third), now)
		tb.Hear(dom, m, now)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// Readers see an entry whole, as one of the writers made it, whatever goes on.
func TestConcurrent(t *testing.T) {
	const addrs = 64
	tb := table(addrs)
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	// A MAC and its router flag always go together.
	owner := func(i, w int) Message {
		return Message{Says: Claims, Subject: nth(i), MAC: frame.MAC{2, 0, 0, 0, byte(w), byte(i)}, Advertised: true, Router: w%2 == 1}
	}
	for w := range 3 {
		writers.Go(func() {
			for n := range 5000 {
				i := (n*7 + w) % addrs
				m := owner(i, w)
				if n%5 == 0 {
					m.Says, m.MAC = Doubts, frame.MAC{}
				}
				tb.Hear(dom, m, uint32(1000+n/100))
				tb.Asked(dom, nth(i), uint32(1000+n/100))
				if n%1000 == 0 {
					tb.Age(uint32(1000+n/100), 0, 1, everyone)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for {
				for i := range addrs {
					if e, ok := tb.Lookup(dom, nth(i), 1000); ok && (e.Addr != nth(i) || e.MAC[5] != byte(i) || e.Router != (e.MAC[4]%2 == 1)) {
						t.Errorf("%+v of %v", e, nth(i))
					}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	n := 0
	for range tb.All() {
		n++
	}
	if n != tb.Len(dom) || n > addrs {
		t.Errorf("%d entries listed, %d counted", n, tb.Len(dom))
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tb := table(n)
			for i := range n {
				tb.Hear(dom, says(Claims, nth(i), there), 1000)
			}
			for i := 0; b.Loop(); i++ {
				tb.Lookup(dom, nth(i%n), 1000)
			}
		})
	}
}
