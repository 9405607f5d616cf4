package xdp

import (
	"encoding/binary"
	"net/netip"

	"vxgw/l2/frame"
)

// View is what the programs know of the gateway, but for stations and routes: all of
// it, as it is at one moment.
type View struct {
	Links   []Link
	Ports   []Port   // by number
	Domains []Domain // by number
	VTEPs   []VTEP   // by number

	// Own is a filter of the gateway's own addresses for each VRF, by number.
	Own []*[OwnWords]uint64
}

// Link is an interface that frames come in by.
type Link struct {
	Index  int
	MAC    frame.MAC
	Access bool // it is an access port, and Port its number; otherwise it faces the underlay
	Port   uint16
}

// Port is an access port.
type Port struct {
	Live, Up, Shut, Isolated bool

	Domain   uint16
	MaxFrame uint32 // bytes with the Ethernet header
	Index    int    // of its interface; 0: there is none
	Target   bool   // frames can be redirected there by XDP
	Frags    bool   // those in several pieces too
	Veth     bool   // its peer is on this machine
}

// Domain is a bridge domain.
type Domain struct {
	Live    bool
	VNI     uint32
	Gateway frame.MAC
	Ageing  uint32 // seconds; 0: never
	Hears   bool   // ARP and ND are listened to
	Clamps  bool   // the MSS of TCP connections may have to be lowered
	Routed  bool
	VRF     uint16
}

// VTEP is a remote VTEP.
type VTEP struct {
	Addr     netip.Addr // not valid: there is none
	MaxFrame int        // longest inner frame, in bytes
	Via      *Hop       // nil: nothing goes there from here
	More     []Hop      // what flows are spread over, Via among them; none where there is one
	Target   bool       // packets can be redirected there by XDP, by all of its hops
	Frags    bool       // those in several pieces too
}

// Hop is where on which link packets to a VTEP go.
type Hop struct {
	Interface int
	From, To  frame.MAC
}

// ageingTicks turns an ageing time in seconds, 0 for never, into the unit of the
// programs, 2^30 ns. It is rather a little less: for a station that may have expired, by
// whichever of the two clocks, the programs are not the ones to say.
func ageingTicks(seconds uint32) uint32 {
	const second = 1_000_000_000
	if seconds == 0 {
		return 0
	}
	return max(uint32(uint64(seconds-1)*second>>30), 1)
}

// addrWords is an address as the programs have it: words as they are in a packet.
func addrWords(a netip.Addr) (w [4]uint32) {
	if a.Is4() {
		b := a.As4()
		w[0] = binary.NativeEndian.Uint32(b[:])
		return w
	}
	b := a.As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

// vniWord is a VNI as it is in a VXLAN header.
func vniWord(vni uint32) uint32 {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], vni<<8)
	return binary.NativeEndian.Uint32(b[:])
}
