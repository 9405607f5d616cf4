package forward

// Reason says why a frame was dropped. Its names are the metric label, the row
// of `vxgw show drops`, the word of `vxgw explain` and the comment in a capture.
// None, the zero Reason, is a frame that was not dropped.
type Reason uint8

// The reasons, in the order in which a frame is questioned.
const (
	None Reason = iota
	TooShort
	TaggedFrame
	InnerVLAN
	SourceMulticast
	SourceZero
	SourceGateway
	ReservedDestination
	GatewayClaimed
	StaticMoved
	DuplicateMAC
	SamePort
	SplitHorizon
	IsolatedPort
	UnknownVNI
	VTEPNotAllowed
	VTEPOnAccess
	VXLANFlags
	VXLANReserved
	OuterMalformed
	OuterFragment
	OuterChecksum
	ECN
	TooBig
	Storm
	NoRemote
	NoPort
	NoGateway
	TTLExpired
	NoRoute
	Blackhole
	Martian
	SourceRouted
	NotServed
	NeighbourUnresolved
	BadIPHeader
	PortDown
	TxFailed
	RxOverflow
	RxUnreadable
	NumReasons
)

// text is a Reason as it is written: its name, what it means, and what an
// operator does about it.
type text struct{ name, means, mend string }

var texts = [NumReasons]text{
	None:                {"none", "forwarded", ""},
	TooShort:            {"too_short", "fewer bytes than an Ethernet or VXLAN header, or cut short on the way in", "look for a faulty sender; a capture shows the bytes"},
	TaggedFrame:         {"tagged_frame", "an 802.1Q or 802.1ad tag on an access port", "make the switch port an untagged access port"},
	InnerVLAN:           {"inner_vlan", "a VLAN tag inside VXLAN (RFC 7348 section 6.1)", "make the remote VTEP strip the tag before it encapsulates"},
	SourceMulticast:     {"source_multicast", "a group address as source", "look for a faulty sender"},
	SourceZero:          {"source_zero", "00:00:00:00:00:00 as source", "look for a faulty sender"},
	SourceGateway:       {"source_gateway", "our own gateway MAC came in from outside", "look for a loop, or another gateway with the same MAC on this port"},
	ReservedDestination: {"reserved_destination", "addressed to 01-80-C2-00-00-0X, or to CDP or PVST+: for the neighbour alone", "none; bpdu = \"tunnel\" carries spanning tree"},
	GatewayClaimed:      {"gateway_claimed", "ARP or ND by which somebody else claims an address of the gateway's (RFC 5227 section 2.4)", "find the host that has the gateway's address: the log names its MAC"},
	StaticMoved:         {"static_moved", "a MAC pinned by a static entry came from elsewhere", "correct the [[mac]] entry, or find who uses its address"},
	DuplicateMAC:        {"duplicate_mac", "from a MAC that is held elsewhere, because it moved too often: a loop, or two hosts with one MAC", "find the loop, or the other host: the log names both places; then `vxgw clear mac MAC`"},
	SamePort:            {"same_port", "the destination is behind the port it came from", "none; the switch behind the port floods"},
	SplitHorizon:        {"split_horizon", "from the overlay, for a MAC behind another VTEP", "none; full-mesh VTEPs reach each other directly"},
	IsolatedPort:        {"isolated_port", "from one isolated port to another", "none, or set isolated = false"},
	UnknownVNI:          {"unknown_vni", "a VNI that no [[vni]] configures", "configure the VNI, or take this VTEP off the sender's list"},
	VTEPNotAllowed:      {"vtep_not_allowed", "the outer source is not in allowed_vteps", "add the VTEP to flood or allowed_vteps, or find out who it is"},
	VTEPOnAccess:        {"vtep_on_access", "VXLAN for this VTEP that came in at an access port: a host plays the underlay", "find out which host behind the port sends it"},
	VXLANFlags:          {"vxlan_flags", "the I flag is not set (RFC 7348 section 5)", "the sender does not speak RFC 7348 VXLAN"},
	VXLANReserved:       {"vxlan_reserved", "reserved bits are set and reserved_bits is \"strict\"", "turn the sender's extension off, or set reserved_bits = \"ignore\""},
	OuterMalformed:      {"outer_malformed", "outer IP or UDP lengths or checksums that do not agree", "look for a faulty sender or path"},
	OuterFragment:       {"outer_fragment", "the outer packet came in IP fragments (RFC 7348 section 4.3)", "raise the underlay MTU at the sender to the frame's length plus 50 (IPv4) or 70 (IPv6)"},
	OuterChecksum:       {"outer_checksum", "the UDP checksum is wrong, or zero on IPv6", "look for a faulty path; for zero on IPv6 set udp_checksum = false"},
	ECN:                 {"ecn", "congestion marked on a frame that cannot carry the mark (RFC 6040 section 4.2)", "look for a router that marks CE on packets that are not ECN-capable"},
	TooBig:              {"too_big", "longer than the way out carries: the underlay path after encapsulation, or the port", "make the underlay MTU the hosts' plus 50 (IPv4) or 70 (IPv6) bytes, and the port's at least the hosts'"},
	Storm:               {"storm", "over the storm_control limit of its port or VNI", "find the loop or the host that sends it: `vxgw show ports` and `vxgw show vnis` have where; or raise the limit"},
	NoRemote:            {"no_remote", "nobody to send it to: no other port and no remote VTEP", "give the VNI flood = [...] or another port"},
	NoPort:              {"no_port", "from the overlay, for a VNI without an access port", "give the VNI a [[port]], or take this VTEP off the senders' lists"},
	NoGateway:           {"no_gateway", "for the gateway MAC in a VNI that does not route", "give the VNI vrf and gateway"},
	TTLExpired:          {"ttl_expired", "TTL or hop limit ran out", "look for a routing loop, or a traceroute"},
	NoRoute:             {"no_route", "the VRF has no route", "add a [[vrf.route]]"},
	Blackhole:           {"blackhole", "the route says that it is to be discarded", "none, or take the [[vrf.route]] with blackhole out"},
	SourceRouted:        {"source_routed", "a packet that brings its own route (RFC 7126 section 4.3, RFC 5095)", "look for a misconfigured or hostile host"},
	NotServed:           {"not_served", "for the gateway itself, which serves ARP, ND, echo and DHCP relay and nothing else", "none; traceroute to the gateway is answered by it"},
	Martian:             {"martian", "a source or destination address that must not be routed", "look for a misconfigured host"},
	NeighbourUnresolved: {"neighbour_unresolved", "the next hop does not answer ARP or ND", "see whether the host is up"},
	BadIPHeader:         {"bad_ip_header", "an IP header that is malformed", "look for a faulty sender"},
	PortDown:            {"port_down", "the port it belongs to is down or absent", "see `vxgw show ports`"},
	TxFailed:            {"tx_failed", "the kernel refused to send it", "see the log for the error and its mend, and vxgw show datapath"},
	RxUnreadable:        {"rx_unreadable", "a super-frame of a kind that the kernel cannot hand over whole", "turn that offload off where the frames come from (UDP segmentation needs Linux 6.2), or off at the port: ethtool -K PORT rx-udp-gro-forwarding off gro off"},
	RxOverflow:          {"rx_overflow", "more frames came than could be read", "give the gateway more CPU or workers"},
}

// String returns the reason's stable name.
func (r Reason) String() string { return r.text().name }

// ParseReason returns the reason of a name.
func ParseReason(name string) (Reason, bool) {
	for r := None + 1; r < NumReasons; r++ {
		if texts[r].name == name {
			return r, true
		}
	}
	return None, false
}

// Meaning says in a few words what the reason means.
func (r Reason) Meaning() string { return r.text().means }

// Mend says what an operator can do about it.
func (r Reason) Mend() string { return r.text().mend }

func (r Reason) text() text {
	if r >= NumReasons {
		return text{"invalid", "not a reason", ""}
	}
	return texts[r]
}

// Direction is where a frame came from: the label beside the Reason.
type Direction uint8

// The directions.
const (
	Access Direction = iota
	Overlay
	Route
	NumDirections
)

// String returns the direction's stable name.
func (d Direction) String() string {
	return [...]string{"access", "overlay", "route", "invalid"}[min(d, NumDirections)]
}

// AfterSource reports whether a frame dropped for r had its source looked up,
// and so one that was not dropped.
func (r Reason) AfterSource() bool {
	return r == None || r == StaticMoved || r == DuplicateMAC || r == ECN || r == ReservedDestination || r.AfterDestination()
}

// AfterDestination reports whether a frame dropped for r had its destination
// looked up, and so one that was not dropped.
func (r Reason) AfterDestination() bool {
	switch r {
	case None, SamePort, SplitHorizon, IsolatedPort, TooBig, NoRemote, NoPort, PortDown:
		return true
	}
	return false
}

// Occurs reports whether a frame of direction d can be dropped for r.
func (r Reason) Occurs(d Direction) bool { return r < NumReasons && where[r]&(1<<d) != 0 }

// where is in which directions a reason can occur. Those of routing and storm
// control are there from the start, at zero, for dashboards to rely on.
var where = [NumReasons]uint8{
	TooShort: both, TaggedFrame: in, InnerVLAN: over, SourceMulticast: both, SourceZero: both, SourceGateway: both,
	ReservedDestination: both, StaticMoved: both, DuplicateMAC: both, SamePort: in, SplitHorizon: over, IsolatedPort: in | routed,
	UnknownVNI: over, VTEPNotAllowed: over, VTEPOnAccess: over, VXLANFlags: over, VXLANReserved: over,
	OuterMalformed: over, OuterFragment: over, OuterChecksum: over, ECN: over,
	NotServed: both | routed, TooBig: both | routed, NoRemote: in | routed, NoPort: over | routed, PortDown: both | routed, TxFailed: both | routed, RxOverflow: both | routed, RxUnreadable: in,
	Storm: both | routed, GatewayClaimed: both, NoGateway: routed, TTLExpired: routed, NoRoute: routed, Blackhole: routed, Martian: routed, SourceRouted: routed, NeighbourUnresolved: routed, BadIPHeader: routed,
}

const (
	in   = 1 << Access
	over = 1 << Overlay
	both = in | over

	routed = 1 << Route
)
