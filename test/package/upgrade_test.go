package pkg

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vxgw/l2/frame"
	"vxgw/test/bench/load"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

var (
	hostMAC   = frame.MAC{2, 0, 0, 0, 1, 1}
	remoteMAC = frame.MAC{2, 0, 0, 0, 2, 1}
	gwMAC     = frame.MAC{2, 0, 0, 0, 0xf0, 1}
	peerMAC   = frame.MAC{2, 0, 0, 0, 0xf0, 2}
	gwVTEP    = netip.MustParseAddrPort("192.0.2.1:4789")
	peerVTEP  = netip.MustParseAddrPort("192.0.2.2:50000")
)

const configuration = `[underlay]
address = "192.0.2.1"
[datapath]
mode = "xdp"
[[vni]]
id = 10010
vlan = 10
flood = ["192.0.2.2"]
[[port]]
interface = "eth1"
vlan = 10
[api]
http = ""
`

// site is the installed gateway between a host and a VTEP.
type site struct {
	*room
	hosts, ns, peer *netns.NS
	daemon          *netns.Cmd
	log             *lines
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func newSite(t *testing.T, file string) *site {
	t.Helper()
	s := &site{room: newRoom(t)}
	for _, ns := range []**netns.NS{&s.hosts, &s.ns, &s.peer} {
		var err error
		*ns, err = netns.New("")
		must(t, err)
		t.Cleanup(func() { _ = (*ns).Close() })
	}
	must(t, netns.Veth(s.hosts, "h1", s.ns, "eth1", netns.VethOptions{AMAC: hostMAC}))
	must(t, netns.Veth(s.ns, "und0", s.peer, "und0", netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: 1600}))
	must(t, s.ns.AddAddr("und0", "192.0.2.1/24"))
	must(t, s.peer.AddAddr("und0", "192.0.2.2/24"))
	// A veth takes frames from XDP when the other end can put them together.
	must(t, s.hosts.Offloads("h1", true, "gro"))
	must(t, s.peer.Offloads("und0", true, "gro"))
	conn, err := s.peer.ListenPacket("udp", ":4789") // so that nobody says there is none
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	s.install(file)
	s.write("/etc/vxgw/vxgw.toml", configuration)
	return s
}

// start does what systemd would: it starts the program that is installed.
func (s *site) start() {
	s.t.Helper()
	s.log = new(lines)
	s.daemon = s.command(context.Background(), s.ns, "vxgw", "run")
	s.daemon.Stdout, s.daemon.Stderr = s.log, s.log
	must(s.t, s.daemon.Start())
	daemon, log := s.daemon, s.log
	s.t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
		if s.t.Failed() {
			s.t.Logf("a gateway's log:\n%s", log)
		}
	})
	eventually(s.t, "the gateway carries frames by XDP", func() bool {
		out, err := s.try("vxgw", "show", "datapath")
		return err == nil && strings.Count(out, " xdp ") == 2
	})
}

func (s *site) stop() {
	s.t.Helper()
	must(s.t, s.daemon.Process.Signal(syscall.SIGTERM))
	must(s.t, s.daemon.Wait())
}

// A flow that is known loses nothing while the package is upgraded and the daemon is
// restarted by the new one, in either direction; and removing the package leaves no
// program at an interface.
func TestUpgradeLosesNothing(t *testing.T) {
	b := needPackages(t)
	netns.Require(t)
	if err := load.Available(); err != nil {
		t.Skip(err)
	}
	s := newSite(t, b.old)
	s.start()
	inner := packet.UDP(remoteMAC, hostMAC, netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2"), make([]byte, 300))
	back := packet.UDP(hostMAC, remoteMAC, netip.MustParseAddrPort("10.0.0.2:2"), netip.MustParseAddrPort("10.0.0.1:1"), make([]byte, 300))
	outer := packet.UDP(gwMAC, peerMAC, peerVTEP, gwVTEP, packet.VXLAN(10010, back))
	must(t, s.hosts.Send("h1", packet.Numbered(frame.Broadcast, hostMAC, 1)))
	must(t, s.peer.Send("und0", packet.UDP(gwMAC, peerMAC, peerVTEP, gwVTEP, packet.VXLAN(10010, packet.Numbered(frame.Broadcast, remoteMAC, 2)))))
	eventually(t, "both stations are known", func() bool {
		out := s.run("vxgw", "show", "macs")
		return strings.Contains(out, hostMAC.String()) && strings.Contains(out, remoteMAC.String())
	})
	time.Sleep(2 * time.Second) // the programs know them a moment later

	encap := count(t, s.peer, "und0", inner)
	decap := count(t, s.hosts, "h1", back)
	ctx, end := context.WithCancel(context.Background())
	defer end()
	out, in := pace(t, ctx, s.hosts, "h1", inner), pace(t, ctx, s.peer, "und0", outer)
	eventually(t, "frames pass", func() bool { return encap() > 100 && decap() > 100 })
	s.install(b.new) // the old daemon runs on
	if !strings.Contains(s.run("vxgw", "show", "datapath"), "xdp") {
		t.Error("the upgrade has ended the gateway")
	}
	s.stop()
	s.start()
	if !strings.Contains(s.log.String(), "taken over") {
		t.Error("the new gateway has not taken the fast path over")
	}
	time.Sleep(time.Second)
	end()
	sentOut, sentIn := <-out, <-in
	eventually(t, fmt.Sprintf("%d and %d frames are there", sentOut, sentIn), func() bool { return encap() >= sentOut && decap() >= sentIn })
	if sentOut < 1000 || encap() != sentOut || decap() != sentIn {
		t.Errorf("%d of %d frames encapsulated, %d of %d decapsulated", encap(), sentOut, decap(), sentIn)
	}

	s.stop()
	if !s.attached() {
		t.Error("stopped, the gateway has left no fast path")
	}
	remove := s.command(context.Background(), s.ns, "dpkg", "--purge", "--no-triggers", "vxgw")
	if out, err := remove.CombinedOutput(); err != nil {
		t.Errorf("purge: %v\n%s", err, out)
	}
	if s.attached() || s.has("/run/vxgw-bpf") {
		t.Error("purged, something of the fast path is left")
	}
}

// attached reports whether there is XDP at the access port.
func (s *site) attached() bool {
	out, err := s.ns.Command(context.Background(), "ip", "-d", "link", "show", "eth1").Output()
	must(s.t, err)
	return strings.Contains(string(out), "xdp")
}

// count returns how many frames have come that end in the given one.
func count(t *testing.T, ns *netns.NS, dev string, f []byte) func() int {
	t.Helper()
	c, err := ns.Capture(dev, netns.Only(func(got []byte) bool { return bytes.HasSuffix(got, f) }))
	must(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return func() int { return len(c.Frames()) }
}

// pace sends 500 frames a second until ctx ends, and tells how many these were.
func pace(t *testing.T, ctx context.Context, ns *netns.NS, dev string, f []byte) <-chan int {
	t.Helper()
	g, err := load.NewGenerator(ns, load.Stream{Frames: [][]byte{f}, Devices: []string{dev}})
	must(t, err)
	sent := make(chan int, 1)
	go func() {
		defer g.Close()
		n, err := g.Pace(ctx, 500, 5*time.Minute)
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		sent <- n
	}()
	return sent
}
