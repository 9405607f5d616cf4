// Package api is how a running gateway is asked: the control API on a unix
// socket, the Prometheus metrics, and the client side of both for the command
// line. It knows nothing of forwarding; it asks a Source.
package api

import (
	"iter"
	"time"

	"vxgw/gateway/events"
)

// The states of a port.
const (
	StateUp      = "up"
	StateDown    = "down"    // no carrier, or set down
	StateAbsent  = "absent"  // there is no such interface; it is waited for
	StateRefused = "refused" // it cannot be used as it is; the row's Reason says why
)

// PortRow is one access port, as `vxgw show ports` has it.
type PortRow struct {
	Interface string `json:"interface"`
	VLAN      uint16 `json:"vlan"` // 0 where the port names its VNI itself
	VNI       uint32 `json:"vni"`
	State     string `json:"state"`            // StateUp, StateDown, StateAbsent or StateRefused
	Reason    string `json:"reason,omitempty"` // why it is not up, and what to do
	RxPackets uint64 `json:"rx_packets"`
	RxBytes   uint64 `json:"rx_bytes"`
	TxPackets uint64 `json:"tx_packets"`
	TxBytes   uint64 `json:"tx_bytes"`
	MACs      int    `json:"macs"`

	Storm []StormRow `json:"storm_control,omitempty"`
}

// StormRow is storm control of one kind of flooded frames: of what a port takes in (rx),
// or of what a VNI takes out of the overlay (rx) or sends into it (tx), in copies.
type StormRow struct {
	Kind      string `json:"kind"` // "broadcast", "multicast" or "unknown_unicast"
	Direction string `json:"direction"`
	Limit     int    `json:"limit"`   // frames a second; 0: none any more
	Dropped   uint64 `json:"dropped"` // frames over the limit, in all
	Active    bool   `json:"active"`  // some were within the last half a minute
}

// VNIRow is one bridge domain. Rx is what came in from the overlay, Tx what
// went out to it, each copy counted.
type VNIRow struct {
	VNI       uint32   `json:"vni"`
	VLAN      uint16   `json:"vlan"` // 0: none
	Name      string   `json:"name"`
	VRF       string   `json:"vrf"`
	MACs      int      `json:"macs"`
	Held      int      `json:"held"` // of MACs: those that moved too often
	Ports     []string `json:"ports"`
	VTEPs     []string `json:"vteps"`
	RxPackets uint64   `json:"rx_packets"`
	RxBytes   uint64   `json:"rx_bytes"`
	TxPackets uint64   `json:"tx_packets"`
	TxBytes   uint64   `json:"tx_bytes"`

	// Suppressed is how many ARP and ND requests were answered for a neighbour
	// and sent nowhere.
	Suppressed uint64 `json:"suppressed"`

	Storm []StormRow `json:"storm_control,omitempty"`
}

// VTEPRow is one remote VTEP, or a multicast group of them, which is sent to and
// never heard from.
type VTEPRow struct {
	Address   string     `json:"address"`
	Origin    string     `json:"origin"` // "static", "learned", "group", or a controller's
	VNIs      []uint32   `json:"vnis"`
	RxPackets uint64     `json:"rx_packets"`
	RxBytes   uint64     `json:"rx_bytes"`
	TxPackets uint64     `json:"tx_packets"`
	TxBytes   uint64     `json:"tx_bytes"`
	LastSeen  *time.Time `json:"last_seen"` // null: never heard of
	MTU       int        `json:"mtu,omitempty"`

	// PathMTU is the longest outer IP packet, in bytes, that the path carries, and
	// PathMTUFrom who says so: "route", "router" (by ICMP) or "probe". PathProbe is how
	// far probes are: "trying", "asking", "searching", "complete", or "unknown" where
	// the VTEP answers none. PathShrunk counts how often the path became narrower.
	PathMTU     int    `json:"path_mtu,omitempty"`
	PathMTUFrom string `json:"path_mtu_from,omitempty"`
	PathProbe   string `json:"path_probe,omitempty"`
	PathShrunk  uint64 `json:"path_mtu_shrunk,omitempty"`
}

// Origins. What was learned from traffic ages; what has another origin stays
// until that takes it back.
const (
	OriginLearned = "learned"
	OriginStatic  = "static"
	OriginGateway = "gateway" // this gateway's own
	OriginGroup   = "group"   // of a VTEP that is a multicast group
)

// MACRow is one FDB entry: behind Port or behind VTEP.
type MACRow struct {
	VNI    uint32 `json:"vni"`
	MAC    string `json:"mac"`
	Port   string `json:"port,omitempty"`
	VTEP   string `json:"vtep,omitempty"`
	Origin string `json:"origin"`         // OriginLearned, "static", "gateway", or a controller's: "evpn", "ovsdb" or another
	Age    uint32 `json:"age"`            // seconds since a frame from it; 0 for what does not age
	Held   bool   `json:"held,omitempty"` // it moved too often, and does not move for now
}

// The states of a neighbour.
const (
	NeighbourFresh = "fresh" // heard of lately: requests for it are answered
	NeighbourBound = "bound" // a controller says so: requests for it are answered
	NeighbourStale = "stale" // it is to confirm itself when it is next asked for
)

// NeighbourRow is one IP neighbour. State is NeighbourFresh or NeighbourStale where
// ARP and ND are suppressed; where the VNI is routed it is the state of RFC 4861:
// "incomplete", "reachable", "stale", "delay", "probe", "failed", "permanent", or "bound"
// where a controller says so.
type NeighbourRow struct {
	VNI     uint32 `json:"vni"`
	VRF     string `json:"vrf,omitempty"` // where the VNI is routed
	Address string `json:"address"`
	MAC     string `json:"mac"`
	State   string `json:"state"`
	Origin  string `json:"origin"`
	Port    string `json:"port,omitempty"` // the access port that the MAC is behind
	VTEP    string `json:"vtep,omitempty"` // or the VTEP
}

// RouteRow is one next hop of a route of a VRF: in VNI, and by Via unless it is
// connected. Kind is "connected", "via", "local", "blackhole" or "unreachable".
type RouteRow struct {
	VRF    string `json:"vrf"`
	Prefix string `json:"prefix"`
	VNI    uint32 `json:"vni,omitempty"`
	Via    string `json:"via,omitempty"`
	Kind   string `json:"kind"`
	Origin string `json:"origin"`
}

// VRFRow is what is counted of a VRF. Rx is what came to be routed in it, Tx what
// was.
type VRFRow struct {
	Name       string         `json:"name"`
	Routes     int            `json:"routes"`
	Neighbours map[string]int `json:"neighbours"` // by state
	RxPackets  uint64         `json:"rx_packets"`
	RxBytes    uint64         `json:"rx_bytes"`
	TxPackets  uint64         `json:"tx_packets"`
	TxBytes    uint64         `json:"tx_bytes"`
}

// DropRow is one drop counter. Every reason has a row for every direction that
// it can occur in, so that a zero is seen to be zero.
type DropRow struct {
	Reason    string `json:"reason"`
	Direction string `json:"direction"`
	Count     uint64 `json:"count"`
	Meaning   string `json:"meaning"`
	Mend      string `json:"mend,omitempty"`
}

// DatapathRow says how the frames of one interface are moved.
type DatapathRow struct {
	Mode      string `json:"mode"` // "raw"
	Interface string `json:"interface"`
	Attached  bool   `json:"attached"`
	Reason    string `json:"reason"` // why this mode, or why not attached
}

// RefusedRow counts MACs that were not learned. Reason is "table_full",
// "vni_limit", "port_limit" or "vtep_limit"; "neighbour_limit" counts IP
// addresses, and "duplicate" MACs that moved too often and are held.
type RefusedRow struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
	Mend   string `json:"mend,omitempty"` // what to do when it grows
}

// UnderlayRow is how the gateway stands in the underlay.
type UnderlayRow struct {
	Address   string `json:"address"`   // this VTEP's
	Interface string `json:"interface"` // "": none holds the address
	Port      uint16 `json:"port"`      // UDP
	Up        bool   `json:"up"`        // the VTEP sends and receives
	Reason    string `json:"reason,omitempty"`
}

// ExplainRequest names a frame and where it would come in: at Port, or from
// VTEP in VNI.
type ExplainRequest struct {
	Port  string `json:"port,omitempty"`
	VTEP  string `json:"vtep,omitempty"`
	VNI   uint32 `json:"vni,omitempty"`
	Frame string `json:"frame"` // hexadecimal; for a VTEP the inner frame
}

// Explanation is what the frame would meet.
type Explanation struct {
	Steps   []Step   `json:"steps"`
	Verdict string   `json:"verdict"`          // "forward", "flood", "answer", "local" (for the gateway itself), "hold" (until a neighbour is known) or "drop"
	Reason  string   `json:"reason,omitempty"` // of a drop
	Mend    string   `json:"mend,omitempty"`
	Copies  []string `json:"copies"` // where a copy goes: "port eth1", "vtep 192.0.2.2 sport 51234", "group 239.1.1.1 sport 51234"
}

// Step is one question the frame is asked, in order.
type Step struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
}

// Source is a running gateway as this package sees it. Every method may be
// called at any time from any goroutine and never waits for forwarding.
type Source interface {
	Name() string
	Ports() []PortRow
	VNIs() []VNIRow
	VTEPs() []VTEPRow
	// MACs yields the entries of one VNI, or of all for 0. There may be a
	// million of them.
	MACs(vni uint32) iter.Seq[MACRow]
	// MACCounts yields the number of entries by VNI and origin.
	MACCounts() map[MACCountKey]int
	Neighbours() []NeighbourRow
	// Routes yields the routes of all VRFs. There may be a million of them.
	Routes() iter.Seq[RouteRow]
	VRFs() []VRFRow
	// Origins lists the controllers.
	Origins() []OriginRow
	Drops() []DropRow
	Datapath() []DatapathRow
	LearnRefused() []RefusedRow
	// Events returns the log of what happens.
	Events() *events.Log
	Underlay() UnderlayRow
	// FindMACs yields the entries that a query asks for, in the order of MACs.
	FindMACs(MACQuery) iter.Seq[MACRow]
	// Explain returns an error, for the user, when the request itself makes
	// no sense: an unknown port, no frame.
	Explain(ExplainRequest) (Explanation, error)
}

// MACCountKey is one label set of the vxgw_macs gauge.
type MACCountKey struct {
	VNI    uint32
	Origin string
}
