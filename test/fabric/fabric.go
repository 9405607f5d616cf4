// Package fabric puts whole gateways on one underlay, all of it in memory, and
// says of every frame where it came out: at which ports, in which datagrams,
// under which drop counter, and that it came out nowhere else.
//
// Tests run in a bubble of testing/synctest. There, "all is done" is a fact and
// not a guess: nothing waits by the clock, and a goroutine left behind fails
// the test.
package fabric

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	underlay "vxgw/l3/underlay/mem"
)

// T is what the harness needs of a test; *testing.T and *rapid.T have it.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Net is some gateways and the network between them.
type Net struct {
	T      T
	Fabric *underlay.Fabric // its Alter is taken: use Net's

	clock    atomic.Uint32 // seconds
	gateways []*Gateway
	byAddr   map[netip.Addr]string

	injecting atomic.Int32 // how many datagrams on the wire are Inject's, from the next one on

	mu    sync.Mutex // guards what passes on the wire
	alter func(*underlay.Wire)
	wires []underlay.Wire
	to    map[netip.Addr]*Gateway
	count wireCount
	long  map[string]bool // inner frames that came longer than any segment, see wholeKey
}

// New returns an empty network. It must be made in a bubble, and stopped.
func New(t T) *Net {
	n := &Net{
		T: t, Fabric: underlay.NewFabric(),
		byAddr: make(map[netip.Addr]string), to: make(map[netip.Addr]*Gateway), count: newWireCount(), long: make(map[string]bool),
	}
	n.clock.Store(1000)
	n.Fabric.Alter(n.pass)
	return n
}

// Test runs a test on a network of its own and, when it is done, checks that
// every frame is accounted for and that no goroutine is left.
func Test(t *testing.T, test func(*Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		n := New(t)
		defer n.Stop()
		test(n)
		n.CheckAccounts()
	})
}

// Stop ends all gateways and waits for them.
func (n *Net) Stop() {
	for _, g := range n.gateways {
		g.Stop()
	}
}

// Settle waits until nothing is under way any more: every frame sent has come
// out, and every gateway has followed its host.
func (n *Net) Settle() { synctest.Wait() }

// Tick lets the gateways do what they do once a second. Their clock stands
// still.
func (n *Net) Tick() {
	time.Sleep(time.Second + time.Millisecond)
	synctest.Wait()
}

// Advance moves the gateways' clock on and then lets them sweep their tables.
func (n *Net) Advance(seconds uint32) {
	n.Settle()
	n.clock.Add(seconds)
	for range sweeps {
		n.Tick()
	}
}

// sweeps is more seconds than a sweep of all tables takes.
const sweeps = 5

// Alter has change look at every datagram under way, after it was noted as
// sent; nil ends that. It may replace the Payload, and not change its bytes.
func (n *Net) Alter(change func(*underlay.Wire)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.alter = change
}

// pass notes a datagram as its sender made it, and how it arrives.
func (n *Net) pass(w *underlay.Wire) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.injecting.Load() > 0 {
		n.injecting.Add(-1)
	} else {
		sent := *w
		sent.Payload = bytes.Clone(w.Payload)
		n.wires = append(n.wires, sent)
		n.count.add(sent)
	}
	if n.alter != nil {
		n.alter(w)
	}
	if len(w.Payload) > maxSegment {
		n.long[wholeKey(w.Payload[headerLen:])] = true
	}
	if w.Fragmented {
		return
	}
	if g := n.to[w.To]; g != nil && g.attached.Load() {
		g.datagrams.Add(1)
	}
	for _, g := range n.to {
		if g.attached.Load() && g.Addr() != w.From && slices.Contains(g.groups, w.To) {
			g.datagrams.Add(1)
		}
	}
}

// name returns how an address is written in a Result.
func (n *Net) name(a netip.Addr) string {
	if s, ok := n.byAddr[a]; ok {
		return s
	}
	return a.String()
}

// Gateway returns the gateway of that name.
func (n *Net) Gateway(name string) *Gateway {
	for _, g := range n.gateways {
		if g.Name() == name {
			return g
		}
	}
	n.T.Fatalf("there is no gateway %q", name)
	return nil
}

// NameVTEP has Results write an address that is no gateway's as name.
func (n *Net) NameVTEP(name string, a netip.Addr) { n.byAddr[a] = name }
