package path

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/test/netns"
)

func TestWhatAVethTells(t *testing.T) {
	a, b := newNS(t), newNS(t)
	must(t, netns.Veth(a, "und0", b, "und0", netns.VethOptions{}))
	must(t, netns.Veth(a, "und1", b, "und1", netns.VethOptions{}))
	for _, dev := range []string{"und1", "und0"} {
		must(t, a.AddAddr(dev, "192.0.2.17/24"))
	}
	must(t, a.AddAddr("und0", "192.0.2.17/32"))
	must(t, b.AddAddr("und0", "192.0.2.18/24"))
	var m *Monitor
	must(t, a.Do(func() (err error) { m, err = Open(); return err }))
	defer m.Close()

	o, err := m.Offloads("und0")
	if err != nil || o.LRO || !o.GSO {
		t.Errorf("%+v, %v", o, err)
	}
	must(t, a.Offloads("und0", true, "rx-gro"))
	if is, err := m.Offloads("und0"); err != nil || !is.GRO {
		t.Errorf("GRO was turned on: %+v, %v", is, err)
	}
	must(t, a.Offloads("und0", false, "rx-gro"))
	if is, err := m.Offloads("und0"); err != nil || is.GRO {
		t.Errorf("GRO was turned off: %+v, %v", is, err)
	}
	if _, err := m.Offloads("nope"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("no such link: %v", err)
	}
	if _, err := m.HashesPorts("und0", false); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("a veth spreads nothing: %v", err)
	}

	all := m.Holders(netip.MustParseAddr("192.0.2.17"))
	if names := slices.Collect(func(yield func(string) bool) {
		for _, l := range all {
			yield(l.Name)
		}
	}); !slices.Equal(names, []string{"und0", "und1"}) {
		t.Errorf("held by %v", names)
	}
	if h, ok := m.Holder(netip.MustParseAddr("192.0.2.17")); !ok || h.Name != "und0" {
		t.Errorf("held by %v, %v", h.Name, ok)
	}
}

// A neighbour who does not answer is asked for, and given up.
func TestUnanswered(t *testing.T) {
	a, b := newNS(t), newNS(t)
	must(t, netns.Veth(a, "und0", b, "und0", netns.VethOptions{}))
	must(t, a.AddAddr("und0", "192.0.2.17/24"))
	var m *Monitor
	must(t, a.Do(func() (err error) { m, err = Open(); return err }))
	defer m.Close()
	silent := netip.MustParseAddr("192.0.2.99")
	must(t, a.SendUDP(netip.MustParseAddrPort("192.0.2.17:1000"), netip.AddrPortFrom(silent, 9), []byte("x")))
	l, _ := m.Link("und0")
	failed, asked, err := m.Unanswered(l.Index)
	must(t, err)
	if !slices.Contains(append(failed, asked...), silent) {
		t.Errorf("failed %v, asked %v", failed, asked)
	}
}
