package kernel

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// parseLink reads an RTM_NEWLINK of a whole device.
func parseLink(b []byte) (l Link, ok bool) {
	rest := body(b, unix.SizeofIfInfomsg)
	if rest == nil || b[0] != unix.AF_UNSPEC {
		return Link{}, false
	}
	l.Index, l.Up = linkHeader(b).index(), linkHeader(b).up()
	var info value
	elsewhere := false
	for typ, v := range attrs(rest) {
		switch typ {
		case unix.IFLA_IFNAME:
			l.Name = v.text()
		case unix.IFLA_ADDRESS:
			l.MAC = v.mac()
		case unix.IFLA_LINK:
			l.Parent = int(v.number())
		case unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case unix.IFLA_MASTER:
			l.Master = int(v.number())
		case unix.IFLA_AF_SPEC:
			l.Forwards = parseForwards(v)
		case unix.IFLA_LINKINFO:
			info = v
		}
	}
	if elsewhere {
		l.Parent = 0 // an index of another namespace
	}
	l.parseInfo(info)
	return l, l.Index > 0 && l.Name != ""
}

// parseInfo reads what the kinds of the device and of its master say.
func (l *Link) parseInfo(info value) {
	var data, slave value
	slaveKind := ""
	for typ, v := range attrs(info) {
		switch typ {
		case unix.IFLA_INFO_KIND:
			l.Kind = v.text()
		case unix.IFLA_INFO_DATA:
			data = v
		case unix.IFLA_INFO_SLAVE_KIND:
			slaveKind = v.text()
		case unix.IFLA_INFO_SLAVE_DATA:
			slave = v
		}
	}
	switch l.Kind {
	case "bridge":
		l.Bridge = parseBridge(data)
	case "vxlan":
		l.VXLAN = parseVXLAN(data)
	case "vlan":
		l.VLANID = parseVLANID(data)
	case "vrf":
		for typ, v := range attrs(data) {
			if typ == unix.IFLA_VRF_TABLE {
				l.Table = uint32(v.number())
			}
		}
	}
	if slaveKind == "bridge" {
		l.Port = parsePort(slave)
	}
}

// parseForwards reads IFLA_AF_SPEC, in which each family has its device settings as
// an array of numbers. Forwarding comes first: IPV4_DEVCONF_FORWARDING, which counts
// from 1, and DEVCONF_FORWARDING, which counts from 0.
func parseForwards(b value) (f Families) {
	first := func(conf value) bool { return len(conf) >= 4 && binary.NativeEndian.Uint32(conf) != 0 }
	for family, spec := range attrs(b) {
		for typ, conf := range attrs(spec) {
			switch {
			case family == unix.AF_INET && typ == unix.IFLA_INET_CONF:
				f.IPv4 = first(conf)
			case family == unix.AF_INET6 && typ == unix.IFLA_INET6_CONF:
				f.IPv6 = first(conf)
			}
		}
	}
	return f
}

// parseVLANID reads the id of an 802.1Q sub-interface; 0 of one of service tags.
func parseVLANID(b value) (id uint16) {
	for typ, v := range attrs(b) {
		switch typ {
		case unix.IFLA_VLAN_ID:
			id = uint16(v.number())
		case unix.IFLA_VLAN_PROTOCOL:
			if v.port() != unix.ETH_P_8021Q {
				return 0
			}
		}
	}
	return id
}

func parseBridge(b value) *Bridge {
	br := &Bridge{}
	for typ, v := range attrs(b) {
		switch typ {
		case unix.IFLA_BR_STP_STATE:
			br.STP = v.on()
		case unix.IFLA_BR_VLAN_FILTERING:
			br.Filtering = v.on()
		case unix.IFLA_BR_VLAN_PROTOCOL:
			br.Service = v.port() != unix.ETH_P_8021Q
		case unix.IFLA_BR_AGEING_TIME:
			br.Ageing = v.ticks()
		case unix.IFLA_BR_MCAST_SNOOPING:
			br.Snooping = v.on()
		case unix.IFLA_BR_GROUP_FWD_MASK:
			br.ForwardMask = uint16(v.number())
		case unix.IFLA_BR_FDB_MAX_LEARNED:
			br.MaxLearned = uint32(v.number())
		case unix.IFLA_BR_NF_CALL_IPTABLES, unix.IFLA_BR_NF_CALL_IP6TABLES, unix.IFLA_BR_NF_CALL_ARPTABLES:
			br.CallIPTables = br.CallIPTables || v.on()
		}
	}
	return br
}

func parsePort(b value) *Port {
	p := &Port{Learning: true, Unicast: true, Multicast: true, Flooded: true} // as older kernels do, which do not tell
	flags := map[uint16]*bool{
		unix.IFLA_BRPORT_ISOLATED:       &p.Isolated,
		unix.IFLA_BRPORT_MODE:           &p.Hairpin,
		unix.IFLA_BRPORT_GUARD:          &p.Guard,
		unix.IFLA_BRPORT_LOCKED:         &p.Locked,
		unix.IFLA_BRPORT_LEARNING:       &p.Learning,
		unix.IFLA_BRPORT_UNICAST_FLOOD:  &p.Unicast,
		unix.IFLA_BRPORT_MCAST_FLOOD:    &p.Multicast,
		unix.IFLA_BRPORT_BCAST_FLOOD:    &p.Flooded,
		unix.IFLA_BRPORT_NEIGH_SUPPRESS: &p.Suppress,
		unix.IFLA_BRPORT_VLAN_TUNNEL:    &p.Tunnel,
	}
	for typ, v := range attrs(b) {
		if typ == unix.IFLA_BRPORT_GROUP_FWD_MASK {
			p.ForwardMask = uint16(v.number())
		} else if flag := flags[typ]; flag != nil {
			*flag = v.on()
		}
	}
	return p
}

func parseVXLAN(b value) *VXLAN {
	x := &VXLAN{}
	flags := map[uint16]*bool{
		unix.IFLA_VXLAN_LEARNING:          &x.Learning,
		unix.IFLA_VXLAN_UDP_CSUM:          &x.Checksum,
		unix.IFLA_VXLAN_UDP_ZERO_CSUM6_TX: &x.ZeroTX6,
		unix.IFLA_VXLAN_UDP_ZERO_CSUM6_RX: &x.ZeroRX6,
		unix.IFLA_VXLAN_TTL_INHERIT:       &x.TTLInherit,
		unix.IFLA_VXLAN_PROXY:             &x.Proxy,
		unix.IFLA_VXLAN_RSC:               &x.RSC,
		unix.IFLA_VXLAN_COLLECT_METADATA:  &x.External,
		unix.IFLA_VXLAN_VNIFILTER:         &x.VNIFilter,
	}
	for typ, v := range attrs(b) {
		switch typ {
		case unix.IFLA_VXLAN_ID:
			x.VNI = uint32(v.number())
		case unix.IFLA_VXLAN_LOCAL, unix.IFLA_VXLAN_LOCAL6:
			x.Local = v.addr()
		case unix.IFLA_VXLAN_GROUP, unix.IFLA_VXLAN_GROUP6:
			x.Remote = v.addr()
		case unix.IFLA_VXLAN_LINK:
			x.Device = int(v.number())
		case unix.IFLA_VXLAN_PORT:
			x.Port = v.port()
		case unix.IFLA_VXLAN_TTL:
			x.TTL = uint8(v.number())
		case unix.IFLA_VXLAN_TOS:
			x.TOS = uint8(v.number())
		case unix.IFLA_VXLAN_DF:
			x.DF = uint8(v.number())
		case unix.IFLA_VXLAN_LABEL:
			x.Label = uint32(v.port())<<16 | uint32(value(body(v, 2)).port())
		case unix.IFLA_VXLAN_AGEING:
			x.Ageing = v.seconds()
		case unix.IFLA_VXLAN_LIMIT:
			x.MaxLearned = uint32(v.number())
		case unix.IFLA_VXLAN_PORT_RANGE: // struct ifla_vxlan_port_range
			x.FirstPort, x.LastPort = v.port(), value(body(v, 2)).port()
		case unix.IFLA_VXLAN_GBP: // these three are there or not
			x.GBP = true
		case unix.IFLA_VXLAN_GPE:
			x.GPE = true
		case unix.IFLA_VXLAN_REMCSUM_TX, unix.IFLA_VXLAN_REMCSUM_RX:
			x.RemoteChksum = x.RemoteChksum || v.on()
		default:
			if flag := flags[typ]; flag != nil {
				*flag = v.on()
			}
		}
	}
	return x
}

// parseAddr reads an RTM_NEWADDR (struct ifaddrmsg: family, prefixlen, flags, scope,
// index). Link-local IPv6 addresses are left out: every device has one.
func parseAddr(b []byte) (index int, p netip.Prefix, ok bool) {
	rest := body(b, unix.SizeofIfAddrmsg)
	if rest == nil {
		return 0, p, false
	}
	var own, peer netip.Addr
	for typ, v := range attrs(rest) {
		switch typ {
		case unix.IFA_LOCAL:
			own = v.addr()
		case unix.IFA_ADDRESS:
			peer = v.addr()
		}
	}
	if !own.IsValid() {
		own = peer // in IPv6 there is only one
	}
	p = netip.PrefixFrom(own, int(b[1]))
	return int(binary.NativeEndian.Uint32(b[4:])), p, p.IsValid() && !(own.Is6() && own.IsLinkLocalUnicast())
}
