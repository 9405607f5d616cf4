// Package echo sends ICMP and ICMPv6 echo requests of exact lengths that are not to be
// fragmented, and hears the replies. By them the gateway finds out how long a packet the
// path to a VTEP carries (see l3/plpmtu): every IP stack answers them, which cannot be
// said of any packet of VXLAN.
package echo

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"vxgw/l3/ip"
)

// Numbers of the protocols, for the ICMP library.
const (
	protoICMP   = 1
	protoICMPv6 = 58
)

// Least is the shortest packet that can be sent, in bytes of IPv6 packet: headers and a
// token by which replies are told from others'.
const Least = ip.IPv6HeaderLen + headerLen + tokenLen

const (
	headerLen = 8 // of an echo message
	tokenLen  = 8
)

// Socket sends requests from one address. Its methods may be called by several
// goroutines, Read by one at a time.
type Socket struct {
	conn  *net.IPConn
	own   netip.Addr
	id    int
	token [tokenLen]byte
	seq   atomic.Uint32
	buf   []byte // of Read
}

// Open returns a socket that sends from own, an address of this host, in the network
// namespace of the calling thread. The error wraps unix.EPERM without CAP_NET_RAW, and
// unix.EADDRNOTAVAIL while nobody holds the address.
func Open(own netip.Addr) (*Socket, error) {
	network := "ip4:icmp"
	if own.Is6() {
		network = "ip6:ipv6-icmp"
	}
	conn, err := net.ListenIP(network, &net.IPAddr{IP: own.AsSlice()})
	if err != nil {
		return nil, fmt.Errorf("open a socket for ICMP echo: %w", err)
	}
	s := &Socket{conn: conn, own: own, buf: make([]byte, 1<<16)}
	if err := s.setUp(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("set up a socket for ICMP echo: %w", err)
	}
	return s, nil
}

// setUp has packets go out whole, whatever is known of the path, and replies alone come
// in.
func (s *Socket) setUp() error {
	var id [2]byte
	rand.Read(id[:]) // it never fails
	rand.Read(s.token[:])
	s.id = int(binary.BigEndian.Uint16(id[:]))
	var whole error
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Control(func(fd uintptr) {
		if s.own.Is4() {
			whole = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		} else {
			whole = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
		}
	})
	if err == nil {
		err = whole
	}
	if err != nil {
		return err
	}
	if s.own.Is4() {
		var f ipv4.ICMPFilter
		f.SetAll(true)
		f.Accept(ipv4.ICMPTypeEchoReply)
		return ipv4.NewPacketConn(s.conn).SetICMPFilter(&f)
	}
	var f ipv6.ICMPFilter
	f.SetAll(true)
	f.Accept(ipv6.ICMPTypeEchoReply)
	return ipv6.NewPacketConn(s.conn).SetICMPFilter(&f)
}

// headers returns how many bytes of an IP packet are not the echo message's data.
func (s *Socket) headers() int {
	if s.own.Is4() {
		return ip.IPv4HeaderLen + headerLen
	}
	return ip.IPv6HeaderLen + headerLen
}

// Send sends a request of size bytes of IP packet, Least..65535, that no router may
// fragment. The error wraps unix.EMSGSIZE when the first link does not carry it.
func (s *Socket) Send(to netip.Addr, size int) error {
	if size < Least || size > 65535 {
		return fmt.Errorf("ICMP echo of %d bytes: %d to 65535 can be sent", size, Least)
	}
	var kind icmp.Type = ipv4.ICMPTypeEcho
	if s.own.Is6() {
		kind = ipv6.ICMPTypeEchoRequest
	}
	data := make([]byte, size-s.headers())
	copy(data, s.token[:])
	m := icmp.Message{Type: kind, Body: &icmp.Echo{ID: s.id, Seq: int(uint16(s.seq.Add(1))), Data: data}}
	b, err := m.Marshal(nil) // of ICMPv6 the kernel fills the checksum in
	if err != nil {
		return err
	}
	_, err = s.conn.WriteToIP(b, &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()})
	return err
}

// Read waits for a reply to a request of this socket, and returns whose it is and how
// long the request was, in bytes of IP packet. What is not such a reply it passes over.
// After Close the error wraps net.ErrClosed.
func (s *Socket) Read() (from netip.Addr, size int, err error) {
	for {
		n, addr, err := s.conn.ReadFromIP(s.buf)
		if err != nil {
			return netip.Addr{}, 0, err
		}
		if !s.isReply(s.buf[:n]) {
			continue
		}
		from, _ = netip.AddrFromSlice(addr.IP)
		return from.Unmap().WithZone(""), n - headerLen + s.headers(), nil
	}
}

// isReply reports whether a message answers one of this socket's.
func (s *Socket) isReply(b []byte) bool {
	proto := protoICMP
	if s.own.Is6() {
		proto = protoICMPv6
	}
	m, err := icmp.ParseMessage(proto, b)
	if err != nil || m.Type != ipv4.ICMPTypeEchoReply && m.Type != ipv6.ICMPTypeEchoReply {
		return false
	}
	e, ok := m.Body.(*icmp.Echo)
	return ok && e.ID == s.id && len(e.Data) >= tokenLen && [tokenLen]byte(e.Data) == s.token
}

// Close ends a Read that waits.
func (s *Socket) Close() error { return s.conn.Close() }
