package e2e

import (
	"fmt"
	"testing"

	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// Static entries stay where they are: who comes from elsewhere under their
// address is not let in.
func TestStaticMACs(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{
		flood: `"192.0.2.34", "192.0.2.50"`,
		more: `
[[mac]]
vni = 1000
address = "02:00:00:00:02:0a"
vtep = "192.0.2.34"
[[mac]]
vni = 1000
address = "02:00:00:00:01:03"
port = "acc2"
`})
	h1, h2, atPeer := capture(t, b.hosts, "h1"), capture(t, b.hosts, "h2"), captureOuter(t, b.peer, "und0")
	settle := func() {
		t.Helper()
		fence(t, h1MAC, from(t, b.hosts, "h1"), h2, atPeer)
		fence(t, rb1MAC, b.fromVTEP(vtepB), h1, h2)
		fence(t, nobody, b.fromVTEP(vtepA), h1, h2)
	}
	want := func(first uint32, at1, at2, peer int) {
		t.Helper()
		settle()
		for _, c := range []struct {
			name string
			c    *netns.Capture
			want int
		}{{"h1", h1, at1}, {"h2", h2, at2}, {"the peer", atPeer, peer}} {
			if n := between(t, c.c, first, 10); n != c.want {
				t.Errorf("%d frames from number %d on came to %s, want %d", n, first, c.name, c.want)
			}
		}
	}
	b.fromHost("h1", numbered(ra1MAC, h1MAC, 0, 10)...)
	want(0, 0, 0, 10)
	for _, f := range atPeer.Frames() {
		if n, _ := number(f); n < 10 && vxlanPacket(f).dst() != vtepA {
			t.Errorf("frame %d went to %v", n, vxlanPacket(f).dst())
		}
	}
	b.fromVTEP(vtepA)(numbered(h3MAC, ra1MAC, 100, 10)...)
	want(100, 0, 10, 0)
	b.wantDrops(drops{})

	b.fromHost("h1", numbered(frame.Broadcast, ra1MAC, 200, 10)...)
	want(200, 0, 0, 0)
	b.fromHost("h1", numbered(frame.Broadcast, h3MAC, 300, 10)...)
	want(300, 0, 0, 0)
	b.fromVTEP(vtepB)(numbered(frame.Broadcast, ra1MAC, 400, 10)...)
	want(400, 0, 0, 0)
	b.fromVTEP(vtepA)(numbered(frame.Broadcast, h3MAC, 500, 10)...)
	want(500, 0, 0, 0)
	b.wantDrops(drops{"static_moved access": 20, "static_moved overlay": 20})

	macs := b.macs()
	if macs["1000 "+ra1MAC.String()] != "vtep 192.0.2.34" || macs["1000 "+h3MAC.String()] != "port acc2" {
		t.Errorf("static entries moved: %v", macs)
	}
}

// At a limit nothing more is learned and nobody is forgotten; every frame is
// carried all the same, and every refusal counted.
func TestMACLimits(t *testing.T) {
	t.Parallel()
	const limit, stations = 8, 16
	for _, tc := range []struct {
		name     string
		settings settings
		fromVTEP bool
		reason   string
	}{
		{"of a port", settings{port: "mac_limit = 8"}, false, "port_limit"},
		{"of a VNI, from a port", settings{vni: "mac_limit = 8"}, false, "vni_limit"},
		{"of a VNI, from a VTEP", settings{vni: "mac_limit = 8"}, true, "vni_limit"},
		{"of the gateway", settings{more: "[datapath]\nmac_limit = 8\n"}, false, "table_full"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, 2, 1600)
			b.gateway = startWith(t, b.ns, b.config(tc.settings), withHTTP).forwards()
			send, at := from(t, b.hosts, "h1"), capture(t, b.hosts, "h2")
			if tc.fromVTEP {
				send = b.fromVTEP(vtepA)
			}
			station := func(i int) frame.MAC { return frame.MAC{2, 0, 0, 0, 9, byte(i)} }
			var frames [][]byte
			for i := range stations {
				frames = append(frames, packet.Numbered(nobody, station(i), uint32(i)))
			}
			send(frames...)
			fence(t, station(0), send, at)
			if n := between(t, at, 0, stations); n != stations {
				t.Errorf("%d of %d frames came", n, stations)
			}
			macs := b.macs()
			for i := range stations {
				if _, ok := macs["1000 "+station(i).String()]; ok != (i < limit) {
					t.Errorf("station %d learned: %t", i, ok)
				}
			}
			name := fmt.Sprintf("vxgw_learn_refused_total{reason=%q}", tc.reason)
			eventually(t, "the refusals are counted", func() bool { return metrics(t, b.ns)[name] == stations-limit })
			b.wantDrops(drops{})
		})
	}
}

// A station that falls silent is forgotten, and what is for it is flooded again.
func TestAgeing(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{vni: `ageing = "2s"`})
	atHost, atPeer := capture(t, b.hosts, "h2"), captureOuter(t, b.peer, "und0")
	b.fromVTEP(vtepA)(numbered(frame.Broadcast, ra1MAC, 0, 1)...)
	must(t, atHost.Wait(1, patience))
	eventually(t, "a silent station is forgotten", func() bool {
		_, known := b.macs()["1000 "+ra1MAC.String()]
		return !known
	})
	if b.port("acc1").MACs != 0 {
		t.Errorf("%+v: want no MACs", b.port("acc1"))
	}
	b.fromHost("h1", numbered(ra1MAC, h1MAC, 10, 10)...)
	fence(t, h1MAC, from(t, b.hosts, "h1"), atHost, atPeer)
	if n, m := between(t, atHost, 10, 10), between(t, atPeer, 10, 10); n != 10 || m != 10 {
		t.Errorf("%d frames for a forgotten station came to the other port and %d to the VTEP, want 10 each", n, m)
	}
	b.wantDrops(drops{})
}

// The same, the other way: what was just heard of is not flooded.
func TestAgeingNever(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{vni: `ageing = "0s"`})
	atHost, atPeer := capture(t, b.hosts, "h2"), captureOuter(t, b.peer, "und0")
	b.fromVTEP(vtepA)(numbered(frame.Broadcast, ra1MAC, 0, 1)...)
	must(t, atHost.Wait(1, patience))
	b.fromHost("h1", numbered(ra1MAC, h1MAC, 10, 10)...)
	fence(t, h1MAC, from(t, b.hosts, "h1"), atHost, atPeer)
	if n, m := between(t, atHost, 10, 10), between(t, atPeer, 10, 10); n != 0 || m != 10 {
		t.Errorf("%d frames for a known station came to the other port and %d to the VTEP, want 0 and 10", n, m)
	}
}
