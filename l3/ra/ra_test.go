package ra

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/ndp"
	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

var (
	mac      = frame.MAC{2, 0, 0, 0, 0, 1}
	allNodes = frame.MAC{0x33, 0x33, 0, 0, 0, 1}
	source   = netip.MustParseAddr("fe80::ff:fe00:1")
)

func prefixes(all ...string) (p []netip.Prefix) {
	for _, s := range all {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func config() Config {
	return Config{MAC: mac, Source: source, Prefixes: prefixes("2001:db8:1::1/64"), MTU: 1450, Lifetime: DefaultLifetime}
}

// put writes an advertisement to a buffer that shows what is left over, and returns
// it.
func put(t interface{ Fatalf(string, ...any) }, c Config, to netip.Addr, toMAC frame.MAC) []byte {
	dst := bytes.Repeat([]byte{0xaa}, MaxLen+8)
	n := Put(dst, c, to, toMAC)
	if n > MaxLen || !bytes.Equal(dst[n:], bytes.Repeat([]byte{0xaa}, len(dst)-n)) {
		t.Fatalf("wrote past %d bytes", n)
	}
	return dst[:n]
}

// read is the message as mdlayher/ndp reads it: as a host does, from ICMPv6 on.
func read(t interface{ Fatalf(string, ...any) }, f []byte) *ndp.RouterAdvertisement {
	if len(f) < 54 {
		t.Fatalf("%d bytes", len(f))
	}
	m, err := ndp.ParseMessage(f[54:])
	if err != nil {
		t.Fatalf("%v: % x", err, f)
	}
	adv, ok := m.(*ndp.RouterAdvertisement)
	if !ok {
		t.Fatalf("it is %T", m)
	}
	return adv
}

// options returns the options of one type.
func options[T ndp.Option](m *ndp.RouterAdvertisement) (all []T) {
	for _, o := range m.Options {
		if o, ok := o.(T); ok {
			all = append(all, o)
		}
	}
	return all
}

// Byte for byte, written out after RFC 4861 sections 4.2 and 4.6.
func TestPutBytes(t *testing.T) {
	c := config()
	c.Managed = true
	msg := []byte{134, 0, 0, 0, 64, 0x80, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0} // 1800 seconds
	msg = append(msg, 1, 1, 2, 0, 0, 0, 0, 1)                                 // source link-layer address
	msg = append(msg, 5, 1, 0, 0, 0, 0, 0x05, 0xaa)                           // MTU 1450
	msg = append(msg, 3, 4, 64, 0xc0, 0, 0x27, 0x8d, 0, 0, 0x09, 0x3a, 0x80, 0, 0, 0, 0)
	msg = append(msg, 0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	h := &layers.IPv6{Version: 6, TrafficClass: 0xc0, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: source.AsSlice(), DstIP: AllNodes.AsSlice()}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(134, 0)}
	if err := icmp.SetNetworkLayerForChecksum(h); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{DstMAC: allNodes[:], SrcMAC: mac[:], EthernetType: layers.EthernetTypeIPv6}, h, icmp, gopacket.Payload(msg[4:]))
	if err != nil {
		t.Fatal(err)
	}
	if got := put(t, c, AllNodes, allNodes); !bytes.Equal(got, b.Bytes()) {
		t.Fatalf("got  % x\nwant % x", got, b.Bytes())
	}
}

// Whatever a router says is what ndp and gopacket read, with a right checksum and all
// that RFC 4861 section 6.1.2 asks of it.
func TestPutIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := config()
		c.MTU = rapid.SampledFrom([]int{0, 1279, 1280, 1450, 9000}).Draw(t, "MTU")
		c.Lifetime = rapid.SampledFrom([]int{0, 1, 1800, 9000, 65535}).Draw(t, "lifetime")
		c.Managed, c.Other = rapid.Bool().Draw(t, "M"), rapid.Bool().Draw(t, "O")
		c.Prefixes = nil
		for range rapid.IntRange(0, 8).Draw(t, "prefixes") {
			a := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
			c.Prefixes = append(c.Prefixes, netip.PrefixFrom(a, rapid.IntRange(1, 128).Draw(t, "bits")))
		}
		f := put(t, c, AllNodes, allNodes)
		m := read(t, f)
		checkFrame(t, f)
		if m.CurrentHopLimit != 64 || m.ManagedConfiguration != c.Managed || m.OtherConfiguration != c.Other ||
			m.RouterLifetime != time.Duration(c.Lifetime)*time.Second || m.ReachableTime != 0 || m.RetransmitTimer != 0 {
			t.Fatalf("read %+v", m)
		}
		if l := options[*ndp.LinkLayerAddress](m); len(l) != 1 || l[0].Direction != ndp.Source || !bytes.Equal(l[0].Addr, mac[:]) {
			t.Fatalf("link-layer addresses %+v", l)
		}
		mtus := options[*ndp.MTU](m)
		if said := c.MTU >= 1280; said != (len(mtus) == 1) || said && mtus[0].MTU != uint32(c.MTU) {
			t.Fatalf("MTU %+v of %d", mtus, c.MTU)
		}
		got := options[*ndp.PrefixInformation](m)
		if len(got) != len(c.Prefixes) || len(m.Options) != 1+len(mtus)+len(got) {
			t.Fatalf("options %+v", m.Options)
		}
		for i, p := range c.Prefixes {
			want := ndp.PrefixInformation{PrefixLength: uint8(p.Bits()), OnLink: true, AutonomousAddressConfiguration: p.Bits() == 64,
				ValidLifetime: 720 * time.Hour, PreferredLifetime: 168 * time.Hour, Prefix: p.Masked().Addr()}
			if *got[i] != want {
				t.Fatalf("prefix %+v, want %+v", got[i], want)
			}
		}
	})
}

// checkFrame has gopacket read a frame and verify its checksum.
func checkFrame(t interface{ Fatalf(string, ...any) }, f []byte) {
	p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
	h, _ := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	icmp, _ := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	adv, _ := p.Layer(layers.LayerTypeICMPv6RouterAdvertisement).(*layers.ICMPv6RouterAdvertisement)
	if p.ErrorLayer() != nil || h == nil || icmp == nil || adv == nil || h.HopLimit != 255 || int(h.Length) != len(f)-54 || icmp.TypeCode.Code() != 0 {
		t.Fatalf("gopacket reads %v", p)
	}
	if err := icmp.SetNetworkLayerForChecksum(h); err != nil {
		t.Fatalf("%v", err)
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		t.Fatalf("checksums: %v, %+v", err, bad)
	}
}

// Hosts make addresses of their own in /64 alone (RFC 4862 section 5.5.3(d)).
func TestOnlyA64IsAutonomous(t *testing.T) {
	c := config()
	c.Prefixes = nil
	for bits := 1; bits <= 128; bits++ {
		c.Prefixes = prefixes("2001:db8:1::1/64")
		c.Prefixes[0] = netip.PrefixFrom(c.Prefixes[0].Addr(), bits)
		f := put(t, c, AllNodes, allNodes)
		p := options[*ndp.PrefixInformation](read(t, f))
		if len(p) != 1 || !p[0].OnLink || p[0].AutonomousAddressConfiguration != (bits == 64) {
			t.Errorf("/%d: %+v", bits, p)
		}
	}
}

// A router that is about to go says so, and hosts forget it at once (RFC 4861 section
// 6.2.5). What it said of its prefixes is still so.
func TestLastAdvertisement(t *testing.T) {
	c := config()
	c.Lifetime = 0
	m := read(t, put(t, c, AllNodes, allNodes))
	if p := options[*ndp.PrefixInformation](m); m.RouterLifetime != 0 || len(p) != 1 || p[0].ValidLifetime == 0 {
		t.Errorf("%+v", m)
	}
}

func TestPutToOneHost(t *testing.T) {
	host, hostMAC := netip.MustParseAddr("fe80::5"), frame.MAC{2, 0, 0, 0, 1, 1}
	f := put(t, config(), host, hostMAC)
	if frame.Frame(f).Dst() != hostMAC || netip.AddrFrom16([16]byte(f[38:54])) != host {
		t.Fatalf("% x", f)
	}
	checkFrame(t, f)
}

func TestPutFits(t *testing.T) {
	c := config()
	all := func(n int) (p []netip.Prefix) {
		for i := range n {
			a := source.As16()
			binary.BigEndian.PutUint16(a[4:], uint16(i))
			p = append(p, netip.PrefixFrom(netip.AddrFrom16(a), 64))
		}
		return p
	}
	// 1280 bytes less 40 of IPv6, 16 of header, 8 and 8 of address and MTU: 37 of 32.
	c.Prefixes = all(37)
	if f := put(t, c, AllNodes, allNodes); len(f) != 14+40+16+8+8+37*32 || len(options[*ndp.PrefixInformation](read(t, f))) != 37 {
		t.Errorf("37 prefixes: %d bytes", len(f))
	}
	for _, n := range []int{38, 39, 1000, 3000} {
		if c.Prefixes = all(n); len(put(t, c, AllNodes, allNodes)) != 0 {
			t.Errorf("%d prefixes were written", n)
		}
	}
}

func TestPutRefuses(t *testing.T) {
	bent := func(bend func(*Config)) Config {
		c := config()
		bend(&c)
		return c
	}
	for _, tc := range []struct {
		name string
		n    int
		c    Config
		to   netip.Addr
	}{
		{"no room", MaxLen - 1, config(), AllNodes},
		{"an IPv4 source", MaxLen, bent(func(c *Config) { c.Source = netip.MustParseAddr("10.1.1.1") }), AllNodes},
		{"no source", MaxLen, bent(func(c *Config) { c.Source = netip.Addr{} }), AllNodes},
		{"a global source (RFC 4861 section 4.2)", MaxLen, bent(func(c *Config) { c.Source = netip.MustParseAddr("2001:db8::1") }), AllNodes},
		{"to IPv4", MaxLen, config(), netip.MustParseAddr("224.0.0.1")},
		{"to nobody", MaxLen, config(), netip.Addr{}},
		{"an IPv4 prefix", MaxLen, bent(func(c *Config) { c.Prefixes = prefixes("10.0.0.0/8") }), AllNodes},
		{"no prefix", MaxLen, bent(func(c *Config) { c.Prefixes = []netip.Prefix{{}} }), AllNodes},
		{"a lifetime of more than 16 bits", MaxLen, bent(func(c *Config) { c.Lifetime = 65536 }), AllNodes},
		{"a lifetime below zero", MaxLen, bent(func(c *Config) { c.Lifetime = -1 }), AllNodes},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dst := make([]byte, tc.n)
			if n := Put(dst, tc.c, tc.to, allNodes); n != 0 || slices.ContainsFunc(dst, func(b byte) bool { return b != 0 }) {
				t.Errorf("%d bytes: % x", n, dst[:n])
			}
		})
	}
}
