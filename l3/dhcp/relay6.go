package dhcp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// Ports of DHCPv6 (RFC 8415 section 7.2).
const (
	clientPort6 = 546
	serverPort6 = 547
)

// maxRelays is HOP_COUNT_LIMIT (RFC 8415 section 7.6).
const maxRelays = 8

// Relay6 returns what a server is sent of the message of a client, or of another
// relay, with the address peer (RFC 8415 section 19.1): a Relay-forward around it that
// says which link that is on, and where.
func Relay6(msg []byte, peer netip.Addr, l Link) ([]byte, error) {
	m, err := dhcpv6.FromBytes(msg)
	if err != nil {
		return nil, err
	}
	out := &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayForward, LinkAddr: ip16(l.Addr6), PeerAddr: ip16(peer)}
	if m.IsRelay() {
		inner := m.(*dhcpv6.RelayMessage)
		switch {
		case inner.MessageType != dhcpv6.MessageTypeRelayForward:
			return nil, ErrDirection
		case inner.HopCount >= maxRelays:
			return nil, ErrHops
		}
		out.HopCount = inner.HopCount + 1
		if !peer.IsLinkLocalUnicast() {
			out.LinkAddr = net.IPv6unspecified // the relay's own address says it (section 19.1.2)
		}
	} else if !fromClient(m.Type()) {
		return nil, ErrDirection
	}
	out.AddOption(dhcpv6.OptInterfaceID([]byte(l.circuit())))
	// As it came, and not as the library would write it.
	out.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRelayMsg, OptionData: msg})
	return out.ToBytes(), nil
}

// Where the fields of a relay's message and of an option are (RFC 8415 sections 9 and
// 21.1), in bytes.
const (
	relayOptionsAt = 34
	optionHeadLen  = 4
)

// relayMessage returns a copy of the message in a relay's that the library can read,
// as it stands there: written anew it is another one where an option is there twice,
// or is not what the library takes it for.
func relayMessage(msg []byte) []byte {
	for o := msg[relayOptionsAt:]; len(o) >= optionHeadLen; {
		n := optionHeadLen + int(binary.BigEndian.Uint16(o[2:4]))
		if n > len(o) {
			break
		}
		if binary.BigEndian.Uint16(o[0:2]) == uint16(dhcpv6.OptionRelayMsg) {
			return bytes.Clone(o[optionHeadLen:n])
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

// Answer6 returns what is in a server's Relay-reply (RFC 8415 section 19.2).
func Answer6(msg []byte, _ Link) (Reply6, error) {
	m, err := dhcpv6.FromBytes(msg)
	if err != nil {
		return Reply6{}, err
	}
	relay, ok := m.(*dhcpv6.RelayMessage)
	if !ok || relay.MessageType != dhcpv6.MessageTypeRelayReply {
		return Reply6{}, ErrDirection
	}
	inner := relay.Options.RelayMessage()
	to, valid := netip.AddrFromSlice(relay.PeerAddr)
	if inner == nil || !valid {
		return Reply6{}, ErrDirection
	}
	r := Reply6{Msg: relayMessage(msg), To: to, Port: clientPort6, Circuit: string(relay.Options.InterfaceID())}
	if inner.IsRelay() {
		r.Port = serverPort6
	}
	return r, nil
}
