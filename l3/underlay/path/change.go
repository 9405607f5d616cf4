package path

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// knownWithin is how long a change waits to be told back. Notifications may be
// lost: what is not known by then is found by a later look.
const knownWithin = time.Second

// change changes something of the host and returns when the Monitor knows of
// it, so that who looks next does not see what was before.
func (m *Monitor) change(do func(*netlink.Handle) error, known func(*state) bool) error {
	if err := m.request(do); err != nil {
		return err
	}
	m.await(known)
	return nil
}

// request runs do with the netlink handle.
func (m *Monitor) request(do func(*netlink.Handle) error) error {
	m.requests.RLock()
	defer m.requests.RUnlock()
	if m.handle == nil {
		return os.ErrClosed
	}
	return do(m.handle)
}

// await waits until what is known meets a condition, or for knownWithin.
func (m *Monitor) await(known func(*state) bool) {
	expired := time.NewTimer(knownWithin)
	defer expired.Stop()
	for {
		m.mu.RLock()
		ok, news := known(m.state), m.news
		m.mu.RUnlock()
		if ok || m.closed.Load() {
			return
		}
		select {
		case <-news:
		case <-expired.C:
			return
		}
	}
}

// byIndex is a link as requests name it. Names can change hands.
func byIndex(index int) netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

// BringUp sets a link up. The error wraps unix.ENETDOWN where its parent is down.
func (m *Monitor) BringUp(link int) error {
	return m.change(func(h *netlink.Handle) error {
		if err := h.LinkSetUp(byIndex(link)); err != nil {
			return fmt.Errorf("set up: %w", err)
		}
		return nil
	}, func(s *state) bool {
		l, there := s.link(link)
		return !there || l.AdminUp
	})
}

// SetMTU sets the MTU of a link, in bytes. The error wraps unix.EINVAL or
// unix.ERANGE where the device cannot have it.
func (m *Monitor) SetMTU(link, mtu int) error {
	return m.change(func(h *netlink.Handle) error {
		if err := h.LinkSetMTU(byIndex(link), mtu); err != nil {
			return fmt.Errorf("set MTU %d: %w", mtu, err)
		}
		return nil
	}, func(s *state) bool {
		l, there := s.link(link)
		return !there || l.MTU == mtu
	})
}

// Assign gives a link an address. An IPv6 one can be used at once, without
// duplicate address detection: it was configured to be here. The error wraps
// unix.EEXIST where the link has it already, in IPv6 with another prefix length
// too or if it is still, or was in vain, checked for duplicates; and unix.EACCES
// where the link has no IPv6.
func (m *Monitor) Assign(link int, p netip.Prefix) error {
	return m.change(func(h *netlink.Handle) error {
		addr := netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrAdd(byIndex(link), &addr); err != nil {
			return fmt.Errorf("add address %v: %w", p, err)
		}
		return nil
	}, func(s *state) bool { return s.holds(link, p) })
}

// Unassign takes an address from a link. It is no error when the link or the
// address has gone.
func (m *Monitor) Unassign(link int, p netip.Prefix) error {
	return m.change(func(h *netlink.Handle) error {
		err := h.AddrDel(byIndex(link), &netlink.Addr{IPNet: ipNet(p)})
		if err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("delete address %v: %w", p, err)
		}
		return nil
	}, func(s *state) bool { return !s.holds(link, p) })
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
