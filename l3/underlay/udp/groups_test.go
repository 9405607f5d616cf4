package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// groups are two multicast groups of each family.
var groups = map[string][]netip.Addr{
	"IPv4": {netip.MustParseAddr("239.119.1.1"), netip.MustParseAddr("239.119.1.2")},
	"IPv6": {netip.MustParseAddr("ff0e::77:1"), netip.MustParseAddr("ff02::77:2")},
}

// groupMAC is the address that a group has on Ethernet (RFC 1112 section 6.4,
// RFC 2464 section 7).
func groupMAC(g netip.Addr) frame.MAC {
	b := g.AsSlice()
	if g.Is4() {
		return frame.MAC{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	return frame.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// indexOf returns the index of a device.
func indexOf(t testing.TB, ns *netns.NS, name string) (index int) {
	t.Helper()
	must(t, ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r)
		index = int(r.Uint32())
		return err
	}))
	return index
}

// toGroup returns the frame that a peer sends to a group.
func toGroup(a addresses, from, group netip.Addr, payload string) []byte {
	return packet.UDP(groupMAC(group), peerMAC, netip.AddrPortFrom(from, 50000), netip.AddrPortFrom(group, vxlanPort), []byte(payload))
}

// setGroups has an underlay of a namespace join groups.
func setGroups(ns *netns.NS, u *Underlay, m underlay.Membership) error {
	return ns.Do(func() error { return u.SetGroups(m) })
}

func groupReader(t testing.TB, u *Underlay) *reader {
	return &reader{t: t, conn: u.GroupQueue(), pkts: underlay.NewPackets(underlay.BatchSize, underlay.MaxPayload)}
}

// What is sent to a group has the group's address on both levels, and the TTL
// that was configured: the kernel's own for multicast is 1.
func TestGroupOnTheWire(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		for _, ttl := range []uint8{0, 1, 100} {
			u := openIn(t, n.gw, Config{Address: a.gw, TTL: ttl, DF: true})
			group := groups[a.name][0]
			must(t, setGroups(n.gw, u, underlay.Membership{Interface: indexOf(t, n.gw, dev)}))
			c := capture(t, n.peer)
			d := underlay.Datagram{To: group, SourcePort: 50000, TOS: 0xb9, Head: []byte("head"), Body: []byte("body")}
			mustSend(t, u, d)
			f := waitFrames(t, c, 1)[0]
			want := packet.UDP(groupMAC(group), gwMAC, netip.AddrPortFrom(a.gw, 50000), netip.AddrPortFrom(group, vxlanPort), []byte("headbody"))
			if ttl == 0 {
				ttl = DefaultTTL
			}
			if a.gw.Is4() {
				want[15], want[22] = d.TOS, ttl
				h := ip.IPv4(want[14:])
				h.SetChecksum(0)
				h.SetChecksum(^ip.Sum(h[:20], 0))
				want[40], want[41] = 0, 0
			} else {
				binary.BigEndian.PutUint32(want[14:], 6<<28|uint32(d.TOS)<<20|ip.IPv6(f[14:]).FlowLabel())
				want[21] = ttl
			}
			if !bytes.Equal(f, want) {
				t.Errorf("%s, TTL %d:\ngot  %x\nwant %x", a.name, ttl, f, want)
			}
			must(t, c.Close())
			must(t, u.Close())
		}
	}
}

// Where nobody has said by which interface, nothing leaves by one of the
// kernel's choice.
func TestGroupWithoutInterface(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		u := openIn(t, n.gw, Config{Address: a.gw})
		at := indexOf(t, n.gw, dev)
		for _, m := range []underlay.Membership{{}, {Interface: at}, {Groups: groups[a.name][:]}} {
			must(t, setGroups(n.gw, u, m))
			status, err := send(u, underlay.Datagram{To: groups[a.name][0], Head: []byte("x")})
			if sent := status == frame.Sent; sent != (m.Interface != 0) || !sent && !errors.Is(err, unix.ENODEV) {
				t.Errorf("%s, interface %d: status %d, %v", a.name, m.Interface, status, err)
			}
		}
	}
}

// The interface is the one that was named, not the one that holds the address.
func TestGroupInterface(t *testing.T) {
	n := newNetwork(t, 0)
	must(t, netns.Veth(n.gw, "other", n.peer, "other", netns.VethOptions{}))
	for i, a := range families {
		must(t, n.gw.AddAddr("other", []string{"198.51.100.1/24", "2001:db8:9::1/64"}[i]))
		u := openIn(t, n.gw, Config{Address: a.gw})
		group := groups[a.name][0]
		must(t, setGroups(n.gw, u, underlay.Membership{Interface: indexOf(t, n.gw, "other"), Groups: []netip.Addr{group}}))
		c, err := n.peer.Capture("other", netns.Only(ours))
		must(t, err)
		mustSend(t, u, underlay.Datagram{To: group, SourcePort: 1, Head: []byte("out")})
		waitFrames(t, c, 1)
		must(t, c.Close())

		must(t, n.peer.Send(dev, toGroup(a, a.peer, group, "by the wrong interface")))
		source := []netip.Addr{netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("2001:db8:9::2")}[i]
		must(t, n.peer.Send("other", toGroup(a, source, group, "by the right one")))
		if p := groupReader(t, u).next(); string(p.Bytes()) != "by the right one" {
			t.Errorf("%s: %q", a.name, p.Bytes())
		}
		must(t, u.Close())
	}
}

// A group's packets come in with all that is told of others, and with the group;
// those of a group that only somebody else has joined do not.
func TestGroupReceives(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		mine, theirs := groups[a.name][0], groups[a.name][1]
		at := indexOf(t, n.gw, dev)
		other := openIn(t, n.gw, Config{Address: a.gw, Port: vxlanPort + 1})
		must(t, setGroups(n.gw, other, underlay.Membership{Interface: at, Groups: []netip.Addr{theirs}}))
		u := openIn(t, n.gw, Config{Address: a.gw, OpenTap: openTap})
		must(t, setGroups(n.gw, u, underlay.Membership{Interface: at, Groups: []netip.Addr{mine}}))
		for _, g := range []netip.Addr{theirs, mine} {
			must(t, n.peer.Send(dev, toGroup(a, a.peer, g, g.String())))
		}
		p := groupReader(t, u).next()
		if p.Group != mine || string(p.Bytes()) != mine.String() || p.From != a.peer || p.FromPort != 50000 || p.Interface != at {
			t.Errorf("%s: %q from %v port %d by interface %d to %v", a.name, p.Bytes(), p.From, p.FromPort, p.Interface, p.Group)
		}
		n.finish(t, a)
		if pkts := drain(t, u); len(pkts) > 0 {
			t.Errorf("%s: %d packets to a group at the VTEP's own socket", a.name, len(pkts))
		}
		must(t, setGroups(n.gw, u, underlay.Membership{Interface: at}))
		must(t, n.peer.Send(dev, toGroup(a, a.peer, mine, "left")))
		must(t, setGroups(n.gw, u, underlay.Membership{Interface: at, Groups: []netip.Addr{mine}}))
		must(t, n.peer.Send(dev, toGroup(a, a.peer, mine, "back")))
		if p := groupReader(t, u).next(); string(p.Bytes()) != "back" {
			t.Errorf("%s: %q", a.name, p.Bytes())
		}
		expectRefused(t, u, underlay.Refused{})
	}
}

// Two gateways on one machine hear each other in a group, once, and not
// themselves.
func TestGroupOnOneMachine(t *testing.T) {
	n := newNetwork(t, 0)
	for i, a := range families {
		second := []netip.Addr{netip.MustParseAddr("192.0.2.18"), netip.MustParseAddr("2001:db8::18")}[i]
		must(t, n.gw.AddAddr(dev, second.String()+a.bits))
		m := underlay.Membership{Interface: indexOf(t, n.gw, dev), Groups: groups[a.name][:1]}
		ones, twos := openIn(t, n.gw, Config{Address: a.gw}), openIn(t, n.gw, Config{Address: second})
		must(t, setGroups(n.gw, ones, m))
		must(t, setGroups(n.gw, twos, m))
		one, two := groupReader(t, ones), groupReader(t, twos)
		c := capture(t, n.peer)
		for i := range 10 {
			mustSend(t, ones, underlay.Datagram{To: m.Groups[0], Head: []byte(fmt.Sprint("one ", i))})
			mustSend(t, twos, underlay.Datagram{To: m.Groups[0], Head: []byte(fmt.Sprint("two ", i))})
		}
		for i := range 10 {
			if p := two.next(); p.From != a.gw || string(p.Bytes()) != fmt.Sprint("one ", i) {
				t.Errorf("%s: second got %q from %v", a.name, p.Bytes(), p.From)
			}
			if p := one.next(); p.From != second || string(p.Bytes()) != fmt.Sprint("two ", i) {
				t.Errorf("%s: first got %q from %v", a.name, p.Bytes(), p.From)
			}
		}
		waitFrames(t, c, 20)
		must(t, c.Close())
		if r := ones.Refused(); r != (underlay.Refused{}) {
			t.Errorf("%s: refused %+v", a.name, r)
		}
	}
}

// More groups than one socket may have memberships (20 for IPv4), and a socket
// that always has more to read keeps nobody else's packets waiting.
func TestManyGroups(t *testing.T) {
	const many = 200
	n := newNetwork(t, 0)
	for _, a := range families {
		u := openIn(t, n.gw, Config{Address: a.gw})
		m := underlay.Membership{Interface: indexOf(t, n.gw, dev)}
		for i := range many {
			g := groups[a.name][0].AsSlice()
			g[len(g)-1] = byte(i)
			addr, _ := netip.AddrFromSlice(g)
			m.Groups = append(m.Groups, addr)
		}
		must(t, setGroups(n.gw, u, m))
		busy := make([][]byte, 4*underlay.BatchSize)
		for i := range busy {
			busy[i] = toGroup(a, a.peer, m.Groups[0], "busy")
		}
		frames := busy
		for _, g := range m.Groups {
			frames = append(frames, toGroup(a, a.peer, g, "all"))
		}
		must(t, n.peer.Send(dev, frames...))
		r, heard, before := groupReader(t, u), make(map[netip.Addr]bool), 0
		for len(heard) < many {
			p := r.next()
			if string(p.Bytes()) == "all" {
				heard[p.Group] = true
			} else if len(heard) < many/2 {
				before++
			}
		}
		if before == len(busy) {
			t.Errorf("%s: a busy group was read to its end before others", a.name)
		}
		must(t, u.Close())
	}
}

// A membership ends with its interface, and is taken up again on the one that
// comes after it; in the same interface, when the caller says so.
func TestGroupsJoinedAnew(t *testing.T) {
	n := newNetwork(t, 0)
	reports := func(f []byte) bool {
		return len(f) > 40 && frame.Frame(f).Type() == frame.TypeIPv4 && f[23] == 2
	}
	u := openIn(t, n.gw, Config{Address: v4.gw})
	m := underlay.Membership{Interface: indexOf(t, n.gw, dev), Groups: groups["IPv4"][:]}
	c, err := n.peer.Capture(dev, netns.Only(reports))
	must(t, err)
	must(t, setGroups(n.gw, u, m))
	waitFrames(t, c, 2) // as often as the robustness variable says (RFC 3376 section 8.1)
	c2, err := n.peer.Capture(dev, netns.Only(reports))
	must(t, err)
	must(t, setGroups(n.gw, u, m))
	m.Epoch++
	must(t, setGroups(n.gw, u, m))
	waitFrames(t, c2, 1)

	must(t, n.gw.Delete(dev))
	must(t, netns.Veth(n.gw, dev, n.peer, dev, netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC}))
	must(t, n.gw.AddAddr(dev, v4.gw.String()+v4.bits))
	must(t, n.peer.AddAddr(dev, v4.peer.String()+v4.bits))
	m.Interface = indexOf(t, n.gw, dev)
	must(t, setGroups(n.gw, u, m))
	n.introduce(t, v4)
	must(t, n.peer.Send(dev, toGroup(v4, v4.peer, m.Groups[1], "again")))
	if p := groupReader(t, u).next(); string(p.Bytes()) != "again" {
		t.Errorf("%q", p.Bytes())
	}
	mustSend(t, u, underlay.Datagram{To: m.Groups[0], Head: []byte("x")})
}

// A group that cannot be joined is named, with why, and tried again.
func TestGroupRefused(t *testing.T) {
	n := newNetwork(t, 0)
	u := openIn(t, n.gw, Config{Address: v4.gw})
	m := underlay.Membership{Interface: indexOf(t, n.gw, dev), Groups: groups["IPv4"][:]}
	must(t, n.gw.Sysctl("ipv4/igmp_max_memberships", "0"))
	err := setGroups(n.gw, u, m)
	var ge *underlay.GroupError
	if !errors.As(err, &ge) || !errors.Is(err, unix.ENOBUFS) || ge.Group != m.Groups[0] || ge.Others != 1 {
		t.Errorf("too many memberships: %v", err)
	}
	must(t, n.gw.Sysctl("ipv4/igmp_max_memberships", "20"))
	must(t, setGroups(n.gw, u, m))
	m.Interface = 4711
	if err := setGroups(n.gw, u, m); !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
		t.Errorf("no such interface: %v", err)
	}
	must(t, u.Close())
	if err := setGroups(n.gw, u, m); err == nil {
		t.Error("groups of an underlay that is closed")
	}
}

// What is damaged or in fragments is counted for groups that are joined as it is
// for the VTEP's address, and for no others.
func TestGroupTap(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		mine, other := groups[a.name][0], groups[a.name][1]
		u := openIn(t, n.gw, Config{Address: a.gw, OpenTap: openTap})
		must(t, setGroups(n.gw, u, underlay.Membership{Interface: indexOf(t, n.gw, dev), Groups: []netip.Addr{mine}}))
		var want underlay.Refused
		var frames [][]byte
		for _, g := range []netip.Addr{other, mine} {
			for _, tt := range tableOf(a) {
				p := bytes.Clone(tt.p)
				at := 16 // of the destination
				if a.gw.Is6() {
					at = 24
				}
				if len(p) < at+g.BitLen()/8 || !bytes.Equal(p[at:at+g.BitLen()/8], a.gw.AsSlice()) {
					continue
				}
				copy(p[at:], g.AsSlice())
				if a.gw.Is4() && ip.IPv4(tt.p).HeaderLen() <= len(p) && ip.IPv4(tt.p).ChecksumOK() {
					resum(p)
				}
				etherType := frame.TypeIPv4
				if a.gw.Is6() {
					etherType = frame.TypeIPv6
				}
				frames = append(frames, packet.Ethernet(groupMAC(g), peerMAC, etherType, p))
				if g == mine && tt.want == fragment {
					want.Fragment++
				} else if g == mine && tt.want == malformed {
					want.Malformed++
				}
			}
		}
		must(t, n.peer.Send(dev, frames...))
		got := underlay.Refused{}
		eventually(t, fmt.Sprintf("%s: refused %+v", a.name, want), func() bool {
			got = u.Refused()
			return got.Fragment >= want.Fragment && got.Malformed >= want.Malformed
		})
		if got.Fragment != want.Fragment || got.Malformed != want.Malformed || want.Fragment == 0 || want.Malformed == 0 {
			t.Errorf("%s: refused %+v, want %+v", a.name, got, want)
		}
	}
}

func TestGroupQueueEnds(t *testing.T) {
	n := newNetwork(t, 0)
	u := openIn(t, n.gw, Config{Address: v4.gw})
	q := u.GroupQueue()
	q.Wake()
	pkts := underlay.NewPackets(1, 100)
	if _, err := q.ReadBatch(pkts); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("woken: %v", err)
	}
	ended := make(chan error)
	go func() {
		_, err := q.ReadBatch(pkts)
		ended <- err
	}()
	must(t, u.Close())
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, err := q.ReadBatch(pkts); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestGroupReadDoesNotAllocate(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		u := openIn(t, n.gw, Config{Address: a.gw})
		m := underlay.Membership{Interface: indexOf(t, n.gw, dev), Groups: groups[a.name][:]}
		must(t, setGroups(n.gw, u, m))
		var frames [][]byte
		for range 1000 {
			frames = append(frames, toGroup(a, a.peer, m.Groups[0], "x"), toGroup(a, a.peer, m.Groups[1], "x"))
		}
		must(t, n.peer.Send(dev, frames...))
		pkts, q := underlay.NewPackets(8, 100), u.GroupQueue()
		if got := testing.AllocsPerRun(100, func() {
			if n, err := q.ReadBatch(pkts); n == 0 || err != nil {
				t.Error(n, err)
			}
		}); got != 0 {
			t.Errorf("%s: %v allocations per batch", a.name, got)
		}
	}
}

// A queue can be closed while packets come in: closing waits for the reader, who
// must not wait for the one that closes.
func TestGroupCloseWhileReading(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		m := underlay.Membership{Interface: indexOf(t, n.gw, dev), Groups: groups[a.name]}
		peer := openIn(t, n.peer, Config{Address: a.peer})
		must(t, setGroups(n.peer, peer, underlay.Membership{Interface: indexOf(t, n.peer, dev)}))
		ds := make([]underlay.Datagram, 200)
		for i := range ds {
			ds[i] = underlay.Datagram{To: m.Groups[i%len(m.Groups)], SourcePort: uint16(i), Head: []byte("x")}
		}
		for range 50 {
			u := openIn(t, n.gw, Config{Address: a.gw})
			must(t, setGroups(n.gw, u, m))
			var wg sync.WaitGroup
			wg.Go(func() {
				pkts := underlay.NewPackets(1, 100)
				for {
					if _, err := u.GroupQueue().ReadBatch(pkts); err != nil {
						return
					}
				}
			})
			wg.Go(func() { _ = peer.Queues()[0].WriteBatch(ds) })
			closed := make(chan struct{})
			go func() {
				_ = u.Close()
				close(closed)
			}()
			select {
			case <-closed:
			case <-time.After(patience):
				t.Fatal("closing and reading wait for each other")
			}
			wg.Wait()
		}
	}
}
