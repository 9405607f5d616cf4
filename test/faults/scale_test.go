package faults

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
	"vxgw/test/scale"
)

// farm is a gateway with many ports, a host with a wire to each of them, and a
// router to all VTEPs.
//
//	hosts h0..hN --- p0..pN gw und0 --- und0 peer, which has a route to every VTEP
type farm struct {
	scale.Size
	hosts, gw, peer *netns.NS
}

func newFarm(t testing.TB, s scale.Size) *farm {
	t.Helper()
	netns.Require(t)
	f := &farm{s, newNS(t), newNS(t), newNS(t)}
	for i := range s.Ports {
		must(t, netns.Veth(f.hosts, fmt.Sprintf("h%d", i), f.gw, s.Interface(i), netns.VethOptions{}))
	}
	must(t, netns.Veth(f.gw, "und0", f.peer, "und0", netns.VethOptions{MTU: 1600}))
	must(t, f.gw.AddAddr("und0", gwAddr.String()+"/24"))
	must(t, f.peer.AddAddr("und0", peerAddr.String()+"/24"))
	must(t, f.gw.AddRoute(netns.Route{To: "198.18.0.0/16", Via: peerAddr.String()}))
	return f
}

// settings configures the gateway with all of the farm, and nothing else.
func (f *farm) settings() settings {
	return settings{whole: f.Sections("ageing = \"0s\"")}
}

// station returns the MAC of the host at port i.
func station(i int) frame.MAC { return frame.MAC{2, 0, 0, 1, byte(i >> 8), byte(i)} }

// isUp waits until all ports of a gateway are.
func (d *daemon) isUp(ports int) {
	d.t.Helper()
	until(d.t, "all ports are up", func() error {
		up := 0
		for _, p := range rows[api.PortRow](d, "ports") {
			if p.State == api.StateUp {
				up++
			}
		}
		if up != ports {
			return fmt.Errorf("%d of %d", up, ports)
		}
		return nil
	})
}

// outerDst returns where a VXLAN packet of a capture goes, and whether it is one.
func outerDst(f []byte) (netip.Addr, bool) {
	if len(f) < 50 || frame.Frame(f).Type() != frame.TypeIPv4 || f[23] != 17 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(f[30:34])), true
}

func isVXLAN(f []byte) bool { _, ok := outerDst(f); return ok }

// TestLargestConfiguration runs a VNI for every VLAN, 256 ports and 1,024 VTEPs:
// a broadcast goes to each VTEP once, hosts reach each other, everything is
// shown, and a reload loses nothing.
func TestLargestConfiguration(t *testing.T) {
	f := newFarm(t, scale.Full)
	d := start(t, f.gw, f.settings())
	d.isUp(f.Ports)
	empty := d.memory()

	wire, err := f.peer.Capture("und0", netns.Only(isVXLAN))
	must(t, err)
	must(t, f.hosts.Send("h0", packet.Numbered(frame.Broadcast, station(0), 1)))
	must(t, wire.Wait(f.VTEPs, patience))
	copies := make(map[netip.Addr]int)
	for _, c := range wire.Frames() {
		to, _ := outerDst(c)
		copies[to]++
	}
	for i := range f.VTEPs {
		if n := copies[f.VTEP(i)]; n != 1 {
			t.Errorf("%d copies for %v", n, f.VTEP(i))
		}
	}
	must(t, wire.Close())

	for i := range f.Ports {
		must(t, f.hosts.Send(fmt.Sprintf("h%d", i), packet.Numbered(frame.Broadcast, station(i), 2)))
	}
	until(t, "every host is known", func() error {
		if n := len(rows[api.MACRow](d, "macs")); n != f.Ports {
			return fmt.Errorf("%d of %d", n, f.Ports)
		}
		return nil
	})
	f.pairs(t, 100)
	f.shown(t, d)
	t.Logf("resident memory: %d MiB after the start, %d MiB with traffic", empty>>20, d.memory()>>20)
	f.reloads(t, d)
	nothingRaw(t, d.err.String())
}

// pairs sends numbered frames between every eighth pair of hosts and holds that
// each arrives once.
func (f *farm) pairs(t *testing.T, frames int) {
	t.Helper()
	for i := 0; i < f.Ports; i += 16 {
		from, to := fmt.Sprintf("h%d", i), fmt.Sprintf("h%d", i+1)
		got, err := f.hosts.Capture(to)
		must(t, err)
		must(t, f.hosts.Send(from, numbered(station(i+1), station(i), frames)...))
		must(t, got.Wait(frames, patience))
		arrived(t, got, frames)
	}
}

// numbered returns frames with the numbers from 0 on.
func numbered(dst, src frame.MAC, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = packet.Numbered(dst, src, uint32(i))
	}
	return all
}

// arrived holds that a capture has the numbers from 0 to n-1 once each.
func arrived(t *testing.T, c *netns.Capture, n int) {
	t.Helper()
	must(t, c.Close())
	count := make([]int, n)
	for _, f := range c.Frames() {
		if k, ok := packet.Number(f); ok && int(k) < n {
			count[k]++
		}
	}
	for k, times := range count {
		if times != 1 {
			t.Errorf("frame %d came %d times", k, times)
		}
	}
}

// shown holds that every `show` has a row for everything.
func (f *farm) shown(t *testing.T, d *daemon) {
	t.Helper()
	for name, want := range map[string]int{
		"ports": f.Ports, "vnis": f.VNIs, "vteps": f.VTEPs, "macs": f.Ports, "datapath": f.Ports + 1,
	} {
		out, errs, code := tool(t, nil, "show", name, "--socket", d.socket)
		if lines := strings.Count(out, "\n") - 1; code != 0 || lines != want {
			t.Errorf("show %s: exit %d, %d rows, want %d\n%s", name, code, lines, want, errs)
		}
	}
	for _, name := range []string{"drops", "neighbours", "routes"} {
		if _, errs, code := tool(t, nil, "show", name, "--socket", d.socket); code != 0 {
			t.Errorf("show %s: exit %d\n%s", name, code, errs)
		}
	}
}

// reloads takes VNIs and ports away and brings them back, while two hosts that
// it does not concern talk.
func (f *farm) reloads(t *testing.T, d *daemon) {
	t.Helper()
	const frames, chunk = 20_000, 50
	got, err := f.hosts.Capture("h1")
	must(t, err)
	sent := make(chan error, 1)
	go func() {
		all := numbered(station(1), station(0), frames)
		for len(all) > 0 {
			if err := f.hosts.Send("h0", all[:chunk]...); err != nil {
				sent <- err
				return
			}
			all = all[chunk:]
			time.Sleep(5 * time.Millisecond) // about 10,000 a second at the most
		}
		sent <- nil
	}()
	half := scale.Size{VNIs: f.VNIs / 2, Ports: 2, VTEPs: f.VTEPs}
	for _, s := range []settings{{whole: half.Sections("ageing = \"0s\"")}, f.settings()} {
		d.write(s)
		if out, errs, code := tool(t, nil, "reload", "--socket", d.socket); code != 0 {
			t.Fatalf("reload: exit %d\n%.2000s%.2000s", code, out, errs)
		}
	}
	must(t, <-sent)
	must(t, got.Wait(frames, patience))
	arrived(t, got, frames)
	d.isUp(f.Ports)
	if n := strings.Count(d.err.String(), "\n"); n > logLines*f.Ports {
		t.Errorf("%d lines are logged of %d ports", n, f.Ports)
	}
}

// logLines is how many lines a port is good for in a log that is kept short: up,
// removed, absent, and up again, and something to spare.
const logLines = 8

// memory returns how many bytes of the gateway's memory are resident.
func (d *daemon) memory() int {
	d.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", d.cmd.Process.Pid))
	must(d.t, err)
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		must(d.t, errors.New("no resident size in "+string(text)))
	}
	pages, err := strconv.Atoi(fields[1])
	must(d.t, err)
	return pages * os.Getpagesize()
}
