package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// Flooded frames that come in by XDP, or beside it, are under the same limits as without
// programs: these hand all of them up. What is known has none.
func TestStormControlFast(t *testing.T) {
	const limit, burst, sent = 100, 10, 2000
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			b := newFastBed(t, fastBed{way: w, port: fmt.Sprintf("storm_control = { broadcast = %[1]d, multicast = %[1]d, unknown_unicast = %[1]d }", limit)})
			for kind, dst := range map[string]frame.MAC{"broadcast": frame.Broadcast, "multicast": {1, 0, 0x5e, 0, 0, 0xfb}, "unknown_unicast": nobody} {
				t.Run(kind, func(t *testing.T) {
					before := b.stormed("acc1", kind)
					begun := time.Now()
					f := b.flow(t, journey{from: "h1", to: "h2", vni: vni, inner: unsummed(dst, h1MAC, "10.1.1.10", "10.1.1.99")}, sent)
					f.send(sent)
					var passed, dropped int
					eventually(t, "every frame is flooded or counted", func() bool {
						passed, dropped = f.to.all(), int(b.stormed("acc1", kind)-before)
						return passed+dropped == sent
					})
					most := burst + 1 + int(limit*time.Since(begun).Seconds()) + 1
					if passed < burst || passed > most {
						t.Errorf("%d of %d pass, not %d to %d", passed, sent, burst, most)
					}
				})
			}
			for _, j := range journeys() {
				if !j.routed && j.from == "h1" && b.carries(j) {
					t.Run(j.name, func(t *testing.T) { b.wantCounted(t, j) })
				}
			}
		})
	}
}

// stormed is how many frames of a kind storm control has dropped that came in by a port.
func (g *gateway) stormed(port, kind string) uint64 {
	g.t.Helper()
	for _, r := range g.port(port).Storm {
		if r.Kind == kind {
			return r.Dropped
		}
	}
	g.t.Fatalf("%s has no storm control of %s: %+v", port, kind, g.port(port))
	return 0
}

// looped is a bed whose ports acc2 and acc3 are joined by a bridge outside: what is
// flooded comes back.
type looped struct{ *bed }

func newLooped(t *testing.T, mode, port string) looped {
	t.Helper()
	b := newBed(t, 4, 1600)
	b.start(settings{more: fmt.Sprintf("[datapath]\nmode = %q\n", mode), port: port})
	b.fromHost("h1", packet.Numbered(frame.Broadcast, h1MAC, 0))
	b.fromHost("h4", packet.Numbered(frame.Broadcast, h2MAC, 0))
	b.fromVTEP(vtepA)(packet.Numbered(frame.Broadcast, ra1MAC, 0))
	// What they sent has to be gone before there is a loop for it to go round.
	eventually(t, "three stations are known, and their frames are sent", func() bool {
		return len(b.macs()) == 3 && b.port("acc2").TxPackets == 3 && b.port("acc3").TxPackets == 3
	})
	must(t, b.hosts.Bridge("br0", "h2", "h3"))
	return looped{b}
}

// ends waits until nothing goes round any more.
func (b looped) ends() {
	b.t.Helper()
	passing := func() uint64 { return b.port("acc2").RxPackets + b.port("acc3").RxPackets }
	eventually(b.t, "the loop is at rest", func() bool {
		was := passing()
		time.Sleep(100 * time.Millisecond)
		return passing() == was
	})
}

// works has the stations that are not on the loop send to each other: every frame comes,
// once.
func (b looped) works() {
	b.t.Helper()
	const count = 100
	atHost, atVTEP := capture(b.t, b.hosts, "h4"), captureOuter(b.t, b.peer, "und0")
	defer func() { must(b.t, errors.Join(atHost.Close(), atVTEP.Close())) }()
	first := b.next()
	b.fromHost("h1", numbered(h2MAC, h1MAC, first, count)...)
	b.fromHost("h1", numbered(ra1MAC, h1MAC, first+count, count)...)
	b.fromVTEP(vtepA)(numbered(h2MAC, ra1MAC, first+2*count, count)...)
	for _, c := range []struct {
		what  string
		at    *netns.Capture
		first uint32
	}{{"h1 to h4", atHost, first}, {"h1 to a VTEP", atVTEP, first + count}, {"a VTEP to h4", atHost, first + 2*count}} {
		b.t.Cleanup(func() {
			if b.t.Failed() {
				b.t.Logf("%s: %d of %d; dropped %v, MACs %v", c.what, between(b.t, c.at, c.first, count), count, b.dropped(), b.macs())
			}
		})
		eventually(b.t, c.what, func() bool { return between(b.t, c.at, c.first, count) == count })
	}
}

// next is a number that no frame has had.
func (b looped) next() uint32 { return fences.Add(1) * 1000 }

// held returns where the MACs are that are held.
func (g *gateway) held() map[string]string {
	g.t.Helper()
	at := make(map[string]string)
	for _, m := range rows[api.MACRow](g, "macs") {
		if m.Held {
			at[m.MAC] = m.Port + m.VTEP
		}
	}
	return at
}

var loopModes = []string{"raw", "auto", "xdp"}

// What a station sends goes round a loop between two ports until the station is held
// where it is. Then the copies that come back are dropped, and all is at rest. Everything
// else goes on.
func TestLoopBetweenPorts(t *testing.T) {
	for _, mode := range loopModes {
		t.Run(mode, func(t *testing.T) {
			b := newLooped(t, mode, "")
			b.fromHost("h1", packet.Numbered(frame.Broadcast, h1MAC, 1))
			eventually(t, "the station is held where it is", func() bool { return b.held()[h1MAC.String()] == "acc1" })
			b.works()
			b.ends()
			eventually(t, "copies that came back are counted", func() bool { return b.dropped()["duplicate_mac access"] > 0 })
			eventually(t, "it is told of", func() bool {
				return strings.Contains(b.log.String(), "moves too often") && strings.Contains(b.log.String(), `held_at="port acc1"`)
			})
			// Now nothing comes twice.
			const count = 50
			at := capture(t, b.hosts, "h4")
			first := b.next()
			b.fromHost("h1", numbered(frame.Broadcast, h1MAC, first, count)...)
			eventually(t, "a held station's broadcasts", func() bool { return between(t, at, first, count) == count })
			b.ends()
			if n := between(t, at, first, count); n != count {
				t.Errorf("%d of %d broadcasts", n, count)
			}
			b.works()
			b.lettingGo()
		})
	}
}

// lettingGo has the loop be mended, and the station let go.
func (b looped) lettingGo() {
	b.t.Helper()
	must(b.t, b.hosts.Delete("br0"))
	out, err := b.ns.Command(context.Background(), program, "clear", "mac", h1MAC.String(), "--socket", b.socket).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "of which 1 were held") {
		b.t.Errorf("%v: %s", err, out)
	}
	b.fromHost("h4", packet.Numbered(frame.Broadcast, h1MAC, 1))
	eventually(b.t, "it moves again", func() bool { return b.macs()[fmt.Sprintf("%d %v", vni, h1MAC)] == "port acc4" })
}

// A station on the loop itself is where its copies come back to. There they are as good
// as its own, and go round until storm control has had enough.
func TestStormControlEndsLoop(t *testing.T) {
	for _, mode := range loopModes {
		t.Run(mode, func(t *testing.T) {
			b := newLooped(t, mode, "storm_control = { broadcast = 200, multicast = 200, unknown_unicast = 200 }")
			for _, dst := range []frame.MAC{frame.Broadcast, {1, 0, 0x5e, 0, 0, 0xfb}, nobody} {
				b.fromHost("h2", packet.Numbered(dst, h3MAC, 1))
				b.works()
				b.ends()
			}
			n := b.dropped()["storm access"]
			if n == 0 {
				t.Errorf("nothing was dropped by storm control: %v", b.dropped())
			}
			eventually(t, "it is told of, and seen", func() bool {
				active := slices.ContainsFunc(slices.Concat(b.port("acc2").Storm, b.port("acc3").Storm), func(r api.StormRow) bool { return r.Active && r.Dropped > 0 })
				return active && strings.Contains(b.log.String(), "more is flooded than the limit")
			})
			// A line for a port and a kind, and for those that are held.
			if lines := strings.Count(b.log.String(), "level=WARN"); lines > 20 {
				t.Errorf("%d warnings", lines)
			}
		})
	}
}

// A site that is joined to the gateway by VXLAN and by a wire to a port is a loop through
// both. The station is held at its port, and what comes back by either way is dropped.
func TestLoopThroughVTEP(t *testing.T) {
	for _, mode := range loopModes {
		t.Run(mode, func(t *testing.T) {
			hosts, ns, site := newNS(t), newNS(t), newNS(t)
			wire(t, ns, "und0", site, "und0", netns.VethOptions{AMAC: gwMAC, MTU: 1600})
			must(t, ns.AddAddr("und0", gwAddr.String()+"/24"))
			must(t, site.AddAddr("und0", vtepA.String()+"/24"))
			wire(t, hosts, "h1", ns, "acc1", netns.VethOptions{})
			wire(t, hosts, "h4", ns, "acc4", netns.VethOptions{})
			wire(t, site, "back0", ns, "acc2", netns.VethOptions{})
			g := start(t, ns, fmt.Sprintf("[underlay]\naddress = %q\n[datapath]\nmode = %q\n[[vni]]\nid = %d\nvlan = 10\nflood = [%q]\n", gwAddr, mode, vni, vtepA)+
				"[[port]]\ninterface = \"acc1\"\nvlan = 10\n[[port]]\ninterface = \"acc2\"\nvlan = 10\n[[port]]\ninterface = \"acc4\"\nvlan = 10\n").forwards()
			must(t, hosts.Send("h1", packet.Numbered(frame.Broadcast, h1MAC, 0)))
			must(t, hosts.Send("h4", packet.Numbered(frame.Broadcast, h2MAC, 0)))
			eventually(t, "both are known", func() bool { return len(g.macs()) == 2 })
			must(t, site.VTEP("br0", netns.VXLANConfig{Name: "vx0", VNI: vni, Local: vtepA, Remotes: []netip.Addr{gwAddr}}, "back0"))
			must(t, hosts.Send("h1", packet.Numbered(frame.Broadcast, h1MAC, 1)))
			eventually(t, "the station is held where it is", func() bool { return g.held()[h1MAC.String()] == "acc1" })
			eventually(t, "what comes back is dropped on both ways", func() bool {
				must(t, hosts.Send("h1", packet.Numbered(frame.Broadcast, h1MAC, 2)))
				d := g.dropped()
				return d["duplicate_mac access"] > 0 && d["duplicate_mac overlay"] > 0
			})
			passing := func() uint64 { return g.port("acc2").RxPackets + rows[api.VNIRow](g, "vnis")[0].RxPackets }
			eventually(t, "the loop is at rest", func() bool {
				was := passing()
				time.Sleep(100 * time.Millisecond)
				return passing() == was
			})
			const count = 200
			at := capture(t, hosts, "h4")
			must(t, hosts.Send("h1", numbered(h2MAC, h1MAC, 1000, count)...))
			eventually(t, "the others go on", func() bool { return between(t, at, 1000, count) == count })
		})
	}
}
