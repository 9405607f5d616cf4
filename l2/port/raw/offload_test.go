package raw

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/port"
	"vxgw/test/netns"
)

// Addresses of the hosts in the tests below, by IP version.
var hosts = map[string]struct{ a, b, prefix string }{
	"IPv4": {"10.1.0.1", "10.1.0.2", "/24"},
	"IPv6": {"2001:db8::1", "2001:db8::2", "/64"},
}

// hostAndPort returns a host with addresses, and a port at the other end of its
// wire. The host knows the MAC address of whom the tests send to.
func hostAndPort(t *testing.T, by way) (*netns.NS, *Port) {
	t.Helper()
	w := newWire(t)
	for _, h := range hosts {
		must(t, w.a.AddAddr(dev, h.a+h.prefix))
		run(t, w.a, "ip", "neigh", "add", h.b, "lladdr", "02:00:00:00:00:99", "dev", dev)
	}
	return w.a, openIn(t, w.b, by(Config{Promiscuous: true}))
}

func dialIn(t *testing.T, ns *netns.NS, network, addr string) net.Conn {
	t.Helper()
	var c net.Conn
	must(t, ns.Do(func() (err error) { c, err = net.Dial(network, addr); return err }))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestKernelSendersChecksumIsUnfinished(t *testing.T) {
	bothWays(t, testKernelSendersChecksumIsUnfinished)
}

func testKernelSendersChecksumIsUnfinished(t *testing.T, by way) {
	ns, p := hostAndPort(t, by)
	for version, h := range hosts {
		start := uint16(34)
		etherType := frame.TypeIPv4
		if version == "IPv6" {
			start, etherType = 54, frame.TypeIPv6
		}
		isProto := func(proto uint8) func(*frame.Buffer) bool {
			return func(b *frame.Buffer) bool {
				got, _ := transport(b.Bytes())
				return isType(etherType)(b) && got == proto
			}
		}
		t.Run(version+" UDP", func(t *testing.T) {
			c := dialIn(t, ns, "udp", net.JoinHostPort(h.b, "9"))
			_, err := c.Write([]byte("not summed"))
			must(t, err)
			got := newReader(t, p).next(isProto(protoUDP))
			if want := (frame.Offload{NeedsChecksum: true, ChecksumStart: start, ChecksumAt: 6}); got.Offload != want {
				t.Errorf("got %+v, want %+v", got.Offload, want)
			}
			if !bytes.HasSuffix(got.Bytes(), []byte("not summed")) {
				t.Errorf("got % x", got.Bytes())
			}
		})
		t.Run(version+" TCP", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = ns.Do(func() error {
					_, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(h.b, "9"))
					return err
				})
			}()
			got := newReader(t, p).next(isProto(protoTCP))
			cancel()
			<-done
			if want := (frame.Offload{NeedsChecksum: true, ChecksumStart: start, ChecksumAt: 16}); got.Offload != want {
				t.Errorf("got %+v, want %+v", got.Offload, want)
			}
		})
	}
}

func TestUDPSegmentSuperframe(t *testing.T) { bothWays(t, testUDPSegmentSuperframe) }

func testUDPSegmentSuperframe(t *testing.T, by way) {
	ns, p := hostAndPort(t, by)
	for version, h := range hosts {
		t.Run(version, func(t *testing.T) {
			c := dialIn(t, ns, "udp", net.JoinHostPort(h.b, "9"))
			raw, err := c.(syscall.Conn).SyscallConn()
			must(t, err)
			must(t, control(raw, func(fd int) error {
				return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000)
			}))
			payload := make([]byte, 25500)
			for i := range payload {
				payload[i] = byte(i >> 3)
			}
			_, err = c.Write(payload)
			must(t, err)
			got := newReader(t, p).next(func(b *frame.Buffer) bool {
				proto, _ := transport(b.Bytes())
				return proto == protoUDP || p.Unreadable() > 0
			})
			if got.Offload.GSO != frame.GSOUDP || got.Offload.SegmentSize != 1000 || !bytes.HasSuffix(got.Bytes(), payload) {
				t.Errorf("got %d bytes with %+v", got.Len, got.Offload)
			}
		})
	}
}

// SCTP's checksum cannot be left for a later device, and is finished here.
func TestUnfinishedSCTP(t *testing.T) { bothWays(t, testUnfinishedSCTP) }

func testUnfinishedSCTP(t *testing.T, by way) {
	a, b := newPair(t, by)
	f := tcpFrame(200)
	f[14+9] = 132
	o := frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: sctpChecksumAt}
	sendOut(t, a, []frame.Out{{Bytes: f, Offload: o}})
	got := newReader(t, b).next(isType(frame.TypeIPv4))
	finishSCTP(&o, f)
	if !got.Offload.None() || !bytes.Equal(got.Bytes(), f) {
		t.Errorf("left %+v", got.Offload)
	}
}

// The largest super-frame that a device takes whole (gso_max_size, 65536) passes
// unharmed.
func TestLargestSuperframe(t *testing.T) { allWays(t, testLargestSuperframe) }

func testLargestSuperframe(t *testing.T, by way) {
	a, b := newPair(t, by)
	f := tcpFrame(65535)
	o := frame.Offload{NeedsChecksum: true, ChecksumStart: 34, ChecksumAt: 16, GSO: frame.GSOTCPv4, SegmentSize: 1448}
	sendOut(t, a, []frame.Out{{Bytes: f, Offload: o}})
	got := newReader(t, b).next(isType(frame.TypeIPv4))
	if got.Offload != o || got.Truncated || !bytes.Equal(got.Bytes(), f) {
		t.Errorf("%d bytes with %+v", got.Len, got.Offload)
	}
}

// cable carries frames between two ports as a switch would, and remembers the
// longest.
type cable struct {
	mu      sync.Mutex
	longest frame.Buffer
	lost    []frame.Status
	failed  error
}

// until pumps until the context ends and the reader is woken.
func (c *cable) until(ctx context.Context, from, to *Port) {
	bufs := frame.NewBuffers(port.BatchSize, frame.MaxLen)
	out := make([]frame.Out, port.BatchSize)
	for ctx.Err() == nil {
		n, err := from.ReadBatch(bufs)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			c.note(func() { c.failed = err })
			return
		}
		for i := range bufs[:n] {
			out[i] = frame.Out{Bytes: bufs[i].Bytes(), Offload: bufs[i].Offload}
		}
		_ = to.WriteBatch(out[:n])
		c.note(func() { c.look(bufs[:n], out[:n]) })
	}
}

func (c *cable) look(bufs []frame.Buffer, out []frame.Out) {
	for i, b := range bufs {
		if b.Truncated {
			c.failed = errors.New("a truncated frame")
		}
		if b.Len > c.longest.Len {
			c.longest = b
		}
		if s := out[i].Status; s != frame.Sent {
			c.lost = append(c.lost, s)
		}
	}
}

func (c *cable) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func TestTCPThroughTwoPorts(t *testing.T) { allWays(t, testTCPThroughTwoPorts) }

func testTCPThroughTwoPorts(t *testing.T, by way) {
	left, right := newWire(t), newWire(t)
	for _, h := range hosts {
		must(t, left.a.AddAddr(dev, h.a+h.prefix))
		must(t, right.a.AddAddr(dev, h.b+h.prefix))
	}
	lp, rp := openIn(t, left.b, by(Config{Promiscuous: true})), openIn(t, right.b, by(Config{Promiscuous: true}))
	for version, h := range hosts {
		t.Run(version, func(t *testing.T) {
			var c cable
			var pumps sync.WaitGroup
			ctx, stop := context.WithCancel(t.Context())
			for _, d := range [][2]*Port{{lp, rp}, {rp, lp}} {
				pumps.Go(func() { c.until(ctx, d[0], d[1]) })
			}
			transfer(t, left.a, right.a, h.b)
			stop()
			lp.Wake()
			rp.Wake()
			pumps.Wait()
			if c.failed != nil || len(c.lost) > 0 {
				t.Errorf("lost %v, %v", c.lost, c.failed)
			}
			if o := c.longest.Offload; c.longest.Len < 10000 || o.GSO == frame.GSONone || o.SegmentSize == 0 || o.SegmentSize > 1460 {
				t.Errorf("the longest frame was of %d bytes with %+v", c.longest.Len, o)
			}
		})
	}
}

// transfer sends some megabytes from a to addr in b and compares.
func transfer(t *testing.T, a, b *netns.NS, addr string) {
	t.Helper()
	var l net.Listener
	must(t, b.Do(func() (err error) { l, err = net.Listen("tcp", net.JoinHostPort(addr, "0")); return err }))
	defer l.Close()
	data := make([]byte, 8<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)

	got := make(chan [sha256.Size]byte, 1)
	go func() {
		var sum [sha256.Size]byte
		defer func() { got <- sum }()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		h := sha256.New()
		_, _ = io.Copy(h, conn)
		h.Sum(sum[:0])
	}()
	var conn net.Conn
	must(t, a.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", l.Addr().String(), patience)
		return err
	}))
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err := conn.Write(data)
	must(t, err)
	must(t, conn.Close())
	if <-got != sha256.Sum256(data) {
		t.Error("other bytes arrived than were sent")
	}
}
