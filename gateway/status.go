package gateway

import (
	"fmt"
	"net/netip"
)

// Status is how the gateway does, in short.
type Status struct {
	VTEP           netip.Addr
	Underlay       bool   // the VTEP sends and receives
	Reason         string // why it does not
	VNIs           int
	Ports, PortsUp int
}

// Status returns how the gateway does at the moment.
func (g *Gateway) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Status{
		VTEP: g.config().Underlay.Address, Underlay: g.up.dev != nil, Reason: g.up.reason,
		VNIs: len(g.config().VNIs), Ports: len(g.ports),
	}
	for _, p := range g.ports {
		if p.state == Up {
			s.PortsUp++
		}
	}
	return s
}

// String is the line that `systemctl status` shows.
func (s Status) String() string {
	line := fmt.Sprintf("VTEP %s, %d of %d ports up, %d VNIs", s.VTEP, s.PortsUp, s.Ports, s.VNIs)
	if s.Underlay {
		return line
	}
	return line + "; underlay down: " + s.Reason
}
