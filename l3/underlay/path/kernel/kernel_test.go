package kernel

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vxgw/l2/frame"
	"vxgw/test/netns"
)

var sameAddr = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func mac(text string) frame.MAC {
	m, err := frame.ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return m
}

func byName(t *testing.T, s *Setup, name string) Link {
	t.Helper()
	for _, l := range s.Links {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("there is no %s", name)
	return Link{}
}

// plain is a port of a bridge as the kernel makes it.
func plain() Port {
	return Port{Learning: true, Unicast: true, Multicast: true, Flooded: true}
}

// The VLAN-aware bridges of testdata/vlans.txt, as `bridge vlan`, `bridge vni` and
// `bridge fdb` had them there.
func TestVLANAware(t *testing.T) {
	s := recorded(t, "testdata/vlans.txt")
	br1, br2, red := byName(t, s, "br1"), byName(t, s, "br2"), byName(t, s, "red")
	forwards := Families{IPv4: true}
	vtep := netip.MustParseAddr
	quiet := plain()
	quiet.Learning, quiet.Suppress = false, true
	tunnel := quiet
	tunnel.Tunnel = true
	isolated := plain()
	isolated.Isolated = true
	for _, want := range []Link{
		{Name: "br1", Kind: "bridge", Forwards: forwards,
			Bridge: &Bridge{STP: true, Filtering: true, Ageing: 600 * time.Second, Snooping: true},
			VLANs:  []VLAN{{10, 10, false, false}, {20, 20, false, false}}},
		{Name: "eth1", Kind: "veth", Master: br1.Index, Forwards: forwards, Port: &isolated,
			VLANs: []VLAN{{10, 10, true, true}}, FDB: []Entry{{MAC: mac("02:00:00:00:01:02"), VLAN: 10, Bridge: true}}},
		{Name: "eth2", Kind: "veth", Master: br1.Index, Forwards: forwards, Port: new(plain()),
			VLANs: []VLAN{{10, 10, false, false}, {20, 20, true, true}, {30, 33, false, false}}},
		{Name: "vx10", Kind: "vxlan", Master: br1.Index, Forwards: forwards, Port: &quiet, VLANs: []VLAN{{10, 10, true, true}},
			VXLAN: &VXLAN{VNI: 10010, Local: vtep("192.0.2.1"), Port: 4789, TTL: 16, Ageing: 300 * time.Second, Checksum: true},
			FDB:   []Entry{{Remote: vtep("192.0.2.2")}, {Remote: vtep("192.0.2.3")}, {MAC: mac("02:00:00:00:01:03"), Remote: vtep("192.0.2.2")}}},
		{Name: "br1.10", Kind: "vlan", Parent: br1.Index, Master: red.Index, VLANID: 10, Forwards: forwards,
			Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.1.1/24"), netip.MustParsePrefix("2001:db8:1::1/64")}},
		{Name: "red", Kind: "vrf", Table: 10, Forwards: forwards},
		{Name: "vxs", Kind: "vxlan", Master: br2.Index, Forwards: forwards, Port: &tunnel,
			VLANs:   []VLAN{{1, 1, true, true}, {101, 104, false, false}, {200, 200, false, false}},
			Tunnels: []Tunnel{{101, 104, 5101}, {200, 200, 7200}},
			VXLAN: &VXLAN{Local: vtep("192.0.2.1"), Port: 4790, Ageing: 300 * time.Second, Checksum: true, External: true, VNIFilter: true,
				VNIs: []VNIs{{5101, 5104, netip.Addr{}}, {7200, 7200, vtep("192.0.2.9")}}},
			FDB: []Entry{
				{Remote: vtep("192.0.2.2"), Source: 5101}, {Remote: vtep("192.0.2.3"), Source: 5101}, {Remote: vtep("192.0.2.2"), Source: 5102},
				{Remote: vtep("192.0.2.9"), Source: 7200, VNI: 7200}, {MAC: mac("02:00:00:00:02:01"), Remote: vtep("192.0.2.3"), Source: 5101},
			}},
	} {
		got := byName(t, s, want.Name)
		want.Index, want.Up, want.MAC = got.Index, true, got.MAC
		if got.Kind == "veth" {
			want.Parent = got.Parent
		}
		// The kernel's tables are hashed.
		if diff := cmp.Diff(want, got, sameAddr, cmp.Transformer("set", func(rows []Entry) map[Entry]bool {
			set := map[Entry]bool{}
			for _, e := range rows {
				set[e] = true
			}
			return set
		})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
}

// What the kernel of this machine says of what was just made.
func TestRead(t *testing.T) {
	netns.Require(t)
	ns, err := netns.New("")
	must(t, err)
	defer ns.Close()
	far, err := netns.New("")
	must(t, err)
	defer far.Close()
	must(t, netns.Veth(ns, "und0", far, "und0", netns.VethOptions{}))
	must(t, netns.Veth(ns, "eth1", far, "eth1", netns.VethOptions{}))
	must(t, ns.AddAddr("und0", "192.0.2.1/24"))
	must(t, ns.VTEP("br0", netns.VXLANConfig{
		Name: "vx0", VNI: 10010, Local: netip.MustParseAddr("192.0.2.1"), Port: 4790, Dev: "und0", TTL: 9, TOS: 1, DF: true, UDPChecksum: true,
		Remotes: []netip.Addr{netip.MustParseAddr("192.0.2.2")}, Group: netip.MustParseAddr("239.1.1.1"), Ageing: 77 * time.Second,
	}, "eth1"))
	must(t, ns.VXLAN(netns.VXLANConfig{Name: "vx1", VNI: 10011, Remotes: []netip.Addr{netip.MustParseAddr("192.0.2.3")}, Port: 4791, NoLearning: true}))
	must(t, ns.AddAddr("br0", "10.1.1.1/24"))
	must(t, ns.AddAddr("br0", "2001:db8:1::1/64"))
	must(t, ns.Forward())
	var s *Setup
	must(t, ns.Do(func() error { s, err = Read(); return err }))

	br0, vx0, und0 := byName(t, s, "br0"), byName(t, s, "vx0"), byName(t, s, "und0")
	want := &VXLAN{VNI: 10010, Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("239.1.1.1"), Device: und0.Index, Port: 4790,
		TTL: 9, TOS: 1, DF: 1, Learning: true, Ageing: 77 * time.Second, Checksum: true}
	if diff := cmp.Diff(want, vx0.VXLAN, sameAddr); diff != "" {
		t.Errorf("vx0 (-want +got):\n%s", diff)
	}
	if vx0.Master != br0.Index || vx0.Port == nil || !vx0.Up || len(vx0.FDB) != 2 {
		t.Errorf("vx0: %+v", vx0)
	}
	if br0.Bridge == nil || br0.Bridge.STP || br0.Bridge.Snooping || br0.Bridge.Ageing != 300*time.Second || !br0.Forwards.IPv4 || len(br0.Addrs) != 2 || len(br0.FDB) != 0 {
		t.Errorf("br0: %+v %+v", br0, br0.Bridge)
	}
	if vx1 := byName(t, s, "vx1"); vx1.VXLAN.Local.IsValid() || vx1.VXLAN.Chosen != netip.MustParseAddr("192.0.2.1") || vx1.VXLAN.Learning {
		t.Errorf("vx1: %+v: want the address that the route has", vx1.VXLAN)
	}
}

// Learned rows leave only the VTEPs that they name; what a bridge's own devices have
// is nobody's entry.
func TestRows(t *testing.T) {
	vx := &Link{Index: 3, Master: 2, VXLAN: &VXLAN{}}
	other := &Link{Index: 4, Master: 2}
	vtep := netip.MustParseAddr("192.0.2.2")
	for range 2 {
		vx.keep(row{Entry: Entry{MAC: mac("02:00:00:00:00:01"), Remote: vtep}, learned: true})
		vx.keep(row{Entry: Entry{MAC: mac("02:00:00:00:00:01"), Bridge: true}, learned: true})
		other.keep(row{Entry: Entry{MAC: mac("33:33:00:00:00:01")}})
	}
	vx.keep(row{Entry: Entry{MAC: mac("02:00:00:00:00:02"), Remote: vtep, Daemon: true}, learned: true})
	if len(vx.FDB) != 1 || !vx.FDB[0].Daemon || !reflect.DeepEqual(vx.Heard, []Heard{{0, vtep}}) || other.FDB != nil {
		t.Errorf("%+v %+v", vx, other)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever a message is, reading it ends, and numbers are in their ranges.
func FuzzMessages(f *testing.F) {
	seeds, err := os.ReadDir("testdata")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no recording", err)
	}
	for i, k := range kinds {
		for _, b := range rawOf(f, "testdata/vlans.txt", k.name) {
			f.Add(uint8(i), b)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		r := newReader()
		k := kinds[int(kind)%len(kinds)]
		if k.name != "link" {
			r.setup.Links = []Link{{Index: int(b2(b)), Name: "x", VXLAN: &VXLAN{}}}
		} else {
			k.add(r, b)
		}
		r.index()
		if k.name != "link" {
			k.add(r, b)
		}
		for _, l := range r.setup.Links {
			if l.Index < 0 || l.Name == "" {
				t.Fatalf("%+v", l)
			}
			for _, v := range l.VLANs {
				if v.First == 0 || v.First > v.Last || v.Last > maxVLAN {
					t.Fatalf("%+v", v)
				}
			}
			for _, v := range l.Tunnels {
				if v.First == 0 || v.First > v.Last || v.Last > maxVLAN {
					t.Fatalf("%+v", v)
				}
			}
			for _, v := range l.VXLAN.vnis() {
				if v.First > v.Last {
					t.Fatalf("%+v", v)
				}
			}
			for _, a := range l.Addrs {
				if !a.IsValid() {
					t.Fatalf("%+v", l)
				}
			}
		}
	})
}

func (x *VXLAN) vnis() []VNIs {
	if x == nil {
		return nil
	}
	return x.VNIs
}

// b2 is an index that the message may be about.
func b2(b []byte) uint32 {
	if len(b) < 8 {
		return rand.Uint32N(2)
	}
	return uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7]&0x7f)<<24
}
