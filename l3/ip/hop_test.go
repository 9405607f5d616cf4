package ip

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// with4 returns a header with these options, padded to a multiple of four bytes, a
// payload and a right checksum.
func with4(options []byte, body []byte) IPv4 {
	options = append([]byte(nil), options...)
	for len(options)%4 != 0 {
		options = append(options, optionEnd)
	}
	h := make(IPv4, IPv4HeaderLen+len(options)+len(body))
	h.Encode(IPv4Fields{TotalLen: len(h), ID: 0x1234, TTL: 61, Protocol: ProtoUDP, Src: [4]byte(v4A), Dst: [4]byte(v4B)})
	h[0] += uint8(len(options) / 4)
	copy(h[IPv4HeaderLen:], options)
	copy(h[IPv4HeaderLen+len(options):], body)
	h.SetChecksum(0)
	h.SetChecksum(^Sum(h[:h.HeaderLen()], 0))
	return h
}

// Every TTL, and headers whose words add up to whatever they like: what comes out is
// what computing the checksum anew gives, bit for bit (RFC 1624 section 3).
func TestDecrementTTLIsAFullChecksum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := IPv4(rapid.SliceOfN(rapid.Byte(), IPv4HeaderLen, IPv4HeaderLen).Draw(t, "header"))
		h[0] = 4<<4 | IPv4HeaderLen/4
		for ttl := 1; ttl <= 255; ttl++ {
			h[8] = uint8(ttl)
			h.SetChecksum(0)
			h.SetChecksum(^Sum(h, 0))
			want := bytes.Clone(h)
			want[8]--
			want[10], want[11] = 0, 0
			binary.BigEndian.PutUint16(want[10:], ^slowSum(want))
			if h.DecrementTTL(); !bytes.Equal(h, want) {
				t.Fatalf("TTL %d: % x, want % x", ttl, h, want)
			}
		}
	})
}

// Every checksum that there is, 0000 and ffff among them: with all TTLs on the way
// from 255 to 0 none goes wrong.
func TestDecrementTTLAtEveryChecksum(t *testing.T) {
	h := with4(nil, nil)
	for id := range 1 << 16 {
		h.SetID(uint16(id))
		h[8] = uint8(id%255) + 1
		h.SetChecksum(0)
		h.SetChecksum(^Sum(h, 0))
		h.DecrementTTL()
		got := h.Checksum()
		h.SetChecksum(0)
		if want := ^slowSum(h); got != want {
			t.Fatalf("ID %#04x: checksum %#04x, want %#04x", id, got, want)
		}
	}
}

// A header that came with a wrong checksum leaves with one: what broke it is not
// covered up.
func TestDecrementTTLDoesNotMendAChecksum(t *testing.T) {
	h := with4(nil, nil)
	for off := range uint16(0xfffe) { // ffff more is the same number
		h.SetChecksum(0)
		h[8] = 61
		h.SetChecksum(Add(^Sum(h, 0), off+1))
		if h.DecrementTTL(); h.ChecksumOK() {
			t.Fatalf("a checksum that was wrong by %#04x is right", off+1)
		}
	}
}

func TestDecrementHopLimit(t *testing.T) {
	h := IPv6(build(t, header6(ProtoUDP), payload(8)))
	for limit := 255; limit >= 1; limit-- {
		want := bytes.Clone(h)
		want[7] = uint8(limit - 1)
		h[7] = uint8(limit)
		if h.DecrementHopLimit(); !bytes.Equal(h, want) {
			t.Fatalf("hop limit %d: % x, want % x", limit, h, want)
		}
	}
}

func TestDecrementAllocatesNothing(t *testing.T) {
	h4, h6 := with4(nil, nil), IPv6(build(t, header6(ProtoUDP), payload(8)))
	if n := testing.AllocsPerRun(100, func() { h4.DecrementTTL(); h6.DecrementHopLimit() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestOptions(t *testing.T) {
	route := func(typ byte) []byte { return []byte{typ, 7, 4, 10, 9, 9, 9} }
	many := bytes.Repeat([]byte{optionNOP}, 33)
	for _, tc := range []struct {
		name       string
		options    []byte
		ok, routed bool
	}{
		{"none", nil, true, false},
		{"no operation alone", []byte{1, 1, 1, 1}, true, false},
		{"end at once", []byte{0, 0, 0, 0}, true, false},
		{"router alert (RFC 2113)", []byte{148, 4, 0, 0}, true, false},
		{"record route", route(7), true, false},
		{"loose source route", route(131), true, true},
		{"strict source route", route(137), true, true},
		{"loose behind no operation, as hosts align it", append([]byte{1}, route(131)...), true, true},
		{"strict behind a router alert", append([]byte{148, 4, 0, 0}, route(137)...), true, true},
		{"loose at the very end of a full header", append(bytes.Clone(many), route(131)...), true, true},
		{"a route without room for an address", []byte{131, 3, 4}, true, true},
		{"a route behind the end is no route", append([]byte{0}, route(131)...), true, false},
		{"a route within another option is none", append([]byte{7, 9}, route(131)...), true, false},
		{"what is behind the end does not count", []byte{0, 7, 99, 1}, true, false},
		{"length 0", []byte{7, 0, 1, 1}, false, false},
		{"length 1", []byte{7, 1, 1, 1}, false, false},
		{"length 2, the least", []byte{7, 2, 1, 1}, true, false},
		{"length beyond the header", []byte{7, 5, 1, 1}, false, false},
		{"length to the header's end", []byte{7, 4, 1, 1}, true, false},
		{"a type alone in the last byte", []byte{1, 1, 1, 7}, false, false},
		{"a lie behind a route", append(route(131), 7, 200), false, true},
		{"a route that is itself a lie", []byte{131, 8, 4, 0}, false, false},
		{"a route behind a lie", append([]byte{7, 0}, route(131)...), false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := with4(tc.options, payload(8))
			if got := h.OptionsOK(); got != tc.ok {
				t.Errorf("OptionsOK is %t, want %t", got, tc.ok)
			}
			if got := h.SourceRouted(); got != tc.routed {
				t.Errorf("SourceRouted is %t, want %t", got, tc.routed)
			}
		})
	}
}

// A payload that looks like an option is none.
func TestOptionsEndWithTheHeader(t *testing.T) {
	h := with4([]byte{1, 1, 1, 1}, []byte{131, 7, 4, 10, 9, 9, 9, 0})
	if h.SourceRouted() || !h.OptionsOK() {
		t.Errorf("read on into the payload: routed %t, ok %t", h.SourceRouted(), h.OptionsOK())
	}
}

func TestRoutingHeader0(t *testing.T) {
	next := func(p byte, units byte, rest ...byte) []byte {
		return append([]byte{p, units}, append(rest, make([]byte, 6+8*int(units)-len(rest))...)...)
	}
	hop := func(p byte) []byte { return next(p, 0, 1, 4) } // PadN
	rh := func(p byte, typ byte) []byte { return next(p, 2, typ, 1) }
	fragment := func(p byte, offset uint16) []byte {
		return []byte{p, 0, byte(offset >> 8), byte(offset), 0, 0, 0, 1}
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	times := func(n int, last []byte) []byte {
		var b []byte
		for range n {
			b = append(b, hop(ProtoDestination)...)
		}
		b[len(b)-8] = ProtoRouting
		return append(b, last...)
	}
	for _, tc := range []struct {
		name  string
		first uint8
		body  []byte
		want  bool
	}{
		{"UDP", ProtoUDP, payload(16), false},
		{"alone", ProtoRouting, rh(ProtoUDP, 0), true},
		{"type 2 (RFC 6275)", ProtoRouting, rh(ProtoUDP, 2), false},
		{"type 4 (RFC 8754)", ProtoRouting, rh(ProtoUDP, 4), false},
		{"with no segments left", ProtoRouting, next(ProtoUDP, 2, 0, 0), true},
		{"behind Hop-by-Hop", ProtoHopByHop, join(hop(ProtoRouting), rh(ProtoUDP, 0)), true},
		{"behind a long Destination Options", ProtoDestination, join(next(ProtoRouting, 3), rh(ProtoUDP, 0)), true},
		{"behind a Routing header of type 2", ProtoRouting, join(rh(ProtoRouting, 2), rh(ProtoUDP, 0)), true},
		{"behind the Fragment header of a first fragment", ProtoFragment, join(fragment(ProtoRouting, 1), rh(ProtoUDP, 0)), true},
		{"behind an atomic fragment's header (RFC 6946)", ProtoFragment, join(fragment(ProtoRouting, 0), rh(ProtoUDP, 0)), true},
		{"data of a later fragment is no header", ProtoFragment, join(fragment(ProtoRouting, 8|1), rh(ProtoUDP, 0)), false},
		{"nor of the last one", ProtoFragment, join(fragment(ProtoDestination, 1480), hop(ProtoRouting), rh(ProtoUDP, 0)), false},
		{"behind UDP", ProtoUDP, join(payload(8), rh(ProtoUDP, 0)), false},
		{"in the payload of no next header", 59, rh(ProtoUDP, 0), false},
		{"as the eighth header", ProtoDestination, times(7, rh(ProtoUDP, 0)), true},
		{"as the ninth: not walked to", ProtoDestination, times(8, rh(ProtoUDP, 0)), false},
		{"cut within its first eight bytes", ProtoRouting, rh(ProtoUDP, 0)[:7], false},
		{"cut behind them", ProtoRouting, rh(ProtoUDP, 0)[:8], true},
		{"behind a header that is longer than the packet", ProtoHopByHop, join([]byte{ProtoRouting, 200}, make([]byte, 6), rh(ProtoUDP, 0)), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := append(build(t, header6(0)), tc.body...)
			h := IPv6(b)
			h[6] = tc.first
			h.SetPayloadLen(len(tc.body))
			if got := h.RoutingHeader0(); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}

// Whatever the options are, walking them ends, stays inside, and says of a route what
// is true of one that can be walked to.
func FuzzOptions(f *testing.F) {
	f.Add([]byte{131, 7, 4, 10, 9, 9, 9, 0})
	f.Add([]byte{1, 148, 4, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, o []byte) {
		o = o[:min(len(o), IPv4MaxHeaderLen-IPv4HeaderLen)]
		h := with4(o, nil)
		o = h.options()
		walked, routed, clean := 0, false, false
		for walked < len(o) {
			if clean = o[walked] == optionEnd; clean {
				break
			}
			n := 1
			if o[walked] != optionNOP {
				if walked+1 == len(o) || o[walked+1] < 2 || walked+int(o[walked+1]) > len(o) {
					break
				}
				n = int(o[walked+1])
			}
			routed = routed || o[walked] == 131 || o[walked] == 137
			walked += n
		}
		if ok := clean || walked == len(o); h.OptionsOK() != ok || h.SourceRouted() != routed {
			t.Fatalf("% x: ok %t, routed %t, want %t, %t", o, h.OptionsOK(), h.SourceRouted(), ok, routed)
		}
	})
}

// A packet that Upper reads to its end without a Routing header has none of type 0.
func FuzzRoutingHeader0(f *testing.F) {
	f.Add(append(build(f, header6(0)), 43, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= IPv6HeaderLen {
			b[0] = 6 << 4
			IPv6(b).SetPayloadLen(min(len(b)-IPv6HeaderLen, 0xffff))
		}
		h, ok := ParseIPv6(b)
		if !ok {
			return
		}
		if u, whole := h.Upper(); whole && !u.Routed && h.RoutingHeader0() {
			t.Fatalf("a Routing header where Upper saw none: %+v", u)
		}
	})
}
