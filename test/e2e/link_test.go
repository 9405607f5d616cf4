package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
)

// works sends ten frames each way between h1 and the peer and wants all of them
// to come. first numbers them.
func (b *bed) works(t *testing.T, first uint32) {
	t.Helper()
	atHost, atPeer := capture(t, b.hosts, "h1"), captureOuter(t, b.peer, "und0")
	b.fromHost("h1", numbered(frame.Broadcast, h1MAC, first, 10)...)
	b.fromVTEP(vtepA)(numbered(frame.Broadcast, ra1MAC, first, 10)...)
	for _, c := range []*netns.Capture{atHost, atPeer} {
		must(t, c.WaitMatch(10, func(f []byte) bool { n, ok := number(f); return ok && n >= first && n < first+10 }, patience))
		must(t, c.Close())
	}
}

// A port that goes down forgets its MACs at once, and one that comes up works;
// the others are not touched by it.
func TestPortDownAndUp(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{})
	b.works(t, 0)
	at2 := capture(t, b.hosts, "h2")
	fence(t, h2MAC, from(t, b.hosts, "h2"), capture(t, b.hosts, "h1"))
	for i, link := range []struct {
		name     string
		down, up func() error
	}{
		{"the host's end", func() error { return b.hosts.SetDown("h1") }, func() error { return b.hosts.SetUp("h1") }},
		{"the gateway's end", func() error { return b.ns.SetDown("acc1") }, func() error { return b.ns.SetUp("acc1") }},
	} {
		must(t, link.down())
		if p := b.waitPort("acc1", api.StateDown); !strings.Contains(p.Reason, "acc1") {
			t.Errorf("%s: reason %q", link.name, p.Reason)
		}
		if at := b.macs(); at["1000 "+h1MAC.String()] != "" || at["1000 "+h2MAC.String()] != "port acc2" || at["1000 "+ra1MAC.String()] != "vtep 192.0.2.34" {
			t.Errorf("%s: known is %v, want all but what was on acc1", link.name, at)
		}
		fence(t, ra1MAC, b.fromVTEP(vtepA), at2)
		must(t, link.up())
		b.waitPort("acc1", api.StateUp)
		b.works(t, uint32(100*(i+1)))
	}
	b.wantDrops(drops{})
}

// An interface that is deleted is waited for, and one of the same name is taken
// into service without being asked.
func TestInterfaceComesAndGoes(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600)
	must(t, b.ns.Delete("acc1"))
	b.gateway = start(t, b.ns, b.config(settings{}))
	b.waitPort("acc2", api.StateUp)
	for i := range 3 {
		if p := b.waitPort("acc1", api.StateAbsent); !strings.Contains(p.Reason, "acc1") {
			t.Errorf("reason %q", p.Reason)
		}
		wire(t, b.hosts, "h1", b.ns, "acc1", netns.VethOptions{AMAC: h1MAC})
		b.waitPort("acc1", api.StateUp)
		b.works(t, uint32(100*i))
		must(t, b.ns.Delete("acc1"))
	}
	b.waitPort("acc1", api.StateAbsent)
	if at, ok := b.macs()["1000 "+h1MAC.String()]; ok {
		t.Errorf("%v is still at %s", h1MAC, at)
	}
	b.wantDrops(drops{})
}

// A port that becomes a bridge's is refused, with the reason, and taken back
// when it is released.
func TestEnslavedPort(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{})
	must(t, b.ns.Bridge("br0"))
	for i := range 2 {
		must(t, b.ns.Enslave("acc1", "br0"))
		if p := b.waitPort("acc1", api.StateRefused); !strings.Contains(p.Reason, "br0") || !strings.Contains(p.Reason, "ip link set acc1 nomaster") {
			t.Errorf("reason %q", p.Reason)
		}
		must(t, b.ns.Release("acc1"))
		b.waitPort("acc1", api.StateUp)
		b.works(t, uint32(100*i))
	}
	b.wantDrops(drops{})
}

// Without its address the VTEP is not there: nothing leaves, and what should
// have is counted. When the address is back, all is well.
func TestVTEPAddressRemoved(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600).start(settings{})
	b.works(t, 0)
	atPeer := captureOuter(t, b.peer, "und0")
	must(t, b.ns.DelAddr("und0", gwAddr.String()+"/24"))
	eventually(t, "the underlay is detached", func() bool { return !b.uplink().Attached })
	if why := b.uplink().Reason; !strings.Contains(why, "ip address add 192.0.2.17") {
		t.Errorf("reason %q", why)
	}
	b.fromHost("h1", numbered(nobody, h1MAC, 100, 10)...)
	b.wantDrops(drops{"tx_failed access": 10})
	must(t, b.ns.AddAddr("und0", gwAddr.String()+"/24"))
	eventually(t, "the underlay is attached again", func() bool { return b.uplink().Attached })
	b.works(t, 200)
	if n := between(t, atPeer, 100, 10); n != 0 {
		t.Errorf("%d packets left without the VTEP address", n)
	}
}

// The underlay's interface may go altogether, and come back as another.
func TestUnderlayRecreated(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600).start(settings{underlay: `interface = "und0"`})
	b.works(t, 0)
	must(t, b.ns.Delete("und0"))
	eventually(t, "the underlay is detached", func() bool { return !b.uplink().Attached })
	wire(t, b.ns, "und0", b.peer, "und0", netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: 1600})
	must(t, b.peer.AddAddr("und0", vtepA.String()+"/24"))
	must(t, b.ns.AddAddr("und0", gwAddr.String()+"/24"))
	eventually(t, "the underlay is attached again", func() bool { return b.uplink().Attached })
	b.works(t, 100)
	b.wantDrops(drops{})
}

// A kernel's vxlan device on the UDP port is named; without it the gateway
// starts to forward by itself.
func TestPortTakenByKernel(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1600)
	must(t, b.ns.VXLAN(netns.VXLANConfig{Name: "vx9", VNI: 9, Local: gwAddr}))
	b.gateway = start(t, b.ns, b.config(settings{}))
	b.waitPort("acc1", api.StateUp)
	u := b.uplink()
	if u.Attached || !strings.Contains(u.Reason, "vx9") || !strings.Contains(u.Reason, "ip link delete vx9") || !strings.Contains(u.Reason, "4789") {
		t.Errorf("%+v: want the device named", u)
	}
	must(t, b.ns.Delete("vx9"))
	b.forwards()
	b.works(t, 0)
	b.wantDrops(drops{})
}

// files returns what the gateway has open. The connection that a test asks by is
// given up first.
func (g *gateway) files() []string {
	g.t.Helper()
	g.client.Close()
	dir := filepath.Join("/proc", fmt.Sprint(g.cmd.Process.Pid), "fd")
	entries, err := os.ReadDir(dir)
	must(g.t, err)
	var files []string
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			files = append(files, to)
		}
	}
	return files
}

// Fifty flaps of a port, and of its interface's very existence, leave a port
// that works and no files behind.
func TestFlaps(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{})
	b.inMode("tcx") // which has files open, too, and so have probes
	eventually(t, "paths are probed", func() bool { return b.vtep(vtepA.String()).PathProbe != "" })
	b.works(t, 0)
	before := b.files()
	for i := range 50 {
		must(t, b.hosts.SetDown("h1"))
		if i%10 == 0 {
			b.waitPort("acc1", api.StateDown)
		}
		must(t, b.hosts.SetUp("h1"))
		if i%10 == 9 {
			must(t, b.ns.Delete("acc1"))
			if i == 49 {
				b.waitPort("acc1", api.StateAbsent) // or what is up might be the last one
			}
			wire(t, b.hosts, "h1", b.ns, "acc1", netns.VethOptions{AMAC: h1MAC})
		}
	}
	b.waitPort("acc1", api.StateUp)
	b.works(t, 100)
	if p := b.port("acc1"); p.MACs != 1 {
		t.Errorf("%+v, want the one MAC of its host", p)
	}
	b.wantDrops(drops{})
	var after []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if after = b.files(); len(after) <= len(before) {
			return
		}
	}
	t.Errorf("%d files open, %d before:\n%v\n%v", len(after), len(before), after, before)
}
