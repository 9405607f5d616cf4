package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

var limitsCheck = check{
	name:      "limits",
	reads:     "/proc/self/limits: open files and locked memory, against ports, workers and multicast groups",
	means:     "Each queue of a port and each multicast group takes file descriptors: ports or groups beyond the limit are not opened. AF_XDP sockets lock memory.",
	mend:      "`systemctl edit vxgw`, LimitNOFILE= and LimitMEMLOCK=infinity",
	needsFile: true,
	run:       examineLimits,
}

const (
	// filesEach is how many files a queue of a port takes at the most, and filesAtAll
	// what a gateway has open beside: the control API's connections too.
	filesEach  = 8
	filesAtAll = 256

	// lockedLeast is what the sockets of a few ports lock, in bytes.
	lockedLeast = 8 << 20
)

// limit returns a soft limit; -1: none.
func (m *Machine) limit(name string) (int, error) {
	all, err := m.text("proc/self/limits")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(all) {
		if values, ok := strings.CutPrefix(line, name); ok {
			soft := strings.Fields(values)
			if len(soft) > 0 && soft[0] == "unlimited" {
				return -1, nil
			}
			if len(soft) > 0 {
				return strconv.Atoi(soft[0])
			}
		}
	}
	return 0, fmt.Errorf("/proc/self/limits has no %q", name)
}

// groups returns the multicast groups, each once.
func (e *exam) groups() map[string]bool {
	all := make(map[string]bool)
	for i := range e.Config.VNIs {
		if g := e.Config.VNIs[i].Group; g.IsValid() {
			all[g.String()] = true
		}
	}
	return all
}

// queues is how many queues a port has.
func (e *exam) queues() int {
	if n := e.Config.Datapath.Workers; n > 0 {
		return n
	}
	return max(e.Machine.CPUs/2, 1)
}

func examineLimits(e *exam) {
	files, err := e.Machine.limit("Max open files")
	if err != nil {
		e.unseen("limits", err)
		return
	}
	locked, err := e.Machine.limit("Max locked memory")
	if err != nil {
		e.unseen("limits", err)
		return
	}
	need := filesAtAll + len(e.Config.Ports)*e.queues()*filesEach + len(e.groups())
	whose := "the gateway"
	if e.Live == nil {
		whose = "this process, and a gateway that it started,"
	}
	well := true
	if files >= 0 && files < need {
		well = false
		e.warn(fmt.Sprintf("systemctl edit vxgw, [Service] LimitNOFILE=%d", need), "%s may open %d files: %d ports and %d groups may take %d", whose, files, len(e.Config.Ports), len(e.groups()), need)
	}
	if locked >= 0 && locked < lockedLeast {
		well = false
		e.warn("systemctl edit vxgw, [Service] LimitMEMLOCK=infinity", "%s may lock %d KiB of memory: AF_XDP sockets take more", whose, locked>>10)
	}
	if well {
		e.ok("open files: %s, up to %d are used; locked memory: %s", limitText(files, ""), need, limitText(locked>>10, " KiB"))
	}
}

func limitText(n int, unit string) string {
	if n < 0 {
		return "no limit"
	}
	return strconv.Itoa(n) + unit
}
