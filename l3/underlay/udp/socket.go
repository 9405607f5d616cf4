package udp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// option is one integer socket option.
type option struct {
	name       string
	level, opt int
	value      int
}

func (o option) set(fd int) error {
	if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
		return fmt.Errorf("set %s: %w", o.name, err)
	}
	return nil
}

// listen makes a socket, has prepare look at it before it gets its address, and
// binds it.
func listen(network, address string, prepare func(fd int) error) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, prepare)
	}}
	return lc.ListenPacket(context.Background(), network, address)
}

// control runs f on a socket.
func control(c syscall.RawConn, f func(fd int) error) error {
	var ferr error
	if err := c.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}

// listenUDP makes the socket of one receive queue.
//
// Queues share their port by SO_REUSEPORT, which would let any other process of
// the same user in, a second gateway with half of the packets. So the first
// queue binds without it, which fails when anybody has the port, and becomes
// ready to share only then. A second gateway's first queue cannot get in beside
// that. A single queue never shares.
func listenUDP(cfg *Config, queue int) (*net.UDPConn, error) {
	first, share := queue == 0, cfg.Queues > 1
	pc, err := listen(family(cfg, "udp"), netip.AddrPortFrom(cfg.Address, cfg.Port).String(), func(fd int) error {
		if err := setAll(fd, receiveOptions(cfg)); err != nil {
			return err
		}
		if !first {
			if err := reusePort.set(fd); err != nil {
				return err
			}
		}
		return setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, cfg.ReceiveBuffer)
	})
	if err != nil {
		return nil, err
	}
	c := pc.(*net.UDPConn)
	if first && share {
		raw, err := c.SyscallConn()
		if err == nil {
			err = control(raw, reusePort.set)
		}
		if err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return c, nil
}

var reusePort = option{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}

func receiveOptions(cfg *Config) []option {
	if cfg.Address.Is4() {
		return append([]option{
			{"IP_RECVTOS", unix.SOL_IP, unix.IP_RECVTOS, 1},
			{"IP_RECVFRAGSIZE", unix.SOL_IP, unix.IP_RECVFRAGSIZE, 1},
			{"IP_PKTINFO", unix.SOL_IP, unix.IP_PKTINFO, 1},
		}, cfg.gro...)
	}
	opts := append([]option{
		{"IPV6_RECVTCLASS", unix.SOL_IPV6, unix.IPV6_RECVTCLASS, 1},
		{"IPV6_RECVFRAGSIZE", unix.SOL_IPV6, unix.IPV6_RECVFRAGSIZE, 1},
		{"IPV6_RECVPKTINFO", unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1},
	}, cfg.gro...)
	if cfg.ZeroChecksum6 {
		opts = append(opts, option{"UDP_NO_CHECK6_RX", unix.SOL_UDP, unix.UDP_NO_CHECK6_RX, 1})
	}
	return opts
}

// listenRaw makes a socket that sends packets whose IP header is already there.
func listenRaw(cfg *Config) (*net.IPConn, error) {
	pc, err := listen(family(cfg, "ip")+":255", cfg.Address.String(), func(fd int) error {
		if err := setAll(fd, sendOptions(cfg)); err != nil {
			return err
		}
		if err := refuseAll(fd); err != nil {
			return err
		}
		return setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, cfg.SendBuffer)
	})
	if err != nil {
		return nil, err
	}
	return pc.(*net.IPConn), nil
}

// sendOptions keep the kernel from fragmenting: with PMTUDISC_PROBE it looks at
// the device's MTU and at nothing it has learned of the path, and what is longer
// comes back as EMSGSIZE. RECVERR has it say so, by ENOBUFS, when the device's
// queue is full. What else it puts aside for a reader of errors stays within the
// receive buffer, which is made small.
//
// Packets to a group come back to this machine's own members of it, of which
// another gateway may be one.
func sendOptions(cfg *Config) []option {
	if cfg.Address.Is4() {
		return []option{
			{"IP_HDRINCL", unix.SOL_IP, unix.IP_HDRINCL, 1},
			{"IP_MTU_DISCOVER", unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE},
			{"IP_RECVERR", unix.SOL_IP, unix.IP_RECVERR, 1},
			{"SO_BROADCAST", unix.SOL_SOCKET, unix.SO_BROADCAST, 0},
			{"IP_MULTICAST_LOOP", unix.SOL_IP, unix.IP_MULTICAST_LOOP, 1},
			{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 0},
		}
	}
	return []option{
		{"IPV6_HDRINCL", unix.SOL_IPV6, unix.IPV6_HDRINCL, 1},
		{"IPV6_MTU_DISCOVER", unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE},
		{"IPV6_RECVERR", unix.SOL_IPV6, unix.IPV6_RECVERR, 1},
		{"IPV6_MULTICAST_LOOP", unix.SOL_IPV6, unix.IPV6_MULTICAST_LOOP, 1},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 0},
	}
}

// setGroupInterface says by which interface a sending socket's packets to groups
// leave. Without it IPv4 takes the one that holds the source address, IPv6 the
// first that has a route to all groups. All else, the TTL among it, is as the
// header says: the option for that is for headers that the kernel writes.
func setGroupInterface(fd, index int, v6 bool) error {
	if v6 {
		return option{"IPV6_MULTICAST_IF", unix.SOL_IPV6, unix.IPV6_MULTICAST_IF, index}.set(fd)
	}
	err := unix.SetsockoptIPMreqn(fd, unix.SOL_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)})
	return os.NewSyscallError("set IP_MULTICAST_IF", err)
}

// refuseAll keeps packets out of a socket that nobody reads. raw(7) says that
// an IPPROTO_RAW socket receives nothing; it receives packets of protocol 255.
func refuseAll(fd int) error { return attach(fd, []bpf.Instruction{bpf.RetConstant{Val: 0}}) }

// attach gives a socket a filter.
func attach(fd int, filter []bpf.Instruction) error {
	prog, err := bpf.Assemble(filter)
	if err != nil {
		return err
	}
	ins := make([]unix.SockFilter, len(prog))
	for i, p := range prog {
		ins[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(ins)), Filter: &ins[0]})
	return os.NewSyscallError("attach filter", err)
}

func setAll(fd int, opts []option) error {
	for _, o := range opts {
		if err := o.set(fd); err != nil {
			return err
		}
	}
	return nil
}

// setBuffer sets a buffer's size beyond the host's limit if it may, and up to
// the limit if not.
func setBuffer(fd, force, plain, size int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) == nil {
		return nil
	}
	return option{"buffer size", unix.SOL_SOCKET, plain, size}.set(fd)
}

func family(cfg *Config, network string) string {
	if cfg.Address.Is4() {
		return network + "4"
	}
	return network + "6"
}
