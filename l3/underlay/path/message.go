package path

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// device is a Link and what else is remembered of it.
type device struct {
	Link
	master int // index, 0: none

	// How often the kernel saw the carrier come and go. It tells several
	// changes in one message, and tells of those before a message was lost.
	carrierUps, carrierDowns uint32

	vxlan vxlan
}

func (d *device) up() bool { return d.AdminUp && d.Carrier }

// vxlan is what a kernel VXLAN device listens on. The zero value is any other
// device.
type vxlan struct {
	port       uint16
	ipv4, ipv6 bool
}

// operStates of RFC 2863 as in include/uapi/linux/if.h.
const (
	operUnknown = 0
	operDown    = 2
	operUp      = 6
)

// carries reports whether frames can pass. The carrier is the driver's word, at
// once; the operational state follows up to a second later, and until then says
// down of a link that is up and up of one that is down. Its other values, lower
// layer down or dormant until 802.1X lets it pass, stand for themselves.
func carries(flags uint32, oper uint8) bool {
	return flags&unix.IFF_LOWER_UP != 0 && (oper == operUp || oper == operDown || oper == operUnknown)
}

// parseLink reads an RTM_NEWLINK or RTM_DELLINK (struct ifinfomsg). It takes
// only what speaks of a whole device: bridges announce their ports with the
// same types under a family of their own, and the end of a membership looks
// like the end of the device. Wireless events have no name.
func parseLink(b []byte) (device, bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return device{}, false
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	d := device{Link: Link{
		Index:     int(int32(binary.NativeEndian.Uint32(b[4:]))),
		AdminUp:   flags&unix.IFF_UP != 0,
		Loopback:  flags&unix.IFF_LOOPBACK != 0,
		Multicast: flags&unix.IFF_MULTICAST != 0,
		Ethernet:  binary.NativeEndian.Uint16(b[2:]) == unix.ARPHRD_ETHER,
	}}
	oper, elsewhere, lower := uint8(operUnknown), false, 0
	var data attr
	for typ, v := range attrs(b[unix.SizeofIfInfomsg:]) {
		switch typ {
		case unix.IFLA_IFNAME:
			d.Name = v.text()
		case unix.IFLA_MTU:
			d.MTU = int(v.uint32())
		case unix.IFLA_ADDRESS:
			d.MAC = v.mac()
		case unix.IFLA_OPERSTATE:
			oper = v.uint8()
		case unix.IFLA_QDISC:
			d.Shaped = shaped(v.text())
		case unix.IFLA_MASTER:
			d.master = int(v.uint32())
		case unix.IFLA_CARRIER_UP_COUNT:
			d.carrierUps = v.uint32()
		case unix.IFLA_CARRIER_DOWN_COUNT:
			d.carrierDowns = v.uint32()
		case unix.IFLA_IFALIAS:
			d.Alias = v.text()
		case unix.IFLA_LINK:
			lower = int(v.uint32())
		case unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case unix.IFLA_XDP:
			d.XDPProg = parseXDPProg(v)
		case unix.IFLA_LINKINFO:
			d.Kind, data = parseLinkInfo(v)
		}
	}
	d.Carrier = carries(flags, oper)
	switch {
	case elsewhere:
		// The socket of a vxlan device stayed in the namespace that it was made
		// in, and so did the parent of a VLAN.
	case d.Kind == "vxlan":
		d.vxlan = parseVXLAN(data)
	case d.Kind == kindVLAN:
		d.VLAN = parseVLAN(data, lower)
	}
	return d, d.Index > 0 && d.Name != ""
}

// shaped reports whether a queueing discipline is none of those that the kernel
// gives a device by itself (net.core.default_qdisc, tc-mq(8)).
func shaped(qdisc string) bool {
	switch qdisc {
	case "", "noop", "noqueue", "mq", "pfifo_fast", "fq_codel", "fq", "pfifo":
		return false
	}
	return true
}

// parseRootQdisc reads an RTM_NEWQDISC or RTM_DELQDISC (struct tcmsg: family, 3
// bytes of padding, ifindex, handle, parent, info) of a device's root.
func parseRootQdisc(b []byte) (index int, kind string, ok bool) {
	const size, root, kindAttr = 20, 0xffffffff, 1 // TC_H_ROOT, TCA_KIND
	if len(b) < size || binary.NativeEndian.Uint32(b[12:]) != root {
		return 0, "", false
	}
	for typ, v := range attrs(b[size:]) {
		if typ == kindAttr {
			kind = v.text()
		}
	}
	return int(int32(binary.NativeEndian.Uint32(b[4:]))), kind, kind != ""
}

func parseLinkInfo(b []byte) (kind string, data attr) {
	for typ, value := range attrs(b) {
		switch typ {
		case unix.IFLA_INFO_KIND:
			kind = value.text()
		case unix.IFLA_INFO_DATA:
			data = value
		}
	}
	return kind, data
}

// kindVLAN is the kind of 802.1Q and 802.1ad devices.
const kindVLAN = "vlan"

// parseVLAN reads which VLAN a device of that kind carries. One of a service tag
// (802.1ad) is no 802.1Q VLAN, whatever its id.
func parseVLAN(b []byte, parent int) VLAN {
	v := VLAN{Parent: parent}
	for typ, value := range attrs(b) {
		switch typ {
		case unix.IFLA_VLAN_ID:
			v.ID = value.uint16()
		case unix.IFLA_VLAN_PROTOCOL:
			if value.port() != unix.ETH_P_8021Q {
				return VLAN{}
			}
		}
	}
	return v
}

// parseVXLAN finds out which sockets the device has. They are bound to the
// port on every address of the family, whatever its own address is
// (drivers/net/vxlan/vxlan_core.c, vxlan_sock_add).
func parseVXLAN(b []byte) (v vxlan) {
	external := false
	for typ, value := range attrs(b) {
		switch typ {
		case unix.IFLA_VXLAN_PORT:
			v.port = value.port()
		case unix.IFLA_VXLAN_LOCAL6, unix.IFLA_VXLAN_GROUP6:
			v.ipv6 = true
		case unix.IFLA_VXLAN_COLLECT_METADATA:
			external = value.uint8() != 0
		}
	}
	v.ipv4 = !v.ipv6 || external
	v.ipv6 = v.ipv6 || external
	return v
}

// address is one address of a link.
type address struct {
	index int
	addr  netip.Addr
	bits  uint8 // a link may hold an address twice, with two prefix lengths
}

func (a address) prefix() netip.Prefix { return netip.PrefixFrom(a.addr, int(a.bits)) }

// parseAddress reads an RTM_NEWADDR or RTM_DELADDR (struct ifaddrmsg: family,
// prefixlen, flags, scope, index). held is whether the address can be used.
func parseAddress(b []byte) (a address, held, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return address{}, false, false
	}
	a = address{index: int(binary.NativeEndian.Uint32(b[4:])), bits: b[1]}
	var local netip.Addr
	for typ, v := range attrs(b[unix.SizeofIfAddrmsg:]) {
		switch typ {
		case unix.IFA_ADDRESS: // the peer's, where there is an IFA_LOCAL
			a.addr = v.addr()
		case unix.IFA_LOCAL:
			local = v.addr()
		}
	}
	if local.IsValid() {
		a.addr = local
	}
	return a, usable(b[2]), a.index > 0 && a.addr.IsValid()
}

// usable reports whether IPv6 duplicate address detection lets an address be
// used: passed, or optimistic (RFC 4429).
func usable(flags uint8) bool {
	if flags&unix.IFA_F_DADFAILED != 0 {
		return false
	}
	return flags&unix.IFA_F_TENTATIVE == 0 || flags&unix.IFA_F_OPTIMISTIC != 0
}

// neighbour is who was asked for on which link.
type neighbour struct {
	index int
	addr  netip.Addr
}

// neighbourKnown are the states in which the kernel sends to the MAC it has
// (NUD_VALID in include/net/neighbour.h).
const neighbourKnown = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_PROBE | unix.NUD_STALE | unix.NUD_DELAY

// station is what the kernel knows of a neighbour.
type station struct {
	mac frame.MAC

	// kept says that somebody else looks after it: who entered it for good, a
	// routing daemon, or the kernel by itself.
	kept bool
}

// What is not in golang.org/x/sys/unix of linux/neighbour.h.
const (
	ndaFlagsExt   = 15
	ntfExtManaged = 1
)

// parseNeighbour reads an RTM_NEWNEIGH or RTM_DELNEIGH (struct ndmsg: family,
// 3 bytes of padding, ifindex, state, flags, type). Its mac is zero where there is
// none to send to.
func parseNeighbour(b []byte) (n neighbour, s station, ok bool) {
	if len(b) < unix.SizeofNdMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return neighbour{}, station{}, false
	}
	n.index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	var mac frame.MAC
	managed := false
	for typ, v := range attrs(b[unix.SizeofNdMsg:]) {
		switch typ {
		case unix.NDA_DST:
			n.addr = v.addr()
		case unix.NDA_LLADDR:
			mac = v.mac()
		case ndaFlagsExt:
			managed = v.uint32()&ntfExtManaged != 0
		}
	}
	state, flags := binary.NativeEndian.Uint16(b[8:]), b[10]
	if state&neighbourKnown != 0 && !mac.IsZero() {
		s = station{mac, managed || state&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0 || flags&unix.NTF_EXT_LEARNED != 0}
	}
	return n, s, n.index > 0 && n.addr.IsValid()
}
