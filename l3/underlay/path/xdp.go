package path

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// XDP is what a device and its driver can do with XDP programs.
type XDP struct {
	// Known is whether the kernel has told: it does from Linux 6.3 on, and of a
	// new link a moment before or after the link itself.
	Known bool

	Basic       bool // it takes programs in native mode
	Redirect    bool // its programs may redirect frames (XDP_REDIRECT)
	Target      bool // frames can be redirected to it; of a veth when its peer receives by NAPI: with GRO, or a program of its own
	Frags       bool // it takes programs for frames in several buffers (xdp.frags)
	TargetFrags bool // such frames can be redirected to it

	// What a program may ask of a received frame (kfuncs bpf_xdp_metadata_rx_*).
	// The kernel tells from Linux 6.7 on, and of VLAN tags from 6.8.
	RxTimestampHints bool
	RxVLANHints      bool
}

// XDPMode is where a device's XDP program runs (XDP_ATTACHED_* in
// include/uapi/linux/if_link.h).
type XDPMode uint8

const (
	XDPNone     XDPMode = iota // there is no program
	XDPNative                  // in the driver
	XDPGeneric                 // in the kernel's stack, with a socket buffer
	XDPHardware                // in the device
	XDPMulti                   // there are several: one in the device, and one in the driver or the stack
)

func (m XDPMode) String() string {
	if names := [...]string{"none", "native", "generic", "hardware", "multi"}; int(m) < len(names) {
		return names[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// XDPProg is the XDP program that is attached to a device.
type XDPProg struct {
	Mode XDPMode
	ID   uint32 // the kernel's, 0: none; of several that which the host runs
}

// parseXDPProg reads an IFLA_XDP. The kernel gives each program's id by its mode,
// and that of the only one by itself.
func parseXDPProg(b []byte) (p XDPProg) {
	for typ, v := range attrs(b) {
		switch typ {
		case unix.IFLA_XDP_ATTACHED:
			p.Mode = XDPMode(v.uint8())
		case unix.IFLA_XDP_DRV_PROG_ID, unix.IFLA_XDP_SKB_PROG_ID, unix.IFLA_XDP_PROG_ID:
			p.ID = v.uint32()
		}
	}
	return p
}

// Attached asks the kernel which program a link has now. It does not tell of one
// that comes or goes with a bpf_link, and XDPProg may be as old as the last full
// reading. The error wraps unix.ENODEV where there is no such link, or os.ErrClosed.
func (m *Monitor) Attached(link int) (XDPProg, error) {
	d, err := m.read(link)
	if err != nil {
		return XDPProg{}, fmt.Errorf("ask for the XDP program: %w", err)
	}
	return d.XDPProg, nil
}

// ofNetdev stands for the type of a message of the generic netlink family
// "netdev". The kernel hands out types to families from 16 on, which mean something
// else in rtnetlink.
const ofNetdev = 1 << 15

// From include/uapi/linux/netdev.h, Linux 6.3, but for the metadata (6.7) and its
// VLAN tag (6.8).
const (
	netdevGet    = 1 // NETDEV_CMD_DEV_GET
	netdevAdd    = 2 // NETDEV_CMD_DEV_ADD_NTF
	netdevDel    = 3 // NETDEV_CMD_DEV_DEL_NTF
	netdevChange = 4 // NETDEV_CMD_DEV_CHANGE_NTF

	netdevIndex      = 1 // NETDEV_A_DEV_IFINDEX
	netdevFeatures   = 3 // NETDEV_A_DEV_XDP_FEATURES
	netdevRxMetadata = 5 // NETDEV_A_DEV_XDP_RX_METADATA_FEATURES

	actBasic    = 1 << 0 // NETDEV_XDP_ACT_BASIC
	actRedirect = 1 << 1 // NETDEV_XDP_ACT_REDIRECT
	actXmit     = 1 << 2 // NETDEV_XDP_ACT_NDO_XMIT
	actRxSG     = 1 << 5 // NETDEV_XDP_ACT_RX_SG
	actXmitSG   = 1 << 6 // NETDEV_XDP_ACT_NDO_XMIT_SG

	rxTimestamp = 1 << 0 // NETDEV_XDP_RX_METADATA_TIMESTAMP
	rxVLANTag   = 1 << 2 // NETDEV_XDP_RX_METADATA_VLAN_TAG
)

// parseXDP reads a message of the netdev family (struct genlmsghdr: command,
// version, 2 bytes reserved). Of a device that goes x is the zero XDP.
func parseXDP(b []byte) (index int, x XDP, ok bool) {
	if len(b) < unix.GENL_HDRLEN || b[0] < netdevGet || b[0] > netdevChange {
		return 0, XDP{}, false
	}
	for typ, v := range attrs(b[unix.GENL_HDRLEN:]) {
		switch typ {
		case netdevIndex:
			index = int(int32(v.uint32()))
		case netdevFeatures:
			can := v.uint64()
			x.Known, x.Basic, x.Redirect = true, can&actBasic != 0, can&actRedirect != 0
			x.Target, x.TargetFrags = can&actXmit != 0, can&actXmitSG != 0
			x.Frags = can&actRxSG != 0
		case netdevRxMetadata:
			can := v.uint64()
			x.RxTimestampHints, x.RxVLANHints = can&rxTimestamp != 0, can&rxVLANTag != 0
		}
	}
	if b[0] == netdevDel {
		x = XDP{}
	}
	return index, x, index > 0
}

// setXDP notes what a device can do. It may be told of before the device.
func (s *state) setXDP(index int, x XDP) (changed bool) {
	was := s.xdp[index]
	if x == (XDP{}) {
		delete(s.xdp, index)
	} else {
		s.xdp[index] = x
	}
	return x != was
}
