package path

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// genericFamily is a generic netlink family, as this boot of the kernel numbers it. The
// zero value is one that it does not have.
type genericFamily struct {
	id    uint16
	group int // of the notifications
}

// netdevFamily asks for the family that tells of XDP (Documentation/netlink/specs/
// netdev.yaml), which is there from Linux 6.3 on.
func netdevFamily() (genericFamily, error) {
	h, err := netlink.NewHandle(unix.NETLINK_GENERIC)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return genericFamily{}, nil
	} else if err != nil {
		return genericFamily{}, fmt.Errorf("open a generic netlink socket: %w", err)
	}
	defer h.Close()
	f, err := h.GenlFamilyGet("netdev")
	if errors.Is(err, unix.ENOENT) {
		return genericFamily{}, nil
	} else if err != nil {
		return genericFamily{}, fmt.Errorf("ask for the netdev family: %w", err)
	}
	for _, g := range f.Groups {
		if g.Name == "mgmt" {
			return genericFamily{f.ID, int(g.ID)}, nil
		}
	}
	return genericFamily{}, nil
}

// dump asks for every device.
//
// It is not the library's: newer kernels leave NLM_F_MULTI out of these messages,
// and the library takes the first without it for the last. Devices that come and go
// meanwhile are notified of.
func (f genericFamily) dump(s *nl.NetlinkSocket) (all []message, err error) {
	req := nl.NewNetlinkRequest(int(f.id), unix.NLM_F_DUMP)
	req.AddRawData([]byte{netdevGet, 1, 0, 0}) // struct genlmsghdr: command, version, reserved
	if err := s.Send(req); err != nil {
		return nil, err
	}
	for {
		msgs, from, err := s.Receive()
		if err != nil {
			return nil, err
		}
		if from.Pid != nl.PidKernel {
			continue
		}
		for _, m := range msgs {
			switch {
			case m.Header.Seq != req.Seq: // of a request that was given up
			case m.Header.Type == f.id:
				all = append(all, message{ofNetdev, m.Data})
			case m.Header.Type == unix.NLMSG_DONE, m.Header.Type == unix.NLMSG_ERROR:
				return all, failure(m.Data)
			}
		}
	}
}

// failure reads how a request ended: with 0, or the negative of an error's number.
func failure(b attr) error {
	if n := -int32(b.uint32()); n != 0 {
		return unix.Errno(n)
	}
	return nil
}
