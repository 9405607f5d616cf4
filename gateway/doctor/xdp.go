package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"vxgw/config"
	"vxgw/l3/underlay/path"
)

var xdpCheck = check{
	name:      "fast-path",
	reads:     "what drivers say of XDP, net.core.bpf_jit_enable, where BPF file systems are mounted (/proc/self/mounts), CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN",
	means:     "Frames are carried all the same, by the workers, for several times the CPU. Without a BPF file system of its own the fast path ends with the process.",
	mend:      "`sysctl -w net.core.bpf_jit_enable=1`, `mount -t bpf bpf /run/vxgw-bpf`; `vxgw show datapath` says why an interface has none",
	needsFile: true,
	run:       examineXDP,
}

func examineXDP(e *exam) {
	if e.Config.Datapath.Mode == config.ModeRaw {
		e.ok(`not wanted: [datapath] mode = "raw"`)
		return
	}
	well := true
	switch jit, err := e.Machine.sysctl("net", "core", "bpf_jit_enable"); {
	case errors.Is(err, fs.ErrNotExist): // a kernel that has nothing else, or another network namespace
	case errors.Is(err, fs.ErrPermission): // it is root's to read, and on unless it was turned off
	case err != nil:
		e.unseen("net.core.bpf_jit_enable", err)
	case jit == 0:
		well = false
		e.warn("sysctl -w net.core.bpf_jit_enable=1", "programs of the fast path are interpreted: net.core.bpf_jit_enable is 0")
	}
	if has, err := e.Machine.effective(); err == nil && e.Live != nil {
		for _, w := range wanted[1:] {
			if has&(1<<w.bit) == 0 {
				well = false
				e.warn("systemctl edit vxgw, [Service] AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF CAP_PERFMON", "there is no fast path without %s", w.name)
				break
			}
		}
	}
	if mounts, err := e.Machine.text("proc/self/mounts"); err != nil {
		e.unseen("mounts", err)
	} else if !strings.Contains("\n"+mounts, " bpf ") {
		well = false
		e.warn("mkdir -p /run/vxgw-bpf; mount -t bpf bpf /run/vxgw-bpf; chown vxgw /run/vxgw-bpf", "there is no BPF file system: the fast path ends with the process")
	}
	e.examineDrivers()
	if well {
		e.ok("BPF is compiled, and may be used")
	}
}

// examineDrivers names links whose drivers have no XDP.
func (e *exam) examineDrivers() {
	var without []path.Link
	links := append(e.ports(), e.towards()...)
	for _, l := range links {
		if l.XDP.Known && !(l.XDP.Basic && l.XDP.Redirect) {
			without = append(without, l)
		}
	}
	if len(without) > 0 {
		e.warn("vxgw show datapath", "no XDP at %s: what is certain is sent on at TCX, or by the workers",
			naming(without, func(l path.Link) string { return fmt.Sprintf("%s (driver %s)", l.Name, l.Driver) }))
	}
}
