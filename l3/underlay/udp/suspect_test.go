package udp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/packet"
)

// good returns an IP packet for the gateway with n bytes of UDP payload.
func good(a addresses, n int) []byte {
	f := packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(a.peer, 50000), netip.AddrPortFrom(a.gw, vxlanPort), bytes.Repeat([]byte{0xa5}, n))
	return f[frame.HeaderLen:]
}

// change returns a copy of p that f has changed, with a right IPv4 header
// checksum if it is one.
func change(p []byte, f func(p []byte)) []byte {
	p = bytes.Clone(p)
	f(p)
	return resum(p)
}

// resum makes the header checksum of an IPv4 packet right.
func resum(p []byte) []byte {
	h := ip.IPv4(p)
	if p[0]>>4 == 4 && h.HeaderLen() >= 20 && h.HeaderLen() <= len(p) {
		h.SetChecksum(0)
		h.SetChecksum(^ip.Sum(h[:h.HeaderLen()], 0))
	}
	return p
}

func put16(p []byte, off int, v uint16) { binary.BigEndian.PutUint16(p[off:], v) }

// extended puts extension headers, the first of which is of kind first, between
// the IPv6 and the UDP header of p.
func extended(p []byte, first uint8, headers ...byte) []byte {
	e := append(append(bytes.Clone(p[:40]), headers...), p[40:]...)
	e[6] = first
	put16(e, 4, uint16(len(e)-40))
	return e
}

type suspect struct {
	name string
	p    []byte
	want flaw

	delivered int // how many of these the kernel gives to the socket
}

func suspects4Table() []suspect {
	p := good(v4, 100)
	options := append(append(bytes.Clone(p[:20]), 1, 1, 1, 0), p[20:]...)
	put16(options, 2, uint16(len(options)))
	options[0] = 0x46
	return []suspect{
		{"good", p, fine, 1},
		{"no payload", good(v4, 0), fine, 1},
		{"padded on the link", append(bytes.Clone(p), make([]byte, 40)...), fine, 1},
		{"options", resum(options), fine, 1},
		{"options and a wrong checksum", func() []byte { q := resum(bytes.Clone(options)); q[8]++; return q }(), malformed, 0},
		{"UDP length short of the packet", change(p, func(p []byte) { put16(p, 24, 50); put16(p, 26, 0) }), fine, 1},
		{"first fragment", change(p, func(p []byte) { put16(p, 6, 0x2000) }), fragment, 0},
		{"first fragment with DF", change(p, func(p []byte) { put16(p, 6, 0x6000); put16(p, 4, 1) }), fragment, 0},
		{"last fragment", change(p, func(p []byte) { put16(p, 6, 185); put16(p, 4, 2) }), fragment, 0},
		{"offset one", change(p, func(p []byte) { put16(p, 6, 1); put16(p, 4, 3) }), fragment, 0},
		{"first fragment for another port", change(p, func(p []byte) { put16(p, 6, 0x2000); put16(p, 22, 53); put16(p, 4, 4) }), fine, 0},
		{"tiny first fragment", change(p[:22], func(p []byte) { put16(p, 6, 0x2000); put16(p, 2, 22); put16(p, 4, 5) }), fragment, 0},
		{"header checksum wrong by one", func() []byte { q := bytes.Clone(p); put16(q, 10, ip.IPv4(q).Checksum()+1); return q }(), malformed, 0},
		{"header checksum zero", func() []byte { q := bytes.Clone(p); put16(q, 10, 0); return q }(), malformed, 0},
		{"fragment with a wrong header checksum", func() []byte { q := bytes.Clone(p); put16(q, 6, 0x2000); return q }(), malformed, 0},
		{"version 6", change(p, func(p []byte) { p[0] = 0x65 }), malformed, 0},
		{"version 5", change(p, func(p []byte) { p[0] = 0x55 }), malformed, 0},
		{"IHL 4", change(p, func(p []byte) { p[0] = 0x44 }), malformed, 0},
		{"IHL 0", change(p, func(p []byte) { p[0] = 0x40 }), malformed, 0},
		{"IHL beyond the packet", change(p[:28], func(p []byte) { p[0] = 0x4f; put16(p, 2, 28) }), malformed, 0},
		{"total length beyond the packet", change(p, func(p []byte) { put16(p, 2, uint16(len(p)+1)) }), malformed, 0},
		{"total length less than the header", change(p, func(p []byte) { put16(p, 2, 19) }), malformed, 0},
		{"total length without UDP", change(p, func(p []byte) { put16(p, 2, 20) }), malformed, 0},
		{"total length within UDP", change(p, func(p []byte) { put16(p, 2, 27) }), malformed, 0},
		{"UDP length beyond the packet", change(p, func(p []byte) { put16(p, 24, 109) }), malformed, 0},
		{"UDP length 7", change(p, func(p []byte) { put16(p, 24, 7) }), malformed, 0},
		{"UDP length 0", change(p, func(p []byte) { put16(p, 24, 0) }), malformed, 0},
		{"UDP length 65535", change(p, func(p []byte) { put16(p, 24, 65535) }), malformed, 0},
		{"another port and a wrong length", change(p, func(p []byte) { put16(p, 22, 53); put16(p, 24, 7) }), fine, 0},
		{"another port and a wrong checksum", func() []byte { q := bytes.Clone(p); put16(q, 22, 53); put16(q, 10, 0); return q }(), fine, 0},
		{"another address", change(p, func(p []byte) { p[19]++; p[0] = 0x44 }), fine, 0},
		{"TCP", change(p, func(p []byte) { p[9] = 6; put16(p, 6, 0x2000) }), fine, 0},
	}
}

func suspects6Table() []suspect {
	p := good(v6, 100)
	opts := []byte{17, 0, 1, 4, 0, 0, 0, 0} // PadN
	frag := func(offAndMore uint16, id byte) []byte {
		return []byte{17, 0, byte(offAndMore >> 8), byte(offAndMore), 0, 0, 0, id}
	}
	more := func(first uint8, headers ...[]byte) []byte { return extended(p, first, bytes.Join(headers, nil)...) }
	return []suspect{
		{"good", p, fine, 1},
		{"padded on the link", append(bytes.Clone(p), make([]byte, 40)...), fine, 1},
		{"destination options", more(60, opts), fine, 1},
		{"hop-by-hop options", more(0, opts), fine, 1},
		{"UDP length 0, as in a jumbogram", change(p, func(p []byte) {
			put16(p, 44, 0)
		}), fine, 1},
		{"first fragment", more(44, frag(1, 1)), fragment, 0},
		{"last fragment", more(44, frag(8, 2)), fragment, 0},
		{"atomic fragment", more(44, frag(0, 3)), fragment, 1},
		{"fragment behind options", more(60, []byte{44, 0, 1, 4, 0, 0, 0, 0}, frag(8, 4)), fragment, 0},
		{"last fragment of what began with options", more(44, []byte{60, 0, 0, 8, 0, 0, 0, 5}), fragment, 0},
		{"last fragment of TCP", more(44, []byte{6, 0, 0, 8, 0, 0, 0, 6}), fine, 0},
		{"first fragment for another port", change(more(44, frag(1, 7)), func(p []byte) { put16(p, 50, 53) }), fine, 0},
		{"version 4", change(p, func(p []byte) { p[0] = 0x40 }), malformed, 0},
		{"payload length beyond the packet", change(p, func(p []byte) { put16(p, 4, uint16(len(p)-39)) }), malformed, 0},
		{"payload length 0", change(p, func(p []byte) { put16(p, 4, 0) }), malformed, 0},
		{"payload length within UDP", change(p, func(p []byte) { put16(p, 4, 7) }), malformed, 0},
		{"payload length within UDP, UDP length 0", change(p, func(p []byte) { put16(p, 4, 7); put16(p, 44, 0) }), malformed, 0},
		{"UDP length beyond the packet", change(p, func(p []byte) { put16(p, 44, 109) }), malformed, 0},
		{"UDP length 7", change(p, func(p []byte) { put16(p, 44, 7) }), malformed, 0},
		{"UDP length beyond the packet, behind options", change(more(60, opts), func(p []byte) { put16(p, 52, 109) }), malformed, 0},
		{"options beyond the packet", change(extended(good(v6, 10), 60, opts...), func(p []byte) { p[41] = 200 }), malformed, 0},
		{"another port and a wrong length", change(p, func(p []byte) { put16(p, 42, 53); put16(p, 44, 7) }), fine, 0},
		{"another address", change(p, func(p []byte) { p[39]++; put16(p, 44, 7) }), fine, 0},
		{"TCP", change(p, func(p []byte) { p[6] = 6 }), fine, 0},
	}
}

func judgeOf(a addresses) func([]byte, int) flaw {
	j := judge{a.gw, vxlanPort, new(groupSet)}
	joined := make(map[netip.Addr]struct{})
	for _, g := range groups[a.name] {
		joined[g] = struct{}{}
	}
	j.groups.set.Store(&joined)
	if a.gw.Is4() {
		return j.ipv4
	}
	return j.ipv6
}

func tableOf(a addresses) []suspect {
	if a.gw.Is4() {
		return suspects4Table()
	}
	return suspects6Table()
}

func TestJudge(t *testing.T) {
	for _, a := range families {
		look := judgeOf(a)
		for _, tt := range tableOf(a) {
			if got := look(tt.p, len(tt.p)); got != tt.want {
				t.Errorf("%s %s: flaw %d, want %d", a.name, tt.name, got, tt.want)
			}
			// A reader that takes only the start, and says how long it was.
			if n := 80; len(tt.p) > n {
				if got := look(tt.p[:n], len(tt.p)); got != tt.want {
					t.Errorf("%s %s, cut off: flaw %d, want %d", a.name, tt.name, got, tt.want)
				}
			}
		}
		if got := look(nil, 0); got != fine {
			t.Errorf("%s, nothing: flaw %d", a.name, got)
		}
	}
}

// passes runs the filter for suspects on a packet.
func passes(t testing.TB, vm *bpf.VM, p []byte) bool {
	t.Helper()
	n, err := vm.Run(p)
	must(t, err)
	return n > 0
}

func newVM(t testing.TB, a addresses) *bpf.VM {
	t.Helper()
	vm, err := bpf.NewVM(suspects(a.gw, vxlanPort))
	must(t, err)
	return vm
}

// TestFilter: what is good costs nothing, what is damaged is let through.
func TestFilter(t *testing.T) {
	for _, a := range families {
		vm := newVM(t, a)
		for _, tt := range tableOf(a) {
			if tt.want != fine && !passes(t, vm, tt.p) {
				t.Errorf("%s %s: kept out", a.name, tt.name)
			}
		}
		for n := range 1400 {
			p := good(a, n)
			rand.NewChaCha8([32]byte{byte(n)}).Read(p[a.overhead():])
			if a.gw.Is4() {
				p = change(p, func(p []byte) { put16(p, 4, uint16(n*997)); p[1], p[8] = byte(n), byte(n) })
			}
			if passes(t, vm, p) {
				t.Fatalf("%s: a good packet with %d bytes was let through", a.name, n)
			}
		}
	}
}

// fuzz: nothing panics, the judge finds no flaw in what the filter leaves out,
// and says no other thing when all it does not see is payload.
func fuzz(f *testing.F, a addresses) {
	for _, tt := range tableOf(a) {
		f.Add(tt.p, uint16(len(tt.p)))
		f.Add(bytes.Replace(tt.p, a.gw.AsSlice(), groups[a.name][0].AsSlice(), 1), uint16(len(tt.p)))
	}
	vm, look := newVM(f, a), judgeOf(a)
	f.Fuzz(func(t *testing.T, p []byte, full uint16) {
		look(p, int(full))
		if got := look(p, len(p)); got != fine && !passes(t, vm, p) {
			t.Errorf("flaw %d is left out by the filter", got)
		}
		if len(p) > snapLen {
			if whole, cut := look(p, len(p)), look(p[:snapLen], len(p)); whole != cut && cut != fine {
				t.Errorf("flaw %d, cut off %d", whole, cut)
			}
		}
	})
}

func FuzzJudgeIPv4(f *testing.F) { fuzz(f, v4) }
func FuzzJudgeIPv6(f *testing.F) { fuzz(f, v6) }

func TestParseSNMP(t *testing.T) {
	const snmp = "Ip: Forwarding InCsumErrors\nIp: 1 99\n" +
		"Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n" +
		"Udp: 1 2 3 4 5 6 7 8 9\nUdpLite: InDatagrams InCsumErrors\nUdpLite: 0 98\n"
	const snmp6 = "Ip6InReceives                   \t6\nUdp6InErrors                    \t3\n" +
		"Udp6RcvbufErrors                \t5\nUdp6InCsumErrors                \t7\nUdp6MemErrors                   \t9\nUdpLite6InCsumErrors            \t98\n"
	for _, tt := range []struct {
		name  string
		parse func([]byte) (stackCounts, bool)
		text  string
		want  stackCounts
		ok    bool
	}{
		{"IPv4", parseSNMP, snmp, stackCounts{14, 7}, true},
		{"IPv6", parseSNMP6, snmp6, stackCounts{14, 7}, true},
		{"before MemErrors", parseSNMP, "Udp: InErrors RcvbufErrors InCsumErrors\nUdp: 3 5 7\n", stackCounts{5, 7}, true},
		{"values missing", parseSNMP, "Udp: InErrors RcvbufErrors InCsumErrors\n", stackCounts{}, false},
		{"fewer values", parseSNMP, "Udp: RcvbufErrors InCsumErrors\nUdp: 5\n", stackCounts{5, 0}, false},
		{"no number", parseSNMP, "Udp: InCsumErrors\nUdp: x\n", stackCounts{}, false},
		{"nothing", parseSNMP, "", stackCounts{}, false},
		{"nothing for IPv6", parseSNMP6, "", stackCounts{}, false},
	} {
		if got, ok := tt.parse([]byte(tt.text)); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %+v %v, want %+v %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

// FuzzParseSNMP: no bytes make it panic, and a line of something else changes
// nothing.
func FuzzParseSNMP(f *testing.F) {
	f.Add([]byte("Udp: InErrors RcvbufErrors InCsumErrors\nUdp: 3 5 7\n"))
	f.Add([]byte("Udp6RcvbufErrors \t5\nUdp6InCsumErrors \t7\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) (stackCounts, bool){parseSNMP, parseSNMP6} {
			want, wantOK := parse(b)
			if got, ok := parse(append([]byte("Tcp: 1\n"), b...)); got != want || ok != wantOK {
				t.Errorf("%+v %v, alone %+v %v", got, ok, want, wantOK)
			}
		}
	})
}
