package xdp

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// Hosts find places: those of a subnet, of many subnets, and of many sites. Of as many
// as a quarter of the places next to all do.
func TestRoutesFindPlaces(t *testing.T) {
	four := func(n uint32) netip.Addr { return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n))) }
	six := func(net, host uint64) netip.Addr {
		b := binary.BigEndian.AppendUint64(nil, net)
		return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(b, host)))
	}
	const n = 1024
	for name, addr := range map[string]func(i int) netip.Addr{
		"IPv4, in a row":        func(i int) netip.Addr { return four(0x0a010100 + uint32(i)) },
		"IPv4, one of each /24": func(i int) netip.Addr { return four(0x0a00000a + uint32(i)<<8) },
		"IPv4, one of each /16": func(i int) netip.Addr { return four(0x0a00000a + uint32(i)<<16) },
		"IPv6, in a row":        func(i int) netip.Addr { return six(0x20010db8_00010000, 1+uint64(i)) },
		"IPv6, one of each /64": func(i int) netip.Addr { return six(0x20010db8_00010000+uint64(i), 10) },
		"IPv6, one of each /48": func(i int) netip.Addr { return six(0x20010db8_00000000+uint64(i)<<16, 10) },
	} {
		r, lost := newRoutes(make([]fastRoute, 4*n), newSeed()), 0
		for i := range n {
			if !r.put(&Route{Addr: addr(i)}, 1) {
				lost++
			}
		}
		// By chance alone some 34 of 1024 meet two others in one of 2048 pairs of places.
		if lost > n/8 {
			t.Errorf("%s: there is no place for %d of %d", name, lost, n)
		}
	}
}
