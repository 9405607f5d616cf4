package config

import (
	"net/netip"

	"vxgw/l2/frame"
)

func (b *builder) readMACs(sections []section) {
	type place struct {
		vni uint32
		mac frame.MAC
	}
	b.macs = sections
	seen := map[place]int{}
	for _, s := range sections {
		m := StaticMAC{
			VNI:  uint32(get[int64](s, "vni")),
			MAC:  get[frame.MAC](s, "address"),
			VTEP: get[netip.Addr](s, "vtep"),
			Port: get[string](s, "port"),
		}
		b.cfg.MACs = append(b.cfg.MACs, m)
		b.macBehind(s, m)
		if m.VNI == 0 {
			continue
		}
		b.knownVNI(s, m.VNI)
		if m.MAC.IsZero() {
			continue
		}
		if first, dup := seen[place{m.VNI, m.MAC}]; dup {
			b.fail(s.at("address"), "address = \"%s\" is in VNI %d on line %d already: a MAC address is in one place", m.MAC, m.VNI, b.line(first))
			continue
		}
		seen[place{m.VNI, m.MAC}] = s.at("address")
		if i, found := b.vniByID[m.VNI]; found && b.cfg.VNIs[i].GatewayMAC == m.MAC {
			b.fail(s.at("address"), "address = \"%s\" is the gateway's own MAC in VNI %d: take it out, or change gateway_mac", m.MAC, m.VNI)
		}
	}
}

// macBehind checks where a static MAC address is.
func (b *builder) macBehind(s section, m StaticMAC) {
	switch {
	case s.has("vtep") && s.has("port"):
		b.fail(max(s.at("vtep"), s.at("port")), "[[mac]] has both vtep and port: write the one it is behind")
	case !s.has("vtep") && !s.has("port"):
		b.fail(s.place(), "[[mac]] has neither vtep nor port: write the remote VTEP or the access port it is behind")
	case m.VTEP.IsValid():
		if b.sameFamily("vtep", elem{m.VTEP, s.vals["vtep"].node}, m.VTEP) && m.VTEP == b.cfg.Underlay.Address {
			b.fail(s.at("vtep"), "vtep = \"%s\" is this gateway's own [underlay] address: write a remote one, or port", m.VTEP)
		}
	case m.Port != "":
		b.macPort(s, m)
	}
}

func (b *builder) macPort(s section, m StaticMAC) {
	i, found := b.portByName[m.Port]
	if !found {
		if !b.badPorts {
			b.fail(s.at("port"), "port = %q is no access port: add a [[port]] with interface = %q", m.Port, m.Port)
		}
		return
	}
	if p := b.cfg.Ports[i]; p.VNI != 0 && m.VNI != 0 && p.VNI != m.VNI {
		b.fail(s.at("port"), "port = %q is in VNI %d, not in VNI %d: write a port of the same VNI", m.Port, p.VNI, m.VNI)
	}
}
