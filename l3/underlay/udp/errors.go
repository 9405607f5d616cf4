package udp

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// What Open's errors wrap where it is one of these.
var (
	ErrNoAddress    = errors.New("the address is not on this machine")
	ErrPortTaken    = errors.New("the UDP port is taken")
	ErrNotPermitted = errors.New("not permitted")
)

// IsPortTaken reports whether an error of Open says that somebody else, a
// kernel's vxlan device or another process, has the UDP port.
func IsPortTaken(err error) bool { return errors.Is(err, ErrPortTaken) }

// explain says what an error of Open means and what to do about it.
func (cfg *Config) explain(err error) error {
	at := netip.AddrPortFrom(cfg.Address, cfg.Port)
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("underlay %v: %w: `ip address show` lists what it has; a new IPv6 address can be used once it is no longer tentative: %w", at, ErrNoAddress, err)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("underlay %v: %w: stop the other gateway or process (`ss -ulpn` names it), delete the kernel's vxlan device on this port (`ip -d link show type vxlan`), or choose another port: %w", at, ErrPortTaken, err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("underlay %v: %w: run as root or with CAP_NET_RAW and CAP_NET_ADMIN, for a port below 1024 also CAP_NET_BIND_SERVICE: %w", at, ErrNotPermitted, err)
	}
	return fmt.Errorf("underlay %v: %w", at, err)
}

// SendError is why the kernel refused a datagram.
type SendError struct {
	To  netip.Addr
	Err error // an unix.Errno, or net.ErrClosed
}

// Error says what happened and where to look.
func (e *SendError) Error() string {
	if hint := hint(e.Err); hint != "" {
		return fmt.Sprintf("send to VTEP %v: %v: %s", e.To, e.Err, hint)
	}
	return fmt.Sprintf("send to VTEP %v: %v", e.To, e.Err)
}

// Unwrap returns Err.
func (e *SendError) Unwrap() error { return e.Err }

func hint(err error) string {
	errno, ok := err.(unix.Errno)
	if !ok {
		return ""
	}
	switch errno {
	case unix.EMSGSIZE:
		return "longer than the underlay's MTU"
	case unix.EPERM:
		return "a firewall rule drops it on its way out"
	case unix.EACCES:
		return "the route is a prohibit route, or it is a broadcast address"
	case unix.ENETUNREACH:
		return "there is no route"
	case unix.EHOSTUNREACH:
		return "the route is an unreachable route"
	case unix.EINVAL:
		return "the route is a blackhole route, or this machine no longer has the VTEP address"
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		return "more to send than the underlay takes"
	case unix.ENETDOWN, unix.ENODEV, unix.ENXIO:
		return "the underlay's device is down or gone"
	case unix.EAFNOSUPPORT:
		return "it is not of the address family of this VTEP"
	}
	return ""
}

// status is what a refusal means for the datagram. EINVAL stays Failed: the
// kernel says it of a blackhole route as well as of a lost VTEP address, and
// who follows the host's addresses knows which.
func status(errno unix.Errno) frame.Status {
	switch errno {
	case 0:
		return frame.Sent
	case unix.EMSGSIZE:
		return frame.TooBig
	case unix.ENETDOWN, unix.ENODEV, unix.ENXIO:
		return frame.Down
	}
	return frame.Failed
}
