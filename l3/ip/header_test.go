package ip

import (
	"bytes"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
)

func TestIPv4View(t *testing.T) {
	in := header4(layers.IPProtocolUDP)
	in.TOS = 0xb9
	in.Options = []layers.IPv4Option{{OptionType: 7, OptionLength: 7, OptionData: []byte{4, 0, 0, 0, 0}}}
	f := append(build(t, ethernet(layers.EthernetTypeIPv4), in, payload(100)), 0xee, 0xee) // padding
	h, ok := ParseIPv4(f[frame.HeaderLen:])
	if !ok {
		t.Fatal("ParseIPv4 refused a good header")
	}
	if h.HeaderLen() != 28 || h.TotalLen() != 128 || len(h) != 128 || len(h.Payload()) != 100 {
		t.Errorf("lengths: header %d, total %d, view %d, payload %d", h.HeaderLen(), h.TotalLen(), len(h), len(h.Payload()))
	}
	if h.TOS() != 0xb9 || h.ID() != 0x1234 || h.TTL() != 61 || h.Protocol() != ProtoUDP || !h.DontFragment() || h.IsFragment() {
		t.Errorf("fields: TOS %#x, ID %#x, TTL %d, protocol %d, DF %t, fragment %t", h.TOS(), h.ID(), h.TTL(), h.Protocol(), h.DontFragment(), h.IsFragment())
	}
	if h.Src().String() != v4A.String() || h.Dst().String() != v4B.String() || !h.ChecksumOK() {
		t.Errorf("src %v, dst %v, checksum right %t", h.Src(), h.Dst(), h.ChecksumOK())
	}
}

func TestIPv4Fragments(t *testing.T) {
	for _, tc := range []struct {
		name   string
		hi, lo byte
		is     bool
		offset int
	}{
		{"whole", 0x00, 0x00, false, 0},
		{"whole with DF", 0x40, 0x00, false, 0},
		{"reserved bit", 0x80, 0x00, false, 0},
		{"first", 0x20, 0x00, true, 0},
		{"middle", 0x20, 0xb9, true, 1480},
		{"last", 0x00, 0xb9, true, 1480},
		{"farthest", 0x1f, 0xff, true, 65528},
	} {
		h := IPv4(make([]byte, IPv4HeaderLen))
		h[6], h[7] = tc.hi, tc.lo
		if h.IsFragment() != tc.is || h.FragmentOffset() != tc.offset {
			t.Errorf("%s: fragment %t at %d, want %t at %d", tc.name, h.IsFragment(), h.FragmentOffset(), tc.is, tc.offset)
		}
	}
}

func TestIPv4Refused(t *testing.T) {
	good := build(t, header4(layers.IPProtocolUDP), payload(8))
	for _, tc := range []struct {
		name string
		mend func(b []byte) []byte
	}{
		{"empty", func(b []byte) []byte { return nil }},
		{"19 bytes", func(b []byte) []byte { return b[:19] }},
		{"version 6", func(b []byte) []byte { b[0] = 0x65; return b }},
		{"header length 16", func(b []byte) []byte { b[0] = 0x44; return b }},
		{"header longer than the packet", func(b []byte) []byte { b[0] = 0x4f; return b }},
		{"total length below the header", func(b []byte) []byte { b[3] = 19; return b }},
		{"total length beyond the bytes", func(b []byte) []byte { return b[:27] }},
	} {
		if _, ok := ParseIPv4(tc.mend(append([]byte(nil), good...))); ok {
			t.Errorf("%s: accepted", tc.name)
		}
	}
}

func TestIPv6View(t *testing.T) {
	in := header6(layers.IPProtocolUDP)
	in.TrafficClass = 0xb9
	b := append(build(t, in, payload(100)), 0xee)
	h, ok := ParseIPv6(b)
	if !ok || len(h) != 140 || len(h.Payload()) != 100 || h.PayloadLen() != 100 {
		t.Fatalf("ParseIPv6: %t, %d bytes", ok, len(h))
	}
	if h.TrafficClass() != 0xb9 || h.FlowLabel() != 0xabcde || h.NextHeader() != ProtoUDP || h.HopLimit() != 61 {
		t.Errorf("class %#x, label %#x, next %d, hops %d", h.TrafficClass(), h.FlowLabel(), h.NextHeader(), h.HopLimit())
	}
	if h.Src().String() != v6A.String() || h.Dst().String() != v6B.String() {
		t.Errorf("src %v, dst %v", h.Src(), h.Dst())
	}
	for name, b := range map[string][]byte{"39 bytes": b[:39], "payload length beyond the bytes": b[:139], "version 4": append([]byte{0x45}, b[1:]...)} {
		if _, ok := ParseIPv6(b); ok {
			t.Errorf("%s: accepted", name)
		}
	}
	h.SetTrafficClass(0x46)
	if h.TrafficClass() != 0x46 || h.FlowLabel() != 0xabcde || h[0]>>4 != 6 {
		t.Errorf("SetTrafficClass: class %#x, label %#x, version %d", h.TrafficClass(), h.FlowLabel(), h[0]>>4)
	}
}

func TestIPv6Upper(t *testing.T) {
	hop := []byte{0, 0, 1, 4, 0, 0, 0, 0} // next header to be filled in
	long := append([]byte{0, 1}, make([]byte, 14)...)
	frag := func(word byte, low byte) []byte { return []byte{0, 0, word, low, 0, 0, 0, 1} }
	chain := func(last uint8, parts ...any) []byte { // type, bytes, type, bytes ...
		b := make([]byte, IPv6HeaderLen)
		b[0], b[7] = 0x60, 64
		next := 6
		for i := 0; i < len(parts); i += 2 {
			b[next] = uint8(parts[i].(int))
			next = len(b)
			b = append(b, parts[i+1].([]byte)...)
		}
		b[next] = last
		b = append(b, make([]byte, 8)...)
		IPv6(b).SetPayloadLen(len(b) - IPv6HeaderLen)
		return b
	}
	var eight, nine []any
	for range 8 {
		eight = append(eight, ProtoDestination, hop)
	}
	nine = append(append(nine, eight...), ProtoDestination, hop)

	for _, tc := range []struct {
		name string
		in   []byte
		want Upper
		ok   bool
	}{
		{"none", chain(ProtoUDP), Upper{Proto: ProtoUDP, Off: 40}, true},
		{"hop-by-hop", chain(ProtoTCP, ProtoHopByHop, hop), Upper{Proto: ProtoTCP, Off: 48}, true},
		{"16 bytes of options", chain(ProtoTCP, ProtoDestination, long), Upper{Proto: ProtoTCP, Off: 56}, true},
		{"routing", chain(ProtoTCP, ProtoRouting, hop), Upper{Proto: ProtoTCP, Off: 48, Routed: true}, true},
		{"atomic fragment", chain(ProtoTCP, ProtoFragment, frag(0, 0)), Upper{Proto: ProtoTCP, Off: 48, Fragment: true}, true},
		{"first fragment", chain(ProtoTCP, ProtoFragment, frag(0, 1)), Upper{Proto: ProtoTCP, Off: 48, Fragment: true}, true},
		{"later fragment", chain(ProtoTCP, ProtoFragment, frag(0x05, 0xa9)), Upper{Proto: ProtoTCP, Off: 48, Fragment: true, FragmentOffset: 1448}, true},
		{"what a later fragment carries is not a header", chain(ProtoTCP, ProtoFragment, frag(0x05, 0xa9), ProtoDestination, long), Upper{Proto: ProtoDestination, Off: 48, Fragment: true, FragmentOffset: 1448}, true},
		{"authentication is where it ends", chain(51), Upper{Proto: 51, Off: 40}, true},
		{"eight headers", chain(ProtoUDP, eight...), Upper{Proto: ProtoUDP, Off: 104}, true},
		{"nine headers", chain(ProtoUDP, nine...), Upper{Proto: ProtoDestination, Off: 104}, false},
		{"ends within the first header", chain(ProtoHopByHop)[:44], Upper{Proto: ProtoHopByHop, Off: 40}, false},
		{"ends within a long header", chain(ProtoUDP, ProtoDestination, long)[:50], Upper{Proto: ProtoDestination, Off: 40}, false},
		{"ends within a fragment header", chain(ProtoFragment)[:47], Upper{Proto: ProtoFragment, Off: 40}, false},
		{"ends behind the last header", chain(ProtoUDP, ProtoDestination, hop)[:48], Upper{Proto: ProtoUDP, Off: 48}, true},
	} {
		got, ok := IPv6(tc.in).Upper()
		if got != tc.want || ok != tc.ok {
			t.Errorf("%s: %+v %t, want %+v %t", tc.name, got, ok, tc.want, tc.ok)
		}
	}
}

func TestTransportViews(t *testing.T) {
	ip4 := header4(layers.IPProtocolTCP)
	tcp := &layers.TCP{SrcPort: 1234, DstPort: 443, Seq: 0xdeadbeef, Ack: 1, PSH: true, ACK: true, CWR: true, Window: 9,
		Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindNop}}}
	if err := tcp.SetNetworkLayerForChecksum(ip4); err != nil {
		t.Fatal(err)
	}
	h := TCP(build(t, ip4, tcp, payload(5))[20:])
	if h.SrcPort() != 1234 || h.DstPort() != 443 || h.Seq() != 0xdeadbeef || h.HeaderLen() != 24 || h.Flags() != PSH|ACK|CWR {
		t.Errorf("TCP: %d > %d, seq %#x, header %d, flags %#x", h.SrcPort(), h.DstPort(), h.Seq(), h.HeaderLen(), h.Flags())
	}
	if want := tcp.Checksum; h.Checksum() != want {
		t.Errorf("TCP checksum %#x, want %#x", h.Checksum(), want)
	}

	ip4.Protocol = layers.IPProtocolUDP
	udp := datagram(t, ip4)
	u := UDP(build(t, ip4, udp, payload(5))[20:])
	if u.SrcPort() != 1234 || u.DstPort() != 5678 || u.Length() != 13 || u.Checksum() != udp.Checksum {
		t.Errorf("UDP: %d > %d, length %d, checksum %#x", u.SrcPort(), u.DstPort(), u.Length(), u.Checksum())
	}
}

func TestEncodeAgainstGopacket(t *testing.T) {
	want4 := header4(layers.IPProtocolICMPv4)
	want4.TOS = 0xc0
	b4 := build(t, want4, payload(44))
	got4 := bytes.Repeat([]byte{0xaa}, IPv4HeaderLen) // nothing of an earlier frame may shine through
	IPv4(got4).Encode(IPv4Fields{TOS: 0xc0, TotalLen: 64, ID: 0x1234, DontFragment: true, TTL: 61, Protocol: ProtoICMP, Src: [4]byte(v4A), Dst: [4]byte(v4B)})
	if !bytes.Equal(got4, b4[:IPv4HeaderLen]) {
		t.Errorf("IPv4:\ngot  % x\nwant % x", got4, b4[:IPv4HeaderLen])
	}

	want6 := header6(layers.IPProtocolICMPv6)
	want6.TrafficClass, want6.FlowLabel = 0xc0, 0
	b6 := build(t, want6, payload(44))
	got6 := bytes.Repeat([]byte{0xaa}, IPv6HeaderLen)
	IPv6(got6).Encode(IPv6Fields{TrafficClass: 0xc0, PayloadLen: 44, NextHeader: ProtoICMPv6, HopLimit: 61, Src: [16]byte(v6A), Dst: [16]byte(v6B)})
	if !bytes.Equal(got6, b6[:IPv6HeaderLen]) {
		t.Errorf("IPv6:\ngot  % x\nwant % x", got6, b6[:IPv6HeaderLen])
	}
}

func FuzzIPv4(f *testing.F) {
	f.Add(build(f, header4(layers.IPProtocolUDP), payload(8)))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseIPv4(b)
		if !ok {
			return
		}
		if len(h) > len(b) || len(h) != h.TotalLen() || h.HeaderLen()+len(h.Payload()) != len(h) {
			t.Fatalf("view of %d bytes, total %d, header %d, payload %d, of %d", len(h), h.TotalLen(), h.HeaderLen(), len(h.Payload()), len(b))
		}
		if h.ChecksumOK() {
			h.SetTOS(^h.TOS())
			if !h.ChecksumOK() {
				t.Fatal("checksum wrong after SetTOS")
			}
		}
	})
}

func FuzzIPv6Upper(f *testing.F) {
	f.Add(build(f, header6(layers.IPProtocolUDP), payload(8)))
	f.Add(build(f, header6(0), gopacket.Payload{43, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseIPv6(b)
		if !ok {
			return
		}
		u, ok := h.Upper()
		if u.Off < IPv6HeaderLen || u.Off > len(h) {
			t.Fatalf("Off %d is outside of the packet's %d bytes", u.Off, len(h))
		}
		if ok && u.FragmentOffset == 0 && isExtension(u.Proto) {
			t.Fatalf("stopped at extension header %d", u.Proto)
		}
	})
}
