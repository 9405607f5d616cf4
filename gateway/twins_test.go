package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/config"
	"vxgw/gateway/counters"
	"vxgw/gateway/forward"
	"vxgw/gateway/tables"
	"vxgw/gateway/xdp"
	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
	"vxgw/l2/port"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/l3/underlay/udp"
	"vxgw/test/bpf"
	"vxgw/test/netns"
)

// way is how the kernel comes to decide about a frame.
type way string

// The ways.
const (
	byXDP       way = "XDP"
	byXDPPieces way = "XDP, frames in pieces"
	byTCX       way = "TCX"
	byTCXAlone  way = "TCX, without sockets" // as while there is no gateway
)

// atTCX reports whether frames have a socket buffer.
func (by way) atTCX() bool { return by == byTCX || by == byTCXAlone }

// runner is the programs of a way for a role.
type runner interface {
	Run(frame []byte, ifindex int) (bpf.Action, []byte, error)
}

// twins is a gateway in memory twice: its workers, which are driven by hand, and the
// programs of its fast path, which are at no interface. What one of them does with a
// frame is held against what the other does. The programs' interfaces are those of a
// namespace that carries nothing.
type twins struct {
	*Gateway
	tb testing.TB // of which it is
	t  failer     // of which the frame at hand is

	inside   *inside
	programs [2]runner // by xdp.Role
	links    []int     // by PortID
	under    int       // index of the underlay's interface
	underMAC frame.MAC
	view     *xdp.View

	access  []*accessWorker // by PortID
	overlay *overlayWorker
	wire    *twinLink
	reader  underlay.Reader
	left    []leaving // what left by ports
	now     uint32

	learns bool // the workers see what the programs hand up
}

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Errorf(string, ...any)
	Fatalf(string, ...any)
}

// leaving is a frame that went to a port or, as it stands on the wire, to a VTEP.
type leaving struct {
	port  forward.PortID // NoPortID: to the underlay
	bytes []byte
}

// clockStart is the gateway's time in these tests.
const clockStart = 1000

// inside runs functions on one CPU and on a thread of a network namespace.
type inside struct {
	calls chan func()
	ended chan error
}

func newInside(t testing.TB, ns *netns.NS) *inside {
	in := &inside{make(chan func()), make(chan error, 1)}
	go func() {
		in.ended <- ns.Do(func() error {
			var had, one unix.CPUSet
			if err := unix.SchedGetaffinity(0, &had); err != nil {
				return err
			}
			for cpu := 0; one.Count() == 0; cpu++ {
				if had.IsSet(cpu) {
					one.Set(cpu)
				}
			}
			err := unix.SchedSetaffinity(0, &one)
			for f := range in.calls {
				f()
			}
			return errors.Join(err, unix.SchedSetaffinity(0, &had))
		})
	}()
	t.Cleanup(func() {
		close(in.calls)
		must(t, <-in.ended)
	})
	return in
}

func (in *inside) do(f func() error) error {
	done := make(chan error, 1)
	in.calls <- func() { done <- f() }
	return <-done
}

// twinPort is a port that keeps what is sent by it.
type twinPort struct {
	port.Port
	w  *twins
	id forward.PortID
}

func (p twinPort) CarriesOffload() bool { return false }
func (p twinPort) Lacks() error         { return nil }

func (p twinPort) WriteBatch(out []frame.Out) error {
	for i := range out {
		p.w.left = append(p.w.left, leaving{p.id, bytes.Clone(out[i].Bytes)})
		out[i].Status = frame.Sent
	}
	return nil
}

// twinLink is the underlay's interface: what a test puts in comes in by it, and what is
// sent is kept.
type twinLink struct {
	w  *twins
	in [][]byte
}

func (l *twinLink) Queues() []udp.FrameReader  { return []udp.FrameReader{l} }
func (l *twinLink) Wake()                      {}
func (l *twinLink) Overflows() (uint64, error) { return 0, nil }
func (l *twinLink) CarriesOffload() bool       { return false }
func (l *twinLink) Close() error               { return nil }

func (l *twinLink) SendWhole(int, []byte, []byte, []byte, frame.Offload) unix.Errno {
	return unix.EOPNOTSUPP
}

func (l *twinLink) ReadBatch(bufs []frame.Buffer) (int, error) {
	if len(l.in) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	b := &bufs[0]
	*b = frame.Buffer{Mem: b.Mem, Off: frame.Headroom, Len: copy(b.Mem[frame.Headroom:], l.in[0])}
	l.in = l.in[1:]
	return 1, nil
}

func (l *twinLink) Send(msgs []mmsg.Msg) (int, unix.Errno) {
	for i := range msgs {
		var b []byte
		h := &msgs[i].Hdr
		for _, v := range unsafe.Slice(h.Iov, h.Iovlen) {
			b = append(b, unsafe.Slice(v.Base, v.Len)...)
		}
		l.w.left = append(l.w.left, leaving{forward.NoPortID, b})
	}
	return len(msgs), 0
}

// newTwins makes twins of a configuration, all ports up with an MTU of 1500 bytes and
// paths to VTEPs that carry frames of maxFrame bytes.
func newTwins(t testing.TB, by way, text string, maxFrame int) *twins {
	t.Helper()
	netns.Require(t)
	bpf.Require(t)
	cfg, err := config.Parse("test.toml", []byte(text))
	must(t, err)
	w := &twins{tb: t, t: t, now: clockStart}
	w.makeLinks(cfg)
	w.Gateway, err = New(cfg, Edges{Host: noHost{}, OpenFast: xdp.NewPlane, Clock: func() uint32 { return w.now }}, slog.New(slog.DiscardHandler))
	must(t, err)
	if !w.fast.is() {
		t.Fatalf("no fast path: %s", w.fast.why)
	}
	t.Cleanup(func() { w.fast.close() })
	if by == byXDPPieces && !w.fast.plane.TakesPieces() {
		t.Skip("needs Linux 5.18, which has frames in several pieces")
	}
	for r := range w.programs {
		switch by {
		case byTCX, byTCXAlone:
			w.programs[r] = bpf.LoadTCX(t, w.fast.plane, xdp.Role(r), by == byTCXAlone)
		default:
			w.programs[r] = bpf.LoadXDP(t, w.fast.plane, xdp.Role(r), by == byXDPPieces)
		}
	}
	w.openUplink(cfg)
	for i, p := range w.ports {
		dev := twinPort{w: w, id: p.id}
		w.setPort(p.id, tables.PortState{Dev: dev, Up: true, MTU: 1500, Index: w.links[i]})
		w.access = append(w.access, newAccessWorker(w.Gateway, p.id, 0, dev, dev, &p.bpduSeen))
	}
	for v := range w.tables.Snapshot().VTEPs {
		w.setPath(forward.VTEPID(v), maxFrame)
	}
	w.publish()
	return w
}

// makeLinks makes as many interfaces as there are ports, and one more, of pairs.
func (w *twins) makeLinks(cfg *config.Config) {
	ns, err := netns.New("")
	must(w.tb, err)
	w.tb.Cleanup(func() { must(w.tb, ns.Close()) })
	names := []string{"und0", "dry0"}
	must(w.tb, netns.Veth(ns, "und0", ns, "dry0", netns.VethOptions{Down: true}))
	for i := 0; i < len(cfg.Ports); i += 2 {
		a, b := fmt.Sprintf("p%d", i), fmt.Sprintf("p%d", i+1)
		must(w.tb, netns.Veth(ns, a, ns, b, netns.VethOptions{Down: true}))
		names = append(names, a, b)
	}
	must(w.tb, ns.AddAddr("lo", netip.PrefixFrom(cfg.Underlay.Address, cfg.Underlay.Address.BitLen()).String()))
	index, err := ns.Indexes(names...)
	must(w.tb, err)
	w.under, w.links = index[0], index[2:]
	w.underMAC, err = ns.MAC("und0")
	must(w.tb, err)
	w.inside = newInside(w.tb, ns)
}

// openUplink opens the real underlay, which sends and receives by a twinLink.
func (w *twins) openUplink(cfg *config.Config) {
	u := &cfg.Underlay
	w.wire = &twinLink{w: w}
	must(w.tb, w.inside.do(func() error {
		dev, err := udp.Open(udp.Config{
			Address: u.Address, Port: u.Port, TTL: u.TTL, DF: u.DF, Checksum: u.Checksum, ZeroChecksum6: u.ZeroChecksum6,
			OpenLink: func(int) (udp.Link, error) { return w.wire, nil },
		})
		if err != nil {
			return err
		}
		w.tb.Cleanup(func() { must(w.tb, dev.Close()) })
		readers, err := dev.UseLinks([]int{w.under})
		if err != nil {
			return err
		}
		w.reader = readers[0]
		w.tables.SetUplinks(dev.Queues())
		return nil
	}))
	w.overlay = newOverlayWorker(w.Gateway, 0, w.reader)
}

// nextHop is where packets to VTEPs go, and otherHop where those of some flows do where
// there are two.
var (
	nextHop  = frame.MAC{2, 0, 0, 0, 0xf0, 2}
	otherHop = frame.MAC{2, 0, 0, 0, 0xf0, 3}
)

// setHops has packets to a VTEP go by two next hops on the underlay's interface.
func (w *twins) setHops(v forward.VTEPID, maxFrame int) {
	via := &underlay.Hop{Interface: w.under, From: w.underMAC, To: nextHop}
	other := &underlay.Hop{Interface: w.under, From: w.underMAC, To: otherHop}
	w.tables.SetPaths(map[forward.VTEPID]tables.Path{v: {MaxFrame: maxFrame, Via: via, More: []*underlay.Hop{via, other}}})
}

func (w *twins) setPath(v forward.VTEPID, maxFrame int) {
	via := &underlay.Hop{Interface: w.under, From: w.underMAC, To: nextHop}
	w.tables.SetPaths(map[forward.VTEPID]tables.Path{v: {MaxFrame: maxFrame, Via: via}})
}

func (w *twins) setPort(id forward.PortID, is tables.PortState) {
	w.tables.SetPorts([]tables.PortChange{{ID: id, State: is}})
}

// port returns the number of a port.
func (w *twins) port(name string) forward.PortID {
	id, ok := w.tables.Port(name)
	if !ok {
		w.t.Fatalf("there is no port %s", name)
	}
	return id
}

// publish gives the programs what the gateway knows.
func (w *twins) publish() {
	w.tb.Helper()
	all := func(index int) reach { return reach{index: index, up: true, target: true, frags: true, veth: true} }
	w.view = fastView(w.tables.Snapshot(), all)
	for i, index := range w.links[:len(w.access)] {
		w.view.Links = append(w.view.Links, xdp.Link{Index: index, Access: true, Port: uint16(i)})
	}
	w.view.Links = append(w.view.Links, xdp.Link{Index: w.under, MAC: w.underMAC})
	w.fast.plane.Reroute()
	must(w.tb, w.inside.do(func() error { return w.fast.plane.Publish(w.view) }))
}

// fromPort has a frame come in by a port, and returns what the programs did.
func (w *twins) fromPort(id forward.PortID, f []byte) string {
	w.t.Helper()
	return w.both(xdp.Access, w.links[id], f, func() { w.workPort(id, f) })
}

// fromUnderlay has a packet come in, and returns what the programs did.
func (w *twins) fromUnderlay(p []byte) string {
	w.t.Helper()
	return w.both(xdp.FacesUnderlay, w.under, p, func() { w.workUnderlay(p) })
}

func (w *twins) workPort(id forward.PortID, f []byte) {
	worker := w.access[id]
	b := &worker.bufs[0]
	*b = frame.Buffer{Mem: b.Mem, Off: frame.Headroom, Len: copy(b.Mem[frame.Headroom:], f)}
	worker.batch(worker.bufs[:1])
}

// workUnderlay has the overlay worker see a packet that the filters of its sockets let
// pass, without the tag that the kernel takes off.
func (w *twins) workUnderlay(p []byte) {
	p, ok := w.untagged(p)
	if !ok || !w.isForUs(p) {
		return
	}
	w.wire.in = [][]byte{p}
	n, err := w.reader.ReadBatch(w.overlay.pkts)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Fatalf("%v", err)
	}
	if n > 0 {
		w.overlay.batch(w.overlay.pkts[:n])
	}
}

// untagged returns a packet as the underlay's sub-interface gets it, where there is one.
func (w *twins) untagged(p []byte) ([]byte, bool) {
	vlan := w.config().Underlay.VLAN
	if vlan == 0 {
		return p, true
	}
	if len(p) < 18 || binary.BigEndian.Uint16(p[12:]) != frame.TypeVLAN || binary.BigEndian.Uint16(p[14:])&0xfff != vlan {
		return nil, false
	}
	return slices.Concat(p[:12], p[16:]), true
}

// isForUs reports whether a packet is VXLAN for this VTEP, whole and without options.
func (w *twins) isForUs(p []byte) bool {
	u := &w.config().Underlay
	if len(p) < frame.HeaderLen || frame.Frame(p).Dst() != w.underMAC {
		return false
	}
	typ, p := frame.Frame(p).Type(), p[frame.HeaderLen:]
	if u.Address.Is4() {
		return typ == frame.TypeIPv4 && len(p) >= 28 && p[0] == 0x45 && p[9] == ip.ProtoUDP && binary.BigEndian.Uint16(p[6:])&0x3fff == 0 &&
			netip.AddrFrom4([4]byte(p[16:])) == u.Address && binary.BigEndian.Uint16(p[22:]) == u.Port
	}
	return typ == frame.TypeIPv6 && len(p) >= 48 && p[6] == ip.ProtoUDP && netip.AddrFrom16([16]byte(p[24:])) == u.Address && binary.BigEndian.Uint16(p[42:]) == u.Port
}

// both has the programs see a frame, and then, if they did something with it, the
// workers. What the programs hand up must be unchanged and uncounted.
func (w *twins) both(r xdp.Role, ifindex int, f []byte, work func()) string {
	w.t.Helper()
	before := w.count()
	action, out := w.decide(r, ifindex, f, before)
	fast := w.count().minus(before)
	if action == bpf.Up {
		if w.learns {
			work()
		}
		return "up"
	}
	w.left = w.left[:0]
	before = w.count()
	work()
	slow := w.count().minus(before)
	if !reflect.DeepEqual(fast, slow) {
		w.t.Errorf("counted by the programs\n%v\nand by the workers\n%v\nof %x", fast, slow, f)
	}
	switch {
	case action == bpf.Dropped && len(w.left) > 0:
		w.t.Errorf("the programs drop what the workers send: %x", f)
	case action == bpf.Sent && len(w.left) != 1:
		w.t.Errorf("the programs send what the workers send %d copies of: %x", len(w.left), f)
	case action == bpf.Sent:
		if want := w.onWire(w.left[0]); !bytes.Equal(anyID(out), anyID(want)) {
			w.t.Errorf("sent by the programs\n%x\nand by the workers\n%x", out, want)
		}
	}
	return w.deed(fast)
}

// decide has the programs decide. Of drops they hand up one a tick for each reason, so
// they are asked again.
func (w *twins) decide(r xdp.Role, ifindex int, f []byte, before *counts) (action bpf.Action, out []byte) {
	w.t.Helper()
	const asked = 3
	for range asked {
		given := bytes.Clone(f)
		err := w.inside.do(func() (err error) {
			action, out, err = w.programs[r].Run(given, ifindex)
			return err
		})
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		if action != bpf.Up {
			return action, out
		}
		if !bytes.Equal(out, f) {
			w.t.Errorf("handed up\n%x\nas\n%x", f, out)
		}
		if c := w.count().minus(before).String(); c != "" {
			w.t.Errorf("handed up, and counted: %s\n%x", c, f)
		}
	}
	return action, out
}

// onWire returns a frame as the device gets it that the programs send to.
func (w *twins) onWire(l leaving) []byte {
	vlan := w.config().Underlay.VLAN
	if l.port != forward.NoPortID || vlan == 0 {
		return l.bytes
	}
	return slices.Concat(l.bytes[:12], []byte{0x81, 0, byte(vlan >> 8), byte(vlan)}, l.bytes[12:])
}

// anyID returns a VXLAN packet that may be fragmented with an IPv4 ID of zero, if its
// checksum is right: IDs are nobody's in particular. Others it returns as they are.
func anyID(p []byte) []byte {
	at := frame.HeaderLen
	if len(p) > 16 && frame.Frame(p).Type() == frame.TypeVLAN {
		at += frame.TagLen
	}
	if len(p) < at+ip.IPv4HeaderLen || binary.BigEndian.Uint16(p[at-2:]) != frame.TypeIPv4 || frame.Frame(p).Dst() != nextHop {
		return p
	}
	h := ip.IPv4(p[at : at+ip.IPv4HeaderLen])
	if h.DontFragment() || !h.ChecksumOK() {
		return p
	}
	p = bytes.Clone(p)
	h = ip.IPv4(p[at : at+ip.IPv4HeaderLen])
	h.SetID(0)
	h.SetChecksum(0)
	return p
}

// traffic is what is counted of a port, a VTEP, a domain or a VRF.
type traffic struct {
	RxPackets, RxBytes, TxPackets, TxBytes, Suppressed uint64
	Heard                                              bool
}

// counts is everything that is counted.
type counts struct {
	Verdicts                    [forward.NumDirections][forward.NumKinds]uint64
	Dropped, Lost               [forward.NumDirections][forward.NumReasons]uint64
	Answered                    [forward.NumDirections]uint64
	Refused                     [numRefusals]uint64
	Released, Own               uint64
	Ports, VTEPs, Domains, VRFs []traffic
}

// count returns what was counted by workers and programs, and has nobody heard.
func (w *twins) count() *counts {
	w.fast.collect()
	c, l, s := &counts{Released: w.ledger.released.Load(), Own: w.ledger.own.Load()}, &w.ledger, w.tables.Snapshot()
	for d := range forward.NumDirections {
		for k := range forward.NumKinds {
			c.Verdicts[d][k] = l.verdicts[d][k].Load()
		}
		for r := range forward.NumReasons {
			c.Dropped[d][r], c.Lost[d][r] = l.dropped[d][r].Load(), l.lost[d][r].Load()
		}
		c.Answered[d] = l.answered[d].Load()
	}
	for r := range numRefusals {
		c.Refused[r] = l.refused[r].Load()
	}
	for i := range s.Ports {
		c.Ports = append(c.Ports, readTraffic(s.Ports[i].Traffic))
	}
	for i := range s.VTEPs {
		c.VTEPs = append(c.VTEPs, readTraffic(s.VTEPs[i].Traffic))
	}
	for i := range s.Domains {
		c.Domains = append(c.Domains, readTraffic(s.Domains[i].Traffic))
	}
	for i := range s.VRFs {
		c.VRFs = append(c.VRFs, readTraffic(s.VRFs[i].Traffic))
	}
	return c
}

func readTraffic(t *counters.Traffic) traffic {
	return traffic{
		t.RxPackets.Load(), t.RxBytes.Load(), t.TxPackets.Load(), t.TxBytes.Load(), t.Suppressed.Load(),
		t.LastSeen.Swap(0) != 0,
	}
}

// minus returns what was counted since before.
func (c *counts) minus(before *counts) *counts {
	is := *c
	for d := range is.Verdicts {
		for k := range is.Verdicts[d] {
			is.Verdicts[d][k] -= before.Verdicts[d][k]
		}
		for r := range is.Dropped[d] {
			is.Dropped[d][r] -= before.Dropped[d][r]
			is.Lost[d][r] -= before.Lost[d][r]
		}
		is.Answered[d] -= before.Answered[d]
	}
	for r := range is.Refused {
		is.Refused[r] -= before.Refused[r]
	}
	is.Released, is.Own = is.Released-before.Released, is.Own-before.Own
	is.Ports, is.VTEPs = less(is.Ports, before.Ports), less(is.VTEPs, before.VTEPs)
	is.Domains, is.VRFs = less(is.Domains, before.Domains), less(is.VRFs, before.VRFs)
	return &is
}

func less(is, was []traffic) []traffic {
	d := slices.Clone(is)
	for i := range min(len(is), len(was)) {
		t, u := &d[i], &was[i]
		t.RxPackets, t.RxBytes = t.RxPackets-u.RxPackets, t.RxBytes-u.RxBytes
		t.TxPackets, t.TxBytes = t.TxPackets-u.TxPackets, t.TxBytes-u.TxBytes
		t.Suppressed -= u.Suppressed
	}
	return d
}

// String says what is not zero.
func (c *counts) String() string {
	var b strings.Builder
	say := func(n uint64, format string, args ...any) {
		if n > 0 {
			fmt.Fprintf(&b, "%s: %d; ", fmt.Sprintf(format, args...), n)
		}
	}
	for d := range forward.NumDirections {
		for k := range forward.NumKinds {
			say(c.Verdicts[d][k], "%s %s", d, k)
		}
		for r := range forward.NumReasons {
			say(c.Dropped[d][r], "%s dropped for %s", d, r)
			say(c.Lost[d][r], "%s lost for %s", d, r)
		}
		say(c.Answered[d], "%s answered", d)
	}
	for r := range numRefusals {
		say(c.Refused[r], "refused for %s", r)
	}
	say(c.Released, "released")
	say(c.Own, "own")
	for what, all := range map[string][]traffic{"port": c.Ports, "VTEP": c.VTEPs, "domain": c.Domains, "VRF": c.VRFs} {
		for i, t := range all {
			if t != (traffic{}) {
				fmt.Fprintf(&b, "%s %d: %+v; ", what, i, t)
			}
		}
	}
	return b.String()
}

// deed says in words what was done with one frame: "drop REASON" or "to PORT-OR-VTEP",
// with "routed " in front where it was.
func (w *twins) deed(c *counts) string {
	routed := ""
	s := w.tables.Snapshot()
	for d := range forward.NumDirections {
		for r, n := range c.Dropped[d] {
			if n > 0 {
				return "drop " + forward.Reason(r).String()
			}
		}
		if c.Verdicts[d][forward.ToRouter] > 0 {
			routed = "routed "
		}
	}
	for i, t := range c.Ports {
		if t.TxPackets > 0 {
			return routed + "to " + s.Ports[i].Name
		}
	}
	for i, t := range c.VTEPs {
		if t.TxPackets > 0 {
			return routed + "to " + s.VTEPs[i].Addr.String()
		}
	}
	return "nothing"
}
