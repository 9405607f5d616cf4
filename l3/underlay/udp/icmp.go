package udp

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"vxgw/l3/ip"
)

// maxICMP is more than any ICMP message is long, in bytes.
const maxICMP = 1 << 16

// tooBigs listens for what routers say of packets that were too long for them.
// It has a goroutine of its own, which ends when the socket fails or is closed.
type tooBigs struct {
	conn net.PacketConn
	done chan struct{}
}

// openTooBigs never fails an Open: without it the underlay carries what it
// carried before routers could speak.
func openTooBigs(cfg *Config) *tooBigs {
	conn, err := listenICMP(cfg)
	if err != nil {
		cfg.lack(err)
		return nil
	}
	t := &tooBigs{conn, make(chan struct{})}
	go t.run(*cfg)
	return t
}

func (t *tooBigs) run(cfg Config) {
	defer close(t.done)
	buf := make([]byte, maxICMP)
	for {
		n, _, err := t.conn.ReadFrom(buf)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				cfg.lack(err)
			}
			return
		}
		if to, mtu, ok := parseTooBig(buf[:n], cfg.Address, cfg.Port); ok {
			cfg.OnTooBig(to, mtu)
		}
	}
}

func (t *tooBigs) close() error {
	err := t.conn.Close()
	<-t.done
	return err
}

func (cfg *Config) lack(err error) {
	if cfg.Lacks != nil {
		cfg.Lacks(fmt.Errorf("routers cannot be heard: what is too long for a link on the way is lost unnoticed: %w", err))
	}
}

// listenICMP makes a socket that the kernel gives a copy of the ICMP messages
// to, once the host's firewall has let them in. Everything but what routers say
// of packets that are too long is filtered out.
func listenICMP(cfg *Config) (net.PacketConn, error) {
	protocol, filter := ip.ProtoICMP, onlyFragmentationNeeded
	if cfg.Address.Is6() {
		protocol, filter = ip.ProtoICMPv6, onlyPacketTooBig
	}
	conn, err := listen(fmt.Sprintf("%s:%d", family(cfg, "ip"), protocol), cfg.Address.String(), filter)
	if err != nil {
		return nil, fmt.Errorf("ICMP socket: %w", err)
	}
	return conn, nil
}

// onlyFragmentationNeeded has a socket take destination unreachable with code 4
// (RFC 1191 section 4) only. Other types are left out before a message is copied
// for the socket, and types above 31, which that filter does not know, and other
// codes before it is queued.
func onlyFragmentationNeeded(fd int) error {
	if err := (option{"ICMP_FILTER", unix.SOL_RAW, unix.ICMP_FILTER, ^(1 << ip.ICMPUnreachable)}).set(fd); err != nil {
		return err
	}
	return attach(fd, []bpf.Instruction{
		bpf.LoadMemShift{Off: 0}, // the IPv4 header's length
		bpf.LoadIndirect{Off: 0, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: ip.ICMPUnreachable<<8 | ip.ICMPCodeFragmentation, SkipFalse: 1},
		bpf.RetConstant{Val: maxICMP},
		bpf.RetConstant{Val: 0},
	})
}

// onlyPacketTooBig has a socket take packet too big (RFC 4443 section 3.2) only.
func onlyPacketTooBig(fd int) error {
	var blocked unix.ICMPv6Filter // a bit for each type (RFC 3542 section 3.2)
	for i := range blocked.Data {
		blocked.Data[i] = ^uint32(0)
	}
	blocked.Data[ip.ICMPv6PacketTooBig/32] &^= 1 << (ip.ICMPv6PacketTooBig % 32)
	return os.NewSyscallError("set ICMPV6_FILTER", unix.SetsockoptICMPv6Filter(fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &blocked))
}
