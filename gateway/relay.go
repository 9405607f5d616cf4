package gateway

import (
	"net/netip"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

func (r *router) relayRequest(j job) {}
func (r *router) relayReply(j job)   {}

func destination(f frame.Frame) (netip.Addr, []byte) {
	if f.Type() == frame.TypeIPv4 {
		h := ip.IPv4(f.Payload())
		return h.Dst(), h
	}
	h := ip.IPv6(f.Payload())
	return h.Dst(), h
}
