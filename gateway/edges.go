package gateway

import (
	"context"
	"net/netip"

	"vxgw/gateway/doctor"
	"vxgw/gateway/xdp"
	"vxgw/l2/port"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/path"
)

// Host is what the gateway asks of the machine it runs on. *path.Monitor is
// the real one.
type Host interface {
	// Run follows the host's links, addresses and routes until ctx ends.
	Run(ctx context.Context) error
	// Changed is signalled when something may have changed.
	Changed() <-chan struct{}
	Link(name string) (path.Link, bool)
	LinkAt(index int) (path.Link, bool)
	Holder(addr netip.Addr) (path.Link, bool)
	Path(dst, src netip.Addr) (path.Path, error)
	// Confirm tells the host's stack that packets go to these neighbours.
	Confirm(inUse []path.Neighbour) error
	// IPsec reports whether the host has policies that its stack alone knows to
	// follow.
	IPsec() (bool, error)
	VXLANOn(port uint16, addr netip.Addr) (string, bool)

	VLANHost
}

// VLANHost is how the gateway looks after the underlay's VLAN sub-interface, which
// is all that it changes of the machine. What it changes it sees when it looks
// next.
type VLANHost interface {
	VLAN(path.VLAN) (path.Link, bool)
	VLANs(alias string) []path.Link
	Addrs(link int) []netip.Prefix

	AddVLAN(path.NewVLAN) error
	RemoveVLANs(alias string, keep int) (names []string, err error)
	BringUp(link int) error
	SetMTU(link, mtu int) error
	Assign(link int, p netip.Prefix) error
	Unassign(link int, p netip.Prefix) error
}

// UnderlayOptions is how the VTEP's sockets are to be made.
type UnderlayOptions struct {
	Address       netip.Addr
	Port          uint16
	Queues        int // receive queues
	TTL           uint8
	DF            bool
	Checksum      bool // fill in the UDP checksum
	ZeroChecksum6 bool // IPv6: send and accept a zero checksum (RFC 6935)

	// Tap decides about packets that come in by an interface; nil: nobody does.
	Tap Tap

	// OnTooBig is to be told how long an IP packet, in bytes, a router on the
	// way to a VTEP carries that dropped one of ours, and Lacks of what is
	// missing and can be done without. Any goroutine may call them.
	OnTooBig func(to netip.Addr, mtu int)
	Lacks    func(error)
}

// PortOptions is how an access port is to be opened.
type PortOptions struct {
	Queues    int // receive queues
	RingBytes int // memory for frames that wait to be read
	Tap       Tap // decides about frames that come in; nil: nobody does
}

// Tap begins to have frames with a socket buffer decided about at an interface, for
// rings whose slots have room for frames of so many bytes.
type Tap func(index, room int) (*xdp.Tap, error)

// Edges is everything of the outside world that a Gateway touches, so that
// whole gateways can meet in one test, in memory.
type Edges struct {
	Host         Host
	OpenPort     func(path.Link, PortOptions) (port.Port, error)
	OpenUnderlay func(UnderlayOptions) (underlay.Underlay, error)

	// OpenFast makes the tables of the fast path; nil: there is none.
	OpenFast func(xdp.Sizes, xdp.Underlay) (*xdp.Plane, error)

	// PinDir returns where a gateway of a name has the pins of its fast path, or why
	// it cannot have any; nil: it has none.
	PinDir func(name string) (string, error)

	// OpenEcho makes a socket that asks other hosts from an address; nil: none are
	// asked.
	OpenEcho func(own netip.Addr) (Echo, error)

	// Machine is asked by those who look whether the machine is as it should be; nil:
	// it is not looked at.
	Machine *doctor.Machine

	// PortTaken reports whether an error of OpenUnderlay means that somebody
	// else has the UDP port.
	PortTaken func(error) bool

	// LookAround finds out who captures packets on this machine, and IsHeard tells
	// of an interface whether somebody did then. nil: nobody ever does.
	LookAround func() error
	IsHeard    func(index int) bool

	// Clock returns seconds on a clock that never goes back or jumps, and Nanos
	// nanoseconds on such a one; nil: Clock has to do.
	Clock func() uint32
	Nanos func() int64
}
