package config

import (
	"net/netip"
	"time"

	"vxgw/l2/frame"
)

func (b *builder) readVNIs(sections []section) {
	b.vniByID, b.vniByVLAN, b.badIDs = map[uint32]int{}, map[uint16]int{}, map[string]bool{}
	for i, s := range sections {
		v := VNI{
			ID:          uint32(get[int64](s, "id")),
			VLAN:        uint16(get[int64](s, "vlan")),
			Name:        get[string](s, "name"),
			Flood:       b.flood(s),
			Group:       b.group(s),
			Learning:    get[bool](s, "learning"),
			Ageing:      get[time.Duration](s, "ageing"),
			MACLimit:    int(get[int64](s, "mac_limit")),
			SuppressARP: get[bool](s, "suppress_arp"),
			Moves: Moves{
				Limit:  int(get[int64](s, "move_limit")),
				Window: get[time.Duration](s, "move_window"),
				Hold:   get[time.Duration](s, "move_hold"),
			},
			Storm:    stormOf(s),
			ClampMSS: get[bool](s, "clamp_mss"),
		}
		v.AllowedVTEPs, v.AllowedOnly = b.allowed(s, &v), s.has("allowed_vteps")
		b.indexVNI(s, v, i)
		b.readIRB(s, &v)
		b.cfg.VNIs = append(b.cfg.VNIs, v)
		b.vnis = append(b.vnis, s)
	}
}

// stormOf returns the limits of a table that has storm_control.
func stormOf(s section) Storm {
	k := s.kids[portStormTable.name][0]
	return Storm{
		Broadcast:      int(get[int64](k, "broadcast")),
		Multicast:      int(get[int64](k, "multicast")),
		UnknownUnicast: int(get[int64](k, "unknown_unicast")),
	}
}

// indexVNI notes the id and the VLAN, which are unique.
func (b *builder) indexVNI(s section, v VNI, i int) {
	if v.ID == 0 {
		b.badIDs[s.written("id")] = true
	} else if first, dup := b.vniByID[v.ID]; dup {
		b.fail(s.at("id"), "id = %d is the VNI on line %d too: every [[vni]] needs an id of its own", v.ID, b.line(b.vnis[first].at("id")))
	} else {
		b.vniByID[v.ID] = i
	}
	if s.bad("vlan") {
		b.badVLANs = true
	}
	if v.VLAN == 0 {
		return
	}
	if first, dup := b.vniByVLAN[v.VLAN]; dup {
		b.fail(s.at("vlan"), "vlan = %d stands for the VNI on line %d already: give this one another, or none and let its ports name the VNI",
			v.VLAN, b.line(b.vnis[first].at("vlan")))
		return
	}
	b.vniByVLAN[v.VLAN] = i
}

// flood returns the head-end replication list.
func (b *builder) flood(s section) []netip.Addr {
	for _, e := range s.vals["flood"].elems {
		a := e.val.(netip.Addr)
		if b.sameFamily("flood", e, a) && a == b.cfg.Underlay.Address {
			b.fail(e.node.val, "flood: %s is this gateway's own [underlay] address: list the other VTEPs only", a)
		}
	}
	return all[netip.Addr](s, "flood")
}

func (b *builder) group(s section) netip.Addr {
	a := get[netip.Addr](s, "group")
	if a.IsValid() {
		b.sameFamily("group", elem{a, s.vals["group"].node}, a)
	}
	return a
}

// allowed returns who may inject. A list that is written and empty could mean
// nobody or anybody; a list that is not written is the flood list, unless a
// group lets VTEPs be heard that no list names.
func (b *builder) allowed(s section, v *VNI) []netip.Prefix {
	l := s.vals["allowed_vteps"]
	if s.has("allowed_vteps") {
		if len(l.elems) == 0 && !l.bad {
			b.fail(s.at("allowed_vteps"), "allowed_vteps = [] lets nobody send: list the VTEPs that may, or leave the key out")
		}
		for _, e := range l.elems {
			b.sameFamily("allowed_vteps", e, e.val.(netip.Prefix).Addr())
		}
		return all[netip.Prefix](s, "allowed_vteps")
	}
	if s.has("group") {
		return nil
	}
	var hosts []netip.Prefix
	for _, a := range v.Flood {
		hosts = append(hosts, netip.PrefixFrom(a, a.BitLen()))
	}
	return hosts
}

// readIRB reads the routed side of a VNI.
func (b *builder) readIRB(s section, v *VNI) {
	v.VRF = get[string](s, "vrf")
	v.Gateway = all[netip.Prefix](s, "gateway")
	v.GatewayMAC = get[frame.MAC](s, "gateway_mac")
	v.DHCPServers = all[netip.Addr](s, "dhcp_servers")
	v.RA = get[bool](s, "ra") && has(v.Gateway, netip.Addr.Is6)
	if len(v.Gateway) == 0 {
		v.GatewayMAC = frame.MAC{}
	} else if v.GatewayMAC.IsZero() {
		v.GatewayMAC = b.cfg.MAC
	}
	gateway := len(v.Gateway) > 0 || s.bad("gateway")
	switch {
	case gateway && !s.has("vrf"):
		b.fail(s.at("gateway"), "gateway needs a vrf: name the [[vrf]] that this VNI is routed in")
	case s.has("vrf") && !gateway:
		b.fail(s.at("vrf"), "vrf = %q needs a gateway: write the gateway's addresses in this VNI, as gateway = [\"10.1.1.1/24\"]", v.VRF)
	}
	if v.VRF == "" {
		b.lose(s)
	} else {
		b.join(s, v)
	}
	b.checkServers(s, v)
}

// maxServers bounds the copies of what one client asks.
const maxServers = 8

// checkServers: a relay speaks from its gateway's address, of the server's family.
func (b *builder) checkServers(s section, v *VNI) {
	for i, e := range s.vals["dhcp_servers"].elems {
		a := e.val.(netip.Addr)
		switch {
		case i == maxServers:
			b.fail(e.node.val, "dhcp_servers: more than %d: every one of them gets a copy of what a host asks: list fewer", maxServers)
		case s.bad("gateway"):
		case len(v.Gateway) == 0:
			b.fail(e.node.val, "dhcp_servers needs vrf and gateway: the gateway is who relays, and the vrf how servers are reached")
			return
		case a.Is4() && !has(v.Gateway, netip.Addr.Is4), a.Is6() && !has(v.Gateway, netip.Addr.Is6):
			b.fail(e.node.val, "dhcp_servers: %s is %s and the VNI has no such gateway: add one", a, family(a))
		}
	}
}

// has reports whether one of the gateways is of a family.
func has(gateways []netip.Prefix, is func(netip.Addr) bool) bool {
	for _, p := range gateways {
		if is(p.Addr()) {
			return true
		}
	}
	return false
}
