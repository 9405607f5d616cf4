package migrate

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vxgw/config"
	"vxgw/l2/frame"
	"vxgw/l3/underlay/path/kernel"
)

// Few values, so that things meet.
var (
	someAddr = rapid.Map(rapid.SampledFrom([]string{
		"", "192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2", "239.1.1.1", "239.1.1.2", "224.0.0.5", "ff0e::1", "ff01::1",
		"127.0.0.1", "fe80::1", "255.255.255.255", "10.1.1.1", "10.1.1.254",
	}), func(s string) netip.Addr { a, _ := netip.ParseAddr(s); return a })
	someMAC = rapid.Map(rapid.SampledFrom([]byte{0, 0, 1, 2, 3}), func(b byte) frame.MAC {
		if b == 0 {
			return frame.MAC{}
		}
		return frame.MAC{b, 0, 0, 0, 0, b}
	})
	somePrefix = rapid.Map(rapid.SampledFrom([]string{
		"10.1.1.1/24", "10.1.1.2/24", "10.1.1.0/24", "10.1.1.255/24", "10.1.1.1/16", "10.2.2.1/31", "10.3.3.3/32", "0.0.0.1/0", "192.0.2.1/24",
		"2001:db8::1/64", "2001:db8:1::/64", "2001:db8:1::5/64", "127.0.0.1/8", "224.1.1.1/4",
	}), netip.MustParsePrefix)
	someVLAN = rapid.Map(rapid.Uint16Range(0, 2), func(n uint16) uint16 { return []uint16{1, 10, 4094}[n] })
	someTime = rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 300 * time.Second, 1 << 61})
	someName = rapid.SampledFrom([]string{"eth0", "a\"b", `c\`, "d#", "\xff", "e\u00a0", "]", "ü", "main", "red"})
)

func anyEntry(t *rapid.T) kernel.Entry {
	return kernel.Entry{
		MAC: someMAC.Draw(t, "mac"), VLAN: rapid.SampledFrom([]uint16{0, 10}).Draw(t, "at"), Bridge: rapid.Bool().Draw(t, "bridge"), Local: rapid.Bool().Draw(t, "local"),
		Daemon: rapid.Bool().Draw(t, "daemon"), Remote: someAddr.Draw(t, "remote"), Source: rapid.Uint32Range(0, 3).Draw(t, "source"),
		VNI: rapid.Uint32Range(0, 2).Draw(t, "sent"), Port: rapid.SampledFrom([]uint16{0, 4789}).Draw(t, "port"),
	}
}

func anyVLANs(t *rapid.T) (all []kernel.VLAN) {
	for range rapid.IntRange(0, 3).Draw(t, "vlans") {
		v := someVLAN.Draw(t, "vlan")
		all = append(all, kernel.VLAN{First: v, Last: v, PVID: rapid.Bool().Draw(t, "pvid"), Untagged: rapid.Bool().Draw(t, "untagged")})
	}
	return all
}

func anyVXLAN(t *rapid.T) *kernel.VXLAN {
	x := &kernel.VXLAN{
		VNI: rapid.Uint32Range(0, 4).Draw(t, "vni"), Local: rapid.OneOf(rapid.Just(vtep1), someAddr).Draw(t, "own"), Chosen: someAddr.Draw(t, "chosen"), Device: rapid.IntRange(0, 9).Draw(t, "dev"),
		Port: rapid.SampledFrom([]uint16{4789, 4789, 8472}).Draw(t, "dport"), TTL: rapid.Byte().Draw(t, "ttl"), TOS: rapid.Byte().Draw(t, "tos"), DF: rapid.ByteRange(0, 2).Draw(t, "df"),
		Ageing: someTime.Draw(t, "ageing"), MaxLearned: rapid.Uint32().Draw(t, "max"), FirstPort: rapid.Uint16().Draw(t, "first"), LastPort: rapid.Uint16().Draw(t, "last"),
		ZeroTX6: rapid.Bool().Draw(t, "tx6"), Checksum: rapid.Bool().Draw(t, "csum"), Learning: rapid.Bool().Draw(t, "learning"),
		External: rapid.Bool().Draw(t, "external"), VNIFilter: rapid.Bool().Draw(t, "filter"),
	}
	x.VNIs = []kernel.VNIs{{First: 0, Last: 5}}
	return x
}

func anyLink(t *rapid.T, index int) kernel.Link {
	l := kernel.Link{
		Index: index, Name: someName.Draw(t, "name") + string(rune('a'+index)), Up: rapid.Bool().Draw(t, "up"), MAC: someMAC.Draw(t, "address"),
		Master: rapid.SampledFrom([]int{1, 1, 1, 0, 2, 3, 4}).Draw(t, "master"), Parent: rapid.IntRange(0, 9).Draw(t, "parent"),
		Addrs: rapid.SliceOfN(somePrefix, 0, 2).Draw(t, "addrs"), Forwards: kernel.Families{IPv4: rapid.Bool().Draw(t, "4"), IPv6: rapid.Bool().Draw(t, "6")},
		VLANs: anyVLANs(t),
	}
	for range rapid.IntRange(0, 4).Draw(t, "rows") {
		l.FDB = append(l.FDB, anyEntry(t))
	}
	switch l.Kind = rapid.SampledFrom([]string{"bridge", "vxlan", "vxlan", "vrf", "vlan", "macvlan", ""}).Draw(t, "kind"); {
	case index == 1, l.Kind == "bridge":
		l.Kind = "bridge"
		l.Bridge = &kernel.Bridge{Filtering: rapid.Bool().Draw(t, "filtering"), STP: rapid.Bool().Draw(t, "stp"), Ageing: someTime.Draw(t, "ages")}
	case l.Kind == "vxlan":
		l.VXLAN, l.Tunnels = anyVXLAN(t), []kernel.Tunnel{{First: 10, Last: 12, VNI: 2}}
		l.Heard = []kernel.Heard{{VNI: 2, VTEP: someAddr.Draw(t, "heard")}}
	case l.Kind == "vrf":
		l.Table = 10
	case l.Kind == "vlan":
		l.VLANID = someVLAN.Draw(t, "id")
	}
	if rapid.Bool().Draw(t, "is a port") {
		l.Port = &kernel.Port{Tunnel: true, Isolated: rapid.Bool().Draw(t, "isolated"), Guard: rapid.Bool().Draw(t, "guard")}
	}
	return l
}

// Whatever the kernel has, what is made of it is a valid configuration, in which every
// port is a port of the bridge whose vxlan device has its VNI.
func TestAlwaysValid(t *testing.T) {
	good := 0
	rapid.Check(t, func(t *rapid.T) {
		s := &kernel.Setup{}
		for i := range rapid.IntRange(3, 9).Draw(t, "links") {
			s.Links = append(s.Links, anyLink(t, i+1))
		}
		for range rapid.IntRange(0, 5).Draw(t, "routes") {
			s.Routes = append(s.Routes, kernel.Route{
				Table: rapid.SampledFrom([]uint32{10, kernel.MainTable}).Draw(t, "table"), Prefix: somePrefix.Draw(t, "to").Masked(), Blackhole: rapid.Bool().Draw(t, "blackhole"),
				Hops: []kernel.Hop{{Via: someAddr.Draw(t, "via"), Link: rapid.IntRange(1, 9).Draw(t, "out")}},
			})
		}
		is, err := Convert(s, nil)
		if err != nil && strings.Contains(err.Error(), "mistake") {
			t.Fatal(err)
		} else if err != nil {
			return
		}
		good++
		cfg, err := config.Parse("t", []byte(is.TOML))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range cfg.Ports {
			if !carries(s, p.Interface, p.VNI) {
				t.Fatalf("port %s is in VNI %d:\n%s", p.Interface, p.VNI, is.TOML)
			}
		}
	})
	if good == 0 {
		t.Error("nothing was made of any")
	}
}

// carries reports whether a device is a port of a bridge that a vxlan device with that
// VNI is a port of.
func carries(s *kernel.Setup, name string, vni uint32) bool {
	for _, l := range s.Links {
		for _, x := range s.Links {
			if l.Name == name && l.VXLAN == nil && x.VXLAN != nil && x.Master == l.Master && (x.VXLAN.VNI == vni || x.VXLAN.External) {
				return true
			}
		}
	}
	return false
}
