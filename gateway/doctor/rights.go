package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var rightsCheck = check{
	name:  "capabilities",
	reads: "the effective capabilities of the gateway, or of the process that looks (/proc/self/status)",
	means: "FAIL: without CAP_NET_RAW nothing is sent or received. WARN: what CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON are for works slower or not: promiscuous ports, large buffers, the fast path.",
	mend:  "`systemctl edit vxgw`, AmbientCapabilities= as in the unit that comes with vxgw",
	run:   examineRights,
}

// wanted are the capabilities that the unit grants.
var wanted = []struct {
	bit  int
	name string
}{
	{unix.CAP_NET_RAW, "CAP_NET_RAW"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_PERFMON, "CAP_PERFMON"},
}

// effective returns the capabilities of this process.
func (m *Machine) effective() (uint64, error) {
	status, err := m.text("proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(status) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no CapEff")
}

func examineRights(e *exam) {
	has, err := e.Machine.effective()
	if err != nil {
		e.unseen("capabilities", err)
		return
	}
	var lacks []string
	for _, w := range wanted {
		if has&(1<<w.bit) == 0 {
			lacks = append(lacks, w.name)
		}
	}
	who, mend := "the gateway", "systemctl edit vxgw, [Service] AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF CAP_PERFMON"
	if e.Live == nil {
		who, mend = "this process", asRoot
	}
	switch {
	case len(lacks) == 0:
		e.ok("%s has all that are used", who)
	case e.Live == nil:
		e.warn(mend, "%s has no %s: a gateway that it started would not either", who, strings.Join(lacks, ", "))
	case lacks[0] == "CAP_NET_RAW":
		e.fail(mend, "%s has no %s", who, strings.Join(lacks, ", "))
	default:
		e.warn(mend, "%s has no %s", who, strings.Join(lacks, ", "))
	}
}
