// Package mem is an underlay in memory: VTEPs that meet on a Fabric instead of
// a network, so that whole gateways can meet in one test, without root and
// without a kernel. It has no goroutines: a datagram is in the receiver's queue
// when WriteBatch returns.
package mem

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// Wire is one datagram under way.
type Wire struct {
	From, To   netip.Addr
	FromPort   uint16
	TOS        uint8 // DSCP and ECN
	Fragmented bool
	Payload    []byte        // UDP payload: VXLAN header and inner frame
	Offload    frame.Offload // see underlay.Packet
}

// Fabric is a network of VTEPs that all use the same UDP port. Its methods may
// be called by any number of goroutines.
type Fabric struct {
	mu        sync.Mutex // guards what follows, and the queues' contents
	attached  map[netip.Addr]*VTEP
	members   map[netip.Addr]map[*VTEP]struct{} // of multicast groups
	mtus      map[path]int
	failures  map[netip.Addr]failure
	alter     func(*Wire)
	observers []func(Wire)
	lost      uint64
}

type path struct{ from, to netip.Addr }

type failure struct {
	status frame.Status
	err    error
}

// NewFabric returns a fabric that nobody is attached to, and that carries any
// datagram unchanged.
func NewFabric() *Fabric {
	return &Fabric{
		attached: make(map[netip.Addr]*VTEP),
		members:  make(map[netip.Addr]map[*VTEP]struct{}),
		mtus:     make(map[path]int),
		failures: make(map[netip.Addr]failure),
	}
}

// Options is how a VTEP is attached. The zero value is one queue of DefaultDepth
// packets.
type Options struct {
	Queues int // receive queues; 0 is 1
	Depth  int // packets that a queue holds before it overflows; 0 is DefaultDepth
}

// DefaultDepth is how many packets a queue holds unless Options says otherwise.
const DefaultDepth = 4096

// Attach attaches a VTEP by its address. The error wraps unix.EADDRINUSE when
// the address is taken, and is an error of the caller otherwise.
func (f *Fabric) Attach(addr netip.Addr, o Options) (*VTEP, error) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return nil, fmt.Errorf("attach %v: a VTEP has one unicast address", addr)
	}
	v := newVTEP(f, addr, o)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.attached[addr] != nil {
		return nil, fmt.Errorf("attach %v: %w", addr, unix.EADDRINUSE)
	}
	f.attached[addr] = v
	return v, nil
}

// SetMTU limits the IP packets from one VTEP to another, or to a group, to mtu
// bytes, outer headers included: longer ones are TooBig. 0 takes the limit away.
func (f *Fabric) SetMTU(from, to netip.Addr, mtu int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mtus[path{from, to}] = mtu
}

// Fail has every datagram to a VTEP or group end with status, and WriteBatch return err.
// frame.Sent takes the failure away.
func (f *Fabric) Fail(to netip.Addr, status frame.Status, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if status == frame.Sent {
		delete(f.failures, to)
		return
	}
	f.failures[to] = failure{status, err}
}

// Alter has change look at every datagram under way; nil ends that. It may
// change all but the bytes of Payload, which it may replace. It must not call
// the fabric.
func (f *Fabric) Alter(change func(*Wire)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alter = change
}

// Observe has see told of every datagram on the wire from now on, in order and
// as it arrives. Payload is see's own. It must not call the fabric.
func (f *Fabric) Observe(see func(Wire)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.observers = append(f.observers, see)
}

// Inject puts datagrams on the wire, all at once, as if a VTEP had sent them: From
// need not be attached. Neither a failure nor an MTU stops them.
func (f *Fabric) Inject(ws ...Wire) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range ws {
		f.carry(w)
	}
}

// Lost returns how many datagrams went to an address that nobody is attached
// with, or to a group that nobody but the sender has joined.
func (f *Fabric) Lost() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// send carries a datagram unless something stops it at its sender. It needs mu.
func (f *Fabric) send(w Wire) (frame.Status, error) {
	if fail, ok := f.failures[w.To]; ok {
		return fail.status, fail.err
	}
	if w.To.Is4() != w.From.Is4() {
		return frame.Failed, unix.EAFNOSUPPORT
	}
	if mtu := f.mtus[path{w.From, w.To}]; mtu > 0 && outerLen(w) > mtu {
		return frame.TooBig, unix.EMSGSIZE
	}
	f.carry(w)
	return frame.Sent, nil
}

// outerLen returns the length of the IP packet in bytes: IP and UDP header and
// the payload.
func outerLen(w Wire) int {
	if w.To.Is4() {
		return 20 + 8 + len(w.Payload)
	}
	return 40 + 8 + len(w.Payload)
}

// carry delivers a datagram. It needs mu.
func (f *Fabric) carry(w Wire) {
	if f.alter != nil {
		f.alter(&w)
	}
	for _, see := range f.observers {
		seen := w
		seen.Payload = bytes.Clone(w.Payload)
		see(seen)
	}
	if w.To.IsMulticast() {
		f.carryToGroup(w)
		return
	}
	v := f.attached[w.To]
	if v == nil {
		f.lost++
		return
	}
	v.take(w)
}

// carryToGroup delivers a datagram to every member of the group but its sender.
// It needs mu.
func (f *Fabric) carryToGroup(w Wire) {
	heard := false
	for v := range f.members[w.To] {
		if v.addr != w.From {
			v.take(w)
			heard = true
		}
	}
	if !heard {
		f.lost++
	}
}

// Members returns who has joined a group, in the order of their addresses.
func (f *Fabric) Members(group netip.Addr) []netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	var addrs []netip.Addr
	for v := range f.members[group] {
		addrs = append(addrs, v.addr)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// detach takes a VTEP off the fabric. It needs mu.
func (f *Fabric) detach(v *VTEP) {
	if f.attached[v.addr] == v {
		delete(f.attached, v.addr)
	}
	for _, m := range f.members {
		delete(m, v)
	}
}

// VTEPs returns who is attached, in the order of their addresses.
func (f *Fabric) VTEPs() []netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	addrs := make([]netip.Addr, 0, len(f.attached))
	for a := range f.attached {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}
