// Package dhcp is a relay agent: it makes of what a client broadcasts what a server
// far away is sent, and of that server's answer what the client is to get (RFC 2131,
// RFC 1542, RFC 3046; RFC 8415 for IPv6). It has no sockets and no clock: bytes come
// in and go out.
//
// IPv4 messages are changed in place, byte by byte, and not written anew: what the
// agent does not know, and the order of options, is nobody's business but the
// client's and the server's.
package dhcp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"vxgw/l2/frame"
)

// Link is the network that a client is in, and where in it.
type Link struct {
	VNI     uint32
	Circuit string     // where the client is: "port eth1" or "vtep 192.0.2.2"
	Addr    netip.Addr // the gateway's IPv4 address there: giaddr
	Addr6   netip.Addr // the gateway's global IPv6 address there: link-address
	Name    string     // of this gateway: the remote id
	MAC     frame.MAC  // the client's; zero where it is not known

	// Own reports whether an address is one of the gateway's, there or elsewhere;
	// nil: only Addr is.
	Own func(netip.Addr) bool
}

func (l Link) owns(a netip.Addr) bool { return a == l.Addr || l.Own != nil && l.Own(a) }

// circuit is what stands in option 82, and in an interface id.
func (l Link) circuit() string { return fmt.Sprintf("%d:%s", l.VNI, l.Circuit) }

// Where the fields of a message are (RFC 2131 section 2), in bytes.
const (
	opAt     = 0
	hopsAt   = 3
	giaddrAt = 24
	optionAt = 240 // behind the magic cookie

	minLen     = 300  // of a BOOTP message (RFC 1542 section 2.1)
	maxLen     = 1472 // what fits a packet of 1,500 bytes behind IP and UDP headers
	maxHops    = 16   // RFC 1542 section 4.1.1
	maxOption  = 255
	optionPad  = 0
	optionEnd  = 255
	optionRAI  = 82
	circuitID  = 1
	remoteID   = 2
	bootReq    = 1
	bootReply  = 2
	hwEthernet = 1
)

// Why a message is not relayed.
var (
	ErrFormat    = errors.New("it is cut, or its options do not fill it")
	ErrDirection = errors.New("it is no message in this direction")
	ErrHops      = errors.New("it has passed too many relays, or one twice")
	ErrOption82  = errors.New("a client put relay information into it (RFC 3046 section 2.1)")
	ErrGiaddr    = errors.New("its giaddr is not the gateway's there")
	ErrHardware  = errors.New("its client is not on Ethernet")
	ErrAddress   = errors.New("the gateway has no address of its family there")
)

// Relay4 returns what a server is sent of a client's message (RFC 1542 section 4.1.1):
// with one hop more, the gateway's address as giaddr, and where the client is in
// option 82. A message that another relay has put its address into goes on with that,
// and with that relay's option; one that has an address of the gateway's is a client's
// that would be answered in another network, and is refused (RFC 3046 section 2.1.1).
// Where there is no room for the option it is left out (RFC 3046 section 2.1).
func Relay4(msg []byte, l Link) ([]byte, error) {
	m, err := parse4(msg, bootReq)
	if err != nil {
		return nil, err
	}
	own := !m.GatewayIPAddr.IsUnspecified() && m.GatewayIPAddr.To4() != nil
	relayed, _ := netip.AddrFromSlice(m.GatewayIPAddr.To4())
	switch {
	case !l.Addr.Is4():
		return nil, ErrAddress
	case m.HopCount >= maxHops, l.owns(relayed):
		return nil, ErrHops
	case !own && m.Options.Has(dhcpv4.OptionRelayAgentInformation):
		return nil, ErrOption82
	}
	out := bytes.Clone(msg)
	out[hopsAt]++
	if own {
		return pad(out), nil
	}
	giaddr := l.Addr.As4()
	copy(out[giaddrAt:], giaddr[:])
	return pad(addOption(out, l)), nil
}

// addOption puts option 82 in front of the end of the options: it is the last (RFC
// 3046 section 2.0).
func addOption(msg []byte, l Link) []byte {
	at := endOfOptions(msg)
	circuit, remote := l.circuit(), l.Name
	n := 2 + len(circuit) + 2 + len(remote)
	if at < 0 || n > maxOption || at+2+n+1 > maxLen {
		return msg
	}
	out := append(msg[:at:at], optionRAI, byte(n), circuitID, byte(len(circuit)))
	out = append(out, circuit...)
	out = append(out, remoteID, byte(len(remote)))
	out = append(out, remote...)
	return append(out, optionEnd)
}

// endOfOptions returns where the end option is, -1 where there is none.
func endOfOptions(msg []byte) int {
	for i := optionAt; i < len(msg); {
		switch {
		case msg[i] == optionEnd:
			return i
		case msg[i] == optionPad:
			i++
		case i+1 >= len(msg):
			return -1
		default:
			i += 2 + int(msg[i+1])
		}
	}
	return -1
}

// pad makes a message as long as old servers and clients want it.
func pad(msg []byte) []byte {
	for len(msg) < minLen {
		msg = append(msg, optionPad)
	}
	return msg
}

// Reply4 is what a client is to get.
type Reply4 struct {
	Msg       []byte
	To        netip.Addr
	MAC       frame.MAC
	Broadcast bool   // it goes to everybody: To and MAC are the broadcast addresses
	Circuit   string // where the client is, as Relay4 wrote it; "" where the server did not say
}

// Answer4 returns what becomes of a server's answer that came to the gateway's address
// in a network (RFC 1542 section 4.1.2, RFC 2131 section 4.1): without option 82, to
// everybody where the client has asked for that, and else to the address that it is
// about to have.
func Answer4(msg []byte, l Link) (Reply4, error) {
	m, err := parse4(msg, bootReply)
	if err != nil {
		return Reply4{}, err
	}
	if a, _ := netip.AddrFromSlice(m.GatewayIPAddr.To4()); a != l.Addr {
		return Reply4{}, ErrGiaddr
	}
	r := Reply4{Msg: pad(withoutOption(bytes.Clone(msg)))}
	if info := m.RelayAgentInfo(); info != nil {
		r.Circuit = string(info.Get(dhcpv4.AgentCircuitIDSubOption))
	}
	to, _ := netip.AddrFromSlice(m.YourIPAddr.To4())
	if to.IsUnspecified() {
		to, _ = netip.AddrFromSlice(m.ClientIPAddr.To4())
	}
	copy(r.MAC[:], m.ClientHWAddr)
	r.To = to
	if m.IsBroadcast() || !to.IsValid() || to.IsUnspecified() {
		r.Broadcast, r.To, r.MAC = true, netip.AddrFrom4([4]byte{255, 255, 255, 255}), frame.Broadcast
	}
	return r, nil
}

// withoutOption takes option 82 out of a message.
func withoutOption(msg []byte) []byte {
	for i := optionAt; i+1 < len(msg) && msg[i] != optionEnd; {
		switch n := 2 + int(msg[i+1]); {
		case msg[i] == optionPad:
			i++
		case msg[i] == optionRAI && i+n <= len(msg):
			msg = append(msg[:i], msg[i+n:]...)
		default:
			i += n
		}
	}
	return msg
}

// parse4 reads a message and asks what every one must answer.
func parse4(msg []byte, op byte) (*dhcpv4.DHCPv4, error) {
	m, err := dhcpv4.FromBytes(msg)
	switch {
	case err != nil:
		return nil, err
	case msg[opAt] != op:
		return nil, ErrDirection
	case m.HWType != hwEthernet || len(m.ClientHWAddr) != 6:
		return nil, ErrHardware
	}
	return m, nil
}
