package path

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/test/netns"
)

const mark = "vxgw 192.0.2.1:4789"

// parent returns a namespace with und0, which is up and has an MTU of 1600.
func parent(t *testing.T) *netns.NS {
	t.Helper()
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "und0", far, "und0", netns.VethOptions{MTU: 1600}))
	return n
}

// newVLAN is VLAN 77 of und0 as und0.77.
func newVLAN(t *testing.T, m *Monitor) NewVLAN {
	t.Helper()
	return NewVLAN{VLAN: VLAN{ID: 77, Parent: link(t, m, "und0").Index}, Name: "und0.77", Alias: mark}
}

func exists(t *testing.T, n *netns.NS, dev string, want bool) {
	t.Helper()
	got, err := n.Has(dev)
	must(t, err)
	if got != want {
		t.Errorf("%s is there: %v, want %v", dev, got, want)
	}
}

// withVLANs runs with where the kernel has 802.1Q. Where it has none, that is
// what AddVLAN must say, and leave nothing behind.
func withVLANs(t *testing.T, n *netns.NS, m *Monitor, with func(t *testing.T)) {
	t.Helper()
	has, err := n.HasVLANs("und0")
	must(t, err)
	if has {
		with(t)
		return
	}
	v := newVLAN(t, m)
	if err := m.AddVLAN(v); !errors.Is(err, ErrNoVLANs) {
		t.Errorf("on a kernel without 802.1Q: %v", err)
	}
	v.Parent = link(t, m, "lo").Index
	if err := m.AddVLAN(v); !errors.Is(err, ErrNoVLANs) {
		t.Errorf("on lo, on a kernel without 802.1Q: %v", err)
	}
	exists(t, n, "und0.77", false)
	if names, err := m.RemoveVLANs(mark, 0); len(names) > 0 || err != nil {
		t.Errorf("removed %v, %v", names, err)
	}
}

// What is made is known when AddVLAN returns, carries the VLAN, and is removed
// with nothing but it.
func TestVLANIsMadeAndRemoved(t *testing.T) {
	n := parent(t)
	m := follow(t, n)
	withVLANs(t, n, m, func(t *testing.T) {
		must(t, n.VLAN("und0", "operators", 78))
		must(t, n.VLAN("und0", "others", 79))
		must(t, n.SetAlias("others", "vxgw 192.0.2.9:4789"))
		must(t, n.SetAlias("und0", mark))
		v := newVLAN(t, m)
		must(t, m.AddVLAN(v))
		l, ok := m.VLAN(v.VLAN)
		want := Link{Name: "und0.77", Index: l.Index, MTU: 1600, MAC: l.MAC, Multicast: true, Kind: "vlan", VLAN: v.VLAN, Alias: mark, Downs: l.Downs}
		want.Driver, want.StripsVLAN, want.XDP = "802.1Q VLAN Support", l.StripsVLAN, l.XDP
		if !ok || l != want {
			t.Fatalf("%+v, %v, want %+v", l, ok, want)
		}
		must(t, m.BringUp(l.Index))
		if l = link(t, m, "und0.77"); !l.AdminUp {
			t.Errorf("brought up: %+v", l)
		}
		if got := m.VLANs(mark); len(got) != 1 || got[0].Index != l.Index {
			t.Errorf("of the mark: %+v", got)
		}
		eventually(t, m, "carrier", isUp(m, "und0.77"))
		must(t, m.Assign(l.Index, netip.MustParsePrefix("192.0.2.1/24")))
		if h, ok := m.Holder(netip.MustParseAddr("192.0.2.1")); !ok || h.Index != l.Index {
			t.Errorf("held by %+v, %v", h, ok)
		}
		if names, err := m.RemoveVLANs(mark, l.Index); len(names) > 0 || err != nil {
			t.Errorf("but for the one: removed %v, %v", names, err)
		}
		if names, err := m.RemoveVLANs(mark, 0); !slices.Equal(names, []string{"und0.77"}) || err != nil {
			t.Errorf("removed %v, %v", names, err)
		}
		if _, ok := m.VLAN(v.VLAN); ok {
			t.Error("it is known still")
		}
		for dev, want := range map[string]bool{"und0.77": false, "und0": true, "operators": true, "others": true} {
			exists(t, n, dev, want)
		}
	})
}

func TestVLANThatCannotBeMade(t *testing.T) {
	n := parent(t)
	m := follow(t, n)
	withVLANs(t, n, m, func(t *testing.T) {
		good := newVLAN(t, m)
		fails := func(what string, v NewVLAN, want error) {
			t.Helper()
			if err := m.AddVLAN(v); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
			if got := m.VLANs(mark); len(got) > 0 {
				t.Errorf("%s left %+v", what, got)
			}
		}
		on := good
		on.Parent = link(t, m, "lo").Index
		fails("on lo", on, unix.EOPNOTSUPP)
		if err := m.AddVLAN(on); errors.Is(err, ErrNoVLANs) {
			t.Errorf("on lo, with 802.1Q: %v", err)
		}
		on.Parent = 4711
		fails("on no parent", on, unix.ENODEV)
		must(t, n.VLAN("und0", "storage", 77))
		fails("a second of the VLAN", good, unix.EEXIST)
		must(t, n.Move("storage", newNS(t)))
		eventually(t, m, "gone", isGone(m, "storage"))
		fails("a second of one in another namespace", good, unix.EEXIST)
		must(t, n.Bridge("und0.78"))
		taken := good
		taken.ID, taken.Name = 78, "und0.78"
		fails("a taken name", taken, unix.EEXIST)
	})
}

// A parent takes its VLANs down with it, and along when it goes.
func TestVLANAndItsParent(t *testing.T) {
	n := parent(t)
	m := follow(t, n)
	withVLANs(t, n, m, func(t *testing.T) {
		must(t, n.SetDown("und0"))
		v := newVLAN(t, m)
		must(t, m.AddVLAN(v))
		l := link(t, m, "und0.77")
		if err := m.BringUp(l.Index); !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("up on a parent that is down: %v", err)
		}
		must(t, n.SetUp("und0"))
		must(t, m.BringUp(l.Index))
		eventually(t, m, "up", isUp(m, "und0.77"))
		must(t, n.SetMTU("und0", 1400))
		eventually(t, m, "narrow", func() bool { return link(t, m, "und0.77").MTU == 1400 })
		if err := m.SetMTU(l.Index, 1500); !errors.Is(err, unix.ERANGE) && !errors.Is(err, unix.EINVAL) {
			t.Errorf("an MTU beyond the parent's: %v", err)
		}
		away := newNS(t)
		must(t, n.Move("und0", away))
		eventually(t, m, "no parent", isGone(m, "und0"))
		if l, ok := m.VLAN(v.VLAN); ok {
			t.Errorf("VLAN 77 of nothing: %+v", l)
		}
		if got := m.VLANs(mark); len(got) != 1 {
			t.Errorf("of the mark: %+v", got)
		}
		if names, err := m.RemoveVLANs(mark, 0); len(names) != 1 || err != nil {
			t.Errorf("removed %v, %v", names, err)
		}
		must(t, away.Move("und0", n))
		must(t, n.SetUp("und0"))
		eventually(t, m, "parent back", isUp(m, "und0"))
		v = newVLAN(t, m)
		must(t, m.AddVLAN(v))
		must(t, n.Delete("und0"))
		eventually(t, m, "gone with it", isGone(m, "und0.77"))
		if err := m.BringUp(l.Index); !errors.Is(err, unix.ENODEV) {
			t.Errorf("up, of what is gone: %v", err)
		}
	})
}

// RemoveVLANs takes VLANs only, whatever has the mark.
func TestMarkOfAnotherKind(t *testing.T) {
	n := parent(t)
	m := follow(t, n)
	must(t, n.SetAlias("und0", mark))
	eventually(t, m, "marked", func() bool { return link(t, m, "und0").Alias == mark })
	if got := m.VLANs(mark); len(got) > 0 {
		t.Errorf("%+v", got)
	}
	if names, err := m.RemoveVLANs(mark, 0); len(names) > 0 || err != nil {
		t.Errorf("removed %v, %v", names, err)
	}
	exists(t, n, "und0", true)
}

func TestBringUpAndSetMTU(t *testing.T) {
	n := parent(t)
	m := follow(t, n)
	must(t, n.SetDown("und0"))
	eventually(t, m, "down", isDown(m, "und0"))
	l := link(t, m, "und0")
	must(t, m.BringUp(l.Index))
	if l := link(t, m, "und0"); !l.AdminUp {
		t.Errorf("%+v", l)
	}
	must(t, m.SetMTU(l.Index, 1450))
	if l := link(t, m, "und0"); l.MTU != 1450 {
		t.Errorf("%+v", l)
	}
	must(t, m.SetMTU(l.Index, 1450))
	if err := m.SetMTU(l.Index, 1<<20); !errors.Is(err, unix.EINVAL) {
		t.Errorf("an MTU of a megabyte: %v", err)
	}
	must(t, n.Delete("und0"))
	if err := m.BringUp(l.Index); !errors.Is(err, unix.ENODEV) {
		t.Errorf("up, of what is gone: %v", err)
	}
}

func TestAssign(t *testing.T) {
	n := parent(t)
	must(t, n.AddAddr("und0", "2001:db8:ffff::1/64")) // turns IPv6 on
	m := follow(t, n)
	index := link(t, m, "und0").Index
	for _, cidr := range []string{"192.0.2.1/24", "192.0.2.1/32", "2001:db8::1/64"} {
		p := netip.MustParsePrefix(cidr)
		must(t, m.Assign(index, p))
		if l, held := m.Holder(p.Addr()); !held || l.Index != index || !slices.Contains(m.Addrs(index), p) {
			t.Errorf("%v is not known to be held by und0: %v", p, m.Addrs(index))
		}
		if err := m.Assign(index, p); !errors.Is(err, unix.EEXIST) {
			t.Errorf("%v a second time: %v", p, err)
		}
	}
	if err := m.Assign(index, netip.MustParsePrefix("2001:db8::1/128")); !errors.Is(err, unix.EEXIST) {
		t.Errorf("the same with another length: %v", err)
	}
	must(t, m.Unassign(index, netip.MustParsePrefix("192.0.2.1/32")))
	must(t, m.Unassign(index, netip.MustParsePrefix("2001:db8::1/64")))
	if got, want := fmt.Sprint(m.Addrs(index)), "[192.0.2.1/24 2001:db8:ffff::1/64]"; got != want {
		t.Errorf("holds %v, want %v", got, want)
	}
	must(t, m.Unassign(index, netip.MustParsePrefix("2001:db8::1/64")))
	must(t, n.Delete("und0"))
	must(t, m.Unassign(index, netip.MustParsePrefix("192.0.2.1/24")))
	if err := m.Assign(index, netip.MustParsePrefix("192.0.2.1/24")); !errors.Is(err, unix.ENODEV) {
		t.Errorf("of what is gone: %v", err)
	}
}

func TestAssignWithoutIPv6(t *testing.T) {
	n := parent(t) // IPv6 is off there
	m := follow(t, n)
	if err := m.Assign(link(t, m, "und0").Index, netip.MustParsePrefix("2001:db8::1/64")); !errors.Is(err, unix.EACCES) {
		t.Errorf("error %v", err)
	}
}

func TestChangesAfterClose(t *testing.T) {
	n := parent(t)
	m := opened(t, n)
	v := newVLAN(t, m)
	must(t, m.Close())
	_, remove := m.RemoveVLANs(mark, 0)
	p := netip.MustParsePrefix("192.0.2.1/24")
	for what, err := range map[string]error{
		"AddVLAN": m.AddVLAN(v), "RemoveVLANs": remove, "BringUp": m.BringUp(v.Parent), "SetMTU": m.SetMTU(v.Parent, 1400),
		"Assign": m.Assign(v.Parent, p), "Unassign": m.Unassign(v.Parent, p),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A change is made even when nobody tells that it was: what is not known soon
// is found by a later look.
func TestChangeThatIsNotToldBack(t *testing.T) {
	n := parent(t)
	m := opened(t, n) // and does not run
	index := link(t, m, "und0").Index
	must(t, m.SetMTU(index, 1400))
	if l := link(t, m, "und0"); l.MTU != 1600 {
		t.Errorf("known without being told: %+v", l)
	}
	run(t, m)
	eventually(t, m, "1400", func() bool { return link(t, m, "und0").MTU == 1400 })
}
