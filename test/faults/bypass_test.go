package faults

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/bpf"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

const past = "past the host's IP stack by und0"

// uplink returns how VXLAN is moved.
func (d *daemon) uplink() string {
	d.t.Helper()
	all := rows[api.DatapathRow](d, "datapath")
	return all[len(all)-1].Reason
}

// goesPast waits until VXLAN goes past the host's stack in both directions.
func (d *daemon) goesPast() {
	d.t.Helper()
	until(d.t, "VXLAN goes past the stack", func() error {
		if how := d.uplink(); !strings.Contains(how, past) {
			return errors.New(how)
		}
		return nil
	})
}

// deaf has the gateway's own stack neither send nor receive VXLAN.
func deaf(t *testing.T, b *bed) {
	t.Helper()
	command(t, b.gw, "nft", `add table ip f
		add chain ip f o { type filter hook output priority 0; }
		add chain ip f i { type filter hook input priority 0; }
		add rule ip f o udp dport 4789 drop
		add rule ip f i udp dport 4789 drop`)
}

// TestIPsec holds that nothing goes past the host's IPsec policies: what they would have
// encrypted does not leave in the clear, from within a second on.
func TestIPsec(t *testing.T) {
	b := newBed(t)
	command(t, b.gw, "ip", "xfrm", "policy", "list") // skips where there is no IPsec
	d := start(t, b.gw, settings{})
	b.pings(t)
	d.goesPast()
	// No key for it: what matches is dropped by the stack.
	policy := []string{"src", "192.0.2.1/32", "dst", "192.0.2.2/32", "dir", "out"}
	command(t, b.gw, "ip", append(append([]string{"xfrm", "policy", "add"}, policy...), "tmpl", "proto", "esp", "mode", "transport")...)
	until(t, "VXLAN goes by the stack", func() error {
		if how := d.uplink(); !strings.Contains(how, "because the host has IPsec policies") {
			return errors.New(how)
		}
		return nil
	})
	if n, err := b.ping(56, 3); n > 0 || err != nil {
		t.Errorf("%d of 3 pings came through, %v", n, err)
	}
	command(t, b.gw, "ip", append([]string{"xfrm", "policy", "delete"}, policy...)...)
	d.goesPast()
	b.pings(t)
}

// TestFirewall holds that the host's firewall has no say in what goes past the
// stack, and all of it with bypass = false.
func TestFirewall(t *testing.T) {
	t.Run("bypass", func(t *testing.T) {
		b := newBed(t)
		d := start(t, b.gw, settings{})
		b.pings(t)
		d.goesPast()
		deaf(t, b)
		b.pings(t)
	})
	t.Run("no bypass", func(t *testing.T) {
		b := newBed(t)
		d := start(t, b.gw, settings{underlay: "bypass = false"})
		b.pings(t)
		if how := d.uplink(); strings.Contains(how, "past") {
			t.Errorf("datapath: %s", how)
		}
		for _, direction := range []struct{ hook, port string }{{"output", "dport"}, {"input", "dport"}} {
			sent, read := d.vteps()
			command(t, b.gw, "nft", fmt.Sprintf("add table ip f; add chain ip f c { type filter hook %s priority 0; }; add rule ip f c udp %s 4789 drop", direction.hook, direction.port))
			if n, err := b.ping(56, 5); n > 0 || err != nil {
				t.Errorf("%s: %d of 5 pings came through, %v", direction.hook, n, err)
			}
			tx, rx := d.vteps()
			if direction.hook == "output" && tx != sent || direction.hook == "input" && (tx == sent || rx != read) {
				t.Errorf("%s: %d sent, were %d; %d received, were %d", direction.hook, tx, sent, rx, read)
			}
			command(t, b.gw, "nft", "delete table ip f")
			b.pings(t)
		}
	})
}

// vteps returns what was sent to and received from the peer.
func (d *daemon) vteps() (tx, rx uint64) {
	d.t.Helper()
	v := rows[api.VTEPRow](d, "vteps")[0]
	return v.TxPackets, v.RxPackets
}

// TestNextHopReplaced holds that a next hop that has another address is followed:
// the router was exchanged, and the host was told.
func TestNextHopReplaced(t *testing.T) {
	for _, good := range []bool{false, true} {
		t.Run(fmt.Sprintf("for good %v", good), func(t *testing.T) {
			b := newBed(t)
			d := start(t, b.gw, settings{})
			b.pings(t)
			d.goesPast()
			deaf(t, b)
			for i := range 3 {
				is := netns.Neighbour{MAC: frame.MAC{2, 0, 0, 0, 0x77, byte(i)}, State: unix.NUD_REACHABLE}
				if good {
					is.State = unix.NUD_PERMANENT
				}
				must(t, b.peer.SetMAC("und0", is.MAC))
				must(t, b.gw.SetNeighbour("und0", peerAddr, is))
				b.pings(t)
			}
		})
	}
}

// oneWay is a bed whose gateway alone sends to the next hop, which the host has not
// heard of for a while: the peer sends nothing, and the host may not.
type oneWay struct {
	*bed
	*daemon
	t      *testing.T
	atPeer *netns.Capture
	sent   uint32
}

func newOneWay(t *testing.T) *oneWay {
	t.Helper()
	b := newBed(t)
	for key, value := range map[string]string{
		"base_reachable_time_ms": "1000", "delay_first_probe_time": "0", "retrans_time_ms": "100", "ucast_solicit": "2", "mcast_solicit": "2",
	} {
		must(t, b.gw.Sysctl("ipv4/neigh/und0/"+key, value))
	}
	o := &oneWay{t: t, bed: b, daemon: start(t, b.gw, settings{})}
	o.pings(t)
	o.goesPast()
	deaf(t, b)
	until(t, "the host has not heard of the next hop for a while", func() error { return o.hopIs(unix.NUD_STALE) })
	o.atPeer = b.listen(t, b.peer, "und0")
	return o
}

// hopIs holds that the host has the next hop in one of some states.
func (o *oneWay) hopIs(states int) error {
	n, err := o.gw.Neighbour("und0", peerAddr)
	if err == nil && n.State&states == 0 {
		err = fmt.Errorf("it is in state %#x", n.State)
	}
	return err
}

// send sends one frame more.
func (o *oneWay) send() {
	o.t.Helper()
	must(o.t, o.host.Send("eth0", packet.Numbered(frame.Broadcast, hostMAC, o.sent)))
	o.sent++
}

// TestNextHopIsProbed holds that the host makes sure of a next hop that it does not
// send to itself, while no frame is lost.
func TestNextHopIsProbed(t *testing.T) {
	t.Parallel()
	o := newOneWay(t)
	until(t, "the host asks, and hears of it again", func() error {
		o.send()
		if o.atPeer.Count(isARPRequest) == 0 {
			return errors.New("no request")
		}
		return o.hopIs(unix.NUD_REACHABLE | unix.NUD_STALE)
	})
	until(t, "every frame has come", func() error {
		if n := o.atPeer.Count(isNumbered); n < int(o.sent) {
			return fmt.Errorf("%d of %d", n, o.sent)
		}
		return nil
	})
	if n := o.drops("tx_failed", "access"); n != 0 {
		t.Errorf("%d were lost", n)
	}
}

// TestNextHopDies holds that a next hop that is found dead is left to the host's
// stack, which asks for it, and is used again when it is there again.
func TestNextHopDies(t *testing.T) {
	t.Parallel()
	o := newOneWay(t)
	must(t, o.peer.Sysctl("ipv4/conf/und0/arp_ignore", "8")) // it says nothing any more
	until(t, "the host gives it up", func() error {
		o.send()
		return o.hopIs(unix.NUD_FAILED | unix.NUD_INCOMPLETE)
	})
	// The stack is to send now, and may not.
	before := o.drops("tx_failed", "access")
	until(t, "frames are left to the stack", func() error {
		o.send()
		if n := o.drops("tx_failed", "access"); n < before+3 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	command(t, o.gw, "nft", "delete table ip f")
	until(t, "the stack asks everybody", func() error {
		o.send()
		if o.atPeer.Count(func(f []byte) bool { return isARPRequest(f) && frame.Frame(f).Dst() == frame.Broadcast }) == 0 {
			return errors.New("no request")
		}
		return nil
	})
	must(t, o.peer.Sysctl("ipv4/conf/und0/arp_ignore", "0"))
	o.pings(t)
	deaf(t, o.bed)
	o.pings(t)
}

func (b *bed) listen(t *testing.T, ns *netns.NS, dev string) *netns.Capture {
	t.Helper()
	c, err := ns.Capture(dev)
	must(t, err)
	return c
}

func isARPRequest(f []byte) bool {
	return frame.Frame(f).Type() == frame.TypeARP && len(f) >= 22 && f[21] == packet.ARPRequest
}

// isNumbered reports whether a numbered frame is inside a VXLAN packet over IPv4.
func isNumbered(f []byte) bool {
	const outer = 14 + 20 + 8 + 8
	if len(f) < outer || frame.Frame(f).Type() != frame.TypeIPv4 {
		return false
	}
	_, ok := packet.Number(f[outer:])
	return ok
}

// TestKilledLeavesNothing holds that a gateway that was killed leaves nothing in the
// kernel: the next VXLAN packet is the stack's.
func TestKilledLeavesNothing(t *testing.T) {
	bpf.Require(t)
	b := newBed(t)
	before := leftovers(t, b.gw)
	d := start(t, b.gw, settings{})
	b.pings(t)
	d.goesPast()
	if is := leftovers(t, b.gw); is.programs == 0 || is.sockets == before.sockets || is.promiscuous == 0 {
		t.Errorf("%+v while it runs: this test shows nothing", is)
	}
	must(t, d.cmd.Process.Kill())
	<-d.done
	until(t, "all is as it was", func() error {
		if is := leftovers(t, b.gw); is != before {
			return fmt.Errorf("%+v, was %+v", is, before)
		}
		return nil
	})
	c, err := b.gw.ListenPacket("udp", netip.AddrPortFrom(gwAddr, 4789).String())
	must(t, err)
	defer c.Close()
	must(t, b.peer.SendUDP(netip.AddrPortFrom(peerAddr, 50000), netip.AddrPortFrom(gwAddr, 4789), packet.VXLAN(vni, packet.Numbered(frame.Broadcast, hostMAC, 1))))
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	if _, _, err := c.ReadFrom(make([]byte, 2000)); err != nil {
		t.Errorf("the stack hears nothing: %v", err)
	}
}

// remains is what a gateway may leave in a namespace.
type remains struct {
	programs    int // at TCX
	sockets     int // packet, AF_XDP, UDP and raw IP sockets
	promiscuous int // how often devices were asked to be
	devices     int
}

func leftovers(t *testing.T, ns *netns.NS) (r remains) {
	t.Helper()
	must(t, ns.Do(func() error {
		for _, table := range []string{"packet", "udp", "udp6", "raw", "raw6"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + table)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			r.sockets += strings.Count(string(b), "\n") - 1
		}
		devs, err := net.Interfaces()
		for _, dev := range devs {
			n, aerr := bpf.Attached(dev.Index)
			err = errors.Join(err, aerr)
			r.programs += n
		}
		r.devices = len(devs)
		return err
	}))
	n, err := ns.Promiscuity()
	must(t, err)
	r.promiscuous = n
	return r
}

// TestByAnotherInterface holds that packets for the VTEP are heard that come in by
// another interface than the one that holds its address.
func TestByAnotherInterface(t *testing.T) {
	b := newBed(t)
	must(t, netns.Veth(b.gw, "und1", b.peer, "und1", netns.VethOptions{MTU: 1600}))
	d := start(t, b.gw, settings{})
	b.pings(t)
	d.goesPast()
	mac, err := b.gw.MAC("und1")
	must(t, err)
	mac0, err := b.gw.MAC("und0")
	must(t, err)
	_, before := d.vteps()
	atHost := b.listen(t, b.host, "eth0")
	const frames = 20
	for i := range uint32(frames) {
		p := packet.UDP(mac, frame.MAC{2, 0, 0, 0, 0x77, 1}, netip.AddrPortFrom(peerAddr, 50000), netip.AddrPortFrom(gwAddr, 4789),
			packet.VXLAN(vni, packet.Numbered(hostMAC, frame.MAC{2, 0, 0, 0, 9, 9}, i)))
		must(t, b.peer.Send("und1", p))
		copy(p, mac0[:])
		must(t, b.peer.Send("und0", p))
	}
	isOne := func(f []byte) bool { _, ok := packet.Number(f); return ok }
	until(t, "all have come", func() error {
		if n := atHost.Count(isOne); n < 2*frames {
			return fmt.Errorf("%d of %d", n, 2*frames)
		}
		return nil
	})
	b.pings(t)
	if n := atHost.Count(isOne); n != 2*frames {
		t.Errorf("%d frames, want %d", n, 2*frames)
	}
	if _, rx := d.vteps(); rx < before+2*frames {
		t.Errorf("%d packets are counted", rx-before)
	}
}

// TestWithoutBPF holds that the gateway works by sockets alone, and says so.
func TestWithoutBPF(t *testing.T) {
	if off, err := os.ReadFile("/proc/sys/kernel/unprivileged_bpf_disabled"); err != nil || strings.TrimSpace(string(off)) == "0" {
		t.Skipf("needs a kernel that lets only the privileged load programs: kernel.unprivileged_bpf_disabled is %q, %v", off, err)
	}
	b := newBed(t)
	d := prepare(t, b.gw, settings{})
	unprivileged(t, d, unix.CAP_NET_RAW, unix.CAP_NET_ADMIN)
	d.start().begun()
	b.pings(t)
	until(t, "it is shown", func() error {
		all := rows[api.DatapathRow](d, "datapath")
		port, up := all[0].Reason, all[len(all)-1].Reason
		if !contains(port, "frames are read by system calls", "operation not permitted") || !contains(up, past, "received by the host's IP stack", "operation not permitted") {
			return fmt.Errorf("port: %s\nuplink: %s", port, up)
		}
		return nil
	})
	d.says("level=WARN", "frames are read by system calls")
	d.says("level=WARN", "received by the host's IP stack")
	d.stop(unix.SIGTERM)

	// With it all is well.
	d = prepare(t, b.gw, settings{})
	unprivileged(t, d, unix.CAP_NET_RAW, unix.CAP_NET_ADMIN, unix.CAP_BPF)
	d.start().begun()
	b.pings(t)
	d.goesPast()
	for _, row := range rows[api.DatapathRow](d, "datapath") {
		if strings.Contains(row.Reason, "slower") {
			t.Errorf("%s: %s", row.Interface, row.Reason)
		}
	}
	deaf(t, b)
	b.pings(t)
}
