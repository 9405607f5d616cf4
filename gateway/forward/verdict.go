package forward

import (
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
)

// Kind is what a verdict does with the frame.
type Kind uint8

// The kinds of verdict.
const (
	Drop     Kind = iota // nothing leaves; Reason says why
	ToPort               // one copy, to Port
	ToVTEP               // one encapsulated copy, to VTEP
	Flood                // a copy to each port and VTEP of the domain
	Answer               // nothing leaves; the sender hears who has the address it asks for
	ToRouter             // it is for the gateway's MAC: Snapshot.Route decides
	Local                // it is for the gateway itself: ARP, ND, DHCP, an echo
	Hold                 // it was to be routed, and waits for its neighbour's MAC
	NumKinds
)

// String returns the kind's stable name.
func (k Kind) String() string {
	return [...]string{"drop", "port", "vtep", "flood", "answer", "route", "local", "hold", "invalid"}[min(k, NumKinds)]
}

// Verdict is the decision on one frame. It is a value: nothing has been done.
type Verdict struct {
	Kind   Kind
	Reason Reason // why, when Kind is Drop
	Domain fdb.Domain
	Port   PortID
	VTEP   VTEPID

	// Learn says that the FDB does not yet have the source at this hop, or
	// has not refreshed it this second.
	Learn bool

	// Shutdown says that the ingress port is to be shut down.
	Shutdown bool

	// SetECN says that the inner frame's ECN field becomes ECN (RFC 6040).
	SetECN bool
	ECN    uint8

	// Neighbour is who has the address that the frame asks for, when Kind is
	// Answer, and Router whether it routes.
	Neighbour frame.MAC
	Router    bool

	// Ask says that the frame asks for a neighbour that was not heard of lately,
	// and goes to it for that reason.
	Ask bool

	// Heard is what the frame tells of who has which address.
	Heard neigh.News

	// Heed says that the frame is ARP or ND which the gateway's own neighbours
	// are learned from, Reply that it asks for an address of the gateway's, and
	// Solicits that it asks for routers.
	Heed, Reply, Solicits bool

	// MTU, when not 0, is the longest IP packet that a path takes which the
	// frame, or a copy of it, is too big for: its sender is told (RFC 1191,
	// RFC 8201).
	MTU int
}

// Stormed is the verdict on a frame that was to be flooded, and is over a limit of storm
// control. Whether it is forward cannot say: that takes a clock, and changes with each
// frame. Nothing is learned or heard from it either: there may be many.
func (v Verdict) Stormed() Verdict {
	return Verdict{Domain: v.Domain, Port: NoPortID, VTEP: NoVTEPID}.drop(Storm)
}

func (v Verdict) drop(r Reason) Verdict {
	v.Kind, v.Reason = Drop, r
	return v
}
