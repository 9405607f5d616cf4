package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
)

var addressCheck = check{
	name:      "vtep-address",
	reads:     "which links hold the VTEP address, and whether they are up",
	means:     "Nothing leaves with an address that this machine does not hold. Held by two links, routes decide which one packets take.",
	mend:      "`ip address add ADDRESS/LENGTH dev INTERFACE`, `ip link set INTERFACE up`",
	needsFile: true,
	run:       examineAddress,
}

func examineAddress(e *exam) {
	u := &e.Config.Underlay
	all := e.Machine.Network.Holders(e.own())
	switch {
	case len(all) == 0 && u.Assign.IsValid() && e.Live == nil:
		e.ok("%s is given to the sub-interface by the gateway when it starts", u.Assign)
	case len(all) == 0:
		e.fail(fmt.Sprintf("ip address add %s dev %s", netip.PrefixFrom(e.own(), e.own().BitLen()), cmp.Or(u.Device(), "INTERFACE")), "no interface holds %s", e.own())
	case !all[0].AdminUp:
		e.fail(fmt.Sprintf("ip link set %s up", all[0].Name), "%s holds %s and is down", all[0].Name, e.own())
	case !all[0].Carrier && !all[0].Loopback:
		e.fail(fmt.Sprintf("ethtool %s", all[0].Name), "%s holds %s and has no carrier: cable, switch port", all[0].Name, e.own())
	case len(all) > 1:
		e.warn(fmt.Sprintf("ip address del %s dev %s", netip.PrefixFrom(e.own(), e.own().BitLen()), all[1].Name), "%s is held by %s: one is enough", e.own(), naming(all, nameOf))
	case u.VLAN == 0 && u.Interface != "" && all[0].Name != u.Interface:
		e.warn(fmt.Sprintf("set interface = %q in [underlay], or move the address", all[0].Name), "%s is held by %s, and [underlay] interface is %s", e.own(), all[0].Name, u.Interface)
	default:
		e.ok("%s on %s, which is up", e.own(), all[0].Name)
	}
}

var duplicateCheck = check{
	name:      "duplicate-address",
	reads:     "IPv4: who answers an ARP probe for the VTEP address (RFC 5227) on the link that holds it. IPv6: what duplicate address detection has found (RFC 4862)",
	means:     "Two machines have the address of this VTEP: what other VTEPs send gets to one of them at a time.",
	mend:      "find the other by its MAC at the switch, and give one of them another address",
	cost:      active,
	needsFile: true,
	run:       examineDuplicate,
}

func examineDuplicate(e *exam) {
	if link, is, err := e.Machine.Network.IsDuplicate(e.own()); err != nil {
		e.unseen("whether others have the VTEP address", err)
		return
	} else if is {
		e.fail(fmt.Sprintf("ip -6 address show dev %s dadfailed", link), "another host on %s has %s: duplicate address detection failed", link, e.own())
		return
	}
	l, ok := e.underlay()
	switch {
	case !ok:
		return // told of already
	case e.own().Is6():
		e.ok("duplicate address detection has found nobody else with %s", e.own())
		return
	case l.Loopback || !l.Ethernet || !l.AdminUp || !l.Carrier:
		e.ok("nobody can be asked on %s who else has %s", l.Name, e.own())
		return
	}
	who, found, err := e.Machine.WhoHas(e.ctx, l.Index, l.MAC, e.own())
	switch {
	case err != nil:
		e.unseen("whether others have the VTEP address", err)
	case found:
		e.fail(fmt.Sprintf("arping -D -I %s %s", l.Name, e.own()), "%v on %s has %s too", who, l.Name, e.own())
	default:
		e.ok("nobody else on %s says that he has %s", l.Name, e.own())
	}
}
