package netns

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// PingOptions says what an echo request is like.
type PingOptions struct {
	Size    int           // bytes behind the ICMP header; 0: 56
	DF      bool          // set DF (IPv4) and never fragment
	Timeout time.Duration // for each reply; 0: 1 s
}

// Ping sends count echo requests to dst, each when the last one was answered
// or given up, and returns how many were answered with what was sent. The
// error is for what kept a request from being sent, and for ctx.
func (n *NS) Ping(ctx context.Context, dst netip.Addr, count int, o PingOptions) (int, error) {
	p := newPinger(dst, o)
	if err := n.Do(p.listen); err != nil {
		return 0, fmt.Errorf("%v: ping %v: %w", n, dst, err)
	}
	defer p.conn.Close()
	stop := context.AfterFunc(ctx, func() { p.conn.Close() })
	defer stop()
	received := 0
	for seq := range count {
		ok, err := p.echo(seq)
		if ctx.Err() != nil {
			return received, ctx.Err()
		}
		if err != nil {
			return received, fmt.Errorf("%v: ping %v: %w", n, dst, err)
		}
		if ok {
			received++
		}
	}
	return received, nil
}

type pinger struct {
	dst     netip.Addr
	df      bool
	timeout time.Duration
	id      int
	data    []byte
	conn    net.PacketConn
	buf     []byte

	// What differs between ICMP and ICMPv6.
	network  string
	protocol int // IANA number
	request  icmp.Type
	reply    icmp.Type
}

func newPinger(dst netip.Addr, o PingOptions) *pinger {
	p := &pinger{
		dst:      dst,
		df:       o.DF,
		timeout:  cmp.Or(o.Timeout, time.Second),
		id:       rand.IntN(1 << 16),
		data:     make([]byte, cmp.Or(o.Size, 56)),
		buf:      make([]byte, 1<<16),
		network:  "ip4:icmp",
		protocol: unix.IPPROTO_ICMP,
		request:  ipv4.ICMPTypeEcho,
		reply:    ipv4.ICMPTypeEchoReply,
	}
	if dst.Is6() {
		p.network, p.protocol = "ip6:ipv6-icmp", unix.IPPROTO_ICMPV6
		p.request, p.reply = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	for i := range p.data {
		p.data[i] = byte(i)
	}
	return p
}

func (p *pinger) listen() (err error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return p.setDF(c)
	}}
	from := netip.IPv4Unspecified()
	if p.dst.Is6() {
		from = netip.IPv6Unspecified()
	}
	p.conn, err = lc.ListenPacket(context.Background(), p.network, from.String())
	return err
}

func (p *pinger) setDF(c syscall.RawConn) (err error) {
	if !p.df {
		return nil
	}
	ctlErr := c.Control(func(fd uintptr) {
		if p.dst.Is6() {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
			return
		}
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	})
	return errors.Join(ctlErr, err)
}

// echo sends one request and waits for its reply.
func (p *pinger) echo(seq int) (bool, error) {
	msg := icmp.Message{Type: p.request, Body: &icmp.Echo{ID: p.id, Seq: seq & 0xffff, Data: p.data}}
	b, err := msg.Marshal(nil) // over IPv6 the kernel fills in the checksum
	if err != nil {
		return false, err
	}
	if _, err := p.conn.WriteTo(b, &net.IPAddr{IP: p.dst.AsSlice()}); err != nil {
		return false, err
	}
	if err := p.conn.SetReadDeadline(time.Now().Add(p.timeout)); err != nil {
		return false, err
	}
	for {
		n, from, err := p.conn.ReadFrom(p.buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if p.isReply(p.buf[:n], from, seq) {
			return true, nil
		}
	}
}

func (p *pinger) isReply(b []byte, from net.Addr, seq int) bool {
	msg, err := icmp.ParseMessage(p.protocol, b)
	if err != nil || msg.Type != p.reply {
		return false
	}
	echo, ok := msg.Body.(*icmp.Echo)
	if !ok || echo.ID != p.id || echo.Seq != seq&0xffff || !bytes.Equal(echo.Data, p.data) {
		return false
	}
	ip, ok := from.(*net.IPAddr)
	if !ok {
		return false
	}
	addr, _ := netip.AddrFromSlice(ip.IP)
	return addr.Unmap() == p.dst
}
