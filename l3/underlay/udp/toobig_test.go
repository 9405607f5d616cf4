package udp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/packet"
)

// outer returns an IP packet of size bytes as the gateway sends it to its peer.
func (a addresses) outer(size int) []byte {
	f := packet.UDP(peerMAC, gwMAC, netip.AddrPortFrom(a.gw, 50123), netip.AddrPortFrom(a.peer, vxlanPort), make([]byte, size-a.overhead()))
	return f[frame.HeaderLen:]
}

// tooBig returns the message, from its ICMP header on, of a router that carries
// mtu bytes and quotes a packet.
func (a addresses) tooBig(mtu uint32, quote []byte) []byte {
	msg := []byte{ip.ICMPUnreachable, ip.ICMPCodeFragmentation, 0, 0}
	if a.gw.Is6() {
		msg = []byte{ip.ICMPv6PacketTooBig, 0, 0, 0}
	}
	msg = append(binary.BigEndian.AppendUint32(msg, mtu), quote...)
	return a.seal(msg)
}

// seal makes the checksum of a message from the peer right.
func (a addresses) seal(msg []byte) []byte {
	pseudo := uint16(0)
	if a.gw.Is6() {
		pseudo = ip.PseudoIPv6(a.peer.As16(), a.gw.As16(), ip.ProtoICMPv6, len(msg))
	}
	msg[2], msg[3] = 0, 0
	binary.BigEndian.PutUint16(msg[2:], ^ip.Sum(msg, pseudo))
	return msg
}

func TestParseTooBigIPv4(t *testing.T) {
	quote := v4.outer(1500)[:28]
	with := func(f func(q []byte)) []byte {
		q := slices.Clone(quote)
		f(q)
		return v4.tooBig(1400, q)
	}
	long := func(n uint16, mtu uint32) []byte {
		q := slices.Clone(quote)
		binary.BigEndian.PutUint16(q[2:], n)
		return v4.tooBig(mtu, q)
	}
	header := func(f func(m []byte)) []byte {
		m := v4.tooBig(1400, quote)
		f(m)
		return v4.seal(m)
	}
	for _, tc := range []struct {
		name string
		msg  []byte
		mtu  int // 0: not believed
	}{
		{"header and 8 bytes", v4.tooBig(1400, quote), 1400},
		{"more is quoted", v4.tooBig(1400, v4.outer(1500)[:548]), 1400},
		{"RFC 4884's length beside the MTU", v4.tooBig(32<<16|1400, quote), 1400},
		{"one byte too long", v4.tooBig(1499, quote), 1499},
		{"what was sent would fit", v4.tooBig(1500, quote), 0},
		{"far more than what was sent", v4.tooBig(65535, quote), 0},
		{"the floor", v4.tooBig(576, quote), 576},
		{"below the floor", v4.tooBig(575, quote), 576},
		{"far below the floor", v4.tooBig(68, quote), 576},
		{"the floor is not below what was sent", long(576, 68), 0},
		{"just above the floor", long(577, 68), 576},
		{"no MTU, 65535 bytes", long(65535, 0), 32000},
		{"no MTU, 1550 bytes", long(1550, 0), 1492},
		{"no MTU, a plateau itself", long(1492, 0), 1006},
		{"no MTU, a little above one", long(1007, 0), 1006},
		{"no MTU, below the last plateau above the floor", long(1006, 0), 576},
		{"no MTU, 60 bytes", long(60, 0), 0},
		{"no MTU, no length", long(0, 0), 0},
		{"wrong checksum", func() []byte { m := v4.tooBig(1400, quote); m[3] ^= 1; return m }(), 0},
		{"port unreachable", header(func(m []byte) { m[1] = 3 }), 0},
		{"time exceeded", header(func(m []byte) { m[0] = ip.ICMPTimeExceeded }), 0},
		{"from another VTEP", with(func(q []byte) { q[15]++ }), 0},
		{"TCP", with(func(q []byte) { q[9] = ip.ProtoTCP }), 0},
		{"another UDP port", with(func(q []byte) { q[23]++ }), 0},
		{"may be fragmented", with(func(q []byte) { q[6] = 0 }), 0},
		{"a later fragment", with(func(q []byte) { q[7] = 1 }), 0},
		{"IP options", with(func(q []byte) { q[0] = 0x46 }), 0},
		{"IP version 6", with(func(q []byte) { q[0] = 0x65 }), 0},
		{"7 bytes behind the header", v4.tooBig(1400, quote[:27]), 0},
		{"nothing quoted", v4.tooBig(1400, nil), 0},
		{"an IPv6 packet quoted", v4.tooBig(1400, v6.outer(1500)), 0},
		{"ICMPv6", v6.tooBig(1400, v6.outer(1500)), 0},
		{"cut off", []byte{3, 4, 0xfc, 0xfb}, 0},
		{"empty", nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) { checkTooBig(t, v4, tc.msg, tc.mtu) })
	}
}

func TestParseTooBigIPv6(t *testing.T) {
	quote := v6.outer(1500)[:48]
	with := func(f func(q []byte)) []byte {
		q := slices.Clone(quote)
		f(q)
		return v6.tooBig(1400, q)
	}
	for _, tc := range []struct {
		name string
		msg  []byte
		mtu  int
	}{
		{"headers", v6.tooBig(1400, quote), 1400},
		{"as much as is quoted", v6.tooBig(1400, v6.outer(1500)[:1232]), 1400},
		{"another code", func() []byte { m := v6.tooBig(1400, quote); m[1] = 7; return v6.seal(m) }(), 1400},
		{"one byte too long", v6.tooBig(1499, quote), 1499},
		{"what was sent would fit", v6.tooBig(1500, quote), 0},
		{"more than an int of 32 bits", v6.tooBig(0xffffffff, quote), 0},
		{"IPv6's least MTU", v6.tooBig(1280, quote), 1280},
		{"less than IPv6's least MTU", v6.tooBig(1279, quote), 0},
		{"no MTU", v6.tooBig(0, quote), 0},
		{"destination unreachable", func() []byte { m := v6.tooBig(1400, quote); m[0] = 1; return v6.seal(m) }(), 0},
		{"from another VTEP", with(func(q []byte) { q[23]++ }), 0},
		{"TCP", with(func(q []byte) { q[6] = ip.ProtoTCP }), 0},
		{"a fragment", with(func(q []byte) { q[6] = ip.ProtoFragment }), 0},
		{"another UDP port", with(func(q []byte) { q[43]++ }), 0},
		{"no length", with(func(q []byte) { q[4], q[5] = 0, 0 }), 0},
		{"IP version 4", with(func(q []byte) { q[0] = 0x45 }), 0},
		{"7 bytes behind the header", v6.tooBig(1400, quote[:47]), 0},
		{"nothing quoted", v6.tooBig(1400, nil), 0},
		{"cut off", []byte{2, 0, 0, 0, 0, 0, 5}, 0},
		{"empty", nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) { checkTooBig(t, v6, tc.msg, tc.mtu) })
	}
}

func checkTooBig(t *testing.T, a addresses, msg []byte, mtu int) {
	t.Helper()
	to, got, ok := parseTooBig(msg, a.gw, vxlanPort)
	if ok != (mtu != 0) || ok && (to != a.peer || got != mtu) {
		t.Errorf("%v carries %d, believed: %t; want %v, %d", to, got, ok, a.peer, mtu)
	}
}

// Whatever comes, nothing is read beyond it, and what is believed is of our
// family, above the floor and below what was quoted.
func FuzzParseTooBig(f *testing.F) {
	for _, a := range families {
		for _, mtu := range []uint32{0, 1, 600, 1300, 1400, 1500} {
			f.Add(a.gw.Is6(), a.tooBig(mtu, a.outer(1500)))
		}
		f.Add(a.gw.Is6(), a.tooBig(1400, a.outer(1500)[:a.overhead()]))
	}
	f.Fuzz(func(t *testing.T, six bool, msg []byte) {
		msg = slices.Clone(msg) // the fuzzer's is not ours to seal
		a, least, length := v4, leastMTU4, func(q []byte) int { return ip.IPv4(q).TotalLen() }
		if six {
			a, least, length = v6, ip.IPv6MinMTU, func(q []byte) int { return ip.IPv6HeaderLen + ip.IPv6(q).PayloadLen() }
		} else if len(msg) >= ip.ICMPHeaderLen {
			a.seal(msg)
		}
		to, mtu, ok := parseTooBig(slices.Clip(msg), a.gw, vxlanPort)
		if ok && (to.Is6() != six || mtu < least || mtu >= length(msg[ip.ICMPHeaderLen:])) {
			t.Fatalf("%v carries %d: % x", to, mtu, msg)
		}
	})
}
