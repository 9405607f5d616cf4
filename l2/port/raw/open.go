package raw

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// name is what the interface is called in messages.
func (c Config) name() string {
	if c.Interface == "" {
		return "number " + strconv.Itoa(c.Index)
	}
	return c.Interface
}

func (c Config) index() (int, error) {
	if c.Index != 0 {
		return c.Index, nil
	}
	ifi, err := net.InterfaceByName(c.Interface)
	if err != nil {
		return 0, fmt.Errorf("%w: see `ip link`", unix.ENODEV)
	}
	return ifi.Index, nil
}

// open makes a Port, asking for virtio-net headers by means of setVnet.
func open(cfg Config, setVnet func(socket) error) (_ *Port, err error) {
	index, err := cfg.index()
	if err != nil {
		return nil, err
	}
	p := &Port{}
	if p.tx, err = OpenSender(index, cfg.Express); err != nil {
		return nil, err
	}
	if err := p.setUp(cfg, index, setVnet); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// setUp opens the sockets and sets their options before frames come in: none is
// ever queued that the options were not in force for.
func (p *Port) setUp(cfg Config, index int, setVnet func(socket) error) error {
	if err := setVnet(p.tx); err != nil {
		p.features.Offload = fmt.Errorf("no PACKET_VNET_HDR (%w): turn the offloads of %s and of what is behind it off: ethtool -K %s gro off lro off; ethtool -K PEER tx off tso off gso off", err, cfg.name(), cfg.name())
		setVnet = nil
	}
	p.features.SendBuffer = setBuffer(p.tx, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, cfg.SendBuffer)
	return p.rx.open(cfg, index, setVnet, &p.features)
}

// open opens the sockets of all queues, and has frames come in when the last of
// them is ready. Before, each would get what is meant for another.
func (q *queues) open(cfg Config, index int, setVnet func(socket) error, got *Features) error {
	n := max(cfg.Queues, 1)
	cfg.RingBytes = max(cmp.Or(cfg.RingBytes, DefaultBuffer)/n, 1)
	cfg.Split = once(cfg.Split)
	for i := range n {
		in, err := openIntake(cfg, index, setVnet, got)
		if err != nil {
			return err
		}
		q.all = append(q.all, in)
		if err := in.addRing(cfg, index); err != nil && i == 0 {
			got.Ring, cfg.Split = err, nil
		} else if err != nil && got.Ring == nil {
			// A queue without a ring gets what the others' rings get, too.
			q.all = q.all[:i]
			if err := in.close(); err != nil {
				return err
			}
			break
		}
	}
	return q.begin(index)
}

// openIntake opens an intake without a ring. With a nil setVnet frames come without
// virtio-net headers.
func openIntake(cfg Config, index int, setVnet func(socket) error, got *Features) (*intake, error) {
	rx, raw, err := listen(index, packet.Raw, nil)
	if err != nil {
		return nil, err
	}
	in := &intake{}
	in.rest.init(rx, raw)
	if err := in.rest.setUp(cfg); err != nil {
		return nil, errors.Join(err, in.close())
	}
	if setVnet != nil {
		if err := setVnet(raw); err != nil {
			return nil, errors.Join(fmt.Errorf("set PACKET_VNET_HDR: %w", err), in.close())
		}
		in.rest.vnetLen = vnetLen
	}
	got.ReceiveBuffer = setBuffer(raw, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, cfg.ReceiveBuffer)
	return in, nil
}

// once has split asked once, whatever the number of queues. They have the same
// slots.
func once(split func(int) (Split, error)) func(int) (Split, error) {
	if split == nil {
		return nil
	}
	var asked bool
	var s Split
	var err error
	return func(room int) (Split, error) {
		if !asked {
			s, err = split(room)
			asked = true
		}
		return s, err
	}
}

// begin has frames come in.
func (q *queues) begin(index int) error {
	var f fanout
	for _, in := range q.all {
		if err := cmp.Or(in.deafen(), in.bind(index)); err != nil {
			return err
		}
		if len(q.all) > 1 {
			if err := f.join(in); err != nil {
				return err
			}
		}
	}
	for _, in := range q.all {
		if err := in.hear(); err != nil {
			return err
		}
	}
	return nil
}

// setUp sets the options of the receiving socket that it cannot do without.
func (r *receiver) setUp(cfg Config) error {
	if err := cmp.Or(mustBeEthernet(r.raw), setReceiveOptions(r.raw)); err != nil {
		return err
	}
	if cfg.Promiscuous {
		if err := r.conn.SetPromiscuous(true); err != nil {
			return fmt.Errorf("promiscuous mode: %w", err)
		}
	}
	return nil
}

// listen makes a packet socket that belongs to an interface, or to all when
// index is 0. With protocol 0 no frame comes in, until bind.
func listen(index int, typ packet.Type, filter []bpf.RawInstruction) (*packet.Conn, syscall.RawConn, error) {
	conn, err := packet.Listen(&net.Interface{Index: index}, typ, 0, &packet.Config{Filter: filter})
	if err != nil {
		return nil, nil, explain(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, raw, nil
}

// explain adds what to do to an error of making a socket.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("needs CAP_NET_RAW: run as root, or with AmbientCapabilities=CAP_NET_RAW in the systemd unit: %w", err)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("no such interface, see `ip link`: %w", err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("this kernel has no packet sockets: load the module af_packet: %w", err)
	}
	return err
}

// bind has the frames of an EtherType come in.
func bind(raw socket, etherType uint16, index int) error {
	return control(raw, func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(etherType), Ifindex: index})
	})
}

// networkOrder returns v as its two bytes are read in the machine's byte order.
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// socket is something with a descriptor: a syscall.RawConn, or a Sender.
type socket interface {
	Control(f func(fd uintptr)) error
}

// control runs f with the socket's descriptor and returns its error.
func control(raw socket, f func(fd int) error) error {
	var err error
	if cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

func setOption(raw socket, name string, level, option int) error {
	err := control(raw, func(fd int) error { return unix.SetsockoptInt(fd, level, option, 1) })
	if err != nil {
		return fmt.Errorf("set %s, which needs Linux 5.15 or newer: %w", name, err)
	}
	return nil
}

// setReceiveOptions asks for the kernel's notes on each frame, and for no copies
// of what this machine itself sends.
func setReceiveOptions(raw socket) error {
	return cmp.Or(
		setOption(raw, "PACKET_AUXDATA", unix.SOL_PACKET, unix.PACKET_AUXDATA),
		setOption(raw, "PACKET_IGNORE_OUTGOING", unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING),
	)
}

func setVnetHeader(raw socket) error {
	return control(raw, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1)
	})
}

// setBuffer sets a buffer's size past the system's limit where that is allowed
// (CAP_NET_ADMIN), else up to it, and returns the size granted.
func setBuffer(raw socket, force, plain, size int) (granted int) {
	size = cmp.Or(size, DefaultBuffer)
	_ = control(raw, func(fd int) error {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
		}
		doubled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, plain) // socket(7), SO_RCVBUF
		granted = doubled / 2
		return err
	})
	return granted
}

// mustBeEthernet refuses devices whose frames have no Ethernet header.
func mustBeEthernet(raw socket) error {
	sa, err := address(raw)
	if err != nil {
		return err
	}
	if sa.Hatype != unix.ARPHRD_ETHER {
		return fmt.Errorf("not an Ethernet interface (its ARP hardware type is %d): an access port must be one", sa.Hatype)
	}
	return nil
}

func address(raw socket) (*unix.SockaddrLinklayer, error) {
	var sa unix.Sockaddr
	err := control(raw, func(fd int) (err error) {
		sa, err = unix.Getsockname(fd)
		return err
	})
	if err != nil {
		return nil, err
	}
	ll, ok := sa.(*unix.SockaddrLinklayer)
	if !ok {
		return nil, fmt.Errorf("a packet socket has an address of type %T", sa)
	}
	return ll, nil
}
