package doctor

import (
	"errors"
	"fmt"
	"net/netip"

	"vxgw/gateway/api"
	"vxgw/l3/underlay/echo"
	"vxgw/l3/underlay/probe"
)

var reachCheck = check{
	name:      "reachability",
	reads:     "which VTEPs answer an ICMP echo request of 56 to 76 bytes, three times asked in 1.5 s",
	means:     "No answer means that the VTEP is down, that the way to it or back is, or that somebody drops ICMP: VXLAN may get through all the same. `vxgw show vteps` tells when it was last heard of.",
	mend:      "`ping VTEP`, `tracepath -n VTEP`",
	cost:      active,
	needsFile: true,
	run:       examineReach,
}

var probeCheck = check{
	name:      "path-probe",
	reads:     "what becomes of packets of full length with DF: ICMP echo requests, and UDP datagrams to the VTEP's port without the I flag, which VTEPs drop. A reply, or port unreachable from the VTEP itself, says that the length gets there; fragmentation needed (packet too big) that it does not. Silence says nothing",
	means:     "WARN: a router names a smaller MTU than the route has; or short requests are answered and long ones are lost without a word, which is a black hole, or somebody who refuses long pings; or nobody has the UDP port at the VTEP.",
	mend:      "`tracepath -n VTEP` shows where: raise the MTU there, and let ICMP through; start the other VTEP",
	cost:      active,
	needsFile: true,
	run:       examineProbes,
}

// maxProbed bounds how many VTEPs are sent probes: an answer has to be there within ten
// seconds.
const maxProbed = 512

// probe asks every VTEP for what its link carries, and no more than access ports need.
func (e *exam) probe() ([]probe.Answer, error) {
	_, mtu := e.widest()
	var targets []probe.Target
	for _, a := range e.vteps() {
		p, err := e.path(a)
		if err != nil || len(targets) == maxProbed {
			continue
		}
		size := p.MTU
		// What the kernel has learned of the path may be so no more; its link stays.
		if l, ok := e.Machine.Network.Link(p.Link); ok && l.MTU > size {
			size = l.MTU
		}
		if mtu > 0 {
			size = min(size, mtu+added(a))
		}
		targets = append(targets, probe.Target{Addr: a, Size: min(max(size, echo.Least), 65535)})
	}
	if len(targets) == 0 {
		return nil, nil
	}
	return e.Machine.Probe(e.ctx, e.own(), e.Config.Underlay.Port, targets)
}

func addrOf(a probe.Answer) string { return a.Addr.String() }

func examineReach(e *exam) {
	all, err := e.once.answers()
	if err != nil {
		e.unseen("whether VTEPs answer", err)
		return
	}
	var silent []probe.Answer
	for _, a := range all {
		if !a.Replied && !a.Carried() {
			silent = append(silent, a)
		}
	}
	if len(silent) > 0 {
		e.warn(fmt.Sprintf("ping %v, tracepath -n %[1]v", silent[0].Addr),
			"%d of %d VTEPs answer no ICMP echo: %s: down, no way back, or ICMP is dropped, and VXLAN may get through", len(silent), len(all), naming(silent, addrOf))
	} else if len(all) > 0 {
		e.ok("%d VTEPs answer", len(all))
	}
	if more := len(e.vteps()) - len(all); more > 0 && len(all) == maxProbed {
		e.add(api.CheckNote, "", "%d more VTEPs were not asked", more)
	}
}

func examineProbes(e *exam) {
	all, err := e.once.answers()
	if errors.Is(err, e.ctx.Err()) && err != nil || len(all) == 0 && err == nil {
		return
	} else if err != nil {
		e.unseen("what paths carry", err)
		return
	}
	var narrow, lost, refused, unknown []probe.Answer
	carried := 0
	for _, a := range all {
		switch {
		case a.Narrow > 0 && !a.Carried():
			narrow = append(narrow, a)
		case a.Refused:
			refused = append(refused, a)
		case a.Whole:
			carried++
		case a.Replied:
			lost = append(lost, a)
		default:
			unknown = append(unknown, a)
		}
	}
	e.tellNarrow(narrow)
	if len(lost) > 0 {
		a := lost[0]
		e.warn(fmt.Sprintf("ping -M do -s %d %v; tracepath -n %v", a.Size-pingHeaders(a.Addr), a.Addr, a.Addr),
			"%s: short pings are answered, those of %d bytes are lost without a word: a black hole, or long pings are refused", naming(lost, addrOf), a.Size)
	}
	if len(refused) > 0 {
		e.warn(fmt.Sprintf("on %v: systemctl status of its VTEP, ss -uln 'sport = :%d'", refused[0].Addr, e.Config.Underlay.Port),
			"%s: packets get there, and nobody has UDP port %d", naming(refused, addrOf), e.Config.Underlay.Port)
	}
	if carried > 0 {
		e.ok("%d of %d paths carry what they are to: an echo reply of full length came back", carried, len(all))
	}
	if len(unknown) > 0 {
		e.add(api.CheckNote, "", "%s: not known, nothing is answered", naming(unknown, addrOf))
	}
}

// tellNarrow names the paths that somebody says carry less.
func (e *exam) tellNarrow(all []probe.Answer) {
	if len(all) == 0 {
		return
	}
	a := all[0]
	by := "this machine"
	if a.By.IsValid() {
		by = a.By.String()
	}
	e.warn(fmt.Sprintf("tracepath -n %v, and raise the MTU there to %d; or hosts' MTU to %d", a.Addr, a.Size, a.Narrow-added(a.Addr)),
		"%s: %s says that %d bytes are carried, %d were sent", naming(all, addrOf), by, a.Narrow, a.Size)
}

// pingHeaders is what of a ping's packet is no data, in bytes.
func pingHeaders(to netip.Addr) int {
	const vxlanAndEthernet = 22
	return added(to) - vxlanAndEthernet // an echo header is as long as UDP's
}
