package config

import "strconv"

func (b *builder) readPorts(sections []section) {
	b.ports = sections
	b.portByName = map[string]int{}
	for i, s := range sections {
		p := Port{
			Interface:    get[string](s, "interface"),
			VLAN:         uint16(get[int64](s, "vlan")),
			VNI:          uint32(get[int64](s, "vni")),
			MACLimit:     int(get[int64](s, "mac_limit")),
			Isolated:     get[bool](s, "isolated"),
			BPDU:         BPDUPolicy(get[string](s, "bpdu")),
			DropPriority: get[string](s, "priority_tagged") == "drop",
			Storm:        stormOf(s),
		}
		b.indexPort(s, p, i)
		b.resolve(s, &p)
		b.cfg.Ports = append(b.cfg.Ports, p)
	}
}

// indexPort notes the interface, which belongs to one port and to nothing else.
func (b *builder) indexPort(s section, p Port, i int) {
	if p.Interface == "" {
		b.badPorts = true
		return
	}
	if first, dup := b.portByName[p.Interface]; dup {
		b.fail(s.at("interface"), "interface = %q is the port on line %d too: an access port is in one VLAN",
			p.Interface, b.line(b.ports[first].at("interface")))
		return
	}
	b.portByName[p.Interface] = i
	switch u := b.cfg.Underlay; {
	case p.Interface == u.Interface:
		b.fail(s.at("interface"), "interface = %q is the [underlay] interface: an access port needs one of its own", p.Interface)
	case p.Interface == u.Device():
		b.fail(s.at("interface"), "interface = %q is the sub-interface of [underlay] vlan: an access port needs one of its own", p.Interface)
	}
}

// resolve finds the VNI of a port.
func (b *builder) resolve(s section, p *Port) {
	switch {
	case s.has("vlan") && s.has("vni"):
		b.fail(max(s.at("vlan"), s.at("vni")), "[[port]] has both vlan and vni: write one, the VNI follows from the vlan")
	case !s.has("vlan") && !s.has("vni"):
		b.fail(s.place(), "[[port]] has neither vlan nor vni: write the vlan of a [[vni]], or the id of one as vni")
	case p.VLAN != 0:
		if i, found := b.vniByVLAN[p.VLAN]; found {
			p.VNI = b.cfg.VNIs[i].ID
		} else if !b.badVLANs {
			b.fail(s.at("vlan"), "vlan = %d stands for no VNI: add a [[vni]] with vlan = %d, or write vni = and its id here", p.VLAN, p.VLAN)
		}
	case p.VNI != 0:
		b.knownVNI(s, p.VNI)
	}
}

// knownVNI reports a VNI that is not configured.
func (b *builder) knownVNI(s section, id uint32) {
	if _, found := b.vniByID[id]; !found && !b.badIDs[strconv.FormatUint(uint64(id), 10)] {
		b.fail(s.at("vni"), "vni = %d is not configured: add a [[vni]] with id = %d", id, id)
	}
}
