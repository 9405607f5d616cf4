package path

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/test/netns"
)

// netdevMessage is a message of the netdev family about a device.
func netdevMessage(cmd byte, index int, x XDP) []byte {
	bits := func(set map[uint64]bool) (v uint64) {
		for bit, is := range set {
			if is {
				v |= bit
			}
		}
		return v
	}
	return slices.Concat([]byte{cmd, 1, 0, 0},
		attribute(netdevIndex, u32(uint32(index))...),
		attribute(netdevFeatures, u64(bits(map[uint64]bool{1: x.Basic, 2: x.Redirect, 4: x.Target, 32: x.Frags, 64: x.TargetFrags}))...),
		attribute(netdevRxMetadata, u64(bits(map[uint64]bool{1: x.RxTimestampHints, 4: x.RxVLANHints}))...))
}

// The layout is that of include/uapi/linux/netdev.h: index 1, features 3, metadata 5.
func TestWhatADeviceCan(t *testing.T) {
	index := attribute(1, u32(5)...)
	for _, c := range []struct {
		name string
		body []byte
		want XDP
		ok   bool
	}{
		{"a veth of Linux 6.18", slices.Concat([]byte{1, 1, 0, 0}, index, attribute(3, u64(0x23)...), attribute(5, u64(7)...), attribute(6, u64(0)...)),
			XDP{Known: true, Basic: true, Redirect: true, Frags: true, RxTimestampHints: true, RxVLANHints: true}, true},
		{"a peer receives by NAPI", slices.Concat([]byte{4, 1, 0, 0}, index, attribute(3, u64(0x67)...)),
			XDP{Known: true, Basic: true, Redirect: true, Frags: true, Target: true, TargetFrags: true}, true},
		{"target without fragments", slices.Concat([]byte{2, 1, 0, 0}, index, attribute(3, u64(4)...)), XDP{Known: true, Target: true}, true},
		{"AF_XDP and offload are not asked for", slices.Concat([]byte{2, 1, 0, 0}, index, attribute(3, u64(0x18)...), attribute(5, u64(2)...)), XDP{Known: true}, true},
		{"without metadata, as before Linux 6.7", slices.Concat([]byte{1, 1, 0, 0}, index, attribute(3, u64(1)...)), XDP{Known: true, Basic: true}, true},
		{"gone", slices.Concat([]byte{3, 1, 0, 0}, index, attribute(3, u64(0x67)...), attribute(5, u64(7)...)), XDP{}, true},
		{"features cut short", slices.Concat([]byte{1, 1, 0, 0}, index, attribute(3, 1, 0, 0, 0)), XDP{Known: true}, true},
		{"no index", slices.Concat([]byte{1, 1, 0, 0}, attribute(3, u64(1)...)), XDP{Known: true, Basic: true}, false},
		{"of a page pool", slices.Concat([]byte{5, 1, 0, 0}, index), XDP{}, false},
		{"cut short", []byte{1, 1, 0}, XDP{}, false},
	} {
		if n, got, ok := parseXDP(c.body); got != c.want || ok != c.ok || ok && n != 5 {
			t.Errorf("%s: device %d, %+v, %v, want %+v, %v", c.name, n, got, ok, c.want, c.ok)
		}
	}
}

func TestXDPProgInfo(t *testing.T) {
	for _, c := range []struct {
		name string
		info []byte
		want XDPProg
	}{
		{"none", attribute(2, 0), XDPProg{}},
		{"native", slices.Concat(attribute(5, u32(7)...), attribute(2, 1), attribute(4, u32(7)...)), XDPProg{XDPNative, 7}},
		{"generic", slices.Concat(attribute(6, u32(8)...), attribute(2, 2), attribute(4, u32(8)...)), XDPProg{XDPGeneric, 8}},
		{"hardware", slices.Concat(attribute(7, u32(9)...), attribute(2, 3), attribute(4, u32(9)...)), XDPProg{XDPHardware, 9}},
		{"in the driver and the device", slices.Concat(attribute(5, u32(7)...), attribute(7, u32(9)...), attribute(2, 4)), XDPProg{XDPMulti, 7}},
		{"in the stack and the device", slices.Concat(attribute(6, u32(8)...), attribute(7, u32(9)...), attribute(2, 4)), XDPProg{XDPMulti, 8}},
		{"nothing", nil, XDPProg{}},
	} {
		d, ok := parseLink(linkOf(attribute(unix.IFLA_IFNAME, 'e', 0), attribute(unix.IFLA_XDP, c.info...)))
		if !ok || d.XDPProg != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, d.XDPProg, ok, c.want)
		}
	}
	for m, want := range map[XDPMode]string{XDPNone: "none", XDPMulti: "multi", 9: "mode 9"} {
		if got := m.String(); got != want {
			t.Errorf("mode %d is %q, want %q", uint8(m), got, want)
		}
	}
}

// needNetdev skips the test where the kernel does not tell of XDP.
func needNetdev(t *testing.T, m *Monitor) {
	t.Helper()
	if m.dumper.netdev.id == 0 {
		t.Skip("needs the netdev family of Linux 6.3")
	}
}

func target(t *testing.T, m *Monitor, want bool) func() bool {
	return func() bool {
		l, ok := m.Link("eth0")
		return ok && l.XDP.Known && l.XDP.Target == want && l.XDP.TargetFrags == want
	}
}

// A veth can be redirected to while its peer receives by NAPI.
func TestTargetFollowsThePeer(t *testing.T) {
	n, far := newNS(t), newNS(t)
	m := follow(t, n)
	needNetdev(t, m)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	eventually(t, m, "up", isUp(m, "eth0"))
	eventually(t, m, "told of", target(t, m, false))
	if l := link(t, m, "eth0"); l.Driver != "veth" || !l.XDP.Basic || !l.XDP.Redirect {
		t.Errorf("link %+v", l)
	}
	late := opened(t, n)
	if l := link(t, late, "eth0"); l.Driver != "veth" || l.XDP != link(t, m, "eth0").XDP {
		t.Errorf("who comes later finds %+v", l)
	}
	must(t, far.Offloads("eth0", true, "gro"))
	eventually(t, m, "GRO", target(t, m, true))
	must(t, far.Offloads("eth0", false, "gro"))
	eventually(t, m, "no GRO", target(t, m, false))
	prog := passProgram(t)
	must(t, far.Do(func() error { return attach("eth0", prog, unix.XDP_FLAGS_DRV_MODE) }))
	eventually(t, m, "a program", target(t, m, true))
	must(t, far.Do(func() error { return attach("eth0", -1, unix.XDP_FLAGS_DRV_MODE) }))
	eventually(t, m, "no program", target(t, m, false))

	away := newNS(t)
	must(t, n.Move("eth0", away))
	eventually(t, m, "away", isGone(m, "eth0"))
	must(t, far.Offloads("eth0", true, "gro"))
	must(t, away.Move("eth0", n))
	eventually(t, m, "back", target(t, m, true))
}

func TestLostXDPNotificationsAreMadeUpFor(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	m := opened(t, n)
	needNetdev(t, m)
	must(t, m.sockets[0].raw.Control(func(fd uintptr) { setRoom(int(fd), 1) })) // the kernel's least
	for i := range 21 {
		must(t, far.Offloads("eth0", i%2 == 0, "gro"))
	}
	run(t, m)
	eventually(t, m, "what was lost", target(t, m, true))
	if m.losses == 0 {
		t.Error("nothing was lost: this test shows nothing")
	}
	must(t, far.Offloads("eth0", false, "gro"))
	eventually(t, m, "later news", target(t, m, false))
}

// Without the netdev family all else is as it was.
func TestKernelThatDoesNotTellOfXDP(t *testing.T) {
	n, far := newNS(t), newNS(t)
	m := &Monitor{changed: make(chan struct{}, 1), state: newState(), news: make(chan struct{})}
	t.Cleanup(func() { m.Close() })
	must(t, n.Do(func() error { return m.openWith(genericFamily{}) }))
	run(t, m)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	eventually(t, m, "up", isUp(m, "eth0"))
	must(t, far.Offloads("eth0", true, "gro"))
	must(t, n.SetMTU("eth0", 1400))
	eventually(t, m, "a later MTU", func() bool { return link(t, m, "eth0").MTU == 1400 })
	if l := link(t, m, "eth0"); l.Driver != "veth" || l.XDP != (XDP{}) {
		t.Errorf("link %+v", l)
	}
}

func TestProgramIsFollowed(t *testing.T) {
	n, far := newNS(t), newNS(t)
	must(t, netns.Veth(n, "eth0", far, "eth0", netns.VethOptions{}))
	m := follow(t, n)
	index, prog := link(t, m, "eth0").Index, passProgram(t)
	for _, c := range []struct {
		mode  XDPMode
		flags uint32
	}{{XDPGeneric, unix.XDP_FLAGS_SKB_MODE}, {XDPNative, unix.XDP_FLAGS_DRV_MODE}} {
		must(t, n.Do(func() error { return attach("eth0", prog, c.flags) }))
		eventually(t, m, c.mode.String(), func() bool {
			p := link(t, m, "eth0").XDPProg
			return p.Mode == c.mode && p.ID != 0
		})
		must(t, n.Do(func() error { return attach("eth0", -1, c.flags) }))
		eventually(t, m, "detached", func() bool { return link(t, m, "eth0").XDPProg == XDPProg{} })
	}
	// Nobody is told of this.
	must(t, n.Do(func() error { attachByLink(t, "eth0", prog); return nil }))
	if p, err := m.Attached(index); err != nil || p.Mode != XDPNative || p.ID == 0 {
		t.Errorf("attached by a bpf_link: %+v, %v", p, err)
	}
	if p, err := m.Attached(index + 1000); !errors.Is(err, unix.ENODEV) {
		t.Errorf("of no link: %+v, %v", p, err)
	}
	m.Close()
	if _, err := m.Attached(index); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
