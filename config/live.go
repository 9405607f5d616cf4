package config

import (
	"fmt"
	"net/netip"
)

// Live returns what runs once next was applied to a gateway that runs was: all of
// next but the settings that take effect at a start only. The error, a Problems, names
// what of next cannot run beside those as they are; then none of next is to be applied.
func Live(was, next *Config) (*Config, error) {
	is := *next
	is.Underlay, is.Datapath, is.API, is.Log.Format = was.Underlay, was.Datapath, was.API, was.Log.Format
	if next.Underlay.Address == was.Underlay.Address {
		return &is, nil // what next names goes with it, or next were not valid
	}
	if why := stray(next, was.Underlay.Address); why != "" {
		return nil, Problems{{File: next.File, Message: why + fmt.Sprintf(" until a restart makes it %s: nothing is changed; `systemctl restart vxgw` applies all of the file", next.Underlay.Address)}}
	}
	return &is, nil
}

// stray says which VTEP, or prefix of VTEPs, a gateway with the address own cannot
// speak to: it is of another family, or own itself. "": it can with all.
func stray(c *Config, own netip.Addr) string {
	speaks := fmt.Sprintf("and this gateway speaks %s, as %s,", family(own), own)
	for _, r := range c.Remotes() {
		switch {
		case r.VTEP == own:
			return fmt.Sprintf("VNI %d sends to %s, which is this gateway's own address", r.VNI, own)
		case r.VTEP.Is4() != own.Is4():
			return fmt.Sprintf("VNI %d sends to %s, %s", r.VNI, r.VTEP, speaks)
		}
	}
	for i := range c.VNIs {
		v := &c.VNIs[i]
		if v.Group.IsValid() && v.Group.Is4() != own.Is4() {
			return fmt.Sprintf("VNI %d sends to %s, %s", v.ID, v.Group, speaks)
		}
		for _, p := range v.AllowedVTEPs {
			if p.Addr().Is4() != own.Is4() {
				return fmt.Sprintf("VNI %d hears %s, %s", v.ID, p, speaks)
			}
		}
	}
	return ""
}
