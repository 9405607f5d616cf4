package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// traffic is packets and bytes, received and sent.
type traffic struct{ rxPackets, rxBytes, txPackets, txBytes uint64 }

// rx and tx add frames to what is expected.
func (e *traffic) rx(frames ...[]byte) {
	for _, f := range frames {
		e.rxPackets++
		e.rxBytes += uint64(len(f))
	}
}

func (e *traffic) tx(frames ...[]byte) {
	for _, f := range frames {
		e.txPackets++
		e.txBytes += uint64(len(f))
	}
}

// account is what must have been counted, by port, VTEP or VNI.
type account map[string]*traffic

func (a account) of(name string) *traffic {
	if a[name] == nil {
		a[name] = new(traffic)
	}
	return a[name]
}

// fromPort adds frames that came in on a port and left by others.
func (a account) fromPort(in string, frames [][]byte, to ...string) {
	a.of(in).rx(frames...)
	for _, out := range to {
		a.of(out).tx(frames...)
		if out[0] != 'a' {
			a.of("VNI 1000").tx(frames...)
		}
	}
}

// fromVTEP adds frames that came in from a VTEP, in packets that were no cause
// for complaint, and left by ports.
func (a account) fromVTEP(vtep string, frames [][]byte, to ...string) {
	a.of(vtep).rx(frames...)
	a.of("VNI 1000").rx(frames...)
	for _, out := range to {
		a.of(out).tx(frames...)
	}
}

// counted returns what the gateway counted.
func (g *gateway) counted() account {
	g.t.Helper()
	a := make(account)
	for _, p := range rows[api.PortRow](g, "ports") {
		a[p.Interface] = &traffic{p.RxPackets, p.RxBytes, p.TxPackets, p.TxBytes}
	}
	for _, v := range rows[api.VTEPRow](g, "vteps") {
		a[v.Address] = &traffic{v.RxPackets, v.RxBytes, v.TxPackets, v.TxBytes}
	}
	for _, v := range rows[api.VNIRow](g, "vnis") {
		a[fmt.Sprintf("VNI %d", v.VNI)] = &traffic{v.RxPackets, v.RxBytes, v.TxPackets, v.TxBytes}
	}
	return a
}

// Every packet and byte of a mixed run is where it belongs, in the rows, in the
// metrics, and in what `vxgw show` prints.
func TestAccounting(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1500)
	b.gateway = startWith(t, b.ns, b.config(settings{flood: `"192.0.2.34", "192.0.2.50"`}), withHTTP).forwards()
	const A, B = "192.0.2.34", "192.0.2.50"
	want, lost := make(account), make(drops)
	at := captureOuter(t, b.peer, "und0")
	h1, h2 := capture(t, b.hosts, "h1"), capture(t, b.hosts, "h2")
	repeat := func(f []byte, n int) [][]byte { return slices.Repeat([][]byte{f}, n) }
	host := func(dev string, frames [][]byte, to ...string) {
		b.fromHost(dev, frames...)
		want.fromPort("acc"+dev[1:], frames, to...)
	}
	refused := func(reason string, frames [][]byte) {
		host("h1", frames)
		lost[reason+" access"] += uint64(len(frames))
	}

	host("h1", numbered(frame.Broadcast, h1MAC, 0, 10), "acc2", A, B)
	host("h1", repeat(packet.Ethernet(nobody, h1MAC, typeTest, make([]byte, 1000)), 20), "acc2", A, B)
	must(t, h2.Wait(30, patience)) // so that h1 is known
	host("h2", numbered(h1MAC, h2MAC, 100, 7), "acc1")
	must(t, h1.Wait(7, patience))
	refused("tagged_frame", repeat(packet.Tagged(packet.Numbered(nobody, h1MAC, 1), 0x8100, 10), 9))
	refused("source_multicast", repeat(packet.Numbered(nobody, frame.Broadcast, 1), 5))
	refused("reserved_destination", repeat(bpdu(h1MAC), 3))
	refused("same_port", repeat(packet.Numbered(h1MAC, h3MAC, 1), 4))

	fromA := func(frames [][]byte, to ...string) {
		b.fromPeer(encapsulated(vtepA, frames)...)
		want.fromVTEP(A, frames, to...)
	}
	fromA(numbered(frame.Broadcast, ra1MAC, 200, 11), "acc1", "acc2")
	must(t, h2.Wait(41, patience))
	fromA(numbered(h1MAC, ra1MAC, 300, 12), "acc1")
	fromA(repeat(packet.Tagged(packet.Numbered(h1MAC, ra1MAC, 1), 0x8100, 5), 6))
	lost["inner_vlan overlay"] = 6
	inner := numbered(ra1MAC, rb1MAC, 400, 8)
	b.fromPeer(encapsulated(vtepB, inner)...)
	want.fromVTEP(B, inner)
	lost["split_horizon overlay"] = 8

	// What is refused before the inner frame is looked at is nobody's traffic.
	for reason, p := range map[string][]byte{
		"unknown_vni":      goldenWith(func(b []byte) { b[48]++ }),
		"vxlan_flags":      goldenWith(func(b []byte) { b[42] = 0 }),
		"outer_checksum":   goldenWith(func(b []byte) { b[41] = 1 }),
		"outer_malformed":  goldenWith(func(b []byte) { b[25]++ }),
		"outer_fragment":   goldenWith(func(b []byte) { b[20] = 0x20; reseal(b) }),
		"vtep_not_allowed": goldenWith(func(b []byte) { b[29] = 200; reseal(b) }),
	} {
		b.fromPeer(repeat(p, 9)...)
		lost[reason+" overlay"] = 9
	}

	long := repeat(datagram(1500, false), 2) // for ra1MAC behind A, whose path is narrower
	refused("too_big", long)
	b.wantDrops(lost)
	// The answers to them are frames like any other.
	must(t, h1.WaitMatch(2, func(f []byte) bool { return f[23] == 1 && frame.Frame(f).Src() == ra1MAC }, patience))
	for _, f := range h1.Frames() {
		if f[23] == 1 && frame.Frame(f).Src() == ra1MAC {
			want.of("acc1").tx(f)
		}
	}
	must(t, at.Wait(60, patience))

	exported := cmp.AllowUnexported(traffic{})
	var have account
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if have = b.counted(); cmp.Equal(want, have, exported) {
			break
		}
	}
	if d := cmp.Diff(want, have, exported); d != "" {
		t.Errorf("traffic (-want +got):\n%s", d)
	}
	b.wantMetrics()
	wantShown[api.PortRow](b.gateway, "ports")
	wantShown[api.VNIRow](b.gateway, "vnis")
	wantShown[api.VTEPRow](b.gateway, "vteps")
	wantShown[api.MACRow](b.gateway, "macs")
	wantShown[api.DropRow](b.gateway, "drops")
	wantShown[api.DatapathRow](b.gateway, "datapath")
}

// wantMetrics compares the metrics with the rows.
func (g *gateway) wantMetrics() {
	g.t.Helper()
	want := make(map[string]float64)
	counters := func(labels string, t traffic) {
		for name, pair := range map[string][2]uint64{"frames": {t.rxPackets, t.txPackets}, "bytes": {t.rxBytes, t.txBytes}} {
			want[fmt.Sprintf(`vxgw_%s_total{direction="rx",%s}`, name, labels)] = float64(pair[0])
			want[fmt.Sprintf(`vxgw_%s_total{direction="tx",%s}`, name, labels)] = float64(pair[1])
		}
	}
	for name, c := range g.counted() {
		var vni uint32
		switch n, _ := fmt.Sscanf(name, "VNI %d", &vni); {
		case n == 1:
			counters(fmt.Sprintf(`port="",vni="%d"`, vni), *c)
		case name[0] == 'a':
			counters(fmt.Sprintf(`port=%q,vni=""`, name), *c)
			want[fmt.Sprintf("vxgw_port_up{port=%q}", name)] = 1
		default:
			for what, n := range map[string]uint64{"rx_packets": c.rxPackets, "rx_bytes": c.rxBytes, "tx_packets": c.txPackets, "tx_bytes": c.txBytes} {
				want[fmt.Sprintf("vxgw_vtep_%s_total{vtep=%q}", what, name)] = float64(n)
			}
		}
	}
	for _, d := range rows[api.DropRow](g, "drops") {
		want[fmt.Sprintf("vxgw_drops_total{direction=%q,reason=%q}", d.Direction, d.Reason)] = float64(d.Count)
	}
	for _, d := range rows[api.DatapathRow](g, "datapath") {
		want[fmt.Sprintf("vxgw_datapath_info{interface=%q,mode=%q}", d.Interface, d.Mode)] = 1
	}
	learned := make(map[string]float64)
	for _, m := range rows[api.MACRow](g, "macs") {
		learned[fmt.Sprintf(`vxgw_macs{origin=%q,vni="%d"}`, m.Origin, m.VNI)]++
	}
	maps.Copy(want, learned)
	have := metrics(g.t, g.ns)
	for name, n := range want {
		if v, ok := have[name]; !ok || v != n {
			g.t.Errorf("metric %s is %v (there: %t), the rows say %v", name, v, ok, n)
		}
	}
}

// wantShown compares what `vxgw show NAME --json` prints with the rows. A MAC's
// age may have moved on between the two.
func wantShown[T any](g *gateway, name string) {
	g.t.Helper()
	out, err := g.ns.Command(g.t.Context(), program, "show", name, "--json", "--socket", g.socket).Output()
	must(g.t, err)
	var shown []T
	must(g.t, json.Unmarshal(out, &shown))
	if d := cmp.Diff(rows[T](g, name), shown, cmpopts.IgnoreFields(api.MACRow{}, "Age"), cmpopts.IgnoreFields(api.VTEPRow{}, "LastSeen")); d != "" {
		g.t.Errorf("show %s (-asked +shown):\n%s", name, d)
	}
}
