package doctor

import (
	"fmt"
	"strings"
)

var kernelCheck = check{
	name:       "kernel",
	reads:      "/proc/sys/kernel/osrelease",
	means:      "Older kernels than 5.15 lack what the fast path is made of, and were not tested.",
	mend:       "a newer kernel of the distribution, and `reboot`",
	atTheStart: true,
	run:        examineKernel,
}

// The oldest kernel that is taken for good.
const oldestMajor, oldestMinor = 5, 15

func examineKernel(e *exam) {
	release, err := e.Machine.text("proc/sys/kernel/osrelease")
	if err != nil {
		e.unseen("the kernel's version", err)
		return
	}
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		e.unseen("the kernel's version", err)
		return
	}
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		e.warn("upgrade the kernel to 5.15 or newer, and reboot", "Linux %s is older than 5.15", strings.TrimSpace(release))
		return
	}
	e.ok("Linux %s", release)
}
