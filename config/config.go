// Package config turns the TOML text of an operator into a validated Config.
// Nothing else in the gateway reads configuration text.
package config

import (
	"net/netip"
	"time"

	"vxgw/l2/frame"
)

// DefaultFile is where the daemon looks for its configuration.
const DefaultFile = "/etc/vxgw/vxgw.toml"

// Config is a whole, valid configuration: every default filled in, every
// reference between tables resolved.
type Config struct {
	File     string // where it was read
	Name     string // [gateway] name; default: the host name
	MAC      frame.MAC
	Underlay Underlay
	Datapath Datapath
	VNIs     []VNI // in the file's order, as everything below
	Ports    []Port
	MACs     []StaticMAC
	VRFs     []VRF
	API      API
	Log      Log

	// Warnings are what is legal and still likely to surprise, as lines like
	// those of an error: a VNI that anybody may inject into, a key that does
	// nothing yet.
	Warnings []Problem
}

// Underlay is the IP side of this VTEP.
type Underlay struct {
	Address       netip.Addr
	Interface     string       // "": the interface that holds Address. With VLAN: the parent
	VLAN          uint16       // 802.1Q id, 1..4094; 0: none
	Assign        netip.Prefix // with VLAN: Address as it is to be put on the sub-interface; the zero Prefix: that is the operator's to do
	Port          uint16
	TTL           uint8 // 1..255
	DSCP          DSCP
	DF            bool
	Checksum      bool // fill in the outer UDP checksum
	ZeroChecksum6 bool // IPv6: udp_checksum = false was written out, so zero is sent and accepted (RFC 6935)
	SourcePorts   PortRange
	Strict        bool // reserved_bits = "strict"
	ProbePMTU     bool // find out by probes what paths to VTEPs carry
	Bypass        bool // send and receive past the host's IP stack where that can be done
}

// DSCP is the outer differentiated-services code point.
type DSCP struct {
	Inherit bool
	Value   uint8 // 0..63, when Inherit is false
}

// PortRange is an inclusive range of UDP ports, First <= Last, First >= 1.
type PortRange struct{ First, Last uint16 }

// Mode is how frames are moved.
type Mode string

// The modes of [datapath] mode.
const (
	ModeAuto Mode = "auto"
	ModeRaw  Mode = "raw"
	ModeXDP  Mode = "xdp"
)

// Datapath says how frames are moved and bounds the tables.
type Datapath struct {
	Mode     Mode
	Workers  int // for each direction; 0: one per CPU, half of them for each
	MACLimit int // entries of the FDB in all; default 1048576
}

// VNI is one bridge domain.
type VNI struct {
	ID           uint32
	VLAN         uint16 // 0: none, only where every port names the VNI itself
	Name         string
	Flood        []netip.Addr
	Group        netip.Addr // the zero Addr: none
	Learning     bool
	Ageing       time.Duration // 0: never
	MACLimit     int
	AllowedVTEPs []netip.Prefix // nil: anyone. The default, from Flood, is filled in
	AllowedOnly  bool           // AllowedVTEPs is in the file: whom else a controller names may not send
	SuppressARP  bool
	Moves        Moves
	Storm        Storm // each of its limits is one of what goes into the overlay, and another of what comes out
	ClampMSS     bool  // lower the MSS of TCP connections to what the path to the VTEP carries
	VRF          string
	Gateway      []netip.Prefix // address and prefix length
	GatewayMAC   frame.MAC      // zero unless Gateway is set
	DHCPServers  []netip.Addr   // where DHCP of its hosts is relayed to
	RA           bool           // advertise the gateway to IPv6 hosts; false where it has no IPv6 address
}

// Moves says when a MAC address moves too often, and is held.
type Moves struct {
	Limit  int           // moves that are too many; 0: none are
	Window time.Duration // in which they count together
	Hold   time.Duration // for how long it is held; 0: no end
}

// Storm bounds what is flooded, in frames a second; 0: no limit.
type Storm struct {
	Broadcast, Multicast, UnknownUnicast int
}

// Any reports whether anything is limited.
func (s Storm) Any() bool { return s != Storm{} }

// BPDUPolicy is what a port does with spanning tree.
type BPDUPolicy string

// The values of [[port]] bpdu.
const (
	BPDUDrop     BPDUPolicy = "drop"
	BPDUTunnel   BPDUPolicy = "tunnel"
	BPDUShutdown BPDUPolicy = "shutdown"
)

// Port is one access port.
type Port struct {
	Interface    string
	VLAN         uint16 // 0 where the file names the VNI itself
	VNI          uint32 // resolved from VLAN where that is given
	MACLimit     int
	Isolated     bool
	BPDU         BPDUPolicy
	DropPriority bool  // priority_tagged = "drop"
	Storm        Storm // of what comes in
}

// StaticMAC is an FDB entry that does not age or move. One of VTEP and Port is
// set.
type StaticMAC struct {
	VNI  uint32
	MAC  frame.MAC
	VTEP netip.Addr
	Port string
}

// VRF is a routing table of its own.
type VRF struct {
	Name   string
	Routes []Route
}

// Route is a static route of a VRF: by its Hops, or one of the other two.
type Route struct {
	Prefix      netip.Prefix
	Hops        []RouteHop // several: flows are spread over them
	Blackhole   bool       // discard silently
	Unreachable bool       // discard, and tell the sender
}

// RouteHop is a next hop: a router, and the VNI that it is in.
type RouteHop struct {
	VNI uint32
	Via netip.Addr
}

// API is where the gateway can be asked.
type API struct {
	Socket string
	HTTP   string // "": off

	ReadGroup string   // the group that may ask at Socket and change nothing; "": none
	HTTPHosts []string // further names that HTTP may be asked by
}

// Log is how the gateway speaks.
type Log struct {
	Level  string // "debug" | "info" | "warn" | "error"
	Format string // "auto" | "text" | "json" | "journald"
}

// Problem is one error or warning with its place in the file.
type Problem struct {
	File      string
	Line, Col int // 1-based; 0 where the problem has no place of its own
	Message   string
}
