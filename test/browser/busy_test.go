// Package browser tests the dashboard as people see it: in Chromium, in light and dark
// and on a phone, against gateways that are small, large, empty and gone.
package browser

import (
	"context"
	"fmt"
	"iter"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l2/frame"
)

// pretend is a gateway whose counters grow with time. Embedded is what it need not
// answer.
type pretend struct {
	api.Source
	began time.Time

	mu       sync.Mutex // guards everything below
	ports    []api.PortRow
	vnis     []api.VNIRow
	vteps    []api.VTEPRow
	datapath []api.DatapathRow
	macs     int
	dropping map[string]uint64 // frames a second, by reason and direction
	dropped  map[string]uint64 // frames before
	up       api.UnderlayRow
}

func (g *pretend) seconds() float64 { return time.Since(g.began).Seconds() }

// packets is how many frames something that has so many a second has had.
func (g *pretend) packets(perSecond float64) uint64 { return uint64(g.seconds() * perSecond) }

func (g *pretend) Name() string { return "edge-1" }

func (g *pretend) Ports() []api.PortRow {
	g.mu.Lock()
	defer g.mu.Unlock()
	rows := append([]api.PortRow{}, g.ports...)
	for i := range rows {
		if p := &rows[i]; p.State == api.StateUp {
			n := float64(i%7+1) * 11000
			p.RxPackets, p.TxPackets = g.packets(n), g.packets(n*1.7)
			p.RxBytes, p.TxBytes = g.packets(n*420), g.packets(n*1.7*910)
		}
	}
	return rows
}

func (g *pretend) VNIs() []api.VNIRow {
	g.mu.Lock()
	defer g.mu.Unlock()
	rows := append([]api.VNIRow{}, g.vnis...)
	for i := range rows {
		n := float64(i%5+1) * 9000
		rows[i].RxPackets, rows[i].TxPackets = g.packets(n), g.packets(n/2)
		rows[i].RxBytes, rows[i].TxBytes = g.packets(n*900), g.packets(n*200)
	}
	return rows
}

func (g *pretend) VTEPs() []api.VTEPRow {
	g.mu.Lock()
	defer g.mu.Unlock()
	rows := append([]api.VTEPRow{}, g.vteps...)
	for i := range rows {
		if rows[i].LastSeen == nil {
			continue
		}
		n := float64(i%3+1) * 6000
		rows[i].RxPackets, rows[i].TxPackets = g.packets(n), g.packets(n/2)
		rows[i].RxBytes, rows[i].TxBytes = g.packets(n*900), g.packets(n*200)
	}
	return rows
}

func (g *pretend) Drops() []api.DropRow {
	g.mu.Lock()
	defer g.mu.Unlock()
	var rows []api.DropRow
	for d := range forward.NumDirections {
		for r := forward.None + 1; r < forward.NumReasons; r++ {
			if !r.Occurs(d) {
				continue
			}
			key := r.String() + " " + d.String()
			rows = append(rows, api.DropRow{
				Reason: r.String(), Direction: d.String(), Meaning: r.Meaning(), Mend: r.Mend(),
				Count: g.dropped[key] + g.packets(float64(g.dropping[key])),
			})
		}
	}
	return rows
}

func (g *pretend) Origins() []api.OriginRow {
	return []api.OriginRow{{Origin: "evpn", State: "leased", Hold: 300, Left: 299, MACs: 2}}
}

func (g *pretend) VRFs() []api.VRFRow { return nil }

func (g *pretend) LearnRefused() []api.RefusedRow {
	return []api.RefusedRow{{Reason: "table_full"}, {Reason: "port_limit", Mend: "raise mac_limit"}}
}

func (g *pretend) Datapath() []api.DatapathRow { return g.datapath }

func (g *pretend) Underlay() api.UnderlayRow {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.up
}

func (g *pretend) MACCounts() map[api.MACCountKey]int {
	return map[api.MACCountKey]int{{VNI: 10010, Origin: api.OriginLearned}: g.macs, {VNI: 10010, Origin: api.OriginStatic}: min(1, g.macs)}
}

func (g *pretend) FindMACs(q api.MACQuery) iter.Seq[api.MACRow] {
	return func(yield func(api.MACRow) bool) {
		if q.VNI != 0 && q.VNI != 10010 {
			return
		}
		for i := range g.macs {
			mac := uint64(0x020000000000) + uint64(i)
			if q.HasMAC(mac) && q.BehindPort("eth1") && !yield(api.MACRow{VNI: 10010, MAC: frame.MACFromUint64(mac).String(), Port: "eth1", Origin: api.OriginLearned, Age: uint32(i % 300)}) {
				return
			}
		}
	}
}

// small is a gateway of a few ports, one of them down, that drops something.
func small() *pretend {
	now, before := time.Now(), time.Now().Add(-17*time.Minute)
	return &pretend{
		began: now, macs: 1_000_000,
		up: api.UnderlayRow{Address: "192.0.2.1", Interface: "und0", Port: 4789, Up: true},
		ports: []api.PortRow{
			{Interface: "eth1", VLAN: 10, VNI: 10010, State: api.StateUp, MACs: 412},
			{Interface: "eth2", VLAN: 10, VNI: 10010, State: api.StateUp, MACs: 37},
			{Interface: "eth3", VLAN: 20, VNI: 10020, State: api.StateDown, Reason: "no carrier: look at the cable and at the other end"},
			{Interface: "enp129s0f1np1", VNI: 10030, State: api.StateAbsent, Reason: "there is no such interface: it is waited for"},
		},
		vnis: []api.VNIRow{
			{VNI: 10010, VLAN: 10, Name: "web", VRF: "red", MACs: 449, Ports: []string{"eth1", "eth2"}, VTEPs: []string{"192.0.2.2", "192.0.2.3"}, Suppressed: 1204},
			{VNI: 10020, VLAN: 20, Name: "storage", MACs: 12, Ports: []string{"eth3"}, VTEPs: []string{"192.0.2.2", "2001:db8:0:1::33"}},
			{VNI: 10030, Ports: []string{"enp129s0f1np1"}, VTEPs: []string{"239.119.1.1"}},
		},
		vteps: []api.VTEPRow{
			{Address: "192.0.2.2", Origin: "static", VNIs: []uint32{10010, 10020}, LastSeen: &now, MTU: 1550},
			{Address: "192.0.2.3", Origin: "static", VNIs: []uint32{10010}, LastSeen: &before, MTU: 1550},
			{Address: "2001:db8:0:1::33", Origin: "static", VNIs: []uint32{10020}, MTU: 1530},
			{Address: "239.119.1.1", Origin: "group", VNIs: []uint32{10030}},
		},
		datapath: []api.DatapathRow{
			{Mode: "xdp", Interface: "eth1", Attached: true, Reason: "XDP in the driver, jumbo frames too. All else: AF_PACKET, rings, with checksum and segmentation offload (virtio-net headers)"},
			{Mode: "raw", Interface: "eth2", Attached: true, Reason: "AF_PACKET, rings, with checksum and segmentation offload (virtio-net headers); no XDP: the driver has none"},
			{Mode: "raw", Interface: "eth3", Attached: true, Reason: "no carrier: look at the cable and at the other end"},
			{Mode: "raw", Interface: "enp129s0f1np1", Reason: "there is no such interface: it is waited for"},
			{Mode: "xdp", Interface: "und0", Attached: true, Reason: "XDP in the driver. All else: past the host's IP stack by und0"},
		},
		dropping: map[string]uint64{"tagged_frame access": 37, "vtep_not_allowed overlay": 412},
		dropped:  map[string]uint64{"tagged_frame access": 1204, "vtep_not_allowed overlay": 9, "split_horizon overlay": 5, "too_big access": 83211},
	}
}

// large is a gateway at the size that it is made for.
func large() *pretend {
	g, now := small(), time.Now()
	g.ports, g.vnis, g.vteps = nil, nil, nil
	for i := range 1000 {
		g.vteps = append(g.vteps, api.VTEPRow{Address: fmt.Sprintf("192.0.%d.%d", 2+i/250, 1+i%250), Origin: "static", LastSeen: &now})
	}
	for i := range 4000 {
		v := api.VNIRow{VNI: uint32(10000 + i), VLAN: uint16(i + 1), Name: fmt.Sprintf("tenant-%d", i), MACs: 250}
		for j := range 10 {
			v.VTEPs = append(v.VTEPs, g.vteps[(i+j*97)%1000].Address)
		}
		if i < 300 {
			name := fmt.Sprintf("eth%d", i+1)
			v.Ports = []string{name}
			g.ports = append(g.ports, api.PortRow{Interface: name, VLAN: v.VLAN, VNI: v.VNI, State: api.StateUp, MACs: 800})
		}
		g.vnis = append(g.vnis, v)
	}
	return g
}

// serve answers for a gateway, and returns the address of its page.
func serve(t testing.TB, src api.Source) (home string) {
	t.Helper()
	home, _ = serveUntil(t, src)
	return home
}

// serveUntil is serve with a function that ends it.
func serveUntil(t testing.TB, src api.Source) (home string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	return "http://" + address, serveOn(t, src, address, "v1.2.3")
}

// serveOn answers at an address until stop is called or the test ends.
func serveOn(t testing.TB, src api.Source, address, version string) (stop func()) {
	t.Helper()
	server := api.New(src, api.Options{Socket: filepath.Join(t.TempDir(), "control.sock"), HTTP: address, Version: version})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		must(t, <-done)
	})
	t.Cleanup(stop)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return stop
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
