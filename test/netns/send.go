package netns

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// Send sends frames out of dev as they are, in order: nothing is padded, a tag
// is part of the bytes. A frame may be up to the device's MTU plus a header
// and one tag long.
func (n *NS) Send(dev string, frames ...[]byte) error {
	link, err := n.link(dev)
	if err != nil {
		return err
	}
	err = n.Do(func() error { return send(link.Attrs().Index, frames) })
	if err != nil {
		return fmt.Errorf("%v: send on %s: %w", n, dev, err)
	}
	return nil
}

func send(index int, frames [][]byte) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for i, f := range frames {
		to := &unix.SockaddrLinklayer{Ifindex: index}
		if len(f) >= frame.HeaderLen {
			to.Protocol = bigEndian(frame.Frame(f).Type())
		}
		if err := unix.Sendto(fd, f, 0, to); err != nil {
			return fmt.Errorf("frame %d of %d (%d bytes): %w", i+1, len(frames), len(f), err)
		}
	}
	return nil
}

// SendVirtio sends a frame behind a virtio-net header (virtio 1.2, section 5.1.6,
// the legacy form of ten bytes in the machine's byte order), as a hypervisor or a
// driver may hand it over. The kernel looks at the header and refuses what makes
// no sense to it; the error is its own then.
func (n *NS) SendVirtio(dev string, header [10]byte, f []byte) error {
	link, err := n.link(dev)
	if err != nil {
		return err
	}
	err = n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
			return err
		}
		to := &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index}
		if len(f) >= frame.HeaderLen {
			to.Protocol = bigEndian(frame.Frame(f).Type())
		}
		return unix.Sendto(fd, append(header[:], f...), 0, to)
	})
	if err != nil {
		return fmt.Errorf("%v: send on %s: %w", n, dev, err)
	}
	return nil
}

// SendUDP sends one datagram from an address of the namespace.
func (n *NS) SendUDP(from, to netip.AddrPort, payload []byte) error {
	err := n.Do(func() error {
		conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write(payload)
		return err
	})
	if err != nil {
		return fmt.Errorf("%v: send UDP: %w", n, err)
	}
	return nil
}
