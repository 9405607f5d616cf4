package path

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vxgw/test/netns"
)

// kernelsNeighbour asks the kernel for a neighbour.
func kernelsNeighbour(t *testing.T, m *Monitor, n Neighbour) (is netlink.Neigh, known bool) {
	t.Helper()
	all, err := m.handle.NeighList(n.Interface, family(n.Addr))
	must(t, err)
	for _, is := range all {
		if addr, _ := netip.AddrFromSlice(is.IP); addr.Unmap() == n.Addr {
			return is, true
		}
	}
	return netlink.Neigh{}, false
}

// confirmNet is an underlay whose hosts have link-local addresses: the kernel asks
// for an IPv6 neighbour from there.
func confirmNet(t *testing.T) *netns.NS {
	t.Helper()
	ns, far := underlay(t)
	must(t, ns.AddAddr("und0", "fe80::1/64"))
	must(t, far.AddAddr("und0", "fe80::2/64"))
	return ns
}

// neighboursOf are one of each family behind a device.
func neighboursOf(index int) []Neighbour {
	return []Neighbour{{index, netip.MustParseAddr("192.0.2.254")}, {index, netip.MustParseAddr("2001:db8::ff")}}
}

// TestConfirm: the kernel makes sure of a neighbour that it has not heard of for a
// while, and looks for one that it does not know.
func TestConfirm(t *testing.T) {
	ns := confirmNet(t)
	for _, family := range []string{"ipv4", "ipv6"} {
		must(t, ns.Sysctl(family+"/neigh/und0/delay_first_probe_time", "0"))
	}
	m := follow(t, ns)
	for _, n := range neighboursOf(link(t, m, "und0").Index) {
		state := func(want int) {
			t.Helper()
			for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
				is, _ := kernelsNeighbour(t, m, n)
				if is.State == want {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("%v is in state %#x, want %#x", n.Addr, is.State, want)
				}
			}
		}
		must(t, m.Confirm([]Neighbour{n}))
		state(unix.NUD_REACHABLE)
		is, _ := kernelsNeighbour(t, m, n)
		is.State = unix.NUD_STALE
		must(t, m.handle.NeighSet(&is))
		state(unix.NUD_STALE)
		must(t, m.Confirm([]Neighbour{n}))
		state(unix.NUD_REACHABLE)
	}
}

// TestConfirmLeavesOthersAlone: what an operator entered for good stays, and what a
// daemon or the kernel keeps fresh stays theirs.
func TestConfirmLeavesOthersAlone(t *testing.T) {
	ns := confirmNet(t)
	m := follow(t, ns)
	for _, n := range neighboursOf(link(t, m, "und0").Index) {
		for _, c := range []struct {
			name         string
			state, flags int
			ext          int
		}{
			{"for good", unix.NUD_PERMANENT, 0, 0},
			{"without ARP", unix.NUD_NOARP, 0, 0},
			{"by a daemon", unix.NUD_REACHABLE, unix.NTF_EXT_LEARNED, 0},
			{"by the kernel", unix.NUD_NONE, 0, ntfExtManaged},
		} {
			must(t, m.handle.NeighSet(&netlink.Neigh{
				LinkIndex: n.Interface, Family: family(n.Addr), IP: n.Addr.AsSlice(), HardwareAddr: macB[:], State: c.state, Flags: c.flags, FlagsExt: c.ext,
			}))
			eventually(t, m, c.name, func() bool { return m.isKept(n) })
			must(t, m.Confirm([]Neighbour{n}))
			is, known := kernelsNeighbour(t, m, n)
			kept := is.State&c.state == c.state && is.Flags&c.flags == c.flags && is.FlagsExt&c.ext == c.ext
			if !known || !kept || is.HardwareAddr.String() != macB.String() {
				t.Errorf("%v %s: the kernel has %+v", n.Addr, c.name, is)
			}
			must(t, m.handle.NeighDel(&is))
			eventually(t, m, "deleted", func() bool { return !m.isKept(n) })
		}
	}
}

func TestConfirmErrors(t *testing.T) {
	ns, _ := underlay(t)
	m := follow(t, ns)
	index := link(t, m, "und0").Index
	if err := m.Confirm([]Neighbour{{index + 1000, netip.MustParseAddr("192.0.2.254")}}); err != nil {
		t.Errorf("a link that is gone: %v", err)
	}
	if err := m.Confirm(nil); err != nil {
		t.Errorf("nobody: %v", err)
	}
	// Who may ask is told by the capabilities of the thread that asks.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	must(t, unix.Capget(&header, &had[0]))
	less := had
	less[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	must(t, unix.Capset(&header, &less[0]))
	err := m.Confirm(neighboursOf(index))
	must(t, unix.Capset(&header, &had[0]))
	if !errors.Is(err, unix.EPERM) {
		t.Errorf("without CAP_NET_ADMIN: %v", err)
	}
	m.Close()
	if err := m.Confirm(neighboursOf(index)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
