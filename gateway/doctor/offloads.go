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
		if found, mend := wrongWith(l, o); found != "" {
			well = false
			e.warn(fmt.Sprintf("ethtool -K %s %s", l.Name, mend), "%s: %s", l.Name, found)
		}
	}
	if well && asked > 0 {
		e.ok("as they should be on %s", naming(links, nameOf))
	}
}

// isHardware reports whether a link is a NIC: of devices that the kernel makes offloads
// cost or save little.
func isHardware(l path.Link) bool { return l.Kind == "" && !l.Loopback && l.Driver != "" }

// wrongWith says what is wrong with the offloads of a link, and what ethtool -K is to be
// told; "" where nothing is.
func wrongWith(l path.Link, o path.Offloads) (found, mend string) {
	var all, commands []string
	for _, w := range []struct {
		is             bool
		found, command string
	}{
		{o.LRO, "LRO is on: it joins segments that cannot be cut again", "lro off"},
		{isHardware(l) && !o.GRO, "GRO is off", "gro on"},
		{isHardware(l) && !o.GSO, "GSO is off", "gso on"},
	} {
		if w.is {
			all, commands = append(all, w.found), append(commands, w.command)
		}
	}
	return strings.Join(all, "; "), strings.Join(commands, " ")
}

func isUnsupported(err error) bool { return errors.Is(err, unix.EOPNOTSUPP) }
