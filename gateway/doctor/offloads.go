package doctor

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"vxgw/l3/underlay/path"
)

var offloadsCheck = check{
	name:       "offloads",
	reads:      "LRO, GRO and GSO of access ports and of the underlay, as drivers tell (ethtool -k)",
	means:      "LRO joins segments in a way that cannot be undone: a bridged connection stalls. Without GRO or GSO of a NIC long transfers cost several times as much.",
	mend:       "`ethtool -K INTERFACE lro off gro on gso on`",
	needsFile:  true,
	atTheStart: true,
	run:        examineOffloads,
}

func examineOffloads(e *exam) {
	links := append(e.ports(), e.towards()...)
	well, asked := true, 0
	for _, l := range links {
		o, err := e.Machine.Network.Offloads(l.Name)
		if err != nil {
			if !isUnsupported(err) {
				e.unseen("offloads of "+l.Name, err)
				well = false
			}
			continue
		}
		asked++
		if lacks := lacking(l, o); lacks != "" {
			well = false
			e.warn(fmt.Sprintf("ethtool -K %s %s", l.Name, lacks), "%s: %s", l.Name, wrongWith(l, o))
		}
	}
	if well && asked > 0 {
		e.ok("as they should be on %s", naming(links, nameOf))
	}
}

// isHardware reports whether a link is a NIC: of devices that the kernel makes offloads
// cost or save little.
func isHardware(l path.Link) bool { return l.Kind == "" && !l.Loopback && l.Driver != "" }

// lacking is what ethtool -K is to be told.
func lacking(l path.Link, o path.Offloads) string {
	var all []string
	if o.LRO {
		all = append(all, "lro off")
	}
	if isHardware(l) && !o.GRO {
		all = append(all, "gro on")
	}
	if isHardware(l) && !o.GSO {
		all = append(all, "gso on")
	}
	return strings.Join(all, " ")
}

func wrongWith(l path.Link, o path.Offloads) string {
	var all []string
	if o.LRO {
		all = append(all, "LRO is on: it joins segments that cannot be cut again")
	}
	if isHardware(l) && !o.GRO {
		all = append(all, "GRO is off")
	}
	if isHardware(l) && !o.GSO {
		all = append(all, "GSO is off")
	}
	return strings.Join(all, "; ")
}

func isUnsupported(err error) bool { return errors.Is(err, unix.EOPNOTSUPP) }
