// Package path follows what the gateway needs to know of the host it runs on:
// its links, who holds an address, and the path that packets to a VTEP take. It
// also makes and removes the VLAN sub-interface of the underlay. Nothing outside
// of it speaks netlink.
//
// A Monitor belongs to the network namespace of the thread that opened it,
// whichever thread it is used on.
package path

import (
	"net/netip"

	"vxgw/l2/frame"
)

// Link is a network device of the host.
type Link struct {
	Name      string
	Index     int // unique while the device exists, and not reused soon
	MTU       int // bytes, without the Ethernet header
	MAC       frame.MAC
	AdminUp   bool // set up by the operator
	Carrier   bool // frames can pass: the driver has a carrier, and the link is not dormant or waiting for a lower layer (RFC 2863)
	Loopback  bool
	Multicast bool   // it carries multicast (IFF_MULTICAST)
	Ethernet  bool   // its frames have an Ethernet header
	Shaped    bool   // somebody gave it a queueing discipline that limits, delays or sorts
	Kind      string // "veth", "vxlan", "bridge" and so on; "" for hardware
	Driver    string // "veth", "tun", "mlx5_core" and so on; "" when there is none, as of lo, or it does not say
	Master    string // the bridge, bond, team or VRF it belongs to; "": none
	VLAN      VLAN   // of an 802.1Q sub-interface
	Alias     string // what it was given for people to read (ip link set alias)

	// StripsVLAN is whether the device takes VLAN tags out of what it receives and
	// tells of them beside the frame (rx-vlan-hw-parse).
	StripsVLAN bool

	XDP XDP // what it can do

	// XDPProg is the program that was attached when the kernel last told of the
	// link. See Monitor.Attached.
	XDPProg XDPProg

	// Downs counts how often the device went down or away. It never falls
	// while Index is the same, not even if the device was away in another
	// namespace: a look that finds another Index or another Downs than the
	// last one has missed something, if only a quick flap. A device that is
	// new may start above zero.
	Downs uint64
}

// Neighbour is a host on a link.
type Neighbour struct {
	Interface int // index of the link
	Addr      netip.Addr
}

// PathHop returns the next hop that the kernel has chosen.
func (p Path) PathHop() PathHop { return PathHop{p.Via, p.MAC, p.Link, p.LinkIndex} }

// VLAN is which VLAN of which parent a sub-interface carries. The zero VLAN is
// that of any other device, and of one whose parent is in another namespace.
type VLAN struct {
	ID     uint16 // 1..4094
	Parent int    // index
}

// Path is how packets to an address leave the host.
type Path struct {
	// MTU is the longest IP packet the path carries, in bytes: that of the
	// route or what path MTU discovery has learned, and never more than the
	// device's; the least of those of Hops.
	MTU       int
	Via       netip.Addr // next hop; the zero Addr when the destination is on the link
	MAC       frame.MAC  // of the next hop; zero while the kernel has not resolved it
	Plain     bool       // packets go out as they are, without a tunnel or label of the route's own
	Link      string
	LinkIndex int

	// Hops are the usable next hops of a route that has several of them, for flows
	// to be spread over evenly: one of twice the weight is there twice. There are at
	// most 16, and none where there is nothing to choose from.
	Hops []PathHop
}
