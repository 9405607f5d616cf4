package nud

import (
	"net/netip"
	"testing"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
)

const dom fdb.Domain = 7

var (
	addr = netip.MustParseAddr("10.1.1.10")
	mac1 = frame.MAC{2, 0, 0, 0, 0, 1}
	mac2 = frame.MAC{2, 0, 0, 0, 0, 2}
)

// table returns one with room for 1,000 neighbours in dom.
func table() *Table {
	t := New()
	t.SetDomain(dom, 1000)
	return t
}

func waits(b string) Packet { return Packet{Bytes: []byte(b), Domain: 3, From: 9} }

// in returns a table with addr at mac1 in a state, at second 100.
func in(t *testing.T, s State) *Table {
	t.Helper()
	x := table()
	switch s {
	case Incomplete:
		x.Resolve(dom, addr, waits("w"), 100)
	case Reachable:
		x.Resolve(dom, addr, waits("w"), 100)
		x.Hear(dom, Message{Addr: addr, MAC: mac1, Solicited: true, Override: true, ToUs: true}, 100)
	case Permanent:
		x.SetStatic(dom, addr, mac1, 100)
	case Bound:
		x.Bind(dom, addr, mac1, 100)
	default:
		x.Hear(dom, Message{Addr: addr, MAC: mac1, Request: true, ToUs: true}, 100)
	}
	if s == Delay || s == Probe {
		x.Lookup(dom, addr, 101)
	}
	if s == Probe {
		x.Tick(101+delayFor, func(Ask) {}, func(fdb.Domain, netip.Addr, []Packet) {})
	}
	want(t, x, s, map[bool]frame.MAC{true: {}, false: mac1}[s == Incomplete])
	return x
}

func want(t *testing.T, x *Table, s State, m frame.MAC) {
	t.Helper()
	for e := range x.All() {
		if e.State != s || e.MAC != m {
			t.Errorf("state %s at %s, want %s at %s", e.State, e.MAC, s, m)
		}
		return
	}
	t.Errorf("no neighbour, want it in state %s", s)
}

// What an advertisement does (RFC 4861 section 7.2.5 and the table of appendix C).
func TestAdvertisement(t *testing.T) {
	const s, o = true, true
	const no = false
	tests := []struct {
		name                string
		state               State
		solicited, override bool
		mac                 frame.MAC
		wantState           State
		wantMAC             frame.MAC
		change              Change
		released            int
	}{
		{"incomplete, solicited", Incomplete, s, no, mac1, Reachable, mac1, Added, 1},
		{"incomplete, unsolicited", Incomplete, no, o, mac1, Stale, mac1, Added, 1},
		{"incomplete, no address", Incomplete, s, o, frame.MAC{}, Incomplete, frame.MAC{}, Nothing, 0},
		{"reachable, solicited, same", Reachable, s, no, mac1, Reachable, mac1, Confirmed, 0},
		{"reachable, solicited, other", Reachable, s, no, mac2, Stale, mac1, Nothing, 0},
		{"reachable, solicited and overriding, other", Reachable, s, o, mac2, Reachable, mac2, Moved, 0},
		{"reachable, unsolicited, same", Reachable, no, no, mac1, Reachable, mac1, Nothing, 0},
		{"reachable, unsolicited, other", Reachable, no, no, mac2, Stale, mac1, Nothing, 0},
		{"reachable, overriding, same", Reachable, no, o, mac1, Reachable, mac1, Nothing, 0},
		{"reachable, overriding, other", Reachable, no, o, mac2, Stale, mac2, Moved, 0},
		{"stale, solicited, same", Stale, s, no, mac1, Reachable, mac1, Confirmed, 0},
		{"stale, solicited, no address", Stale, s, no, frame.MAC{}, Reachable, mac1, Confirmed, 0},
		{"stale, solicited, other", Stale, s, no, mac2, Stale, mac1, Nothing, 0},
		{"stale, unsolicited, other", Stale, no, no, mac2, Stale, mac1, Nothing, 0},
		{"stale, overriding, other", Stale, no, o, mac2, Stale, mac2, Moved, 0},
		{"delay, solicited, same", Delay, s, o, mac1, Reachable, mac1, Confirmed, 0},
		{"delay, overriding, other", Delay, no, o, mac2, Stale, mac2, Moved, 0},
		{"probe, solicited, same", Probe, s, o, mac1, Reachable, mac1, Confirmed, 0},
		{"probe, solicited and overriding, other", Probe, s, o, mac2, Reachable, mac2, Moved, 0},
		{"probe, solicited, other", Probe, s, no, mac2, Probe, mac1, Nothing, 0},
		{"permanent", Permanent, s, o, mac2, Permanent, mac1, Nothing, 0},
		{"bound, same", Bound, s, o, mac1, Bound, mac1, Nothing, 0},
		{"bound, other", Bound, s, no, mac2, Bound, mac1, Nothing, 0},
		{"bound, overriding, other", Bound, no, o, mac2, Stale, mac2, Moved, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := in(t, tt.state)
			h := x.Hear(dom, Message{Addr: addr, MAC: tt.mac, Target: addr, Solicited: tt.solicited, Override: tt.override, ToUs: tt.solicited}, 107)
			want(t, x, tt.wantState, tt.wantMAC)
			if h.Changed != tt.change || len(h.Released) != tt.released {
				t.Errorf("change %d with %d released, want %d with %d", h.Changed, len(h.Released), tt.change, tt.released)
			}
		})
	}
}

// A request tells of its sender (RFC 826 "Packet Reception", RFC 4861 section 7.2.3).
func TestRequest(t *testing.T) {
	request := func(m frame.MAC, toUs bool) Message {
		return Message{Addr: addr, MAC: m, Request: true, ToUs: toUs}
	}
	tests := []struct {
		name  string
		state State
		msg   Message
		want  State
		mac   frame.MAC
	}{
		{"incomplete", Incomplete, request(mac1, true), Stale, mac1},
		{"incomplete, to somebody else", Incomplete, request(mac1, false), Stale, mac1},
		{"reachable, same", Reachable, request(mac1, true), Reachable, mac1},
		{"reachable, moved", Reachable, request(mac2, true), Stale, mac2},
		{"reachable, moved, to somebody else", Reachable, request(mac2, false), Stale, mac2},
		{"probe, same", Probe, request(mac1, true), Probe, mac1},
		{"bound, moved", Bound, request(mac2, false), Stale, mac2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := in(t, tt.state)
			x.Hear(dom, tt.msg, 107)
			want(t, x, tt.want, tt.mac)
		})
	}
}

// Nobody is in the table who was not asked for and does not ask us.
func TestUnknown(t *testing.T) {
	for name, m := range map[string]Message{
		"request to somebody else": {Addr: addr, MAC: mac1, Request: true},
		"unsolicited reply to us":  {Addr: addr, MAC: mac1, Solicited: true, Override: true, ToUs: true},
		"gratuitous reply":         {Addr: addr, MAC: mac1, Target: addr, Solicited: true, Override: true},
		"advertisement to all":     {Addr: addr, MAC: mac1, Target: addr, Override: true},
		"request without its MAC":  {Addr: addr, Request: true, ToUs: true},
	} {
		t.Run(name, func(t *testing.T) {
			x := table()
			x.Hear(dom, m, 100)
			for e := range x.All() {
				t.Errorf("%v is in the table", e)
			}
		})
	}
	x := New()
	x.Hear(dom, Message{Addr: addr, MAC: mac1, Request: true, ToUs: true}, 100)
	for e := range x.All() {
		t.Errorf("%v is in a domain that is not routed", e)
	}
}

// An ARP message always says where its sender is: one from no MAC tells nothing. It
// would confirm a neighbour otherwise, wherever that is.
func TestReadWithoutMAC(t *testing.T) {
	f := make([]byte, neigh.ARPRequestLen)
	neigh.PutARPRequest(f, mac1, addr, netip.MustParseAddr("10.1.1.1"), mac2)
	if m, ok := Read(f); !ok || m.MAC != mac1 || m.Addr != addr {
		t.Fatalf("read %+v, %t", m, ok)
	}
	clear(f[22:28])
	if m, ok := Read(f); ok {
		t.Errorf("read %+v from no MAC", m)
	}
}
