package doctor

import (
	"fmt"
	"net/netip"

	"vxgw/gateway/api"
	"vxgw/l3/ip"
)

var mtuCheck = check{
	name:      "mtu",
	reads:     "the MTU of access ports, and of the route to each VTEP (or what the running gateway found out about the path)",
	means:     "VXLAN adds 50 bytes to a packet of the hosts over IPv4 and 70 over IPv6. A path that carries less than that leaves hosts less than their MTU: longer frames are dropped as `too_big`, and IP senders are told.",
	mend:      "`ip link set dev UNDERLAY mtu N`, here and on the whole way; or a smaller MTU at the hosts, or `clamp_mss = true` for TCP",
	needsFile: true,
	run:       examineMTU,
}

// added is what encapsulation adds to an inner IP packet, in bytes of outer IP packet:
// inner Ethernet, VXLAN (RFC 7348 section 5), UDP and outer IP headers.
func added(to netip.Addr) int {
	const ethernet, vxlan, udp = 14, 8, 8
	if to.Is4() {
		return ip.IPv4HeaderLen + udp + vxlan + ethernet
	}
	return ip.IPv6HeaderLen + udp + vxlan + ethernet
}

// narrow is a path that carries less than hosts may send.
type narrow struct {
	vtep          netip.Addr
	carries, need int // bytes of outer IP packet
}

// widest is the widest access port, by its MTU.
func (e *exam) widest() (name string, mtu int) {
	for _, l := range e.ports() {
		if l.MTU > mtu {
			name, mtu = l.Name, l.MTU
		}
	}
	return name, mtu
}

// paths returns what the path to each VTEP carries by what is known without asking
// anybody; those without a route are left out.
func (e *exam) paths() map[netip.Addr]int {
	all := make(map[netip.Addr]int)
	for _, a := range e.vteps() {
		if p, err := e.path(a); err == nil && p.MTU > 0 {
			all[a] = p.MTU
		}
	}
	if e.Live == nil {
		return all
	}
	for _, v := range e.Live.VTEPs() {
		a, err := netip.ParseAddr(v.Address)
		if err == nil && v.Origin != api.OriginGroup && v.PathMTU > 0 {
			all[a] = v.PathMTU
		}
	}
	return all
}

func examineMTU(e *exam) {
	port, mtu := e.widest()
	if mtu == 0 {
		e.ok("there is no access port yet whose MTU would have to fit")
		return
	}
	paths := e.paths()
	var tight []narrow
	for _, a := range e.vteps() {
		carries, known := paths[a]
		if need := mtu + added(a); known && carries < need {
			tight = append(tight, narrow{vtep: a, carries: carries, need: need})
		}
	}
	if len(tight) == 0 {
		e.ok("the paths to %d VTEPs carry what hosts behind %s may send (%d bytes)", len(paths), port, mtu)
		return
	}
	if again := e.carriedAgain(tight); len(again) > 0 {
		e.warn(fmt.Sprintf("ip route flush cache; or take mtu out of the route that `ip route get %v` shows", again[0].vtep), "%s: the kernel still goes by %d bytes, and more is carried by now; what it has learned it forgets within ten minutes",
			naming(again, func(n narrow) string { return n.vtep.String() }), again[0].carries)
		if len(again) == len(tight) {
			return
		}
	}
	first := tight[0]
	mend := fmt.Sprintf("tracepath -n %v, and raise the MTU where it is small to %d", first.vtep, first.need)
	if p, err := e.path(first.vtep); err == nil {
		if l, ok := e.Machine.Network.Link(p.Link); ok && l.MTU < first.need {
			mend = fmt.Sprintf("ip link set dev %s mtu %d", l.Name, first.need)
		}
	}
	e.warn(mend+fmt.Sprintf("; or hosts' MTU to %d", first.carries-added(first.vtep)),
		"%s may send %d bytes, which take %d: the path to %s carries %s", port, mtu, first.need,
		naming(tight, func(n narrow) string { return n.vtep.String() }),
		naming(tight, func(n narrow) string { return fmt.Sprint(n.carries) }))
}

// carriedAgain returns those paths that are said to be narrow and that a probe of the
// full length has got through.
func (e *exam) carriedAgain(tight []narrow) (again []narrow) {
	if !e.once.sent {
		return nil
	}
	all, err := e.once.answers()
	if err != nil {
		return nil
	}
	for _, n := range tight {
		for _, a := range all {
			if a.Addr == n.vtep && a.Size >= n.need && a.Carried() {
				again = append(again, n)
			}
		}
	}
	return again
}
