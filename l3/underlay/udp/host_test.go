package udp

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/underlay"
	"vxgw/test/netns"
)

// nft changes a namespace's firewall.
func nft(t *testing.T, ns *netns.NS, rules string) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs the program nft: apt install nftables")
	}
	out, err := ns.Command(context.Background(), "nft", rules).CombinedOutput()
	if err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}

// TestFirewallHolds: the host's output rules see what is sent, and its input
// rules what is received.
func TestFirewallHolds(t *testing.T) {
	n := newNetwork(t, 0)
	nft(t, n.gw, `
		table inet t {
			chain out {
				type filter hook output priority 0;
				udp dport 4789 udp sport 50001 drop
			}
			chain in {
				type filter hook input priority 0;
				udp dport 4789 udp sport 50001 drop
			}
		}`)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw})
			peer := openIn(t, n.peer, Config{Address: a.peer})
			ds := []underlay.Datagram{
				{To: a.peer, SourcePort: 50000, Head: []byte("x")},
				{To: a.peer, SourcePort: 50001, Head: []byte("refused")},
				{To: a.peer, SourcePort: 50002, Head: last},
			}
			err := u.Queues()[0].WriteBatch(ds)
			t.Log(err)
			if !errors.Is(err, unix.EPERM) || ds[0].Status != frame.Sent || ds[1].Status != frame.Failed || ds[2].Status != frame.Sent {
				t.Errorf("error %v, statuses %d %d %d", err, ds[0].Status, ds[1].Status, ds[2].Status)
			}
			if got := len(drain(t, peer)); got != 1 {
				t.Errorf("%d packets before the last, want 1", got)
			}
			for i := range ds {
				ds[i].To = a.gw
			}
			mustSend(t, peer, ds...)
			if got := len(drain(t, u)); got != 1 {
				t.Errorf("%d packets before the last, want 1", got)
			}
		})
	}
}

// TestConnectionTracking: nothing is lost or changed where the host follows
// connections, and fragments are still told apart though the firewall puts them
// together first.
func TestConnectionTracking(t *testing.T) {
	n := newNetwork(t, 0)
	nft(t, n.gw, `
		table inet t {
			chain out {
				type filter hook output priority 0;
				ct state invalid drop
			}
			chain in {
				type filter hook input priority 0;
				ct state invalid drop
			}
		}`)
	must(t, n.peer.SetMTU(dev, 1280))
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw, OpenTap: openTap})
			peer := openIn(t, n.peer, Config{Address: a.peer})
			var there, back []underlay.Datagram
			for i := range 300 {
				there = append(there, underlay.Datagram{To: a.peer, SourcePort: uint16(50000 + i%100), Head: []byte("x")})
				back = append(back, underlay.Datagram{To: a.gw, SourcePort: uint16(50000 + i%100), Head: []byte("x")})
			}
			mustSend(t, u, append(there, underlay.Datagram{To: a.peer, Head: last})...)
			mustSend(t, peer, append(back, underlay.Datagram{To: a.gw, Head: last})...)
			if got := len(drain(t, peer)); got != len(there) {
				t.Errorf("%d packets sent, want %d", got, len(there))
			}
			if got := len(drain(t, u)); got != len(back) {
				t.Errorf("%d packets received, want %d", got, len(back))
			}
			must(t, n.peer.SendUDP(netip.AddrPortFrom(a.peer, 40000), netip.AddrPortFrom(a.gw, vxlanPort), make([]byte, 3000)))
			if p := newReader(t, u).next(); !p.Fragmented || p.Len != 3000 {
				t.Errorf("%d bytes, fragmented %v", p.Len, p.Fragmented)
			}
			expectRefused(t, u, underlay.Refused{Fragment: 3})
		})
	}
}

// TestFullDevice: what the device's queue has no room for is said to have
// failed.
func TestFullDevice(t *testing.T) {
	if _, err := exec.LookPath("tc"); err != nil {
		t.Skip("needs the program tc: apt install iproute2")
	}
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			n := newNetwork(t, 0)
			out, err := n.gw.Command(context.Background(), "tc", "qdisc", "add", "dev", dev, "root", "tbf", "rate", "8kbit", "burst", "2000", "limit", "4000").CombinedOutput()
			if err != nil {
				t.Skipf("needs the kernel's tbf queue: %v: %s", err, out)
			}
			u := openIn(t, n.gw, Config{Address: a.gw})
			ds := make([]underlay.Datagram, 100)
			for i := range ds {
				ds[i] = underlay.Datagram{To: a.peer, Head: make([]byte, 500)}
			}
			failed := 0
			eventually(t, "the queue is full", func() bool {
				err = u.Queues()[0].WriteBatch(ds)
				for i := range ds {
					if ds[i].Status == frame.Failed {
						failed++
					}
				}
				return failed > 0
			})
			if !errors.Is(err, unix.ENOBUFS) {
				t.Errorf("error %v", err)
			}
			t.Log(err)
		})
	}
}
