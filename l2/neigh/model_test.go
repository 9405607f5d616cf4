package neigh

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

// model is the table as one would write it on a slate. It keeps all that was
// ever said, and works out from that what is known.
type model struct {
	limit int
	known map[netip.Addr]*memory
}

type memory struct {
	mac         frame.MAC
	router      bool
	bound       bool
	seen, asked uint32
}

func (m *model) expire(now uint32) {
	for a, e := range m.known {
		if !e.bound && now-e.seen >= KeepFor {
			delete(m.known, a)
		}
	}
}

func (m *model) hear(msg Message, now uint32) {
	e := m.known[msg.Subject]
	switch {
	case e != nil && e.bound:
		if msg.Says == Claims && e.mac != msg.MAC {
			m.known[msg.Subject] = &memory{mac: msg.MAC, router: msg.Router, seen: now}
		}
	case e != nil && e.mac == msg.MAC && msg.Says != Doubts:
		if e.seen != now {
			e.asked = 0
		}
		e.seen = now
		if msg.Advertised && e.router != msg.Router {
			e.router, e.asked = msg.Router, 0
		}
	case e != nil && e.mac != msg.MAC:
		delete(m.known, msg.Subject)
		if msg.Says == Claims {
			m.known[msg.Subject] = &memory{mac: msg.MAC, router: msg.Router, seen: now}
		}
	case e == nil && msg.Says == Claims && m.learned() < m.limit:
		m.known[msg.Subject] = &memory{mac: msg.MAC, router: msg.Router, seen: now}
	}
}

func (m *model) learned() (n int) {
	for _, e := range m.known {
		if !e.bound {
			n++
		}
	}
	return n
}

// Whatever is said, in whatever order: the table knows what the slate has, and
// so never anything but what an address's owner said last.
func TestAgainstModel(t *testing.T) {
	macs := []frame.MAC{here, there, third}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 6).Draw(t, "limit")
		tb, m, now := table(limit), &model{limit, map[netip.Addr]*memory{}}, uint32(1000)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			addr := nth(rapid.IntRange(0, 7).Draw(t, "address"))
			switch rapid.IntRange(0, 11).Draw(t, "what") {
			case 0:
				now += uint32(rapid.IntRange(1, KeepFor).Draw(t, "later"))
				// What has expired keeps its place until it is swept.
				tb.ageAll(now, everyone)
				m.expire(now)
			case 1:
				tb.Asked(dom, addr, now)
				if e := m.known[addr]; e != nil && !e.bound && e.asked == 0 {
					e.asked = now
				}
			case 2:
				mac, routes := rapid.SampledFrom(macs).Draw(t, "mac"), rapid.Bool().Draw(t, "router")
				tb.Bind(dom, addr, mac, routes)
				m.known[addr] = &memory{mac: mac, router: routes, bound: true}
			case 3:
				tb.Unbind(dom, addr)
				if e := m.known[addr]; e != nil && e.bound {
					delete(m.known, addr)
				}
			default:
				msg := Message{
					Says: rapid.SampledFrom([]Says{Claims, Claims, Confirms, Doubts}).Draw(t, "says"), Subject: addr,
					MAC: rapid.SampledFrom(macs).Draw(t, "mac"), Advertised: rapid.Bool().Draw(t, "advertised"),
				}
				msg.Router = msg.Advertised && rapid.Bool().Draw(t, "router")
				tb.Hear(dom, msg, now)
				m.hear(msg, now)
			}
			compare(t, tb, m, now)
		}
	})
}

func compare(t *rapid.T, tb *Table, m *model, now uint32) {
	for i := range 8 {
		a := nth(i)
		e, ok := tb.Lookup(dom, a, now)
		want := m.known[a]
		if ok != (want != nil) {
			t.Fatalf("%v is known: %t, want %t", a, ok, want != nil)
		}
		if ok && (e.MAC != want.mac || e.Bound != want.bound || e.Router != want.router || e.Seen != want.seen || e.Asked != want.asked) {
			t.Fatalf("%v is %+v, want %+v", a, e, *want)
		}
	}
	if q := &tb.domains[dom]; int(q.n.Load()-q.bound.Load()) != m.learned() {
		t.Fatalf("%d of %d entries are bound, want %d learned", q.bound.Load(), q.n.Load(), m.learned())
	}
	if tb.Len(dom) != len(m.known) {
		t.Fatalf("%d entries, want %d", tb.Len(dom), len(m.known))
	}
}
