package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l3/underlay"
)

func TestReceives(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw})
			peer := openIn(t, n.peer, Config{Address: a.peer})
			r := newReader(t, u)
			for i, payload := range []string{"", "x", "a VXLAN header and a frame"} {
				tos := uint8(0x55 * i)
				mustSend(t, peer, underlay.Datagram{To: a.gw, SourcePort: uint16(50000 + i), TOS: tos, Head: []byte(payload)})
				p := r.next()
				if string(p.Bytes()) != payload || p.From != a.peer || int(p.FromPort) != 50000+i || p.TOS != tos || p.Fragmented || p.Truncated {
					t.Errorf("got %q from %v:%d TOS %#x fragmented %v truncated %v", p.Bytes(), p.From, p.FromPort, p.TOS, p.Fragmented, p.Truncated)
				}
			}
		})
	}
}

// TestBatch has more waiting than one read takes.
func TestBatch(t *testing.T) {
	const total = underlay.BatchSize + 10
	n := newNetwork(t, 0)
	u := openIn(t, n.gw, Config{Address: v4.gw})
	peer := openIn(t, n.peer, Config{Address: v4.peer})
	ds := make([]underlay.Datagram, total)
	for i := range ds {
		ds[i] = underlay.Datagram{To: v4.gw, SourcePort: 50000, Head: []byte{byte(i)}}
	}
	mustSend(t, peer, ds...)
	c := u.Queues()[0]
	for want := 0; want < total; {
		pkts := underlay.NewPackets(2*underlay.BatchSize, 100)
		got, err := c.ReadBatch(pkts)
		must(t, err)
		if got < 1 || got > underlay.BatchSize {
			t.Fatalf("%d packets at once", got)
		}
		for i := range pkts[:got] {
			if pkts[i].Bytes()[0] != byte(want) {
				t.Fatalf("packet %d is number %d", want, pkts[i].Bytes()[0])
			}
			want++
		}
	}
}

// TestLongest: a device with a large MTU stands for a local kernel's VTEP that
// hands over a super-frame as one datagram.
func TestLongest(t *testing.T) {
	n := newNetwork(t, 65535)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw, Checksum: true})
			peer := openIn(t, n.peer, Config{Address: a.peer, Checksum: true})
			payload := make([]byte, 65535-a.overhead())
			for i := range payload {
				payload[i] = byte(i * 7)
			}
			mustSend(t, peer, underlay.Datagram{To: a.gw, Head: payload[:8], Body: payload[8:]})
			if p := newReader(t, u).next(); p.Truncated || !bytes.Equal(p.Bytes(), payload) {
				t.Errorf("%d bytes, truncated %v", p.Len, p.Truncated)
			}
			// What the one before left behind is gone.
			mustSend(t, peer, underlay.Datagram{To: a.gw, Head: []byte("short")})
			if p := newReader(t, u).next(); p.Truncated || string(p.Bytes()) != "short" {
				t.Errorf("%q, truncated %v", p.Bytes(), p.Truncated)
			}
		})
	}
}

func TestQueuesShareFlows(t *testing.T) {
	const flows, each = 200, 3
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw, Queues: 4})
			peer := openIn(t, n.peer, Config{Address: a.peer})
			var ds []underlay.Datagram
			for range each {
				for f := range flows {
					ds = append(ds, underlay.Datagram{To: a.gw, SourcePort: uint16(50000 + f), Head: []byte("x")})
				}
			}
			var (
				wg    sync.WaitGroup
				mu    sync.Mutex
				total int
				where = make(map[uint16]int)
				done  = make(chan struct{})
			)
			for i, q := range u.Queues() {
				wg.Go(func() {
					pkts := underlay.NewPackets(underlay.BatchSize, 100)
					for {
						got, err := q.ReadBatch(pkts)
						if errors.Is(err, net.ErrClosed) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						for _, p := range pkts[:got] {
							if was, ok := where[p.FromPort]; ok && was != i {
								t.Errorf("flow %d is on queues %d and %d", p.FromPort, was, i)
							}
							where[p.FromPort] = i
						}
						if total += got; total == flows*each {
							close(done)
						}
						mu.Unlock()
					}
				})
			}
			mustSend(t, peer, ds...)
			select {
			case <-done:
			case <-time.After(patience):
				t.Errorf("not all packets came")
			}
			must(t, u.Close())
			wg.Wait()
			used := make(map[int]int)
			for _, q := range where {
				used[q]++
			}
			if len(used) != 4 {
				t.Errorf("flows on each queue: %v", used)
			}
		})
	}
}

func TestWakeOnce(t *testing.T) {
	n := newNetwork(t, 0)
	u := openIn(t, n.gw, Config{Address: v4.gw})
	peer := openIn(t, n.peer, Config{Address: v4.peer})
	c := u.Queues()[0]
	pkts := underlay.NewPackets(1, 100)
	for range 3 {
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { _, err = c.ReadBatch(pkts) })
		c.Wake()
		wg.Wait()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("woken with %v", err)
		}
		mustSend(t, peer, underlay.Datagram{To: v4.gw, Head: []byte("x")})
		if got, err := c.ReadBatch(pkts); got != 1 || err != nil {
			t.Fatalf("read after wake: %d, %v", got, err)
		}
	}
}

func TestCloseEndsReaders(t *testing.T) {
	n := newNetwork(t, 0)
	u := openIn(t, n.gw, Config{Address: v4.gw, Queues: 3, OpenTap: openTap})
	var wg sync.WaitGroup
	for _, q := range u.Queues() {
		wg.Go(func() {
			if _, err := q.ReadBatch(underlay.NewPackets(1, 100)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("read: %v", err)
			}
		})
	}
	must(t, u.Close())
	wg.Wait()
	q := u.Queues()[0]
	if _, err := q.ReadBatch(underlay.NewPackets(1, 100)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	q.Wake()
	if err := errors.Join(u.Close(), q.Close()); err != nil {
		t.Errorf("close again: %v", err)
	}
}

func TestReadIntoNothing(t *testing.T) {
	n := newNetwork(t, 0)
	q := openIn(t, n.gw, Config{Address: v4.gw}).Queues()[0]
	if got, err := q.ReadBatch(nil); got != 0 || err != nil {
		t.Errorf("no packets to fill: %d, %v", got, err)
	}
}

// TestICMPErrorsDoNoHarm: a peer that does not listen, and says so, disturbs
// neither sending nor receiving, whatever the source port.
func TestICMPErrorsDoNoHarm(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			u := openIn(t, n.gw, Config{Address: a.gw})
			for range 50 {
				mustSend(t, u, underlay.Datagram{To: a.peer, SourcePort: vxlanPort, Head: []byte("x")},
					underlay.Datagram{To: a.peer, SourcePort: 50000, Head: []byte("x")})
			}
			must(t, n.peer.SendUDP(netip.AddrPortFrom(a.peer, 40000), netip.AddrPortFrom(a.gw, vxlanPort), []byte("hello")))
			if p := newReader(t, u).next(); string(p.Bytes()) != "hello" {
				t.Errorf("got %q", p.Bytes())
			}
		})
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	n := newNetwork(t, 0)
	for _, a := range families {
		u := openIn(t, n.gw, Config{Address: a.gw})
		peer := openIn(t, n.peer, Config{Address: a.peer})
		const total = 2000
		for range total / 20 {
			ds := make([]underlay.Datagram, 20)
			for i := range ds {
				ds[i] = underlay.Datagram{To: a.gw, SourcePort: uint16(i), Head: []byte("x")}
			}
			mustSend(t, peer, ds...)
		}
		pkts := underlay.NewPackets(8, 100)
		c := u.Queues()[0]
		if got := testing.AllocsPerRun(100, func() {
			if n, err := c.ReadBatch(pkts); n == 0 || err != nil {
				t.Error(n, err)
			}
		}); got != 0 {
			t.Errorf("%s: %v allocations per batch", a.name, got)
		}
	}
}

// message returns one control message as the kernel writes it.
func message(level, typ int32, data ...byte) []byte {
	n := unix.SizeofCmsghdr + len(data)
	b := make([]byte, unix.CmsgSpace(len(data)))
	if wordLen == 8 {
		binary.NativeEndian.PutUint64(b, uint64(n))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(n))
	}
	binary.NativeEndian.PutUint32(b[wordLen:], uint32(level))
	binary.NativeEndian.PutUint32(b[wordLen+4:], uint32(typ))
	copy(b[unix.SizeofCmsghdr:], data)
	return b
}

func number(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func TestParseControl(t *testing.T) {
	tos := message(unix.SOL_IP, unix.IP_TOS, 0x2b)
	class := message(unix.SOL_IPV6, unix.IPV6_TCLASS, number(0x2b)...)
	frag4 := message(unix.SOL_IP, unix.IP_RECVFRAGSIZE, number(1500)...)
	frag6 := message(unix.SOL_IPV6, unix.IPV6_RECVFRAGSIZE, number(1280)...)
	info4 := message(unix.SOL_IP, unix.IP_PKTINFO, append(number(77), make([]byte, 8)...)...)
	info6 := message(unix.SOL_IPV6, unix.IPV6_PKTINFO, append(make([]byte, 16), number(78)...)...)
	run := message(unix.SOL_UDP, unix.UDP_GRO, number(1450)...)
	other := message(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, number(9)...)
	for _, tt := range []struct {
		name string
		b    []byte
		want ancillary
	}{
		{"nothing", nil, ancillary{}},
		{"TOS", tos, ancillary{tos: 0x2b}},
		{"traffic class", class, ancillary{tos: 0x2b}},
		{"IPv4 fragments", append(bytes.Clone(tos), frag4...), ancillary{tos: 0x2b, fragmented: true}},
		{"IPv6 fragments", append(bytes.Clone(frag6), class...), ancillary{tos: 0x2b, fragmented: true}},
		{"IPv4 interface", append(bytes.Clone(info4), tos...), ancillary{tos: 0x2b, ifindex: 77}},
		{"IPv6 interface", append(bytes.Clone(info6), class...), ancillary{tos: 0x2b, ifindex: 78}},
		{"IPv4 group", message(unix.SOL_IP, unix.IP_PKTINFO, append(number(77), 192, 0, 2, 1, 239, 1, 2, 3)...), ancillary{ifindex: 77, group: netip.MustParseAddr("239.1.2.3")}},
		{"IPv6 group", message(unix.SOL_IPV6, unix.IPV6_PKTINFO, append(append([]byte{0xff, 0x0e}, make([]byte, 14)...), number(78)...)...), ancillary{ifindex: 78, group: netip.MustParseAddr("ff0e::")}},
		{"a run", append(bytes.Clone(tos), run...), ancillary{tos: 0x2b, segment: 1450}},
		{"a run cut short", run[:len(run)-6], ancillary{}},
		{"interface cut short", message(unix.SOL_IP, unix.IP_PKTINFO, number(77)...), ancillary{}},
		{"something else before", append(bytes.Clone(other), tos...), ancillary{tos: 0x2b}},
		{"unpadded end", tos[:unix.SizeofCmsghdr+1], ancillary{tos: 0x2b}},
		{"cut short", tos[:unix.SizeofCmsghdr], ancillary{}},
		{"no data", message(unix.SOL_IPV6, unix.IPV6_TCLASS), ancillary{}},
		{"length of nothing", append(make([]byte, 16), tos...), ancillary{}},
	} {
		if got := parseControl(tt.b); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// FuzzParseControl: no bytes make it panic or run on, and what it finds in some
// is still there when something unknown comes before.
func FuzzParseControl(f *testing.F) {
	f.Add([]byte{})
	f.Add(message(unix.SOL_IP, unix.IP_TOS, 0xff))
	f.Add(append(message(unix.SOL_IPV6, unix.IPV6_TCLASS, 1, 2, 3, 4), message(unix.SOL_IPV6, unix.IPV6_RECVFRAGSIZE, 1, 2, 3, 4)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		want := parseControl(b)
		if got := parseControl(append(message(unix.SOL_SOCKET, 0, 1), b...)); got != want {
			t.Errorf("%+v, alone %+v", got, want)
		}
	})
}
