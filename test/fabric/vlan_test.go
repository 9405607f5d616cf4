package fabric

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/l3/underlay/path"
)

const (
	sub77 = "und0.77"
	ours  = "vxgw 192.0.2.1:4789" // the mark of gateway a
)

// onVLAN writes the configuration of gateway a with its underlay on VLAN 77 of
// und0, one port more than needed, and VTEP b to flood to.
func onVLAN(address string, rest ...string) string {
	return fmt.Sprintf("[gateway]\nname = \"a\"\n[underlay]\naddress = %q\ninterface = \"und0\"\nvlan = 77\n[datapath]\nworkers = 1\n", address) +
		strings.Join(append(rest, vni(1000, "b"), ports(10, "e1 e2")), "\n")
}

func (g *Gateway) link(name string) (path.Link, bool) { return g.Host.Link(name) }

// addrsOf lists the addresses of a link.
func (g *Gateway) addrsOf(name string) string {
	l, _ := g.link(name)
	return fmt.Sprint(g.Host.Addrs(l.Index))
}

func (g *Gateway) uplinkRow() api.DatapathRow {
	g.net.Settle()
	rows := g.Datapath()
	return rows[len(rows)-1]
}

// carries holds that the gateway reaches its VTEPs, by the sub-interface of that
// name.
func (g *Gateway) carries(t *testing.T, by string) {
	t.Helper()
	g.net.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>192.0.2.2")
	if row := g.uplinkRow(); !row.Attached || row.Interface != by {
		t.Errorf("datapath %+v, want %s attached", row, by)
	}
}

// waits holds that the gateway sends nothing to VTEPs, switches between its ports,
// and says why, in the table and once in the log.
func (g *Gateway) waits(t *testing.T, why ...string) {
	t.Helper()
	g.net.Settle()
	g.net.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a!access:tx_failed")
	for range 3 {
		g.net.Tick()
	}
	row := g.uplinkRow()
	for _, s := range why {
		if !strings.Contains(row.Reason, s) {
			t.Errorf("%q says nothing of %q", row.Reason, s)
		}
	}
	if row.Attached || g.Status().Reason != row.Reason {
		t.Errorf("datapath %+v, status %+v", row, g.Status())
	}
	if k := strings.Count(g.Log(), row.Reason); k != 1 && !strings.Contains(row.Reason, `"`) {
		t.Errorf("said %d times: %s\n%s", k, row.Reason, g.Log())
	}
}

func (g *Gateway) hasLinks(t *testing.T, want string) {
	t.Helper()
	g.net.Settle()
	if got := strings.Join(g.Host.Names(), " "); got != want {
		t.Errorf("links %s, want %s", got, want)
	}
}

// From nothing to nothing: the sub-interface is made, marked, brought up, as wide
// as its parent, given the address, used, and goes with the gateway.
func TestVLANIsMade(t *testing.T) {
	for _, address := range []string{"192.0.2.1/24", "192.0.2.1/32"} {
		t.Run(address, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := n.AddOn(onVLAN(address), func(h *Host) { h.EditLink("und0", func(l *path.Link) { l.MTU = 1600 }) })
				a.hasLinks(t, "e1 e2 und0 und0.77")
				parent, _ := a.link("und0")
				l, _ := a.link(sub77)
				want := path.Link{Name: sub77, Index: l.Index, MTU: 1600, AdminUp: true, Carrier: true, Multicast: true, Kind: "vlan",
					VLAN: path.VLAN{ID: 77, Parent: parent.Index}, Alias: ours, Downs: l.Downs}
				if l != want {
					t.Errorf("%+v, want %+v", l, want)
				}
				if got := a.addrsOf(sub77); got != "["+address+"]" {
					t.Errorf("addresses %s", got)
				}
				a.carries(t, sub77)
				if strings.Contains(a.Log(), "WARN") {
					t.Errorf("log\n%s", a.Log())
				}
				n.CheckAccounts()
				a.Stop()
				a.hasLinks(t, "e1 e2 und0")
				if _, held := a.Host.Holder(a.Addr()); held {
					t.Error("the address is held still")
				}
			})
		})
	}
}

// An address without a length is the operator's to assign, and waited for: on
// the sub-interface and nowhere else.
func TestVLANWaitsForItsAddress(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1"), func(h *Host) {})
		a.waits(t, "und0.77 does not hold the VTEP address 192.0.2.1", "ip address add 192.0.2.1/LENGTH dev und0.77")
		a.Host.AddAddr(a.Addr(), "und0")
		a.waits(t, "192.0.2.1 is on und0 and not on und0.77, VLAN 77 of und0")
		a.Host.Give("192.0.2.1/24", sub77)
		a.carries(t, sub77)
		if !strings.Contains(a.Log(), "on another interface too") {
			t.Errorf("log\n%s", a.Log())
		}
		l, _ := a.link(sub77)
		a.log.forget()
		if err := a.Host.Unassign(l.Index, netip.MustParsePrefix("192.0.2.1/24")); err != nil {
			t.Fatal(err)
		}
		a.waits(t, "192.0.2.1 is on und0 and not on und0.77")
		a.Host.AddAddr(a.Addr(), sub77)
		a.carries(t, sub77)
		a.Stop()
		a.hasLinks(t, "e1 e2 und0")
	})
}

// A kernel without 802.1Q is named once and waited for, and not asked every
// second: each time it would run modprobe.
func TestKernelWithoutVLANs(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) { h.RefuseVLANs(path.ErrNoVLANs) })
		checkPort(t, a, "e1", "up", "")
		a.waits(t, "cannot make und0.77, VLAN 77 of und0: this kernel has no 802.1Q", "modprobe 8021q", "CONFIG_VLAN_8021Q", "take vlan out")
		if k := a.Host.VLANTries(); k != 1 {
			t.Errorf("%d tries within one clock tick", k)
		}
		n.Advance(9)
		if k := a.Host.VLANTries(); k != 1 {
			t.Errorf("%d tries in 9 s", k)
		}
		n.Advance(1)
		if k := a.Host.VLANTries(); k != 2 {
			t.Errorf("%d tries in 10 s", k)
		}
		a.waits(t, "modprobe 8021q")
		a.Host.RefuseVLANs(nil) // modprobe 8021q
		n.Advance(10)
		a.carries(t, sub77)
		a.Stop()
		a.hasLinks(t, "e1 e2 und0")
	})
}

// What may not be made can be made by somebody else, and is not waited for any
// longer.
func TestVLANWithoutTheRight(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) {
			h.RefuseVLANs(unix.EPERM)
			h.RefuseAddrs(unix.EPERM)
		})
		a.waits(t, "CAP_NET_ADMIN", "AmbientCapabilities=", "ip link add link und0 name und0.77 type vlan id 77")
		a.Host.MakeVLAN("und0", sub77, 77, "")
		a.waits(t, "cannot give und0.77 the address 192.0.2.1/24", "CAP_NET_ADMIN", "ip address add 192.0.2.1/24 dev und0.77")
		a.Host.Give("192.0.2.1/24", sub77)
		a.carries(t, sub77)
		a.Stop()
		a.hasLinks(t, "e1 e2 und0 und0.77")
		if got := a.addrsOf(sub77); got != "[192.0.2.1/24]" {
			t.Errorf("addresses %s", got)
		}
	})
}

func TestVLANThatCannotBeMade(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		says []string
	}{
		"in another namespace": {unix.EEXIST, []string{"in another network namespace", "another name"}},
		"not Ethernet":         {unix.EOPNOTSUPP, []string{"und0 carries no VLANs", "[underlay] interface"}},
		"anything else":        {unix.ENOMEM, []string{"cannot allocate memory", "trying again"}},
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) { h.RefuseVLANs(tt.err) })
				a.waits(t, append(tt.says, "cannot make und0.77, VLAN 77 of und0")...)
				a.Host.RefuseVLANs(nil)
				n.Advance(10)
				a.carries(t, sub77)
			})
		})
	}
}

func TestAddressThatCannotBeAssigned(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		says string
	}{
		"IPv6 is off": {unix.EACCES, "sysctl -w net/ipv6/conf/und0.77/disable_ipv6=0"},
		"no IPv6":     {unix.EOPNOTSUPP, "modprobe ipv6"},
		"tentative":   {unix.EEXIST, "checked for duplicates"},
		"other":       {unix.ENOBUFS, "no buffer space"},
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, func(n *Net) {
				text := strings.ReplaceAll(onVLAN("2001:db8::1/64"), "192.0.2.2", "2001:db8::2")
				a := n.AddOn(text, func(h *Host) { h.RefuseAddrs(tt.err) })
				n.Tick()
				if row := a.uplinkRow(); row.Attached || !strings.Contains(row.Reason, "cannot give und0.77 the address 2001:db8::1/64: ") || !strings.Contains(row.Reason, tt.says) {
					t.Errorf("datapath %+v", row)
				}
				a.Host.RefuseAddrs(nil)
				n.Tick()
				n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>2001:db8::2")
			})
		})
	}
}

// A name that something else has is refused aloud, and taken when it is free.
func TestVLANNameTaken(t *testing.T) {
	for name, tt := range map[string]struct {
		take func(*Host)
		says string
	}{
		"by a bridge":               {func(h *Host) { h.AddLink(sub77); h.EditLink(sub77, func(l *path.Link) { l.Kind = "bridge" }) }, "but a bridge device"},
		"by hardware":               {func(h *Host) { h.AddLink(sub77); h.EditLink(sub77, func(l *path.Link) { l.Kind = "" }) }, "but a device of its own"},
		"by another VLAN":           {func(h *Host) { h.MakeVLAN("und0", sub77, 78, "") }, "but VLAN 78:"},
		"by a VLAN of another link": {func(h *Host) { h.AddLink("und1"); h.MakeVLAN("und1", sub77, 77, "") }, "but VLAN 77 of another interface"},
		"by another gateway's": {func(h *Host) { h.AddLink("und1"); h.MakeVLAN("und1", sub77, 77, "vxgw 192.0.2.1:8472") },
			"but VLAN 77 of another interface"},
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := n.AddOn(onVLAN("192.0.2.1/24"), tt.take)
				a.waits(t, "und0.77 is there already and is not VLAN 77 of und0 "+tt.says, "ip link set und0.77 name OTHER, or ip link delete und0.77")
				if k := a.Host.VLANTries(); k != 0 {
					t.Errorf("%d tries", k)
				}
				was, _ := a.link(sub77)
				a.Host.Rename(sub77, "other")
				a.carries(t, sub77)
				is, _ := a.link("other")
				was.Name = "other"
				if is != was {
					t.Errorf("it was %+v and is %+v", was, is)
				}
				a.Stop()
				if names := a.Host.Names(); !slices.Contains(names, "other") || slices.Contains(names, sub77) {
					t.Errorf("links %v", names)
				}
			})
		})
	}
}

// A sub-interface that is there and fits is used, whatever its name, and left as
// it is, up to an address that it was given.
func TestVLANOfTheOperators(t *testing.T) {
	for _, name := range []string{sub77, "storage"} {
		t.Run(name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) {
					h.MakeVLAN("und0", name, 77, "to the DC")
					h.EditLink(name, func(l *path.Link) { l.MTU = 1400 })
					h.Give("198.51.100.1/24", name)
				})
				was, _ := a.link(name)
				a.carries(t, name)
				if got := a.addrsOf(name); got != "[198.51.100.1/24 192.0.2.1/24]" {
					t.Errorf("addresses %s", got)
				}
				a.Host.SetUp(name, false)
				n.Tick()
				if l, _ := a.link(name); l.AdminUp || l.MTU != 1400 {
					t.Errorf("it is not left alone: %+v", l)
				}
				if row := a.uplinkRow(); !strings.Contains(row.Reason, "ip link set "+name+" up") {
					t.Errorf("datapath %+v", row)
				}
				a.Host.SetUp(name, true)
				a.carries(t, name)
				n.CheckAccounts()
				a.Stop()
				if l, ok := a.link(name); !ok || l.Index != was.Index || l.Alias != "to the DC" || a.addrsOf(name) != "[198.51.100.1/24]" {
					t.Errorf("at the end it is %+v with %s", l, a.addrsOf(name))
				}
			})
		})
	}
}

// What the operator assigned stays assigned.
func TestAddressOfTheOperators(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) {
			h.MakeVLAN("und0", sub77, 77, "")
			h.Give("192.0.2.1/24", sub77)
		})
		a.carries(t, sub77)
		a.Stop()
		if got := a.addrsOf(sub77); got != "[192.0.2.1/24]" {
			t.Errorf("addresses %s", got)
		}
	})
}

// An IPv6 address can be on an interface with one length only.
func TestAddressWithAnotherLength(t *testing.T) {
	Test(t, func(n *Net) {
		text := strings.ReplaceAll(onVLAN("2001:db8::1/64"), "192.0.2.2", "2001:db8::2")
		a := n.AddOn(text, func(h *Host) {
			h.MakeVLAN("und0", sub77, 77, "")
			h.Give("2001:db8::1/128", sub77)
		})
		n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>2001:db8::2")
		if row := a.uplinkRow(); !row.Attached || !strings.Contains(row.Reason, "another prefix length") {
			t.Errorf("datapath %+v", row)
		}
		if k := strings.Count(a.Log(), "another prefix length"); k != 1 {
			t.Errorf("said %d times\n%s", k, a.Log())
		}
	})
}

// What a gateway that was killed left behind is found by its mark, used, and
// removed at the end.
func TestVLANLeftBehind(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) {
			h.MakeVLAN("und0", sub77, 77, ours)
			h.Give("192.0.2.1/32", sub77) // it was configured so
			h.SetUp(sub77, false)
		})
		a.carries(t, sub77)
		if k := a.Host.VLANTries(); k != 0 {
			t.Errorf("made anew, in %d tries", k)
		}
		if l, _ := a.link(sub77); !l.AdminUp || a.addrsOf(sub77) != "[192.0.2.1/24]" {
			t.Errorf("it is %+v with %s", l, a.addrsOf(sub77))
		}
		if !strings.Contains(a.Log(), "VLAN sub-interface is there") || !strings.Contains(a.Log(), "removed_at_the_end=true") {
			t.Errorf("log\n%s", a.Log())
		}
		a.Stop()
		a.hasLinks(t, "e1 e2 und0")
	})
}

// What was left behind of another configuration goes at the start; what is
// another gateway's, or nobody's, does not.
func TestStrays(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) {
			h.AddLink("und1")
			h.MakeVLAN("und0", "und0.78", 78, ours)
			h.MakeVLAN("und1", "und1.77", 77, ours)
			h.MakeVLAN("und0", "und0.79", 79, "vxgw 192.0.2.9:4789")
			h.MakeVLAN("und0", "und0.80", 80, "vxgw 192.0.2.1:8472")
			h.MakeVLAN("und0", "und0.81", 81, "")
		})
		a.carries(t, sub77)
		a.hasLinks(t, "e1 e2 und0 und0.77 und0.79 und0.80 und0.81 und1")
		a.Stop()
		a.hasLinks(t, "e1 e2 und0 und0.79 und0.80 und0.81 und1")
	})
}

// One that the mark is taken from is kept by who took it.
func TestMarkTakenAway(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1"), func(h *Host) {})
		a.Host.EditLink(sub77, func(l *path.Link) { l.Alias = "mine now" })
		a.Host.AddAddr(a.Addr(), sub77)
		a.carries(t, sub77)
		a.Stop()
		a.hasLinks(t, "e1 e2 und0 und0.77")
	})
}

// A parent that goes takes the sub-interface along; that of the next one is
// another, made at once.
func TestVLANParentAwayAndBack(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) { h.RemoveLink("und0") })
		for range 3 {
			a.waits(t, "there is no interface und0 to carry VLAN 77: waiting for it")
			a.Host.AddLink("und0")
			a.carries(t, sub77)
			a.log.forget()
			a.Host.RemoveLink("und0")
			a.hasLinks(t, "e1 e2")
		}
		// Another parent is tried at once, whatever the last one said.
		a.Host.RefuseVLANs(unix.EOPNOTSUPP)
		a.Host.AddLink("und0")
		a.waits(t, "carries no VLANs")
		a.Host.RemoveLink("und0")
		n.Settle()
		a.Host.RefuseVLANs(nil)
		a.Host.AddLink("und0")
		a.carries(t, sub77)
	})
}

// Under another name the parent is not the configured one: the sub-interface
// goes, and comes when there is an und0 again.
func TestVLANParentRenamed(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) {})
		a.carries(t, sub77)
		a.Host.Rename("und0", "eno1")
		a.waits(t, "there is no interface und0")
		a.hasLinks(t, "e1 e2 eno1")
		a.Host.AddLink("und0") // another one
		a.carries(t, sub77)
		a.Host.RemoveLink("und0")
		a.Host.Rename("eno1", "und0")
		a.carries(t, sub77)
		a.hasLinks(t, "e1 e2 und0 und0.77")
	})
}

// Between two looks the parent is replaced by another one of the same name.
func TestVLANParentReplaced(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) {})
		was, _ := a.link(sub77)
		a.Host.RemoveLink("und0")
		a.Host.AddLink("und0")
		a.carries(t, sub77)
		parent, _ := a.link("und0")
		if is, _ := a.link(sub77); is.Index == was.Index || is.VLAN.Parent != parent.Index {
			t.Errorf("%+v on %+v", is, parent)
		}
	})
}

// Down and up go with the parent. What an interface loses by it, its IPv6
// addresses, it is given again.
func TestVLANParentFlaps(t *testing.T) {
	for _, address := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		t.Run(address, func(t *testing.T) {
			Test(t, func(n *Net) {
				text, far := onVLAN(address), "192.0.2.2"
				if strings.Contains(address, ":") {
					far = "2001:db8::2"
					text = strings.ReplaceAll(text, "192.0.2.2", far)
				}
				a := n.AddOn(text, func(h *Host) { h.SetUp("und0", false) })
				for range 3 {
					n.Settle()
					if row := a.uplinkRow(); !strings.Contains(row.Reason, "ip link set und0 up") {
						t.Errorf("datapath %+v", row)
					}
					a.Host.SetUp("und0", true)
					n.Send("a.e1", Local(frame.Broadcast, H1)).Is("a.e2 a>" + far)
					l, _ := a.link(sub77)
					if !l.AdminUp || a.addrsOf(sub77) != "["+address+"]" {
						t.Errorf("%+v with %s", l, a.addrsOf(sub77))
					}
					a.Host.SetUp("und0", false)
				}
			})
		})
	}
}

// What is done to a sub-interface of the gateway's own making is mended.
func TestVLANIsKept(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) {})
		for _, harm := range []struct {
			name string
			do   func(*Host)
		}{
			{"set down", func(h *Host) { h.SetUp(sub77, false) }},
			{"narrow", func(h *Host) { h.EditLink(sub77, func(l *path.Link) { l.MTU = 1400 }) }},
			{"without", func(h *Host) { h.RemoveAddr(a.Addr()) }},
			{"deleted", func(h *Host) { h.RemoveLink(sub77) }},
			{"parent dips", func(h *Host) { h.EditLink("und0", func(l *path.Link) { l.MTU = 1280 }) }},
			{"parent rises", func(h *Host) { h.EditLink("und0", func(l *path.Link) { l.MTU = 9000 }) }},
			{"renamed", func(h *Host) { h.Rename(sub77, "vlan77") }},
		} {
			harm.do(a.Host)
			n.Settle()
			parent, _ := a.link("und0")
			sub, ok := a.Host.VLAN(path.VLAN{ID: 77, Parent: parent.Index})
			if !ok || !sub.AdminUp || sub.MTU != parent.MTU || a.addrsOf(sub.Name) != "[192.0.2.1/24]" {
				t.Errorf("%s: %+v on %+v with %s", harm.name, sub, parent, a.addrsOf(sub.Name))
			}
			a.carries(t, sub.Name)
		}
		a.Stop()
		a.hasLinks(t, "e1 e2 und0")
	})
}

// MACsec has no room for a tag beyond its MTU.
func TestVLANOnMACsec(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) {
			h.EditLink("und0", func(l *path.Link) { l.Kind, l.MTU = "macsec", 1468 })
		})
		n.Tick()
		if l, _ := a.link(sub77); l.MTU != 1464 || strings.Contains(a.Log(), "WARN") {
			t.Errorf("%+v\n%s", l, a.Log())
		}
	})
}

// A parent whose name is too long for another part and a dot.
func TestVLANOfALongName(t *testing.T) {
	Test(t, func(n *Net) {
		const parent = "enp129s0f1np1"
		a := n.AddOn(strings.ReplaceAll(onVLAN("192.0.2.1/24"), "und0", parent), func(h *Host) { h.AddLink(parent) })
		a.carries(t, "vxgw.77")
		a.hasLinks(t, "e1 e2 enp129s0f1np1 und0 vxgw.77")
		a.Stop()
		a.hasLinks(t, "e1 e2 enp129s0f1np1 und0")
	})
}

// Groups are joined on the sub-interface, which is also what a packet to one has
// to fit.
func TestGroupOnAVLAN(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24", vni(2000, "", `group = "`+group+`"`)), func(h *Host) {})
		l, _ := a.link(sub77)
		if m := a.Membership(); m.Interface != l.Index || len(m.Groups) != 1 {
			t.Errorf("joined %+v, want on %d", m, l.Index)
		}
		a.Host.RemoveLink("und0")
		a.Host.AddLink("und0")
		n.Settle()
		if l, _ := a.link(sub77); a.Membership().Interface != l.Index {
			t.Errorf("joined %+v, want on %d", a.Membership(), l.Index)
		}
	})
}

// The sub-interface is no access port, whatever its name.
func TestVLANIsNoAccessPort(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1", ports(10, "storage")), func(h *Host) {
			h.RemoveLink("storage")
			h.MakeVLAN("und0", "storage", 77, "")
		})
		checkPort(t, a, "storage", "refused", "is the underlay interface")
		if a.Cable("storage") != nil {
			t.Error("it was opened")
		}
	})
}

// A reload leaves the VLAN as it is, and says that it takes a restart.
func TestVLANReload(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) {})
		for _, next := range []string{
			strings.Replace(onVLAN("192.0.2.1/24"), "vlan = 77", "vlan = 78", 1),
			strings.Replace(onVLAN("192.0.2.1"), "vlan = 77", "", 1),
		} {
			cfg, err := config.Parse("test.toml", []byte(next))
			if err != nil {
				t.Fatal(err)
			}
			changes, err := a.Reload(cfg)
			if err != nil || !slices.Contains(changes.RestartNeeded, "underlay.vlan") || !slices.Contains(changes.Lines(), "~ underlay.vlan (at the next start)") {
				t.Errorf("%+v, %v", changes, err)
			}
			n.Tick()
			a.carries(t, sub77)
			a.hasLinks(t, "e1 e2 und0 und0.77")
		}
		a.Stop()
		a.hasLinks(t, "e1 e2 und0")
	})
}

// harms is what can happen to the host of a gateway.
var harms = map[string]func(*Gateway){
	"parent goes":        func(g *Gateway) { g.Host.RemoveLink("und0") },
	"parent is renamed":  func(g *Gateway) { renameFree(g.Host, "und0", "eno1") },
	"another is renamed": func(g *Gateway) { renameFree(g.Host, "eno1", "und0") },
	"parent comes":       func(g *Gateway) { addFree(g.Host, "und0") },
	"parent down":        func(g *Gateway) { setUpIf(g.Host, "und0", false) },
	"parent up":          func(g *Gateway) { setUpIf(g.Host, "und0", true) },
	"parent narrow":      func(g *Gateway) { editIf(g.Host, "und0", func(l *path.Link) { l.MTU = 1300 }) },
	"sub goes":           func(g *Gateway) { g.Host.RemoveLink(sub77) },
	"sub down":           func(g *Gateway) { setUpIf(g.Host, sub77, false) },
	"sub narrow":         func(g *Gateway) { editIf(g.Host, sub77, func(l *path.Link) { l.MTU = 1290 }) },
	"sub renamed":        func(g *Gateway) { renameFree(g.Host, sub77, "vlan77") },
	"address goes":       func(g *Gateway) { g.Host.RemoveAddr(g.Addr()) },
	"name taken":         func(g *Gateway) { renameFree(g.Host, "spare", sub77) },
	"module goes":        func(g *Gateway) { g.Host.RefuseVLANs(path.ErrNoVLANs) },
	"rights go":          func(g *Gateway) { g.Host.RefuseAddrs(unix.EPERM) },
	"time passes":        func(g *Gateway) { g.net.Advance(3) },
	"the gateway looks":  func(g *Gateway) { g.net.Settle() },
}

func renameFree(h *Host, name, other string) {
	_, there := h.Link(name)
	if _, taken := h.Link(other); there && !taken {
		h.Rename(name, other)
	}
}

func addFree(h *Host, name string) {
	if _, taken := h.Link(name); !taken {
		h.AddLink(name)
	}
}

func setUpIf(h *Host, name string, up bool) { editIf(h, name, func(l *path.Link) { l.AdminUp = up }) }

func editIf(h *Host, name string, edit func(*path.Link)) {
	if _, there := h.Link(name); there {
		h.EditLink(name, edit)
	}
}

// Whatever happens to the host, in whatever order and between whichever looks:
// once it is whole again the next look has mended the rest, and at the end there
// is what there was.
func TestVLANHealsWhateverHappens(t *testing.T) {
	names := slices.Sorted(maps.Keys(harms))
	rapid.Check(t, func(rt *rapid.T) {
		happens := rapid.SliceOfN(rapid.SampledFrom(names), 0, 15).Draw(rt, "what happens")
		var rec recorder
		synctest.Test(t, func(*testing.T) {
			n := New(&rec)
			defer n.Stop()
			a := n.AddOn(onVLAN("192.0.2.1/24"), func(h *Host) { h.AddLink("spare") })
			for _, name := range happens {
				harms[name](a)
			}
			checkHeals(n, a)
		})
		if len(rec.failures) > 0 {
			rt.Fatalf("%s", strings.Join(rec.failures, "\n"))
		}
	})
}

// checkHeals makes the host whole: there is an und0, it is up, the name is free
// and nothing is refused. Then it holds the gateway to the rest.
func checkHeals(n *Net, a *Gateway) {
	h := a.Host
	h.RefuseVLANs(nil)
	h.RefuseAddrs(nil)
	addFree(h, "und0")
	h.SetUp("und0", true)
	if l, ok := h.Link(sub77); ok && l.Kind != "vlan" {
		h.Rename(sub77, "spare")
	}
	n.Advance(10)
	parent, _ := h.Link("und0")
	sub, ok := h.VLAN(path.VLAN{ID: 77, Parent: parent.Index})
	if !ok || !sub.AdminUp || sub.MTU != parent.MTU || sub.Alias != ours || fmt.Sprint(h.Addrs(sub.Index)) != "[192.0.2.1/24]" {
		n.T.Errorf("not mended: %+v on %+v with %v\n%s", sub, parent, h.Addrs(sub.Index), a.Log())
	}
	if row := a.uplinkRow(); !row.Attached || row.Interface != sub.Name {
		n.T.Errorf("datapath %+v\n%s", row, a.Log())
	}
	a.Stop()
	for _, name := range h.Names() {
		if l, _ := h.Link(name); l.Kind == "vlan" {
			n.T.Errorf("%s was left", name)
		}
	}
	if l, held := h.Holder(a.Addr()); held {
		n.T.Errorf("the address was left on %s", l.Name)
	}
}
