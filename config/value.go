package config

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"vxgw/l2/frame"
)

const (
	// maxInterfaceName is IFNAMSIZ less the final NUL byte.
	maxInterfaceName = 15

	// maxSocketPath is sizeof(sun_path) less the final NUL byte (unix(7)).
	maxSocketPath = 107

	// maxName bounds the names that become labels of metrics.
	maxName = 64

	// minAgeing and maxAgeing are the ends of an ageing time. The upper one is
	// that of IEEE 802.1Q table 8-6; below a second learning is only noise.
	minAgeing = time.Second
	maxAgeing = 1_000_000 * time.Second
)

const (
	wantVTEP    = "the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2"
	wantOwn     = "the address of this VTEP, and where there is a vlan its prefix length, as 192.0.2.1/24 or 2001:db8::1/64"
	wantGroup   = "a multicast address, as 239.119.1.1 or ff0e::1"
	wantPrefix  = "a prefix, as 192.0.2.0/24 or 2001:db8::/32"
	wantGateway = "an address with its prefix length, as 10.1.1.1/24 or 2001:db8:1::1/64"
	wantVia     = "the address of a next hop, as 10.1.1.254"
	wantServer  = "the address of a DHCP server, as 10.9.9.9"
	wantMAC     = "the six bytes of one station, as 02:00:00:00:01:02"
	wantAgeing  = `"0s" for never, or from "1s" to "1000000s"`
	wantPorts   = `first-last, 1..65535, as "49152-65535"`
	wantDSCP    = `"inherit", or a whole number without quotes, 0..63`
	wantHTTP    = `host:port, as "127.0.0.1:9279", or "" for none`
)

// address reads a plain IP address.
func address(s, want string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil && strings.Contains(s, "/"):
		return a, fault("has a prefix length", want)
	case err != nil:
		return a, fault("is not an IP address", want)
	case a.Zone() != "":
		return a, fault("has a zone", want)
	case a.Is4In6():
		return a, fault("is an IPv4 address written as IPv6", strconv.Quote(a.Unmap().String()))
	}
	return a, nil
}

// vtepAddress reads an address that a VTEP can have.
func vtepAddress(s string) (netip.Addr, error) {
	a, err := address(s, wantVTEP)
	if err != nil {
		return a, err
	}
	if wrong := notHost(a); wrong != "" {
		return a, fault(wrong, wantVTEP)
	}
	if a.Is6() && a.IsLinkLocalUnicast() {
		return a, fault("is a link-local address, which names no interface", wantVTEP)
	}
	return a, nil
}

// ownAddress is the address of this VTEP as it is written.
type ownAddress struct {
	addr   netip.Addr
	assign netip.Prefix // the same with its prefix length; the zero Prefix: written without
}

// ownVTEP reads the address of this VTEP.
func ownVTEP(s string) (ownAddress, error) {
	if !strings.Contains(s, "/") {
		a, err := vtepAddress(s)
		return ownAddress{addr: a}, err
	}
	p, err := interfacePrefix(s, "is a link-local address, which no VTEP is reached by", wantOwn)
	return ownAddress{p.Addr(), p}, err
}

// limitedBroadcast is RFC 919 section 7.
var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// notHost says why an address belongs to no single host, "" if it may.
func notHost(a netip.Addr) string {
	switch {
	case a.IsUnspecified():
		return "is the unspecified address"
	case a.IsLoopback():
		return "is a loopback address"
	case a.IsMulticast():
		return "is a multicast address"
	case a == limitedBroadcast:
		return "is the broadcast address"
	}
	return ""
}

// localControl is the block of RFC 5771 section 4: routing protocols and the
// like, never forwarded by a router.
var localControl = netip.MustParsePrefix("224.0.0.0/24")

// groupAddress reads a multicast address that can carry a VNI.
func groupAddress(s string) (netip.Addr, error) {
	a, err := address(s, wantGroup)
	switch {
	case err != nil:
		return a, err
	case !a.IsMulticast():
		return a, fault("is not a multicast address", wantGroup)
	case localControl.Contains(a):
		return a, fault("is reserved for routing protocols", wantGroup)
	case a.IsInterfaceLocalMulticast():
		return a, fault("never leaves this machine", wantGroup)
	}
	return a, nil
}

// viaAddress reads an address that a neighbour can have.
func viaAddress(s string) (netip.Addr, error) { return hostAddress(s, wantVia) }

// serverAddress reads an address that a server far away can have.
func serverAddress(s string) (netip.Addr, error) {
	a, err := hostAddress(s, wantServer)
	if err == nil && a.IsLinkLocalUnicast() {
		err = fault("is a link-local address, which no route leads to", wantServer)
	}
	return a, err
}

func hostAddress(s, want string) (netip.Addr, error) {
	a, err := address(s, want)
	if err != nil {
		return a, err
	}
	if wrong := notHost(a); wrong != "" {
		return a, fault(wrong, want)
	}
	return a, nil
}

// prefix reads a prefix, or a single address as one of full length. Bits
// beyond the length are refused: in a list of who may send, a slip must not
// silently mean a whole network.
func prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fault("is not a prefix", wantPrefix)
	case p.Addr().Is4In6():
		return p, fault("is an IPv4 prefix written as IPv6", wantPrefix)
	case p != p.Masked():
		return p, fault("has bits set beyond its length",
			fmt.Sprintf("%q for the network or %q for the one address", p.Masked(), netip.PrefixFrom(p.Addr(), p.Addr().BitLen())))
	}
	return p, nil
}

// sourcePrefix reads a prefix that a VTEP can send from.
func sourcePrefix(s string) (netip.Prefix, error) {
	p, err := prefix(s)
	if err == nil && p.Addr().IsMulticast() {
		err = fault("is multicast, which nobody sends from", wantPrefix)
	}
	return p, err
}

// routePrefix reads the destination of a static route.
func routePrefix(s string) (netip.Prefix, error) {
	p, err := prefix(s)
	switch {
	case err != nil:
		return p, err
	case p.Addr().IsMulticast():
		return p, fault("is multicast, which is not routed", wantPrefix)
	case p.Addr().IsLoopback():
		return p, fault("is loopback, which is not routed", wantPrefix)
	}
	return p, nil
}

// gatewayPrefix reads a gateway address with its prefix length.
func gatewayPrefix(s string) (netip.Prefix, error) {
	return interfacePrefix(s, "is link-local, which every gateway has already", wantGateway)
}

// interfacePrefix reads the address of an interface with the length of its
// subnet. linkLocal is what is wrong with an IPv6 link-local one.
func interfacePrefix(s, linkLocal, want string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fault("is not an address with a prefix length", want)
	}
	a := p.Addr()
	wrong := notHost(a)
	switch {
	case a.Is4In6():
		wrong = "is an IPv4 prefix written as IPv6"
	case wrong != "":
	case a.Is6() && a.IsLinkLocalUnicast():
		wrong = linkLocal
	case p.Bits() == 0:
		wrong = "covers every address"
	default:
		wrong = notHostOf(p)
	}
	if wrong != "" {
		return p, fault(wrong, want)
	}
	return p, nil
}

// notHostOf says why the address of p cannot belong to a host of p. Prefixes of
// two addresses and of one have neither a network nor a broadcast address
// (RFC 3021, RFC 6164); on any longer IPv6 subnet the lowest address is that
// of all routers (RFC 4291 section 2.6.1).
func notHostOf(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case p.Bits() >= a.BitLen()-1:
		return ""
	case a == p.Masked().Addr():
		return "is the network's own address"
	case a.Is4() && a == broadcastOf(p):
		return "is the broadcast address"
	}
	return ""
}

// broadcastOf returns the highest address of an IPv4 prefix.
func broadcastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// stationMAC reads the MAC address of one station.
func stationMAC(s string) (frame.MAC, error) {
	m, err := frame.ParseMAC(s)
	switch {
	case err != nil:
		return m, fault("is not a MAC address", wantMAC)
	case m.IsZero():
		return m, fault("is the zero address, which is no station's", wantMAC)
	case m.IsMulticast():
		return m, fault("is a multicast address", wantMAC)
	}
	return m, nil
}

// ageing reads an ageing time.
func ageing(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fault("is not a duration", wantAgeing)
	case d != 0 && (d < minAgeing || d > maxAgeing):
		return 0, fault("is out of range", wantAgeing)
	}
	return d, nil
}

// portRange reads a range of UDP ports.
func portRange(s string) (PortRange, error) {
	first, last, dash := strings.Cut(s, "-")
	a, errA := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	b, errB := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	switch {
	case !dash || errA != nil || errB != nil || a == 0:
		return PortRange{}, fault("is not a range of ports", wantPorts)
	case a > b:
		return PortRange{}, fault("ends before it begins", wantPorts)
	}
	return PortRange{First: uint16(a), Last: uint16(b)}, nil
}

// dscp accepts "inherit" or a number.
func dscp() kind {
	schema := object{"anyOf": []object{{"const": "inherit"}, {"type": "integer", "minimum": 0, "maximum": 63}}}
	return kind{limits: `"inherit" or 0..63`, want: wantDSCP, json: schema, parse: func(raw any) (any, error) {
		if n, ok := raw.(int64); ok {
			if n < 0 || n > 63 {
				return nil, fault("is out of range", wantDSCP)
			}
			return DSCP{Value: uint8(n)}, nil
		}
		s, ok := raw.(string)
		switch {
		case !ok:
			return nil, fault("is "+typeOf(raw), wantDSCP)
		case s != "inherit":
			return nil, fault("is not a DSCP", wantDSCP)
		}
		return DSCP{Inherit: true}, nil
	}}
}

// interfaceName reads a name that a network device can have: dev_valid_name of
// the kernel.
func interfaceName(s string) (string, error) {
	const want = "the name of a network interface, as `ip link` shows it"
	switch {
	case s == "":
		return s, fault("is empty", want)
	case len(s) > maxInterfaceName:
		return s, fault("is longer than 15 bytes", want)
	case s == "." || s == "..":
		return s, fault("is a directory", want)
	case strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == ':' || !unicode.IsGraphic(r) || unicode.IsSpace(r) }):
		return s, fault("has a character that no interface name has", want)
	}
	return s, nil
}

// accessName reads the name of an interface that can be an access port.
func accessName(s string) (string, error) {
	if s == "lo" {
		return s, fault("is the loopback interface", "the name of the interface that faces the hosts")
	}
	return interfaceName(s)
}

// label reads a name for people, of at least lo characters.
func label(lo int) func(string) (string, error) {
	want := fmt.Sprintf("%d to %d printable characters", lo, maxName)
	return func(s string) (string, error) {
		switch n := len([]rune(s)); {
		case n < lo:
			return s, fault("is empty", want)
		case n > maxName:
			return s, fault("is too long", want)
		case printable(s) != s:
			return s, fault("has a control character", want)
		case strings.TrimSpace(s) != s:
			return s, fault("begins or ends with a space", want)
		}
		return s, nil
	}
}

// socketPath reads where a unix socket can be.
func socketPath(s string) (string, error) {
	const want = "an absolute path of at most 107 bytes, as /run/vxgw/control.sock"
	switch {
	case !path.IsAbs(s):
		return s, fault("is not an absolute path", want)
	case len(s) > maxSocketPath:
		return s, fault("is too long for a unix socket", want)
	case strings.HasSuffix(s, "/"):
		return s, fault("is a directory", want)
	case printable(s) != s:
		return s, fault("has a control character", want)
	}
	return s, nil
}

// httpAddress reads where to listen for HTTP; "" is nowhere.
func httpAddress(s string) (string, error) {
	if s == "" {
		return s, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return s, fault("is not host:port", wantHTTP)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return s, fault("has no port in 1..65535", wantHTTP)
	}
	if _, err := netip.ParseAddr(host); err != nil && !isHostName(host) {
		return s, fault("has no host name or IP address before the port", wantHTTP)
	}
	return s, nil
}

// isHostName reports whether s can be a host name (RFC 1123 section 2.1).
// Empty is one: every address of this machine. All digits and dots are not:
// that was to be an address.
func isHostName(s string) bool {
	if s == "" {
		return true
	}
	for _, part := range strings.Split(s, ".") {
		if part == "" || len(part) > 63 || strings.Trim(part, "-") != part {
			return false
		}
		if strings.ContainsFunc(part, func(r rune) bool { return r >= 0x80 || !isBareKey(byte(r)) }) {
			return false
		}
	}
	return strings.ContainsFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
}
