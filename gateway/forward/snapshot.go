// Package forward decides what becomes of a frame. It is pure: a Snapshot, an
// ingress, a frame and the clock go in, a Verdict comes out. It sends nothing,
// learns nothing, logs nothing and waits for nobody; the gateway carries the
// verdict out, `vxgw explain` prints it, and the tests read it.
package forward

import (
	"maps"
	"net/netip"
	"slices"

	"vxgw/gateway/counters"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/neigh"
	"vxgw/l2/port"
	"vxgw/l3/nud"
	"vxgw/l3/underlay"
)

// PortID is the number of an access port; it indexes Snapshot.Ports and stays
// the same for as long as the port is configured.
type PortID uint16

// VTEPID is the number of a remote VTEP; it indexes Snapshot.VTEPs.
type VTEPID uint16

// Bounds of the numbers. A Hop of the FDB is a PortID, or MaxPorts plus a
// VTEPID.
const (
	MaxPorts = 4096
	MaxVTEPs = 16384
	MaxHops  = MaxPorts + MaxVTEPs

	// OwnHop is where a packet of the gateway's own came from. The FDB has no
	// such hop.
	OwnHop fdb.Hop = MaxHops

	NoPortID PortID = 0xffff // no port: the frame came from the overlay
	NoVTEPID VTEPID = 0xffff // a VTEP that there was no room to number
)

// PortHop is the FDB's hop for a port.
func PortHop(p PortID) fdb.Hop { return fdb.Hop(p) }

// VTEPHop is the FDB's hop for a VTEP.
func VTEPHop(v VTEPID) fdb.Hop { return MaxPorts + fdb.Hop(v) }

// HopPort returns the port a hop stands for, and whether it is a port.
func HopPort(h fdb.Hop) (PortID, bool) { return PortID(h), h < MaxPorts }

// HopVTEP returns the VTEP a hop stands for; it is one when HopPort says no.
func HopVTEP(h fdb.Hop) VTEPID { return VTEPID(h - MaxPorts) }

// BPDU is what a port does with spanning tree.
type BPDU uint8

// The policies of [[port]] bpdu.
const (
	BPDUDrop BPDU = iota
	BPDUTunnel
	BPDUShutdown
)

// Port is one access port as forwarding sees it.
type Port struct {
	Name         string
	Domain       fdb.Domain
	Up           bool
	Shut         bool // taken out of service: nothing comes in either
	Isolated     bool
	BPDU         BPDU
	DropPriority bool // VID-0 tags are refused
	MTU          int  // longest IP packet the device takes; 0: not known
	Index        int  // of the interface, as the kernel numbers it; 0: absent

	Dev     port.Port // nil while the interface is absent
	Traffic *counters.Traffic
}

// Domain is one bridge domain: a VNI, its ports, and the VTEPs that take its
// broadcast, unknown unicast and multicast.
type Domain struct {
	VNI      uint32
	Name     string
	Ports    []PortID
	Flood    []VTEPID   // the multicast group, where there is one, and the head-end replication list
	Group    netip.Addr // the multicast group among Flood; the zero Addr: none
	Learning bool       // learn MACs behind VTEPs
	Suppress bool       // answer ARP and ND for neighbours that are known
	ClampMSS bool       // lower the MSS of TCP connections to what the path to the VTEP carries
	Anyone   bool       // any VTEP may send to this VNI
	Allowed  AddrSet    // who may, unless Anyone
	Gateway  frame.MAC  // ours; zero where nothing is routed
	IRB      *IRB       // nil: the VNI has no gateway

	Traffic *counters.Traffic
}

// Allows reports whether the VTEP at a may send to the domain.
func (d *Domain) Allows(a netip.Addr) bool { return d.Anyone || d.Allowed.Contains(a) }

// VTEP is one remote tunnel endpoint, or a multicast group of them: a place that
// packets are sent to. Nothing is ever learned behind a group.
type VTEP struct {
	Addr netip.Addr

	// MaxFrame is the longest inner frame, in bytes with its Ethernet header,
	// that the path there carries unfragmented; 0: not known, send it.
	MaxFrame int

	// Via is where on the link packets to it go; nil: the host's stack sends
	// them.
	Via *underlay.Hop

	// More is what flows are spread over where there are several hops, Via among
	// them; nil where there is one. A hop of more weight is in it more than once.
	More []*underlay.Hop

	Traffic *counters.Traffic
}

// HopFor returns the hop of the flow with the outer source port sport; nil: the
// host's stack sends it. The port is mixed first: the range that ports are of may be
// narrow. The fast path's programs choose alike (hop_of in gateway/xdp/bpf).
func (v *VTEP) HopFor(sport uint16) *underlay.Hop {
	if len(v.More) == 0 {
		return v.Via
	}
	const golden = 0x9e3779b1
	return v.More[uint32(sport)*golden>>16*uint32(len(v.More))>>16]
}

// Narrowest returns the longest inner frame, in bytes, that the paths to all of these
// VTEPs carry; 0: not known of any.
func (s *Snapshot) Narrowest(to []VTEPID) (longest int) {
	for _, v := range to {
		if n := s.VTEPs[v].MaxFrame; n > 0 && (longest == 0 || n < longest) {
			longest = n
		}
	}
	return longest
}

// IsGroup reports whether v is a multicast group.
func (v *VTEP) IsGroup() bool { return v.Addr.IsMulticast() }

// Snapshot is everything forwarding reads, as it was at one moment. It never
// changes once published; the FDB and the neighbours behind it do, under their
// own rules.
type Snapshot struct {
	Ports   []Port
	Domains []Domain
	VTEPs   []VTEP
	VNIs    map[uint32]fdb.Domain
	FDB     *fdb.Table

	// Neighbours is who has which IP address, in the domains that suppress.
	Neighbours *neigh.Table

	// VRFs are the routing tables, and Hosts who has which IP address in the
	// domains that are routed.
	VRFs  []VRF
	Hosts *nud.Table

	// Access is the interfaces of the ports, by index: see IsAccess.
	Access map[int]struct{}

	// Local is this VTEP's own address.
	Local netip.Addr

	// Strict drops VXLAN headers with reserved bits set.
	Strict bool

	// Uplinks send to the underlay; empty while the VTEP address is missing.
	Uplinks []underlay.Conn
}

// IsAccess reports whether an interface is an access port's. The host's own
// stack hears what comes in there too, and would take a VXLAN packet to the VTEP
// address from it: a host behind the port could speak for any VTEP.
func (s *Snapshot) IsAccess(index int) bool {
	_, ok := s.Access[index]
	return ok
}

// AddrSet is a set of addresses, given as single ones and as prefixes.
type AddrSet struct {
	hosts    map[netip.Addr]struct{}
	prefixes []netip.Prefix
}

// NewAddrSet returns the set of all addresses that the prefixes cover.
func NewAddrSet(prefixes []netip.Prefix) AddrSet {
	s := AddrSet{hosts: make(map[netip.Addr]struct{})}
	for _, p := range prefixes {
		if p.IsSingleIP() {
			s.hosts[p.Addr()] = struct{}{}
			continue
		}
		s.prefixes = append(s.prefixes, p.Masked())
	}
	return s
}

// Equal reports whether two sets were made of the same addresses and prefixes,
// the latter in the same order.
func (s AddrSet) Equal(o AddrSet) bool {
	return maps.Equal(s.hosts, o.hosts) && slices.Equal(s.prefixes, o.prefixes)
}

// Contains reports whether a is in the set.
func (s AddrSet) Contains(a netip.Addr) bool {
	if _, ok := s.hosts[a]; ok {
		return true
	}
	for _, p := range s.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
