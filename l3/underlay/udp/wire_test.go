package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/l3/vxlan"
	"vxgw/test/packet"
)

// frames is an interface that gives the frames that it has been given, some at a
// time, and errors in between.
type frames struct {
	left   []frame.Buffer
	errs   []error // before the frames
	atOnce int
	woken  bool
}

func (f *frames) ReadBatch(bufs []frame.Buffer) (n int, err error) {
	if len(f.errs) > 0 {
		err, f.errs = f.errs[0], f.errs[1:]
		return 0, err
	}
	for ; n < min(len(bufs), f.atOnce) && len(f.left) > 0; n++ {
		bufs[n], f.left = f.left[0], f.left[1:]
	}
	if n == 0 {
		return 0, net.ErrClosed
	}
	return n, nil
}

func (f *frames) Wake()                      { f.woken = true }
func (f *frames) Overflows() (uint64, error) { return 0, nil }

// came is a frame as an interface hands it out.
func came(f []byte, o frame.Offload) frame.Buffer {
	const front = 80
	mem := append(make([]byte, front), f...)
	return frame.Buffer{Mem: mem, Off: front, Len: len(f), FullLen: len(f), Offload: o}
}

// ethernet puts a header in front of an IP packet for the gateway.
func ethernet(a addresses, p []byte) []byte {
	etherType := frame.TypeIPv4
	if a.gw.Is6() {
		etherType = frame.TypeIPv6
	}
	return packet.Ethernet(gwMAC, peerMAC, etherType, p)
}

const wireIndex = 42

// testWire returns a wire of a VTEP that reads from an interface.
func testWire(a addresses, zero6 bool, in *frames) *wire {
	in.atOnce = max(in.atOnce, 1)
	// As newWire has it, but for the memory: frames have their own.
	return &wire{rx: in, cfg: &Config{Address: a.gw, Port: vxlanPort, ZeroChecksum6: zero6}, index: wireIndex,
		refused: new(refusedByWire), bufs: make([]frame.Buffer, underlay.BatchSize)}
}

// readAll reads packets to the end, up to n at a time; they are the test's.
func readAll(t testing.TB, w *wire, n int) (all []underlay.Packet) {
	t.Helper()
	pkts := make([]underlay.Packet, n)
	for {
		got, err := w.ReadBatch(pkts)
		if errors.Is(err, net.ErrClosed) {
			return all
		}
		must(t, err)
		for _, p := range pkts[:got] {
			if p.Interface != wireIndex || !p.Noted || p.Fragmented || p.Truncated || p.Group.IsValid() || p.FullLen != p.Len {
				t.Errorf("noted %+v", p)
			}
			p.Mem = bytes.Clone(p.Mem)
			all = append(all, p)
		}
	}
}

// refused is what a wire has counted.
func (w *wire) counted() [2]uint64 {
	return [2]uint64{w.refused.checksum.Load(), w.refused.malformed.Load()}
}

var (
	counted   = [2]uint64{}
	miscount  = [2]uint64{0, 1} // malformed
	wrongSum  = [2]uint64{1, 0}
	rightSums = counted
)

// TestWireAgreesWithTheStack: what is in the table of suspects and comes by a wire
// is delivered, or counted as malformed, as the stack and its tap have it.
func TestWireAgreesWithTheStack(t *testing.T) {
	for _, a := range families {
		for _, tt := range tableOf(a) {
			if !comesByWire(a, tt.p) {
				continue
			}
			t.Run(a.name+" "+tt.name, func(t *testing.T) {
				p := bytes.Clone(tt.p)
				zeroUDPChecksum(a, p)
				w := testWire(a, false, &frames{left: []frame.Buffer{came(ethernet(a, p), frame.Offload{})}})
				got := readAll(t, w, underlay.BatchSize)
				want := [2]uint64{}
				if tt.want == malformed {
					want = miscount
				}
				if len(got) != tt.delivered || w.counted() != want {
					t.Errorf("%d delivered, want %d; counted %v, want %v", len(got), tt.delivered, w.counted(), want)
				}
			})
		}
	}
}

// comesByWire reports whether the filters of a Diversion take a packet for the
// gateway: see xdp.Diversion.
func comesByWire(a addresses, p []byte) bool {
	if a.gw.Is4() {
		return len(p) >= 28 && p[0] == 0x45 && p[9] == ip.ProtoUDP && binary.BigEndian.Uint16(p[6:])&0x3fff == 0 &&
			netip.AddrFrom4([4]byte(p[16:])) == a.gw && binary.BigEndian.Uint16(p[22:]) == vxlanPort
	}
	return len(p) >= 48 && p[6] == ip.ProtoUDP && netip.AddrFrom16([16]byte(p[24:])) == a.gw && binary.BigEndian.Uint16(p[42:]) == vxlanPort
}

// TestWirePackets: what is told of a packet, and its bytes.
func TestWirePackets(t *testing.T) {
	for _, a := range families {
		var in frames
		var want []string
		for i, payload := range []string{"", "x", "a VXLAN header and a frame", string(make([]byte, 60000))} {
			f := packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(a.peer, uint16(50000+i)), netip.AddrPortFrom(a.gw, vxlanPort), []byte(payload))
			if a.gw.Is4() {
				ip.IPv4(f[14:]).SetTOS(uint8(0x55 * i))
			} else {
				ip.IPv6(f[14:]).SetTrafficClass(uint8(0x55 * i))
			}
			in.left = append(in.left, came(append(f, "padding"...), frame.Offload{}))
			want = append(want, payload)
		}
		w := testWire(a, false, &in)
		got := readAll(t, w, underlay.BatchSize)
		if len(got) != len(want) || w.counted() != counted {
			t.Fatalf("%s: %d packets, counted %v", a.name, len(got), w.counted())
		}
		for i, p := range got {
			if string(p.Bytes()) != want[i] || p.From != a.peer || p.FromPort != uint16(50000+i) || p.TOS != uint8(0x55*i) || !p.Offload.None() {
				t.Errorf("%s: %d bytes from %v:%d TOS %#x, %+v", a.name, p.Len, p.From, p.FromPort, p.TOS, p.Offload)
			}
		}
	}
}

// TestWireSources: from where no host can send nothing is taken.
func TestWireSources(t *testing.T) {
	for _, c := range []struct {
		from string
		ok   bool
	}{
		{"192.0.2.34", true}, {"10.0.0.1", true}, {"169.254.1.1", true}, {"240.0.0.1", true}, {"192.0.2.255", true}, {"1.0.0.0", true},
		{"192.0.2.17", false}, {"0.0.0.0", false}, {"0.0.0.1", false}, {"0.255.255.255", false}, {"127.0.0.1", false}, {"127.255.0.9", false},
		{"224.0.0.1", false}, {"239.255.255.255", false}, {"255.255.255.255", false},

		{"2001:db8::34", true}, {"fe80::1", true}, {"fd00::1", true},
		{"2001:db8::17", false}, {"::", false}, {"::1", false}, {"ff02::1", false}, {"ff0e::1", false}, {"::ffff:192.0.2.34", false},
	} {
		from := netip.MustParseAddr(c.from)
		a := v4
		if from.Is6() {
			a = v6
		}
		f := packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(a.peer, 50000), netip.AddrPortFrom(a.gw, vxlanPort), []byte("x"))
		at := 14 + 12
		if a.gw.Is6() {
			at = 14 + 8
		}
		copy(f[at:], from.AsSlice())
		if a.gw.Is4() {
			resum(f[14:])
		}
		sumUDP(a, f[14:])
		w := testWire(a, false, &frames{left: []frame.Buffer{came(f, frame.Offload{})}})
		got, want := readAll(t, w, 1), miscount
		if c.ok {
			want = counted
		}
		if (len(got) == 1) != c.ok || w.counted() != want || c.ok && got[0].From != from {
			t.Errorf("from %v: %d packets, counted %v", from, len(got), w.counted())
		}
	}
}

// sumUDP makes the UDP checksum of an IP packet without options right.
func sumUDP(a addresses, p []byte) {
	if a.gw.Is4() {
		u := ip.UDP(p[20:])
		u.SetChecksum(0)
		u.SetChecksum(ip.NonZero(^ip.Sum(u, ip.IPv4(p).PseudoSum(ip.ProtoUDP, len(u)))))
		return
	}
	u := ip.UDP(p[40:])
	u.SetChecksum(0)
	u.SetChecksum(ip.NonZero(^ip.Sum(u, ip.IPv6(p).PseudoSum(ip.ProtoUDP, len(u)))))
}

// TestWireChecksums: right, wrong, and none; of what was on a wire, and of what a
// sender on this machine has left to be done.
func TestWireChecksums(t *testing.T) {
	const payload = 101
	for _, a := range families {
		outer := 14 + a.overhead() - 8 // where the outer UDP header starts
		inner := outer + 8 + vxlan.HeaderLen + 14 + 20
		left := frame.Offload{NeedsChecksum: true, ChecksumStart: uint16(outer), ChecksumAt: 6}
		leftInside := frame.Offload{NeedsChecksum: true, ChecksumStart: uint16(inner), ChecksumAt: 16}
		super := leftInside
		super.GSO, super.SegmentSize, super.Tunnelled = frame.GSOTCPv4, 20, true
		run := frame.Offload{GSO: frame.GSOUDP, SegmentSize: 50}
		for _, c := range []struct {
			name    string
			change  func(u ip.UDP)
			offload frame.Offload
			zero6   bool // accepted over IPv6 where the configuration says so
			ok      bool
		}{
			{"right", func(ip.UDP) {}, frame.Offload{}, false, true},
			{"wrong", func(u ip.UDP) { u.SetChecksum(u.Checksum() + 1) }, frame.Offload{}, false, false},
			{"wrong in the payload", func(u ip.UDP) { u[8] ^= 0x10 }, frame.Offload{}, false, false},
			{"wrong in the last byte", func(u ip.UDP) { u[len(u)-1] ^= 1 }, frame.Offload{}, false, false},
			{"all ones for zero", func(u ip.UDP) {
				// The last two bytes that are a word of the sum.
				at := (len(u) - 2) &^ 1
				put16(u, at, ip.Add(binary.BigEndian.Uint16(u[at:]), u.Checksum()))
				u.SetChecksum(0xffff)
			}, frame.Offload{}, false, true},
			{"none", func(u ip.UDP) { u.SetChecksum(0) }, frame.Offload{}, true, a.gw.Is4()},
			{"left to the device", func(u ip.UDP) { u.SetChecksum(0x1234) }, left, false, true},
			{"unfinished inside", func(u ip.UDP) { u.SetChecksum(0x1234) }, leftInside, false, true},
			{"none, unfinished inside", func(u ip.UDP) { u.SetChecksum(0) }, leftInside, true, a.gw.Is4()},
			{"a super-frame inside", func(u ip.UDP) { u.SetChecksum(0x1234) }, super, false, true},
			{"none, a super-frame inside", func(u ip.UDP) { u.SetChecksum(0) }, super, true, a.gw.Is4()},
			{"a run", func(u ip.UDP) { u.SetChecksum(0x1234) }, run, false, true},
			{"a run without", func(u ip.UDP) { u.SetChecksum(0) }, run, true, a.gw.Is4()},
		} {
			for _, zero6 := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s zero=%v", a.name, c.name, zero6), func(t *testing.T) {
					f := ethernet(a, good(a, payload))
					c.change(ip.UDP(f[outer:]))
					w := testWire(a, zero6, &frames{left: []frame.Buffer{came(f, c.offload)}})
					got, want := readAll(t, w, underlay.BatchSize), wrongSum
					ok := c.ok || c.zero6 && zero6
					if ok {
						want = rightSums
					}
					if (len(got) > 0) != ok || w.counted() != want {
						t.Errorf("%d packets, counted %v, want %v", len(got), w.counted(), want)
					}
				})
			}
		}
	}
}

// TestWireRuns: a super-frame of datagrams comes out as those, whatever they are
// read into, and what is behind it after it.
func TestWireRuns(t *testing.T) {
	for _, a := range families {
		for _, c := range []struct{ size, total int }{
			{1400, 1400 * 40}, {1400, 1400*20 + 1}, {100, 100 * 64}, {100, 100*63 + 99}, {8, 17}, {1, 64}, {1400, 1400}, {1400, 10}, {1400, 0},
		} {
			for _, room := range []int{underlay.BatchSize, 7, 1} {
				t.Run(fmt.Sprintf("%s %d of %d into %d", a.name, c.total, c.size, room), func(t *testing.T) {
					payload := noise(c.total)
					f := packet.UDP(gwMAC, peerMAC, netip.AddrPortFrom(a.peer, 50000), netip.AddrPortFrom(a.gw, vxlanPort), payload)
					in := &frames{left: []frame.Buffer{came(f, frame.Offload{GSO: frame.GSOUDP, SegmentSize: uint16(c.size)}), came(ethernet(a, good(a, 3)), frame.Offload{})}}
					w := testWire(a, false, in)
					got := readAll(t, w, room)
					want := append(cutAt(payload, c.size), bytes.Repeat([]byte{0xa5}, 3))
					if len(got) != len(want) || w.counted() != counted {
						t.Fatalf("%d packets, want %d; counted %v", len(got), len(want), w.counted())
					}
					for i, p := range got {
						if !bytes.Equal(p.Bytes(), want[i]) || p.From != a.peer || p.FromPort != 50000 || !p.Offload.None() {
							t.Errorf("packet %d: %d bytes, want %d; from %v, %+v", i, p.Len, len(want[i]), p.From, p.Offload)
						}
					}
				})
			}
		}
	}
}

// TestWireInnerOffload: what a VTEP on this machine has left undone is told of the
// inner frame.
func TestWireInnerOffload(t *testing.T) {
	for _, a := range families {
		at := uint16(14 + a.overhead() + vxlan.HeaderLen)
		for _, c := range []struct {
			name     string
			is, want frame.Offload
		}{
			{"nothing", frame.Offload{}, frame.Offload{}},
			{"the outer checksum", frame.Offload{NeedsChecksum: true, ChecksumStart: at - 16, ChecksumAt: 6}, frame.Offload{}},
			{"an inner checksum", frame.Offload{NeedsChecksum: true, ChecksumStart: at + 34, ChecksumAt: 16}, frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 16}},
			{"TCP over IPv4", frame.Offload{NeedsChecksum: true, ChecksumStart: at + 34, ChecksumAt: 16, GSO: frame.GSOTCPv4, SegmentSize: 1400, Tunnelled: true},
				frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 16, GSO: frame.GSOTCPv4, SegmentSize: 1400}},
			{"TCP over IPv6", frame.Offload{NeedsChecksum: true, ChecksumStart: at + 54, ChecksumAt: 16, GSO: frame.GSOTCPv6, SegmentSize: 1400, Tunnelled: true},
				frame.Offload{NeedsChecksum: true, ChecksumStart: 54, ChecksumAt: 16, GSO: frame.GSOTCPv6, SegmentSize: 1400}},
			{"UDP", frame.Offload{NeedsChecksum: true, ChecksumStart: at + 34, ChecksumAt: 6, GSO: frame.GSOUDP, SegmentSize: 1400, Tunnelled: true},
				frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 6, GSO: frame.GSOUDP, SegmentSize: 1400}},
			{"what nobody can cut", frame.Offload{GSO: frame.GSOOther}, frame.Offload{GSO: frame.GSOOther}},
			{"TCP within the VXLAN header", frame.Offload{NeedsChecksum: true, ChecksumStart: at - 4, ChecksumAt: 16, GSO: frame.GSOTCPv4, SegmentSize: 1400, Tunnelled: true},
				frame.Offload{GSO: frame.GSOOther}},
		} {
			t.Run(a.name+" "+c.name, func(t *testing.T) {
				w := testWire(a, false, &frames{left: []frame.Buffer{came(ethernet(a, good(a, 3000)), c.is)}})
				got := readAll(t, w, 1)
				if len(got) != 1 || got[0].Len != 3000 || got[0].Offload != c.want {
					t.Errorf("%d packets: %+v, want %+v", len(got), got, c.want)
				}
			})
		}
	}
}

func TestWireTruncated(t *testing.T) {
	b := came(ethernet(v4, good(v4, 100)), frame.Offload{})
	b.Truncated, b.FullLen = true, 70000
	short := came(make([]byte, 13), frame.Offload{})
	w := testWire(v4, false, &frames{left: []frame.Buffer{b, short}})
	if got := readAll(t, w, 4); len(got) != 0 || w.counted() != [2]uint64{0, 2} {
		t.Errorf("%d packets, counted %v", len(got), w.counted())
	}
}

// TestWireErrors: an interface that is down is waited for, one that is gone ends it.
func TestWireErrors(t *testing.T) {
	f := came(ethernet(v4, good(v4, 1)), frame.Offload{})
	pkts := make([]underlay.Packet, 4)
	in := &frames{left: []frame.Buffer{f}, errs: []error{unix.ENETDOWN, unix.ENETDOWN}}
	w := testWire(v4, false, in)
	if n, err := w.ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("no room: %d, %v", n, err)
	}
	if n, err := w.ReadBatch(pkts); n != 1 || err != nil {
		t.Errorf("down, and up again: %d packets, %v", n, err)
	}
	for _, c := range []struct{ is, want error }{
		{unix.ENODEV, net.ErrClosed}, {net.ErrClosed, net.ErrClosed}, {os.ErrDeadlineExceeded, os.ErrDeadlineExceeded}, {unix.EIO, unix.EIO},
	} {
		in.errs = []error{c.is}
		if n, err := w.ReadBatch(pkts); n != 0 || !errors.Is(err, c.want) {
			t.Errorf("%v: %d packets, %v", c.is, n, err)
		}
	}
	if w.Wake(); !in.woken {
		t.Error("not woken")
	}
	must(t, w.Close())
}

// FuzzWire: whatever frames come, with whatever notes, each is handed out or counted,
// once; what is handed out lies within the frame.
func FuzzWire(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, a := range families {
		for _, p := range tableOf(a) {
			f.Add(ethernet(a, p.p), false, uint16(0), uint16(0), uint8(0), uint16(0), false, uint8(64))
		}
		f.Add(ethernet(a, good(a, 3000)), true, uint16(14+a.overhead()-8), uint16(6), uint8(frame.GSOUDP), uint16(1000), false, uint8(2))
		f.Add(ethernet(a, good(a, 3000)), true, uint16(14+a.overhead()+8+34), uint16(16), uint8(frame.GSOTCPv4), uint16(1000), true, uint8(1))
		for range 10 {
			b := ethernet(a, good(a, 100))
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			f.Add(b, r.IntN(2) == 0, uint16(r.IntN(150)), uint16(r.IntN(20)), uint8(r.IntN(5)), uint16(r.IntN(100)), r.IntN(2) == 0, uint8(r.IntN(64)))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, needs bool, start, at uint16, gso uint8, size uint16, tunnelled bool, room uint8) {
		o := frame.Offload{NeedsChecksum: needs, ChecksumStart: start, ChecksumAt: at, GSO: frame.GSO(gso) % (frame.GSOOther + 1), SegmentSize: size, Tunnelled: tunnelled}
		for _, a := range families {
			before := bytes.Clone(b)
			in := came(b, o)
			w := testWire(a, room%2 == 0, &frames{left: []frame.Buffer{in}})
			got := readAll(t, w, int(room%64)+1)
			c := w.counted()
			if (len(got) > 0) == (c[0]+c[1] == 1) || c[0]+c[1] > 1 {
				t.Fatalf("%s: %d packets, counted %v", a.name, len(got), c)
			}
			if o.GSO != frame.GSOUDP && len(got) > 1 {
				t.Fatalf("%s: %d packets", a.name, len(got))
			}
			var all []byte
			for i, p := range got {
				if p.Len < 0 || p.Off < in.Off || p.Off+p.Len > in.Off+in.Len {
					t.Fatalf("%s: packet %d lies at %d, %d bytes", a.name, i, p.Off, p.Len)
				}
				if i < len(got)-1 && p.Len != int(size) {
					t.Fatalf("%s: packet %d of %d has %d bytes", a.name, i, len(got), p.Len)
				}
				if p.Offload.NeedsChecksum && int(p.Offload.ChecksumStart)+len(in.Mem)-p.Len < 0 {
					t.Fatalf("%s: %+v", a.name, p.Offload)
				}
				all = append(all, p.Bytes()...)
			}
			if len(got) > 0 && !bytes.Contains(before, all) {
				t.Fatalf("%s: other bytes than came", a.name)
			}
			if !bytes.Equal(b, before) || !slices.Equal(in.Bytes(), before) {
				t.Fatalf("%s: the frame was written to", a.name)
			}
		}
	})
}
