package path

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

// attribute encodes one netlink attribute.
func attribute(typ uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func u64(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// linkMessage is a struct ifinfomsg and the attributes that matter.
func linkMessage(d device) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(d.Index))
	flags, oper := uint32(0), byte(2)
	if d.AdminUp {
		flags |= unix.IFF_UP
	}
	if d.Carrier {
		flags |= unix.IFF_LOWER_UP
		oper = operUp
	}
	binary.NativeEndian.PutUint32(b[8:], flags)
	return slices.Concat(b,
		attribute(unix.IFLA_IFNAME, append([]byte(d.Name), 0)...),
		attribute(unix.IFLA_MTU, u32(uint32(d.MTU))...),
		attribute(unix.IFLA_ADDRESS, d.MAC[:]...),
		attribute(unix.IFLA_OPERSTATE, oper),
		attribute(unix.IFLA_MASTER, u32(uint32(d.master))...),
		attribute(unix.IFLA_CARRIER_UP_COUNT, u32(d.carrierUps)...),
		attribute(unix.IFLA_CARRIER_DOWN_COUNT, u32(d.carrierDowns)...),
		attribute(unix.IFLA_IFALIAS, append([]byte(d.Alias), 0)...),
		attribute(unix.IFLA_LINK, u32(uint32(d.VLAN.Parent))...),
		attribute(unix.IFLA_XDP|unix.NLA_F_NESTED, slices.Concat(
			attribute(unix.IFLA_XDP_ATTACHED, byte(d.XDPProg.Mode)),
			attribute(unix.IFLA_XDP_PROG_ID, u32(d.XDPProg.ID)...))...),
		linkInfo(d.Kind, attribute(unix.IFLA_VLAN_ID, u16(d.VLAN.ID)...)))
}

func u16(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }

func linkInfo(kind string, data []byte) []byte {
	return attribute(unix.IFLA_LINKINFO, slices.Concat(
		attribute(unix.IFLA_INFO_KIND, append([]byte(kind), 0)...),
		attribute(unix.IFLA_INFO_DATA|unix.NLA_F_NESTED, data...))...)
}

func TestFallsBetweenTwoMessages(t *testing.T) {
	at := func(up bool, ups, downs uint32) *device {
		return &device{Link: Link{AdminUp: up, Carrier: up}, carrierUps: ups, carrierDowns: downs}
	}
	for _, c := range []struct {
		name    string
		old, is *device
		want    uint64
	}{
		{"stays up", at(true, 1, 0), at(true, 1, 0), 0},
		{"goes down", at(true, 1, 0), at(false, 1, 1), 1},
		{"is set down and keeps its carrier", at(true, 1, 0), at(false, 1, 0), 1},
		{"comes up", at(false, 1, 1), at(true, 2, 1), 0},
		{"flaps once unseen", at(true, 1, 0), at(true, 2, 1), 1},
		{"flaps thrice unseen", at(true, 1, 0), at(true, 4, 3), 3},
		{"flaps and ends down", at(true, 1, 0), at(false, 3, 3), 3},
		{"down, up and down again", at(false, 1, 1), at(false, 2, 2), 1},
		{"down, flaps and ends up", at(false, 1, 1), at(true, 3, 2), 1},
		{"set down first, carrier lost later", at(false, 1, 0), at(false, 1, 1), 0},
		{"counters wrap", at(true, 1<<32-1, 1<<32-1), at(true, 1, 1), 2},
	} {
		if got := fallsBetween(c.old, c.is); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestMessagesThatAreNotAboutALink(t *testing.T) {
	port := linkMessage(device{Link: Link{Name: "eth0", Index: 5}})
	port[0] = unix.AF_BRIDGE
	wireless := make([]byte, unix.SizeofIfInfomsg)
	wireless[4] = 5
	s := newState()
	s.apply(unix.RTM_NEWLINK, linkMessage(device{Link: Link{Name: "eth0", Index: 5, MTU: 1500}}))
	for _, c := range []struct {
		name string
		typ  uint16
		body []byte
	}{
		{"a bridge tells that a port left it", unix.RTM_DELLINK, port},
		{"a bridge tells of a port", unix.RTM_NEWLINK, port},
		{"a wireless event without a name", unix.RTM_NEWLINK, wireless},
		{"an address of another family", unix.RTM_NEWADDR, []byte{unix.AF_MPLS, 0, 0, 0, 5, 0, 0, 0}},
		{"a forwarding entry of a bridge", unix.RTM_NEWNEIGH, append([]byte{unix.AF_BRIDGE}, make([]byte, 11)...)},
		{"nothing at all", unix.RTM_NEWLINK, nil},
		{"an unknown type", 0xffff, port},
	} {
		if e := s.apply(c.typ, c.body); e != 0 {
			t.Errorf("%s: changed something (%d)", c.name, e)
		}
	}
	if l, ok := s.linkByName("eth0"); !ok || l.MTU != 1500 {
		t.Errorf("link %+v, %v", l, ok)
	}
}

func TestOnlyNewsIsSignalled(t *testing.T) {
	s := newState()
	d := device{Link: Link{Name: "eth0", Index: 5, MTU: 1500}}
	if s.apply(unix.RTM_NEWLINK, linkMessage(d)) != facts {
		t.Error("a new link is no news")
	}
	if s.apply(unix.RTM_NEWLINK, linkMessage(d)) != 0 {
		t.Error("the same again is news")
	}
	d.MTU = 1600
	if s.apply(unix.RTM_NEWLINK, linkMessage(d)) != facts {
		t.Error("another MTU is no news")
	}
	if s.apply(unix.RTM_DELLINK, linkMessage(d)) != facts || s.apply(unix.RTM_DELLINK, linkMessage(d)) != 0 {
		t.Error("a link goes once")
	}
	if s.apply(unix.RTM_NEWROUTE, nil) != routing {
		t.Error("a route is not about routing")
	}
}

func TestMasterThatIsNotKnown(t *testing.T) {
	s := newState()
	s.apply(unix.RTM_NEWLINK, linkMessage(device{Link: Link{Name: "eth0", Index: 5}, master: 9}))
	if l, _ := s.linkByName("eth0"); l.Master != "interface 9" {
		t.Errorf("master %q: a port of something must not look free", l.Master)
	}
}

// addressMessage is a struct ifaddrmsg and its attributes.
func addressMessage(index int, flags uint8, local, peer string) []byte {
	p := netip.MustParsePrefix(local)
	family := byte(unix.AF_INET)
	if p.Addr().Is6() {
		family = unix.AF_INET6
	}
	b := append([]byte{family, byte(p.Bits()), flags, 0}, u32(uint32(index))...)
	if peer == "" {
		return append(b, attribute(unix.IFA_ADDRESS, p.Addr().AsSlice()...)...)
	}
	b = append(b, attribute(unix.IFA_ADDRESS, netip.MustParseAddr(peer).AsSlice()...)...)
	return append(b, attribute(unix.IFA_LOCAL, p.Addr().AsSlice()...)...)
}

func TestWhichAddressesAreHeld(t *testing.T) {
	for _, c := range []struct {
		name  string
		body  []byte
		addr  string
		holds bool
	}{
		{"IPv4", addressMessage(5, 0, "192.0.2.1/24", ""), "192.0.2.1", true},
		{"point to point, ours", addressMessage(5, 0, "192.0.2.1/32", "192.0.2.2"), "192.0.2.1", true},
		{"point to point, the peer's", addressMessage(5, 0, "192.0.2.1/32", "192.0.2.2"), "192.0.2.2", false},
		{"IPv6", addressMessage(5, unix.IFA_F_PERMANENT, "2001:db8::1/64", ""), "2001:db8::1", true},
		{"tentative", addressMessage(5, unix.IFA_F_TENTATIVE, "2001:db8::1/64", ""), "2001:db8::1", false},
		{"optimistic", addressMessage(5, unix.IFA_F_TENTATIVE|unix.IFA_F_OPTIMISTIC, "2001:db8::1/64", ""), "2001:db8::1", true},
		{"duplicate", addressMessage(5, unix.IFA_F_DADFAILED, "2001:db8::1/64", ""), "2001:db8::1", false},
		{"on an unknown link", addressMessage(6, 0, "192.0.2.1/24", ""), "192.0.2.1", false},
	} {
		s := newState()
		s.apply(unix.RTM_NEWLINK, linkMessage(device{Link: Link{Name: "eth0", Index: 5}}))
		s.apply(unix.RTM_NEWADDR, c.body)
		if l, ok := s.holder(netip.MustParseAddr(c.addr)); ok != c.holds || ok && l.Name != "eth0" {
			t.Errorf("%s: %v %v", c.name, l, ok)
		}
		s.apply(unix.RTM_DELADDR, c.body)
		if l, ok := s.holder(netip.MustParseAddr(c.addr)); ok {
			t.Errorf("%s: still held by %v", c.name, l)
		}
	}
}

// An address that the check finds in use elsewhere is no longer held.
func TestAddressThatFailsTheCheckIsLetGo(t *testing.T) {
	s := newState()
	s.apply(unix.RTM_NEWLINK, linkMessage(device{Link: Link{Name: "eth0", Index: 5}}))
	s.apply(unix.RTM_NEWADDR, addressMessage(5, unix.IFA_F_OPTIMISTIC|unix.IFA_F_TENTATIVE, "2001:db8::1/64", ""))
	s.apply(unix.RTM_NEWADDR, addressMessage(5, unix.IFA_F_DADFAILED|unix.IFA_F_TENTATIVE, "2001:db8::1/64", ""))
	if _, ok := s.holder(netip.MustParseAddr("2001:db8::1")); ok {
		t.Error("still held")
	}
}

func TestNeighbourIsForgottenWhenItFails(t *testing.T) {
	hop := neighbour{5, netip.MustParseAddr("192.0.2.2")}
	msg := func(state uint16) []byte {
		b := append([]byte{unix.AF_INET, 0, 0, 0}, u32(5)...)
		b = binary.NativeEndian.AppendUint16(b, state)
		b = append(b, 0, 0)
		b = append(b, attribute(unix.NDA_DST, 192, 0, 2, 2)...)
		return append(b, attribute(unix.NDA_LLADDR, 2, 0, 0, 0, 0, 1)...)
	}
	s := newState()
	for _, c := range []struct {
		typ   uint16
		state uint16
		news  effect
		known bool
	}{
		{unix.RTM_NEWNEIGH, unix.NUD_INCOMPLETE, 0, false},
		{unix.RTM_NEWNEIGH, unix.NUD_REACHABLE, facts, true},
		{unix.RTM_NEWNEIGH, unix.NUD_STALE, 0, true},
		{unix.RTM_NEWNEIGH, unix.NUD_FAILED, facts, false},
		{unix.RTM_NEWNEIGH, unix.NUD_PERMANENT, facts, true},
		{unix.RTM_DELNEIGH, unix.NUD_PERMANENT, facts, false},
	} {
		if e := s.apply(c.typ, msg(c.state)); e != c.news {
			t.Errorf("type %d state %#x: news %d, want %d", c.typ, c.state, e, c.news)
		}
		if _, known := s.neighbours[hop]; known != c.known {
			t.Errorf("type %d state %#x: known %v, want %v", c.typ, c.state, known, c.known)
		}
	}
}

func TestNeighbourThatSomebodyElseKeeps(t *testing.T) {
	for _, c := range []struct {
		name  string
		state uint16
		flags uint8
		ext   uint32
		want  station
	}{
		{"reachable", unix.NUD_REACHABLE, 0, 0, station{macA, false}},
		{"stale", unix.NUD_STALE, 0, 0, station{macA, false}},
		{"in use", unix.NUD_STALE, unix.NTF_USE, 0, station{macA, false}},
		{"a router", unix.NUD_REACHABLE, unix.NTF_ROUTER, 0, station{macA, false}},
		{"for good", unix.NUD_PERMANENT, 0, 0, station{macA, true}},
		{"without ARP", unix.NUD_NOARP, 0, 0, station{macA, true}},
		{"by a daemon", unix.NUD_REACHABLE, unix.NTF_EXT_LEARNED, 0, station{macA, true}},
		{"by the kernel", unix.NUD_REACHABLE, 0, ntfExtManaged, station{macA, true}},
		{"by the kernel, which cannot find it", unix.NUD_FAILED, 0, ntfExtManaged, station{}},
	} {
		b := append([]byte{unix.AF_INET, 0, 0, 0}, u32(5)...)
		b = binary.NativeEndian.AppendUint16(b, c.state)
		b = append(b, c.flags, 0)
		b = append(b, attribute(unix.NDA_DST, 192, 0, 2, 2)...)
		b = append(b, attribute(unix.NDA_LLADDR, macA[:]...)...)
		b = append(b, attribute(ndaFlagsExt, u32(c.ext)...)...)
		if _, is, ok := parseNeighbour(b); !ok || is != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, is, c.want)
		}
	}
}

func TestVXLANInfo(t *testing.T) {
	port := attribute(unix.IFLA_VXLAN_PORT, 0x12, 0xb5)
	local6 := attribute(unix.IFLA_VXLAN_LOCAL6, make([]byte, 16)...)
	for _, c := range []struct {
		name string
		data []byte
		want vxlan
	}{
		{"no address", port, vxlan{4789, true, false}},
		{"IPv4", slices.Concat(port, attribute(unix.IFLA_VXLAN_LOCAL, 192, 0, 2, 1)), vxlan{4789, true, false}},
		{"IPv6", slices.Concat(local6, port), vxlan{4789, false, true}},
		{"IPv6 group", slices.Concat(attribute(unix.IFLA_VXLAN_GROUP6, make([]byte, 16)...), port), vxlan{4789, false, true}},
		{"external", slices.Concat(port, attribute(unix.IFLA_VXLAN_COLLECT_METADATA, 1)), vxlan{4789, true, true}},
		{"not external", slices.Concat(port, attribute(unix.IFLA_VXLAN_COLLECT_METADATA, 0)), vxlan{4789, true, false}},
	} {
		d, ok := parseLink(linkOf(linkInfo("vxlan", c.data)))
		if !ok || d.Kind != "vxlan" || d.vxlan != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, d, c.want)
		}
	}
	if d, _ := parseLink(linkOf(linkInfo("veth", port))); d.Kind != "veth" || d.vxlan != (vxlan{}) {
		t.Errorf("another kind: %+v", d)
	}
	if d, _ := parseLink(linkOf(linkInfo("vxlan", port), attribute(unix.IFLA_LINK_NETNSID, u32(0)...))); d.vxlan != (vxlan{}) {
		t.Errorf("a socket in another namespace: %+v", d)
	}
}

// linkOf is a message of eth0 with attributes.
func linkOf(attributes ...[]byte) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	b[4] = 5
	return slices.Concat(b, attribute(unix.IFLA_IFNAME, []byte("eth0\x00")...), slices.Concat(attributes...))
}

func TestVLANInfo(t *testing.T) {
	id := attribute(unix.IFLA_VLAN_ID, u16(77)...)
	parent := attribute(unix.IFLA_LINK, u32(3)...)
	protocol := func(etherType ...byte) []byte { return attribute(unix.IFLA_VLAN_PROTOCOL, etherType...) }
	for _, c := range []struct {
		name       string
		attributes [][]byte
		want       VLAN
	}{
		{"802.1Q", [][]byte{parent, linkInfo("vlan", slices.Concat(protocol(0x81, 0), id))}, VLAN{77, 3}},
		{"the other way round", [][]byte{linkInfo("vlan", slices.Concat(id, protocol(0x81, 0))), parent}, VLAN{77, 3}},
		{"from before there was another protocol", [][]byte{parent, linkInfo("vlan", id)}, VLAN{77, 3}},
		{"802.1ad", [][]byte{parent, linkInfo("vlan", slices.Concat(id, protocol(0x88, 0xa8)))}, VLAN{}},
		{"parent in another namespace", [][]byte{parent, linkInfo("vlan", id), attribute(unix.IFLA_LINK_NETNSID, u32(0)...)}, VLAN{}},
		{"another kind on a parent", [][]byte{parent, linkInfo("macvlan", id)}, VLAN{}},
	} {
		if d, ok := parseLink(linkOf(c.attributes...)); !ok || d.VLAN != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, d, c.want)
		}
	}
}

func TestVLANIsFoundWhateverItsName(t *testing.T) {
	s := newState()
	add := func(name string, index int, kind, alias string, v VLAN) {
		s.apply(unix.RTM_NEWLINK, linkMessage(device{Link: Link{Name: name, Index: index, Kind: kind, Alias: alias, VLAN: v}}))
	}
	add("und0", 3, "veth", "", VLAN{})
	add("und1", 4, "veth", "mark", VLAN{})
	add("und1.77", 5, "vlan", "mark", VLAN{77, 4})
	add("storage", 6, "vlan", "mark", VLAN{77, 3})
	add("und0.78", 7, "vlan", "other", VLAN{78, 3})
	add("far", 8, "vlan", "mark", VLAN{})
	if l, ok := s.vlan(VLAN{77, 3}); !ok || l.Name != "storage" {
		t.Errorf("VLAN 77 of und0: %+v, %v", l, ok)
	}
	for _, v := range []VLAN{{79, 3}, {77, 5}, {}, {0, 3}} {
		if l, ok := s.vlan(v); ok {
			t.Errorf("%+v: %+v", v, l)
		}
	}
	var names []string
	for _, l := range s.aliased("mark") {
		names = append(names, l.Name)
	}
	if !slices.Equal(names, []string{"und1.77", "storage", "far"}) {
		t.Errorf("of the alias: %v", names)
	}
}

func TestAddressesOfALink(t *testing.T) {
	s := newState()
	for _, a := range []struct {
		index int
		flags byte
		cidr  string
	}{{5, 0, "192.0.2.9/24"}, {5, 0, "192.0.2.1/32"}, {5, 0, "192.0.2.1/24"}, {6, 0, "192.0.2.7/24"}, {5, unix.IFA_F_TENTATIVE, "2001:db8::9/64"}, {5, 0, "2001:db8::1/64"}} {
		s.apply(unix.RTM_NEWADDR, addressMessage(a.index, a.flags, a.cidr, ""))
	}
	if got, want := fmt.Sprint(s.addrs(5)), "[192.0.2.1/24 192.0.2.9/24 192.0.2.1/32 2001:db8::1/64]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if p := netip.MustParsePrefix("192.0.2.1/24"); !s.holds(5, p) || s.holds(6, p) || s.holds(5, netip.MustParsePrefix("192.0.2.1/25")) {
		t.Error("holds another address than it should")
	}
}

// consistent is what must hold of any state.
func consistent(s *state) error {
	for name, index := range s.names {
		if d, ok := s.devices[index]; !ok || d.Name != name {
			return fmt.Errorf("name %q leads to %+v (%v)", name, d, ok)
		}
	}
	for index, d := range s.devices {
		if d.Index != index || d.Name == "" {
			return fmt.Errorf("device %d is %+v", index, d)
		}
		if _, ok := s.names[d.Name]; !ok {
			return fmt.Errorf("device %d cannot be found as %q", index, d.Name)
		}
	}
	for index, h := range s.hardware {
		if _, ok := s.devices[index]; !ok {
			return fmt.Errorf("device %d is gone and its driver says %+v", index, h)
		}
	}
	for index, x := range s.xdp {
		if index <= 0 || x == (XDP{}) {
			return fmt.Errorf("device %d can %+v", index, x)
		}
	}
	for n, is := range s.neighbours {
		if is.mac.IsZero() || !n.addr.IsValid() {
			return fmt.Errorf("neighbour %+v is %+v", n, is)
		}
	}
	return nil
}

// Against a slow, obvious model: a host with devices whose names are unique at
// any time. The state hears of each step, or of some at once by a full reading.
func TestStateFollowsAHost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newState()
		host := map[int]device{} // what is
		can := map[int]XDP{}     // what devices can, told of apart
		says := map[int]hardware{}
		least := map[int]uint64{} // Downs must not fall under one index
		index := rapid.IntRange(1, 4)
		name := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		heard := true // the last step was told of
		tell := func(typ uint16, d device) {
			if heard = rapid.Bool().Draw(t, "heard"); heard {
				s.apply(typ, linkMessage(d))
			}
		}
		taken := func(n string) bool {
			return slices.ContainsFunc(slices.Collect(maps.Values(host)), func(d device) bool { return d.Name == n })
		}
		lost := false
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				i, n := index.Draw(t, "index"), name.Draw(t, "name")
				d, there := host[i]
				if taken(n) {
					if !there {
						t.Skip("no free name")
					}
					n = d.Name
				}
				if !there {
					says[i] = hardware{rapid.SampledFrom([]string{"veth", "tun"}).Draw(t, "driver"), rapid.Bool().Draw(t, "strips")}
				}
				d.XDPProg.ID = rapid.Uint32Range(0, 2).Draw(t, "program")
				d.Index, d.Name, d.MTU = i, n, rapid.IntRange(1280, 9000).Draw(t, "mtu")
				d.master = index.Draw(t, "master")
				d.Alias = rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "alias")
				d.Kind, d.VLAN = "veth", VLAN{}
				if id := rapid.Uint16Range(0, 3).Draw(t, "vlan"); id > 0 {
					d.Kind, d.VLAN = kindVLAN, VLAN{id, index.Draw(t, "parent")}
				}
				d.AdminUp = rapid.Bool().Draw(t, "up")
				if was := d.Carrier; was != rapid.Bool().Draw(t, "carrier") {
					d.Carrier = !was
					if was {
						d.carrierDowns++
					} else {
						d.carrierUps++
					}
				}
				host[i] = d
				tell(unix.RTM_NEWLINK, d)
				if heard {
					s.setHardware(i, says[i])
				}
				lost = lost || !heard
			},
			"delete": func(t *rapid.T) {
				i := index.Draw(t, "index")
				d, there := host[i]
				if !there {
					t.Skip("not there")
				}
				delete(host, i)
				tell(unix.RTM_DELLINK, d)
				lost = lost || !heard
			},
			"can": func(t *rapid.T) {
				i, cmd := index.Draw(t, "index"), rapid.SampledFrom([]byte{netdevAdd, netdevDel, netdevChange}).Draw(t, "command")
				x := XDP{Known: true, Basic: rapid.Bool().Draw(t, "basic"), Target: rapid.Bool().Draw(t, "target")}
				if can[i] = x; cmd == netdevDel {
					delete(can, i)
				}
				if rapid.Bool().Draw(t, "heard") {
					s.apply(ofNetdev, netdevMessage(cmd, i, x))
				} else {
					lost = true
				}
			},
			"read all": func(t *rapid.T) {
				var dump []message
				for i, x := range can {
					dump = append(dump, message{ofNetdev, netdevMessage(netdevGet, i, x)})
				}
				for _, d := range host {
					dump = append(dump, message{unix.RTM_NEWLINK, linkMessage(d)})
					s.setHardware(d.Index, says[d.Index])
				}
				s.replace(dump)
				lost = false
			},
			"": func(t *rapid.T) {
				for i, d := range s.devices {
					if d.Downs < least[i] {
						t.Fatalf("device %d: downs fell from %d to %d", i, least[i], d.Downs)
					}
					least[i] = d.Downs
				}
				if lost {
					return
				}
				if err := consistent(s); err != nil {
					t.Fatal(err)
				}
				if len(s.devices) != len(host) {
					t.Fatalf("%d devices, want %d", len(s.devices), len(host))
				}
				for _, d := range host {
					got, ok := s.linkByName(d.Name)
					want := d.Link
					want.Downs, want.Master, want.XDP = got.Downs, got.Master, can[d.Index]
					want.Driver, want.StripsVLAN = says[d.Index].driver, says[d.Index].stripsVLAN
					if !ok || got != want {
						t.Fatalf("%s: %+v, want %+v", d.Name, got, want)
					}
					if m, ok := host[d.master]; ok && got.Master != m.Name {
						t.Fatalf("%s belongs to %s, want %s", d.Name, got.Master, m.Name)
					}
				}
			},
		})
	})
}

// Whatever the bytes, nothing panics and the state stays consistent.
func FuzzApply(f *testing.F) {
	up := device{Link: Link{Name: "eth0", Index: 5, MTU: 1500, AdminUp: true, Carrier: true, MAC: frame.MAC{2}}}
	f.Add(uint16(unix.RTM_NEWLINK), linkMessage(up), uint16(unix.RTM_DELLINK), linkMessage(up))
	up.XDPProg = XDPProg{XDPNative, 7}
	f.Add(uint16(unix.RTM_NEWLINK), linkMessage(up), uint16(ofNetdev), netdevMessage(netdevChange, 5, XDP{Known: true, Target: true}))
	f.Add(uint16(unix.RTM_NEWADDR), addressMessage(5, 0, "192.0.2.1/24", "192.0.2.2"), uint16(unix.RTM_DELADDR), addressMessage(5, 0, "2001:db8::1/64", ""))
	f.Add(uint16(unix.RTM_NEWNEIGH), slices.Concat([]byte{unix.AF_INET, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0}, attribute(unix.NDA_DST, 192, 0, 2, 2), attribute(unix.NDA_LLADDR, 2, 0, 0, 0, 0, 1)), uint16(unix.RTM_NEWROUTE), []byte{})
	f.Fuzz(func(t *testing.T, typ1 uint16, b1 []byte, typ2 uint16, b2 []byte) {
		s := newState()
		s.apply(unix.RTM_NEWLINK, linkMessage(up))
		for _, m := range append([]message{{typ1, b1}, {typ2, b2}}, split(b1)...) {
			s.apply(m.typ, m.body)
			if d, ok := parseLink(m.body); ok && m.typ == unix.RTM_NEWLINK && d.Name == up.Name && d.Index != up.Index {
				return // two devices of one name: no kernel says that
			}
			if err := consistent(s); err != nil {
				t.Fatal(err)
			}
		}
		s.replace([]message{{typ1, b1}, {typ2, b2}})
	})
}
