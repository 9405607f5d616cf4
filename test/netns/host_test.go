package netns

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// What is sent is what is captured: tags in their place, nothing padded.
func TestCaptureShowsTheWire(t *testing.T) {
	a, b := wire(t)
	c, err := b.Capture("eth0")
	must(t, err)
	plain := packet.Numbered(mac2, mac1, 1)
	sent := [][]byte{
		plain,
		packet.Tagged(plain, frame.TypeVLAN, 0x0000), // a priority tag of all zeros is a tag
		packet.Tagged(plain, frame.TypeVLAN, 0xe064),
		packet.Tagged(plain, frame.TypeQinQ, 0x0064),
		packet.Tagged(packet.Tagged(plain, frame.TypeVLAN, 7), frame.TypeQinQ, 8),
		packet.Tagged(plain, frame.TypeOldQinQ, 0x0064), // no tag to the kernel
		packet.Ethernet(frame.Broadcast, mac1, 0x88b5, nil),
		packet.Ethernet(frame.MAC{2, 9, 9, 9, 9, 9}, mac1, 0x88b5, []byte("for nobody")),
		packet.Ethernet(mac2, mac1, 0x88b5, make([]byte, 1500)),
	}
	must(t, a.Send("eth0", sent...))
	must(t, c.Wait(len(sent), patience))
	got := c.Frames()
	if len(got) != len(sent) {
		t.Fatalf("%d frames, want %d", len(got), len(sent))
	}
	for i := range sent {
		if !bytes.Equal(got[i], sent[i]) {
			t.Errorf("frame %d: % x, want % x", i, got[i][:min(32, len(got[i]))], sent[i][:min(32, len(sent[i]))])
		}
	}
	must(t, c.Close())
	must(t, c.Close())
}

func TestCaptureDirectionAndChoice(t *testing.T) {
	a, b := wire(t)
	in, err := a.Capture("eth0")
	must(t, err)
	both, err := a.Capture("eth0", Outgoing())
	must(t, err)
	odd, err := b.Capture("eth0", Only(func(f []byte) bool { n, _ := packet.Number(f); return n%2 == 1 }))
	must(t, err)
	for i := range uint32(10) {
		must(t, a.Send("eth0", packet.Numbered(mac2, mac1, i)))
	}
	must(t, b.Send("eth0", packet.Numbered(mac1, mac2, 100)))
	must(t, in.Wait(1, patience))
	must(t, both.Wait(11, patience))
	must(t, odd.Wait(5, patience))
	if n := len(in.Frames()); n != 1 {
		t.Errorf("%d frames came in, want 1", n)
	}
	if n := both.Count(func(f []byte) bool { return frame.Frame(f).Src() == mac1 }); n != 10 {
		t.Errorf("%d frames went out, want 10", n)
	}
	if n := len(odd.Frames()); n != 5 {
		t.Errorf("%d odd frames, want 5", n)
	}
	if err := in.Wait(2, time.Millisecond); err == nil || !strings.Contains(err.Error(), "1 of 2 frames") {
		t.Errorf("waiting in vain: %v", err)
	}
}

func TestCaptureOutlivesItsDevice(t *testing.T) {
	a, b := wire(t)
	c, err := b.Capture("eth0")
	must(t, err)
	must(t, b.SetDown("eth0"))
	must(t, b.SetUp("eth0"))
	must(t, a.Send("eth0", packet.Numbered(mac2, mac1, 1)))
	must(t, c.Wait(1, patience))
	must(t, a.Delete("eth0"))
	must(t, c.Close())
	if len(c.Frames()) != 1 {
		t.Errorf("%d frames, want the one from before", len(c.Frames()))
	}
}

func TestSendSaysWhichFrameDidNotFit(t *testing.T) {
	a, _ := wire(t)
	ok := packet.Ethernet(mac2, mac1, 0x88b5, nil)
	err := a.Send("eth0", ok, packet.Ethernet(mac2, mac1, 0x88b5, make([]byte, 1501)))
	if err == nil || !strings.Contains(err.Error(), "frame 2 of 2 (1515 bytes)") {
		t.Errorf("error %v", err)
	}
}

func TestIPv6IsQuietUntilAskedFor(t *testing.T) {
	a, b := newNS(t, ""), newNS(t, "")
	must(t, Veth(a, "eth0", b, "eth0", VethOptions{AMAC: mac1, BMAC: mac2, Down: true}))
	c, err := b.Capture("eth0")
	must(t, err)
	must(t, a.SetUp("eth0"))
	must(t, b.SetUp("eth0"))
	last := packet.Numbered(mac2, mac1, 1)
	must(t, a.Send("eth0", last))
	must(t, c.Wait(1, patience))
	if got := c.Frames(); !bytes.Equal(got[0], last) {
		t.Errorf("% x came before what was sent", got[0])
	}

	must(t, a.AddAddr("eth0", "2001:db8::1/64"))
	must(t, b.AddAddr("eth0", "2001:db8::2/64"))
	// No duplicate address detection: usable at once.
	got, err := a.Ping(t.Context(), netip.MustParseAddr("2001:db8::2"), 2, PingOptions{Timeout: patience})
	if got != 2 || err != nil {
		t.Errorf("ping: %d of 2 answered, %v", got, err)
	}
	got, err = a.Ping(t.Context(), netip.MustParseAddr("2001:db8::1"), 1, PingOptions{Timeout: patience})
	if got != 1 || err != nil {
		t.Errorf("ping of its own address: %d of 1 answered, %v", got, err)
	}
}

func TestPingGivesUp(t *testing.T) {
	a, _ := wire(t)
	must(t, a.AddAddr("eth0", "198.51.100.1/24"))
	nobody := netip.MustParseAddr("198.51.100.9")
	if got, err := a.Ping(t.Context(), nobody, 2, PingOptions{Timeout: time.Millisecond}); got != 0 || err != nil {
		t.Errorf("%d answers from nobody, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Ping(ctx, nobody, 1000, PingOptions{}); err != context.Canceled {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if _, err := a.Ping(t.Context(), netip.MustParseAddr("203.0.113.1"), 1, PingOptions{}); err == nil {
		t.Error("no error without a route")
	}
}

func TestCommandRunsInside(t *testing.T) {
	a, _ := wire(t)
	// The device list of whoever reads it.
	out, err := a.Command(t.Context(), "cat", "/proc/thread-self/net/dev").Output()
	must(t, err)
	if !strings.Contains(string(out), "eth0") || strings.Count(string(out), ":") != 2 {
		t.Errorf("devices seen by the program:\n%s", out)
	}
	must(t, a.Command(t.Context(), "true").Run())
	if out, err := a.Command(t.Context(), "sh", "-c", "echo no >&2; exit 3").CombinedOutput(); err == nil || string(out) != "no\n" {
		t.Errorf("output %q, error %v", out, err)
	}
}

func TestRoutesLeadAcrossARouter(t *testing.T) {
	a, r, b := newNS(t, ""), newNS(t, ""), newNS(t, "")
	must(t, Veth(a, "eth0", r, "left", VethOptions{}))
	must(t, Veth(r, "right", b, "eth0", VethOptions{}))
	for _, n := range []struct {
		ns        *NS
		dev, addr string
		to, via   string
	}{
		{a, "eth0", "192.0.2.1/24", "198.51.100.0/24", "192.0.2.254"},
		{r, "left", "192.0.2.254/24", "", ""},
		{r, "right", "198.51.100.254/24", "", ""},
		{b, "eth0", "198.51.100.1/24", "0.0.0.0/0", "198.51.100.254"},
	} {
		must(t, n.ns.AddAddr(n.dev, n.addr))
		if n.to != "" {
			must(t, n.ns.AddRoute(Route{To: n.to, Via: n.via}))
		}
	}
	dst := netip.MustParseAddr("198.51.100.1")
	if got, err := a.Ping(t.Context(), dst, 1, PingOptions{Timeout: 50 * time.Millisecond}); got != 0 || err != nil {
		t.Errorf("%d answers through what is no router yet, %v", got, err)
	}
	must(t, r.Forward())
	if got, err := a.Ping(t.Context(), dst, 1, PingOptions{Timeout: patience}); got != 1 || err != nil {
		t.Errorf("%d of 1 answered, %v", got, err)
	}
	must(t, a.ReplaceRoute(Route{To: "198.51.100.0/24", Kind: "unreachable"}))
	if _, err := a.Ping(t.Context(), dst, 1, PingOptions{}); err == nil {
		t.Error("no error through an unreachable route")
	}
	must(t, a.DelRoute(Route{To: "198.51.100.0/24", Kind: "unreachable"}))
	if err := a.AddRoute(Route{To: "198.51.100.0/24", Kind: "nonsense"}); err == nil {
		t.Error("a route of no kind was accepted")
	}
}

func TestStatsCount(t *testing.T) {
	a, b := wire(t)
	c, err := b.Capture("eth0")
	must(t, err)
	f := packet.Ethernet(mac2, mac1, 0x88b5, make([]byte, 100))
	must(t, a.Send("eth0", f, f, f))
	must(t, c.Wait(3, patience))
	tx, err := a.Stats("eth0")
	must(t, err)
	rx, err := b.Stats("eth0")
	must(t, err)
	if tx.TxPackets != 3 || tx.TxBytes != 3*114 || rx.RxPackets != 3 || rx.RxBytes != 3*114 {
		t.Errorf("sent %+v, received %+v: want 3 frames of 114 bytes", tx, rx)
	}
	all, err := b.AllStats()
	must(t, err)
	if len(all) != 2 || all["eth0"] != rx || all["lo"] != (Stats{}) {
		t.Errorf("all at once: %+v, want %+v of eth0 and nothing of lo", all, rx)
	}
}

func TestIndexes(t *testing.T) {
	a, _ := wire(t)
	got, err := a.Indexes("eth0", "lo", "eth0")
	must(t, err)
	var want []int
	must(t, a.Do(func() error {
		for _, dev := range []string{"eth0", "lo", "eth0"} {
			i, err := net.InterfaceByName(dev)
			if err != nil {
				return err
			}
			want = append(want, i.Index)
		}
		return nil
	}))
	if !slices.Equal(got, want) {
		t.Errorf("indexes %v, want %v", got, want)
	}
	if _, err := a.Indexes("lo", "eth7"); err == nil || !strings.Contains(err.Error(), "eth7") {
		t.Errorf("a device that is not there: %v", err)
	}
}

// With offloads on the kernel leaves the UDP checksum to the wire and a veth
// has none to do it: what is captured is unfinished. Off, it is right.
func TestOffloadsDecideWhoSums(t *testing.T) {
	a, b := wire(t)
	must(t, a.AddAddr("eth0", "198.51.100.1/24"))
	must(t, b.AddAddr("eth0", "198.51.100.2/24"))
	from, to := netip.MustParseAddrPort("198.51.100.1:5000"), netip.MustParseAddrPort("198.51.100.2:5001")
	sink, err := b.ListenPacket("udp4", to.String())
	must(t, err)
	defer sink.Close()
	c, err := b.Capture("eth0", Only(func(f []byte) bool { return frame.Frame(f).Type() == frame.TypeIPv4 }))
	must(t, err)
	want := packet.UDP(mac2, mac1, from, to, []byte("sum me"))[frame.HeaderLen+20:]

	for i, on := range []bool{true, false, true} {
		must(t, a.Offloads("eth0", on))
		must(t, a.SendUDP(from, to, []byte("sum me")))
		must(t, c.Wait(i+1, patience))
		finished := bytes.Equal(c.Frames()[i][frame.HeaderLen+20:], want)
		if finished == on {
			t.Errorf("offloads %v: checksum finished: %v", on, finished)
		}
	}
	if err := a.Offloads("eth0", true, "antigravity"); err == nil || !strings.Contains(err.Error(), "antigravity") {
		t.Errorf("unknown feature: %v", err)
	}
	if err := a.Offloads("lo", false, "highdma"); err == nil || !strings.Contains(err.Error(), "cannot change") {
		t.Errorf("fixed feature: %v", err)
	}
	must(t, a.Offloads("eth0", false, "rxvlan", "tx-vlan-hw-insert", "tso"))
}

func TestVXLANOuterHeader(t *testing.T) {
	for _, c := range []struct {
		name      string
		local     string
		prefix    string
		set       func(*VXLANConfig)
		port, ttl byte
		summed    bool
		df        bool
	}{
		{"IPv4", "192.0.2.1", "/24", func(c *VXLANConfig) {}, 0xb5, 64, false, false},
		{"IPv4, all set", "192.0.2.1", "/24", func(c *VXLANConfig) { c.UDPChecksum, c.DF, c.TTL, c.Port = true, true, 7, 0x1234 }, 0x34, 7, true, true},
		{"IPv6", "2001:db8::1", "/64", func(c *VXLANConfig) { c.TTL = 9 }, 0xb5, 9, true, false},
		{"IPv6, zero checksum", "2001:db8::1", "/64", func(c *VXLANConfig) { c.TTL, c.ZeroTX6 = 9, true }, 0xb5, 9, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := newNS(t, ""), newNS(t, "")
			must(t, Veth(a, "und0", b, "und0", VethOptions{MTU: 1600}))
			must(t, a.Offloads("und0", false))
			local := netip.MustParseAddr(c.local)
			must(t, a.AddAddr("und0", c.local+c.prefix))
			must(t, b.AddAddr("und0", local.Next().String()+c.prefix))
			cfg := VXLANConfig{Name: "vx0", VNI: 77, Local: local, Remotes: []netip.Addr{local.Next(), local.Next().Next()}}
			c.set(&cfg)
			must(t, a.VXLAN(cfg))
			fdb, err := a.FDB("vx0")
			must(t, err)
			if len(fdb) != 2 || !fdb[0].MAC.IsZero() || !fdb[0].Permanent {
				t.Errorf("replication list %+v", fdb)
			}
			must(t, a.DelFDB("vx0", frame.MAC{}, local.Next().Next()))

			typ, ipLen, proto, ttl := frame.TypeIPv4, 20, 23, 22
			if local.Is6() {
				typ, ipLen, proto, ttl = frame.TypeIPv6, 40, 20, 21
			}
			capture, err := b.Capture("und0", Only(func(f []byte) bool {
				return frame.Frame(f).Type() == typ && f[proto] == unix.IPPROTO_UDP
			}))
			must(t, err)
			inner := packet.Numbered(mac2, mac1, 5)
			must(t, a.Send("vx0", inner))
			must(t, capture.Wait(1, patience))
			f := capture.Frames()[0]
			udp := f[frame.HeaderLen+ipLen:]
			if udp[3] != c.port || f[ttl] != c.ttl || (binary.BigEndian.Uint16(udp[6:]) != 0) != c.summed || (local.Is4() && f[20]&0x40 != 0) != c.df {
				t.Errorf("outer header % x", f[:frame.HeaderLen+ipLen+8])
			}
			if want := packet.VXLAN(77, inner); !bytes.Equal(udp[8:], want) {
				t.Errorf("payload % x, want % x", udp[8:], want)
			}
		})
	}
}

func TestVXLANJoinsItsGroup(t *testing.T) {
	a, b := newNS(t, ""), newNS(t, "")
	must(t, Veth(a, "und0", b, "und0", VethOptions{MTU: 1600}))
	group := netip.MustParseAddr("239.119.1.1")
	for i, n := range []*NS{a, b} {
		local := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)})
		must(t, n.AddAddr("und0", local.String()+"/24"))
		must(t, n.VXLAN(VXLANConfig{Name: "vx0", VNI: 77, Local: local, Group: group, Dev: "und0", NoLearning: true, Ageing: time.Minute}))
	}
	c, err := b.Capture("vx0")
	must(t, err)
	f := packet.Ethernet(frame.Broadcast, mac1, 0x88b5, []byte("to the group"))
	must(t, a.Send("vx0", f))
	must(t, c.Wait(1, patience))
	if got := c.Frames()[0]; !bytes.Equal(got, f) {
		t.Errorf("% x, want % x", got, f)
	}
}

func TestLinksChange(t *testing.T) {
	a, b := wire(t)
	must(t, a.SetMTU("eth0", 1400))
	must(t, a.SetMAC("eth0", frame.MAC{2, 0, 0, 0, 9, 9}))
	if mac, err := a.MAC("eth0"); err != nil || mac != (frame.MAC{2, 0, 0, 0, 9, 9}) {
		t.Errorf("address %v, %v", mac, err)
	}
	must(t, a.Rename("eth0", "wan"))
	must(t, a.Bridge("br0", "wan"))
	must(t, a.Release("wan"))
	must(t, a.Enslave("wan", "br0"))
	must(t, a.Move("wan", b))
	link, err := b.link("wan")
	must(t, err)
	if at := link.Attrs(); at.MTU != 1400 || at.MasterIndex != 0 {
		t.Errorf("moved link %+v", at)
	}
	must(t, b.Delete("wan"))
	if _, err := b.link("eth0"); err == nil {
		t.Error("the other end is still there")
	}
}
