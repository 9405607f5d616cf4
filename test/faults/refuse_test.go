package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
)

// refusal is a system call that a kernel of less would refuse.
type refusal struct {
	Call  uint32
	Args  map[int]uint32 // by position; other calls of the kind are let through
	Errno syscall.Errno
}

// refuseEnv has the test's own program apply a refusal and then become the
// gateway: it is a kernel without the feature that the gateway meets, and nothing
// in the gateway knows of it.
const (
	refuseEnv  = "VXGW_TEST_REFUSE"
	programEnv = "VXGW_TEST_PROGRAM"
)

func runRefused(what string) int {
	var r refusal
	err := json.Unmarshal([]byte(what), &r)
	if err == nil {
		err = r.apply()
	}
	if err == nil {
		err = syscall.Exec(os.Getenv(programEnv), os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	return 3
}

// apply has the kernel refuse the call to this thread and to what it executes
// (seccomp(2)).
func (r *refusal) apply() error {
	runtime.LockOSThread()
	const nr, args = 0, 16 // in struct seccomp_data
	words := []struct{ at, value uint32 }{{nr, r.Call}}
	for i, v := range r.Args {
		words = append(words, struct{ at, value uint32 }{args + 8*uint32(i), v}) // the low half on a little-endian machine
	}
	var filter []bpf.Instruction
	for i, w := range words {
		filter = append(filter,
			bpf.LoadAbsolute{Off: w.at, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: w.value, SkipTrue: uint8(2*(len(words)-i-1) + 1)})
	}
	const refuse, allow = 0x00050000, 0x7fff0000 // SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW
	filter = append(filter, bpf.RetConstant{Val: refuse | uint32(r.Errno)}, bpf.RetConstant{Val: allow})
	prog, err := bpf.Assemble(filter)
	if err != nil {
		return err
	}
	ins := make([]unix.SockFilter, len(prog))
	for i, p := range prog {
		ins[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	f := unix.SockFprog{Len: uint16(len(ins)), Filter: &ins[0]}
	return os.NewSyscallError("seccomp", unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&f)), 0, 0))
}

// option is the refusal of a socket option.
func option(level, name uint32) refusal {
	return refusal{unix.SYS_SETSOCKOPT, map[int]uint32{1: level, 2: name}, unix.ENOPROTOOPT}
}

// startRefused runs the gateway on a kernel that refuses something.
func startRefused(t *testing.T, b *bed, r refusal) *daemon {
	t.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("needs a little-endian machine")
	}
	text, err := json.Marshal(r)
	must(t, err)
	d := prepare(t, b.gw, settings{})
	self, err := os.Executable()
	must(t, err)
	d.cmd = b.gw.Command(context.Background(), self, "run", "-c", d.file)
	d.cmd.Env = append(os.Environ(), refuseEnv+"="+string(text), programEnv+"="+program)
	d.cmd.Stderr = d.err
	return d.start().begun()
}

// TestKernelOfLess holds that the gateway runs on a kernel that lacks something,
// with as much as can be had without, and that this is told of once and shown.
func TestKernelOfLess(t *testing.T) {
	for _, test := range []struct {
		name    string
		refuses refusal
		says    []string // in a line of the log, and in show datapath
		at      string   // the interfaces whose rows it is in
		carries bool     // frames pass all the same
	}{
		{"no virtio-net headers", option(unix.SOL_PACKET, unix.PACKET_VNET_HDR), []string{"no PACKET_VNET_HDR", "ethtool -K acc1"}, "acc1", true},
		{"no auxdata", option(unix.SOL_PACKET, unix.PACKET_AUXDATA), []string{"PACKET_AUXDATA", "5.15"}, "acc1 und0", false},
		{"own frames come back", option(unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING), []string{"PACKET_IGNORE_OUTGOING", "5.15"}, "acc1 und0", false},
		{"fragments are not told of", option(unix.SOL_IP, unix.IP_RECVFRAGSIZE), []string{"IP_RECVFRAGSIZE"}, "und0", false},
		{"no TOS", option(unix.SOL_IP, unix.IP_RECVTOS), []string{"IP_RECVTOS"}, "und0", false},
		{"no ear for routers", refusal{unix.SYS_SOCKET, map[int]uint32{0: unix.AF_INET, 2: unix.IPPROTO_ICMP}, unix.EPERM}, []string{"routers cannot be heard"}, "und0", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBed(t)
			d := startRefused(t, b, test.refuses)
			d.says(append(test.says, "level=WARN")...)
			if n := d.lines(test.says...); n != len(strings.Fields(test.at)) {
				t.Errorf("it was said %d times", n)
			}
			for _, row := range rows[api.DatapathRow](d, "datapath") {
				lacks := strings.Contains(test.at, row.Interface)
				if row.Attached != (test.carries || !lacks) || lacks && !contains(row.Reason, test.says...) {
					t.Errorf("%+v", row)
				}
			}
			if test.carries {
				b.pings(t)
			} else if n, err := b.ping(56, 1); n > 0 || err != nil && !errors.Is(err, unix.EHOSTUNREACH) {
				t.Errorf("%d pings are answered, %v", n, err)
			}
			nothingRaw(t, d.err.String())
		})
	}
}

// TestWithoutVirtioNetHeaders holds that what a host's kernel leaves undone is
// counted where nobody can tell what that is, and not sent broken; and that it
// passes once the host finishes its frames itself, as the gateway says.
func TestWithoutVirtioNetHeaders(t *testing.T) {
	b := newBed(t)
	d := startRefused(t, b, option(unix.SOL_PACKET, unix.PACKET_VNET_HDR))
	b.pings(t)
	send := func() {
		t.Helper()
		must(t, b.host.SendUDP(netip.AddrPortFrom(hostAddr, 1000), netip.AddrPortFrom(farAddr, 1001), []byte("hello")))
	}
	before := d.drops("tx_failed", "access")
	for range 10 {
		send()
	}
	until(t, "what is unfinished is counted", func() error {
		if n := d.drops("tx_failed", "access") - before; n != 10 {
			return fmt.Errorf("%d of 10", n)
		}
		return nil
	})
	d.says("offload notes that do not describe it", "ethtool -K")
	must(t, b.host.Offloads("eth0", false, "tx-checksum-*", "tx-*-segmentation"))
	heard, err := b.peer.ListenPacket("udp", farAddr.String()+":1001")
	must(t, err)
	defer heard.Close()
	send()
	buf := make([]byte, 100)
	n, _, err := heard.ReadFrom(buf)
	if string(buf[:n]) != "hello" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if n := d.drops("tx_failed", "access") - before; n != 10 {
		t.Errorf("%d are lost", n)
	}
}
