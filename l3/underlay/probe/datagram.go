package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l3/ip"
)

// datagrams sends UDP to the port of VXLAN and hears what ICMP says of it, from the
// socket's error queue (ip(7), IP_RECVERR). An error comes with the address that the
// datagram went to, so that one socket does for all.
type datagrams struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	six  bool
	port uint16
}

func openDatagrams(own netip.Addr, port uint16) (*datagrams, error) {
	network := "udp4"
	if own.Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(own, 0)))
	if err != nil {
		return nil, fmt.Errorf("open a UDP socket for probes: %w", err)
	}
	d := &datagrams{conn: conn, six: own.Is6(), port: port}
	if d.raw, err = conn.SyscallConn(); err == nil {
		err = d.setUp()
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("set up a UDP socket for probes: %w", err)
	}
	return d, nil
}

// setUp has datagrams go out whole, whatever is known of the path, and errors come in.
func (d *datagrams) setUp() error {
	var set error
	err := d.raw.Control(func(fd uintptr) {
		if d.six {
			set = errors.Join(
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1))
			return
		}
		set = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1))
	})
	return errors.Join(err, set)
}

// send sends a datagram of the target's length. It is zero bytes only, and so a VXLAN
// packet whose I flag is not set.
func (d *datagrams) send(t Target) {
	headers := ip.IPv4HeaderLen
	if d.six {
		headers = ip.IPv6HeaderLen
	}
	const udpHeader = 8
	// An error is one of this host's, which is in the queue too, or one of a datagram
	// before.
	_, _ = d.conn.WriteToUDPAddrPort(make([]byte, t.Size-headers-udpHeader), netip.AddrPortFrom(t.Addr, d.port))
}

// hear hears errors until the socket is closed.
func (d *datagrams) hear(a *asking) {
	oob := make([]byte, 512)
	for {
		var n, flags int
		var to unix.Sockaddr
		var err error
		rawErr := d.raw.Read(func(fd uintptr) bool {
			_, n, flags, to, err = unix.Recvmsg(int(fd), nil, oob, unix.MSG_ERRQUEUE)
			return !errors.Is(err, unix.EAGAIN)
		})
		if isClosed(rawErr) {
			return
		}
		if rawErr != nil {
			time.Sleep(pause) // an error alone, without room to send, is no event to the runtime
		}
		if rawErr != nil || err != nil || flags&unix.MSG_CTRUNC != 0 {
			continue
		}
		if said, ok := parseError(oob[:n]); ok {
			said.note(a, addrOf(to))
		}
	}
}

func (d *datagrams) close() error { return d.conn.Close() }

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

// icmpError is what the kernel has of an error (struct sock_extended_err).
type icmpError struct {
	local bool // this host's own
	six   bool
	kind  uint8
	code  uint8
	info  uint32     // where the packet was too long: what is carried
	by    netip.Addr // who sent the ICMP message
}

// parseError finds an error in control messages.
func parseError(oob []byte) (e icmpError, ok bool) {
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return icmpError{}, false
	}
	for _, m := range all {
		is4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		is6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if is4 || is6 {
			return parseExtended(m.Data)
		}
	}
	return icmpError{}, false
}

// parseExtended reads struct sock_extended_err (errno, origin, type, code, padding,
// info, data), and the address of the offender behind it.
func parseExtended(b []byte) (e icmpError, ok bool) {
	const size, originAt, infoAt = 16, 4, 8
	if len(b) < size {
		return icmpError{}, false
	}
	e = icmpError{kind: b[originAt+1], code: b[originAt+2], info: binary.NativeEndian.Uint32(b[infoAt:])}
	switch b[originAt] {
	case unix.SO_EE_ORIGIN_LOCAL:
		e.local = binary.NativeEndian.Uint32(b) == uint32(unix.EMSGSIZE)
		return e, e.local
	case unix.SO_EE_ORIGIN_ICMP:
	case unix.SO_EE_ORIGIN_ICMP6:
		e.six = true
	default:
		return icmpError{}, false
	}
	e.by = offender(b[size:])
	return e, true
}

// offender reads a struct sockaddr_in or sockaddr_in6.
func offender(b []byte) netip.Addr {
	switch {
	case len(b) >= 8 && binary.NativeEndian.Uint16(b) == unix.AF_INET:
		return netip.AddrFrom4([4]byte(b[4:8]))
	case len(b) >= 24 && binary.NativeEndian.Uint16(b) == unix.AF_INET6:
		return netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	}
	return netip.Addr{}
}

// note tells what an error means for the target that the datagram went to.
func (e *icmpError) note(a *asking, to netip.Addr) {
	switch {
	case e.local || e.isTooBig():
		a.tooBig(to, int(e.info), e.by)
	case e.isPortUnreachable() && e.by == to: // a firewall on the way may say so as well
		a.note(to, func(is *Answer) { is.Refused = true })
	}
}

// ICMP types and codes beside those of l3/ip (RFC 792, RFC 4443 section 3.1).
const (
	icmpCodePort    = 3
	icmp6CodePort   = 4
	icmp6Unreached  = 1
	icmp6PacketSize = 2
)

func (e *icmpError) isTooBig() bool {
	if e.six {
		return e.kind == icmp6PacketSize
	}
	return e.kind == ip.ICMPUnreachable && e.code == ip.ICMPCodeFragmentation
}

func (e *icmpError) isPortUnreachable() bool {
	if e.six {
		return e.kind == icmp6Unreached && e.code == icmp6CodePort
	}
	return e.kind == ip.ICMPUnreachable && e.code == icmpCodePort
}

func addrOf(a unix.Sockaddr) netip.Addr {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr)
	}
	return netip.Addr{}
}
