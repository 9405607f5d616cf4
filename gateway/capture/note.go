package capture

import (
	"net/netip"

	"vxgw/gateway/forward"
	"vxgw/l3/underlay"
)

// Place is where a frame was seen: at an access port, or at an interface that faces
// the underlay.
type Place struct {
	Port  forward.PortID // NoPortID: the underlay
	Index int            // of the underlay's interface; 0: not known which
}

// Underlay is the underlay, by whichever interface.
var Underlay = Place{Port: forward.NoPortID}

// AtPort is an access port.
func AtPort(id forward.PortID) Place { return Place{Port: id} }

// IsUnderlay reports whether p is no access port.
func (p Place) IsUnderlay() bool { return p.Port == forward.NoPortID }

// slot numbers the access ports, and the underlay as one place behind them.
func (p Place) slot() int { return min(int(p.Port), forward.MaxPorts) }

// slots is how many numbers slot returns.
const slots = forward.MaxPorts + 1

// Note is one frame that was seen. Data is borrowed from the Ring.
type Note struct {
	Time  int64 // nanoseconds since 1970
	Place Place
	Out   bool   // it leaves; otherwise it came in
	VNI   uint32 // 0: not known
	Len   int    // bytes of the whole frame, or of the UDP payload where Bare
	Data  []byte // as much of it as was kept

	// Reason is why it was dropped, None when it was not, and Direction where it
	// was on its way to. Part says that only a copy was: others were sent.
	Reason    forward.Reason
	Direction forward.Direction
	Part      bool

	// VTEP is who sent it, or where it goes; not valid at an access port.
	VTEP netip.Addr

	// Bare says that Data is the UDP payload of a packet of the underlay, whose
	// outer headers Outer tells.
	Bare  bool
	Outer Outer

	end uint64 // bytes of the ring that are used up to here
}

// Outer is what the outer headers of a packet are written from.
type Outer struct {
	Via        *underlay.Hop // on the way out; nil: the host's stack finds the link
	Group      netip.Addr    // on the way in: that it was sent to; not valid: this VTEP
	SourcePort uint16
	TOS        uint8
}
