package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// room of the slots in these tests, in bytes.
const room = 1910

var (
	vtep4 = netip.MustParseAddrPort("192.0.2.17:4789")
	peer4 = netip.MustParseAddrPort("192.0.2.34:49152")
	vtep6 = netip.MustParseAddrPort("[2001:db8:fedc:ba98::17]:4789")
	peer6 = netip.MustParseAddrPort("[2001:db8:fedc:ba98::34]:49152")
	peers = map[netip.AddrPort]netip.AddrPort{vtep4: peer4, vtep6: peer6}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// needBPF skips the test where programs may not be loaded.
func needBPF(t testing.TB) {
	t.Helper()
	s, err := NewSplit(room)
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("needs to load programs into the kernel, as root with CAP_BPF: %v", err)
	}
	must(t, err)
	must(t, s.Close())
}

// programs are those of a Split, and of a Diversion where divert is not nil.
type programs struct {
	t          testing.TB
	ring, rest *ebpf.Program
	divert     *ebpf.Program
}

// taken is what became of a frame.
type taken struct{ ring, rest, stack bool }

var (
	byRing  = taken{ring: true}
	byRest  = taken{rest: true}
	byStack = taken{stack: true}
)

// diverting loads the programs for a VTEP. They run on one processor, as they do
// for one packet.
func diverting(t testing.TB, vtep netip.AddrPort) *programs {
	t.Helper()
	needBPF(t)
	pin(t)
	d, prog, err := newDiversion(vtep, room)
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(d.Split.Close(), prog.Close())) })
	return &programs{t, d.Split.Ring, d.Split.Rest, prog}
}

func splitting(t testing.TB) *programs {
	t.Helper()
	needBPF(t)
	s, err := NewSplit(room)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return &programs{t, s.Ring, s.Rest, nil}
}

func pin(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	var had, one unix.CPUSet
	must(t, unix.SchedGetaffinity(0, &had))
	for cpu := 0; one.Count() == 0; cpu++ {
		if had.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	must(t, unix.SchedSetaffinity(0, &one))
	t.Cleanup(func() {
		must(t, unix.SchedSetaffinity(0, &had))
		runtime.UnlockOSThread()
	})
}

// context is struct __sk_buff up to gso_size, of which a test may set that.
type context struct {
	_       [skbGSOSize]byte
	GSOSize uint32
	_       uint32
	_       uint64 // hwtstamp
}

// ours says that a frame is for this station: the kernel compares its destination
// with the address of lo, which is zero.
func ours(f []byte) []byte {
	clear(f[:6])
	return f
}

// run hands a frame to a program. A socket filter is run with what the kernel takes
// for the Ethernet header already gone, and so gets one more in front: with the
// same addresses, and an EtherType that the kernel has no wishes for.
func (p *programs) run(prog *ebpf.Program, f []byte, gso int) uint32 {
	p.t.Helper()
	in := f
	if prog.Type() == ebpf.SocketFilter {
		in = slices.Concat(f[:12], []byte{0xff, 0xff}, f)
	}
	ret, err := prog.Run(&ebpf.RunOptions{Data: in, Context: context{GSOSize: uint32(gso)}})
	if err != nil {
		p.t.Fatalf("run on % x, gso %d: %v", in, gso, err)
	}
	return ret
}

// runs reports whether the kernel runs a program at TCX on a frame for a test: it
// wants an IP header to be whole.
func runs(f []byte) bool {
	switch frame.Frame(f).Type() {
	case frame.TypeIPv4:
		return len(f) >= 14+20
	case frame.TypeIPv6:
		return len(f) >= 14+40
	}
	return len(f) > 14
}

// meets says what becomes of a frame that all programs see, in the order in which
// the kernel has them see it.
func (p *programs) meets(f []byte, gso int) (is taken) {
	p.t.Helper()
	keeps := func(prog *ebpf.Program) bool {
		switch n := p.run(prog, f, gso); n {
		case 0:
			return false
		case keepAll:
			return true
		default:
			p.t.Fatalf("a filter keeps %d bytes", n)
			return false
		}
	}
	is.rest = keeps(p.rest) // the socket that came last is first
	is.ring = keeps(p.ring)
	if p.divert == nil {
		return is
	}
	if !runs(f) {
		is.stack = !is.ring && !is.rest
		return is
	}
	switch n := int32(p.run(p.divert, f, gso)); n {
	case tcxDrop:
	case tcxNext:
		is.stack = true
	default:
		p.t.Fatalf("TCX is told %d", n)
	}
	return is
}

// vxlan returns a VXLAN packet for a VTEP, n bytes long.
func vxlan(vtep netip.AddrPort, n int) []byte {
	headers := 14 + 20 + 8
	if vtep.Addr().Is6() {
		headers = 14 + 40 + 8
	}
	return ours(packet.UDP(frame.MAC{}, frame.MAC{2, 0, 0, 0, 0, 1}, peers[vtep], vtep, make([]byte, n-headers)))
}

func TestSplit(t *testing.T) {
	p := splitting(t)
	for _, c := range []struct {
		name  string
		frame []byte
		gso   int
		want  taken
	}{
		{"short", make([]byte, 14), 0, byRing},
		{"room for one more", make([]byte, room-1), 0, byRing},
		{"fits exactly", make([]byte, room), 0, byRing},
		{"one too long", make([]byte, room+1), 0, byRest},
		{"long", make([]byte, 3500), 0, byRest},
		{"super-frame", vxlan(vtep4, 3000), 1000, byRest},
		{"super-frame that would fit", vxlan(vtep4, 500), 100, byRest},
		{"for another station", slices.Concat([]byte{2}, make([]byte, 99)), 0, byRing},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.t = t
			if got := p.meets(c.frame, c.gso); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// with returns f with bytes from at on replaced.
func with(f []byte, at int, b ...byte) []byte {
	f = slices.Clone(f)
	copy(f[at:], b)
	return f
}

// insert returns f with bytes put in at at.
func insert(f []byte, at int, b ...byte) []byte { return slices.Insert(slices.Clone(f), at, b...) }

func TestDiversion(t *testing.T) {
	const l3 = 14
	p4, p6 := vxlan(vtep4, 200), vxlan(vtep6, 200)
	other := func(f []byte) []byte { return with(f, 0, 2, 0, 0, 0, 0, 9) }
	cases := map[netip.AddrPort][]struct {
		name  string
		frame []byte
		gso   int
		want  taken
	}{
		vtep4: {
			{"for us", p4, 0, byRing},
			{"without payload", vxlan(vtep4, 42), 0, byRing},
			{"fits a slot", vxlan(vtep4, room), 0, byRing},
			{"does not fit a slot", vxlan(vtep4, room+1), 0, byRest},
			{"super-frame", vxlan(vtep4, 3500), 1400, byRest},
			{"short super-frame", vxlan(vtep4, 300), 100, byRest},
			{"DF clear", with(p4, l3+6, 0), 0, byRing},
			{"the evil bit", with(p4, l3+6, 0x80), 0, byRing}, // RFC 3514; the stack takes it too
			{"any source port, TOS, TTL", with(with(p4, l3+20, 0, 1), l3+1, 0xff), 0, byRing},
			{"wrong checksums", with(with(p4, l3+10, 1, 2), l3+26, 3, 4), 0, byRing},
			{"lying lengths", with(with(p4, l3+2, 0xff, 0xff), l3+24, 0, 0), 0, byRing},

			{"for another station", other(p4), 0, byStack},
			{"broadcast", with(p4, 0, 255, 255, 255, 255, 255, 255), 0, byStack},
			{"multicast", with(p4, 0, 1, 0, 0x5e, 1, 1, 1), 0, byStack},
			{"another address", with(p4, l3+19, 18), 0, byStack},
			{"an address that differs at the front", with(p4, l3+16, 64), 0, byStack},
			{"another port", with(p4, l3+23, 0xb6), 0, byStack},
			{"another port, in its upper half", with(p4, l3+22, 0x13), 0, byStack},
			{"the port at the source", with(with(p4, l3+20, 0x12, 0xb5), l3+22, 0, 1), 0, byStack},
			{"TCP", with(p4, l3+9, 6), 0, byStack},
			{"UDP-Lite", with(p4, l3+9, 136), 0, byStack},
			{"first fragment", with(p4, l3+6, 0x20, 0), 0, byStack},
			{"first fragment with DF", with(p4, l3+6, 0x60, 0), 0, byStack},
			{"middle fragment", with(p4, l3+6, 0x20, 1), 0, byStack},
			{"last fragment", with(p4, l3+6, 0, 1), 0, byStack},
			{"last fragment, far on", with(p4, l3+6, 0x1f, 0xff), 0, byStack},
			{"options", insert(with(p4, l3, 0x46), l3+20, 1, 1, 1, 0), 0, byStack},
			{"a header that is too short", with(p4, l3, 0x44), 0, byStack},
			{"version 6", with(p4, l3, 0x65), 0, byStack},
			{"ARP", with(p4, 12, 8, 6), 0, byStack},
			{"in a VLAN", insert(p4, 12, 0x81, 0, 0, 5), 0, byStack},
			{"in VLAN 0", insert(p4, 12, 0x81, 0, 0, 0), 0, byStack},
			{"in a service VLAN", insert(p4, 12, 0x88, 0xa8, 0, 5), 0, byStack},
			{"IPv6", p6, 0, byStack},
			{"MPLS", insert(p4, 12, 0x88, 0x47, 0, 0, 1, 64), 0, byStack},
		},
		vtep6: {
			{"for us", p6, 0, byRing},
			{"without payload", vxlan(vtep6, 62), 0, byRing},
			{"fits a slot", vxlan(vtep6, room), 0, byRing},
			{"does not fit a slot", vxlan(vtep6, room+1), 0, byRest},
			{"super-frame", vxlan(vtep6, 3500), 1400, byRest},
			{"any flow label and traffic class", with(p6, l3, 0x6f, 0xff, 0xff, 0xff), 0, byRing},
			{"no hop left", with(p6, l3+7, 0), 0, byRing},
			{"lying lengths", with(with(p6, l3+4, 0xff, 0xff), l3+44, 0, 0), 0, byRing},

			{"for another station", other(p6), 0, byStack},
			{"another address", with(p6, l3+39, 18), 0, byStack},
			{"another port", with(p6, l3+43, 0xb6), 0, byStack},
			{"TCP", with(p6, l3+6, 6), 0, byStack},
			{"hop-by-hop options", insert(with(p6, l3+6, 0), l3+40, 17, 0, 1, 4, 0, 0, 0, 0), 0, byStack},
			{"routing header", insert(with(p6, l3+6, 43), l3+40, 17, 0, 4, 0, 0, 0, 0, 0), 0, byStack},
			{"destination options", insert(with(p6, l3+6, 60), l3+40, 17, 0, 1, 4, 0, 0, 0, 0), 0, byStack},
			{"first fragment", insert(with(p6, l3+6, 44), l3+40, 17, 0, 0, 1, 0, 0, 0, 1), 0, byStack},
			{"last fragment", insert(with(p6, l3+6, 44), l3+40, 17, 0, 0, 8, 0, 0, 0, 1), 0, byStack},
			{"atomic fragment", insert(with(p6, l3+6, 44), l3+40, 17, 0, 0, 0, 0, 0, 0, 1), 0, byStack},
			{"in a VLAN", insert(p6, 12, 0x81, 0, 0, 5), 0, byStack},
			{"IPv4", p4, 0, byStack},
		},
	}
	for i := range 16 {
		cases[vtep6] = append(cases[vtep6], struct {
			name  string
			frame []byte
			gso   int
			want  taken
		}{fmt.Sprintf("address that differs in byte %d", i), with(p6, l3+24+i, p6[l3+24+i]^0x80), 0, byStack})
	}
	for vtep, cases := range cases {
		p := diverting(t, vtep)
		for _, c := range cases {
			t.Run(fmt.Sprintf("%v %s", vtep.Addr(), c.name), func(t *testing.T) {
				p.t = t
				if got := p.meets(c.frame, c.gso); got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				if got := p.meets(c.frame, c.gso); got != c.want {
					t.Errorf("the second time: got %+v, want %+v", got, c.want)
				}
			})
		}
	}
}

// TestTooShort cuts a packet off at every length. What has no whole UDP header is
// the stack's, and programs behind this one see it.
func TestTooShort(t *testing.T) {
	for vtep, whole := range map[netip.AddrPort]int{vtep4: 14 + 20 + 8, vtep6: 14 + 40 + 8} {
		p := diverting(t, vtep)
		f := vxlan(vtep, 100)
		for n := 14; n <= len(f); n++ { // the kernel hands in no less than a header
			want := byStack
			if n >= whole {
				want = byRing
			}
			if got := p.meets(f[:n], 0); got != want {
				t.Errorf("%v, %d bytes: got %+v, want %+v", vtep, n, got, want)
			}
		}
	}
}

// TestTakenOrLeft has each of the programs there or not, as while sockets come and
// go: what no filter has taken is the stack's, whatever it is.
func TestTakenOrLeft(t *testing.T) {
	p := diverting(t, vtep4)
	ordinary, special := vxlan(vtep4, 200), vxlan(vtep4, room+1)
	stack := func(f []byte) bool {
		t.Helper()
		switch n := int32(p.run(p.divert, f, 0)); n {
		case tcxNext:
			return true
		case tcxDrop:
			return false
		default:
			t.Fatalf("TCX is told %d", n)
			return false
		}
	}
	if !stack(ordinary) || !stack(special) {
		t.Error("without sockets the stack does not get what is its")
	}
	p.run(p.ring, ordinary, 0)
	if stack(ordinary) {
		t.Error("the stack gets what the ring has")
	}
	if !stack(ordinary) {
		t.Error("the stack does not get the next one, which the ring has not seen")
	}
	p.run(p.ring, special, 0)
	if !stack(special) {
		t.Error("the stack does not get what the ring does not take, without the rest")
	}
	p.run(p.rest, ordinary, 0)
	if !stack(ordinary) {
		t.Error("the stack does not get what the rest does not take, without the ring")
	}
	p.run(p.rest, special, 0)
	if stack(special) {
		t.Error("the stack gets what the rest has")
	}
	// What the filters have taken and another program has caught leaves no trace.
	p.run(p.ring, ordinary, 0)
	p.run(p.ring, special, 0)
	if !stack(special) {
		t.Error("what was caught before counts for the next")
	}
	p.run(p.ring, ordinary, 0)
	if !stack(with(ordinary, 14+9, 6)) {
		t.Error("the stack does not get TCP")
	}
}

// FuzzPartition: of whatever comes each frame is the ring's, the rest's or the
// stack's, and none is two of them. What is neither of ours nor well formed is the
// stack's.
func FuzzPartition(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, base := range [][]byte{vxlan(vtep4, 120), vxlan(vtep6, 120), vxlan(vtep4, room+10)} {
		f.Add(base, uint16(0))
		f.Add(base, uint16(1400))
		for range 20 {
			b := slices.Clone(base)
			for range 1 + r.IntN(3) {
				b[r.IntN(min(len(b), 70))] ^= 1 << r.IntN(8)
			}
			f.Add(b[:14+r.IntN(len(b)-13)], uint16(r.IntN(2)*r.IntN(2000)))
		}
	}
	p4, p6, plain := diverting(f, vtep4), diverting(f, vtep6), splitting(f)
	f.Fuzz(func(t *testing.T, b []byte, gso uint16) {
		// The kernel builds a packet of at most a page, and a super-frame longer
		// than its segments.
		if len(b) < 14 || len(b) > 3500 {
			return
		}
		pin(t)
		for _, p := range []*programs{p4, p6, plain} {
			p.t = t
			got := p.meets(b, int(gso))
			want := byStack
			switch vtep := map[*programs]netip.AddrPort{p4: vtep4, p6: vtep6}[p]; {
			case p != plain && !isFor(b, vtep):
			case gso > 0, len(b) > room:
				want = byRest
			default:
				want = byRing
			}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
	})
}

// isFor says what isVXLAN does.
func isFor(b []byte, vtep netip.AddrPort) bool {
	if !slices.Equal(b[:6], make([]byte, 6)) {
		return false
	}
	typ, b := binary.BigEndian.Uint16(b[12:]), b[14:]
	if vtep.Addr().Is4() {
		return typ == 0x0800 && len(b) >= 28 && b[0] == 0x45 && b[9] == 17 && binary.BigEndian.Uint16(b[6:])&0x3fff == 0 &&
			netip.AddrFrom4([4]byte(b[16:])) == vtep.Addr() && binary.BigEndian.Uint16(b[22:]) == vtep.Port()
	}
	return typ == 0x86dd && len(b) >= 48 && b[6] == 17 && netip.AddrFrom16([16]byte(b[24:])) == vtep.Addr() && binary.BigEndian.Uint16(b[42:]) == vtep.Port()
}

// attached counts the programs at a device's TCX ingress.
func attached(t testing.TB, index int) int {
	t.Helper()
	r, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
	must(t, err)
	return len(r.Programs)
}

// TestDivertComesAndGoes attaches to a device.
func TestDivertComesAndGoes(t *testing.T) {
	netns.Require(t)
	needBPF(t)
	ns, err := netns.New("")
	must(t, err)
	defer func() { must(t, ns.Close()) }()
	must(t, netns.Veth(ns, "a", ns, "b", netns.VethOptions{}))
	in := func(f func(index int) error) {
		t.Helper()
		must(t, ns.Do(func() error {
			dev, err := net.InterfaceByName("a")
			if err != nil {
				return err
			}
			return f(dev.Index)
		}))
	}
	want := func(index, n int) {
		t.Helper()
		if got := attached(t, index); got != n {
			t.Errorf("%d programs are attached, want %d", got, n)
		}
	}
	var first, second *Diversion
	in(func(index int) (err error) {
		want(index, 0)
		first, err = Divert(index, vtep4, room)
		must(t, err)
		want(index, 1)
		second, err = Divert(index, vtep6, room)
		must(t, err)
		want(index, 2)
		must(t, first.Close())
		want(index, 1)
		if _, err := Divert(index+1000, vtep4, room); !errors.Is(err, unix.ENODEV) {
			t.Errorf("on no device: %v", err)
		}
		want(index, 1)
		return nil
	})
	must(t, ns.Delete("a"))
	must(t, second.Close())
}

// TestDivertWithoutCapability says so, and leaves nothing behind.
func TestDivertWithoutCapability(t *testing.T) {
	needBPF(t)
	pin(t)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	must(t, unix.Capget(&header, &had[0]))
	less := had
	for _, c := range []int{unix.CAP_BPF, unix.CAP_SYS_ADMIN} {
		less[c/32].Effective &^= 1 << (c % 32)
	}
	must(t, unix.Capset(&header, &less[0]))
	_, err := Divert(1, vtep4, room)
	must(t, unix.Capset(&header, &had[0]))
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v", err)
	}
}
