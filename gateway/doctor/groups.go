package doctor

import (
	"fmt"
	"net/netip"
)

var groupsCheck = check{
	name:      "multicast",
	reads:     "net.ipv4.igmp_max_memberships or net.ipv6.mld_max_msf, net.core.optmem_max, and whether the underlay carries multicast, where a VNI has a `group`",
	means:     "A group that is not joined brings nothing in. The gateway joins each by a socket of its own, without source filters: so igmp_max_memberships, which is of a socket, and mld_max_msf never bind, unless they are 0; open files (see limits) do.",
	mend:      "`sysctl -w net.ipv4.igmp_max_memberships=20`, `ip link set INTERFACE multicast on`",
	needsFile: true,
	run:       examineGroups,
}

func examineGroups(e *exam) {
	groups := e.groups()
	if len(groups) == 0 {
		e.ok("no VNI has a group")
		return
	}
	well := true
	if l, ok := e.underlay(); ok && !l.Multicast {
		well = false
		e.fail(fmt.Sprintf("ip link set %s multicast on", l.Name), "multicast is turned off on %s, and VNIs have groups", l.Name)
	}
	if e.own().Is4() {
		if n, err := e.Machine.sysctl("net", "ipv4", "igmp_max_memberships"); err != nil {
			e.unseen("net.ipv4.igmp_max_memberships", err)
			return
		} else if n < 1 {
			well = false
			e.fail("sysctl -w net.ipv4.igmp_max_memberships=20", "net.ipv4.igmp_max_memberships is %d: no group can be joined", n)
		}
	}
	if well {
		e.ok("%d groups, each by a socket of its own: net.ipv4.igmp_max_memberships and net.ipv6.mld_max_msf do not bind", len(groups))
	}
}

var reverseCheck = check{
	name:       "rp-filter",
	reads:      "net.ipv4.conf.{all,LINK}.rp_filter of the underlay's links: the greater counts",
	means:      "1 (strict, RFC 3704) drops what comes in by another link than the route back leaves by. With one link that is never so; with several (ECMP, a VTEP address on lo) packets of some VTEPs are lost without a trace.",
	mend:       "`sysctl -w net.ipv4.conf.LINK.rp_filter=2`",
	needsFile:  true,
	atTheStart: true,
	run:        examineReverse,
}

func examineReverse(e *exam) {
	if !e.own().Is4() {
		e.ok("IPv6 has none")
		return
	}
	links := e.towards()
	if l, ok := e.underlay(); ok && !l.Loopback && len(links) > 0 && links[0].Index != l.Index {
		links = append(links, l)
	}
	all, err := e.Machine.sysctl("net", "ipv4", "conf", "all", "rp_filter")
	if err != nil {
		e.unseen("net.ipv4.conf.all.rp_filter", err)
		return
	}
	var strict []string
	for _, l := range links {
		is, err := e.Machine.sysctl("net", "ipv4", "conf", l.Name, "rp_filter")
		if err != nil {
			e.unseen("rp_filter of "+l.Name, err)
			return
		}
		if max(is, all) == 1 {
			strict = append(strict, l.Name)
		}
	}
	switch {
	case len(links) == 0:
		return // that there is no underlay was told of
	case len(strict) == 0:
		e.ok("not strict on %s", naming(links, nameOf))
	case len(links) == 1:
		e.ok("strict on %s, and packets to VTEPs leave by no other link", strict[0])
	default:
		e.warn(fmt.Sprintf("sysctl -w net.ipv4.conf.%s.rp_filter=2", strict[0]),
			"strict on %s, and packets to VTEPs leave by %s: what comes in by another link than answers leave by is dropped", naming(strict, func(s string) string { return s }), naming(links, nameOf))
	}
}

// anyVTEP is a VTEP that rules are asked about where none is known: an address for
// documentation (RFC 5737, RFC 3849).
func (e *exam) anyVTEP() []netip.Addr {
	if all := e.vteps(); len(all) > 0 {
		return all
	}
	if e.own().Is4() {
		return []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, 1})}
	}
	return []netip.Addr{netip.MustParseAddr("2001:db8::1")}
}
