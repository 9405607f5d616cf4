// Package kernel reads how the Linux kernel of this machine bridges: bridges and
// their ports and VLANs, vxlan devices, what was written into their forwarding
// tables, and the addresses and static routes around them. It changes nothing and
// needs no rights.
package kernel

import (
	"net/netip"
	"time"

	"vxgw/l2/frame"
)

// Setup is what a network namespace has.
type Setup struct {
	Links  []Link  // in the order of their indexes
	Routes []Route // static ones, of every table, as the kernel has them
}

// Link is a network device.
type Link struct {
	Index  int // unique, above 0
	Name   string
	Kind   string // "veth", "vxlan", "bridge" and so on; "" for hardware
	MAC    frame.MAC
	Up     bool
	Parent int // index of the device it stands on (IFLA_LINK), 0: none, or one elsewhere
	Master int // index of the bridge, bond or VRF it belongs to, 0: none

	Addrs    []netip.Prefix // but for IPv6 link-local ones
	Forwards Families       // whether IP packets that come in there are routed

	Bridge *Bridge // of a bridge
	VXLAN  *VXLAN  // of a vxlan device
	Port   *Port   // of a port of a bridge
	VLANID uint16  // of an 802.1Q sub-interface: 1..4094
	Table  uint32  // of a VRF: its routing table

	VLANs   []VLAN   // of a port of a bridge that filters VLANs, and of the bridge itself, in order
	Tunnels []Tunnel // of a port of a bridge, in order
	FDB     []Entry  // what does not age: see Entry
	Heard   []Heard  // VTEPs that a vxlan device has learned of, each once
}

// Families is one answer for IPv4 and one for IPv6.
type Families struct{ IPv4, IPv6 bool }

// Bridge is how a bridge is set.
type Bridge struct {
	STP          bool
	Filtering    bool          // vlan_filtering
	Service      bool          // of 802.1ad tags instead of 802.1Q
	Ageing       time.Duration // 0: MACs are not kept
	Snooping     bool          // IGMP and MLD
	ForwardMask  uint16        // group_fwd_mask: bit N passes 01-80-C2-00-00-0N
	MaxLearned   uint32        // 0: no limit
	CallIPTables bool          // nf_call_iptables, ip6tables or arptables
}

// Port is how a port of a bridge is set.
type Port struct {
	Isolated, Hairpin, Guard, Locked      bool
	Learning, Unicast, Multicast, Flooded bool // learning, flood, mcast_flood, bcast_flood
	Suppress                              bool // neigh_suppress
	Tunnel                                bool // vlan_tunnel
	ForwardMask                           uint16
}

// VLAN is a VLAN, or several that follow each other, of a port.
type VLAN struct {
	First, Last    uint16 // 1..4094
	PVID, Untagged bool
}

// Tunnel maps VLANs to VNIs, one to one from the first on.
type Tunnel struct {
	First, Last uint16 // 1..4094
	VNI         uint32 // of First
}

// VXLAN is how a vxlan device is set.
type VXLAN struct {
	VNI    uint32     // 0 of an external one
	Local  netip.Addr // the zero Addr: what the route says, see Chosen
	Chosen netip.Addr // where there is no Local: what the kernel would take now, if that is known
	Remote netip.Addr // remote or group that it was made with; the zero Addr: none
	Device int        // index of the device that it sends by; 0: what the route says
	Port   uint16
	TTL    uint8 // 0: the host's default, and 1 for multicast
	TOS    uint8 // 1: inherited from the inner packet
	DF     uint8 // 0: clear, 1: set, 2: inherited
	Label  uint32

	Learning   bool
	Ageing     time.Duration // 0: never
	MaxLearned uint32        // 0: no limit
	FirstPort  uint16        // of the source ports; 0: the host's range
	LastPort   uint16        // the first that is none of them any more

	Checksum               bool // UDP over IPv4
	ZeroTX6, ZeroRX6       bool // no UDP checksum over IPv6, sent and accepted
	TTLInherit             bool
	Proxy, RSC             bool // it answers ARP and ND, it routes by itself
	GBP, GPE, RemoteChksum bool

	External  bool // one device for many VNIs: collect_metadata
	VNIFilter bool
	VNIs      []VNIs // of a device with VNIFilter
}

// VNIs are those that a device with a VNI filter takes.
type VNIs struct {
	First, Last uint32
	Remote      netip.Addr // or a group; the zero Addr: none
}

// Entry is what somebody wrote into a forwarding table, or a daemon did.
type Entry struct {
	MAC    frame.MAC
	VLAN   uint16 // of a bridge that filters VLANs; 0: all
	Bridge bool   // in the bridge's table; otherwise the vxlan device's own
	Local  bool   // of a bridge: the frames are for this machine
	Daemon bool   // extern_learn: a routing daemon keeps it

	// Of a vxlan device.
	Remote netip.Addr // the zero Addr: a nexthop group
	Source uint32     // external devices: the VNI it is for
	VNI    uint32     // it is sent with; 0: the same
	Port   uint16     // it is sent to; 0: the device's
}

// Heard is a VTEP that frames came from.
type Heard struct {
	VNI  uint32 // of an external device; else 0
	VTEP netip.Addr
}

// Route is a static route.
type Route struct {
	Table       uint32
	Prefix      netip.Prefix
	Hops        []Hop // none where it discards
	Blackhole   bool
	Unreachable bool
}

// Hop is a next hop of a route.
type Hop struct {
	Via  netip.Addr // the zero Addr: the destination is on the link
	Link int
}

// MainTable is the routing table of what is in no VRF (RT_TABLE_MAIN).
const MainTable = 254

// Link returns the device with an index, nil where there is none.
func (s *Setup) Link(index int) *Link {
	for i := range s.Links {
		if s.Links[i].Index == index {
			return &s.Links[i]
		}
	}
	return nil
}
