package dhcp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

var (
	gateway = frame.MAC{2, 0, 0, 0, 0, 1}
	server4 = netip.MustParseAddr("10.9.9.9")
	server6 = netip.MustParseAddr("2001:db8:9::9")
)

func fields4(p []byte) Fields {
	return Fields{From: gateway, To: client, Src: link.Addr, Dst: server4, SrcPort: 67, DstPort: 68, Payload: p}
}

func fields6(p []byte) Fields {
	return Fields{From: gateway, To: client, Src: link.Addr6, Dst: server6, SrcPort: 547, DstPort: 546, Payload: p}
}

// encoded is the frame as gopacket writes it.
func encoded(t interface{ Fatal(...any) }, f Fields, ttl uint8) []byte {
	udp := &layers.UDP{SrcPort: layers.UDPPort(f.SrcPort), DstPort: layers.UDPPort(f.DstPort)}
	eth := &layers.Ethernet{DstMAC: f.To[:], SrcMAC: f.From[:]}
	var ip interface {
		gopacket.NetworkLayer
		gopacket.SerializableLayer
	}
	if f.Dst.Is4() {
		eth.EthernetType = layers.EthernetTypeIPv4
		ip = &layers.IPv4{Version: 4, TTL: ttl, Protocol: layers.IPProtocolUDP, SrcIP: f.Src.AsSlice(), DstIP: f.Dst.AsSlice()}
	} else {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, HopLimit: ttl, NextHeader: layers.IPProtocolUDP, SrcIP: f.Src.AsSlice(), DstIP: f.Dst.AsSlice()}
	}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, udp, gopacket.Payload(f.Payload)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Whatever is sent, odd lengths and all, is the frame that gopacket writes, and
// nothing is written behind it.
func TestPutUDP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := fields4(nil)
		if rapid.Bool().Draw(t, "IPv6") {
			f = fields6(nil)
		}
		f.Payload = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "payload")
		// rapid draws few long slices, and a datagram is mostly zeros.
		f.Payload = append(f.Payload, make([]byte, rapid.IntRange(0, 1500).Draw(t, "zeros"))...)
		f.TTL = rapid.Byte().Draw(t, "TTL")
		ttl := f.TTL
		if ttl == 0 {
			ttl = 64
		}
		dst := bytes.Repeat([]byte{0xaa}, FrameLen(f)+8)
		n := PutUDP(dst, f)
		want := encoded(t, f, ttl)
		if n != FrameLen(f) || !bytes.Equal(dst[:n], want[:n]) || len(want) > max(n, 60) {
			t.Fatalf("got  % x\nwant % x", dst[:n], want)
		}
		if !bytes.Equal(dst[n:], bytes.Repeat([]byte{0xaa}, 8)) {
			t.Fatalf("wrote past %d bytes", n)
		}
	})
}

// A checksum that comes out as zero goes as all ones: zero would say that there is
// none (RFC 768), and IPv6 would not have that (RFC 8200 section 8.1).
func TestPutUDPNeverWithoutAChecksum(t *testing.T) {
	for _, f := range []Fields{fields4([]byte{0, 0, 'x'}), fields6([]byte{0, 0, 'x'})} {
		dst := make([]byte, FrameLen(f))
		PutUDP(dst, f)
		at := len(dst) - len(f.Payload) - 2
		copy(f.Payload, dst[at:at+2]) // what was missing from a sum of ffff
		if n := PutUDP(dst, f); binary.BigEndian.Uint16(dst[at:]) != 0xffff {
			t.Errorf("%v: checksum % x in % x", f.Dst, dst[at:at+2], dst[:n])
		}
	}
}

func TestPutUDPBounds(t *testing.T) {
	for _, tc := range []struct {
		name string
		f    Fields
		less int // how much room is missing
		ok   bool
	}{
		{"the longest IPv4 packet", fields4(make([]byte, 65507)), 0, true},
		{"a byte more", fields4(make([]byte, 65508)), 0, false},
		{"much more", fields4(make([]byte, 70000)), 0, false},
		{"much more in IPv6", fields6(make([]byte, 70000)), 0, false},
		{"no room", fields4(make([]byte, 10)), 1, false},
		{"no room in IPv6", fields6(make([]byte, 10)), 1, false},
		{"from IPv6 to IPv4", Fields{Src: server6, Dst: server4}, 0, false},
		{"from IPv4 to IPv6", Fields{Src: server4, Dst: server6}, 0, false},
		{"from nobody to IPv4", Fields{Dst: server4}, 0, false},
		{"from nobody to IPv6", Fields{Dst: server6}, 0, false},
		{"to nobody", Fields{Src: server6}, 0, false},
		{"nothing", Fields{}, 0, false},
	} {
		dst := bytes.Repeat([]byte{0xaa}, FrameLen(tc.f)-tc.less)
		n := PutUDP(dst, tc.f)
		if want := map[bool]int{true: FrameLen(tc.f)}[tc.ok]; n != want {
			t.Errorf("%s: %d bytes, want %d", tc.name, n, want)
		}
		if n == 0 && !bytes.Equal(dst, bytes.Repeat([]byte{0xaa}, len(dst))) {
			t.Errorf("%s: refused, and yet written", tc.name)
		}
	}
}

// A message that a relay made comes through as it is.
func TestPutUDPCarriesTheMessage(t *testing.T) {
	msg, err := Relay4(message(1, nil, discover...), link)
	if err != nil {
		t.Fatal(err)
	}
	f := fields4(msg)
	dst := make([]byte, FrameLen(f))
	p := gopacket.NewPacket(dst[:PutUDP(dst, f)], layers.LayerTypeEthernet, gopacket.Default)
	m, ok := p.Layer(layers.LayerTypeDHCPv4).(*layers.DHCPv4)
	if !ok || p.ErrorLayer() != nil {
		t.Fatalf("gopacket reads %v", p)
	}
	last := m.Options[len(m.Options)-1]
	if m.RelayHops != 1 || m.RelayAgentIP.String() != "10.1.1.1" || uint8(last.Type) != 82 || !bytes.Equal(last.Data, linkOption[2:]) {
		t.Errorf("gopacket reads %+v", m)
	}
}
