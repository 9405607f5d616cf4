package ip

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// segment builds a TCP segment with these options, over IPv4 or IPv6.
func segment(t testing.TB, v6 bool, flags func(*layers.TCP), options ...layers.TCPOption) []byte {
	t.Helper()
	tcp := &layers.TCP{SrcPort: 40000, DstPort: 80, Seq: 0x12345678, Window: 64240, Options: options}
	flags(tcp)
	if v6 {
		ip := header6(layers.IPProtocolTCP)
		must(t, tcp.SetNetworkLayerForChecksum(ip))
		return build(t, ethernet(layers.EthernetTypeIPv6), ip, tcp)
	}
	ip := header4(layers.IPProtocolTCP)
	must(t, tcp.SetNetworkLayerForChecksum(ip))
	return build(t, ethernet(layers.EthernetTypeIPv4), ip, tcp)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func syn(h *layers.TCP)    { h.SYN = true }
func synAck(h *layers.TCP) { h.SYN, h.ACK = true, true }
func ack(h *layers.TCP)    { h.ACK = true }

func mss(n uint16) layers.TCPOption {
	return layers.TCPOption{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: binary.BigEndian.AppendUint16(nil, n)}
}

var (
	nop    = layers.TCPOption{OptionType: layers.TCPOptionKindNop, OptionLength: 1}
	end    = layers.TCPOption{OptionType: layers.TCPOptionKindEndList, OptionLength: 1}
	sackOK = layers.TCPOption{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2}
)

// The value is lowered to what fits (RFC 6691), and nothing else changes: gopacket
// writes the same segment with the lower value.
func TestClampMSS(t *testing.T) {
	const path = 14 + 1400 // so that 1360 fit over IPv4, and 1340 over IPv6
	for _, tc := range []struct {
		name    string
		flags   func(*layers.TCP)
		options []layers.TCPOption
		want4   []layers.TCPOption // nil: it stays
		want6   []layers.TCPOption
	}{
		{name: "SYN", flags: syn, options: []layers.TCPOption{mss(1460)}, want4: []layers.TCPOption{mss(1360)}, want6: []layers.TCPOption{mss(1340)}},
		{name: "SYN and ACK", flags: synAck, options: []layers.TCPOption{mss(8960), sackOK}, want4: []layers.TCPOption{mss(1360), sackOK}, want6: []layers.TCPOption{mss(1340), sackOK}},
		{name: "behind others", flags: syn, options: []layers.TCPOption{sackOK, mss(1460)}, want4: []layers.TCPOption{sackOK, mss(1360)}, want6: []layers.TCPOption{sackOK, mss(1340)}},
		{name: "at an odd place", flags: syn, options: []layers.TCPOption{nop, mss(1460), nop}, want4: []layers.TCPOption{nop, mss(1360), nop}, want6: []layers.TCPOption{nop, mss(1340), nop}},
		{name: "twice", flags: syn, options: []layers.TCPOption{mss(1460), mss(1400)}, want4: []layers.TCPOption{mss(1360), mss(1360)}, want6: []layers.TCPOption{mss(1340), mss(1340)}},
		{name: "fits one of them", flags: syn, options: []layers.TCPOption{mss(1350)}, want6: []layers.TCPOption{mss(1340)}},
		{name: "less already", flags: syn, options: []layers.TCPOption{mss(536)}},
		{name: "behind the end", flags: syn, options: []layers.TCPOption{end, mss(1460)}},
		{name: "none", flags: syn},
		{name: "none, with others", flags: syn, options: []layers.TCPOption{sackOK, nop, nop}},
		{name: "a connection that is open", flags: ack, options: []layers.TCPOption{mss(1460)}},
	} {
		for _, v6 := range []bool{false, true} {
			name, want := tc.name+" over IPv4", tc.want4
			if v6 {
				name, want = tc.name+" over IPv6", tc.want6
			}
			t.Run(name, func(t *testing.T) {
				f := segment(t, v6, tc.flags, tc.options...)
				is := slices.Clone(f)
				expect := f
				if want != nil {
					expect = segment(t, v6, tc.flags, want...)
				}
				if changed := ClampMSS(is, path); changed != (want != nil) {
					t.Errorf("changed: %v", changed)
				}
				if d := cmp.Diff(expect, is); d != "" {
					t.Error(d)
				}
				if ClampMSS(is, path) {
					t.Error("it changes again")
				}
			})
		}
	}
}

// What is none, or cannot be read, stays as it is.
func TestClampMSSLeavesAlone(t *testing.T) {
	at := func(f []byte, i int, b ...byte) []byte {
		copy(f[i:], b)
		return f
	}
	four := func() []byte { return segment(t, false, syn, mss(1460), sackOK) }
	six := func() []byte { return segment(t, true, syn, mss(1460), sackOK) }
	for name, f := range map[string][]byte{
		"nothing":                  {},
		"no IP":                    at(four(), 12, 0x08, 0x06),
		"a fragment":               at(four(), 20, 0x20, 0),
		"the rest of a packet":     at(four(), 20, 0, 3),
		"UDP":                      at(four(), 23, 17),
		"UDP over IPv6":            at(six(), 20, 17),
		"a fragment over IPv6":     at(six(), 20, 44, 64, 0x30, 0x39, 0, 0x50, 0, 1),
		"longer than it is":        at(four(), 16, 0x7f, 0xff),
		"options that are not":     at(four(), 46, 0xf0),
		"too short a header":       at(four(), 46, 0x40),
		"an option of no length":   at(four(), 54, 3, 0),
		"an option of length 1":    at(four(), 54, 3, 1),
		"an option past the end":   at(four(), 54, 3, 60),
		"MSS of another length":    at(four(), 54, 2, 3),
		"MSS that is not all here": at(segment(t, false, syn, sackOK, nop, nop), 56, 2, 4),
	} {
		is := slices.Clone(f)
		if ClampMSS(is, 14+1400) || !bytes.Equal(is, f) {
			t.Errorf("%s is changed", name)
		}
	}
	for _, longest := range []int{0, -1, 14, 54, 1 << 20} {
		if f := four(); ClampMSS(f, longest) {
			t.Errorf("changed for a path of %d bytes", longest)
		}
	}
	f := four()
	if n := testing.AllocsPerRun(100, func() { ClampMSS(f, 14+1400) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever comes: a checksum that was right stays right, no length changes, the value
// never rises, and no byte outside of the TCP header is touched.
func FuzzClampMSS(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		f.Add(segment(f, v6, syn, mss(1460), sackOK, nop), 1414)
		f.Add(segment(f, v6, synAck, nop, mss(9000)), 1300)
	}
	f.Fuzz(func(t *testing.T, b []byte, longest int) {
		is := slices.Clone(b)
		changed := ClampMSS(is, longest)
		if changed == bytes.Equal(is, b) {
			t.Fatalf("changed: %v, and is not so", changed)
		}
		if !changed {
			return
		}
		was, now := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.NoCopy), gopacket.NewPacket(is, layers.LayerTypeEthernet, gopacket.NoCopy)
		a, _ := was.Layer(layers.LayerTypeTCP).(*layers.TCP)
		c, _ := now.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if a == nil || c == nil {
			return // not whole enough for gopacket
		}
		if sumOf(b) == 0xffff && sumOf(is) != 0xffff {
			t.Fatal("the checksum is wrong now")
		}
		for i, o := range a.Options {
			if o.OptionType != layers.TCPOptionKindMSS || len(o.OptionData) != 2 {
				continue
			}
			before, after := binary.BigEndian.Uint16(o.OptionData), binary.BigEndian.Uint16(c.Options[i].OptionData)
			if after > before || int(after) > max(int(before), longest) {
				t.Fatalf("%d became %d", before, after)
			}
		}
	})
}

// sumOf returns the sum over a TCP segment and its pseudo-header.
func sumOf(f []byte) uint16 {
	if h, ok := ParseIPv4(f[14:]); ok && f[12] == 8 {
		return Sum(h.Payload(), h.PseudoSum(ProtoTCP, len(h.Payload())))
	}
	if h, ok := ParseIPv6(f[14:]); ok {
		if u, ok := h.Upper(); ok && !u.Routed {
			return Sum(h[u.Off:], h.PseudoSum(ProtoTCP, len(h[u.Off:])))
		}
	}
	return 0
}
