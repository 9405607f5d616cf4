package path

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// IsPromiscuous reports whether the interface with an index was told, as `ip link` shows
// it, to hand on frames for others, whatever sockets ask of it. The error wraps
// unix.ENODEV where it is gone.
func IsPromiscuous(index int) (bool, error) {
	l, err := netlink.LinkByIndex(index)
	if err != nil {
		return false, promiscError(index, err)
	}
	return l.Attrs().RawFlags&unix.IFF_PROMISC != 0, nil
}

// SetPromiscuous tells the interface with an index to hand on frames for others, or the
// contrary. The error wraps unix.ENODEV where it is gone.
func SetPromiscuous(index int, is bool) error {
	set := netlink.SetPromiscOff
	if is {
		set = netlink.SetPromiscOn
	}
	return promiscError(index, set(byIndex(index)))
}

func promiscError(index int, err error) error {
	if err == nil {
		return nil
	}
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		err = unix.ENODEV
	}
	return fmt.Errorf("promiscuous mode of interface %d: %w", index, err)
}
