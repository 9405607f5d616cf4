// Package ra makes router advertisements (RFC 4861 section 4.2): their bytes, and
// when to send them. It sends nothing and has no clock.
package ra

import (
	"encoding/binary"
	"math"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/ndp"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

const (
	// DefaultLifetime is how long hosts keep a router that has fallen silent, in
	// seconds: three times the longest interval (RFC 4861 section 6.2.1).
	DefaultLifetime = 3 * maxInterval

	// MaxLen is the most that Put writes, in bytes: a packet that every IPv6 link
	// carries.
	MaxLen = frame.HeaderLen + ip.IPv6MinMTU

	hopLimit     = 255 // RFC 4861 section 6.1.2
	hostsLimit   = 64  // what hosts are to send with (RFC 1700)
	traffic      = 0xc0
	autoBits     = 64 // prefixes that hosts make addresses in by themselves (RFC 4862, RFC 2464 section 4)
	validFor     = 30 * 24 * time.Hour
	preferredFor = 7 * 24 * time.Hour
)

// AllNodes is the group of all hosts of a link (RFC 4291 section 2.7.1).
var AllNodes = netip.MustParseAddr("ff02::1")

// Config is what a router says of itself.
type Config struct {
	MAC      frame.MAC
	Source   netip.Addr // its link-local address
	Prefixes []netip.Prefix
	MTU      int // of the link, in bytes; 0: not said
	Lifetime int // seconds that it is a router for, 65535 at most; 0: no longer

	// Managed says that there are addresses by DHCPv6, Other that there is the
	// rest.
	Managed, Other bool
}

// Put writes into dst the Ethernet frame that advertises a router to a host or a
// group, and returns its length; 0 when it does not fit MaxLen, dst is shorter, or c
// holds what no host believes or no message has room for.
func Put(dst []byte, c Config, to netip.Addr, toMAC frame.MAC) int {
	if len(dst) < MaxLen || !to.Is6() || !c.ok() {
		return 0
	}
	msg, err := ndp.MarshalMessageChecksum(c.message(), c.Source, to)
	if err != nil || len(msg) > ip.IPv6MinMTU-ip.IPv6HeaderLen {
		return 0
	}
	copy(dst[0:6], toMAC[:])
	copy(dst[6:12], c.MAC[:])
	binary.BigEndian.PutUint16(dst[12:14], frame.TypeIPv6)
	ip.IPv6(dst[frame.HeaderLen:]).Encode(ip.IPv6Fields{
		TrafficClass: traffic, PayloadLen: len(msg), NextHeader: ip.ProtoICMPv6, HopLimit: hopLimit,
		Src: c.Source.As16(), Dst: to.As16(),
	})
	return frame.HeaderLen + ip.IPv6HeaderLen + copy(dst[frame.HeaderLen+ip.IPv6HeaderLen:], msg)
}

// ok reports whether c can be said: by a link-local address (RFC 4861 section 6.1.2),
// with a lifetime of 16 bits, of IPv6 prefixes.
func (c Config) ok() bool {
	noPrefix := func(p netip.Prefix) bool { return !p.IsValid() || !p.Addr().Is6() }
	return c.Source.Is6() && c.Source.IsLinkLocalUnicast() && c.Lifetime >= 0 && c.Lifetime <= math.MaxUint16 &&
		!slices.ContainsFunc(c.Prefixes, noPrefix)
}

func (c Config) message() *ndp.RouterAdvertisement {
	m := &ndp.RouterAdvertisement{
		CurrentHopLimit: hostsLimit, ManagedConfiguration: c.Managed, OtherConfiguration: c.Other,
		RouterLifetime: time.Duration(c.Lifetime) * time.Second,
		Options:        []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: net.HardwareAddr(c.MAC[:])}},
	}
	if c.MTU >= ip.IPv6MinMTU {
		m.Options = append(m.Options, ndp.NewMTU(uint32(c.MTU)))
	}
	for _, p := range c.Prefixes {
		m.Options = append(m.Options, &ndp.PrefixInformation{
			PrefixLength: uint8(p.Bits()), OnLink: true, AutonomousAddressConfiguration: p.Bits() == autoBits,
			ValidLifetime: validFor, PreferredLifetime: preferredFor, Prefix: p.Masked().Addr(),
		})
	}
	return m
}
