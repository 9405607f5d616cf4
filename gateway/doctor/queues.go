package doctor

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"vxgw/l3/underlay/path"
)

var hashCheck = check{
	name:      "rss",
	reads:     "which fields of UDP the underlay's NIC spreads over its receive queues by (ethtool -n LINK rx-flow-hash udp4)",
	means:     "All VXLAN of one VTEP has the same two addresses: without ports it all comes to one queue, and one CPU.",
	mend:      "`ethtool -N LINK rx-flow-hash udp4 sdfn` (udp6 for an IPv6 underlay)",
	needsFile: true,
	run:       examineHash,
}

// receiveQueues counts a link's.
func (m *Machine) receiveQueues(link string) int {
	all, err := fs.ReadDir(m.Files, "sys/class/net/"+link+"/queues")
	if err != nil {
		return 0
	}
	n := 0
	for _, d := range all {
		if strings.HasPrefix(d.Name(), "rx-") {
			n++
		}
	}
	return n
}

func examineHash(e *exam) {
	flow := "udp4"
	if e.own().Is6() {
		flow = "udp6"
	}
	for _, l := range e.towards() {
		if n := e.Machine.receiveQueues(l.Name); n < 2 {
			e.ok("%s has one receive queue: nothing is to be spread", l.Name)
			continue
		}
		switch is, err := e.Machine.Network.HashesPorts(l.Name, e.own().Is6()); {
		case isUnsupported(err):
			e.ok("the driver of %s does not say how it spreads UDP", l.Name)
		case err != nil:
			e.unseen("how "+l.Name+" spreads UDP", err)
		case !is:
			e.warn(fmt.Sprintf("ethtool -N %s rx-flow-hash %s sdfn", l.Name, flow), "%s spreads UDP by addresses alone: what comes from one VTEP comes to one CPU", l.Name)
		default:
			e.ok("%s spreads UDP by ports too", l.Name)
		}
	}
}

var queuesCheck = check{
	name:      "queues",
	reads:     "receive queues of the underlay's NIC, the CPUs, and which CPUs its interrupts go to (/proc/interrupts, /proc/irq/N/effective_affinity_list)",
	means:     "With one queue, or all interrupts at one CPU, that CPU is the limit of what can be received.",
	mend:      "`ethtool -L LINK combined N`, `systemctl start irqbalance`",
	needsFile: true,
	run:       examineQueues,
}

func examineQueues(e *exam) {
	for _, l := range e.towards() {
		queues := e.Machine.receiveQueues(l.Name)
		irqs, cpus := e.Machine.interrupts(l)
		switch {
		case !isHardware(l):
			e.ok("%s is not a NIC", l.Name)
		case queues == 1 && e.Machine.CPUs > 1:
			e.warn(fmt.Sprintf("ethtool -L %s combined %d", l.Name, e.Machine.CPUs), "%s has one receive queue, and there are %d CPUs", l.Name, e.Machine.CPUs)
		case irqs > 1 && len(cpus) == 1 && e.Machine.CPUs > 1:
			e.warn("systemctl start irqbalance", "all %d interrupts of %s go to one of %d CPUs", irqs, l.Name, e.Machine.CPUs)
		default:
			e.ok("%s has %d receive queues for %d CPUs", l.Name, queues, e.Machine.CPUs)
		}
	}
}

// interrupts returns how many interrupts have a link's name in theirs, and the CPUs that
// they go to, where the kernel tells.
func (m *Machine) interrupts(l path.Link) (count int, cpus map[string]bool) {
	cpus = make(map[string]bool)
	all, err := m.text("proc/interrupts")
	if err != nil {
		return 0, cpus
	}
	for line := range strings.Lines(all) {
		number, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if _, err := strconv.Atoi(number); !ok || err != nil || !names(rest, l.Name) {
			continue
		}
		count++
		if at, err := m.text("proc/irq/" + number + "/effective_affinity_list"); err == nil && at != "" {
			cpus[at] = true
		}
	}
	return count, cpus
}

// names reports whether a line of /proc/interrupts is about a link: eth0, eth0-TxRx-0,
// mlx5-eth0-rx-1.
func names(line, link string) bool {
	for _, word := range strings.Fields(line) {
		for rest := word; ; {
			i := strings.Index(rest, link)
			if i < 0 {
				break
			}
			if (i == 0 || isBreak(rest[i-1])) && (i+len(link) == len(rest) || isBreak(rest[i+len(link)])) {
				return true
			}
			rest = rest[i+len(link):]
		}
	}
	return false
}

func isBreak(c byte) bool { return strings.IndexByte("-_:.@/", c) >= 0 }
