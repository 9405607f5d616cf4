package dhcp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// Ports of DHCPv6 (RFC 8415 section 7.2).
const (
	clientPort6 = 546
	serverPort6 = 547
)

// maxRelays is HOP_COUNT_LIMIT (RFC 8415 section 7.6).
const maxRelays = 8

// Where the options of a message are, and the fields of a relay's (RFC 8415 sections 8
// and 9), in bytes.
const (
	optionsAt      = 4
	hopCountAt     = 1
	peerAt         = 18
	relayOptionsAt = 34
	optionHeadLen  = 4 // RFC 8415 section 21.1
)

// Relay6 returns what a server is sent of the message of a client, or of another
// relay, with the address peer (RFC 8415 section 19.1): a Relay-forward around it that
// says which link that is on, and where. What its options hold is the server's to
// judge: a host that does one of them badly is to hear so from there.
func Relay6(msg []byte, peer netip.Addr, l Link) ([]byte, error) {
	if !isWhole6(msg) {
		return nil, ErrFormat
	}
	out := &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayForward, LinkAddr: ip16(l.Addr6), PeerAddr: ip16(peer)}
	switch t := dhcpv6.MessageType(msg[0]); {
	case t == dhcpv6.MessageTypeRelayForward:
		if msg[hopCountAt] >= maxRelays {
			return nil, ErrHops
		}
		out.HopCount = msg[hopCountAt] + 1
		if !peer.IsLinkLocalUnicast() {
			out.LinkAddr = net.IPv6unspecified // the relay's own address says it (section 19.1.2)
		}
	case !fromClient(t):
		return nil, ErrDirection
	}
	out.AddOption(dhcpv6.OptInterfaceID([]byte(l.circuit())))
	// As it came, and not as the library would write it.
	out.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRelayMsg, OptionData: msg})
	if !isRelay(msg) && !l.MAC.IsZero() {
		// The first relay alone knows it (RFC 6939 section 5).
		out.AddOption(dhcpv6.OptClientLinkLayerAddress(iana.HWTypeEthernet, net.HardwareAddr(l.MAC[:])))
	}
	return out.ToBytes(), nil
}

// isRelay reports whether a message is from a relay, or for one.
func isRelay(msg []byte) bool {
	t := dhcpv6.MessageType(msg[0])
	return t == dhcpv6.MessageTypeRelayForward || t == dhcpv6.MessageTypeRelayReply
}

// isWhole6 reports whether a message has its fixed part, and behind it options that
// fill it.
func isWhole6(msg []byte) bool {
	at := optionsAt
	if len(msg) > 0 && isRelay(msg) {
		at = relayOptionsAt
	}
	if len(msg) < at {
		return false
	}
	for o := msg[at:]; len(o) > 0; {
		n, ok := optionLen6(o)
		if !ok {
			return false
		}
		o = o[n:]
	}
	return true
}

// optionLen6 returns the length of the option that o starts with, head included, in
// bytes; false where it is longer than o.
func optionLen6(o []byte) (int, bool) {
	if len(o) < optionHeadLen {
		return 0, false
	}
	n := optionHeadLen + int(binary.BigEndian.Uint16(o[2:4]))
	return n, n <= len(o)
}

// option6 returns what the first option of a code holds, as it stands in a whole
// message of a relay; nil where there is none.
func option6(msg []byte, code dhcpv6.OptionCode) []byte {
	for o := msg[relayOptionsAt:]; len(o) > 0; {
		n, _ := optionLen6(o)
		if binary.BigEndian.Uint16(o[0:2]) == uint16(code) {
			return o[optionHeadLen:n]
		}
		o = o[n:]
	}
	return nil
}

// fromClient reports whether clients send messages of a type (RFC 8415 section 7.3).
func fromClient(t dhcpv6.MessageType) bool {
	switch t {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeConfirm, dhcpv6.MessageTypeRenew,
		dhcpv6.MessageTypeRebind, dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline, dhcpv6.MessageTypeInformationRequest:
		return true
	}
	return false
}

func ip16(a netip.Addr) net.IP {
	b := a.As16()
	return net.IP(b[:])
}

// Reply6 is what a client, or another relay, is to get.
type Reply6 struct {
	Msg     []byte
	To      netip.Addr
	Port    uint16
	Circuit string // where it is, as Relay6 wrote it; "" where the server did not say
}

// Answer6 returns what is in a server's Relay-reply, as it stands there (RFC 8415
// section 19.2).
func Answer6(msg []byte) (Reply6, error) {
	switch {
	case !isWhole6(msg):
		return Reply6{}, ErrFormat
	case dhcpv6.MessageType(msg[0]) != dhcpv6.MessageTypeRelayReply:
		return Reply6{}, ErrDirection
	}
	inner := option6(msg, dhcpv6.OptionRelayMsg)
	if !isWhole6(inner) {
		return Reply6{}, ErrFormat
	}
	r := Reply6{
		Msg: bytes.Clone(inner), To: netip.AddrFrom16([16]byte(msg[peerAt:relayOptionsAt])), Port: clientPort6,
		Circuit: string(option6(msg, dhcpv6.OptionInterfaceID)),
	}
	if isRelay(inner) {
		r.Port = serverPort6
	}
	return r, nil
}
