package faults

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	"vxgw/l3/vxlan"
	"vxgw/test/netns"
	"vxgw/test/packet"
	"vxgw/test/scale"
)

// office is four ports, p0 to p3, in one VNI with two VTEPs.
var office = scale.Size{VNIs: 1, Ports: 4, VTEPs: 2}

// withMetrics configures a gateway that answers for its metrics, too.
func (f *farm) withMetrics() settings {
	s := f.settings()
	s.api = "http = \"127.0.0.1:9279\""
	return s
}

// metric reads a metric of a gateway in ns, by its name and labels.
func (d *daemon) metric(ns *netns.NS, name string) float64 {
	d.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return ns.Dial(ctx, network, address)
	}}
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://127.0.0.1:9279/metrics")
	must(d.t, err)
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			must(d.t, err)
			return v
		}
	}
	d.t.Fatalf("there is no metric %s", name)
	return 0
}

// talk has the host at port 2 send numbered frames to the one at port 3, a
// thousand a second at the most, and returns a function that ends this and holds
// that each arrived once.
func (f *farm) talk(t *testing.T) (end func()) {
	t.Helper()
	must(t, f.hosts.Send("h3", packet.Numbered(frame.Broadcast, station(3), 0)))
	time.Sleep(10 * time.Millisecond)
	got, err := f.hosts.Capture("h3", netns.Only(func(f []byte) bool { return frame.Frame(f).Src() == station(2) }))
	must(t, err)
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { sent <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := f.hosts.Send("h2", packet.Numbered(station(3), station(2), uint32(n))); err != nil {
				t.Error(err)
				return
			}
			n++
			time.Sleep(time.Millisecond)
		}
	}()
	return func() {
		t.Helper()
		close(stop)
		n := <-sent
		must(t, got.Wait(n, patience))
		arrived(t, got, n)
		t.Logf("%d frames beside it", n)
	}
}

// inXDP waits until there is a program at every interface.
func (d *daemon) inXDP(t *testing.T) {
	t.Helper()
	until(t, "every interface has its program", func() error {
		for _, row := range rows[api.DatapathRow](d, "datapath") {
			if row.Mode != "xdp" {
				return fmt.Errorf("%+v", row)
			}
		}
		return nil
	})
}

// TestFlapsUnderTraffic has a link go down and up ten times a second while frames
// come from it and go to it. Every time it comes back it carries frames, without
// anybody's help; afterwards nothing is left of it all, and a conversation beside
// it has lost nothing.
func TestFlapsUnderTraffic(t *testing.T) {
	const flaps = 50
	for _, test := range []struct {
		name     string
		down, up func(*farm) error
	}{
		{"the host's end", func(f *farm) error { return f.hosts.SetDown("h0") }, func(f *farm) error { return f.hosts.SetUp("h0") }},
		{"the gateway's end", func(f *farm) error { return f.gw.SetDown("p0") }, func(f *farm) error { return f.gw.SetUp("p0") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFarm(t, office)
			// Programs at all interfaces from the start, and not when the noise is worth it.
			set := f.withMetrics()
			set.whole += "\n[datapath]\nmode = \"xdp\"\n"
			d := start(t, f.gw, set)
			d.isUp(f.Ports)
			flap := func() {
				must(t, test.down(f))
				time.Sleep(50 * time.Millisecond)
				must(t, test.up(f))
				time.Sleep(50 * time.Millisecond)
			}
			flap()
			f.reach(t, d)
			d.inXDP(t)
			files, threads, memory := d.files(), d.threads(), d.memory()
			goroutines := d.metric(f.gw, "go_goroutines")
			end := f.talk(t)
			stop := f.noise(t)
			for i := range flaps {
				flap()
				if i%10 == 9 {
					f.reach(t, d)
				}
			}
			stop()
			end()
			flap()
			d.isUp(f.Ports)
			// Told of once a second at the most, the last flap may be news yet.
			until(t, "the port has forgotten its hosts, and the others have not", func() error {
				p := rows[api.PortRow](d, "ports")
				if p[0].MACs != 0 || p[2].MACs != 1 || p[3].MACs != 1 {
					return fmt.Errorf("%+v", p)
				}
				return nil
			})
			until(t, "no more is in use than before", func() error {
				if n := d.files(); n > files {
					return fmt.Errorf("%d files, were %d", n, files)
				}
				if n := d.metric(f.gw, "go_goroutines"); n > goroutines {
					return fmt.Errorf("%v goroutines, were %v", n, goroutines)
				}
				return nil
			})
			if n := d.threads(); n > threads+4 {
				t.Errorf("%d threads, were %d", n, threads)
			}
			// The rings of events and of dropped frames are filled meanwhile.
			if n := d.memory(); n > memory+32<<20 {
				t.Errorf("%d MiB, were %d", n>>20, memory>>20)
			}
			// Ten changes in half a minute are told of, of which two may be begun.
			if n := d.lines("port=p0"); n > 25 {
				t.Errorf("%d lines are logged of the port", n)
			}
			nothingRaw(t, d.err.String())
		})
	}
}

// reach holds that frames pass between the hosts at ports 0 and 1, both ways.
func (f *farm) reach(t *testing.T, d *daemon) {
	t.Helper()
	d.isUp(f.Ports)
	for _, way := range [][2]int{{0, 1}, {1, 0}} {
		got, err := f.hosts.Capture(fmt.Sprintf("h%d", way[1]), netns.Only(func(b []byte) bool { return frame.Frame(b).Src() == station(10+way[0]) }))
		must(t, err)
		until(t, fmt.Sprintf("a frame gets from port %d to port %d", way[0], way[1]), func() error {
			if err := f.hosts.Send(fmt.Sprintf("h%d", way[0]), packet.Numbered(frame.Broadcast, station(10+way[0]), 0)); err != nil {
				return err
			}
			if len(got.Frames()) == 0 {
				return errors.New("none yet")
			}
			return nil
		})
		must(t, got.Close())
	}
}

// noise sends between the hosts at ports 0 and 1, whatever becomes of it, until
// it is stopped.
func (f *farm) noise(t *testing.T) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var senders sync.WaitGroup
	for _, way := range [][2]int{{0, 1}, {1, 0}} {
		frames := numbered(station(way[1]), station(way[0]), 10)
		senders.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(2 * time.Millisecond):
				}
				if err := f.hosts.Send(fmt.Sprintf("h%d", way[0]), frames...); err != nil && !errors.Is(err, unix.ENETDOWN) && !errors.Is(err, unix.ENOBUFS) {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		close(done)
		senders.Wait()
	}
}

// TestUnderlayAddressUnderTraffic takes the VTEP's address away and gives it back
// under traffic, again and again: every frame is sent or counted, the sockets come
// back, no file is left open, and what stays among the ports is not touched.
func TestUnderlayAddressUnderTraffic(t *testing.T) {
	const times = 10
	f := newFarm(t, office)
	d := start(t, f.gw, f.settings())
	d.isUp(f.Ports)
	far := frame.MAC{2, 0, 0, 9, 9, 9} // behind the first VTEP
	inner := packet.VXLAN(f.VNI(0), packet.Numbered(frame.Broadcast, far, 0))
	must(t, f.peer.AddAddr("und0", f.VTEP(0).String()+"/32"))
	underlayIs := func(attached bool) {
		t.Helper()
		until(t, fmt.Sprintf("the underlay is attached: %v", attached), func() error {
			all := rows[api.DatapathRow](d, "datapath")
			if u := all[len(all)-1]; u.Attached != attached {
				return fmt.Errorf("it is not: %s", u.Reason)
			}
			return nil
		})
	}
	arrives := func() {
		t.Helper()
		underlayIs(true)
		before := rows[api.VNIRow](d, "vnis")[0].RxPackets
		until(t, "a packet from the VTEP is read", func() error {
			must(t, f.peer.SendUDP(netip.AddrPortFrom(f.VTEP(0), 4789), netip.AddrPortFrom(gwAddr, 4789), inner))
			if rows[api.VNIRow](d, "vnis")[0].RxPackets == before {
				return errors.New("none yet")
			}
			return nil
		})
	}
	arrives()
	files := d.files()
	end := f.talk(t)
	wire, err := f.peer.Capture("und0", netns.Only(func(b []byte) bool {
		_, ok := packet.Number(b[min(len(b), 50):])
		return ok && isVXLAN(b)
	}))
	must(t, err)
	lost := d.drops("tx_failed", "access")
	stop, sent := make(chan struct{}), make(chan uint64)
	go func() {
		n := uint64(0)
		defer func() { sent <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := f.hosts.Send("h0", packet.Numbered(far, station(0), uint32(n))); err != nil {
				t.Error(err)
				return
			}
			n++
			time.Sleep(time.Millisecond)
		}
	}()
	for range times {
		must(t, f.gw.DelAddr("und0", gwAddr.String()+"/24"))
		underlayIs(false)
		time.Sleep(50 * time.Millisecond)
		must(t, f.gw.AddAddr("und0", gwAddr.String()+"/24"))
		must(t, f.gw.AddRoute(netns.Route{To: "198.18.0.0/16", Via: peerAddr.String()}))
		arrives()
	}
	close(stop)
	n := <-sent
	end()
	until(t, "every frame is sent or counted", func() error {
		got, counted := uint64(len(wire.Frames())), d.drops("tx_failed", "access")-lost
		if got+counted != n || counted == 0 {
			return fmt.Errorf("%d sent, %d arrived, %d counted", n, got, counted)
		}
		return nil
	})
	must(t, wire.Close())
	// Ten changes in half a minute are told of, one by one, and the others counted.
	if n := d.lines(`msg="underlay up"`) + d.lines(`msg="underlay down"`); n < 10 || n > 2*times+1 {
		t.Errorf("%d lines are logged of the underlay", n)
	}
	until(t, "no file is left open", func() error {
		if n := d.files(); n > files {
			return fmt.Errorf("%d, were %d", n, files)
		}
		return nil
	})
	nothingRaw(t, d.err.String())
}

// TestMovesAtRate has a thousand stations be at two ports and behind two VTEPs
// at once, for half a million moves as fast as they can be made. Every frame is
// read or counted, little is said of it, memory does not grow, and a conversation
// beside it loses nothing: where each move is followed, and where the stations are held
// for it.
func TestMovesAtRate(t *testing.T) {
	for name, limit := range map[string]int{"followed": 0, "held": 5} {
		t.Run(name, func(t *testing.T) { movesAtRate(t, limit) })
	}
}

func movesAtRate(t *testing.T, limit int) {
	const stations, rounds, batch = 1000, 60, 2500
	f, guarded := newFarm(t, office), limit > 0
	d := start(t, f.gw, settings{whole: f.Sections(fmt.Sprintf("ageing = \"0s\"\nmove_limit = %d", limit))})
	d.isUp(f.Ports)
	for v := range f.VTEPs {
		must(t, f.peer.AddAddr("und0", f.VTEP(v).String()+"/32"))
	}
	moving := make([][]byte, batch)
	for i := range moving {
		// For a neighbour on the link: learned, and carried nowhere.
		moving[i] = packet.Numbered(frame.MAC{1, 0x80, 0xc2, 0, 0, 0xe}, station(1000+i%stations), uint32(i))
	}
	end := f.talk(t)
	log := strings.Count(d.err.String(), "\n")
	memory, begun := d.memory(), time.Now()
	var senders sync.WaitGroup
	for _, dev := range []string{"h0", "h1"} {
		senders.Go(func() {
			for range rounds {
				if err := f.hosts.Send(dev, moving...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for v := range f.VTEPs {
		senders.Go(func() { f.fromVTEP(t, v, rounds, moving) })
	}
	senders.Wait()
	t.Logf("%.0f frames a second", 4*rounds*batch/time.Since(begun).Seconds())
	end()
	const sent = rounds * batch
	until(t, "every frame is read or counted", func() error {
		p := rows[api.PortRow](d, "ports")
		access := p[0].RxPackets + p[1].RxPackets + d.drops(forward.RxOverflow.String(), "access")
		overlay := rows[api.VNIRow](d, "vnis")[0].RxPackets + d.drops(forward.RxOverflow.String(), "overlay")
		if access != 2*sent || overlay != 2*sent {
			return fmt.Errorf("%d and %d of %d", access, overlay, 2*sent)
		}
		return nil
	})
	var dropped uint64
	for _, from := range []string{"access", "overlay"} {
		dropped += d.drops("reserved_destination", from) + d.drops("rx_overflow", from) + d.drops("duplicate_mac", from)
	}
	if dropped != 4*sent {
		t.Errorf("%d of %d are dropped", dropped, 4*sent)
	}
	at, held := make(map[string]int), 0
	for _, m := range rows[api.MACRow](d, "macs") {
		at[m.MAC]++
		if m.Held {
			held++
		}
	}
	for i := range stations {
		if n := at[station(1000+i).String()]; n != 1 {
			t.Errorf("station %d is known at %d places", i, n)
		}
	}
	if guarded && held < stations*9/10 || !guarded && held > 0 {
		t.Errorf("%d of %d stations are held", held, stations)
	}
	// An overflow, or a limit, is told of once in half a minute; of those that are held
	// some, and how many more there are, once a second.
	most := 4
	if guarded {
		most += 11 * int(time.Since(begun).Seconds()+1)
	}
	if n := strings.Count(d.err.String(), "\n") - log; n > most {
		t.Errorf("%d lines are logged", n)
	}
	if n := d.memory(); n > memory+32<<20 {
		t.Errorf("%d MiB, were %d", n>>20, memory>>20)
	}
	nothingRaw(t, d.err.String())
}

// fromVTEP sends frames in VXLAN from VTEP v, all of them some times over, from
// one socket.
func (f *farm) fromVTEP(t *testing.T, v, times int, frames [][]byte) {
	payloads := make([][]byte, len(frames))
	for i, inner := range frames {
		payloads[i] = append(make([]byte, vxlan.HeaderLen), inner...)
		vxlan.Put(payloads[i], f.VNI(0))
	}
	conn, err := f.peer.ListenPacket("udp", netip.AddrPortFrom(f.VTEP(v), 5000).String())
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(gwAddr, 4789))
	for range times {
		for _, p := range payloads {
			if _, err := conn.WriteTo(p, to); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// TestMadeUpSources floods a port with source addresses that nobody has. The port
// learns what its limit says and no more, each of the rest is counted, and each of
// the others stays known.
func TestMadeUpSources(t *testing.T) {
	const forged, limit = 200_000, 1024
	f := newFarm(t, office)
	d := start(t, f.gw, f.withMetrics())
	d.isUp(f.Ports)
	const others = 100
	for i := range others {
		must(t, f.hosts.Send("h2", packet.Numbered(frame.Broadcast, station(100+i), 0)))
		must(t, f.hosts.Send("h3", packet.Numbered(frame.Broadcast, station(200+i), 0)))
	}
	until(t, "the others are known", func() error {
		if n := len(rows[api.MACRow](d, "macs")); n != 2*others {
			return fmt.Errorf("%d of %d", n, 2*others)
		}
		return nil
	})
	memory := d.memory()
	batch := make([][]byte, 1000)
	for n := 0; n < forged; n += len(batch) {
		for i := range batch {
			m := frame.MAC{2, 9}
			binary.BigEndian.PutUint32(m[2:], uint32(n+i)*2654435761) // each once, in no order
			batch[i] = packet.Numbered(frame.MAC{1, 0x80, 0xc2, 0, 0, 0xe}, m, uint32(i))
		}
		must(t, f.hosts.Send("h0", batch...))
	}
	until(t, "every frame is read or counted", func() error {
		is, lost := rows[api.PortRow](d, "ports")[0].RxPackets, d.drops("rx_overflow", "access")
		if is+lost != forged {
			return fmt.Errorf("%d are read and %d lost of %d", is, lost, forged)
		}
		return nil
	})
	read := float64(rows[api.PortRow](d, "ports")[0].RxPackets)
	if n := d.metric(f.gw, `vxgw_learn_refused_total{reason="port_limit"}`); n != read-limit {
		t.Errorf("%v were refused, want %v", n, read-limit)
	}
	known := make(map[string]string)
	for _, m := range rows[api.MACRow](d, "macs") {
		known[m.MAC] = m.Port
	}
	if len(known) != limit+2*others {
		t.Errorf("%d MACs are known", len(known))
	}
	for i := range others {
		if known[station(100+i).String()] != "p2" || known[station(200+i).String()] != "p3" {
			t.Errorf("station %d is at %q and %q", i, known[station(100+i).String()], known[station(200+i).String()])
		}
	}
	if n := d.memory(); n > memory+16<<20 {
		t.Errorf("%d MiB, were %d", n>>20, memory>>20)
	}
	d.says("a limit keeps MACs from being learned", "limit=port_limit")
}
