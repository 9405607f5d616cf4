package udp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"vxgw/test/netns"
)

func TestConfigRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no address", Config{Port: 4789}, "write one unicast address"},
		{"unspecified", Config{Address: netip.MustParseAddr("0.0.0.0"), Port: 4789}, "write one unicast address"},
		{"group", Config{Address: netip.MustParseAddr("239.1.1.1"), Port: 4789}, "write one unicast address"},
		{"link-local", Config{Address: netip.MustParseAddr("fe80::1"), Port: 4789}, "link-local"},
		{"no port", Config{Address: v4.gw}, "port 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Open(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestAddressMissing(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		_, err := tryOpen(n.gw, Config{Address: a.peer})
		if !errors.Is(err, ErrNoAddress) || !errors.Is(err, unix.EADDRNOTAVAIL) || IsPortTaken(err) {
			t.Errorf("%s: error %v", a.name, err)
		}
		t.Log(err)
	}
}

// hold binds a UDP socket in a namespace.
func hold(t *testing.T, ns *netns.NS, network, address string, opts ...int) {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) error {
			for _, o := range opts {
				if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, 1); err != nil {
					return err
				}
			}
			return nil
		})
	}}
	must(t, ns.Do(func() error {
		c, err := lc.ListenPacket(context.Background(), network, address)
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
		return err
	}))
}

func TestPortTaken(t *testing.T) {
	for _, tt := range []struct {
		name string
		take func(*testing.T, *netns.NS)
	}{
		{"same address", func(t *testing.T, ns *netns.NS) {
			hold(t, ns, "udp4", "192.0.2.17:4789")
			hold(t, ns, "udp6", "[2001:db8::17]:4789")
		}},
		{"any address", func(t *testing.T, ns *netns.NS) { hold(t, ns, "udp", ":4789") }},
		{"a socket that would share", func(t *testing.T, ns *netns.NS) {
			hold(t, ns, "udp4", "192.0.2.17:4789", unix.SO_REUSEPORT, unix.SO_REUSEADDR)
			hold(t, ns, "udp6", "[2001:db8::17]:4789", unix.SO_REUSEPORT, unix.SO_REUSEADDR)
		}},
		{"the kernel's vxlan device", func(t *testing.T, ns *netns.NS) {
			must(t, ns.VXLAN(netns.VXLANConfig{Name: "vx4", VNI: 1, Local: v4.gw, Remotes: []netip.Addr{v4.peer}}))
			must(t, ns.VXLAN(netns.VXLANConfig{Name: "vx6", VNI: 1, Local: v6.gw, Remotes: []netip.Addr{v6.peer}}))
		}},
		{"a gateway with one queue", func(t *testing.T, ns *netns.NS) {
			openIn(t, ns, Config{Address: v4.gw})
			openIn(t, ns, Config{Address: v6.gw})
		}},
		{"a gateway with two queues", func(t *testing.T, ns *netns.NS) {
			openIn(t, ns, Config{Address: v4.gw, Queues: 2})
			openIn(t, ns, Config{Address: v6.gw, Queues: 2})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t, 0)
			tt.take(t, n.gw)
			for _, a := range families {
				for _, queues := range []int{1, 2} {
					u, err := tryOpen(n.gw, Config{Address: a.gw, Queues: queues, OpenTap: openTap})
					if !IsPortTaken(err) || !errors.Is(err, unix.EADDRINUSE) {
						t.Errorf("%s, %d queues: error %v", a.name, queues, err)
					}
					if u != nil {
						_ = u.Close()
					}
				}
				openIn(t, n.gw, Config{Address: a.gw, Port: 4790})
			}
		})
	}
}

// TestReopen: what is closed is free at once.
func TestReopen(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		for range 5 {
			u := openIn(t, n.gw, Config{Address: a.gw, Queues: 4, OpenTap: openTap})
			must(t, u.Close())
		}
	}
}

func TestNotPermitted(t *testing.T) {
	n := newNetwork(t, 0)
	err := n.gw.Do(func() error {
		// Never unlocked: the thread ends with its goroutine, and what it gave
		// up with it.
		runtime.LockOSThread()
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			return err
		}
		_, err := Open(Config{Address: v4.gw, Port: vxlanPort})
		return err
	})
	if !errors.Is(err, ErrNotPermitted) || !errors.Is(err, unix.EPERM) {
		t.Errorf("error %v", err)
	}
	t.Log(err)
}

func TestTapRefused(t *testing.T) {
	n := newNetwork(t, 0)
	no := errors.New("no tap today")
	_, err := tryOpen(n.gw, Config{Address: v4.gw, OpenTap: func(uint16, []bpf.RawInstruction) (Tap, error) { return nil, no }})
	if !errors.Is(err, no) {
		t.Errorf("error %v", err)
	}
	openIn(t, n.gw, Config{Address: v4.gw}) // nothing was left behind
}
