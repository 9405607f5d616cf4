package doctor

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
)

var portCheck = check{
	name:      "udp-port",
	reads:     "/proc/net/udp and udp6, the files that processes have open (/proc/PID/fd), and the kernel's vxlan devices",
	means:     "The port of the underlay is somebody else's: the gateway waits for it, or what comes is shared out between the two.",
	mend:      "`ip link delete DEVICE`, or stop the process that is named; or another `port` in [underlay], at all VTEPs",
	cost:      costly,
	needsFile: true,
	run:       examinePort,
}

func examinePort(e *exam) {
	port := e.Config.Underlay.Port
	if dev, is := e.Machine.Network.VXLANOn(port, e.own()); is {
		e.fail("ip link delete "+dev, "the kernel's vxlan device %s has UDP port %d", dev, port)
		return
	}
	taken, err := e.Machine.socketsOn(port, e.own())
	if err != nil {
		e.unseen("who has the UDP port", err)
		return
	}
	if e.Live != nil {
		for inode := range e.Machine.socketsOf("self") {
			delete(taken, inode)
		}
	} else if len(taken) > 0 && e.runsHere(taken) {
		e.ok("UDP port %d is vxgw's", port)
		return
	}
	if len(taken) == 0 {
		e.ok("nobody else has UDP port %d", port)
		return
	}
	mend := fmt.Sprintf("ss -ulpn 'sport = :%d'", port)
	pid, name := e.Machine.owner(taken)
	if pid == 0 {
		e.fail(mend, "UDP port %d is held by a process that cannot be named from here", port)
		return
	}
	e.fail(fmt.Sprintf("kill %d, or stop its service: systemctl status %d", pid, pid), "UDP port %d is held by %s, process %d", port, name, pid)
}

// runsHere reports whether it is a gateway that has the port, of which the control
// socket is another one than was asked.
func (e *exam) runsHere(sockets map[string]bool) bool {
	_, name := e.Machine.owner(sockets)
	return name == "vxgw"
}

// socketsOn returns the inodes of UDP sockets that get what is sent to an address and
// port.
func (m *Machine) socketsOn(port uint16, own netip.Addr) (map[string]bool, error) {
	taken := make(map[string]bool)
	for _, name := range []string{"proc/net/udp", "proc/net/udp6"} {
		b, err := fs.ReadFile(m.Files, name)
		if err != nil {
			if name == "proc/net/udp6" { // a kernel without IPv6
				break
			}
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			local, inode, ok := parseSocket(line)
			if ok && local.Port() == port && gets(local.Addr(), own) {
				taken[inode] = true
			}
		}
	}
	return taken, nil
}

// gets reports whether a socket with a local address gets what is sent to own. One of
// IPv6 without an address gets IPv4 too, unless it is said otherwise, which is not to be
// seen.
func gets(local, own netip.Addr) bool {
	return local.Unmap() == own || local.IsUnspecified() && (local.Is6() || own.Is4())
}

// parseSocket reads a line of /proc/net/udp: the second field is the local address, as
// words of the host, and the tenth the inode.
func parseSocket(line string) (local netip.AddrPort, inode string, ok bool) {
	const inodeAt = 9
	f := strings.Fields(line)
	if len(f) <= inodeAt {
		return local, "", false
	}
	text, portText, found := strings.Cut(f[1], ":")
	b, err := hex.DecodeString(text)
	port, portErr := strconv.ParseUint(portText, 16, 16)
	if !found || err != nil || portErr != nil || len(b) != 4 && len(b) != 16 {
		return local, "", false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr, uint16(port)), f[inodeAt], true
}

// owner finds the first process that has one of the sockets; 0: none that may be looked
// at.
func (m *Machine) owner(sockets map[string]bool) (pid int, name string) {
	all, err := fs.ReadDir(m.Files, "proc")
	if err != nil {
		return 0, ""
	}
	for _, d := range all {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		for inode := range m.socketsOf(d.Name()) {
			if sockets[inode] {
				name, _ := m.text("proc/" + d.Name() + "/comm")
				return pid, name
			}
		}
	}
	return 0, ""
}

// socketsOf returns the inodes of sockets that a process has open.
func (m *Machine) socketsOf(process string) map[string]bool {
	has := make(map[string]bool)
	dir := "proc/" + process + "/fd"
	all, err := fs.ReadDir(m.Files, dir)
	if err != nil {
		return has // it is gone, or somebody else's
	}
	for _, d := range all {
		to, err := fs.ReadLink(m.Files, dir+"/"+d.Name())
		if inode, is := strings.CutPrefix(to, "socket:["); err == nil && is {
			has[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return has
}
