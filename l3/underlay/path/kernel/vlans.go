package kernel

import (
	"encoding/binary"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// maxVLAN is the largest VLAN id (IEEE 802.1Q table 9-2).
const maxVLAN = 4094

// parseVLANs reads the VLANs of a port, or of a bridge itself, out of an RTM_NEWLINK
// of the family AF_BRIDGE.
func parseVLANs(b []byte) (index int, vlans []VLAN, tunnels []Tunnel, ok bool) {
	rest := body(b, unix.SizeofIfInfomsg)
	if rest == nil || b[0] != unix.AF_BRIDGE {
		return 0, nil, nil, false
	}
	for typ, spec := range attrs(rest) {
		if typ != unix.IFLA_AF_SPEC {
			continue
		}
		var vlan vlanRange
		var tunnel tunnelRange
		for typ, v := range attrs(spec) {
			switch typ {
			case nl.IFLA_BRIDGE_VLAN_INFO:
				vlans = vlan.add(vlans, v)
			case nl.IFLA_BRIDGE_VLAN_TUNNEL_INFO:
				tunnels = tunnel.add(tunnels, v)
			}
		}
	}
	return linkHeader(b).index(), vlans, tunnels, true
}

// vlanRange and tunnelRange have the begin of a range whose end follows in an
// attribute of its own.
type vlanRange struct{ first uint16 }

type tunnelRange struct {
	first uint16
	vni   uint32
}

// add appends a struct bridge_vlan_info: flags, id.
func (r *vlanRange) add(to []VLAN, b value) []VLAN {
	if len(b) < 4 {
		return to
	}
	flags, id := binary.NativeEndian.Uint16(b), binary.NativeEndian.Uint16(b[2:])
	v := VLAN{First: id, Last: id, PVID: flags&nl.BRIDGE_VLAN_INFO_PVID != 0, Untagged: flags&nl.BRIDGE_VLAN_INFO_UNTAGGED != 0}
	switch {
	case id == 0 || id > maxVLAN:
		return to
	case flags&nl.BRIDGE_VLAN_INFO_RANGE_BEGIN != 0:
		r.first = id
		return to
	case flags&nl.BRIDGE_VLAN_INFO_RANGE_END != 0 && r.first != 0 && r.first <= id:
		v.First, r.first = r.first, 0
	}
	return append(to, v)
}

func (r *tunnelRange) add(to []Tunnel, b value) []Tunnel {
	var id, flags uint16
	var vni uint32
	for typ, v := range attrs(b) {
		switch typ {
		case nl.IFLA_BRIDGE_VLAN_TUNNEL_ID:
			vni = uint32(v.number())
		case nl.IFLA_BRIDGE_VLAN_TUNNEL_VID:
			id = uint16(v.number())
		case nl.IFLA_BRIDGE_VLAN_TUNNEL_FLAGS:
			flags = uint16(v.number())
		}
	}
	t := Tunnel{First: id, Last: id, VNI: vni}
	switch {
	case id == 0 || id > maxVLAN:
		return to
	case flags&nl.BRIDGE_VLAN_INFO_RANGE_BEGIN != 0:
		r.first, r.vni = id, vni
		return to
	case flags&nl.BRIDGE_VLAN_INFO_RANGE_END != 0 && r.first != 0 && r.first <= id:
		t.First, t.VNI, r.first = r.first, r.vni, 0
	}
	return append(to, t)
}

// What is not in golang.org/x/sys/unix of VXLAN_VNIFILTER_ENTRY in
// linux/if_link.h, and struct tunnel_msg: family, flags, 2 bytes of padding, index.
const (
	vniEntry  = 1
	vniStart  = 1
	vniEnd    = 2
	vniGroup  = 3
	vniGroup6 = 4

	sizeofTunnelMsg = 8
)

// parseVNIs reads the VNI filter of a vxlan device out of an RTM_NEWTUNNEL.
func parseVNIs(b []byte) (index int, all []VNIs, ok bool) {
	rest := body(b, sizeofTunnelMsg)
	if rest == nil {
		return 0, nil, false
	}
	for typ, entry := range attrs(rest) {
		if typ != vniEntry {
			continue
		}
		var e VNIs
		for typ, v := range attrs(entry) {
			switch typ {
			case vniStart:
				e.First = uint32(v.number())
			case vniEnd:
				e.Last = uint32(v.number())
			case vniGroup, vniGroup6:
				e.Remote = v.addr()
			}
		}
		e.Last = max(e.First, e.Last) // one alone has no end
		all = append(all, e)
	}
	return int(binary.NativeEndian.Uint32(b[4:])), all, true
}

// Has reports whether a device with a VNI filter takes a VNI, and the remote that
// was given with it.
func (x *VXLAN) Has(vni uint32) (e VNIs, ok bool) {
	i := slices.IndexFunc(x.VNIs, func(e VNIs) bool { return e.First <= vni && vni <= e.Last })
	if i < 0 {
		return VNIs{}, false
	}
	return x.VNIs[i], true
}
