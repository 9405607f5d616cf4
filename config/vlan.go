package config

import "fmt"

// Device returns the name of the interface towards the other VTEPs: with VLAN
// that which the sub-interface has unless it was there under another one; ""
// where none is configured.
//
// It is NAME.VLAN, as people name them. Where that is longer than a name can be
// it is vxgw.VLAN: cut short, the names of two ports of one card would be one.
func (u Underlay) Device() string {
	if u.VLAN == 0 {
		return u.Interface
	}
	name := fmt.Sprintf("%s.%d", u.Interface, u.VLAN)
	if len(name) > maxInterfaceName {
		name = fmt.Sprintf("vxgw.%d", u.VLAN)
	}
	return name
}

// checkVLAN checks what vlan needs, and what needs it.
func (b *builder) checkVLAN(s section) {
	u := &b.cfg.Underlay
	switch {
	case !s.has("vlan") && u.Assign.IsValid():
		b.fail(s.at("address"), "address = \"%s\" has a prefix length, which goes with vlan only: write \"%s\", an address that this machine holds, or name the VLAN that it is to be put on, as vlan = 77",
			u.Assign, u.Address)
	case s.has("vlan") && !s.has("interface"):
		b.fail(s.at("vlan"), "vlan needs an interface: name the one that carries the VLAN, as interface = \"und0\"")
	case s.has("vlan") && u.Interface == "lo":
		b.fail(s.at("interface"), "interface = \"lo\" carries no VLANs: name the interface towards the other VTEPs")
	}
}
