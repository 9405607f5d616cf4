package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"vxgw/l3/underlay/udp"
)

const grant = "run it as root, or with AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF CAP_PERFMON in its systemd unit, or --cap-add NET_RAW --cap-add NET_ADMIN --cap-add BPF --cap-add PERFMON in a container"

// CheckRights tries what the edges of Linux need of the kernel. An error is
// something that no waiting mends; what is only slower without is logged.
func CheckRights(log *slog.Logger) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("this process may not send and receive frames, it needs CAP_NET_RAW: %s", grant)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return errors.New("this kernel has no packet sockets: modprobe af_packet; in a systemd unit RestrictAddressFamilies= must name AF_PACKET")
	case err != nil:
		return fmt.Errorf("no packet socket can be made: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	if got := grantedBuffer(fd); got < udp.DefaultBuffer {
		log.Warn("socket buffers are smaller than they should be: bursts may be lost as rx_overflow",
			"bytes", got, "wanted", udp.DefaultBuffer,
			"mend", fmt.Sprintf("grant CAP_NET_ADMIN, or sysctl -w net.core.rmem_max=%d net.core.wmem_max=%[1]d", udp.DefaultBuffer))
	}
	return nil
}

// grantedBuffer returns the size in bytes that the kernel lets a receive buffer
// have of the size that sockets ask for.
func grantedBuffer(fd int) int {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, udp.DefaultBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, udp.DefaultBuffer)
	}
	doubled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF) // socket(7)
	if err != nil {
		return 0
	}
	return doubled / 2
}
