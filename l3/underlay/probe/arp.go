package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/neigh"
)

const (
	arpTries = 3
	arpWait  = 300 * time.Millisecond
)

// WhoHas asks on a link who else has an IPv4 address, as RFC 5227 section 2.1.1 has it:
// the question has no sender's address, and changes nobody's table. own is the link's
// MAC. found is false where nobody answers. The error wraps unix.EPERM without
// CAP_NET_RAW.
func WhoHas(ctx context.Context, link int, own frame.MAC, addr netip.Addr) (who frame.MAC, found bool, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return who, false, fmt.Errorf("open a socket for ARP: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	const arp = unix.ETH_P_ARP&0xff<<8 | unix.ETH_P_ARP>>8 // in network order
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arp, Ifindex: link}); err != nil {
		return who, false, fmt.Errorf("listen to ARP: %w", os.NewSyscallError("bind", err))
	}
	to := &unix.SockaddrLinklayer{Protocol: arp, Ifindex: link, Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	for range arpTries {
		if ctx.Err() != nil {
			break
		}
		if err := unix.Sendto(fd, arpProbe(own, addr), 0, to); err != nil {
			return who, false, fmt.Errorf("ask by ARP: %w", os.NewSyscallError("sendto", err))
		}
		if who, found = hearARP(fd, own, addr); found {
			break
		}
	}
	return who, found, nil
}

// arpProbe is a request without a sender's address.
func arpProbe(own frame.MAC, addr netip.Addr) []byte {
	b := make([]byte, neigh.ARPLen)
	binary.BigEndian.PutUint16(b, unix.ARPHRD_ETHER)
	binary.BigEndian.PutUint16(b[2:], unix.ETH_P_IP)
	b[4], b[5] = 6, 4 // lengths of the addresses
	binary.BigEndian.PutUint16(b[6:], neigh.ARPRequest)
	copy(b[8:], own[:])
	ip := addr.As4()
	copy(b[24:], ip[:])
	return b
}

// hearARP waits a while for somebody who says that he has the address.
func hearARP(fd int, own frame.MAC, addr netip.Addr) (who frame.MAC, found bool) {
	b := make([]byte, 128)
	for deadline := time.Now().Add(arpWait); ; {
		left := time.Until(deadline)
		if left <= 0 {
			return who, false
		}
		tv := unix.NsecToTimeval(max(left.Nanoseconds(), int64(time.Millisecond)))
		if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv) != nil {
			return who, false
		}
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil {
			continue // nothing in time, or a signal
		}
		if who, found = claims(b[:n], own, addr); found {
			return who, true
		}
	}
}

// claims reports whether an ARP message, of any operation, says that somebody else has
// the address.
func claims(b []byte, own frame.MAC, addr netip.Addr) (who frame.MAC, is bool) {
	a, ok := neigh.ParseARP(b)
	if !ok || a.Sender() != addr || a.SenderMAC() == own {
		return frame.MAC{}, false
	}
	return a.SenderMAC(), true
}
