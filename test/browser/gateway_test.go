package browser

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

var (
	h1MAC = frame.MAC{2, 0, 0, 0, 1, 1}
	h2MAC = frame.MAC{2, 0, 0, 0, 1, 2}
)

const gatewayConfig = `[gateway]
name = "site-a"
[underlay]
address = "192.0.2.1"
[[vni]]
id = 10010
vlan = 10
name = "web"
flood = ["192.0.2.2"]
[[port]]
interface = "eth1"
vlan = 10
[[port]]
interface = "eth2"
vlan = 10
[[port]]
interface = "eth9"
vlan = 10
[[mac]]
vni = 10010
address = "02:00:00:00:09:09"
vtep = "192.0.2.2"
[api]
socket = %q
http = "127.0.0.1:9279"
`

// site is a gateway as it is run, between two hosts.
type site struct{ h1, gw, h2, peer *netns.NS }

func newSite(t *testing.T) *site {
	t.Helper()
	netns.Require(t)
	s := &site{}
	for _, ns := range []**netns.NS{&s.h1, &s.gw, &s.h2, &s.peer} {
		n, err := netns.New("")
		must(t, err)
		t.Cleanup(func() { must(t, n.Close()) })
		*ns = n
	}
	must(t, netns.Veth(s.h1, "eth0", s.gw, "eth1", netns.VethOptions{AMAC: h1MAC}))
	must(t, netns.Veth(s.h2, "eth0", s.gw, "eth2", netns.VethOptions{AMAC: h2MAC}))
	must(t, netns.Veth(s.gw, "und0", s.peer, "und0", netns.VethOptions{MTU: 1600}))
	must(t, s.gw.AddAddr("und0", "192.0.2.1/24"))
	must(t, s.peer.AddAddr("und0", "192.0.2.2/24"))
	return s
}

// run starts the gateway, and ends it with the test.
func (s *site) run(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	program, file := filepath.Join(dir, "vxgw"), filepath.Join(dir, "vxgw.toml")
	if out, err := exec.Command("go", "build", "-o", program, "vxgw/cmd/vxgw").CombinedOutput(); err != nil {
		t.Fatalf("build the gateway: %v\n%s", err, out)
	}
	must(t, os.WriteFile(file, fmt.Appendf(nil, gatewayConfig, filepath.Join(dir, "control.sock")), 0o644))
	cmd := s.gw.Command(context.Background(), program, "run", "--detach-on-exit", "-c", file)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		force := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer force.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log.String())
		}
	})
}

// relay listens where the browser is, and leads to the gateway's own namespace.
func (s *site) relay(t *testing.T) (home string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.lead(ctx, c) })
		}
	})
	return "http://" + l.Addr().String()
}

func (s *site) lead(ctx context.Context, c net.Conn) {
	defer c.Close()
	to, err := s.gw.Dial(ctx, "tcp", "127.0.0.1:9279")
	if err != nil {
		return
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { c.Close(); to.Close() })()
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{c, to}, {to, c}} {
		go func() {
			io.Copy(way[0], way[1])
			way[0].Close()
			done <- struct{}{}
		}()
	}
	<-done
	<-done
}

// send has hosts send until the test ends: to each other, and tagged frames, which are
// dropped.
func (s *site) send(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); wg.Wait() })
	tagged := packet.Numbered(h2MAC, h1MAC, 9)
	tagged = append(append(append([]byte{}, tagged[:12]...), 0x81, 0, 0, 10), tagged[12:]...)
	wg.Go(func() {
		for n := uint32(0); ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			if s.h1.Send("eth0", packet.Numbered(h2MAC, h1MAC, n), tagged) != nil || s.h2.Send("eth0", packet.Numbered(h1MAC, h2MAC, n)) != nil {
				t.Error("a host cannot send")
				return
			}
		}
	})
}

// TestGateway looks at a gateway as it is run, with traffic.
func TestGateway(t *testing.T) {
	chromium(t)
	s := newSite(t)
	s.run(t)
	home := s.relay(t)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if c, err := s.gw.Dial(t.Context(), "tcp", "127.0.0.1:9279"); err == nil {
			c.Close()
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	s.send(t)
	p := open(t, home, light)
	p.contains("header", "site-a", "VTEP 192.0.2.1")
	p.waitFor("the underlay", `document.querySelector(".health").innerText.includes("VTEP 192.0.2.1 on und0, UDP port 4789, sends and receives")`)
	p.waitFor("the drops", `document.querySelector(".now").innerText.includes("make the switch port an untagged access port")`)
	p.moving(".tile .big")
	p.shot("gateway-overview")

	p.view("ports")
	p.moving("#view-ports tbody tr:first-child .n")
	p.contains("#view-ports tbody", "eth1", "eth2", "eth9", "absent")
	p.view("macs")
	p.search("01:02", h2MAC.String())
	p.search("static", "02:00:00:00:09:09")
	p.view("vteps")
	p.contains("#view-vteps", "192.0.2.2", "never heard")
	p.view("topology")
	run(p, chromedp.WaitVisible(".drawing svg"))
	p.contains(".drawing", "eth9", "absent", "VNI 10010", "192.0.2.2")
	p.shot("gateway-topology")
	p.view("datapath")
	p.contains("#view-datapath", "und0", "attached")
}
