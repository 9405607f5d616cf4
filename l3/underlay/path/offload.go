package path

import (
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Offloads is what a device does to frames before the host sees them, or after.
type Offloads struct {
	LRO bool // joins received segments, and loses where they were cut
	GRO bool // the stack joins them, and knows how to cut them again
	GSO bool // super-frames go down whole, and are cut as late as can be
}

// Commands and bits of include/uapi/linux/ethtool.h.
const (
	ethtoolGGSO  = 0x23
	ethtoolGRXFH = 0x29
	ethtoolGGRO  = 0x2b
	ethFlagLRO   = 1 << 15
	flowUDP4     = 2           // UDP_V4_FLOW
	flowUDP6     = 6           // UDP_V6_FLOW
	hashesPorts  = 1<<6 | 1<<7 // RXH_L4_B_0_1 and RXH_L4_B_2_3
	rxnfcDataAt  = 8
	sizeofRxnfc  = 256 // struct ethtool_rxnfc has 192, and may grow
)

// Offloads asks for the offloads of a device. The error wraps unix.ENODEV where there
// is none of that name.
func (m *Monitor) Offloads(name string) (o Offloads, err error) {
	err = m.ethtool(func(fd int) error {
		flags, err := ethtoolFlags(fd, name)
		if err != nil {
			return err
		}
		o.LRO = flags&ethFlagLRO != 0
		if o.GRO, err = ethtoolSwitch(fd, name, ethtoolGGRO); err != nil {
			return err
		}
		o.GSO, err = ethtoolSwitch(fd, name, ethtoolGGSO)
		return err
	})
	if err != nil {
		return Offloads{}, fmt.Errorf("ask for the offloads of %s: %w", name, err)
	}
	return o, nil
}

// HashesPorts reports whether a device spreads UDP, of IPv6 or of IPv4, over its
// receive queues by ports too. The error wraps unix.EOPNOTSUPP where the driver does
// not say.
func (m *Monitor) HashesPorts(name string, six bool) (is bool, err error) {
	flow := uint32(flowUDP4)
	if six {
		flow = flowUDP6
	}
	err = m.ethtool(func(fd int) error {
		var rxnfc [sizeofRxnfc / 8]uint64
		*(*[2]uint32)(unsafe.Pointer(&rxnfc)) = [2]uint32{ethtoolGRXFH, flow}
		err := ethtoolAsk(fd, name, unsafe.Pointer(&rxnfc))
		is = rxnfc[rxnfcDataAt/8]&hashesPorts == hashesPorts
		return err
	})
	if err != nil {
		return false, fmt.Errorf("ask %s how it spreads UDP: %w", name, err)
	}
	return is, nil
}

// ethtool lends a socket of the Monitor's namespace.
func (m *Monitor) ethtool(ask func(fd int) error) error {
	var err error
	if rawErr := m.events.raw.Control(func(fd uintptr) { err = ask(int(fd)) }); rawErr != nil {
		return rawErr
	}
	return err
}

// ethtoolSwitch asks for what is on or off.
func ethtoolSwitch(fd int, name string, cmd uint32) (bool, error) {
	value := [2]uint32{cmd}
	err := ethtoolAsk(fd, name, unsafe.Pointer(&value))
	return value[1] != 0, err
}

// Unanswered returns the neighbours on a link who did not answer when the kernel asked
// for their MAC (NUD_FAILED), or have not yet (NUD_INCOMPLETE).
func (m *Monitor) Unanswered(link int) (failed, asked []netip.Addr, err error) {
	m.requests.RLock()
	defer m.requests.RUnlock()
	if m.handle == nil {
		return nil, nil, fmt.Errorf("neighbours: %w", unix.EBADF)
	}
	all, err := m.handle.NeighList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, nil, fmt.Errorf("ask for neighbours: %w", err)
	}
	for _, n := range all {
		a, ok := netip.AddrFromSlice(n.IP)
		switch a = a.Unmap(); {
		case !ok:
		case n.State&unix.NUD_FAILED != 0:
			failed = append(failed, a)
		case n.State&unix.NUD_INCOMPLETE != 0:
			asked = append(asked, a)
		}
	}
	return failed, asked, nil
}

// Holders returns every link that holds an address, the best one first.
func (m *Monitor) Holders(addr netip.Addr) []Link {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.holders(addr.Unmap().WithZone(""))
}

// IsDuplicate returns the link on which duplicate address detection (RFC 4862 section
// 5.4) found that another host has an IPv6 address that this one was to have.
func (m *Monitor) IsDuplicate(addr netip.Addr) (link string, is bool, err error) {
	m.requests.RLock()
	defer m.requests.RUnlock()
	if !addr.Is6() || m.handle == nil {
		return "", false, nil
	}
	all, err := m.handle.AddrList(nil, netlink.FAMILY_V6)
	if err != nil {
		return "", false, fmt.Errorf("ask for addresses: %w", err)
	}
	for _, a := range all {
		if own, _ := netip.AddrFromSlice(a.IP); own == addr && a.Flags&unix.IFA_F_DADFAILED != 0 {
			l, _ := m.LinkAt(a.LinkIndex)
			return l.Name, true, nil
		}
	}
	return "", false, nil
}
