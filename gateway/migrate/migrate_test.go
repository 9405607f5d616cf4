package migrate

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vxgw/config"
	"vxgw/l2/frame"
	"vxgw/l3/underlay/path/kernel"
)

var (
	vtep1, vtep2, vtep3 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	hostMAC             = frame.MAC{2, 0, 0, 0, 1, 2}
	bridgeMAC           = frame.MAC{2, 0, 0, 0, 0xb, 1}
)

// The devices of plain.
const (
	und0 = 1
	br10 = 2
	vx10 = 3
	eth1 = 4
)

// asMade is a port of a bridge as the kernel makes it.
func asMade() *kernel.Port {
	return &kernel.Port{Learning: true, Unicast: true, Multicast: true, Flooded: true}
}

func device(vni uint32) *kernel.VXLAN {
	return &kernel.VXLAN{VNI: vni, Local: vtep1, Port: 4789, Learning: true, Ageing: 300 * time.Second, Checksum: true}
}

func flood(to ...netip.Addr) (all []kernel.Entry) {
	for _, a := range to {
		all = append(all, kernel.Entry{Remote: a})
	}
	return all
}

// plain is one bridge with a vxlan device and a port.
func plain() *kernel.Setup {
	return &kernel.Setup{Links: []kernel.Link{
		{Index: und0, Name: "und0", Up: true, Addrs: []netip.Prefix{netip.PrefixFrom(vtep1, 24)}},
		{Index: br10, Name: "br10", Kind: "bridge", Up: true, MAC: bridgeMAC, Bridge: &kernel.Bridge{Ageing: 300 * time.Second}},
		{Index: vx10, Name: "vx10", Kind: "vxlan", Up: true, Master: br10, Port: asMade(), VXLAN: device(10010), FDB: flood(vtep2, vtep3)},
		{Index: eth1, Name: "eth1", Up: true, Master: br10, Port: asMade()},
	}}
}

// The devices of aware, beside und0.
const (
	bridge = 2
	vxA    = 3
	vxB    = 4
	trunk  = 6
	svi    = 7
	red    = 8
)

// aware is a VLAN-aware bridge with two VNIs, an access port, a trunk, and an address
// in a VRF.
func aware() *kernel.Setup {
	one := func(v uint16) []kernel.VLAN { return []kernel.VLAN{{First: v, Last: v, PVID: true, Untagged: true}} }
	return &kernel.Setup{
		Links: []kernel.Link{
			{Index: und0, Name: "und0", Up: true, Addrs: []netip.Prefix{netip.PrefixFrom(vtep1, 24)}},
			{Index: bridge, Name: "bridge", Kind: "bridge", Up: true, MAC: bridgeMAC, Bridge: &kernel.Bridge{Ageing: 300 * time.Second, Filtering: true, STP: true}, VLANs: []kernel.VLAN{{First: 10, Last: 10}}},
			{Index: vxA, Name: "vx10", Kind: "vxlan", Up: true, Master: bridge, Port: asMade(), VXLAN: device(10010), FDB: flood(vtep2), VLANs: one(10)},
			{Index: vxB, Name: "vx20", Kind: "vxlan", Up: true, Master: bridge, Port: asMade(), VXLAN: device(10020), FDB: flood(vtep2), VLANs: one(20)},
			{Index: 5, Name: "eth1", Up: true, Master: bridge, Port: asMade(), VLANs: one(10)},
			{Index: trunk, Name: "eth2", Up: true, Master: bridge, Port: asMade(), VLANs: append(one(20), kernel.VLAN{First: 10, Last: 10}, kernel.VLAN{First: 30, Last: 33})},
			{Index: svi, Name: "bridge.10", Kind: "vlan", Up: true, MAC: frame.MAC{2, 0, 0x5e, 0, 0, 1}, Parent: bridge, Master: red, VLANID: 10,
				Forwards: kernel.Families{IPv4: true, IPv6: true}, Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.1.1/24"), netip.MustParsePrefix("2001:db8:1::1/64")}},
			{Index: red, Name: "red", Kind: "vrf", Up: true, Table: 10},
		},
		Routes: []kernel.Route{
			{Table: 10, Prefix: netip.MustParsePrefix("0.0.0.0/0"), Hops: []kernel.Hop{{Via: netip.MustParseAddr("10.1.1.253"), Link: svi}, {Via: netip.MustParseAddr("10.1.1.254"), Link: svi}}},
			{Table: 10, Prefix: netip.MustParsePrefix("2001:db8:9::/48"), Hops: []kernel.Hop{{Via: netip.MustParseAddr("fe80::1"), Link: svi}}},
			{Table: 10, Prefix: netip.MustParsePrefix("10.66.0.0/16"), Blackhole: true},
			{Table: kernel.MainTable, Prefix: netip.MustParsePrefix("0.0.0.0/0"), Hops: []kernel.Hop{{Via: netip.MustParseAddr("192.0.2.254"), Link: und0}}},
		},
	}
}

// external is one device for many VNIs.
func external() *kernel.Setup {
	x := device(0)
	x.External, x.VNIFilter, x.Learning = true, true, false
	x.VNIs = []kernel.VNIs{{First: 5101, Last: 5102}}
	p := asMade()
	p.Tunnel = true
	return &kernel.Setup{Links: []kernel.Link{
		{Index: und0, Name: "und0", Up: true, Addrs: []netip.Prefix{netip.PrefixFrom(vtep1, 24)}},
		{Index: 2, Name: "br0", Kind: "bridge", Up: true, Bridge: &kernel.Bridge{Ageing: 300 * time.Second, Filtering: true}},
		{Index: 3, Name: "vxs", Kind: "vxlan", Up: true, Master: 2, Port: p, VXLAN: x, Tunnels: []kernel.Tunnel{{First: 101, Last: 103, VNI: 5101}},
			FDB: []kernel.Entry{{Source: 5101, Remote: vtep2}, {Source: 5102, VNI: 5102, Remote: vtep3}, {Source: 5102, MAC: hostMAC, Remote: vtep3}}},
		{Index: 4, Name: "eth1", Up: true, Master: 2, Port: asMade(), VLANs: []kernel.VLAN{{First: 101, Last: 101, PVID: true, Untagged: true}}},
		{Index: 5, Name: "eth2", Up: true, Master: 2, Port: asMade(), VLANs: []kernel.VLAN{{First: 102, Last: 102, PVID: true, Untagged: true}}},
	}}
}

// made returns what follows the head, and that it is valid.
func made(t *testing.T, s *kernel.Setup, bridges ...string) (Result, string) {
	t.Helper()
	is, err := Convert(s, bridges)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse("t", []byte(is.TOML)); err != nil {
		t.Fatalf("%v\n%s", err, is.TOML)
	}
	text, ok := strings.CutPrefix(is.TOML, head)
	if !ok {
		t.Fatal("it has no head")
	}
	return is, text
}

// Whole files, to the byte.
func TestWhole(t *testing.T) {
	for _, tc := range []struct {
		name string
		of   func() *kernel.Setup
		want string
	}{
		{"a bridge for a VNI", plain, `
[underlay]
address = "192.0.2.1"
dscp = 0 # "inherit" keeps that of the inner packet
df = false # as the kernel's; true has routers tell what is too long instead of cutting it up
udp_checksum = true

# bridge br10, vxlan device vx10
[[vni]]
id = 10010
flood = ["192.0.2.2", "192.0.2.3"]

[[port]]
interface = "eth1"
vni = 10010
bpdu = "tunnel"
`},
		{"a VLAN-aware bridge with a VRF", aware, `
# ! bridge bridge speaks spanning tree, and vxgw does not: its ports drop BPDUs
#   -> see that no loop goes through its ports; bpdu = "tunnel" passes the spanning tree
#      of the switches through, "shutdown" takes a port down that hears one

[underlay]
address = "192.0.2.1"
dscp = 0 # "inherit" keeps that of the inner packet
df = false # as the kernel's; true has routers tell what is too long instead of cutting it up
udp_checksum = true

# ! bridge.10 becomes a gateway of vxgw's: it answers ARP, ND and ping at these addresses
#   and routes, and no service of this machine is reached at them
#   -> have DHCP relayed by dhcp_servers, and other services of this machine reached by a
#      veth pair, with one end as a [[port]] here. When you change over take the addresses
#      away, because Linux answers ARP for those of a device that is down too:
#      ip address flush dev bridge.10

# VLAN 10 of bridge bridge, vxlan device vx10
[[vni]]
id = 10010
vlan = 10
flood = ["192.0.2.2"]
vrf = "red"
gateway = ["10.1.1.1/24", "2001:db8:1::1/64"]
gateway_mac = "02:00:5e:00:00:01"

[[port]]
interface = "eth1"
vlan = 10

#[[port]]
#interface = "eth2.10"
#vlan = 10

# VLAN 20 of bridge bridge, vxlan device vx20
[[vni]]
id = 10020
vlan = 20
flood = ["192.0.2.2"]

# ! eth2 is a trunk: VLANs 10, 30-33 have a tag there, and an access port takes frames
#   without one
#   -> have the switch send each VLAN untagged to a port of its own, or make
#      sub-interfaces and ports of these, as written behind # at their VNIs:
#      for v in 10 $(seq 30 33); do ip link add link eth2 name eth2.$v type vlan id $v; ip link set eth2.$v up; done

[[port]]
interface = "eth2"
vlan = 20

[[vrf]]
name = "red"

[[vrf.route]]
prefix = "0.0.0.0/0"
via = ["10.1.1.253", "10.1.1.254"]

[[vrf.route]]
prefix = "2001:db8:9::/48"
via = "fe80::1"
vni = 10010

[[vrf.route]]
prefix = "10.66.0.0/16"
blackhole = true
`},
		{"one device for many VNIs", external, `
# ! VLAN 103 of bridge br0, vxlan device vxs, VNI 5103: the device's VNI filter does not
#   have it, and so it carries nothing
#   -> bridge vni add dev vxs vni 5103, and import again, or leave it out

[underlay]
address = "192.0.2.1"
dscp = 0 # "inherit" keeps that of the inner packet
df = false # as the kernel's; true has routers tell what is too long instead of cutting it up
udp_checksum = true

# VLAN 101 of bridge br0, vxlan device vxs
[[vni]]
id = 5101
vlan = 101
flood = ["192.0.2.2"]
learning = false

[[port]]
interface = "eth1"
vlan = 101
bpdu = "tunnel"

# VLAN 102 of bridge br0, vxlan device vxs
[[vni]]
id = 5102
vlan = 102
flood = ["192.0.2.3"]
learning = false

[[port]]
interface = "eth2"
vlan = 102
bpdu = "tunnel"

[[mac]]
vni = 5102
address = "02:00:00:00:01:02"
vtep = "192.0.2.3"
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is, text := made(t, tc.of())
			if diff := cmp.Diff(tc.want, text); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := strings.Count(text, "\n# ! "); n != is.Notes {
				t.Errorf("%d notes are counted, and %d are there", is.Notes, n)
			}
		})
	}
}

// change is a set-up with something about it that is different.
func change(of func() *kernel.Setup, f func(s *kernel.Setup)) *kernel.Setup {
	s := of()
	f(s)
	return s
}

// has holds that a file has some texts, and none of those with a - in front. Its
// comments are joined to one line each before.
func has(t *testing.T, text string, wants []string) {
	t.Helper()
	text = strings.NewReplacer("\n#   -> ", " -> ", "\n#      ", " ", "\n#   ", " ").Replace(text)
	for _, want := range wants {
		if not, absent := strings.CutPrefix(want, "-"); strings.Contains(text, not) == absent {
			t.Errorf("%q: want it %s, in\n%s", not, choose(absent, "absent", "there"), text)
		}
	}
}

// What differs from the plain set-up is carried over or noted.
func TestSettings(t *testing.T) {
	type set = func(s *kernel.Setup)
	vx := func(f func(x *kernel.VXLAN)) set { return func(s *kernel.Setup) { f(s.Link(vx10).VXLAN) } }
	br := func(f func(b *kernel.Bridge)) set { return func(s *kernel.Setup) { f(s.Link(br10).Bridge) } }
	acc := func(f func(p *kernel.Port)) set { return func(s *kernel.Setup) { f(s.Link(eth1).Port) } }
	ovl := func(f func(p *kernel.Port)) set { return func(s *kernel.Setup) { f(s.Link(vx10).Port) } }
	rows := func(link int, e ...kernel.Entry) set {
		return func(s *kernel.Setup) { s.Link(link).FDB = append(s.Link(link).FDB, e...) }
	}
	upper := func(l kernel.Link) set {
		return func(s *kernel.Setup) { l.Index = 9; s.Links = append(s.Links, l) }
	}
	other := netip.MustParseAddr("192.0.2.77")
	six := netip.MustParseAddr("2001:db8::1")
	group := netip.MustParseAddr("239.119.1.1")

	for _, tc := range []struct {
		name string
		is   set
		want []string // what is there; with a - in front what is not
	}{
		// The outer header.
		{"another port", vx(func(x *kernel.VXLAN) { x.Port = 8472 }), []string{"port = 8472"}},
		{"a TTL", vx(func(x *kernel.VXLAN) { x.TTL = 9 }), []string{"ttl = 9"}},
		{"an inherited TTL", vx(func(x *kernel.VXLAN) { x.TTLInherit = true }), []string{"! vxlan device vx10 inherits the TTL"}},
		{"tos inherit", vx(func(x *kernel.VXLAN) { x.TOS = 1 }), []string{"-\ndscp"}},
		{"a tos", vx(func(x *kernel.VXLAN) { x.TOS = 0xb8 }), []string{"dscp = 46 "}},
		{"DF", vx(func(x *kernel.VXLAN) { x.DF = 1 }), []string{"-df = "}},
		{"DF inherited", vx(func(x *kernel.VXLAN) { x.DF = 2 }), []string{"df = false", "! vxlan device vx10 inherits DF"}},
		{"no UDP checksum", vx(func(x *kernel.VXLAN) { x.Checksum = false }), []string{"-udp_checksum"}},
		{"source ports", vx(func(x *kernel.VXLAN) { x.FirstPort, x.LastPort = 1000, 2000 }), []string{`source_ports = "1000-1999"`}},
		{"one source port", vx(func(x *kernel.VXLAN) { x.FirstPort, x.LastPort = 1000, 1000 }), []string{`source_ports = "1000-1000"`}},
		{"a device", vx(func(x *kernel.VXLAN) { x.Device = und0 }), []string{`interface = "und0"`, "-! "}},
		{"another device than the address's", func(s *kernel.Setup) {
			s.Link(vx10).VXLAN.Device = 9
			s.Links = append(s.Links, kernel.Link{Index: 9, Name: "und1"})
		}, []string{"-interface = \"und1\"", "! the vxlan devices send by und1, and 192.0.2.1 is on und0"}},
		{"an address that the route chose", vx(func(x *kernel.VXLAN) { x.Local, x.Chosen = netip.Addr{}, vtep1 }), []string{`address = "192.0.2.1"`, "! vxlan device vx10 has no local address: the one written is what the route says now"}},
		{"IPv6", func(s *kernel.Setup) {
			s.Link(vx10).VXLAN.Local, s.Link(vx10).VXLAN.Label = six, 7
			s.Link(vx10).FDB = flood(six.Next())
		}, []string{`address = "2001:db8::1"`, `flood = ["2001:db8::2"]`, "-df", "-udp_checksum", "! vxlan device vx10 sets an IPv6 flow label"}},
		{"IPv6 without checksums", func(s *kernel.Setup) {
			x := s.Link(vx10).VXLAN
			x.Local, x.ZeroTX6, x.ZeroRX6 = six, true, true
			s.Link(vx10).FDB = flood(six.Next())
		}, []string{"udp_checksum = false", "-! "}},
		{"IPv6 that takes zero checksums", func(s *kernel.Setup) {
			x := s.Link(vx10).VXLAN
			x.Local, x.ZeroRX6 = six, true
			s.Link(vx10).FDB = flood(six.Next())
		}, []string{"-\nudp_checksum = ", "! vxlan device vx10 accepts IPv6 packets without UDP checksum"}},

		// What a vxlan device does beyond.
		{"down", func(s *kernel.Setup) { s.Link(vx10).Up = false }, []string{"! vxlan device vx10 is down"}},
		{"group policy", vx(func(x *kernel.VXLAN) { x.GBP = true }), []string{"! vxlan device vx10 carries group policy"}},
		{"remote checksums", vx(func(x *kernel.VXLAN) { x.RemoteChksum = true }), []string{"! vxlan device vx10 has checksums offloaded"}},
		{"proxy", vx(func(x *kernel.VXLAN) { x.Proxy = true }), []string{"suppress_arp = true", "! vxlan device vx10 answers ARP and ND"}},
		{"rsc", vx(func(x *kernel.VXLAN) { x.RSC = true }), []string{"! vxlan device vx10 routes by itself"}},
		{"nolearning", vx(func(x *kernel.VXLAN) { x.Learning = false }), []string{"learning = false"}},
		{"maxaddress", vx(func(x *kernel.VXLAN) { x.MaxLearned = 500 }), []string{"mac_limit = 500"}},
		{"maxaddress beyond", vx(func(x *kernel.VXLAN) { x.MaxLearned = 1 << 31 }), []string{"mac_limit = 16777216"}},

		// The bridge.
		{"spanning tree", br(func(b *kernel.Bridge) { b.STP = true }), []string{"-bpdu = \"tunnel\"\n", "! bridge br10 speaks spanning tree"}},
		{"ageing of both", func(s *kernel.Setup) {
			s.Link(br10).Bridge.Ageing, s.Link(vx10).VXLAN.Ageing = 600*time.Second, 600*time.Second
		}, []string{`ageing = "600s"`, "-! "}},
		{"ageing of the bridge", br(func(b *kernel.Bridge) { b.Ageing = time.Minute }), []string{`ageing = "60s"`, "! MAC addresses age after 1m0s at the bridge, and after 5m0s at the vxlan device"}},
		{"no ageing of the device", vx(func(x *kernel.VXLAN) { x.Ageing = 0 }), []string{"at the bridge, and never at the vxlan device"}},
		{"ageing too long and too short", br(func(b *kernel.Bridge) { b.Ageing = 10 * time.Millisecond }), []string{`ageing = "1s"`}},
		{"a hub", br(func(b *kernel.Bridge) { b.Ageing = 0 }), []string{"-ageing =", "! bridge br10 keeps no MAC addresses"}},
		{"fdb_max_learned", br(func(b *kernel.Bridge) { b.MaxLearned = 77 }), []string{"mac_limit = 77"}},
		{"group_fwd_mask", br(func(b *kernel.Bridge) { b.ForwardMask = 0x4000 }), []string{"! bridge br10 passes reserved addresses on (group_fwd_mask 0x4000)"}},
		{"802.1ad", br(func(b *kernel.Bridge) { b.Service = true }), []string{"! bridge br10 filters by service tags"}},
		{"iptables", br(func(b *kernel.Bridge) { b.CallIPTables = true }), []string{"! bridge br10 has bridged packets pass iptables"}},

		// The forwarding table.
		{"a static MAC", rows(vx10, kernel.Entry{MAC: hostMAC, Remote: vtep2}), []string{"[[mac]]\nvni = 10010\naddress = \"02:00:00:00:01:02\"\nvtep = \"192.0.2.2\"", "-allowed_vteps = "}},
		{"one behind a VTEP that nothing is flooded to", rows(vx10, kernel.Entry{MAC: hostMAC, Remote: other}), []string{`allowed_vteps = ["192.0.2.2", "192.0.2.3", "192.0.2.77"]`}},
		{"one behind two VTEPs", rows(vx10, kernel.Entry{MAC: hostMAC, Remote: vtep2}, kernel.Entry{MAC: hostMAC, Remote: vtep3}), []string{`vtep = "192.0.2.2"`, "! 02:00:00:00:01:02 is behind several VTEPs, 192.0.2.3 too"}},
		{"a VTEP that was heard", func(s *kernel.Setup) { s.Link(vx10).Heard = []kernel.Heard{{VTEP: other}, {VTEP: vtep2}} }, []string{`allowed_vteps = ["192.0.2.2", "192.0.2.3", "192.0.2.77"]`}},
		{"a static MAC at a port", rows(eth1, kernel.Entry{MAC: hostMAC, Bridge: true}), []string{"address = \"02:00:00:00:01:02\"\nport = \"eth1\""}},
		{"one at a port and at a VTEP", func(s *kernel.Setup) {
			rows(eth1, kernel.Entry{MAC: hostMAC, Bridge: true})(s)
			rows(vx10, kernel.Entry{MAC: hostMAC, Remote: vtep2})(s)
		}, []string{`vtep = "192.0.2.2"`, "-port = \"eth1\"", "! 02:00:00:00:01:02 is behind eth1 and elsewhere"}},
		{"a local MAC", rows(eth1, kernel.Entry{MAC: hostMAC, Bridge: true, Local: true}), []string{"-\n[[mac]]", "! bridge br10 takes frames for 02:00:00:00:01:02 itself"}},
		{"a multicast MAC", rows(vx10, kernel.Entry{MAC: frame.MAC{1, 0, 0x5e, 1, 1, 1}, Remote: vtep2}), []string{"! frames for the multicast address 01:00:5e:01:01:01 go to 192.0.2.2 alone"}},
		{"a MAC behind a group", rows(vx10, kernel.Entry{MAC: hostMAC, Remote: group}), []string{"-\n[[mac]]", "! what is for 02:00:00:00:01:02 goes to 239.119.1.1, which is no VTEP's address"}},
		{"a MAC behind nothing", rows(vx10, kernel.Entry{MAC: hostMAC}), []string{"-\n[[mac]]", "! what is for 02:00:00:00:01:02 goes to no VTEP's address"}},
		{"another VNI there", rows(vx10, kernel.Entry{Remote: other, VNI: 7}), []string{"-192.0.2.77\"", "! what is flooded goes to 192.0.2.77 with VNI 7"}},
		{"another port there", rows(vx10, kernel.Entry{Remote: other, Port: 7}), []string{"-192.0.2.77\"", "! what is flooded goes to 192.0.2.77 at UDP port 7"}},
		{"itself", rows(vx10, kernel.Entry{Remote: vtep1}), []string{"-flood = [\"192.0.2.1", "! what is flooded goes to this VTEP's own address"}},
		{"another family", rows(vx10, kernel.Entry{Remote: six}), []string{"! what is flooded goes to 2001:db8::1, of another address family"}},
		{"loopback", rows(vx10, kernel.Entry{Remote: netip.MustParseAddr("127.0.0.9")}), []string{"! what is flooded goes to 127.0.0.9, which is no VTEP's address"}},
		{"a group", func(s *kernel.Setup) { s.Link(vx10).FDB = flood(group) }, []string{`group = "239.119.1.1"`, "-flood =", "-allowed_vteps =", "ttl = 64 #"}},
		{"a group and a TTL", func(s *kernel.Setup) { s.Link(vx10).FDB, s.Link(vx10).VXLAN.TTL = flood(group), 3 }, []string{"ttl = 3\n", "-ttl = 64"}},
		{"a VTEP and a group twice", rows(vx10, flood(vtep2, group, group)...), []string{`flood = ["192.0.2.2", "192.0.2.3"]`, "-! "}},
		{"two groups", rows(vx10, flood(group, group.Next())...), []string{`group = "239.119.1.1"`, "! what is flooded goes to a second group, 239.119.1.2"}},
		{"a reserved group", rows(vx10, flood(netip.MustParseAddr("224.0.0.9"))...), []string{"-group =", "! what is flooded goes to the group 224.0.0.9, which is reserved"}},
		{"EVPN", rows(vx10, kernel.Entry{MAC: hostMAC, Remote: vtep2, Daemon: true}, kernel.Entry{Remote: other, Daemon: true}), []string{"-[[mac]]", `"192.0.2.77"`, "! 1 forwarding entry was written by a routing daemon"}},

		// Ports.
		{"isolated", acc(func(p *kernel.Port) { p.Isolated = true }), []string{"isolated = true"}},
		{"BPDU guard", acc(func(p *kernel.Port) { p.Guard = true }), []string{`bpdu = "shutdown"`}},
		{"locked", acc(func(p *kernel.Port) { p.Locked = true }), []string{"! eth1 is locked"}},
		{"learning off", acc(func(p *kernel.Port) { p.Learning = false }), []string{"! eth1 learns no MAC addresses"}},
		{"flood off", acc(func(p *kernel.Port) { p.Unicast = false }), []string{"! eth1 is not flooded to, unknown unicast, and here everything is"}},
		{"mcast_flood and bcast_flood off", acc(func(p *kernel.Port) { p.Multicast, p.Flooded = false, false }), []string{"! eth1 is not flooded to, multicast, broadcast, and"}},
		{"hairpin", acc(func(p *kernel.Port) { p.Hairpin = true }), []string{"! eth1 sends frames back"}},
		{"neighbour suppression of a port", acc(func(p *kernel.Port) { p.Suppress = true }), []string{"-suppress_arp = true\n", "! eth1 has neighbour suppression"}},
		{"neighbour suppression", ovl(func(p *kernel.Port) { p.Suppress = true }), []string{"suppress_arp = true", "-! "}},
		{"an isolated vxlan device", ovl(func(p *kernel.Port) { p.Isolated = true }), []string{"! vxlan device vx10 is isolated"}},
		{"a vxlan device that is not flooded to", ovl(func(p *kernel.Port) { p.Flooded = false }), []string{"! vxlan device vx10 is not flooded to, broadcast"}},
		{"802.1Q sub-interfaces", func(s *kernel.Setup) { s.Link(eth1).Name, s.Link(eth1).VLANID = "eth1.10", 10 }, []string{"id = 10010\nvlan = 10\n", "interface = \"eth1.10\"\nvlan = 10\n"}},
		{"sub-interfaces of different VLANs", func(s *kernel.Setup) {
			s.Link(eth1).VLANID = 10
			upper(kernel.Link{Name: "eth2.11", Master: br10, VLANID: 11, Port: asMade()})(s)
		}, []string{"-vlan = 1", "interface = \"eth2.11\"\nvni = 10010"}},
		{"the underlay as a port", func(s *kernel.Setup) { s.Link(und0).Master, s.Link(und0).Port = br10, asMade() }, []string{"-interface = \"und0\"", "! und0, a port of bridge br10, is the underlay too"}},
		{"a name that is no text", func(s *kernel.Setup) { s.Link(eth1).Name = "eth\xff" }, []string{"-interface =", "! eth?, a port of bridge br10, has a name that cannot be written"}},
		{"a name to be quoted", func(s *kernel.Setup) { s.Link(eth1).Name = `a"b\c#` }, []string{`interface = "a\"b\\c#"`}},
		{"no port", func(s *kernel.Setup) { s.Link(eth1).Master = 0 }, []string{"! no access port of this machine is in it"}},

		// This machine in the network itself.
		{"an address of a host", func(s *kernel.Setup) { s.Link(br10).Addrs = []netip.Prefix{netip.MustParsePrefix("10.1.1.5/24")} }, []string{"-gateway =", "! br10 has 10.1.1.5/24: this machine's own address in the network"}},
		{"a gateway", func(s *kernel.Setup) {
			s.Link(br10).Addrs, s.Link(br10).Forwards.IPv4 = []netip.Prefix{netip.MustParsePrefix("10.1.1.1/24")}, true
			s.Routes = []kernel.Route{
				{Table: kernel.MainTable, Prefix: netip.MustParsePrefix("0.0.0.0/0"), Hops: []kernel.Hop{{Via: vtep2, Link: und0}}},
				{Table: kernel.MainTable, Prefix: netip.MustParsePrefix("10.9.0.0/16"), Hops: []kernel.Hop{{Via: netip.MustParseAddr("10.1.1.254"), Link: br10}}},
				{Table: kernel.MainTable, Prefix: netip.MustParsePrefix("10.8.0.0/16"), Hops: []kernel.Hop{{Via: netip.MustParseAddr("10.7.1.254"), Link: br10}}},
				{Table: kernel.MainTable, Prefix: netip.MustParsePrefix("10.6.0.0/16"), Hops: []kernel.Hop{{Link: br10}}},
				{Table: kernel.MainTable, Prefix: netip.MustParsePrefix("10.5.0.0/16"), Hops: []kernel.Hop{{Via: netip.MustParseAddr("10.1.1.1"), Link: br10}}},
				{Table: kernel.MainTable, Prefix: netip.MustParsePrefix("10.9.0.0/16"), Hops: []kernel.Hop{{Via: netip.MustParseAddr("10.1.1.253"), Link: br10}}},
			}
		}, []string{"vrf = \"main\"\ngateway = [\"10.1.1.1/24\"]\ngateway_mac = \"02:00:00:00:0b:01\"", "[[vrf]]\nname = \"main\"", "prefix = \"10.9.0.0/16\"\nvia = \"10.1.1.254\"",
			"! the default route of the main table leads out of the overlay", "! the route to 10.8.0.0/16 in VRF main: no gateway here is in the network of its next hop 10.7.1.254", "! the route to 10.6.0.0/16 in VRF main: its next hop is not a router",
			"! the route to 10.5.0.0/16 in VRF main: no gateway here is in the network of its next hop 10.1.1.1", "! the route to 10.9.0.0/16 in VRF main: there is one already"}},
		{"two addresses of one network", func(s *kernel.Setup) {
			s.Link(br10).Addrs, s.Link(br10).Forwards.IPv4 = []netip.Prefix{netip.MustParsePrefix("10.1.1.1/24"), netip.MustParsePrefix("10.1.1.2/24")}, true
		}, []string{`gateway = ["10.1.1.1/24"]`, "! br10 has 10.1.1.2/24, which no gateway can have: it overlaps 10.1.1.1/24"}},
		{"the underlay's address", func(s *kernel.Setup) {
			s.Link(br10).Addrs, s.Link(br10).Forwards.IPv4, s.Link(und0).Addrs = s.Link(und0).Addrs, true, nil
		}, []string{"-gateway =", "! br10 has 192.0.2.1/24, which is the VTEP's address"}},
		{"an anycast gateway", func(s *kernel.Setup) {
			upper(kernel.Link{Name: "any0", Kind: "macvlan", Parent: br10, Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.1.1/24")}})(s)
		}, []string{"! any0, on top of br10, has 10.1.1.1/24"}},
		{"a VLAN inside", upper(kernel.Link{Name: "br10.5", Kind: "vlan", Parent: br10, VLANID: 5}), []string{"! br10.5 is VLAN 5 inside of bridge br10"}},

		// Several.
		{"another VTEP address", func(s *kernel.Setup) {
			x := device(10011)
			x.Local = other
			s.Links = append(s.Links, kernel.Link{Index: 9, Name: "vx11", Master: 10, Up: true, VXLAN: x, Port: asMade()},
				kernel.Link{Index: 10, Name: "br11", Bridge: &kernel.Bridge{}})
		}, []string{"-10011", `address = "192.0.2.1"`, "! vxlan device vx11 speaks from 192.0.2.77, UDP port 4789, and most VNIs from 192.0.2.1, UDP port 4789"}},
		{"two VNIs in one bridge", upper(kernel.Link{Name: "vx11", Master: br10, Up: true, VXLAN: device(10011), Port: asMade()}), []string{"-id = 10011", "! bridge br10, vxlan device vx11, VNI 10011: it is bridged to VNI 10010 there"}},
		{"a VNI twice", func(s *kernel.Setup) {
			x := device(10010)
			x.Port = 4790
			s.Links = append(s.Links, kernel.Link{Index: 9, Name: "vx11", Master: 10, Up: true, VXLAN: x, Port: asMade()}, kernel.Link{Index: 10, Name: "br11", Bridge: &kernel.Bridge{}})
		}, []string{"! bridge br11, vxlan device vx11, VNI 10010: the VNI is that of bridge br10, vxlan device vx10 already"}},
		{"a device in no bridge", upper(kernel.Link{Name: "vx11", Up: true, VXLAN: device(10011)}), []string{"-id = 10011", "! vxlan device vx11 is in no bridge"}},
		{"GPE", func(s *kernel.Setup) {
			upper(kernel.Link{Name: "vx11", Master: br10, Up: true, VXLAN: &kernel.VXLAN{VNI: 5, GPE: true}})(s)
		}, []string{"! vxlan device vx11 speaks VXLAN-GPE"}},
		{"an external device without VLANs", upper(kernel.Link{Name: "vx11", Master: br10, Up: true, VXLAN: &kernel.VXLAN{External: true}}), []string{"! vxlan device vx11 is external"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is, text := made(t, change(plain, tc.is))
			has(t, text, tc.want)
			if n := strings.Count(text, "\n# ! "); n != is.Notes {
				t.Errorf("%d notes are counted, and %d are there", is.Notes, n)
			}
		})
	}
}

// VLAN-aware bridges that are not as they should be.
func TestFiltering(t *testing.T) {
	one := func(v uint16, pvid, untagged bool) kernel.VLAN {
		return kernel.VLAN{First: v, Last: v, PVID: pvid, Untagged: untagged}
	}
	for _, tc := range []struct {
		name string
		is   func(s *kernel.Setup)
		want []string
	}{
		{"a vxlan device with tags", func(s *kernel.Setup) { s.Link(vxB).VLANs = append(s.Link(vxB).VLANs, one(40, false, false)) }, []string{"! vxlan device vx20 carries VLANs 40 of bridge bridge too", "id = 10020"}},
		{"a vxlan device without PVID", func(s *kernel.Setup) { s.Link(vxB).VLANs = []kernel.VLAN{one(20, false, true)} }, []string{"! vxlan device vx20 is in no VLAN of bridge bridge as its PVID", "-id = 10020", "! eth2 is in VLAN 20 of bridge bridge, which no VNI stands for"}},
		{"a port without PVID", func(s *kernel.Setup) { s.Link(trunk).VLANs = nil }, []string{"! eth2 is in no VLAN of bridge bridge as its PVID"}},
		{"a trunk of one VLAN", func(s *kernel.Setup) { s.Link(trunk).VLANs = []kernel.VLAN{one(10, false, false)} }, []string{"ip link add link eth2 name eth2.10 type vlan id 10", "-interface = \"eth2\""}},
		{"a port that sends two VLANs untagged", func(s *kernel.Setup) { s.Link(trunk).VLANs = []kernel.VLAN{one(20, true, true), one(10, false, true)} }, []string{"! eth2 also sends what is in VLANs 10, untagged", "interface = \"eth2\"\nvlan = 20"}},
		{"the bridge's own address", func(s *kernel.Setup) {
			l := s.Link(bridge)
			l.VLANs, l.Addrs, l.Forwards.IPv4 = []kernel.VLAN{one(20, true, true)}, []netip.Prefix{netip.MustParsePrefix("10.2.2.1/24")}, true
		}, []string{"vlan = 20\nflood = [\"192.0.2.2\"]\nvrf = \"main\"\ngateway = [\"10.2.2.1/24\"]"}},
		{"a layer-3 VNI", func(s *kernel.Setup) {
			s.Link(trunk).Master = 0
			s.Links = append(s.Links, kernel.Link{Index: 9, Name: "bridge.20", Kind: "vlan", Parent: bridge, VLANID: 20, Master: red})
		}, []string{"! it looks like the layer-3 VNI of a VRF"}},
		{"a static MAC of another VLAN", func(s *kernel.Setup) {
			s.Link(trunk).FDB = []kernel.Entry{{MAC: hostMAC, Bridge: true, VLAN: 10}, {MAC: frame.MAC{2, 0, 0, 0, 1, 3}, Bridge: true, VLAN: 20}}
		}, []string{"address = \"02:00:00:00:01:03\"\nport = \"eth2\"", "-02:00:00:00:01:02"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, text := made(t, change(aware, tc.is))
			has(t, text, tc.want)
		})
	}
}

// Where there is nothing, the error says what was looked for.
func TestNothing(t *testing.T) {
	for _, tc := range []struct {
		name    string
		is      *kernel.Setup
		bridges []string
		want    string
	}{
		{"an empty machine", &kernel.Setup{}, nil, "there is no vxlan device here"},
		{"a device in no bridge", change(plain, func(s *kernel.Setup) { s.Link(vx10).Master = 0 }), nil, "vxlan device vx10 is in no bridge"},
		{"no such bridge", plain(), []string{"br11"}, `there is no bridge "br11": there is br10`},
		{"no address", change(plain, func(s *kernel.Setup) { s.Link(vx10).VXLAN.Local = netip.Addr{} }), nil, "no vxlan device here has a local address"},
		{"VNI 0", change(plain, func(s *kernel.Setup) { s.Link(vx10).VXLAN.VNI = 0 }), nil, "there is no such VNI here"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if is, err := Convert(tc.is, tc.bridges); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, %+v: want %q", err, is, tc.want)
			}
		})
	}
}

// With bridges named, the others are left alone.
func TestSomeBridges(t *testing.T) {
	s := change(plain, func(s *kernel.Setup) {
		x := device(10011)
		x.Local = vtep3
		s.Links = append(s.Links, kernel.Link{Index: 9, Name: "vx11", Master: 10, Up: true, VXLAN: x, Port: asMade()},
			kernel.Link{Index: 10, Name: "br11", Bridge: &kernel.Bridge{Ageing: 300 * time.Second}}, kernel.Link{Index: 11, Name: "eth11", Master: 10, Port: asMade()})
	})
	if _, text := made(t, s, "br11"); !strings.Contains(text, `address = "192.0.2.3"`) || strings.Contains(text, "10010") || strings.Contains(text, "vx10") || !strings.Contains(text, `"eth11"`) {
		t.Error(text)
	}
}
