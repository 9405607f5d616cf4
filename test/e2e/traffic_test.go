package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"vxgw/test/netns"
)

// host is a namespace with an address of each family on its device eth0.
type host struct {
	*netns.NS
	four, six netip.Addr
}

// newHost makes host number n of the hosts' network. Its device is the test's
// to make, then addresses are given by configure.
func newHost(t testing.TB, n int) *host {
	t.Helper()
	return &host{newNS(t), netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}),
		netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%d", n))}
}

func (h *host) configure(t testing.TB) *host {
	t.Helper()
	must(t, h.AddAddr("eth0", h.four.String()+"/24"))
	must(t, h.AddAddr("eth0", h.six.String()+"/64"))
	return h
}

// addresses returns those of both families, by name.
func (h *host) addresses() map[string]netip.Addr {
	return map[string]netip.Addr{"IPv4": h.four, "IPv6": h.six}
}

// wantPing wants every one of count echo requests answered.
func wantPing(t *testing.T, from *host, to netip.Addr, count int, o netns.PingOptions) {
	t.Helper()
	o.Timeout = patience
	n, err := from.Ping(t.Context(), to, count, o)
	if err != nil || n != count {
		t.Errorf("ping %v: %d of %d answered, %v", to, n, count, err)
	}
}

// transfer moves size random bytes over one TCP connection and compares what
// arrived.
func transfer(t *testing.T, from, to *host, addr netip.Addr, size int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	l, err := to.Listen("tcp", netip.AddrPortFrom(addr, 7777).String())
	must(t, err)
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	type received struct {
		sum  [32]byte
		size int64
		err  error
	}
	done := make(chan received, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- received{err: err}
			return
		}
		defer c.Close()
		sum := sha256.New()
		n, err := io.Copy(sum, deadline(ctx, c))
		done <- received{[32]byte(sum.Sum(nil)), n, err}
	}()
	c, err := from.Dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Errorf("TCP to %v: %v", addr, err)
		return
	}
	sum := sha256.New()
	_, err = io.Copy(deadline(ctx, c), io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), size), sum))
	if err != nil {
		t.Errorf("TCP to %v: %v", addr, err)
	}
	must(t, c.Close())
	if r := <-done; r.err != nil || r.size != size || r.sum != [32]byte(sum.Sum(nil)) {
		t.Errorf("TCP to %v: %d of %d bytes came, the same ones: %t, %v", addr, r.size, size, r.sum == [32]byte(sum.Sum(nil)), r.err)
	}
}

// deadline gives a connection the deadline of a context.
func deadline(ctx context.Context, c net.Conn) net.Conn {
	if d, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(d) // fails when closed, and so does what follows
	}
	return c
}

// echo sends UDP datagrams of many sizes, which the sender's kernel fragments,
// and wants each back as it was.
func echo(t *testing.T, from, to *host, addr netip.Addr) {
	t.Helper()
	server, err := to.ListenPacket("udp", netip.AddrPortFrom(addr, 7).String())
	must(t, err)
	defer server.Close()
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, peer, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(buf[:n], peer) // one that is lost is missed by who waits for it
		}
	}()
	c, err := from.Dial(t.Context(), "udp", server.LocalAddr().String())
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(patience)))
	buf := make([]byte, 1<<16)
	for _, n := range []int{1, 1000, 1472, 1473, 3000, 9000, 20000, 40000, 65000} {
		sent := bytes.Repeat([]byte{byte(n), byte(n >> 8), 0x5a}, n/3+1)[:n]
		if _, err := c.Write(sent); err != nil {
			t.Errorf("UDP to %v, %d bytes: %v", addr, n, err)
			return
		}
		m, err := c.Read(buf)
		if err != nil || !bytes.Equal(buf[:m], sent) {
			t.Errorf("UDP to %v, %d bytes: %d bytes came back, the same ones: %t, %v", addr, n, m, bytes.Equal(buf[:m], sent), err)
			return
		}
	}
}

// everything sends what hosts send, both ways, over both families: ARP and ND,
// ping, TCP, and UDP datagrams up to the longest.
func everything(t *testing.T, h1, h2 *host, size int64) {
	t.Helper()
	for _, way := range []struct{ from, to *host }{{h1, h2}, {h2, h1}} {
		for _, addr := range way.to.addresses() {
			wantPing(t, way.from, addr, 10, netns.PingOptions{})
			wantPing(t, way.from, addr, 3, netns.PingOptions{Size: 1452, DF: true})
			transfer(t, way.from, way.to, addr, size)
			echo(t, way.from, way.to, addr)
		}
	}
}
