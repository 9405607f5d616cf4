package nud

import (
	"net/netip"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Every packet that was held comes back once, and what is counted of a domain is what
// is there, whatever happens in whatever order.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := New()
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		x.SetDomain(dom, limit)
		held, back, now := 0, 0, uint32(100)
		anAddr := func() netip.Addr {
			return netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 6).Draw(t, "addr"))})
		}
		aMAC := func() frame.MAC { return frame.MAC{2, 5: byte(rapid.IntRange(1, 3).Draw(t, "mac"))} }
		lost := func(fdb.Domain, netip.Addr) bool { return rapid.Bool().Draw(t, "gone") }
		t.Repeat(map[string]func(*rapid.T){
			"resolve": func(t *rapid.T) {
				a := anAddr()
				if _, ok := x.Lookup(dom, a, now); ok {
					return
				}
				r := x.Resolve(dom, a, Packet{Bytes: make([]byte, 64), Domain: fdb.Domain(rapid.IntRange(1, 3).Draw(t, "from"))}, now)
				if r.Held {
					held++
				}
				if r.Displaced {
					back++
				}
			},
			"hear": func(t *rapid.T) {
				m := Message{Addr: anAddr(), MAC: aMAC(), Request: rapid.Bool().Draw(t, "request"), ToUs: rapid.Bool().Draw(t, "to us"), Solicited: rapid.Bool().Draw(t, "s"), Override: rapid.Bool().Draw(t, "o")}
				back += len(x.Hear(dom, m, now).Released)
			},
			"tick": func(*rapid.T) {
				now += uint32(rapid.IntRange(1, 3).Draw(t, "seconds"))
				x.Tick(now, func(Ask) {}, func(_ fdb.Domain, _ netip.Addr, p []Packet) { back += len(p) })
			},
			"flush": func(*rapid.T) { back += len(x.Flush(lost)) },
			"reload": func(*rapid.T) {
				back += len(x.SetDomain(dom, 0))
				x.SetDomain(dom, limit)
			},
			"static": func(*rapid.T) { back += len(x.SetStatic(dom, anAddr(), aMAC(), now)) },
			"bind":   func(*rapid.T) { back += len(x.Bind(dom, anAddr(), aMAC(), now)) },
			"remove": func(*rapid.T) { x.RemoveStatic(dom, anAddr()) },
			"remove some": func(*rapid.T) {
				x.RemoveStatics(lost)
			},
			"": func(t *rapid.T) {
				n, incomplete, waiting, bytes := 0, 0, 0, 0
				for e := range x.entries {
					if s := e.state(); !s.pinned() {
						n++
						if s == Incomplete {
							incomplete++
						}
					}
					waiting += len(e.waiting)
					bytes += 64 * len(e.waiting)
				}
				q := x.quotas[dom].Load()
				sum := 0
				for _, k := range q.incomplete.by {
					sum += k
				}
				if q.n != n || q.incomplete.all != incomplete || sum != incomplete || q.held != bytes || x.held.Load() != int64(bytes) {
					t.Fatalf("counted %d, %d incomplete, %d and %d bytes; there are %d, %d, %d", q.n, q.incomplete.all, q.held, x.held.Load(), n, incomplete, bytes)
				}
				if n > limit {
					t.Fatalf("%d neighbours, the limit is %d", n, limit)
				}
				if held != back+waiting {
					t.Fatalf("%d were held, %d came back and %d wait", held, back, waiting)
				}
			},
		})
	})
}

// Everybody at once.
func TestRaces(t *testing.T) {
	x := New()
	x.SetDomain(dom, 100)
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }
	var wg sync.WaitGroup
	run := func(f func(i int)) {
		wg.Go(func() {
			for i := range 3000 {
				f(i)
			}
		})
	}
	for range 2 {
		run(func(i int) { x.Lookup(dom, at(i), uint32(i/50)) })
		run(func(i int) { x.Resolve(dom, at(i), Packet{Bytes: make([]byte, 10)}, uint32(i/50)) })
	}
	run(func(i int) {
		x.Hear(dom, Message{Addr: at(i * 7), MAC: frame.MAC{2, 5: byte(i)}, Solicited: true, Override: true, ToUs: true, Request: i%3 == 0}, uint32(i/50))
	})
	run(func(i int) {
		if i%50 == 0 {
			x.Tick(uint32(i/50), func(Ask) {}, func(fdb.Domain, netip.Addr, []Packet) {})
		}
	})
	run(func(i int) {
		switch i % 500 {
		case 0:
			x.Flush(func(_ fdb.Domain, a netip.Addr) bool { return a.As4()[3]%2 == 0 })
		case 250:
			x.SetDomain(dom, 0)
			x.SetDomain(dom, 100)
		}
	})
	wg.Wait()
	x.Flush(func(fdb.Domain, netip.Addr) bool { return true })
	for e := range x.All() {
		t.Errorf("%v is left", e)
	}
	if n := x.held.Load(); n != 0 {
		t.Errorf("%d bytes are held, of nothing", n)
	}
}
