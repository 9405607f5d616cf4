package path

import (
	"maps"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/test/netns"
)

func TestStripsVLANFollows(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	m := follow(t, n)
	if l := link(t, m, "eth0"); !l.StripsVLAN || l.Driver != "veth" {
		t.Errorf("link %+v", l)
	}
	if l := link(t, m, "lo"); l.StripsVLAN || l.Driver != "" {
		t.Errorf("lo %+v", l)
	}
	for _, on := range []bool{false, true} {
		must(t, n.Offloads("eth0", on, "rxvlan"))
		eventually(t, m, "rx-vlan-hw-parse", func() bool { return link(t, m, "eth0").StripsVLAN == on })
	}
}

// A driver is asked for its name once, and for offloads when there is news of them.
func TestWhenDriversAreAsked(t *testing.T) {
	m := opened(t, newNS(t))
	lo := link(t, m, "lo").Index
	if lo != 1 {
		t.Fatalf("lo is %d", lo)
	}
	wrong := hardware{"e1000", true} // so that an answer can be told from it
	news := message{unix.RTM_NEWLINK, linkOf()}
	news.body[4] = 1
	offloads := message{unix.RTM_NEWLINK, append(append([]byte{}, news.body...), attribute(unix.IFLA_EVENT, u32(2)...)...)}
	peers := message{unix.RTM_NEWLINK, append(append([]byte{}, news.body...), attribute(unix.IFLA_EVENT, u32(4)...)...)}
	bridge := message{unix.RTM_NEWLINK, append([]byte{unix.AF_BRIDGE}, offloads.body[1:]...)}
	gone := message{unix.RTM_NEWLINK, append([]byte{}, offloads.body...)}
	gone.body[5] = 77
	for _, c := range []struct {
		name  string
		known bool
		msg   message
		all   bool
		want  map[int]hardware
	}{
		{"a new link", false, news, false, map[int]hardware{1: {}}},
		{"a known one", true, news, false, nil},
		{"its offloads changed", true, offloads, false, map[int]hardware{1: {driver: "e1000"}}},
		{"another event", true, peers, false, nil},
		{"a dump", true, news, true, map[int]hardware{1: {driver: "e1000"}}},
		{"a bridge's port", true, bridge, true, nil},
		{"no link of that index", false, gone, true, nil},
		{"a link that goes", false, message{unix.RTM_DELLINK, news.body}, true, nil},
		{"nothing", false, message{unix.RTM_NEWLINK, nil}, true, nil},
	} {
		delete(m.state.hardware, lo)
		if c.known {
			m.state.hardware[lo] = wrong
		}
		if got := m.askDrivers([]message{c.msg}, c.all); !maps.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
