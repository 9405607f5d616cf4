package path

import (
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addWithDAD gives dev an IPv6 address that is checked for duplicates.
func addWithDAD(dev, cidr string) error {
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, addr)
}

// bpf is a command of bpf(2). It skips the test where programs may not be loaded.
func bpf(t *testing.T, cmd uintptr, attr unsafe.Pointer, size uintptr) (fd int) {
	t.Helper()
	r, _, errno := unix.Syscall(unix.SYS_BPF, cmd, uintptr(attr), size)
	if errno == unix.EPERM {
		t.Skip("needs to load programs into the kernel, as root with CAP_BPF")
	} else if errno != 0 {
		t.Fatalf("bpf command %d: %v", cmd, errno)
	}
	t.Cleanup(func() { unix.Close(int(r)) })
	return int(r)
}

// passProgram loads an XDP program that lets everything pass.
func passProgram(t *testing.T) (fd int) {
	t.Helper()
	insns := [...]uint64{2<<32 | 0xb7, 0x95} // r0 = XDP_PASS; exit
	license := [...]byte{'M', 'I', 'T', 0}
	load := struct {
		typ, count     uint32
		insns, license unsafe.Pointer
	}{unix.BPF_PROG_TYPE_XDP, uint32(len(insns)), unsafe.Pointer(&insns), unsafe.Pointer(&license)}
	return bpf(t, unix.BPF_PROG_LOAD, unsafe.Pointer(&load), unsafe.Sizeof(load))
}

// attach attaches a program to dev as `ip link set dev DEV xdp` does, or takes it
// away with an fd of -1.
func attach(dev string, fd int, mode uint32) error {
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return err
	}
	return netlink.LinkSetXdpFdWithFlags(link, fd, int(mode))
}

// attachByLink attaches a program for as long as the descriptor is open that it
// returns (a bpf_link).
func attachByLink(t *testing.T, dev string, prog int) (fd int) {
	t.Helper()
	link, err := netlink.LinkByName(dev)
	must(t, err)
	create := struct{ prog, index, attach, flags uint32 }{uint32(prog), uint32(link.Attrs().Index), unix.BPF_XDP, 0}
	return bpf(t, unix.BPF_LINK_CREATE, unsafe.Pointer(&create), unsafe.Sizeof(create))
}
