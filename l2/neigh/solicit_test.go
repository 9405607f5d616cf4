package neigh

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// rs is a router solicitation; what is zero is as it should be.
type rs struct {
	src, dst netip.Addr
	hops     uint8
	typ      uint8
	code     uint8
	options  []byte
}

// solicit writes a router solicitation, from the IPv6 header on, with gopacket.
func solicit(t testing.TB, m rs) []byte {
	t.Helper()
	if !m.src.IsValid() {
		m.src = netip.MustParseAddr("fe80::1")
	}
	if !m.dst.IsValid() {
		m.dst = netip.MustParseAddr("ff02::2")
	}
	h := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolICMPv6, HopLimit: m.hops, SrcIP: m.src.AsSlice(), DstIP: m.dst.AsSlice()}
	if m.hops == 0 {
		h.HopLimit = 255
	}
	if m.typ == 0 {
		m.typ = 133
	}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(m.typ, m.code)}
	if err := icmp.SetNetworkLayerForChecksum(h); err != nil {
		t.Fatal(err)
	}
	return encode(t, h, icmp, gopacket.Payload(append(make([]byte, 4), m.options...)))
}

// RFC 4861 section 6.1.1, rule by rule.
func TestIsRouterSolicitation(t *testing.T) {
	host, nobody := netip.MustParseAddr("fe80::1"), netip.IPv6Unspecified()
	source := packet.LinkLayer(packet.OptionSource, here)
	long := append([]byte{1, 2}, bytes.Repeat([]byte{2}, 14)...) // a link-layer address that is not Ethernet's
	nonce := []byte{14, 1, 1, 2, 3, 4, 5, 6}                     // RFC 3971 section 5.3.2
	good := solicit(t, rs{options: source})
	cut := func(payload int) []byte { // with a payload length that says so, and the checksum of what is left
		b := bytes.Clone(good)
		b[5] = byte(payload)
		b[42], b[43] = 0, 0
		s := ^ND(b[:40+payload]).sum()
		b[42], b[43] = byte(s>>8), byte(s)
		return b
	}
	type answer struct {
		src   netip.Addr
		mac   frame.MAC
		named bool
		ok    bool
	}
	named, unnamed, no := answer{host, here, true, true}, answer{host, frame.MAC{}, false, true}, answer{}
	for _, tc := range []struct {
		name string
		b    []byte
		want answer
	}{
		{"as hosts send it", good, named},
		{"without options", solicit(t, rs{}), unnamed},
		{"from nobody yet", solicit(t, rs{src: nobody}), answer{nobody, frame.MAC{}, false, true}},
		{"from nobody, who names himself", solicit(t, rs{src: nobody, options: source}), no},
		{"from nobody, with an address that is not Ethernet's", solicit(t, rs{src: nobody, options: long}), no},
		{"from nobody, who names himself last", solicit(t, rs{src: nobody, options: append(bytes.Clone(nonce), source...)}), no},
		{"from nobody, with another option", solicit(t, rs{src: nobody, options: nonce}), answer{nobody, frame.MAC{}, false, true}},
		{"from a group", solicit(t, rs{src: netip.MustParseAddr("ff02::9"), options: source}), no},
		{"to one router", solicit(t, rs{dst: netip.MustParseAddr("fe80::2"), options: source}), named},
		{"hop limit 254", solicit(t, rs{hops: 254, options: source}), no},
		{"hop limit 1", solicit(t, rs{hops: 1, options: source}), no},
		{"code 1", solicit(t, rs{code: 1, options: source}), no},
		{"an advertisement", solicit(t, rs{typ: 134, options: source}), no},
		{"a neighbour solicitation", frame.Frame(packet.Solicit(here, here6, there6).Frame()).Payload(), no},
		{"wrong checksum", with(good, 43, good[43]+1), no},
		{"length 8, the least", cut(8), unnamed},
		{"length 7", cut(7), no},
		{"length 4", cut(4), no},
		{"an option of length 0", solicit(t, rs{options: []byte{1, 0, 2, 0, 0, 0, 1, 1}}), no},
		{"a later option of length 0", solicit(t, rs{options: append(bytes.Clone(source), 14, 0, 0, 0, 0, 0, 0, 0)}), no},
		{"an option longer than the packet", solicit(t, rs{options: []byte{1, 2, 2, 0, 0, 0, 1, 1}}), no},
		{"half an option", solicit(t, rs{options: source[:4]}), no},
		{"one byte of an option", solicit(t, rs{options: append(bytes.Clone(source), 14)}), no},
		{"unknown options are passed over", solicit(t, rs{options: append(bytes.Clone(nonce), source...)}), named},
		{"an address that is not Ethernet's names nobody", solicit(t, rs{options: long}), unnamed},
		{"a target link-layer address names nobody", solicit(t, rs{options: packet.LinkLayer(packet.OptionTarget, here)}), unnamed},
		{"padding behind it", append(bytes.Clone(good), 1, 2, 3, 4), named},
		{"cut by a byte", good[:len(good)-1], no},
		{"behind an extension header", with(good, 6, 0), no},
		{"IPv4", with(good, 0, 0x45), no},
		{"longer than any", solicit(t, rs{options: bytes.Repeat(nonce, 200)}), no},
		{"nothing", nil, no},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got answer
			got.src, got.mac, got.named, got.ok = IsRouterSolicitation(tc.b)
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// What is believed holds every rule of RFC 4861 section 6.1.1, as gopacket reads it.
func FuzzIsRouterSolicitation(f *testing.F) {
	f.Add(solicit(f, rs{}))
	f.Add(solicit(f, rs{src: netip.IPv6Unspecified(), options: []byte{14, 1, 1, 2, 3, 4, 5, 6}}))
	f.Add(solicit(f, rs{options: packet.LinkLayer(packet.OptionSource, here)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 44 { // so that it gets past the checksum
			n := 40 + int(b[4])<<8 + int(b[5])
			if n >= 44 && n <= len(b) {
				b[42], b[43] = 0, 0
				s := ^ND(b[:n]).sum()
				b[42], b[43] = byte(s>>8), byte(s)
			}
		}
		src, mac, named, ok := IsRouterSolicitation(b)
		if !ok {
			if src.IsValid() || named || mac != (frame.MAC{}) {
				t.Fatalf("not believed, and yet %v at %v", src, mac)
			}
			return
		}
		p := gopacket.NewPacket(b, layers.LayerTypeIPv6, gopacket.Default)
		h, _ := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
		icmp, _ := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
		m, _ := p.Layer(layers.LayerTypeICMPv6RouterSolicitation).(*layers.ICMPv6RouterSolicitation)
		if h == nil || icmp == nil || m == nil || h.HopLimit != 255 || icmp.TypeCode != layers.CreateICMPv6TypeCode(133, 0) {
			t.Fatalf("gopacket reads %v", p)
		}
		if from, _ := netip.AddrFromSlice(h.SrcIP); from != src || src.IsMulticast() {
			t.Fatalf("from %v, gopacket reads %v", src, from)
		}
		wantMAC, wantNamed, any := frame.MAC{}, false, false
		for _, o := range m.Options {
			if o.Type == layers.ICMPv6OptSourceAddress && !any {
				any = true
				if wantNamed = len(o.Data) == 6; wantNamed {
					wantMAC = frame.MAC(o.Data)
				}
			}
		}
		if named != wantNamed || mac != wantMAC || any && src.IsUnspecified() {
			t.Fatalf("named %t, %v; gopacket reads %+v from %v", named, mac, m.Options, src)
		}
	})
}
