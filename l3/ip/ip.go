// Package ip is what is true of IP: header views over borrowed bytes, the
// Internet checksum, congestion marks across a tunnel, and the ICMP errors that
// a bridge sends for frames too big for what lies behind it.
//
// A view is a named byte slice. The function that makes it checks the lengths
// once; the methods do not check again.
package ip

// Protocol numbers (IANA "Assigned Internet Protocol Numbers").
const (
	ProtoHopByHop    = 0
	ProtoICMP        = 1
	ProtoTCP         = 6
	ProtoUDP         = 17
	ProtoDCCP        = 33
	ProtoRouting     = 43
	ProtoFragment    = 44
	ProtoICMPv6      = 58
	ProtoDestination = 60
	ProtoSCTP        = 132
	ProtoUDPLite     = 136
)

// HasPorts reports whether the header of protocol p starts with a 16-bit source
// and a 16-bit destination port.
func HasPorts(p uint8) bool {
	switch p {
	case ProtoTCP, ProtoUDP, ProtoSCTP, ProtoDCCP, ProtoUDPLite:
		return true
	}
	return false
}
